"""The command ``batch``: paint the photographs of a folder one after another, and write a page of the results."""

import html
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from cyclopts import Parameter

from handstyle.cli.options import (
    PICTURES,
    Flat,
    Output,
    RunConfig,
    Settings,
    all_fields,
    as_flags,
    err,
    out,
    resolve,
    say,
    typed,
)
from handstyle.cli.session import beside, check_before, paint
from handstyle.cli.signals import Interrupted, listen
from handstyle.foundations.atomic_file import replace_file
from handstyle.foundations.errors import HandstyleError, one_line, printable
from handstyle.foundations.picture_reading import expanded, pictures_in
from handstyle.network.vgg import Network
from handstyle.network.weights import sha256
from handstyle.painting.config import PATHS
from handstyle.painting.recipe import Recipe, read_recipe
from handstyle.painting.stylize import arranged

# Flags for a single picture, which `batch` does not have.
ALONE = ("resume", "checkpoint", "write_config", "preview", "cluster", "quiet", "json")
ELSEWHERE = ("backend", "kernels", *PATHS, "init", "regions", "weights")  # settings that are devices or files
NAMES = [name for name in all_fields() if name not in ALONE]
BATCH = typed("BatchFlags", NAMES, everything=False)


@dataclass(frozen=True)
class Painted:
    """A photograph of a batch, the path of its picture, and its outcome in words."""

    photograph: Path
    picture: Path
    what: str
    failed: bool = False


def batch(
    folder: Annotated[Path, Parameter(group=PICTURES)],
    style: Annotated[Path, Parameter(group=PICTURES)],
    /,
    *more_styles: Annotated[Path, Parameter(group=PICTURES)],
    output: Output = None,
    flags: Annotated[Any, Flat] = BATCH,
) -> int:
    """Paint every picture of FOLDER in the style of STYLE, with one network, and write a page of them.

    The same command continues where an earlier one ended: finished pictures are skipped, unfinished ones resumed. If a
    picture cannot be painted, a line says so and the next is begun; the exit status is then 1.

    Parameters
    ----------
    folder : Path
        The folder of the photographs; its subfolders are not searched.
    style : Path
        The painting, or a folder of paintings.
    more_styles : Path
        More paintings.
    output : Path
        The folder for the pictures, NAME.png each, and index.html; it is created if it does not exist.
    """
    settings = resolve(flags)
    if output is None:
        raise HandstyleError("batch: name a folder for the pictures: -o FOLDER")
    photographs, target = pictures_in(folder), expanded(output)
    if target.exists() and target.resolve() == expanded(folder).resolve():
        raise HandstyleError(
            f"-o {output} is the folder of the photographs, which the pictures would replace: use another"
        )
    paintings, config = arranged([style, *more_styles], settings.config)
    digests = [sha256(expanded(painting)) for painting in paintings if isinstance(painting, str | os.PathLike)]
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HandstyleError(f"-o {output}: no folder for the pictures, {error.strerror or error}") from None
    loaded = settings.load()
    config.check_layers(loaded)
    settings, done, ended = replace(settings, config=config), list[Painted](), 0
    try:
        for number, (photograph, picture) in enumerate(named(photographs, target), 1):
            one, status = paint_one(photograph, paintings, picture, settings, loaded, digests)
            listen()  # `deferred` has ended with signals ignored
            done.append(one)
            say(f"{number} of {len(photographs)}: {printable(photograph.name)}: {one.what}")
            if status > 128:  # ended by a signal
                ended = status
                break
    except Interrupted as interrupted:  # between two pictures, or before the first evaluation of one
        ended = 128 + interrupted.number
    finally:
        replace_file(target / "index.html", index_page(done, target).encode(), overwrite=True)
    failed = sum(one.failed for one in done)
    rest = len(photographs) - len(done)
    say(f"{len(done) - failed} pictures are in {target}, index.html shows them; {failed} failed, {rest} not begun")
    return ended or int(failed > 0)


def named(photographs: Sequence[Path], folder: Path) -> list[tuple[Path, Path]]:
    """Return each photograph with the path of its picture: NAME.png, or NAME.jpg.png if two have the same name."""
    stems = [photograph.stem.lower() for photograph in photographs]
    return [
        (one, folder / (f"{one.stem}.png" if stems.count(one.stem.lower()) == 1 else f"{one.name}.png"))
        for one in photographs
    ]


