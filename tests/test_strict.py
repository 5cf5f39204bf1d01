"""The strict backend: what it refuses, and that the whole engine runs on it as on NumPy."""

from dataclasses import replace

import numpy as np
import pytest
from support.strict_arrays import TRAFFIC, XP, StrictArray, Traffic, strict_backend

from handstyle.foundations.backend import Array, Backend, choose_backend, namespace
from handstyle.losses.content import ContentTerm
from handstyle.losses.gram import StyleTerm, moments_forward
from handstyle.losses.total_variation import VariationTerm
from handstyle.network import convolution, pooling, relu, sequence
from handstyle.network.vgg import Weights, build_network
from handstyle.optimize.lbfgs import minimize_lbfgs
from handstyle.optimize.objective import Objective

HOST = np.ones((2, 3))


@pytest.fixture
def x() -> StrictArray:
    return XP.asarray(HOST)


@pytest.mark.parametrize(
    "convert",
    [
        np.asarray,
        np.array,
        np.sum,
        np.exp,
        np.stack,
        np.zeros_like,
        lambda x: np.maximum(x, 0),
        lambda x: np.concatenate([x, x]),
        lambda x: x + HOST,
        lambda x: HOST + x,
        lambda x: HOST @ x.T,
        lambda x: x @ HOST.T,
        lambda x: XP.maximum(x, HOST),
        lambda x: XP.stack([x, HOST]),
        lambda x: x.__setitem__(0, HOST[0]),
        lambda x: HOST.__setitem__(0, x[0]),
        lambda x: x[HOST > 0],
        lambda x: x.__iadd__(HOST),
        lambda x: HOST.copy().__iadd__(x),
        lambda x: float(x),
        lambda x: bool(x == x),
        lambda x: namespace(x, HOST),
        lambda x: XP.unpackbits(XP.asarray(np.ones(2, np.uint8)), count=9),
        lambda x: XP.sum(x, where=x > 0),
    ],
)
def test_refused(convert, x: StrictArray) -> None:
    with pytest.raises((TypeError, ValueError)):
        convert(x)


@pytest.mark.parametrize("name", ["float128", "vectorize", "block", "memmap", "no_such_function"])
def test_names_that_cupy_lacks_are_refused(name: str) -> None:
    with pytest.raises(AttributeError):
        getattr(XP, name)


def test_reductions_stay_arrays(x: StrictArray) -> None:
    total = x.sum()
    assert isinstance(total, StrictArray)
    assert total.shape == ()
    assert float(total) == 6.0


def evaluate(weights: Weights, backend: Backend, dtype: str) -> tuple[float, Array]:
    """Return one evaluation of an objective with every kind of term, made and run on `backend`."""
    rng = np.random.default_rng(5)
    network = build_network(weights, padding="reflect", rounding="up").astype(dtype).to(backend)
    photograph = backend.asarray(rng.uniform(-100, 100, (17, 20, 3)), dtype=dtype)
    features, _ = network.forward(photograph, ["relu1_1", "relu2_2", "relu3_1"])
    mask = backend.asarray(rng.uniform(0, 1, (17, 20, 1)), dtype=dtype)
    terms = [
        ContentTerm("relu2_2", features["relu2_2"], 1.0),
        StyleTerm("relu1_1", moments_forward(features["relu1_1"]), 10.0, mask=mask),
        StyleTerm("relu3_1", moments_forward(features["relu3_1"]), 10.0),
        VariationTerm(1e-3),
    ]
    objective = Objective(network, terms, (17, 20, 3))
    TRAFFIC.reset()
    return objective(rng.uniform(0, 255, 17 * 20 * 3))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_objective_equals_numpys(dtype: str, tiny_weights: Weights) -> None:
    value, gradient = evaluate(tiny_weights, strict_backend(), dtype)
    crossings = replace(TRAFFIC)
    expected, expected_gradient = evaluate(tiny_weights, choose_backend("numpy"), dtype)
    assert value == expected
    np.testing.assert_array_equal(gradient, expected_gradient)
    # The picture comes in once and the gradient goes out once, and before it all values in one piece. Read alone, the
    # first time: what three losses are relative to. None depends on the size of the picture.
    assert crossings == Traffic(up=1, down=2, values=3)


def test_an_evaluation_without_masks_waits_once(tiny_weights: Weights) -> None:
    backend, rng = strict_backend(), np.random.default_rng(0)
    network = build_network(tiny_weights).astype("float32").to(backend)
    features, _ = network.forward(backend.asarray(rng.uniform(-9, 9, (16, 12, 3)), dtype="float32"), ["relu2_2"])
    terms = [
        ContentTerm("relu2_2", features["relu2_2"]),
        StyleTerm("relu2_2", moments_forward(features["relu2_2"])),
        VariationTerm(1e-3),
    ]
    objective = Objective(network, terms, (16, 12, 3))
    v = backend.asarray(rng.uniform(0, 255, 16 * 12 * 3), dtype="float32")
    for evaluation in range(2):
        TRAFFIC.reset()
        value, _ = objective.on_device(v)[:2]
        assert isinstance(value, float)
        assert all(isinstance(term, float) for term in objective.terms.values())
        # The first time, what the two relative losses are relative to.
        assert Traffic(up=0, down=1, values=2 if evaluation == 0 else 0) == TRAFFIC


def test_lbfgs_waits_once_an_evaluation(tiny_weights: Weights) -> None:
    """The objective's values and the table of dot products come home together, however many pairs are kept."""
    backend, rng = strict_backend(), np.random.default_rng(0)
    network = build_network(tiny_weights).astype("float32").to(backend)
    objective = Objective(network, [VariationTerm(1e-3)], (16, 12, 3))
    v = backend.asarray(rng.uniform(0, 255, 16 * 12 * 3), dtype="float32")
    waits = []
    for memory in (3, 10):
        TRAFFIC.reset()
        outcome = minimize_lbfgs(objective, v, 12, memory)
        waits.append(TRAFFIC.down + TRAFFIC.values - outcome.evaluations)
    assert waits == [1, 1]  # one more at the start, for the square of the first gradient


@pytest.mark.parametrize(
    ("module", "name", "culprit"),
    [
        (sequence, "relu_forward", lambda x: relu.relu_forward(np.asarray(x))),
        (sequence, "conv3x3_backward", lambda dy, cache: np.asarray(convolution.conv3x3_backward(dy, cache))),
        (
            sequence,
            "POOLS",
            {"max": (lambda x, r: pooling.max_pool_forward(x + np.zeros(x.shape), r), pooling.max_pool_backward)},
        ),
        (sequence, "relu_backward", lambda dy, cache: np.where(relu.relu_backward(dy, cache) > 0, dy, 0)),
    ],
    ids=["np.asarray forward", "np.asarray backward", "a NumPy array added", "np.where"],
)
def test_one_conversion_in_the_path_is_caught(
    module, name: str, culprit, tiny_weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof that the tests on this backend can fail: NumPy accepts each of these, the strict arrays do not."""
    monkeypatch.setattr(module, name, culprit)
    evaluate(tiny_weights, choose_backend("numpy"), "float64")
    with pytest.raises(TypeError):
        evaluate(tiny_weights, strict_backend(), "float64")
