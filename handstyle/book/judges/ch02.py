"""Arrays on two machines."""

import operator
from types import SimpleNamespace

import numpy as np

from handstyle.book.grading import exercise, mistake

SIZES = 10.0 ** np.arange(2, 9)


class _Elsewhere:
    """An array that stands for one on another machine: arithmetic, sums, and no way out but `get`."""

    __array_ufunc__ = None
    waits = 0

    def __init__(self, a):
        self.a = np.asarray(a)

    def get(self):
        _Elsewhere.waits += 1
        return self.a

    def __array__(self, *_, **__):
        raise TypeError("a silent copy to the host")

    def __float__(self):
        raise TypeError("a number asked for in the middle of the work")

    __int__ = __bool__ = __index__ = __float__

    def __array_namespace__(self, **_):
        return SPACE

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        if name in ("item", "tolist", "tobytes"):
            self.__float__()
        found = getattr(self.a, name)
        return _lifted(found) if callable(found) else found

    def __getitem__(self, key):
        return _Elsewhere(self.a[key])


def _lifted(function):
    def call(*args, **kwargs):
        if any(isinstance(a, np.ndarray) and a.ndim for a in args):
            raise TypeError("a host array in an operation of the device")
        plain = [a.a if isinstance(a, _Elsewhere) else a for a in args]
        return _Elsewhere(function(*plain, **kwargs))

    return call


for _name in ("add", "sub", "mul", "truediv", "pow", "matmul", "neg", "abs"):
    setattr(_Elsewhere, f"__{_name}__", _lifted(getattr(operator, _name)))
_Elsewhere.__rmul__, _Elsewhere.__radd__ = _Elsewhere.__mul__, _Elsewhere.__add__
_FUNCTIONS = ["sum", "mean", "square", "multiply", "dot", "vdot", "einsum", "ravel", "reshape", "divide", "abs", "prod"]
SPACE = SimpleNamespace(**{name: _lifted(getattr(np, name)) for name in _FUNCTIONS}, asarray=_Elsewhere)
SPACE.float64, SPACE.float32, SPACE.dtype = np.float64, np.float32, np.dtype


def _plain_fit(sizes, seconds):
    rows = np.stack([np.ones(len(sizes)), np.asarray(sizes, float)], axis=1)
    (latency, slope), *_ = np.linalg.lstsq(rows, np.asarray(seconds, float), rcond=None)
    return float(latency), float(1 / slope)


@exercise(
    "ch02-fit",
    "measure a cable",
    ["latency_and_bandwidth"],
    mistake(
        "plain least squares",
        "the largest sizes have all the say, and the latency is lost in their noise",
        latency_and_bandwidth=_plain_fit,
    ),
    mistake(
        "slope for bandwidth",
        "seconds a byte where bytes a second are asked for",
        latency_and_bandwidth=lambda n, t: (t[0], (t[-1] - t[0]) / (n[-1] - n[0])),
    ),
    mistake(
        "two points",
        "only the smallest and the largest size count",
        latency_and_bandwidth=lambda n, t: (t[0], (n[-1] - n[0]) / (t[-1] - t[0])),
    ),
)
def _fit(mine, judge):
    exact = 1e-5 + SIZES / 2e10
    latency, bandwidth = mine.latency_and_bandwidth(SIZES, exact)
    judge.equal("the latency of an exact law", latency, 1e-5, 1e-6)
    judge.equal("the bandwidth of an exact law", bandwidth, 2e10, 1e-6)
    noisy = exact * (1 + 0.02 * judge.rng.normal(size=len(SIZES)))
    latency, bandwidth = mine.latency_and_bandwidth(SIZES, noisy)
    judge.equal("the latency, from times that are off by two percent", latency, 1e-5, 0.1)
    judge.equal("the bandwidth, from the same", bandwidth, 2e10, 0.1)


