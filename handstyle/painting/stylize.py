"""Paint pictures from Python: the functions `stylize`, `texture` and `reconstruct`.

`stylize` reads the pictures, and at each scale measures the targets and minimizes the objective. Its settings are the
fields of `StyleConfig`. `texture` does the same without content, `reconstruct` without style or without content.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from handstyle.foundations.errors import HandstyleError, OutOfMemoryError
from handstyle.foundations.image import Size, resize
from handstyle.foundations.picture_paths import expand_path
from handstyle.foundations.picture_reading import Picture, PictureLike
from handstyle.losses.terms import Term
from handstyle.network.vgg import Network
from handstyle.optimize.objective import Objective
from handstyle.optimize.trace import COMPLETED, FAILED, Ending, Iteration, Outcome
from handstyle.painting.arguments import convert_options, join_callbacks, styles_and_blend, user_terms
from handstyle.painting.call_options import (
    as_network,
    choose_settings,
    collect_styles,
    network_argument,
    options_by_name,
)
from handstyle.painting.config import STRENGTH, StyleConfig, check_layer, style_config
from handstyle.painting.idle_settings import idle_notes
from handstyle.painting.inputs import read_inputs, starting_picture, wanted_side
from handstyle.painting.load import describe_precision
from handstyle.painting.measured import Measured
from handstyle.painting.memory import RunMemory
from handstyle.painting.notes import check_reach, plan_notes
from handstyle.painting.optimizers import OptimizerState, choose_optimizer, made_no_progress
from handstyle.painting.paper import read_paper
from handstyle.painting.plan import Plan, enlarge_picture, final_picture, make_plan, terms_of_scale
from handstyle.painting.progress import RECENT, progress_display, time_left
from handstyle.painting.recipe import BLANK, KEY, collect_inputs, make_recipe
from handstyle.painting.result import PaintingInterrupted, Progress, Result, keep_last
from handstyle.painting.resuming import Identity, RunPosition, read_run, save_run
from handstyle.painting.strength import default_weight, style_weight


@options_by_name
def stylize(
    content: PictureLike,
    styles: PictureLike | Sequence[PictureLike] | Mapping[Any, Any],
    *,
    network: Network | str | os.PathLike[str] | None = None,
    config: StyleConfig | Mapping[str, Any] | None = None,
    preset: str | None = None,
    callback: Callable[[Progress], None] | Sequence[Callable[[Progress], None]] | None = None,
    progress: bool | None = None,
    resume: str | os.PathLike[str] | None = None,
    terms: Sequence[Term] | Callable[[Network, Size], Sequence[Term]] | None = None,
    measured: Measured | None = None,
    **options: Any,
) -> Result:
    """Paint a photograph in the style of one or several paintings.

    Parameters
    ----------
    content : path, PIL image or array
        The photograph.
    styles : path, PIL image or array, or a sequence or dict of them
        One or several paintings, or folders of them. By the settings they are blended, or each styles a region. A dict
        from painting to weight sets `style_blend`; a dict from color to painting sets `style_region`, for the colors of
        the map `regions`.
    network : Network, str or path, optional
        The return value of `load_network`, or its first argument: a name such as ``vgg19``, or a weight file. By
        default the network that ships with the package.
    config : StyleConfig or dict, optional
        The settings of the run; by default `StyleConfig()`, which is also the preset ``handstyle``.
    preset : str, optional
        The name of a published system whose settings are used in place of `config`; it also sets the network's pooling,
        padding and input. See `find_preset`.
    callback : callable or list of callables, optional
        Called with a `Progress` after each iteration; it may raise StopIteration to end the run. An example is `live`.
    progress : bool, optional
        Show a bar with scale, losses and time left in a terminal or a notebook; otherwise print lines on standard
        error.
    resume : path, optional
        A checkpoint written by `Progress.save`, to resume that run. Pictures, network, engine and settings must be the
        same, except for the number of iterations.
    terms : list of Term or callable, optional
        Terms to add to the objective, or a function ``terms(network, (height, width))`` that returns those of a scale.
        See `Term`.
    measured : Measured, optional
        A cache of targets for several runs with one network, so that each picture is measured once at each size.
    **options
        Fields of `StyleConfig` that replace those of `config` or `preset`, such as ``size=256``. `mask`, `style_mask`
        and `init` may be arrays or PIL images, `style_layers` and `content_layers` dicts from layer to weight;
        ``weights`` is an alias of `network`.

    Returns
    -------
    Result

    Raises
    ------
    HandstyleError
        If an input is invalid. As far as possible, this is checked before the first evaluation.
    PaintingInterrupted
        If the run was interrupted after its first evaluation. It is a KeyboardInterrupt with the best picture so far as
        its attribute `result`; `last_result` also returns that picture.

    References
    ----------
    Gatys, Ecker and Bethge 2016, *Image style transfer using convolutional neural networks*, CVPR, eq. 7.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> photograph, painting = rng.uniform(0, 255, (2, 48, 48, 3))
    >>> stylize(photograph, painting, network="random", size=48, iterations=2, style_layers="relu1_1,relu2_1")
    <Result 48 x 48 px, 2 iterations: all 2 iterations done>
    """
    if resume is not None and not isinstance(resume, str | os.PathLike):
        raise HandstyleError(f"resume={type(resume).__name__}: give the path of a saved run")
    network, sources = network_argument(network, options), styles_and_blend(styles, options)
    chosen, config = choose_settings(config, preset, options)
    called = join_callbacks(callback)
    if not isinstance(progress, bool | None):
        raise HandstyleError(f"progress={progress!r}: must be True or False; give a function as callback")
    with progress_display() if progress else nullcontext() as display:
        sources, config = collect_styles(sources, config)
        network, notes = as_network(network, chosen)
        run = prepare_run(content, sources, network, config, terms)
        run.notes = [*notes, *run.notes, *idle_notes(config, options, len(sources))]
        run.callback = join_callbacks([one for one in (display, called) if one is not None])
        run.measured, run.file = measured, None if resume is None else expand_path(resume)
        result = run.paint()
    if keep_last(result).interrupted:
        raise PaintingInterrupted(result)
    return result


def prepare_run(
    content: PictureLike, styles: Sequence[PictureLike], network: Network, config: StyleConfig, terms: Any = None
) -> "PaintingRun":
    """Read and check everything that can be checked before the first evaluation, and return the run.

    Parameters
    ----------
    content : path, PIL image, array or Picture
        The photograph.
    styles : sequence of path, PIL image, array or Picture
        The paintings, without folders; see `collect_styles`.
    network : Network
        The network, changed as the preset requires.
    config : StyleConfig
        The settings.
    terms : list of Term or callable, optional
        See `stylize`.

    Raises
    ------
    HandstyleError
        If an input is invalid, or the run does not fit the memory.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> photograph, painting = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    >>> config = StyleConfig(size=32, style_layers="relu1_1")
    >>> run = prepare_run(photograph, [painting], build_network(random_weights()), config)
    >>> run.plan.sizes, run.planned  # the scales, and the iterations at each
    ([(32, 32)], [200])
    """
    config.check_layers(network)
    photograph, paintings = read_inputs(config, content, styles)
    check_reach(config, network, photograph, paintings)
    if not callable(terms):
        user_terms(terms, network, (0, 0))  # or an error, before long work
    memory = RunMemory.now(config, network, photograph, paintings).fitted()
    memory.check()
    with memory.guard():
        plan = make_plan(config, photograph, paintings)
    return PaintingRun(memory, plan, terms, [memory.tiled] if memory.tiled else [])


@dataclass
class PaintingRun:
    """A run of `stylize`: its settings, memory and pictures, and how far it has come.

    Parameters
    ----------
    memory : RunMemory
        The memory that is needed and free, with the settings and the network.
    plan : Plan
        The pictures at full size, and the sizes of the scales.
    terms : list of Term or callable, optional
        The caller's own terms.
    notes : list of str
        Notes on network, memory and settings.
    callback, measured
        See `stylize`.
    file : Path or None
        The checkpoint to resume from.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> photograph, painting = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    >>> config = StyleConfig(size=32, style_layers="relu1_1")
    >>> run = prepare_run(photograph, [painting], build_network(random_weights()), config)
    >>> run.p.shape, run.position.scale  # the picture to start from, and the first scale
    ((32, 32, 3), 0)
    """

    memory: RunMemory
    plan: Plan
    terms: Any
    notes: list[str]
    callback: Callable[[Progress], None] | None = None
    measured: Measured | None = None
    file: Path | None = None
    own: list[Term] = field(default_factory=list)  # the caller's terms at the current scale
    resuming: list[str] = field(default_factory=list)  # notes on the resumption
    position: RunPosition = field(default_factory=RunPosition)  # from which the run starts or resumes
    state: OptimizerState = field(default_factory=OptimizerState)
    outcome: Outcome | None = None  # of the last scale
    settled: bool = False  # whether a scale ended by `stop_below`
    no_progress: bool = True  # whether no step at any scale made the picture better

    def __post_init__(self) -> None:
        config, network, plan = self.memory.config, self.memory.network, self.plan
        self.config, self.planned = config, [config.iterations_at(k) for k in range(len(plan.sizes))]
        # Before the run, during which files may change.
        self.inputs = collect_inputs(config, plan.photograph, plan.sources)
        self.identity, coarse = Identity(config, network, plan), resize(plan.p, plan.sizes[0])
        pictures = plan.paintings, plan.style_masks, plan.photograph.full_size
        self.p = starting_picture(config, coarse, network.convention, *pictures)

    def paint(self) -> Result:
        """Minimize the objective at each scale, from coarse to fine, and return the result.

        Raises
        ------
        HandstyleError
            If the checkpoint cannot be read, or is that of another run.
        OutOfMemoryError
            If memory runs out at the first scale, and there are no smaller tiles.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> photograph, painting = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3))
        >>> config = StyleConfig(size=16, iterations=2, style_layers="relu1_1")
        >>> prepare_run(photograph, [painting], build_network(random_weights()), config).paint()
        <Result 16 x 16 px, 2 iterations: all 2 iterations done>
        """
        if self.file is not None:
            self.position, self.resuming = read_run(self.file, self.identity)
        self.trace, self.evaluations = list(self.position.trace), self.position.evaluations
        self.size = self.plan.sizes[self.position.scale]  # of the scale that `p` was painted at
        remaining = list(enumerate(self.planned))[self.position.scale :]
        early_end: tuple[Ending, str] | None = None  # why a scale was not brought to its first evaluation
        while remaining:
            k, iterations = remaining.pop(0)
            size, position = self.plan.sizes[k], RunPosition(k, list(self.trace), self.evaluations)
            try:
                outcome = self._minimize(position, size, iterations)
            except KeyboardInterrupt:
                if self.outcome is None:
                    raise
                early_end = "interrupted", ""
                break
            except OutOfMemoryError as error:
                if self._has_smaller_tiles(size, str(error)):
                    remaining.insert(0, (k, iterations))
                    continue
                if self.outcome is None:
                    raise
                early_end = "out of memory", f"stopped: {error}"  # the scales done are kept
                break
            self.outcome, self.p, self.size = outcome, outcome.v.reshape(*size, 3), size
            self.trace += [_continue_row(position, row) for row in outcome.trace]
            self.evaluations += outcome.evaluations
            self.no_progress = self.no_progress and made_no_progress(self.config, outcome)
            self.settled = self.settled or outcome.ended == "settled"  # this ends the scale, not the run
            rest = iterations - len(outcome.trace)
            if outcome.ended == "out of memory" and rest and self._has_smaller_tiles(size, outcome.stopped):
                self.file = None
                remaining.insert(0, (k, rest))
            elif outcome.ended not in COMPLETED:
                break
        assert self.outcome is not None
        ended, stopped = self._ending(*(early_end or (self.outcome.ended, self.outcome.stopped)))
        whole = Outcome(self.p, self.outcome.value, ended, stopped, self.trace, self.evaluations)
        return replace(self._result(whole, self.plan.sizes[-1]), failed=whole.failed or self.no_progress)

    def _minimize(self, position: RunPosition, size: Size, iterations: int) -> Outcome:
        """Run the optimizer at one scale."""
        config, network, plan = self.config, self.memory.network, self.plan
        start = enlarge_picture(config, plan, self.p, size)
        self.state.adam = self.state.resample(self.size, size, network.backend)
        report = self.callback and self._callback(self.callback, position, size)
        resumed = self.file if position.scale == self.position.scale else None
        with self.memory.guard(size), np.errstate(over="ignore", invalid="ignore"):  # the objective raises an error
            self.own = user_terms(self.terms, network, size)
            terms = terms_of_scale(config, network, plan, size, self.measured) + self.own
            objective = Objective(network, terms, (*size, 3))
            done, files = len(position.trace), self.memory.files
            minimize = choose_optimizer(config, iterations, self.state, report, resumed, done, files)
            return minimize(objective, start.ravel())

    def _has_smaller_tiles(self, size: Size, why: str) -> bool:
        """Change to smaller tiles after memory ran out at a scale; return False if there are none."""
        if (less := self.memory.with_smaller_tiles(why)) is not None:
            self.memory, how = less, less.network.engine.name
            self.notes += [f"memory ran out at {size[1]} x {size[0]} px: continued from the best picture by {how}"]
        return less is not None

    def _callback(self, called: Any, position: RunPosition, size: Size) -> Callable[[Iteration], None]:
        """Return a callback of the optimizer at one scale, which calls that of the run."""
        ends = [position.trace[-1].seconds if position.trace else 0.0]
        forecast, planned, sizes = [need.seconds for need in self.memory.needs], self.planned, self.plan.sizes

        def report(row: Iteration) -> None:
            row = _continue_row(position, row)
            ends.append(row.seconds)
            array = self.memory.network.backend.to_numpy(row.v).reshape(*size, 3)  # type: ignore[arg-type]
            trace = position.trace + [replace(row, v=None, save=None)]
            before = [one.seconds for one in position.trace[-RECENT:]]
            stopped = f"after {row.iteration} of {sum(planned)} iterations"
            called(
                Progress(
                    row.iteration,
                    sum(planned),
                    row.evaluations,
                    row.value,
                    row.terms,
                    row.seconds,
                    array,
                    row.save and partial(save_run, save=row.save, position=position, identity=self.identity),
                    position.scale,
                    tuple(sizes),
                    time_left(ends, planned, sizes, position.scale, before, forecast),
                    partial(final_picture, self.config, self.plan, array),
                    partial(self._result, Outcome(array, row.value, "going on", stopped, trace, row.evaluations)),
                )
            )

        return report

    def _ending(self, ended: Ending, stopped: str) -> tuple[Ending, str]:
        """Return how and why the run ended, given how and why the last scale did."""
        done, sizes = len(self.trace), self.plan.sizes
        scales = f" at {len(sizes)} scales" if len(sizes) > 1 else ""
        if self.settled and ended in ("settled", "done"):
            ended, stopped = "settled", f"settled after {done} of {sum(self.planned)} iterations{scales}"
        elif ended == "done" and scales:
            stopped = f"all {done} iterations done{scales}"
        elif ended == "interrupted":
            stopped = f"interrupted after {done} iterations"
        if self.size != sizes[-1]:
            stopped += f" at {self.size[1]} x {self.size[0]} px, enlarged from there"
        if self.no_progress and ended not in FAILED:
            lower = f"lower learning_rate={self.config.learning_rate:g}"
            stopped += f"; no step made the picture better than the start: {lower}"
        return ended, stopped

    def _result(self, end: Outcome, size: Size) -> Result:
        """Return the `Result` at a size for an outcome, which is that of the whole run or of the run so far."""
        config, plan, network = self.config, self.plan, self.memory.network
        alpha, array = plan.photograph.alpha, final_picture(config, plan, end.v, size)
        facts: dict[str, Any] = {"ended": end.ended, "stopped": end.stopped, "iterations": len(end.trace)}
        facts |= {"evaluations": end.evaluations}
        facts |= {"style_weight": style_weight(config, network)} if config.style_weight is None else {}
        facts |= {"loss": end.value, "terms": end.trace[-1].terms if end.trace else {}}
        digest = self.identity.network_digest
        recipe = make_recipe(config, network, self.inputs, describe_precision(network), array, facts, digest)
        own = [f"the term {term.name} is not in the recipe: `handstyle again` paints without it" for term in self.own]
        return Result(
            array,
            None if alpha is None else np.clip(resize(alpha, size), 0, 1),
            end.ended,
            end.stopped,
            end.trace,
            end.evaluations,
            end.failed,
            {"Software": f"handstyle {version('handstyle')}", KEY: recipe.toml()},
            [*self.notes, *plan_notes(plan, network, config), *self.resuming, *own],
            (read_paper(config.print).dpi_at(size),) * 2 if config.print else plan.photograph.dpi,
        )


def _continue_row(position: RunPosition, row: Iteration) -> Iteration:
    """Return a row of a scale's trace with the iterations, evaluations and seconds of earlier scales added."""
    started = position.trace[-1].seconds if position.trace else 0.0
    return replace(
        row,
        iteration=row.iteration + len(position.trace),
        evaluations=row.evaluations + position.evaluations,
        seconds=row.seconds + started,
    )


