"""What surrounds a run in a terminal: checks of the outputs, progress, checkpoints, and the lines printed."""

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path

from handstyle.cli.options import AUTO, NetworkConfig, RunConfig, as_flags, err, event, mebibytes, out, say, warn
from handstyle.cli.signals import Requests, defer_signals
from handstyle.foundations.errors import HandstyleError, printable
from handstyle.foundations.file_lock import locked
from handstyle.foundations.picture_paths import expand_path
from handstyle.foundations.picture_reading import Picture
from handstyle.foundations.picture_writing import check_writable
from handstyle.kernels.cluster import Cluster, connect_cluster, is_single_tile
from handstyle.network.vgg import Network
from handstyle.network.weights import EMBEDDED
from handstyle.painting.config import StyleConfig
from handstyle.painting.inputs import scales, size_for_photograph
from handstyle.painting.memory import RunMemory
from handstyle.painting.plan import planned_iterations
from handstyle.painting.presets import PRESETS
from handstyle.painting.preview import Preview
from handstyle.painting.progress import Display, progress_display
from handstyle.painting.recipe import BLANK, read_recipe
from handstyle.painting.report import Snapshots
from handstyle.painting.result import Progress, Result
from handstyle.painting.strength import style_weight
from handstyle.painting.trial import run_time
from weights_tools.registry import locate

# Seconds of SciPy's L-BFGS-B with ten pairs, for each value of the picture and iteration, on a server's CPU: 100
# iterations at 512 px took 11 s, evaluations excluded (benchmarks/results/2026-11-27-gpu.json, "scipy float32").
SCIPY_SECONDS = 1.4e-7
CLUSTER_TILE = 512  # pixels: small enough that several workers have something to do
MAX_NAME_BYTES = 220  # bytes of an output's name in the name of its checkpoint, without `.checkpoint` and `.…lock`
CHECKPOINT_SECONDS = 30.0  # from one checkpoint to the next


def lbfgs_advice(values: int, itemsize: int) -> str:
    """Return a sentence on the time that SciPy's optimizer adds on a GPU, for a picture with a number of values."""
    moved = mebibytes(2 * itemsize * values)  # the picture to the device, the gradient back
    return (
        f"SciPy's L-BFGS-B runs on the host: an iteration takes {SCIPY_SECONDS * values:.1g} s more, copies {moved}: "
        "--optimizer lbfgs avoids both"
    )


@dataclass
class RunFollower:
    """The callback of a run: it shows the progress, and writes intermediate pictures and the checkpoint.

    Parameters
    ----------
    output : Path
        The picture that the run will write.
    config, run
        The settings of the run.
    checkpoint : Path or None
        The checkpoint that the run will write.
    asked : Requests
        The signals that have asked the run to end.
    preview : Preview or None
        The preview page.
    """

    output: Path
    config: StyleConfig
    run: RunConfig
    checkpoint: Path | None
    asked: Requests
    preview: Preview | None
    display: Display = field(init=False)
    failures: set[str] = field(default_factory=set)  # what could not be written

    def __post_init__(self) -> None:
        self.writer = None if self.checkpoint is None else CheckpointWriter(self.checkpoint, self.run.checkpoint_every)
        self.snapshots = Snapshots() if self.run.report else None

    def attempt(self, what: str, work: Callable[[], None]) -> None:
        """Write something by calling `work`; if that fails, say so the first time, and let the run go on."""
        try:
            work()
        except (HandstyleError, OSError) as error:
            if what not in self.failures:
                self.display.note(as_flags(f"note: {what} cannot be written: {error}"))
            self.failures.add(what)

    def __call__(self, progress: Progress) -> None:
        """Show and write what is due after an iteration, and end the run if a signal has asked for that."""
        run, writer = self.run, self.writer
        self.asked.deferring = True  # from now on an interruption at any time would lose a picture
        self.display(progress)
        if self.snapshots is not None:
            self.snapshots(progress)
        if run.save_every and progress.iteration % run.save_every == 0:
            path = path_at_iteration(self.output, progress.iteration, self.config)
            replaced = run.overwrite or run.resume is not None
            self.attempt("intermediate pictures", partial(progress.result().save, path, overwrite=replaced))
        last = progress.iteration == progress.iterations and self.checkpoint != checkpoint_path(self.output)
        if writer and progress.save and (self.asked or last or writer.due(progress.iteration)):
            self.attempt("the checkpoint", partial(writer.write, progress.save))
        self.asked.raise_now()
        if self.preview is not None:
            self.preview(progress)


