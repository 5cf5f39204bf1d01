"""A film of the optimiser at work: the photograph, the painting, and the picture after more and more iterations."""

from matplotlib import pyplot as plt

from fig.common import command, network, painting, photograph, save, show
from handstyle.painting.config import StyleConfig
from handstyle.painting.stylize import stylize

MOMENTS = (1, 3, 8, 20, 50, 120)


def main(out, quick=True):
    """Draw the figure to `out`."""
    height, width = (192, 256) if quick else (384, 512)
    photo, art = photograph(height, width), painting(height, width)
    frames = {}

    def keep(progress):
        if progress.iteration in MOMENTS:
            frames[progress.iteration] = progress.array.copy()

    config = StyleConfig(size=width, iterations=max(MOMENTS), pyramid_min_size=0)
    stylize(photo.astype("uint8"), art.astype("uint8"), network=network("float32"), config=config, callback=keep)
    figure, axes = plt.subplots(3, 3, figsize=(7.2, 6.2), layout="constrained")
    axes = axes.ravel()
    show(axes[0], photo, "the start")
    show(axes[1], art, "the painting")
    for axis, (iteration, picture) in zip(axes[2:], sorted(frames.items()), strict=False):
        show(axis, picture, f"iteration {iteration}")
    for axis in axes[2 + len(frames) :]:
        axis.set_axis_off()
    save(figure, out)


if __name__ == "__main__":
    command(main)
