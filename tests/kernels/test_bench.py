"""The short benchmark measures what it says: every side finds the same gradient; no time is judged."""

from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.emulated_device import WHY_NOT, EmulatedDevice

from handstyle.cli import measuring
from handstyle.cli.bench import BenchRow, bench, compared, draw, operations, read_rows, write_rows
from handstyle.cli.options import NetworkConfig
from handstyle.foundations.backend import Backend, choose_backend
from handstyle.foundations.errors import HandstyleError
from handstyle.kernels.counting import Machine
from handstyle.kernels.cuda.engine import CudaEngine
from handstyle.network.sequence import ENGINES
from handstyle.network.vgg import build_network, random_weights


def test_all_sides_do_the_same_work() -> None:
    network = build_network(random_weights("vgg19", (4, 6, 8, 8, 8)))
    sides = {"reference": network, "auto": network.with_kernels("auto")}
    rows = bench(sides, (32, 272), rounds=1)
    assert [row.what for row in rows if row.size == 32][:2] == ["reference", "auto"]
    assert "reference" not in [row.what for row in rows if row.size == 272]
    assert all(0 < row.fastest <= row.median for row in rows)
    assert all(row.difference < 1e-2 for row in rows)
    assert [row.difference for row in rows if row.size == 32][1] > 0  # computed, not copied


def test_a_row_says_what_was_done_and_how_surely() -> None:
    network = build_network(random_weights("vgg19", (4, 6, 8, 8, 8)))
    direct = sum(36 * layer.w.shape[2] * layer.w.shape[3] for layer in network.layers if layer.name == "conv1_1")
    assert operations(network, 32) > direct * 32 * 32
    assert operations(network, 64) == 4 * operations(network, 32)
    row = bench({"auto": network.with_kernels("auto")}, (32,), rounds=4)[0]
    assert row.operations == operations(network, 32)
    assert row.fastest <= row.median
    assert row.first > 0
    assert row.spread >= 0
    assert row.memory > 32 * 32 * 4 * 4


def test_measurements_are_kept_and_compared(tmp_path: Path) -> None:
    network = build_network(random_weights("vgg19", (4, 6, 8, 8, 8)))
    rows = [BenchRow(256, "auto, CPU", 0.1, 0.10, 0.0, spread=0.01), BenchRow(512, "auto, CPU", 0.4, 0.4, 0.0)]
    path = tmp_path / "bench.json"
    write_rows(rows, network, path)
    date, earlier = read_rows(path)
    assert len(date) == 10
    assert [row.what for row in earlier] == ["auto, CPU"] * 2
    now = [BenchRow(256, "auto, CPU", 0.1, 0.11, 0.0, spread=0.01), BenchRow(256, "new", 0.1, 0.1, 0.0)]
    assert list(compared(now, earlier)) == ["256², auto, CPU: 1.10 of the time before, no more than the spread"]
    now = [BenchRow(256, "auto, CPU", 0.2, 0.2, 0.0, spread=0.01)]
    assert list(compared(now, earlier)) == ["256², auto, CPU: 2.00 of the time before"]
    with pytest.raises(HandstyleError, match="--save"):
        write_rows(rows, network, path)
    path.write_text("[1]")
    with pytest.raises(HandstyleError, match="no measurements"):
        read_rows(path)


def test_the_command_keeps_and_compares(monkeypatch, capsys, tmp_path: Path) -> None:
    asked, path = NetworkConfig(weights="random", backend="numpy"), tmp_path / "bench.json"
    monkeypatch.setattr(measuring, "measure_rates", Machine)
    assert measuring.bench(16, rounds=1, save=path, network=asked) == 0
    assert measuring.bench(16, rounds=1, against=path, network=asked) == 0
    told = capsys.readouterr().out
    assert "16², auto, CPU: " in told
    assert "120 GFLOP/s" in told
    with pytest.raises(HandstyleError, match="exists"):
        measuring.bench(16, rounds=1, save=path, network=asked)
    with pytest.raises(HandstyleError, match="--threads 0"):
        measuring.bench(16, rounds=1, threads=0, network=asked)


def test_bench_refuses_what_it_cannot_do() -> None:
    network = build_network(random_weights("vgg19", (4, 6, 8, 8, 8)))
    for networks, sizes, rounds in (({}, (32,), 1), ({"auto": network}, (), 1), ({"auto": network}, (32,), 0)):
        with pytest.raises(HandstyleError, match="bench"):
            bench(networks, sizes, rounds)


def test_draws_and_does_not_overwrite(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    rows = [BenchRow(256, "auto", 0.1, 0.11, 0.0), BenchRow(256, "PyTorch, 2 threads", 0.3, 0.33, 1e-4)]
    path = tmp_path / "bench.png"
    draw(rows, path)
    with Image.open(path) as picture:
        assert picture.size[0] == 1050
    with pytest.raises(HandstyleError, match="exists"):
        draw(rows, path)
    assert [file.name for file in tmp_path.iterdir()] == ["bench.png"]


class Pretended(Backend):
    """A GPU's backend whose arrays are NumPy's, and which has no pools of memory."""

    def aside(self):
        return nullcontext()

    def tidy(self):
        pass

    def settled(self, x):
        return x


@pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))
def test_a_gpu_is_measured_beside_the_processor(monkeypatch, capsys, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pretended = Pretended("cupy", np, "a pretended GPU")
    monkeypatch.setattr(measuring, "choose_backend", lambda name: {"cupy": pretended}[name])
    for name, precision in (("cuda", "float32"), ("cuda-tf32", "tf32")):
        monkeypatch.setattr(ENGINES[name].replace(":", "."), partial(CudaEngine, EmulatedDevice(precision)))
    asked = NetworkConfig(weights="random", backend="cupy", kernels="cuda-tf32")
    assert measuring.bench(16, rounds=1, plot=tmp_path / "bench.png", network=asked) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "cuda, a pretended GPU" in told
    assert "cuda-tf32, a pretended" in told
    assert "reference, CPU" in told
    assert (tmp_path / "bench.png").exists()


def test_a_gpu_that_is_asked_for_and_not_there_is_no_processor() -> None:
    try:
        choose_backend("cupy")
    except HandstyleError:
        with pytest.raises(HandstyleError, match="backend cupy"):
            measuring.bench(16, rounds=1, network=NetworkConfig(weights="random", backend="cupy"))
    else:
        pytest.skip("there is a GPU")
