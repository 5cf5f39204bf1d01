"""The command ``batch``, which paints the photographs of a folder and writes a page of the results."""

import html
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from cyclopts import Parameter

from handstyle.cli.announcing import print_notes, settings_line
from handstyle.cli.checkpoints import checkpoint_path
from handstyle.cli.options import PICTURES, Flat, Output, RunConfig, Settings, all_fields, as_flags, make_flags, resolve
from handstyle.cli.outputs import check_before, default_target, make_folder
from handstyle.cli.painting import paint
from handstyle.cli.signals import Interrupted, ignore_signal, reset_handlers, set_handler
from handstyle.cli.terminal import err, event, out, say, set_output_form
from handstyle.cli.workers import connect_workers, with_workers
from handstyle.foundations.atomic_file import replace_file
from handstyle.foundations.errors import HandstyleError, one_line, printable
from handstyle.foundations.picture_paths import expand_path, pictures_in
from handstyle.foundations.picture_reading import PictureLike
from handstyle.network.digests import sha256
from handstyle.network.vgg import Network
from handstyle.painting.call_options import collect_styles
from handstyle.painting.inputs import read_inputs
from handstyle.painting.measured import Measured
from handstyle.painting.notes import picture_notes
from handstyle.painting.recipe import ROLES, STARTS, Recipe, file_inputs, network_digest, read_recipe
from handstyle.painting.setting_values import PATHS
from handstyle.painting.stylize import prepare_run

# Flags for a single picture, which `batch` does not have.
ABSENT = ("resume", "checkpoint", "write_config", "preview")
# Settings that are not compared: they change at most the rounding, or name files, whose digests are compared instead.
NOT_COMPARED = ("backend", "kernels", "tile", "max_pixels", *PATHS, "regions", "weights")
NETWORK_SETTINGS = ("pooling", "padding", "rounding", "precision")
BIT_DEPTH = 24  # the position of this byte in a PNG file
NAMES = [name for name in all_fields() if name not in ABSENT]
BATCH = make_flags("BatchFlags", NAMES, everything=False)


@dataclass(frozen=True)
class JobResult:
    """The outcome of painting one photograph of a batch.

    Parameters
    ----------
    photograph, picture : Path
        The photograph, and the picture that was to be painted of it.
    what : str
        A description of the outcome, such as "painted" or "failed: no such file".
    failed : bool
        Whether the picture was not painted, or not finished.

    Examples
    --------
    >>> done = [JobResult(Path("a.jpg"), Path("a.png"), "painted")]
    >>> done.append(JobResult(Path("b.jpg"), Path("b.png"), "failed: no such file", failed=True))
    >>> [one.photograph.name for one in done if one.failed]
    ['b.jpg']
    """

    photograph: Path
    picture: Path
    what: str
    failed: bool = False