@contextmanager
def follow_run(
    output: Path, config: StyleConfig, run: RunConfig, title: str, photograph: Picture
) -> Iterator[RunFollower]:
    """Lock the checkpoint, defer signals, start the preview, and yield the callback of a run, without its display."""
    checkpoint = checkpoint_of(output, run)
    alone = nullcontext(True) if checkpoint is None else locked(checkpoint, "the checkpoint")
    with defer_signals() as asked, alone as locks, preview_of(run, title, photograph, asked.raise_now) as preview:
        if not locks:
            print_notes([f"the file system has no locks, so a second run could write to {checkpoint} at the same time"])
        yield RunFollower(output, config, run, checkpoint, asked, preview)


@contextmanager
def connect_workers(address: str) -> Iterator[Cluster | None]:
    """Connect to the cluster at an address, print its number of workers, and yield it; without address, yield None."""
    if not address:
        yield None
        return
    with connect_cluster(address) as cluster:
        say(f"cluster: {cluster}")
        yield cluster


def with_workers(cluster: Cluster | None, network: Network, config: StyleConfig) -> Network:
    """Return the network with an engine that computes tiles on a cluster; without a cluster, the network itself."""
    return network if cluster is None else cluster.network(network, config.tile or CLUSTER_TILE)


def describe_pictures(config: StyleConfig, photograph: Picture, paintings: Sequence[Picture]) -> str:
    """Return a phrase with the names of a run's photograph and paintings, for the user."""
    subject = "a texture" if photograph.source == BLANK else Path(photograph.source).name
    what = " and ".join(Path(painting.source).name for painting in paintings)
    what = f"in the style of {what}" if config.has_style else f"by its features at {' '.join(config.content_layers)}"
    return f"{subject} {what}"


def print_start(
    memory: RunMemory,
    photograph: Picture,
    paintings: Sequence[Picture],
    output: Path,
    weights: str,
    strong: str,
    run: RunConfig,
) -> None:
    """Print before the run its network, engine, device, tiles, pictures, strength, size and iterations."""
    config, loaded = memory.config, memory.network
    backend = loaded.backend
    untrained = " (seeded, not trained: color and grain only)" if weights == "random" else ""
    say(f"network {weights}{untrained}, kernels {loaded.engine.name}, {backend.name} on {backend.device}")
    if weights == EMBEDDED and locate("vgg19") is None:
        say("a small network in place of VGG-19; for VGG-19: handstyle weights get vgg19, then --weights vgg19")
    height, width = size_for_photograph(config, photograph)
    if backend.name == "cupy" and config.optimizer == "lbfgsb":
        say(lbfgs_advice(3 * height * width, loaded.dtype.itemsize))
    if memory.tiled:
        say(as_flags("; ".join(filter(None, (memory.tiled, "" if run.cluster else str(run_time(memory)))))))
    if run.cluster and is_single_tile(loaded, (height, width, 3)):
        say("the picture is one tile, so the workers have nothing to do: use a smaller --tile")
    sizes = scales(config, (height, width))
    each = [config.iterations_at(k) for k in range(len(sizes))]
    steps = f"{sum(each)} iterations"
    if len(sizes) > 1 and len(set(each)) == 1:
        steps += f": {each[0]} at each of {len(sizes)} scales"
    elif len(sizes) > 1:
        steps += f" at {len(sizes)} scales: {' + '.join(map(str, each))}"
    mixed = " blended" if len(paintings) > 1 and not (config.mask or config.regions) else ""
    say(f"{describe_pictures(config, photograph, paintings)}{mixed}, {strong}, {width} x {height} px, {steps}")
    event(
        "begin",
        version=version("handstyle"),
        photograph=photograph.source,
        paintings=[painting.source for painting in paintings],
        output=output,
        network=weights,
        device=backend.device,
        style_weight=style_weight(config, loaded),
        iterations=sum(each),
        sizes=[[w, h] for h, w in sizes],
    )


