"""Finished work is never lost: whatever happens after the first iteration, the best picture is written somewhere."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import handstyle
from handstyle.cli import checkpoints, main
from handstyle.painting import stylize as module
from handstyle.painting.progress import Lines
from handstyle.painting.stylize import PaintingRun

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(handstyle.__file__).parents[1]), "COLUMNS": "200"}


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    rng = np.random.default_rng(0)
    for name in ("photo.png", "style.png"):
        Image.fromarray(rng.integers(0, 256, (48, 48, 3), dtype=np.uint8)).save(tmp_path / name)
    return [str(tmp_path / "photo.png"), str(tmp_path / "style.png")]


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


FLAGS = ["--weights", "random", "--size", "48", "--style-layers", "relu1_1", "--pyramid-min-size", "0"]


def run(*arguments: str) -> int:
    """Run the command line here; return its exit status."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        with pytest.raises(SystemExit) as ended:
            main(["stylize", *arguments, *FLAGS])
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return int(ended.value.code or 0)


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch):
    """Let something happen when the last iteration is done and the picture is not yet written."""

    def during(happen) -> None:
        genuine = PaintingRun.paint

        def painted(run):
            result = genuine(run)
            happen()
            return result

        monkeypatch.setattr(PaintingRun, "paint", painted)

    return during


def test_the_output_was_created_meanwhile(pictures, tmp_path, meanwhile, capsys) -> None:
    out = tmp_path / "out.png"
    meanwhile(lambda: out.write_bytes(b"somebody else's"))
    assert run(*pictures, "-o", str(out), "--iterations", "2") == 1
    assert out.read_bytes() == b"somebody else's"
    assert size_of(tmp_path / "out-1.png") == (48, 48)
    assert f"is in {tmp_path / 'out-1.png'}" in capsys.readouterr().out


def test_the_folder_was_removed_meanwhile(pictures, tmp_path, meanwhile, capsys, monkeypatch) -> None:
    folder, home = tmp_path / "gone", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    meanwhile(lambda: shutil.rmtree(folder))
    assert run(*pictures, "-o", str(folder / "out.png"), "--iterations", "2") == 1
    said = capsys.readouterr().out
    assert f"is in {home / 'out-1.png'}, since" in said
    assert size_of(home / "out-1.png") == (48, 48)


def test_a_picture_on_the_way_was_created_meanwhile(pictures, tmp_path, monkeypatch, capfd) -> None:
    genuine = Lines.__call__

    def line(self, progress):
        if progress.iteration == 2:
            (tmp_path / "out_at_iteration_2.png").write_bytes(b"somebody else's")
        genuine(self, progress)

    monkeypatch.setattr(Lines, "__call__", line)
    assert run(*pictures, "-o", str(tmp_path / "out.png"), "--iterations", "4", "--save-every", "2") == 0
    assert (tmp_path / "out.png").exists()
    assert (tmp_path / "out_at_iteration_4.png").exists()
    assert (tmp_path / "out_at_iteration_2.png").read_bytes() == b"somebody else's"


def test_a_checkpoint_that_cannot_be_written_is_a_warning(pictures, tmp_path, monkeypatch, capfd) -> None:
    from handstyle.optimize import loop

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(loop, "write_checkpoint", full)
    flags = ["--optimizer", "adam", "--checkpoint", str(tmp_path / "run.npz"), "--checkpoint-every", "1"]
    assert run(*pictures, "-o", str(tmp_path / "out.png"), "--iterations", "3", *flags) == 0
    assert (tmp_path / "out.png").exists()
    assert capfd.readouterr().err.count("the checkpoint cannot be written") == 1


def test_memory_runs_out_at_the_last_scale(pictures, monkeypatch) -> None:
    genuine, calls = module.terms_of_scale, []

    def short(config, network, plan, size, *measured):
        calls.append(size)
        if len(calls) == 2:
            raise MemoryError
        return genuine(config, network, plan, size, *measured)

    monkeypatch.setattr(module, "terms_of_scale", short)
    options = {"size": 48, "pyramid_min_size": 24, "iterations": 2, "style_layers": "relu1_1"}
    result = handstyle.stylize(*pictures, network="random", **options)
    assert result.failed
    assert result.ended == "out of memory"
    assert "out of memory at 48 x 48 px" in result.stopped
    assert "at 24 x 24 px, enlarged from there" in result.stopped
    assert result.array.shape == (48, 48, 3)


