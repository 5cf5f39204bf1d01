"""``handstyle check`` must reject bugs that were once put in by hand and passed."""

from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest

from handstyle.foundations.errors import HandstyleError
from handstyle.kernels.cpu import engine as cpu
from handstyle.kernels.cpu import im2col, passes
from handstyle.losses import content, distribution, gram, total_variation
from handstyle.network.sequence import ReLU
from handstyle.network.vgg import Network, build_network, random_weights
from handstyle.painting.normalizations import VARIATIONS
from handstyle.painting.selfcheck import VARIANTS, Row, Variant, _terms, check_own_layer, find_layer, self_check


@pytest.fixture(scope="module")
def network() -> Network:
    """A narrow network to relu4_2, so that the whole default objective but its deepest style can be asked for."""
    return build_network(random_weights(widths=(8, 8, 8, 8, 8), deepest="conv4_2")).with_kernels("auto")


def failures(network: Network, **options: object) -> list[str]:
    rows = self_check(network, **options)  # type: ignore[arg-type]
    return [f"{row.subject}: {row.report}" for row in rows if row.report is not None and not row.report]


SMALL = {"sizes": (45,)}


@pytest.mark.slow
def test_the_genuine_passes(network: Network) -> None:
    rows = list(self_check(network, sizes=(45, 130)))
    assert not [row for row in rows if row.report is not None and not row.report]
    assert sum(row.report is None for row in rows) == 6  # normalized gradients, and ties
    subjects = {row.subject for row in rows}
    assert {"range, range", "held pixels, regions", "total variation, tv keras", "means relu1_1, means"} <= subjects


def test_the_quick_set_passes(network: Network) -> None:
    assert not failures(network, quick=True)


def test_the_command_checks_the_terms_of_a_preset_and_of_a_settings_file(commanded, tmp_path, monkeypatch) -> None:
    quick, file = ("check", "--quick", "--weights", "random"), tmp_path / "mine.toml"
    file.write_text('tv = "absolute"\n')
    for asked, name in (("--preset", "wasserstein"), "wasserstein"), (("--config", str(file)), "mine.toml"):
        status, out, _ = commanded(*quick, *asked)
        assert status == 0
        assert name in out
    wrong = replace(VARIATIONS["absolute"], variation=second_scaled(total_variation.absolute_variation, 1.01))
    monkeypatch.setitem(VARIATIONS, "absolute", wrong)
    assert commanded(*quick)[0] == 0
    assert commanded(*quick, "--config", str(file))[0] == 1


def test_no_check_compares_zero_with_zero(network: Network) -> None:
    """Value and gradient of every term that is compared are not zero."""
    from handstyle.optimize.objective import evaluate

    exact = network.astype("float64").with_kernels("reference")
    p = np.random.default_rng(0).uniform(0, 255, (32, 33, 3))
    for variant in VARIANTS:
        for term in _terms(exact, variant.config, p.shape, 0):
            values, dp = evaluate(exact, [term], p)
            assert np.abs(dp).max() > 0, term.name
            assert values[0] > 0 or "in_value=False" in repr(term), term.name


def scaled(function, factor):
    return lambda *args: factor * function(*args)


def second_scaled(function, factor):
    def wrapped(*args):
        first, second = function(*args)
        return first, factor * second

    return wrapped


def means_forgotten(moments, target, scale=1.0):
    value, d = distribution_mean_loss(moments, target, scale)
    return value, gram.Moments(0.0, d.sums * 1.01, d.outer)


distribution_mean_loss = distribution.mean_loss

REFERENCE = {
    "content gradient times 2": (content, "content_backward", scaled(content.content_backward, 2)),
    "content gradient times -1": (content, "content_backward", scaled(content.content_backward, -1)),
    "content gradient times 0": (content, "content_backward", scaled(content.content_backward, 0)),
    "content gradient times 1000": (content, "content_backward", scaled(content.content_backward, 1000)),
    "Gram gradient times 2": (gram, "moments_backward", scaled(gram.moments_backward, 2)),
}


@pytest.mark.parametrize("bug", REFERENCE)
def test_bugs_of_the_losses(bug: str, network: Network) -> None:
    module, name, mutant = REFERENCE[bug]
    with patch.object(module, name, mutant):
        assert failures(network.with_kernels("reference"), quick=True)


