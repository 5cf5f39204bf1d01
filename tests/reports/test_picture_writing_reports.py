"""Reports of users about writing pictures, each a test named by its symptom."""

import errno
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from handstyle.foundations import atomic_file, picture_rescue
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.picture_metadata import read_metadata
from handstyle.foundations.picture_reading import read_picture
from handstyle.foundations.picture_writing import check_writable, write_picture

PICTURE = np.random.default_rng(5).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def somewhere(path: Path, **options: object) -> Path:
    return picture_rescue.write_picture_somewhere(path, PICTURE, **options)  # type: ignore[arg-type]


def refused(says: str, call: Callable[..., object], *args: object, **options: object) -> None:
    with pytest.raises(HandstyleError, match=says) as caught:
        call(*args, **options)
    assert "\n" not in str(caught.value)


def is_the_picture(path: Path) -> bool:
    return bool((read_picture(path).pixels == PICTURE).all())


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's home folder, apart from the folder of the output; the temporary folder is missing."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    return folder


# names


def test_a_name_that_is_no_utf_8_in_the_metadata(tmp_path: Path) -> None:
    content = os.fsdecode(b"caf\xe9.png")  # from an archive of the nineties
    for ending in ("png", "jpg", "tif", "webp"):
        write_picture(tmp_path / f"p.{ending}", PICTURE, metadata={"content": content, "lone": "\ud800"})
        assert read_metadata(tmp_path / f"p.{ending}") == {"content": r"caf\xe9.png", "lone": r"\ud800"}
    write_picture(tmp_path / "deep.png", PICTURE, metadata={"content": content}, bits=16)
    assert read_metadata(tmp_path / "deep.png") == {"content": r"caf\xe9.png"}


