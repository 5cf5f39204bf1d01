"""An objective by tiles against `evaluate` on the whole picture: every kind of term, tap, border, pool, size."""

import tracemalloc
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from handstyle.kernels import tiles
from handstyle.kernels.cuda.dry_device import DryDevice
from handstyle.kernels.cuda.engine import CudaEngine
from handstyle.kernels.tiles import (
    Step,
    TileEngine,
    TileJob,
    Tiling,
    by_tiles,
    cut_side,
    reach,
    tree_sum,
    variation_by_strips,
)
from handstyle.losses.content import ContentTerm
from handstyle.losses.distribution import (
    DistributionTerm,
    covariance_loss,
    gaussian,
    mean_loss,
    std_loss,
    wasserstein_loss,
)
from handstyle.losses.gram import StyleTerm, moments_forward
from handstyle.losses.normalized import NormalizedTerm
from handstyle.losses.temporal import temporal_term
from handstyle.losses.terms import PICTURE, Term
from handstyle.losses.total_variation import (
    VariationTerm,
    absolute_variation,
    diagonal_variation,
    power_variation,
    range_penalty,
    separate_variation,
)
from handstyle.network.sequence import ReLU
from handstyle.network.vgg import Network, build_network, random_weights
from handstyle.optimize.objective import Objective, engine_of, evaluate, forward_to
from handstyle.painting.config import style_config
from handstyle.painting.load import fit_network
from handstyle.painting.normalizations import VARIATIONS
from handstyle.painting.presets import PRESETS, find_preset
from handstyle.painting.targets import Painting, build_terms

DEEP = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
STYLE = DEEP[:4]  # with halos of 32 pixels
SHAPE = (139, 117, 3)  # odd, and no multiple of 8
LONG = (411, 37, 3)  # three tiles with halos of 80
SIDE = 104


def slim(pooling: str = "max", padding: str = "zero", rounding: str = "down", deepest: str = "conv4_1") -> Network:
    weights = random_weights("vgg19", (8, 8, 8, 12, 8), seed=5, deepest=deepest)
    rng = np.random.default_rng(6)
    for _, b in weights.layers.values():
        b += rng.normal(0, 0.3, b.shape)
    return build_network(weights, pooling, padding, rounding).astype(np.float64).with_kernels("auto")


@pytest.fixture(scope="module")
def network() -> Network:
    return slim()


def picture(seed: int = 0, shape: tuple[int, int, int] = SHAPE) -> Array:
    return np.random.default_rng(seed).uniform(-20, 275, shape)


def style_and_content(network: Network, shape: tuple[int, int, int] = SHAPE, taps: Sequence[str] = STYLE) -> list[Term]:
    features, _ = forward_to(network, {*taps, "relu3_2"}, picture(1, shape).astype(network.dtype))
    styles = [StyleTerm(tap, moments_forward(features[tap]), 3.0) for tap in taps]
    return [*styles, ContentTerm("relu3_2", features["relu3_2"][::-1].copy(), 1.5)]


def assert_same(network: Network, terms: Sequence[Term], p: Array, side: int, bound: float = 1e-12) -> None:
    """Compare value and gradient by tiles with those of the whole picture, on the device and for SciPy."""
    values, dp = evaluate(network, terms, p)
    objective = Objective(by_tiles(network, side), terms, p.shape)  # type: ignore[arg-type]
    found, gradient = objective.prepared(p)
    assert found.dtype == np.float64
    assert gradient.dtype == p.dtype
    np.testing.assert_allclose(found, values, rtol=bound)
    assert np.abs(dp).max() > 0
    assert np.abs(gradient - dp).max() <= bound * np.abs(dp).max()
    _, flat = objective.prepared.host(p.astype(np.float64).ravel())
    assert flat.dtype == np.float64
    assert np.abs(flat - dp.ravel()).max() <= bound * np.abs(dp).max()


# --- geometry -------------------------------------------------------------------------------------------------------


