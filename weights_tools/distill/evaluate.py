"""Paint with the small network, and measure the outcome by the real VGG-19.

``python -m weights_tools.distill.evaluate --network SLIM --pictures FOLDER --work FOLDER --out RESULTS.json`` paints
each pair of a photograph and a painting that training never saw, with the small network, with VGG-19 itself and with
the small network before any training, judges all three and the photograph by VGG-19, and writes the table. Each
painting is kept, so an interrupted run goes on where it was; ``--sheet`` draws them side by side.
"""

import argparse
import json
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from threadpoolctl import threadpool_limits

from handstyle.foundations.backend import Array, cpu_name
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.image import fit_long_side
from handstyle.network.vgg import Network, Weights, build_network, random_weights
from handstyle.network.weights import read_weights
from handstyle.painting.load import load_weights
from weights_tools.distill.painting import STYLE_TAPS, judge, paint
from weights_tools.distill.state import write_network

CONTENTS, STYLES = ("astronaut", "tubingen"), ("starry_night", "wave_crop", "shipwreck", "monet")
PAIRS = tuple((content, style) for content in CONTENTS for style in STYLES)
NETWORKS = ("slim", "vgg19", "untrained")
GAP = 6  # px between the pictures of a contact sheet


def read_picture(name: str, folder: Path, size: int) -> Array:  # -> (H, W, 3)
    """Return the picture ``name.jpg`` of a folder, its long side `size` px.

    The astronaut, if it is not in the folder, is scikit-image's photograph.

    Raises
    ------
    HandstyleError
        If there is no such picture.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("RGB", (80, 40)).save(Path(folder, "sea.jpg"))
    ...     read_picture("sea", Path(folder), 40).shape
    (20, 40, 3)
    """
    path = folder / f"{name}.jpg"
    if path.exists():
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"), np.float32)
    elif name == "astronaut":
        from skimage import data

        draw: Any = data.astronaut  # not typed where it is installed, not known where it is not
        pixels = np.asarray(draw(), np.float32)
    else:
        raise HandstyleError(f"{path}: no such picture; give the folder of the test pictures by --pictures")
    return fit_long_side(pixels, size, name=name)


def _measure(teacher: Network, p: Array, content: Array, style: Array) -> dict[str, object]:
    """Return the errors of one painting, as a row of the table."""
    gram, content_error = judge(teacher, p, content, style)
    return {
        "gram_mean": round(float(np.mean(gram)), 4),
        "gram": dict(zip(STYLE_TAPS, (round(g, 4) for g in gram), strict=True)),
        "content": round(content_error, 3),
    }


