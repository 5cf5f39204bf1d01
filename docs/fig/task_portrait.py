"""A face at three weights of the style."""

import numpy as np
from matplotlib import pyplot as plt
from PIL import Image
from skimage import data

import handstyle
from fig.common import command, network, painting, save, show

CHOICES = {
    "--style-weight 10": {},
    "--style-weight 2": {"style_weight": 2.0},
    "--style-weight 0.5": {"style_weight": 0.5},
}


def main(out, quick=True):
    """Draw the figure to `out`."""
    size, iterations = (192, 50) if quick else (512, 300)
    # Eileen Collins, photographed by NASA, in the public domain; it comes with scikit-image.
    face = Image.fromarray(data.astronaut()).crop((110, 0, 340, 230)).resize((size, size), Image.Resampling.LANCZOS)
    photo, art = np.asarray(face, np.float64), painting(size, size)
    figure, axes = plt.subplots(1, 4, figsize=(9.6, 2.6), layout="constrained")
    show(axes[0], photo, "the photograph")
    for panel, (name, choice) in zip(axes[1:], CHOICES.items(), strict=True):
        options = {"size": size, "iterations": iterations, **choice}
        result = handstyle.stylize(photo, art, network=network("float32"), **options)
        show(panel, np.asarray(result.array), name)
    save(figure, out)


if __name__ == "__main__":
    command(main)
