import numpy as np
import pytest
from scipy.optimize import minimize
from support.sample_objectives import Plain, painting, quadratic, rosenbrock
from support.strict_arrays import TRAFFIC, strict_backend

from handstyle.foundations import mapped
from handstyle.foundations.backend import choose_backend, namespace
from handstyle.foundations.errors import HandstyleError
from handstyle.optimize.checkpoint import read_checkpoint, write_checkpoint
from handstyle.optimize.lbfgs import minimize_lbfgs
from handstyle.optimize.lbfgsb import minimize_lbfgsb
from handstyle.optimize.line_search import CURVATURE, DECREASE, Trial, strong_wolfe
from handstyle.optimize.objective import NonFiniteError
from handstyle.optimize.two_loop import History, two_loop


@pytest.fixture(scope="module")
def real():
    return painting()


def recursion(pairs, g):
    """Algorithm 7.4 on vectors, as the book prints it."""
    q, alpha = g.copy(), []
    for s, y in reversed(pairs):
        alpha.append(s @ q / (s @ y))
        q -= alpha[-1] * y
    if pairs:
        s, y = pairs[-1]
        q *= s @ y / (y @ y)
    for (s, y), a in zip(pairs, reversed(alpha), strict=True):
        q += s * (a - y @ q / (s @ y))
    return q


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-10), (np.float32, 1e-4)])
def test_the_table_gives_the_direction_of_the_recursion_on_vectors(dtype, tolerance):
    rng = np.random.default_rng(0)
    n, memory = 50, 4
    hessian = np.diag(np.geomspace(1, 10, n))
    history, pairs = History(np.zeros(n, dtype), memory), []
    g = rng.standard_normal(n).astype(dtype)
    history.begin(g)
    for _ in range(2 * memory + 3):  # the ring is filled twice over
        s = rng.standard_normal(n).astype(dtype)
        before, g = g, (g + hessian @ s).astype(dtype)
        y = g - before
        end, start = history.store(history.trial(0 * s, before, s, g))
        assert end == pytest.approx(float(g @ s), rel=1e-3, abs=1e-3)
        assert start == pytest.approx(float(before @ s), rel=1e-3, abs=1e-3)
        history.accept()
        pairs = [*pairs, (s.astype(float), y.astype(float))][-memory:]
        d, slope = history.direction()
        expected = -recursion(pairs, g.astype(float))
        assert np.linalg.norm(d - expected) < tolerance * np.linalg.norm(expected)
        assert slope == pytest.approx(float(d.astype(float) @ g), rel=100 * tolerance)
        assert d.dtype == dtype


def test_a_pair_without_curvature_is_dropped_and_the_older_ones_stay():
    s = np.array([1.0, 0, 0])
    history = History(s, 2)
    history.begin(s)
    for y, kept in ((s, 1), (-s, 1), (0 * s, 1), (2 * s, 2), (3 * s, 2), (-s, 2)):
        history.store(history.trial(0 * s, s - y, s, s))
        history.accept()
        assert len(history.pairs) == kept
    assert [history.table[pair] for pair in history.pairs] == [2, 3]
    assert np.allclose(two_loop(history.table, [])[0], 1)


@pytest.mark.parametrize("first", [1e-4, 0.1, 1.0, 50.0])
@pytest.mark.parametrize(
    "f",
    [
        lambda t: (t**4 - 2 * t**2 - t, 4 * t**3 - 4 * t - 1),
        lambda t: (np.cos(3 * t) - t, -3 * np.sin(3 * t) - 1),
        lambda t: (-t / (t * t + 2), (t * t - 2) / (t * t + 2) ** 2),  # Moré and Thuente (1994), function 5.1, beta = 2
    ],
)
def test_the_line_search_ends_at_a_strong_wolfe_point(f, first):
    asked = []

    def phi(t):
        asked.append(Trial(t, *f(t)))
        return asked[-1]

    start = Trial(0.0, *f(0.0))
    found = strong_wolfe(phi, start, first)
    assert found is asked[-1]
    assert found.value <= start.value + DECREASE * found.step * start.slope
    assert abs(found.slope) <= CURVATURE * abs(start.slope)


