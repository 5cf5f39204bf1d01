"""A film of the optimizer at work: the photograph, the painting, and the picture after more and more iterations.

Beside the figure it leaves ``film_frames.js``: the same run in more steps, for the figure that a reader scrubs through.
"""

import base64
import io
import json
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from PIL import Image

from fig.common import command, network, painting, photograph, save, show
from handstyle.painting.config import StyleConfig
from handstyle.painting.stylize import stylize

MOMENTS = (1, 2, 4, 8, 16, 32, 64)
FRAMES = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64)


def jpeg(picture):
    """Return a picture as a data address."""
    held = io.BytesIO()
    Image.fromarray(np.clip(picture, 0, 255).round().astype(np.uint8)).save(held, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(held.getvalue()).decode()


def frame(iteration, picture, value=None, terms=()):
    """Return a moment of the run as film_lab.js reads it."""

    def part(name):
        return sum(terms[key] for key in terms if key.startswith(name)) if terms else None

    parts = {"content": part("content"), "style": part("style")}
    return {"iteration": iteration, "value": value, **parts, "picture": jpeg(picture)}


def run(photo, art, iterations):
    """Paint, and return the pictures of `MOMENTS` and the frames of the film."""
    pictures, film = {}, [frame(0, photo)]

    def keep(progress):
        if progress.iteration in MOMENTS:
            pictures[progress.iteration] = progress.array.copy()
        if progress.iteration in FRAMES:
            film.append(frame(progress.iteration, progress.array, progress.value, progress.terms))

    config = StyleConfig(size=photo.shape[1], iterations=iterations, pyramid_min_size=0)
    stylize(photo.astype("uint8"), art.astype("uint8"), network=network("float32"), config=config, callback=keep)
    return pictures, film


def main(out, quick=True):
    """Draw the figure to `out`, and write the film beside it."""
    height, width = (192, 256) if quick else (384, 512)
    photo, art = photograph(height, width), painting(height, width)
    pictures, film = run(photo, art, max(FRAMES))
    Path(out).with_name("film_frames.js").write_text(f"const FILM = {json.dumps(film)};\n", encoding="utf-8")
    figure, axes = plt.subplots(3, 3, figsize=(7.2, 6.2), layout="constrained")
    axes = axes.ravel()
    show(axes[0], photo, "the start")
    show(axes[1], art, "the painting")
    for axis, (iteration, picture) in zip(axes[2:], sorted(pictures.items()), strict=False):
        show(axis, picture, f"iteration {iteration}")
    for axis in axes[2 + len(pictures) :]:
        axis.set_axis_off()
    save(figure, out)


if __name__ == "__main__":
    command(main)
