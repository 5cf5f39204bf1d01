"""Every choice of a run, with its default, in groups that check themselves.

This is the one place where a default is written: `stylize`, the command line and the preset ``handstyle`` all begin
with `StyleConfig()`. The command line takes its flags and their help from the groups' docstrings.
"""

import difflib
import inspect
import math
import os
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from numbers import Integral, Real
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np

from handstyle.foundations.errors import HandstyleError
from handstyle.network.vgg import Network, convolution_names
from handstyle.painting.normalizations import SMOOTHNESS
from handstyle.painting.paper import read_paper

SMALLEST_SIDE = 16  # pixels: four poolings leave one
LINE_SEARCH = ("lbfgsb", "lbfgs")

# Names of earlier versions, for those who have them in a file or in their fingers.
RENAMED = {
    "levelled": "normalize_gradients",
    "smallest": "pyramid_min_size",
    "scale_factor": "pyramid_factor",
    "rounds": "restarts",
    "rate": "learning_rate",
    "rate_schedule": "learning_rate_schedule",
    "memory": "lbfgs_history",
    "hold_weight": "unmasked_weight",
    "mask_semantics": "mask_mode",
    "content_normalisation": "content_normalization",
    "style_normalisation": "style_normalization",
}


@dataclass(frozen=True, kw_only=True)
class Group:
    """Settings that check themselves when they are made: types first, then values."""

    def __post_init__(self) -> None:
        """Raise `HandstyleError` if a value has the wrong type or makes no sense."""
        own: Any = type(self)
        for name, hint in hints(own).items():
            object.__setattr__(self, name, coerce(name, hint, getattr(self, name)))
        for name, hint in hints(own).items():
            check_range(name, getattr(self, name), hint)
        for group in reversed(type(self).__mro__):
            if "check" in vars(group):
                group.check(self)  # type: ignore[attr-defined]


@dataclass(frozen=True, kw_only=True)
class SizeConfig(Group):
    """Sizes of the pictures.

    Parameters
    ----------
    size : int
        Side of the output in pixels, the long one by default; a smaller photograph is enlarged only with `enlarge`.
    size_rule : str
        Which side of the output has the length `size`; square stretches the photograph to a square.
    print : str
        Paper and pixels per inch: 40x30cm@300. Or 8x10in@240, or A4@300. The output is the largest picture that the
        paper holds, turned as the photograph is, and states its resolution; this replaces size.
    enlarge : bool
        Enlarge a photograph that is smaller than the output.
    style_size : int
        Long side of the painting in pixels while its style is measured; 0 takes the output's. Larger gives larger
        strokes.
    style_scale : float
        The painting's size divided by the output's, if no style size is given.
    style_fit : str
        Keep the painting's proportions, or stretch it to the photograph's shape as some systems do.
    tile : int
        Compute the picture in tiles of this side in pixels, the overlap with their neighbors included; less memory,
        more time, the same picture. 0 computes it whole if memory allows, otherwise in the largest tiles that fit.
    max_pixels : int
        Refuse picture files with more pixels than this; 0 for Pillow's own limit of 179 million.
    """

    size: int = 512
    size_rule: Literal["long", "short", "height", "square"] = "long"
    print: str = ""
    enlarge: bool = False
    style_size: int = 0
    style_scale: float = 1.0
    style_fit: Literal["keep", "stretch"] = "keep"
    tile: int = 0
    max_pixels: int = 0

    def check(self) -> None:
        """Raise `HandstyleError` if the values do not go together."""
        if self.print:
            read_paper(self.print)
            if self.size_rule != "long":
                raise HandstyleError(f"print={self.print!r} is a size of its own: add size_rule='long'")
        if 0 < self.style_size < SMALLEST_SIDE:
            raise HandstyleError(f"style_size={self.style_size}: must be {SMALLEST_SIDE} or more, or 0 for `size`")