def test_the_line_search_gives_up_on_a_slope_that_lies():
    assert strong_wolfe(lambda t: Trial(t, t, 1.0), Trial(0.0, 0.0, -1.0), 1.0) is None


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-5), (np.float32, 2e-3)])
def test_quadratic(dtype, tolerance):
    objective, center = quadratic(condition=100)
    outcome = minimize_lbfgs(objective, np.zeros(200, dtype), 500)
    np.testing.assert_allclose(outcome.v, center, atol=tolerance)
    assert outcome.v.dtype == dtype
    assert outcome.evaluations == objective.calls
    values = [row.value for row in outcome.trace]
    assert values == sorted(values, reverse=True)


def test_rosenbrock_needs_no_more_evaluations_than_scipy():
    def evaluations_to(minimize, bound):
        objective = rosenbrock()
        outcome = minimize(objective, np.full(20, -1.2), 500)
        assert outcome.value < bound
        return next(row.evaluations for row in outcome.trace if row.value < bound)

    assert evaluations_to(minimize_lbfgs, 1e-10) <= 1.25 * evaluations_to(minimize_lbfgsb, 1e-10)


def test_a_painting_comes_as_far_as_with_scipy(real):
    objective, v0 = real
    ours = minimize_lbfgs(objective, v0.astype(np.float32), 200, evaluations=60)
    scipy = minimize_lbfgsb(objective, v0, 200, evaluations=60)
    assert ours.evaluations == 60
    assert ours.stopped == "all 60 evaluations done"
    at = min(ours.evaluations, scipy.evaluations)
    best = [min(row.value for row in run.trace if row.evaluations <= at) for run in (ours, scipy)]
    assert best[0] == pytest.approx(best[1], rel=0.05)


def test_every_backend_takes_the_same_path(backend):
    def path(device):
        objective, v0 = painting(32, "float64", device)
        return minimize_lbfgs(objective, device.asarray(v0), 12)

    here, numpy = path(backend), path(choose_backend("numpy"))
    np.testing.assert_allclose([r.value for r in here.trace], [r.value for r in numpy.trace], rtol=1e-6)
    assert namespace(here.v) is backend.xp


@pytest.mark.parametrize("box", [None, (0.0, 255.0)])
def test_vectors_in_files_have_the_same_bits_as_in_memory(box, real, monkeypatch, tmp_path):
    monkeypatch.setattr(mapped, "PIECE", 1000)  # of 32 x 32 x 3 values
    objective, v0 = painting(32, "float32")
    made, genuine = [], mapped.mapped_zeros

    def counted(shape, dtype):
        made.append(shape)
        return genuine(shape, dtype)

    monkeypatch.setattr(mapped, "mapped_zeros", counted)
    in_memory = v0.astype(np.float32)
    in_file = genuine(in_memory.shape, in_memory.dtype)
    in_file[:] = in_memory
    kept = []

    def save(row):
        assert mapped.is_mapped(row.v) == bool(made)
        row.save(tmp_path / f"{bool(made)}{row.iteration}")
        kept.append(row.value)

    here = minimize_lbfgs(objective, in_memory, 9, lbfgs_history=3, callback=save, box=box)
    assert not made
    there = minimize_lbfgs(objective, in_file, 9, lbfgs_history=3, callback=save, box=box)
    assert mapped.is_mapped(there.v)
    assert (9, v0.size) in made  # the history
    assert len(made) > 30  # start, trials, directions, the best, the callback's
    np.testing.assert_array_equal(here.v, there.v)
    assert kept[:9] == kept[9:]
    for large in (mapped.MAPPED, 1):  # the checkpoint's arrays are read, or mapped where they are
        monkeypatch.setattr(mapped, "MAPPED", large)
        resumed = minimize_lbfgs(objective, in_file, 9, lbfgs_history=3, box=box, resume=tmp_path / "True4")
        np.testing.assert_array_equal(resumed.v, here.v)


def test_a_checkpoints_large_arrays_are_mapped_where_the_start_is(tmp_path, monkeypatch):
    monkeypatch.setattr(mapped, "MAPPED", 4000)
    in_file, path = mapped.mapped_zeros((1000,), np.float32), tmp_path / "state"
    in_file[:] = np.arange(1000)
    write_checkpoint(path, "any", {"v": in_file, "few": in_file[:3], "none": in_file[:0]}, {})
    shapes = {"few": (3,), "none": (0,)}
    arrays, _ = read_checkpoint(path, "any", in_file, shapes, {})
    assert {name: isinstance(a, np.memmap) for name, a in arrays.items()} == {"v": True, "few": False, "none": False}
    assert not arrays["v"].flags.writeable
    np.testing.assert_array_equal(arrays["v"], in_file)
    assert not isinstance(read_checkpoint(path, "any", np.array(in_file), shapes, {})[0]["v"], np.memmap)
    stored = path.read_bytes()
    at = stored.index(np.float32(999).tobytes())
    path.write_bytes(stored[:at] + np.float32(998).tobytes() + stored[at + 4 :])
    with pytest.raises(HandstyleError, match="damaged"):
        read_checkpoint(path, "any", in_file, shapes, {})