def test_an_output_whose_name_is_no_utf_8(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    try:
        path.touch()
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    write_picture(path, PICTURE, overwrite=True)
    assert is_the_picture(path)
    with pytest.raises(HandstyleError) as caught:
        write_picture(path, PICTURE)
    assert r"caf\xe9.png" in str(caught.value)
    str(caught.value).encode("utf-8")


@pytest.mark.parametrize("stem", ["星" * 83, "é" * 125, "a" * 251])
def test_a_name_as_long_as_the_file_system_allows(tmp_path: Path, stem: str) -> None:
    path = tmp_path / f"{stem}.png"
    assert len(os.fsencode(path.name)) > 250
    write_picture(path, PICTURE)
    assert is_the_picture(path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_temporary_name_is_cut_between_two_characters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (names.append(Path(a).name), replace(a, b)))
    write_picture(tmp_path / ("aa" + "星" * 60 + ".png"), PICTURE)
    names[0].encode("utf-8")
    assert len(names[0].encode()) <= 143  # the limit of eCryptfs


def test_the_error_of_writing_is_the_one_that_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def busy(*_: object, **__: object) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy")

    monkeypatch.setattr(os, "fsync", full)
    monkeypatch.setattr(Path, "unlink", busy)
    refused("p.png cannot be written: No space left", write_picture, tmp_path / "p.png", PICTURE)


# the disk


def test_the_file_is_flushed_before_it_is_renamed_and_the_folder_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def flush(handle: int) -> None:
        done.append("folder" if os.path.isdir(f"/proc/self/fd/{handle}") else "file")  # noqa: PTH112
        fsync(handle)

    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(os, "replace", lambda a, b: (done.append("rename"), replace(a, b)))
    write_picture(tmp_path / "p.png", PICTURE)
    if Path("/proc/self/fd").exists():
        assert done == ["file", "rename", "folder"]


def temporary(path: Path, process: int, age: float = 0.0, host: str | None = None) -> Path:
    """Leave a temporary file as a killed run does."""
    prefix = atomic_file._temporary_prefix(path.name)
    if host is not None:
        prefix = f"{prefix.rpartition('.')[0]}.{host}-"
    left = path.with_name(f"{prefix}{process}-01234567.part")
    left.write_bytes(b"half a picture")
    os.utime(left, (time.time() - age, time.time() - age))
    return left


def dead_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        return process.pid


def test_what_a_killed_run_left_goes_with_the_next(tmp_path: Path) -> None:
    path, dead = tmp_path / "p.png", dead_process()
    gone = [temporary(path, dead), temporary(path, os.getppid(), 4000), temporary(path, 1, 4000, "00000000")]
    gone += [temporary(tmp_path / "out_at_iteration_7.png", dead, 4000)]  # of another output, an hour ago
    kept = [
        temporary(path, os.getpid()),  # being written
        temporary(path, dead, host="00000000"),  # on another machine, whose processes are not known
        temporary(tmp_path / "q.png", dead),  # of another output
        tmp_path / ".p.png.part",  # not ours
        tmp_path / ".p.png.0123456789.part",
    ]
    for other in kept[3:]:
        other.write_bytes(b"x")
        os.utime(other, (0, 0))
    write_picture(path, PICTURE)
    assert [left.name for left in gone if left.exists()] == []
    assert [left.name for left in kept if not left.exists()] == []


def test_what_a_killed_run_left_is_found_again(tmp_path: Path) -> None:
    code = f"""
import os, signal, numpy as np
from pathlib import Path
from handstyle.foundations import atomic_file, picture_writing
picture_writing.os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
picture_writing.write_picture(Path({str(tmp_path)!r}) / "p.png", np.zeros((16, 16, 3)))
"""
    subprocess.run([sys.executable, "-c", code], check=False)
    assert len(list(tmp_path.glob(".p.png.*.part"))) == 1
    write_picture(tmp_path / "p.png", PICTURE)
    assert [path.name for path in tmp_path.iterdir()] == ["p.png"]


# finished work is not lost


def test_a_file_made_meanwhile_is_kept_and_the_picture_goes_beside_it(tmp_path: Path, elsewhere: Path) -> None:
    path = tmp_path / "out.png"
    assert somewhere(path) == path
    path.write_bytes(b"of another program")
    (tmp_path / "out-1.png").symlink_to("nowhere")
    assert somewhere(path) == tmp_path / "out-2.png"
    assert is_the_picture(tmp_path / "out-2.png")
    assert path.read_bytes() == b"of another program"
    assert somewhere(path, overwrite=True) == path
    assert is_the_picture(path)
    assert list(elsewhere.iterdir()) == []


def test_a_file_made_while_the_picture_is_encoded_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, fsync = tmp_path / "out.png", os.fsync
    theirs = [path, tmp_path / "out-1.png"]  # made by another program while each of the first two is flushed

    def meanwhile(handle: int) -> None:
        for other in [other for other in theirs if not other.exists()][:1]:
            other.write_bytes(b"of another program")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", meanwhile)
    assert somewhere(path) == tmp_path / "out-2.png"
    assert [other.read_bytes() for other in theirs] == [b"of another program"] * 2
    path.unlink()
    refused("out.png cannot be written: it exists", write_picture, path, PICTURE)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out-1.png", "out-2.png", "out.png"]


def test_a_folder_removed_meanwhile(tmp_path: Path, elsewhere: Path) -> None:
    written = somewhere(tmp_path / "removed" / "out.png")
    assert written == elsewhere / "out-1.png"
    assert is_the_picture(written)


def test_without_a_home_the_temporary_folder_is_taken(
    tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))
    assert somewhere(tmp_path / "removed" / "out.png") == elsewhere / "out-1.png"


