"""Allocate arrays, launch kernels and multiply matrices on a GPU, by CuPy, NVRTC and cuBLAS.

`Device` is the protocol of a device. The tests run the same engine on a device that compiles the kernels as C++ and
runs them on the CPU.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache, partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike

from handstyle.foundations.backend import CUPY_HELP, Array, choose_backend
from handstyle.foundations.errors import HandstyleError, OutOfMemoryError
from handstyle.kernels.cuda.cublas import gemm_strided, load_cublas
from handstyle.kernels.cuda.graph import Recording
from handstyle.kernels.cuda.memory_plan import MemoryPlan, Request
from handstyle.kernels.cuda.source import dynamic_shared_bytes, files, source
from handstyle.kernels.cuda.structs import Epilogue, Source, pack
from handstyle.kernels.cuda.transfer import Link

Grid = tuple[int, ...]


class Device(Protocol):
    """The protocol of a device: allocation, copies, kernel launches and matrix products.

    A subclass that says nothing else launches kernels one by one, without a memory plan, and has no queue for copies.
    """

    xp: Any
    precision: str

    @property
    def products(self) -> str:
        """A description of how matrices are multiplied, for the report."""

    def recording(self, requests: Callable[[], Sequence[Request]]) -> Recording | None:
        """Return a `Recording` for work that allocates `requests()`, or None if kernels are launched one by one."""
        return None

    def within(self, plan: MemoryPlan) -> AbstractContextManager[None]:
        """Allocate arrays from a memory plan for the duration of a ``with`` block."""
        return nullcontext()

    def link(self) -> Link | None:
        """Return a queue for copies between host and device that run while the device computes, if there is one."""
        return None

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Return an uninitialized array."""

    def copy(self, source: Array, target: Array) -> None:
        """Copy an array into another of the same shape and dtype."""
        target[...] = source

    def free_memory(self) -> int:
        """Return the bytes that can still be allocated."""

    def launch(self, kernel: str, grid: Grid, block: Grid, *arguments: Any, dtype: DTypeLike, tile: int = 4) -> None:
        """Run a kernel.

        Parameters
        ----------
        kernel : str
            The name of a function in ``src/*.cu``.
        grid, block : tuple of int
            The number of blocks, and of threads in a block, along each axis. A grid with a 0 runs nothing.
        *arguments : array, Source, Epilogue, number or None
            The function's arguments in order. Python integers are passed as C's int, NumPy scalars with their own
            type, and None as a null pointer.
        dtype : dtype
            float32 or float64: the type ``REAL`` of the function.
        tile : {2, 4}
            Outputs along each side of a Winograd tile; other kernels ignore it.
        """

    def gemm(self, a: Array, b: Array, out: Array, beta: float = 0.0, true: bool = False) -> None:
        """Compute ``out = a @ b + beta out``, for matrices or stacks of them; see `gemm_strided` for allowed strides.

        With `true`, factors are not rounded, whatever the precision of the device is.
        """


