"""Patches as the style of a run: paintings, regions, semantic maps, blends, what is refused, and what it takes."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.image import preprocess_forward
from handstyle.kernels.counting import target_bytes
from handstyle.kernels.cpu.forecast import THREAD_BYTES
from handstyle.kernels.tiles import by_tiles
from handstyle.losses.patches import PatchTerm, patches_forward
from handstyle.network.vgg import build_network, random_weights
from handstyle.optimize.objective import Objective
from handstyle.painting.config import StyleConfig
from handstyle.painting.memory import RunMemory, dummy_picture
from handstyle.painting.stylize import stylize, texture
from handstyle.painting.targets import Painting, build_terms

rng = np.random.default_rng(0)
P, ONE, TWO = rng.uniform(0, 255, (3, 40, 48, 3))
LEFT = np.zeros((40, 48))
LEFT[:, :24] = 1
CONFIG = StyleConfig(
    size=48,
    iterations=2,
    style_statistic="patches",
    style_layers="relu1_1,relu2_1",
    content_layers="relu2_2",
    tv_weight=0,
    content_weight=0,
)
NETWORK = build_network(random_weights(deepest="conv3_1")).astype("float64")


def terms_of(paintings, masks=(), network=NETWORK, **changes):
    return build_terms(network, replace(CONFIG, **changes), P, paintings, masks)


def features(p, tap):
    return NETWORK.forward(preprocess_forward(p, NETWORK.convention), [tap])[0][tap]


def value(terms, p=P):
    return Objective(NETWORK, terms, p.shape)(p.ravel())[0]


def test_the_terms_are_those_of_the_layers_with_their_weights():
    terms = terms_of([ONE], style_layer_weights=(1.0, 0.25), patch_size=5, patch_stride=2)
    assert [(t.name, t.tap, t.weight) for t in terms] == [
        ("style relu1_1", "relu1_1", 2.0),
        ("style relu2_1", "relu2_1", 0.5),
    ]
    bank = patches_forward(features(ONE, "relu2_1"), 5, 2)[0]
    np.testing.assert_allclose(terms[1].bank, bank)
    mine = patches_forward(features(P, "relu2_1"), 5, 2)[0]
    partner = (mine @ bank.T / np.linalg.norm(bank, axis=1)).argmax(axis=1)
    relative = ((mine - bank[partner]) ** 2).sum() / len(mine) / (bank**2).sum(axis=1).mean()
    assert value(terms[1:]) == pytest.approx(0.5 * relative, rel=1e-10)


def test_the_candidates_are_the_patches_of_all_paintings_of_a_region():
    both, alone = terms_of([ONE, TWO]), terms_of([ONE])
    assert len(both[0].bank) == 2 * len(alone[0].bank)
    assert value(both) < value(alone)
    assert [len(t.bank) for t in terms_of([Painting(ONE, layers=("relu2_1",)), TWO])] == [
        len(alone[0].bank),
        2 * len(alone[1].bank),
    ]


def test_losses_are_blended_by_their_weights():
    one, two = Painting(ONE, blend=1.0), Painting(TWO, blend=3.0)
    terms = terms_of([one, two], blend="losses")
    assert [(t.name, t.weight) for t in terms][:2] == [
        ("style relu1_1 painting 1", 0.5),
        ("style relu1_1 painting 2", 1.5),
    ]
    assert value(terms) == pytest.approx(0.25 * value(terms_of([ONE])) + 0.75 * value(terms_of([TWO])), rel=1e-12)


def test_a_region_has_its_partners_in_its_own_painting_and_counts_by_its_mask():
    sources = [Painting(ONE, region=1), Painting(TWO, region=2)]
    terms = terms_of(sources, [LEFT, 1 - LEFT])
    assert [t.name for t in terms][:2] == ["style relu1_1 region 1", "style relu2_1 region 1"]
    np.testing.assert_array_equal(terms[2].bank, terms_of([TWO])[0].bank)
    left = np.abs(Objective(NETWORK, terms[:1], P.shape)(P.ravel())[1].reshape(P.shape))
    assert left[:, :23].min(axis=(0, 2)).max() > 0
    assert left[:, 28:].max() == 0  # relu1_1 sees one pixel beside its own, a patch one more
    everywhere = terms_of([Painting(ONE, region=1)], [np.ones((40, 48))])
    assert value(everywhere) == pytest.approx(value(terms_of([ONE])), rel=1e-12)
    halves = [terms_of([Painting(ONE, region=1)], [mask]) for mask in (LEFT, 1 - LEFT)]
    assert sum(map(value, halves)) == pytest.approx(value(terms_of([ONE])), rel=1e-12)


def test_a_painting_is_measured_where_its_mask_is():
    (term, _) = terms_of([Painting(ONE, LEFT)])
    whole = terms_of([ONE])[0]
    columns = whole.counts(P.shape)[0] // 38
    kept = whole.bank.reshape(38, columns, -1)[:, :23]  # two of the three columns of the last are within
    np.testing.assert_array_equal(term.bank, kept.reshape(-1, whole.bank.shape[1]))
    corner = np.zeros((40, 48))
    corner[0, 0] = 1
    with pytest.raises(HandstyleError, match="no patch of the painting lies where it is measured"):
        value(terms_of([Painting(ONE, corner)], style_layers=("relu1_1",)))


def test_semantic_maps_send_regions_to_their_paintings_and_may_be_overruled():
    # One painting by two style masks, as neural-doodle has it: the left of the picture is its right.
    sources = [Painting(ONE, 1 - LEFT, region=1), Painting(ONE, LEFT, region=2)]
    strong, weak, none = (
        terms_of(sources, [LEFT, 1 - LEFT], style_layers=("relu1_1",), mask=("a.png", "b.png"), semantic_weight=w)
        for w in (100.0, 1e-9, 0.0)
    )
    assert [t.name for t in strong] == ["style relu1_1"]
    assert [t.name for t in none] == ["style relu1_1 region 1", "style relu1_1 region 2"]
    f = features(P, "relu1_1")
    first = strong[0].inside[0]
    own = int((patches_forward(first)[0].mean(axis=1) >= 0.5).sum())  # rows of the bank of the first source
    partner = strong[0].measure(f).partner.reshape(38, 46)
    assert (partner[:, :20] < own).all()
    assert (partner[:, 26:] >= own).all()
    free = weak[0].measure(f).partner.reshape(38, 46)
    assert (free[:, :20] >= own).any()  # by the features alone
    assert (free[:, 26:] < own).any()


@pytest.mark.parametrize("pooling", ["max", "average", "l2"])
@pytest.mark.parametrize("padding", ["zero", "reflect", "replicate"])
def test_every_pooling_and_border_by_the_engine(pooling, padding):
    network = build_network(random_weights(deepest="conv3_1"), pooling, padding).astype("float64")
    terms = terms_of([ONE], network=network, style_layers=("relu2_1", "relu3_1"))
    exact = Objective(network, terms, P.shape)(P.ravel())
    found = Objective(network.with_kernels("auto"), terms, P.shape)(P.ravel())
    assert found[0] == pytest.approx(exact[0], rel=1e-10)
    np.testing.assert_allclose(found[1], exact[1], rtol=1e-8, atol=1e-12 * np.abs(exact[1]).max())
    assert exact[0] > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tile": 256}, "tile=256: not with style_statistic='patches'"),
        ({"style_blend": (1, 2)}, "style_blend=(1.0, 2.0): a patch is compared with one other"),
        ({"semantic_weight": 1}, "semantic_weight=1.0: needs regions; give `mask`"),
        ({"semantic_weight": 1, "mask": "a.png", "blend": "losses"}, "semantic_weight=1.0: all paintings"),
        ({"style_normalization": "mean"}, "with style_statistic='patches' use relative or cnnmrf"),
        ({"style_statistic": "gram", "style_normalization": "cnnmrf"}, "style_normalization='cnnmrf'"),
        ({"style_statistic": "gram", "patch_size": 5}, "patch_size=5: only for style_statistic='patches'"),
        ({"style_statistic": "covariance", "semantic_weight": 2}, "semantic_weight=2.0: only for"),
        ({"patch_size": 0}, "patch_size=0: must be 1 or more"),
        ({"patch_stride": 0}, "patch_stride=0: must be 1 or more"),
        ({"normalize_gradients": True, "optimizer": "adam"}, "`normalize_gradients` is defined for"),
        ({"mask_mode": "cysmith", "style_fit": "stretch"}, "mask_mode='cysmith'"),
    ],
    ids=str,
)
def test_what_does_not_go_with_patches_is_said(changes, message):
    with pytest.raises(HandstyleError) as caught:
        replace(CONFIG, **changes)
    assert message in str(caught.value)


def test_what_cannot_be_painted_is_said_before_the_work():
    small = {"network": NETWORK, "config": CONFIG}
    with pytest.raises(HandstyleError, match="not with tiles or a cluster"):
        stylize(P, ONE, network=by_tiles(NETWORK.with_kernels("auto"), 40), config=CONFIG)
    with pytest.raises(HandstyleError, match="patch_size=11: relu2_1 has 12 x 10 values at the smallest scale"):
        stylize(P, ONE, pyramid_min_size=24, patch_size=11, **small)
    big = rng.uniform(0, 255, (512, 512, 3))
    with pytest.raises(HandstyleError, match=r"260,100 .* by 260,100 .* at relu1_1, 1\.1e\+13 .*use relu3_1,relu4_1"):
        stylize(big, big, network=NETWORK, config=replace(CONFIG, size=512))


def test_paints_with_regions_and_as_a_texture():
    paint = {"network": NETWORK, "config": CONFIG, "patch_stride": 2}
    result = stylize(P, [ONE, TWO], mask=[LEFT, 1 - LEFT], semantic_weight=1.0, **paint)
    assert result.trace[-1].value < result.trace[0].value
    assert 'style_statistic = "patches"' in result.metadata["handstyle:recipe"]
    assert texture(ONE, **paint).array.shape == (48, 48, 3)
    means = stylize(P, ONE, means_weight=1.0, **paint)
    assert {"style relu1_1", "means relu1_1"} <= set(means.trace[-1].terms)


@pytest.mark.parametrize("stride", [1, 2])
def test_the_forecast_holds_what_an_evaluation_takes(stride):
    network = build_network(random_weights(deepest="conv3_1")).with_kernels("auto")
    config = replace(CONFIG, size=96, style_layers=("relu2_1", "relu3_1"), patch_stride=stride)
    p, painting = rng.uniform(0, 255, (2, 96, 96, 3))
    forecast = RunMemory(config, network, dummy_picture(96), [dummy_picture(96)], False, 1 << 40).needs[-1].evaluation
    terms = build_terms(network, config, p, [painting])
    taken = target_bytes(terms)
    tracemalloc.start()
    objective = Objective(network, terms, p.shape)
    objective(p.ravel())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken < forecast
    assert taken + peak < 1.1 * forecast
    untraced = network.engine.team.threads * (
        THREAD_BYTES + 4 * 96 * 96 * 16
    )  # of the libraries, beside the largest map
    assert forecast - untraced < 2 * (taken + peak)


def test_the_forecast_of_time_counts_the_products():
    network = build_network(random_weights()).with_kernels("auto")
    config = replace(CONFIG, size=256, style_layers=("relu3_1",))

    def seconds(**changes):
        run = RunMemory(replace(config, **changes), network, dummy_picture(256), [dummy_picture(256)], False, 1 << 40)
        return run.needs[-1].seconds

    plain = seconds(style_statistic="gram")
    assert seconds() - plain > 10 * (seconds(patch_stride=2) - plain) > 0


def test_the_counts_of_a_term_are_those_of_its_patches():
    f, painting = rng.uniform(0, 1, (7, 9, 2)), rng.uniform(0, 1, (8, 8, 2))
    for size, stride in ((3, 1), (3, 2), (2, 3), (1, 1)):
        term = PatchTerm("relu1_1", [painting, f], size=size, stride=stride)
        mine = patches_forward(f, size, stride)[0]
        assert term.counts(f.shape) == (*mine.shape[:1], len(term.bank), mine.shape[1])
