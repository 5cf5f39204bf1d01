"""The whole painter: two pictures and a network in, a third picture out.

`stylize` reads the pictures, measures the targets once, and hands the objective to the optimiser. Everything that it
decides is in `StyleConfig`.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image

from handstyle.foundations.backend import Array, Backend
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.image import resize
from handstyle.foundations.picture_reading import Picture, PictureLike, read_picture
from handstyle.foundations.picture_writing import write_picture
from handstyle.network.vgg import Network
from handstyle.optimize.objective import Objective
from handstyle.optimize.trace import Iteration
from handstyle.painting.config import StyleConfig
from handstyle.painting.inputs import colours_after, spread_folders, starting_picture
from handstyle.painting.load import load_network, precision_of
from handstyle.painting.memory import RunMemory
from handstyle.painting.optimizers import Memory, descend, iterations_at
from handstyle.painting.plan import Plan, Size, check_reach, enlarged, make_plan, terms_of_scale
from handstyle.painting.resuming import Identity, Standing, read_run, save_run


@dataclass(frozen=True)
class Progress:
    """What a callback is given after each iteration.

    Parameters
    ----------
    iteration, iterations : int
        Done, and planned.
    evaluations : int
        Of the objective, so far.
    value : float
        Of the objective.
    terms : dict of str to float
        The weighted terms whose sum it is.
    seconds : float
        Since the optimiser started.
    array : (H, W, 3) array
        The picture, RGB, 0 to 255, not clipped.
    save : callable, optional
        ``save(path)`` writes the whole run, from which `stylize` goes on bit for bit; valid during the callback only.
        None with SciPy's optimiser, whose state cannot be had.
    """

    iteration: int
    iterations: int
    evaluations: int
    value: float
    terms: dict[str, float]
    seconds: float
    array: Array
    save: Callable[[Path], None] | None = None


@dataclass(frozen=True)
class Result:
    """A painted picture, and how it came about.

    Parameters
    ----------
    array : (H, W, 3) array of float64
        RGB, 0 to 255, not clipped.
    alpha : (H, W) array or None
        The photograph's transparency.
    stopped : str
        Why the optimiser stopped.
    trace : list of Iteration
        One row an iteration.
    evaluations : int
        Of the objective.
    failed : bool
        Whether the run ended on a value that was not finite; the picture is then the last good one.
    metadata : dict of str to str
        Everything needed to repeat the run; written into the file.
    notes : list of str
        What reading the pictures decided or lost.
    """

    array: Array
    alpha: Array | None
    stopped: str
    trace: list[Iteration]
    evaluations: int
    failed: bool
    metadata: dict[str, str]
    notes: list[str] = field(default_factory=list)

    @property
    def image(self) -> Array:
        """The picture as (H, W, 3) uint8."""
        clipped: Array = np.clip(np.rint(self.array), 0, 255).astype(np.uint8)
        return clipped

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Write the picture with its transparency and metadata; see `write_picture`."""
        write_picture(path, self.array, self.alpha, self.metadata, overwrite)