def test_a_full_disk(tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    (disk / "out.png").write_bytes(b"the last one")
    replace = os.replace

    def full(source: Path, target: Path) -> None:
        if Path(target).parent == disk:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    written = somewhere(disk / "out.png", overwrite=True)
    assert written == elsewhere / "out-1.png"
    assert is_the_picture(written)
    assert [p.read_bytes() for p in disk.iterdir()] == [b"the last one"]


def test_no_place_at_all_is_one_line_with_every_reason(
    tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "out.png").write_bytes(b"old")
    monkeypatch.setattr(os, "replace", full)
    refused(
        r"could not be written: .*out.png exists.*; .*out-1.png cannot be written: No space left on device; "
        rf"{elsewhere}/out-1.png cannot be written: No space left",
        somewhere,
        tmp_path / "out.png",
    )


def test_what_the_format_cannot_hold_is_written_all_the_same(tmp_path: Path) -> None:
    alpha = np.ones(PICTURE.shape[:2])
    alpha[:5] = 0
    assert somewhere(tmp_path / "a.jpg", metadata={"long": "x" * 70_000}) == tmp_path / "a.jpg"
    assert read_metadata(tmp_path / "a.jpg") == {}
    written = somewhere(tmp_path / "b.jpg", alpha=alpha, metadata={"title": "kept"})
    assert written == tmp_path / "b-1.png"
    assert read_metadata(written) == {"title": "kept"}
    np.testing.assert_array_equal(read_picture(written).alpha, alpha)
    assert somewhere(tmp_path / "c.gif") == tmp_path / "c-1.png"
    assert somewhere(tmp_path / "d.webp", bits=16).suffix == ".png"
    assert somewhere(tmp_path / ("e" * 300 + ".png")).name == "e" * 100 + "-1.png"
    (tmp_path / "folder.png").mkdir()
    assert somewhere(tmp_path / "folder.png") == tmp_path / "folder-1.png"


def test_what_is_no_picture_is_refused_at_once(tmp_path: Path, elsewhere: Path) -> None:
    refused("NaN", picture_rescue.write_picture_somewhere, tmp_path / "a.png", np.full((4, 4, 3), np.nan))
    assert list(tmp_path.iterdir()) == [elsewhere]


# outputs that are no files


def test_a_dangling_link_a_circle_and_a_pipe_as_output(tmp_path: Path) -> None:
    (tmp_path / "dangling.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "circle.png").symlink_to("circle.png")
    os.mkfifo(tmp_path / "pipe.png")
    for name, says in (
        ("dangling.png", "is a link to .*nowhere.png, which does not exist: name that path"),
        ("circle.png", "is a link that leads in a circle: remove it"),
        ("pipe.png", "is a pipe, not a file"),
    ):
        for overwrite in (False, True):
            refused(says, check_writable, tmp_path / name, overwrite)
            refused(says, write_picture, tmp_path / name, PICTURE, overwrite=overwrite)
            written = somewhere(tmp_path / name, overwrite=overwrite)
            assert written.name == f"{name[:-4]}-{1 + overwrite}.png"
        assert not (tmp_path / name).is_file()
    assert (tmp_path / "pipe.png").is_fifo()
    assert not (tmp_path / "nowhere.png").exists()
    refused("is a device or socket, not a file", check_writable, "/dev/null", True)


def test_a_link_into_a_folder_that_cannot_be_written_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "real.png").write_bytes(b"old")
    (tmp_path / "link.png").symlink_to(tmp_path / "there" / "real.png")
    tried: list[Path] = []
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda dir: (tried.append(dir), io.BytesIO())[1])
    check_writable(tmp_path / "link.png", overwrite=True)
    assert tried == [tmp_path / "there"]


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write_picture("~/p.png", PICTURE, metadata={"a": "b"})
    assert is_the_picture(tmp_path / "p.png")
    assert read_metadata("~/p.png") == {"a": "b"}
    assert somewhere(Path("~/p.png")) == tmp_path / "p-1.png"


def test_names_that_the_system_refuses_are_one_line(tmp_path: Path) -> None:
    refused("cannot be written: File name too long", check_writable, tmp_path / ("x" * 300 + ".png"))
    refused(r"a\\x00.png cannot be written: embedded null byte", check_writable, tmp_path / "a\0.png")
    refused(r"two\\nlines.txt has no ending", check_writable, tmp_path / "two\nlines.txt")


# formats


