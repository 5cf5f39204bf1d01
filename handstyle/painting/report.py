"""Write the report of a run: one HTML file with pictures, losses, settings, gradient checks and the recipe.

The page contains its pictures, style sheet and script, and its content security policy forbids all requests.
`Snapshots` keeps pictures during a run; `write_report` writes the page.
"""

import base64
import io
import json
import math
import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from PIL import Image

from handstyle.foundations.atomic_file import replace_file
from handstyle.foundations.backend import Array
from handstyle.foundations.image import fit_long_side, resize
from handstyle.foundations.picture_reading import Picture, read_picture
from handstyle.network.vgg import Network
from handstyle.network.weights import EMBEDDED
from handstyle.optimize.trace import Iteration
from handstyle.painting.config import StyleConfig
from handstyle.painting.presets import DEFAULT, PRESETS
from handstyle.painting.progress import format_duration
from handstyle.painting.recipe import BLANK, KEY, Recipe, parse_recipe, toml_value
from handstyle.painting.result import Progress, Result, jpeg
from handstyle.painting.selfcheck import Row, check_run

LARGE, SMALL, FILM = 1600, 480, 200  # long sides in pixels: the picture, inputs and frames, the printed film strip
WIDTH, HEIGHT, LEFT, BOTTOM = 720, 330, 52, 28  # of the plot of the losses
MIN_SHOWN_FRACTION = 1e-6  # values below this fraction of the largest one are drawn at the lower edge
COLORS = 8  # number of colors of the lines; further lines are dashed
MARKED = {"ok": "ok", "FAILED": "failed"}  # from texts in tables to their CSS classes


@dataclass(frozen=True)
class _Snapshot:
    """A picture during a run, as JPEG, with its iteration, scale and size."""

    iteration: int
    scale: int
    size: tuple[int, int]
    jpeg: bytes


