"""Choose the path of a run's checkpoint, write it at intervals, and check the one from which a run resumes."""

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from handstyle.cli.options import AUTO, RunConfig
from handstyle.foundations.errors import HandstyleError, printable
from handstyle.foundations.picture_formats import FORMATS
from handstyle.foundations.picture_paths import expand_path
from handstyle.painting.recipe import read_recipe

MAX_NAME_BYTES = 220  # bytes of an output's name in the name of its checkpoint, without `.checkpoint` and `.…lock`
CHECKPOINT_SECONDS = 30.0  # from one checkpoint to the next


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

    Examples
    --------
    >>> writer = CheckpointWriter(Path("out.png.checkpoint"), every=10)
    >>> for iteration in range(1, 31):
    ...     if writer.due(iteration):
    ...         writer.write(lambda path: print(path, "after", iteration, "iterations"))  # a run saves itself here
    out.png.checkpoint after 10 iterations
    out.png.checkpoint after 20 iterations
    out.png.checkpoint after 30 iterations
    """

    path: Path
    every: int = 0
    _last: float = field(default_factory=lambda: time.monotonic())
    _took: float = 0.0

    def due(self, iteration: int) -> bool:
        """Return whether the checkpoint should be written after this iteration.

        Examples
        --------
        >>> writer = CheckpointWriter(Path("out.png.checkpoint"), every=10)
        >>> [iteration for iteration in range(1, 31) if writer.due(iteration)]
        [10, 20, 30]
        """
        if self.every:
            return iteration % self.every == 0
        return time.monotonic() - self._last >= max(CHECKPOINT_SECONDS, 20 * self._took)

    def write(self, save: Callable[[Path], None]) -> None:
        """Write the checkpoint by calling `save` with its path, and record the time that it takes.

        `save` is a run's `Progress.save`.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     writer = CheckpointWriter(Path(folder, "out.png.checkpoint"))
        ...     writer.write(lambda path: path.touch())
        ...     writer.path.exists(), writer.due(1)  # the next one in 30 seconds
        (True, False)
        """
        began = time.monotonic()
        try:
            save(self.path)
        finally:
            self._last = time.monotonic()
            self._took = self._last - began


def checkpoint_path(output: Path) -> Path:
    """Return the default path of a run's checkpoint, beside its output: ``out.png.checkpoint``.

    A name nearly as long as file systems allow is shortened, with a digest that keeps it unique.

    Examples
    --------
    >>> checkpoint_path(Path("out.png")).name
    'out.png.checkpoint'
    >>> len(checkpoint_path(Path(300 * "a" + ".png")).name)
    231
    """
    output, name = expand_path(output), os.fsencode(output.name)
    if len(name) > MAX_NAME_BYTES:
        digest = hashlib.sha256(name).hexdigest()[:8]
        return output.with_name(f"{name[: MAX_NAME_BYTES - 9].decode('utf-8', 'ignore')}-{digest}.checkpoint")
    return output.with_name(f"{output.name}.checkpoint")


def checkpoint_of(output: Path, run: RunConfig) -> Path | None:
    """Return the path of the checkpoint that a run writes, or None if it writes none.

    Examples
    --------
    >>> checkpoint_of(Path("out.png"), RunConfig()).name
    'out.png.checkpoint'
    >>> checkpoint_of(Path("out.png"), RunConfig(no_checkpoint=True)) is None
    True
    """
    return None if run.no_checkpoint else run.checkpoint or run.resume or checkpoint_path(output)


def is_unfinished(output: Path, run: RunConfig) -> bool:
    """Return whether the existing output was written by the interrupted run that is being resumed.

    Examples
    --------
    >>> is_unfinished(Path("out.png"), RunConfig())  # without --resume nothing is replaced
    False
    """
    if run.resume is None or not output.is_file():
        return False
    with suppress(HandstyleError):
        return read_recipe(output).result.get("ended") == "interrupted"
    return False


def check_checkpoint(output: Path, run: RunConfig) -> None:
    """Raise `HandstyleError` if the checkpoint to resume from does not exist, or the new one cannot be written.

    A checkpoint of another unfinished run is replaced only with ``--overwrite``.

    Examples
    --------
    >>> try:
    ...     check_checkpoint(Path("out.png"), RunConfig(resume=Path("no-such.checkpoint")))
    ... except HandstyleError as error:
    ...     print(error)
    --resume no-such.checkpoint: no such file
    """
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


def with_auto(words: Sequence[str]) -> list[str]:
    """Return the arguments with ``auto`` inserted after a ``--resume`` that has no file.

    It has no file if it is the last argument, or if a flag or a picture follows.

    Examples
    --------
    >>> with_auto(["stylize", "a.jpg", "b.jpg", "--resume", "--size", "256"])
    ['stylize', 'a.jpg', 'b.jpg', '--resume', 'auto', '--size', '256']
    >>> with_auto(["stylize", "a.jpg", "b.jpg", "--resume", "run.checkpoint"])[-1]
    'run.checkpoint'
    """
    made: list[str] = []
    for word, after in zip(words, [*words[1:], "-"], strict=False):
        made.append(word)
        if word == "--resume" and (after.startswith("-") or Path(after).suffix.lower() in FORMATS):
            made.append(str(AUTO))
    return made
