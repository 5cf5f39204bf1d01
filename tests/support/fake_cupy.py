"""A fake CuPy for a machine without a GPU: kernels do nothing, and memory is accounted for as CuPy does.

Arrays are strict ones (``strict_arrays.py``), so all of the package that is not a kernel runs as on a GPU: streams,
capture, pools, memory plans, copies. Every array, and every intermediate result, takes memory from the pool that is
current, and gives it back when the last view of it goes. The pools are CuPy's: the smallest free block that is large
enough is cut to size, neighbors that are free grow together, and only a block that was never cut, or is whole again,
can go back to the GPU. What a run takes of a GPU is then known without one, to the few bytes that CuPy's own functions
take on the way (a contiguous copy of an operand, say), which happens inside NumPy here and is not seen.
"""

import gc
import sys
import weakref
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
from support import strict_arrays as strict
from support.strict_arrays import StrictArray, StrictNamespace

from handstyle.kernels.cuda import device as cuda
from handstyle.kernels.cuda.cublas import WORKSPACE
from handstyle.kernels.cuda.engine import CudaEvaluation
from handstyle.kernels.cuda.memory_plan import granules

TOTAL = 24 << 30


class Block:
    """A piece of a GPU's memory, free or taken, and its neighbors in what was allocated on the GPU at once."""

    def __init__(self, size, stream, before=None, after=None):
        self.size, self.stream, self.before, self.after = size, stream, before, after


class Pool:
    """Blocks to give out; see CuPy's reference, ``cupy.cuda.MemoryPool``."""

    def __init__(self, machine):
        self.free, self.taken, self.total = [], 0, 0
        machine.pools.add(self)
        self.stream = lambda: machine.cuda.get_current_stream()

    def malloc(self, size):
        size, stream = granules(size), self.stream()
        fitting = [block for block in self.free if block.stream is stream and block.size >= size]
        if fitting:
            block = min(fitting, key=lambda block: block.size)
            self.free.remove(block)
            if block.size > size:
                rest = Block(block.size - size, stream, block, block.after)
                if rest.after is not None:
                    rest.after.before = rest
                block.size, block.after = size, rest
                self.free.append(rest)
        else:
            block = Block(size, stream)
            self.total += size
        self.taken += size
        return self, block

    def let_go(self, block):
        self.taken -= block.size
        if block.after in self.free:
            block = self.joined(block, block.after, block.after)
        if block.before in self.free:
            block = self.joined(block.before, block, block.before)
        self.free.append(block)

    def joined(self, first, second, free):
        self.free.remove(free)
        first.size, first.after = first.size + second.size, second.after
        if first.after is not None:
            first.after.before = first
        return first

    def free_all_blocks(self):
        whole = [block for block in self.free if block.before is None and block.after is None]
        self.total -= sum(block.size for block in whole)
        self.free = [block for block in self.free if block not in whole]

    def total_bytes(self):
        return self.total

    def used_bytes(self):
        return self.taken

    def free_bytes(self):
        return self.total - self.taken


class Stream:
    """A queue in which everything has been done already."""

    ptr = 1

    def __init__(self, machine):
        self.machine = machine

    def __enter__(self):
        self.machine.streams.append(self)

    def __exit__(self, *_):
        self.machine.streams.pop()

    def record(self, event=None):
        return self

    def wait_event(self, event):
        pass

    def synchronize(self):
        pass

    def begin_capture(self):
        pass

    def end_capture(self):
        return SimpleNamespace(launch=lambda stream: self.machine.again())


class At:
    """Memory that lies at an address, and whose owner lives as long as any view of it."""

    def __init__(self, address, owner, shape, dtype):
        self.owner = owner
        self.__array_interface__ = {
            "version": 3, "data": (address, False), "shape": shape, "typestr": np.dtype(dtype).str}  # fmt: skip


class ArrayKind(type):
    """Of ``cupy.ndarray``: every strict array is one, and a call makes one at an address."""

    def __instancecheck__(cls, x):
        return isinstance(x, StrictArray)

    def __subclasscheck__(cls, kind):
        return issubclass(kind, StrictArray)

    def __call__(cls, shape, dtype, pointer):
        address, _, owner, _ = pointer
        return StrictArray(np.asarray(At(address, owner, tuple(shape), dtype)))


