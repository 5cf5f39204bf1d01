"""Plan a run: resize pictures and masks, compute the sizes of the scales, and build the terms of each scale."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.image import Size, resize
from handstyle.foundations.picture_reading import Picture
from handstyle.losses.regions import uncovered
from handstyle.losses.terms import Term
from handstyle.network.vgg import Network
from handstyle.painting.config import StyleConfig
from handstyle.painting.inputs import (
    change_colors_after,
    change_colors_before,
    read_mask,
    scales,
    size_for_photograph,
    starting_picture,
    style_size,
)
from handstyle.painting.measured import Measured
from handstyle.painting.region_masks import keeps_photograph, make_masks, restore_photograph, unmasked_terms
from handstyle.painting.targets import Painting, build_terms


@dataclass(frozen=True)
class Plan:
    """The pictures and masks of a run at their largest size, and the sizes of its scales.

    Parameters
    ----------
    photograph : Picture
        The photograph as read.
    sources : list of Picture
        The paintings as read.
    photograph_pixels : (H, W, 3) array
        The photograph at the size of the output, with its own colors.
    p : (H, W, 3) array
        The same with its colors changed as `StyleConfig.color` requires, from which the run starts.
    paintings : list of (h, w, 3) arrays
        The paintings at the sizes of the last scale, with their colors changed.
    masks : list of (H, W) arrays
        The mask of each region.
    style_masks : list of (h, w) array or None
        The weights of each painting's pixels; None if all are 1.
    sizes : list of (int, int)
        Height and width of each scale, from coarse to fine.
    style_sizes : list of list of (int, int)
        For each scale, the height and width of each painting.

    Examples
    --------
    >>> photograph = Picture(np.zeros((64, 48, 3)), None, "photograph.jpg")
    >>> plan = make_plan(StyleConfig(size=64, pyramid_min_size=32), photograph, [photograph])
    >>> plan.p.shape, plan.sizes
    ((64, 48, 3), [(32, 24), (64, 48)])
    """

    photograph: Picture
    sources: list[Picture]
    photograph_pixels: Array
    p: Array
    paintings: list[Array]
    masks: list[Array]
    style_masks: list[Array | None]
    sizes: list[Size]
    style_sizes: list[list[Size]]


def check_files(config: StyleConfig, network: Network, photograph: Picture, sources: Sequence[Picture]) -> None:
    """Read the masks, the map of regions and the starting picture; raise `HandstyleError` if one cannot be used.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> photograph = Picture(np.zeros((64, 64, 3)), None, "photograph.jpg")
    >>> try:
    ...     check_files(StyleConfig(mask="no-such.png"), build_network(random_weights()), photograph, [photograph])
    ... except HandstyleError as error:
    ...     print(error)
    no-such.png does not exist: check the path of the picture
    """
    full = size_for_photograph(config, photograph)
    make_masks(config, full, photograph.full_size)
    for given, source in zip(config.style_mask, sources, strict=False):
        _style_mask(given, source, style_size(config, source, full, full), config.max_pixels or None)
    paintings, coarse = [source.pixels for source in sources], resize(photograph.pixels, scales(config, full)[0])
    starting_picture(config, coarse, network.convention, paintings, full=photograph.full_size)


def make_plan(config: StyleConfig, photograph: Picture, sources: list[Picture]) -> Plan:
    """Make the plan of a run: resize every picture and mask to its largest size, change colors, compute the scales.

    Raises
    ------
    HandstyleError
        If a picture or mask cannot be used at one of the sizes.

    Examples
    --------
    >>> photograph = Picture(np.zeros((64, 48, 3)), None, "photograph.jpg")
    >>> plan = make_plan(StyleConfig(size=32, pyramid_min_size=0), photograph, [photograph])
    >>> plan.sizes, plan.style_sizes
    ([(32, 24)], [[(32, 24)]])
    """
    full = size_for_photograph(config, photograph)
    sizes = scales(config, full)
    style_sizes = [[style_size(config, source, size, full) for source in sources] for size in sizes]
    pixels = resize(photograph.pixels, full)
    limit = config.max_pixels or None
    masks, numbers = make_masks(config, full, photograph.full_size), config.region_numbers(len(sources))
    if max(numbers, default=0) > len(masks):
        raise HandstyleError("unmasked='paint': the masks cover the picture, and leave nothing for the other paintings")
    given = config.style_mask or ("all",) * len(sources)
    style_masks = [_style_mask(*each, limit) for each in zip(given, sources, style_sizes[-1], strict=True)]
    regions = [masks[number - 1] if number else None for number in numbers]
    resized = [resize(source.pixels, size) for source, size in zip(sources, style_sizes[-1], strict=True)]
    p, paintings = change_colors_before(config, pixels, resized, regions, style_masks)
    return Plan(photograph, sources, pixels, p, paintings, masks, style_masks, sizes, style_sizes)


def _style_mask(given: str, source: Picture, size: Size, max_pixels: int | None) -> Array | None:  # -> (h, w)
    """Return the weight of each pixel of a painting, its mask times its opacity; None if all weights are 1."""
    mask = None if given == "all" else read_mask(given, size, source.full_size, max_pixels)
    if source.alpha is None:
        return mask
    opaque = _resize_mask(source.alpha, size).astype(np.float64)
    both = opaque if mask is None else mask * opaque
    if not both.any():
        raise HandstyleError(f"style_mask={given!r}: {source.source} is transparent wherever the mask is white")
    return both


def _resize_mask(mask: Array, size: Size) -> Array:  # (H, W) -> (h, w)
    """Resize a mask or an opacity; the result lies between 0 and 1."""
    resized: Array = np.clip(resize(mask, size), 0, 1)
    return resized


def detail_beyond(photograph: Array, size: Size) -> Array:  # (H, W, 3) -> (H, W, 3)
    """Return the detail of a photograph that a smaller `size`, (h, w), could not hold.

    It is the difference from the photograph after it was reduced to that size and enlarged again.

    Examples
    --------
    >>> flat, chessboard = np.full((4, 4, 3), 99.0), np.indices((4, 4)).sum(axis=0)[..., None] % 2 * 255.0
    >>> [round(float(np.std(detail_beyond(one, (2, 2))))) for one in (flat, chessboard)]
    [0, 128]
    """
    detail: Array = photograph - resize(resize(photograph, size), photograph.shape[:2])
    return detail


def enlarge_picture(config: StyleConfig, plan: Plan, p: Array, size: Size) -> Array:
    """Return the picture `p` of one scale enlarged to the size of the next.

    With `pyramid_detail` the photograph's detail is added that the smaller scale could not hold. STROTSS does so at
    every scale but the last, with the detail that half the size could not hold (Kolkin et al. 2019, arXiv 1904.12785).
    Outside all regions the picture is replaced by the photograph at the new size, because there is no style loss, and a
    content loss at a deep layer would not restore that detail.

    Examples
    --------
    >>> photograph = Picture(np.random.default_rng(0).uniform(0, 255, (64, 64, 3)), None, "photograph.jpg")
    >>> plan = make_plan(StyleConfig(size=64, pyramid_min_size=32), photograph, [photograph])
    >>> small = resize(plan.p, (32, 32))
    >>> bool(np.allclose(enlarge_picture(StyleConfig(), plan, small, (64, 64)), plan.p))  # with its detail
    True
    """
    larger = resize(p, size)
    if p.shape[:2] == size or config.init != "content":
        return larger
    photograph = resize(plan.p, size)
    if config.pyramid_detail:
        larger += detail_beyond(photograph, p.shape[:2])  # book: transfer-scales
    if not keeps_photograph(config, plan.masks, config.region_numbers(len(plan.paintings))):
        return larger
    free = _resize_mask(uncovered(plan.masks), size)[..., None]
    mixed: Array = (1 - free) * larger + free * photograph
    return mixed


def terms_of_scale(
    config: StyleConfig, network: Network, plan: Plan, size: Size, measured: Measured | None = None
) -> list[Term]:
    """Return the terms of one scale; see `build_terms`.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> config = StyleConfig(size=32, style_layers="relu1_1", tv_weight=0)
    >>> photograph = Picture(np.random.default_rng(0).uniform(0, 255, (32, 32, 3)), None, "photograph.jpg")
    >>> plan = make_plan(config, photograph, [photograph])
    >>> [term.name for term in terms_of_scale(config, build_network(random_weights()), plan, (32, 32))]
    ['style relu1_1', 'content relu4_2']
    """
    n = len(plan.paintings)
    blends = config.style_blend or (1.0,) * n
    layers = [None if at == "all" else tuple(at.split(",")) for at in config.style_at or ("all",) * n]
    sizes = plan.style_sizes[plan.sizes.index(size)]
    each = zip(plan.paintings, plan.style_masks, sizes, config.region_numbers(n), blends, layers, strict=True)
    paintings = [
        Painting(resize(pixels, at), None if mask is None else _resize_mask(mask, at), *rest)
        for pixels, mask, at, *rest in each
    ]
    masks, p = [_resize_mask(mask, size) for mask in plan.masks], resize(plan.p, size)
    numbers = [one.region for one in paintings]
    if config.unmasked == "paint" and len(masks) > max(numbers) and 0 not in numbers:
        paintings += [replace(one, region=len(masks)) for one in paintings]  # the part outside all masks has them all
    terms = build_terms(network, config, p, paintings, masks, measured)
    return terms + unmasked_terms(config, network, p, [one.region for one in paintings], masks)


def final_picture(config: StyleConfig, plan: Plan, p: Array, size: Size) -> Array:  # (h, w, 3) -> (H, W, 3)
    """Return the result of a run at a size, (H, W), with its final colors and the photograph outside all regions.

    Parameters
    ----------
    config : StyleConfig
        The settings, of which `color` says how the colors are changed after the run.
    plan : Plan
        The plan of the run.
    p : (h, w, 3) array
        The picture as optimized.
    size : (H, W)
        Height and width of the result.

    Examples
    --------
    >>> photograph = Picture(np.random.default_rng(0).uniform(0, 255, (32, 32, 3)), None, "photograph.jpg")
    >>> config = StyleConfig(size=32, color="luminance-after")
    >>> plan = make_plan(config, photograph, [photograph])
    >>> final_picture(config, plan, plan.p, (16, 16)).shape
    (16, 16, 3)
    """
    photograph, masks = resize(plan.photograph_pixels, size), [_resize_mask(mask, size) for mask in plan.masks]
    result = change_colors_after(config, resize(p, size), photograph, masks)
    if keeps_photograph(config, masks, config.region_numbers(len(plan.paintings))):
        result = restore_photograph(result, photograph, masks)
    return result
