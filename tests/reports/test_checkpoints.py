"""Checkpoints: other contents, two runs at once, killed runs, and the one that every run keeps without being asked."""

import errno
import io
import json
import os
import platform
import signal
import stat
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from threadpoolctl import threadpool_info

import handstyle
from handstyle.cli import checkpoints, main
from handstyle.cli.checkpoints import with_auto
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.file_lock import locked
from handstyle.network.vgg import build_network, random_weights
from handstyle.optimize import checkpoint
from handstyle.painting import resuming
from handstyle.painting.progress import Lines
from handstyle.painting.recipe import read_recipe

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(handstyle.__file__).parents[1]), "COLUMNS": "200"}
FLAGS = ["--weights", "random", "--size", "48", "--style-layers", "relu1_1", "--pyramid-min-size", "0"]
SIZE, STEPS = 24, 6
SHORT = {"size": SIZE, "iterations": STEPS, "style_layers": "relu1_1", "pyramid_min_size": 0}


@pytest.fixture(scope="module")
def network():
    return build_network(random_weights(widths=(4, 6, 8, 8, 8), seed=1))


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    return list(np.random.default_rng(3).integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8))


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    for name, seed in (("photo.png", 0), ("style.png", 1)):
        pixels = np.random.default_rng(seed).integers(0, 256, (48, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    return [str(tmp_path / "photo.png"), str(tmp_path / "style.png")]


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def run(*words: str) -> int:
    """Run the command line here; return its exit status."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        with pytest.raises(SystemExit) as ended:
            main(["stylize", *words, *FLAGS])
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return int(ended.value.code or 0)


# --- well-formed archives with other contents ------------------------------------------------------------------------


def contents(path: Path) -> tuple[dict[str, np.ndarray], dict]:
    with np.load(path) as stored:
        arrays = {key: stored[key] for key in stored.files if key != "facts"}
        return arrays, json.loads(str(stored["facts"]))


def put(path: Path, arrays: dict[str, np.ndarray], facts: object) -> None:
    with path.open("wb") as file:
        np.savez(file, **arrays, facts=np.array(facts if isinstance(facts, str) else json.dumps(facts)))


def without(key: str):
    return lambda arrays, facts: (arrays.pop(key, None), facts.pop(key, None))


def fact(key: str, value: object):
    return lambda _, facts: facts.update({key: value})


def of_run(key: str, value: object):
    return lambda _, facts: facts["run"].update({key: value})


def array(key: str, change):
    return lambda arrays, _: arrays.update({key: change(arrays[key])})


def spoiled(value: np.ndarray) -> np.ndarray:
    value = value.copy()
    value.flat[0] = np.nan
    return value


ALL = {
    "no picture": without("v"),
    "no best picture": without("best_v"),
    "best picture of another length": array("best_v", lambda a: a[:-1]),
    "best picture of halves": array("best_v", lambda a: a.astype(np.float16)),
    "best picture a table": array("best_v", lambda a: a.reshape(-1, 3)),
    "best picture of text": array("best_v", lambda a: np.full(a.shape, "a")),
    "picture of complex numbers": array("v", lambda a: a.astype(np.complex64)),
    "picture with a nan": array("v", spoiled),
    "picture of another length": array("v", lambda a: a[:-3]),
    "no evaluations": without("evaluations"),
    "evaluations a text": fact("evaluations", "many"),
    "evaluations below zero": fact("evaluations", -1),
    "no best value": without("best_value"),
    "best value a list": fact("best_value", [1]),
    "best value not finite": fact("best_value", float("inf")),
    "best terms a list": fact("best_terms", [1, 2]),
    "best terms of texts": fact("best_terms", {"style": "large"}),
    "no trace": without("trace"),
    "trace a number": fact("trace", 3),
    "trace of short rows": fact("trace", [[1, 2]]),
    "trace of texts": fact("trace", [["a", "b", "c", {}, 0.0]]),
    "seconds missing": without("seconds"),
    "seconds a table": fact("seconds", {"a": 1}),
    "run a text": fact("run", "mine"),
    "run without settings": fact("run", {"scale": 0}),
    "settings a list": of_run("settings", [1]),
    "no scale": lambda _, facts: facts["run"].pop("scale"),
    "scale a text": of_run("scale", "fine"),
    "scale beyond the last": of_run("scale", 7),
    "scale below zero": of_run("scale", -1),
    "run's trace a number": of_run("trace", 1),
    "run's trace of other rows": of_run("trace", [[1]]),
    "run's evaluations a text": of_run("evaluations", "3"),
    "no digest of the network": lambda _, facts: facts["run"].pop("network"),
    "digest of the pictures a number": of_run("pictures", 3),
}
OWN = {
    "lbfgs": {
        "no gradient": without("g"),
        "gradient of another length": array("g", lambda a: a[1:]),
        "no pairs": without("basis"),
        "pairs of another length": array("basis", lambda a: a[:, 1:]),
        "pairs flat": array("basis", lambda a: a.ravel()),
        "fewer pairs": array("basis", lambda a: a[:1]),
        "more pairs": array("basis", lambda a: np.repeat(a, 9, axis=0)),
        "no table": without("host_table"),
        "table of another size": array("host_table", lambda a: a[:3, :3]),
        "table not square": array("host_table", lambda a: a[:, :3]),
        "table of integers": array("host_table", lambda a: a.astype(int)),
        "order of texts": fact("order", ["a"]),
        "order with a slot twice": fact("order", [0, 0]),
        "order beyond the slots": fact("order", [999]),
        "order a number": fact("order", 4),
        "spare in use": fact("spare", 0),
        "spare beyond the slots": fact("spare", 999),
        "value a text": fact("value", "x"),
        "scale of the value missing": without("scale"),
    },
    "adam": {
        "no first moment": without("first"),
        "second moment of another length": array("second", lambda a: a[1:]),
        "no average": without("average"),
        "steps a fraction": fact("steps", 1.5),
        "steps missing": without("steps"),
        "missing a text": fact("missing", "x"),
    },
    "descent": {},
    "lbfgsb": {"size a text": fact("size", "x"), "size missing": without("size")},
}
CASES = [(optimizer, name) for optimizer, own in OWN.items() for name in (*ALL, *own)]


@pytest.fixture(scope="module")
def saved(network, pictures, tmp_path_factory) -> dict[str, Path]:
    """Return a checkpoint of each optimizer, after three iterations."""
    folder, found = tmp_path_factory.mktemp("saved"), {}
    for optimizer in OWN:
        path = found[optimizer] = folder / f"{optimizer}.npz"

        def keep(progress, path=path):
            if progress.iteration == 3:
                progress.save(path)

        handstyle.stylize(*pictures, network=network, optimizer=optimizer, callback=keep, **SHORT)
    return found


@pytest.mark.parametrize(("optimizer", "name"), CASES)
def test_an_archive_with_other_contents_is_one_line(optimizer, name, saved, network, pictures, tmp_path) -> None:
    arrays, facts = contents(saved[optimizer])
    (ALL | OWN[optimizer])[name](arrays, facts)
    put(tmp_path / "run.npz", arrays, facts)
    with pytest.raises(HandstyleError) as caught:
        handstyle.stylize(*pictures, network=network, optimizer=optimizer, resume=tmp_path / "run.npz", **SHORT)
    assert str(caught.value).startswith(f"{tmp_path / 'run.npz'}: ") or "checkpoint" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("optimizer", OWN)
def test_what_is_put_back_unchanged_is_taken(optimizer, saved, network, pictures, tmp_path) -> None:
    put(tmp_path / "run.npz", *contents(saved[optimizer]))
    options = {"network": network, "optimizer": optimizer, **SHORT}
    result = handstyle.stylize(*pictures, resume=tmp_path / "run.npz", **options)
    assert len(result.trace) == STEPS


def other(kind: str) -> bytes:
    stream = io.BytesIO()
    if kind == "npy":
        np.save(stream, np.zeros(4))
    elif kind == "zip of texts":
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr("a.txt", "b")
    elif kind == "facts are no text":
        np.savez(stream, facts=np.zeros(3))
    elif kind == "facts are no JSON":
        np.savez(stream, facts=np.array("{"))
    elif kind == "facts are a list":
        np.savez(stream, facts=np.array("[1, 2]"))
    elif kind == "facts a hundred thousand deep":
        np.savez(stream, facts=np.array("[" * 100_000))
    elif kind == "a number of 5,000 digits":
        np.savez(stream, facts=np.array("9" * 5_000))
    elif kind == "objects":
        np.savez(stream, facts=np.array([{}], dtype=object))
    elif kind == "empty":
        pass
    elif kind == "compressed":
        np.savez_compressed(stream, v=np.zeros(400 << 20, np.uint8), facts=np.array("{}"))
    elif kind == "compressed by bzip2, with a size that is a lie":  # zipfile unpacks such entries whole
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_BZIP2) as archive:
            archive.writestr("facts.npy", bytes(400 << 20))
        data = bytearray(stream.getvalue())
        entry = data.rfind(b"PK\x01\x02")
        data[entry + 24 : entry + 28] = (100).to_bytes(4, "little")
        return bytes(data)
    elif kind == "a header of gigabytes":
        with zipfile.ZipFile(stream, "w") as archive:
            header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2000000000,), }"
            data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
            archive.writestr("v.npy", data)
            archive.writestr("facts.npy", data)
    elif kind == "thousands of entries":
        with zipfile.ZipFile(stream, "w") as archive:
            for i in range(5000):
                archive.writestr(f"{i}.npy", b"")
    return stream.getvalue()


KINDS = [
    *("npy", "zip of texts", "facts are no text", "facts are no JSON", "facts are a list", "empty", "objects"),
    *("facts a hundred thousand deep", "a number of 5,000 digits", "compressed", "a header of gigabytes"),
    *("thousands of entries", "compressed by bzip2, with a size that is a lie"),
]
LIMITED = """
import sys
import numpy as np
from pathlib import Path
from handstyle.foundations.errors import HandstyleError
from handstyle.optimize.checkpoint import read_facts, read_checkpoint
for read in (lambda p: read_facts(p), lambda p: read_checkpoint(p, "Adam", np.zeros(12), {}, {})):
    try:
        read(Path(sys.argv[1]))
    except HandstyleError as error:
        print(error)
# Not getrusage: a child's ru_maxrss starts at its parent's memory at the fork.
status = Path("/proc/self/status")
print(int(status.read_text().split("VmHWM:")[1].split()[0]) // 1024 if status.exists() else 0)
"""


@pytest.mark.parametrize("kind", KINDS)
def test_another_file_is_one_line_in_little_memory(kind, tmp_path) -> None:
    path = tmp_path / "run.npz"
    path.write_bytes(other(kind))
    done = subprocess.run([sys.executable, "-c", LIMITED, path], env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *said, mebibytes = done.stdout.splitlines()
    assert len(said) == 2, done.stdout
    assert all(line.startswith(f"{path}: ") for line in said)
    assert int(mebibytes) < 300


def test_other_kernels_are_refused_by_name(pictures, tmp_path) -> None:
    path = tmp_path / "run.npz"

    def keep(progress):
        progress.save(path)
        raise StopIteration

    options = {"optimizer": "lbfgs", **SHORT}
    mine = handstyle.load_network("random", kernels="im2col")
    handstyle.stylize(*pictures, network=mine, callback=keep, **options)
    with pytest.raises(HandstyleError, match=r"kernels='im2col', this one 'reference'"):
        handstyle.stylize(
            *pictures, network=handstyle.load_network("random", kernels="reference"), resume=path, **options
        )


def test_a_processor_of_another_type_is_a_note(saved, network, pictures, monkeypatch) -> None:
    options = {"network": network, "optimizer": "adam", **SHORT}
    assert handstyle.stylize(*pictures, resume=saved["adam"], **options).notes == []
    monkeypatch.setattr(resuming, "processor", lambda: "another")
    notes = handstyle.stylize(*pictures, resume=saved["adam"], **options).notes
    assert any("processor of another type" in note for note in notes)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names of x86 processors")
def test_the_type_of_processor_is_that_of_numpys_products() -> None:
    """OPENBLAS_CORETYPE chooses other kernels, whose sums have other last bits."""
    if not any(library["internal_api"] == "openblas" for library in threadpool_info()):
        pytest.skip("NumPy's products are not OpenBLAS's")
    code = "from handstyle.painting.resuming import processor; import numpy; print(processor())"
    types = {}
    for kind in ("Nehalem", "Haswell"):
        environment = ENVIRONMENT | {"OPENBLAS_CORETYPE": kind}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        types[kind] = done.stdout.strip()
    assert types == {"Nehalem": "Nehalem", "Haswell": "Haswell"}


# --- writing, and one run one checkpoint -----------------------------------------------------------------------------


def test_a_checkpoint_is_flushed_before_it_is_renamed_and_its_folder_afterwards(tmp_path, monkeypatch) -> None:
    done, flush, rename = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (done.append(os.fstat(handle).st_mode), flush(handle)))
    monkeypatch.setattr(os, "replace", lambda a, b: (done.append("rename"), rename(a, b)))
    checkpoint.write_checkpoint(tmp_path / "run.npz", "Adam", {"v": np.zeros(3)}, {})
    assert [entry if entry == "rename" else stat.S_ISDIR(entry) for entry in done] == [False, "rename", True]


def test_what_a_killed_run_left_beside_its_checkpoint_goes_with_the_next(tmp_path) -> None:
    code = f"""
import os, signal, numpy as np
from pathlib import Path
from handstyle.optimize.checkpoint import write_checkpoint
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
write_checkpoint(Path({str(tmp_path)!r}) / "run.npz", "Adam", {{"v": np.zeros(3)}}, {{}})
"""
    subprocess.run([sys.executable, "-c", code], check=False, env=ENVIRONMENT)
    assert len(list(tmp_path.iterdir())) == 1
    checkpoint.write_checkpoint(tmp_path / "run.npz", "Adam", {"v": np.zeros(3)}, {})
    assert [path.name for path in tmp_path.iterdir()] == ["run.npz"]


def test_a_second_run_of_the_same_checkpoint_is_refused_and_told_whose_it_is(files, tmp_path, capsys) -> None:
    out, held = tmp_path / "out.png", tmp_path / "out.png.checkpoint"
    code = f"""
import time
from pathlib import Path
from handstyle.foundations.file_lock import locked
with locked(Path({str(held)!r}), "the checkpoint"):
    print("held", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], env=ENVIRONMENT, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert run(*files, "-o", str(out), "--iterations", "2") == 2
        said = capsys.readouterr().err
        assert f"the checkpoint {held} is another run's: process {holder.pid} on " in said
        assert not out.exists()
        holder.kill()
        holder.wait()
    assert list(tmp_path.glob(".*.lock"))  # it stays, and locks nothing
    assert run(*files, "-o", str(out), "--iterations", "2") == 0
    assert not list(tmp_path.glob(".*.lock"))


def test_a_lock_is_had_again_and_again(tmp_path) -> None:
    for _ in range(3):
        with locked(tmp_path / "run", "the run"):
            assert [path.name for path in tmp_path.iterdir()] == [".run.lock"]
            with (
                pytest.raises(HandstyleError, match=f"the run .* process {os.getpid()} "),
                locked(tmp_path / "run", "the run"),
            ):
                pass
    assert not list(tmp_path.iterdir())


def test_where_a_file_system_has_no_locks_the_run_is_painted_and_that_is_said(
    files, tmp_path, monkeypatch, capsys
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert run(*files, "-o", str(tmp_path / "out.png"), "--iterations", "2") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "the file system has no locks" in said
    assert "out.png.checkpoint at the same time" in said
    assert not list(tmp_path.glob(".*.lock"))


# --- the checkpoint that every run keeps -----------------------------------------------------------------------------


def interrupting(monkeypatch, at: int) -> None:
    """Interrupt the run of this process after an iteration."""
    genuine = Lines.__call__

    def line(self, progress):
        if progress.iteration == at:
            signal.raise_signal(signal.SIGINT)
        genuine(self, progress)

    monkeypatch.setattr(Lines, "__call__", line)


def test_a_run_that_ends_leaves_its_picture_alone(files, tmp_path) -> None:
    before = {path.name for path in tmp_path.iterdir()}
    assert run(*files, "-o", str(tmp_path / "out.png"), "--iterations", "4", "--checkpoint-every", "1") == 0
    assert {path.name for path in tmp_path.iterdir()} == before | {"out.png"}


def test_a_checkpoint_is_due_every_30_seconds_and_seldom_where_it_takes_long(tmp_path, monkeypatch) -> None:
    now = [0.0]
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: now[0])
    keeper = checkpoints.CheckpointWriter(tmp_path / "run")
    due = []
    for iteration in range(1, 200):
        now[0] += 1
        if keeper.due(iteration):
            due.append(now[0])
            keeper.write(lambda _: now.__setitem__(0, now[0] + (3 if len(due) > 1 else 0)))
    assert due[:4] == [30, 60, 123, 186]  # once it took three seconds, every sixty


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam", "lbfgs-fixed", "descent", "lbfgsb"])
def test_resume_alone_finds_the_run_and_its_picture(optimizer, files, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    flags = ["--optimizer", optimizer, "--iterations", "6", "--learning-rate", "1"]
    flags = flags if optimizer in ("adam", "descent", "lbfgs-fixed") else flags[:4]
    assert run(*files, *flags, "-o", "whole.png") == 0
    interrupting(monkeypatch, 3)
    assert run(*files, *flags) == 130
    assert "the same command with --resume continues it" in capsys.readouterr().out
    assert Path("photo_painting.png").exists()
    assert Path("photo_painting.png.checkpoint").exists()
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert run(*files, *flags, "--resume") == 0
    said = capsys.readouterr().out
    assert not Path("photo_painting.png.checkpoint").exists()
    assert read_recipe("photo_painting.png").result["stopped"] == "all 6 iterations done"
    whole, resumed = pixels(Path("whole.png")), pixels(Path("photo_painting.png"))
    if optimizer == "lbfgsb":
        assert "resumed from the picture" in said
    else:
        np.testing.assert_array_equal(resumed, whole)
        assert "resumed from the picture" not in said


def test_a_new_run_leaves_an_unfinished_one_alone(files, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photo_painting.png.checkpoint").write_bytes(b"unfinished")
    assert run(*files, "--iterations", "2") == 0
    assert "photo_painting.png.checkpoint has an unfinished run" in capsys.readouterr().out
    assert Path("photo_painting_2.png").exists()
    assert run(*files, "--iterations", "2", "-o", "photo_painting.png") == 2
    assert "--resume continues it, --overwrite starts again" in " ".join(capsys.readouterr().err.split())
    assert Path("photo_painting.png.checkpoint").read_bytes() == b"unfinished"
    assert run(*files, "--iterations", "2", "-o", "photo_painting.png", "--overwrite") == 0
    assert not Path("photo_painting.png.checkpoint").exists()


def test_somebody_elses_picture_is_not_replaced_by_a_resumed_run(files, tmp_path, monkeypatch) -> None:
    out = tmp_path / "out.png"
    interrupting(monkeypatch, 3)
    assert run(*files, "-o", str(out), "--iterations", "6") == 130
    monkeypatch.undo()
    Image.new("RGB", (8, 8)).save(out)
    assert run(*files, "-o", str(out), "--iterations", "6", "--resume") == 2
    assert pixels(out).shape == (8, 8, 3)


def test_without_a_checkpoint_nothing_is_kept(files, tmp_path, monkeypatch, capsys) -> None:
    out = tmp_path / "out.png"
    interrupting(monkeypatch, 3)
    assert run(*files, "-o", str(out), "--iterations", "6", "--no-checkpoint") == 130
    assert not (tmp_path / "out.png.checkpoint").exists()
    assert run(*files, "-o", str(out), "--iterations", "6", "--resume") == 2
    assert "there is no unfinished run of this output" in " ".join(capsys.readouterr().err.split())


def test_a_checkpoint_that_was_named_stays(files, tmp_path) -> None:
    named = tmp_path / "run.npz"
    assert run(*files, "-o", str(tmp_path / "a.png"), "--iterations", "3", "--checkpoint", str(named)) == 0
    assert named.exists()
    assert run(*files, "-o", str(tmp_path / "b.png"), "--iterations", "5", "--resume", str(named)) == 0


@pytest.mark.parametrize(
    ("words", "made"),
    [
        ("a.png b.png --resume", "a.png b.png --resume auto"),
        ("--resume a.png b.png", "--resume auto a.png b.png"),
        ("a b --resume --size 3", "a b --resume auto --size 3"),
        ("a b --resume run.npz", "a b --resume run.npz"),
        ("a b --resume=run.npz", "a b --resume=run.npz"),
        ("a b", "a b"),
    ],
)
def test_resume_needs_no_file(words, made) -> None:
    assert with_auto(words.split()) == made.split()


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_killed_runs_go_on_to_the_bit_and_leave_nothing(optimizer, files, tmp_path) -> None:
    """Kill the run at three moments, whatever it is doing then, and let it go on each time."""
    flags = ["--optimizer", optimizer, "--iterations", "100", "--checkpoint-every", "1"]
    whole = [sys.executable, "-m", "handstyle", "stylize", *files, *FLAGS, *flags, "-o"]
    assert subprocess.run([*whole, tmp_path / "whole.png"], env=ENVIRONMENT, capture_output=True).returncode == 0
    command, kept = [*whole, tmp_path / "out.png"], tmp_path / "out.png.checkpoint"
    for pause in (0.0, 0.03, 0.07):
        with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            modified, deadline = (kept.stat().st_mtime_ns if kept.exists() else 0), time.monotonic() + 60
            while not kept.exists() or kept.stat().st_mtime_ns == modified:
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < deadline
                time.sleep(0.005)
            time.sleep(pause)
            process.kill()
        command = [*whole, tmp_path / "out.png", "--resume"]
        assert not (tmp_path / "out.png").exists()
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "iteration 1 of 100" not in done.stderr, "it began anew"
    np.testing.assert_array_equal(pixels(tmp_path / "out.png"), pixels(tmp_path / "whole.png"))
    assert {path.name for path in tmp_path.iterdir()} == {"photo.png", "style.png", "whole.png", "out.png"}