@exercise(
    "ch02-mean",
    "for two machines",
    ["mean_square"],
    mistake(
        "silent np.asarray",
        "NumPy is asked to take the array home",
        mean_square=lambda x: np.asarray((x * x).sum(dtype="float64") / x.size),
    ),
    mistake(
        "summed in the array's own dtype",
        "a float32 sum is returned as a float64, its digits already lost",
        mean_square=lambda x: (x * x).mean().astype("float64"),
    ),
    mistake(
        "a number asked for",
        "float() waits for the device",
        mean_square=lambda x: np.float64(float((x * x).sum(dtype="float64")) / x.size),
    ),
)
def _mean_square(mine, judge):
    x = judge.rng.normal(size=(4, 5, 3))
    judge.equal("a small array on the host", mine.mean_square(x), (x**2).mean())
    wide = np.full((2**22,), 1 + 2**-12, np.float32)
    wide[0] = 2.0**13
    found = mine.mean_square(wide)
    judge.holds("the dtype is float64", getattr(found, "dtype", None) == np.float64)
    expected = ((2**22 - 1) * (1 + 2**-12) ** 2 + 2.0**26) / 2**22
    judge.equal("many small squares behind a large one, in float32", found, expected, 1e-7)
    _Elsewhere.waits = 0
    there = mine.mean_square(_Elsewhere(x))
    judge.holds("the result stays on the machine of its argument", isinstance(there, _Elsewhere))
    judge.holds("nothing was copied home on the way", _Elsewhere.waits == 0)
    judge.equal("its value", there.get(), (x**2).mean())


class _Guarded:
    """A strict array as the exercise asks for; the known mistakes change one of its ways each."""

    __array_ufunc__ = None

    def __init__(self, a):
        self.a = np.asarray(a)

    @property
    def shape(self):
        return self.a.shape

    def get(self):
        return self.a.copy()

    def sum(self):
        return type(self)(self.a.sum())

    def _refuse(self, *_, **__):
        raise TypeError("by get() alone")

    __array__ = __float__ = __int__ = __bool__ = _refuse

    def _combine(self, other, function):
        if isinstance(other, np.ndarray):
            raise TypeError("a host array")
        return type(self)(function(self.a, other.a if isinstance(other, _Guarded) else other))

    def __add__(self, other):
        return self._combine(other, np.add)

    def __mul__(self, other):
        return self._combine(other, np.multiply)

    def __gt__(self, other):
        return self._combine(other, np.greater)

    __radd__, __rmul__ = __add__, __mul__


class _Truthful(_Guarded):
    def __bool__(self):
        return True


class _TakenOver(_Guarded):
    __array_ufunc__ = np.ndarray.__array_ufunc__

    def __array__(self, *_, **__):
        return self.a


class _Mixed(_Guarded):
    def _combine(self, other, function):
        return type(self)(function(self.a, other.a if isinstance(other, _Guarded) else other))

    __radd__ = __rmul__ = None


class _Number(_Guarded):
    def sum(self):
        return self.a.sum()


@exercise(
    "ch02-strict",
    "strict arrays",
    ["Guarded"],
    mistake("true as it stands", "without a `__bool__` every object is true", Guarded=_Truthful),
    mistake("taken home by NumPy", "`np.asarray` and NumPy's functions find a way in", Guarded=_TakenOver),
    mistake("host arrays let in", "an operation with a host array copies it in silence", Guarded=_Mixed),
    mistake("a sum that comes home", "`sum()` returns a number of the host, so the host has waited", Guarded=_Number),
)
def _strict(mine, judge):
    a, b = judge.rng.normal(size=(2, 3, 4))
    g, h = mine.Guarded(a), mine.Guarded(b)
    judge.equal("its shape", g.shape, a.shape)
    judge.equal("what get() brings home", g.get(), a)

    def refused(call):
        try:
            call()
        except TypeError:
            return True
        return False

    def stays(what, call, expected):
        try:
            found = call()
        except TypeError:
            found = None
        here = isinstance(found, mine.Guarded) if isinstance(mine.Guarded, type) else found is not None
        judge.holds(f"{what} stays on the device", here)
        judge.equal(f"the value of {what}", found.get() if hasattr(found, "get") else np.nan * expected, expected)

    stays("g + h", lambda: g + h, a + b)
    stays("g * h", lambda: g * h, a * b)
    stays("g > h", lambda: g > h, a > b)
    stays("2 * g + 1", lambda: 2 * g + 1, 2 * a + 1)
    stays("1 + g * 2", lambda: 1 + g * 2, 1 + a * 2)
    stays("g > 0", lambda: g > 0, a > 0)
    stays("g.sum()", lambda: g.sum(), a.sum())
    judge.holds("np.asarray(g) is refused", refused(lambda: np.asarray(g)))
    judge.holds("np.exp(g) is refused", refused(lambda: np.exp(g)))
    judge.holds("float(g.sum()) is refused", refused(lambda: float(g.sum())))
    judge.holds("if g.sum() > 0 is refused", refused(lambda: bool(g.sum() > 0)))
    for name, call in {
        "g + host": lambda: g + b,
        "host + g": lambda: b + g,
        "g * host": lambda: g * b,
        "host * g": lambda: b * g,
        "g > host": lambda: g > b,
        "host > g": lambda: b > g,
    }.items():
        judge.holds(f"{name} is refused", refused(call))
