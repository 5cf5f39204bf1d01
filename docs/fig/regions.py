"""A portrait, two styles by mask, and a head in neither: by this package's reading of masks and by others."""

import tempfile
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from pictures.scenes import flow_painting, portrait_masks, portrait_scene
from PIL import Image

import handstyle
from fig.common import command, kept, network, painting, save, show
from handstyle.painting.config import StyleConfig

CHOICES = {
    "garden and clothes,\nhead in neither": {},
    "each style from\nhalf its painting": {"style_mask": ("half.png", "half.png")},
    "the garden alone": {"mask": ("background.png",), "style_region": (1,)},
    "cysmith's reading": {"mask_mode": "cysmith", "style_fit": "stretch"},
}


def main(out, quick=True):
    """Draw the figure to `out`."""
    height, iterations = (192, 24) if quick else (512, 300)
    width, size = height * 3 // 4, height
    scene, parts = portrait_scene(height, width), portrait_masks(height, width)
    styles = [painting(size, size), kept(flow_painting, size, size, 3)[..., ::-1].astype(np.float64)]
    net = network("float32")
    figure, axes = plt.subplots(2, 3, figsize=(8.8, 8.5), layout="constrained")
    panels = axes.ravel()
    show(panels[0], scene, "the photograph")
    show(panels[1], np.concatenate([style[: size // 2, :width] for style in styles]), "the paintings, in part")
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder)
        for part in ("background", "clothes"):
            Image.fromarray(np.rint(255 * parts[part]).astype(np.uint8)).save(at / f"{part}.png")
        half = np.zeros((size, size), np.uint8)
        half[:, : size // 2] = 255
        Image.fromarray(half).save(at / "half.png")
        for panel, (name, choice) in zip(panels[2:], CHOICES.items(), strict=True):
            options = {"mask": ("background.png", "clothes.png"), **choice}
            for field in ("mask", "style_mask"):
                options[field] = tuple(str(at / file) for file in options.get(field, ()))
            used = styles[: len(options.get("style_region", styles))]
            config = StyleConfig(size=size, pyramid_min_size=size // 2, iterations=iterations, **options)
            result = handstyle.stylize(scene, used, network=net, config=config)
            show(panel, np.asarray(result.array))
            panel.set_title(name)
    save(figure, out)


if __name__ == "__main__":
    command(main)