class CupyDevice(Device):
    """The GPU that CuPy uses.

    Parameters
    ----------
    precision : {"float32", "tf32"}
        How products of float32 matrices are computed: exactly as float32, or with factors rounded to 10 bits. Products
        of float64 matrices are never rounded.

    Raises
    ------
    HandstyleError
        If there is no CuPy or no GPU, or the precision is unknown.

    Examples
    --------
    >>> try:
    ...     CupyDevice("float16")
    ... except HandstyleError as error:
    ...     print(error)
    unknown precision 'float16' on a GPU: use float32 or tf32
    """

    _plan: MemoryPlan | None = None

    def __init__(self, precision: str = "float32") -> None:
        if precision not in ("float32", "tf32"):
            raise HandstyleError(f"unknown precision {precision!r} on a GPU: use float32 or tf32")
        self._backend = choose_backend("cupy")
        self.xp = self._backend.xp
        self.precision = precision
        self._cublas = load_cublas(self.xp)
        self._launched = ""
        if self._cublas is None and precision == "tf32":
            raise HandstyleError(
                f"precision tf32: CuPy {self.xp.__version__} has loaded no cuBLAS that is known here, and CuPy's own "
                "products of stacks are never TF32's; use float32"
            )

    @property
    def products(self) -> str:
        """A description of how matrices are multiplied and kernels launched, for the report.

        Examples
        --------
        .. code-block:: python

            CupyDevice("tf32").products  # 'products by cuBLAS, factors of 10 bits'
        """
        if self._cublas is None:
            return "products by CuPy's matmul, for no cuBLAS was found; launched one by one"
        products = "products by cuBLAS, factors of 10 bits" if self.precision == "tf32" else "products by cuBLAS"
        return f"{products}; {self._launched}" if self._launched else products

    def recording(self, requests: Callable[[], Sequence[Request]]) -> Recording | None:
        """Return a `Recording` for work that allocates `requests()`, or None if there is no cuBLAS.

        Examples
        --------
        .. code-block:: python

            recording = CupyDevice().recording(lambda: requests)  # from a dry run, in the order of allocation
            values, gradient = recording(sweep, p)  # from the second call on, `sweep` is launched as one graph
        """
        if self._cublas is None:  # CuPy's own products cannot be captured
            return None
        return Recording(self.xp, partial(self.within, MemoryPlan(requests())), partial(setattr, self, "_launched"))

    @contextmanager
    def within(self, plan: MemoryPlan) -> Iterator[None]:
        """Allocate arrays from a memory plan for the duration of a ``with`` block.

        Examples
        --------
        .. code-block:: python

            device = CupyDevice()
            with device.within(MemoryPlan([Request(1 << 20, begins=0, ends=1)])):
                y = device.empty((64, 64, 64), "float32")  # 1 MiB, at the plan's place for it
        """
        plan.begin()
        before, self._plan = self._plan, plan
        try:
            yield
        finally:
            self._plan = before

    def link(self) -> Link:
        """Return a queue for copies between host and device that run while the device computes.

        Examples
        --------
        .. code-block:: python

            device = CupyDevice()
            transfer = Transfer(device.link(), device.xp, size=v.size, dtype="float32")
            v_on_the_device = transfer.upload(v)
        """
        return Link(self.xp)

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Return an uninitialized array, in the memory plan if that has a place for it, else in CuPy's pool.

        Raises
        ------
        OutOfMemoryError
            If the GPU's memory is full.

        Examples
        --------
        .. code-block:: python

            CupyDevice().empty((512, 512, 64), "float32").nbytes >> 20  # 64 MiB
        """
        size = wanted = math.prod(shape) * np.dtype(dtype).itemsize
        plan = self._plan
        try:
            if plan is not None and plan.base is None:
                wanted = plan.size
                plan.base = self.xp.empty((wanted,), np.uint8)
            if plan is not None and (place := plan.take(size)) is not None:
                memory = self.xp.cuda.UnownedMemory(
                    plan.base.data.ptr + place.start, place.size, place, plan.base.device.id
                )
                return self.xp.ndarray(shape, dtype, self.xp.cuda.MemoryPointer(memory, 0))  # type: ignore[no-any-return]
            wanted = size
            made: Array = self.xp.empty(shape, dtype)
        except MemoryError as error:  # CuPy's OutOfMemoryError is a subclass
            raise OutOfMemoryError(
                f"the GPU's memory is full, at {wanted / 2**20:.0f} MiB more: "
                f"paint at a smaller size, or with backend='numpy' ({error})"
            ) from None
        return made

    def free_memory(self) -> int:
        """Return the bytes that can still be allocated, from the GPU or from CuPy's pool.

        Examples
        --------
        .. code-block:: python

            CupyDevice().free_memory() >> 20  # MiB
        """
        return int(self._backend.free_memory())

    def launch(self, kernel: str, grid: Grid, block: Grid, *arguments: Any, dtype: DTypeLike, tile: int = 4) -> None:
        """Compile a kernel on its first use, and launch it; see `Device.launch` for the parameters.

        Examples
        --------
        Add 1000 partial sums by one block of 256 threads, and multiply the sum by 0.5:

        .. code-block:: python

            device = CupyDevice()
            parts, value = device.xp.ones((1000,), "float64"), device.empty((), "float64")
            device.launch("total", (1,), (256,), parts, value, 1000, np.float64(0.5), dtype="float64")  # value: 500
        """
        if 0 in grid:
            return
        passed = [self._argument(argument) for argument in arguments]
        # book: cuda-thread
        _compiled(kernel, np.dtype(dtype).name, tile)(
            grid, block, tuple(passed), shared_mem=dynamic_shared_bytes(kernel)
        )

    def _argument(self, argument: Any) -> Any:
        if isinstance(argument, (Source, Epilogue)):
            return pack(argument, _address)
        if argument is None:
            return np.uint64(0)
        return np.int32(argument) if isinstance(argument, int) else argument

    def gemm(self, a: Array, b: Array, out: Array, beta: float = 0.0, true: bool = False) -> None:
        """Compute ``out = a @ b + beta out`` by cuBLAS, or by CuPy's matmul if cuBLAS was not found.

        With `true`, factors of float32 are not rounded, whatever the precision of the device is.

        Examples
        --------
        .. code-block:: python

            device = CupyDevice()
            a, b, out = (device.xp.ones(shape, "float32") for shape in ((4, 5), (5, 6), (4, 6)))
            device.gemm(a, b, out)  # every value of out: 5
            device.gemm(a, b, out, beta=1.0)  # 10
        """
        if self._cublas is None:
            product = self.xp.matmul(a, b)
            out[...] = product if beta == 0 else product + beta * out
            return
        gemm_strided(self._cublas, a, b, out, beta, tf32=self.precision == "tf32" and not true)


def _address(a: Any) -> int:
    return 0 if a is None else int(a.data.ptr)


@cache
def _compiled(kernel: str, dtype: str, tile: int) -> Any:
    file = files()[kernel]
    long = any(dynamic_shared_bytes(other) for other, home in files().items() if home == file)  # to compile
    function = _module(file, dtype, tile, kernel if long else None).get_function(kernel)
    if dynamic_shared_bytes(kernel):
        function.max_dynamic_shared_size_bytes = dynamic_shared_bytes(kernel)
    return function


@cache
def _module(file: str, dtype: str, tile: int, kernel: str | None) -> Any:
    import cupy

    try:
        # CuPy caches the binary on disk. A module, not a single kernel, because the kernels of a file share functions.
        return cupy.RawModule(code=source(file, dtype, tile, kernel), options=("--std=c++17",))
    except Exception as error:  # compile errors have no common base class
        first = " ".join(str(error).split())[:200]
        raise HandstyleError(f"{file}.cu does not compile for this GPU ({first}); {CUPY_HELP}") from None
