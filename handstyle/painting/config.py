"""Define the settings of a run, their defaults and their valid values.

Defaults are written here only: `stylize`, the command line and the preset ``handstyle`` all begin with `StyleConfig()`.
The command line takes its flags and their help from the docstrings of the groups.
"""

import inspect
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Self

from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.image import MIN_SIDE
from handstyle.network.vgg import Network, convolution_names
from handstyle.painting.normalizations import VARIATIONS
from handstyle.painting.paper import read_paper
from handstyle.painting.setting_values import check_names, check_range, coerce, field_types, shown, suggest

LINE_SEARCH = ("lbfgsb", "lbfgs")  # the optimizers with a line search, which needs the exact gradient of the value
STRENGTH = 0.5  # the strength if neither a strength nor a style weight is given
# Settings that, given later, replace another one that was given earlier.
REPLACE = {"iterations": "iterations_by_scale", "size": "print", "strength": "style_weight", "style_weight": "strength"}


@dataclass(frozen=True, kw_only=True)
class Group:
    """The base class of settings, which checks them on construction: names, types, ranges, then combinations.

    Examples
    --------
    >>> try:
    ...     SizeConfig(sice=256)
    ... except HandstyleError as error:
    ...     print(error)
    no setting is called sice: did you mean size?
    """

    def __new__(cls, *_: Any, **given: Any) -> Self:
        """Raise `HandstyleError` if a setting does not exist; the message suggests its new name or the nearest one."""
        own: Any = cls
        check_names(given, tuple(field_types(own)))
        return super().__new__(cls)

    def __post_init__(self) -> None:
        """Raise `HandstyleError` if a value has the wrong type, is out of range, or does not fit another value."""
        own: Any = type(self)
        for name, hint in field_types(own).items():
            object.__setattr__(self, name, coerce(name, hint, getattr(self, name)))
        for name, hint in field_types(own).items():
            check_range(name, getattr(self, name), hint)
        for group in reversed(own.__mro__):
            for fault in vars(group)["_faults"](self) if "_faults" in vars(group) else ():
                raise HandstyleError(fault)