def paint_one(
    photograph: Path,
    paintings: Sequence[Any],
    picture: Path,
    settings: Settings,
    loaded: Network,
    digests: Sequence[str],
) -> tuple[Painted, int]:
    """Paint one picture of a batch unless it is finished; return its outcome and an exit status."""
    run = settings.run
    try:
        if picture.exists() and not beside(picture).exists():
            other = differences(settings, read_recipe(picture), [sha256(photograph), *digests])
            if not other:
                return Painted(photograph, picture, "done before"), 0
            if not run.overwrite:
                what = f"{printable(picture.name)} has other settings ({', '.join(other)}): --overwrite replaces it"
                return Painted(photograph, picture, as_flags(what), True), 1
        resume = beside(picture) if beside(picture).exists() else None
        run = replace(run, resume=resume, quiet=not err.is_terminal)
        check_before(picture, settings.config, run)
        status = quietly(photograph, paintings, picture, settings, loaded, run)
    except (HandstyleError, OSError, MemoryError) as error:
        return Painted(photograph, picture, f"failed: {as_flags(one_line(error))}", True), 1
    said = {0: "taken up and painted" if resume else "painted", 1: "failed: not all of it was painted or written"}
    return Painted(photograph, picture, said.get(status, "interrupted"), status != 0), status


def quietly(
    photograph: Path, paintings: Sequence[Any], picture: Path, settings: Settings, loaded: Network, run: RunConfig
) -> int:
    """Paint one picture without its lines on standard output; the progress bar stays."""
    before, out.quiet = out.quiet, True
    try:
        return paint(photograph, paintings, picture, settings.config, settings.network, loaded, run)
    finally:
        out.quiet = before


def differences(settings: Settings, recipe: Recipe, digests: Sequence[str]) -> list[str]:
    """Return the settings and pictures in which a recipe differs from the given ones, in words."""
    asked = {**asdict(settings.config), **asdict(settings.network), "precision": settings.run.precision}
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in asked.items()}
    made = recipe.settings
    found = [
        f"{key} {made.get(key)}" for key, value in plain.items() if key not in ELSEWHERE and made.get(key) != value
    ]
    inputs = [one.sha256 for role in ("content", "style") for one in recipe.named(role)]
    found += ["from other pictures"] if inputs != list(digests) else []
    return found + (["not to its end"] if recipe.cut_short else [])


STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 80rem; padding: 0 1rem; }
ul { display: grid; gap: 1.5rem; grid-template-columns: repeat(auto-fill, minmax(16rem, 1fr)); }
ul { list-style: none; padding: 0; }
img { background: color-mix(in srgb, currentColor 6%, transparent); }
img { display: block; height: 16rem; object-fit: contain; width: 100%; }
p { margin: 0.3rem 0 0; overflow-wrap: anywhere; }
.failed { color: light-dark(#a40000, #ff8a80); }
"""


def index_page(painted: Sequence[Painted], folder: Path) -> str:
    """Return the page of a batch: every picture, with its photograph behind a link."""
    items = []
    for one in painted:
        photograph = address(one.photograph, folder)
        name, what = html.escape(printable(one.photograph.name)), html.escape(one.what)
        shown = ""
        if one.picture.exists():
            picture = address(one.picture, folder)
            shown = f'<a href="{picture}"><img src="{picture}" alt="{name}, painted" loading="lazy"></a>'
        state = f'<span class="failed">{what}</span>' if one.failed else what
        items.append(f'<li>{shown}<p><a href="{photograph}">{name}</a>: {state}</p></li>')
    title = f"{len(painted)} pictures"
    head = f'<meta charset="utf-8">\n<meta name="viewport" content="width=device-width">\n<title>{title}</title>'
    body = "\n".join([f"<h1>{title}</h1>", "<ul>", *items, "</ul>"])
    return f'<!doctype html>\n<html lang="en">\n{head}\n<style>{STYLE}</style>\n{body}\n</html>\n'


def address(path: Path, folder: Path) -> str:
    """Return the URL of a file for a page in `folder`, relative if possible."""
    try:
        return quote(Path(os.path.relpath(path, folder)).as_posix())
    except ValueError:  # another drive
        return path.resolve().as_uri()
