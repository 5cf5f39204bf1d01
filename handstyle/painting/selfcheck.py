"""Check the gradients of a network on its device, in its dtype and with its engine, for ``handstyle check``.

There are four kinds of rows. Every layer is checked by the adjoint test, as a network of one layer, with the engine of
the network. A rectifier or a pool is not linear but positively homogeneous and piecewise linear, so
``f(u) = J(u) u`` and ``<f(u), v> = <u, J(u)* v>`` must hold. The gradient of every kind of term is compared with
finite differences in float64. The engine is compared with the reference at the sizes at which engines change their
methods: in float64 by the largest difference, in float32 by the length of the gradient, of the whole picture and of
strips. The last rows name what these checks cannot detect.
"""

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from handstyle.foundations.backend import Array, namespace, to_numpy
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.gradcheck import Report, check_adjoint, check_projection, check_taylor
from handstyle.foundations.image import preprocess_backward, preprocess_forward
from handstyle.losses.normalized import NormalizedTerm
from handstyle.losses.patches import PatchTerm
from handstyle.losses.terms import Term
from handstyle.losses.total_variation import VariationTerm
from handstyle.network.sequence import Cache, Convolution, Pool, ReLU, sequence_forward
from handstyle.network.vgg import Network, summary
from handstyle.optimize.objective import Objective, engine_of, forward_to
from handstyle.painting.config import StyleConfig
from handstyle.painting.normalizations import VARIATIONS
from handstyle.painting.region_masks import unmasked_terms
from handstyle.painting.targets import Painting, build_terms

PLAIN = StyleConfig()
# The largest difference of two gradients in float64, of an engine and of the reference, as a fraction of the largest
# value. They may differ by rounding only.
FLOAT64_BOUND = 1e-9
# In float32 the mask of a rectifier whose input is near zero may be 0 or 1, depending on rounding. This changes the
# gradient's direction by up to FLIPPED for a picture of ORDINARY px a side, in inverse proportion to the side for
# smaller ones, but hardly its length. So the length along the float64 gradient has a tight bound for the whole picture,
# and a looser one for each tenth of the rows and columns, so that an error in one place is detected.
LENGTH_BOUND, STRIP_BOUND, FLIPPED, ORDINARY = 5e-4, 2e-2, 5e-3, 130
STRIPS = 10
# Sides of pictures in pixels. Up to 320 px transformed kernels are kept; above, the first feature map is recomputed.
SIZES = (45, 130, 336)
STEPS = (1e-5, 5e-6, 2e-6, 1e-6)


class Variant(NamedTuple):
    """An objective to check: its name, its configuration, and prefixes of the names of the terms to check.

    Examples
    --------
    >>> [variant.name for variant in VARIANTS if variant.on_features]
    ['wasserstein']
    """

    name: str
    config: StyleConfig
    terms: tuple[str, ...] = ("",)
    on_features: bool = False  # compare with differences of the features, not of the picture


def _tv(form: str) -> Variant:
    optimizer: Any = "lbfgsb" if VARIATIONS[form].in_value else "adam"
    return Variant(f"tv {form}", replace(PLAIN, tv=form, optimizer=optimizer), ("total variation",))  # type: ignore[arg-type]


_REGIONS: dict[str, Any] = {"mask": ("left", "right")}
_PATCHES: dict[str, Any] = {"style_statistic": "patches", "style_layers": ("relu2_1",), "patch_stride": 2}
# Together these configurations have every kind of term.
VARIANTS = [
    Variant("", PLAIN),
    Variant("covariance", replace(PLAIN, style_statistic="covariance"), ("style",)),
    Variant("wasserstein", replace(PLAIN, style_statistic="wasserstein"), ("style",), on_features=True),
    Variant("patches", replace(PLAIN, style_statistic="patches", style_layers=("relu2_1", "relu3_1")), ("style",)),
    Variant("patches, guided", replace(PLAIN, semantic_weight=1.0, **_PATCHES, **_REGIONS), ("style",)),
    Variant("means", replace(PLAIN, means_weight=1.0), ("means",)),
    Variant("losses blended", replace(PLAIN, blend="losses"), ("style relu2_1",)),
    Variant("range", replace(PLAIN, range_weight=1e-4), ("range",)),
    Variant("regions", replace(PLAIN, **_REGIONS), ("style", "held")),
    Variant("inside", replace(PLAIN, mask_rule="inside", style_layers=("relu1_1", "relu2_1"), **_REGIONS), ("style",)),
    Variant("cysmith", replace(PLAIN, mask_mode="cysmith", style_fit="stretch", **_REGIONS), ("style",)),
    Variant("normalized", replace(PLAIN, normalize_gradients=True, optimizer="adam"), ("style", "content")),
    *(_tv(form) for form in VARIATIONS if form != PLAIN.tv),
]