class Events:
    """A display of progress that prints a line of JSON for each iteration."""

    def __call__(self, progress: Progress) -> None:
        """Print the state of the run as a line of JSON."""
        height, width = progress.array.shape[:2]
        facts = {key: getattr(progress, key) for key in ("iteration", "iterations", "evaluations", "terms")}
        facts |= {"scale": progress.scale + 1, "scales": len(progress.sizes), "width": width, "height": height}
        facts |= {"loss": progress.value, "seconds": progress.seconds, "seconds_left": progress.seconds_left}
        event("iteration", **facts)

    def note(self, text: str) -> None:
        """Print a note as a line of JSON, and as text to standard error."""
        event("note", text=text)
        warn(text)


@contextmanager
def choose_display(run: RunConfig) -> Iterator[Display]:
    """Yield the object that shows a run's progress: a bar or lines or, with ``--json`` or ``--quiet``, events."""
    if run.json or run.quiet:
        yield Events()
        return
    with progress_display(err) as display:
        yield display


@contextmanager
def preview_of(run: RunConfig, title: str, photograph: Picture, check: Callable[[], None]) -> Iterator[Preview | None]:
    """Start the preview page of a run, print its address, and yield the page; without ``--preview``, yield None."""
    if not run.preview:
        yield None
        return
    with Preview(title, photograph.pixels, check) as preview:
        (warn if run.quiet else say)(f"preview: {preview.address}")
        event("preview", address=preview.address)
        yield preview


def settings_line(config: StyleConfig, network: NetworkConfig, run: RunConfig) -> str:
    """Return a line with the name of the preset and the settings that differ from it."""
    chosen = PRESETS[run.preset]
    base = {**asdict(chosen.config), **asdict(NetworkConfig())}
    base |= {name: getattr(chosen, name) for name in ("pooling", "padding", "rounding")}
    given = {**config.in_use(), **asdict(network)}
    texts = [f"preset {run.preset}"]
    for name, value in given.items():
        if value != base[name]:
            texts.append(f"{name} {' '.join(map(str, value)) or 'none' if isinstance(value, tuple) else value}")
    return ", ".join(texts)


def check_before(output: Path, config: StyleConfig, run: RunConfig) -> None:
    """Raise `HandstyleError`, before any picture is read, if outputs or the checkpoint cannot be written.

    The same for settings that do not fit together.
    """
    if run.cluster and config.style_statistic == "patches":
        raise HandstyleError("--cluster: computes in tiles, not possible with --style-statistic patches; leave one out")
    check_checkpoint(output, run)
    check_outputs(output, config, run)  # again when the photograph has been read