@dataclass(frozen=True, kw_only=True)
class SizeConfig(Group):
    """The sizes of the pictures.

    Parameters
    ----------
    size : int
        Length of the output's long side in pixels; a smaller photograph is enlarged only with `enlarge`.
    size_rule : str
        The side of the output that has the length `size`; square stretches the photograph to a square.
    print : str
        Paper and pixels per inch, such as 40x30cm@300, 8x10in@240 or A4@300. The output is the largest picture that
        fits the paper in the photograph's orientation, and its file has this resolution; replaces `size`.
    enlarge : bool
        Enlarge a photograph that is smaller than the output.
    style_size : int
        The painting's long side in pixels when it is measured; 0 for that of the output. With a larger painting the
        result has larger strokes.
    style_scale : float
        The painting's size divided by the output's, if `style_size` is 0.
    style_fit : str
        Keep the painting's proportions, or stretch it to the photograph's, as some systems do.
    tile : int
        Compute the picture in tiles with sides of this many pixels, including the overlap with their neighbors, which
        takes less memory and more time and gives the same picture. 0 computes it whole if the memory suffices,
        otherwise in the largest tiles that fit.
    max_pixels : int
        Reject picture files with more pixels than this; 0 for Pillow's limit of 179 million.

    Examples
    --------
    >>> try:
    ...     SizeConfig(style_size=8)
    ... except HandstyleError as error:
    ...     print(error)
    style_size=8: must be 16 or more, or 0 for `size`
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

    def _faults(self) -> Iterator[str]:
        """Yield an error for values of this group that do not fit together."""
        if self.print:
            read_paper(self.print)
            if self.size_rule != "long":
                yield f"print={self.print!r} sets the long side of the output: use size_rule='long'"
        if 0 < self.style_size < MIN_SIDE:
            yield f"style_size={self.style_size}: must be {MIN_SIDE} or more, or 0 for `size`"


@dataclass(frozen=True, kw_only=True)
class LookConfig(Group):
    """The weights of the objective's terms, and the picture to start from.

    Parameters
    ----------
    strength : float, optional
        Strength of the style, 0 to 1, by default 0.5: 0 keeps the photograph, 1 almost nothing of it. Equal strengths
        give similar results with the network that is included and with VGG-19.
    style_weight : float, optional
        Weight of the style loss at each layer, in place of `strength`: by default the relative squared error of the
        Gram matrix. With another network the same weight gives another result.
    content_weight : float
        Weight of the content loss: by default the relative squared error of the features.
    tv_weight : float
        Weight of total variation: by default the mean squared difference of neighboring pixels (0 to 255).
    means_weight : float
        Weight of a second style loss at each style layer, which compares means and standard deviations of the channels.
    range_weight : float
        Weight of a penalty on values near and beyond black and white, Σ |(p − 127.5) / 127.5|^6.
    init : str
        The picture to start from; content (the photograph), noise (uniform), gray, style-stats (noise in the paintings'
        colors), blurred-noise (the same without its finest parts), normal:SIGMA or uniform:LOW:HIGH (noise around the
        network's mean), or the path of a picture.
    init_noise : float
        Fraction of uniform noise (0 to 255) that is mixed into the starting picture: 0 for none, 1 for noise only.
    seed : int
        Seed of the random numbers in the starting picture.

    Examples
    --------
    >>> try:
    ...     LookConfig(strength=2)
    ... except HandstyleError as error:
    ...     print(error)
    strength=2.0: must lie between 0 and 1
    """

    strength: float | None = None
    style_weight: float | None = None
    content_weight: float = 1.0
    tv_weight: float = 1e-5
    means_weight: float = 0.0
    range_weight: float = 0.0
    init: str = "content"
    init_noise: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Set the strength if neither it nor a style weight is given, and check the values; see `Group`."""
        if self.strength is None and self.style_weight is None:
            object.__setattr__(self, "strength", STRENGTH)
        super().__post_init__()

    def _faults(self) -> Iterator[str]:
        """Yield an error for values of this group that do not fit together."""
        if self.strength is not None and self.style_weight is not None:
            both = f"strength={self.strength} and style_weight={self.style_weight}"
            yield f"{both}: both set the weight of the style; give one of them"
        if self.init == "grey":
            yield "init='grey': it is now called gray"
        if self.init_noise and self.init == "noise":
            yield f"init_noise={self.init_noise}: not with init='noise', which is noise; leave it out"


@dataclass(frozen=True, kw_only=True)
class LossConfig(Group):
    """The layers of the style and content losses, their statistics, and their normalizations.

    Parameters
    ----------
    style_layers : tuple of str
        Layers whose features the style loss compares.
    content_layers : tuple of str
        Layers whose features the content loss compares.
    style_layer_weights : tuple of float
        One weight for each style layer; all 1 by default.
    content_layer_weights : tuple of float
        One weight for each content layer; all 1 by default.
    style_statistic : str
        The statistic of the features that the style loss compares. With patches, every patch of the picture's features
        is compared with the most similar patch of the painting's, which is expensive in the first two blocks: use
        relu3_1,relu4_1.
    patch_size : int
        Side of a patch, in positions of the layer's feature map.
    patch_stride : int
        Distance from one patch to the next, in the picture and in the painting, in positions of the feature map.
    semantic_weight : float
        Weight of the regions relative to the features in the search for the most similar patch; its unit is the mean
        length of a feature vector. With 0 the patches of a region are compared with those of its own paintings only.
    style_normalization : str
        The divisor of the style loss; relative is the size of the target, the others are those of published systems.
    content_normalization : str
        The divisor of the content loss; relative is the size of the target, the others are those of published systems.
    tv : str
        The definition of total variation; all but mean-square are those of published systems.
    tv_white : float
        Range of pixel values, white minus black, for which the weight of total variation is given: 255, or 1 in many
        systems.
    normalize_gradients : bool
        Divide the gradient of every layer by its mean magnitude, as crowsonkb/style_transfer does; only for optimizers
        without a line search.

    Examples
    --------
    >>> LossConfig(style_layers="relu1_1,relu2_1", style_layer_weights=(1, 0.5)).style_layer_weights
    (1.0, 0.5)
    """

    style_layers: tuple[str, ...] = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    content_layers: tuple[str, ...] = ("relu4_2",)
    style_layer_weights: tuple[float, ...] = ()
    content_layer_weights: tuple[float, ...] = ()
    style_statistic: Literal["gram", "covariance", "wasserstein", "patches"] = "gram"
    patch_size: int = 3
    patch_stride: int = 1
    semantic_weight: float = 0.0
    style_normalization: Literal["relative", "keras", "gatys", "mean", "neural-style", "channels", "cnnmrf"] = (
        "relative"
    )
    content_normalization: Literal["relative", "sum", "half", "mean", "cysmith"] = "relative"
    tv: Literal["mean-square", "keras", "absolute", "separate", "diagonal", "neural-style", "wrapped"] = "mean-square"
    tv_white: float = 255.0
    normalize_gradients: bool = False

    def _faults(self) -> Iterator[str]:
        """Yield an error for values of this group that do not fit together."""
        for kind in ("content", "style"):
            weights, layers = getattr(self, f"{kind}_layer_weights"), getattr(self, f"{kind}_layers")
            if len(set(layers)) != len(layers):
                yield f"{kind}_layers={layers}: a layer is named twice"
            if weights and len(weights) != len(layers):
                yield f"{kind}_layer_weights={weights}: {len(weights)} weights for {len(layers)} layers; give one each"
            if weights and not any(weights):
                yield f"{kind}_layer_weights={weights}: all are zero; give one layer a weight above 0"
        statistic, normalization = self.style_statistic, self.style_normalization
        if normalization == "channels" and statistic != "wasserstein":
            yield "style_normalization='channels': only for style_statistic='wasserstein'; use relative"
        if (statistic == "patches") != (normalization == "cnnmrf") and normalization != "relative":
            needed = "relative or cnnmrf" if statistic == "patches" else "another"
            yield f"style_normalization={normalization!r}: with style_statistic={statistic!r} use {needed}"
        for name, default in (("patch_size", 3), ("patch_stride", 1), ("semantic_weight", 0)):
            if statistic != "patches" and (given := getattr(self, name)) != default:
                yield f"{name}={given}: only for style_statistic='patches'; leave it out"
        if statistic != "gram" and normalization in ("keras", "gatys", "neural-style"):
            yield (
                f"style_normalization={normalization!r} is defined for Gram matrices; "
                f"with style_statistic={statistic!r} use relative, mean or channels"
            )


@dataclass(frozen=True, kw_only=True)
class PyramidConfig(Group):
    """The pyramid: the scales at which the picture is painted one after another, from coarse to fine.

    Parameters
    ----------
    pyramid_min_size : int
        Smallest size in pixels of the first scale of the pyramid; 0 paints at one scale.
    pyramid_factor : float
        Size of each scale divided by the size of the one before.
    pyramid_detail : bool
        Add to the enlarged picture of each scale the photograph's detail that the smaller scale could not hold, if the
        first scale starts from the photograph. Without it that detail must be found anew at each scale.
    iterations_by_scale : tuple of int
        Iterations at each scale from coarse to fine; the last number is for all further scales; replaces `iterations`.

    Examples
    --------
    >>> from handstyle.painting.inputs import scales
    >>> scales(StyleConfig(pyramid_min_size=128, pyramid_factor=2), (512, 384))
    [(128, 96), (256, 192), (512, 384)]
    """

    pyramid_min_size: int = 128
    pyramid_factor: float = 2.0
    pyramid_detail: bool = True
    iterations_by_scale: tuple[int, ...] = ()

    def _faults(self) -> Iterator[str]:
        """Yield an error for values of this group that do not fit together."""
        if any(n < 1 for n in self.iterations_by_scale):
            yield f"iterations_by_scale={self.iterations_by_scale}: every one must be 1 or more"
        if self.pyramid_min_size and self.pyramid_factor <= 1:
            yield f"pyramid_factor={self.pyramid_factor}: must be above 1"


@dataclass(frozen=True, kw_only=True)
class RegionConfig(Group):
    """The blending of several paintings, and the regions of the photograph that each of them styles.

    Parameters
    ----------
    mask : tuple of str
        Mask of each region: a picture that is white inside the region. The first painting styles the first region, and
        so on.
    style_mask : tuple of str
        Mask for each painting: a picture that is white where the style is measured, or the word all.
    style_region : tuple of str
        Region for each painting: its number, counted from 1, or with `regions` its color; 0 for the whole picture.
        COLOR=PAINTING also gives the painting.
    style_blend : tuple of float
        Weight for each painting; equal by default.
    blend : str
        Blend the paintings' target statistics, or their losses.
    style_at : tuple of str
        Layers for each painting, separated by commas, or the word all.
    mask_rule : str
        The weight that a mask gives to a feature of a layer: with fraction the part of its receptive field that lies
        in the region, with inside 1 only if all of it does.
    hard_masks : bool
        Round the resized masks to 0 and 1.
    mask_mode : str
        Use masks as weights of means over the region (area), or as cysmith/neural-style-tf does.
    share_overlaps : bool
        Divide masks by their sum where it is above 1; otherwise each style has its full weight there.
    unmasked_weight : float
        Weight of the mean squared difference (0 to 255) from the photograph outside all masks.
    regions : str
        A picture in place of several masks, with an area of uniform color for each region; see `style_region`.
    unmasked : str
        Keep the photograph outside all masks, or paint that part too: with the paintings that have no mask or, if
        there are as many masks as paintings, with all of them.
    mask_dilate : int
        Pixels of the output by which every region grows; below 0 it shrinks.
    mask_feather : float
        Standard deviation, in pixels of the output, of the blur that softens the edges of the regions.

    Examples
    --------
    >>> try:
    ...     RegionConfig(mask=("sky.png", "ground.png"), regions="map.png")
    ... except HandstyleError as error:
    ...     print(error)
    regions='map.png': it replaces `mask`; leave one of them out
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

    def _faults(self) -> Iterator[str]:
        """Yield an error for values of this group that do not fit together."""
        if self.regions and self.mask:
            yield f"regions={self.regions!r}: it replaces `mask`; leave one of them out"
        if self.mask_mode == "cysmith" and (self.unmasked == "paint" or self.regions):
            yield "mask_mode='cysmith' uses only `mask`: leave out other settings of regions"
        if self.style_blend and (min(self.style_blend) < 0 or not any(self.style_blend)):
            yield f"style_blend={self.style_blend}: give weights of 0 or more, at least one above 0"
        if self.share_overlaps and len(self.mask) < 2 and not self.regions:
            yield f"`share_overlaps` needs two masks or more, there are {len(self.mask)}: leave it out"
        if self.mask_mode == "cysmith" and self.style_mask:
            yield "`style_mask`: not with mask_mode='cysmith', which uses `mask`; leave it out"

    def region_colors(self) -> tuple[str, ...]:
        """Return the colors of the regions: first that of region 1, then that of region 2, and so on.

        Regions are numbered in the order in which `style_region` names their colors. Without `regions` there are none.

        Examples
        --------
        >>> RegionConfig(regions="map.png", style_region=("red", "blue", "red", "0")).region_colors()
        ('red', 'blue')
        """
        return tuple(dict.fromkeys(region for region in self.style_region if region != "0")) if self.regions else ()

    def region_numbers(self, count: int) -> tuple[int, ...]:
        """Return the number of the region that each of `count` paintings styles.

        Regions are counted from 1; 0 is the whole picture. With ``unmasked="paint"`` the part outside all masks has the
        number after that of the last mask.

        Raises
        ------
        HandstyleError
            If there are masks, but the settings do not assign a region to each painting.

        Examples
        --------
        >>> RegionConfig(mask=("sky.png", "ground.png")).region_numbers(2)
        (1, 2)
        >>> RegionConfig(mask=("sky.png", "ground.png"), style_region=("2", "1")).region_numbers(2)
        (2, 1)
        >>> RegionConfig(mask="sky.png", unmasked="paint").region_numbers(2)  # the second paints outside the mask
        (1, 2)
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
        masks = len(self.mask)
        if masks == count or (self.unmasked == "paint" and masks < count):
            return tuple(min(number, masks + 1) for number in range(1, count + 1))
        raise HandstyleError(
            f"masks: {masks}, paintings: {count}; give as many of each, or name each painting's mask by `style_region`"
        )


@dataclass(frozen=True, kw_only=True)
class ColorConfig(Group):
    """The method by which the photograph's colors are kept.

    Parameters
    ----------
    color : str
        Keep the photograph's colors; luminance paints only its luminance, match gives the paintings the means and the
        covariance of its colors, histogram its histograms. With -after the result is changed instead, after the run.
    color_space : str
        The color space for luminance.
    color_match : str
        The square root of the covariance matrices for match.

    Examples
    --------
    >>> ColorConfig(color="luminance").color_space
    'yuv'
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
        Iterations of the optimizer at each scale.
    optimizer : str
        The method of optimization; lbfgsb is SciPy's L-BFGS-B, lbfgs this package's L-BFGS with a line search,
        lbfgs-fixed the same without a line search, descent gradient descent.
    lbfgs_history : int
        Number of pairs (step, change of gradient) that L-BFGS keeps.
    precondition : float
        Exponent by which lbfgsb and lbfgs scale the picture's cosine coefficients, 0 to 2; a larger one favors coarse
        changes over fine ones. 0 optimizes the pixels, 0.5 needs fewer evaluations.
    learning_rate : float
        Length of a step of adam in gray levels; for lbfgs-fixed and descent the factor of the direction.
    learning_rate_schedule : str
        Change of the learning rate; constant, exponential:FACTOR:STEPS, or root:DECAY, which divides it by
        √(1 + DECAY·step).
    beta1 : float
        Decay of adam's running mean of the gradient.
    beta2 : float
        Decay of adam's running mean of the squared gradient.
    epsilon : float
        Constant added to adam's divisor.
    averaging : float
        Decay of adam's running average of the pictures, which is then the result; 0 for no average.
    clamp : bool
        Clip every pixel to 0 to 255 after each step (not with lbfgsb).
    evaluations : int
        Evaluations of the objective at each scale at most; 0 for no limit.
    restarts : int
        Number of runs of SciPy's L-BFGS-B with its default settings, of `evaluations` each, as in the Keras
        script; 0 for one uninterrupted run.
    stop_below : float
        End a scale early if ten iterations together lower the loss by less than this fraction of it, such as 0.01; 0
        for no early end.

    Examples
    --------
    >>> try:
    ...     OptimizerConfig(optimizer="adam", evaluations=300)
    ... except HandstyleError as error:
    ...     print(error)
    evaluations=300: optimizer='adam' makes one in each iteration; use iterations=300 evaluations=0
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

    def _faults(self) -> Iterator[str]:
        """Yield an error for values of this group that do not fit together."""
        optimizer = self.optimizer
        if not 0 <= self.stop_below < 1:
            yield f"stop_below={self.stop_below}: must be a fraction of the loss, 0 or more and below 1"
        if self.restarts and self.stop_below:
            yield f"stop_below={self.stop_below}: not with `restarts`; use stop_below=0, or restarts=0"
        if self.restarts and optimizer != "lbfgsb":
            yield (
                f"restarts={self.restarts}: only SciPy's optimizer is restarted; use optimizer='lbfgsb', or restarts=0"
            )
        if self.restarts and not self.evaluations:
            yield f"restarts={self.restarts}: give the number of `evaluations` of each run; the Keras script has 20"
        if self.clamp and optimizer == "lbfgsb":
            yield "clamp=True: not with optimizer='lbfgsb'; use another, or clamp=False"
        if self.precondition and (self.restarts or (self.clamp and optimizer == "lbfgs")):
            whose = "clamp=True" if self.clamp else f"restarts={self.restarts}"
            yield (
                f"{whose} needs an optimizer of pixels, but precondition={self.precondition} optimizes cosine "
                "coefficients: use precondition=0"
            )
        if self.averaging and optimizer != "adam":
            yield f"averaging={self.averaging}: only for optimizer='adam'; use averaging=0"
        if self.learning_rate_schedule != "constant" and optimizer not in ("adam", "descent"):
            yield (
                f"learning_rate_schedule={self.learning_rate_schedule!r}: optimizer={optimizer!r} has a constant rate; "
                "use adam or descent, or learning_rate_schedule='constant'"
            )
        if self.evaluations and optimizer in ("adam", "descent"):
            yield (
                f"evaluations={self.evaluations}: optimizer={optimizer!r} makes one in each iteration; "
                f"use iterations={self.evaluations} evaluations=0"
            )
        for step in (1, self.iterations):
            self.learning_rate_at(step)

    def learning_rate_at(self, step: int) -> float:
        """Return the learning rate of a step: `learning_rate`, changed by `learning_rate_schedule`.

        Parameters
        ----------
        step : int
            The number of the step, counted from 1.

        Raises
        ------
        HandstyleError
            If the schedule is none of the three in `OptimizerConfig`.

        Examples
        --------
        >>> config = OptimizerConfig(optimizer="adam", learning_rate=2, learning_rate_schedule="exponential:0.5:100")
        >>> config.learning_rate_at(1), config.learning_rate_at(101)  # halved in 100 steps
        (2.0, 1.0)
        """
        kind, values = split_numbers(self.learning_rate_schedule)
        try:
            if kind == "constant" and not values:
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


def split_numbers(text: str) -> tuple[str, list[float]]:
    """Split ``name:number:number`` into the name and the numbers; nothing is left if one of them is no number.

    Examples
    --------
    >>> split_numbers("exponential:0.5:100"), split_numbers("root:fast")
    (('exponential', [0.5, 100.0]), ('', []))
    """
    name, *numbers = text.split(":")
    try:
        return name, [float(number) for number in numbers]
    except ValueError:
        return "", []


def _insert_group_parameters(config: type) -> type:
    """Insert the parameters of a configuration's base classes into its docstring."""
    docs = (inspect.cleandoc(group.__doc__ or "") for group in reversed(config.__bases__))  # as the fields are
    parameters = "\n".join(doc.partition("----------\n")[2].partition("\n\nExamples")[0] for doc in docs)
    config.__doc__ = inspect.cleandoc(config.__doc__ or "").replace("(those of the groups)", parameters)
    return config


@_insert_group_parameters
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
        If a value has the wrong type, is out of range, or does not fit another value.

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

    def _faults(self) -> Iterator[str]:
        """Yield an error for values of different groups that do not fit together."""
        content = self.content_weight > 0 and bool(self.content_layers)
        if not content and not self.has_style:
            yield "nothing to paint: give content or style a weight above 0 and a layer"
        if self.normalize_gradients and (self.style_statistic != "gram" or self.means_weight):
            yield "`normalize_gradients` is defined for style_statistic='gram' and means_weight=0"
        if self.mask_mode == "cysmith" and (self.style_statistic != "gram" or self.style_fit != "stretch"):
            yield "mask_mode='cysmith' applies one mask to both pictures: add style_fit='stretch'"
        if self.style_statistic == "patches":
            yield from self._faults_of_patches()
        if any(not set(at.split(",")) <= {*self.style_layers, "all"} for at in self.style_at):
            yield f"style_at={self.style_at}: use names of `style_layers`, separated by commas, or all"
        exact_gradient = not self.normalize_gradients and (VARIATIONS[self.tv].in_value or not self.tv_weight)
        if self.optimizer in LINE_SEARCH and not exact_gradient:
            cause = "`normalize_gradients`" if self.normalize_gradients else f"tv={self.tv!r}"
            yield (
                f"optimizer={self.optimizer!r} has a line search, but with {cause} the gradient is not that of the "
                "value: use lbfgs-fixed or adam"
            )
        if self.pyramid_min_size and self.restarts:
            yield f"restarts={self.restarts}: only at one scale; add pyramid_min_size=0"

    def _faults_of_patches(self) -> Iterator[str]:
        if self.tile:
            yield f"tile={self.tile}: not with style_statistic='patches', which needs the whole picture; use tile=0"
        if len(set(self.style_blend)) > 1 and self.blend == "targets":
            yield f"style_blend={self.style_blend}: a patch is compared with one other; add blend='losses'"
        if self.semantic_weight and not (self.mask or self.regions):
            yield f"semantic_weight={self.semantic_weight}: needs regions; give `mask` or `regions`"
        if self.semantic_weight and self.blend == "losses":
            yield f"semantic_weight={self.semantic_weight}: all paintings are searched together; use blend='targets'"

    @property
    def has_style_weight(self) -> bool:
        """Whether the strength or the weight of the style is above 0.

        Examples
        --------
        >>> StyleConfig(strength=0.5).has_style_weight, StyleConfig(style_weight=0).has_style_weight
        (True, False)
        """
        return bool(self.strength or self.style_weight)

    @property
    def has_style(self) -> bool:
        """Whether the objective has a style loss: a layer and a weight above 0.

        Examples
        --------
        >>> StyleConfig(strength=0).has_style, StyleConfig(strength=0, means_weight=1).has_style
        (False, True)
        """
        return bool(self.style_layers) and (self.has_style_weight or self.means_weight > 0)

    def layer_weights(self, loss: Literal["style", "content"]) -> dict[str, float]:
        """Return the weight of each layer of a loss: that of `style_layer_weights` or `content_layer_weights`, or 1.

        Examples
        --------
        >>> config = StyleConfig(style_layers=("relu1_1", "relu2_1"), style_layer_weights=(1, 0.5))
        >>> config.layer_weights("style"), config.layer_weights("content")
        ({'relu1_1': 1.0, 'relu2_1': 0.5}, {'relu4_2': 1.0})
        """
        layers: tuple[str, ...] = getattr(self, f"{loss}_layers")
        return dict(zip(layers, getattr(self, f"{loss}_layer_weights") or (1.0,) * len(layers), strict=True))

    def __repr__(self) -> str:
        """Return the settings that differ from the default, as a call."""
        default = {one.name: one.default for one in fields(self)} | {"strength": STRENGTH}
        return f"StyleConfig({', '.join(f'{k}={v!r}' for k, v in self.in_use().items() if v != default[k])})"

    def in_use(self) -> dict[str, Any]:
        """Return all fields by name, but of `strength` and `style_weight` only the one in use.

        Examples
        --------
        >>> settings = StyleConfig(style_weight=3).in_use()
        >>> settings["size"], settings["style_weight"], "strength" in settings
        (512, 3.0, False)
        """
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}

    def iterations_at(self, scale: int) -> int:
        """Return the number of iterations at a scale, or of restarts if there are any.

        Parameters
        ----------
        scale : int
            The number of the scale, counted from 0, the coarsest.

        Examples
        --------
        >>> config = StyleConfig(iterations_by_scale=(300, 100))
        >>> [config.iterations_at(scale) for scale in range(3)]
        [300, 100, 100]
        """
        counts = (self.restarts,) if self.restarts else self.iterations_by_scale or (self.iterations,)
        return counts[min(scale, len(counts) - 1)]

    def check_styles(self, count: int) -> None:
        """Raise `HandstyleError` if the settings with a value for each painting do not fit `count` paintings.

        Examples
        --------
        >>> try:
        ...     StyleConfig(style_blend=(0.7, 0.3)).check_styles(3)
        ... except HandstyleError as error:
        ...     print(error)
        style_blend=(0.7, 0.3): 2 given for 3 paintings; give one each
        """
        for name in ("style_blend", "style_at", "style_mask", "style_region"):
            given = getattr(self, name)
            if given and len(given) != count:
                raise HandstyleError(f"{name}={given}: {len(given)} given for {count} paintings; give one each")
        regions, rest = self.region_numbers(count), self.unmasked == "paint"
        if self.regions:
            return
        if rest and not self.mask:
            raise HandstyleError("unmasked='paint': needs regions; give `mask` or `regions`")
        if max(regions, default=0) > len(self.mask) + rest:
            raise HandstyleError(f"style_region={self.style_region}: there are only {len(self.mask)} masks")
        if idle := [i for i in range(1, len(self.mask) + 1) if i not in regions]:
            raise HandstyleError(f"mask {self.mask[idle[0] - 1]} has no painting: give one, or leave the mask out")

    def check_layers(self, network: Network) -> None:
        """Raise `HandstyleError` if the network does not have a layer of the settings.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> try:
        ...     StyleConfig().check_layers(build_network(random_weights(deepest="conv2_2")))
        ... except HandstyleError as error:
        ...     print(str(error).split(";")[0])
        content_layers='relu4_2': this network ends at relu2_2
        """
        for name in ("content_layers", "style_layers"):
            for tap in getattr(self, name):
                check_layer(network, name, tap)