def evaluate(
    teacher: Network,
    networks: dict[str, Network],
    pairs: Sequence[tuple[str, str]],
    pictures: Path,
    work: Path,
    size: int,
    iterations: int,
) -> list[dict[str, object]]:
    """Paint every pair with every network and judge the outcomes.

    Parameters
    ----------
    teacher : Network
        VGG-19, by whose features the paintings are judged.
    networks : dict of str to Network
        The networks that paint, by name.
    pairs : sequence of (str, str)
        Names of photograph and painting.
    pictures : path
        The folder of the pictures.
    work : path
        The folder of the results; those already there are not painted again.
    size, iterations : int
        Long side of the results in pixels, and iterations of L-BFGS-B.

    Returns
    -------
    list of dict
        One row for each pair: ``content``, ``style``, and the errors under ``photograph`` and each network's name.

    Examples
    --------
    >>> import tempfile
    >>> teacher, rng = build_network(random_weights()), np.random.default_rng(0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("sea", "wave"):
    ...         Image.fromarray(rng.integers(256, size=(32, 32, 3), dtype=np.uint8)).save(Path(folder, f"{name}.jpg"))
    ...     (row,) = evaluate(teacher, {"vgg19": teacher}, [("sea", "wave")], Path(folder), Path(folder), 32, 2)
    >>> list(row)
    ['content', 'style', 'photograph', 'vgg19']
    >>> row["photograph"]["content"], row["vgg19"]["gram_mean"] < row["photograph"]["gram_mean"]
    (0.0, True)
    """
    rows = []
    for content_name, style_name in pairs:
        content, style = (read_picture(name, pictures, size) for name in (content_name, style_name))
        row: dict[str, object] = {"content": content_name, "style": style_name}
        row["photograph"] = _measure(teacher, content, content, style)
        for name, network in networks.items():
            kept = work / f"{content_name}-{style_name}-{name}.npy"
            if not kept.exists():
                started = time.perf_counter()
                p = paint(network, content, style, iterations)
                np.save(kept, p.astype(np.float32))
                print(f"{kept.stem}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
            row[name] = _measure(teacher, np.load(kept), content, style)
        print(json.dumps(row), file=sys.stderr, flush=True)
        rows.append(row)
    return rows


def contact_sheet(
    pairs: Sequence[tuple[str, str]], names: Sequence[str], work: Path, pictures: Path | None = None
) -> Image.Image:
    """Return the paintings side by side on a transparent ground: a row for each pair, a column for each network.

    Parameters
    ----------
    pairs : sequence of (str, str)
        Names of photograph and painting.
    names : sequence of str
        Names of the networks.
    work : path
        The folder with the results of `evaluate`.
    pictures : path, optional
        The folder of the originals, for two more columns, photograph and style; not given for sheets to be published
        without the originals.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("slim", "vgg19"):
    ...         np.save(Path(folder, f"sea-wave-{name}.npy"), np.zeros((30, 40, 3)))
    ...     contact_sheet([("sea", "wave")], ["slim", "vgg19"], Path(folder)).size  # width, height; 6 px between
    (86, 30)
    """
    rows = []
    for content, style in pairs:
        row = [np.load(work / f"{content}-{style}-{name}.npy") for name in names]
        if pictures:
            row = [read_picture(name, pictures, max(row[0].shape)) for name in (content, style)] + row
        rows.append(row)
    width, heights = max(p.shape[1] for row in rows for p in row), [max(p.shape[0] for p in row) for row in rows]
    size = len(rows[0]) * (width + GAP) - GAP, sum(heights) + (len(rows) - 1) * GAP
    sheet, top = Image.new("RGBA", size), 0
    for row, height in zip(rows, heights, strict=True):
        for j, p in enumerate(row):
            sheet.paste(Image.fromarray((p.clip(0, 255) + 0.5).astype(np.uint8)), (j * (width + GAP), top))
        top += height + GAP
    return sheet


def main() -> None:
    """Parse the command line, evaluate the networks, and write the table of errors.

    Examples
    --------
    .. code-block:: console

        $ python -m weights_tools.distill.evaluate --network slim.h5 --pictures art/ --work out/ --out errors.json
    """
    parser = argparse.ArgumentParser(prog="python -m weights_tools.distill.evaluate", description=__doc__)
    parser.add_argument("--teacher", default="vgg19", help="as handstyle weights get vgg19 installed it, or a file")
    parser.add_argument("--network", required=True, type=Path, help="the small network")
    parser.add_argument("--pictures", required=True, type=Path, help="folder of the paintings and photographs")
    parser.add_argument("--work", required=True, type=Path, help="folder for the outcomes, kept between runs")
    parser.add_argument("--out", required=True, type=Path, help="the table, JSON")
    parser.add_argument("--sheet", type=Path, help="the contact sheet, PNG or WebP")
    parser.add_argument("--record", action="store_true", help="write the means into the network's own file")
    parser.add_argument("--originals", action="store_true", help="with photographs and styles on the sheet")
    parser.add_argument("--only", nargs="*", default=NETWORKS, choices=NETWORKS, help="who paints")
    parser.add_argument("--pairs", default=len(PAIRS), type=int, help="how many of the pairs, in order")
    parser.add_argument("--size", default=256, type=int)
    parser.add_argument("--iterations", default=120, type=int)
    arguments = parser.parse_args()
    pairs = PAIRS[: arguments.pairs]
    try:
        weights, slim = load_weights(arguments.teacher), read_weights(arguments.network)
        teacher = build_network(weights)
        untrained = build_network(random_weights(widths=tuple(slim.layers[f"conv{i}_1"][1].size for i in range(1, 6))))
        painters = {"slim": build_network(slim), "vgg19": teacher, "untrained": untrained}
        networks = {name: painters[name].with_kernels("auto") for name in arguments.only}
        arguments.work.mkdir(parents=True, exist_ok=True)
        with threadpool_limits(1):
            rows = evaluate(
                teacher, networks, pairs, arguments.pictures, arguments.work, arguments.size, arguments.iterations
            )
    except HandstyleError as error:
        sys.exit(f"{parser.prog}: {error}")
    table = {
        "network": slim.provenance,
        "teacher_sha256": weights.provenance["sha256"],
        "size": arguments.size,
        "iterations": arguments.iterations,
        "machine": f"{cpu_name()}, Python {platform.python_version()}, NumPy {np.__version__}",
        "means": {name: means(rows, name) for name in ("photograph", *arguments.only)},
        "pairs": rows,
    }
    arguments.out.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    if arguments.record:
        record(arguments.network, slim, in_words(table))
    if arguments.sheet:
        originals = arguments.pictures if arguments.originals else None
        contact_sheet(pairs, arguments.only, arguments.work, originals).save(arguments.sheet)


def in_words(table: dict[str, Any]) -> str:
    """Return the measured errors as text for the provenance.

    Examples
    --------
    >>> table = {"pairs": [{}, {}], "size": 256, "iterations": 120}
    >>> in_words(table | {"means": {"slim": {"gram_mean": 0.05, "content": 0.7}}}).rpartition(": ")[2]
    'slim 0.050 (0.70)'
    """
    means = ", ".join(
        f"{name} {mean['gram_mean']:.3f} ({mean['content']:.2f})" for name, mean in table["means"].items()
    )
    return (
        f"{len(table['pairs'])} pairs kept out of training, {table['size']} px, {table['iterations']} iterations, "
        "judged by VGG-19: mean relative squared Gram error of relu1_1 to relu5_1 (and content error at relu4_2): "
        f"{means}"
    )


def record(path: Path, weights: Weights, measured: str) -> None:
    """Write a weight file again with the measured errors in its provenance; its values stay the same.

    Parameters
    ----------
    path : Path
        The file, in this package's format.
    weights : Weights
        The weights that were read from it.
    measured : str
        The errors in words.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "slim.h5")
    ...     write_network(path, random_weights(deepest="conv1_1"))
    ...     record(path, read_weights(path), "8 pairs: slim 0.050")
    ...     read_weights(path).provenance["measured"]
    '8 pairs: slim 0.050'
    """
    provenance = {key: value for key, value in weights.provenance.items() if key not in ("file", "sha256")}
    recorded = replace(weights, provenance=provenance | {"measured": measured})
    write_network(path, recorded)


def means(rows: list[dict[str, object]], name: str) -> dict[str, float]:
    """Return the means over all pairs of the Gram and content errors in the column `name`.

    Examples
    --------
    >>> rows = [{"slim": {"gram_mean": 0.1, "content": 0.5}}, {"slim": {"gram_mean": 0.3, "content": 0.7}}]
    >>> means(rows, "slim")
    {'gram_mean': 0.2, 'content': 0.6}
    """
    cells = [row[name] for row in rows]
    return {key: round(float(np.mean([cell[key] for cell in cells])), 4) for key in ("gram_mean", "content")}  # type: ignore[index]


if __name__ == "__main__":
    main()
