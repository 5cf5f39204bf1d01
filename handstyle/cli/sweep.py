"""The command ``sweep``, which paints one photograph with several settings and arranges the pictures on a sheet.

Each picture of the sheet is called a cell.
"""

import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Annotated, Any, NoReturn

import numpy as np
from cyclopts import Parameter
from PIL import Image, ImageDraw, ImageFont

from handstyle.cli.announcing import print_notes
from handstyle.cli.options import (
    FLAGS_ONLY,
    PICTURES,
    Flat,
    Output,
    Settings,
    all_fields,
    as_flags,
    flag,
    make_flags,
    resolve,
)
from handstyle.cli.outputs import free_name
from handstyle.cli.signals import ignore_signal, set_handler, status_of_signal
from handstyle.cli.terminal import event, say, set_output_form
from handstyle.cli.workers import connect_workers
from handstyle.foundations.errors import HandstyleError, one_line
from handstyle.foundations.image import resize
from handstyle.foundations.picture_paths import expand_path
from handstyle.foundations.picture_reading import PictureLike
from handstyle.foundations.picture_rescue import write_picture_somewhere
from handstyle.foundations.picture_writing import check_writable
from handstyle.kernels.cluster import Cluster
from handstyle.network.vgg import Network
from handstyle.painting.call_options import collect_styles
from handstyle.painting.config import StyleConfig
from handstyle.painting.inputs import read_inputs
from handstyle.painting.measured import Measured
from handstyle.painting.progress import format_duration
from handstyle.painting.recipe import KEY
from handstyle.painting.result import Result
from handstyle.painting.setting_values import suggest
from handstyle.painting.stylize import stylize

# Flags of `stylize` that `sweep` does not have.
ABSENT = (
    *("resume", "checkpoint", "checkpoint_every", "no_checkpoint", "save_every", "report", "preview", "bits"),
    "write_config",
)
NAMES = [name for name in all_fields() if name not in ABSENT]
SIZE = "256"  # default size of a cell
SWEEP = make_flags("SweepFlags", NAMES, everything=False, defaults={"size": SIZE})
MAX_CELLS = 200  # number of cells at most
Pending = Callable[[], tuple[Result, float]]  # paints a cell, or waits until it is painted
GAP, INK, PAPER = 12, 30, 250  # pixels between cells; gray levels of the text and the background


@dataclass(frozen=True)
class Cell:
    """One picture of a sheet.

    Parameters
    ----------
    caption : str
        The settings in which it differs from the others, for its caption.
    typed : dict of str to str
        These settings by name, as they were typed.
    picture : (H, W, 3) array or None
        The picture; None before painting and after a failure.
    recipe : str
        Its recipe; empty if there is none.
    said : str
        The outcome in words.

    Examples
    --------
    >>> cells = combinations([("seed", ["1", "2"])])
    >>> cells[0].caption, cells[0].typed
    ('seed 1', {'seed': '1'})
    """

    caption: str
    typed: dict[str, str]
    picture: Any = None
    recipe: str = ""
    said: str = ""