@dataclass(frozen=True, kw_only=True)
class LookConfig(Group):
    """How much each part of the objective counts, and the start.

    Parameters
    ----------
    style_weight : float
        How much each style layer counts: by default the relative squared error of its Gram matrix.
    content_weight : float
        How much the content counts: by default its relative squared error.
    tv_weight : float
        How much total variation counts: by default the mean squared difference of neighboring pixels (0 to 255).
    means_weight : float
        How much, at each style layer, the means and the standard deviations of the channels count besides.
    range_weight : float
        How much values near and beyond black and white count: Σ |(p − 127.5) / 127.5|^6.
    init : str
        The start: content, noise, grey, style-stats, or the path of a picture; noise is uniform, style-stats noise of
        the paintings' colors, normal:SIGMA and uniform:LOW:HIGH noise about the network's mean.
    init_noise : float
        Share of uniform noise (0 to 255) that is blended into the start, 0 to 1: 1 is noise alone.
    seed : int
        Of the noise.
    """

    style_weight: float = 10.0
    content_weight: float = 1.0
    tv_weight: float = 1e-5
    means_weight: float = 0.0
    range_weight: float = 0.0
    init: str = "content"
    init_noise: float = 0.0
    seed: int = 0

    def check(self) -> None:
        """Raise `HandstyleError` if the values do not go together."""
        if not 0 <= self.init_noise <= 1:
            raise HandstyleError(f"init_noise={self.init_noise}: must lie between 0 and 1, a share of the start")
        if self.init_noise and self.init == "noise":
            raise HandstyleError(f"init_noise={self.init_noise}: the start is noise already (init='noise')")


@dataclass(frozen=True, kw_only=True)
class LossConfig(Group):
    """Where content and style are measured, by which statistic, and what they are divided by.

    Parameters
    ----------
    style_layers : tuple of str
        Where style is measured.
    content_layers : tuple of str
        Where content is measured.
    style_layer_weights : tuple of float
        One weight for each style layer; all 1 by default.
    content_layer_weights : tuple of float
        One weight for each content layer; all 1 by default.
    style_statistic : str
        The statistic of the features that describes the style.
    style_normalization : str
        What style is divided by.
    content_normalization : str
        What content is divided by.
    tv : str
        The form of total variation.
    tv_white : float
        White minus black on the scale on which total variation is taken: 255, or 1 in many systems.
    normalize_gradients : bool
        Divide every layer's gradient by its mean magnitude, as crowsonkb/style_transfer does; no line search can
        follow that.
    """

    style_layers: tuple[str, ...] = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    content_layers: tuple[str, ...] = ("relu4_2",)
    style_layer_weights: tuple[float, ...] = ()
    content_layer_weights: tuple[float, ...] = ()
    style_statistic: Literal["gram", "covariance", "wasserstein"] = "gram"
    style_normalization: Literal["relative", "keras", "gatys", "mean", "neural-style", "channels"] = "relative"
    content_normalization: Literal["relative", "sum", "half", "mean", "cysmith"] = "relative"
    tv: Literal["mean-square", "keras", "absolute", "separate", "diagonal", "neural-style", "wrapped"] = "mean-square"
    tv_white: float = 255.0
    normalize_gradients: bool = False

    def check(self) -> None:
        """Raise `HandstyleError` if the values do not go together."""
        for kind in ("content", "style"):
            weights, layers = getattr(self, f"{kind}_layer_weights"), getattr(self, f"{kind}_layers")
            if len(set(layers)) != len(layers):
                raise HandstyleError(f"{kind}_layers={layers}: a layer is named twice")
            if weights and len(weights) != len(layers):
                raise HandstyleError(
                    f"{kind}_layer_weights={weights}: {len(weights)} weights for {len(layers)} layers; give one each"
                )
            if weights and not any(weights):
                raise HandstyleError(f"{kind}_layer_weights={weights}: all are zero; give one layer a weight above 0")
        statistic, normalization = self.style_statistic, self.style_normalization
        if normalization == "channels" and statistic != "wasserstein":
            raise HandstyleError("style_normalization='channels' is for style_statistic='wasserstein'")
        if statistic != "gram" and normalization in ("keras", "gatys", "neural-style"):
            raise HandstyleError(
                f"style_normalization={normalization!r} is defined for Gram matrices; "
                f"with style_statistic={statistic!r} use relative, mean or channels"
            )