@options_by_name
def texture(
    styles: PictureLike | Sequence[PictureLike] | Mapping[Any, float],
    *,
    network: Network | str | os.PathLike[str] | None = None,
    config: StyleConfig | Mapping[str, Any] | None = None,
    preset: str | None = None,
    **options: Any,
) -> Result:
    """Paint a square picture that has the style of one or several paintings and no content.

    Parameters
    ----------
    styles, network, config, preset, **options
        See `stylize`; the options may include its `callback`, `progress`, `resume` and `terms`. ``init="content"``
        means blurred noise.

    Returns
    -------
    Result

    Raises
    ------
    HandstyleError
        If masks or colors are given, which need a photograph, and in the cases of `stylize`.

    References
    ----------
    Gatys, Ecker and Bethge 2015, *Texture synthesis using convolutional neural networks*, arXiv 1505.07376.

    Examples
    --------
    >>> import numpy as np
    >>> painting = np.random.default_rng(0).uniform(0, 255, (48, 48, 3))
    >>> texture(painting, network="random", size=32, iterations=2, style_layers="relu1_1,relu2_1")
    <Result 32 x 32 px, 2 iterations: all 2 iterations done>
    """
    run = {name: options.pop(name) for name in ("callback", "progress", "resume", "terms") if name in options}
    network, styles = network_argument(network, options), styles_and_blend(styles, options)
    chosen, config = choose_settings(config, preset, options)
    config = texture_config(config)
    network, notes = as_network(network, chosen)
    result = stylize(blank_picture(config), styles, network=network, config=config, **run)
    return keep_last(replace(result, notes=[*notes, *result.notes]))


