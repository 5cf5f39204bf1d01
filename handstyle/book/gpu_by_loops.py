"""A GPU imitated by loops, for chapter 23 and its exercises: launches, barriers, and traces of memory accesses.

A kernel is a function of ``blockIdx``, ``blockDim``, ``threadIdx`` and its arguments. One that must wait for the other
threads of its block is a generator, and ``yield`` is its barrier. Arrays are flat, as in a GPU's memory.
"""

from typing import NamedTuple

import numpy as np


class Three(NamedTuple):
    """The coordinates x and y of a thread or block, or of their number; CUDA's z is not needed here.

    Examples
    --------
    >>> Three(32), Three(8, 4).y
    (Three(x=32, y=1), 4)
    """

    x: int
    y: int = 1


def launch(kernel, grid, block, *arguments):
    """Call `kernel` once for each thread of each block; a thread waits at its ``yield`` for the others of its block.

    Examples
    --------
    >>> y = np.zeros(8)
    >>> def fill(blockIdx, blockDim, threadIdx, y):
    ...     i = blockIdx.x * blockDim.x + threadIdx.x
    ...     y[i] = 10 * blockIdx.x + threadIdx.x
    >>> launch(fill, (2,), (4,), y)
    >>> y.tolist()  # two blocks of four threads
    [0.0, 1.0, 2.0, 3.0, 10.0, 11.0, 12.0, 13.0]
    """
    grid, block = Three(*grid), Three(*block)
    for v, u in np.ndindex(grid.y, grid.x):
        threads = [kernel(Three(u, v), block, Three(s, t), *arguments) for t, s in np.ndindex(block.y, block.x)]
        waiting = [thread for thread in threads if thread is not None]
        while waiting:  # each thread runs to its next barrier; none passes it before all have reached it
            waiting = [thread for thread in waiting if next(thread, "done") != "done"]


class Traced:
    """A flat array that records the index of every read and write in its list `trace`.

    Examples
    --------
    >>> memory = Traced([5.0, 6.0, 7.0])
    >>> memory[0] = memory[2]
    >>> memory.values.tolist(), memory.trace  # index 2 was read, then index 0 written
    ([7.0, 6.0, 7.0], [2, 0])
    """

    def __init__(self, values):
        self.values, self.trace = np.ravel(values), []

    def __getitem__(self, at):
        self.trace.append(at)
        return self.values[at]

    def __setitem__(self, at, value):
        self.trace.append(at)
        self.values[at] = value


def warp_sectors(memory, kernel, block, *arguments, itemsize=4):
    """Return how many sectors of 32 bytes the first warp touches at each of its accesses to `memory`, a `Traced`.

    Examples
    --------
    >>> memory = Traced(np.zeros(128))
    >>> def read(blockIdx, blockDim, threadIdx, stride):
    ...     memory[stride * threadIdx.x]
    >>> [warp_sectors(memory, read, (32,), stride) for stride in (1, 2, 4)]  # 8 floats fit a sector
    [[4], [8], [16]]
    """
    block, traces = Three(*block), []
    for lane in range(32):
        memory.trace.clear()
        thread = kernel(Three(0, 0), block, Three(lane % block.x, lane // block.x), *arguments)
        for _ in thread or ():
            pass
        traces.append(memory.trace.copy())
    return [len({at * itemsize // 32 for at in step}) for step in zip(*traces, strict=False)]