@dataclass(frozen=True, kw_only=True)
class PyramidConfig(Group):
    """Settings of the pyramid: paint from a small picture to the full size, scale by scale.

    Parameters
    ----------
    pyramid_min_size : int
        Begin at a picture of at least this size and grow; 0 for one scale.
    pyramid_factor : float
        Growth from one scale to the next.
    iterations_by_scale : tuple of int
        From coarse to fine, the last one for all that follow; replaces iterations.
    """

    pyramid_min_size: int = 128
    pyramid_factor: float = 2.0
    iterations_by_scale: tuple[int, ...] = ()

    def check(self) -> None:
        """Raise `HandstyleError` if the values do not go together."""
        if any(n < 1 for n in self.iterations_by_scale):
            raise HandstyleError(f"iterations_by_scale={self.iterations_by_scale}: every one must be 1 or more")
        if self.pyramid_min_size and self.pyramid_factor <= 1:
            raise HandstyleError(f"pyramid_factor={self.pyramid_factor}: must be above 1")


@dataclass(frozen=True, kw_only=True)
class RegionConfig(Group):
    """Several paintings, and where each of them counts.

    Parameters
    ----------
    mask : tuple of str
        Pictures, white where a region is; the first region has the first painting, and so on.
    style_mask : tuple of str
        One for each painting: a picture, white where its style is measured, or all.
    style_region : tuple of str
        One for each painting: the number of its region, counted from 1, or with regions its color; 0 for the whole
        picture. COLOR=PAINTING also gives the painting.
    style_blend : tuple of float
        One weight for each painting; equal by default.
    blend : str
        Blend the paintings' targets, or their losses.
    style_at : tuple of str
        One for each painting: the layers it is used at, with commas, or all.
    mask_rule : str
        How masks are carried to a layer.
    hard_masks : bool
        Cut carried masks at one half.
    mask_mode : str
        How masks are read: means over the region's area, or as cysmith/neural-style-tf does.
    share_overlaps : bool
        Where masks add up to more than 1, divide them by their sum; otherwise each style pulls there with all its
        strength.
    unmasked_weight : float
        Weight of the mean squared difference (0 to 255) that holds pixels outside all masks to the photograph.
    regions : str
        One picture in place of several masks, with an area of plain color for each region; see style_region.
    unmasked : str
        Keep the photograph where no mask is; or paint that part, too: with the paintings beyond the masks or, where
        there are as many of each, with all of them.
    mask_dilate : int
        Pixels of the output by which every region grows; below 0 it shrinks.
    mask_feather : float
        Standard deviation, in pixels of the output, of the blur that makes the regions' edges soft.
    """

    mask: tuple[str, ...] = ()
    style_mask: tuple[str, ...] = ()
    style_region: tuple[str, ...] = ()
    style_blend: tuple[float, ...] = ()
    blend: Literal["targets", "losses"] = "targets"
    style_at: tuple[str, ...] = ()
    mask_rule: Literal["fraction", "inside"] = "fraction"
    hard_masks: bool = False
    mask_mode: Literal["area", "cysmith"] = "area"
    share_overlaps: bool = False
    unmasked_weight: float = 0.03
    regions: str = ""
    unmasked: Literal["keep", "paint"] = "keep"
    mask_dilate: int = 0
    mask_feather: float = 0.0

    def check(self) -> None:
        """Raise `HandstyleError` if the values do not go together."""
        if self.regions and self.mask:
            raise HandstyleError(f"regions={self.regions!r} stands in place of `mask`: leave one of them out")
        if self.mask_feather < 0:
            raise HandstyleError(f"mask_feather={self.mask_feather}: must be 0 or more")
        if self.mask_mode == "cysmith" and (self.unmasked == "paint" or self.regions):
            raise HandstyleError("mask_mode='cysmith' reads `mask` as its author does: use it without more")
        if self.style_blend and (min(self.style_blend) < 0 or not any(self.style_blend)):
            raise HandstyleError(f"style_blend={self.style_blend}: weights of 0 or more are needed, one above 0")
        if self.share_overlaps and len(self.mask) < 2 and not self.regions:
            raise HandstyleError(f"`share_overlaps`: {len(self.mask)} masks cannot overlap; give `mask` twice or more")
        if self.mask_mode == "cysmith" and self.style_mask:
            raise HandstyleError("`style_mask`: not with mask_mode='cysmith', which lays `mask` on the paintings")

    def region_colors(self) -> tuple[str, ...]:
        """Return the colors of the map of regions that paintings have, each once, in the order of the regions."""
        return tuple(dict.fromkeys(region for region in self.style_region if region != "0")) if self.regions else ()

    def region_numbers(self, count: int) -> tuple[int, ...]:
        """Return the region of each of `count` paintings, counted from 1; 0 is the whole picture.

        With ``unmasked="paint"`` the number after the last mask's is what no mask claims.

        Raises
        ------
        HandstyleError
            If there are masks, but it is not clear which painting belongs to which.
        """
        if self.regions:
            if not self.style_region:
                raise HandstyleError(
                    f"regions={self.regions!r}: name each painting's color by `style_region`, as in red=painting.jpg"
                )
            numbers = {color: number for number, color in enumerate(self.region_colors(), 1)}
            return tuple(numbers.get(region, 0) for region in self.style_region)
        if self.style_region:
            if not all(region.isdecimal() for region in self.style_region):
                raise HandstyleError(f"style_region={self.style_region}: give numbers of masks; colors need `regions`")
            return tuple(int(region) for region in self.style_region)
        if not self.mask:
            return (0,) * count
        if self.unmasked == "paint" and len(self.mask) < count:
            return (*range(1, len(self.mask) + 1), *[len(self.mask) + 1] * (count - len(self.mask)))
        if len(self.mask) != count:
            raise HandstyleError(
                f"masks: {len(self.mask)}, paintings: {count}; give as many of each, or name each painting's mask "
                "by `style_region`"
            )
        return tuple(range(1, count + 1))


