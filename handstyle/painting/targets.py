"""Build the terms of the objective from a configuration: measure targets, and apply weights and normalizations."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from handstyle.foundations.backend import Array, namespace
from handstyle.foundations.image import preprocess_forward
from handstyle.kernels.counting import STRIP_VALUES
from handstyle.kernels.tiles import tiled_features, tiled_moments
from handstyle.losses.content import ContentTerm, part_of, scale_of
from handstyle.losses.distribution import (
    DistributionTerm,
    covariance_loss,
    gaussian,
    mean_and_covariance,
    mean_loss,
    std_loss,
    wasserstein_loss,
)
from handstyle.losses.gram import Moments, StyleTerm, gram_loss, moments_forward
from handstyle.losses.normalized import NormalizedTerm
from handstyle.losses.patches import PatchTerm
from handstyle.losses.regions import carry_mask, check_carried, cysmith_mask
from handstyle.losses.terms import Term
from handstyle.losses.total_variation import VariationTerm, range_penalty
from handstyle.network.vgg import Network, summary
from handstyle.painting.config import StyleConfig
from handstyle.painting.measured import Measured
from handstyle.painting.normalizations import CONTENT, STYLE, VARIATIONS, Place, variation_factor
from handstyle.painting.patch_terms import PatchSource, patch_terms
from handstyle.painting.strength import with_style_weight

Loss = Callable[[Moments], tuple[Array, Moments]]
Targets = list[tuple[float, Moments]]  # the moments of paintings, each with its weight


@dataclass(frozen=True)
class Painting:
    """A painting, with its mask, the region that it styles, its weight and its layers.

    Parameters
    ----------
    pixels : (h, w, 3) array
        The pixels, 0 to 255, at the size at which the style is measured.
    mask : (h, w) array, optional
        The weight of each pixel in the statistics, 0 to 1.
    region : int
        The region that the painting styles, counted from 1; 0 is the whole picture.
    blend : float
        The weight of the painting among those of the same region.
    layers : tuple of str, optional
        The style layers at which the painting is used; all by default.

    Examples
    --------
    >>> import numpy as np
    >>> Painting(np.zeros((32, 32, 3)), region=1, blend=0.5).layers is None
    True
    """

    pixels: Array
    mask: Array | None = None
    region: int = 0
    blend: float = 1.0
    layers: tuple[str, ...] | None = None


def build_terms(
    network: Network,
    config: StyleConfig,
    p: Array,
    paintings: Sequence[Painting | Array],
    masks: Sequence[Array] = (),
    measured: Measured | None = None,
) -> list[Term]:
    """Measure the targets and return the terms of the objective.

    Parameters
    ----------
    network : Network
        The network whose features are compared.
    config : StyleConfig
        The run's settings, of which layers, weights, statistics and normalizations are used. Terms of weight 0 are left
        out.
    p : (H, W, 3) array
        The photograph at the size of the scale.
    paintings : sequence of Painting, or of (h, w, 3) arrays
        The paintings at the sizes at which their style is measured.
    masks : sequence of (H, W) arrays
        The masks of the regions, at the size of `p`, 0 to 1.
    measured : Measured, optional
        A cache of targets, from which they are taken and to which new ones are added.

    Returns
    -------
    list of Term

    Examples
    --------
    >>> import numpy as np
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> config = StyleConfig(style_layers="relu1_1", tv_weight=0)
    >>> p, painting = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    >>> [term.name for term in build_terms(build_network(random_weights()), config, p, [painting])]
    ['style relu1_1', 'content relu4_2']
    """
    sources = [one if isinstance(one, Painting) else Painting(one) for one in paintings]
    config, terms = with_style_weight(config, network), list[Term]()
    scale = _Scale(network, config, p, Measured(None) if measured is None else measured)
    if has_patches(config):
        terms += scale.patch_terms(sources, masks)
    if has_moments(config):
        for region in sorted({source.region for source in sources}):
            terms += scale.style_terms(sources, masks, region)
    if config.content_weight and config.content_layers:
        terms += scale.content_terms()
    network.backend.free_unused()  # frees the memory of measuring
    return terms + picture_terms(config)


def has_moments(config: StyleConfig) -> bool:
    """Return whether a run measures the moments of its paintings, as all style losses but that of patches do.

    Examples
    --------
    >>> has_moments(StyleConfig()), has_moments(StyleConfig(style_statistic="patches"))
    (True, False)
    """
    style = config.has_style_weight and config.style_statistic != "patches"
    return (style or config.means_weight > 0) and bool(config.style_layers)


def has_patches(config: StyleConfig) -> bool:
    """Return whether the style loss of a run compares patches.

    Examples
    --------
    >>> has_patches(StyleConfig()), has_patches(StyleConfig(style_statistic="patches"))
    (False, True)
    """
    return config.style_statistic == "patches" and config.has_style_weight and bool(config.style_layers)


@dataclass(frozen=True)
class _Scale:
    """A scale at which the targets are measured: the network, the settings, the photograph and the cache."""

    network: Network
    config: StyleConfig
    p: Array
    measured: Measured

    @cached_property
    def shapes(self) -> dict[str, tuple[int, int, int]]:
        """The shapes of the picture's features at every layer."""
        return {row.name: row.shape for row in summary(self.network, self.p.shape[0], self.p.shape[1])}

    def place(self, tap: str) -> Place:
        """Return the sizes of a layer and of the picture."""
        height, width, channels = self.shapes[tap]
        return Place(channels, height * width, self.p.shape[0] * self.p.shape[1])

    def features(self, pixels: Array, taps: tuple[str, ...]) -> dict[str, Array]:
        """Return the features of a picture at some layers."""
        measure = partial(_features_in_common_pool, self.network, pixels, taps)
        found: dict[str, Array] = self.measured.get(self.network, [pixels], ("features", taps), measure)
        return found

    def patch_terms(self, paintings: Sequence[Painting], masks: Sequence[Array]) -> list[PatchTerm]:
        """Return the terms of the style, if it is compared by patches."""
        network, config, sources = self.network, self.config, []
        for one in paintings:
            taps = tuple(tap for tap in config.style_layers if one.layers is None or tap in one.layers)
            maps = self.features(one.pixels, taps)
            inside = {} if one.mask is None else _carried(network, config, one.mask, taps, "the painting's region")
            lengths = {tap: float((f * f).sum(axis=2).mean()) ** 0.5 for tap, f in maps.items()}
            sources.append(PatchSource(maps, inside, one.region, one.blend, lengths))
        regions = [
            _carried(network, config, mask, config.style_layers, f"the region {i}") for i, mask in enumerate(masks, 1)
        ]
        return patch_terms(config, self.shapes, sources, regions)

    def content_terms(self) -> list[Term]:
        """Return the terms of the content."""
        config, terms = self.config, list[Term]()
        shares = {tap: share for tap, share in config.layer_weights("content").items() if share}
        factor = CONTENT[config.content_normalization]
        for tap, target in self.features(self.p, tuple(shares)).items():
            weight = config.content_weight * shares[tap]
            if config.normalize_gradients:  # the published gradient is that of half the sum
                terms.append(NormalizedTerm(ContentTerm(tap, target, 1.0, 0.5), weight))
            else:
                terms.append(ContentTerm(tap, target, weight, None if factor is None else factor(self.place(tap))))
        return terms

    def style_terms(self, sources: Sequence[Painting], masks: Sequence[Array], region: int) -> list[Term]:
        """Return the terms of the style of one region, counted from 1; 0 is the whole picture."""
        network, config, taps = self.network, self.config, self.config.style_layers
        paintings = [one for one in sources if one.region == region]
        mask, carried = masks[region - 1] if region else None, dict[str, Array]()
        # With the region's share of the area, the gradient at its pixels is as large as in a whole picture.
        area = 1.0 if mask is None else float(mask.mean())
        if config.mask_mode == "cysmith":
            # cysmith/neural-style-tf weighs each painting by its normalized weight and divides by their number besides.
            area = sum(one.blend for one in paintings) / sum(one.blend for one in sources) / len(sources)
        cysmith = config.mask_mode == "cysmith" and mask is not None
        if mask is not None and cysmith:
            squared = {tap: cysmith_mask(mask, self.shapes[tap][:2]) ** 2 for tap in taps}
            carried = {tap: network.backend.asarray(one, dtype=network.dtype) for tap, one in squared.items()}
        elif mask is not None:
            carried = _carried(network, config, mask, taps, f"the region {region}")
        found = [
            self.measured.get(
                network,
                [one.pixels, one.mask, mask if cysmith else None],
                ("moments", taps, one.layers, config.mask_rule, config.hard_masks),
                partial(_painting_moments, network, config, one, carried if cysmith else None),
            )
            for one in paintings
        ]
        terms = []
        for tap, share in config.layer_weights("style").items():
            here = [(one.blend, moments[tap]) for one, moments in zip(paintings, found, strict=True) if tap in moments]
            total = sum(blend for blend, _ in here)
            if not here or not share or not total:
                continue
            targets = [(blend / total, moments.scaled(1 / moments.count)) for blend, moments in here]
            if config.blend == "targets" and len(targets) > 1:
                parts = [target.scaled(part) for part, target in targets]
                targets = [(1.0, sum(parts[1:], parts[0]))]
            name = f"style {tap} region {region}" if region else f"style {tap}"
            terms += terms_at(config, tap, self.place(tap), targets, carried.get(tap), share * area, name)
        return terms