@pytest.mark.parametrize("ending", ["png", "tif", "tiff"])
@pytest.mark.parametrize("transparent", [False, True])
def test_16_bits_keep_the_values_the_profile_and_the_resolution(tmp_path: Path, ending: str, transparent: bool) -> None:
    rng = np.random.default_rng(6)
    picture, alpha = rng.uniform(0, 255, (21, 13, 3)), rng.uniform(0, 1, (21, 13)) if transparent else None
    path = tmp_path / f"p.{ending}"
    write_picture(path, picture, alpha, {"title": "étoile"}, bits=16, dpi=(300, 150))
    assert read_metadata(path) == {"title": "étoile"}
    with Image.open(path) as image:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        assert ImageCms.getProfileDescription(profile).startswith("sRGB")
    again = read_picture(path)
    assert again.dpi == pytest.approx((300, 150), rel=1e-3)
    assert "16 bits a channel were read as 8" in again.notes
    if alpha is None:
        np.testing.assert_allclose(again.pixels, picture, atol=1)
    else:
        np.testing.assert_allclose(again.alpha, alpha, atol=1 / 255)
    if ending != "png":  # PNG: `test_16_bits`, by hand
        tifffile = pytest.importorskip("tifffile")
        values = tifffile.imread(path)
        assert values.dtype == np.uint16
        np.testing.assert_array_equal(values[..., :3], np.rint(picture * 257))
        if alpha is not None:
            np.testing.assert_array_equal(values[..., 3], np.rint(alpha * 65535))
            with tifffile.TiffFile(path) as file:
                assert file.pages[0].extrasamples == (2,)  # alpha that is not multiplied in


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "webp", "avif"])
def test_the_resolution_survives(tmp_path: Path, ending: str) -> None:
    if ending == "avif" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    write_picture(tmp_path / f"p.{ending}", PICTURE, dpi=(300, 150))
    assert read_picture(tmp_path / f"p.{ending}").dpi == pytest.approx((300, 150), rel=1e-3)
    write_picture(tmp_path / f"q.{ending}", PICTURE)
    with Image.open(tmp_path / f"q.{ending}") as image:
        assert "dpi" not in image.info or ending in ("jpg", "tif")


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_an_avif_is_written(tmp_path: Path) -> None:
    smooth = np.stack(np.mgrid[:32, :48], -1).astype(np.float32)[..., [0, 1, 0]] * 4
    alpha = np.linspace(0, 1, 48)[None].repeat(32, axis=0)
    write_picture(tmp_path / "p.avif", smooth, alpha, {"title": "étoile"})
    picture = read_picture(tmp_path / "p.avif")
    assert np.abs(picture.pixels - smooth)[alpha > 0.9].mean() < 4
    np.testing.assert_allclose(picture.alpha, alpha, atol=0.06)
    assert read_metadata(tmp_path / "p.avif") == {"title": "étoile"}


@pytest.mark.parametrize(
    ("ending", "title", "package"), [("heic", "HEIC", "pillow-heif"), ("jxl", "JPEG XL", "pillow-jxl-plugin")]
)
def test_a_format_without_its_plug_in_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, title: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # not installed
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    refused(
        f"does not write {title}; pip install {package}, or name it p.png", check_writable, tmp_path / f"p.{ending}"
    )
    assert somewhere(tmp_path / f"p.{ending}") == tmp_path / "p-1.png"


def test_an_avif_that_this_pillow_does_not_write_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "check", lambda _: False)
    monkeypatch.setitem(sys.modules, "pillow_avif", None)
    refused("does not write AVIF", check_writable, tmp_path / "p.avif")


def test_a_jpeg_xl_is_written_by_its_plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_jxl", ModuleType("pillow_jxl"))
    monkeypatch.setattr(Image, "SAVE", dict(Image.SAVE))
    Image.register_save("JXL", lambda image, file, _: file.write(b"jxl of " + repr(image.size).encode()))
    write_picture(tmp_path / "p.jxl", PICTURE)
    assert (tmp_path / "p.jxl").read_bytes() == b"jxl of (30, 20)"


def test_an_encoder_that_fails_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("first\nsecond")

    monkeypatch.setattr(Image, "SAVE", Image.SAVE | {"WEBP": fails})
    refused("p.webp cannot be encoded as WEBP: first second", write_picture, tmp_path / "p.webp", PICTURE)


# metadata


def test_metadata_that_cannot_be_read_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(b"I am not a picture")
    refused("p.png cannot be read: cannot identify", read_metadata, tmp_path / "p.png")
    Image.fromarray(PICTURE).save(tmp_path / "q.webp", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff")
    assert read_metadata(tmp_path / "q.webp") == {}
    Image.fromarray(PICTURE).save(tmp_path / "r.png", exif=b"MM")
    assert read_metadata(tmp_path / "r.png") == {}
    exif = Image.Exif()
    exif[0x010E] = "[" * 100_000
    Image.fromarray(PICTURE).save(tmp_path / "s.webp", exif=exif)
    assert read_metadata(tmp_path / "s.webp") == {}
