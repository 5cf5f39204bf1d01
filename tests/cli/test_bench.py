"""The short benchmark measures what it says: every side finds the same gradient; no time is judged."""

import json
import sys
import types
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.emulated_device import WHY_NOT, EmulatedDevice

from handstyle.cli import measuring, terminal
from handstyle.cli.bench import (
    BenchRow,
    bench,
    compare,
    draw,
    interleave,
    make_record,
    measurements_of,
    median_interval,
    operations,
    read_record,
    write_record,
)
from handstyle.cli.energy import EnergyMeter, GpuMeter
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
    quiet = measurements_of(rows, network, 0.1)
    write_record(quiet, Machine(), path)
    earlier = read_record(path)
    assert earlier == replace(quiet, path=str(path))
    assert json.loads(path.read_text())["rates"]["products"] == Machine().products
    slower = BenchRow(256, "auto, CPU", 0.2, 0.2, 0.0, spread=0.01)
    for row, line in (
        (replace(slower, median=0.11), "256², auto, CPU: 1.10 of the time before, a difference within the spread"),
        (slower, "256², auto, CPU: 2.00 of the time before"),
        (
            replace(slower, spread=0.0),
            "256², auto, CPU: 2.00 of the time before, of single evaluations, so it may be chance",
        ),
        (replace(slower, what="new"), "they have no row in common"),
    ):
        assert list(compare(replace(quiet, rows=[row]), earlier)) == [line]
    machine = quiet.machine | {"load": "9.00", "threads": "4", "processor": "another"}
    assert list(compare(replace(quiet, rows=[slower], machine=machine), earlier))[1:] == [
        "these measurements: the machine was busy (load 9.0 on 4 cores), so the times may be too long",
        f"not of the same machine: processor {quiet.machine['processor']} before, another now",
        f"not of the same machine: threads {quiet.machine['threads']} before, 4 now",
    ]
    with pytest.raises(HandstyleError, match="--save"):
        write_record(quiet, None, path)
    record = make_record(quiet)
    for damaged in ([1], record | {"machine": {"load": "high"}}, record | {"machine": [1]}):
        path.write_text(json.dumps(damaged))
        with pytest.raises(HandstyleError, match="not a file of measurements"):
            read_record(path)


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
    with pytest.raises(HandstyleError, match="--compare: 1 given; give two files"):
        measuring.bench(compare=(path,), network=asked)
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
    heights = []
    for name, row in (("no.png", rows[1]), ("roof.png", replace(rows[0], done=4e9, moved=1e8))):
        draw([rows[0], row], tmp_path / name, Machine(1e11, 1e10))
        with Image.open(tmp_path / name) as picture:
            heights.append(picture.size[1])
    assert heights[1] == heights[0] + 675  # the roofline, if operations and bytes were counted


class Pretended(Backend):
    """A GPU's backend whose arrays are NumPy's, and which has no pools of memory."""

    def separate_pool(self):
        return nullcontext()

    def free_unused(self):
        pass

    def in_common_pool(self, x):
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


def test_the_interval_of_the_median_holds_it_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    for n, least in ((5, 0.92), (9, 0.95), (25, 0.95)):
        draws = rng.exponential(1, (2000, n))
        intervals = np.array([median_interval(list(draw)) for draw in draws])
        held = np.mean((intervals[:, 0] <= np.log(2)) & (np.log(2) <= intervals[:, 1]))
        assert least - 0.015 <= held <= 0.995
    assert median_interval([3.0, 1.0, 2.0, 5.0, 4.0]) == (1.0, 5.0)
    assert median_interval([1.0]) == (1.0, 1.0)
    assert median_interval(list(range(25))) == (7, 17)  # as the table of the sign test has it


def test_the_roof_is_the_lower_of_two() -> None:
    rates = Machine(products=100.0, transforms=1.0, cached=1.0, moved=10.0)
    row = BenchRow(256, "auto", 1.0, 2.0, 0.0, done=60.0, moved=12.0)  # 5 operations a byte: 50 a second
    assert row.share_of_roof(rates) == pytest.approx(30 / 50)
    assert replace(row, moved=1.0).share_of_roof(rates) == pytest.approx(30 / 100)
    assert np.isnan(BenchRow(256, "reference", 1.0, 2.0, 0.0).share_of_roof(rates))


