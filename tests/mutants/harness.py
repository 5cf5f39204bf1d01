"""The checks that each mutant is put to, and that the genuine function passes in the same place.

A subject is a function of the package that a mutant can replace. ``SUBJECTS[subject](candidate)`` puts `candidate` in
its place and returns the reports of the checks by name.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any
from unittest.mock import patch

import numpy as np
from support.differentiable_pairs import (
    MASK,
    Pair,
    convolution_pair,
    half_square,
    linear,
    max_pool_at,
    moments_pair,
    relu_at,
    spectrum_pair,
    weight_pair,
)

from handstyle.foundations.backend import Array
from handstyle.foundations.gradcheck import Report, check_adjoint, check_projection, check_taylor
from handstyle.foundations.image import CONVENTIONS, preprocess_backward, preprocess_forward, resize
from handstyle.foundations.picture_reading import read_picture
from handstyle.kernels import tiles
from handstyle.kernels.winograd_plain import correlate_tiles
from handstyle.losses import patches as patches_module
from handstyle.losses.content import ContentTerm, content_backward, content_forward
from handstyle.losses.gram import StyleTerm, gram_loss, moments_backward, moments_forward
from handstyle.losses.patches import PatchTerm, patches_backward, patches_forward
from handstyle.losses.temporal import certainty, temporal_term, warp
from handstyle.losses.total_variation import VariationTerm, total_variation
from handstyle.network.convolution import conv3x3_backward, conv3x3_forward
from handstyle.network.padding import pad_backward, pad_forward
from handstyle.network.pooling import average_pool_backward, average_pool_forward, max_pool_backward, max_pool_forward
from handstyle.network.relu import relu_backward, relu_forward
from handstyle.network.sequence import sequence_backward, sequence_forward
from handstyle.network.vgg import Weights, build_network, random_weights
from handstyle.network.weight_gradients import conv3x3_bias_gradient, conv3x3_weight_gradient
from handstyle.optimize import objective as objective_module
from handstyle.optimize.objective import Objective, evaluate, forward_to
from handstyle.optimize.precondition import Spectrum
from handstyle.painting import recipe as recipe_module
from handstyle.painting.color import METHODS, color_statistics, match_affine
from handstyle.painting.config import StyleConfig
from handstyle.painting.load import load_network
from handstyle.painting.normalizations import STYLE, Place, carry_over
from handstyle.painting.plan import enlarge_picture, make_plan
from handstyle.painting.stylize import stylize

Reports = dict[str, Report]
STEPS = (1e-5, 3e-6, 1e-6, 3e-7)  # for whole networks, where the nearest kink is near


def draw(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def same(check: str, found: Any, expected: Any, bound: float) -> Report:
    """Return the report of a comparison: the largest difference, relative to the largest expected value."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    error = float(np.abs(found - expected).max() / np.abs(expected).max())
    return Report(check, error <= bound, error, bound)


def check_pair(pair: Pair, x: Array | None = None) -> Reports:
    """Put the questions to a pair, around `x`."""
    x = draw(*pair.shape) if x is None else x
    f, gradient = half_square(pair, draw(*pair.forward(x)[0].shape, seed=1))
    signature = None if pair.signature is None else lambda x: pair.signature(pair.forward(x)[1])
    return {
        "adjoint": check_adjoint(*linear(pair, x), x),
        "projection": check_projection(f, gradient(x), x, signature=signature),
        "taylor": check_taylor(f, gradient(x), x, signature=signature),
    }


def check_loss(loss: Callable[[Array], tuple[Array, Array]], x: Array) -> Reports:
    """Compare a loss with its gradient, around `x`."""
    gradient = loss(x)[1]
    return {
        "projection": check_projection(lambda x: float(loss(x)[0]), gradient, x),
        "taylor": check_taylor(lambda x: float(loss(x)[0]), gradient, x),
    }


