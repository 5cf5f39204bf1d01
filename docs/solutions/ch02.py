"""Solutions to chapter 2. The tests that hold them grade a reader's file too."""

import numpy as np


def latency_and_bandwidth(sizes, seconds):  # bytes, seconds -> seconds, bytes a second
    """Fit ``t = α + n / β`` by least squares of the relative errors."""
    n, t = np.asarray(sizes, float), np.asarray(seconds, float)
    rows = np.stack([1 / t, n / t], axis=1)
    (latency, slope), *_ = np.linalg.lstsq(rows, np.ones(len(n)), rcond=None)
    return float(latency), float(1 / slope)


def mean_square(x):  # (...) -> () float64, on the machine of x
    """Return the mean of the squares, accumulated in float64."""
    return (x * x).sum(dtype="float64") / x.size


class Guarded:
    """An array of another machine: NumPy inside, and no way out but `get`."""

    __array_ufunc__ = None

    def __init__(self, a):
        self.a = np.asarray(a)

    @property
    def shape(self):
        return self.a.shape

    def get(self):
        return self.a.copy()

    def sum(self):
        return Guarded(self.a.sum())

    def refuse(self, *args, **kwargs):
        raise TypeError("what is on the device leaves it by get() alone")

    __array__ = __float__ = __int__ = __bool__ = refuse

    def combine(self, other, function):
        if isinstance(other, np.ndarray):
            raise TypeError("a host array in an operation of the device")
        return Guarded(function(self.a, other.a if isinstance(other, Guarded) else other))

    def __add__(self, other):
        return self.combine(other, np.add)

    def __mul__(self, other):
        return self.combine(other, np.multiply)

    def __gt__(self, other):
        return self.combine(other, np.greater)

    __radd__, __rmul__ = __add__, __mul__