def stylize(
    content: PictureLike,
    styles: PictureLike | Sequence[PictureLike],
    *,
    network: Network | None = None,
    config: StyleConfig | None = None,
    callback: Callable[[Progress], None] | None = None,
    resume: str | os.PathLike[str] | None = None,
) -> Result:
    """Paint `content` in the style of `styles`.

    Parameters
    ----------
    content : path, PIL image or array
        The photograph.
    styles : path, PIL image or array, or a sequence of them
        The painting, or several, or folders of them; blended, or each in its region, as the configuration says.
    network : Network, optional
        From `load_network`; by default the network that ships with the package.
    config : StyleConfig, optional
        The choices of the run.
    callback : callable, optional
        Called with a `Progress` after each iteration; may raise StopIteration to end the run.
    resume : path, optional
        A run to go on with, from `Progress.save`; pictures, network and settings must be those it was saved with, but
        for the number of iterations.

    Returns
    -------
    Result

    Raises
    ------
    HandstyleError
        If an input cannot be used. Everything that can be known before the first evaluation is checked before it.
    """
    config = config or StyleConfig()
    config.check()
    sources = spread_folders(as_sequence(styles))
    config.check_styles(len(sources))
    network = network or load_network()
    config.check_layers(network)
    photograph, paintings = read_picture(content), [read_picture(source) for source in sources]
    check_reach(config, network, photograph, paintings)
    memory_check = RunMemory.now(config, network, photograph, paintings)
    memory_check.check()
    with memory_check.guarded():
        plan = make_plan(config, photograph, paintings)
    total = sum(iterations_at(config, k) for k in range(len(plan.sizes)))
    backend, memory, identity = network.backend, Memory(), Identity(config, network, plan)
    file = None if resume is None else Path(resume)
    standing = Standing() if file is None else read_run(file, identity)
    p = starting_picture(config, resize(plan.p, plan.sizes[0]), network.convention, plan.paintings)
    trace, evaluations, outcome, old = list(standing.trace), standing.evaluations, None, plan.sizes[standing.scale]
    for k, size in enumerate(plan.sizes):
        if k < standing.scale:
            continue
        p = enlarged(config, plan, p, size)
        memory.adam = memory.resampled(old, size, backend)
        with memory_check.guarded(size):
            objective = Objective(network, terms_of_scale(config, network, plan, size), (*size, 3))
        done, spent, started = len(trace), evaluations, trace[-1].seconds if trace else 0.0

        def later(row: Iteration, done: int = done, spent: int = spent, started: float = started) -> Iteration:
            return replace(
                row,
                iteration=row.iteration + done,
                evaluations=row.evaluations + spent,
                seconds=row.seconds + started,
            )

        here = Standing(k, list(trace), spent)

        def report(
            row: Iteration, later: Callable[[Iteration], Iteration] = later, size: Size = size, here: Standing = here
        ) -> None:
            if callback is not None and row.v is not None:
                row = later(row)
                array = backend.to_numpy(row.v).reshape(*size, 3)  # type: ignore[arg-type]
                save = None if row.save is None else partial(save_run, save=row.save, standing=here, identity=identity)
                callback(
                    Progress(row.iteration, total, row.evaluations, row.value, row.terms, row.seconds, array, save)
                )

        with memory_check.guarded(size), np.errstate(over="ignore", invalid="ignore"):  # the objective says it, in words
            outcome = descend(
                objective,
                p,
                config,
                iterations_at(config, k),
                memory,
                report,
                file if k == standing.scale else None,
                done,
            )
        trace += [later(row) for row in outcome.trace]
        evaluations += outcome.evaluations
        p, old = outcome.v.reshape(*size, 3), size
        if outcome.failed or outcome.stopped.startswith(("stopped", "interrupted")):
            break
    assert outcome is not None
    stopped = outcome.stopped
    if len(plan.sizes) > 1 and outcome.stopped.startswith("all "):
        stopped = f"all {len(trace)} iterations done at {len(plan.sizes)} scales"
    elif outcome.stopped.startswith("interrupted"):
        stopped = f"interrupted after {len(trace)} iterations"
    if old != plan.sizes[-1]:
        stopped += f" at {old[1]} x {old[0]} px, enlarged from there"
    array = colours_after(config, resize(p, plan.sizes[-1]), plan.photograph_pixels, plan.masks)
    alpha = plan.photograph.alpha
    return Result(
        array,
        None if alpha is None else np.clip(resize(alpha, plan.sizes[-1]), 0, 1),
        stopped,
        trace,
        evaluations,
        outcome.failed,
        run_metadata(config, network, backend, plan, stopped, outcome.value, evaluations),
        plan.notes(network, config),
    )


def as_sequence(styles: PictureLike | Sequence[PictureLike]) -> list[PictureLike]:
    """Return one picture or several as a list of at least one."""
    if isinstance(styles, str | os.PathLike | Image.Image | np.ndarray | Picture):
        return [styles]
    if not styles:
        raise HandstyleError("no style: give at least one painting")
    return list(styles)


def run_metadata(
    config: StyleConfig, network: Network, backend: Backend, plan: Plan, stopped: str, value: float, evaluations: int
) -> dict[str, str]:
    """Return what must be written down to repeat a picture, as text."""
    settings = ", ".join(f"{key}={value}" for key, value in asdict(config).items())
    return {
        "Software": f"handstyle {version('handstyle')}",
        "handstyle:content": Path(plan.photograph.source).name,
        "handstyle:styles": ", ".join(Path(painting.source).name for painting in plan.sources),
        "handstyle:config": settings,
        "handstyle:network": ", ".join(
            (network.architecture, network.convention.name, str(network.dtype), network.engine.name)
        ),
        "handstyle:device": backend.device,
        "handstyle:precision": precision_of(network),
        "handstyle:stopped": stopped,
        "handstyle:value": f"{value:.9g} after {evaluations} evaluations",
    }