def _carried(network: Network, config: StyleConfig, mask: Array, taps: Sequence[str], name: str) -> dict[str, Array]:
    """Return the weight that a mask gives to each feature at some layers, or an error if a layer has none."""
    carried = carry_mask(network.layers, mask, taps, config.mask_rule, config.hard_masks)
    check_carried(carried, name, config.mask_rule)
    return {tap: network.backend.asarray(one, dtype=network.dtype) for tap, one in carried.items()}


def _features_in_common_pool(network: Network, p: Array, taps: Sequence[str]) -> dict[str, Array]:
    feature, found = _features_of(network, p, taps), {}
    for tap in taps:
        with network.backend.separate_pool():
            feature_map = feature(tap)
        found[tap] = network.backend.in_common_pool(feature_map)
        del feature_map
    return found


def terms_at(
    config: StyleConfig, tap: str, place: Place, targets: Targets, mask: Array | None, share: float, name: str
) -> list[Term]:
    """Return the terms of the style at one layer, given the paintings' moments there.

    Parameters
    ----------
    config : StyleConfig
        The run's settings, of which statistic, normalizations, `style_weight` and `means_weight` are used.
    tap : str
        The name of the layer.
    place : Place
        The sizes of the layer and of the picture.
    targets : list of (float, Moments)
        The weight and the moments of each painting; the weights add up to 1.
    mask : (h, w, 1) array or None
        The weight of each feature of the picture; None if all are 1.
    share : float
        The factor of the weights: that of the layer, times the region's part of the picture's area.
    name : str
        The name of the first term; that of the second has "means" in place of "style".

    Returns
    -------
    list of Term
        The style term if `style_weight` is above 0, and the term of means and deviations if `means_weight` is. With
        `normalize_gradients` there is a style term for each painting.

    Examples
    --------
    >>> import numpy as np
    >>> config, place = StyleConfig(style_weight=2.0, means_weight=1.0), Place(channels=4, positions=64, pixels=64)
    >>> target = moments_forward(np.random.default_rng(0).uniform(0, 1, (8, 8, 4)))
    >>> terms = terms_at(config, "relu1_1", place, [(1.0, target)], mask=None, share=0.5, name="style relu1_1")
    >>> [(term.name, term.weight) for term in terms]
    [('style relu1_1', 1.0), ('means relu1_1', 0.5)]
    """
    terms: list[Term] = []
    counts_all = config.mask_mode == "cysmith" and mask is not None
    factor = STYLE.get(config.style_normalization)
    scale = None if factor is None else factor(place)
    # The terms of patches are made elsewhere; `with_style_weight` has set the weight.
    weight = 0.0 if config.style_statistic == "patches" else (config.style_weight or 0.0) * share
    if config.normalize_gradients:
        for i, (part, target) in enumerate(targets, 1):
            loss = partial(_raw_gram, target=target, channels=place.channels)
            numbered = name if len(targets) == 1 else f"{name} painting {i}"
            terms.append(NormalizedTerm(DistributionTerm(tap, ((1.0, loss),), 1.0, mask, numbered), weight * part))
    elif weight and config.style_statistic == "gram" and len(targets) == 1:
        terms.append(StyleTerm(tap, targets[0][1], weight, scale, mask, name, counts_all))
    elif weight:
        losses = tuple((part, _statistic(config.style_statistic, target, scale)) for part, target in targets)
        terms.append(DistributionTerm(tap, losses, weight, mask, name, counts_all))
    if config.means_weight:
        losses = tuple(pair for part, target in targets for pair in _means(part, target, place.channels, scale is None))
        name = name.replace("style", "means", 1)
        terms.append(DistributionTerm(tap, losses, config.means_weight * share, mask, name))
    return terms


