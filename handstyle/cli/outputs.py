"""The outputs of a run: their names, and whether they can be written; the workers of a cluster."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from handstyle.cli.checkpoints import check_checkpoint, checkpoint_path, is_unfinished
from handstyle.cli.options import AUTO, RunConfig
from handstyle.cli.terminal import say
from handstyle.foundations.errors import HandstyleError, printable
from handstyle.foundations.picture_paths import expand_path
from handstyle.foundations.picture_reading import Picture
from handstyle.foundations.picture_writing import check_writable
from handstyle.kernels.cluster import Cluster, connect_cluster
from handstyle.network.vgg import Network
from handstyle.painting.config import StyleConfig
from handstyle.painting.inputs import size_for_photograph
from handstyle.painting.plan import planned_iterations

CLUSTER_TILE = 512  # pixels: small enough that several workers have something to do


@contextmanager
def connect_workers(address: str) -> Iterator[Cluster | None]:
    """Connect to the cluster at an address, print its number of workers, and yield it; without address, yield None.

    Examples
    --------
    >>> with connect_workers("") as cluster:
    ...     cluster is None
    True
    """
    if not address:
        yield None
        return
    with connect_cluster(address) as cluster:
        say(f"cluster: {cluster}")
        yield cluster


def with_workers(cluster: Cluster | None, network: Network, config: StyleConfig) -> Network:
    """Return the network with an engine that computes tiles on a cluster; without a cluster, the network itself.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network = build_network(random_weights())
    >>> with_workers(None, network, StyleConfig()) is network
    True
    """
    return network if cluster is None else cluster.network(network, config.tile or CLUSTER_TILE)


def check_before(output: Path, config: StyleConfig, run: RunConfig) -> None:
    """Raise `HandstyleError`, before any picture is read, if outputs or the checkpoint cannot be written.

    The same for settings that do not fit together.

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
    """Raise `HandstyleError` if an output cannot be written; with a photograph, also if the format does not fit it.

    Examples
    --------
    >>> try:
    ...     check_outputs(Path(__file__), StyleConfig(), RunConfig())
    ... except HandstyleError as error:
    ...     print(str(error).split(": ")[-1])
    choose another name with -o, or add --overwrite
    """
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


def _default_names(path: Path) -> list[Path]:
    """Return the default names of an output, in order: ``photo_painting.png``, ``photo_painting_2.png`` and so on."""
    return [path, *(path.with_name(f"{path.stem}_{number}{path.suffix}") for number in range(2, 10_000))]


def check_page(path: Path, overwrite: bool) -> None:
    """Raise `HandstyleError` if a report cannot be written to `path`.

    Examples
    --------
    >>> try:
    ...     check_page(Path("report.txt"), overwrite=False)
    ... except HandstyleError as error:
    ...     print(error)
    the report report.txt: its name must end in .html
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise HandstyleError(f"the report {printable(path)}: its name must end in .html")
    if path.exists() and (path.is_dir() or not overwrite):
        raise HandstyleError(f"the report {printable(path)} exists: choose another name with -o, or add --overwrite")
    if not os.access(path.absolute().parent, os.W_OK):
        raise HandstyleError(f"the report {printable(path)}: its folder does not exist, or cannot be written to")


def free_name(path: Path) -> Path:
    """Return the first default name that no file and no unfinished run has; see `_default_names`.

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
    """Return the first free default name or, with ``--resume``, that of the latest unfinished run.

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
    """Return the default output for a folder of photographs, a folder ``NAME_painting``, or for a film, a film.

    Examples
    --------
    >>> default_target(Path("holiday")).name
    'holiday_painting'
    """
    if source.is_file():
        return Path(f"{source.stem}_painting{source.suffix}")
    return Path(f"{source.resolve().name.replace('.', '_')}_painting")  # resolved because of "." and ".."


def path_at_iteration(output: Path, iteration: int, config: StyleConfig) -> Path:
    """Return the path of the picture at an iteration, such as ``out_at_iteration_20.png``; restarts count from 0.

    Examples
    --------
    >>> path_at_iteration(Path("out.png"), 20, StyleConfig()).name
    'out_at_iteration_20.png'
    """
    return output.with_name(f"{output.stem}_at_iteration_{iteration - bool(config.restarts)}{output.suffix}")
