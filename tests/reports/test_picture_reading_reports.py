"""Reports of users about reading pictures, each a test named by its symptom."""

import io
import os
import random
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image, ImageFile, PngImagePlugin, TiffImagePlugin, features
from support.icc_profiles import SRGB_PRIMARIES, matrix_profile

from handstyle.foundations import picture_bands, picture_paths
from handstyle.foundations.errors import HandstyleError, OutOfMemoryError
from handstyle.foundations.image import fit_long_side, resize
from handstyle.foundations.picture_metadata import read_metadata
from handstyle.foundations.picture_reading import read_picture
from handstyle.foundations.picture_writing import write_picture

ROWS, COLUMNS = np.mgrid[:40, :48]
LEVELS = np.stack([COLUMNS * 5, ROWS * 6, (ROWS * COLUMNS) % 256], axis=-1).astype(np.uint8)


def refused(source: object, says: str, kind: type[HandstyleError] = HandstyleError, **options: int) -> None:
    with pytest.raises(kind, match=says) as caught:
        read_picture(source, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def with_chunk(path: Path, name: bytes, data: bytes) -> None:
    """Write the test picture as a PNG with one more chunk behind its header."""
    out = io.BytesIO()
    Image.fromarray(LEVELS).save(out, "PNG")
    png = out.getvalue()
    path.write_bytes(png[:33] + chunk(name, data) + png[33:])


# tracebacks


def test_three_million_bytes_of_text_in_a_png_are_not_needed(tmp_path: Path) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("workflow", "x" * 3_000_000, zip=True)
    Image.fromarray(LEVELS).save(tmp_path / "p.png", pnginfo=text)
    picture = read_picture(tmp_path / "p.png")
    np.testing.assert_array_equal(picture.pixels, LEVELS)
    assert len(picture.notes) == 1
    assert "the text of the PNG" in picture.notes[0]


BOMB = zlib.compress(bytes(100_000_000), 9)


@pytest.mark.parametrize(
    ("name", "data", "lost"),
    [
        (b"zTXt", b"a\0\0" + BOMB, "the text of the PNG"),
        (b"iTXt", b"a\0\1\0\0\0" + BOMB, "the text of the PNG"),
        (b"iCCP", b"a\0\0" + BOMB, "the color profile of the PNG"),
    ],
)
def test_a_bomb_in_a_chunk_beside_the_pixels_is_left_out(tmp_path: Path, name: bytes, data: bytes, lost: str) -> None:
    with_chunk(tmp_path / "p.png", name, data)
    peak, picture_notes = measured(f"picture = read_picture({str(tmp_path / 'p.png')!r}); print(picture.notes)")
    assert lost in picture_notes
    assert peak < 60e6  # more than the import of NumPy and Pillow takes
    np.testing.assert_array_equal(read_picture(tmp_path / "p.png").pixels, LEVELS)


def test_a_profile_in_a_png_that_is_longer_than_pillow_takes_is_used(tmp_path: Path) -> None:
    profile = matrix_profile(SRGB_PRIMARIES, 1.0) + bytes(2_000_000)  # more than Pillow decompresses
    with_chunk(tmp_path / "p.png", b"iCCP", b"linear\0\0" + zlib.compress(profile))
    picture = read_picture(tmp_path / "p.png")
    assert picture.notes == ("colors were converted from the profile 'by hand' to sRGB",)
    assert (picture.pixels > LEVELS + 5).any()


@pytest.mark.parametrize("ending", ["png", "webp"])
def test_broken_exif_data_are_a_note(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"p.{ending}"
    image = Image.fromarray(LEVELS)
    image.save(path, exif=b"MM", **({} if ending == "png" else {"lossless": True}))
    picture = read_picture(path)
    np.testing.assert_array_equal(picture.pixels, LEVELS)
    assert len(picture.notes) == 1
    assert "EXIF data that cannot be read were ignored" in picture.notes[0]


def test_a_warning_of_pillow_is_a_note(tmp_path: Path) -> None:
    Image.fromarray(LEVELS).save(tmp_path / "p.png", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff")
    assert "Corrupt EXIF data" in read_picture(tmp_path / "p.png").notes[0]


def samples() -> dict[str, bytes]:
    rgb = Image.fromarray(LEVELS)
    rgba = Image.fromarray(np.dstack([LEVELS, LEVELS[..., 0]]))
    gray = Image.fromarray(LEVELS[..., 0].astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = 6
    cases: dict[str, tuple[Image.Image, str, dict[str, object]]] = {
        "png": (rgb, "PNG", {"exif": exif.tobytes()}),
        "png alpha": (rgba, "PNG", {}),
        "png 16": (gray, "PNG", {"transparency": 9}),
        "jpeg": (rgb, "JPEG", {"exif": exif.tobytes()}),
        "tiff": (rgb, "TIFF", {"exif": exif.tobytes()}),
        "tiff deflate": (rgb, "TIFF", {"compression": "tiff_adobe_deflate"}),
        "gif": (rgb, "GIF", {"save_all": True, "append_images": [rgb.rotate(9)]}),
        "webp": (rgba, "WEBP", {"exif": exif.tobytes()}),
        "jpeg 2000": (rgb, "JPEG2000", {}),
        "ppm": (rgb, "PPM", {}),
        "sgi": (rgb, "SGI", {}),
    }
    if features.check("avif"):
        cases["avif"] = rgba, "AVIF", {"exif": exif.tobytes()}
    made = {}
    for name, (image, kind, options) in cases.items():
        out = io.BytesIO()
        image.save(out, kind, **options)
        made[name] = out.getvalue()
    made["ppm ascii"] = b"P3\n4 4\n255\n" + b" ".join(b"%d" % value for value in range(48))
    return made


def damaged(data: bytes, rng: random.Random) -> bytes:
    changed, way = bytearray(data), rng.randrange(4)
    if way == 0:
        return data[: rng.randrange(len(data))]
    for _ in range(rng.randrange(1, 4 if way == 1 else 20)):
        place = rng.randrange(len(data) if way != 3 else min(100, len(data)))
        changed[place] = rng.choice((0, 255, rng.randrange(256), changed[place] ^ 1 << rng.randrange(8)))
    return bytes(changed)


@pytest.mark.parametrize("name", samples())
def test_a_damaged_file_is_a_picture_or_one_line(tmp_path: Path, name: str) -> None:
    rng, data, outcomes = random.Random(name), samples()[name], set()
    for _ in range(60):
        (tmp_path / "p").write_bytes(damaged(data, rng))
        try:
            picture = read_picture(tmp_path / "p", target=rng.choice((None, 6)))
        except HandstyleError as error:
            outcomes.add(str(error))
        else:
            assert picture.pixels.min() >= 0
            assert picture.pixels.max() <= 255
    assert outcomes
    assert "\n" not in "".join(outcomes)


@pytest.mark.parametrize("error", [ValueError, RuntimeError, struct.error, SystemError, RecursionError])
def test_an_error_of_any_kind_while_opening_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def fails(*_: object) -> None:
        raise error("two\nlines")

    (tmp_path / "p.png").write_bytes(b"x")
    monkeypatch.setattr(Image, "open", fails)
    refused(tmp_path / "p.png", r"p.png is damaged or truncated \(two lines\): fetch it again")


# time and memory


def tiff_of(pages: int) -> bytes:
    """Return a little-endian TIFF of many pages of one pixel."""
    parts, at = [b"II*\0" + struct.pack("<I", 10) + b"\x80\0"], 10
    for page in range(pages):
        entries = [(256, 3, 1), (257, 3, 1), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1),
                   (278, 3, 1), (279, 4, 1)]  # fmt: skip
        end = at + 2 + 12 * len(entries) + 4
        parts.append(struct.pack("<H", len(entries)))
        parts += [struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries]
        parts.append(struct.pack("<I", end if page < pages - 1 else 0))
        at = end
    return b"".join(parts)


def test_only_the_first_pages_of_a_tiff_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "p.tif").write_bytes(tiff_of(1000))
    with Image.open(tmp_path / "p.tif") as image:
        assert image.n_frames == 1000  # type: ignore[attr-defined]
    directories: list[object] = []
    load = TiffImagePlugin.ImageFileDirectory_v2.load
    monkeypatch.setattr(
        TiffImagePlugin.ImageFileDirectory_v2, "load", lambda self, fp: (directories.append(self), load(self, fp))[1]
    )
    (note,) = read_picture(tmp_path / "p.tif").notes
    assert note.startswith("of several frames the first was taken")
    assert len(directories) < 5


def measured(code: str, limit: int | None = None) -> tuple[float, str]:
    """Run code that reads a picture, in a process of its own: bytes of peak memory above that of the imports, output.

    The limit, in bytes, is on the process's address space.
    """
    pytest.importorskip("resource")
    script = f"""
import resource, sys
from handstyle.foundations.picture_reading import read_picture
from handstyle.foundations.picture_metadata import read_metadata
from handstyle.foundations.picture_writing import write_picture
if {limit!r}:
    resource.setrlimit(resource.RLIMIT_AS, ({limit!r}, {limit!r}))
def peak():
    with open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) * 1024
before = peak()
{code}
print(peak() - before, file=sys.stderr)
"""
    if not Path("/proc/self/status").exists():
        pytest.skip("peak memory is read from /proc")
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return float(done.stderr.split()[-1]), done.stdout


@pytest.fixture(scope="module")
def large_jpeg(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("large") / "p.jpg"
    Image.new("RGB", (12000, 9000), (10, 200, 30)).save(path, quality=90)
    return str(path)


def test_a_108_megapixel_jpeg_is_shrunk_while_it_is_decoded(large_jpeg: str) -> None:
    peak, said = measured(f"p = read_picture({large_jpeg!r}, target=128); print(p.pixels.shape, p.full_size, p.notes)")
    assert said.split("\n")[0] == "(96, 128, 3) (9000, 12000) ()"
    assert peak < 100e6


@pytest.mark.parametrize(("side", "bits", "color_type", "most"), [(13300, 1, 0, 350e6), (7000, 8, 2, 300e6)])
def test_a_small_file_of_many_pixels_is_reduced_in_its_own_mode(
    tmp_path: Path, side: int, bits: int, color_type: int, most: float
) -> None:
    row = -(-side * bits * (3 if color_type == 2 else 1) // 8) + 1
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, bits, color_type, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(bytes(side * row), 9)) + chunk(b"IEND", b"")
    (tmp_path / "p.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + data)
    assert (tmp_path / "p.png").stat().st_size < 150_000
    peak, said = measured(f"p = read_picture({str(tmp_path / 'p.png')!r}, target=256); print(p.pixels.shape, p.alpha)")
    assert said.strip() == "(256, 256, 3) None"
    assert peak < most  # what Pillow decodes, of 1 or 4 bytes a pixel, is 177 or 196 million bytes


def test_the_full_size_takes_little_more_memory_than_its_floats(tmp_path: Path) -> None:
    Image.new("1", (5000, 4000), 1).save(tmp_path / "p.png")
    peak, _ = measured(f"p = read_picture({str(tmp_path / 'p.png')!r}); assert p.pixels.min() == 255")
    assert peak < 20e6 * 12 * 1.6


def test_a_picture_that_is_reduced_looks_like_the_whole_one_resampled(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    smooth = resize(rng.uniform(0, 255, (20, 30, 3)).astype(np.float32), (803, 1207))
    image = Image.fromarray(np.rint(smooth).astype(np.uint8))
    image.save(tmp_path / "p.png")
    image.save(tmp_path / "p.jpg", quality=98, subsampling=0)
    image.convert("CMYK").save(tmp_path / "p.tif")
    Image.fromarray((smooth[..., 0] * 257).astype(np.uint16)).save(tmp_path / "deep.png")
    turned = Image.Exif()
    turned[0x0112] = 8  # what is partial lies at the right and the bottom of what is stored, and elsewhere upright
    image.transpose(Image.Transpose.ROTATE_270).save(tmp_path / "turned.png", exif=turned)
    for name in ("p.png", "p.jpg", "p.tif", "deep.png", "turned.png"):
        whole = fit_long_side(read_picture(tmp_path / name).pixels, 64)
        reduced = read_picture(tmp_path / name, target=64)
        assert reduced.pixels.shape == whole.shape == (43, 64, 3)
        assert reduced.full_size == (803, 1207)
        assert np.abs(reduced.pixels - whole).max() < 1.5, name  # of 255, where neighbors differ by up to 200
    exact = read_picture(tmp_path / "p.png", target=500)  # less than eight times the target: resampled at once
    np.testing.assert_array_equal(exact.pixels, fit_long_side(read_picture(tmp_path / "p.png").pixels, 500))
    assert read_picture(tmp_path / "p.png", target=5000).pixels.shape == (803, 1207, 3)


def test_an_invisible_level_of_16_bits_does_not_enter_what_is_reduced(tmp_path: Path) -> None:
    levels = np.full((500, 500), 40_000, dtype=np.uint16)
    levels[:, ::2] = 514  # every other column, so that each block has both
    Image.fromarray(levels).save(tmp_path / "p.png", transparency=514)
    picture = read_picture(tmp_path / "p.png", target=20)
    np.testing.assert_allclose(picture.pixels, 40_000 / 257, rtol=1e-3)
    np.testing.assert_allclose(picture.alpha, 0.5, rtol=1e-3)


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("ending", ["jpg", "png", "tif"])
def test_the_full_size_and_the_alpha_of_a_reduced_picture_are_upright(
    tmp_path: Path, orientation: int, ending: str
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    levels = np.zeros((600, 1000, 3 if ending == "jpg" else 4), dtype=np.uint8)
    levels[:, :500, 3:] = 255
    levels[:, :500, 0] = 250  # the left half of what is stored
    Image.fromarray(levels).save(tmp_path / f"p.{ending}", exif=exif, dpi=(100, 300))
    picture = read_picture(tmp_path / f"p.{ending}", target=50)
    assert picture.full_size == ((600, 1000) if orientation == 1 else (1000, 600))
    assert picture.pixels.shape[:2] == ((30, 50) if orientation == 1 else (50, 30))
    assert picture.dpi == pytest.approx((100, 300) if orientation == 1 else (300, 100), rel=1e-3)
    stored = picture.pixels if orientation == 1 else np.rot90(picture.pixels)  # 6: turned to the right to be upright
    assert stored[15, 5, 0] == pytest.approx(250, abs=3)
    if ending != "jpg":
        alpha = picture.alpha if orientation == 1 else np.rot90(picture.alpha)
        assert alpha[15, 5] == 1
        assert alpha[15, 45] == 0
        np.testing.assert_allclose(picture.pixels[..., 0], 250, atol=1)  # the invisible black is nowhere to be seen


def test_a_strip_of_a_jpeg_is_reduced_to_what_its_long_side_says(tmp_path: Path) -> None:
    Image.new("RGB", (6000, 5), (10, 200, 30)).save(tmp_path / "p.jpg", quality=95)
    picture = read_picture(tmp_path / "p.jpg", target=100)
    assert picture.pixels.shape == (1, 100, 3)
    np.testing.assert_allclose(picture.pixels, np.broadcast_to((10.0, 200.0, 30.0), (1, 100, 3)), atol=4)


def test_a_decoder_without_memory_is_one_that_is_short_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def short(*_: object) -> None:
        raise OSError("out of memory error when reading image file")

    Image.new("L", (3000, 2000)).save(tmp_path / "p.png")
    monkeypatch.setattr(ImageFile.ImageFile, "load", short)
    refused(tmp_path / "p.png", "p.png has 3000 x 2000 px and takes some", OutOfMemoryError)


def test_a_shortage_of_memory_is_called_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (3000, 2000)).save(tmp_path / "p.png")

    def short(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(ImageFile.ImageFile, "load", short)
    refused(tmp_path / "p.png", r"p.png has 3000 x 2000 px and takes some 78 MB .*smaller first", OutOfMemoryError)


@pytest.mark.parametrize(("mode", "needed"), [("1", 24), ("L", 24), ("I;16", 48), ("RGB", 96), ("RGBA", 96)])
def test_a_picture_that_memory_does_not_hold_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, needed: int
) -> None:
    Image.new(mode, (6000, 4000)).save(tmp_path / "p.png")
    monkeypatch.setattr(picture_bands, "available_memory", lambda: needed * 1_000_000)
    decoded: list[object] = []
    load = ImageFile.ImageFile.load
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: (decoded.append(self), load(self))[1])
    message = rf"p.png has 6000 x 4000 px and takes some {needed} MB .*smaller first"
    refused(tmp_path / "p.png", message, OutOfMemoryError, target=20)
    assert not decoded
    monkeypatch.setattr(picture_bands, "available_memory", lambda: (needed + 1) * 1_000_000)
    if mode != "RGBA":  # which is wholly transparent
        assert read_picture(tmp_path / "p.png", target=20).pixels.shape == (13, 20, 3)


def test_a_small_address_space_reads_a_jpeg_of_108_megapixels_to_a_target(large_jpeg: str) -> None:
    _, said = measured(f"print(read_picture({large_jpeg!r}, target=128).pixels.shape)", limit=1_500_000_000)
    assert said.strip() == "(96, 128, 3)"
    code = f"try: read_picture({large_jpeg!r})\nexcept MemoryError as error: print(error)"
    _, said = measured(code, limit=1_500_000_000)
    assert "12000 x 9000 px and takes some" in said
    assert "save it as RGB" not in said


def test_the_limit_on_pixels_can_be_raised_and_lowered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(LEVELS).save(tmp_path / "p.png")
    refused(tmp_path / "p.png", r"p.png is too large \(.*1000.*allow more by `max_pixels`", max_pixels=1000)
    refused(tmp_path / "p.png", "too large", max_pixels=40 * 48 - 1)
    assert read_picture(tmp_path / "p.png", max_pixels=40 * 48).pixels.shape == (40, 48, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    refused(tmp_path / "p.png", "allow more by `max_pixels`")
    assert read_picture(tmp_path / "p.png", max_pixels=2000).pixels.shape == (40, 48, 3)
    assert Image.MAX_IMAGE_PIXELS == 100


@pytest.mark.parametrize("name", ["target", "max_pixels"])
def test_a_target_of_no_pixels_is_refused(name: str) -> None:
    refused(LEVELS, f"{name}=0: give a number of pixels", **{name: 0})


# right input that was refused


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
JPEG_XL = b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(100)


@pytest.mark.parametrize(
    ("data", "title", "package"),
    [
        (HEIC, "HEIC", "pillow-heif"),
        (JPEG_XL, "JPEG XL", "pillow-jxl-plugin"),
        (b"\xff\x0a" + bytes(50), "JPEG XL", "pillow-jxl-plugin"),
    ],
)
def test_a_heic_or_jpeg_xl_is_named_with_its_plug_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, title: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # not installed
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    (tmp_path / "p.x").write_bytes(data)
    refused(tmp_path / "p.x", f"p.x is a {title} picture, which needs a plug-in: pip install {package}")


def test_a_heic_is_written_and_read_by_pillow_heif(tmp_path: Path) -> None:
    pytest.importorskip("pillow_heif", reason="needs pillow-heif: pip install --group formats")
    y, x = np.mgrid[:48, :64]
    picture = np.stack([4.0 * x, 5.0 * y, 128 + 0 * x], axis=-1)
    write_picture(tmp_path / "p.heic", picture, metadata={"title": "slope"})
    again = read_picture(tmp_path / "p.heic")
    assert np.abs(again.pixels - picture).mean() < 2  # levels; the format is lossy
    assert read_metadata(tmp_path / "p.heic") == {"title": "slope"}


def test_a_heic_is_read_by_its_plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Pretended(ImageFile.ImageFile):
        format = "HEIF"

        def _open(self) -> None:
            assert self.fp is not None
            if self.fp.read(12)[8:] != b"heic":
                raise SyntaxError
            self._size, self._mode, self.tile = (4, 3), "RGB", []

        def load(self) -> object:  # type: ignore[override]
            self.im = Image.new("RGB", (4, 3), (1, 2, 3)).im
            return Image.Image.load(self)

    plugin = ModuleType("pillow_heif")
    plugin.register_heif_opener = lambda: Image.register_open("HEIF", Pretended)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pillow_heif", plugin)
    monkeypatch.setattr(Image, "ID", list(Image.ID))
    monkeypatch.setattr(Image, "OPEN", dict(Image.OPEN))
    (tmp_path / "p.heic").write_bytes(HEIC)
    np.testing.assert_array_equal(read_picture(tmp_path / "p.heic").pixels, np.full((3, 4, 3), (1, 2, 3)))
    (tmp_path / "p.heic").write_bytes(HEIC.replace(b"ftypheic", b"ftypheix"))  # not taken by the plug-in either
    refused(tmp_path / "p.heic", "is a HEIC picture that is damaged")


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    Image.fromarray(LEVELS).save(tmp_path / "p.png")
    assert read_picture("~/p.png").pixels.shape == (40, 48, 3)
    assert picture_paths.pictures_in("~") == [tmp_path / "p.png"]
    refused("~nobody-of-that-name/p.png", "does not exist")


@pytest.mark.parametrize(
    "url", ["https://example.org/a.png", "HTTP://example.org/a.jpg", "file:///home/a.png", "data:image/png;base64,AA"]
)
def test_a_url_is_called_one(url: str) -> None:
    refused(url, "is a URL, not a file: download the picture")


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    refused(tmp_path / "pipe.png", "is a pipe or a device, not a file")
    (tmp_path / "link.png").symlink_to("nowhere.png")
    refused(tmp_path / "link.png", "is a link to nowhere.png, which does not exist")
    (tmp_path / "loop.png").symlink_to("loop.png")
    refused(tmp_path / "loop.png", "cannot be read: Too many levels of symbolic links")
    refused(tmp_path / ("x" * 300), "cannot be read: File name too long")
    refused("a\0b.png", r"a\\x00b.png does not exist")
    refused(tmp_path / "two\nlines.png", "does not exist")
    refused(tmp_path / "p.png" / "q.png", "does not exist")


def test_the_pictures_of_a_folder_are_without_its_junk(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "c.heic", "._a.png", ".DS_Store", "Thumbs.db", "desktop.ini", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in picture_paths.pictures_in(tmp_path)] == ["a.JPG", "b.png", "c.heic"]
    with pytest.raises(HandstyleError, match=r"folder.png holds no picture"):
        picture_paths.pictures_in(tmp_path / "folder.png")
    with pytest.raises(HandstyleError, match="nowhere cannot be read: No such file"):
        picture_paths.pictures_in(tmp_path / "nowhere")
