"""What all tests share: where the test data is, what this machine has, and how hypothesis draws."""

import importlib.util
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from support.strict_arrays import strict_backend

from handstyle.cli import main
from handstyle.cli.terminal import set_output_form
from handstyle.foundations.backend import Backend, choose_backend
from handstyle.foundations.errors import HandstyleError
from handstyle.network.vgg import Weights, random_weights
from handstyle.painting.load import load_weights

# The same examples on every run, and no deadline: a shared machine that stalls must not fail a test of correctness.
settings.register_profile(
    "handstyle",
    deadline=None,
    derandomize=True,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("handstyle")

# A shell lets what it starts in the background ignore Ctrl-C, and so would the programs that the tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

VGG19 = "weights/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"


def why_no_gpu() -> str | None:
    """Return why the tests marked ``gpu`` cannot run here, or None."""
    try:
        choose_backend("cupy")
    except HandstyleError as error:
        return str(error)
    return None


def why_no_torch() -> str | None:
    """Return why the tests marked ``torch`` cannot run here, or None."""
    if importlib.util.find_spec("torch") is None:
        return "PyTorch is not installed: pip install --group golden"
    return None


def why_no_data() -> str | None:
    """Return why the tests that need HANDSTYLE_TEST_DATA cannot run here, or None."""
    if not os.environ.get("HANDSTYLE_TEST_DATA"):
        return "HANDSTYLE_TEST_DATA does not name a folder with the real weights and pictures"
    return None


REASONS = {"gpu": why_no_gpu, "torch": why_no_torch, "weights": why_no_data}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine cannot run, with the reason."""
    for marker, why in REASONS.items():
        if item.get_closest_marker(marker) and (reason := why()):
            pytest.skip(reason)


@pytest.fixture(autouse=True)
def text_output() -> None:
    """Begin each test with text on standard output; a command of the test before may have asked for JSON."""
    set_output_form()


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Return the folder of test data. Named but absent is an error, not a reason to skip."""
    if reason := why_no_data():
        pytest.skip(reason)
    folder = Path(os.environ["HANDSTYLE_TEST_DATA"])
    assert folder.is_dir(), f"HANDSTYLE_TEST_DATA names {folder}, which is no folder"
    return folder


@pytest.fixture(scope="session")
def vgg19_weights(test_data: Path) -> Weights:
    """Return the real VGG-19 weights, read once."""
    return load_weights(test_data / VGG19)


@pytest.fixture
def commanded(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """Give what runs a command in this process: its exit status, and what it wrote to both streams."""
    terminated = signal.getsignal(signal.SIGTERM)  # which `main` takes over

    def run(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    yield run
    signal.signal(signal.SIGTERM, terminated)


@pytest.fixture(params=["numpy", "strict", pytest.param("cupy", marks=pytest.mark.gpu)])
def backend(request: pytest.FixtureRequest) -> Backend:
    """Return each library of arrays in turn; ``strict`` stands for a GPU where there is none."""
    return strict_backend() if request.param == "strict" else choose_backend(request.param)


@pytest.fixture
def rng() -> np.random.Generator:
    """Return a generator that draws the same numbers in every run."""
    return np.random.default_rng(20151)


@pytest.fixture
def tiny_weights() -> Weights:
    """Return a random VGG-19 up to conv3_1, a few channels wide, with biases that are not zero."""
    weights = random_weights(widths=(4, 5, 6, 6, 6), seed=3, deepest="conv3_1")
    draw = np.random.default_rng(4)
    layers = {name: (w, draw.normal(0, 0.1, b.shape).astype(b.dtype)) for name, (w, b) in weights.layers.items()}
    return Weights(weights.architecture, weights.convention, layers, weights.provenance)