@dataclass(frozen=True)
class Job:
    """A photograph of a batch that is to be painted.

    Parameters
    ----------
    photograph, picture : Path
        The photograph, and the picture to paint of it.

    Examples
    --------
    >>> jobs = [Job(*pair) for pair in picture_paths([Path("a.jpg"), Path("b.jpg")], Path("painted"))]
    >>> jobs[0].picture.as_posix()
    'painted/a.png'
    """

    photograph: Path
    picture: Path

    def differences(self, shared: "SharedInputs", recipe: Recipe) -> list[str]:
        """Return descriptions of the settings and files in which a recipe differs from those of the command.

        Examples
        --------
        >>> import tempfile
        >>> import numpy as np
        >>> from handstyle.foundations.picture_writing import write_picture
        >>> settings = resolve(replace(BATCH, weights="random", size="64", iterations="1"))
        >>> with tempfile.TemporaryDirectory() as folder, _suppress_output():
        ...     photograph, painting = Path(folder, "photograph.png"), Path(folder, "painting.png")
        ...     write_picture(photograph, np.full((64, 64, 3), 90))
        ...     write_picture(painting, np.eye(64)[..., None] * [255, 0, 0])
        ...     shared = SharedInputs.of([painting], settings, Path(folder))
        ...     job = Job(photograph, Path(folder, "out.png"))
        ...     _ = job.paint(shared, shared.loaded, settings.run)
        ...     other = replace(shared, settings=resolve(replace(BATCH, weights="random", size="64", iterations="2")))
        ...     job.differences(shared, read_recipe(job.picture)), job.differences(other, read_recipe(job.picture))
        ([], ['iterations 1'])
        """
        return differences(shared, self.photograph, recipe)

    def notes(self, shared: "SharedInputs", network: Network) -> list[str]:
        """Return the notes on the photograph and the paintings; see `picture_notes`.

        Examples
        --------
        >>> import tempfile
        >>> import numpy as np
        >>> from handstyle.foundations.picture_writing import write_picture
        >>> settings = resolve(replace(BATCH, weights="random", size="256"))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     photograph, painting = Path(folder, "photograph.png"), Path(folder, "painting.png")
        ...     write_picture(photograph, np.zeros((128, 128, 3)))
        ...     write_picture(painting, np.zeros((256, 256, 3)))
        ...     shared = SharedInputs.of([painting], settings, Path(folder))
        ...     (note,) = Job(photograph, Path(folder, "out.png")).notes(shared, shared.loaded)
        >>> note.partition("photograph.png: ")[2]
        '128 x 128 px, too few for size=256; `enlarge` paints 256 x 256 px'
        """
        config = shared.settings.config
        return picture_notes(config, network, *read_inputs(config, self.photograph, shared.paintings))

    def paint(self, shared: "SharedInputs", network: Network, run: RunConfig) -> tuple[int, str]:
        """Paint the picture, and return an exit status and a text to add to the description of the outcome.

        Parameters
        ----------
        shared : SharedInputs
            Paintings, settings and measured targets; of `shared.settings`, `run` replaces the settings of the run.
        network : Network
            The network, `shared.loaded` or one that computes on a cluster.
        run : RunConfig
            The settings of this picture's run, with its checkpoint.

        Examples
        --------
        >>> import tempfile
        >>> import numpy as np
        >>> from handstyle.foundations.picture_writing import write_picture
        >>> settings = resolve(replace(BATCH, weights="random", size="64", iterations="1"))
        >>> with tempfile.TemporaryDirectory() as folder, _suppress_output():
        ...     photograph, painting = Path(folder, "photograph.png"), Path(folder, "painting.png")
        ...     write_picture(photograph, np.full((64, 64, 3), 90))
        ...     write_picture(painting, np.eye(64)[..., None] * [255, 0, 0])
        ...     shared = SharedInputs.of([painting], settings, Path(folder))
        ...     job = Job(photograph, Path(folder, "out.png"))
        ...     job.paint(shared, shared.loaded, settings.run), job.picture.exists()
        ((0, ''), True)
        """
        going = prepare_run(self.photograph, shared.paintings, network, shared.settings.config)
        going.measured = shared.measured
        return paint(going, network, self.picture, replace(shared.settings, run=run)), ""


def batch(
    folder: Annotated[Path, Parameter(group=PICTURES)],
    style: Annotated[Path, Parameter(group=PICTURES)],
    /,
    *more_styles: Annotated[Path, Parameter(group=PICTURES)],
    output: Output = None,
    flags: Annotated[Any, Flat] = BATCH,
) -> int:
    """Paint every picture of FOLDER in the style of STYLE, with one network, and write a page of the results.

    The same command continues where an earlier one ended: finished pictures are skipped, unfinished ones resumed. If a
    picture cannot be painted, a message is printed and the next is painted; the exit status is then 1.

    Parameters
    ----------
    folder : Path
        The folder of the photographs; its subfolders are not searched. A painting of this command is not painted.
    style : Path
        The painting, or a folder of paintings.
    more_styles : Path
        More paintings.
    output : Path
        The folder for the pictures, NAME.png, and the page, index.html; it is created if it does not exist. By default
        FOLDER_painting.

    Examples
    --------
    .. code-block:: console

        $ handstyle batch holiday/ painting.jpg
        $ handstyle batch holiday/ painting.jpg --size 1024 --output painted/
    """
    settings = resolve(flags)
    set_output_form(settings.run.quiet, settings.run.json)
    source = expand_path(folder)
    photographs, target = pictures_in(folder), expand_path(output or default_target(source))
    if target.exists() and target.resolve() == source.resolve():
        raise HandstyleError(
            f"-o {output} is the folder of the photographs, which the pictures would replace: use another"
        )
    shared = SharedInputs.of([style, *more_styles], settings, target)
    paintings = {expand_path(one).resolve() for one in shared.paintings if isinstance(one, str | os.PathLike)}
    if among := [one for one in photographs if one.resolve() in paintings]:
        say(f"not painted, since it is the style: {printable(', '.join(one.name for one in among))}")
    if not (photographs := [one for one in photographs if one not in among]):
        raise HandstyleError(f"{folder}: no picture in it is left to paint: all are given as paintings")
    jobs, done = [Job(*pair) for pair in picture_paths(photographs, target)], list[JobResult]()
    shown, ended = f"{target}, index.html shows them", 0
    try:
        ended = shared.paint(jobs, len(jobs), done)
    finally:
        set_handler(ignore_signal)
        try:
            replace_file(target / "index.html", _index_page(done, target, shared).encode(), overwrite=True)
        except (HandstyleError, OSError) as error:
            shown, ended = f"{target}; the page that shows them: {one_line(error)}", ended or 1
    return print_summary(done, len(jobs), f"pictures are in {shown}", ended)


