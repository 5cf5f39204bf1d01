"""Measure how strongly a style weight changes the picture on each network, for `handstyle.painting.strength`.

Pairs of a photograph and a painting are painted as `stylize` paints them, in the pyramid, by the network that ships
and by VGG-19, with several style weights. Three numbers are measured of each picture:

- its structural similarity to the photograph, in luminance, after both were blurred by two pixels: how much of the
  photograph's likeness is left, by a measure that depends on no network;
- by VGG-19, the relative squared error of the features at relu4_2;
- by VGG-19, the relative squared error of the Gram matrices.

The first command below paints the pictures that are missing, and keeps them in the folder `--work`, so that an
interrupted run can be continued. The second also writes the results and a sheet of all pictures. The test data are not
part of the results. ::

    HANDSTYLE_TEST_DATA=FOLDER python -m benchmarks.strength --work FOLDER
    HANDSTYLE_TEST_DATA=FOLDER python -m benchmarks.strength --work FOLDER --write --sheet sheet.jpg

`LOOKS` are other settings of the painter, whose pictures are measured in the same way. The other results come from
these options, each with ``--iterations 24``:

- `looks`: ``--looks wasserstein --weights 0.1 0.3 1 3 10 --name looks``
- `sizes`: ``--strengths 0.5 --sizes 256 1024 --measure-at 256 --skip 5 --pairs 8 --name sizes``
- `detail`: ``--looks gram enlarged --name detail``, painted with ``--networks vgg19 --weights 1`` and with ``--networks
  vgg19-slim --weights 10``; and ``--looks gram --networks vgg19-slim --weights 6 5 --name detail``
"""

import argparse
import json
import sys
import time
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter
from skimage import data as photographs
from skimage.metrics import structural_similarity

from benchmarks import common
from handstyle import Network, load_network, stylize
from handstyle.foundations.backend import Array
from handstyle.foundations.image import fit_long_side
from handstyle.foundations.picture_reading import read_picture
from handstyle.network.weights import EMBEDDED
from handstyle.painting.config import StyleConfig
from handstyle.painting.presets import find_preset, rebuild
from handstyle.painting.strength import CURVES, style_weight
from weights_tools.distill.painting import STYLE_TAPS, judge

DATA = common.Path(__file__).parents[1] / "handstyle" / "data"
# Portraits, landscapes and objects with flat and textured paintings.
PAIRS = (
    ("face", "starry_night"),
    ("cat", "wave_crop"),
    ("tubingen", "monet"),
    ("coffee", "painting"),
    ("face", "wave_crop"),
    ("portrait", "painting"),
    ("tubingen", "starry_night"),
    ("rocket", "shipwreck"),
    ("coffee", "monet"),
    ("cat", "shipwreck"),
    ("photograph", "starry_night"),
    ("camera", "wave_crop"),
)
NETWORKS = (EMBEDDED, "vgg19")
WEIGHTS = (10.0, 1.0, 3.0, 0.3, 30.0)
# Settings of the painter by name; those of `BORDERS`, with their defaults, are the network's.
BORDERS = {"pooling": "max", "padding": "zero"}
LOOKS: dict[str, dict[str, Any]] = {
    "gram": {},
    "enlarged": {"pyramid_detail": False},
    "wasserstein": {"padding": "replicate", **find_preset("wasserstein").settings},
}


@cache
def picture(name: str, size: int) -> Array:  # -> (H, W, 3), its long side `size`
    """Return a photograph of scikit-image, a picture that ships with the package, or one of the test data."""
    if name == "face":  # Eileen Collins, photographed by NASA
        pixels = photographs.astronaut()[0:300, 80:380]
    elif name in ("coffee", "rocket", "camera", "cat"):
        pixels = getattr(photographs, "chelsea" if name == "cat" else name)()
        pixels = np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels
    else:
        folder = common.data_folder()
        path = DATA / f"{name}.jpg"
        if not path.exists():
            if folder is None:
                sys.exit(f"{name}: HANDSTYLE_TEST_DATA names no folder of test data")
            path = folder / "images" / f"{name}.jpg"
        pixels = read_picture(path).pixels
    pixels = np.asarray(pixels, np.float32)
    return fit_long_side(pixels, size, enlarge=True, name=name)  # above their own size they are smooth


@cache
def network(name: str) -> Network:
    """Return a network by name; VGG-19's weights are those of the test data."""
    folder = common.data_folder()
    if name == "vgg19" and folder is not None:
        return load_network(folder / common.VGG19, backend="numpy")
    return load_network(name, backend="numpy")


class Painted(NamedTuple):
    """What a picture was painted with."""

    look: str
    pair: tuple[str, str]
    network: str
    weight: float
    size: int

    def path(self, options: argparse.Namespace) -> Path:
        """Return the file of the picture."""
        what = (*self.pair, self.network, self.look, str(self.size), str(options.iterations), f"{self.weight:g}")
        return Path(options.work / f"{'-'.join(what)}.npy")


def plan(options: argparse.Namespace) -> list[Painted]:
    """Return the pictures that the options ask for."""
    return [
        Painted(look, pair, name, weight, size)
        for look, pair, name in product(options.looks, PAIRS[options.skip : options.pairs], options.networks)
        for weight in weights(options, look, name)
        for size in options.sizes
    ]


def weights(options: argparse.Namespace, look: str, name: str) -> list[float]:
    """Return the style weights of a look on a network: those that are given, or those of the strengths."""
    settings = {key: value for key, value in LOOKS[look].items() if key not in BORDERS}
    found = [style_weight(StyleConfig(**settings, strength=s), network(name)) for s in options.strengths]
    return found or list(options.weights)