@given(st.integers(1, 4000), st.integers(1, 30), st.integers(0, 5), st.sampled_from([1, 2, 8, 16, 32]))
def test_every_pixel_is_owned_once_and_has_its_halo(length: int, blocks: int, margin: int, stride: int) -> None:
    halo, side = margin * stride, (2 * margin + blocks) * stride
    spans = cut_side(length, side, halo, stride)
    assert spans[0].own_start == 0
    assert spans[-1].own_stop == spans[-1].stop == length
    for span, after in zip(spans, [*spans[1:], None], strict=True):
        assert span.start % stride == 0
        assert span.own_start % stride == 0
        assert span.start == 0 or span.own_start - span.start >= halo
        assert span.stop - span.start < side + stride
        if after is not None:
            assert span.stop % stride == 0
            assert span.own_stop - span.own_start >= stride  # a value at every tap
            assert span.stop - span.own_stop >= halo
            assert after.own_start == span.own_stop


def test_the_reach_is_that_of_the_table() -> None:
    weights = {"vgg19": 70, "vgg16": 58}
    for architecture, radius in weights.items():
        layers = build_network(random_weights(architecture)).layers
        assert reach(layers) == (radius, 16)
    assert Tiling(layers, ["relu5_1"], 1000, 1000, 512).halo == 64
    layers = build_network(random_weights("vgg19", (4, 4, 4, 4, 4), deepest="conv5_4")).layers
    pools = [i for i, layer in enumerate(layers) if layer.name == "pool4"]
    assert reach(layers[: pools[0] + 1]) == (54, 16)


def test_a_value_sees_as_far_as_the_reach_says_and_no_farther() -> None:
    network = slim(deepest="conv5_1").with_kernels(
        "reference"
    )  # Winograd's rounding depends on values beyond the field
    p, (radius, stride) = picture(0, LONG), reach(network.layers)
    f = forward_to(network, ["relu5_1"], p)[0]["relu5_1"]
    low, high = 10 * stride - radius, 11 * stride + radius
    for row, seen in ((low - 1, False), (low, True), (high - 1, True), (high, False)):
        q = p.copy()
        q[row] += 1e4
        changed = (forward_to(network, ["relu5_1"], q)[0]["relu5_1"][10] != f[10]).any()
        assert changed == seen, row


# --- the proof ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [72, 88, 104, 120])
def test_every_tile_size_gives_the_whole_pictures_value_and_gradient(side: int, network: Network) -> None:
    assert_same(network, [*style_and_content(network), VariationTerm(1e-3)], picture(), side)


@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize("padding", ["zero", "reflect", "replicate"])
@pytest.mark.parametrize("rounding", ["down", "up"])
def test_every_border_and_pool(pooling: str, padding: str, rounding: str) -> None:
    network = slim(pooling, padding, rounding)
    assert_same(network, style_and_content(network), picture(), SIDE)
    deep = slim(pooling, padding, rounding, "conv5_1")
    assert_same(deep, style_and_content(deep, LONG, DEEP), picture(0, LONG), 256)


@given(st.integers(16, 140), st.integers(60, 140), st.sampled_from(["down", "up"]))
@settings(max_examples=12, deadline=None)
def test_any_size(height: int, width: int, rounding: str) -> None:
    network, shape = slim(rounding=rounding, deepest="conv3_1"), (height, width, 3)
    features, _ = forward_to(network, ["relu1_2", "relu3_1"], picture(1, shape))
    terms: list[Term] = [StyleTerm(tap, moments_forward(f)) for tap, f in features.items()]
    assert_same(network, terms, picture(2, shape), 48)


@pytest.mark.parametrize(
    "taps", [("conv1_1",), ("pool1", "relu2_2"), ("conv3_2", "pool3"), ("pool4",), ("relu5_4", "pool5", "relu1_1")]
)
@pytest.mark.parametrize("rounding", ["down", "up"])
def test_any_layer_may_be_tapped(taps: tuple[str, ...], rounding: str) -> None:
    weights = random_weights("vgg19", (4, 4, 4, 4, 4), seed=5, deepest="conv5_4")
    network = build_network(weights, rounding=rounding).astype(np.float64)
    shape = (489, 37, 3)
    features, _ = forward_to(network, taps, picture(1, shape))
    terms: list[Term] = [StyleTerm(tap, moments_forward(f), 2.0) for tap, f in features.items()]
    assert_same(network, terms, picture(2, shape), 352)