@pytest.mark.parametrize(
    ("form", "mutant"),
    [
        ("range", second_scaled(total_variation.range_penalty, 1.01)),
        ("tv keras", second_scaled(total_variation.power_variation, 1.01)),
        ("means", None),
        ("regions", None),
    ],
)
def test_bugs_of_terms_that_the_default_objective_lacks(form: str, mutant, network: Network) -> None:
    variant = next(v for v in VARIANTS if v.name == form)
    exact = network.with_kernels("reference")
    from handstyle.painting import selfcheck, targets

    patches = []
    if form == "range":
        patches.append(patch.object(targets, "range_penalty", mutant))
    elif form == "tv keras":
        table = dict(targets.VARIATIONS) | {"keras": targets.VARIATIONS["keras"].__class__(mutant, 2.5)}
        patches.append(patch.object(targets, "VARIATIONS", table))
    elif form == "means":
        patches.append(patch.object(targets, "mean_loss", means_forgotten))
    else:  # the mask is in the statistic and not in its gradient
        forgetful = lambda d, f, mask=None: moments_backward(d, f)  # noqa: E731
        patches.append(patch.object(gram, "moments_backward", forgetful))
    with patches[0], patch.object(selfcheck, "VARIANTS", [VARIANTS[0], variant]):
        assert failures(exact, **SMALL)


moments_backward = gram.moments_backward


def test_a_float32_gradient_that_is_a_little_too_long(network: Network) -> None:
    """The whole float32 gradient times 1.002: a direction within rounding, a length that is not."""
    genuine = cpu.CpuEvaluation.__call__

    def longer(self, p):
        values, dp = genuine(self, p)
        return values, dp * np.float32(1.002) if dp.dtype == np.float32 else dp

    with patch.object(cpu.CpuEvaluation, "__call__", longer):
        assert any("float32" in line for line in failures(network, quick=True, size=64))


def test_an_adjoint_that_halves_its_last_rows_on_large_maps(network: Network) -> None:
    genuine = cpu.CpuEngine._stage_backward

    def halved(self, stage, below, dx, gradients):
        out = genuine(self, stage, below, dx, gradients)
        if out.shape[0] * out.shape[1] > 10_000 and below is not None:
            out[-3:] *= 0.5
        return out

    with patch.object(cpu.CpuEngine, "_stage_backward", halved):
        assert not failures(network, quick=True)
        lines = failures_of_engine(network, (130,))
    assert len(lines) == 2, "in float64 and in float32"


def failures_of_engine(network: Network, sizes: tuple[int, ...]) -> list[str]:
    from handstyle.painting.selfcheck import _engine_rows

    rows = _engine_rows(network, VARIANTS[0], sizes, 0)
    return [f"{row.subject}: {row.report}" for row in rows if row.report is not None and not row.report]


def test_a_first_map_that_is_computed_again_at_other_values(network: Network) -> None:
    genuine = cpu.CpuEngine._recompute_first

    def stronger(self, stage, picture):
        return genuine(self, stage, picture) * 1.05

    with patch.object(cpu.CpuEngine, "_recompute_first", stronger):
        assert not failures_of_engine(network, (130,))
        assert failures_of_engine(network, (336,))


@pytest.mark.parametrize("padding", ["reflect", "replicate"])
def test_a_border_that_is_not_folded(padding: str, network: Network) -> None:
    with patch.object(passes, "pad_backward", lambda d, mode: d[1:-1, 1:-1].copy()):
        from handstyle.painting.selfcheck import _border_rows

        rows = list(_border_rows(network, 45, 0))
    bad = {row.subject for row in rows if row.report is not None and not row.report}
    assert any(padding in subject for subject in bad)
    assert not any("zero" in subject for subject in bad)


def test_an_adjoint_of_a_fast_kernel_that_is_wrong_on_one_tap(network: Network) -> None:
    genuine = im2col._adjoint_by_shifts

    def wrong(source, w, sink, team, arena):
        other = w.copy()
        other[0, 0] *= 1.01
        genuine(source, other, sink, team, arena)

    with patch.object(im2col, "_adjoint_by_shifts", wrong):
        assert any("conv1_1" in line for line in failures(network, quick=True))


# --- a reader's own layer -----------------------------------------------------------------------------------------


class Leaky:
    """A leaky rectifier."""

    def __init__(self, slope=0.1, back=0.1):
        self.slope, self.back = slope, back

    def forward(self, x):
        return np.where(x > 0, x, self.slope * x), x > 0

    def backward(self, dy, cache):
        return np.where(cache, dy, self.back * dy)


def test_a_layer_of_a_readers_own() -> None:
    assert all(row.report for row in check_own_layer(Leaky))
    assert not any(row.report for row in check_own_layer(Leaky(0.1, 0.2)))
    assert all(row.report for row in check_own_layer(find_layer("handstyle.network.sequence:ReLU")("relu")))
    assert isinstance(check_own_layer(ReLU("relu"))[0], Row)


def test_refusals(network: Network) -> None:
    for name in ("mine", "no_such_module:Layer", "handstyle.network.sequence:Nothing"):
        with pytest.raises(HandstyleError, match=r"^module="):
            find_layer(name)
    for options in ({"size": 8}, {"size": 1_000_000}, {"seed": -1}):
        with pytest.raises(HandstyleError, match=next(iter(options))):
            next(self_check(network, **options))
    assert isinstance(VARIANTS[0], Variant)
