"""Solutions to chapter 13."""


def covariance_forward(f):  # (h, w, C) -> (C, C), cache
    """Return the covariance of the features over the pixels: the Gram matrix after the mean has been taken away."""
    F = f.reshape(-1, f.shape[2])
    centred = F - F.mean(axis=0)
    return centred.T @ centred / len(F), (centred, f.shape)


def covariance_backward(dcovariance, cache):  # (C, C), cache -> (h, w, C)
    """Return the gradient at the features. The mean's share vanishes, for the centred rows add up to zero."""
    centred, shape = cache
    return (centred @ (dcovariance + dcovariance.T) / len(centred)).reshape(shape)


def keras_scale(M, H, W):
    """Return the scale that turns ``gram_loss`` at a layer of `M` pixels into that of the Keras script.

    The script divides ``‖S − S_A‖²`` by ``4 · 3² · (H W)²``, with the picture's size at every layer, and S is ``M G``.
    """
    return M**2 / (4 * 3**2 * (H * W) ** 2)


def weighted_gram(F, q):  # (M, C), (M,) -> (C, C)
    """Return the Gram matrix in which pixel r counts `q[r]`, by one matrix product."""
    return (q[:, None] * F).T @ F


def gram_distance_by_pairs(F, P):  # (M, C), (N, C) -> float
    """Return ``‖FᵀF/M − PᵀP/N‖²`` without a Gram matrix: from the squared dot products of all pairs of pixels."""
    return float(((F @ F.T) ** 2).mean() - 2 * ((F @ P.T) ** 2).mean() + ((P @ P.T) ** 2).mean())
