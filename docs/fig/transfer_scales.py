"""A picture painted from coarse to fine, and the same work done at the finest scale alone."""

from matplotlib import pyplot as plt

import handstyle
from fig.common import command, network, painting, photograph, save, show
from handstyle.painting.config import StyleConfig


def main(out, quick=True):
    """Draw the figure to `out`."""
    width, n = (256, 30) if quick else (512, 200)
    photo, art = photograph(width * 3 // 4, width), painting(width * 3 // 4, width)
    net, last = network("float32"), {}

    def keep(progress):
        last[progress.sizes[progress.scale]] = progress.array.copy()

    config = StyleConfig(size=width, pyramid_min_size=width // 4, iterations=n, style_weight=30.0)
    result = handstyle.stylize(photo, art, network=net, config=config, callback=keep)
    work = sum(h * w for h, w in last) / (photo.shape[0] * photo.shape[1])
    alone = StyleConfig(size=width, pyramid_min_size=0, iterations=round(n * work), style_weight=30.0)
    one = handstyle.stylize(photo, art, network=net, config=alone)
    figure, axes = plt.subplots(3, 2, figsize=(7.2, 8.3), layout="constrained")
    panels = axes.ravel()
    show(panels[0], photo, "the photograph")
    show(panels[1], art, "the painting")
    for panel, (size, picture) in zip(panels[2:], list(last.items())[:2], strict=False):
        show(panel, picture, f"{size[1]} pixels wide, {n} iterations")
    show(panels[4], result.array, f"then {width} pixels wide, {n} iterations")
    show(panels[5], one.array, f"only {width} pixels wide, {alone.iterations} iterations")
    save(figure, out)


if __name__ == "__main__":
    command(main)
