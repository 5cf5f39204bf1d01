"""One photograph painted after one painting that is measured at three sizes."""

from matplotlib import pyplot as plt

import handstyle
from fig.common import command, network, painting, photograph, save, show
from handstyle.foundations.image import resize
from handstyle.painting.config import StyleConfig

WORDS = {0.5: "s = ½", 1.0: "s = 1", 2.0: "s = 2"}


def main(out, quick=True):
    """Draw the figure to `out`."""
    width, n = (192, 18) if quick else (512, 200)
    height = width * 3 // 4
    photo, art = photograph(height, width), painting(2 * width, 2 * width)
    net = network("float32")
    figure, axes = plt.subplots(2, 3, figsize=(8.8, 4.9), layout="constrained")
    for (above, below), (scale, words) in zip(axes.T, WORDS.items(), strict=True):
        side = round(scale * width)
        show(above, resize(art, (side, side)), f"{words}: the painting at {side} px")
        above.set(xlim=((side - width) / 2, (side + width) / 2), ylim=((side + height) / 2, (side - height) / 2))
        config = StyleConfig(size=width, iterations=n, pyramid_min_size=width // 2, style_scale=scale)
        show(below, handstyle.stylize(photo, art, network=net, config=config).array, f"painted, {width} px")
    save(figure, out)


if __name__ == "__main__":
    command(main)