@dataclass
class CheckpointWriter:
    """The writer of a run's checkpoint, which is written again after a number of iterations or seconds.

    Parameters
    ----------
    path : Path
        The path of the checkpoint.
    every : int
        Iterations between two checkpoints; 0 for one every `CHECKPOINT_SECONDS`.

    Notes
    -----
    With ``every=0`` a checkpoint that takes long to write is written less often, so that writing takes at most a
    twentieth of the time.
    """

    path: Path
    every: int = 0
    _last: float = field(default_factory=lambda: time.monotonic())
    _took: float = 0.0

    def due(self, iteration: int) -> bool:
        """Return whether the checkpoint should be written after this iteration."""
        if self.every:
            return iteration % self.every == 0
        return time.monotonic() - self._last >= max(CHECKPOINT_SECONDS, 20 * self._took)

    def write(self, save: Callable[[Path], None]) -> None:
        """Write the checkpoint by calling a run's `Progress.save`, and record the time that it takes."""
        began = time.monotonic()
        try:
            save(self.path)
        finally:
            self._last = time.monotonic()
            self._took = self._last - began


def checkpoint_path(output: Path) -> Path:
    """Return the default path of a run's checkpoint, beside its output: ``out.png.checkpoint``.

    A name nearly as long as file systems allow is shortened, with a digest that keeps it unique.
    """
    output, name = expand_path(output), os.fsencode(output.name)
    if len(name) > MAX_NAME_BYTES:
        digest = hashlib.sha256(name).hexdigest()[:8]
        return output.with_name(f"{name[: MAX_NAME_BYTES - 9].decode('utf-8', 'ignore')}-{digest}.checkpoint")
    return output.with_name(f"{output.name}.checkpoint")


def checkpoint_of(output: Path, run: RunConfig) -> Path | None:
    """Return the path of the checkpoint that a run writes, or None if it writes none."""
    return None if run.no_checkpoint else run.checkpoint or run.resume or checkpoint_path(output)


def is_unfinished(output: Path, run: RunConfig) -> bool:
    """Return whether the existing output was written by the interrupted run that is being resumed."""
    if run.resume is None or not output.is_file():
        return False
    with suppress(HandstyleError):
        return read_recipe(output).result.get("ended") == "interrupted"
    return False


def check_checkpoint(output: Path, run: RunConfig) -> None:
    """Raise `HandstyleError` if the checkpoint cannot be written, or would replace that of an unfinished run."""
    name, keep = ("--checkpoint", run.checkpoint) if run.checkpoint else ("--resume", run.resume)
    if run.resume is not None and not run.resume.is_file():
        what = "there is no unfinished run of this output" if run.resume == checkpoint_path(output) else "no such file"
        raise HandstyleError(f"--resume {run.resume}: {what}")
    if keep is not None and keep.is_dir():
        raise HandstyleError(f"{name} {printable(keep)} is a folder: name a file in it")
    if keep is not None and (not keep.parent.is_dir() or not os.access(keep.parent, os.W_OK)):
        raise HandstyleError(f"{name} {keep}: {keep.parent} is not a folder, or cannot be written to")
    mine = checkpoint_of(output, run)
    if mine is not None and mine.exists() and mine != run.resume and not run.overwrite:
        raise HandstyleError(f"{mine} has an unfinished run: --resume continues it, --overwrite starts again")


def check_outputs(output: Path, config: StyleConfig, run: RunConfig, photograph: Picture | None = None) -> None:
    """Raise `HandstyleError` if an output cannot be written; with a photograph, also if the format does not fit it."""
    alpha, size = False, None
    if photograph is not None:
        alpha = photograph.alpha is not None
        size = size_for_photograph(config, photograph)
    total = config.iterations_at(0) if photograph is None else planned_iterations(config, photograph)
    saved = range(run.save_every, total + 1, run.save_every) if run.save_every else ()
    on_the_way = [path_at_iteration(output, i, config) for i in saved]
    folder = expand_path(output).parent
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if run.report:
        check_page(expand_path(output).with_suffix(".html"), run.overwrite)
    replaced = run.overwrite or is_unfinished(output, run)
    for path in [output] if run.resume else [output, *on_the_way]:
        if path.name in there and not path.is_dir() and not replaced:
            raise HandstyleError(f"{path} exists: choose another name with -o, or add --overwrite")
    for path in [output, *on_the_way[-1:]]:  # the last name is the longest
        again = replaced if path == output else run.overwrite or run.resume is not None
        check_writable(path, again, alpha=alpha, size=size, bits=run.bits if path == output else 8)


