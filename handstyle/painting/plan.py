"""Plan a run: resize pictures and masks, compute the sizes of the scales, and build the terms of each scale."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.image import Size, resize
from handstyle.foundations.picture_reading import Picture
from handstyle.kernels.tiles import tile_side
from handstyle.losses.content import ContentTerm
from handstyle.losses.regions import uncovered
from handstyle.losses.terms import PICTURE, Term
from handstyle.network.vgg import Network, summary
from handstyle.painting.config import StyleConfig
from handstyle.painting.inputs import (
    change_colors_after,
    change_colors_before,
    output_size,
    read_mask,
    rule_side,
    scales,
    size_for_photograph,
    starting_picture,
    style_side,
    style_size,
)
from handstyle.painting.paper import read_paper
from handstyle.painting.region_masks import keeps_photograph, make_masks, restore_photograph, unmasked_weights
from handstyle.painting.targets import Measured, Painting, build_terms

MIN_COLOR_RANGE = 1.0  # a picture whose channels have a smaller range, in gray levels, counts as one color
MIN_VALUES = 3  # values along each side of a feature map; with fewer, all of them touch the border


@dataclass(frozen=True)
class Plan:
    """The pictures and masks of a run at their largest size, and the sizes of its scales."""

    photograph: Picture
    sources: list[Picture]
    photograph_pixels: Array  # (H, W, 3), the photograph with its own colors
    p: Array  # (H, W, 3), the photograph after changes of color, from which the run starts
    paintings: list[Array]  # (h, w, 3) each
    masks: list[Array]  # (H, W) each
    style_masks: list[Array | None]  # (h, w) each
    sizes: list[Size]
    style_sizes: list[list[Size]]  # for each scale, a size for each painting

    def notes(self, network: Network, config: StyleConfig) -> list[str]:
        """Return notes for the user on changes while pictures were read, and on pictures too small for the network."""
        notes = picture_notes(config, network, self.photograph, self.sources)
        text = "its transparent part is used, filled with the mean color, since mask_mode='cysmith' does not mask it"
        unused = [one for one in self.sources if one.alpha is not None and self.masks and config.mask_mode == "cysmith"]
        notes += [f"{one.source}: {text}" for one in unused]
        if not config.has_style:
            return notes
        for source, painting, mask in zip(self.sources, self.paintings, self.style_masks, strict=True):
            measured = painting.reshape(-1, 3) if mask is None else painting[mask > 0]
            if len(measured) and float(np.ptp(measured, axis=0).max()) < MIN_COLOR_RANGE:
                notes.append(f"{source.source}: of one color where it is measured, so its style is only that color")
        return notes


def picture_notes(config: StyleConfig, network: Network, photograph: Picture, sources: Sequence[Picture]) -> list[str]:
    """Return the notes of the pictures' reading, and on each that is too small for the settings or the network."""
    shapes = [(one.pixels.shape[0], one.pixels.shape[1]) for one in (photograph, *sources)]
    height, width = shapes[0]
    full = size_for_photograph(config, photograph)
    wanted = output_size(replace(config, enlarge=True), (height, width), "")
    notes = [f"{one.source}: {note}" for one in (photograph, *sources) for note in one.notes]
    if max(wanted) > max(full) + 1:  # a photograph that was reduced to the paper's size as it was read is rounded
        asked = f"size={config.size}"
        if config.print:
            paper = read_paper(config.print)
            asked = f"print={config.print!r}: {paper.printed(full)} with {paper.dpi_at(full):.0f} pixels per inch"
        notes.append(
            f"{photograph.source}: {width} x {height} px, too few for {asked}; `enlarge` paints {wanted[1]} x "
            f"{wanted[0]} px"
        )
    deepest = max(
        (row for row in summary(network, 64, 64) if config.has_style and row.name in config.style_layers),
        default=None,
        key=lambda row: row.receptive_field,
    )
    for source in sources:
        size = style_size(config, source, full, full)
        if deepest is not None and min(size) < deepest.receptive_field:
            larger = "`style_size`" if min(source.full_size) > min(size) else "picture of it"
            notes.append(
                f"{source.source}: used at {size[1]} x {size[0]} px, but {deepest.name} measures areas of "
                f"{deepest.receptive_field} px: much of what it measures is the border, not the painting; use a "
                f"larger {larger}"
            )
    if config.style_fit == "stretch" or not (config.style_size or config.style_scale != 1):
        return notes
    asked = f"style_size={config.style_size}" if config.style_size else f"style_scale={config.style_scale:g}"
    side, own = style_side(config, full, full), "measured at its own size; a larger picture of it gives larger strokes"
    for source, (height, width) in zip(sources, shapes[1:], strict=True):
        if side > rule_side(config, (height, width)):
            notes.append(f"{source.source}: {width} x {height} px, too few for {asked}, {side} px: {own}")
    return notes