@dataclass(frozen=True, kw_only=True)
class ColorConfig(Group):
    """Colors changed before the run, or after it.

    Parameters
    ----------
    color : str
        Keep the photograph's colors; luminance paints in its luminance alone, match matches means and covariance,
        histogram the histograms, before the run or after it.
    color_space : str
        Of luminance.
    color_match : str
        How match takes the square root of a covariance matrix.
    """

    color: Literal["none", "luminance", "luminance-after", "match", "match-after", "histogram", "histogram-after"] = (
        "none"
    )
    color_space: Literal["yuv", "lab", "luv"] = "yuv"
    color_match: Literal["cholesky", "pca", "symmetric"] = "symmetric"


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig(Group):
    """The optimizer and its steps.

    Parameters
    ----------
    iterations : int
        Steps of the optimizer at each scale.
    optimizer : str
        SciPy's L-BFGS-B, the L-BFGS of this package with a line search or with fixed steps, Adam, or plain descent.
    lbfgs_history : int
        Pairs (step, change of gradient) that L-BFGS keeps.
    precondition : float
        How much lbfgsb and lbfgs prefer broad changes of the picture to fine ones: the exponent by which its cosine
        coefficients are scaled, 0 to 2; 0 is a descent in pixels, 0.5 needs fewer evaluations.
    learning_rate : float
        Length of a step of adam in gray levels, of lbfgs-fixed and descent in multiples of the direction.
    learning_rate_schedule : str
        constant, exponential:FACTOR:STEPS, or root:DECAY, which divides the rate by √(1 + DECAY·step).
    beta1 : float
        How much of the gradient's mean adam keeps at a step.
    beta2 : float
        How much of the squared gradient's mean adam keeps.
    epsilon : float
        Added to adam's divisor.
    averaging : float
        Decay of adam's average of the pictures, which is then the result; 0 for none.
    clamp : bool
        Hold every pixel within 0 to 255 after each step (not lbfgsb).
    evaluations : int
        At most, at each scale; 0 for no limit.
    restarts : int
        Restart SciPy this many times with its own defaults and evaluations each, as the Keras script does; 0 for one
        uninterrupted run.
    stop_below : float
        End a scale once ten iterations together lower the loss by less than this share of it, such as 0.01; 0 for
        never.
    """

    iterations: int = 200
    optimizer: Literal["lbfgsb", "lbfgs", "lbfgs-fixed", "adam", "descent"] = "lbfgsb"
    lbfgs_history: int = 10
    precondition: float = 0.0
    learning_rate: float = 1.0
    learning_rate_schedule: str = "constant"
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    averaging: float = 0.0
    clamp: bool = False
    evaluations: int = 0
    restarts: int = 0
    stop_below: float = 0.0

    def check(self) -> None:
        """Raise `HandstyleError` if the values do not go together."""
        optimizer = self.optimizer
        if not 0 <= self.stop_below < 1:
            raise HandstyleError(f"stop_below={self.stop_below}: a share of the loss, 0 or more and below 1")
        if self.restarts and self.stop_below:
            raise HandstyleError(f"stop_below={self.stop_below}: not with `restarts`, whose rows are not iterations")
        if self.restarts and optimizer != "lbfgsb":
            raise HandstyleError(
                f"restarts={self.restarts}: only SciPy's optimizer is restarted; use optimizer='lbfgsb', or restarts=0"
            )
        if self.restarts and not self.evaluations:
            raise HandstyleError(
                f"restarts={self.restarts}: say how many `evaluations` each has; the classic script has 20"
            )
        if self.clamp and optimizer == "lbfgsb":
            raise HandstyleError("clamp=True: not with optimizer='lbfgsb'; use another, or clamp=False")
        if not 0 <= self.precondition <= 2:
            raise HandstyleError(f"precondition={self.precondition}: must lie between 0, which is none, and 2")
        if self.precondition and (self.restarts or (self.clamp and optimizer == "lbfgs")):
            whose = "clamp=True: its bounds" if self.clamp else f"restarts={self.restarts}: the classic loop's steps"
            raise HandstyleError(
                f"{whose} are of pixels, not of what precondition={self.precondition} makes of them; use precondition=0"
            )
        if self.averaging and optimizer != "adam":
            raise HandstyleError(f"averaging={self.averaging} is adam's: with optimizer={optimizer!r} use averaging=0")
        if self.learning_rate_schedule != "constant" and optimizer not in ("adam", "descent"):
            raise HandstyleError(
                f"learning_rate_schedule={self.learning_rate_schedule!r}: optimizer={optimizer!r} has a constant rate; "
                "use adam or descent, or learning_rate_schedule='constant'"
            )
        if self.evaluations and optimizer in ("adam", "descent"):
            raise HandstyleError(
                f"evaluations={self.evaluations}: optimizer={optimizer!r} makes one an iteration; "
                f"use iterations={self.evaluations} evaluations=0"
            )
        for step in (1, self.iterations):
            self.rate_at(step)

    def rate_at(self, step: int) -> float:
        """Return the learning rate of a step, counted from 1, under the schedule."""
        kind, *numbers = self.learning_rate_schedule.split(":")
        try:
            values = [float(number) for number in numbers]
        except ValueError:
            values = []
        try:
            if kind == "constant" and not numbers:
                return self.learning_rate
            if kind == "exponential" and len(values) == 2 and values[0] > 0 and values[1] > 0:
                return float(self.learning_rate * values[0] ** ((step - 1) / values[1]))
            if kind == "root" and len(values) == 1 and values[0] > 0:
                return float(self.learning_rate / math.sqrt(1 + values[0] * (step - 1)))
        except OverflowError:
            pass
        raise HandstyleError(
            f"learning_rate_schedule={self.learning_rate_schedule!r}: use constant, exponential:FACTOR:STEPS or "
            "root:DECAY"
        )


