"""A device that runs the CUDA kernels on the processor, so that the whole CUDA engine can be tested without a GPU.

The `.cu` files are compiled by an ordinary C++ compiler, behind a header that turns blocks and threads into loops and
fibres (``emulated_device.hpp``). Arguments are marshalled as for the driver: an address for each, numbers of the very
size that the kernel declares. Every array is checked against guard bytes on both sides, so that a write out of bounds
is found. Products of matrices are NumPy's.

What this proves: indices, bounds, masks, votes, barriers, the layout of structures, and the order of launches. What it
cannot prove: speed, registers, occupancy, what NVRTC says, what a GPU does with unordered writes of two blocks.
"""

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import weakref
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from support.kernel_versions import signature

from handstyle.kernels.cuda.device import Device
from handstyle.kernels.cuda.source import KERNEL, files, source
from handstyle.kernels.cuda.structs import Epilogue, Source, pack

COMPILER = shutil.which(os.environ.get("CXX", "g++"))
WHY_NOT = None if COMPILER else "no C++ compiler on this machine: the CUDA kernels cannot be run on the processor"
HEADER = (Path(__file__).parent / "emulated_device.hpp").read_text("utf-8")
BUILT = Path(tempfile.gettempdir()) / f"handstyle-emulated-{os.getuid()}"
GUARD = 4096  # bytes on either side of an array
POISON = 0xA5
STRUCTURES = {"Source": Source, "Epilogue": Epilogue}


class KernelError(Exception):
    """What would be an illegal access, a hang or a wrong launch on a GPU."""


def translate(text: str) -> str:
    """Return a program for the processor: the header, the kernels, and for each an entry as for the driver."""
    entries = []
    for name, parameters in KERNEL.findall(text):
        types = [re.sub(r"\s*\w+$", "", p.strip()) for p in parameters.split(",")]
        passed = ", ".join(f"*({kind}*)a[{i}]" for i, kind in enumerate(types))
        fibred = "true" if "__syncthreads" in text or "__ballot_sync" in text else "false"
        entries.append(
            f"static void body_{name}(void** a) {{ {name}({passed}); }}\n"
            f'extern "C" const char* run_{name}(const int* sizes, void** a, int reversed) '
            f"{{ return run_grid(body_{name}, sizes, a, {fibred}, reversed); }}"
        )
    return "\n".join([HEADER, text, *entries])


def build(text: str, level: str = "-O0") -> ctypes.CDLL:
    """Compile a text of kernels; the result is kept under the hash of the text."""
    program = translate(text)
    BUILT.mkdir(exist_ok=True)
    library = BUILT / f"{hashlib.sha256(program.encode()).hexdigest()[:24]}.so"
    if not library.exists():
        unfinished = library.with_suffix(f".{os.getpid()}.part")
        command = [str(COMPILER), "-std=c++17", level, "-shared", "-fPIC", "-x", "c++", "-", "-o", str(unfinished)]
        done = subprocess.run(command, input=program, text=True, capture_output=True)
        if done.returncode:
            raise KernelError(done.stderr[:2000])
        os.replace(unfinished, library)
    return ctypes.CDLL(str(library))


@cache
def _built(file: str, dtype: str, tile: int) -> ctypes.CDLL:
    return build(source(file, dtype, tile), "-O1")


