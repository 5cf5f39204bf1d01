import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms
from support.icc_profiles import SRGB_PRIMARIES, cmyk_profile, gray_profile, matrix_profile

from handstyle.foundations.color_profile import srgb_profile
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.picture_reading import read_picture

RED, GREEN, BLUE = SRGB_PRIMARIES


def ramp(height=6, width=5):
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)


def refused(source, says):
    with pytest.raises(HandstyleError, match=says) as caught:
        read_picture(source)
    assert "\n" not in str(caught.value)


# modes


@pytest.mark.parametrize("ending", ["png", "tif", "bmp", "webp"])
def test_rgb_is_read_as_it_is(tmp_path, ending):
    path = tmp_path / f"p.{ending}"
    Image.fromarray(ramp()).save(path, lossless=True) if ending == "webp" else Image.fromarray(ramp()).save(path)
    picture = read_picture(path)
    np.testing.assert_array_equal(picture.pixels, ramp())
    assert picture.pixels.dtype == np.float32
    assert picture.pixels.flags.c_contiguous
    assert picture.alpha is None
    assert picture.source == str(path)
    assert picture.notes == ()
    np.testing.assert_array_equal(read_picture(str(path)).pixels, ramp())


def test_black_and_white_and_gray(tmp_path):
    gray = ramp()[..., 0]
    Image.fromarray(gray).save(tmp_path / "l.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "l.png").pixels, np.repeat(gray[..., None], 3, 2))
    Image.fromarray(gray > 99).save(tmp_path / "1.png")
    with Image.open(tmp_path / "1.png") as image:
        assert image.mode == "1"
    np.testing.assert_array_equal(read_picture(tmp_path / "1.png").pixels[..., 0], 255.0 * (gray > 99))


def test_palette(tmp_path):
    image = Image.fromarray(ramp()).quantize(8)
    image.save(tmp_path / "p.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "p.png").pixels, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("ending", ["png", "gif"])
def test_a_palette_with_transparency(tmp_path, ending):
    image = Image.new("P", (4, 3), 0)
    image.putpalette([200, 100, 50, 0, 255, 0])
    image.paste(1, (0, 0, 2, 3))
    image.save(tmp_path / f"p.{ending}", transparency=1)
    picture = read_picture(tmp_path / f"p.{ending}")
    np.testing.assert_array_equal(picture.alpha, [[0, 0, 1, 1]] * 3)
    np.testing.assert_allclose(picture.pixels, np.broadcast_to([200, 100, 50], (3, 4, 3)))


def test_a_palette_with_graded_transparency(tmp_path):
    image = Image.new("P", (2, 1), 0)
    image.putpalette([100, 100, 100, 40, 40, 40])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "p.png", transparency=bytes([255, 51]))
    picture = read_picture(tmp_path / "p.png")
    np.testing.assert_allclose(picture.alpha, [[1, 0.2]], rtol=1e-6)
    mean = (100 + 0.2 * 40) / 1.2
    np.testing.assert_allclose(picture.pixels[0, :, 0], [100, 0.2 * 40 + 0.8 * mean], rtol=1e-6)


@pytest.mark.parametrize(("mode", "see_through"), [("RGB", (1, 2, 3)), ("L", 7)])
def test_one_color_declared_transparent(tmp_path, mode, see_through):
    image = Image.new(mode, (4, 2), (10, 20, 30) if mode == "RGB" else 90)
    image.putpixel((3, 1), see_through)
    image.save(tmp_path / "p.png", transparency=see_through)
    picture = read_picture(tmp_path / "p.png")
    np.testing.assert_array_equal(picture.alpha, [[1, 1, 1, 1], [1, 1, 1, 0]])
    np.testing.assert_allclose(picture.pixels[1, 3], picture.pixels[0, 0], rtol=1e-6)


def test_alpha_hides_what_lies_beneath_and_shows_the_mean_of_what_is_visible(tmp_path):
    rgba = np.zeros((2, 2, 4), dtype=np.uint8)
    rgba[0, 0] = 200, 0, 0, 255
    rgba[0, 1] = 0, 100, 0, 255
    rgba[1, 0] = 255, 255, 255, 0  # hidden white must not show, nor enter the mean
    rgba[1, 1] = 255, 255, 255, 0
    Image.fromarray(rgba).save(tmp_path / "p.png")
    picture = read_picture(tmp_path / "p.png")
    np.testing.assert_allclose(picture.pixels[1], [[100, 50, 0]] * 2)
    np.testing.assert_array_equal(picture.pixels[0], [[200, 0, 0], [0, 100, 0]])
    np.testing.assert_array_equal(picture.alpha, [[1, 1], [0, 0]])
    assert picture.alpha.dtype == np.float32


def test_gray_with_alpha_and_opaque_alpha(tmp_path):
    la = np.stack([np.full((3, 3), 80), np.diag([255, 255, 255])], -1).astype(np.uint8)
    Image.fromarray(la).save(tmp_path / "la.png")
    picture = read_picture(tmp_path / "la.png")
    np.testing.assert_array_equal(picture.pixels, np.full((3, 3, 3), 80))
    np.testing.assert_array_equal(picture.alpha, np.eye(3))
    opaque = np.dstack([ramp(), np.full(ramp().shape[:2], 255, np.uint8)])
    assert read_picture(Image.fromarray(opaque)).alpha is None


@pytest.mark.parametrize("mode", ["La", "RGBa"])
def test_premultiplied_alpha(mode):
    image = Image.new("RGBA", (2, 1), (200, 200, 200, 255))
    image.putpixel((1, 0), (200, 200, 200, 128))
    picture = read_picture((image.convert("LA") if mode == "La" else image).convert(mode))
    np.testing.assert_allclose(picture.pixels, 200, atol=1)
    np.testing.assert_allclose(picture.alpha, [[1, 128 / 255]], rtol=1e-6)


def test_cmyk_without_a_profile(tmp_path):
    cmyk = np.zeros((8, 8, 4), dtype=np.uint8)
    cmyk[..., 0], cmyk[..., 3] = 255, 51  # full cyan, a fifth of black
    Image.frombytes("CMYK", (8, 8), cmyk.tobytes()).save(tmp_path / "p.tif")
    picture = read_picture(tmp_path / "p.tif")
    np.testing.assert_allclose(picture.pixels, np.broadcast_to([0, 204, 204], (8, 8, 3)), atol=1)
    assert any("approximate" in note for note in picture.notes)
    # Adobe stores CMYK in JPEG inverted; a paper-white picture must not come out black
    Image.frombytes("CMYK", (8, 8), cmyk.tobytes()).save(tmp_path / "p.jpg", quality=100, subsampling=0)
    assert b"Adobe" in (tmp_path / "p.jpg").read_bytes()
    np.testing.assert_allclose(read_picture(tmp_path / "p.jpg").pixels[4, 4], [0, 204, 204], atol=6)


def test_ycbcr_hsv_and_lab():
    image = Image.fromarray(ramp())
    np.testing.assert_allclose(read_picture(image.convert("YCbCr")).pixels, ramp(), atol=3)
    assert read_picture(Image.new("HSV", (2, 2), (0, 255, 255))).pixels[0, 0].tolist() == [255, 0, 0]
    lab = read_picture(Image.new("LAB", (2, 2), (255, 128, 128))).pixels
    np.testing.assert_allclose(lab, 255, atol=1)


# 16 bit and more


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_gray_of_16_bits_is_scaled_not_clipped(tmp_path, ending):
    deep = np.array([[0, 257, 1000, 30000], [32768, 40001, 65000, 65535]], dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / f"p.{ending}")
    picture = read_picture(tmp_path / f"p.{ending}")
    expected = np.repeat((deep / 257.0)[..., None], 3, axis=2)
    np.testing.assert_allclose(picture.pixels, expected, rtol=1e-6)  # finer than 8 bits
    assert picture.alpha is None


def test_gray_of_16_bits_with_white_as_zero_and_with_one_level_transparent(tmp_path):
    deep = np.array([[0, 65535], [257, 514]], dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / "p.tif", tiffinfo={262: 0})
    np.testing.assert_allclose(read_picture(tmp_path / "p.tif").pixels[..., 0], [[255, 0], [254, 253]], rtol=1e-5)
    Image.fromarray(deep).save(tmp_path / "p.png", transparency=514)
    np.testing.assert_array_equal(read_picture(tmp_path / "p.png").alpha, [[1, 1], [1, 0]])


def png_of_16_bits(values, color_type):  # (H, W, C) uint16; PNG specification, section 11
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(("color_type", "channels"), [(2, 3), (4, 2), (6, 4)])
def test_color_of_16_bits_is_read_as_8_and_says_so(tmp_path, color_type, channels):
    values = np.random.default_rng(4).integers(0, 65536, (5, 4, channels), dtype=np.uint16)
    values[0] = 65535
    if channels != 3:
        values[..., -1] = 65535
    (tmp_path / "p.png").write_bytes(png_of_16_bits(values, color_type))
    picture = read_picture(tmp_path / "p.png")
    colors = values[..., :3] if channels > 2 else np.repeat(values[..., :1], 3, axis=2)
    np.testing.assert_allclose(picture.pixels, colors / 257.0, atol=1)
    assert picture.notes == ("16 bits a channel were read as 8",)


def test_integers_and_floats():
    wide = np.array([[0, 65535], [257, 514]], dtype=np.int32)
    picture = read_picture(Image.fromarray(wide))
    np.testing.assert_allclose(picture.pixels[..., 0], [[0, 255], [1, 2]], rtol=1e-6)
    unit = read_picture(Image.fromarray(np.array([[0, 1], [0.5, 0.25]], dtype=np.float32)))
    np.testing.assert_allclose(unit.pixels[..., 0], [[0, 255], [127.5, 63.75]])
    bytes_ = read_picture(Image.fromarray(np.array([[0, 200.5]], dtype=np.float32)))
    np.testing.assert_allclose(bytes_.pixels[..., 0], [[0, 200.5]])


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (np.array([[0, 70000]], np.int32), "gray values from 0 to 70000 .mode I., where 0 to 65535 is read"),
        (np.array([[-1, 5]], np.int32), "from -1 to 5"),
        (np.array([[0, 300.0]], np.float32), "from 0 to 300 .mode F., where 0 to 255"),
        (np.array([[0, np.nan]], np.float32), "nan"),
    ],
)
def test_gray_on_an_unknown_scale_is_refused(values, says):
    refused(Image.fromarray(values), says)