@dataclass(frozen=True)
class Row:
    """The result of one check, a row of the table.

    Parameters
    ----------
    subject : str
        The layer, term or engine that was checked.
    report : Report or None
        The result of the check; None if the subject cannot be checked.
    why : str
        The reason if the subject cannot be checked.

    Examples
    --------
    >>> Row("relu1_1", why="its gradient is not that of the value").report is None
    True
    """

    subject: str
    report: Report | None = None
    why: str = ""


def self_check(
    network: Network,
    size: int = 32,
    seed: int = 0,
    *,
    quick: bool = False,
    configs: Mapping[str, StyleConfig] | None = None,
    sizes: Sequence[int] = SIZES,
) -> Iterator[Row]:
    """Check the gradients of a network and of every kind of objective, and yield the results one by one.

    Parameters
    ----------
    network : Network
        A network with the dtype, device and kernels to check.
    size : int
        Side in pixels of the random picture for finite differences, at least 16.
    seed : int
        Seed of the random pictures and directions, 0 or more.
    quick : bool
        Check only the layers, the default objective and those in `configs`.
    configs : mapping of str to StyleConfig, optional
        Further objectives to check, by name, for instance of a preset or of a settings file.
    sizes : sequence of int
        Sides in pixels of the pictures for which the engine is compared with the reference.

    Yields
    ------
    Row

    Raises
    ------
    HandstyleError
        If the size or the seed is out of range.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> rows = list(self_check(build_network(random_weights(deepest="conv2_1")).astype("float64"), quick=True))
    >>> all(row.report for row in rows if row.report is not None)
    True
    """
    if not 16 <= size <= 512:
        raise HandstyleError(f"size={size}: differences need a picture of 16 to 512 pixels a side")
    if seed < 0:
        raise HandstyleError(f"seed={seed}: must be 0 or more")
    rng = np.random.default_rng(seed)
    yield from _preprocess_rows(network, size, rng)
    yield from _layer_rows(network, rng)
    exact = network.astype("float64")
    variants, asked = VARIANTS[:1] if quick else VARIANTS, (configs or {}).items()
    for variant in [*variants, *(one for name, config in asked for one in _variants_of(name, config))]:
        yield from _term_rows(exact, variant, size, seed)
    for variant in [*variants, *(Variant(name, config) for name, config in asked)]:
        compared = (size,) if quick else sizes if variant is VARIANTS[0] else sizes[:1]
        yield from _engine_rows(network, variant, compared, seed)
    if quick:
        return
    yield from _border_rows(network, sizes[0], seed)
    yield Row("ties", why="> and >= differ only where two values are equal: a point without derivative")


def check_run(network: Network, config: StyleConfig, size: int = 32, seed: int = 0) -> Iterator[Row]:
    """Check the gradients of a network and of the objective of one run, and yield the results one by one.

    Parameters
    ----------
    network : Network
        The network of the run.
    config : StyleConfig
        The settings of the run; its terms are built for random pictures.
    size, seed : int
        See `self_check`.

    Yields
    ------
    Row

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network = build_network(random_weights(widths=(4, 4, 4, 4, 4))).astype("float64")
    >>> all(row.report for row in check_run(network, StyleConfig(style_layers="relu1_1", content_layers="relu2_1")))
    True
    """
    rng = np.random.default_rng(seed)
    yield from _preprocess_rows(network, size, rng)
    yield from _layer_rows(network, rng)
    exact = network.astype("float64")
    for variant in _variants_of("", config):
        yield from _term_rows(exact, variant, size, seed)
    yield from _engine_rows(network, Variant("", config), (size,), seed)


def _variants_of(name: str, config: StyleConfig) -> list[Variant]:
    """Return one variant that checks all terms of a configuration, or two if the style loss is that of Wasserstein.

    The gradient of a Wasserstein term is compared with differences of the features; see `_feature_differences`.
    """
    if config.style_statistic != "wasserstein":
        return [Variant(name, config)]
    others = ("content", "total", "means", "range", "held")
    return [Variant(name, config, ("style",), on_features=True), Variant(name, config, others)]


