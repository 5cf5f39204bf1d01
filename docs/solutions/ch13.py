"""Solutions to chapter 13."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def covariance_forward(f):  # (h, w, C) -> (C, C), cache
    """Return the covariance of the features, and what the backward needs."""
    F = f.reshape(-1, f.shape[2])
    centered = F - F.mean(axis=0)
    return centered.T @ centered / len(F), (centered, f.shape)


def covariance_backward(dcovariance, cache):  # (C, C), cache -> (h, w, C)
    """Return the gradient at the features; the mean's share vanishes."""
    centered, shape = cache
    return (centered @ (dcovariance + dcovariance.T) / len(centered)).reshape(shape)


def keras_scale(M, H, W):
    """Return the scale that makes ``gram_loss`` the Keras script's at a layer."""
    return M**2 / (4 * 3**2 * (H * W) ** 2)


def patch_loss(f, painting):  # (h, w, C), (a, b, C) -> float, (h, w, C)
    """Return the distance of 3x3 patches to their partners, and its gradient."""
    mine, theirs = (sliding_window_view(a, (3, 3), (0, 1)) for a in (f, painting))
    bank = theirs.reshape(-1, 9 * f.shape[2])
    alike = mine.reshape(-1, bank.shape[1]) @ bank.T / np.linalg.norm(bank, axis=1)
    difference = mine - bank[alike.argmax(axis=1)].reshape(mine.shape)
    df, (h, w) = np.zeros_like(f), mine.shape[:2]
    for i, j in np.ndindex(3, 3):
        df[i : i + h, j : j + w] += 2 * difference[..., i, j]
    return float((difference**2).sum()), df


def gram_distance_by_pairs(F, P):  # (M, C), (N, C) -> float
    """Return the squared distance of two Gram matrices from all pairs of pixels."""
    same, both, other = F @ F.T, F @ P.T, P @ P.T
    return float((same**2).mean() - 2 * (both**2).mean() + (other**2).mean())


def transport_pull(f, mean, covariance):  # (h, w, C), (C,), (C, C) -> (h, w, C)
    """Return the gradient of the squared distance to a Gaussian."""

    def power(a, exponent):
        values, vectors = np.linalg.eigh(a)
        return (vectors * values**exponent) @ vectors.T

    F = f.reshape(-1, f.shape[2])
    centered = F - F.mean(axis=0)
    R = power(covariance, 0.5)
    U = R @ power(R @ (centered.T @ centered / len(F)) @ R, -0.5) @ R
    return (2 / len(F) * (F - mean - centered @ U)).reshape(f.shape)
