"""What is shown while a picture forms: the time left, a bar, lines in a log, and the picture on the way."""

import io
import itertools
import time

import numpy as np
import pytest
from rich.console import Console

import handstyle
from handstyle.foundations.picture_reading import read_picture
from handstyle.network.vgg import random_weights
from handstyle.painting import progress as module
from handstyle.painting.progress import Lines, format_duration, progress_display, time_left
from handstyle.painting.result import Progress

FEW = {"network": "random", "size": 64, "iterations": 3, "style_layers": "relu1_1,relu2_1", "pyramid_min_size": 32}


@pytest.fixture
def pictures():
    rng = np.random.default_rng(0)
    return rng.uniform(0, 255, (2, 64, 48, 3))


def at(iteration, scale=0, seconds_left=10.0):
    sizes = ((32, 24), (64, 48))
    array = np.zeros((*sizes[scale], 3))
    return Progress(iteration, 6, iteration, 3.0, {"content relu4_2": 1.0, "style relu1_1": 2.0}, 5.0, array, None,
                    scale, sizes, seconds_left)  # fmt: skip


def test_the_time_left_counts_the_pixels_of_the_scales_to_come():
    sizes = [(10, 10), (20, 20), (40, 20)]
    power = module.GROWTH
    assert time_left([0, 2, 4], [5, 5, 5], sizes, 0) == pytest.approx(2 * (3 + 5 * 4**power + 5 * 8**power))
    assert time_left([0, 1], [5, 5, 3], sizes, 1) == pytest.approx(4 + 3 * 2**power)
    # four times the pixels took twice the time, so twice the pixels take √2 of it
    assert time_left([3, 5, 7, 9], [5, 5, 3], sizes, 1, [1, 2, 3]) == pytest.approx(2 * (2 + 3 * 2**0.5))
    # a forecast, of which only the ratios count, is better than any power
    assert time_left([0, 2, 4], [5, 5, 5], sizes, 0, forecast=[0.1, 0.15, 0.3]) == pytest.approx(2 * (3 + 7.5 + 15))
    assert time_left([3, 5, 7, 9], [5, 5, 3], sizes, 1, [1, 2, 3], [0.1, 0.15, 0.3]) == pytest.approx(2 * (2 + 6))
    nan = [float("nan")] * 3
    assert time_left([0, 1], [5, 5, 3], sizes, 1, forecast=nan) == time_left([0, 1], [5, 5, 3], sizes, 1)
    assert time_left([0, 7], [5], sizes[:1], 0) is None
    paused = [0, 1, 2, 100, 101]
    assert time_left(paused, [50], sizes[:1], 0) == 46


def test_nothing_is_left_at_the_end():
    assert module.eta(at(3)) == "about 10 s left"
    assert module.eta(at(6, seconds_left=0.0)) == module.eta(at(3, seconds_left=None)) == ""


def test_durations_in_words():
    assert [format_duration(n) for n in (0, 59.4, 60, 3599, 3600)] == [
        "0 s",
        "59 s",
        "1 min 0 s",
        "59 min 59 s",
        "1 h 0 min",
    ]


def test_a_log_has_a_line_when_a_scale_begins_every_five_seconds_and_at_the_end(monkeypatch):
    lines = []
    clock = itertools.count(0, 2)
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    show = Lines(lines.append)
    for iteration in (1, 2, 3, 4):
        show(at(iteration))
    for iteration in (5, 6):
        show(at(iteration, 1))
    assert [line.split(", loss")[0] for line in lines] == [
        "24 x 32 px, scale 1 of 2: iteration 1 of 6",
        "24 x 32 px, scale 1 of 2: iteration 4 of 6",
        "48 x 64 px, scale 2 of 2: iteration 5 of 6",
        "48 x 64 px, scale 2 of 2: iteration 6 of 6",
    ]
    assert lines[0].endswith("loss 3 (content 1  style 2), 5 s, about 10 s left")
    assert lines[-1].endswith("5 s")


def test_a_terminal_has_a_bar_with_scale_size_losses_and_time_left(pictures):
    file = io.StringIO()
    with progress_display(Console(file=file, force_terminal=True, width=80)) as show:

        def slowly(progress):
            show(progress)
            time.sleep(0.15)  # the bar is drawn ten times a second

        handstyle.stylize(*pictures, callback=slowly, **FEW)
    text = file.getvalue()
    for words in ("measuring the targets", "48 x 64 px, scale 2 of 2", "6/6", "about 0 s left", "loss "):
        assert words in text
    assert "\x1b[" in text


def test_progress_knows_scale_sizes_and_the_time_that_is_left(pictures):
    seen = []
    handstyle.stylize(*pictures, callback=seen.append, **FEW)
    assert [(one.scale, one.array.shape[:2]) for one in seen] == [(0, (32, 24))] * 3 + [(1, (64, 48))] * 3
    assert seen[0].sizes == ((32, 24), (64, 48))
    assert seen[0].seconds_left is None
    assert all(one.seconds_left > 0 for one in seen[1:-1])
    assert seen[-1].seconds_left == 0


def test_the_picture_on_the_way_is_what_the_run_would_give(pictures):
    photograph, painting = pictures
    clear = np.dstack([photograph, np.tile(np.linspace(0, 255, 48), (64, 1))]).astype(np.uint8)
    seen = []
    options = {**FEW, "color": "luminance"}
    done = handstyle.stylize(clear, painting, callback=lambda now: seen.append((now, now.result())), **options)
    assert {result.array.shape for _, result in seen} == {(64, 48, 3)}
    last = seen[-1][1]
    np.testing.assert_array_equal(last.alpha, done.alpha)
    np.testing.assert_array_equal(last.array, done.array)
    luma = np.array([0.299, 0.587, 0.114])
    shown, given = ((one[..., 0] - one @ luma) for one in (last.array, read_picture(clear).pixels))
    assert np.corrcoef(shown.ravel(), given.ravel())[0, 1] > 0.99  # the photograph's colors
    first = seen[0]
    assert first[0].result((32, 24)).array.shape == (32, 24, 3)
    assert first[1].ended == "going on"
    assert first[1].stopped == "after 1 of 6 iterations"


def test_progress_a_picture_and_weights_are_shown_in_a_line_without_their_arrays():
    array = np.zeros((30, 40, 3), np.float32)
    state = Progress(2, 6, 3, 3.0, {"content relu4_2": 1.0, "style relu1_1": 2.0}, 5.0, array)
    assert repr(state) == "<Progress 2 of 6 iterations: loss 3 (content 1  style 2)>"
    assert repr(read_picture(array)) == "<Picture an array, 40 x 30 px>"
    assert repr(random_weights(deepest="conv2_1")) == "<Weights vgg19, 3 convolutions, caffe>"