def terms_of_every_kind(network: Network, tap: str) -> list[Term]:
    f = forward_to(network, [tap], picture(1).astype(network.dtype))[0][tap]
    target, rng = moments_forward(2 * f + 1), np.random.default_rng(4)
    mask = rng.uniform(0, 1, (*f.shape[:2], 1))
    losses = ((0.5, partial(mean_loss, target=target)), (0.25, partial(std_loss, target=target)))
    return [
        StyleTerm(tap, target, 3.0),
        StyleTerm(tap, target, 3.0, mask=mask, name="masked"),
        StyleTerm(tap, target, 3.0, mask=mask, name="counts all", counts_all=True),
        DistributionTerm(tap, losses, 2.0, name="means"),
        DistributionTerm(tap, ((1e-3, partial(covariance_loss, target=target)),), 2.0, mask, "covariance"),
        DistributionTerm(tap, ((1.0, partial(wasserstein_loss, target=gaussian(target, 10.0))),), name="wasserstein"),
        ContentTerm(tap, f, 1.5),
        ContentTerm(tap, f, 1.5, mask=mask, name="content, masked"),
        NormalizedTerm(ContentTerm(tap, f, name="normalized content"), 2.0),
        NormalizedTerm(StyleTerm(tap, target, name="normalized style", mask=mask), 2.0),
        Contrast(tap),
    ]


@dataclass(frozen=True)
class Contrast:
    """A term that no engine can have heard of: ``Σ f⁴``."""

    tap: str
    weight: float = 1e-9
    name: str = "contrast"

    def measure(self, f: Array, where: object = None) -> Array:
        return (f**4).sum(dtype=np.float64)  # type: ignore[no-any-return]

    def loss(self, s: Array) -> tuple[Array, Array]:
        return s, np.ones_like(s)

    def spread(self, ds: Array, f: Array, where: object = None) -> Array:
        return (4 * ds).astype(f.dtype) * f**3  # type: ignore[no-any-return]


@pytest.mark.parametrize("tap", ["relu1_1", "pool2", "relu4_1"])
def test_each_kind_of_term_alone_and_all_together(tap: str, network: Network) -> None:
    terms = terms_of_every_kind(network, tap)
    for term in terms:
        assert_same(network, [term], picture(), SIDE)
    assert_same(network, [*terms, StyleTerm("relu3_1", moments_forward(np.ones((3, 3, 8))))], picture(), SIDE)


def terms_of_the_picture() -> list[Term]:
    held = picture(5)
    mask = np.random.default_rng(6).uniform(0, 1, (*SHAPE[:2], 1))
    wrapped = partial(power_variation, exponent=1.0, epsilon=1e-3, edges="wrap")
    functions = {
        "absolute": absolute_variation,
        "separate": separate_variation,
        "keras": power_variation,
        "diagonal": diagonal_variation,
        "wrapped": wrapped,
        "range": range_penalty,
    }
    return [
        VariationTerm(1e-2),
        *(VariationTerm(1e-3, name, f) for name, f in functions.items()),
        VariationTerm(1e-3, "not in the value", in_value=False, stretch=2.0),
        ContentTerm(PICTURE, held, 0.1, 1 / held.size, mask, "held pixels"),
        NormalizedTerm(ContentTerm(PICTURE, held, name="normalized"), 2.0),
        temporal_term(held[::-1], (mask > 0.3) * 1.0, 0.2),
        Contrast(PICTURE, 1e-12, "picture contrast"),
    ]


def test_terms_of_the_picture_are_computed_strip_by_strip(network: Network, monkeypatch: Any) -> None:
    monkeypatch.setattr(tiles, "STRIP_PIXELS", 50 * SHAPE[1])
    for term in terms_of_the_picture():
        assert_same(network, [term], picture(), SIDE)
    assert_same(network, [*style_and_content(network), *terms_of_the_picture()], picture(), SIDE)


def test_a_normalized_variation_is_measured_on_the_whole_picture(network: Network, monkeypatch: Any) -> None:
    monkeypatch.setattr(tiles, "STRIP_PIXELS", 50 * SHAPE[1])
    assert_same(network, [NormalizedTerm(VariationTerm(), 0.3)], picture(), SIDE)


@pytest.mark.parametrize("form", sorted(VARIATIONS))
def test_total_variation_of_every_form_by_strips_is_that_of_the_whole_picture(form: str) -> None:
    one, p, asked = VARIATIONS[form], picture(3, (23, 9, 3)), []
    dp = np.zeros_like(p)

    def cut(rows: slice) -> np.ndarray:
        asked.append(rows.stop - rows.start)
        return p[rows]

    def add(rows: slice, df: np.ndarray) -> None:
        dp[rows] += df

    term = VariationTerm(function=one.variation)
    value = variation_by_strips(term, cut, add, p.shape, 5)
    expected, gradient = one.variation(p)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    np.testing.assert_allclose(dp, gradient, rtol=0, atol=1e-12 * abs(gradient).max())
    assert max(asked) == (6 if form in ("mean-square", "keras", "absolute") else 23)