@options_by_name
def reconstruct(
    picture: PictureLike,
    layer: str,
    *,
    of: Literal["content", "style"] = "content",
    network: Network | str | os.PathLike[str] | None = None,
    **options: Any,
) -> Result:
    """Reconstruct a picture, from noise, by its features or by its Gram matrix at one layer.

    Parameters
    ----------
    picture : path, PIL image or array
        The given picture.
    layer : str
        The name of the layer, such as relu4_2, conv3_1 or pool2.
    of : {"content", "style"}
        Match the features, or their Gram matrix.
    network : Network, str or path, optional
        See `stylize`.
    **options
        Fields of `StyleConfig` that replace those of `reconstruction_config`; also `callback`, `progress`, `resume` and
        `terms` of `stylize`.

    Returns
    -------
    Result

    Raises
    ------
    HandstyleError
        If the network has no such layer, and in the cases of `stylize`.

    References
    ----------
    Gatys, Ecker and Bethge 2016, fig. 1; Mahendran and Vedaldi 2015, arXiv 1412.0035.

    Examples
    --------
    >>> import numpy as np
    >>> picture = np.random.default_rng(0).uniform(0, 255, (48, 32, 3))
    >>> reconstruct(picture, "relu2_1", network="random", size=48, iterations=2)
    <Result 32 x 48 px, 2 iterations: all 2 iterations done>
    """
    run = {name: options.pop(name) for name in ("callback", "progress", "resume", "terms") if name in options}
    network = network_argument(network, options)
    config = reconstruction_config(layer, of, **convert_options(options))
    network, _ = as_network(network, None)
    check_layer(network, "layer", layer)
    return stylize(picture, picture, network=network, config=config, **run)


