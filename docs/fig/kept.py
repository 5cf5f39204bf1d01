"""What each layer keeps: pictures from noise after the content at one layer, and after the style of one to five.

They are those of the figures `inversions` and `textures`, whose runs are made once.
"""

from matplotlib import pyplot as plt

from fig.common import command, network, painting, photograph, save, show
from fig.inversions import TAPS, invert
from fig.textures import synthesize


def main(out, quick=True):
    """Draw the figure to `out`."""
    photo, art, net = photograph(144, 192), painting(144, 192), network("float32")
    figure, axes = plt.subplots(4, 3, figsize=(8.8, 9.7), layout="constrained")
    above, below = axes[:2].ravel(), axes[2:].ravel()
    show(above[0], photo, "the photograph")
    show(below[0], art, "the painting")
    for k, layer in enumerate(TAPS, 1):
        show(above[k], invert(net, photo, layer, 70 if quick else 1000)[0], f"content at {layer}")
        texture = synthesize(net, art, TAPS[:k], 60 if quick else 500)
        show(below[k], texture, f"style {'at' if k == 1 else 'up to'} {layer}")
    save(figure, out)


if __name__ == "__main__":
    command(main)