def _with_the_groups_parameters(config: type) -> type:
    """Write the parameters of the groups, from which a configuration inherits, into its docstring."""
    texts = (inspect.cleandoc(group.__doc__ or "") for group in reversed(config.__bases__))  # as the fields are
    config.__doc__ = inspect.cleandoc(config.__doc__ or "").replace(
        "(those of the groups)", "\n".join(text.partition("----------\n")[2] for text in texts)
    )
    return config


@_with_the_groups_parameters
@dataclass(frozen=True, kw_only=True)
class StyleConfig(OptimizerConfig, ColorConfig, RegionConfig, PyramidConfig, LossConfig, LookConfig, SizeConfig):
    """The settings of a run.

    Every field is a keyword: of this class, of `stylize`, in a TOML file and, with dashes, on the command line.

    Parameters
    ----------
    (those of the groups)

    Raises
    ------
    HandstyleError
        If a value has the wrong type, is out of range, or does not go with another.

    Examples
    --------
    >>> config = StyleConfig(size=256, style_layers="relu1_1,relu2_1", color="luminance")
    >>> config.style_layers
    ('relu1_1', 'relu2_1')
    >>> StyleConfig(color="sepia")
    Traceback (most recent call last):
    ...
    handstyle.foundations.errors.HandstyleError: color='sepia': use none, luminance, luminance-after, match, \
match-after, histogram, histogram-after
    """

    def check(self) -> None:
        """Raise `HandstyleError` if the groups do not go together."""
        content = self.content_weight > 0 and bool(self.content_layers)
        style = (self.style_weight > 0 or self.means_weight > 0) and bool(self.style_layers)
        if not content and not style:
            raise HandstyleError("nothing to paint: give content or style a weight above 0 and a layer")
        if self.normalize_gradients and (self.style_statistic != "gram" or self.means_weight):
            raise HandstyleError("`normalize_gradients` is defined for style_statistic='gram' and means_weight=0")
        if self.mask_mode == "cysmith" and (self.style_statistic != "gram" or self.style_fit != "stretch"):
            raise HandstyleError("mask_mode='cysmith' lays one mask on both pictures: add style_fit='stretch'")
        if any(not set(at.split(",")) <= {*self.style_layers, "all"} for at in self.style_at):
            raise HandstyleError(f"style_at={self.style_at}: use names of `style_layers`, with commas, or all")
        follows = not self.normalize_gradients and (SMOOTHNESS[self.tv].in_value or not self.tv_weight)
        if self.optimizer in LINE_SEARCH and not follows:
            with_ = "`normalize_gradients`" if self.normalize_gradients else f"tv={self.tv!r}"
            raise HandstyleError(
                f"optimizer={self.optimizer!r} searches along a line, but with {with_} the gradient is not that of the "
                "value: use lbfgs-fixed or adam"
            )
        if self.pyramid_min_size and self.restarts:
            raise HandstyleError(f"restarts={self.restarts} is the classic loop, at one scale: add pyramid_min_size=0")

    def iterations_at(self, scale: int) -> int:
        """Return the iterations at a scale, counted from 0 at the coarsest."""
        if self.restarts:
            return self.restarts
        if not self.iterations_by_scale:
            return self.iterations
        return self.iterations_by_scale[min(scale, len(self.iterations_by_scale) - 1)]

    def check_styles(self, count: int) -> None:
        """Raise `HandstyleError` if blends, masks and layers do not fit the number of paintings."""
        for name in ("style_blend", "style_at", "style_mask", "style_region"):
            given = getattr(self, name)
            if given and len(given) != count:
                raise HandstyleError(f"{name}={given}: {len(given)} given for {count} paintings; give one each")
        regions, rest = self.region_numbers(count), self.unmasked == "paint"
        if self.regions:
            return
        if rest and not self.mask:
            raise HandstyleError("unmasked='paint': there is no `mask` and no map of `regions`")
        if max(regions, default=0) > len(self.mask) + rest:
            raise HandstyleError(f"style_region={self.style_region}: there are {len(self.mask)} masks")
        if idle := [i for i in range(1, len(self.mask) + 1) if i not in regions]:
            raise HandstyleError(f"mask {self.mask[idle[0] - 1]} has no painting: give one, or leave the mask out")

    def check_layers(self, network: Network) -> None:
        """Raise `HandstyleError` if a layer is not the network's."""
        for name in ("content_layers", "style_layers"):
            for tap in getattr(self, name):
                check_layer(network, name, tap)


