"""The versions of each CUDA kernel, from the simplest to the one in use, and what the sources declare about them."""

import re
from functools import cache

import numpy as np
from numpy.typing import DTypeLike

from handstyle.kernels.cuda.source import FLOAT32, FOLDER, KERNEL, files

# For each operation, pairs of a title and the kernel's name, as the book explains them. Most last versions are fused:
# the kernel of another operation does it in registers.
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
