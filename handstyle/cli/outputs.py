"""Choose the names of a run's outputs, and check that they can be written."""

from pathlib import Path

from handstyle.cli.checkpoints import check_checkpoint, checkpoint_path, is_unfinished
from handstyle.cli.options import AUTO, RunConfig
from handstyle.cli.reporting import check_page
from handstyle.cli.terminal import say
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.picture_paths import expand_path
from handstyle.foundations.picture_reading import Picture
from handstyle.foundations.picture_writing import check_writable
from handstyle.painting.config import StyleConfig
from handstyle.painting.inputs import scales, size_for_photograph


def check_before(output: Path, config: StyleConfig, run: RunConfig) -> None:
    """Raise `HandstyleError`, before a picture is read, if outputs cannot be written or settings do not fit together.

    Examples
    --------
    >>> try:
    ...     check_before(Path("out.png"), StyleConfig(style_statistic="patches"), RunConfig(cluster="local:2"))
    ... except HandstyleError as error:
    ...     print(error)
    --cluster: computes in tiles, not possible with --style-statistic patches; leave one out
    """
    if run.cluster and config.style_statistic == "patches":
        raise HandstyleError("--cluster: computes in tiles, not possible with --style-statistic patches; leave one out")
    check_checkpoint(output, run)
    check_outputs(output, config, run)  # again when the photograph has been read


def check_outputs(output: Path, config: StyleConfig, run: RunConfig, photograph: Picture | None = None) -> None:
    """Raise `HandstyleError` if an output of a run cannot be written.

    With a photograph it is also checked that the format allows pictures of this size and, if needed, transparency.

    Examples
    --------
    >>> try:
    ...     check_outputs(Path(__file__), StyleConfig(), RunConfig())
    ... except HandstyleError as error:
    ...     print(str(error).split(": ")[-1])
    choose another name with -o, or add --overwrite
    """
    alpha = photograph is not None and photograph.alpha is not None
    size = None if photograph is None else size_for_photograph(config, photograph)
    total = sum(config.iterations_at(k) for k in range(len(scales(config, size)) if size else 1))
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


def _default_names(path: Path) -> list[Path]:
    """Return the default names of an output, in order: ``photo_painting.png``, ``photo_painting_2.png`` and so on."""
    return [path, *(path.with_name(f"{path.stem}_{number}{path.suffix}") for number in range(2, 10_000))]


def make_folder(folder: Path, flag: str) -> None:
    """Create the folder that a flag names, unless it exists.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     make_folder(Path(folder, "painted"), "-o")
    ...     Path(folder, "painted").is_dir()
    True
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HandstyleError(f"{flag} {folder}: the folder cannot be created, {error.strerror or error}") from None


def free_name(path: Path) -> Path:
    """Return the first of the default names of an output that neither a file nor an unfinished run has.

    They are `path` itself, ``photo_painting.png``, then ``photo_painting_2.png`` and so on.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "photo_painting.png").touch()
    ...     free_name(Path(folder, "photo_painting.png")).name
    'photo_painting_2.png'
    """
    free = (name for name in _default_names(path) if not name.exists() and not checkpoint_path(name).exists())
    return next(free, path)


def default_output(path: Path, run: RunConfig) -> Path:
    """Return the path of an output that was not named: a free one or, with ``--resume``, the latest unfinished run's.

    Parameters
    ----------
    path : Path
        The first of the default names; see `free_name`.
    run : RunConfig
        The settings of the run; `resume` is `AUTO` for a ``--resume`` without a file.

    Returns
    -------
    Path

    Raises
    ------
    HandstyleError
        If ``--resume`` was given, and there is no unfinished run with one of the default names.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "photo_painting.png").touch()
    ...     default_output(Path(folder, "photo_painting.png"), RunConfig()).name
    'photo_painting_2.png'
    """
    there = {found.name for found in path.parent.glob("*.checkpoint")}
    free = free_name(path)
    begun = [name for name in _default_names(path) if checkpoint_path(name).name in there] if there else []
    latest = max(begun, key=lambda name: checkpoint_path(name).stat().st_mtime, default=None)
    if run.resume == AUTO and latest is None:
        raise HandstyleError(f"--resume: no unfinished run ({checkpoint_path(path)} missing); -o names another output")
    if run.resume == AUTO and latest is not None:
        return latest
    if latest is not None and run.resume is None:
        say(f"note: {checkpoint_path(latest)} has an unfinished run; --resume continues it")
    return free


def default_target(source: Path) -> Path:
    """Return the default output: ``NAME_painting`` for a folder NAME, ``NAME_painting.gif`` for a film NAME.gif.

    Examples
    --------
    >>> default_target(Path("photographs/holiday")).name  # in the current folder
    'holiday_painting'
    """
    if source.is_file():
        return Path(f"{source.stem}_painting{source.suffix}")
    return Path(f"{source.resolve().name.replace('.', '_')}_painting")  # resolved because of "." and ".."


def path_at_iteration(output: Path, iteration: int, config: StyleConfig) -> Path:
    """Return the path of the picture that is saved at an iteration, such as ``out_at_iteration_20.png``.

    With `restarts` an iteration is a restart, and its number in the name is counted from 0, as in the Keras script.

    Examples
    --------
    >>> path_at_iteration(Path("out.png"), 20, StyleConfig()).name
    'out_at_iteration_20.png'
    """
    return output.with_name(f"{output.stem}_at_iteration_{iteration - bool(config.restarts)}{output.suffix}")
