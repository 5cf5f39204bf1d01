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
