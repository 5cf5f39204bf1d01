"""What happens while a run goes on: progress or events, the preview, intermediate pictures, checkpoints, signals."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from handstyle.cli.announcing import print_notes
from handstyle.cli.checkpoints import CheckpointWriter, checkpoint_of, checkpoint_path
from handstyle.cli.options import RunConfig, as_flags
from handstyle.cli.outputs import path_at_iteration
from handstyle.cli.signals import Requests, defer_signals
from handstyle.cli.terminal import err, event, say, warn
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.file_lock import locked
from handstyle.foundations.picture_reading import Picture
from handstyle.painting.config import StyleConfig
from handstyle.painting.preview import Preview
from handstyle.painting.progress import Display, progress_display
from handstyle.painting.report import Snapshots
from handstyle.painting.result import Progress


@dataclass
class _RunFollower:
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
) -> Iterator[_RunFollower]:
    """Lock the checkpoint, defer signals, start the preview, and yield the run's callback.

    The caller sets the attribute `display` of the callback; see `choose_display`.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from handstyle.foundations.picture_reading import read_picture
    >>> photograph = read_picture(np.zeros((32, 32, 3)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with follow_run(Path(folder, "out.png"), StyleConfig(), RunConfig(), "a town", photograph) as follower:
    ...         follower.checkpoint.name
    'out.png.checkpoint'
    """
    checkpoint = checkpoint_of(output, run)
    alone = nullcontext(True) if checkpoint is None else locked(checkpoint, "the checkpoint")
    with defer_signals() as asked, alone as locks, _preview_of(run, title, photograph, asked.raise_now) as preview:
        if not locks:
            print_notes([f"the file system has no locks, so a second run could write to {checkpoint} at the same time"])
        yield _RunFollower(output, config, run, checkpoint, asked, preview)


class _Events:
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
    """Yield the object that shows a run's progress: a bar or lines or, with ``--json`` or ``--quiet``, events.

    Examples
    --------
    >>> import sys
    >>> from contextlib import redirect_stderr
    >>> with redirect_stderr(sys.stdout), choose_display(RunConfig(quiet=True)) as display:
    ...     display.note("the checkpoint cannot be written")
    the checkpoint cannot be written
    """
    if run.json or run.quiet:
        yield _Events()
        return
    with progress_display(err) as display:
        yield display


@contextmanager
def _preview_of(run: RunConfig, title: str, photograph: Picture, check: Callable[[], None]) -> Iterator[Preview | None]:
    """Start the preview page of a run, print its address, and yield the page; without ``--preview``, yield None."""
    if not run.preview:
        yield None
        return
    with Preview(title, photograph.pixels, check) as preview:
        (warn if run.quiet else say)(f"preview: {preview.address}")
        event("preview", address=preview.address)
        yield preview
