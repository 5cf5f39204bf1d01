"""Damaged HDF5 weight files: none hangs, crashes or gives other weights in silence; what is good stays fast."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import h5py
import numpy as np
import pytest
from support.published_formats import slim

from handstyle.foundations.errors import HandstyleError
from handstyle.network import hdf5_file
from handstyle.network import weights as native
from handstyle.network.vgg import Weights
from handstyle.network.weights import EMBEDDED_FILE, read_weights, write_weights
from weights_tools.convert import load

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork: files are read unguarded")


def flipped(path, byte, bit):
    content = bytearray(EMBEDDED_FILE.read_bytes())
    content[byte] ^= 1 << bit
    path.write_bytes(content)
    return path


def same(one: Weights, other: Weights) -> bool:
    return (one.architecture, one.convention) == (other.architecture, other.convention) and all(
        np.array_equal(a, b) for name in other.layers for a, b in zip(one.layers[name], other.layers[name], strict=True)
    )


def text_heap():
    """Where the embedded file keeps the lengths of its texts."""
    return EMBEDDED_FILE.read_bytes().find(b"GCOL")


def test_bit_3_of_a_text_s_length_does_not_hang(tmp_path):
    """The length 9 of a text in the heap becomes one that ends in zeros, where libhdf5 stays for ever."""
    start = text_heap()
    content = EMBEDDED_FILE.read_bytes()
    for at in range(start + 16 + 8, start + 600, 8):  # in one of these bytes lies the second byte of a length
        if content[at : at + 8] == bytes([content[at]]) + bytes(7) and 0 < content[at] < 100:
            path = flipped(tmp_path / "a.h5", at + 1, 3)
            begun = time.monotonic()
            with pytest.raises(HandstyleError, match="damaged") as caught:
                read_weights(path)
            assert time.monotonic() - begun < 2
            assert "\n" not in str(caught.value)
            return
    pytest.fail("no text was found")


@forks
def test_a_file_on_which_libhdf5_never_returns_ends_in_one_line(tmp_path, monkeypatch):
    """The heaps' own check switched off, the child process is what ends it."""
    monkeypatch.setattr(hdf5_file, "_check_heap_sizes", lambda *_: None)
    monkeypatch.setattr(hdf5_file, "MAX_SECONDS", 1)
    start = text_heap()
    content = bytearray(EMBEDDED_FILE.read_bytes())
    content[start + 16 : start + 32] = bytes(16)  # a free entry of length 0
    path = tmp_path / "a.h5"
    path.write_bytes(content)
    with pytest.raises(HandstyleError, match="libhdf5 crashes on it, or does not come to an end"):
        read_weights(path)


@forks
def test_a_crash_in_libhdf5_is_one_line(tmp_path, monkeypatch):
    write_weights(tmp_path / "a.h5", slim())

    def crash(file):
        os.kill(os.getpid(), signal.SIGSEGV)

    monkeypatch.setattr(native, "_read", crash)
    with pytest.raises(HandstyleError, match="libhdf5 crashes on it"):
        read_weights(tmp_path / "a.h5")


@pytest.mark.slow
def test_no_flipped_bit_gives_other_weights_in_silence(tmp_path):
    good = read_weights(EMBEDDED_FILE)
    rng = np.random.default_rng(0)
    size = EMBEDDED_FILE.stat().st_size
    places = [*rng.integers(0, 12_000, 40), *rng.integers(0, size, 40)]  # the structure, and the values
    refused: list[str] = []
    for byte in places:
        path = flipped(tmp_path / "a.h5", int(byte), int(rng.integers(8)))
        try:
            found = read_weights(path)
        except HandstyleError as error:
            refused.append(str(error))
        else:
            assert same(found, good), f"byte {byte}"
    assert len(refused) > 40
    assert not any("\n" in line for line in refused)


def test_a_changed_value_is_refused_by_the_digest(tmp_path):
    path = tmp_path / "a.h5"
    write_weights(path, slim())
    with h5py.File(path, "a") as file:
        file["conv3_1/w"][0, 0, 0, 0] += 1
    with pytest.raises(HandstyleError, match="its values are not those that were written"):
        read_weights(path)


@pytest.mark.parametrize("what", ["architecture", "convention"])
def test_a_changed_architecture_or_convention_is_refused_by_the_digest(what, tmp_path):
    path = tmp_path / "a.h5"
    short = slim("vgg16")
    names = ["conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"]  # what both architectures have
    write_weights(path, replace(short, layers={name: short.layers[name] for name in names}))
    with h5py.File(path, "a") as file:
        file.attrs[what] = {"architecture": "vgg19", "convention": "torchvision"}[what]
    with pytest.raises(HandstyleError, match="its values are not those that were written"):
        read_weights(path)


def test_a_file_of_before_without_a_digest_is_read(tmp_path):
    path = tmp_path / "a.h5"
    write_weights(path, slim())
    with h5py.File(path, "a") as file:
        del file.attrs["tensors_sha256"]
    assert same(read_weights(path), slim())


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_the_digest_is_that_of_the_values_on_disk(dtype, tmp_path):
    write_weights(tmp_path / "a.h5", slim(), dtype)
    assert "tensors_sha256" not in read_weights(tmp_path / "a.h5").provenance, "it is checked, and not handed on"


def test_the_network_that_ships_has_a_digest():
    with h5py.File(EMBEDDED_FILE) as file:
        assert len(file.attrs["tensors_sha256"]) == 64


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + bytes(2000)])
def test_what_is_hardly_hdf5_is_one_line(content, tmp_path):
    path = tmp_path / "a.h5"
    path.write_bytes(content)
    for read in (read_weights, load):
        with pytest.raises(HandstyleError) as caught:
            read(path)
        assert "\n" not in str(caught.value)


COST = """
import resource, sys
from unittest import mock
from handstyle.network import hdf5_file
from handstyle.network import weights as native
def seconds():
    best = float("inf")
    for _ in range(7):
        before = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        native.read_weights(sys.argv[1])
        after = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        best = min(best, sum(b.ru_utime + b.ru_stime - a.ru_utime - a.ru_stime for a, b in zip(before, after)))
    return best
guarded = seconds()
with mock.patch.object(hdf5_file, "_run_in_child", lambda attempt: None):
    print(guarded - seconds())
"""


@forks
def test_the_guard_costs_less_than_a_tenth_of_a_second(tmp_path, monkeypatch):
    """Of processor time, since other work on the machine must not decide."""
    path = tmp_path / "copy.h5"
    path.write_bytes(EMBEDDED_FILE.read_bytes())
    done = subprocess.run([sys.executable, "-c", COST, str(path)], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0.1
    rehearsed = []
    monkeypatch.setattr(hdf5_file, "_run_in_child", rehearsed.append)
    read_weights(EMBEDDED_FILE)
    assert not rehearsed, "what ships with the package is read at once"


@forks
def test_ctrl_c_while_a_file_is_read_ends_the_child_too(tmp_path):
    program = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from handstyle.network import weights as native\n"
        "def wait(file):\n"
        "    Path(sys.argv[2]).write_text(str(os.getpid()))\n"
        "    time.sleep(60)\n"
        "native._read = wait\n"
        "native.read_weights(sys.argv[1])\n"
    )
    write_weights(tmp_path / "a.h5", slim())
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "a.h5"), str(tmp_path / "pid")], stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 30
    while not (tmp_path / "pid").is_file() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert b"KeyboardInterrupt" in said
    child = int((tmp_path / "pid").read_text())
    time.sleep(0.2)
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
