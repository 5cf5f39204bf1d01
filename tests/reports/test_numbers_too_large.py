"""Numbers beyond what the arithmetic bears end in one line that names the parameter, not in a traceback."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from handstyle import StyleConfig, stylize, texture
from handstyle.cli import main
from handstyle.foundations.errors import HandstyleError

SHORT = {"network": "random", "size": 32, "iterations": 2, "pyramid_min_size": 0, "style_layers": "relu1_1"}


def pictures() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.uniform(0, 255, (32, 32, 3)), rng.uniform(0, 255, (32, 32, 3))


@pytest.mark.parametrize("optimizer", ["lbfgs", "lbfgs-fixed"])
@pytest.mark.parametrize("weight", ["style_weight", "tv_weight"])
def test_a_weight_whose_gradient_has_no_square_is_said(optimizer: str, weight: str) -> None:
    with pytest.raises(HandstyleError, match=r"take smaller weights"):
        stylize(*pictures(), optimizer=optimizer, **{**SHORT, weight: 1e30})


@pytest.mark.parametrize("white", [1e300, 1e-300])
def test_a_white_whose_power_is_no_number_is_refused(white: float) -> None:
    with pytest.raises(HandstyleError, match=r"tv_white=.*between"):
        StyleConfig(tv_white=white)


def test_a_texture_larger_than_memory_is_refused() -> None:
    with pytest.raises(HandstyleError, match=r"size=100000000: .*smaller"):
        texture(pictures()[1], network="random", size=100_000_000)


@pytest.mark.parametrize("name", ["/nope/x.png", "x.unknown"])
def test_bench_refuses_its_plot_before_it_measures(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["bench", "--plot", name])
    assert end.value.code == 2
    said = capsys.readouterr()
    assert "--plot" in said.err
    assert not said.out, "it measured first"


def test_a_list_of_weights_whose_reader_goes_ends_well(tmp_path: Path) -> None:
    """As ``handstyle weights list | head -1``: the pipe is closed before anything is printed."""
    command = [sys.executable, "-m", "handstyle", "weights", "list"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path) as listing:
        assert listing.stdout is not None
        listing.stdout.close()
        assert listing.stderr is not None
        said = listing.stderr.read()
    assert (listing.returncode, said) == (0, b"")


def test_an_integer_of_thousands_of_digits_is_refused(tmp_path: Path, capsys) -> None:
    (tmp_path / "run.toml").write_text("style_weight = " + "9" * 4000)
    with pytest.raises(SystemExit) as end:
        main(["plan", "--config", str(tmp_path / "run.toml")])
    assert end.value.code == 2
    with pytest.raises(HandstyleError, match="style_weight is too large"):
        StyleConfig(style_weight=int("9" * 4000))


@pytest.mark.parametrize("gibibytes", ["nan", "inf", "-1", "0", "1e300"])
def test_a_gpu_of_no_memory_or_of_more_than_there_is_is_refused(gibibytes: str, capsys) -> None:
    with pytest.raises(SystemExit) as end:
        main(["plan", "--gpu-memory", gibibytes])
    assert end.value.code == 2
    assert "--gpu-memory" in capsys.readouterr().err


@pytest.mark.parametrize("blended", [False, True])
def test_a_painting_of_one_color_is_said(blended: bool) -> None:
    photograph, painting = pictures()
    flat = np.full((32, 32, 3), 90.0) + np.linspace(0, 0.5, 32)[:, None, None]
    result = stylize(photograph, [painting, flat] if blended else [flat], **SHORT)
    assert [note for note in result.notes if "of one color" in note]
    assert not [note for note in stylize(photograph, [painting], **SHORT).notes if "of one color" in note]


def test_a_painting_of_one_color_within_its_mask_is_said() -> None:
    photograph, painting = pictures()
    painting[:16] = (200, 30, 30)
    mask = np.zeros((32, 32))
    mask[:12] = 1
    result = stylize(photograph, painting, style_mask=[mask], **SHORT)
    assert [note for note in result.notes if "of one color" in note]
