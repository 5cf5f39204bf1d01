"""A film: each frame begun from the one before it, moved by the flow, and held to it; films read and written."""

import shutil
import subprocess
import weakref
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import handstyle
from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.image import resize
from handstyle.foundations.picture_reading import Picture, read_picture
from handstyle.losses.temporal import warp
from handstyle.painting import film, targets
from handstyle.painting.config import StyleConfig
from handstyle.painting.film import (
    Frame,
    flicker,
    flow_between,
    motion,
    natural_order,
    read_film,
    start_frame,
    write_film,
)
from handstyle.painting.stylize import stylize

pytest.importorskip("skimage", reason="scikit-image is not installed: pip install scikit-image")

SIZE, STEP = 96, 3
DATA = Path(handstyle.__file__).parent / "data"


def scene(name: str, side: int = 150) -> Array:
    """Return a picture that ships with the package, (H, W, 3) float64, its long side `side`."""
    pixels = read_picture(DATA / name).pixels.astype(np.float64)
    height, width = pixels.shape[:2]
    return resize(pixels, (round(height * side / max(height, width)), round(width * side / max(height, width))))


@pytest.fixture(scope="module")
def pan() -> list[Array]:
    """Return four frames of a camera that goes to the right over the town, `STEP` px a frame."""
    town = scene("photograph.jpg")
    return [town[:80, left : left + SIZE] for left in range(0, 4 * STEP, STEP)]


def picture(p: Array, name: str = "a frame") -> Picture:
    return Picture(p.astype(np.float32), None, name)


def square_at(left: int) -> Array:
    """Return a frame with a bright square of 24 px before the town."""
    frame = scene("photograph.jpg")[:80, :SIZE].copy()
    frame[28:52, left : left + 24] = scene("portrait.jpg")[40:64, 40:64]
    return frame


def test_the_flow_of_a_pan_is_found(pan: list[Array]) -> None:
    backward, certain = motion(pan[1], pan[0])
    inner = backward[:, 8:-8, 8 : -8 - STEP]
    assert np.median(np.abs(inner - np.array([0, STEP])[:, None, None])) < 0.2
    assert certain[:, : -2 * STEP].mean() > 0.75
    assert not certain[:, -STEP:].any()  # was not in the picture
    explained = np.abs(warp(pan[0], backward) - pan[1])[certain].mean()
    assert explained < 0.25 * np.abs(pan[0] - pan[1]).mean()


def test_what_a_moving_square_uncovers_is_not_certain() -> None:
    before, now = square_at(30), square_at(36)
    backward, certain = motion(now, before)
    assert certain[32:48, 30:35].mean() < 0.05  # was behind the square: 3 pixels of 80 by this flow
    assert certain[:20].mean() > 0.95
    assert certain[34:46, 44:54].mean() > 0.5  # the square itself
    assert np.median(backward[1, 34:46, 44:54]) == pytest.approx(-6, abs=0.7)


def test_a_frame_begins_with_the_last_one_moved_and_a_scene_with_its_photograph(pan: list[Array], tmp_path) -> None:
    config = StyleConfig(size=SIZE, iterations_by_scale=(9, 5))
    last = Frame(pan[0], pan[0][..., ::-1].copy())  # "painted" in other colors
    init = tmp_path / "start.png"
    start = start_frame(config, picture(pan[1]), last, 0.5, init)
    assert start.why == ""
    assert (start.config.pyramid_min_size, start.config.iterations_by_scale) == (0, (5,))
    begun, certain = read_picture(start.config.init).pixels, start.certain
    assert np.abs(begun - start.target)[certain].max() <= 0.5
    assert np.abs(begun - pan[1])[~certain].max() <= 0.5
    assert start.flicker(start.target + 3.0) == pytest.approx(3.0)
    (term,) = start.terms(handstyle.load_network("random", backend="numpy"), (80, SIZE))
    assert (term.name, term.weight, term.target.dtype) == ("temporal", 0.5, np.float32)
    held = term.mask[..., 0]
    assert not held[:, -STEP:].any()  # what has come into view
    assert held.max() == pytest.approx(1)
    assert ((held > 0) & (held < 1)).mean() > 0.02  # beside what was hidden it is let go by degrees
    portrait = scene("portrait.jpg")[:80, :SIZE]
    for photograph, before, why in (
        (pan[0], None, "the first frame"),
        (portrait, last, "a new scene"),
        (pan[1], Frame(pan[0], pan[0][:70]), "the frame before has 96 x 70 px"),
    ):
        anew = start_frame(config, picture(photograph), before, 0.5, init)
        assert (anew.why, anew.config, anew.terms(None, (0, 0)), anew.flicker(pan[0])) == (why, config, [], None)