@dataclass(frozen=True)
class SharedInputs:
    """The data that all pictures of a command share.

    Parameters
    ----------
    paintings : list of path
        The paintings.
    digests : list of (str, str)
        The role and the digest of every painting, mask, map and starting picture.
    settings : Settings
        The settings of the command.
    loaded : Network
        The network.
    ran : str
        The network's digest.
    measured : Measured
        The targets measured so far, which are the same for all pictures.
    said : set of str
        The notes that were printed; each is printed once.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> painting, network = Path("painting.jpg"), build_network(random_weights())
    >>> shared = SharedInputs([painting], [("style", "5e1f")], resolve(BATCH), network, ran="0f3a")
    >>> shared.loaded is network, shared.said
    (True, set())
    """

    paintings: list[PictureLike]
    digests: list[tuple[str, str]]
    settings: Settings
    loaded: Network
    ran: str
    measured: Measured = field(default_factory=Measured)
    said: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, styles: Sequence[Path], settings: Settings, folder: Path) -> "SharedInputs":
        """Load the network, create the folder for the pictures, and return the shared data.

        Raises
        ------
        HandstyleError
            If the settings do not fit the paintings or the network, or the folder cannot be created.

        Examples
        --------
        >>> import tempfile
        >>> import numpy as np
        >>> from handstyle.foundations.picture_writing import write_picture
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_picture(Path(folder, "painting.png"), np.zeros((32, 32, 3)))
        ...     settings = resolve(replace(BATCH, weights="random"))
        ...     shared = SharedInputs.of([Path(folder, "painting.png")], settings, Path(folder, "painted"))
        >>> shared.loaded.architecture, [role for role, digest in shared.digests]
        ('vgg19', ['style'])
        """
        paintings, config = collect_styles(styles, settings.config)
        digests = [("style", sha256(expand_path(one))) for one in paintings if isinstance(one, str | os.PathLike)]
        digests += [(one.role, one.sha256) for one in file_inputs(config)]
        make_folder(folder, "-o")
        print_notes(settings.idle_notes(len(paintings)))
        loaded = settings.load()
        config.check_layers(loaded)
        return cls(paintings, digests, replace(settings, config=config), loaded, network_digest(loaded))

    def paint(self, jobs: Iterable[Job], count: int, done: list[JobResult]) -> int:
        """Paint the pictures, append each outcome to `done` and print a line for each.

        The next job is requested from the iterator when the one before it is done.

        Returns
        -------
        int
            0, or above 128 if a signal ended the loop.

        Examples
        --------
        >>> import tempfile
        >>> import numpy as np
        >>> from handstyle.foundations.picture_writing import write_picture
        >>> settings = resolve(replace(BATCH, weights="random", size="64", iterations="1"))
        >>> done = []
        >>> with tempfile.TemporaryDirectory() as folder, _suppress_output():
        ...     photograph, painting = Path(folder, "photograph.png"), Path(folder, "painting.png")
        ...     write_picture(photograph, np.full((64, 64, 3), 90))
        ...     write_picture(painting, np.eye(64)[..., None] * [255, 0, 0])
        ...     shared = SharedInputs.of([painting], settings, Path(folder))
        ...     jobs = [Job(photograph, Path(folder, "out.png")), Job(Path("none.png"), Path(folder, "none.png"))]
        ...     shared.paint(jobs, len(jobs), done)
        0
        >>> [(one.picture.name, one.what) for one in done]
        [('out.png', 'painted'), ('none.png', 'failed: none.png does not exist: check the path of the picture')]
        """
        try:
            with connect_workers(self.settings.run.cluster) as cluster:
                network = with_workers(cluster, self.loaded, self.settings.config)
                for number, job in enumerate(jobs, 1):
                    one, status = self._paint_one(job, network)
                    reset_handlers()  # `defer_signals` has ended with signals ignored
                    done.append(one)
                    say(f"{number} of {count}: {printable(one.photograph.name)}: {one.what}")
                    facts = {"photograph": one.photograph, "path": one.picture, "said": one.what, "failed": one.failed}
                    event("picture", number=number, count=count, **facts)
                    if status > 128:  # ended by a signal
                        return status
        except Interrupted as interrupted:  # between two pictures, or before the first evaluation of one
            return 128 + interrupted.number
        return 0

    def _paint_one(self, job: Job, network: Network) -> tuple[JobResult, int]:
        """Paint one picture, unless it is finished already, and return its outcome and an exit status."""
        picture, run = job.picture, self.settings.run
        try:
            if picture.exists() and not checkpoint_path(picture).exists():
                other = job.differences(self, read_recipe(picture)) + _output_differences(picture, run)
                if not other:
                    return JobResult(job.photograph, picture, "done before"), 0
                if not run.overwrite:
                    what = f"{printable(picture.name)} has other settings ({', '.join(other)}): --overwrite replaces it"
                    return JobResult(job.photograph, picture, as_flags(what), True), 1
            resume = checkpoint_path(picture) if checkpoint_path(picture).exists() else None
            run = replace(run, resume=resume, quiet=run.quiet or not err.is_terminal)
            check_before(picture, self.settings.config, run)
            for note in dict.fromkeys(job.notes(self, network)):
                if note not in self.said:
                    say(as_flags(f"note: {note}"))  # `paint` prints it as an event
                    self.said.add(note)
            with _suppress_output():
                status, more = job.paint(self, network, run)
            self.measured.forget_maps()
        except (HandstyleError, OSError, MemoryError) as error:
            return JobResult(job.photograph, picture, f"failed: {as_flags(one_line(error))}", True), 1
        said = {0: "resumed and painted" if resume else "painted", 1: "failed: not all of it was painted or written"}
        return JobResult(job.photograph, picture, said.get(status, "interrupted") + more, status != 0), status


