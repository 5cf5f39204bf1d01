"""What is said of the pictures of a run: too small, of one color, changed while they were read."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.picture_reading import Picture
from handstyle.kernels.tiles import tile_side
from handstyle.network.vgg import Network, summary
from handstyle.painting.config import StyleConfig
from handstyle.painting.inputs import output_size, rule_side, size_for_photograph, style_side, style_size
from handstyle.painting.paper import read_paper
from handstyle.painting.plan import Plan

MIN_COLOR_RANGE = 1.0  # a picture whose channels have a smaller range, in gray levels, counts as one color
MIN_VALUES = 3  # values along each side of a feature map; with fewer, all of them touch the border


def picture_notes(config: StyleConfig, network: Network, photograph: Picture, sources: Sequence[Picture]) -> list[str]:
    """Return notes for the user: those from reading the pictures, and one for each picture that is too small.

    Examples
    --------
    >>> from handstyle.foundations.picture_reading import read_picture
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> photograph = read_picture(np.zeros((200, 200, 3)))
    >>> picture_notes(StyleConfig(size=512), build_network(random_weights()), photograph, [photograph])
    ['an array: 200 x 200 px, too few for size=512; `enlarge` paints 512 x 512 px']
    """
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


def plan_notes(plan: Plan, network: Network, config: StyleConfig) -> list[str]:
    """Return notes for the user on changes while pictures were read, and on pictures too small for the network.

    Examples
    --------
    >>> from handstyle.foundations.picture_reading import read_picture
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> from handstyle.painting.plan import make_plan
    >>> config, gray = StyleConfig(size=200), read_picture(np.full((200, 200, 3), 128.0))
    >>> plan_notes(make_plan(config, gray, [gray]), build_network(random_weights()), config)
    ['an array: of one color where it is measured, so its style is only that color']
    """
    notes = picture_notes(config, network, plan.photograph, plan.sources)
    text = "its transparent part is used, filled with the mean color, since mask_mode='cysmith' does not mask it"
    unused = [one for one in plan.sources if one.alpha is not None and plan.masks and config.mask_mode == "cysmith"]
    notes += [f"{one.source}: {text}" for one in unused]
    if not config.has_style:
        return notes
    for source, painting, mask in zip(plan.sources, plan.paintings, plan.style_masks, strict=True):
        measured = painting.reshape(-1, 3) if mask is None else painting[mask > 0]
        if len(measured) and float(np.ptp(measured, axis=0).max()) < MIN_COLOR_RANGE:
            notes.append(f"{source.source}: of one color where it is measured, so its style is only that color")
    return notes


def check_reach(config: StyleConfig, network: Network, photograph: Picture, sources: list[Picture]) -> None:
    """Raise `HandstyleError` if a painting is too small for the layers at which its style is measured.

    Notes
    -----
    Only the finest scale is checked, since the coarse scales of a pyramid are small on purpose. A layer needs
    `MIN_VALUES` values along each side, so that at least one of them does not touch the border of its map. With fewer,
    every value depends on the padding. The Gram matrix at relu5_1 of a crop of 32 px differs from that of the same area
    within the whole painting by 4 to 8 times its norm, for a crop of 64 px by 2 to 3 times; the difference is less than
    the norm only from 156 px on, the size of the receptive field (measured with VGG-19 and with the small network).

    Examples
    --------
    >>> from handstyle.foundations.picture_reading import read_picture
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> small = read_picture(np.zeros((32, 32, 3)))
    >>> try:
    ...     check_reach(StyleConfig(size=32), build_network(random_weights()), small, [small])
    ... except HandstyleError as error:
    ...     print(str(error).split(": ")[0])
    an array is used at 32 x 32 px, where relu5_1 has 2 x 2 values, all of them at the border
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