def check_files(config: StyleConfig, network: Network, photograph: Picture, sources: Sequence[Picture]) -> None:
    """Raise `HandstyleError` if a mask, the map of regions or the starting picture cannot be used, by reading them."""
    full = size_for_photograph(config, photograph)
    make_masks(config, full, photograph.full_size)
    for given, source in zip(config.style_mask, sources, strict=False):
        _style_mask(given, source, style_size(config, source, full, full), config.max_pixels or None)
    paintings, coarse = [source.pixels for source in sources], resize(photograph.pixels, scales(config, full)[0])
    starting_picture(config, coarse, network.convention, paintings, full=photograph.full_size)


def planned_iterations(config: StyleConfig, picture: Picture) -> int:
    """Return the number of iterations of a run at all its scales together, if none ends early."""
    full = size_for_photograph(config, picture)
    return sum(config.iterations_at(k) for k in range(len(scales(config, full))))


def make_plan(config: StyleConfig, photograph: Picture, sources: list[Picture]) -> Plan:
    """Make the plan of a run: resize every picture and mask to its largest size, change colors, compute the scales.

    Raises
    ------
    HandstyleError
        If a picture or mask cannot be used at one of the sizes.
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
    opaque: Array = np.clip(resize(source.alpha, size), 0, 1).astype(np.float64)
    both = opaque if mask is None else mask * opaque
    if not both.any():
        raise HandstyleError(f"style_mask={given!r}: {source.source} is transparent wherever the mask is white")
    return both


def enlarge_picture(config: StyleConfig, plan: Plan, p: Array, size: Size) -> Array:
    """Return the picture `p` of one scale enlarged to the size of the next.

    With `pyramid_detail` the photograph's detail is added that the smaller scale could not hold, as in STROTSS (Kolkin
    et al. 2019, arXiv 1904.12785; there of half the size at every scale but the last). Outside all regions the picture
    is replaced by the photograph at the new size, because there is no style loss, and a content loss at a deep layer
    would not restore that detail.
    """
    larger = resize(p, size)
    if p.shape[:2] == size or config.init != "content":
        return larger
    photograph = resize(plan.p, size)
    if config.pyramid_detail:
        larger += photograph - resize(resize(photograph, p.shape[:2]), size)  # book: transfer-scales
    if not keeps_photograph(config, plan.masks, config.region_numbers(len(plan.paintings))):
        return larger
    free = np.clip(resize(uncovered(plan.masks), size), 0, 1)[..., None]
    mixed: Array = (1 - free) * larger + free * photograph
    return mixed


def terms_of_scale(
    config: StyleConfig, network: Network, plan: Plan, size: Size, measured: Measured | None = None
) -> list[Term]:
    """Return the terms of one scale; see `build_terms`."""
    n = len(plan.paintings)
    blends = config.style_blend or (1.0,) * n
    layers = [None if at == "all" else tuple(at.split(",")) for at in config.style_at or ("all",) * n]
    paintings = []
    for i, at in enumerate(plan.style_sizes[plan.sizes.index(size)]):
        mask = plan.style_masks[i]
        paintings.append(
            Painting(
                resize(plan.paintings[i], at),
                None if mask is None else np.clip(resize(mask, at), 0, 1),
                config.region_numbers(n)[i],
                blends[i],
                layers[i],
            )
        )
    masks, p = [np.clip(resize(mask, size), 0, 1) for mask in plan.masks], resize(plan.p, size)
    numbers = [one.region for one in paintings]
    if config.unmasked == "paint" and len(masks) > max(numbers) and 0 not in numbers:
        paintings += [replace(one, region=len(masks)) for one in paintings]  # the part outside all masks has them all
    terms = build_terms(network, config, p, paintings, masks, measured)
    return terms + unmasked_terms(config, network, p, paintings, masks)


def final_picture(config: StyleConfig, plan: Plan, p: Array, size: Size) -> Array:  # (h, w, 3) -> (H, W, 3)
    """Return the result of a run, resized, with colors changed by `config.color` and the photograph outside regions."""
    photograph, masks = resize(plan.photograph_pixels, size), [np.clip(resize(mask, size), 0, 1) for mask in plan.masks]
    result = change_colors_after(config, resize(p, size), photograph, masks)
    if keeps_photograph(config, masks, config.region_numbers(len(plan.paintings))):
        result = restore_photograph(result, photograph, masks)
    return result


def unmasked_terms(
    config: StyleConfig, network: Network, p: Array, paintings: list[Painting], masks: list[Array]
) -> list[Term]:
    """Return a list with the term that keeps pixels outside all regions like the photograph; empty if there are none.

    The receptive fields of deep layers, and so their gradients, extend far beyond the edge of a mask. Without this
    term, a face outside all regions would be changed by the styles of the regions around it.
    """
    if not config.unmasked_weight or not keeps_photograph(config, masks, [one.region for one in paintings]):
        return []
    free = unmasked_weights(masks)
    if not free.any():
        return []
    backend = network.backend
    target, weight = (backend.asarray(a, dtype=network.dtype) for a in (p, free[..., None]))
    return [ContentTerm(PICTURE, target, config.unmasked_weight, 1 / p.size, weight, "held pixels")]


def check_reach(config: StyleConfig, network: Network, photograph: Picture, sources: list[Picture]) -> None:
    """Raise `HandstyleError` if a painting is too small for the layers at which its style is measured.

    Notes
    -----
    Only the finest scale is checked, since the coarse scales of a pyramid are small on purpose. A layer needs
    `MIN_VALUES` values along each side, so that at least one of them does not touch the border of its map. With fewer,
    every value depends on the padding. The Gram matrix at relu5_1 of a crop of 32 px differs from that of the same area
    within the whole painting by 4 to 8 times its norm, for a crop of 64 px by 2 to 3 times; the difference is less than
    the norm only from 156 px on, the size of the receptive field (measured with VGG-19 and with the small network).
    """
    if config.style_statistic == "patches" and tile_side(network):
        raise HandstyleError(
            "style_statistic='patches': not with tiles or a cluster, since it compares patches of the whole picture"
        )
    if not config.has_style:
        return
    full = size_for_photograph(config, photograph)
    for source, names in zip(sources, config.style_at or ("all",) * len(sources), strict=True):
        size = style_size(config, source, full, full)
        layers = config.style_layers if names == "all" else tuple(names.split(","))
        maps = {row.name: row for row in summary(network, *size) if row.name in layers}
        too_small = [name for name in layers if min(maps[name].shape[:2]) < MIN_VALUES]
        if not too_small:
            continue
        deepest = max((maps[name] for name in too_small), key=lambda row: row.receptive_field)
        height, width, _ = deepest.shape
        enough = -(-MIN_VALUES * deepest.stride * max(size) // min(size))
        if enough <= max(source.full_size):
            larger = f"size={enough}" if config.style_fit == "stretch" else f"style_size={enough}"
        else:
            larger = "a larger picture"
        kept = [name for name in layers if name not in too_small]
        remedy = f"use {larger}" + (f", or only style_layers={tuple(kept)}" if kept else "")
        raise HandstyleError(
            f"{source.source} is used at {size[1]} x {size[0]} px, where {deepest.name} has {width} x {height} values, "
            f"all of them at the border: {remedy}"
        )
