"""Tiles on a cluster of this machine: what travels in an evaluation, and what it costs beside threads.

    unshare --net sh -c 'ip link set lo up; python -m benchmarks.cluster [--megapixels 4] [--tile 1024] [--out FILE]'

The network, the objective and the pictures are those of ``benchmarks.tiles``. Bytes are those that the kernel counts on
the loopback device (``/proc/net/dev``), headers included; in a network namespace of its own nothing else is on it. What
goes from the client to a worker by way of the scheduler counts twice, once for each wire. The processor's
seconds are of the client with the scheduler and of all workers, and beside it those of as many threads in one process.
``carried`` is an evaluation's second pass without the work: a worker returns the crop. What Dask's processes spend when
nothing is asked of them is said for each second, since on a busy machine it is spent for longer.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

IDLE = 10.0  # seconds


def loopback_bytes() -> int:
    """Return the bytes that the loopback device has sent."""
    line = next(line for line in Path("/proc/net/dev").read_text(encoding="utf-8").splitlines() if "lo:" in line)
    return int(line.split(":")[1].split()[8])


def processor_seconds(cluster: Any) -> float:
    """Return the processor's seconds of this process and of the workers."""
    return time.process_time() + sum(cluster.client.run(time.process_time).values() if cluster else ())


def echo(job: Any, tile: Any, p: Any, common: Any) -> Any:
    """Return the crop, as a gradient would return."""
    return p


def nothing(job: Any, tile: Any, p: Any, common: Any) -> Any:
    """Do no work on a tile."""
    return [0.0]


def main() -> None:
    """Measure and print, and write what was found."""
    from handstyle.kernels.cluster import connect_cluster
    from handstyle.kernels.tiles import by_tiles, measure_tile, spread_tile
    from handstyle.optimize.objective import Objective, engine_of
    from handstyle.painting.config import StyleConfig
    from handstyle.painting.load import load_network
    from handstyle.painting.targets import build_terms

    parser = argparse.ArgumentParser()
    parser.add_argument("--megapixels", type=float, default=4)
    parser.add_argument("--tile", type=int, default=1024)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    side = round((asked.megapixels * 1e6) ** 0.5)
    rng = np.random.default_rng(0)
    photograph = rng.integers(0, 256, (side, side, 3), dtype=np.uint8).astype(np.float32)
    painting = rng.integers(0, 256, (384, 512, 3), dtype=np.uint8).astype(np.float32)
    here = by_tiles(load_network(backend="numpy"), asked.tile)
    terms = build_terms(here, StyleConfig(), photograph, [painting])
    with connect_cluster(f"local:{asked.workers}") as cluster:
        there = cluster.network(here, asked.tile)
        objectives = [Objective(network, terms, photograph.shape) for network in (here, there)]  # type: ignore[arg-type]
        evaluation: Any = objectives[1].prepared
        job, workers = evaluation.job, evaluation.workers
        kinds, tiles = dict[str, list[int]](), job.tiling.tiles

        def counted(kind: str, work: Callable[[], Any]) -> Any:
            before = loopback_bytes()
            found = work()
            found = list(found) if isinstance(found, Iterator) else found
            kinds.setdefault(kind, []).append(loopback_bytes() - before)
            return found

        counted("network and terms, once", lambda: workers.total(nothing, job, photograph[:1, :1], None))
        for _ in range(asked.rounds):
            counted("no work", lambda: workers.total(nothing, job, photograph[:1, :1], None))
            sums = counted("first pass", lambda: workers.total(measure_tile, job, photograph, None))
            told = [first_pass_result(term, s) for term, s in zip(job.terms, sums, strict=True)]
            counted("second pass", partial(workers.each, spread_tile, job, photograph, told))
        carried = list[tuple[float, float]]()
        for _ in range(asked.rounds):
            client, both = time.process_time(), processor_seconds(cluster)
            for _ in workers.each(echo, job, photograph, None):
                pass
            client, both = time.process_time() - client, processor_seconds(cluster) - both
            carried.append((client, both - client))
        before = processor_seconds(cluster)
        time.sleep(IDLE)
        idle = (processor_seconds(cluster) - before) / IDLE
        v, times = photograph.ravel().astype(np.float64), dict[str, list[tuple[float, float]]]()
        for _ in range(asked.rounds):
            for name, objective, on in (("threads", objectives[0], None), ("workers", objectives[1], cluster)):
                before, clock = processor_seconds(on), time.perf_counter()
                objective(v)
                times.setdefault(name, []).append((processor_seconds(on) - before, time.perf_counter() - clock))
    crops = sum((t.rows.stop - t.rows.start) * (t.columns.stop - t.columns.start) for t in tiles)
    found = {
        "load": os.getloadavg()[0],
        "cores": os.cpu_count(),
        "megapixels": side * side / 1e6,
        "tile": asked.tile,
        "tiles": len(tiles),
        "workers": asked.workers,
        "crop_bytes": 12 * crops,
        "bytes": {kind: statistics.median(each) for kind, each in kinds.items()},
        "cpu_seconds": {name: min(cpu for cpu, _ in each) for name, each in times.items()},
        "seconds": {name: min(wall for _, wall in each) for name, each in times.items()},
        "carried_cpu_seconds": dict(
            zip(("client and scheduler", "workers"), map(min, zip(*carried, strict=True)), strict=True)
        ),
        "idle_cpu_seconds_a_second": idle,
        "engine": engine_of(here).describe().split(";")[0],
    }
    print(json.dumps(found, indent=1))
    if asked.out:
        asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def gigapixel(record: dict[str, Any], tile: int = 2048, halo: int = 80, wire: float = 1.25e9) -> dict[str, float]:
    """Return, from measured bytes and seconds, what an evaluation of a gigapixel takes: a calculation, no measurement.

    Parameters
    ----------
    record : dict
        What this program wrote.
    tile, halo : int
        Of the gigapixel's tiles, pixels.
    wire : float
        Bytes that a wire carries in a second, in each direction.

    Returns
    -------
    dict of str to float
        Seconds: ``compute`` of one core for all tiles; ``client``, the client's and the scheduler's process, which
        carries every crop and gradient; ``wire``, what the busiest direction of the scheduler's wire takes. And
        ``bytes`` that leave the scheduler.
    """
    computed = 1e9 * (tile / (tile - 2 * halo)) ** 2  # pixels
    crops = computed / (record["crop_bytes"] / 12)  # how many times the measured crops
    travels = (record["bytes"]["first pass"] + record["bytes"]["second pass"]) / 2  # each counted on two wires
    carried = record["carried_cpu_seconds"]["client and scheduler"] / (2 * record["crop_bytes"])  # a byte
    return {
        "compute": crops * record["cpu_seconds"]["threads"],
        "client": crops * travels * carried,
        "wire": crops * travels / wire,
        "bytes": crops * travels,
    }


def first_pass_result(term: Any, s: Any) -> Any:
    """Return the results of the first pass for one term, which the second pass needs."""
    from handstyle.kernels.tiles import Spread

    return Spread(term.loss(s)[1], float(term.weight))


if __name__ == "__main__":
    main()