def check_own_layer(layer: Any, shape: tuple[int, int, int] = (7, 9, 4), seed: int = 0) -> list[Row]:
    """Check the gradient of a layer written by the user, by the adjoint test and by finite differences.

    Parameters
    ----------
    layer : object or class
        An object with ``forward(x) -> (y, cache)`` and ``backward(dy, cache) -> dx``, or a class of such objects, which
        is called without arguments.
    shape : (int, int, int)
        Shape of the input.
    seed : int
        Seed of the input and of the directions.

    Returns
    -------
    list of Row

    Examples
    --------
    >>> from handstyle.network.sequence import ReLU
    >>> [bool(row.report) for row in check_own_layer(ReLU("relu"))]
    [True, True, True]
    """
    layer = layer() if isinstance(layer, type) else layer
    name = getattr(layer, "name", type(layer).__name__)
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    y, cache = layer.forward(x)
    target = rng.standard_normal(y.shape)

    def f(x: Array) -> float:
        difference = layer.forward(x)[0] - target
        return 0.5 * float((difference * difference).sum())

    gradient = layer.backward(y - target, cache)
    # The derivative of the layer at x by a central difference, which is exact where the layer is linear.
    h = 1e-6

    def piece(u: Array) -> Array:
        made: Array = (layer.forward(x + h * u)[0] - layer.forward(x - h * u)[0]) / (2 * h)
        return made

    adjoint = check_adjoint(piece, lambda v: layer.backward(v, cache), x, tolerance=1e-6)
    return [Row(name, report) for report in (adjoint, check_projection(f, gradient, x), check_taylor(f, gradient, x))]


def find_layer(name: str) -> Any:
    """Import a layer by a name of the form ``module:attribute``.

    Raises
    ------
    HandstyleError
        If the name has another form, or the module or the attribute does not exist.

    Examples
    --------
    >>> find_layer("handstyle.network.sequence:ReLU").__name__
    'ReLU'
    >>> try:
    ...     find_layer("Swish")
    ... except HandstyleError as error:
    ...     print(error)
    module='Swish': give MODULE:LAYER, such as mine:Leaky for class Leaky in mine.py
    """
    module, _, attribute = name.partition(":")
    if not attribute:
        raise HandstyleError(f"module={name!r}: give MODULE:LAYER, such as mine:Leaky for class Leaky in mine.py")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise HandstyleError(f"module={name!r}: {error}") from None


def _preprocess_rows(network: Network, size: int, rng: np.random.Generator) -> Iterator[Row]:
    convention = network.convention
    x = network.backend.asarray(rng.uniform(0, 255, (size, size, 3)), dtype=network.dtype)
    zero = preprocess_forward(0 * x, convention)

    def forward(u: Array) -> Array:
        return preprocess_forward(u, convention) - zero

    yield Row("preprocess", check_adjoint(forward, lambda v: preprocess_backward(v, convention), x))


def _layer_rows(network: Network, rng: np.random.Generator) -> Iterator[Row]:
    C = 3
    for layer in network.layers:
        x = network.backend.asarray(rng.standard_normal((12, 13, C)), dtype=network.dtype)  # one side is odd
        yield Row(layer.name, _adjoint(replace(network, layers=(layer,)), x))
        C = layer.w.shape[3] if isinstance(layer, Convolution) else C


def _adjoint(alone: Network, x: Array) -> Report:
    (layer,) = alone.layers
    caches: Cache = None

    def forward(u: Array) -> Array:
        nonlocal caches
        features, caches = alone.forward(u, [layer.name])
        y = features[layer.name]
        return y - layer.b if isinstance(layer, Convolution) else y

    return check_adjoint(forward, lambda v: alone.backward({layer.name: v}, caches), x, draws=2)


def _terms(network: Network, config: StyleConfig, shape: tuple[int, int, int], seed: int) -> list[Term]:
    """Return the terms of a configuration, whose targets are measured on random pictures."""
    rng = np.random.default_rng((seed, 1))
    maps = {row.name: row.shape for row in summary(network, *shape[:2])}
    style = tuple(tap for tap in config.style_layers if tap in maps) or (network.names[-1],)
    content = tuple(tap for tap in config.content_layers if tap in maps) or (network.names[-1],)
    if config.style_statistic == "wasserstein":
        # The square root of a covariance of fewer pixels than channels is not differentiable.
        style = tuple(tap for tap in style if maps[tap][0] * maps[tap][1] >= 4 * maps[tap][2])
    if config.style_statistic == "patches":  # a deep layer of a small picture has none
        style = tuple(tap for tap in style if min(maps[tap][:2]) >= config.patch_size)
    weights = {"content_layer_weights": (), "style_layer_weights": ()}
    config = replace(config, style_layers=style, content_layers=content, **weights)  # type: ignore[arg-type]
    photograph, *paintings = (rng.uniform(0, 255, shape) for _ in range(3))
    masks: list[Array] = []
    sources = [Painting(paintings[0])] if config.blend == "targets" else [Painting(one) for one in paintings]
    if config.mask:
        across = np.linspace(0, 1, shape[1])
        masks = [np.tile(np.clip(edge, 0, 1), (shape[0], 1)) for edge in (1.2 - 3 * across, 3 * across - 1.8)]
        if config.mask_rule == "inside":
            masks = [np.tile((edge > 0).astype(float), (shape[0], 1)) for edge in (0.9 - across, across - 0.1)]
        sources = [Painting(one, region=i) for i, one in enumerate(paintings, 1)]
    held = unmasked_terms(config, network, photograph, [one.region for one in sources], masks)
    return [*build_terms(network, config, photograph, sources, masks), *held]


