"""The whole painter: two pictures and a network in, a third picture out.

`stylize` reads the pictures, measures the targets once, and hands the objective to the optimiser. Everything that it
decides is in `StyleConfig`.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image

from handstyle.foundations.backend import Array, Backend, choose_backend, namespace
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.image import fit_long_side, preprocess_forward, resize
from handstyle.foundations.picture_reading import Picture, PictureLike, read_picture
from handstyle.foundations.picture_writing import write_picture
from handstyle.losses.style import Moments, moments_forward
from handstyle.network.vgg import Network
from handstyle.optimize.lbfgsb import minimize_lbfgsb
from handstyle.optimize.objective import ContentTerm, Objective, StyleTerm, Term, TotalVariationTerm
from handstyle.optimize.trace import Iteration, Outcome
from handstyle.painting.config import StyleConfig
from handstyle.painting.networks import load_network


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
    """

    iteration: int
    iterations: int
    evaluations: int
    value: float
    terms: dict[str, float]
    seconds: float
    array: Array


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
) -> Result:
    """Paint `content` in the style of `styles`.

    Parameters
    ----------
    content : path, PIL image or array
        The photograph.
    styles : path, PIL image or array, or a sequence of them
        The painting, or several, whose Gram matrices are averaged.
    network : Network, optional
        From `load_network`; by default the network that ships with the package.
    config : StyleConfig, optional
        The choices of the run.
    callback : callable, optional
        Called with a `Progress` after each iteration; may raise StopIteration to end the run.

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
    network = network or load_network()
    config.check_layers(network)
    backend = backend_of(network)
    photograph = read_picture(content)
    paintings = [read_picture(style) for style in as_sequence(styles)]
    p = fit_long_side(photograph.pixels, config.size, name=photograph.source)
    start = starting_picture(config, p)
    terms = build_terms(network, config, p, [style_pixels(painting, config) for painting in paintings])
    objective = Objective(network, terms, (p.shape[0], p.shape[1], 3), backend)

    def report(row: Iteration) -> None:
        if callback is not None and row.v is not None:
            array = row.v.reshape(p.shape)
            callback(
                Progress(row.iteration, config.iterations, row.evaluations, row.value, row.terms, row.seconds, array)
            )

    outcome = minimize_lbfgsb(objective, start.ravel(), config.iterations, config.memory, callback=report)
    alpha = None if photograph.alpha is None else np.clip(resize(photograph.alpha, p.shape[:2]), 0, 1)
    return Result(
        outcome.v.reshape(p.shape),
        alpha,
        outcome.stopped,
        outcome.trace,
        outcome.evaluations,
        outcome.failed,
        run_metadata(config, network, backend, photograph, paintings, outcome),
        [f"{picture.source}: {note}" for picture in (photograph, *paintings) for note in picture.notes],
    )


def build_terms(network: Network, config: StyleConfig, p: Array, paintings: Sequence[Array]) -> list[Term]:
    """Measure the targets, once, and return the terms of the objective.

    Parameters
    ----------
    network : Network
        Ready to run.
    config : StyleConfig
        Layers and weights; a term whose weight is 0 is left out.
    p : (H, W, 3) array
        The photograph at the size of the output.
    paintings : sequence of (h, w, 3) arrays
        At the size at which their style is measured.

    Returns
    -------
    list of Term
    """
    terms: list[Term] = []
    if config.style_weight and config.style_layers:
        targets = [style_moments(network, painting, config.style_layers) for painting in paintings]
        for tap in config.style_layers:
            total = targets[0][tap].scaled(1 / targets[0][tap].count)
            for target in targets[1:]:
                total = total + target[tap].scaled(1 / target[tap].count)
            terms.append(StyleTerm(tap, total, config.style_weight))
    if config.content_weight and config.content_layers:
        features, _ = network.forward(_enter(network, p), config.content_layers)
        terms += [ContentTerm(tap, features[tap], config.content_weight) for tap in config.content_layers]
    if config.tv_weight:
        terms.append(TotalVariationTerm(config.tv_weight))
    return terms


def style_moments(network: Network, painting: Array, taps: Sequence[str]) -> dict[str, Moments]:
    """Return the moments of a painting's features: (H, W, 3) -> {tap: Moments}."""
    features, _ = network.forward(_enter(network, painting), taps)
    return {tap: moments_forward(features[tap]) for tap in taps}


def starting_picture(config: StyleConfig, p: Array) -> Array:  # (H, W, 3) -> (H, W, 3) float64
    """Return where the optimiser starts, at the size of the photograph `p`."""
    if config.init == "content":
        return p.astype(np.float64)
    if config.init == "noise":
        return np.random.default_rng(config.seed).uniform(0, 255, p.shape)
    if config.init == "grey":
        return np.full(p.shape, 127.5)
    if not Path(config.init).exists():
        raise HandstyleError(f"--init {config.init}: use content, noise, grey, or the path of a picture")
    return resize(read_picture(config.init).pixels, p.shape[:2]).astype(np.float64)


def style_pixels(painting: Picture, config: StyleConfig) -> Array:
    """Return a painting's pixels at the size at which its style is measured."""
    return fit_long_side(painting.pixels, config.style_size or config.size, name=painting.source)


def as_sequence(styles: PictureLike | Sequence[PictureLike]) -> list[PictureLike]:
    """Return one picture or several as a list of at least one."""
    if isinstance(styles, str | os.PathLike | Image.Image | np.ndarray | Picture):
        return [styles]
    if not styles:
        raise HandstyleError("no style: give at least one painting")
    return list(styles)


def backend_of(network: Network) -> Backend:
    """Return the backend on which a network's weights live."""
    xp = namespace(next(layer.w for layer in network.layers if hasattr(layer, "w")))
    return choose_backend("numpy" if xp is np else "cupy")


def _enter(network: Network, p: Array) -> Array:  # host (H, W, 3) -> device (H, W, 3) in the network's convention
    device = backend_of(network).asarray(p, dtype=network.dtype)
    return preprocess_forward(device, network.convention)


def run_metadata(
    config: StyleConfig,
    network: Network,
    backend: Backend,
    photograph: Picture,
    paintings: Sequence[Picture],
    outcome: Outcome,
) -> dict[str, str]:
    """Return what must be written down to repeat a picture, as text."""
    settings = ", ".join(f"{key}={value}" for key, value in asdict(config).items())
    return {
        "Software": f"handstyle {version('handstyle')}",
        "handstyle:content": Path(photograph.source).name,
        "handstyle:styles": ", ".join(Path(painting.source).name for painting in paintings),
        "handstyle:config": settings,
        "handstyle:network": ", ".join(
            (network.architecture, network.convention.name, str(network.dtype), network.engine.name)
        ),
        "handstyle:device": backend.device,
        "handstyle:stopped": outcome.stopped,
        "handstyle:value": f"{outcome.value:.9g} after {outcome.evaluations} evaluations",
    }
