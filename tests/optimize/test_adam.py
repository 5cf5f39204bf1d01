import numpy as np
import pytest
from support.sample_objectives import Plain, painting, quadratic

from handstyle.foundations.backend import choose_backend, to_numpy
from handstyle.foundations.errors import HandstyleError
from handstyle.optimize.adam import Adam, Average, minimize_adam
from handstyle.optimize.lbfgs import minimize_lbfgs
from handstyle.optimize.objective import NonFiniteError


@pytest.mark.torch
def test_it_is_pytorchs_step_for_step():
    torch = pytest.importorskip("torch", reason="PyTorch is the judge here")
    objective, _ = quadratic(40, 100)
    v0 = np.linspace(-1, 1, 40)
    path = []

    def rate(step):
        return 0.3 * 0.97 ** (step - 1)

    minimize_adam(objective, v0, 40, rate, (0.8, 0.95), 1e-6, box=(-1.0, 0.9), callback=lambda row: path.append(row.v))
    x = torch.tensor(v0, requires_grad=True)
    judge = torch.optim.Adam([x], lr=0.3, betas=(0.8, 0.95), eps=1e-6)
    schedule = torch.optim.lr_scheduler.ExponentialLR(judge, 0.97)
    x.data.clamp_(-1.0, 0.9)
    for ours in path:
        np.testing.assert_allclose(ours, x.detach().numpy(), rtol=1e-10, atol=1e-12)
        judge.zero_grad()
        x.grad = torch.tensor(objective(x.detach().numpy())[1])
        judge.step()
        x.data.clamp_(-1.0, 0.9)
        schedule.step()


def test_the_first_step_has_the_length_of_the_rate():
    adam = Adam(np.zeros(3), np.zeros(3))
    after = adam.step(np.zeros(3), np.array([1e-3, -7.0, 1e6]), 2.0)
    np.testing.assert_allclose(after, [-2, 2, -2], rtol=1e-4)
    assert adam.steps == 1


def test_the_average_is_corrected_for_its_start():
    rng = np.random.default_rng(0)
    iterates, average = rng.standard_normal((5, 4)), Average(np.zeros(4))
    for v in iterates:
        average.add(v, 0.9)
    weights = 0.9 ** np.arange(5)[::-1]
    np.testing.assert_allclose(average.mean(), weights @ iterates / weights.sum(), rtol=1e-12)


def test_a_painting_improves_and_the_value_is_the_averages_own():
    objective, v0 = painting(32)
    outcome = minimize_adam(objective, v0.astype(np.float32), 30, 4.0, averaging=0.9, box=(0.0, 255.0))
    assert outcome.v.dtype == np.float32
    assert outcome.value == objective(outcome.v)[0]
    assert outcome.value < 0.5 * outcome.trace[0].value
    assert outcome.evaluations == 31
    assert len(outcome.trace) == 30


def test_every_backend_takes_the_same_path(backend):
    def path(device):
        objective, v0 = painting(32, "float64", device)
        return minimize_adam(objective, device.asarray(v0), 5, 4.0, box=(0.0, 255.0), averaging=0.9)

    here, numpy = path(backend), path(choose_backend("numpy"))
    np.testing.assert_allclose([r.value for r in here.trace], [r.value for r in numpy.trace], rtol=1e-8)
    np.testing.assert_allclose(to_numpy(here.v), numpy.v, rtol=1e-6)


@pytest.mark.parametrize("averaging", [None, 0.9])
def test_an_interrupted_run_goes_on_bit_for_bit(averaging, tmp_path):
    objective, v0 = painting(32)
    start, path, options = v0.astype(np.float32), tmp_path / "adam.npz", {"averaging": averaging, "box": (0.0, 255.0)}
    whole = minimize_adam(objective, start, 12, 5.0, **options)

    def stop(row):
        if row.iteration == 7:
            row.save(path)
            raise StopIteration

    minimize_adam(objective, start, 12, 5.0, callback=stop, **options)
    rest = minimize_adam(objective, np.zeros_like(start), 12, 5.0, resume=path, **options)
    np.testing.assert_array_equal(rest.v, whole.v)
    assert [row.value for row in rest.trace] == [row.value for row in whole.trace]
    assert rest.value == whole.value
    with pytest.raises(HandstyleError, match="the checkpoint of a run with Adam; this run uses L-BFGS"):
        minimize_lbfgs(objective, start, 12, resume=path)


def test_moments_are_handed_on():
    objective, _ = quadratic(10, 10)
    whole = []
    minimize_adam(objective, np.zeros(10), 8, 0.1, callback=lambda row: whole.append(row.v))
    adam, parts = Adam(np.zeros(10), np.zeros(10)), []
    minimize_adam(objective, whole[0], 4, 0.1, start=adam, callback=lambda row: parts.append(row.v))
    assert adam.steps == 4
    minimize_adam(objective, whole[4], 4, 0.1, start=adam, callback=lambda row: parts.append(row.v))
    np.testing.assert_array_equal(parts, whole)


def test_reasons_for_stopping():
    f, _ = quadratic(10, 10)
    calls = iter(range(99))

    def breaking(v):
        if next(calls) == 3:
            raise NonFiniteError("style is nan")
        return f(v)

    broken = minimize_adam(Plain(breaking), np.zeros(10), 9)
    assert broken.failed
    assert "style is nan" in broken.stopped
    with pytest.raises(NonFiniteError):
        minimize_adam(Plain(lambda v: (_ for _ in ()).throw(NonFiniteError("nan"))), np.zeros(3), 9)

    def interrupt(row):
        raise KeyboardInterrupt

    assert minimize_adam(f, np.zeros(10), 9, callback=interrupt).stopped == "interrupted after 1 iterations"