def _term_rows(network: Network, variant: Variant, size: int, seed: int) -> Iterator[Row]:
    shape = (size, size + 1, 3)
    for term in _terms(network, variant.config, shape, seed):
        if not term.name.startswith(variant.terms):
            continue
        subject = f"{term.name}, {variant.name}" if variant.name else term.name
        if isinstance(term, NormalizedTerm):
            yield Row(subject, why="its gradient is divided by its own size: it is not the derivative of a function")
            continue
        if isinstance(term, VariationTerm):  # one that its author leaves out of the value is checked with its value
            term = replace(term, in_value=True, stretch=1.0)
        term = replace(term, weight=1.0)  # type: ignore[type-var]
        if variant.on_features:
            yield from _feature_differences(network, subject, term, size, seed)
        else:
            yield from _differences(network, subject, term, shape, seed)


def _feature_differences(network: Network, subject: str, term: Term, size: int, seed: int) -> Iterator[Row]:
    """Compare the gradient of a term with respect to its features with finite differences.

    The rounding errors of a matrix square root are large. So differences of the picture need steps so long that they
    cross kinks of rectifiers and pools. As a function of the features the term has no kinks.
    """
    p = network.backend.asarray(np.random.default_rng(seed).uniform(0, 255, (3 * size, 3 * size, 3)))
    f = forward_to(network, [term.tap], p)[0][term.tap]
    value, ds = term.loss(term.measure(f))
    gradient = term.spread(ds, f)
    if not (float(value) and bool((gradient != 0).any())):
        yield Row(subject, Report("differences", False, 0.0, 0.0, [(float(value), 0.0)]))
        return

    def loss(f: Array) -> float:
        return float(term.loss(term.measure(f))[0])

    yield Row(subject, check_projection(loss, gradient, f, step=1e-4, seed=seed))
    yield Row(subject, check_taylor(loss, gradient, f, seed=seed))


def _differences(network: Network, subject: str, term: Any, shape: tuple[int, int, int], seed: int) -> Iterator[Row]:
    objective = Objective(network, [term], shape)
    v = np.random.default_rng(seed).uniform(0, 255, shape).ravel()
    value, gradient = objective(v)
    if not (value and np.any(gradient)):
        yield Row(subject, Report("differences", False, 0.0, 0.0, [(value, float(np.abs(gradient).max()))]))
        return

    def f(v: Array) -> float:
        return objective(v)[0]

    signature = _signature(network, objective.taps, shape, term)
    yield Row(subject, check_projection(f, gradient, v, step=1e-6, seed=seed, signature=signature))
    yield Row(subject, check_taylor(f, gradient, v, STEPS, seed=seed, signature=signature))


def _signature(
    network: Network, taps: tuple[str, ...], shape: tuple[int, int, int], term: Any
) -> Callable[[Array], Array]:
    """Return a function of a picture that changes only at kinks of the term: at rectifiers, pools and sign changes."""

    def of_network(v: Array) -> Array:
        p = network.backend.asarray(v.reshape(shape))
        features, caches = sequence_forward(network.layers, preprocess_forward(p, network.convention), taps)
        pairs = list(zip(network.layers, caches, strict=False))
        kinks = [cache.ravel() for layer, cache in pairs if isinstance(layer, ReLU)]
        kinks += [cache[0].ravel() for layer, cache in pairs if isinstance(layer, Pool) and layer.kind == "max"]
        kinks += [term.measure(features[term.tap]).partner] if isinstance(term, PatchTerm) else []
        return to_numpy(namespace(p).concatenate(kinks)) if kinks else np.zeros(1)

    def of_picture(v: Array) -> Array:
        p = v.reshape(shape)
        return np.concatenate([np.sign(np.diff(p, axis=axis)).ravel() for axis in (0, 1)])

    return of_network if taps else of_picture