def print_summary(done: Sequence[JobResult], count: int, where: str, ended: int) -> int:
    """Print the numbers of pictures that were painted, failed and not begun, and return the exit status.

    Examples
    --------
    >>> done = [JobResult(Path("a.jpg"), Path("a.png"), "painted")]
    >>> print_summary(done, count=2, where="pictures are in painted", ended=130)
    1 picture is in painted; 0 failed, 1 not begun
    130
    """
    failed = sum(one.failed for one in done)
    where = where.replace("s are", " is", 1) if len(done) - failed == 1 else where
    say(f"{len(done) - failed} {where}; {failed} failed, {count - len(done)} not begun")
    status = ended or int(failed > 0)
    event("done", painted=len(done) - failed, failed=failed, not_begun=count - len(done), status=status)
    return status


def picture_paths(photographs: Sequence[Path], folder: Path) -> list[tuple[Path, Path]]:
    """Return pairs of a photograph and the path of its picture: NAME.png, or NAME.jpg.png if that is not unique.

    Examples
    --------
    >>> pairs = picture_paths([Path("a.jpg"), Path("b.jpg"), Path("b.png")], Path("painted"))
    >>> [picture.as_posix() for photograph, picture in pairs]
    ['painted/a.png', 'painted/b.jpg.png', 'painted/b.png.png']
    """
    stems = [photograph.stem.lower() for photograph in photographs]
    return [
        (one, folder / (f"{one.stem}.png" if stems.count(one.stem.lower()) == 1 else f"{one.name}.png"))
        for one in photographs
    ]


@contextmanager
def _suppress_output() -> Iterator[None]:
    """Suppress lines on standard output in a ``with`` block, but neither the progress bar nor events."""
    before, out.quiet = out.quiet, True
    try:
        yield
    finally:
        out.quiet = before


