"""Assemble the source of the CUDA kernels for a compiler.

The files in ``src/`` are written once for both precisions and every tile size. This module prepends the number type,
the tile size, and Winograd's one-dimensional transforms as code without loops, generated from the same interpolation
points as those of the CPU. NVRTC, nvcc and, in the tests, a C++ compiler all compile the same text.
"""

import re
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from handstyle.foundations.backend import Array
from handstyle.kernels.winograd_matrices import transforms

FOLDER = Path(__file__).parent / "src"
# For a block of each tensor-core kernel: pixels down and across, channels of output, and bytes of shared memory for the
# launch. The variants that undo a pool, with names in "_unpool", have the same numbers.
BLOCKS = {
    "implicit_tf32": (16, 16, 128, 95232),
    "implicit_tf32_half": (8, 16, 128, 74752),
    "implicit_tf32_narrow": (16, 16, 64, 70656),
}
FLOAT32 = re.compile(r"^#if REAL_BITS == 32\n(.*?)^#endif\n", re.DOTALL | re.MULTILINE)
ENTRY = re.compile(r'^extern "C" __global__ void (\w+)\([^)]*\) \{\n.*?^\}\n', re.DOTALL | re.MULTILINE)
KERNEL = re.compile(r'extern "C" __global__ void (\w+)\(([^)]*)\)')


@cache
def files() -> dict[str, str]:
    """Return the names of all kernels, each with the name of its file without suffix.

    Examples
    --------
    >>> "epilogue" in files().values()
    True
    """
    return {
        name: path.stem for path in sorted(FOLDER.glob("*.cu")) for name, _ in KERNEL.findall(path.read_text("utf-8"))
    }


@cache
def dynamic_shared_bytes(kernel: str) -> int:
    """Return the bytes of dynamic shared memory that a launch of the kernel must request.

    Examples
    --------
    >>> dynamic_shared_bytes("implicit_tf32"), dynamic_shared_bytes("im2col")
    (95232, 0)
    """
    return BLOCKS.get(kernel.removesuffix("_unpool"), (0,))[-1]


@cache
def source(file: str, dtype: DTypeLike = np.float32, tile: int = 4, kernel: str | None = None) -> str:
    """Return the whole source of a file of kernels.

    Parameters
    ----------
    file : str
        The name of a file in ``src/``, without its suffix.
    dtype : dtype
        float32 or float64: the type ``REAL`` in the source.
    tile : {2, 4}
        Outputs along each side of a Winograd tile. In float64, 6 would need more shared memory than a block has.
    kernel : str, optional
        If given, all other kernels of `BLOCKS` are left out, since compiling each takes seconds.

    Returns
    -------
    str
        The source, with included files inserted.

    Examples
    --------
    >>> text = source("winograd", np.float64, tile=2)
    >>> text.splitlines()[:4]
    ['#define REAL double', '#define REAL_BITS 64', '#define TILE 2', '#define N 4']
    """
    text = (FOLDER / f"{file}.cu").read_text("utf-8")
    if np.dtype(dtype) != np.float32:
        text = FLOAT32.sub("", text)
    if kernel is not None:
        text = ENTRY.sub(lambda match: "" if dynamic_shared_bytes(match[1]) and match[1] != kernel else match[0], text)
    text = re.sub(r'#include "(\w+\.cuh)"', lambda match: (FOLDER / match[1]).read_text("utf-8"), text)
    real = {"float32": "float", "float64": "double"}[np.dtype(dtype).name]
    head = f"#define REAL {real}\n#define REAL_BITS {np.dtype(dtype).itemsize * 8}\n"
    return head + (_winograd(tile) if file == "winograd" else "") + text


def _winograd(tile: int) -> str:
    matrices = transforms(tile)

    def constant(name: str, matrix: Array) -> str:
        rows = ",\n".join("    {" + ", ".join(map(_literal, row)) + "}" for row in matrix)
        return f"__constant__ REAL {name}[{matrix.shape[0]}][{matrix.shape[1]}] = {{\n{rows}}};"

    head = [f"#define TILE {tile}", f"#define N {tile + 2}", *map(constant, ("BT", "G", "AT"), matrices)]
    return "\n".join([*head, *map(_unrolled_product, ("input_1d", "kernel_1d", "output_1d"), matrices), ""])


def _unrolled_product(name: str, matrix: Array) -> str:
    """Return the CUDA source of a function ``y = matrix x``, with a line for each row and no products by 0 or 1."""
    n, m = matrix.shape
    lines = [f"__device__ __forceinline__ void {name}(const REAL (&x)[{m}], REAL (&y)[{n}]) {{"]
    for i, row in enumerate(matrix):
        sum_ = ""
        for j, a in enumerate(row):
            if a == 0:
                continue
            sign = "-" if a < 0 else "+" if sum_ else ""
            product = f"x[{j}]" if abs(a) == 1 else f"{_literal(abs(a))} * x[{j}]"
            sum_ += f" {sign} {product}" if sum_ else f"{sign}{product}"
        lines.append(f"    y[{i}] = {sum_ or '0'};")
    return "\n".join([*lines, "}"])


def _literal(a: float) -> str:
    return f"(REAL){float(a)!r}"
