"""One evaluation by tiles, as the picture grows: peak memory, and the processor's seconds for each megapixel.

    python -m benchmarks.tiles [--tile 1024] [--megapixels 1 2 4 8 16] [--halo 1] [--files] [--rounds 1] [--out FILE]

Each measurement runs in a process of its own: the embedded network, the default objective, targets measured by tiles
too; tile 0 is the whole picture at once. The picture's own vectors, which grow with it, are the point and the gradient
in float64 (24 bytes a pixel each) and the photograph in float32 (12); what is beyond them is said apart. With --files
the point and the gradient are those of our own L-BFGS, in float32 and in files. Memory is anonymous memory
(``RssAnon``), sampled every ten milliseconds; the content's target is a file mapped into memory from 256 MiB on, and is
said apart. ``largest`` is the side of the largest tile, which is smaller than asked where equal tiles do not need it.
Seconds are those of the processor, all threads together, so that they mean something on a busy machine; of
several rounds, in which all measurements take turns, the least counts. ``computed`` is how many pixels the tiles
compute for each pixel of the picture, halos included.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

MIB = 1 << 20


def process_memory(key: str) -> float:  # MiB
    """Return a line of ``/proc/self/status``."""
    with open("/proc/self/status", encoding="utf-8") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024


class Peak(threading.Thread):
    """A thread that samples the memory of the process while `going` is true."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.anonymous, self.going = 0.0, True

    def run(self) -> None:
        while self.going:
            self.anonymous = max(self.anonymous, process_memory("RssAnon"))
            time.sleep(0.01)


def measure(megapixels: float, tile: int, halo: int, files: bool) -> dict[str, Any]:
    """Evaluate once, with tiles of `tile` pixels or, for 0, whole; `halo` multiplies the tiles' halo."""
    from handstyle.foundations.mapped import mapped_zeros
    from handstyle.kernels import tiles
    from handstyle.optimize.objective import Objective, engine_of
    from handstyle.painting.config import StyleConfig
    from handstyle.painting.load import load_network
    from handstyle.painting.targets import build_terms

    one_radius = tiles.halo_of
    tiles.halo_of = lambda radius, stride: halo * one_radius(radius, stride)  # type: ignore[assignment]
    network = load_network(backend="numpy")
    network = tiles.by_tiles(network, tile) if tile else network
    side = round((megapixels * 1e6) ** 0.5)
    rng = np.random.default_rng(0)
    photograph = rng.integers(0, 256, (side, side, 3), dtype=np.uint8).astype(np.float32)
    painting = rng.integers(0, 256, (384, 512, 3), dtype=np.uint8).astype(np.float32)
    base = process_memory("RssAnon") - photograph.nbytes / MIB
    peak = Peak()
    peak.start()
    terms = build_terms(network, StyleConfig(), photograph, [painting])
    objective = Objective(network, terms, photograph.shape)  # type: ignore[arg-type]
    if files:
        v = mapped_zeros((photograph.size,), np.float32)
        v[:] = photograph.ravel()
    else:
        v = photograph.ravel().astype(np.float64)
    begun, clock = time.process_time(), time.perf_counter()
    gradient = objective.on_device(v)[1] if files else objective(v)[1]
    spent, elapsed = time.process_time() - begun, time.perf_counter() - clock
    peak.going = False
    peak.join()
    vectors = (photograph.nbytes + (0 if files else v.nbytes + gradient.nbytes)) / MIB
    target = next(term.target.nbytes for term in terms if term.name.startswith("content")) / MIB  # type: ignore[attr-defined]
    tiling = tiles.Tiling(network.layers, objective.taps, side, side, tile) if tile else None
    forecast = engine_of(network).forecast(network, terms, photograph.shape)  # type: ignore[arg-type]
    gradients = 0 if not files else tiles.gradient_bytes(network, photograph.shape) / MIB  # type: ignore[arg-type]
    return {
        "megapixels": side * side / 1e6,
        "side": side,
        "tile": tile,
        "largest": side if tiling is None else max(side for one in tiling.tiles for side in one.shape[:2]),
        "halo": halo * one_radius(*tiles.reach(network.layers)),
        "files": files,
        "peak": peak.anonymous - base,
        "high_water": process_memory("VmHWM"),
        "vectors": vectors,
        "target": target,
        "beyond": peak.anonymous - base - vectors - (target if target < 256 else 0),
        "forecast": forecast.bytes / MIB - gradients,
        "computed": 1.0 if tiling is None else sum(map(pixels, tiling.tiles)) / side**2,
        "cpu_seconds": spent,
        "seconds": elapsed,
        "engine": engine_of(network).describe().split(";")[0] if tile else "whole",
    }


def pixels(tile: Any) -> int:
    """Return how many pixels a tile computes."""
    return (tile.rows.stop - tile.rows.start) * (tile.columns.stop - tile.columns.start)  # type: ignore[no-any-return]


def main() -> None:
    """Measure every size in a process of its own, and write what was found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tile", type=int, nargs="+", default=[1024])
    parser.add_argument("--megapixels", type=float, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--halo", type=int, nargs="+", default=[1])
    parser.add_argument("--files", action="store_true")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", action="store_true")
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(asked.megapixels[0], asked.tile[0], asked.halo[0], asked.files)))
        return
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for _ in range(asked.rounds):
        for key in product(asked.megapixels, asked.tile, asked.halo):
            words = [
                word
                for name, value in zip(("megapixels", "tile", "halo"), key, strict=True)
                for word in (f"--{name}", str(value))
            ]
            command = [sys.executable, "-m", "benchmarks.tiles", "--one", *words, *["--files"] * asked.files]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            row = json.loads(done.stdout)
            if key in rows and rows[key]["cpu_seconds"] < row["cpu_seconds"]:
                row = rows[key]
            rows[key] = row
            print(
                f"{row['megapixels']:6.1f} MP, tile {row['tile']}, halo {row['halo']}: {row['peak']:6.0f} MiB, "
                f"{row['beyond']:5.0f} beyond the picture's vectors, {row['forecast']:5.0f} by forecast; "
                f"{row['cpu_seconds'] / row['megapixels']:.2f} s of the processor a megapixel; {row['engine']}",
                flush=True,
            )
            if asked.out:
                load = os.getloadavg()[0]
                found = {"load": load, "cores": os.cpu_count(), "numpy": np.__version__, "rows": [*rows.values()]}
                asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