def differences(shared: SharedInputs, photograph: Path, recipe: Recipe, **changed: Any) -> list[str]:
    """Return descriptions of the settings and files in which a recipe differs from those of the command.

    `changed` has settings of this picture that are not those of the command.

    Examples
    --------
    >>> import tempfile
    >>> from types import SimpleNamespace
    >>> from handstyle.painting.recipe import Input
    >>> settings = resolve(replace(BATCH, size="256"))
    >>> made = settings.config.in_use() | asdict(settings.network) | {"precision": "float32", "size": 128}
    >>> made = {key: list(value) if isinstance(value, tuple) else value for key, value in made.items()}
    >>> shared = SimpleNamespace(settings=settings, ran="5e1f", digests=[])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     photograph = Path(folder, "a.jpg")
    ...     _ = photograph.write_text("a picture")
    ...     recipe = Recipe(made, {"ran_sha256": "5e1f"}, [Input("content", "a.jpg", sha256(photograph))])
    ...     differences(shared, photograph, recipe)
    ['size 128']
    """
    config = replace(shared.settings.config, **changed)
    asked = {**config.in_use(), **asdict(shared.settings.network), "precision": shared.settings.run.precision}
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in asked.items()}
    made = recipe.settings
    how_much = ("strength", "style_weight")  # of which a recipe has one
    left_out = NOT_COMPARED if STARTS.fullmatch(config.init) else (*NOT_COMPARED, "init")  # a picture has a digest
    keys = dict.fromkeys((*plain, *how_much))
    unlike = [key for key in keys if key not in left_out and made.get(key) != plain.get(key)]
    found = [f"{key} {made.get(key)}" for key in unlike if key in made or key not in how_much]
    if recipe.network.get("ran_sha256") != shared.ran and not set(unlike) & set(NETWORK_SETTINGS):
        found.append(f"network {printable(str(recipe.network.get('name')))}")
    inputs = [(role, one.sha256) for role in ROLES for one in recipe.named(role) if role not in changed]
    wanted = [("content", sha256(photograph)), *(one for one in shared.digests if one[0] not in changed)]
    found += ["from other pictures"] if inputs != wanted else []
    return found + (["not finished"] if recipe.cut_short else [])


def _output_differences(picture: Path, run: RunConfig) -> list[str]:
    """Return descriptions of what the files of a finished picture lack: its bits for each channel, its report."""
    with open(picture, "rb") as file:
        bits = file.read(BIT_DEPTH + 1)[-1]
    found = [f"bits {bits}"] if bits != run.bits else []
    return found + (["no report"] if run.report and not picture.with_suffix(".html").exists() else [])


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


def _index_page(painted: Sequence[JobResult], folder: Path, shared: SharedInputs) -> str:
    """Return the HTML page of a batch: the paintings, the settings, and every picture with a link to its photograph."""
    items = []
    for one in painted:
        photograph = _relative_url(one.photograph, folder)
        name, what = html.escape(printable(one.photograph.name)), html.escape(one.what)
        shown = ""
        if one.picture.exists():
            picture = _relative_url(one.picture, folder)
            shown = f'<a href="{picture}"><img src="{picture}" alt="{name}, painted" loading="lazy"></a>'
        state = f'<span class="failed">{what}</span>' if one.failed else what
        items.append(f'<li>{shown}<p><a href="{photograph}">{name}</a>: {state}</p></li>')
    names = " and ".join(printable(Path(str(one)).name) for one in shared.paintings)
    title = html.escape(f"{len(painted)} picture{'s' * (len(painted) != 1)} in the style of {names}")
    settings = html.escape(
        printable(settings_line(shared.settings.config, shared.settings.network, shared.settings.run))
    )
    head = f'<meta charset="utf-8">\n<meta name="viewport" content="width=device-width">\n<title>{title}</title>'
    body = "\n".join([f"<h1>{title}</h1>", f"<p>Settings: {settings}</p>", "<ul>", *items, "</ul>"])
    return f'<!doctype html>\n<html lang="en">\n{head}\n<style>{STYLE}</style>\n{body}\n</html>\n'


def _relative_url(path: Path, folder: Path) -> str:
    """Return the URL of a file for a page in `folder`, relative if possible."""
    try:
        return quote(Path(os.path.relpath(path, folder)).as_posix())
    except ValueError:  # another drive
        return path.resolve().as_uri()
