"""Model how long an evaluation takes with many threads, from what it does in one.

Python's threads share one lock. NumPy releases it while it computes, so a thread needs the lock between two calls only;
but a thread that finds it taken sleeps, and is woken 25 to 50 microseconds after it is free. With two threads that is
seldom; with sixteen, and calls of a few dozen microseconds, the threads mostly wait.

``python -m benchmarks.lock`` runs evaluations in one thread, with the work cut as it is for 1, 2, 4, 8 and 16, and
records every piece that a team of threads would divide: how long the thread computes without the lock, call by call,
and how long it holds the lock in between. Then a simulation hands the same pieces to so many threads. It needs no
machine with sixteen cores. What it cannot know is left out: a shared cache and memory, which make each call longer
when all cores work.

A call counts as one that releases the lock if it takes longer than `MIN_CALL`, whether it is a function of NumPy
(recorded one by one) or an operator on arrays (seen as a long time between two functions). Times are processor time of
the thread, so that other processes do not lengthen them.
"""

import argparse
import heapq
import time
import types
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any
from unittest import mock

import numpy as np

from benchmarks import common
from handstyle.kernels.cpu.engine import CpuEngine
from handstyle.kernels.cpu.threads import Team, default_team

MODULES = ("arena", "engine", "epilogues", "gemm", "im2col", "losses", "strips", "winograd", "winograd_columns")
MIN_CALL = 5e-6  # seconds; a shorter call keeps the lock, or gives it back before a sleeping thread wakes
MAX_PYTHON = 30e-6  # seconds; a longer time between two functions was an operator on arrays
WAKING = 35e-6  # seconds until a sleeping thread has a lock that was released; an assumption, 25 to 50 have been seen
STARTING = 8e-6  # seconds to start one more thread on a region: `Team(16).run` of empty work took 110 µs on two cores
THREADS = (1, 2, 4, 8, 16)

Piece = list[tuple[float, float]]  # (seconds with the lock, seconds of the call that follows), call by call


@dataclass
class Region:
    """A loop that a team divides: the pieces, in order, and the layer whose convolution they belong to."""

    label: str
    pieces: list[Piece] = field(default_factory=list)


@dataclass
class Record:
    """What one evaluation did: its regions, and the seconds between them, in which one thread works alone."""

    regions: list[Region] = field(default_factory=list)
    alone: float = 0.0


class _Recorder:
    # Stands in for the module `numpy` in the kernels, and for `Team.run`.

    def __init__(self) -> None:
        self.record, self.label, self.piece = Record(), "", None
        self.clock = self.regions_end = 0.0

    def functions(self) -> Any:
        timed: dict[str, Any] = {}

        def lookup(name: str) -> Any:
            value = getattr(np, name)
            if isinstance(value, type) or not callable(value):
                return value
            if name not in timed:
                timed[name] = self.timed(value)
            return timed[name]

        module = types.ModuleType("numpy")
        module.__getattr__ = lookup  # type: ignore[method-assign]
        return module

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **keywords: Any) -> Any:
            start = time.thread_time()
            result = function(*args, **keywords)
            end = time.thread_time()
            self.call(start, end)
            return result

        return call

    def call(self, start: float, end: float) -> None:
        if self.piece is None:
            return
        between = start - self.clock
        if between > MAX_PYTHON:
            self.piece.append((0.0, between))
            between = 0.0
        self.piece.append((between, end - start))
        self.clock = time.thread_time()

    def run(self, team: Team, work: Callable[[int, Iterator[int]], None], pieces: int) -> None:
        region = Region(self.label)
        start = time.thread_time()
        self.record.alone += start - self.regions_end
        self.clock = start

        def indices() -> Iterator[int]:
            for i in range(pieces):
                self.close()
                self.piece = []
                region.pieces.append(self.piece)
                yield i
            self.close()

        with team.single_threaded_blas():
            work(0, indices())
        self.record.regions.append(region)
        self.regions_end = time.thread_time()

    def close(self) -> None:
        # What follows the last function of a piece.
        now = time.thread_time()
        if self.piece is not None:
            rest = now - self.clock
            self.piece.append((0.0, rest) if rest > MAX_PYTHON else (rest, 0.0))
        self.piece, self.clock = None, now


