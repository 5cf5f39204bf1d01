import io
import os
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from handstyle.foundations import picture_rescue, picture_writing
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.picture_metadata import read_metadata
from handstyle.foundations.picture_reading import read_picture
from handstyle.foundations.picture_writing import check_writable, write_picture

LOSSLESS = ["png", "tif", "tiff"]
LOSSY = ["jpg", "jpeg", "webp"]
METADATA = {"handstyle": '{"size": 512}', "comment": "Nuit étoilée, 星月夜\nsecond line"}


def smooth(height=32, width=48):
    rows, columns = np.mgrid[:height, :width] / 48
    return np.stack([255 * columns, 255 * rows, 255 * (1 - columns)], axis=-1).astype(np.float32)


def refused(says, call, *args, **kwargs):
    with pytest.raises(HandstyleError, match=says) as caught:
        call(*args, **kwargs)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ending", LOSSLESS)
def test_lossless_formats_keep_every_level(tmp_path, ending):
    levels = np.random.default_rng(5).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    write_picture(tmp_path / f"p.{ending}", levels)
    picture = read_picture(tmp_path / f"p.{ending}")
    np.testing.assert_array_equal(picture.pixels, levels)
    assert picture.notes == ()


@pytest.mark.parametrize("ending", LOSSY)
def test_lossy_formats_come_close(tmp_path, ending):
    write_picture(tmp_path / f"p.{ending}", smooth())
    assert np.abs(read_picture(tmp_path / f"p.{ending}").pixels - smooth()).mean() < 2


def test_floats_are_rounded_and_clipped_not_wrapped(tmp_path):
    write_picture(tmp_path / "p.png", np.array([[[-40.0, 300.0, 99.6]]]))
    np.testing.assert_array_equal(read_picture(tmp_path / "p.png").pixels, [[[0, 255, 100]]])


@pytest.mark.parametrize("ending", [*LOSSLESS, "webp"])
def test_alpha_survives(tmp_path, ending):
    alpha = np.linspace(0, 1, 32 * 48).reshape(32, 48)
    write_picture(tmp_path / f"p.{ending}", smooth(), alpha)
    picture = read_picture(tmp_path / f"p.{ending}")
    np.testing.assert_allclose(picture.alpha, alpha, atol=0.5 / 255 + 1e-6)
    opaque = alpha > 0.99
    assert np.abs(picture.pixels - smooth())[opaque].mean() < 3


def test_a_jpeg_keeps_the_color_of_single_pixels(tmp_path):
    stripes = np.zeros((32, 48, 3), dtype=np.uint8)
    stripes[:, ::2, 0] = stripes[:, 1::2, 2] = 255  # red and blue by turns: subsampled chroma would give purple
    write_picture(tmp_path / "p.jpg", stripes)
    assert np.abs(read_picture(tmp_path / "p.jpg").pixels - stripes).mean() < 12


def test_a_webp_keeps_the_colors_under_full_transparency(tmp_path):
    alpha = np.ones((32, 48))
    alpha[:, 24:] = 0
    write_picture(tmp_path / "p.webp", smooth(), alpha)
    with Image.open(tmp_path / "p.webp") as image:
        assert np.abs(np.asarray(image)[..., :3] - smooth()).mean() < 4


def test_alpha_is_not_lost_in_a_jpeg(tmp_path):
    refused("p.jpg as JPEG would lose the transparency", write_picture, tmp_path / "p.jpg", smooth(), np.ones((32, 48)))
    assert list(tmp_path.iterdir()) == []


def test_16_bits(tmp_path):
    rng = np.random.default_rng(6)
    picture = rng.uniform(0, 255, (5, 4, 3))
    write_picture(tmp_path / "p.png", picture, metadata=METADATA, bits=16)
    np.testing.assert_allclose(read_picture(tmp_path / "p.png").pixels, np.floor(picture), atol=1)
    assert read_metadata(tmp_path / "p.png") == METADATA
    # Pillow reads color as 8 bits; the low byte is proved by undoing the filter by hand
    raw = (tmp_path / "p.png").read_bytes()
    start = raw.index(b"IDAT") + 4
    rows = np.frombuffer(zlib.decompressobj().decompress(raw[start:]), np.uint8).reshape(5, 1 + 24)
    assert (rows[:, 0] == 2).all()
    values = np.cumsum(rows[:, 1:], axis=0, dtype=np.uint8).copy().view(">u2").reshape(5, 4, 3)
    np.testing.assert_array_equal(values, np.rint(picture * 257))
    write_picture(tmp_path / "a.png", picture, rng.uniform(0, 1, (5, 4)), bits=16)
    assert read_picture(tmp_path / "a.png").alpha is not None
    refused("16 bits", write_picture, tmp_path / "p.jpg", picture, bits=16)
    refused("12 bits", write_picture, tmp_path / "b.png", picture, bits=12)


@pytest.mark.parametrize("ending", LOSSLESS + LOSSY)
def test_metadata_comes_back_and_the_profile_is_srgb(tmp_path, ending):
    path = tmp_path / f"p.{ending}"
    write_picture(path, smooth(), metadata=METADATA)
    assert read_metadata(path) == METADATA
    with Image.open(path) as image:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        assert ImageCms.getProfileDescription(profile).startswith("sRGB")
        assert image.mode == "RGB"


