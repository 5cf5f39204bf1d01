"""Draw the pictures that the package ships: ``python -m pictures.render`` in ``docs/``, a minute."""

from pathlib import Path

import numpy as np
from PIL import Image

from pictures.scenes import flow_painting, night_scene, portrait_masks, portrait_scene

DATA = Path(__file__).parents[2] / "handstyle" / "data"


def main(folder: Path = DATA) -> None:
    """Draw the demonstration's photograph, painting, portrait and masks into `folder`."""
    drawn = {
        "photograph": night_scene(576, 768),
        "painting": flow_painting(576, 576),
        "portrait": portrait_scene(640, 480),
    }
    for name, picture in drawn.items():
        Image.fromarray(picture).save(folder / f"{name}.jpg", quality=90, optimize=True)
    for part, mask in portrait_masks(640, 480).items():
        if part in ("background", "clothes"):
            levels = np.rint(255 * mask).astype(np.uint8)
            Image.fromarray(levels).save(folder / f"portrait_{part}.png", optimize=True)


if __name__ == "__main__":
    main()