def paint(options: argparse.Namespace, one: Painted) -> None:
    """Paint a pair, if it is not there yet."""
    file = one.path(options)
    if not file.exists():
        began = time.process_time()
        content, style = (picture(name, one.size) for name in one.pair)
        settings = {"style_weight": one.weight, "size": one.size, "iterations": options.iterations}
        settings |= LOOKS[one.look]
        borders = {key: settings.pop(key, default) for key, default in BORDERS.items()}
        painter = rebuild(network(one.network), **borders, rounding="down")
        result = stylize(content, style, network=painter, config=settings)
        np.save(file, result.array.astype(np.float16))
        print(f"{file.stem}: {time.process_time() - began:.0f} s", file=sys.stderr, flush=True)


def structural_similarity_of(p: Array, photograph: Array) -> float:  # (H, W, 3), (H, W, 3) -> -1 to 1
    """Return the structural similarity of two pictures' luminances, each blurred by two pixels."""
    both = [gaussian_filter(one.clip(0, 255) @ (0.299, 0.587, 0.114), 2) for one in (p, photograph)]
    return float(structural_similarity(*both, data_range=255, gaussian_weights=True, sigma=3))


def measure_row(options: argparse.Namespace, one: Painted, size: int) -> dict[str, Any]:
    """Return the row of a picture that is reduced to a size."""
    content, style = (picture(name, size) for name in one.pair)
    painted = np.load(one.path(options)).astype(np.float32)
    p = fit_long_side(painted, size)
    gram, lost = judge(network("vgg19"), p, content, style)
    row = {"content": one.pair[0], "style": one.pair[1], "network": one.network, "look": one.look}
    row |= {"size": max(painted.shape), "measured_at": size, "iterations": options.iterations}
    row |= {"style_weight": one.weight}
    row |= {"likeness": round(structural_similarity_of(p, content), 4), "content_error": round(lost, 4)}
    return row | {"gram": dict(zip(STYLE_TAPS, (round(error, 5) for error in gram), strict=True))}


def main() -> None:
    """Read the command line, paint, judge, fit, write the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.strength", description=__doc__)
    parser.add_argument("--work", required=True, type=Path, help="folder for the pictures, kept between runs")
    parser.add_argument("--networks", nargs="+", default=NETWORKS, choices=NETWORKS)
    parser.add_argument("--weights", nargs="+", type=float, default=WEIGHTS, help="style weights")
    parser.add_argument("--strengths", nargs="+", type=float, default=(), help="in place of weights")
    parser.add_argument("--pairs", type=int, default=len(PAIRS), help="how many of the pairs")
    parser.add_argument("--skip", type=int, default=0, help="pairs to leave out at the beginning")
    parser.add_argument("--looks", nargs="+", default=("gram",), choices=LOOKS)
    parser.add_argument("--sizes", nargs="+", type=int, default=(256,))
    parser.add_argument("--iterations", type=int, default=50, help="at each scale")
    parser.add_argument(
        "--measure-at", type=int, help="a size to which larger pictures are reduced to be measured, too"
    )
    parser.add_argument("--name", default="strength", help="of the results")
    parser.add_argument("--sheet", type=Path, help="draw the pictures side by side")
    parser.add_argument("--sheet-side", type=int, default=256, help="of each picture, px")
    parser.add_argument("--write", action="store_true", help="write the dated JSON of all pictures that are there")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    planned = plan(options)
    if not options.write:
        for one in planned:
            paint(options, one)
    there = [one for one in planned if one.path(options).exists()]
    rows = [
        measure_row(options, one, size)
        for one in there
        for size in sorted({one.size, min(one.size, options.measure_at or one.size)})
    ]
    for row in rows:
        print(json.dumps(row), flush=True)
    if options.sheet:
        draw(there, options)
    if options.write:
        curves = {" ".join(key): curve._asdict() for key, curve in CURVES.items()}
        digests = {name: found.sha256 for name in options.networks if (found := network(name).origin)}
        looks = {look: LOOKS[look] for look in options.looks}
        print(common.write_results(options.name, rows, curves=curves, looks=looks, networks=digests))


def draw(there: list[Painted], options: argparse.Namespace) -> None:
    """Draw a sheet: a row a pair, the originals first, then a column for each network, weight and size."""
    pairs = list(dict.fromkeys(one.pair for one in there))
    columns = sorted({one._replace(pair=("", "")) for one in there})
    side, bar = options.sheet_side, 14
    sheet = Image.new("RGB", ((2 + len(columns)) * side, len(pairs) * (side + bar)), "white")
    ink = ImageDraw.Draw(sheet)
    for down, pair in enumerate(pairs):
        cells = [(name, picture(name, side)) for name in pair]
        for one in columns:
            file = one._replace(pair=pair).path(options)
            said = f"{one.look} {one.network} {one.weight:g}, {one.size} px"
            cells.append((said, np.load(file).astype(np.float32) if file.exists() else None))
        for across, (said, pixels) in enumerate(cells):
            if pixels is None:
                continue
            image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
            image.thumbnail((side - 2, side - 2))
            sheet.paste(image, (across * side, down * (side + bar) + bar))
            ink.text((across * side + 2, down * (side + bar)), said, fill="black")
    sheet.save(options.sheet, quality=92)


if __name__ == "__main__":
    main()
