"""Style: the Gram matrix."""

import numpy as np

from handstyle.book.grading import exercise, mistake
from handstyle.losses.distribution import gaussian, wasserstein_loss
from handstyle.losses.gram import gram_loss, moments_backward, moments_forward
from handstyle.losses.patches import PatchTerm, patches_backward, patches_forward


def _covariance(f, center=True, count=0):
    F = f.reshape(-1, f.shape[2])
    centered = F - F.mean(axis=0) if center else F
    return centered.T @ centered / (len(F) - count), (centered, f.shape)


def _back(dcovariance, cache, both=True):
    centered, shape = cache
    d = dcovariance + dcovariance.T if both else 2 * dcovariance
    return (centered @ d / len(centered)).reshape(shape)


@exercise(
    "ch13-covariance",
    "the covariance",
    ["covariance_forward", "covariance_backward"],
    mistake(
        "gram gradient without the two",
        "the features enter twice, and one of the two is forgotten",
        covariance_forward=_covariance,
        covariance_backward=lambda d, cache: (cache[0] @ d / len(cache[0])).reshape(cache[1]),
    ),
    mistake(
        "gram gradient not symmetric",
        "2 dG f for (dG + dGᵀ) f: right only while dG is symmetric",
        covariance_forward=_covariance,
        covariance_backward=lambda d, cache: _back(d, cache, both=False),
    ),
    mistake(
        "not divided",
        "a sum in the gradient, a mean in the value",
        covariance_forward=_covariance,
        covariance_backward=lambda d, cache: (cache[0] @ (d + d.T)).reshape(cache[1]),
    ),
    mistake(
        "the Gram matrix",
        "the mean is not taken off",
        covariance_forward=lambda f: _covariance(f, center=False),
        covariance_backward=_back,
    ),
    mistake(
        "divided by one less",
        "the estimate of statistics: here the pixels are all there is, and the count is theirs",
        covariance_forward=lambda f: _covariance(f, count=1),
        covariance_backward=_back,
    ),
)
def _covariances(mine, judge):
    f, B = judge.rng.normal(size=(4, 5, 3)) + 2, judge.rng.normal(size=(3, 3))
    found, cache = mine.covariance_forward(f)
    judge.equal("the covariance", found, np.cov(f.reshape(-1, 3).T, bias=True), 1e-12)
    df = mine.covariance_backward(B, cache)
    judge.gradient(
        "the gradient against differences", lambda f: float((mine.covariance_forward(f)[0] * B).sum()), df, f
    )


@exercise(
    "ch13-pairs",
    "pairs",
    ["gram_distance_by_pairs"],
    mistake(
        "not squared",
        "the mean of the dot products, not of their squares: a distance of means",
        gram_distance_by_pairs=lambda F, P: float((F @ F.T).mean() - 2 * (F @ P.T).mean() + (P @ P.T).mean()),
    ),
    mistake(
        "sums for means",
        "added up, and not divided by the numbers of pairs",
        gram_distance_by_pairs=lambda F, P: float(
            ((F @ F.T) ** 2).sum() - 2 * ((F @ P.T) ** 2).sum() + ((P @ P.T) ** 2).sum()
        ),
    ),
    mistake(
        "mixed term once",
        "the pairs of a picture's with a painting's pixel count twice, with a minus",
        gram_distance_by_pairs=lambda F, P: float(
            ((F @ F.T) ** 2).mean() - ((F @ P.T) ** 2).mean() + ((P @ P.T) ** 2).mean()
        ),
    ),
)
def _pairs(mine, judge):
    F, P = judge.rng.normal(size=(12, 5)), judge.rng.normal(size=(20, 5))
    expected = ((F.T @ F / 12 - P.T @ P / 20) ** 2).sum()
    judge.equal("against the two matrices", mine.gram_distance_by_pairs(F, P), expected)
    judge.equal("a picture with itself", mine.gram_distance_by_pairs(F, F), 0.0)


@exercise(
    "ch13-keras",
    "another program's weight",
    ["keras_scale"],
    mistake(
        "the sum taken for the mean",
        "S = MG: the loss of the sums is M² times that of the means",
        keras_scale=lambda M, H, W: 1 / (4 * 3**2 * (H * W) ** 2),
    ),
    mistake(
        "M once",
        "S = MG stands in a square",
        keras_scale=lambda M, H, W: M / (4 * 3**2 * (H * W) ** 2),
    ),
    mistake(
        "the layer's size",
        "divided by the pixels of the layer; the script divides by the picture's at every layer",
        keras_scale=lambda M, H, W: 1 / (4 * 3**2),
    ),
)
def _keras(mine, judge):
    f, a = judge.rng.normal(size=(2, 8, 8, 5))
    S, A = (g.reshape(-1, 5).T @ g.reshape(-1, 5) for g in (f, a))
    script = ((S - A) ** 2).sum() / (4 * 3**2 * (32 * 32) ** 2)
    value, _ = gram_loss(moments_forward(f), moments_forward(a), float(mine.keras_scale(64, 32, 32)))
    judge.equal("a layer of 8 by 8 under a picture of 32 by 32", value, script)


