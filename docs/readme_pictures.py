"""The README's pictures, each by the command beside it; photographs and paintings are drawn by the package."""

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
    """Write ``demo.jpg`` and the six pictures ``readme_….jpg`` into `folder`."""
    size, iterations = (96, 10) if quick else (192, 40)
    scene, art = night_scene(size * 3 // 4, size), flow_painting(size, size)
    other, network = flow_painting(size, size, 3)[..., ::-1], handstyle.load_network()  # another palette
    portrait, parts = portrait_scene(size, size * 3 // 4), portrait_masks(size, size * 3 // 4)
    folder = Path(folder)

    def paint(name, content, styles, **options):
        options = {"size": size, "iterations": iterations} | options
        if content is None:
            result = handstyle.texture(styles, network=network, **options)
        else:
            result = handstyle.stylize(content, styles, network=network, **options)
        Image.fromarray(result.image).save(folder / f"readme_{name}.jpg", quality=88)
        return result.image

    paint("default", scene, art)
    paint("strength", scene, art, strength=0.3)
    paint("colors", scene, art, color="luminance")
    with tempfile.TemporaryDirectory() as masks:
        paths = []
        for part in ("background", "clothes"):
            paths.append(f"{masks}/{part}.png")
            write_picture(paths[-1], np.repeat(255 * parts[part][..., None], 3, axis=2))
        paint("masks", portrait, [art, other], mask=tuple(paths))
    paint("texture", None, art, tv_weight=1e-3)
    layers = {"style_layers": "relu3_1,relu4_1", "patch_stride": 2}
    paint("patches", scene, art, style_statistic="patches", **layers)
    size, iterations = (96, 10) if quick else (384, 100)
    scene, art = night_scene(size * 3 // 4, size), flow_painting(size, size)
    painted = handstyle.stylize(scene, art, network=network, size=size, iterations=iterations).image
    beside([scene, art, painted], 288).save(folder / "demo.jpg", quality=90)


if __name__ == "__main__":
    main(sys.argv[1], quick=False)