class EmulatedDevice(Device):
    """A `Device` on the processor. `reversed_order` runs threads and blocks backwards: a race shows as a difference.

    `mutate` maps a file's text to another, for kernels broken on purpose. With `memory`, a request beyond so many bytes
    fails.
    """

    xp = np
    products = "products by NumPy"

    def __init__(self, precision="float32", reversed_order=False, mutate=None, memory=None):
        self.precision, self.reversed, self.mutate, self.memory = precision, reversed_order, mutate, memory
        self.launches: list[str] = []
        self.held = 0
        self.live = {}  # address -> (raw bytes, of which the middle is the array)

    def empty(self, shape, dtype):
        dtype = np.dtype(dtype)
        size = int(np.prod(shape)) * dtype.itemsize
        if self.memory is not None:
            if size > self.memory - self.held:
                raise MemoryError(f"Out of memory allocating {size:,} bytes")
            self.held += size
        raw = np.full(size + 2 * GUARD, POISON, np.uint8)  # a value read before it is written is absurd, and repeatable
        made = raw[GUARD : GUARD + size].view(dtype).reshape(shape)
        if self.memory is None:
            self.live[made.ctypes.data] = raw
        else:  # then arrays must be let go, as CuPy's are; their guards are not looked at
            weakref.finalize(raw, self._let_go, size)
        return made

    def _let_go(self, size):
        self.held -= size

    def free_memory(self):
        return (1 << 40) if self.memory is None else self.memory - self.held

    def launch(self, kernel, grid, block, *arguments, dtype, tile=4):
        if 0 in grid:
            return
        self.launches.append(kernel)
        kinds = signature(kernel)
        if len(kinds) != len(arguments):
            raise KernelError(f"{kernel} takes {len(kinds)} arguments, was given {len(arguments)}")
        real = {"float32": "float", "float64": "double"}[np.dtype(dtype).name]
        held = [self._marshal(kernel, kind.replace("REAL", real), a) for kind, a in zip(kinds, arguments, strict=True)]
        addresses = (ctypes.c_void_p * len(held))(*[a.ctypes.data for a in held])
        sizes = (ctypes.c_int * 6)(*(*grid, 1, 1)[:3], *(*block, 1, 1)[:3])
        assert np.prod(sizes[3:]) <= 1024
        assert max(grid[1:], default=1) < 65536  # what a GPU can count to in y and z
        if self.mutate is None:
            library = _built(files()[kernel], np.dtype(dtype).name, tile)
        else:
            library = build(self.mutate(source(files()[kernel], np.dtype(dtype).name, tile)))
        run = getattr(library, f"run_{kernel}")
        run.restype = ctypes.c_char_p
        if wrong := run(sizes, addresses, int(self.reversed)):
            raise KernelError(f"{kernel}: {wrong.decode()}")
        for raw in self.live.values():
            if (raw[:GUARD] != POISON).any() or (raw[-GUARD:] != POISON).any():
                raise KernelError(f"{kernel} wrote outside an array")

    def _marshal(self, kernel, kind, argument):
        if kind in STRUCTURES:
            assert isinstance(argument, STRUCTURES[kind]), (kernel, kind)
            return pack(argument, self._address)
        if kind.endswith("*") and argument is None:
            return np.array(0, np.uint64)
        if kind.endswith("*"):
            expected = {"float": "f4", "double": "f8", "unsigned char": "u1"}[kind.removeprefix("const ").rstrip("* ")]
            assert argument.dtype == np.dtype(expected), (kernel, kind, argument.dtype)
            return np.array(self._address(argument), np.uint64)
        expected = {"int": "i4", "size_t": "u8", "float": "f4", "double": "f8"}[kind]
        if isinstance(argument, int):
            argument = np.int32(argument)
        assert isinstance(argument, np.generic), (kernel, kind, argument)
        assert argument.dtype == np.dtype(expected), (kernel, kind, argument.dtype)
        return np.array(argument)

    def _address(self, array):
        if array is None:
            return 0
        assert array.flags.c_contiguous
        return array.ctypes.data

    def gemm(self, a, b, out, beta=0.0, true=False):
        product = np.matmul(a, b)
        out[...] = product if beta == 0 else product + beta * out


def fake_cublas(compute_expected: int) -> Any:
    """Return a `CuBlas` that does what cuBLAS' reference says, on host addresses."""

    class Cublas:
        def address(self, a):
            return a.ctypes.data

        def multiply(
            self, transa, transb, m, n, k, alpha, A, Atype, lda, sa, B, Btype, ldb, sb, beta, C, Ctype, ldc, sc,
            batch, compute, algorithm,
        ):  # fmt: skip
            assert compute == compute_expected
            assert Atype == Btype == Ctype
            assert lda >= max(1, k if transa else m)
            assert ldb >= max(1, n if transb else k)
            assert ldc >= max(1, m)
            dtype = {0: np.float32, 1: np.float64}[Ctype]
            scalar = np.float64 if compute == 70 else np.float32
            alpha, beta = (float(_at(p, 1, scalar)[0]) for p in (alpha, beta))
            for i in range(batch):
                a = _column_major(A, i * sa, k if transa else m, m if transa else k, lda, dtype)
                b = _column_major(B, i * sb, n if transb else k, k if transb else n, ldb, dtype)
                c = _column_major(C, i * sc, m, n, ldc, dtype)
                product = alpha * ((a.T if transa else a) @ (b.T if transb else b))
                c[...] = product if beta == 0 else product + beta * c

    return Cublas()


def _at(address, count, dtype):
    size = count * np.dtype(dtype).itemsize
    return np.frombuffer((ctypes.c_char * size).from_address(address), dtype)


def _column_major(address, offset, rows, columns, lead, dtype):
    item = np.dtype(dtype).itemsize
    flat = _at(address + offset * item, lead * (columns - 1) + rows, dtype)
    return np.lib.stride_tricks.as_strided(flat, (rows, columns), (item, lead * item))
