"""Make the masks of a run's regions, from files or from a map of colors, and keep the photograph outside them."""

import os
from collections.abc import Sequence

import numpy as np
from PIL import ImageColor

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.image import resize
from handstyle.foundations.picture_reading import read_picture
from handstyle.losses.content import ContentTerm
from handstyle.losses.regions import share_overlaps, uncovered
from handstyle.losses.terms import PICTURE, Term
from handstyle.network.vgg import Network
from handstyle.painting.config import StyleConfig
from handstyle.painting.inputs import check_proportions, long_side_of, read_mask

SAME_COLOR = 48  # largest difference of a channel, in levels, within one color: JPEG and soft brushes change colors
PLAIN = 16  # levels of a channel; a larger change within three pixels is an edge
MIN_AREA = 0.001  # the smallest region, as a fraction of a map's pixels
SAMPLE = 1 << 20  # number of a map's pixels whose colors are counted
MASK_FINENESS = 2  # a map is read at this multiple of the size at which it is used, so that the masks have soft edges
EDGE_RANGE = 1 / 32  # width of the strip around the regions that is not held, as a fraction of the long side
EDGE = 1 / 512  # standard deviation of the edge between painting and photograph, as a fraction of the long side


def make_masks(config: StyleConfig, size: tuple[int, int], full: tuple[int, int] | None = None) -> list[Array]:
    """Return the masks of the regions at the size of the output.

    Parameters
    ----------
    config : StyleConfig
        The settings, of which the masks or the map of regions, dilation and feathering are used.
    size : (int, int)
        Height and width in pixels.
    full : (int, int), optional
        Height and width of the photograph as it was read.

    Returns
    -------
    list of (H, W) arrays
        Masks in float64, 0 to 1. With ``unmasked="paint"`` the last one is the part outside all others, if not empty.

    Raises
    ------
    HandstyleError
        If a mask or the map is invalid.

    Examples
    --------
    >>> import tempfile
    >>> from handstyle.foundations.picture_writing import write_picture
    >>> white_left = np.zeros((32, 32, 3))
    >>> white_left[:, :16] = 255.0
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_picture(f"{folder}/left.png", white_left)
    ...     config = StyleConfig(mask=f"{folder}/left.png", unmasked="paint")
    ...     masks = make_masks(config, (32, 32))
    >>> [float(mask.mean()) for mask in masks]  # the left half, and the rest
    [0.5, 0.5]
    """
    limit = config.max_pixels or None
    if config.regions:
        masks = masks_by_color(config.regions, config.region_colors(), size, full, limit)
    else:
        masks = [read_mask(mask, size, full, limit) for mask in config.mask]
    if config.mask_dilate or config.mask_feather:
        masks = [feather_mask(grow_mask(mask, config.mask_dilate), config.mask_feather) for mask in masks]
        for number, mask in enumerate(masks, 1):
            if not mask.any():
                raise HandstyleError(f"mask_dilate={config.mask_dilate}: region {number} becomes empty; use less")
    masks = share_overlaps(masks) if config.share_overlaps else masks
    if masks and config.unmasked == "paint" and (rest := uncovered(masks)).any():
        masks.append(rest)
    return masks