@pytest.mark.slow
def test_a_film_flickers_less_than_a_third_of_its_frames_painted_alone(pan: list[Array]) -> None:
    painting, network = scene("painting.jpg", 96), handstyle.load_network("vgg19-slim", backend="numpy")
    options = {"size": SIZE, "iterations": 20, "style_layers": "relu1_1,relu2_1,relu3_1,relu4_1"}
    alone = [stylize(p, painting, network=network, **options).array for p in pan]
    together = [result.array for result in handstyle.frames(pan, painting, network=network, **options)]
    np.testing.assert_array_equal(together[0], alone[0])
    ratio = flicker(pan, together) / flicker(pan, alone)
    print(f"flicker {flicker(pan, together):.2f} of {flicker(pan, alone):.2f} gray levels, {ratio:.2f}")
    assert ratio <= 0.3
    assert np.abs(together[-1] - pan[-1]).mean() > 0.7 * np.abs(alone[-1] - pan[-1]).mean()  # it is painted


def test_the_painting_is_measured_once_for_all_frames(pan: list[Array], monkeypatch) -> None:
    whole, shapes = targets._painting_moments, []
    monkeypatch.setattr(targets, "_painting_moments", lambda *a: shapes.append(a[2].pixels.shape) or whole(*a))
    few = {"size": SIZE, "pyramid_min_size": 48, "iterations": 1, "style_layers": "relu1_1,relu2_1"}
    assert len(list(handstyle.frames(pan[:3], pan[0], network="random", **few))) == 3
    assert shapes == [(40, 48, 3), (80, 96, 3)]  # the scales of the first frame


def test_in_luminance_the_last_frame_is_gray_too(pan: list[Array], tmp_path) -> None:
    start = start_frame(
        StyleConfig(size=SIZE, color="luminance"), picture(pan[1]), Frame(pan[0], pan[0]), 1.0, tmp_path / "s.png"
    )
    (term,) = start.terms(handstyle.load_network("random", backend="numpy"), (80, SIZE))
    assert np.ptp(term.target, axis=2).max() < 0.05


@pytest.mark.parametrize(
    ("options", "meant"),
    [
        ({"color": "match-after"}, r"color='match-after': .* use color='match'"),
        ({"temporal_weight": -1.0}, "temporal_weight=-1.0: must be a number of 0 or more"),
    ],
)
def test_what_does_not_go_with_a_film(pan: list[Array], options, meant: str) -> None:
    with pytest.raises(HandstyleError, match=meant):
        next(handstyle.frames(pan, pan[0], network="random", **options))
    with pytest.raises(HandstyleError, match="no frames"):
        next(handstyle.frames([], pan[0], network="random"))