# orientation and frames


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "webp"])
def test_orientation(tmp_path, orientation, ending):
    upright = np.zeros((16, 32, 3), dtype=np.uint8)  # top left red, top right green, below blue and black
    upright[:8, :16, 0] = upright[:8, 16:, 1] = upright[8:, :16, 2] = 255
    stored = {  # EXIF 2.32, tag 0x0112: which side of what is meant the first row, first column of the file show
        1: upright,  # top, left
        2: upright[:, ::-1],  # top, right
        3: upright[::-1, ::-1],  # bottom, right
        4: upright[::-1],  # bottom, left
        5: np.stack([upright[:, r] for r in range(32)]),  # left, top
        6: np.stack([upright[:, 31 - r] for r in range(32)]),  # right, top
        7: np.stack([upright[::-1, 31 - r] for r in range(32)]),  # right, bottom
        8: np.stack([upright[::-1, r] for r in range(32)]),  # left, bottom
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"jpg": {"quality": 100, "subsampling": 0}, "webp": {"lossless": True}}.get(ending, {})
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / f"p.{ending}", exif=exif, **options)
    np.testing.assert_allclose(read_picture(tmp_path / f"p.{ending}").pixels, upright, atol=4)


def test_the_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (4, 4), color) for color in ((255, 0, 0), (0, 0, 255))]
    frames[0].save(tmp_path / "p.gif", save_all=True, append_images=frames[1:])
    picture = read_picture(tmp_path / "p.gif")
    np.testing.assert_array_equal(picture.pixels[0, 0], [255, 0, 0])
    assert picture.notes == ("of several frames the first was taken; handstyle frames paints a film",)