class ndarray(metaclass=ArrayKind):
    """Stands for ``cupy.ndarray``."""


def strided(x, shape, strides):
    """Stand for ``cupy.lib.stride_tricks.as_strided``."""
    return StrictArray(np.lib.stride_tricks.as_strided(x._host, shape, strides))


class FakeCupy(StrictNamespace):
    """Stands for the module."""

    __name__, __version__ = "cupy", "0, fake"
    ndarray = ndarray
    lib = SimpleNamespace(stride_tricks=SimpleNamespace(as_strided=strided))

    def __init__(self):
        self.pools, self.known = weakref.WeakSet(), set()
        self.again = lambda: None  # what a launch of a graph does
        self.streams, self.common = [Stream(self)], Pool(self)
        self.allocators = [self.common.malloc]
        self.peak = 0
        self.cuda = SimpleNamespace(
            MemoryPool=lambda: Pool(self),
            Stream=lambda non_blocking: Stream(self),
            Event=lambda disable_timing: None,
            Device=lambda: SimpleNamespace(id=0),
            UnownedMemory=lambda *what: what,
            MemoryPointer=lambda memory, offset: memory,
            get_current_stream=lambda: self.streams[-1],
            using_allocator=self.using_allocator,
            alloc_pinned_memory=bytearray,
            runtime=SimpleNamespace(
                memGetInfo=lambda: (TOTAL - self.held, TOTAL), getDeviceProperties=lambda id: {"name": b"no GPU at all"}
            ),
        )

    @contextmanager
    def using_allocator(self, allocator):
        self.allocators.append(allocator)
        try:
            yield
        finally:
            self.allocators.pop()

    def get_default_memory_pool(self):
        return self.common

    def empty(self, shape, dtype=float):
        # What no kernel has filled is still to be a feature of some style: in bytes, floats of a hundredth.
        return self.full(shape, 60 if np.dtype(dtype) == np.uint8 else 1, dtype)

    def empty_like(self, x):
        return self.ones_like(x)

    @property
    def held(self):
        """Bytes that the pools have of the GPU, given out or not."""
        return sum(pool.total for pool in self.pools)

    def count(self, host):
        """Take memory for an array, if it is not a view of one that has some."""
        while isinstance(host.base, np.ndarray) or hasattr(host.base, "base"):  # as_strided has a helper between
            host = host.base if isinstance(host.base, np.ndarray) else host.base.base
        if isinstance(host.base, At) or id(host) in self.known:
            return
        pool, block = self.allocators[-1](host.nbytes)
        self.known.add(id(host))
        self.peak = max(self.peak, self.held)
        weakref.finalize(host, self.uncount, id(host), pool, block).atexit = False

    def uncount(self, known, pool, block):
        self.known.discard(known)
        pool.let_go(block)


class Blas:
    """A cuBLAS that multiplies nothing, and has a workspace."""

    def __init__(self, cupy):
        self.workspace = cupy.empty((WORKSPACE,), "uint8")

    def address(self, a):
        return a.data.ptr

    def multiply(self, *arguments):
        pass


def pretend(monkeypatch):
    """Have this process find a CuPy and a GPU, and a sweep that gives a bowl's value and gradient; return the module.

    The bowl is ``½ Σ s (p - 100)²`` with s from 1 to 2, so that an optimizer has something to do.
    """
    gc.collect()
    cupy = FakeCupy()
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(strict, "XP", cupy)
    monkeypatch.setattr(strict, "ALLOCATED", [cupy.count])
    monkeypatch.setattr(cuda, "load_cublas", Blas)
    monkeypatch.setattr(cuda, "_compiled", lambda *_: lambda *_, **__: None)
    swept = CudaEvaluation._sweep

    def sweep(evaluation, p):
        values, dp = swept(evaluation, p)
        seen = [weakref.ref(x._host) for x in (p, values, dp)]

        def bowl():
            p, values, dp = (x() for x in seen)
            away = p - np.float32(100)
            steepness = 1 + np.arange(p.size, dtype=p.dtype).reshape(p.shape) % 100 / 100
            dp[...] = steepness * away
            values[:] = 0
            values[0] = 0.5 * np.vdot(dp, away)

        bowl()
        cupy.again = bowl
        return values, dp

    monkeypatch.setattr(CudaEvaluation, "_sweep", sweep)
    return cupy