@pytest.mark.parametrize("ending", LOSSLESS + LOSSY)
def test_no_metadata_is_an_empty_dict_and_the_same_picture_gives_the_same_bytes(tmp_path, ending):
    paths = [tmp_path / f"{name}.{ending}" for name in "ab"]
    for path in paths:
        write_picture(path, smooth())
        assert read_metadata(path) == {}
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_metadata_of_other_programs_is_none_of_ours(tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "a holiday"
    Image.new("RGB", (8, 8)).save(tmp_path / "p.jpg", exif=exif)
    assert read_metadata(tmp_path / "p.jpg") == {}
    refused("no.png cannot be read", read_metadata, tmp_path / "no.png")


# what is refused before long work


def test_endings_folders_and_existing_files(tmp_path):
    for name in ("p", "p.gif", "p.txt", ".png"):
        refused(r"no ending that names a format: use one of \.png", check_writable, tmp_path / name)
    refused("p.png: there is no folder .*nowhere; make it", check_writable, tmp_path / "nowhere" / "p.png")
    (tmp_path / "d.png").mkdir()
    refused("d.png is a folder", check_writable, tmp_path / "d.png", overwrite=True)
    (tmp_path / "p.png").write_bytes(b"old")
    refused("p.png exists: choose another name or overwrite", check_writable, tmp_path / "p.png")
    check_writable(tmp_path / "p.png", overwrite=True)
    check_writable(tmp_path / "q.PNG")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d.png", "p.png"]


def test_a_folder_that_cannot_be_written_to(tmp_path, monkeypatch):
    def denied(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", denied)
    refused("is not writable: Permission denied", check_writable, tmp_path / "p.png")


def test_limits_of_formats(tmp_path):
    refused("WEBP holds at most 16383 px", check_writable, tmp_path / "p.webp", size=(10, 16384))
    refused("JPEG holds at most 65500 px", check_writable, tmp_path / "p.jpg", size=(65501, 10))
    check_writable(tmp_path / "p.png", size=(10, 70000))


@pytest.mark.parametrize(
    ("picture", "alpha", "says"),
    [
        (np.zeros((4, 4)), None, "give .H, W, 3."),
        (np.zeros((0, 4, 3)), None, "give .H, W, 3."),
        (np.zeros((4, 4, 3)), np.zeros((4, 5)), "alpha of shape .4, 5. does not fit"),
        (np.full((4, 4, 3), np.nan), None, "NaN or infinite"),
    ],
)
def test_arrays_that_cannot_be_written(tmp_path, picture, alpha, says):
    refused(says, write_picture, tmp_path / "p.png", picture, alpha)
    assert list(tmp_path.iterdir()) == []


def test_metadata_too_long_for_exif(tmp_path):
    refused("cannot be encoded as JPEG", write_picture, tmp_path / "p.jpg", smooth(), metadata={"a": "b" * 70_000})


# nothing is lost


def test_an_existing_file_stays_without_overwrite_and_goes_with_it(tmp_path):
    path = tmp_path / "p.png"
    path.write_bytes(b"old")
    refused("exists", write_picture, path, smooth())
    assert path.read_bytes() == b"old"
    write_picture(path, smooth(), overwrite=True)
    assert read_picture(path).pixels.shape == (32, 48, 3)


@pytest.mark.parametrize("broken", ["fsync", "replace"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, broken, error):
    path = tmp_path / "p.png"
    path.write_bytes(b"old")

    def fail(*args):
        raise error

    monkeypatch.setattr(picture_writing.os, broken, fail)
    with pytest.raises(KeyboardInterrupt if error is KeyboardInterrupt else HandstyleError):
        write_picture(path, smooth(), overwrite=True)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_picture_is_complete_before_it_has_its_name(tmp_path, monkeypatch):
    path, seen = tmp_path / "p.png", []
    real = os.replace

    def watch(beside, target):
        assert Path(beside).parent == tmp_path
        seen.append(read_picture(beside).pixels.shape)
        assert not path.exists()
        real(beside, target)

    monkeypatch.setattr(picture_writing.os, "replace", watch)
    write_picture(path, smooth())
    assert seen == [(32, 48, 3)]


def test_a_link_is_followed_and_the_permissions_are_the_usual_ones(tmp_path):
    (tmp_path / "real.png").write_bytes(b"old")
    (tmp_path / "link.png").symlink_to(tmp_path / "real.png")
    write_picture(tmp_path / "link.png", smooth(), overwrite=True)
    assert (tmp_path / "link.png").is_symlink()
    (tmp_path / "plain").touch()
    assert (tmp_path / "real.png").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_resolution_that_no_format_holds_does_not_lose_the_picture(tmp_path):
    gray = np.full((16, 16, 3), 99.0)
    path = picture_rescue.write_picture_somewhere(tmp_path / "out.png", gray, dpi=(1e30, 1e30), bits=16)
    assert path == tmp_path / "out.png"
    assert path.read_bytes()[24] == 16