def padding_adjoint(candidate: Callable[..., Array]) -> Reports:
    return check_pair(Pair("padding", (5, 7, 3), lambda x: pad_forward(x, "reflect"), candidate))


def convolution_backward(candidate: Callable[..., Array]) -> Reports:
    return check_pair(replace(convolution_pair("zero", (5, 7, 4), 4), backward=candidate))


def slow_convolution(x: Array, w: Array, b: Array) -> Array:
    """Correlate by the definition, a pixel, a channel and a tap at a time; zero outside."""
    H, W, C = x.shape
    y = np.tile(b, (H, W, 1))
    for h, v, k, i, j, c in product(range(H), range(W), range(w.shape[3]), range(3), range(3), range(C)):
        if 0 <= h + i - 1 < H and 0 <= v + j - 1 < W:
            y[h, v, k] += x[h + i - 1, v + j - 1, c] * w[i, j, c, k]
    return y


def convolution_forward(candidate: Callable[..., Any]) -> Reports:
    x, w, b = draw(5, 7, 3), draw(3, 3, 3, 4, seed=1), draw(4, seed=2)
    pair = Pair("convolution", x.shape, lambda x: candidate(x, w, b), conv3x3_backward)
    definition = same("definition", candidate(x, w, b)[0], slow_convolution(x, w, b), 1e-12)
    return check_pair(pair) | {"definition": definition}


def winograd(candidate: Callable[..., Array]) -> Reports:
    """Convolve in tiles of 4 x 4, on sides that are multiples of 4 and on others."""
    w, reports = draw(3, 3, 3, 5, seed=1), {}
    turned = w[::-1, ::-1].transpose(0, 1, 3, 2)
    for words, shape in (("", (13, 22, 3)), (", sides that fit", (12, 20, 3))):
        x = draw(*shape)
        adjoint = check_adjoint(lambda u: candidate(u, w, 4), lambda v: candidate(v, turned, 4), x)
        definition = same("definition", candidate(x, w, 4), slow_convolution(x, w, np.zeros(5)), 1e-12)
        reports |= {f"adjoint{words}": adjoint, f"definition{words}": definition}
    identity = np.zeros((3, 3, 3, 3))
    identity[1, 1] = np.eye(3)  # a first test that comes to mind
    return reports | {"definition, identity kernel": same("definition", candidate(x, identity, 4), x, 1e-12)}


def weight_gradient(candidate: Callable[..., Array]) -> Reports:
    return check_pair(replace(weight_pair("zero"), backward=candidate))


def bias_gradient(candidate: Callable[..., Array]) -> Reports:
    x, w = draw(5, 7, 3), draw(3, 3, 3, 4, seed=1)
    forward = Pair("bias", (4,), lambda b: (conv3x3_forward(x, w, b)[0], None), lambda dy, _: candidate(dy))
    return check_pair(forward)


def rectifier(candidate: Callable[[Array, Array], Array]) -> Reports:
    pair = Pair("rectifier", (6, 8, 3), lambda x: (relu_forward(x)[0], x), candidate, relu_at, lambda x: x > 0)
    tied = np.round(draw(6, 8, 3))  # integers, of which zero is the most frequent
    return check_pair(pair) | {"ties": check_adjoint(*linear(pair, tied), tied)}


def max_pooling(candidate: Callable[[Array, Array], Array]) -> Reports:
    def choices(x: Array) -> Array:
        return max_pool_forward(x)[1][0]

    pair = Pair(
        "max pooling", (6, 8, 3), lambda x: (max_pool_forward(x)[0], x), candidate, max_pool_at("down"), choices
    )
    tied = np.maximum(draw(6, 8, 3), 0)  # after a rectifier, where one block in sixteen is all zeros
    return check_pair(pair) | {"ties": check_adjoint(*linear(pair, tied), tied)}