def texture_config(config: StyleConfig) -> StyleConfig:
    """Return a copy of a configuration for a texture: without content, and with noise in place of the photograph.

    Examples
    --------
    >>> config = texture_config(StyleConfig(size=256))
    >>> config.content_weight, config.init
    (0.0, 'blurred-noise')
    """
    if config.mask or config.regions:
        raise HandstyleError(f"mask={config.mask or config.regions}: a texture has no regions; `stylize` paints them")
    if config.color != "none":
        raise HandstyleError(f"color={config.color!r}: a texture has no photograph whose colors could be kept")
    init = "blurred-noise" if config.init == "content" else config.init
    if config.strength not in (None, STRENGTH):
        raise HandstyleError(f"strength={config.strength:g}: a texture has no content; use style_weight")
    weight = default_weight(config) if config.style_weight is None else config.style_weight
    return style_config(config, content_weight=0.0, style_weight=weight, init=init, size_rule="long")


def blank_picture(config: StyleConfig) -> Picture:
    """Return the gray square that is used as the photograph of a texture, which has none.

    Examples
    --------
    >>> picture = blank_picture(StyleConfig(size=64))
    >>> picture.pixels.shape, float(picture.pixels[0, 0, 0])
    ((64, 64, 3), 127.5)
    """
    side = wanted_side(config, (1, 1))
    try:
        return Picture(np.full((side, side, 3), 127.5, np.float32), None, BLANK)
    except MemoryError:
        raise OutOfMemoryError(f"size={side}: not even the picture fits the memory; use a smaller size") from None


def reconstruction_config(layer: str, of: str, **options: Any) -> StyleConfig:
    """Return the configuration of a reconstruction from one layer, which starts from noise and has one scale.

    It has a small weight of total variation, because the features of a layer do not determine the finest detail, in
    which the noise of the start would remain.

    Examples
    --------
    >>> config = reconstruction_config("relu4_2", "content", size=128)
    >>> config.content_layers, config.style_weight, config.init, config.size
    (('relu4_2',), 0.0, 'noise', 128)
    """
    if of not in ("content", "style"):
        raise HandstyleError(f"of={of!r}: use content or style")
    one = {"content_weight": float(of == "content"), "style_weight": float(of == "style"), f"{of}_layers": (layer,)}
    return style_config({"size": 256, "init": "noise", "tv_weight": 1e-4, "pyramid_min_size": 0, **one}, **options)
