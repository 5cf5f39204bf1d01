"""The short benchmark measures what it says: every side finds the same gradient; no time is judged."""

from pathlib import Path

import pytest
from PIL import Image

from handstyle.foundations.errors import HandstyleError
from handstyle.kernels.bench import BenchRow, bench, draw
from handstyle.network.vgg import build_network, random_weights


def test_all_sides_do_the_same_work() -> None:
    network = build_network(random_weights("vgg19", (4, 6, 8, 8, 8)))
    told: list[BenchRow] = []
    sides = {"reference": network, "auto": network.with_kernels("auto")}
    rows = bench(sides, (32, 272), rounds=1, report=told.append)
    assert rows == told
    assert [row.what for row in rows if row.size == 32][:2] == ["reference", "auto"]
    assert "reference" not in [row.what for row in rows if row.size == 272]
    assert all(0 < row.fastest <= row.median for row in rows)
    assert all(row.difference < 1e-2 for row in rows)
    assert [row.difference for row in rows if row.size == 32][1] > 0  # computed, not copied


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