def sweep(
    content: Annotated[Path, Parameter(group=PICTURES)],
    style: Annotated[Path, Parameter(group=PICTURES)],
    /,
    *more_styles: Annotated[Path, Parameter(group=PICTURES)],
    over: Annotated[tuple[str, ...], Parameter(group=PICTURES, negative="")],
    output: Output = None,
    cells: Annotated[bool, Parameter(group=PICTURES, negative="")] = False,
    flags: Annotated[Any, Flat] = SWEEP,
) -> int:
    """Paint CONTENT with every combination of some settings, at a small size, and arrange the pictures on a sheet.

    Each picture has a caption, and the file of the sheet contains the recipe of every picture. Networks are loaded
    once, and pictures measured once at each size. The size is 256 by default.

    Parameters
    ----------
    content : Path
        The photograph.
    style : Path
        The painting, or a folder of paintings.
    more_styles : Path
        More paintings, which are blended.
    over : tuple of str
        The name and the values of a setting, such as style_weight=1,10,100; write | between values that have commas.
        Given several times, all combinations are painted; the values of the last setting form the columns.
    output : Path
        The sheet to write, a .png. By default CONTENT_sweep.png, or the next free name.
    cells : bool
        Also write each picture to a file with its recipe: OUTPUT_1.png, OUTPUT_2.png and so on.

    Examples
    --------
    .. code-block:: console

        $ handstyle sweep photograph.jpg painting.jpg --over style_weight=1,10,100
        $ handstyle sweep photograph.jpg painting.jpg --over seed=1,2 --over optimizer=lbfgs,adam
    """
    if not over:
        raise HandstyleError("--over: name a setting and its values; handstyle sweep --help has an example")
    axes = [parse_axis(one) for one in over]
    if twice := [name for name, _ in axes if getattr(flags, name) is not None]:
        raise HandstyleError(f"{flag(twice[0])} and --over {twice[0]}: give one of them")
    if not (flags.size or flags.config or flags.print or "print" in dict(axes)):
        flags = replace(flags, size=SIZE)
    planned = combinations(axes)
    output = output or free_name(Path(f"{content.stem}_sweep.png"))
    run = resolve(flags).run
    set_output_form(run.quiet, run.json)
    overwrite = run.overwrite
    if output.suffix.lower() != ".png":
        raise HandstyleError(f"-o {output}: the sheet must be a .png, whose metadata have the recipe of every picture")
    alone = [output.with_name(f"{output.stem}_{number}.png") for number in range(1, len(planned) + 1) if cells]
    for path in [output, *alone]:
        check_writable(path, overwrite)
    settings = [resolve(replace(flags, **cell.typed)) for cell in planned]  # raises errors before the first painting
    paintings = [collect_styles([style, *more_styles], one.config)[0] for one in settings]
    read_inputs(settings[0].config, content, paintings[0])
    notes = dict.fromkeys(
        note for one, many in zip(settings, paintings, strict=True) for note in one.idle_notes(len(many))
    )
    print_notes(notes)
    networks, done, ended, measured = dict[Any, Network](), list[Cell](), False, Measured()
    placed = dict[Path, Path]()  # for each picture the intended and the actual path
    try:
        with connect_workers(settings[0].run.cluster) as cluster:
            painted: list[Pending]
            if cluster is None:
                shared = networks, content, [style, *more_styles], measured
                painted = [partial(_paint_here, one, *shared) for one in settings]
            else:
                painted = _start_on_cluster(cluster, settings, networks, content, [style, *more_styles])
            for number, (cell, result_of) in enumerate(zip(planned, painted, strict=True), 1):
                try:
                    result, seconds = result_of()
                except (HandstyleError, MemoryError) as error:
                    done.append(replace(cell, said=f"failed: {as_flags(one_line(error))}"))
                else:
                    loss = result.trace[-1].value if result.trace else math.nan
                    said = f"loss {loss:.4g}, {len(result.trace)} iterations in {format_duration(seconds)}"
                    done.append(replace(cell, picture=result.array, recipe=result.metadata[KEY], said=said))
                    print_notes(note for note in result.notes if note not in notes)
                    notes |= dict.fromkeys(result.notes)
                    if cells:
                        placed[alone[number - 1]] = result.save_somewhere(alone[number - 1], overwrite)
                say(f"{number} of {len(planned)}: {cell.caption}: {done[-1].said}")
                facts = {"caption": cell.caption, "said": done[-1].said, "failed": done[-1].picture is None}
                event("picture", number=number, count=len(planned), **facts)
    except KeyboardInterrupt:
        ended = True
    set_handler(ignore_signal)  # the sheet is written now
    if not any(cell.picture is not None for cell in done):
        if ended:
            raise KeyboardInterrupt
        raise HandstyleError(f"no picture could be painted: {done[0].said.removeprefix('failed: ')}")
    columns = len(axes[-1][1]) if len(axes) > 1 else math.ceil(math.sqrt(len(planned)))
    metadata = {"handstyle:sweep": json.dumps([cell.caption for cell in done])}
    metadata |= {f"{KEY} {number}": cell.recipe for number, cell in enumerate(done, 1) if cell.recipe}
    written = write_picture_somewhere(output, draw_sheet(done, columns), None, metadata, overwrite=overwrite)
    placed[output] = written
    elsewhere = {path: at for path, at in placed.items() if at != expand_path(path)}
    for path, at in elsewhere.items():
        say(f"{path} could not be written: it is in {at}")
    say(f"the sheet is in {written}" + (f", with {len(done)} of {len(planned)} pictures" if ended else ""))
    status = status_of_signal() if ended else int(bool(elsewhere) or any(cell.picture is None for cell in done))
    event("end", path=written, status=status)
    return status


