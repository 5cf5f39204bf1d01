"""What a run takes of memory, what is named where there is not enough, and what an allocation that fails says."""

import math
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from support.sample_objectives import painting

from handstyle.foundations.backend import Backend
from handstyle.foundations.errors import HandstyleError, OutOfMemoryError
from handstyle.network.vgg import build_network, random_weights
from handstyle.optimize.objective import Forecast
from handstyle.painting import stylize as stylize_module
from handstyle.painting.config import StyleConfig
from handstyle.painting.memory import (
    RunMemory,
    dummy_picture,
    is_out_of_memory,
    largest_side,
    optimizer_vectors,
    precondition_bytes,
)
from handstyle.painting.optimizers import OptimizerState, choose_optimizer
from handstyle.painting.planned_terms import planned_terms
from handstyle.painting.stylize import stylize
from handstyle.painting.targets import build_terms

MIB = 1 << 20
CONFIG = StyleConfig(size=48, iterations=2, style_layers=("relu1_1", "relu2_1"), content_layers=("relu2_2",))


def network(kernels="auto"):
    return build_network(random_weights(deepest="conv2_2")).with_kernels(kernels)


def run(config, free, own_memory=False, paintings=1):
    picture = dummy_picture(8192)
    return RunMemory(config, network(), picture, [picture] * paintings, own_memory, free)


def pictures(side=48):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (side, side, 3)).astype(np.uint8) for _ in "ab"]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"means_weight": 1.0},
        {"style_statistic": "wasserstein"},
        {"style_statistic": "covariance", "content_weight": 0.0},
        {"style_blend": (1.0, 2.0), "blend": "losses"},
        {"normalize_gradients": True, "optimizer": "adam"},
        {"style_layer_weights": (0.0, 1.0)},
        {"style_statistic": "patches", "patch_stride": 2},
        {"style_statistic": "patches", "means_weight": 1.0},
    ],
    ids=str,
)
def test_planned_terms_are_those_of_the_run(changes):
    config, net = replace(CONFIG, **changes), network()
    p, *paintings = (np.asarray(q, np.float32) for q in (*pictures(), pictures()[0]))
    real, planned = build_terms(net, config, p, paintings), planned_terms(config, net, (48, 48), (0, 0))
    assert [(t.name, t.tap) for t in planned] == [(t.name, t.tap) for t in real]
    taken, expected = (net.engine.forecast(net, terms, (48, 48, 3)).bytes for terms in (real, planned))
    assert taken <= expected < 1.01 * taken  # terms of a run may share a target


def test_regions_have_masks_and_what_no_region_claims_a_term():
    terms = planned_terms(CONFIG, network(), (48, 48), (1, 2))
    assert [t.name for t in terms if "region" in t.name and t.tap == "relu1_1"] == [
        "style relu1_1 region 1",
        "style relu1_1 region 2",
    ]
    assert terms[0].mask.shape == (48, 48, 1)
    assert "held pixels" in [t.name for t in terms]


def test_what_is_named_fits_and_cheaper_ways_too():
    config = replace(CONFIG, size=1024, optimizer="lbfgs")
    needed = run(config, 0).need()
    enough = (needed.total - needed.weights) / 0.9
    run(config, int(enough) + MIB).check()
    with pytest.raises(OutOfMemoryError, match=r"1024 x 1024 px need .* are free; size=\d+ or .* would fit") as caught:
        run(config, int(0.8 * enough)).check()
    message = str(caught.value)
    assert "\n" not in message
    named = int(message.split("size=")[1].split()[0])
    run(replace(config, size=named), int(0.8 * enough)).check()
    history = int(message.split("lbfgs_history=")[1].split()[0])
    run(replace(config, lbfgs_history=history), int(0.8 * enough)).check()
    assert not run(config, int(0.8 * enough)).fits(lbfgs_history=history + 1)
    assert "optimizer=adam" in message


def test_a_device_apart_is_held_to_its_own_memory_and_the_host_to_its(monkeypatch):
    config = replace(CONFIG, size=512, optimizer="lbfgsb")
    needed = run(config, 0, own_memory=True).need()
    enough = needed.device - needed.weights
    run(config, enough, own_memory=True).check()
    with pytest.raises(OutOfMemoryError, match="of the GPU's memory"):
        run(config, enough - 1, own_memory=True).check()
    monkeypatch.setattr("handstyle.painting.memory.available_memory", lambda: MIB)
    with pytest.raises(OutOfMemoryError, match="of the host's memory"):
        run(config, enough, own_memory=True).check()


