"""One evaluation by tiles, as the picture grows: peak memory, and the processor's seconds for each megapixel.

    python -m benchmarks.tiles [--tile 1024] [--megapixels 1 2 4 8 16] [--out benchmarks/results/DATE-tiles.json]

Each size runs in a process of its own: the embedded network, the default objective, targets measured by tiles too. The
picture's own vectors, which grow with it, are the point and the gradient in float64 (24 bytes a pixel each) and the
photograph in float32 (12); what is beyond them is said apart. Memory is anonymous memory (``RssAnon``), sampled every
ten milliseconds; the content's target is a file mapped into memory from 256 MiB on, and is said apart. Seconds are
those of the processor, all threads together, so that they mean something on a busy machine.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

MIB = 1 << 20


def status(key: str) -> float:  # MiB
    """Return a line of ``/proc/self/status``."""
    with open("/proc/self/status", encoding="utf-8") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024


class Peak(threading.Thread):
    """Samples the process's memory until it is told to stop."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.anonymous, self.going = 0.0, True

    def run(self) -> None:
        while self.going:
            self.anonymous = max(self.anonymous, status("RssAnon"))
            time.sleep(0.01)


def measure(megapixels: float, tile: int) -> dict[str, Any]:
    """Evaluate once, with tiles of `tile` pixels or, for 0, whole."""
    from handstyle.kernels.tiles import by_tiles
    from handstyle.optimize.objective import Objective, engine_of
    from handstyle.painting.config import StyleConfig
    from handstyle.painting.load import load_network
    from handstyle.painting.targets import build_terms

    network = load_network(backend="numpy")
    network = by_tiles(network, tile) if tile else network
    side = round((megapixels * 1e6) ** 0.5)
    rng = np.random.default_rng(0)
    photograph = rng.integers(0, 256, (side, side, 3), dtype=np.uint8).astype(np.float32)
    painting = rng.integers(0, 256, (384, 512, 3), dtype=np.uint8).astype(np.float32)
    base = status("RssAnon") - photograph.nbytes / MIB
    peak = Peak()
    peak.start()
    terms = build_terms(network, StyleConfig(), photograph, [painting])
    objective = Objective(network, terms, photograph.shape)  # type: ignore[arg-type]
    v = photograph.ravel().astype(np.float64)
    begun, clock = time.process_time(), time.perf_counter()
    _, gradient = objective(v)
    spent, elapsed = time.process_time() - begun, time.perf_counter() - clock
    peak.going = False
    peak.join()
    vectors = (photograph.nbytes + v.nbytes + gradient.nbytes) / MIB
    target = next(term.target.nbytes for term in terms if term.name.startswith("content")) / MIB  # type: ignore[attr-defined]
    forecast = engine_of(network).forecast(network, terms, photograph.shape)  # type: ignore[arg-type]
    return {
        "megapixels": side * side / 1e6,
        "side": side,
        "tile": tile,
        "peak": peak.anonymous - base,
        "vectors": vectors,
        "target": target,
        "beyond": peak.anonymous - base - vectors - (target if target < 256 else 0),
        "forecast": forecast.bytes / MIB,
        "cpu_seconds": spent,
        "seconds": elapsed,
        "engine": engine_of(network).describe().split(";")[0],
    }


def main() -> None:
    """Measure every size in a process of its own, and write what was found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tile", type=int, nargs="+", default=[1024])
    parser.add_argument("--megapixels", type=float, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", action="store_true")
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(asked.megapixels[0], asked.tile[0])))
        return
    rows = []
    for tile in asked.tile:
        for megapixels in asked.megapixels:
            command = [sys.executable, "-m", "benchmarks.tiles", "--one", "--tile", str(tile)]
            done = subprocess.run(
                [*command, "--megapixels", str(megapixels)], capture_output=True, text=True, check=True
            )
            rows.append(json.loads(done.stdout))
            row = rows[-1]
            each = row["cpu_seconds"] / row["megapixels"]
            print(
                f"{row['megapixels']:6.1f} MP, tile {tile}: {row['peak']:6.0f} MiB, {row['beyond']:5.0f} beyond the "
                f"picture's vectors; {each:.2f} s of the processor a megapixel; {row['engine']}",
                flush=True,
            )
            if asked.out:
                found = {"load": os.getloadavg()[0], "cores": os.cpu_count(), "numpy": np.__version__, "rows": rows}
                asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
