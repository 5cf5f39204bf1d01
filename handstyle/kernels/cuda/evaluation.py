"""Evaluate an objective on a GPU, in memory that is planned beforehand and as one CUDA graph."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from handstyle.foundations.backend import Array, to_numpy
from handstyle.foundations.image import Convention, channel_order
from handstyle.kernels.cuda.forecast import evaluation_requests
from handstyle.kernels.cuda.losses import gradient_of
from handstyle.kernels.cuda.passes import CudaPasses
from handstyle.kernels.cuda.transfer import Transfer
from handstyle.kernels.gradients import TermGradients
from handstyle.losses.terms import PICTURE, Term
from handstyle.network.vgg import Network
from handstyle.optimize.objective import Shape, taps_of


class CudaEvaluation:
    """An objective prepared by `CudaEngine`; see `handstyle.optimize.objective.Evaluate`.

    Parameters
    ----------
    engine : CudaPasses
        The engine.
    network, terms, shape
        See `Engine.prepare`.
    """

    def __init__(self, engine: CudaPasses, network: Network, terms: Sequence[Term], shape: Shape) -> None:
        self.engine, self.network, self.terms, self.shape = engine, network, tuple(terms), shape
        self.taps = taps_of(terms)
        self._transfer: Transfer | None = None
        self.recording = None
        if engine.device.plans_memory:
            self.recording = engine.device.recording(evaluation_requests(engine, network, terms, shape))

    def __call__(self, p: Array) -> tuple[Array, Array]:  # (H, W, 3) -> (n,), (H, W, 3)
        """Return the terms' values and the gradient, by launching the CUDA graph if there is one."""
        values, dp = self.recording(self.sweep, p) if self.recording else self.sweep(p)
        return values, dp

    def sweep(self, p: Array) -> tuple[Array, Array]:  # (H, W, 3) -> (n,), (H, W, 3)
        """Return the terms' values and the gradient, by launching one kernel after another."""
        device, xp = self.engine.device, self.engine.device.xp
        values: list[Any] = [None] * len(self.terms)
        dp: Array | None = None
        if self.taps:
            x = preprocess(xp, p, self.network.convention)
            gradients = TermGradients(partial(gradient_of, device), self.terms, {}, {}, values)
            dx = self.engine.sweep(self.network.layers, x, self.taps, gradients)
            dp = preprocess_adjoint(xp, dx, self.network.convention)
        for i, term in enumerate(self.terms):
            if term.tap == PICTURE:
                values[i], df = gradient_of(device, term, p, overwrite=False)
                dp = df if dp is None else xp.add(dp, df, out=dp)
        assert dp is not None
        stacked = xp.empty((len(values),), xp.float64)
        for i, value in enumerate(values):
            stacked[i] = value
        return stacked, dp

    def host(self, v: Array) -> tuple[Array, Array]:  # (3HW,) -> (n,), (3HW,)
        """Return the terms' values and the gradient at a flat float64 vector, copied in pieces by pinned memory."""
        dtype = self.network.dtype
        if self._transfer is None and (link := self.engine.device.link()):
            self._transfer = Transfer(link, self.engine.device.xp, v.size, dtype)
        if self._transfer is None:
            values, dp = self(self.network.backend.asarray(v.reshape(self.shape), dtype=dtype))
            return to_numpy(values), to_numpy(dp).astype(np.float64).ravel()
        values, dp = self(self._transfer.upload(v).reshape(self.shape))
        download = self._transfer.download(dp.ravel())  # this copy runs while the host waits for the values
        return to_numpy(values), download.result()


def preprocess(xp: Any, p: Array, convention: Convention) -> Array:  # (H, W, 3) -> (H, W, 3)
    """Return the network's input for a picture, as `preprocess_forward` does."""
    # channel by channel: a CUDA graph cannot capture the upload of an array of means
    x: Array = xp.empty(p.shape, p.dtype)
    channels = zip(channel_order(convention), convention.mean, convention.std, strict=True)
    for i, (channel, mean, std) in enumerate(channels):
        x[..., i] = (p[..., channel] * (convention.scale / 255.0) - mean) / std
    return x


def preprocess_adjoint(xp: Any, dx: Array, convention: Convention) -> Array:  # (H, W, 3) -> (H, W, 3)
    """Return the gradient at the picture from that at the network's input, as `preprocess_backward` does."""
    dp: Array = xp.empty(dx.shape, dx.dtype)
    for i, (channel, std) in enumerate(zip(channel_order(convention), convention.std, strict=True)):
        dp[..., channel] = dx[..., i] / std * (convention.scale / 255.0)
    return dp