def parse_axis(text: str) -> tuple[str, list[str]]:
    """Parse ``NAME=VALUE,VALUE``, and return the name and the values.

    Raises
    ------
    HandstyleError
        If the name is not that of a setting that may be varied, or there is no value.

    Examples
    --------
    >>> parse_axis("style-weight=1,10,100")
    ('style_weight', ['1', '10', '100'])
    >>> parse_axis("style_layers=relu1_1,relu2_1|relu3_1")
    ('style_layers', ['relu1_1,relu2_1', 'relu3_1'])
    """
    name, _, values = text.partition("=")
    name = name.strip().lstrip("-").replace("-", "_")
    known = [one for one in NAMES if one not in FLAGS_ONLY]
    if name not in known:
        raise HandstyleError(f"--over {text}: no setting is called {name!r}{suggest(name, known)}")
    found = [value.strip() for value in values.split("|" if "|" in values else ",") if value.strip()]
    if not found:
        raise HandstyleError(f"--over {text}: give values, as in --over seed=1,2,3")
    return name, found


def combinations(axes: Sequence[tuple[str, Sequence[str]]]) -> list[Cell]:
    """Return a cell for every combination of values; the values of the last setting vary fastest.

    Examples
    --------
    >>> [cell.caption for cell in combinations([("seed", ["1", "2"]), ("size", ["64", "128"])])]
    ['seed 1, size 64', 'seed 1, size 128', 'seed 2, size 64', 'seed 2, size 128']
    """
    names = [name for name, _ in axes]
    if len(set(names)) != len(names):
        raise HandstyleError(f"--over {' '.join(names)}: a setting is named twice")
    count = math.prod(len(values) for _, values in axes)
    if count > MAX_CELLS:
        raise HandstyleError(f"--over: {count} pictures; at most {MAX_CELLS}")
    cells = []
    for values in product(*(values for _, values in axes)):
        said = dict(zip(names, values, strict=True))
        cells.append(Cell(", ".join(f"{name} {value}" for name, value in said.items()), dict(_as_typed(said))))
    return cells


def _as_typed(said: dict[str, str]) -> Iterable[tuple[str, Any]]:
    """Yield names and values in the form that the command line parser has: text, tuples of text, or booleans."""
    for name, value in said.items():
        field = all_fields()[name]
        if field.hint is bool:
            if value.lower() not in ("true", "false"):
                raise HandstyleError(f"--over {name}={value}: use true or false")
            yield name, value.lower() == "true"
        else:
            yield name, (value,) if isinstance(field.default, tuple) else value


def _paint_here(
    settings: Settings,
    networks: dict[Any, Network],
    content: PictureLike,
    styles: Sequence[PictureLike],
    measured: Measured,
) -> tuple[Result, float]:
    """Paint a cell in this process, and return the result and the time in seconds."""
    return _paint_cell(_shared_network(settings, networks), content, styles, settings.config, measured)


def _start_on_cluster(
    cluster: Cluster,
    settings: Sequence[Settings],
    networks: dict[Any, Network],
    content: PictureLike,
    styles: Sequence[PictureLike],
) -> list[Pending]:
    """Start painting every cell on a cluster, each on one worker, and return functions that wait for the results."""
    begun = list[Pending]()
    for one in settings:
        try:
            sources, config = collect_styles(styles, one.config)
            network = _shared_network(one, networks)
            photograph, paintings = read_inputs(config, content, sources)  # a worker may not have the files
            begun.append(cluster.begin(_paint_cell, network, photograph, paintings, config))
        except HandstyleError as error:
            begun.append(partial(_raise_error, error))
    return begun


