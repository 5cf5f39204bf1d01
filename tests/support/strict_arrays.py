"""A backend that behaves as CuPy does where code goes wrong, on a machine that has no GPU.

A `StrictArray` holds a NumPy array and will not let it out: NumPy's functions refuse it, so does any operation
together with a NumPy array, and a reduction returns an array of no axes, not a number. The namespace has only names
that CuPy has too. What passes here asks nothing of a GPU but its arithmetic. `TRAFFIC` counts what crosses the border,
because on a GPU each crossing waits for the device.
"""

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from handstyle.foundations.backend import Backend


@dataclass
class Traffic:
    """Crossings of the border: arrays uploaded, arrays downloaded, single values read."""

    up: int = 0
    down: int = 0
    values: int = 0

    def reset(self) -> None:
        self.up = self.down = self.values = 0


TRAFFIC = Traffic()
ALLOCATED: list[Callable[[Any], None]] = []  # are told of every array that is made, and of every view


def names(text: str) -> set[str]:
    """Return the words of `text`."""
    return set(text.split())


# Names in CuPy's main namespace (its reference, "Routines"); a name missing here is to be looked up there and added.
CONSTANTS = names(
    """
    bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 dtype floating integer
    number e inf nan newaxis pi finfo iinfo can_cast issubdtype promote_types
    """
)
FUNCTIONS = names(
    """
    arange array asarray ascontiguousarray asfortranarray copy copyto empty empty_like eye full full_like
    identity linspace meshgrid ones ones_like zeros zeros_like diag tril triu broadcast_arrays broadcast_to
    concatenate expand_dims flip moveaxis pad ravel repeat reshape roll rot90 split squeeze stack swapaxes
    tile transpose take take_along_axis where nonzero flatnonzero choose indices unravel_index bitwise_and
    bitwise_or bitwise_xor invert left_shift right_shift packbits unpackbits dot einsum inner kron matmul
    outer tensordot trace vdot abs absolute add all allclose any argmax argmin argsort arctan2 around
    array_equal bincount cbrt ceil clip copysign cos cosh count_nonzero cumsum diff divide equal exp expm1
    floor floor_divide fmax fmin greater greater_equal hypot isclose isfinite isinf isnan less less_equal
    log log10 log1p log2 logical_and logical_not logical_or logical_xor max maximum mean min minimum mod
    multiply negative not_equal power prod reciprocal remainder result_type rint searchsorted sign sin sort
    sqrt square std subtract sum tan tanh true_divide unique var
    """
)
MAKE_FROM_HOST = {"array", "asarray", "ascontiguousarray"}
# Arguments that NumPy's function has and CuPy's has not.
REFUSED = {"packbits": {"axis"}, "unpackbits": {"axis", "count"}}
REFUSED_EVERYWHERE = {"where", "initial", "like", "subok"}
METHODS = names(
    """
    reshape ravel flatten transpose swapaxes squeeze astype copy sum mean prod min max argmin argmax any all
    cumsum clip dot take nonzero argsort round trace diagonal repeat std var view fill
    """
)
ATTRIBUTES = {"shape", "dtype", "size", "ndim", "nbytes", "itemsize", "strides", "flags"}


