"""The loss of patches: partners by a loop, its gradient by differences and by PyTorch, guides, and the engines."""

from itertools import product

import numpy as np
import pytest

from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.gradcheck import check_adjoint, check_projection, check_taylor
from handstyle.foundations.image import preprocess_forward
from handstyle.losses.patches import PatchTerm, nearest, patches_backward, patches_forward
from handstyle.network.vgg import build_network, random_weights
from handstyle.optimize.lbfgsb import minimize_lbfgsb
from handstyle.optimize.objective import Objective

rng = np.random.default_rng(0)
F, PAINTING = rng.uniform(0, 1, (6, 7, 4)), rng.uniform(0, 1, (5, 8, 4))


def value(term, f):
    return float(term.loss(term.measure(f))[0])


def gradient(term, f):
    _, ds = term.loss(term.measure(f))
    return term.spread(ds, f)


def test_patches_and_their_adjoint():
    patches, shape = patches_forward(F)
    assert patches.shape == (4 * 5, 9 * 4)
    np.testing.assert_array_equal(patches[7].reshape(3, 3, 4), F[1:4, 2:5])  # row 1, column 2
    assert check_adjoint(lambda u: patches_forward(u)[0], lambda v: patches_backward(v, shape), F).passed
    with pytest.raises(HandstyleError, match="no patch of 3 x 3"):
        patches_forward(F[:2])


def test_partners_and_distance_by_the_definition():
    term = PatchTerm("relu3_1", PAINTING, scale=1.0)
    there = [PAINTING[i : i + 3, j : j + 3] for i, j in product(range(3), range(6))]
    expected, partners = 0.0, []
    for i, j in product(range(4), range(5)):
        mine = F[i : i + 3, j : j + 3]
        alike = [(mine * one).sum() / np.sqrt((mine**2).sum() * (one**2).sum()) for one in there]
        partners.append(int(np.argmax(alike)))
        expected += ((mine - there[partners[-1]]) ** 2).sum()
    found = term.measure(F)
    np.testing.assert_array_equal(found.partner, partners)
    assert len(set(partners)) > 3
    assert float(found.distance) == pytest.approx(expected, rel=1e-12)
    energy = np.mean([(one**2).sum() for one in there])
    assert value(PatchTerm("relu3_1", PAINTING), F) == pytest.approx(expected / energy / 20, rel=1e-12)


@pytest.mark.parametrize("guided", [False, True])
def test_the_gradient_by_differences_between_two_changes_of_partner(guided):
    guides = (rng.uniform(0, 3, (6, 7, 2)), rng.uniform(0, 3, (5, 8, 2))) if guided else None
    term = PatchTerm("relu3_1", PAINTING, guides=guides)
    partner = {"signature": lambda f: term.measure(f).partner}
    assert check_projection(lambda f: value(term, f), lambda f: gradient(term, f), F, **partner).passed
    assert check_taylor(lambda f: value(term, f), lambda f: gradient(term, f), F, **partner).passed
    forgotten = check_projection(lambda f: value(term, f), lambda f: gradient(term, f) / 2, F, **partner)
    assert not forgotten.passed  # a gradient without its factor 2 is found


def test_the_gradient_is_pytorchs():
    torch = pytest.importorskip("torch", reason="PyTorch is the judge here")
    term = PatchTerm("relu3_1", PAINTING, scale=0.5)
    f = torch.tensor(F, requires_grad=True)

    def unfolded(a):
        return torch.nn.functional.unfold(a.permute(2, 0, 1)[None], 3)[0].T

    mine, bank = unfolded(f), unfolded(torch.tensor(PAINTING))
    partner = (mine @ (bank / bank.norm(dim=1, keepdim=True)).T).argmax(dim=1)
    loss = 0.5 * ((mine - bank[partner]) ** 2).sum()
    loss.backward()
    assert value(term, F) == pytest.approx(loss.item(), rel=1e-12)
    np.testing.assert_allclose(gradient(term, F), f.grad, rtol=1e-11, atol=1e-13)


def test_a_guide_sends_like_to_like_and_is_no_part_of_the_distance():
    left, right = np.zeros((6, 7, 1)), np.zeros((5, 8, 1))
    left[:, 4:], right[:, :4] = 100.0, 100.0  # the right of the picture is the left of the painting
    term = PatchTerm("relu3_1", PAINTING, guides=(left, right), scale=1.0)
    columns = term.measure(F).partner.reshape(4, 5) % 6
    assert (columns[:, 4] < 2).all()  # patches wholly at the right go to patches wholly at the left
    assert (columns[:, :2] >= 4).all()
    patches, bank = patches_forward(F)[0], patches_forward(PAINTING)[0]
    found = term.measure(F)
    assert float(found.distance) == pytest.approx(((patches - bank[found.partner]) ** 2).sum(), rel=1e-12)


def test_what_does_not_fit_is_said():
    with pytest.raises(HandstyleError, match="a guide of shape"):
        PatchTerm("relu3_1", PAINTING, guides=(np.zeros((6, 7, 1)), np.zeros((6, 7, 1))))
    with pytest.raises(HandstyleError, match="a guide of shape"):
        PatchTerm("relu3_1", PAINTING, guides=(np.zeros((5, 7, 1)), np.zeros((5, 8, 1)))).measure(F)
    with pytest.raises(HandstyleError, match="whole map"):
        PatchTerm("relu3_1", PAINTING).measure(F[:3], (slice(0, 3), slice(None)))
    with pytest.raises(HandstyleError, match="zero everywhere"):
        value(PatchTerm("relu3_1", 0 * PAINTING), F)
    assert nearest(patches_forward(F)[0], np.zeros((3, 36))).tolist() == [0] * 20  # no length, no division by 0


@pytest.mark.parametrize("kernels", ["auto", "im2col"])
def test_engines_are_the_reference(kernels):
    network = build_network(random_weights()).astype("float64")
    p, painting = rng.uniform(0, 255, (2, 40, 36, 3))
    taps = ("relu2_1", "relu3_1")
    features, _ = network.forward(preprocess_forward(painting, network.convention), taps)
    terms = [PatchTerm(tap, features[tap], weight=2.0) for tap in taps]
    exact = Objective(network, terms, p.shape)(p.ravel())
    found = Objective(network.with_kernels(kernels), terms, p.shape)(p.ravel())
    assert found[0] == pytest.approx(exact[0], rel=1e-10)
    np.testing.assert_allclose(found[1], exact[1], rtol=1e-8, atol=1e-12 * np.abs(exact[1]).max())


def test_a_picture_of_patches_comes_near_the_painting():
    network = build_network(random_weights()).astype("float64")
    p, painting = rng.uniform(0, 255, (2, 32, 32, 3))
    features, _ = network.forward(preprocess_forward(painting, network.convention), ("relu2_1",))
    objective = Objective(network, [PatchTerm("relu2_1", features["relu2_1"])], p.shape)
    outcome = minimize_lbfgsb(objective, p.ravel(), 30)
    assert outcome.value < 0.5 * objective(p.ravel())[0]
