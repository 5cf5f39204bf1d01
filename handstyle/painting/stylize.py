"""Paint pictures from Python: the functions `stylize`, `texture` and `reconstruct`.

`stylize` reads the pictures, and at each scale measures the targets and minimizes the objective. Its settings are the
fields of `StyleConfig`. `texture` does the same without content, `reconstruct` without style or without content.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from typing import Any, Literal

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError, OutOfMemoryError
from handstyle.foundations.image import Size, resize
from handstyle.foundations.picture_reading import Picture, PictureLike, expanded
from handstyle.losses.terms import Term
from handstyle.network.vgg import Network
from handstyle.network.weights import EMBEDDED
from handstyle.optimize.objective import Objective
from handstyle.optimize.trace import FAILED, WHOLE, Ending, Iteration
from handstyle.painting.arguments import one_callback, own_terms, plain_options, styles_and_blend
from handstyle.painting.config import STRENGTH, StyleConfig, check_layer, style_config
from handstyle.painting.inputs import read_inputs, spread_folders, starting_picture, wanted_side
from handstyle.painting.load import fit_network, load_network, precision_of
from handstyle.painting.memory import RunMemory
from handstyle.painting.optimizers import Memory, descend, no_step_helped
from handstyle.painting.paper import read_paper
from handstyle.painting.plan import check_reach, enlarged, final_picture, make_plan, terms_of_scale
from handstyle.painting.presets import Preset, find_preset
from handstyle.painting.progress import RECENT, progress_display, time_left
from handstyle.painting.recipe import BLANK, KEY, inputs_of, recipe_of
from handstyle.painting.result import PaintingInterrupted, Progress, Result, keep_last
from handstyle.painting.resuming import Identity, Standing, read_run, save_run
from handstyle.painting.strength import UNCALIBRATED, style_weight
from handstyle.painting.targets import Measured


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
    network, sources = one_network(network, options), styles_and_blend(styles, options)
    chosen, config = chosen_settings(config, preset, options)
    called = one_callback(callback)
    if not isinstance(progress, bool | None):
        raise HandstyleError(f"progress={progress!r}: True or False; a function goes to callback")
    if not progress:
        return _uninterrupted(_run(content, sources, network, config, chosen, called, resume, terms, measured))
    with progress_display() as display:
        both = one_callback([display, *([called] if called else [])])
        result = _run(content, sources, network, config, chosen, both, resume, terms, measured)
    return _uninterrupted(result)


def _uninterrupted(result: Result) -> Result:
    if keep_last(result).interrupted:
        raise PaintingInterrupted(result)
    return result


def _run(
    content: PictureLike,
    styles: Sequence[PictureLike],
    network: Network | str | os.PathLike[str] | None,
    config: StyleConfig,
    chosen: Preset | None,
    callback: Callable[[Progress], None] | None,
    resume: str | os.PathLike[str] | None,
    terms: Any = None,
    measured: Measured | None = None,
) -> Result:
    sources, config = arranged(styles, config)
    network, fitted = ready_network(network, chosen)
    config.check_layers(network)
    photograph, paintings = read_inputs(config, content, sources)
    check_reach(config, network, photograph, paintings)
    if not callable(terms):
        own_terms(terms, network, (0, 0))  # or an error, before long work
    room = RunMemory.now(config, network, photograph, paintings).fitted()
    room.check()
    fitted += [room.tiled] if room.tiled else []
    with room.guarded():
        plan = make_plan(config, photograph, paintings)
    inputs = inputs_of(config, photograph, paintings)
    planned = [config.iterations_at(k) for k in range(len(plan.sizes))]
    backend, memory, identity = room.network.backend, Memory(), Identity(config, room.network, plan)
    file = None if resume is None else expanded(resume)
    standing, resuming = (Standing(), []) if file is None else read_run(file, identity)
    coarse = resize(plan.p, plan.sizes[0])
    p = starting_picture(config, coarse, network.convention, plan.paintings, plan.style_masks, photograph.full_size)

    own: list[Term] = []

    def finished(
        p: Array,
        trace: list[Iteration],
        ended: Ending,
        stopped: str,
        value: float,
        evaluations: int,
        failed: bool,
        size: Size,
    ) -> Result:
        own_notes = [f"the term {term.name} is of your own: `handstyle again` will paint without it" for term in own]
        alpha, array = plan.photograph.alpha, final_picture(config, plan, p, size)
        end: dict[str, Any] = {"ended": ended, "stopped": stopped, "iterations": len(trace), "evaluations": evaluations}
        end |= {"style_weight": style_weight(config, room.network)} if config.style_weight is None else {}
        end |= {"loss": value, "terms": trace[-1].terms if trace else {}}
        recipe = recipe_of(
            config, room.network, inputs, precision_of(room.network), array, end, identity.network_digest
        )
        return Result(
            array,
            None if alpha is None else np.clip(resize(alpha, size), 0, 1),
            ended,
            stopped,
            trace,
            evaluations,
            failed,
            {"Software": f"handstyle {version('handstyle')}", KEY: recipe.toml()},
            [*fitted, *plan.notes(room.network, config), *resuming, *own_notes],
            (read_paper(config.print).dpi_at(size),) * 2 if config.print else plan.photograph.dpi,
        )

    trace, evaluations, outcome, old = list(standing.trace), standing.evaluations, None, plan.sizes[standing.scale]
    settled = False
    cut_short: tuple[Ending, str] | None = None  # why a scale was not begun, or not brought to its first evaluation
    idle = True  # no step at any scale made the picture better
    todo = [(k, size, planned[k]) for k, size in enumerate(plan.sizes) if k >= standing.scale]
    while todo:
        k, size, mine = todo.pop(0)
        done, spent, started = len(trace), evaluations, trace[-1].seconds if trace else 0.0

        def later(row: Iteration, done: int = done, spent: int = spent, started: float = started) -> Iteration:
            return replace(
                row,
                iteration=row.iteration + done,
                evaluations=row.evaluations + spent,
                seconds=row.seconds + started,
            )

        here, ends = Standing(k, list(trace), spent), [started]
        forecast = [need.seconds for need in room.needs()]

        def report(
            row: Iteration,
            later: Callable[[Iteration], Iteration] = later,
            size: Size = size,
            here: Standing = here,
            ends: list[float] = ends,
            forecast: list[float] = forecast,
        ) -> None:
            if callback is not None and row.v is not None:
                row = later(row)
                ends.append(row.seconds)
                array = backend.to_numpy(row.v).reshape(*size, 3)  # type: ignore[arg-type]
                save = None if row.save is None else partial(save_run, save=row.save, standing=here, identity=identity)
                before = [one.seconds for one in here.trace[-RECENT:]]
                so_far = here.trace + [replace(row, v=None, save=None)]
                ends_here = f"after {row.iteration} of {sum(planned)} iterations"
                callback(
                    Progress(
                        row.iteration,
                        sum(planned),
                        row.evaluations,
                        row.value,
                        row.terms,
                        row.seconds,
                        array,
                        save,
                        here.scale,
                        tuple(plan.sizes),
                        time_left(ends, planned, plan.sizes, here.scale, before, forecast),
                        partial(final_picture, config, plan, array),
                        partial(finished, array, so_far, "going on", ends_here, row.value, row.evaluations, False),
                    )
                )

        try:
            start = enlarged(config, plan, p, size)
            memory.adam = memory.resampled(old, size, backend)
            with room.guarded(size), np.errstate(over="ignore", invalid="ignore"):  # the objective raises an error
                own = own_terms(terms, room.network, size)
                parts = terms_of_scale(config, room.network, plan, size, measured) + own
                objective = Objective(room.network, parts, (*size, 3))
                resumed = file if k == standing.scale else None
                outcome = descend(objective, start, config, mine, memory, report, resumed, done, room.files)
                del objective  # what it has prepared would take memory while the next scale's targets are measured
        except KeyboardInterrupt:
            if outcome is None:
                raise
            cut_short = "interrupted", f"interrupted after {len(trace)} iterations"
            break
        except OutOfMemoryError as error:
            if less := room.with_smaller_tiles(str(error)):
                room = less
                fitted, todo = [*fitted, gone_on(size, less)], [(k, size, mine), *todo]
                continue
            if outcome is None:
                raise
            cut_short = "out of memory", f"stopped: {error}"  # the scales done are kept
            break
        trace += [later(row) for row in outcome.trace]
        evaluations += outcome.evaluations
        p, old, idle = outcome.v.reshape(*size, 3), size, idle and no_step_helped(config, outcome)
        settled = settled or outcome.ended == "settled"  # this ends the scale, not the run
        rest = mine - len(outcome.trace)
        if outcome.ended == "out of memory" and rest and (less := room.with_smaller_tiles(outcome.stopped)):
            room, file = less, None
            fitted, todo = [*fitted, gone_on(size, less)], [(k, size, rest), *todo]
        elif outcome.ended not in WHOLE:
            break
    assert outcome is not None
    ended, stopped = cut_short or (outcome.ended, outcome.stopped)
    if settled and ended in ("settled", "done"):
        ended, stopped = "settled", f"settled after {len(trace)} of {sum(planned)} iterations"
        stopped += f" at {len(plan.sizes)} scales" if len(plan.sizes) > 1 else ""
    elif ended == "done" and len(plan.sizes) > 1:
        stopped = f"all {len(trace)} iterations done at {len(plan.sizes)} scales"
    elif ended == "interrupted":
        stopped = f"interrupted after {len(trace)} iterations"
    if old != plan.sizes[-1]:
        stopped += f" at {old[1]} x {old[0]} px, enlarged from there"
    failed = ended in FAILED
    if idle and not failed:
        stopped += f"; no step made the picture better than the start: lower learning_rate={config.learning_rate:g}"
    return finished(p, trace, ended, stopped, outcome.value, evaluations, failed or idle, plan.sizes[-1])


def gone_on(size: Size, room: RunMemory) -> str:
    """Return a note that memory ran out at a scale, and that the run continues with smaller tiles."""
    return f"memory ran out at {size[1]} x {size[0]} px: continued from the best picture by {room.network.engine.name}"


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
        means noise.

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
    network, styles = one_network(network, options), styles_and_blend(styles, options)
    chosen, config = chosen_settings(config, preset, options)
    config = texture_config(config)
    network, notes = ready_network(network, chosen)
    result = stylize(blank(config), styles, network=network, config=config, **run)
    return keep_last(replace(result, notes=[*notes, *result.notes]))


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
    network = one_network(network, options)
    config = reconstruction_config(layer, of, **plain_options(options))
    network, _ = ready_network(network, None)
    check_layer(network, "layer", layer)
    return stylize(picture, picture, network=network, config=config, **run)


def texture_config(config: StyleConfig) -> StyleConfig:
    """Return a copy of a configuration for a texture: without content, and with noise in place of the photograph."""
    if config.mask or config.regions:
        raise HandstyleError(f"mask={config.mask or config.regions}: a texture has no regions; `stylize` paints them")
    if config.color != "none":
        raise HandstyleError(f"color={config.color!r}: a texture has no photograph whose colors could be kept")
    init = "noise" if config.init == "content" else config.init
    if config.strength not in (None, STRENGTH):
        raise HandstyleError(f"strength={config.strength:g}: a texture has no content, beside which it is measured")
    weight = UNCALIBRATED if config.style_weight is None else config.style_weight
    return style_config(config, content_weight=0.0, style_weight=weight, init=init, size_rule="long")


def blank(config: StyleConfig) -> Picture:
    """Return the gray square that is used as the photograph of a texture, which has none."""
    side = wanted_side(config, (1, 1))
    try:
        return Picture(np.full((side, side, 3), 127.5, np.float32), None, BLANK)
    except MemoryError:
        raise OutOfMemoryError(f"size={side}: not even the picture fits in memory; take a smaller one") from None


def reconstruction_config(layer: str, of: str, **options: Any) -> StyleConfig:
    """Return the configuration of a reconstruction from one layer, which starts from noise and has one scale.

    It has a small weight of total variation, because the features of a layer do not determine the finest detail, in
    which the noise of the start would remain.
    """
    if of not in ("content", "style"):
        raise HandstyleError(f"of={of!r}: use content or style")
    one: dict[str, Any] = {"content_weight": 0.0, "style_weight": 1.0, "style_layers": (layer,)}
    if of == "content":
        one = {"content_weight": 1.0, "style_weight": 0.0, "content_layers": (layer,)}
    return style_config({"size": 256, "init": "noise", "tv_weight": 1e-4, "pyramid_min_size": 0, **one}, **options)


def one_network(network: Any, options: dict[str, Any]) -> Any:
    """Return the network that was given as the argument `network` or as its alias ``weights`` in the options."""
    weights = options.pop("weights", None)
    if weights is not None and network is not None:
        raise HandstyleError("network and weights: give one of them")
    return network if weights is None else weights


def chosen_settings(
    config: StyleConfig | Mapping[str, Any] | None, preset: str | None, options: Mapping[str, Any]
) -> tuple[Preset | None, StyleConfig]:
    """Return the preset that was named, or None, and the settings: those of preset or config, changed by options."""
    options = plain_options(options)
    config = plain_options(config) if isinstance(config, Mapping) else config
    if preset is None:
        return None, style_config(config, **options)
    if config is not None:
        raise HandstyleError("config and preset: give one of them, and what differs as keyword arguments")
    chosen = find_preset(preset)
    return chosen, style_config(chosen.settings, **options)


def ready_network(network: Network | str | os.PathLike[str] | None, chosen: Preset | None) -> tuple[Network, list[str]]:
    """Return a network, loaded if necessary and changed as a preset requires, and notes on these changes."""
    if network is None or isinstance(network, str | os.PathLike):
        network = load_network(EMBEDDED if network is None else network)
    if not isinstance(network, Network):
        raise HandstyleError(f"network={type(network).__name__}: give a Network, the name of one, or a weight file")
    return (network, []) if chosen is None else fit_network(network, chosen)


def arranged(styles: Sequence[PictureLike], config: StyleConfig) -> tuple[list[PictureLike], StyleConfig]:
    """Return the list of all paintings, including those given by `style_region` as COLOR=PAINTING.

    Folders are replaced by their pictures. In the returned configuration `style_region` has the colors only.

    Raises
    ------
    HandstyleError
        If the settings do not fit the number of paintings.
    """
    sources, entries = spread_folders(styles), [entry.partition("=") for entry in config.style_region]
    if any(sign for _, sign, _ in entries):
        entries.sort(key=lambda entry: bool(entry[1]))  # the named paintings come last, as they stand
        sources += [path for _, sign, path in entries if sign]
        config = replace(config, style_region=tuple(region.strip() for region, _, _ in entries))
    config.check_styles(len(sources))
    return sources, config