def test_the_search_does_not_assume_that_memory_grows():
    assert largest_side(1000, lambda side: 330 <= side <= 500 or side < 100) == 496
    assert largest_side(320, lambda side: side < 100) == 96
    assert largest_side(1000, lambda side: False) == 0


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam", "descent", "lbfgsb"])
def test_each_optimizer_has_its_own_count(optimizer):
    few, many = (StyleConfig(optimizer=optimizer, lbfgs_history=m) for m in (3, 10))
    grown = optimizer_vectors(many, own_memory=True) - optimizer_vectors(few, own_memory=True)
    assert grown == (14 if optimizer == "lbfgs" else 0)


@pytest.mark.parametrize("optimizer", ["lbfgsb", "lbfgs"])
def test_the_change_of_variables_takes_what_is_planned(optimizer):
    objective, start = painting(side=128, kernels="auto")

    def peak(exponent):
        config = StyleConfig(optimizer=optimizer, lbfgs_history=3, precondition=exponent)
        # What is made once is made before.
        choose_optimizer(config, 1, OptimizerState(), lambda _: None)(objective, start)
        tracemalloc.start()
        choose_optimizer(config, 5, OptimizerState(), lambda _: None)(objective, start)
        taken = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return taken, config

    (pixels, _), (waves, config) = peak(0.0), peak(0.5)
    planned = precondition_bytes(config, (128, 128), 8 if optimizer == "lbfgsb" else 4, own_memory=False)
    assert 0.7 * planned < waves - pixels < 1.03 * planned


def test_too_many_pairs_for_scipy_are_refused_before_work():
    assert "can keep" in run(replace(CONFIG, size=8192, lbfgs_history=30), 1 << 50).shortage()


def test_where_free_memory_is_unknown_a_shortage_is_one_line():
    unknown = run(replace(CONFIG, size=8192, lbfgs_history=30), math.inf)
    with pytest.raises(OutOfMemoryError, match=r"can keep \d+ pairs .*; size=\d+ or .* would fit"):
        unknown.check()
    with pytest.raises(OutOfMemoryError, match=r"out of memory at 8192 x 8192 px, .*; size=\d+ or "), unknown.guard():
        raise MemoryError


def test_each_scale_of_a_run_is_forecast_once(monkeypatch):
    asked, need_at = [], RunMemory.need_at
    monkeypatch.setattr(RunMemory, "need_at", lambda run, size, k=0: asked.append(size) or need_at(run, size, k))
    fitted = run(replace(CONFIG, size=256), math.inf).fitted()
    fitted.check()
    assert [need.size for need in fitted.needs] == asked == [(128, 128), (256, 256)]


def test_the_check_comes_before_any_work(monkeypatch):
    monkeypatch.setattr(Backend, "free_memory", lambda self: 30 * MIB)
    net = network()
    monkeypatch.setattr(type(net.engine), "forward", lambda *_: pytest.fail("work was done"))
    content, style = pictures(640)
    with pytest.raises(OutOfMemoryError, match=r"640 x 640 px need .* 30 MiB are free; size=\d+"):
        stylize(content, style, network=net, config=replace(CONFIG, size=640))


@pytest.mark.parametrize("where", ["make_plan", "terms_of_scale", "choose_optimizer"])
def test_an_allocation_that_fails_ends_in_one_line(where, monkeypatch):
    def failing(*_, **__):
        raise MemoryError("Unable to allocate 1 GiB")

    monkeypatch.setattr(stylize_module, where, failing)
    content, style = pictures()
    with pytest.raises(
        OutOfMemoryError, match=r"out of memory at 48 x 48 px, .*\(Unable to allocate 1 GiB\); "
    ) as told:
        stylize(content, style, network=network(), config=CONFIG)
    assert "\n" not in str(told.value)


def test_other_errors_pass(monkeypatch):
    def failing(*_, **__):
        raise RuntimeError("something else")

    monkeypatch.setattr(stylize_module, "choose_optimizer", failing)
    content, style = pictures()
    with pytest.raises(RuntimeError, match="something else"):
        stylize(content, style, network=network(), config=CONFIG)


def test_what_counts_as_full():
    for words in ("cudaErrorMemoryAllocation: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDA_ERROR_OUT_OF_MEMORY"):
        assert is_out_of_memory(RuntimeError(words))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("cudaErrorIllegalAddress"))


def test_any_engine_is_asked_by_the_protocol_alone():
    class Engine:
        name = "of a stranger"

        def forecast(self, network, terms, shape, *, gradient=True):
            return Forecast(1000 * shape[0] * shape[1] if gradient else 0, 5)

    stranger = replace(run(CONFIG, 0), network=network().with_kernels(Engine()))
    need = stranger.need()
    assert (need.evaluation, need.weights) == (1000 * 48 * 48, 5)
    with pytest.raises(HandstyleError, match="48 x 48 px need"):
        stranger.check()