def check_layer(network: Network, name: str, tap: str) -> None:
    """Raise `HandstyleError`, in terms of the parameter `name`, if the network has no layer `tap`."""
    if tap in network.names:
        return
    if tap.replace("relu", "conv") in convolution_names(network.architecture):
        raise HandstyleError(
            f"{name}={tap!r}: this network ends at {network.names[-1]}; name a layer before, such as relu4_2, or take "
            "a whole network, such as vgg19"
        )
    raise HandstyleError(f"{name}={tap!r}: no such layer{nearest(tap, network.names) or '; see handstyle info'}")


def style_config(config: StyleConfig | Mapping[str, Any] | None = None, **options: Any) -> StyleConfig:
    """Return a configuration with some fields changed.

    Parameters
    ----------
    config : StyleConfig or mapping, optional
        What to begin with: by default `StyleConfig()`.
    **options
        Fields of `StyleConfig`. Where `iterations` is among them, it also replaces `iterations_by_scale`.

    Raises
    ------
    HandstyleError
        If there is no such field, or its value cannot be used.
    """
    if not isinstance(config, StyleConfig | Mapping | None):
        raise HandstyleError(f"config={_shown(config)}: give a StyleConfig, or a dict of its fields")
    if isinstance(config, StyleConfig) and not options:
        return config
    base = {f.name: getattr(config, f.name) for f in fields(config)} if isinstance(config, StyleConfig) else config
    return StyleConfig(**layered(base or {}, options, hints(StyleConfig)))


