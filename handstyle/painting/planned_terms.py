"""The terms of a run for forecasts: of the right shapes, with targets that take no memory."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.losses.content import ContentTerm
from handstyle.losses.gram import Moments
from handstyle.losses.normalized import NormalizedTerm
from handstyle.losses.terms import PICTURE, Term
from handstyle.network.vgg import Network, summary
from handstyle.painting.config import StyleConfig
from handstyle.painting.normalizations import Place
from handstyle.painting.patch_terms import PatchSource, check_products, patch_terms
from handstyle.painting.strength import with_style_weight
from handstyle.painting.targets import has_moments, has_patches, picture_terms, terms_at


def planned_terms(
    config: StyleConfig,
    network: Network,
    size: tuple[int, int],
    regions: Sequence[int] = (0,),
    style_sizes: Sequence[tuple[int, int]] = (),
    timed: bool = False,
) -> list[Term]:
    """Return the terms of a run for forecasts, with targets that have the right shapes but take no memory.

    Parameters
    ----------
    config : StyleConfig
        The run's settings, of which layers and weights are used.
    network : Network
        The network whose features are compared.
    size : (H, W)
        Height and width of the picture in pixels.
    regions : sequence of int
        The region of each painting, counted from 1; 0 is the whole picture.
    style_sizes : sequence of (h, w)
        Height and width of each painting in pixels; by default those of the picture. Used for patches only.
    timed : bool
        Whether an evaluation of the terms must take as long as one of the run. If not, every style statistic is
        replaced by the Gram matrix, which needs as much memory, since all are functions of the same moments.

    Returns
    -------
    list of Term
        Terms whose arrays are views of one number, on the host.

    Raises
    ------
    HandstyleError
        If there are too many patches, or a layer is too small for one.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> terms = planned_terms(StyleConfig(), build_network(random_weights()), (4096, 4096))
    >>> [term.name for term in terms][-2:], terms[-2].target.shape, terms[-2].target.strides
    (['content relu4_2', 'total variation'], (512, 512, 128), (0, 0, 0))
    """
    shapes = {row.name: row.shape for row in summary(network, *size)}
    config = with_style_weight(config, network)

    double = np.dtype(np.float64)

    def dummy(*shape: int, value: float = 1.0, dtype: np.dtype[Any] = network.dtype) -> Array:
        return np.broadcast_to(dtype.type(value), shape)

    terms: list[Term] = []
    if has_patches(config):
        at_sizes = style_sizes or [size] * len(regions)
        maps = [{row.name: dummy(*row.shape) for row in summary(network, *at)} for at in at_sizes]
        sources = [PatchSource(features, region=region) for features, region in zip(maps, regions, strict=True)]
        masks = [{tap: dummy(*shape[:2], 1) for tap, shape in shapes.items()}] * max(regions)
        planned = patch_terms(config, shapes, sources, masks)
        check_products(config, planned, shapes)
        terms += planned
    gram = config
    if config.style_statistic != "patches" and not timed:
        gram = replace(config, style_statistic="gram", style_normalization="relative")
    if has_moments(config):
        for region in sorted(set(regions)):
            count = list(regions).count(region) if config.blend == "losses" else 1
            suffix = f" region {region}" if region else ""
            for tap, share in config.layer_weights("style").items():
                height, width, C = shapes[tap]
                place = Place(C, height * width, size[0] * size[1])
                moments = [
                    Moments(1.0, dummy(C, dtype=double), dummy(C, C, value=2, dtype=double)) for _ in range(count)
                ]
                targets = [(1 / count, each) for each in moments]
                mask = dummy(height, width, 1) if region else None
                if share:
                    terms += terms_at(gram, tap, place, targets, mask, share, f"style {tap}{suffix}")
    if config.content_weight:
        for tap, share in config.layer_weights("content").items():
            term = ContentTerm(tap, dummy(*shapes[tap]), config.content_weight * share)
            if share:
                terms.append(NormalizedTerm(term, term.weight) if config.normalize_gradients else term)
    if config.unmasked_weight and all(regions) and config.unmasked == "keep" and config.mask_mode != "cysmith":
        terms.append(ContentTerm(PICTURE, dummy(*size, 3), config.unmasked_weight, 1.0, dummy(*size, 1), "held pixels"))
    return terms + picture_terms(config)
