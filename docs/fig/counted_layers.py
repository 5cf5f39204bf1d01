"""Operations and bytes of each layer of VGG-19 up to relu5_1, at 512 x 512 in float32."""

from matplotlib import pyplot as plt

from fig.common import BLUE, GREEN, ORANGE, command, save
from handstyle.network.vgg import build_network, random_weights, summary

WIDTHS = 64, 128, 256, 512, 512
KINDS = {"conv": BLUE, "relu": ORANGE, "pool": GREEN}


def main(out, quick=True):
    """Draw the figure to `out`."""
    network = build_network(random_weights(widths=WIDTHS, deepest="conv5_1"))
    names, operations, moved, C, pixels = [], [], [], 3, 512 * 512
    for row in summary(network, 512, 512):
        h, w, K = row.shape
        is_conv = row.name.startswith("conv")
        names.append(row.name)
        operations.append((18 * h * w * C * K if is_conv else pixels * C) / 1e9)
        moved.append(4 * (pixels * C + h * w * K + (9 * C * K if is_conv else 0)) / 2**20)
        C, pixels = K, h * w
    colors = [KINDS[name[:4]] for name in names]
    figure, (above, below) = plt.subplots(2, 1, figsize=(7.2, 4.6), layout="constrained", sharex=True)
    above.bar(names, operations, color=colors)
    above.set_ylabel("GFLOP")
    below.bar(names, moved, color=colors)
    below.set_ylabel("MiB moved")
    below.tick_params("x", rotation=90, labelsize=9)
    handles = [plt.Rectangle((0, 0), 1, 1, color=color) for color in KINDS.values()]
    below.legend(handles, ("convolution", "rectifier", "pool"), loc="upper right")
    save(figure, out)


if __name__ == "__main__":
    command(main)