# profiles


def with_profile(mode, color, profile):
    image = Image.new(mode, (3, 3), color)
    image.info["icc_profile"] = profile
    return read_picture(image)


def linear(level):  # a level of linear light as sRGB, IEC 61966-2-1
    return 255 * (1.055 * (level / 255) ** (1 / 2.4) - 0.055)


def test_a_profile_with_other_primaries_turns_the_colors(tmp_path):
    path = tmp_path / "p.jpg"
    image = Image.new("RGB", (8, 8), (255, 0, 0))
    image.save(path, icc_profile=matrix_profile((GREEN, BLUE, RED), 2.2), quality=100)
    picture = read_picture(path)
    np.testing.assert_allclose(picture.pixels[4, 4], [0, 255, 0], atol=2)
    assert picture.notes == ("colors were converted from the profile 'by hand' to sRGB",)


@pytest.mark.parametrize("mode", ["RGB", "L", "I;16", "P"])
def test_a_linear_profile_is_brightened(mode):
    profile = gray_profile(1.0) if mode in ("L", "I;16") else matrix_profile(SRGB_PRIMARIES, 1.0)
    color = {"RGB": (100, 100, 100), "L": 100, "I;16": 100 * 257, "P": (100, 100, 100)}[mode]
    image = Image.new("RGB", (3, 3), color).quantize(2) if mode == "P" else Image.new(mode, (3, 3), color)
    image.info["icc_profile"] = profile
    np.testing.assert_allclose(read_picture(image).pixels, linear(100), atol=1)