def masks_by_color(
    source: str | os.PathLike[str],
    colors: Sequence[str],
    size: tuple[int, int],
    full: tuple[int, int] | None = None,
    max_pixels: int | None = None,
) -> list[Array]:  # n times (H, W)
    """Return a mask for each of the given colors in a map of regions.

    Parameters
    ----------
    source : path
        A picture with areas of uniform color, which is read at no more than twice the size at which it is used. Pixels
        with other colors, at the soft edge of a brush or from JPEG, belong to the nearest area. Transparent pixels
        belong to none.
    colors : sequence of str
        The regions' colors: CSS names, ``#rrggbb`` or ``rgb(r, g, b)``.
    size : (int, int)
        Height and width in pixels at which the picture that the map belongs to is used.
    full : (int, int), optional
        Height and width of that picture as it was read.
    max_pixels : int, optional
        See `read_picture`.

    Returns
    -------
    list of (H, W) arrays
        A mask for each color, in float64, 0 to 1.

    Raises
    ------
    HandstyleError
        If the map is not a picture, has other proportions, or does not have a color; the message lists its colors.

    Examples
    --------
    >>> import numpy as np
    >>> regions = np.zeros((32, 32, 3))
    >>> regions[:, 16:] = 255.0
    >>> black, white = masks_by_color(regions, ["black", "white"], (32, 32))
    >>> float(black.sum()), float(white.sum())
    (512.0, 512.0)
    """
    from scipy.ndimage import maximum_filter, minimum_filter

    picture = read_picture(source, target=MASK_FINENESS * long_side_of(full or size, size), max_pixels=max_pixels)
    pixels = np.rint(picture.pixels).astype(np.int16)
    check_proportions(picture, f"regions {source}", size, full or size)
    plain = (maximum_filter(pixels, (3, 3, 1)) - minimum_filter(pixels, (3, 3, 1))).max(axis=2) <= PLAIN
    plain = plain if picture.alpha is None else plain & (picture.alpha > 0.5)
    palette, shares = _palette(pixels[plain] if plain.any() else pixels.reshape(-1, 3))
    nearest = _areas(pixels, palette)
    masks = []
    for color in colors:
        distance = np.abs(palette - np.array(_rgb(color), np.int16)).max(axis=1)
        index = int(distance.argmin())
        if distance[index] > SAME_COLOR:
            has = ", ".join(f"{_hex(one)} ({share:.0%})" for one, share in zip(palette, shares, strict=True))
            raise HandstyleError(f"regions {source}: no area is {color} ({_hex(_rgb(color))}); the map has {has}")
        mask = (nearest == index).astype(np.float64)
        mask = mask if picture.alpha is None else mask * picture.alpha
        masks.append(np.clip(resize(mask, size), 0, 1))
    return masks


def _rgb(name: str) -> tuple[int, int, int]:
    """Return the red, green and blue, 0 to 255, of a color in CSS notation."""
    try:
        return ImageColor.getrgb(name.strip())[:3]
    except ValueError:
        raise HandstyleError(
            f"style_region={name!r}: not a color; use a name such as red, or #ff0000, as in red=painting.jpg"
        ) from None


