"""The two structures that CUDA kernels take as arguments, and their layout in memory.

`Source` describes the input of a kernel, `Epilogue` the operations on its results. The structures in
``src/source.cuh`` and ``src/epilogue.cuh`` have the same fields in the same order. A structure is passed by value.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from struct import Struct

import numpy as np

from handstyle.foundations.backend import Array

Pointer = Callable[[Array | None], int]  # the address of an array's data; 0 for None

BORDERS = {"zero": 0, "reflect": 1, "replicate": 2}
POOL_CODES = {"none": 0, "max": 1, "average": 2}


@dataclass
class Source:
    """The input of a kernel: a feature map, or the gradient at a pool's input, which the kernel computes as it reads.

    Parameters
    ----------
    x : (H, W, C) or (ph, pw, C) array
        The map, or the gradient at the pool's output.
    codes : array of uint32, optional
        The pool's cache: of a max pool three planes of bits, of an average pool the mask of the rectifier before it.
    H, W, C : int
        The shape of the map that the kernel reads.
    border : int
        A value of `BORDERS`: what the kernel reads beyond the edges.
    unpool : int
        A value of `POOL_CODES`: the pool whose gradient is computed, or 0 for a map.
    ph, pw : int
        Height and width of the pool's output.

    Examples
    --------
    >>> source = Source(np.zeros((2, 3, 8), np.float32), H=2, W=3, C=8)
    >>> source.border, source.unpool  # zeros beyond the edges; a map, no pool
    (0, 0)
    """

    x: Array
    codes: Array | None = None
    H: int = 0
    W: int = 0
    C: int = 0
    border: int = 0
    unpool: int = 0
    ph: int = 0
    pw: int = 0

    @classmethod
    def of(cls, x: Array, padding: str = "zero") -> "Source":  # (H, W, C)
        """Return the structure for the map `x`, padded as the key `padding` of `BORDERS` says.

        Examples
        --------
        >>> source = Source.of(np.zeros((4, 6, 3), np.float32), "reflect")
        >>> source.H, source.W, source.C, source.border
        (4, 6, 3, 1)
        """
        H, W, C = x.shape
        return cls(x, None, H, W, C, BORDERS[padding])

    @classmethod
    def pooled(cls, dy: Array, codes: Array, shape: tuple[int, int, int], kind: str) -> "Source":
        """Return the structure for the gradient at a pool's input.

        The kernel computes it from the gradient `dy` at the pool's output and the pool's cache `codes`. `shape` is the
        shape of the pool's input, `kind` a key of `POOL_CODES`.

        Examples
        --------
        >>> dy, codes = np.zeros((2, 3, 8), np.float32), np.zeros((2, 3, 3, 1), np.uint32)
        >>> source = Source.pooled(dy, codes, (5, 6, 8), "max")  # the pool dropped the fifth row
        >>> (source.H, source.W), (source.ph, source.pw)
        ((5, 6), (2, 3))
        """
        return cls(dy, codes, *shape, 0, POOL_CODES[kind], dy.shape[0], dy.shape[1])


@dataclass
class Epilogue:
    """The operations on a kernel's results while they are in registers.

    They are applied in the order of the parameters, the rectifier before `y` is written and the pool at the end; what
    is None or 0 is left out. Masks hold one bit for each channel, in `mask_words` words a pixel.

    Parameters
    ----------
    bias : (K,) array, optional
        Added.
    relu_gradient : (H, W, K) array, optional
        Added: the gradient of the terms at the rectifier.
    mask : (H, W, words) array of uint32, optional
        Values whose bit is 0 become 0, as in the rectifier's backward pass.
    conv_gradient : (H, W, K) array, optional
        Added: the gradient of the terms at the convolution.
    raw : (H, W, K) array, optional
        Receives the values before the rectifier.
    y : (H, W, K) array, optional
        Receives the values before the pool.
    bits : (H, W, words) array of uint32, optional
        Receives the rectifier's mask.
    pooled : (ph, pw, K) array, optional
        Receives the pool's output.
    planes : (ph, pw, 3, words) array of uint32, optional
        Receives the cache of a max pool: two bits for the position of the maximum, one for whether it is positive.
    H, W, K : int
        The shape of the kernel's results.
    rectify : int
        1 to apply the rectifier.
    pool : int
        A value of `POOL_CODES`.
    ph, pw : int
        Height and width of the pool's output.

    Examples
    --------
    >>> y = np.zeros((4, 6, 64), np.float32)
    >>> epilogue = Epilogue(bias=np.ones(64, np.float32), y=y, H=4, W=6, K=64, rectify=1)  # y = max(x * w + bias, 0)
    >>> epilogue.pool == POOL_CODES["none"]
    True
    """

    bias: Array | None = None
    relu_gradient: Array | None = None
    mask: Array | None = None
    conv_gradient: Array | None = None
    raw: Array | None = None
    y: Array | None = None
    bits: Array | None = None
    pooled: Array | None = None
    planes: Array | None = None
    H: int = 0
    W: int = 0
    K: int = 0
    rectify: int = 0
    pool: int = 0
    ph: int = 0
    pw: int = 0

    @property
    def has_backward(self) -> bool:
        """Whether the epilogue adds a gradient or applies a rectifier's mask, which only a backward pass does.

        Examples
        --------
        >>> Epilogue(rectify=1).has_backward, Epilogue(mask=np.zeros((4, 6, 1), np.uint32)).has_backward
        (False, True)
        """
        return any(a is not None for a in (self.relu_gradient, self.mask, self.conv_gradient))


def _layout(kind: type) -> tuple[Struct, np.dtype[np.void]]:
    numbers = {field.name: field.type in (int, "int") for field in fields(kind)}  # the other fields are addresses
    dtype = np.dtype([(name, np.int32 if number else np.uint64) for name, number in numbers.items()], align=True)
    code = "@" + "".join("i" if number else "Q" for number in numbers.values())
    return Struct(f"{code}{dtype.itemsize - Struct(code).size}x"), dtype


LAYOUTS = {Source: _layout(Source), Epilogue: _layout(Epilogue)}


def pack(structure: Source | Epilogue, pointer: Pointer) -> Array:
    """Return a structure as a NumPy array of one element, which CuPy passes to the kernel by value.

    It is written for speed, since it is called at every launch.

    Examples
    --------
    >>> packed = pack(Source.of(np.zeros((4, 6, 3), np.float32)), lambda array: 0 if array is None else 4096)
    >>> [int(packed[field]) for field in ("x", "codes", "H", "W", "C")]
    [4096, 0, 4, 6, 3]
    """
    packer, dtype = LAYOUTS[type(structure)]
    values = structure.__dict__.values()  # in the order of the fields
    packed = packer.pack(*[v if isinstance(v, int) else pointer(v) for v in values])
    return np.frombuffer(packed, dtype).reshape(())


def mask_words(channels: int) -> int:
    """Return the number of 32-bit words that hold one bit for each channel.

    Examples
    --------
    >>> mask_words(64), mask_words(65)
    (2, 3)
    """
    return -(-channels // 32)
