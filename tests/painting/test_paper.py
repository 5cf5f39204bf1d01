"""A print: paper and resolution in, pixels out; a photograph that is too small is enlarged only on request."""

import numpy as np
import pytest
from PIL import Image

import handstyle
from handstyle.cli import main
from handstyle.foundations.picture_reading import Picture
from handstyle.painting.config import StyleConfig, style_config
from handstyle.painting.inputs import output_size, style_size
from handstyle.painting.load import load_network
from handstyle.painting.notes import picture_notes
from handstyle.painting.paper import Paper, read_paper
from handstyle.painting.stylize import blank_picture, texture_config

QUICK = {"iterations": 1, "pyramid_min_size": 0, "style_layers": ("relu1_1",), "content_layers": ("relu2_1",)}


@pytest.fixture(scope="module")
def network():
    return load_network("random", backend="numpy")


@pytest.mark.parametrize(
    ("text", "size", "pixels"),
    [
        ("40x30cm@300", (3000, 4000), (3543, 4724)),  # 4:3 fills the paper: 30 / 2.54 · 300 and 40 / 2.54 · 300
        ("30x40cm@300", (3000, 4000), (3543, 4724)),  # the paper is turned
        ("40x30cm@300", (4000, 3000), (4724, 3543)),
        ("40x30cm@300", (1000, 4000), (1181, 4724)),  # a panorama is as long as the paper
        ("40x30cm@300", (4000, 4000), (3543, 3543)),  # a square is as wide as it
        ("400 x 300 mm", (3000, 4000), (3543, 4724)),
        ("8x10in@240dpi", (500, 400), (2400, 1920)),
        ("a4@100", (1000, 1000), (827, 827)),
    ],
)
def test_the_picture_is_the_largest_that_the_paper_holds(text, size, pixels):
    assert output_size(StyleConfig(print=text, enlarge=True), size, "a picture") == pixels


@pytest.mark.parametrize("text", ["40x30", "0x30cm", "40x30cm@0", "40x30cm@300000", "A9", "40x30cm@", "1x40cm@30", "x"])
def test_no_paper_is_one_line(text):
    with pytest.raises(handstyle.HandstyleError, match=r"^print="):
        StyleConfig(print=text)


def test_a_print_is_a_size_of_its_own():
    with pytest.raises(handstyle.HandstyleError, match="use size_rule='long'"):
        StyleConfig(print="A4", size_rule="short")


def test_a_size_and_a_print_are_not_both_taken_and_what_is_said_later_counts(capsys):
    with pytest.raises(handstyle.HandstyleError, match=r"^print=A4: sets the size.*leave size=64 out"):
        style_config(size=64, print="A4")
    assert style_config({"print": "A4"}, size=64) == StyleConfig(size=64)
    assert style_config({"size": 64}, print="A4") == StyleConfig(size=64, print="A4")
    with pytest.raises(SystemExit) as status:
        main(["stylize", "a.png", "b.png", "--size", "64", "--print", "A4"])
    assert status.value.code == 2
    assert "--print A4: sets the size of the output; leave --size 64 out" in capsys.readouterr().err


def test_a_smaller_photograph_is_enlarged_only_if_that_is_asked_for():
    assert output_size(StyleConfig(size=100), (30, 40), "p") == (30, 40)
    assert output_size(StyleConfig(size=100, enlarge=True), (30, 40), "p") == (75, 100)
    assert output_size(StyleConfig(size=100, size_rule="short", enlarge=True), (30, 40), "p") == (100, 133)
    assert output_size(StyleConfig(size=24, enlarge=True), (30, 40), "p") == (18, 24)


def test_the_painting_is_as_large_as_the_picture_not_as_the_paper():
    config = StyleConfig(print="40x30cm@300")
    painting = handstyle.Picture(np.zeros((900, 900, 3), np.float32), None, "a painting")
    assert style_size(config, painting, (300, 400), (300, 400)) == (400, 400)
    assert style_size(config, painting, (150, 200), (300, 400)) == (200, 200)


def test_the_file_states_the_resolution_at_which_it_fills_the_paper(tmp_path, network):
    rng = np.random.default_rng(0)
    photograph, painting = rng.uniform(0, 255, (30, 60, 3)), rng.uniform(0, 255, (40, 40, 3))
    for options, size, dpi in (
        ({"print": "2x1in@50", "enlarge": True}, (100, 50), 50.0),
        ({"print": "2x1in@50"}, (60, 30), 30.0),
        ({}, (60, 30), None),
    ):
        result = handstyle.stylize(photograph, painting, network=network, **QUICK, **options)
        assert result.dpi == (dpi and (dpi, dpi))
        for name, bits in (("p.png", 16), ("p.tif", 16), ("p.jpg", 8)):
            result.save(tmp_path / name, overwrite=True, bits=bits)
            with Image.open(tmp_path / name) as image:
                assert image.size == size
                assert image.info.get("dpi", (dpi, dpi)) == pytest.approx((dpi, dpi), abs=0.1) if dpi else True
        smaller = [note for note in result.notes if "`enlarge`" in note]
        assert len(smaller) == (not options.get("enlarge"))
        assert not options or options.get("enlarge") or "5.08 x 2.54 cm with 30 pixels per inch" in smaller[0]


def test_a_texture_fills_the_short_side():
    assert blank_picture(texture_config(StyleConfig(print="3x2in@20"))).pixels.shape == (40, 40, 3)


def test_what_is_printed_where():
    paper = read_paper("30x40cm")
    assert paper == Paper(30 / 2.54, 40 / 2.54, 300.0)
    assert paper.printed((600, 1200)) == "40 x 20 cm"
    assert paper.dpi_at((600, 1200)) == 76.2


def test_a_photograph_that_was_reduced_to_the_paper_as_it_was_read_is_not_called_too_small(network):
    def notes(height, width):
        photograph = Picture(np.broadcast_to(np.float32(0), (height, width, 3)), None, "a.png")
        return picture_notes(StyleConfig(print="A2@300"), network, photograph, [])

    assert output_size(StyleConfig(print="A2@300"), (4961, 7016), "a.png") == (4960, 7015)
    assert output_size(StyleConfig(print="A2@300", enlarge=True), (4960, 7015), "a.png") == (4961, 7016)
    assert notes(4960, 7015) == []
    assert "too few for" in notes(4900, 6930)[0]
