"""The commands print what their functions found, and end with the right status."""

import re

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from support.published_formats import slim, write_keras_h5, write_torch

from handstyle.cli.weights import weights_app
from handstyle.foundations.errors import HandstyleError
from handstyle.network.weights import read_weights
from weights_tools.registry import ENTRIES


@pytest.fixture(autouse=True)
def _wide(monkeypatch, tmp_path):
    monkeypatch.setenv("HANDSTYLE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def run(*words):
    return weights_app([*map(str, words)], result_action="return_value", exit_on_error=False, print_error=False)


def test_list_shows_every_network_and_which_digests_are_not_known(capsys, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "vgg19.h5").write_bytes(b"")
    assert run("list") == 0
    said = capsys.readouterr().out
    assert all(name in said for name in ("vgg19-slim", *ENTRIES))
    assert said.count("; installed") == 1
    assert len(said.splitlines()) == 2 + len(ENTRIES)
    assert run("list", "all") == 0
    said = capsys.readouterr().out
    assert said.count("digest not certain") == sum(entry.digest is None for entry in ENTRIES.values())
    assert run("list", "vgg19") == 0
    said = capsys.readouterr().out
    assert ENTRIES["vgg19"].digest in said
    assert "vgg16" not in said.split("\n", 1)[1].replace("vgg16_", "")
    with pytest.raises(HandstyleError, match="unknown network 'vgg20'"):
        run("list", "vgg20")


def test_convert_verify_card_and_compare_follow_each_other(capsys):
    write_torch("a.pth", slim())
    assert run("convert", "a.pth", "a.h5", "--convention", "caffe", "--license", "CC BY 4.0") == 0
    assert "written: a.h5" in capsys.readouterr().out
    assert run("verify", "a.h5") == 0
    assert "pass  fingerprint" in capsys.readouterr().out
    assert run("card", "a.h5") == 0
    assert "CC BY 4.0" in capsys.readouterr().out
    with Image.open("a-filters.png") as sheet:
        assert sheet.size[0] > 100
    assert run("compare", "a.h5", "a.h5") == 0
    assert "conv5_4" in capsys.readouterr().out


def test_normalize_is_a_flag_of_convert():
    write_keras_h5("a.h5", slim())
    Image.fromarray(np.arange(3 * 32 * 32, dtype=np.uint8).reshape(32, 32, 3)).save("p.png")
    assert run("convert", "a.h5", "b.h5", "--convention", "caffe", "--normalize", "--pictures", "p.png") == 0
    assert "normalized" in read_weights("b.h5").provenance


def test_a_failed_check_ends_in_status_1(capsys):
    weights = slim()
    w, b = weights.layers["conv2_2"]
    weights.layers["conv2_2"] = w * 0, b
    write_keras_h5("a.h5", weights)
    assert run("verify", "a.h5", "--convention", "caffe") == 1
    assert "FAIL  alive" in capsys.readouterr().out


def test_mistakes_are_errors_of_one_line():
    for words in (["get", "vgg20"], ["verify", "none.h5"], ["card", "none.h5"], ["convert", "none.h5", "b.h5"]):
        with pytest.raises(HandstyleError) as caught:
            run(*words)
        assert "\n" not in str(caught.value)


def test_a_sheet_that_exists_is_kept():
    write_keras_h5("a.h5", slim())
    Image.new("RGB", (3, 3)).save("a-filters.png")
    with pytest.raises(HandstyleError, match="exists"):
        run("card", "a.h5")


def test_the_card_of_a_native_file_is_the_file_s_own(capsys):
    write_torch("a.pth", slim())
    run("convert", "a.pth", "b.h5", "--convention", "caffe")
    run("card", "b.h5")
    assert re.search(r"^source +a\.pth$", capsys.readouterr().out, re.MULTILINE)


def test_without_a_file_the_network_that_ships_is_meant(capsys):
    assert run("verify") == 0
    assert "the network that ships with handstyle" in capsys.readouterr().out
    assert run("card") == 0
    assert "distilled from VGG-19" in capsys.readouterr().out


def test_in_a_terminal_what_is_long_goes_on_below_itself(capsys, monkeypatch):
    monkeypatch.setattr("handstyle.cli.weights.out", Console(force_terminal=True, width=80))
    run("card")
    said = capsys.readouterr().out.splitlines()
    assert max(map(len, said)) <= 80
    assert any(line.startswith(" " * len("source_sha256  ")) for line in said)


def test_an_interrupted_download_says_how_to_go_on(capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("handstyle.cli.weights.get", interrupted)
    assert run("get", "vgg19") == 130
    assert "handstyle weights get vgg19 continues from there" in capsys.readouterr().out


def test_what_ships_need_not_be_got(capsys):
    assert run("get", "vgg19-slim") == 0
    assert "ships with the package" in capsys.readouterr().out