def average_pooling(candidate: Callable[..., Array]) -> Reports:
    odd = check_pair(Pair("average pooling", (5, 7, 3), lambda x: average_pool_forward(x, "up"), candidate))
    even = check_pair(Pair("average pooling", (4, 6, 3), lambda x: average_pool_forward(x, "up"), candidate))
    return odd | {"adjoint, even sides": even["adjoint"]}


def network_weights() -> Weights:
    """Return a random VGG up to relu3_1, a few channels wide, with biases."""
    weights = random_weights(widths=(4, 5, 6, 6, 6), seed=3, deepest="conv3_1")
    layers = {name: (w, draw(*b.shape, seed=4).astype(b.dtype) / 10) for name, (w, b) in weights.layers.items()}
    return replace(weights, layers=layers)


def check_sweeps(forward: Callable[..., Any], backward: Callable[..., Array], taps: tuple[str, ...]) -> Reports:
    """Compare ``½ Σ ‖feature − target‖²`` over several taps with the sweep's gradient."""
    layers = build_network(network_weights()).astype("float64").layers
    x = draw(9, 11, 3)
    targets = {tap: draw(*f.shape, seed=5) for tap, f in sequence_forward(layers, x, taps)[0].items()}

    def f(x: Array) -> float:
        features, _ = forward(layers, x, taps)
        return sum(0.5 * float(((features[tap] - targets[tap]) ** 2).sum()) for tap in taps)

    def signature(x: Array) -> Array:
        caches = sequence_forward(layers, x, taps)[1]
        pairs = [(layer.name, cache) for layer, cache in zip(layers, caches, strict=False)]
        kinks = [cache.ravel() for name, cache in pairs if name.startswith("relu")]
        return np.concatenate(kinks + [cache[0].ravel() for name, cache in pairs if name.startswith("pool")])

    features, caches = forward(layers, x, taps)
    gradient = backward(layers, {tap: features[tap] - targets[tap] for tap in taps}, caches)
    by_hand, y = {}, x
    for layer in layers[: len(caches)]:
        y = layer.forward(y)[0]
        by_hand[layer.name] = y.copy()
    return {
        "projection": check_projection(f, gradient, x, signature=signature),
        "taylor": check_taylor(f, gradient, x, STEPS, signature=signature),
        "definition": max(
            (same("definition", features[tap], by_hand[tap], 1e-12) for tap in taps), key=lambda r: r.measured
        ),
    }


def backward_sweep(candidate: Callable[..., Array]) -> Reports:
    several = check_sweeps(sequence_forward, candidate, ("relu1_1", "relu2_1", "relu3_1"))
    one = check_sweeps(sequence_forward, candidate, ("relu3_1",))
    return several | {"projection, one tap": one["projection"]}


def forward_sweep(candidate: Callable[..., Any]) -> Reports:
    before = check_sweeps(candidate, sequence_backward, ("conv1_1", "conv2_1", "relu3_1"))
    behind = check_sweeps(candidate, sequence_backward, ("relu1_1", "relu2_1", "relu3_1"))
    return before | {"definition, behind rectifiers": behind["definition"]}


def preprocess_adjoint(candidate: Callable[..., Array]) -> Reports:
    def pair(name: str) -> Pair:
        c = CONVENTIONS[name]
        return Pair(name, (5, 7, 3), lambda p: (preprocess_forward(p, c), c), candidate)

    return {f"adjoint, {name}": check_pair(pair(name))["adjoint"] for name in CONVENTIONS}


def preprocess(candidate: Callable[..., Array]) -> Reports:
    c = CONVENTIONS["caffe"]
    black = candidate(np.zeros((5, 7, 3)), c)
    definition = same("definition", black, np.broadcast_to((-103.939, -116.779, -123.68), black.shape), 1e-12)
    pair = Pair("preprocess", (5, 7, 3), lambda p: (candidate(p, c), c), preprocess_backward)
    return check_pair(pair) | {"definition": definition}