def default_names(path: Path) -> list[Path]:
    """Return the default names of an output, in order: ``photo_painting.png``, ``photo_painting_2.png`` and so on."""
    return [path, *(path.with_name(f"{path.stem}_{number}{path.suffix}") for number in range(2, 10_000))]


def check_page(path: Path, overwrite: bool) -> None:
    """Raise `HandstyleError` if a report cannot be written to `path`."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise HandstyleError(f"the report {printable(path)}: its name must end in .html")
    if path.exists() and (path.is_dir() or not overwrite):
        raise HandstyleError(f"the report {printable(path)} exists: choose another name with -o, or add --overwrite")
    if not os.access(path.absolute().parent, os.W_OK):
        raise HandstyleError(f"the report {printable(path)}: its folder does not exist, or cannot be written to")


def free_name(path: Path) -> Path:
    """Return the first default name that no file and no unfinished run has; see `default_names`."""
    free = (name for name in default_names(path) if not name.exists() and not checkpoint_path(name).exists())
    return next(free, path)


def default_output(path: Path, run: RunConfig) -> Path:
    """Return the first free default name or, with ``--resume``, that of the latest unfinished run.

    Raises
    ------
    HandstyleError
        If ``--resume`` was given, and there is no unfinished run with one of the default names.
    """
    there = {found.name for found in path.parent.glob("*.checkpoint")}
    free, begun = free_name(path), [name for name in default_names(path) if checkpoint_path(name).name in there]
    latest = max(begun, key=lambda name: checkpoint_path(name).stat().st_mtime, default=None)
    if run.resume == AUTO and latest is None:
        raise HandstyleError(f"--resume: no unfinished run ({checkpoint_path(path)} missing); -o names another output")
    if run.resume == AUTO and latest is not None:
        return latest
    if latest is not None and run.resume is None:
        say(f"note: {checkpoint_path(latest)} has an unfinished run; --resume continues it")
    return free


def default_target(source: Path) -> Path:
    """Return the default output for a folder of photographs, a folder ``NAME_painting``, or for a film, a film."""
    if source.is_file():
        return Path(f"{source.stem}_painting{source.suffix}")
    return Path(f"{source.resolve().name.replace('.', '_')}_painting")  # resolved because of "." and ".."


def print_notes(notes: Iterable[str]) -> None:
    """Print notes of the library, with flags in place of parameters."""
    for note in notes:
        say(as_flags(f"note: {note}"))
        event("note", text=as_flags(note))


def print_end(result: Result, output: Path, written: Path, keep: Path | None) -> int:
    """Print the reason for stopping and the picture's path, and return the exit status."""
    say(as_flags(f"stopped: {result.stopped.removeprefix('stopped ')}; {result.evaluations} evaluations"))
    kind = "the best picture so far" if result.interrupted or result.failed else "the picture"
    elsewhere = written != expand_path(output)
    place = f"{kind} is in {written}"
    say(place + (f", since {output} could not be written" if elsewhere else ""))
    if out.quiet and (elsewhere or result.failed):
        warn(as_flags(f"handstyle: {result.stopped}; {place}"))
    if (result.interrupted or result.failed) and keep is not None and keep.exists():
        named = "" if keep == checkpoint_path(output) else f" {keep}"
        say(f"the run is in {keep}: the same command with --resume{named} continues it")
    return 130 if result.interrupted else 1 if result.failed or elsewhere else 0


def path_at_iteration(output: Path, iteration: int, config: StyleConfig) -> Path:
    """Return the path of the picture at an iteration, such as ``out_at_iteration_20.png``; restarts count from 0."""
    return output.with_name(f"{output.stem}_at_iteration_{iteration - bool(config.restarts)}{output.suffix}")