def test_without_scikit_image_one_line_says_what_to_install(pan: list[Array], monkeypatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(film, "import_module", missing)
    with pytest.raises(HandstyleError, match=r"pip install scikit-image"):
        flow_between(pan[0], pan[1])
    with pytest.raises(HandstyleError, match=r"pip install scikit-image"):  # before the first frame is painted
        next(handstyle.frames(pan, pan[0], network="random"))


def test_frames_are_in_the_order_of_their_numbers() -> None:
    names = ["shot 2.png", "shot 10.png", "Shot 1.png", "a.png", "a2b3.png", "a2b12.png"]
    found = [path.name for path in natural_order(map(Path, names))]
    assert found == ["a.png", "a2b3.png", "a2b12.png", "Shot 1.png", "shot 2.png", "shot 10.png"]


@pytest.mark.parametrize("name", ["f.gif", "f.webp", "f.png", "f.apng"])
def test_an_animation_is_written_and_read(name: str, pan: list[Array], tmp_path) -> None:
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path, p in zip(paths, pan, strict=False):
        Image.fromarray(p.astype(np.uint8)).save(path)
    write_film(tmp_path / name, paths, [0.1, 0.2, 0.1])
    with read_film(tmp_path / name) as (found, seconds):
        assert [path.name for path in found] == [f"f_000{i}.png" for i in (1, 2, 3)]
        assert seconds == pytest.approx([0.1, 0.2, 0.1])
        for path, p in zip(found, pan, strict=False):
            assert np.abs(read_picture(path).pixels - p).mean() < 12
    assert not found[0].exists()
    with Image.open(tmp_path / name) as image:
        assert image.info.get("loop", 0) == 0


FFMPEG = pytest.param("f.mp4", marks=pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg here"))


@pytest.mark.parametrize("name", ["f.gif", "f.webp", "f.png", FFMPEG])
def test_one_frame_is_in_memory_while_a_film_is_written(name: str, pan: list[Array], tmp_path, monkeypatch) -> None:
    paths = [tmp_path / f"{i}.png" for i in range(4)]
    for path, p in zip(paths, pan, strict=False):
        Image.fromarray(p[:80, :94].astype(np.uint8)).save(path)
    read: list[weakref.ref[Image.Image]] = []

    def noted(path: Path) -> Image.Image:
        assert all(one() is None for one in read)
        image = Image.open(path).convert("RGB")
        read.append(weakref.ref(image))
        return image

    monkeypatch.setattr(film, "read_frame", noted)
    write_film(tmp_path / name, paths, [0.1] * 4)
    assert len(read) >= 4


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg on this machine")
def test_a_video_is_written_and_read(pan: list[Array], tmp_path) -> None:
    paths = [tmp_path / f"{i}.png" for i in range(4)]
    for path, p in zip(paths, pan, strict=False):
        Image.fromarray(p[:79, :95].astype(np.uint8)).save(path)  # odd sides
    write_film(tmp_path / "f 100%.mp4", paths, [0.1] * 4)
    said = subprocess.run(["ffmpeg", "-i", tmp_path / "f 100%.mp4"], capture_output=True, text=True, check=False).stderr
    assert "yuv420p(tv, bt709" in said  # without a name a player guesses the colors' matrix by the size
    with read_film(tmp_path / "f 100%.mp4") as (found, seconds):
        assert len(found) == 4
        assert seconds == pytest.approx([0.1] * 4, rel=0.01)
        assert np.abs(read_picture(found[2]).pixels[:79, :95] - pan[2][:79, :95]).mean() < 8
    (tmp_path / "no.mp4").write_bytes(b"no video")
    with pytest.raises(HandstyleError, match="ffmpeg cannot read it"), read_film(tmp_path / "no.mp4"):
        pass


def test_without_ffmpeg_one_line_says_what_is_missing(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(film.shutil, "which", lambda name: None)
    with pytest.raises(HandstyleError, match=r"in\.mp4: videos need ffmpeg"), read_film(tmp_path / "in.mp4"):
        pass
    with pytest.raises(HandstyleError, match=r"out\.mp4: videos need ffmpeg"):
        film.check_film_writable(tmp_path / "out.mp4", False)


def test_what_is_no_film_is_one_line(tmp_path, pan: list[Array]) -> None:
    Image.fromarray(pan[0].astype(np.uint8)).save(tmp_path / "one.png")
    Image.fromarray(pan[0][:40].astype(np.uint8)).save(tmp_path / "two.png")
    (tmp_path / "broken.gif").write_bytes(b"GIF89a")
    (tmp_path / "empty").mkdir()
    for name, meant in (
        ("one.png", "one.png is a single picture, not a film"),
        ("broken.gif", "broken.gif cannot be read"),
        ("empty", "holds no picture"),
        ("nowhere", "cannot be read"),
    ):
        with pytest.raises(HandstyleError, match=meant) as said, read_film(tmp_path / name):
            pass
        assert "\n" not in str(said.value)
    with pytest.raises(HandstyleError, match=r"two\.png has 96 x 40 px, one\.png 96 x 80"):
        write_film(tmp_path / "f.gif", [tmp_path / "one.png", tmp_path / "two.png"], [1, 1])
    with pytest.raises(HandstyleError, match="a film is a folder, or ends in"):
        film.check_film_writable(tmp_path / "f.txt", False)
