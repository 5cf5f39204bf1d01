"""Several settings on one sheet: every combination, its caption, its recipe, and what cannot be swept."""

import json
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFont

import handstyle.cli.sweep
import handstyle.painting.stylize
from handstyle.cli.sweep import GAP, PAPER, Cell, combinations, draw_sheet, parse_axis, wrap_text
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.picture_metadata import read_metadata
from handstyle.foundations.picture_reading import read_picture
from handstyle.network.vgg import Network
from handstyle.optimize.objective import Objective
from handstyle.painting.config import StyleConfig
from handstyle.painting.load import load_network
from handstyle.painting.measured import Measured
from handstyle.painting.recipe import parse_recipe, read_recipe
from handstyle.painting.stylize import stylize
from handstyle.painting.targets import Painting, build_terms

FAST = ["--weights", "random", "--backend", "numpy", "--iterations", "2", "--pyramid-min-size", "0"]
TAPS = ["--style-layers", "relu1_1,relu2_1"]


@pytest.fixture
def told(tmp_path, monkeypatch, commanded):
    """Give what runs a sweep: its exit status, and what it said on both streams."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ("photo.png", "style.png"):
        Image.fromarray(rng.integers(0, 256, (300, 280, 3), np.uint8)).save(name)

    def run(*words):
        status, said, errors = commanded("sweep", "photo.png", "style.png", *FAST, *words)
        return status, said.splitlines(), errors.strip().splitlines()

    return run


def test_every_combination_is_a_cell_with_its_recipe(told, tmp_path, monkeypatch):
    loads = []
    load = handstyle.cli.sweep.Settings.load
    monkeypatch.setattr(handstyle.cli.sweep.Settings, "load", lambda self: loads.append(1) or load(self))
    over = ["--over", "style_weight=1,30", "--over", "pooling=max,average"]
    status, lines, _ = told("-o", "s.png", "--size", 40, *TAPS, *over, "--cells")
    assert status == 0
    assert len(loads) == 2  # a network for each pooling, not for each cell
    assert [line.split(": ")[1] for line in lines[:4]] == [
        f"style_weight {weight}, pooling {pooling}" for weight in (1, 30) for pooling in ("max", "average")
    ]
    metadata = read_metadata(tmp_path / "s.png")
    assert len(json.loads(metadata["handstyle:sweep"])) == 4
    for number, (weight, pooling) in enumerate([(1, "max"), (1, "average"), (30, "max"), (30, "average")], 1):
        recipe = parse_recipe(metadata[f"handstyle:recipe {number}"], "a cell")
        alone = read_recipe(tmp_path / f"s_{number}.png")
        for one in (recipe, alone):
            assert (one.settings["style_weight"], one.settings["pooling"], one.settings["size"]) == (
                weight,
                pooling,
                40,
            )
        cell, width = read_picture(tmp_path / f"s_{number}.png").pixels, 37
        across, down = (number - 1) % 2, (number - 1) // 2
        shown = read_picture(tmp_path / "s.png").pixels
        left = GAP + across * (width + GAP)
        tops = [
            top for top in range(GAP, shown.shape[0] - 40) if (shown[top : top + 40, left : left + width] == cell).all()
        ]
        assert len(tops) == 1
        assert (tops[0] == GAP) == (down == 0)  # the last setting goes across


def test_a_cell_is_small_unless_a_size_is_named(told, tmp_path):
    told("-o", "s.png", "--over", "seed=1", *TAPS)
    assert parse_recipe(read_metadata(tmp_path / "s.png")["handstyle:recipe 1"], "a cell").settings["size"] == 256


def test_prints_are_varied_without_a_size_of_the_sweep(told):
    status, lines, said = told("-o", "s.png", *TAPS, "--over", "print=3x3cm@30,3x3cm@40")
    assert (status, said) == (0, [])
    assert "print 3x3cm@40: loss" in lines[1]


def test_a_cell_that_fails_is_said_and_the_next_is_painted(told, tmp_path):
    status, lines, _ = told("-o", "s.png", "--size", 40, "--over", "style_layers=relu1_1|relu1_1,relu5_1")
    assert status == 1
    assert "style_layers relu1_1: loss" in lines[0]
    assert "failed: style.png is used at 37 x 40 px" in lines[1]
    assert [key for key in read_metadata(tmp_path / "s.png") if "recipe" in key] == ["handstyle:recipe 1"]
    status, _, said = told("-o", "t.png", "--size", 40, "--over", "style_layers=relu5_1")
    assert status == 2
    assert said[0].startswith("handstyle: no picture could be painted: style.png")
    assert not (tmp_path / "t.png").exists()


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["--over", "stile_weight=1"], "did you mean style_weight?"),
        (["--over", "seed="], "--over seed=: give values, as in --over seed=1,2,3"),
        (["--over", "size=9,64"], "--size 9: must be 16 or more"),
        (["--over", "overwrite=true"], "no setting is called 'overwrite'"),
        (["--over", "clamp=maybe"], "--over clamp=maybe: use true or false"),
        (["--over", "seed=1", "--over", "seed=2"], "named twice"),
        (["--over", "seed=" + ",".join(map(str, range(201)))], "201 pictures; at most 200"),
        (["--over", "seed=1", "-o", "s.jpg"], "the sheet must be a .png"),
        (["--over", "optimizer=adam,newton"], "optimizer newton"),
    ],
)
def test_what_cannot_be_swept_is_one_line_before_any_work(told, tmp_path, words, meant):
    status, lines, said = told(*words)
    assert (status, lines, len(said)) == (2, [], 1)
    assert meant in said[0]
    assert not list(tmp_path.glob("*sweep*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_keeps_the_cells_that_are_done(told, tmp_path, monkeypatch, number):
    paint, begun = handstyle.cli.sweep.stylize, []

    def interrupted(*pictures, **options):
        begun.append(1)
        if len(begun) == 3:
            signal.raise_signal(number)
        return paint(*pictures, **options)

    def twice(*pictures, **options):  # the second signal comes while the sheet is laid out
        signal.raise_signal(number)
        return draw_sheet(*pictures, **options)

    monkeypatch.setattr(handstyle.cli.sweep, "stylize", interrupted)
    monkeypatch.setattr(handstyle.cli.sweep, "draw_sheet", twice)
    status, lines, _ = told("-o", "s.png", "--size", 40, *TAPS, "--over", "seed=1,2,3,4")
    assert status == 128 + number
    assert lines[-1] == "the sheet is in s.png, with 2 of 4 pictures"
    assert len([key for key in read_metadata(tmp_path / "s.png") if "recipe " in key]) == 2


def test_a_sheet_and_a_cell_whose_places_are_taken_meanwhile_are_written_beside_them(told, tmp_path, monkeypatch):
    stand, made = handstyle.cli.sweep.draw_sheet, handstyle.cli.sweep.format_duration

    def taken(*given):
        (tmp_path / "s.png").write_bytes(b"mine")
        return stand(*given)

    def taken_too(seconds):
        (tmp_path / "s_2.png").write_bytes(b"mine")
        return made(seconds)

    monkeypatch.setattr(handstyle.cli.sweep, "draw_sheet", taken)
    monkeypatch.setattr(handstyle.cli.sweep, "format_duration", taken_too)
    status, lines, _ = told("-o", "s.png", "--size", 40, *TAPS, "--over", "seed=1,2", "--cells")
    assert status == 1
    assert (tmp_path / "s.png").read_bytes() == (tmp_path / "s_2.png").read_bytes() == b"mine"
    assert "s_2.png could not be written: it is in " in " ".join(lines)
    written = Path(lines[-1].removeprefix("the sheet is in "))
    assert len([key for key in read_metadata(written) if "recipe " in key]) == 2


def test_a_signal_between_two_cells_keeps_those_that_are_done(told, tmp_path, monkeypatch):
    said, say = [], handstyle.cli.sweep.say

    def saying(line):
        said.append(line)
        if len(said) == 2:
            signal.raise_signal(signal.SIGTERM)
        say(line)

    monkeypatch.setattr(handstyle.cli.sweep, "say", saying)
    status, lines, _ = told("-o", "s.png", "--size", 40, *TAPS, "--over", "seed=1,2,3")
    assert status == 143
    assert lines[-1] == "the sheet is in s.png, with 2 of 3 pictures"


def test_pictures_are_read_as_large_as_a_cell(told, tmp_path, monkeypatch):
    paint, read = handstyle.painting.stylize.make_plan, []

    def planned(config, photograph, sources):
        read.append([max(one.pixels.shape) for one in (photograph, *sources)])
        return paint(config, photograph, sources)

    monkeypatch.setattr(handstyle.painting.stylize, "make_plan", planned)
    assert told("-o", "s.png", *TAPS, "--over", "size=40,64")[0] == 0
    assert read == [[40, 40], [64, 64]]
    recipe = parse_recipe(read_metadata(tmp_path / "s.png")["handstyle:recipe 1"], "a cell")
    assert [one.name for one in recipe.inputs] == ["photo.png", "style.png"]


def test_names_and_values():
    assert parse_axis("--style-weight=1, 10") == ("style_weight", ["1", "10"])
    assert parse_axis("style_layers=relu1_1,relu2_1|relu3_1") == ("style_layers", ["relu1_1,relu2_1", "relu3_1"])
    assert [cell.typed for cell in combinations([("clamp", ["true"]), ("style_layers", ["relu1_1"])])] == [
        {"clamp": True, "style_layers": ("relu1_1",)}
    ]
    with pytest.raises(HandstyleError):
        parse_axis("seed")


def test_a_sheet_has_a_caption_below_every_picture_within_its_column():
    cells = [Cell("a", {}, np.zeros((40, 60, 3)), "r"), Cell("a long caption " * 4, {}, np.zeros((60, 30, 3)), "r")]
    drawn = draw_sheet(cells, 2)
    width = drawn.shape[1]
    assert width == GAP + 2 * (60 + GAP)
    assert (drawn[GAP + 60 :, GAP : GAP + 60] < 128).any()
    assert (drawn[:, -GAP:] == PAPER).all()
    font = ImageFont.load_default(12)
    lines = wrap_text("style_layers relu1_1,relu2_1,relu3_1,relu4_1", font, 90)
    assert all(font.getlength(line) <= 90 for line in lines)
    assert "".join(lines).replace(" ", "") == "style_layersrelu1_1,relu2_1,relu3_1,relu4_1"


def test_pictures_are_measured_once_and_the_cells_are_those_of_single_runs(told, tmp_path, monkeypatch):
    forwards, forward = [], Network.forward
    monkeypatch.setattr(
        Network, "forward", lambda self, x, taps: forwards.append(tuple(taps)) or forward(self, x, taps)
    )
    shared, apart = [*TAPS, "--size", 40, "-o"], ["--over", "style_weight=1,10,100", "--over", "init=content,noise"]
    told(*shared, "s.png", *apart, "--cells")
    assert sorted(forwards) == [("relu1_1", "relu2_1"), ("relu4_2",)]  # the painting, and the photograph
    forwards.clear()
    told("-o", "t.png", "--over", "size=40,48", "--over", "style_layers=relu1_1|relu2_1")
    # At each size: the photograph, and the painting at each layer.
    assert sorted(forwards) == sorted(2 * [("relu4_2",), ("relu1_1",), ("relu2_1",)])
    monkeypatch.undo()
    photo, style = str(tmp_path / "photo.png"), str(tmp_path / "style.png")
    for number, (weight, init) in enumerate([(w, i) for w in (1, 10, 100) for i in ("content", "noise")], 1):
        network = load_network("random", backend="numpy")
        few = {"size": 40, "iterations": 2, "pyramid_min_size": 0, "style_layers": "relu1_1,relu2_1"}
        alone = stylize(photo, style, network=network, style_weight=weight, init=init, **few)
        cell = read_recipe(tmp_path / f"s_{number}.png").result
        assert cell["sha256"] == parse_recipe(alone.metadata["handstyle:recipe"], "it").result["sha256"]


def test_what_is_measured_is_that_of_the_network_the_pixels_and_the_masks():
    rng = np.random.default_rng(0)
    p, q, art = rng.uniform(0, 255, (3, 32, 32, 3))
    network, config, shared = load_network("random", backend="numpy"), StyleConfig(style_layers="relu1_1"), Measured()
    mask = np.zeros((32, 32))
    mask[:16] = 1

    def values(net, photograph, painting, measured):
        terms = build_terms(net, config, photograph, [painting], measured=measured)
        return Objective(net, terms, p.shape)(q.ravel())[0]

    for net in (network, load_network("random", backend="numpy", pooling="average")):
        for photograph in (p, q):
            for painting in (Painting(art), Painting(art, mask), Painting(p)):
                found = values(net, photograph, painting, shared)
                assert found == values(net, photograph, painting, None)
    assert shared.count == 2 * (2 + 3)
    values(network, p, Painting(art, 1 - mask), shared)
    assert shared.count == 2 * (2 + 3) + 1


@pytest.mark.slow
def test_a_cluster_paints_the_same_cells_each_on_one_worker(told, tmp_path):
    pytest.importorskip("distributed", reason="Dask is not installed: pip install distributed")
    over = ["--over", "pooling=max,average", "--over", "content_layers=relu2_2,conv9_1"]  # there is no conv9_1
    for name, more in (("alone.png", []), ("two.png", ["--cluster", "local:2"])):
        status, lines, _ = told("-o", name, "--size", 40, *TAPS, *over, *more)
        assert status == 1
        assert sum("failed: " in line for line in lines) == 2
    assert lines[0].startswith("cluster: 2 workers, dashboard http://")
    alone, two = (read_metadata(tmp_path / name) for name in ("alone.png", "two.png"))
    for number in (1, 3):
        recipes = [parse_recipe(one[f"handstyle:recipe {number}"], "a cell") for one in (alone, two)]
        assert recipes[0].result == recipes[1].result  # with the digest of the picture
        assert recipes[0].inputs == recipes[1].inputs
    np.testing.assert_array_equal(*(np.asarray(Image.open(tmp_path / name)) for name in ("alone.png", "two.png")))


def test_a_setting_is_not_both_typed_and_varied(told):
    status, _, errors = told("--size", 40, *TAPS, "--over", "size=32,40")
    assert status == 2
    assert errors[-1] == "handstyle: --size and --over size: give one of them"


def test_notes_are_said_once(told):
    status, lines, _ = told("--size", 320, *TAPS, "--over", "mask_feather=1,2")
    assert status == 0
    assert [line for line in lines if line.startswith("note: ")] == [
        "note: --mask-feather has no effect without --mask or --regions",
        "note: photo.png: 280 x 300 px, too few for --size 320; --enlarge paints 299 x 320 px",
    ]


def test_a_sweep_is_events_for_programs_or_silent(told):
    _, lines, _ = told("-o", "s.png", "--size", 40, *TAPS, "--over", "seed=1,2", "--json")
    events = [json.loads(line) for line in lines]
    assert [(one["event"], one.get("caption")) for one in events] == [
        ("picture", "seed 1"),
        ("picture", "seed 2"),
        ("end", None),
    ]
    assert told("-o", "t.png", "--size", 40, *TAPS, "--over", "seed=1,2", "--quiet")[1] == []
