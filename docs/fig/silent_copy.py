"""Host and device along time: a rectifier's way back on the device, and through the host in silence."""

from matplotlib import pyplot as plt

from fig.common import BLUE, GREEN, ORANGE, command, save

BYTES = 4 * 64 * 512 * 512  # of a map: 64 channels at 512 x 512 in float32
LATENCY, CABLE, CARD, HOST = 10e-6, 20e9, 2e12, 20e9  # seconds; bytes a second
CONVOLUTION = 2e-3  # seconds on the card, before and behind


def main(out, quick=True):
    """Draw the figure to `out`."""
    copy, here, there = LATENCY + BYTES / CABLE, 3 * BYTES / HOST, 3 * BYTES / CARD  # two maps read, one written
    figure, axes = plt.subplots(2, 1, figsize=(7.2, 2.8), layout="constrained", sharex=True)
    for place, silent in zip(axes, (False, True), strict=True):
        steps = [(GREEN, 0, CONVOLUTION), (GREEN, 0, there), (GREEN, 0, CONVOLUTION)]
        if silent:
            steps[1:2] = [(ORANGE, 1, 2 * copy), (BLUE, 1, here), (ORANGE, 1, copy)]
        now = 0.0
        for hue, row, seconds in steps:
            place.broken_barh([(1e3 * now, 1e3 * seconds)], (0.1 + row, 0.7), color=hue, ec="white")
            now += seconds
        place.text(1e3 * now + 0.3, 0.45, f"{1e3 * now:.1f} ms", va="center")
        place.set(yticks=[0.45, 1.45], yticklabels=["device", "host"], ylim=(0, 1.9), xlim=(0, 29))
        place.set_title("with one np.asarray too many" if silent else "as it was written", loc="left")
    for hue, words in ((GREEN, "the card works"), (ORANGE, "a copy"), (BLUE, "the host works")):
        axes[0].plot([], [], color=hue, lw=6, label=words)
    axes[0].legend(loc="upper right", ncol=3, fontsize=9)
    axes[1].set_xlabel("milliseconds")
    save(figure, out)


if __name__ == "__main__":
    command(main)