def test_gray_under_a_color_profile_and_alpha_beside_one():
    profile = matrix_profile(SRGB_PRIMARIES, 1.0)
    np.testing.assert_allclose(with_profile("L", 100, profile).pixels, linear(100), atol=1)
    image = Image.new("RGBA", (2, 1), (100, 100, 100, 255))
    image.putpixel((0, 0), (9, 9, 9, 0))
    image.info["icc_profile"] = profile
    picture = read_picture(image)
    np.testing.assert_allclose(picture.pixels, linear(100), atol=1)
    np.testing.assert_array_equal(picture.alpha, [[0, 1]])


def test_srgb_itself_moves_nothing():
    image = Image.fromarray(ramp())
    image.info["icc_profile"] = srgb_profile().tobytes()
    picture = read_picture(image)
    np.testing.assert_array_equal(picture.pixels, ramp())
    assert picture.notes == ()


@pytest.mark.parametrize("described", [True, False])
def test_cmyk_with_a_profile(tmp_path, described):
    cmyk = np.zeros((8, 8, 4), dtype=np.uint8)
    cmyk[:, :4, 0] = 255  # the profile's first ink is dark, not cyan
    cmyk[:, 4:, 1] = 255  # and its second invisible
    Image.frombytes("CMYK", (8, 8), cmyk.tobytes()).save(tmp_path / "p.tif", icc_profile=cmyk_profile(described))
    picture = read_picture(tmp_path / "p.tif")
    np.testing.assert_allclose(picture.pixels[:, :4], 0, atol=2)
    np.testing.assert_allclose(picture.pixels[:, 4:], 255, atol=2)


@pytest.mark.parametrize(
    ("profile", "note"),
    [(b"not a profile at all" * 9, "cannot be read"), (gray_profile(1.0), "for GRAY was ignored"), (b"", None)],
)
def test_a_profile_that_does_not_fit_is_ignored_and_named(profile, note):
    picture = with_profile("RGB", (10, 20, 30), profile)
    np.testing.assert_array_equal(picture.pixels[0, 0], [10, 20, 30])
    assert [note in n for n in picture.notes] == ([True] if note else [])