def _patches(f, painting, alike="angle", factor=2.0, last=False):
    (mine, cache), bank = patches_forward(f), patches_forward(painting)[0]
    products, squares = mine @ bank.T, (bank * bank).sum(axis=1)
    scores = {"angle": products / np.sqrt(squares), "product": products, "distance": 2 * products - squares}
    difference = mine - bank[scores[alike].argmax(axis=1)]
    df = patches_backward(factor * difference, cache)
    if last:
        df, rows = np.zeros_like(f), f.shape[0] - 2
        parts = factor * difference.reshape(rows, -1, 3, 3, f.shape[2])
        for i, j in np.ndindex(3, 3):
            df[i : i + rows, j : j + parts.shape[1]] = parts[:, :, i, j]
    return float((difference * difference).sum()), df


@exercise(
    "ch13-patches",
    "patches",
    ["patch_loss"],
    mistake(
        "overlaps overwritten",
        "a value lies in nine patches, and the gradient of the last one took the place of the sum",
        patch_loss=lambda f, painting: _patches(f, painting, last=True),
    ),
    mistake(
        "without the two",
        "the square's derivative has the factor 2",
        patch_loss=lambda f, painting: _patches(f, painting, factor=1.0),
    ),
    mistake(
        "the largest product",
        "not divided by the length of the painting's patch, so that its loudest patch is everybody's partner",
        patch_loss=lambda f, painting: _patches(f, painting, alike="product"),
    ),
    mistake(
        "the nearest by distance",
        "the partner is the patch with the largest normalized correlation, which need not be the nearest",
        patch_loss=lambda f, painting: _patches(f, painting, alike="distance"),
    ),
)
def _patch_losses(mine, judge):
    f, painting = judge.rng.normal(size=(6, 7, 3)), judge.rng.normal(size=(5, 8, 3))
    painting *= judge.rng.uniform(0.2, 2, (5, 8, 1))
    term = PatchTerm("relu3_1", painting, scale=1.0)
    found = term.measure(f)
    value, df = mine.patch_loss(f, painting)
    judge.equal("the distance to the partners", value, found.distance)
    judge.gradient(
        "the gradient against differences",
        lambda f: float(mine.patch_loss(f, painting)[0]),
        df,
        f,
        signature=lambda f: term.measure(f).partner,
    )


def _power(a, exponent):
    values, vectors = np.linalg.eigh(a)
    return (vectors * values**exponent) @ vectors.T


def _pull(f, mean, covariance, kind="symmetric", centered=True, divided=True):
    F = f.reshape(-1, f.shape[2])
    Z = F - F.mean(axis=0)
    own = Z.T @ Z / len(F) if centered else F.T @ F / len(F)
    R = _power(covariance, 0.5)
    A = R @ _power(R @ own @ R, -0.5) @ R if kind == "symmetric" else (R @ _power(own, -0.5)).T
    pull = 2 * (F - mean - (Z if centered else F) @ A)
    return (pull / len(F) if divided else pull).reshape(f.shape)


@exercise(
    "ch13-pull",
    "the pull",
    ["transport_pull"],
    mistake(
        "along the principal axes",
        "that map has the right covariance, too, but it is not the cheapest, and this is no gradient",
        transport_pull=lambda f, m, c: _pull(f, m, c, kind="pca"),
    ),
    mistake(
        "the Gram matrix",
        "the picture's mean is not taken off before its covariance is measured and its pixels are sent",
        transport_pull=lambda f, m, c: _pull(f, m, c, centered=False),
    ),
    mistake(
        "not divided",
        "the distance is a mean over pixels, and each has a share of one over their number",
        transport_pull=lambda f, m, c: _pull(f, m, c, divided=False),
    ),
    mistake(
        "without the two",
        "the square's derivative has the factor 2",
        transport_pull=lambda f, m, c: _pull(f, m, c) / 2,
    ),
    mistake(
        "the other way",
        "it points to where the map sends a pixel; a gradient points away from it",
        transport_pull=lambda f, m, c: -_pull(f, m, c),
    ),
)
def _pulls(mine, judge):
    f, painting = (
        judge.rng.normal(size=(6, 7, 4)) + 1,
        2 * judge.rng.normal(size=(5, 9, 4)) @ judge.rng.normal(size=(4, 4)),
    )
    goal = gaussian(moments_forward(painting), epsilon=0.0)

    def distance(f):
        return wasserstein_loss(moments_forward(f), goal, 1.0)

    df = mine.transport_pull(f, goal.mean, goal.covariance)
    judge.gradient("the gradient against differences of the distance", lambda f: float(distance(f)[0]), df, f)
    judge.equal("the gradient against the package's", df, moments_backward(distance(f)[1], f), 1e-8)
    there = f - 42 / 2 * np.asarray(df)
    judge.equal("a step of half the pixels' number arrives", float(distance(there)[0]) + 1, 1.0, 1e-6)
