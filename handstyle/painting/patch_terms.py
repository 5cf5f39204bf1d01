"""Build the terms of the patch-based style loss from the settings, the paintings' features and the regions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from handstyle.foundations.backend import Array, namespace
from handstyle.foundations.errors import HandstyleError
from handstyle.losses.patches import PatchTerm
from handstyle.painting.config import StyleConfig
from handstyle.painting.normalizations import PATCHES

# Multiplications for the similarities of one evaluation at most; more take half a minute of two cores, or longer.
MAX_PRODUCTS = 10**12

Maps = Mapping[str, Array]  # from layers to maps
Shapes = Mapping[str, tuple[int, int, int]]


@dataclass(frozen=True)
class PatchSource:
    """The features of a painting from which patches are taken, and the region that it styles.

    Parameters
    ----------
    maps : mapping of str to (h, w, C) array
        The painting's features, by layer.
    inside : mapping of str to (h, w, 1) array
        The painting's mask, by layer; empty if all pixels have weight 1.
    region : int
        The region that the painting styles, counted from 1; 0 is the whole picture.
    blend : float
        The weight of the painting if losses are blended.
    lengths : mapping of str to float
        The root mean square length of the painting's feature vectors, by layer: the unit of `semantic_weight`.

    Examples
    --------
    >>> import numpy as np
    >>> maps = {"relu3_1": np.zeros((8, 8, 64))}
    >>> source = PatchSource(maps, inside={}, region=0, blend=1.0, lengths={"relu3_1": 1.0})
    >>> list(source.maps)
    ['relu3_1']
    """

    maps: Maps
    inside: Maps = field(default_factory=dict)
    region: int = 0
    blend: float = 1.0
    lengths: Mapping[str, float] = field(default_factory=dict)


def patch_terms(
    config: StyleConfig, shapes: Shapes, sources: Sequence[PatchSource], masks: Sequence[Maps]
) -> list[PatchTerm]:
    """Return the patch terms of all layers and regions.

    Parameters
    ----------
    config : StyleConfig
        The run's settings, of which layers, weights, size and stride of patches, and blending are used.
    shapes : mapping of str to (H, W, C)
        The shapes of the picture's features at each layer.
    sources : sequence of PatchSource
        The paintings.
    masks : sequence of mappings of str to (H, W, 1) array
        The masks of the regions, resized to each layer.

    Returns
    -------
    list of PatchTerm
        With `semantic_weight` one term for each layer, in which the regions are further channels of the patches.
        Otherwise one term for each layer and region, with the patches of the paintings of that region.

    Raises
    ------
    HandstyleError
        If a layer is too small for a patch.

    Examples
    --------
    >>> import numpy as np
    >>> config = StyleConfig(style_statistic="patches", style_layers="relu3_1", style_weight=2.0)
    >>> source = PatchSource({"relu3_1": np.ones((8, 8, 4))})
    >>> (term,) = patch_terms(config, {"relu3_1": (10, 10, 4)}, [source], [])
    >>> term.name, term.weight
    ('style relu3_1', 2.0)
    """
    guided = config.semantic_weight > 0
    groups = [(0, sources)] if guided else [(r, [one for one in sources if one.region == r]) for r in _regions(sources)]
    terms = []
    for region, mine in groups:
        for tap, share in config.layer_weights("style").items():
            here = [one for one in mine if tap in one.maps and one.blend]
            if not here or not share:
                continue
            _check_size(config, tap, [shapes[tap], *(one.maps[tap].shape for one in here)])
            total = sum(one.blend for one in here)
            blended = [[one] for one in here] if config.blend == "losses" else [here]
            for number, some in enumerate(blended, 1):
                name = f"style {tap}" + (f" region {region}" if region else "")
                name += f" painting {number}" if len(blended) > 1 else ""
                part = some[0].blend / total if len(blended) > 1 else 1.0
                factor = PATCHES[config.style_normalization]
                terms.append(
                    PatchTerm(
                        tap,
                        [one.maps[tap] for one in some],
                        (config.style_weight or 0.0) * share * part,
                        None if factor is None else factor(config.patch_size, config.patch_stride),
                        _guides(config, tap, some, masks) if guided else None,
                        name,
                        config.patch_size,
                        config.patch_stride,
                        masks[region - 1][tap] if region else None,
                        [one.inside.get(tap) for one in some],
                    )
                )
    return terms


def _regions(sources: Sequence[PatchSource]) -> list[int]:
    return sorted({one.region for one in sources})


def _guides(
    config: StyleConfig, tap: str, sources: Sequence[PatchSource], masks: Sequence[Maps]
) -> tuple[Array, list[Array]] | None:
    """Return the semantic maps of the picture and of each painting, made from the regions (Champandard 2016, §3)."""
    if not all(tap in one.lengths for one in sources):  # a forecast: they are small beside the features
        return None
    unit = config.semantic_weight * sum(one.lengths[tap] for one in sources) / len(sources)
    picture = namespace(masks[0][tap]).concatenate([mask[tap] for mask in masks], axis=2)
    paintings = []
    for one in sources:
        f = one.maps[tap]
        guide = namespace(f).zeros((*f.shape[:2], len(masks)), f.dtype)
        if one.region:
            guide[..., one.region - 1 : one.region] = one.inside.get(tap, 1.0)
        paintings.append(unit * guide)
    return unit * picture, paintings


def _check_size(config: StyleConfig, tap: str, shapes: Sequence[tuple[int, ...]]) -> None:
    height, width = min((shape[:2] for shape in shapes), key=min)
    if min(height, width) < config.patch_size:
        raise HandstyleError(
            f"patch_size={config.patch_size}: {tap} has {width} x {height} values at the smallest scale: take a layer "
            "before it in style_layers, a larger pyramid_min_size, or smaller patches"
        )


def check_products(config: StyleConfig, terms: Sequence[PatchTerm], shapes: Shapes) -> None:
    """Raise `HandstyleError` if the similarities of one evaluation need more than `MAX_PRODUCTS` multiplications.

    Parameters
    ----------
    config : StyleConfig
        The run's settings.
    terms : sequence of PatchTerm
        The terms, of whose arrays only the shapes are used.
    shapes : mapping of str to (H, W, C)
        The shapes of the picture's features at each layer.

    Examples
    --------
    >>> import numpy as np
    >>> config = StyleConfig(style_statistic="patches", style_layers="relu1_1", style_weight=2.0)
    >>> shapes = {"relu1_1": (512, 512, 64)}
    >>> features = np.broadcast_to(np.float32(1), (512, 512, 64))
    >>> terms = patch_terms(config, shapes, [PatchSource({"relu1_1": features})], [])
    >>> try:
    ...     check_products(config, terms, shapes)
    ... except HandstyleError as error:
    ...     print(str(error).split(": ")[0])
    style_layers=relu1_1
    """
    counts = [(term.counts(shapes[term.tap]), term.tap) for term in terms]
    total = sum(own * bank * values for (own, bank, values), _ in counts)
    if total <= MAX_PRODUCTS:
        return
    (own, bank, _), tap = max(counts, key=lambda one: one[0][0] * one[0][1] * one[0][2])
    raise HandstyleError(
        f"style_layers={','.join(config.style_layers)}: {own:,} patches of the picture by {bank:,} of the paintings at "
        f"{tap}, {total:.1e} products an evaluation, of {MAX_PRODUCTS:.0e} at most: use relu3_1,relu4_1, a "
        f"patch_stride above {config.patch_stride}, or a smaller size"
    )
