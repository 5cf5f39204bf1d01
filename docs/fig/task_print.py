"""A square of a print, painted at the print's size and painted small and enlarged."""

import numpy as np
from matplotlib import pyplot as plt
from PIL import Image

import handstyle
from fig.common import command, network, painting, photograph, save, show


def main(out, quick=True):
    """Draw the figure to `out`."""
    width, iterations = (384, 18) if quick else (1024, 200)
    small = width // 4
    pictures = []
    for size in (small, width):
        photo, art = photograph(size * 3 // 4, size), painting(size, size)
        result = handstyle.stylize(
            photo, art, network=network("float32"), size=size, pyramid_min_size=small // 2, iterations=iterations
        )
        pictures.append(np.asarray(result.image))
    enlarged = Image.fromarray(pictures[0]).resize((width, width * 3 // 4), Image.Resampling.LANCZOS)
    pictures[0] = np.asarray(enlarged)
    top, left, side = width // 8, width // 4, width * 3 // 8
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.8), layout="constrained")
    for panel, picture, name in zip(axes, pictures, ("painted small, enlarged", "painted at its size"), strict=True):
        show(panel, picture[top : top + side, left : left + side], name)
    save(figure, out)


if __name__ == "__main__":
    command(main)