def layered(base: Mapping[str, Any], over: Mapping[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """Combine settings from several sources; later ones replace earlier ones.

    `iterations` that are said over `iterations_by_scale` replace them.

    Raises
    ------
    HandstyleError
        If a name is not among `known`.
    """
    known = tuple(known)
    for name in (*base, *over):
        if not isinstance(name, str):
            raise HandstyleError(f"config: {name!r} is no name of a setting")
        if name not in known:
            raise HandstyleError(f"no setting is called {name}{nearest(name, known)}")
    kept = dict(base)
    if "iterations" in over and "iterations_by_scale" not in over:
        kept.pop("iterations_by_scale", None)
    return {**kept, **over}


def nearest(name: str, known: Sequence[str]) -> str:
    """Return ``": did you mean …?"``, or what an earlier version's name has become, or all there are if few."""
    if RENAMED.get(name) in known:
        return f": it is now called {RENAMED[name]}"
    near = difflib.get_close_matches(name, known, 1)
    return f": did you mean {near[0]}?" if near else f": use {', '.join(known)}" if len(known) < 25 else ""


@cache
def hints(group: Any) -> dict[str, Any]:
    """Return the types of a dataclass's fields by name, in their order."""
    found = get_type_hints(group)
    return {field.name: found[field.name] for field in fields(group)}


def choices(hint: Any) -> tuple[str, ...]:
    """Return the values that a field may have, if they are listed."""
    return get_args(hint) if get_origin(hint) is Literal else ()


def coerce(name: str, hint: Any, value: Any) -> Any:
    """Return a value as the field's type, where that loses nothing: ``"relu1_1"`` is a tuple of one layer.

    Raises
    ------
    HandstyleError
        In terms of the parameter.
    """
    if get_origin(hint) is tuple:
        one = get_args(hint)[0]
        if isinstance(value, str | os.PathLike):
            text = os.fspath(value)
            parts = [text] if is_whole(name, text) else text.split(",")
            value = [part.strip() for part in parts if part.strip()]
        elif isinstance(value, Real):
            value = [value]
        elif isinstance(value, np.ndarray) and value.ndim == 0:
            value = [value.item()]
        if isinstance(value, Mapping) or not isinstance(value, Iterable):
            raise HandstyleError(f"{name}={_shown(value)}: give {_PLURAL[one]}")
        return tuple(coerce(name, one, each) for each in value)
    if allowed := choices(hint):
        if value not in allowed if isinstance(value, str) else True:
            near = difflib.get_close_matches(str(value), allowed, 1)
            raise HandstyleError(
                f"{name}={_shown(value)}: use {', '.join(allowed)}" + (f"; did you mean {near[0]}?" if near else "")
            )
        return value
    if hint is bool and isinstance(value, bool | np.bool_):
        return bool(value)
    if hint is int and isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    if hint is float and isinstance(value, Real) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:  # an integer of hundreds of digits
            raise HandstyleError(f"{name} is too large for a number") from None
    if hint is str and isinstance(value, str | os.PathLike):
        return os.fspath(value)
    if name == "style_region" and isinstance(value, Integral) and not isinstance(value, bool):
        return str(int(value))
    raise HandstyleError(f"{name}={_shown(value)}: must be {_SINGULAR[hint]}")


def check_range(name: str, value: Any, hint: Any) -> None:
    """Raise `HandstyleError` if a number lies outside of what its field allows."""
    numbers = value if isinstance(value, tuple) else (value,)
    if name.endswith(("_weight", "_weights")) and any(not (math.isfinite(n) and n >= 0) for n in numbers):
        raise HandstyleError(f"{name}={value}: a weight is a number of 0 or more")
    if any(isinstance(n, float) and not math.isfinite(n) for n in numbers):
        raise HandstyleError(f"{name}={value}: must be finite")
    if hint is int and value < (least := LEAST.get(name, 0)):
        raise HandstyleError(f"{name}={value}: must be {least} or more")
    if name in ("tv_white", "style_scale", "pyramid_factor", "learning_rate", "epsilon") and not value > 0:
        raise HandstyleError(f"{name}={value}: must be above 0")
    if name == "tv_white" and not 1e-6 <= value <= 1e6:  # its powers must be numbers
        raise HandstyleError(f"tv_white={value}: must lie between 1e-6 and 1e6; white is 255, or 1")
    if name in ("beta1", "beta2", "averaging") and not 0 <= value < 1:
        raise HandstyleError(f"{name}={value}: must lie between 0 and 1")


LEAST = {"size": SMALLEST_SIDE, "iterations": 1, "lbfgs_history": 1, "mask_dilate": -10000}
PATHS = ("mask", "style_mask")  # whose names may hold commas


def is_whole(name: str, text: str) -> bool:
    """Return whether commas in a text are part of one value, not between several: of a path, a color, layers."""
    return name in PATHS or name == "style_at" or (name == "style_region" and ("=" in text or "(" in text))


_SINGULAR = {bool: "True or False", int: "a whole number", float: "a number", str: "text or a path"}
_PLURAL = {int: "whole numbers", float: "numbers", str: "names"}


def _shown(value: Any) -> str:
    if isinstance(value, str | int | float | bool | types.NoneType):
        return repr(value)
    shape = getattr(value, "shape", None)
    return f"{type(value).__name__} of shape {shape}" if shape is not None else type(value).__name__
