"""Measure the rates of a machine: operations and bytes a second, as ``counting.py`` counts them."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median

import numpy as np

from handstyle.kernels.counting import Machine, choose_kernel, convolution_cost
from handstyle.kernels.cpu.arena import Arena
from handstyle.kernels.cpu.choose import convolve, weights_cost
from handstyle.kernels.cpu.strips import ArraySource, StoreSink
from handstyle.kernels.cpu.threads import Team, default_team


def measure_rates(seconds: float = 2.0, team: Team | None = None) -> Machine:
    """Measure the rates of this machine with all threads, in about `seconds`.

    Four rates are measured by loops: matrix products of a size that Winograd's convolution has, its transforms, and
    copies in the cache and in memory. Then real convolutions are timed, and all rates are multiplied by the ratio of
    forecast to measured time.

    Examples
    --------
    .. code-block:: python

        rates = measure_rates()  # takes about two seconds
        rates.products  # operations per second
    """
    team = team or default_team()
    budget = seconds / 5
    threads = team.threads
    draw = np.random.default_rng(0)
    A, B = (draw.standard_normal(shape, np.float32) for shape in ((threads, 256, 256), (256, 256)))
    C = np.empty_like(A)
    products = _rate(team, lambda k: np.matmul(A[k], B, out=C[k]), 2 * 256**3, budget)
    T, S = draw.standard_normal((6, 6), np.float32), draw.standard_normal((threads, 6, 4096), np.float32)
    R = np.empty_like(S)
    transforms = _rate(team, lambda k: np.matmul(T, S[k], out=R[k]), 2 * 6 * 6 * 4096, budget)
    source = draw.standard_normal((threads, 1 << 22), np.float32)
    target = np.empty_like(source)
    moved = _rate(team, lambda k: np.copyto(target[k], source[k]), 2 * source[0].nbytes, budget)
    small, smaller = source[:, : 1 << 16], target[:, : 1 << 16]
    cached = _rate(team, lambda k: np.copyto(smaller[k], small[k]), 2 * small[0].nbytes, budget)
    machine = Machine(products, transforms, cached, moved)
    expected = measured = 0.0
    for H, channels in ((256, 64), (64, 256)):  # maps too large for a cache, as those of a picture are
        x = draw.standard_normal((H, H, channels), np.float32)
        w = draw.standard_normal((3, 3, channels, channels), np.float32)
        y, arena = np.empty_like(x), Arena()
        tile = choose_kernel(H, H, channels, channels, False)
        run = partial(convolve, ArraySource(x), w, None, StoreSink(y), tile, team, arena)
        run()
        measured += median(_times(run, budget / 2))  # the median: a typical run, not the fastest
        cost = convolution_cost(H, H, channels, channels, tile, 4)
        cost += weights_cost(H, H, channels, channels, tile, 4, threads, False)
        expected += machine.seconds(cost)
    factor = expected / measured
    return Machine(products * factor, transforms * factor, cached * factor, moved * factor)


def _rate(team: Team, work: Callable[[int], object], amount: float, seconds: float) -> float:
    # Each thread does `amount` at each call; the fastest of several rounds counts.
    repeats = 1

    def each(_: int, pieces: Iterator[int]) -> None:
        for k in pieces:
            for _ in range(repeats):
                work(k)

    def all_threads() -> None:
        team.run(each, team.threads)

    all_threads()
    start = time.perf_counter()
    all_threads()
    repeats = max(1, int(seconds / 8 / max(time.perf_counter() - start, 1e-6)))
    return team.threads * amount * repeats / min(_times(all_threads, seconds))


def _times(work: Callable[[], object], seconds: float) -> list[float]:
    times: list[float] = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return times