def style_of(
    forward: Callable[..., Any], loss: Callable[..., Any], backward: Callable[..., Array]
) -> Callable[[Array], tuple[Array, Array]]:
    target = moments_forward(draw(3, 5, 4, seed=6))  # a painting of another size than the picture

    def style(f: Array) -> tuple[Array, Array]:
        value, dmoments = loss(forward(f, MASK), target)
        return value, backward(dmoments, f, MASK)

    return style


def moments_adjoint(candidate: Callable[..., Array]) -> Reports:
    through_style = check_loss(style_of(moments_forward, gram_loss, candidate), draw(5, 6, 4))
    masked, plain = check_pair(moments_pair(MASK, candidate)), check_pair(moments_pair(None, candidate))
    return through_style | {"adjoint": masked["adjoint"], "adjoint, no mask": plain["adjoint"]}


def moments(candidate: Callable[..., Any]) -> Reports:
    f = (1 + 0.1 * draw(256, 512, 2)).astype(np.float32)
    F = f.reshape(-1, 2).astype(np.float64)
    f64 = draw(5, 6, 4)
    small = same("definition", candidate(f64).outer, f64.reshape(-1, 4).T @ f64.reshape(-1, 4), 1e-6)
    return {"precision": same("precision", candidate(f).outer, F.T @ F, 1e-6), "definition, few pixels": small}


def style(candidate: Callable[..., Any]) -> Reports:
    return check_loss(style_of(moments_forward, candidate, moments_backward), draw(5, 6, 4))


def patches(candidate: Callable[..., Array]) -> Reports:
    """Put the questions to the pair, and compare the loss of patches with its gradient where partners stay."""
    painting = PatchTerm("relu3_1", draw(6, 8, 4, seed=7))
    pair = Pair("patches", (6, 7, 4), patches_forward, candidate)

    def loss(f: Array) -> float:
        return float(painting.loss(painting.measure(f))[0])

    f = draw(6, 7, 4)
    with patch.object(patches_module, "patches_backward", candidate):
        gradient = painting.spread(painting.loss(painting.measure(f))[1], f)
    seen = {"signature": lambda f: painting.measure(f).partner}
    return {
        "adjoint": check_adjoint(*linear(pair, f), f),
        "projection": check_projection(loss, gradient, f, **seen),
        "taylor": check_taylor(loss, gradient, f, **seen),
    }


def content(candidate: Callable[..., Array]) -> Reports:
    target = np.maximum(draw(5, 6, 4, seed=1), 0)

    def plain(f: Array) -> tuple[Array, Array]:
        return content_forward(f, target), candidate(1.0, f, target)

    def rectified(x: Array) -> tuple[Array, Array]:
        y, mask = relu_forward(x)
        value, dy = plain(y)
        return value, relu_backward(dy, mask)

    return check_loss(plain, draw(5, 6, 4)) | {
        "projection, behind a rectifier": check_loss(rectified, draw(5, 6, 4))["projection"]
    }


def temporal_gradient(candidate: Callable[..., Array]) -> Reports:
    """Compare the temporal loss with its gradient, under a mask and under one that is certain everywhere."""
    target, half = draw(5, 6, 3, seed=1), (np.arange(6) > 1)[None, :, None] * np.ones((5, 1, 1))

    def loss(mask: Array) -> Callable[[Array], tuple[Array, Array]]:
        term = temporal_term(target, mask)

        def with_candidate(p: Array) -> tuple[Array, Array]:
            value, ds = term.loss(term.measure(p))
            return value, candidate(ds, p, target, mask)

        return with_candidate

    everywhere = check_loss(loss(np.ones_like(half)), draw(5, 6, 3))
    return check_loss(loss(half), draw(5, 6, 3)) | {"projection, certain everywhere": everywhere["projection"]}