def test_an_evaluation_costs_one_transfer():
    device = strict_backend()
    objective, _ = quadratic(500, 100)
    start = device.asarray(np.zeros(500))
    v = [row.v for row in minimize_lbfgs(objective, start, 3).trace]
    assert v == [None] * 3  # the trace keeps no pictures
    TRAFFIC.reset()
    outcome = minimize_lbfgs(objective, start, 30)
    assert TRAFFIC.down == outcome.evaluations - 1  # the dot products, of each trial
    assert TRAFFIC.values == outcome.evaluations + 1  # the value, by this objective itself; the first gradient's square
    assert TRAFFIC.up <= 2 * outcome.evaluations + len(outcome.trace)  # two by this objective, and the coefficients


def test_the_first_step_is_one_gray_level():
    steps = []
    objective = Plain(lambda v: (steps.append(v) or float(v @ v), 2 * v))
    minimize_lbfgs(objective, np.full(100, 50.0), 1)
    assert np.sqrt(np.mean((steps[1] - steps[0]) ** 2)) == pytest.approx(1)


@pytest.mark.parametrize(
    "options", [{}, {"box": (0.0, 255.0)}, {"learning_rate": 1.0, "lbfgs_history": 100}], ids=["wolfe", "box", "fixed"]
)
def test_an_interrupted_run_goes_on_bit_for_bit(real, options, tmp_path):
    objective, v0 = real
    start, path = v0.astype(np.float32), tmp_path / "state.npz"
    whole = minimize_lbfgs(objective, start, 24, **options)

    def stop(row):
        if row.iteration == 15:  # the ring of ten pairs has been round once
            row.save(path)
            raise StopIteration

    half = minimize_lbfgs(objective, start, 24, callback=stop, **options)
    assert half.stopped == "stopped by the callback"
    rest = minimize_lbfgs(objective, np.zeros_like(start), 24, resume=path, **options)
    np.testing.assert_array_equal(rest.v, whole.v)
    assert [(r.iteration, r.evaluations, r.value, r.terms) for r in rest.trace] == [
        (r.iteration, r.evaluations, r.value, r.terms) for r in whole.trace
    ]
    assert rest.evaluations == whole.evaluations
    assert rest.trace[-1].seconds > half.trace[-1].seconds
    assert list(tmp_path.iterdir()) == [path]


def test_a_checkpoint_that_does_not_fit_is_refused(tmp_path):
    path, objective = tmp_path / "state.npz", quadratic(20)[0]
    minimize_lbfgs(objective, np.zeros(20), 3, callback=lambda row: row.save(path))
    for start, options, message in (
        (np.zeros(21), {}, "20 values of float64"),
        (np.zeros(20, np.float32), {}, "20 of float32"),
        (np.zeros(20), {"lbfgs_history": 5}, "lbfgs_history=10"),
    ):
        with pytest.raises(HandstyleError, match=message):
            minimize_lbfgs(objective, start, 5, resume=path, **options)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(HandstyleError, match=r"damaged|not a checkpoint"):
        minimize_lbfgs(objective, np.zeros(20), 5, resume=path)
    with pytest.raises(HandstyleError, match="missing"):
        minimize_lbfgs(objective, np.zeros(20), 5, resume=tmp_path / "missing.npz")


@pytest.mark.parametrize("seed", range(4))
def test_in_a_box_scipys_bounded_minimum_is_found(seed):
    rng = np.random.default_rng(seed)
    n = 40
    A = rng.standard_normal((n, n))  # every value pulls at every other: the wall held by one bends the rest
    A, b, seen = A @ A.T / n + 0.01 * np.eye(n), rng.standard_normal(n), []

    def f(v):
        seen.append(v)
        return 0.5 * float(v @ A @ v) - float(b @ v), A @ v - b

    outcome = minimize_lbfgs(Plain(f), np.full(n, 5.0), 400, box=(-1.0, 1.0))
    assert all(np.abs(v).max() <= 1 for v in seen)
    judge = minimize(
        f, np.zeros(n), jac=True, method="L-BFGS-B", bounds=[(-1, 1)] * n, options={"ftol": 0, "gtol": 1e-9}
    )
    assert (np.abs(judge.x) == 1).sum() > 3
    np.testing.assert_allclose(outcome.v, judge.x, atol=1e-4)
    # Without freezing the values at the walls it arrives too, after 500 to 1200 evaluations.
    assert next(row.evaluations for row in outcome.trace if row.value < judge.fun + 1e-6) < 100


