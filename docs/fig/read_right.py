"""Three files, each read wrong and read right: turned by EXIF, transparent, sixteen bits."""

import tempfile
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from PIL import Image

from fig.common import GRAY, command, photograph, save, show
from handstyle.foundations.picture_reading import read_picture


def files(folder):
    """Write the three files, and return for each its path and what a careless reader makes of it."""
    photo = photograph(144, 192).astype(np.uint8)
    turned = Image.fromarray(np.rot90(photo))  # as the sensor lay
    exif = Image.Exif()
    exif[274] = 6  # "turn me by a quarter to the right"
    turned.save(folder / "turned.png", exif=exif)
    H, W, _ = photo.shape
    r, s = np.ogrid[:H, :W]
    inside = (r - H / 2) ** 2 + (s - W / 2) ** 2 < (0.45 * H) ** 2
    hidden = np.where(inside[..., None], photo, (255, 0, 255)).astype(np.uint8)
    Image.fromarray(np.dstack([hidden, np.where(inside, 255, 0).astype(np.uint8)])).save(folder / "cut out.png")
    gray = (photo.mean(axis=2) * 257).astype(np.uint16)
    Image.fromarray(gray).save(folder / "sixteen bits.png")
    saturated = np.asarray(Image.open(folder / "sixteen bits.png").convert("L"))
    return {
        "turned.png": np.asarray(turned),
        "cut out.png": hidden,
        "sixteen bits.png": np.repeat(saturated[..., None], 3, axis=2),
    }


def main(out, quick=True):
    """Draw the figure to `out`."""
    figure, axes = plt.subplots(2, 3, figsize=(7.2, 4.6), layout="constrained")
    with tempfile.TemporaryDirectory() as folder:
        for k, (name, careless) in enumerate(files(Path(folder)).items()):
            show(axes[0, k], careless.astype(float), f"{name}, careless")
            read = read_picture(Path(folder) / name)
            pixels = read.pixels
            if read.alpha is not None:  # what may be seen, on white
                pixels = np.where(read.alpha[..., None] > 0.5 * read.alpha.max(), pixels, 255)
            show(axes[1, k], pixels, "read_picture")
    for place in axes.ravel():  # a frame, for one of the six is all white
        H, W = place.images[0].get_array().shape[:2]
        place.add_patch(plt.Rectangle((-0.5, -0.5), W, H, fill=False, ec=GRAY, lw=0.8))
    save(figure, out)


if __name__ == "__main__":
    command(main)
