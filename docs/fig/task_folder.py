"""Four photographs in one style."""

import numpy as np
from matplotlib import pyplot as plt
from PIL import Image
from skimage import data

import handstyle
from fig.common import command, network, painting, photograph, save, show


def main(out, quick=True):
    """Draw the figure to `out`."""
    size, iterations = (128, 30) if quick else (512, 300)
    # Three of the public-domain photographs that come with scikit-image, and the town.
    pictures = [photograph(size, size), *(square(one, size) for one in (data.chelsea(), data.coffee(), data.rocket()))]
    art, net = painting(size, size), network("float32")
    figure, axes = plt.subplots(2, 4, figsize=(7.2, 3.8), layout="constrained")
    for panels, picture, name in zip(axes.T, pictures, ("town", "cat", "coffee", "rocket"), strict=True):
        show(panels[0], picture, f"{name}.jpg")
        result = handstyle.stylize(picture, art, network=net, size=size, pyramid_min_size=64, iterations=iterations)
        show(panels[1], np.asarray(result.array), f"{name}.png")
    save(figure, out)


def square(picture, size):  # (H, W, 3) -> (size, size, 3) float64
    """Return the middle of a picture, resized."""
    side = min(picture.shape[:2])
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    cut = Image.fromarray(picture[top : top + side, left : left + side])
    return np.asarray(cut.resize((size, size), Image.Resampling.LANCZOS), np.float64)


if __name__ == "__main__":
    command(main)
