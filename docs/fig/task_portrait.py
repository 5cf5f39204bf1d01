"""A face at three strengths, and with another loss."""

import numpy as np
from matplotlib import pyplot as plt
from PIL import Image
from skimage import data

import handstyle
from fig.common import command, network, painting, save, show


def main(out, quick=True):
    """Draw the figure to `out`."""
    size, iterations = (192, 25) if quick else (512, 300)
    # Eileen Collins, photographed by NASA, in the public domain; it comes with scikit-image.
    face = Image.fromarray(data.astronaut()).crop((110, 0, 340, 230)).resize((size, size), Image.Resampling.LANCZOS)
    photo, art = np.asarray(face, np.float64), painting(size, size)
    figure, axes = plt.subplots(1, 5, figsize=(8.8, 2.1), layout="constrained")
    show(axes[0], photo, "the photograph")
    looks = [{"strength": strength} for strength in (0.5, 0.3, 0.2)] + [{"preset": "wasserstein"}]
    for panel, look in zip(axes[1:], looks, strict=True):
        result = handstyle.stylize(photo, art, network=network("float32"), size=size, iterations=iterations, **look)
        ((name, value),) = look.items()
        show(panel, np.asarray(result.array), f"--{name} {value}")
    save(figure, out)


if __name__ == "__main__":
    command(main)
