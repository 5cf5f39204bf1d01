"""The pictures of the parts on the book's first page: seven files beside the sheet that shows them all."""

from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

from fig import color_ways
from fig.common import command, network, painting, photograph, save, show
from fig.film import FRAMES
from handstyle.foundations.image import preprocess_forward
from handstyle.foundations.picture_writing import write_picture
from handstyle.painting.config import StyleConfig
from handstyle.painting.stylize import stylize, texture

STRIPS, TILE, GAP = (2, 8, max(FRAMES)), 32, 4  # iterations of the figure `film`, whose run is made once


def as_tiles(picture):
    """Return a picture cut into tiles with white between them."""
    height, width, _ = picture.shape
    spread = np.full((height + GAP * (height // TILE - 1), width + GAP * (width // TILE - 1), 3), 255.0)
    for r, s in np.ndindex(height // TILE, width // TILE):
        top, left = r * (TILE + GAP), s * (TILE + GAP)
        spread[top : top + TILE, left : left + TILE] = picture[r * TILE :, s * TILE :][:TILE, :TILE]
    return spread


def seen(net, photo):
    """Return three channels of relu1_2 as a picture: of the loud ones those that answer at fewest places."""
    f = net.forward(preprocess_forward(photo.astype(np.float32), net.convention), ["relu1_2"])[0]["relu1_2"]
    spread = f.std(axis=(0, 1))
    loud = np.flatnonzero(spread > np.median(spread))
    sparse = loud[np.argsort(f[..., loud].mean(axis=(0, 1)) / spread[loud])[:3]]
    return np.clip(f[..., sparse] / np.quantile(f[..., sparse], 0.98, axis=(0, 1)), 0, 1) * 255


def main(out, quick=True):
    """Write the seven pictures to the folder ``parts`` beside `out`, and draw the sheet."""
    height, width = 192, 256
    photo, art, net = photograph(height, width), painting(height, width), network("float32")
    strips = {}

    def keep(progress):
        if progress.iteration in STRIPS:
            strips[progress.iteration] = progress.array.copy()

    config = StyleConfig(size=width, iterations=max(STRIPS), pyramid_min_size=0)
    given = photo.astype("uint8"), art.astype("uint8")
    stylize(*given, network=net, config=config, callback=keep)
    done = strips[max(STRIPS)]
    quarter = width // 4
    stages = [photo, *(strips[n] for n in STRIPS)]
    bands = np.concatenate([p[:, n * quarter : (n + 1) * quarter] for n, p in enumerate(stages)], axis=1)
    pixels = photo[98:122, 84:116].repeat(8, axis=0).repeat(8, axis=1)
    swirls = texture(given[1], network=net, size=width, iterations=40).array
    folder = Path(out).with_name("parts")
    folder.mkdir(exist_ok=True)
    pictures = [done, pixels, seen(net, photo), swirls, bands, as_tiles(done), color_ways.painted("luminance")]
    figure, axes = plt.subplots(2, 4, figsize=(7.2, 3), layout="constrained")
    for panel in axes.ravel():
        panel.set_axis_off()
    for n, (panel, picture) in enumerate(zip(axes.ravel(), pictures, strict=False)):
        write_picture(folder / f"{n}.jpg", np.clip(picture, 0, 255), overwrite=True)
        show(panel, picture)
    save(figure, out)


if __name__ == "__main__":
    command(main)