class Snapshots:
    """A callback of `stylize` that keeps pictures during the run, for the report.

    Parameters
    ----------
    count : int
        Approximate number of pictures to keep, at equal intervals, in addition to the first of each scale.

    Examples
    --------
    >>> import handstyle
    >>> photograph, painting = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    >>> snapshots = Snapshots()
    >>> options = {"network": "random", "size": 32, "style_layers": "relu1_1", "callback": snapshots}
    >>> result = handstyle.stylize(photograph, painting, iterations=3, **options)
    >>> [one.iteration for one in snapshots.kept]
    [1, 2, 3]
    """

    def __init__(self, count: int = 40) -> None:
        self.count = count
        self.kept: list[_Snapshot] = []

    def __call__(self, progress: Progress) -> None:
        """Keep the picture if it is the first of a scale, the last of the run, or at one of the intervals."""
        every = max(1, -(-progress.iterations // self.count))
        first = not self.kept or self.kept[-1].scale != progress.scale
        if first or progress.iteration % every == 0 or progress.iteration == progress.iterations:
            size = (progress.array.shape[0], progress.array.shape[1])
            picture = _reduced_jpeg(progress.picture(), SMALL, 85)
            self.kept.append(_Snapshot(progress.iteration, progress.scale, size, picture))


def write_report(
    path: str | os.PathLike[str],
    result: Result,
    network: Network,
    photograph: Picture,
    paintings: Sequence[Picture],
    *,
    masks: Sequence[str | os.PathLike[str]] = (),
    config: StyleConfig | None = None,
    snapshots: Snapshots | None = None,
    picture: str = "out.png",
    notes: Sequence[str] = (),
    overwrite: bool = False,
) -> None:
    """Write the report of a run as one HTML file.

    Parameters
    ----------
    path : path
        The file to write; an existing one is replaced only with `overwrite`.
    result : Result
        The return value of `stylize`.
    network : Network
        The network of the run; its gradients are checked, which takes seconds.
    photograph, paintings : Picture
        The inputs of the run, from `read_picture`.
    masks : sequence of paths
        The masks of the regions, to be shown on the page.
    config : StyleConfig, optional
        The settings of the run, whose terms are checked; by default `StyleConfig()`.
    snapshots : Snapshots, optional
        A callback of the run with the pictures that it kept; without it the page has no pictures during the run.
    picture : str
        The name of the picture's file, for the commands that repeat the run.
    notes : sequence of str
        Sentences to show at the top of the page.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    HandstyleError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import handstyle
    >>> arrays = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    >>> photograph, painting = (handstyle.read_picture(array) for array in arrays)
    >>> config = StyleConfig(size=32, iterations=2, style_layers="relu1_1")
    >>> network, snapshots = handstyle.load_network("random", backend="numpy"), Snapshots()
    >>> result = handstyle.stylize(photograph, painting, network=network, config=config, callback=snapshots)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "report.html")
    ...     write_report(path, result, network, photograph, [painting], config=config, snapshots=snapshots)
    ...     path.read_text()[:15]
    '<!doctype html>'
    """
    recipe = parse_recipe(result.metadata[KEY], "the result")
    pictures = [("photograph", photograph), *(("painting", one) for one in paintings)]
    limit = config.max_pixels if config else None
    pictures += [("mask", read_picture(mask, target=SMALL, max_pixels=limit or None)) for mask in masks]
    kept = snapshots.kept if snapshots else []
    text = Template((files("handstyle") / "painting" / "report.html").read_text(encoding="utf-8")).substitute(
        **_head(recipe, result, (*notes, *result.notes), [one.source for _, one in pictures]),
        compare=_compare(result, photograph),
        inputs="".join(
            _figure(_reduced_jpeg(one.pixels, SMALL, 85), role, one) for role, one in pictures if one.source != BLANK
        ),
        **_course_parts(result, kept),
        scales=_scales(result, kept),
        **_settings(recipe),
        environment=_table([*_labeled("network", recipe.network), *recipe.environment.items()]),
        **_checks(list(check_run(network, config or StyleConfig()))),
        command=escape(_commands(recipe, picture)),
        recipe=escape(recipe.toml()),
    )
    replace_file(Path(path), text.encode(), overwrite=overwrite)


# the parts of the page


def _head(recipe: Recipe, result: Result, notes: Sequence[str], sources: Sequence[str]) -> dict[str, str]:
    styles = " and ".join(one.name for one in recipe.named("style"))
    content = recipe.named("content")[0].name
    title = f"A texture of {styles}" if content == BLANK else f"{content} in the style of {styles}"
    work = f"{result.evaluations} evaluations in {format_duration(result.trace[-1].seconds if result.trace else 0.0)}"
    size = " × ".join(map(str, result.array.shape[1::-1]))
    summary = f"{size} px; {result.stopped}; {work}; loss {recipe.result['loss']:.4g}"
    for source in sources:  # by their names, as in the recipe: the page may be passed on
        notes = [note.replace(source, Path(source).name) for note in notes]
    said = "".join("<p>" + re.sub("`(.+?)`", r"<code>\1</code>", escape(note)) + "</p>" for note in notes)
    return {"title": escape(title), "summary": escape(summary), "notes": said}


def _compare(result: Result, photograph: Picture) -> str:
    after = _data_url(_reduced_jpeg(result.array, LARGE, 92))
    if photograph.source == BLANK:
        return f'<img alt="the picture" src="{after}">'
    before = _data_url(_reduced_jpeg(resize(photograph.pixels, result.array.shape[:2]), LARGE, 92))
    both = f'<img alt="the photograph" src="{before}"><img class="top" alt="the picture" src="{after}">'
    slider = '<input type="range" id="split" min="0" max="100" value="50" step="0.1" aria-label="before and after">'
    return (
        f'<figure class="compare"><div class="both">{both}<div class="edge"></div></div>{slider}<figcaption>The '
        'photograph to the left, the picture to the right<span class="screen">: drag</span>.</figcaption></figure>'
    )


def _figure(jpeg: bytes, role: str, picture: Picture) -> str:
    height, width = picture.full_size
    name = f"{role}: {Path(picture.source).name}, {width} × {height} px"
    return f'<figure><img alt="{escape(role)}" src="{_data_url(jpeg)}"><figcaption>{escape(name)}</figcaption></figure>'


def _course_parts(result: Result, kept: Sequence[_Snapshot]) -> dict[str, str]:
    """Return the parts of the page about the course of the run: plot of the losses, legend, frames, film strip."""
    trace = result.trace
    names = list(trace[-1].terms) if trace else []
    x = {row.iteration: _x_position(row.iteration, trace) for row in trace}
    rows = {row.iteration: row for row in trace}
    shown: list[dict[str, Any]] = [
        {
            "src": _data_url(frame.jpeg),
            "text": f"iteration {frame.iteration}, scale {frame.scale + 1}, {frame.size[1]} × {frame.size[0]} px, loss "
            f"{rows[frame.iteration].value:.4g}",
            "x": round(x[frame.iteration], 1),
            "values": [f"{rows[frame.iteration].terms.get(name, 0):.3g}" for name in names],
        }
        for frame in kept
        if frame.iteration in rows
    ]
    strip = [kept[round(i)] for i in np.linspace(0, len(kept) - 1, min(6, len(kept)))]
    film = "".join(
        f'<figure><img alt="" src="{_data_url(_shrink(one.jpeg))}"><figcaption>{one.iteration}</figcaption></figure>'
        for one in strip
    )
    keys = "".join(
        f'<li><svg viewBox="0 0 26 10"><path class="{_curve_class(i)}" d="M0 5H26"/></svg>{escape(name)} '
        f"<b>{trace[-1].terms[name]:.3g}</b></li>"
        for i, name in enumerate(names)
    )
    return {
        "plot": _plot(trace, names, [b.iteration for a, b in pairwise(kept) if a.scale != b.scale]),
        "keys": keys,
        "frames": json.dumps(shown).replace("<", "\\u003c"),
        "first": shown[-1]["src"] if shown else "data:,",
        "last": str(max(0, len(shown) - 1)),
        "frame_hidden": "" if shown else " hidden",
        "film": film,
    }


def _plot(trace: Sequence[Iteration], names: Sequence[str], steps: Iterable[int]) -> str:
    """Return a plot of the terms over the iterations as SVG, with a logarithmic axis."""
    values = [row.terms.get(name, 0.0) for row in trace for name in names]
    finite = [value for value in values if 0 < value < math.inf]
    if not finite:
        return "<p>No loss was recorded.</p>"
    high = math.ceil(math.log10(max(finite)))
    low = math.floor(math.log10(max(min(finite), MIN_SHOWN_FRACTION * max(finite))))
    low = min(low, high - 1)

    def down(value: float) -> float:
        exponent = min(max(math.log10(value), low), high) if value > 0 else low
        return 10 + (HEIGHT - BOTTOM - 10) * (high - exponent) / (high - low)

    parts = []
    for exponent in range(low, high + 1):
        y = down(10.0**exponent)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>')
        label = f"{10.0**exponent:g}" if -3 <= exponent <= 4 else f"1e{exponent}"
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    for iteration in _ticks(trace[-1].iteration):
        across = _x_position(iteration, trace)
        parts.append(f'<text x="{across:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{iteration}</text>')
    for step in steps:
        across = _x_position(step, trace)
        parts.append(f'<line class="step" x1="{across:.1f}" x2="{across:.1f}" y1="10" y2="{HEIGHT - BOTTOM}"/>')
    for i, name in enumerate(names):
        points = [
            f"{_x_position(row.iteration, trace):.1f},{down(row.terms[name]):.1f}" for row in trace if name in row.terms
        ]
        parts.append(f'<path class="{_curve_class(i)}" d="M{"L".join(points)}"><title>{escape(name)}</title></path>')
    parts.append(f'<line class="at" id="at" x1="{WIDTH}" x2="{WIDTH}" y1="10" y2="{HEIGHT - BOTTOM}"/>')
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="losses by term">{"".join(parts)}</svg>'


def _x_position(iteration: int, trace: Sequence[Iteration]) -> float:
    first, last = trace[0].iteration, trace[-1].iteration
    return LEFT + (WIDTH - LEFT) * (iteration - first) / max(1, last - first)


def _ticks(last: int) -> list[int]:
    """Return about six round numbers from 1 to `last`."""
    step = 10 ** math.floor(math.log10(max(1, last / 6)))
    step = next((step * m for m in (1, 2, 5) if last / (step * m) <= 8), 10 * step)
    return [1, *range(step, last + 1, step)] if step > 1 else list(range(1, last + 1))


def _curve_class(i: int) -> str:
    return f"k{i % COLORS}" + (" dashed" if i >= COLORS else "")


def _scales(result: Result, kept: Sequence[_Snapshot]) -> str:
    """Return an HTML table of the scales: size, iterations, evaluations, seconds, and first and last loss."""
    starts = {frame.scale: frame for frame in reversed(kept)}
    rows, at = [], [starts[scale].iteration for scale in sorted(starts)]
    for k, scale in enumerate(sorted(starts)):
        last = at[k + 1] - 1 if k + 1 < len(at) else math.inf
        here = [row for row in result.trace if at[k] <= row.iteration <= last]
        before = [row for row in result.trace if row.iteration < at[k]]
        if here:
            spent = here[-1].evaluations - (before[-1].evaluations if before else 0)
            seconds = here[-1].seconds - (before[-1].seconds if before else 0.0)
            height, width = starts[scale].size
            losses = [f"{row.value:.4g}" for row in (here[0], here[-1])]
            rows.append([f"{width} × {height} px", str(len(here)), str(spent), f"{seconds:.1f}", *losses])
    head = ["scale", "iterations", "evaluations", "seconds", "loss after the first", "and after the last"]
    return _table(rows, head) if rows else ""


def _settings(recipe: Recipe) -> dict[str, str]:
    changed = changed_settings(recipe)
    chosen = str(recipe.settings.get("preset", DEFAULT))
    told = "nothing differs from it." if not changed else "what differs from it:"
    rest = {key: value for key, value in recipe.settings.items() if key not in changed}
    more = f"<details><summary>The other {len(rest)} settings</summary>{_table(_labeled('', rest))}</details>"
    return {"preset": escape(f"Preset {chosen}; {told}"), "settings": _table(_labeled("", changed)) + more}


def changed_settings(recipe: Recipe) -> dict[str, Any]:
    """Return the settings of a recipe that differ from those of its preset.

    Parameters
    ----------
    recipe : Recipe
        The recipe of a picture.

    Returns
    -------
    dict
        Fields of `StyleConfig` and the network's settings.

    Examples
    --------
    >>> changed_settings(Recipe({"preset": "handstyle", "size": 256, "seed": 0}))
    {'size': 256}
    """
    chosen = PRESETS.get(str(recipe.settings.get("preset", DEFAULT)), PRESETS[DEFAULT])
    before: dict[str, Any] = {"preset": chosen.name, "weights": EMBEDDED}
    before |= {"precision": "float32", "kernels": "auto", "backend": "numpy"}
    before |= {key: getattr(chosen, key) for key in ("pooling", "padding", "rounding")}
    before |= {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(chosen.config).items()}
    return {key: value for key, value in recipe.settings.items() if key not in before or before[key] != value}


def _checks(rows: Sequence[Row]) -> dict[str, str]:
    done = [row for row in rows if row.report is not None]
    failed = sum(not row.report for row in done)
    said = f"{failed} of {len(done)} checks FAILED." if failed else f"All {len(done)} checks passed"
    said += (
        ", of every layer and every term of this run, on random pictures: adjoints as the network painted, differences "
        "in float64, the engine against the reference."
    )
    # A failed report is false, so these are the adjoints that passed.
    layers = [row for row in rows if row.report and row.report.check == "adjoint"]
    head = ["of", "check", "measured", "expected", "verdict"]
    shown = _table([_check_cells(row) for row in rows if row not in layers], head)
    more = _table([_check_cells(row) for row in layers], head)
    more = f"<summary>The adjoints of {len(layers)} layers passed, too</summary>{more}"
    return {"check_summary": escape(said), "checks": f"{shown}<details>{more}</details>"}


def _check_cells(row: Row) -> list[str]:
    if row.report is None:
        return [row.subject, "not checked", row.why, "", ""]
    verdict = "ok" if row.report else "FAILED"
    return [row.subject, row.report.check, f"{row.report.measured:.2e}", format_bound(row.report.bound), verdict]


def format_bound(bound: float | tuple[float, float]) -> str:
    """Return the bound of a check, or the two ends of its range, as text.

    Examples
    --------
    >>> format_bound(1e-12), format_bound((1.9, 2.3))
    ('at most 1e-12', '1.9 to 2.3')
    """
    return f"{bound[0]} to {bound[1]}" if isinstance(bound, tuple) else f"at most {bound:.0e}"


def _commands(recipe: Recipe, picture: str) -> str:
    words = [shlex.quote(one.name) for role in ("content", "style") for one in recipe.named(role) if one.name != BLANK]
    command = "texture" if recipe.named("content")[0].name == BLANK else "stylize"
    name = shlex.quote(picture)
    return f"handstyle again {name}\nhandstyle {command} {' '.join(words)} --config {name}"


def _labeled(before: str, table: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (f"{before} {key}".strip(), value if isinstance(value, str) else toml_value(value))
        for key, value in table.items()
    ]


def _table(rows: Sequence[Sequence[str]], head: Sequence[str] = ()) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(
        "<tr>" + "".join(f'<td class="{MARKED.get(cell, "")}">{escape(cell)}</td>' for cell in row) + "</tr>"
        for row in rows
    )
    return f'<table class="{"" if head else "facts"}">{f"<tr>{top}</tr>" if top else ""}{body}</table>' if body else ""


# pictures as data


def _reduced_jpeg(pixels: Array, side: int, quality: int) -> bytes:
    height, width = pixels.shape[:2]
    pixels = fit_long_side(pixels, side) if max(height, width) > side else pixels
    return jpeg(pixels, quality)


def _shrink(jpeg: bytes) -> bytes:
    with Image.open(io.BytesIO(jpeg)) as image:
        return _reduced_jpeg(np.asarray(image, np.float32), FILM, 80)


def _data_url(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
