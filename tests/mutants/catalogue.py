"""Fifty-odd ways to get it wrong.

Every function here takes the place of one function of the package and is wrong in one respect. `table.py` says what
each breaks, which check must reject it and what a person would see; the book quotes both. They are written as such bugs
are written in the wild: plausibly.
"""

import numpy as np

from handstyle.foundations.backend import namespace
from handstyle.foundations.image import preprocess_backward, preprocess_forward, resize
from handstyle.kernels.winograd_matrices import transforms
from handstyle.kernels.winograd_plain import correlate_tiles, cut_tiles, join_tiles, on_both_sides
from handstyle.losses.content import content_backward
from handstyle.losses.gram import Moments, gram_loss
from handstyle.losses.patches import patches_backward
from handstyle.losses.temporal import certainty, warp
from handstyle.losses.terms import PICTURE
from handstyle.network.convolution import conv3x3_forward
from handstyle.network.padding import pad_backward, pad_forward
from handstyle.network.pooling import max_pool_forward
from handstyle.network.sequence import deepest
from handstyle.optimize.objective import forward_to, taps_of
from handstyle.painting.color import color_map, color_statistics
from handstyle.painting.recipe import toml_value

# --- padding and convolution -------------------------------------------------------------------------------------


def border_cut_instead_of_folded(dxpad, cache):
    return dxpad[1:-1, 1:-1].copy()


def corners_forgotten(dxpad, cache):
    d = dxpad.copy()
    d[2, 1:-1] += d[0, 1:-1]
    d[-3, 1:-1] += d[-1, 1:-1]
    d[1:-1, 2] += d[1:-1, 0]
    d[1:-1, -3] += d[1:-1, -1]
    return d[1:-1, 1:-1].copy()


def shift_not_reversed(dy, cache):
    w, _ = cache
    H, W, _ = dy.shape
    dypad, _ = pad_forward(dy)
    return sum(dypad[i : i + H, j : j + W] @ w[i, j].T for i, j in np.ndindex(3, 3))


def crop_off_by_one(dy, cache):
    w, _ = cache
    H, W, _ = dy.shape
    dxpad = namespace(dy).zeros((H + 2, W + 2, w.shape[2]), dy.dtype)
    for i, j in np.ndindex(3, 3):
        dxpad[i : i + H, j : j + W] += dy @ w[i, j].T
    return dxpad[:H, :W]


def channels_not_transposed(dy, cache):
    w, padding = cache
    H, W, _ = dy.shape
    dxpad = namespace(dy).zeros((H + 2, W + 2, w.shape[2]), dy.dtype)
    for i, j in np.ndindex(3, 3):
        dxpad[i : i + H, j : j + W] += dy @ w[i, j]
    return pad_backward(dxpad, padding)


def rows_and_columns_exchanged(dy, cache):
    w, padding = cache
    H, W, _ = dy.shape
    dxpad = namespace(dy).zeros((H + 2, W + 2, w.shape[2]), dy.dtype)
    for i, j in np.ndindex(3, 3):
        dxpad[i : i + H, j : j + W] += dy @ w[j, i].T
    return pad_backward(dxpad, padding)


def border_wraps_around(dy, cache):
    w, _ = cache
    xp = namespace(dy)
    return sum(xp.roll(dy @ w[i, j].T, (i - 1, j - 1), axis=(0, 1)) for i, j in np.ndindex(3, 3))


def kernel_flipped(x, w, b, padding="zero"):
    return conv3x3_forward(x, w[::-1, ::-1], b, padding)


def tiles_rounded_down(x, w, m):
    (H, W, _), K = x.shape, w.shape[3]
    y = namespace(x).zeros((H, W, K), x.dtype)
    down, across = H // m * m, W // m * m
    y[:down, :across] = correlate_tiles(x, w, m)[:down, :across]
    return y


def points_in_two_orders(x, w, m):
    BT, G, AT = transforms(m)
    order = [0, 2, 1, *range(3, m + 2)]
    M = on_both_sides(BT, cut_tiles(x, m)) @ on_both_sides(G[order], w)
    return join_tiles(on_both_sides(AT, M), *x.shape[:2])