def _palette(pixels: Array) -> tuple[Array, Array]:  # (n, 3) -> (k, 3), (k,): the colors of the areas, their shares
    sample = pixels[:: max(1, len(pixels) // SAMPLE)].astype(np.int64)
    codes, counts = np.unique((sample << [16, 8, 0]).sum(axis=1), return_counts=True)
    order = counts.argsort(kind="stable")[::-1]
    kept: list[Array] = []
    for code, count in zip(codes[order], counts[order], strict=True):
        color = np.array([code >> 16, code >> 8 & 255, code & 255], np.int16)
        if kept and count < MIN_AREA * len(sample):
            break
        if all(np.abs(color - one).max() > SAME_COLOR for one in kept):
            kept.append(color)
    palette = np.stack(kept)
    return palette, np.bincount(_nearest(sample.astype(np.int16), palette), minlength=len(kept)) / len(sample)


def _nearest(pixels: Array, palette: Array) -> Array:  # (..., 3), (k, 3) -> (...) of 0 to k − 1
    best, least = np.zeros(pixels.shape[:-1], np.intp), np.full(pixels.shape[:-1], np.inf, np.float32)
    for index, color in enumerate(palette):
        distance = ((pixels - color).astype(np.float32) ** 2).sum(axis=-1)
        best[distance < least] = index
        least = np.minimum(least, distance)
    return best


def _areas(pixels: Array, palette: Array) -> Array:  # (H, W, 3), (k, 3) -> (H, W) of 0 to k − 1
    from scipy.ndimage import distance_transform_edt

    areas = _nearest(pixels, palette)
    between = np.abs(pixels - palette[areas]).max(axis=2) > SAME_COLOR
    if not between.any():
        return areas
    # By color alone, pixels on the edge between red and blue could belong to a purple area elsewhere.
    rows, columns = distance_transform_edt(between, return_distances=False, return_indices=True)
    nearest: Array = areas[rows, columns]
    return nearest


def _hex(color: Sequence[int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)


def grow_mask(mask: Array, pixels: float) -> Array:  # (H, W) -> (H, W)
    """Return a mask whose edge is moved outward by a number of pixels, or inward if the number is negative.

    Examples
    --------
    >>> mask = np.zeros((1, 9))
    >>> mask[0, 4] = 1.0
    >>> grow_mask(mask, 1)[0].tolist()
    [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    """
    from scipy.ndimage import distance_transform_edt

    inside = mask >= 0.5
    if not pixels or inside.all() or not inside.any():
        return mask
    outward = np.where(inside, 0.5 - distance_transform_edt(inside), distance_transform_edt(~inside) - 0.5)
    moved = np.clip(0.5 + pixels - outward, 0, 1)
    result: Array = np.maximum(mask, moved) if pixels > 0 else np.minimum(mask, moved)
    return result


def feather_mask(mask: Array, sigma: float) -> Array:  # (H, W) -> (H, W)
    """Return a mask blurred by a Gaussian with a standard deviation of `sigma` pixels.

    Examples
    --------
    >>> mask = np.repeat([[0.0, 1.0]], 8, axis=1)
    >>> feather_mask(mask, 1.0)[0].round(1).tolist()
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.1, 0.3, 0.7, 0.9, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    """
    from scipy.ndimage import gaussian_filter

    soft: Array = gaussian_filter(mask, sigma, mode="nearest") if sigma else mask
    return soft


def keeps_photograph(config: StyleConfig, masks: Sequence[Array], regions: Sequence[int]) -> bool:
    """Return whether a run keeps the photograph outside all regions.

    Examples
    --------
    >>> masks = [np.ones((4, 4))]
    >>> keeps_photograph(StyleConfig(), masks, [1]), keeps_photograph(StyleConfig(), masks, [0])
    (True, False)
    """
    return config.unmasked == "keep" and bool(masks) and 0 not in regions and config.mask_mode == "area"


def unmasked_weights(masks: Sequence[Array]) -> Array:  # n times (H, W) -> (H, W)
    """Return the weight, 0 to 1, with which each pixel is kept like the photograph during the run.

    It is 0 inside the regions and in a strip around them. Without the strip, the optimizer would make strong colors
    along the edge, which are visible as a fringe. `restore_photograph` covers the strip with the photograph at the end.

    Examples
    --------
    >>> mask = np.zeros((1, 64))
    >>> mask[0, :32] = 1.0
    >>> unmasked_weights([mask])[0, 30:38].tolist()  # the strip is 2 pixels wide, a 32nd of the long side
    [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]
    """
    return grow_mask(uncovered(masks), -max(1.0, EDGE_RANGE * max(masks[0].shape)))


def restore_photograph(result: Array, photograph: Array, masks: Sequence[Array]) -> Array:  # (H, W, 3) -> (H, W, 3)
    """Return the result with the photograph in place of everything outside all regions, with a soft edge.

    Examples
    --------
    >>> mask = np.zeros((1, 64))
    >>> mask[0, :32] = 1.0
    >>> restored = restore_photograph(np.full((1, 64, 3), 9.0), np.zeros((1, 64, 3)), [mask])
    >>> restored[0, [0, -1], 0].tolist()
    [9.0, 0.0]
    """
    keep = feather_mask(uncovered(masks), EDGE * max(masks[0].shape))[..., None]
    mixed: Array = keep * photograph + (1 - keep) * result
    return mixed


def unmasked_terms(
    config: StyleConfig, network: Network, p: Array, regions: Sequence[int], masks: list[Array]
) -> list[Term]:
    """Return a list with the term that keeps pixels outside all regions like the photograph; empty if there are none.

    The receptive fields of deep layers, and so their gradients, extend far beyond the edge of a mask. Without this
    term, a face outside all regions would be changed by the styles of the regions around it.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> mask = np.zeros((1, 64))
    >>> mask[0, :32] = 1.0
    >>> network, p = build_network(random_weights()), np.zeros((1, 64, 3))
    >>> [term.name for term in unmasked_terms(StyleConfig(mask="left.png"), network, p, [1], [mask])]
    ['held pixels']
    """
    if not config.unmasked_weight or not keeps_photograph(config, masks, regions):
        return []
    free = unmasked_weights(masks)
    if not free.any():
        return []
    backend = network.backend
    target, weight = (backend.asarray(a, dtype=network.dtype) for a in (p, free[..., None]))
    return [ContentTerm(PICTURE, target, config.unmasked_weight, 1 / p.size, weight, "held pixels")]
