"""Measure the flicker of a painted film against that of the same frames painted one by one.

``HANDSTYLE_TEST_DATA=FOLDER python -m benchmarks.film`` paints a camera that pans and zooms over a town while a head
moves across, with noise of 2 gray levels, and writes dated JSON into ``benchmarks/results``.
"""

import argparse

import numpy as np
from PIL import Image
from skimage import data

from benchmarks import common
from benchmarks.strength import picture
from handstyle import frames, stylize
from handstyle.foundations.backend import Array
from handstyle.painting.film import flicker


def footage(count: int, size: int) -> list[Array]:  # -> [(H, W, 3)], 4 : 3
    """Return the frames of the film."""
    rng, scale = np.random.default_rng(0), size / 256
    town = Image.fromarray(picture("tubingen", 1024).clip(0, 255).astype(np.uint8))
    width, height = round(84 * scale), round(92 * scale)
    head = Image.fromarray(data.astronaut()[0:230, 120:330]).resize((width, height))
    y, x = np.mgrid[0:height, 0:width]
    inside = 1 - ((x / width - 0.5) / 0.476) ** 2 - ((y / height - 0.5) / 0.478) ** 2
    mask = Image.fromarray((255 * np.clip(8 * inside, 0, 1)).astype(np.uint8))
    film = []
    for t in np.linspace(0, 1, count):
        w = town.width * 0.72 / (1 + 0.12 * t)
        left, top = town.width * (0.05 + 0.14 * t), (town.height - 0.75 * w) * 0.45
        frame = town.resize((size, size * 3 // 4), Image.Resampling.LANCZOS, box=(left, top, left + w, top + 0.75 * w))
        frame.paste(head, (int(scale * (150 - 70 * t)), int(scale * (85 + 4 * np.sin(6 * t)))), mask)
        noisy = np.asarray(frame, np.float32) + rng.normal(0, 2, (size * 3 // 4, size, 3))
        film.append(noisy.clip(0, 255).astype(np.float32))
    return film


def main() -> None:
    """Paint, measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--iterations", type=int, default=20, help="at each scale")
    options = parser.parse_args()
    film, painting = footage(options.frames, options.size), picture("starry_night", options.size)
    settings = {"size": options.size, "iterations": options.iterations, "pyramid_min_size": options.size // 2}
    held = flicker(film, [result.array for result in frames(film, painting, **settings)])
    alone = flicker(film, [stylize(photograph, painting, **settings).array for photograph in film])
    row = vars(options) | {"film": round(held, 3), "alone": round(alone, 3), "ratio": round(held / alone, 4)}
    print(row)
    print(common.write_results("film", [row]))


if __name__ == "__main__":
    main()
