"""Arrays that live on two machines.

Every function of the engine asks the array it is given which library made it, `xp = namespace(x)`, and goes on
with that library; nothing inside chooses a device. The choice is made once, at the border, by `choose_backend`.
Only this file and those in ``kernels/cuda/`` import CuPy.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from handstyle.foundations.errors import HandstyleError, check_name, one_line
from handstyle.foundations.free_memory import available_memory

# NumPy's type stands for both libraries: CuPy's arrays have the same methods, and no stubs of their own.
Array: TypeAlias = NDArray[Any]

CUPY_HELP = (
    'install a wheel for your driver, pip install "cupy-cuda12x[ctk]" or "cupy-cuda13x[ctk]", or use backend=\'numpy\''
)

# What cuBLAS (32 MiB on GPUs since 2022) and the code of the kernels take of a GPU, beside what is asked of CuPy.
RESERVED = 1 << 26


def namespace(*arrays: Array) -> Any:
    """Return the module, numpy or cupy, that made the arrays.

    Parameters
    ----------
    *arrays : array
        One or more arrays, all of one library.

    Returns
    -------
    module
        ``numpy`` for NumPy's arrays, otherwise what the array's own ``__array_namespace__`` names, or ``cupy``.

    Raises
    ------
    TypeError
        If the arrays belong to different libraries, or to none. Arrays are never moved silently: a copy
        between host and device inside the engine would cost more than the work it serves.

    Examples
    --------
    >>> import numpy as np
    >>> namespace(np.zeros(3), np.ones(3)).__name__
    'numpy'
    """
    kinds = {type(a) for a in arrays}
    if kinds == {np.ndarray}:
        return np
    modules = {_module_of(kind, a) for kind, a in {type(a): a for a in arrays}.items()}
    if len(modules) != 1:
        names = ", ".join(sorted(f"{kind.__module__}.{kind.__name__}" for kind in kinds))
        raise TypeError(
            f"arrays of different libraries in one operation: {names}; move them with Backend.asarray first"
        )
    return modules.pop()


def _module_of(kind: type, array: Any) -> Any:
    if issubclass(kind, np.ndarray | np.generic):
        return np
    cupy = sys.modules.get("cupy")
    if cupy is not None and issubclass(kind, cupy.ndarray):
        return cupy
    if hasattr(kind, "__array_namespace__"):
        return array.__array_namespace__()
    raise TypeError(f"not an array of numpy or cupy: {kind.__module__}.{kind.__name__}")


@dataclass(frozen=True)
class Backend:
    """A library of arrays and the device that its arrays live on.

    Parameters
    ----------
    name : {"numpy", "cupy"}
        The library's name.
    xp : module
        The library, ``numpy`` or ``cupy``.
    device : str
        The device in words, for the report.
    why : str
        Why this backend was chosen, for the report.

    Examples
    --------
    >>> backend = Backend("numpy", np, device="AMD EPYC 7B13, 2 cores")
    >>> backend.xp.zeros(2), backend.why
    (array([0., 0.]), 'asked for')
    """

    name: str
    xp: Any
    device: str
    why: str = "asked for"

    def asarray(self, x: Any, dtype: DTypeLike | None = None) -> Array:  # host or device array -> array of this backend
        """Return `x` as an array of this backend, copied only if the library or the dtype differs.

        Examples
        --------
        >>> backend = choose_backend("numpy")
        >>> x = backend.asarray([1, 2], dtype="float32")
        >>> x, backend.asarray(x) is x
        (array([1., 2.], dtype=float32), True)
        """
        if self.name == "numpy":
            x = to_numpy(x)
        moved: Array = self.xp.asarray(x, dtype=dtype)  # book: backend-chain
        return moved

    def to_numpy(self, x: Array) -> Array:
        """Return `x` as an array on the host; an array on the device is copied.

        Examples
        --------
        >>> x = np.arange(3)
        >>> choose_backend("numpy").to_numpy(x) is x
        True
        """
        return to_numpy(x)

    def synchronize(self) -> None:
        """Wait until the device has finished all queued work; on the CPU, which has none, return at once.

        A GPU computes while Python goes on, so a clock must be read after this call.

        Examples
        --------
        >>> backend = choose_backend("numpy")
        >>> y = backend.asarray([3.0, 4.0]) ** 2
        >>> backend.synchronize()  # from here on `y` has its values
        >>> y
        array([ 9., 16.])
        """
        if self.name == "cupy":
            self.xp.cuda.get_current_stream().synchronize()

    @contextmanager
    def separate_pool(self) -> Iterator[None]:
        """Allocate from a second memory pool inside this block, and free it on exit; on the CPU do nothing.

        In CuPy's common pool one small array that stays can hold hundreds of megabytes that nothing uses. So work with
        large temporary arrays is done in this block, and a result that is to stay is copied with `in_common_pool`.

        Examples
        --------
        >>> backend = choose_backend("numpy")
        >>> with backend.separate_pool():
        ...     large = backend.xp.ones((64, 64, 16))
        ...     sums = backend.in_common_pool(large.sum(axis=(0, 1)))
        >>> sums.shape
        (16,)
        """
        pool = _separate_pool(self.xp) if self.name == "cupy" else None
        with self.xp.cuda.using_allocator(pool.malloc) if pool else nullcontext():
            yield
        if pool:
            pool.free_all_blocks()

    def free_unused(self) -> None:
        """Free the unused blocks of CuPy's pools, so that others can use the memory; on the CPU do nothing.

        Examples
        --------
        >>> backend = choose_backend("numpy")
        >>> x = backend.asarray([1.0])
        >>> del x  # on a GPU the pool keeps its memory,
        >>> backend.free_unused()  # until this call
        """
        if self.name == "cupy":
            _separate_pool(self.xp).free_all_blocks()
            self.xp.get_default_memory_pool().free_all_blocks()

    def in_common_pool(self, x: Array) -> Array:
        """Return a copy, in the common pool, of an array made inside `separate_pool`; on the CPU the array itself.

        Examples
        --------
        >>> x = np.zeros(3)
        >>> choose_backend("numpy").in_common_pool(x) is x
        True
        """
        return x.copy() if self.name == "cupy" else x

    def free_memory(self) -> float:
        """Return the bytes that are free on the device; on the CPU those of `available_memory`.

        Of a GPU's free bytes, `RESERVED` are left to its libraries.

        Examples
        --------
        >>> choose_backend("numpy").free_memory() > 0
        True
        """
        if self.name == "cupy":
            free = int(self.xp.cuda.runtime.memGetInfo()[0]) + int(self.xp.get_default_memory_pool().free_bytes())
            return max(free - RESERVED, 0)
        return available_memory()


@cache
def _separate_pool(cupy: Any) -> Any:
    return cupy.cuda.MemoryPool()


def to_numpy(x: Any) -> Array:
    """Return `x` as a NumPy array; an array on a device is copied to the host.

    Outside ``kernels/cuda/`` only this function copies data from a device; an implicit conversion is an error.

    Examples
    --------
    >>> to_numpy([1.0, 2.0])
    array([1., 2.])
    """
    if hasattr(x, "get") and not isinstance(x, np.ndarray):
        x = x.get()
    return np.asarray(x)


def choose_backend(name: str = "auto") -> Backend:
    """Return the backend of a name: the library of arrays and its device.

    Parameters
    ----------
    name : {"auto", "numpy", "cupy"}
        ``auto`` takes CuPy where a usable GPU is found and NumPy elsewhere, and says which in ``why``.

    Returns
    -------
    Backend

    Raises
    ------
    HandstyleError
        If CuPy is asked for and cannot be had: the package is missing, or it finds no GPU. A request is
        never answered with a silent CPU run.

    Examples
    --------
    >>> backend = choose_backend("numpy")
    >>> backend.name, backend.xp is np
    ('numpy', True)
    """
    check_name("backend", name, ("auto", "numpy", "cupy"))
    if name == "numpy":
        return Backend("numpy", np, cpu_name())
    try:
        import cupy
    except ImportError as error:
        if name == "cupy":
            raise HandstyleError(f"backend cupy: CuPy is not installed ({error}); {CUPY_HELP}") from None
        return Backend("numpy", np, cpu_name(), why="auto: CuPy is not installed")
    missing = _missing_gpu(cupy)
    if missing is None:
        properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
        why = "asked for" if name == "cupy" else "auto: a GPU was found"
        return Backend("cupy", cupy, properties["name"].decode(), why=why)
    if name == "cupy":
        raise HandstyleError(f"backend cupy: CuPy {cupy.__version__} finds no usable GPU ({missing}); {CUPY_HELP}")
    return Backend("numpy", np, cpu_name(), why=f"auto: CuPy finds no usable GPU ({missing})")


def _missing_gpu(cupy: Any) -> str | None:
    # CuPy imports without a driver and fails only at the first allocation, so the test is a first allocation.
    try:
        cupy.zeros(1).sum().item()
    except Exception as error:  # CUDA, driver and compiler errors share no base class
        return one_line(error)
    return None


@cache
def cpu_name() -> str:
    """Return the processor in words, e.g. ``AMD EPYC 7B13, 2 cores``.

    Examples
    --------
    >>> cpu_name().endswith(f"{cpu_count()} cores")
    True
    """
    model = "CPU"
    if Path("/proc/cpuinfo").exists():
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        model = names[0] if names else model
    return f"{model}, {cpu_count()} cores"


def cpu_count() -> int:
    """Return the number of cores this process may use.

    Examples
    --------
    >>> cpu_count() >= 1
    True
    """
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