@pytest.mark.parametrize("form", [*sorted(VARIATIONS), "range"])
def test_the_arrays_of_every_function_of_the_picture_are_in_the_forecast(form: str, network: Network) -> None:
    term = VariationTerm(function=range_penalty if form == "range" else VARIATIONS[form].variation)
    tiled, shape, terms = by_tiles(network, SIDE), (1200, 300, 3), style_and_content(network)
    p, dp = picture(3, shape).astype(np.float32), np.zeros(shape)
    prepared = engine_of(tiled).prepare(tiled, [term], shape)
    tracemalloc.start()
    prepared.add_gradient(p, dp)  # type: ignore[attr-defined]
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    without, expected = (engine_of(tiled).forecast(tiled, of, shape).bytes for of in (terms, [*terms, term]))
    assert taken < expected - without + (1 << 20)
    assert taken > 0.3 * (expected - without)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset(name: str) -> None:
    chosen = find_preset(name)
    weights = random_weights("vgg19", (8, 8, 8, 12, 8), seed=5, deepest="conv5_2")
    network, _ = fit_network(build_network(weights).astype(np.float64).with_kernels("auto"), chosen)
    config = style_config(chosen.settings)
    mask = np.zeros(LONG[:2])
    mask[:170, 20:] = 1
    shapes = [(100, 80, 3), (70, 90, 3), (90, 90, 3)] if config.style_fit == "keep" else [LONG] * 3
    one, two, three = (picture(7 + i, shape) for i, shape in enumerate(shapes))
    paintings = [Painting(one), Painting(two, region=1), Painting(three, blend=2.0)]
    terms = build_terms(network, config, picture(1, LONG), paintings, [mask])
    if config.style_statistic == "patches":  # whose partners may lie anywhere
        with pytest.raises(HandstyleError, match="patches need the whole map"):
            Objective(by_tiles(network, 256), terms, LONG).prepared(picture(0, LONG))
        return
    # The Wasserstein loss takes roots near zero: two orders of summation differ by 1.3e-12 of its value with crowson,
    # and by 6e-10 where the features are on Caffe's scale.
    bounds = {"crowson": 1e-11, "wasserstein": 1e-8}
    assert_same(network, terms, picture(0, LONG), 256, bounds.get(name, 1e-12))


def test_in_float32(network: Network) -> None:
    single = slim("average").astype(np.float32)  # a smooth pool: a maximum near a tie may be decided by rounding
    terms = [*style_and_content(single), VariationTerm(1e-3)]
    assert_same(single, terms, picture().astype(np.float32), SIDE, 1e-5)


def test_forward_and_backward_are_those_of_the_whole_picture(network: Network) -> None:
    x, taps = picture() - 120, ("relu1_1", "pool2", "relu4_1")
    features, caches = network.forward(x, taps)
    entering = {tap: np.random.default_rng(2).normal(size=f.shape) for tap, f in features.items()}
    dx = network.backward(entering, caches)
    for side in (SIDE, 1000):
        tiled = by_tiles(network, side)
        found, caches = tiled.forward(x, taps)
        for tap, f in features.items():
            assert np.abs(found[tap] - f).max() <= 1e-12 * np.abs(f).max()
        assert np.abs(tiled.backward(entering, caches) - dx).max() <= 1e-12 * np.abs(dx).max()


# --- workers --------------------------------------------------------------------------------------------------------


@dataclass
class Threads:
    """Workers that are threads, each with an engine of its own, which take tiles as they become free."""

    count: int

    def total(self, step: Step, job: TileJob, p: Array, common: Any) -> list[Any]:
        return tree_sum(self.each(step, job, p, common))

    def each(self, step: Step, job: TileJob, p: Array, common: Any) -> Iterator[Any]:
        def work(tile: tiles.PictureTile) -> Any:
            own = replace(job, network=job.network.with_kernels("reference"))
            return step(own, tile, p[tile.crop], common)

        with ThreadPoolExecutor(self.count) as pool:
            yield from pool.map(work, job.tiling.tiles)


