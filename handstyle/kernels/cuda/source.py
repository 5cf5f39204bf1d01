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
# The versions of each operation's kernel, from the simplest to the one in use, as the book explains them: pairs of a
# title and the kernel's name. Most last versions are fused: the kernel of another operation does it in registers.
KERNEL_VERSIONS = {
    "Winograd, input": (
        ("naive", "winograd_input_naive"),
        ("coalesced", "winograd_input"),
        ("tiled", "winograd_input_tiled"),
        ("fused: a border is made, or a pool undone, while it reads", "winograd_input"),
    ),
    "Winograd, kernel": (("naive", "winograd_kernel_naive"), ("in registers", "winograd_kernel")),
    "Winograd, output": (("naive", "winograd_output_naive"), ("fused: bias, bits, pool", "winograd_output")),
    "lowering": (
        ("naive", "im2col_naive"),
        ("coalesced", "im2col_coalesced"),
        ("one division for nine values", "im2col"),
        ("in width only", "mec"),
    ),
    "products on tensor cores": (
        ("naive", "implicit_naive"),
        ("weights laid out once, rounded", "implicit_kernel"),
        ("tiled, by mma", "implicit_tf32"),
        ("two blocks where one was", "implicit_tf32_half"),
        ("two blocks, of half the channels", "implicit_tf32_narrow"),
        ("fused: a pool is undone while it reads", "implicit_tf32_unpool"),
        ("the same, half the pixels", "implicit_tf32_half_unpool"),
        ("the same, half the channels", "implicit_tf32_narrow_unpool"),
    ),
    "bias, rectifier and bits": (
        ("naive", "rectify_naive"),
        ("coalesced, bits by vote", "epilogue"),
        ("fused", "winograd_output"),
    ),
    "max pooling": (("naive", "max_pool_naive"), ("coalesced, two bits", "epilogue"), ("fused", "winograd_output")),
    "its adjoint": (("naive", "max_unpool_naive"), ("gathered", "epilogue"), ("fused", "winograd_input")),
    "the first layer": (("naive", "first_forward_naive"), ("tiled and fused", "first_forward")),
    "the first layer's adjoint": (("naive", "first_backward_naive"), ("a product, gathered", "first_gather")),
    "padding": (("naive", "pad_naive"), ("coalesced", "pad"), ("fused", "winograd_input")),
    "padding's adjoint": (("naive", "fold_naive"), ("coalesced and fused", "fold")),
    "content": (("naive", "content_naive"), ("value, gradient and sum fused", "content")),
    "style": (("naive", "style_naive"), ("value, gradient and sum fused", "style")),
    "sums": (("naive", "total_naive"), ("by a tree", "total")),
    "total variation": (("naive", "variation_naive"), ("tiled; value, gradient and sum fused", "variation")),
}

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
    """Return the names of all kernels, each with the name of its file without suffix."""
    return {
        name: path.stem for path in sorted(FOLDER.glob("*.cu")) for name, _ in KERNEL.findall(path.read_text("utf-8"))
    }


@cache
def signature(kernel: str) -> tuple[str, ...]:
    """Return the types of a kernel's parameters, as written in its source."""
    text = (FOLDER / f"{files()[kernel]}.cu").read_text("utf-8")
    parameters = dict(KERNEL.findall(text))[kernel]
    return tuple(re.sub(r"\s*\w+$", "", p.strip()).strip() for p in parameters.split(","))


@cache
def kernels(file: str, dtype: DTypeLike = np.float32) -> tuple[str, ...]:
    """Return the names of the kernels in a file that exist for `dtype`; those for tensor cores are for float32 only."""
    text = (FOLDER / f"{file}.cu").read_text("utf-8")
    return tuple(name for name, _ in KERNEL.findall(text if np.dtype(dtype) == np.float32 else FLOAT32.sub("", text)))


@cache
def dynamic_shared_bytes(kernel: str) -> int:
    """Return the bytes of dynamic shared memory that a launch of the kernel must request."""
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