def motion_of_a_pan(candidate: Callable[..., Array]) -> Reports:
    """Move a frame along a known flow to the next one, and another that is at rest."""
    scene, flow = draw(12, 20, 3), np.stack([np.zeros((12, 15)), np.full((12, 15), 3.0)])
    pan = same("a pan", candidate(scene[:, :15], flow)[:, :12], scene[:, 3:15], 1e-12)
    return {"a pan": pan, "at rest": same("at rest", candidate(scene[:, :15], 0 * flow), scene[:, :15], 1e-12)}


def certainty_of_a_square(candidate: Callable[..., Array]) -> Reports:
    """Find what a square of 6 px uncovers and covers that goes 4 px to the right, and nothing under a pan."""
    forward, backward = np.zeros((2, 2, 20, 24))
    forward[1, 7:13, 6:12], backward[1, 7:13, 10:16] = 4, -4
    found = candidate(forward, backward)
    expected = np.ones((2, 24))  # of the rows through its middle
    expected[:, 6:11], expected[:, 15:17] = 0, 0  # uncovered, or at an edge of the motion
    pan = np.stack([np.zeros((8, 12)), np.full((8, 12), 2.0)])
    return {
        "a square": same("a square", found[9:11].astype(float), expected, 0.0),
        "a pan": same("a pan", candidate(-pan, pan)[:, :10].astype(float), np.ones((8, 10)), 0.0),
    }


def variation(candidate: Callable[..., Any]) -> Reports:
    return check_loss(candidate, draw(5, 7, 3))


def make_objective() -> Objective:
    """Return a small objective with weights other than one."""
    network = build_network(network_weights(), pooling="average").astype("float64")
    features, _ = network.forward(100 * draw(8, 9, 3, seed=9), ["relu1_1", "relu2_1"])
    terms = [
        StyleTerm("relu1_1", moments_forward(features["relu1_1"]), 10.0),
        StyleTerm("relu2_1", moments_forward(features["relu2_1"]), 10.0),
        ContentTerm("relu2_1", features["relu2_1"], 2.0),
        VariationTerm(1e-2),
    ]
    return Objective(network, terms, (8, 9, 3))


def objective(candidate: Callable[[Objective, Array], tuple[float, Array]]) -> Reports:
    """Compare value and gradient at a picture that leaves 0 to 255, and ask again after another evaluation.

    Of two pictures each is asked for first once: what an objective keeps of the first must not show in the second.
    """
    rng = np.random.default_rng(10)
    v, inside = rng.uniform(-40, 295, 216), rng.uniform(5, 250, 216)

    def projection(at: Array) -> Report:
        judged = make_objective()
        gradient = candidate(judged, at)[1]
        step = 1e-7  # under average pooling only the rectifiers have kinks, and none lies this near
        return check_projection(lambda v: candidate(make_objective(), v)[0], gradient, at, step=step)

    found, expected = [], []
    for one, other in ((v, inside), (inside, v)):
        asked_twice = make_objective()
        first = candidate(asked_twice, one)[1]
        expected += [first.copy(), candidate(make_objective(), other)[1].copy()]
        found += [first, candidate(asked_twice, other)[1].copy()]
    return {
        "projection": projection(v),
        "projection, inside 0 to 255": projection(inside),
        "fresh": same("fresh", np.concatenate(found), np.concatenate(expected), 1e-15),
    }


def whole_evaluation(candidate: Callable[..., Any]) -> Reports:
    with patch.object(objective_module, "evaluate", candidate):
        return objective(Objective.__call__)