def test_a_method_has_its_own_operations_and_bytes() -> None:
    network = build_network(random_weights("vgg19", (16, 32, 64, 64, 64)))
    sides = {"auto": network.with_kernels("auto"), "im2col": network.with_kernels("im2col")}
    auto, im2col = bench(sides, (64,), rounds=3)[:2]
    assert im2col.done > 1.3 * auto.done > 0  # Winograd's need fewer
    assert im2col.done > im2col.operations  # and the moments
    assert auto.moved > 0
    assert auto.low <= auto.median <= auto.high


def test_the_energy_is_the_difference_of_a_counter_that_may_begin_again(tmp_path: Path) -> None:
    assert "no RAPL counter" in EnergyMeter(tmp_path).why_not
    assert np.isnan(EnergyMeter(tmp_path).joules())
    for number, energy in enumerate(("1000000", "5000000")):
        package = tmp_path / f"intel-rapl:{number}"
        package.mkdir()
        (package / "energy_uj").write_text(energy + "\n")
        (package / "max_energy_range_uj").write_text("6000000\n")
    (tmp_path / "intel-rapl:0:0").mkdir()  # a part of the first: counted with it
    meter = EnergyMeter(tmp_path)
    assert not meter.why_not
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("3500000\n")
    (tmp_path / "intel-rapl:1" / "energy_uj").write_text("500000\n")  # past its end
    assert meter.joules() == pytest.approx(2.5 + 1.5)
    assert meter.joules() == 0
    taken = interleave({"a": lambda: (tmp_path / "intel-rapl:0" / "energy_uj").write_text("5500000")}, 1, {"a": meter})
    assert taken["a"][0].joules == pytest.approx(2.0)


def test_the_energy_of_a_gpu_is_read_from_nvml(monkeypatch) -> None:
    def on(bus: str) -> GpuMeter:
        cuda = types.SimpleNamespace(Device=lambda: types.SimpleNamespace(pci_bus_id=bus))
        return GpuMeter(Backend("cupy", types.SimpleNamespace(cuda=cuda), "a GPU"))

    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert "pip install nvidia-ml-py" in on("0000:01:00.0").why_not
    assert np.isnan(on("0000:01:00.0").joules())
    counter = iter([7000, 7250, 9250])
    nvml = types.SimpleNamespace(nvmlInit=lambda: None, nvmlDeviceGetHandleByPciBusId=lambda bus: bus)
    nvml.nvmlDeviceGetTotalEnergyConsumption = lambda gpu: {"0000:01:00.0": next(counter)}[gpu]
    monkeypatch.setitem(sys.modules, "pynvml", types.SimpleNamespace())  # NVML of another version, or without a driver
    assert "the energy of the GPU is not known: " in on("0000:01:00.0").why_not
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    meter = on("0000:01:00.0")
    assert (meter.why_not, meter.joules(), meter.joules()) == ("", 0.25, 2.0)


def test_two_files_are_compared_and_json_is_printed(monkeypatch, capsys, tmp_path: Path) -> None:
    asked = NetworkConfig(weights="random", backend="numpy")
    monkeypatch.setattr(measuring, "measure_rates", Machine)
    monkeypatch.setattr(terminal.out, "quiet", False)
    monkeypatch.setattr(terminal.events, "quiet", True)
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    assert measuring.bench(16, rounds=1, save=paths[0], json_=True, network=asked) == 0
    printed = json.loads(capsys.readouterr().out)  # and nothing else
    assert {row["what"] for row in printed["rows"]} >= {"auto, CPU", "im2col, CPU"}
    assert printed["machine"]["processor"]
    for row in printed["rows"]:
        row["median"] *= 3
    paths[1].write_text(json.dumps(printed))
    monkeypatch.setattr(terminal.out, "quiet", False)
    assert measuring.bench(compare=(paths[0], paths[1])) == 0
    told = capsys.readouterr().out
    assert "16², auto, CPU: 3.00 of the time before" in told
    assert "GFLOP/s" not in told  # nothing was measured
    monkeypatch.setattr(terminal.out, "quiet", False)
    assert measuring.bench(compare=(paths[0], paths[1]), json_=True) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["event"] == "comparison"
    assert printed["lines"][0].startswith("16², auto, CPU: 3.00 of the time before")
