"""A painting recolored in four ways, and the cloud of its colors in red and blue."""

from matplotlib import pyplot as plt

from fig.common import BLUE, ORANGE, command, painting, photograph, save, show
from handstyle.painting.color import METHODS, match_affine, match_histogram


def main(out, quick=True):
    """Draw the figure to `out`."""
    photo, art = photograph(144, 192), painting(144, 192)
    ways = {method: match_affine(art, photo, method) for method in METHODS}
    ways["histogram"] = match_histogram(art, photo)
    figure, axes = plt.subplots(2, 4, figsize=(7.2, 3.6), layout="constrained", width_ratios=(1.2, 1, 1.2, 1))
    every = slice(None, None, 37)
    for pair, (name, recolored) in zip(axes.reshape(4, 2), ways.items(), strict=True):
        show(pair[0], recolored, name)
        for p, color, size in ((photo, BLUE, 2.5), (recolored, ORANGE, 1.2)):
            red, _, blue = p.reshape(-1, 3)[every].T
            pair[1].plot(red, blue, ".", color=color, ms=size)
        pair[1].set(xlim=(-30, 260), ylim=(-30, 260), aspect="equal", xticks=[0, 255], yticks=[0, 255])
        pair[1].set(xlabel="red", ylabel="blue")
    save(figure, out)


if __name__ == "__main__":
    command(main)
