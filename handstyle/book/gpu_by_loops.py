"""A GPU played by loops, for chapter 23 and its exercises: launches, barriers, and who touches which memory.

A kernel is a function of ``blockIdx``, ``blockDim``, ``threadIdx`` and its arguments. One that must wait for the other
threads of its block is a generator, and ``yield`` is its barrier. Arrays are flat, as in a GPU's memory.
"""

from typing import NamedTuple

import numpy as np


class Three(NamedTuple):
    """Two of CUDA's three coordinates; the third is not needed here."""

    x: int
    y: int = 1


def launch(kernel, grid, block, *arguments):
    """Call `kernel` once for each thread of each block."""
    grid, block = Three(*grid), Three(*block)
    for v, u in np.ndindex(grid.y, grid.x):
        threads = [kernel(Three(u, v), block, Three(s, t), *arguments) for t, s in np.ndindex(block.y, block.x)]
        waiting = [thread for thread in threads if thread is not None]
        while waiting:  # each goes on to its next barrier, and nobody beyond it before all are there
            waiting = [thread for thread in waiting if next(thread, "done") != "done"]


class Traced:
    """A flat array that notes each index at which it is read or written."""

    def __init__(self, values):
        self.values, self.trace = np.ravel(values), []

    def __getitem__(self, at):
        self.trace.append(at)
        return self.values[at]

    def __setitem__(self, at, value):
        self.trace.append(at)
        self.values[at] = value


def warp_sectors(memory, kernel, block, *arguments, itemsize=4):
    """Return how many sectors of 32 bytes the first warp touches at each of its accesses to `memory`, a `Traced`."""
    block, traces = Three(*block), []
    for lane in range(32):
        memory.trace.clear()
        thread = kernel(Three(0, 0), block, Three(lane % block.x, lane // block.x), *arguments)
        for _ in thread or ():
            pass
        traces.append(memory.trace.copy())
    return [len({at * itemsize // 32 for at in step}) for step in zip(*traces, strict=False)]