def test_the_hand_made_profiles_are_what_littlecms_takes_them_for():
    opened = ImageCms.ImageCmsProfile(io.BytesIO(matrix_profile(SRGB_PRIMARIES, 2.2)))
    assert ImageCms.getProfileDescription(opened).strip() == "by hand"


# arrays


@pytest.mark.parametrize(
    ("array", "first"),
    [
        (np.full((2, 3), 9, np.uint8), [9, 9, 9]),
        (np.full((2, 3, 1), 9, np.uint8), [9, 9, 9]),
        (np.full((2, 3, 3), 257 * 9, np.uint16), [9, 9, 9]),
        (np.full((2, 3), True), [255, 255, 255]),
        (np.full((2, 3, 3), 300.5), [300.5] * 3),
        (np.zeros((2, 3, 3)), [0, 0, 0]),
    ],
)
def test_arrays(array, first):
    picture = read_picture(array)
    assert picture.pixels.shape == (2, 3, 3)
    np.testing.assert_allclose(picture.pixels[0, 0], first, rtol=1e-6)
    picture.pixels[:] = 0
    assert array.size == 0 or array.flat[0] == array.flat[-1]  # the caller's array is not the picture's


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_arrays_with_alpha(dtype):
    picture = read_picture(np.array([[[100, 255], [30, 0]]], dtype=dtype))
    np.testing.assert_array_equal(picture.pixels[..., 0], [[100, 100]])
    np.testing.assert_array_equal(picture.alpha, [[1, 0]])


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((2, 3, 5), np.uint8), "shape .2, 3, 5. is not a picture"),
        (np.zeros(7, np.uint8), "shape .7,. is not"),
        (np.zeros((0, 3, 3), np.uint8), "no pixels"),
        (np.zeros((2, 3), np.int64), "int64"),
        (np.full((2, 3, 3), 0.5), "multiply it by 255"),
        (np.full((2, 3, 3), np.inf), "infinite"),
        ([[1, 2]], "not list"),
    ],
)
def test_arrays_that_are_no_pictures(array, says):
    refused(array, says)


# files that are no pictures


def test_missing_folder_empty_and_foreign_files(tmp_path):
    refused(tmp_path / "no.png", "no.png does not exist")
    refused(tmp_path, "is a folder: name a picture in it; handstyle batch paints a folder")
    (tmp_path / "empty.png").touch()
    refused(tmp_path / "empty.png", "is empty")
    (tmp_path / "text.png").write_text("I am not\na picture")
    refused(tmp_path / "text.png", "is not a picture")


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "gif", "webp", "bmp"])
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.9])
def test_a_truncated_file_is_refused(tmp_path, ending, kept):
    path = tmp_path / f"p.{ending}"
    Image.fromarray(ramp(64, 64)).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    refused(path, r"p\.\w+ (is|cannot)")


def test_damage_inside(tmp_path):
    path = tmp_path / "p.png"
    Image.fromarray(ramp(64, 64)).save(path)
    whole = bytearray(path.read_bytes())
    whole[200:260] = bytes(60)
    path.write_bytes(whole)
    refused(path, "damaged")


def test_a_wholly_transparent_picture():
    refused(Image.new("RGBA", (4, 4), (9, 9, 9, 0)), "wholly transparent")


def test_a_picture_without_pixels():
    refused(Image.new("RGB", (0, 4)), "no pixels")


def test_a_decompression_bomb(tmp_path, monkeypatch):
    path = tmp_path / "p.png"
    Image.new("1", (300, 300)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60_000)  # a warning only: the picture is read
    assert read_picture(path).pixels.shape == (300, 300, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    refused(path, "p.png is too large .*90000 pixels.*max_pixels")


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    path = tmp_path / "p.png"
    Image.fromarray(ramp()).save(path)

    def denied(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Image, "open", denied)
    refused(path, "cannot be read: Permission denied")
