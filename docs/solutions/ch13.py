"""Solutions to chapter 13."""


def covariance_forward(f):  # (h, w, C) -> (C, C), cache
    """Return the covariance of the features, and what the backward needs."""
    F = f.reshape(-1, f.shape[2])
    centred = F - F.mean(axis=0)
    return centred.T @ centred / len(F), (centred, f.shape)


def covariance_backward(dcovariance, cache):  # (C, C), cache -> (h, w, C)
    """Return the gradient at the features; the mean's share vanishes."""
    centred, shape = cache
    return (centred @ (dcovariance + dcovariance.T) / len(centred)).reshape(shape)


def keras_scale(M, H, W):
    """Return the scale that makes ``gram_loss`` the Keras script's at a layer."""
    return M**2 / (4 * 3**2 * (H * W) ** 2)


def gram_distance_by_pairs(F, P):  # (M, C), (N, C) -> float
    """Return the squared distance of two Gram matrices from all pairs of pixels."""
    same, both, other = F @ F.T, F @ P.T, P @ P.T
    return float((same**2).mean() - 2 * (both**2).mean() + (other**2).mean())