def test_the_same_bits_whatever_the_number_of_workers(network: Network) -> None:
    reference = network.with_kernels("reference").astype(np.float32)
    terms = [*style_and_content(reference, taps=("relu1_1", "relu4_1")), *terms_of_every_kind(reference, "relu2_1")]
    p = picture().astype(np.float32)
    values, dp = Objective(by_tiles(reference, SIDE), terms, SHAPE).prepared(p)
    for count in (1, 2, 5):
        engine = TileEngine(engine_of(reference), SIDE, Threads(count))
        found, gradient = Objective(reference.with_kernels(engine), terms, SHAPE).prepared(p)
        np.testing.assert_array_equal(found, values)
        np.testing.assert_array_equal(gradient, dp)


def test_the_tree_is_that_of_the_number_of_parts() -> None:
    grouped = [f"{part}" for part in tree_sum([[Named(str(i))] for i in range(7)])]
    assert grouped == ["(((0+1)+(2+3))+((4+5)+6))"]


class Named(str):
    def __add__(self, other: str) -> "Named":
        return Named(f"({self}+{other})")


# --- what is refused ------------------------------------------------------------------------------------------------


def test_a_tile_that_is_all_halo_is_refused(network: Network) -> None:
    with pytest.raises(HandstyleError, match="tile=70: relu4_1 needs 32 pixels around what a tile owns; use 72"):
        Objective(by_tiles(network, 70), style_and_content(network), SHAPE)


def test_a_border_from_the_other_end_of_the_picture_is_refused(network: Network) -> None:
    first, *rest = network.layers
    circular = replace(network, layers=(replace(first, padding="circular"), *rest))  # type: ignore[arg-type]
    assert isinstance(rest[0], ReLU)
    with pytest.raises(HandstyleError, match="conv1_1: tiles cannot have padding='circular'"):
        Tiling(circular.layers, ["relu2_1"], 100, 100, 64)


def test_one_tile_is_left_to_the_inner_engine(network: Network) -> None:
    terms = style_and_content(network)
    tiled = by_tiles(network, 144)
    values, dp = Objective(tiled, terms, SHAPE).prepared(picture())
    expected, gradient = Objective(network, terms, SHAPE).prepared(picture())
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(dp, gradient)
    assert engine_of(tiled).describe().startswith("one tile; ")
    assert by_tiles(tiled, 208).engine.name == "tiles of 208 px, auto"


# --- the photograph's features, computed again ----------------------------------------------------------------------