def check_layer(network: Network, name: str, tap: str) -> None:
    """Raise `HandstyleError` if the network has no layer `tap`; the message begins with the parameter `name`.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> try:
    ...     check_layer(build_network(random_weights()), "style_layers", "relu6_1")
    ... except HandstyleError as error:
    ...     print(str(error)[:42])
    style_layers='relu6_1': no such layer: did
    """
    if tap in network.names:
        return
    if tap.replace("relu", "conv") in convolution_names(network.architecture):
        raise HandstyleError(
            f"{name}={tap!r}: this network ends at {network.names[-1]}; use an earlier layer, such as relu4_2, or "
            "a complete network, such as vgg19"
        )
    raise HandstyleError(f"{name}={tap!r}: no such layer{suggest(tap, network.names) or '; see handstyle info'}")


def style_config(config: StyleConfig | Mapping[str, Any] | None = None, **options: Any) -> StyleConfig:
    """Return a configuration with some fields changed.

    Parameters
    ----------
    config : StyleConfig or mapping, optional
        The configuration to change, by default `StyleConfig()`.
    **options
        Fields of `StyleConfig` and their new values. `iterations` also replaces `iterations_by_scale`.

    Raises
    ------
    HandstyleError
        If there is no such field, or a value is invalid.

    Examples
    --------
    >>> style_config(style_config(size=256, iterations=50), iterations=100)
    StyleConfig(size=256, iterations=100)
    """
    if not isinstance(config, StyleConfig | Mapping | None):
        raise HandstyleError(f"config={shown(config)}: give a StyleConfig, or a dict of its fields")
    if isinstance(config, StyleConfig) and not options:
        return config
    base = {f.name: getattr(config, f.name) for f in fields(config)} if isinstance(config, StyleConfig) else config
    return StyleConfig(**merge_settings(base or {}, options, field_types(StyleConfig)))