def by_tiles(owner: Any, name: str, candidate: Callable[..., Any]) -> Reports:
    """Compare an objective by tiles with that of the whole picture, and its gradient with its own value."""
    network = build_network(random_weights(widths=(4, 4, 6, 8, 8), deepest="conv3_1"), "average").astype("float64")
    rng = np.random.default_rng(12)
    p, other = rng.uniform(0, 255, (2, 75, 50, 3))
    features, _ = forward_to(network, ["relu1_1", "relu3_1"], other)
    terms = [StyleTerm("relu1_1", moments_forward(2 * features["relu1_1"]))]
    terms += [StyleTerm("relu3_1", moments_forward(2 * features["relu3_1"]))]
    values, dp = evaluate(network, terms, p)
    with patch.object(owner, name, candidate):
        tiled = Objective(tiles.by_tiles(network, 40), terms, p.shape)
        found, gradient = tiled.prepared(p)
        projection = check_projection(lambda q: tiled.prepared(q)[0].sum(), gradient, p, step=1e-7)
    one, other = np.concatenate([found, gradient.ravel()]), np.concatenate([values, dp.ravel()])
    return {"whole picture": same("whole picture", one, other, 1e-12), "projection": projection}


def colors(candidate: Callable[..., Array]) -> Reports:
    """Compare mean and covariance of what was recolored with those that it shall have."""
    mixed = np.array([[90.0, 20, 0], [0, 40, 10], [5, 0, 15]])
    source, target = draw(9, 11, 3) @ mixed + 120, draw(7, 8, 3, seed=1) @ mixed[::-1] + 90
    mean, covariance = color_statistics(target)
    found = {method: color_statistics(candidate(source, target, method)) for method in METHODS}
    worst = max(
        (same("covariance", covariance_found, covariance, 1e-4) for _, covariance_found in found.values()),
        key=lambda r: r.measured,
    )
    deviations = np.diag(found["symmetric"][1]) ** 0.5
    return {
        "covariance, every map": worst,
        "covariance, symmetric map": same("covariance", found["symmetric"][1], covariance, 1e-4),
        "means": same("means", found["symmetric"][0], mean, 1e-9),
        "deviations": same("deviations", deviations, np.diag(covariance) ** 0.5, 1e-4),
    }


def made_again(name: str, candidate: Callable[..., Any]) -> Reports:
    """Paint a picture, paint it again by its recipe alone, and compare: to the bit, and as an eye does."""
    photograph, painting = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    options = {"size": 32, "iterations": 3, "style_layers": ("relu1_1", "relu2_1"), "pyramid_min_size": 0}
    network = load_network("random", backend="numpy", kernels="reference", padding="reflect")
    with patch.object(recipe_module, name, candidate):
        first = stylize(photograph, painting, network=network, tv_weight=1 / 30_000, **options)
    settings = recipe_module.parse_recipe(first.metadata[recipe_module.KEY], "the picture").settings
    network = load_network("random", backend="numpy", kernels="reference", padding=settings.get("padding", "zero"))
    config = StyleConfig(**{name: settings[name] for name in settings if name in StyleConfig.__dataclass_fields__})
    again = stylize(photograph, painting, network=network, config=config)
    apart = float(np.abs(again.array - first.array).mean())
    return {"again": same("again", again.array, first.array, 0.0), "by eye": Report("by eye", apart <= 4, apart, 4.0)}


def next_scale(candidate: Callable[..., Array]) -> Reports:
    """Compare what is handed to the next scale with what was painted at the last, at its own size."""
    config = StyleConfig(size=64, pyramid_min_size=32, pyramid_detail=False)  # which adds what was not painted
    photograph, painting = (read_picture(128 + 40 * draw(48, 64, 3, seed=seed)) for seed in (0, 1))
    plan = make_plan(config, photograph, [painting])
    small, large = plan.sizes
    smooth = np.linspace(20, 200, small[0])[:, None, None] * np.ones((*small, 3))
    found = candidate(config, plan, smooth, large)
    return {
        "what was painted": same("what was painted", resize(found, small), smooth, 0.02),
        "size": same("size", found.shape, (*large, 3), 0.0),
    }


def change_of_variables(candidate: Callable[[Spectrum, Array], Array]) -> Reports:
    alike = check_pair(spectrum_pair(candidate, exponent=0.0))  # all scales are 1
    return check_pair(spectrum_pair(candidate)) | {"adjoint, exponent 0": alike["adjoint"]}