def test_memory_runs_out_in_an_evaluation(pictures, monkeypatch) -> None:
    genuine, calls = module.Objective.__call__, []

    def short(objective, v):
        calls.append(1)
        if len(calls) == 5:
            raise MemoryError("3 MiB")
        return genuine(objective, v)

    monkeypatch.setattr(module.Objective, "__call__", short)
    options = {"size": 48, "pyramid_min_size": 0, "iterations": 20, "style_layers": "relu1_1"}
    result = handstyle.stylize(*pictures, network="random", **options)
    assert result.failed
    assert result.ended == "out of memory"
    assert result.stopped.startswith("stopped, for memory ran out")
    assert 1 <= len(result.trace) < 20


def test_an_interruption_between_scales_keeps_the_scales_done(pictures, monkeypatch) -> None:
    genuine, calls = module.terms_of_scale, []

    def interrupted(config, network, plan, size, *measured):
        calls.append(size)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return genuine(config, network, plan, size, *measured)

    monkeypatch.setattr(module, "terms_of_scale", interrupted)
    options = {"size": 48, "pyramid_min_size": 24, "iterations": 2, "style_layers": "relu1_1"}
    with pytest.raises(handstyle.PaintingInterrupted) as caught:
        handstyle.stylize(*pictures, network="random", **options)
    result = caught.value.result
    assert result.ended == "interrupted"
    assert result.stopped == "interrupted after 2 iterations at 24 x 24 px, enlarged from there"


def started(pictures: list[str], out: Path, *flags: str, iterations: int = 3000, **options) -> subprocess.Popen[str]:
    """Start a run of many iterations in a process, and wait for its first picture on the way."""
    command = [sys.executable, "-m", "handstyle", "stylize", *pictures, "-o", str(out), *FLAGS]
    command += ["--iterations", str(iterations), *flags]
    return subprocess.Popen(command, env=ENVIRONMENT, text=True, **options)


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, f"the run ended too early: {process.communicate()}"
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_every_signal_that_asks_to_end_ends_with_the_picture(name, status, pictures, tmp_path) -> None:
    out = tmp_path / "out.png"
    process = started(pictures, out, "--save-every", "1", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(tmp_path / "out_at_iteration_3.png", process)
    process.send_signal(getattr(signal, name))
    said, _ = process.communicate(timeout=120)
    assert process.returncode == status
    assert size_of(out) == (48, 48)
    assert f"the best picture so far is in {out}" in said


def test_interruptions_one_after_the_other_to_the_end(pictures, tmp_path) -> None:
    out = tmp_path / "out.png"
    process = started(pictures, out, "--save-every", "1", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(tmp_path / "out_at_iteration_3.png", process)
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        time.sleep(0.002)
    process.communicate(timeout=120)
    assert process.returncode in (130, -signal.SIGINT)  # the second when Python itself, after `main`, had ended
    assert size_of(out) == (48, 48)


def test_in_the_background_an_ignored_interrupt_stays_ignored_and_a_termination_ends(pictures, tmp_path) -> None:
    out = tmp_path / "out.png"

    def ignore() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    process = started(
        pictures, out, "--save-every", "1", stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=ignore
    )
    wait_for(tmp_path / "out_at_iteration_3.png", process)
    process.send_signal(signal.SIGINT)
    wait_for(tmp_path / "out_at_iteration_9.png", process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert process.returncode == 143
    assert out.exists()


def test_the_reader_of_the_pipe_goes_away(pictures, tmp_path) -> None:
    out = tmp_path / "out.png"
    process = started(pictures, out, iterations=5, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=120) == 0, said
    assert out.exists()
    assert "Traceback" not in said
    assert "BrokenPipe" not in said


@pytest.mark.parametrize("stem", ["星" * 83, "a" * 245, "é" * 125])
@pytest.mark.parametrize("more", [(), ("--optimizer", "lbfgs")])
def test_a_name_as_long_as_the_file_system_allows_is_painted_to(stem, more, pictures, tmp_path) -> None:
    out = tmp_path / f"{stem}.png"
    assert run(*pictures, "-o", str(out), "--iterations", "2", *more) == 0
    assert [path.name for path in tmp_path.iterdir() if path.name not in ("photo.png", "style.png")] == [out.name]


def test_a_name_too_long_for_the_pictures_on_the_way_is_refused_before_the_work(pictures, tmp_path, capsys) -> None:
    assert run(*pictures, "-o", str(tmp_path / f"{'a' * 245}.png"), "--iterations", "2", "--save-every", "1") == 2
    said = capsys.readouterr().err
    assert "_at_iteration_" in said
    assert "too long" in said
    assert len(said.strip().splitlines()) == 1


def test_checkpoints_of_long_names_are_apart() -> None:
    names = [checkpoints.checkpoint_path(Path("a" * 230 + end)).name for end in ("1.png", "2.png")]
    assert names[0] != names[1]
    assert max(len(f".{name}.lock") for name in names) <= 255
    assert checkpoints.checkpoint_path(Path("out.png")).name == "out.png.checkpoint"