@pytest.mark.parametrize("side", [72, SIDE])
def test_the_photographs_features_computed_again_give_the_same(
    side: int, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    taps, photograph, p = ["relu1_2", "relu3_2"], picture(3), picture()
    mask = np.random.default_rng(4).uniform(0, 1, (*SHAPE[:2], 1))
    styles = style_and_content(network)[:-1]

    def terms(features: Any) -> list[Term]:
        return [
            *styles,
            ContentTerm("relu3_2", features["relu3_2"], 1.5),
            ContentTerm("relu1_2", features["relu1_2"], 0.5, mask=mask, name="masked"),
            NormalizedTerm(ContentTerm("relu3_2", features["relu3_2"], 1.0, 0.5, name="normalized"), 2.0),
        ]

    tiled = by_tiles(network, side, recompute=True)
    features = tiles.tiled_features(tiled, photograph, taps)
    assert features is not None
    kept = forward_to(network, taps, photograph)[0]
    for tap in taps:
        assert isinstance(features[tap], tiles.Photograph)
        assert features[tap].shape == kept[tap].shape
    values, dp = evaluate(network, terms(kept), p)
    prepared, seen = Objective(tiled, terms(features), SHAPE).prepared, list[int]()
    assert engine_of(tiled).describe().split(";")[0].endswith("the photograph's features computed again for each")
    forward = type(network.engine).run_forward
    monkeypatch.setattr(
        type(network.engine), "run_forward", lambda self, *a: seen.append(len(a[0])) or forward(self, *a)
    )
    for _ in range(2):
        found, gradient = prepared(p)
        np.testing.assert_allclose(found, values, rtol=1e-12)
        assert np.abs(gradient - dp).max() <= 1e-12 * np.abs(dp).max()
    passes = 2 * 2 * 3 * len(Tiling(network.layers, STYLE, *SHAPE[:2], side).tiles)  # twice; statistics, sizes, sweep
    assert len(seen) == passes  # the scales are computed once, before
    assert by_tiles(tiled, 200).engine.recompute  # type: ignore[attr-defined]
    one = tiles.tiled_features(by_tiles(tiled, 200), photograph, taps)
    assert one is not None
    assert all(isinstance(f, np.ndarray) for f in one.values())


def test_features_that_are_zero_everywhere_are_refused_by_tile_too(network: Network) -> None:
    tiled, black = (
        by_tiles(network, SIDE, recompute=True),
        ContentTerm("conv1_1", tiles.Photograph(picture(), (139, 117, 8))),
    )
    first, *rest = network.layers
    dead = replace(tiled, layers=(replace(first, w=0 * first.w, b=0 * first.b), *rest))  # type: ignore[union-attr, arg-type]
    with pytest.raises(HandstyleError, match="content: the target is zero everywhere"):
        Objective(dead, [black, *style_and_content(network)], SHAPE)


# --- features that are kept -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [0, 2, 99])
@pytest.mark.parametrize("normalized", [False, True])
def test_kept_features_save_a_pass_and_change_no_bit(
    keep: int, normalized: bool, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    terms = style_and_content(network)
    if normalized:
        terms[0] = NormalizedTerm(terms[0], 2.0)
    tiled, forwards = by_tiles(network, SIDE), [0]
    engine = engine_of(tiled)
    assert isinstance(engine, TileEngine)
    count = len(Tiling(network.layers, STYLE, *SHAPE[:2], SIDE).tiles)
    genuine = type(network.engine).run_forward

    def counted(self: Any, *arguments: Any) -> Any:
        forwards[0] += 1
        return genuine(self, *arguments)

    pictures = picture(), picture(2)
    expected = [Objective(tiled, terms, SHAPE).prepared(p) for p in pictures]
    monkeypatch.setattr(type(network.engine), "run_forward", counted)
    engine.workers = tiles.Sequential(keep)
    prepared = Objective(tiled, terms, SHAPE).prepared
    for p, (values, dp) in zip(pictures, expected, strict=True):
        forwards[0] = 0
        found, gradient = prepared(p)
        np.testing.assert_array_equal(found, values)
        np.testing.assert_array_equal(gradient, dp)
        assert forwards[0] == (3 if normalized else 2) * count - min(keep, count)


def test_what_a_stopped_evaluation_kept_is_not_used_again(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    terms = style_and_content(network)
    tiled = by_tiles(network, SIDE)
    expected = Objective(tiled, terms, SHAPE).prepared(picture(2))
    engine_of(tiled).workers = tiles.Sequential(99)  # type: ignore[attr-defined]
    prepared = Objective(tiled, terms, SHAPE).prepared

    def failing(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(tiles, "spread_tile", failing)
        with pytest.raises(MemoryError):
            prepared(picture())
    for found, right in zip(prepared(picture(2)), expected, strict=True):
        np.testing.assert_array_equal(found, right)


def test_the_spare_memory_decides_how_many_are_kept(network: Network) -> None:
    terms, shape = style_and_content(network), (1000, 1000, 3)
    tiling = Tiling(network.layers, STYLE, 1000, 1000, SIDE)
    plain = by_tiles(network, SIDE)
    few, all_of_them = (engine_of(tiles.with_kept_features(plain, kept)) for kept in (5 << 20, 1 << 40))
    assert isinstance(few, TileEngine)
    assert isinstance(all_of_them, TileEngine)
    assert 0 < few.kept(network, terms, tiling) < all_of_them.kept(network, terms, tiling) == len(tiling.tiles)
    seconds = [engine.forecast(plain, terms, shape).seconds for engine in (engine_of(plain), few, all_of_them)]
    assert seconds == sorted(seconds, reverse=True)
    assert seconds[2] < 0.85 * seconds[0]
    assert tiles.with_kept_features(network, 1 << 40) is network
    assert "of them kept from one pass to the next" not in engine_of(plain).describe()


@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_tiles_can_do_what_the_engine_of_a_tile_can(precision):
    network = build_network(random_weights(deepest="conv2_1"))
    assert set(engine_of(by_tiles(network, 64)).poolings) == {"max", "average", "l2"}
    tiled = engine_of(by_tiles(network.with_kernels(CudaEngine(DryDevice(precision))), 64))
    assert (tiled.tf32, set(tiled.poolings)) == (precision == "tf32", {"max", "average"})