def carried_weights(candidate: Callable[..., Any]) -> Reports:
    """Compare losses under two normalizations, and a weight that is carried there and back."""
    names = [name for name, factor in STYLE.items() if factor is not None]
    places = [Place(64, 512 * 512, 512 * 512), Place(512, 32 * 32, 512 * 512)]
    loss, back = [], []
    for a, b, at in product(names, names, places):
        weight = candidate(100.0, STYLE, a, b, at)
        loss.append(weight * STYLE[b](at) / (100.0 * STYLE[a](at)))
        back.append(candidate(weight, STYLE, b, a, at))
    return {
        "same loss": same("same loss", loss, np.ones(len(loss)), 1e-12),
        "there and back": same("there and back", back, np.full(len(back), 100.0), 1e-12),
    }


SUBJECTS: dict[str, Callable[[Callable[..., Any]], Reports]] = {
    "pad_backward": padding_adjoint,
    "conv3x3_backward": convolution_backward,
    "conv3x3_forward": convolution_forward,
    "correlate_tiles": winograd,
    "conv3x3_weight_gradient": weight_gradient,
    "conv3x3_bias_gradient": bias_gradient,
    "relu": rectifier,
    "max_pool": max_pooling,
    "average_pool_backward": average_pooling,
    "sequence_backward": backward_sweep,
    "sequence_forward": forward_sweep,
    "preprocess_backward": preprocess_adjoint,
    "preprocess_forward": preprocess,
    "moments_backward": moments_adjoint,
    "moments_forward": moments,
    "gram_loss": style,
    "patches_backward": patches,
    "content_backward": content,
    "temporal_gradient": temporal_gradient,
    "moved": motion_of_a_pan,
    "certainty": certainty_of_a_square,
    "total_variation": variation,
    "objective": objective,
    "evaluate": whole_evaluation,
    "halo_of": partial(by_tiles, tiles, "halo_of"),
    "owned": partial(by_tiles, tiles.PictureTile, "owned"),
    "match_affine": colors,
    "network_settings": partial(made_again, "network_settings"),
    "toml_value": partial(made_again, "toml_value"),
    "enlarged": next_scale,
    "spectrum_backward": change_of_variables,
    "carry_over": carried_weights,
}

GENUINE: dict[str, Callable[..., Any]] = {
    "pad_backward": pad_backward,
    "conv3x3_backward": conv3x3_backward,
    "conv3x3_forward": conv3x3_forward,
    "correlate_tiles": correlate_tiles,
    "conv3x3_weight_gradient": conv3x3_weight_gradient,
    "conv3x3_bias_gradient": conv3x3_bias_gradient,
    "relu": lambda dy, x: relu_backward(dy, relu_forward(x)[1]),
    "max_pool": lambda dy, x: max_pool_backward(dy, max_pool_forward(x)[1]),
    "average_pool_backward": average_pool_backward,
    "sequence_backward": sequence_backward,
    "sequence_forward": sequence_forward,
    "preprocess_backward": preprocess_backward,
    "preprocess_forward": preprocess_forward,
    "moments_backward": moments_backward,
    "moments_forward": moments_forward,
    "gram_loss": gram_loss,
    "patches_backward": patches_backward,
    "content_backward": content_backward,
    "temporal_gradient": content_backward,
    "moved": warp,
    "certainty": certainty,
    "total_variation": total_variation,
    "objective": Objective.__call__,
    "evaluate": objective_module.evaluate,
    "halo_of": tiles.halo_of,
    "owned": tiles.PictureTile.owned,
    "match_affine": match_affine,
    "network_settings": recipe_module.network_settings,
    "toml_value": recipe_module.toml_value,
    "enlarged": enlarge_picture,
    "spectrum_backward": Spectrum.backward,
    "carry_over": carry_over,
}
