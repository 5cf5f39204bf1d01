"""The README's two pictures: the demo, and a row of what else can be asked for. Everything is drawn by the package."""

import sys
import tempfile
from pathlib import Path

import numpy as np
from pictures.flow_painting import flow_painting
from pictures.scenes import night_scene, portrait_masks, portrait_scene
from PIL import Image

import handstyle
from handstyle.foundations.picture_writing import write_picture


def beside(pictures, height):
    """Return pictures side by side, all of one height, with a white line between them."""
    small = [Image.fromarray(p).resize((round(p.shape[1] * height / p.shape[0]), height)) for p in pictures]
    sheet = Image.new("RGB", (sum(p.width for p in small) + 6 * (len(small) - 1), height), "white")
    x = 0
    for p in small:
        sheet.paste(p, (x, 0))
        x += p.width + 6
    return sheet


def main(folder, quick=True):
    """Draw ``demo.jpg`` and ``controls.jpg`` into `folder`."""
    size, iterations = (96, 10) if quick else (384, 100)
    scene, art = night_scene(size * 3 // 4, size), flow_painting(size, size)
    other, network = flow_painting(size, size, 3)[..., ::-1], handstyle.load_network()  # another palette

    def paint(content, styles, **options):
        config = handstyle.StyleConfig(**{"size": size, "iterations": iterations} | options)
        return handstyle.stylize(content, styles, network=network, config=config).image

    painted = paint(scene, [art])
    beside([scene, art, painted], 288).save(Path(folder) / "demo.jpg", quality=90)
    portrait, parts = portrait_scene(size, size * 3 // 4), portrait_masks(size, size * 3 // 4)
    with tempfile.TemporaryDirectory() as masks:
        paths = []
        for part in ("background", "clothes"):
            paths.append(f"{masks}/{part}.png")
            write_picture(paths[-1], np.repeat(255 * parts[part][..., None], 3, axis=2))
        regions = paint(portrait, [art, other], mask=tuple(paths), pyramid_min_size=size // 2)
    row = [
        regions,
        paint(scene, [art], color="luminance", size=size * 3 // 4),
        paint(scene, [art, other], style_blend=(1.0, 1.0), size=size * 3 // 4),
        paint(
            np.full((size // 2, size // 2, 3), 127.5, np.float32),
            [art],
            content_weight=0.0,
            init="noise",
            pyramid_min_size=0,
        ),
    ]
    beside(row, 240).save(Path(folder) / "controls.jpg", quality=90)


if __name__ == "__main__":
    main(sys.argv[1], quick=False)
