"""Signals at every moment of a run: the work is kept once there is any, the status says which signal it was."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from pkgutil import resolve_name

import numpy as np
import pytest
from PIL import Image

import handstyle
from handstyle.cli import main, painting
from handstyle.foundations import picture_rescue
from handstyle.painting import stylize as module

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(handstyle.__file__).parents[1])}
FLAGS = ["--weights", "random", "--size", "48", "--style-layers", "relu1_1", "--pyramid-min-size", "24"]
SIGNALS = [(name, getattr(signal, name)) for name in ("SIGINT", "SIGTERM", "SIGHUP")]


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    rng = np.random.default_rng(0)
    for name in ("photo.png", "style.png"):
        Image.fromarray(rng.integers(0, 256, (48, 48, 3), dtype=np.uint8)).save(tmp_path / name)
    return [str(tmp_path / "photo.png"), str(tmp_path / "style.png"), "-o", str(tmp_path / "out.png")]


def run(*words: str) -> int:
    handlers = {number: signal.getsignal(number) for _, number in SIGNALS}
    try:
        with pytest.raises(SystemExit) as ended:
            main(["stylize", *words, *FLAGS, "--iterations", "3"])
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return int(ended.value.code or 0)


def at(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, call: int, number: int, times: int) -> list[int]:
    """Send a signal to this process at the beginning of one call of a function; return the calls there were."""
    genuine, calls = getattr(owner, name), []

    def signaled(*arguments, **options):
        calls.append(1)
        if len(calls) == call:
            for _ in range(times):
                signal.raise_signal(number)
        return genuine(*arguments, **options)

    monkeypatch.setattr(owner, name, signaled)
    return calls


PLACES = {  # owner, function, which call of it
    "in the first iteration": (module.Objective, "__call__", 2),
    "between scales": (module, "enlarge_picture", 2),
    "while the second scale's targets are measured": (module, "terms_of_scale", 2),
    "before the second scale's first evaluation": (module.Objective, "__init__", 2),
    "in the last scale": (module.Objective, "__call__", 7),
    "while colors are changed": (module, "final_picture", 1),
    "while the recipe is made": (module, "make_recipe", 1),
    "while the picture is encoded": (picture_rescue, "encode_picture", 1),
    "while the picture is flushed": (os, "fsync", 1),
    "while the picture gets its name": (os, "replace", 1),
    "while the end is reported": (painting, "print_end", 1),
}


@pytest.mark.parametrize("times", [1, 3], ids=["once", "three times"])
@pytest.mark.parametrize("place", PLACES)
def test_a_signal_at_any_moment_keeps_the_picture(place, times, files, tmp_path, monkeypatch, capsys) -> None:
    owner, name, call = PLACES[place]
    calls = at(monkeypatch, owner, name, call, signal.SIGINT, times)
    assert run(*files, "--no-checkpoint") == 130
    assert len(calls) >= call
    with Image.open(tmp_path / "out.png") as image:
        assert image.size == (48, 48)
    said = capsys.readouterr()
    assert f"is in {tmp_path / 'out.png'}" in said.out.replace("\n", "")
    assert "nothing was written" not in said.err
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(("name", "number"), SIGNALS)
def test_a_second_signal_while_the_first_ends_the_run(name, number, files, tmp_path, monkeypatch) -> None:
    """The first comes in the first iteration, where it interrupts, and the next ones while the picture is written."""
    at(monkeypatch, module.Objective, "__call__", 2, number, 1)
    at(monkeypatch, picture_rescue, "encode_picture", 1, number, 1)
    at(monkeypatch, os, "fsync", 1, number, 1)
    assert run(*files, "--no-checkpoint") == 128 + number
    assert (tmp_path / "out.png").exists()


@pytest.mark.parametrize(("name", "number"), SIGNALS)
def test_before_the_first_evaluation_nothing_is_written_and_that_is_said(
    name, number, files, tmp_path, monkeypatch, capsys
) -> None:
    at(monkeypatch, module, "terms_of_scale", 1, number, 1)
    assert run(*files) == 128 + number
    assert not (tmp_path / "out.png").exists()
    assert not list(tmp_path.glob(".*"))
    assert "interrupted; nothing was written" in capsys.readouterr().err


COMMANDS = {  # its words, and a function that it calls while it works
    "stylize": ("photo.png style.png", "handstyle.painting.stylize:make_plan"),
    "texture": ("style.png", "handstyle.painting.stylize:make_plan"),
    "reconstruct": ("photo.png --layer relu1_1", "handstyle.painting.stylize:make_plan"),
    "demo": ("-o there", "handstyle.painting.stylize:make_plan"),
    "batch": ("folder style.png -o there", "handstyle.painting.stylize:make_plan"),
    "sweep": ("photo.png style.png --over seed=1,2", "handstyle.painting.stylize:make_plan"),
    "again": ("painted.png", "handstyle.optimize.objective:Objective.__call__"),
    "report": ("painted.png", "handstyle.optimize.objective:Objective.__call__"),
    "check": ("--quick", "handstyle.painting.selfcheck:check_adjoint"),
    "info": ("", "handstyle.cli.inspecting:summary"),
    "plan": ("--size 64", "handstyle.painting.memory:RunMemory.fitted"),
    "plan trying": ("--size 64", "handstyle.optimize.objective:Objective.__call__"),
    "bench": ("32", "handstyle.cli.bench:interleave"),
    "weights": ("verify vgg19-slim", "handstyle.cli.weights:verify"),
    "weights get": ("get vgg19", "handstyle.cli.weights:get"),
}


@pytest.mark.parametrize(("name", "number"), SIGNALS)
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_ends_with_the_status_of_the_signal(
    command, name, number, files, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.png").write_bytes((tmp_path / "photo.png").read_bytes())
    if command in ("again", "report"):
        assert run(*files[:2], "-o", "painted.png") == 0
    words, place = COMMANDS[command]
    owner, _, attribute = place.replace(":", ".").rpartition(".")
    calls = at(monkeypatch, resolve_name(owner), attribute, 2 if "Objective" in place else 1, number, 1)
    handlers = {number: signal.getsignal(number) for _, number in SIGNALS}
    try:
        with pytest.raises(SystemExit) as ended:
            main([*command.split()[:1], *words.split()])
    finally:
        for one, handler in handlers.items():
            signal.signal(one, handler)
    assert calls
    assert ended.value.code == 128 + number
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(("name", "number"), SIGNALS)
@pytest.mark.parametrize("module_name", ["numpy.version", "scipy._lib", "PIL.Image", "handstyle.painting.config"])
def test_a_signal_while_the_program_is_loaded_ends_it_without_a_traceback(module_name, name, number, files) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "handstyle", "stylize", *files, *FLAGS]
    with subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:  # a line for each module, when it is loaded
            if line.split("|")[-1].strip() == module_name:
                break
        else:
            pytest.fail(f"{module_name} was not loaded")
        process.send_signal(number)
        said = [line for line in process.stderr if not line.startswith("import time:")]
    assert process.returncode == 128 + number
    assert not said