def weight_gradient_without_the_border(dy, x, padding="zero"):
    K, C = dy.shape[2], x.shape[2]
    dw = namespace(dy, x).zeros((3, 3, C, K), dy.dtype)
    inner = dy[1:-1, 1:-1]
    H, W, _ = inner.shape
    for i, j in np.ndindex(3, 3):
        dw[i, j] = x[i : i + H, j : j + W].reshape(-1, C).T @ inner.reshape(-1, K)
    return dw


def bias_gradient_averaged(dy):
    return dy.mean(axis=(0, 1))


# --- rectifier and pooling, as functions of the gradient and of the input -------------------------------------------


def mask_from_the_gradient(dy, x):
    return namespace(dy).where(dy > 0, dy, 0)


def mask_forgotten(dy, x):
    return dy


def gradient_at_zero(dy, x):
    return namespace(dy).where(x >= 0, dy, 0)


def every_tie_gets_the_gradient(dy, x):
    H, W = 2 * dy.shape[0], 2 * dy.shape[1]
    x = x[:H, :W]
    largest = x.reshape(H // 2, 2, W // 2, 2, -1).max(axis=(1, 3), keepdims=True)
    dx = (x.reshape(H // 2, 2, W // 2, 2, -1) == largest) * dy[:, None, :, None]
    return dx.reshape(H, W, -1)


def gradient_to_the_first_pixel(dy, x):
    dx = namespace(dy).zeros(x.shape, dy.dtype)
    dx[: 2 * dy.shape[0] : 2, : 2 * dy.shape[1] : 2] = dy
    return dx


def code_read_by_column(dy, x):
    _, (codes, _) = max_pool_forward(x)
    h, w, c = np.indices((2 * dy.shape[0], 2 * dy.shape[1], dy.shape[2]))  # one thread for each value
    here = w % 2 * 2 + h % 2
    dx = namespace(dy).zeros(x.shape, dy.dtype)
    dx[h, w, c] = namespace(dy).where(codes[h // 2, w // 2, c] == here, dy[h // 2, w // 2, c], 0)
    return dx


def average_not_divided(dy, cache):
    _, shape = cache
    xp = namespace(dy)
    dx = xp.zeros(shape, dy.dtype)
    spread = xp.repeat(xp.repeat(dy, 2, axis=0), 2, axis=1)[: shape[0], : shape[1]]
    dx[: spread.shape[0], : spread.shape[1]] = spread
    return dx


def border_blocks_divided_by_four(dy, cache):
    return average_not_divided(dy, cache) / 4


# --- the chain --------------------------------------------------------------------------------------------------


def tap_enters_behind_its_layer(layers, dfeatures, caches):
    dx = None
    for layer, cache in zip(reversed(layers[: len(caches)]), reversed(caches), strict=True):
        if dx is not None:
            dx = layer.backward(dx, cache)
        if layer.name in dfeatures:
            dx = dfeatures[layer.name] if dx is None else dx + dfeatures[layer.name]
    return dx


def tap_overwrites(layers, dfeatures, caches):
    dx = None
    for layer, cache in zip(reversed(layers[: len(caches)]), reversed(caches), strict=True):
        if layer.name in dfeatures:
            dx = dfeatures[layer.name]
        dx = layer.backward(dx, cache)
    return dx


def only_the_deepest_tap(layers, dfeatures, caches):
    dx = None
    for layer, cache in zip(reversed(layers[: len(caches)]), reversed(caches), strict=True):
        if layer.name in dfeatures:
            entering = dfeatures[layer.name]
            dx = entering if dx is None else dx
        dx = layer.backward(dx, cache)
    return dx


def rectifier_in_place(layers, x, taps):
    features, caches = {}, []
    for layer in layers[: deepest(layers, taps)]:
        y, cache = layer.forward(x)
        if layer.name.startswith("relu"):
            x[...] = y  # saves a feature map, and ruins the one that is tapped before the rectifier
        x = y
        caches.append(cache)
        if layer.name in taps:
            features[layer.name] = y
    return features, caches


# --- the way into the network -------------------------------------------------------------------------------------


def channels_not_reversed(dx, convention):
    std = namespace(dx).asarray(convention.std, dtype=dx.dtype)
    return dx / std * (convention.scale / 255)


def std_forgotten(dx, convention):
    if convention.order == "BGR":
        dx = dx[..., ::-1]
    return dx * (convention.scale / 255)


def mean_in_the_wrong_order(p, convention):
    right = preprocess_forward(p, convention)
    mean = namespace(p).asarray(convention.mean, dtype=p.dtype)
    return right + mean - mean[::-1]


# --- the losses -------------------------------------------------------------------------------------------------


def gram_gradient_without_the_two(dmoments, f, mask=None):
    df = f @ dmoments.outer.astype(f.dtype) + dmoments.sums.astype(f.dtype)
    return df if mask is None else mask * df


def gram_gradient_not_symmetric(dmoments, f, mask=None):
    df = 2 * (f @ dmoments.outer.astype(f.dtype)) + dmoments.sums.astype(f.dtype)
    return df if mask is None else mask * df


def gradient_of_the_sums_ignored(dmoments, f, mask=None):
    df = f @ (dmoments.outer + dmoments.outer.T).astype(f.dtype)
    return df if mask is None else mask * df


def mask_applied_twice(dmoments, f, mask=None):
    df = f @ (dmoments.outer + dmoments.outer.T).astype(f.dtype) + dmoments.sums.astype(f.dtype)
    return df if mask is None else mask * mask * df


def mask_not_applied(dmoments, f, mask=None):
    return f @ (dmoments.outer + dmoments.outer.T).astype(f.dtype) + dmoments.sums.astype(f.dtype)


def moments_in_one_float32_sum(f, mask=None):
    xp = namespace(f)
    F = f.reshape(-1, f.shape[2])
    outer = (F[:, :, None] * F[:, None, :]).sum(axis=0, dtype=xp.float32)  # pixel after pixel
    return Moments(float(len(F)), F.sum(axis=0).astype(xp.float64), outer.astype(xp.float64))


def overlaps_overwritten(dpatches, cache):
    (h, w, C), size, stride = cache
    parts = dpatches.reshape((h - size) // stride + 1, (w - size) // stride + 1, size, size, C)
    df = namespace(dpatches).zeros((h, w, C), dpatches.dtype)
    for i, j in np.ndindex(size, size):
        df[i : h - size + i + 1 : stride, j : w - size + j + 1 : stride] = parts[:, :, i, j]
    return df


def overlaps_averaged(dpatches, cache):
    xp, (shape, size, stride) = namespace(dpatches), cache
    count = patches_backward(xp.ones_like(dpatches), cache)
    return patches_backward(dpatches, (shape, size, stride)) / xp.maximum(count, 1)


def mean_in_the_value_sum_in_the_gradient(moments, target, scale=None):
    value, d = gram_loss(moments, target, scale)
    return value, Moments(0.0, d.sums, d.outer * moments.count)


def divided_by_the_paintings_size(moments, target, scale=None):
    value, d = gram_loss(moments, target, scale)
    return value, Moments(0.0, d.sums, d.outer * moments.count / target.count)


def style_gradient_normalized(moments, target, scale=None):
    value, d = gram_loss(moments, target, scale)
    xp = namespace(d.outer)
    return value, Moments(0.0, d.sums, d.outer / (xp.abs(d.outer).mean() + 1e-12))


def content_gradient_without_the_two(ds, f, target, mask=None):
    return content_backward(ds, f, target, mask) / 2


def content_gradient_masked_by_the_sign(ds, f, target, mask=None):
    return namespace(f).where(f > 0, content_backward(ds, f, target, mask), 0)


def held_where_nothing_is_known(ds, f, target, mask=None):
    return content_backward(ds, f, target)


def moved_against_the_flow(p, flow):
    return warp(p, -flow)


def forward_flow_not_looked_up_where_it_leads(forward, backward):
    return certainty(warp(np.moveaxis(forward, 0, -1), -backward).transpose(2, 0, 1), backward)


def variation_wraps_around(p):
    xp = namespace(p)
    down, across = p[1:] - p[:-1], p[:, 1:] - p[:, :-1]
    n = down.size + across.size
    value = ((down * down).sum() + (across * across).sum()) / n
    neighbors = sum(xp.roll(p, shift, axis) for axis in (0, 1) for shift in (1, -1))
    return value, (4 * p - neighbors) * (2 / n)


def variation_looks_one_way(p):
    xp = namespace(p)
    down, across = p[1:] - p[:-1], p[:, 1:] - p[:, :-1]
    n = down.size + across.size
    value = ((down * down).sum() + (across * across).sum()) / n
    dp = xp.zeros_like(p)
    dp[:-1] -= down
    dp[:, :-1] -= across
    return value, dp * (2 / n)


# --- the objective ------------------------------------------------------------------------------------------------


def weight_on_the_value_only(network, terms, p):
    features, caches = forward_to(network, taps_of(terms), p)
    features[PICTURE] = p
    values, dfeatures = [], {}
    for term in terms:
        f = features[term.tap]
        value, ds = term.loss(term.measure(f))
        values.append(term.weight * value)
        df = term.spread(ds, f)
        dfeatures[term.tap] = dfeatures.get(term.tap, 0) + df
    dp = dfeatures.pop(PICTURE)
    dp = dp + preprocess_backward(network.backward(dfeatures, caches), network.convention)
    return namespace(p).stack(values), dp


def weight_counted_twice(network, terms, p):
    features, caches = forward_to(network, taps_of(terms), p)
    features[PICTURE] = p
    values, dfeatures = [], {}
    for term in terms:
        f = features[term.tap]
        value, ds = term.loss(term.measure(f))
        values.append(term.weight * value)
        df = term.weight * term.weight * term.spread(ds, f)
        dfeatures[term.tap] = dfeatures.get(term.tap, 0) + df
    dp = dfeatures.pop(PICTURE)
    dp = dp + preprocess_backward(network.backward(dfeatures, caches), network.convention)
    return namespace(p).stack(values), dp


def variation_missing_from_the_value(objective, v):
    value, gradient = objective(v)
    return value - objective.terms["total variation"], gradient


def whole_gradient_normalized(objective, v):
    value, gradient = objective(v)
    return value, gradient / np.abs(gradient).mean()


def picture_clipped_on_the_way_in(objective, v):
    return objective(np.clip(v, 0, 255))


def live_buffer_returned(objective, v):
    value, gradient = objective(v)
    if not hasattr(objective, "buffer"):
        objective.buffer = np.empty_like(gradient)
    objective.buffer[...] = gradient
    return value, objective.buffer


def gradient_of_the_picture_before(objective, v):
    value, gradient = objective(v)
    before = getattr(objective, "before", gradient)
    objective.before = gradient
    return value, before


def branch_frozen_when_recorded(objective, v):
    value, gradient = objective(v)
    outside = v - v.clip(0, 255)
    if not hasattr(objective, "launches_penalty"):  # a graph is recorded once, and the host's `if` is asked only then
        objective.launches_penalty = bool(outside.any())
    if objective.launches_penalty:
        value, gradient = value + 1e-5 * float(outside @ outside), gradient + 2e-5 * outside
    return value, gradient


# --- tiles --------------------------------------------------------------------------------------------------------


def halo_rounded_down(radius, stride):
    return radius // stride * stride


def halo_counted_twice(tile, stride, height, width):
    top, left = tile.rows.start // stride, tile.columns.start // stride
    inside = slice(0, height), slice(0, width)
    return inside, (slice(top, top + height), slice(left, left + width))


# --- colors -------------------------------------------------------------------------------------------------------


def color_map_not_transposed(source, target, method="symmetric"):
    m_s, cov_s = color_statistics(source)
    m_t, cov_t = color_statistics(target)
    return (source - m_s) @ color_map(cov_s, cov_t, method) + m_t


def channels_matched_apart(source, target, method="symmetric"):
    deviation = source.std(axis=(0, 1))
    centered = source - source.mean(axis=(0, 1))
    return centered * target.std(axis=(0, 1)) / deviation + target.mean(axis=(0, 1))


# --- the recipe ---------------------------------------------------------------------------------------------------


def border_not_written_down(network):
    return {"weights": network.origin.name, "precision": str(network.dtype), "kernels": network.engine.name}


def numbers_written_to_six_digits(value):
    return f"{value:g}" if isinstance(value, float) else toml_value(value)


# --- from scale to scale ------------------------------------------------------------------------------------------


def coarse_picture_forgotten(config, plan, p, size):
    return resize(plan.p, size)


# --- the change of variables --------------------------------------------------------------------------------------


def gradient_transformed_like_a_picture(spectrum, dp):
    return spectrum.inverse(dp)


def scale_applied_twice(spectrum, dp):
    return spectrum.scale**2 * spectrum._transform(dp)


def scale_forgotten(spectrum, dp):
    return spectrum._transform(dp)


# --- weights of other programs ------------------------------------------------------------------------------------


def weight_carried_the_wrong_way(weight, table, source, target, at):
    return weight * table[target](at) / table[source](at)
