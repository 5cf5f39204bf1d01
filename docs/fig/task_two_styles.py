"""One map of colors, two paintings, and a head that stays a photograph."""

import tempfile

import numpy as np
from matplotlib import pyplot as plt
from pictures.scenes import flow_painting, portrait_masks, portrait_scene

import handstyle
from fig.common import command, kept, network, painting, save, show
from handstyle.foundations.picture_writing import write_picture


def main(out, quick=True):
    """Draw the figure to `out`."""
    height, iterations = (224, 24) if quick else (512, 300)
    width = height * 3 // 4
    scene, parts = portrait_scene(height, width), portrait_masks(height, width)
    areas = np.zeros((height, width, 3))
    areas[..., 0], areas[..., 2] = 255 * (parts["background"] > 0.5), 255 * (parts["clothes"] > 0.5)
    paintings = [painting(height, height), kept(flow_painting, height, height, 3)[..., ::-1].astype(np.float64)]
    with tempfile.TemporaryDirectory() as folder:
        write_picture(f"{folder}/areas.png", areas)
        result = handstyle.stylize(
            scene,
            paintings,
            network=network("float32"),
            regions=f"{folder}/areas.png",
            style_region=("red", "blue"),
            mask_feather=2.0,
            size=height,
            pyramid_min_size=height // 2,
            iterations=iterations,
        )
    figure, axes = plt.subplots(1, 3, figsize=(7.2, 3.3), layout="constrained")
    show(axes[0], scene, "portrait.jpg")
    show(axes[1], areas, "areas.png")
    show(axes[2], np.asarray(result.array), "out.png")
    save(figure, out)


if __name__ == "__main__":
    command(main)