def _paint_cell(
    network: Network,
    content: PictureLike,
    styles: Sequence[PictureLike],
    config: StyleConfig,
    measured: Measured | None = None,
) -> tuple[Result, float]:
    """Paint a cell, in this process or in a worker, and return the result and the time in seconds."""
    began = time.monotonic()
    result = stylize(content, styles, network=network, config=config, measured=measured)
    return result, time.monotonic() - began


def _raise_error(error: HandstyleError) -> NoReturn:
    """Raise the given error."""
    raise error


def _shared_network(settings: Settings, networks: dict[Any, Network]) -> Network:
    """Return the network for some settings, from `networks` if it has been loaded for another cell."""
    key = (settings.network, settings.run.precision, settings.run.preset)
    if key not in networks:
        networks[key] = settings.load()
    return networks[key]


def draw_sheet(cells: Sequence[Cell], columns: int) -> Any:  # -> (H, W, 3) float64
    """Return the sheet as an array (H, W, 3) of 0 to 255: the pictures in rows of `columns`, captions below them.

    Examples
    --------
    >>> cells = [Cell(f"seed {seed}", {}, np.zeros((64, 64, 3)), "recipe") for seed in (1, 2)]
    >>> sheet = draw_sheet(cells, columns=2)
    >>> sheet.shape[1]  # two pictures of 64 px and three gaps of 12 px
    164
    """
    shapes = [cell.picture.shape[:2] for cell in cells if cell.picture is not None]
    height, width = max(h for h, _ in shapes), max(w for _, w in shapes)
    points = max(11, round(max(height, width) / 18))
    font = ImageFont.load_default(points)
    captions = [wrap_text(cell.caption + ("" if cell.recipe else f" ({cell.said})"), font, width) for cell in cells]
    line = round(1.35 * points)
    below = GAP + line * max(map(len, captions))
    rows = math.ceil(len(cells) / columns)
    size = (GAP + min(columns, len(cells)) * (width + GAP), GAP + rows * (height + below))
    image = Image.new("RGB", size, (PAPER,) * 3)
    draw = ImageDraw.Draw(image)
    for number, (cell, lines) in enumerate(zip(cells, captions, strict=True)):
        left, top = GAP + number % columns * (width + GAP), GAP + number // columns * (height + below)
        if cell.picture is not None:
            fit = min(height / cell.picture.shape[0], width / cell.picture.shape[1])
            at = (round(cell.picture.shape[0] * fit), round(cell.picture.shape[1] * fit))
            pixels = np.clip(np.rint(resize(cell.picture, at)), 0, 255).astype(np.uint8)
            image.paste(Image.fromarray(pixels), (left + (width - at[1]) // 2, top + (height - at[0]) // 2))
        for row, text in enumerate(lines):
            draw.text((left, top + height + 2 + row * line), text, fill=(INK,) * 3, font=font)
    return np.asarray(image, np.float64)


def wrap_text(text: str, font: Any, width: int) -> list[str]:
    """Break a text into lines of at most `width` pixels, between words if possible.

    Examples
    --------
    >>> font = ImageFont.load_default(11)
    >>> wrap_text("style_weight 10, seed 1", font, width=90)
    ['style_weight 10,', 'seed 1']
    """
    lines, line = list[str](), ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and font.getlength(longer) > width:
            lines.append(line)
            longer = word
        while font.getlength(longer) > width and len(longer) > 1:  # a word that is longer than a line
            cut = next(n for n in range(len(longer) - 1, 0, -1) if n == 1 or font.getlength(longer[:n]) <= width)
            lines.append(longer[:cut])
            longer = longer[cut:]
        line = longer
    return [*lines, line]