def merge_settings(base: Mapping[str, Any], over: Mapping[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """Merge two dictionaries of settings: those in `over` replace those in `base`.

    `iterations` in `over` also replaces `iterations_by_scale` in `base`, `size` replaces `print`, and `strength` and
    `style_weight` replace each other.

    Raises
    ------
    HandstyleError
        If a name is not in `known`, or `over` has both `size` and `print`.

    Examples
    --------
    >>> merge_settings({"size": 512, "strength": 0.5}, {"style_weight": 10}, ["size", "strength", "style_weight"])
    {'size': 512, 'style_weight': 10}
    """
    check_names((*base, *over), tuple(known))
    kept = dict(base)
    if "size" in over and over.get("print"):
        raise HandstyleError(f"print={over['print']}: sets the size of the output; leave size={over['size']} out")
    own_units = kept.get("style_normalization", "relative") != "relative" or kept.get("normalize_gradients")
    units_matter = over.get("strength") is not None and over.get("style_weight") is None
    if units_matter and own_units and kept.get("style_weight") is not None:
        raise HandstyleError(
            f"strength={over['strength']}: the weights of this preset or settings file are in other units; use "
            f"style_weight, which is {kept['style_weight']} there"
        )
    for name, other in REPLACE.items():
        if over.get(name) is not None:
            kept.pop(other, None)
    return {**kept, **over}