def test_the_start_is_not_mutated():
    v0 = np.zeros(30)
    minimize_lbfgs(quadratic(30, 100)[0], v0, 50)
    assert not v0.any()


def test_reasons_for_stopping():
    f, _ = quadratic(10, 10)
    assert minimize_lbfgs(f, np.zeros(10), 3).stopped == "all 3 iterations done"
    assert minimize_lbfgs(f, np.zeros(10), 99, tolerance=0.5).stopped.startswith("converged")
    assert minimize_lbfgs(Plain(lambda v: (0.0, 0 * v)), np.zeros(3), 9).stopped.startswith("the gradient is exactly")
    lying = Plain(lambda v: (float(v.sum()), -np.ones_like(v)))
    assert minimize_lbfgs(lying, np.zeros(3), 9).stopped.startswith("no further descent")
    calls = iter(range(99))

    def breaking(v):
        if next(calls) == 5:
            raise NonFiniteError("style is nan")
        return f(v)

    broken = minimize_lbfgs(Plain(breaking), np.zeros(10), 99)
    assert broken.failed
    assert "style is nan" in broken.stopped
    assert np.isfinite(broken.v).all()
    with pytest.raises(NonFiniteError):
        minimize_lbfgs(Plain(lambda v: (_ for _ in ()).throw(NonFiniteError("nan"))), np.zeros(3), 9)

    def interrupt(row):
        raise KeyboardInterrupt

    assert minimize_lbfgs(f, np.zeros(10), 9, callback=interrupt).stopped == "interrupted after 1 iterations"


@pytest.mark.torch
def test_without_line_search_it_is_pytorchs_step_for_step():
    torch = pytest.importorskip("torch", reason="PyTorch is the judge here")
    objective = rosenbrock(12)
    v0, history = np.linspace(-1, 1, 12), 5
    path = []
    minimize_lbfgs(objective, v0, 25, lbfgs_history=history, learning_rate=0.3, callback=lambda row: path.append(row.v))
    x = torch.tensor(v0, requires_grad=True)
    judge = torch.optim.LBFGS([x], lr=0.3, max_iter=1, history_size=history, tolerance_grad=-1, tolerance_change=-1)

    def closure():
        judge.zero_grad()
        value, g = objective(x.detach().numpy())
        x.grad = torch.tensor(g)
        return torch.tensor(value)

    for ours in path:
        judge.step(closure)
        np.testing.assert_allclose(ours, x.detach().numpy(), rtol=1e-6, atol=1e-8)


def test_a_fixed_step_has_a_bound_where_one_is_given():
    def nearly_straight(v):  # its first pair asks for a step of 1e6
        return -float(v.sum()) + 0.5e-6 * float(v @ v), -np.ones_like(v) + 1e-6 * v

    for longest, reached in ((None, 1e5), (8.0, 17.0)):
        path = []
        minimize_lbfgs(
            Plain(nearly_straight),
            np.zeros(9),
            3,
            learning_rate=1.0,
            longest=longest,
            callback=lambda row, p=path: p.append(row.v),
        )
        assert np.abs(path[-1]).max() > reached / 2
        steps = np.sqrt((np.diff([np.zeros(9), *path], axis=0) ** 2).mean(axis=1))
        assert (steps.max() <= 8.001) == (longest is not None)


def test_a_first_fixed_step_that_float32_could_not_hold_is_made_visible():
    n, start = 40000, np.full(40000, 120, np.float32)
    path = []

    def bowl(v):
        return float(0.5 * ((v - 100) ** 2).sum(dtype=np.float64)), v - 100

    minimize_lbfgs(Plain(bowl), start, 2, learning_rate=1.0, callback=lambda row: path.append(row.v))
    # min(1, 1/‖g‖₁) times g is 1/n, a sixth of the distance between neighboring numbers there.
    assert 1 / n < np.spacing(np.float32(120)) * 4
    assert np.sqrt(((path[0] - start) ** 2).mean()) == pytest.approx(1, rel=1e-3)
    np.testing.assert_allclose(path[1], 100, atol=1e-2)