def _engine_rows(network: Network, variant: Variant, sizes: Sequence[int], seed: int) -> Iterator[Row]:
    """Compare the network's engine with the reference engine, whose gradients the other rows check."""
    for size in sizes:
        shape = (size, size + 3, 3)
        subject = f"objective at {size} px" + (f", {variant.name}" if variant.name else "")
        reference = network.astype("float64").with_kernels("reference")
        v = np.random.default_rng(seed).uniform(0, 255, shape).ravel()
        exact = Objective(reference, _terms(reference, variant.config, shape, seed), shape)(v)
        if network.engine.name != "reference":
            double = network.astype("float64")
            found = Objective(double, _terms(double, variant.config, shape, seed), shape)(v)
            yield Row(subject, _equal(found, exact))
        if network.dtype == np.float32:
            found = Objective(network, _terms(network, variant.config, shape, seed), shape)(v)
            yield Row(subject, _alike(found, exact, shape))


def _border_rows(network: Network, size: int, seed: int) -> Iterator[Row]:
    """Compare the engine with the reference for every combination of pooling, padding and rounding."""
    for pooling in engine_of(network).poolings:
        for padding in ("zero", "reflect", "replicate"):
            for rounding in ("down", "up"):
                layers = tuple(
                    replace(layer, kind=pooling, rounding=rounding)
                    if isinstance(layer, Pool)
                    else replace(layer, padding=padding)
                    if isinstance(layer, Convolution)
                    else layer
                    for layer in network.layers
                )
                other = replace(network, layers=layers)
                yield from _engine_rows(other, Variant(f"{pooling}, {padding}, {rounding}", PLAIN), (size,), seed)
                if pooling == "max" and rounding == "down":
                    yield from _layer_rows_of_borders(other, padding)


def _layer_rows_of_borders(network: Network, padding: str) -> Iterator[Row]:
    first = next(layer for layer in network.layers if isinstance(layer, Convolution))
    x = network.backend.asarray(np.random.default_rng(0).standard_normal((5, 7, 3)), dtype=network.dtype)
    yield Row(f"{first.name}, {padding}", _adjoint(replace(network, layers=(first,)), x))


def _equal(found: tuple[float, Array], exact: tuple[float, Array]) -> Report:
    """Return a report on the largest relative difference of two float64 gradients and their objective's values."""
    largest = float(np.abs(exact[1]).max())
    error = max(
        float(np.abs(found[1] - exact[1]).max()) / (largest or 1), abs(found[0] - exact[0]) / abs(exact[0] or 1)
    )
    passed = error <= FLOAT64_BOUND and largest > 0 and exact[0] != 0
    return Report("reference, float64", passed, error, FLOAT64_BOUND, [(found[0], exact[0])])


def _alike(found: tuple[float, Array], exact: tuple[float, Array], shape: tuple[int, int, int]) -> Report:
    """Return a report on a float32 gradient compared with the exact one, mainly on its length; see `LENGTH_BOUND`.

    The length is compared for the whole picture, and for strips of rows and columns.
    """
    g, true = (gradient.reshape(shape) for gradient in (found[1], exact[1]))
    size = float(np.linalg.norm(true))
    off = abs(_along(g, true) - 1) / LENGTH_BOUND
    allowed = max(1.0, ORDINARY / min(shape[:2]))
    strips = [s for axis in (0, 1) for s in zip(*(np.array_split(a, STRIPS, axis) for a in (g, true)), strict=True)]
    ends = [(a.take(i, axis), b.take(i, axis)) for axis in (0, 1) for i in (0, -1) for a, b in [(g, true)]]
    local = max(abs(_along(a, b) - 1) for a, b in (*strips, *ends)) / STRIP_BOUND / allowed
    flipped = float(np.linalg.norm(g - true)) / (size or 1) / FLIPPED / allowed
    value = abs(found[0] / (exact[0] or 1) - 1) / LENGTH_BOUND
    worst = max(off, local, flipped, value)
    return Report(
        "reference, float32", worst <= 1 and size > 0, worst * LENGTH_BOUND, LENGTH_BOUND, [(found[0], exact[0])]
    )


def _along(g: Array, true: Array) -> float:
    """Return the length of the projection of `g` on `true`, divided by the length of `true`."""
    square = float((true * true).sum())
    return float((g * true).sum()) / square if square else 1.0