@contextmanager
def recording(threads: int = 1) -> Iterator[_Recorder]:
    """Record the calls of the CPU's kernels, in one thread, with the work cut as it is for some threads."""
    recorder = _Recorder()
    with ExitStack() as stack:
        for name in MODULES:
            module = import_module(f"handstyle.kernels.cpu.{name}")
            if hasattr(module, "np"):
                stack.enter_context(mock.patch.object(module, "np", recorder.functions()))
        run = CpuEngine._run

        def labeled(engine: CpuEngine, source: Any, layer: Any, b: Any, sink: Any, adjoint: bool) -> None:
            recorder.label = f"{layer.name} {'adjoint' if adjoint else 'forward'}"
            run(engine, source, layer, b, sink, adjoint)
            recorder.label = "losses, pools, masks"

        stack.enter_context(mock.patch.object(CpuEngine, "_run", labeled))
        stack.enter_context(mock.patch.object(Team, "run", lambda team, work, pieces: recorder.run(team, work, pieces)))
        stack.enter_context(mock.patch.object(default_team(), "threads", threads))
        yield recorder


def record(size: int, rounds: int = 3, threads: int = 1) -> tuple[Record, float]:
    """Return what the fastest of a few evaluations did, cut for some threads, and the seconds that it took in one."""
    network = common.network_with("auto", np.float32)
    content, styles = common.targets(network, size)
    objective = common.objective(network, content, styles, size)
    v = common.picture("tubingen.jpg", size).astype(np.float64).ravel()
    best: tuple[Record, float] | None = None
    with recording(threads) as recorder:
        for _ in range(rounds + 1):
            recorder.record, start = Record(), time.thread_time()
            recorder.regions_end = start
            objective(v)
            end = time.thread_time()
            recorder.record.alone += end - recorder.regions_end
            if best is None or end - start < best[1]:
                best = recorder.record, end - start
    assert best is not None
    return best


def merged(piece: Piece) -> Piece:
    """Join short calls to the time with the lock before and after them."""
    steps: Piece = []
    held = 0.0
    for before, call in piece:
        held += before
        if call < MIN_CALL:
            held += call
        else:
            steps.append((held, call))
            held = 0.0
    return [*steps, (held, 0.0)] if held else steps


def simulate(region: Region, threads: int, waking: float = WAKING) -> tuple[float, float]:
    """Simulate threads that take the pieces of a region and share the interpreter's lock.

    The lock goes to a thread that asks while it is free; one that finds it taken sleeps, and `waking` seconds after a
    release the first sleeper gets it, unless another thread took it in the meantime, as in CPython.

    Parameters
    ----------
    region : Region
        The pieces.
    threads : int
        How many threads.
    waking : float
        Seconds.

    Returns
    -------
    (float, float)
        Seconds until all pieces are done; seconds that threads waited for the lock, summed over the threads.
    """
    pieces = deque(merged(piece) for piece in region.pieces)
    workers = min(threads, len(pieces))
    if workers <= 1:
        return sum(held + call for piece in pieces for held, call in piece), 0.0
    order = 0
    events: list[tuple[float, int, str, int]] = []

    def at(when: float, kind: str, worker: int) -> None:
        nonlocal order
        order += 1
        heapq.heappush(events, (when, order, kind, worker))

    steps: list[deque[tuple[float, float]]] = [deque() for _ in range(workers)]
    sleepers: deque[int] = deque()
    asked = [0.0] * workers
    owner: int | None = None
    waited, finish = 0.0, 0.0
    for worker in range(workers):
        at(worker * STARTING, "ask", worker)
    while events:
        now, _, kind, worker = heapq.heappop(events)
        if kind == "ask":
            if not steps[worker]:
                if not pieces:
                    finish = max(finish, now)
                    continue
                steps[worker] = deque(pieces.popleft())
                if not steps[worker]:
                    at(now, "ask", worker)
                    continue
            asked[worker] = now
            if owner is not None:
                sleepers.append(worker)
                continue
        elif kind == "wake":
            if owner is not None or not sleepers or sleepers[0] != worker:
                continue  # somebody else was faster: the next release wakes it again
            sleepers.popleft()
        elif kind == "release":
            owner = None
            _, call = steps[worker].popleft()
            at(now + call, "ask", worker)
            if sleepers:
                at(now + waking, "wake", sleepers[0])
            continue
        waited += now - asked[worker]
        owner = worker
        at(now + steps[worker][0][0], "release", worker)
    return finish, waited