def _statistic(statistic: str, target: Moments, scale: float | None) -> Loss:
    if statistic == "gram":
        return partial(gram_loss, target=target, scale=scale)  # partials, whose targets `target_bytes` counts
    mean, covariance = mean_and_covariance(target)
    if statistic == "covariance":
        size = float((covariance * covariance).sum())
        fixed = scale if scale is not None else scale_of(size, "style")
        return partial(covariance_loss, target=target, scale=fixed)
    size = float(mean @ mean) + float(covariance.trace())
    normal = gaussian(target, 1e-4 if scale is not None else 1e-6 * size / len(mean))
    fixed = scale if scale is not None else scale_of(size, "style")
    return lambda moments: wasserstein_loss(moments, normal, fixed)


def _means(part: float, target: Moments, channels: int, relative: bool) -> list[tuple[float, Loss]]:
    mean, covariance = mean_and_covariance(target)
    a = scale_of(mean @ mean, "style") if relative else 1 / channels
    b = scale_of(covariance.trace(), "style") if relative else 1 / channels
    return [(part, partial(mean_loss, target=target, scale=a)), (part, partial(std_loss, target=target, scale=b))]


def _raw_gram(moments: Moments, target: Moments, channels: int) -> tuple[Array, Moments]:
    # crowsonkb/style_transfer eval_s_grad: value ½ ‖D‖², gradient D F with D = (G − A) / C; its scale
    # is divided out.
    difference = (moments.outer / moments.count - target.outer / target.count) / channels
    value = 0.5 * (difference * difference).sum()
    return value, Moments(0.0, namespace(difference).zeros_like(moments.sums), difference / 2)


