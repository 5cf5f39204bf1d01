"""The distillation loss: errors of features and of Gram matrices against the teacher's, through a linear map.

Each tap has a decoder ``D``. The small features ``s`` are good if ``s D`` is near the teacher's ``f`` and, since
the style loss compares Gram matrices, if ``Dᵀ (Σ s sᵀ) D`` is near ``Σ f fᵀ``. Both errors are relative, so that all
taps and pictures have the same weight.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from handstyle.foundations.backend import Array


class _MatchCache(NamedTuple):
    """Cache of `match_backward` for one tap: features, target, their products, and the divisor of each error."""

    tap: str
    s: Array  # (h, w, K)
    F: Array  # (h w, C)
    SS: Array  # (K, K)
    SF: Array  # (K, C)
    E: Array  # (C, C)
    feature_scale: float
    gram_scale: float


def match_forward(  # {tap: (h, w, K)}, {tap: (h, w, C)}, {tap: (K, C)} -> value, {tap: (features, Gram)}, cache
    features: Mapping[str, Array], targets: Mapping[str, Array], decoders: Mapping[str, Array], gram_weight: float
) -> tuple[float, dict[str, tuple[float, float]], list[_MatchCache]]:
    """Return the distillation loss of one picture.

    Parameters
    ----------
    features : mapping of str to (h, w, K) array
        The small network's features at each tap.
    targets : mapping of str to (h, w, C) array
        The teacher's features.
    decoders : mapping of str to (K, C) array
        The linear map at each tap.
    gram_weight : float
        Weight of the relative error of the Gram matrix; that of the features has weight 1.

    Returns
    -------
    value : float
        ``Σ_tap ‖s D − f‖² / ‖f‖² + gram_weight ‖Dᵀ Sᵀ S D − Fᵀ F‖² / ‖Fᵀ F‖²``, rows of ``S`` and ``F`` being pixels.
    terms : dict of str to (float, float)
        The two errors at each tap, unweighted.
    cache : list
        The argument of `match_backward`.

    Examples
    --------
    >>> f = np.array([[[3.0, 0.0], [0.0, 4.0]]])  # two pixels, two channels
    >>> value, terms, _ = match_forward({"relu1_1": 2 * f}, {"relu1_1": f}, {"relu1_1": np.eye(2)}, gram_weight=0.5)
    >>> terms, value  # features twice as large; Gram matrices four times: the error is (4 - 1)²
    ({'relu1_1': (1.0, 9.0)}, 5.5)
    """
    value, terms, cache = 0.0, {}, []
    for tap, s in features.items():
        S, F, D = s.reshape(-1, s.shape[2]), targets[tap].reshape(s.shape[0] * s.shape[1], -1), decoders[tap]
        SS, SF, FF = S.T @ S, S.T @ F, F.T @ F
        energy, E = float(np.trace(FF)), D.T @ SS @ D - FF
        # ‖S D − F‖² by its three products: the residual itself, as large as the features, is never formed.
        squared = float(np.vdot(SS @ D, D)) - 2 * float(np.vdot(SF, D)) + energy
        gram_scale = 1 / float(np.vdot(FF, FF))
        terms[tap] = squared / energy, float(np.vdot(E, E)) * gram_scale
        value += terms[tap][0] + gram_weight * terms[tap][1]
        cache.append(_MatchCache(tap, s, F, SS, SF, E, 1 / energy, gram_weight * gram_scale))
    return value, terms, cache


def match_backward(  # cache, {tap: (K, C)} -> {tap: (h, w, K)}, {tap: (K, C)}
    cache: list[_MatchCache], decoders: Mapping[str, Array]
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return the gradients of `match_forward` at the small features and at the decoders.

    With ``R = S D − F`` and ``E = Dᵀ G D − Fᵀ F``, ``G = Sᵀ S``: ``‖R‖²`` has the gradients ``2 R Dᵀ`` at ``S`` and
    ``2 Sᵀ R`` at ``D``; ``‖E‖²`` has ``4 S D E Dᵀ`` at ``S`` and ``4 G D E`` at ``D``, ``E`` being symmetric.

    Examples
    --------
    >>> f, decoders = np.array([[[3.0, 0.0], [0.0, 4.0]]]), {"relu1_1": np.eye(2)}
    >>> _, _, cache = match_forward({"relu1_1": 2 * f}, {"relu1_1": f}, decoders, gram_weight=0.0)
    >>> dfeatures, ddecoders = match_backward(cache, decoders)
    >>> dfeatures["relu1_1"].tolist()  # 2 (2 f - f) / ‖f‖², with ‖f‖² = 25
    [[[0.24, 0.0], [0.0, 0.32]]]
    """
    dfeatures, ddecoders = {}, {}
    for k in cache:
        S, D = k.s.reshape(-1, k.s.shape[2]), decoders[k.tap]
        DE = D @ k.E
        dS = S @ ((2 * k.feature_scale) * (D @ D.T) + (4 * k.gram_scale) * (DE @ D.T))
        dS -= k.F @ ((2 * k.feature_scale) * D.T)
        dfeatures[k.tap] = dS.reshape(k.s.shape)
        ddecoders[k.tap] = (2 * k.feature_scale) * (k.SS @ D - k.SF) + (4 * k.gram_scale) * (k.SS @ DE)
    return dfeatures, ddecoders
