"""The judge from outside: the real VGG-19 and the whole objective against PyTorch's convolutions and autograd."""

import numpy as np
import pytest

from handstyle.foundations.backend import Array
from handstyle.foundations.image import preprocess_forward
from handstyle.losses.content import ContentTerm
from handstyle.losses.gram import StyleTerm, moments_forward
from handstyle.losses.total_variation import VariationTerm
from handstyle.network.vgg import Weights, build_network, convolution_names
from handstyle.optimize.objective import Objective

pytestmark = [pytest.mark.torch, pytest.mark.weights]

H, W = 48, 64
STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT = "relu4_2"
BOUNDS = {"float64": 1e-10, "float32": 1e-4}


@pytest.fixture(scope="module")
def pictures() -> tuple[Array, Array, Array]:
    """Return a picture, a photograph and a painting: smooth random color fields, as pictures are, with some grain."""
    rng = np.random.default_rng(12)

    def field() -> Array:
        coarse = rng.uniform(0, 255, (6, 8, 3))
        smooth = np.kron(coarse, np.ones((8, 8, 1)))
        for axis in (0, 1):
            smooth = sum(np.roll(smooth, shift, axis) for shift in range(-3, 4)) / 7
        return smooth + rng.normal(0, 8, (H, W, 3))

    return field(), field(), field()


def torch_features(p, weights: Weights, names: list[str]):
    """Run PyTorch's own VGG-19 on a picture (H, W, 3), RGB, 0 to 255, and return the features by name, (C, h, w)."""
    import torch
    import torch.nn.functional as F

    mean = torch.tensor([103.939, 116.779, 123.68], dtype=p.dtype)
    x = (p.flip(-1) - mean).permute(2, 0, 1)[None]
    features = {}
    for name in convolution_names("vgg19"):
        if name.endswith("_1") and name != "conv1_1":
            x = F.max_pool2d(x, 2)
        w, b = (torch.tensor(array).to(p.dtype) for array in weights.layers[name])
        x = F.conv2d(x, w.permute(3, 2, 0, 1), b, padding=1)
        features[name] = x[0]
        x = F.relu(x)
        features[name.replace("conv", "relu")] = x[0]
    return {name: features[name] for name in names}


def distance(found: Array, expected: Array) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@pytest.fixture(scope="module")
def torch_convolutions(vgg19_weights: Weights, pictures: tuple[Array, Array, Array]) -> dict[str, Array]:
    """Return PyTorch's sixteen convolutions in float64, (h, w, C)."""
    import torch

    features = torch_features(torch.tensor(pictures[0]), vgg19_weights, convolution_names("vgg19"))
    return {name: f.permute(1, 2, 0).numpy() for name, f in features.items()}


@pytest.mark.parametrize("dtype", BOUNDS)
def test_features_of_all_sixteen_convolutions(
    dtype: str,
    vgg19_weights: Weights,
    pictures: tuple[Array, Array, Array],
    torch_convolutions: dict[str, Array],
) -> None:
    network = build_network(vgg19_weights).astype(dtype)
    x = preprocess_forward(pictures[0].astype(dtype), network.convention)
    found, _ = network.forward(x, list(torch_convolutions))
    errors = {name: distance(found[name], expected) for name, expected in torch_convolutions.items()}
    assert len(errors) == 16
    assert max(errors.values()) <= BOUNDS[dtype], errors


@pytest.fixture(scope="module")
def torch_judgement(vgg19_weights: Weights, pictures: tuple[Array, Array, Array]) -> tuple[float, Array]:
    """Return value and gradient of the same objective, written with PyTorch's operations, by autograd in float64."""
    import torch

    picture, photograph, painting = (torch.tensor(p) for p in pictures)
    p = picture.requires_grad_()
    taps = [*STYLE, CONTENT]
    f = torch_features(p, vgg19_weights, taps)
    content, style = torch_features(photograph, vgg19_weights, taps), torch_features(painting, vgg19_weights, taps)

    def gram(f):
        F = f.flatten(1)
        return F @ F.T / F.shape[1]

    value = ((f[CONTENT] - content[CONTENT]) ** 2).sum() / (content[CONTENT] ** 2).sum()
    for tap in STYLE:
        G, A = gram(f[tap]), gram(style[tap])
        value = value + 10 * ((G - A) ** 2).sum() / (A**2).sum()
    squares = ((p[1:] - p[:-1]) ** 2).sum() + ((p[:, 1:] - p[:, :-1]) ** 2).sum()
    value = value + 1e-5 * squares / ((H - 1) * W * 3 + H * (W - 1) * 3)
    value.backward()
    return value.item(), p.grad.numpy()


# The engine that explains, and the one that a run takes by itself: both are held to the same judge.
@pytest.mark.parametrize("engine", ["reference", "auto"])
@pytest.mark.parametrize("dtype", BOUNDS)
def test_value_and_gradient_of_the_whole_objective(
    engine: str,
    dtype: str,
    vgg19_weights: Weights,
    pictures: tuple[Array, Array, Array],
    torch_judgement: tuple[float, Array],
) -> None:
    network = build_network(vgg19_weights).astype(dtype).with_kernels(engine)
    picture, photograph, painting = pictures
    targets = [
        network.forward(preprocess_forward(p.astype(dtype), network.convention), [*STYLE, CONTENT])[0]
        for p in (photograph, painting)
    ]
    terms = [StyleTerm(tap, moments_forward(targets[1][tap]), 10.0) for tap in STYLE]
    terms += [ContentTerm(CONTENT, targets[0][CONTENT], 1.0), VariationTerm(1e-5)]
    value, gradient = Objective(network, terms, (H, W, 3))(picture.ravel())
    expected, expected_gradient = torch_judgement
    assert value == pytest.approx(expected, rel=BOUNDS[dtype])
    assert distance(gradient, expected_gradient.ravel()) <= BOUNDS[dtype]