def picture_terms(config: StyleConfig) -> list[Term]:
    """Return the terms on the picture itself: total variation, and the penalty for values beyond black and white.

    Examples
    --------
    >>> [term.name for term in picture_terms(StyleConfig(range_weight=1e-4))]
    ['total variation', 'range']
    """
    terms: list[Term] = []
    if config.tv_weight:
        form = VARIATIONS[config.tv]
        weight = config.tv_weight * variation_factor(config.tv, config.tv_white)
        # Where gradients are normalized, crowsonkb/style_transfer adds to them those of functions of p / 127.5 with
        # respect to that argument, which are 127.5 times those at p.
        stretch = 255 / config.tv_white if config.normalize_gradients else 1.0
        terms.append(VariationTerm(weight, "total variation", form.variation, form.in_value, stretch))
    if config.range_weight:
        stretch = 127.5 if config.normalize_gradients else 1.0
        terms.append(VariationTerm(config.range_weight, "range", range_penalty, True, stretch))
    return terms


def _painting_moments(
    network: Network, config: StyleConfig, painting: Painting, cysmith: dict[str, Array] | None
) -> dict[str, Moments]:
    taps = tuple(tap for tap in config.style_layers if painting.layers is None or tap in painting.layers)
    backend, weights = network.backend, cysmith or {}
    if cysmith is None and painting.mask is not None:
        weights = _carried(network, config, painting.mask, taps, "the painting's region")
    tiled = tiled_moments(network, painting.pixels, taps, weights)
    if tiled is None:
        feature = _features_of(network, painting.pixels, taps)
    moments = {}
    for tap in taps:
        with backend.separate_pool():
            one = measure_moments(feature(tap), weights.get(tap)) if tiled is None else tiled[tap]
        count = float(math.prod(cysmith[tap].shape)) if cysmith is not None else float(one.count)
        moments[tap] = Moments(count, backend.in_common_pool(one.sums), backend.in_common_pool(one.outer))
    return moments


def measure_moments(f: Array, mask: Array | None = None) -> Moments:  # (h, w, C), (h, w, 1) -> Moments
    """Return the moments of a feature map, summed over strips of rows to avoid a float64 copy of the whole map.

    Parameters
    ----------
    f : (h, w, C) array
        The features.
    mask : (h, w, 1) array, optional
        The weight of each pixel.

    Returns
    -------
    Moments
        The moments that `moments_forward` would return, except for rounding.

    Examples
    --------
    >>> import numpy as np
    >>> moments = measure_moments(np.array([[[1.0, 2.0], [3.0, 4.0]]]))
    >>> moments.sums
    array([4., 6.])
    """
    rows = max(1, STRIP_VALUES // (f.shape[1] * f.shape[2]))
    strips = [slice(top, top + rows) for top in range(0, f.shape[0], rows)]
    parts = (moments_forward(f[strip], part_of(mask, strip)) for strip in strips)
    return sum(parts, next(parts))


def _features_of(network: Network, p: Array, taps: Sequence[str]) -> Callable[[str], Array]:
    # The features of all layers together take more memory than painting. A GPU has little memory but is fast, so there
    # is one forward pass for each layer.
    if (tiled := tiled_features(network, p, taps)) is not None:
        return tiled.pop
    x = preprocess_forward(network.backend.asarray(p, dtype=network.dtype), network.convention)
    if network.backend.name == "cupy":
        return lambda tap: network.forward(x, [tap])[0][tap]
    return network.forward(x, taps)[0].pop