def model(record: Record, threads: int, waking: float = WAKING) -> dict[str, Any]:
    """Return the modeled seconds of an evaluation, and the part of all threads' time that is spent waiting."""
    total, waited = record.alone, 0.0
    labels: dict[str, float] = defaultdict(float)
    for region in record.regions:
        seconds, waiting = simulate(region, threads, waking)
        total += seconds
        waited += waiting
        labels[region.label] += waiting / threads
    worst = dict(sorted(labels.items(), key=lambda item: -item[1])[:5])
    return {"threads": threads, "seconds": total, "waiting": waited / threads / total, "worst": worst}


def calls(record: Record) -> dict[str, float]:
    """Return how many calls an evaluation makes, their median length, and the time with the lock."""
    steps = [step for region in record.regions for piece in region.pieces for step in merged(piece)]
    lengths = np.array([call for _, call in steps if call])
    return {
        "calls": len(lengths),
        "median_us": float(np.median(lengths) * 1e6),
        "under_50_us": float((lengths < 50e-6).mean()),
        "with_lock": sum(held for held, _ in steps),
        "alone": record.alone,
    }


def main() -> None:
    """Print the model's table, and by layer where threads would wait."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--layers", action="store_true", help="also print a line for each layer")
    parser.add_argument("--save", action="store_true", help="keep the result in benchmarks/results")
    options = parser.parse_args()
    rows = []
    for size in options.sizes:
        modeled, measured = [], 0.0
        for threads in THREADS:
            recorded, seconds = record(size, threads=threads)
            made, row = calls(recorded), model(recorded, threads)
            modeled.append(row | made)
            measured = measured or seconds
            print(
                f"{size}² {threads:2} threads  {row['seconds']:.4f} s  {modeled[0]['seconds'] / row['seconds']:5.2f}"
                f" times  waiting {row['waiting']:.1%}; {made['calls']} calls without the lock, median"
                f" {made['median_us']:.0f} µs; {made['with_lock'] * 1e3:.1f} ms with the lock,"
                f" {made['alone'] * 1e3:.1f} ms between regions",
                flush=True,
            )
        rows.append({"size": size, "measured": measured, "model": modeled})
        if options.layers:
            by_layer(recorded)
    if options.save:
        print(common.write_results("lock", rows, waking_us=WAKING * 1e6, starting_us=STARTING * 1e6))


def by_layer(record: Record) -> None:
    """Print for each layer its calls and its modeled time with sixteen threads."""
    labels = dict.fromkeys(region.label for region in record.regions)
    for label in labels:
        regions = [region for region in record.regions if region.label == label]
        steps = [step for region in regions for piece in region.pieces for step in merged(piece)]
        one, many = (sum(simulate(region, threads)[0] for region in regions) for threads in (1, 16))
        print(
            f"    {label or '-':22} {len(regions):3} regions {sum(len(r.pieces) for r in regions):4} pieces"
            f" {len(steps):5} calls  {one * 1e3:7.2f} ms  16 threads {many * 1e3:7.2f} ms  {one / many:5.1f} times"
        )


if __name__ == "__main__":
    main()