class StrictArray:
    """An array that stays on its side."""

    __slots__ = ("_host",)
    __array_ufunc__ = None  # NumPy's operators then hand over to ours, and its functions refuse
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, host: Any) -> None:
        self._host = np.asarray(host)
        for counted in ALLOCATED:
            counted(self._host)

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("implicit conversion to a NumPy array: bring it home with Backend.to_numpy")

    def __array_function__(self, function: Callable[..., Any], *_: Any) -> Any:
        raise TypeError(f"numpy.{function.__name__} on an array of another library: use xp = namespace(x)")

    def __array_namespace__(self, **_: Any) -> "StrictNamespace":
        return XP

    def get(self, stream: Any = None, out: Any = None, blocking: bool = True) -> np.ndarray[Any, Any]:
        TRAFFIC.down += 1
        if out is None:
            return self._host.copy()
        np.copyto(out, self._host.reshape(out.shape), casting="no")
        return out  # type: ignore[no-any-return]

    def set(self, here: np.ndarray[Any, Any], stream: Any = None) -> None:
        TRAFFIC.up += 1
        np.copyto(self._host, here.reshape(self.shape), casting="no")

    @property
    def data(self) -> Any:
        return SimpleNamespace(ptr=self._host.ctypes.data)

    @property
    def device(self) -> Any:
        return SimpleNamespace(id=0)

    def item(self) -> Any:
        return self._value().item()

    def _value(self) -> Any:
        if self._host.ndim:
            raise TypeError(f"an array of shape {self._host.shape} is not a number")
        TRAFFIC.values += 1
        return self._host

    def __float__(self) -> float:
        return float(self._value())

    def __int__(self) -> int:
        return int(self._value())

    def __bool__(self) -> bool:
        return bool(self._value())

    def __len__(self) -> int:
        return len(self._host)

    def __iter__(self) -> "Iterator[StrictArray]":
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"StrictArray({self._host!r})"

    def __getitem__(self, key: Any) -> "StrictArray":
        return StrictArray(self._host[_unwrap(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        self._host[_unwrap(key)] = _unwrap(value)

    @property
    def T(self) -> "StrictArray":
        return StrictArray(self._host.T)

    def __getattr__(self, name: str) -> Any:
        if name in ATTRIBUTES:
            return getattr(self._host, name)
        if name not in METHODS:
            raise AttributeError(
                f"ndarray.{name} is not among what CuPy shares with NumPy (tests/support/strict_arrays.py)"
            )

        def method(*args: Any, **kwargs: Any) -> Any:
            _check_arguments(name, kwargs)
            return _wrap(getattr(self._host, name)(*_unwrap(args), **{k: _unwrap(v) for k, v in kwargs.items()}))

        return method


def _define_operators() -> None:
    def forward(op: Callable[[Any, Any], Any]) -> Callable[[StrictArray, Any], Any]:
        return lambda self, other: StrictArray(op(self._host, _unwrap(other)))

    def reflected(op: Callable[[Any, Any], Any]) -> Callable[[StrictArray, Any], Any]:
        return lambda self, other: StrictArray(op(_unwrap(other), self._host))

    def in_place(op: Callable[[Any, Any], Any]) -> Callable[[StrictArray, Any], Any]:
        def apply(self: StrictArray, other: Any) -> StrictArray:
            op(self._host, _unwrap(other))
            return self

        return apply

    for name in sorted(names("add sub mul truediv floordiv mod pow matmul and or xor lshift rshift")):
        op = getattr(operator, f"__{name}__")
        setattr(StrictArray, f"__{name}__", forward(op))
        setattr(StrictArray, f"__r{name}__", reflected(op))
        setattr(StrictArray, f"__i{name}__", in_place(getattr(operator, f"__i{name}__")))
    for name in sorted(names("lt le eq ne gt ge")):
        setattr(StrictArray, f"__{name}__", forward(getattr(operator, f"__{name}__")))
    for name in sorted(names("neg pos abs invert")):
        op = getattr(operator, f"__{name}__")
        setattr(StrictArray, f"__{name}__", lambda self, op=op: StrictArray(op(self._host)))


_define_operators()


class StrictLinalg:
    """Stands for the module's ``linalg``: of it, what the package uses."""

    @staticmethod
    def eigh(a: StrictArray) -> tuple[StrictArray, ...]:
        return tuple(StrictArray(part) for part in np.linalg.eigh(_unwrap(a)))


class StrictNamespace:
    """Stands for the module: what NumPy and CuPy share, on strict arrays."""

    __name__ = "strict"
    ndarray = StrictArray
    linalg = StrictLinalg

    def __getattr__(self, name: str) -> Any:
        if name in CONSTANTS:
            return getattr(np, name)
        if name not in FUNCTIONS:
            raise AttributeError(f"{name} is not among what CuPy shares with NumPy (tests/support/strict_arrays.py)")

        def function(*args: Any, **kwargs: Any) -> Any:
            _check_arguments(name, kwargs)
            host = name in MAKE_FROM_HOST
            if host and isinstance(args[0], np.ndarray):
                TRAFFIC.up += 1
                args = (args[0].copy(), *args[1:])  # the device has its own
            return _wrap(getattr(np, name)(*_unwrap(args, host), **{k: _unwrap(v, host) for k, v in kwargs.items()}))

        return function


XP = StrictNamespace()


def strict_backend() -> Backend:
    """Return the backend that stands for a GPU."""
    return Backend("strict", XP, "a NumPy array behind bars")


def _check_arguments(name: str, kwargs: dict[str, Any]) -> None:
    if refused := (REFUSED.get(name, set()) | REFUSED_EVERYWHERE) & set(kwargs):
        raise TypeError(f"CuPy's {name} has no argument {', '.join(sorted(refused))}")


def _unwrap(x: Any, host: bool = False) -> Any:
    if isinstance(x, StrictArray):
        return x._host
    if isinstance(x, np.ndarray) and not host:
        raise TypeError("a NumPy array together with an array of another library: move it with Backend.asarray")
    if isinstance(x, (list, tuple)):
        return type(x)(_unwrap(item, host) for item in x)
    if isinstance(x, slice):
        return slice(_unwrap(x.start), _unwrap(x.stop), _unwrap(x.step))
    return x


def _wrap(x: Any) -> Any:
    if isinstance(x, (np.ndarray, np.generic)):
        return StrictArray(x)
    if isinstance(x, (list, tuple)):
        return type(x)(_wrap(item) for item in x)
    return x
