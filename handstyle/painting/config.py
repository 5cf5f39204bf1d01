"""Every choice of a run, with its default: the one place where a default is written.

The command line takes its flags and their help from here, the report writes it down, and a run with an equal
`StyleConfig`, equal inputs and an equal network gives an equal picture.
"""

import math
from dataclasses import dataclass, fields

from handstyle.foundations.errors import HandstyleError
from handstyle.losses.regions import RULES
from handstyle.network.vgg import Network, convolution_names
from handstyle.painting.color import METHODS, SPACES
from handstyle.painting.normalizations import CONTENT, SMOOTHNESS, STYLE

SMALLEST_SIDE = 16  # pixels: four poolings leave one

CHOICES: dict[str, tuple[str, ...]] = {
    "size_rule": ("long", "short", "height", "square"),
    "style_fit": ("keep", "stretch"),
    "content_normalization": tuple(CONTENT),
    "style_normalization": tuple(STYLE),
    "style_statistic": ("gram", "covariance", "wasserstein"),
    "tv": tuple(SMOOTHNESS),
    "optimizer": ("lbfgsb", "lbfgs", "lbfgs-fixed", "adam", "descent"),
    "blend": ("targets", "losses"),
    "mask_rule": RULES,
    "mask_mode": ("area", "cysmith"),
    "color": ("none", "luminance", "luminance-after", "match", "match-after", "histogram", "histogram-after"),
    "color_space": SPACES,
    "color_match": METHODS,
}
LINE_SEARCH = ("lbfgsb", "lbfgs")


@dataclass(frozen=True, kw_only=True)
class StyleConfig:
    """The choices of a run.

    Parameters
    ----------
    size : int
        Side of the output in pixels, the long one by default; a smaller photograph is not enlarged.
    size_rule : str
        Which side `size` is: long, short, height, or square, which squashes.
    style_size : int
        Long side of the painting in pixels while its style is measured; 0 takes the output's. Larger gives larger
        strokes.
    style_scale : float
        The painting's size over the output's, where style_size is 0.
    style_fit : str
        keep the painting's proportions, or stretch it to the photograph's shape as some systems do.
    iterations : int
        At each scale.
    init : str
        The start: content, noise (uniform), grey, style-stats (noise of the paintings' colors), normal:SIGMA or
        uniform:LOW:HIGH about the network's mean, or the path of a picture.
    content_weight : float
        How much the content counts: by default its relative squared error.
    style_weight : float
        How much each style layer counts: by default the relative squared error of its Gram matrix.
    tv_weight : float
        How much total variation counts: by default the mean squared difference of neighbouring pixels (0 to 255).
    means_weight : float
        How much, at each style layer, the means and the standard deviations of the channels count besides.
    range_weight : float
        How much values near and beyond black and white count: Σ |(p − 127.5) / 127.5|^6.
    content_layers : tuple of str
        Where content is measured.
    style_layers : tuple of str
        Where style is measured.
    content_layer_weights : tuple of float
        One a content layer; all 1 by default.
    style_layer_weights : tuple of float
        One a style layer; all 1 by default.
    content_normalization : str
        What content is divided by: relative, sum, half, mean, cysmith.
    style_normalization : str
        What style is divided by: relative, keras, gatys, mean, neural-style, channels.
    style_statistic : str
        gram, covariance, or wasserstein.
    tv : str
        The form of total variation: mean-square, keras, absolute, separate, diagonal, neural-style, wrapped.
    tv_white : float
        White minus black on the scale on which total variation is taken: 255, or 1 in many systems.
    normalize_gradients : bool
        Divide every layer's gradient by its mean magnitude, as crowsonkb/style_transfer does; no line search can
        follow that.
    optimizer : str
        lbfgsb (SciPy's), lbfgs (own, with a line search), lbfgs-fixed (own, fixed steps), adam, or descent.
    lbfgs_history : int
        Pairs (step, change of gradient) that L-BFGS keeps.
    learning_rate : float
        Length of a step of adam in grey levels, of lbfgs-fixed and descent in multiples of the direction.
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
    pyramid_min_size : int
        Begin at a picture of at least this size and grow; 0 for one scale.
    pyramid_factor : float
        Growth from one scale to the next.
    iterations_by_scale : tuple of int
        From coarse to fine, the last one for all that follow; replaces iterations.
    style_blend : tuple of float
        One weight a painting; equal by default.
    blend : str
        Blend the paintings' targets, or their losses.
    style_at : tuple of str
        One a painting: the layers it is used at, with commas, or all.
    mask : tuple of str
        Pictures, white where a region is; the first region has the first painting, and so on.
    style_mask : tuple of str
        One a painting: a picture, white where its style is measured, or all.
    style_region : tuple of int
        One a painting: the number of its region, counted from 1; 0 for the whole picture.
    mask_rule : str
        How masks are carried to a layer: fraction or inside.
    hard_masks : bool
        Cut carried masks at one half.
    mask_mode : str
        area (means over the region), or cysmith (that system's reading).
    share_overlaps : bool
        Where masks add up to more than 1, divide them by their sum; otherwise each style pulls there with all its
        strength.
    unmasked_weight : float
        How firmly what no mask claims is held to the photograph's pixels: the mean squared difference (0 to 255).
    color : str
        none; luminance, match or histogram, before the run; or the same with -after.
    color_space : str
        Of luminance: yuv, lab or luv.
    color_match : str
        Of match: cholesky, pca or symmetric.
    seed : int
        Of the noise.
    """

    size: int = 512
    size_rule: str = "long"
    style_size: int = 0
    style_scale: float = 1.0
    style_fit: str = "keep"
    iterations: int = 200
    init: str = "content"
    content_weight: float = 1.0
    style_weight: float = 10.0
    tv_weight: float = 1e-5
    means_weight: float = 0.0
    range_weight: float = 0.0
    content_layers: tuple[str, ...] = ("relu4_2",)
    style_layers: tuple[str, ...] = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    content_layer_weights: tuple[float, ...] = ()
    style_layer_weights: tuple[float, ...] = ()
    content_normalization: str = "relative"
    style_normalization: str = "relative"
    style_statistic: str = "gram"
    tv: str = "mean-square"
    tv_white: float = 255.0
    normalize_gradients: bool = False
    optimizer: str = "lbfgsb"
    lbfgs_history: int = 10
    learning_rate: float = 1.0
    learning_rate_schedule: str = "constant"
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    averaging: float = 0.0
    clamp: bool = False
    evaluations: int = 0
    restarts: int = 0
    pyramid_min_size: int = 0
    pyramid_factor: float = 2.0
    iterations_by_scale: tuple[int, ...] = ()
    style_blend: tuple[float, ...] = ()
    blend: str = "targets"
    style_at: tuple[str, ...] = ()
    mask: tuple[str, ...] = ()
    style_mask: tuple[str, ...] = ()
    style_region: tuple[int, ...] = ()
    mask_rule: str = "fraction"
    hard_masks: bool = False
    mask_mode: str = "area"
    share_overlaps: bool = False
    unmasked_weight: float = 0.03
    color: str = "none"
    color_space: str = "yuv"
    color_match: str = "symmetric"
    seed: int = 0

    def check(self) -> None:
        """Raise `HandstyleError` if a value makes no sense, before anything is read or computed."""
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise HandstyleError(f"{flag(name)} {getattr(self, name)}: use {', '.join(allowed)}")
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_weight") and not (math.isfinite(value) and value >= 0):
                raise HandstyleError(f"{flag(field.name)} {value}: a weight is a number of 0 or more")
            if field.name.endswith("_weights") and any(not (math.isfinite(w) and w >= 0) for w in value):
                raise HandstyleError(f"{flag(field.name)} {value}: a weight is a number of 0 or more")
        for name, least in LEAST.items():
            if not getattr(self, name) >= least:
                raise HandstyleError(f"{flag(name)} {getattr(self, name)}: must be {least} or more")
        if any(n < 1 for n in self.iterations_by_scale):
            raise HandstyleError(f"--iterations-by-scale {self.iterations_by_scale}: every one must be 1 or more")
        if 0 < self.style_size < SMALLEST_SIDE:
            raise HandstyleError(f"--style-size {self.style_size}: must be {SMALLEST_SIDE} or more, or 0 for --size")
        for name in ("tv_white", "style_scale", "learning_rate", "epsilon"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise HandstyleError(f"{flag(name)} {getattr(self, name)}: must be above 0")
        for name in ("beta1", "beta2", "averaging"):
            if not 0 <= getattr(self, name) < 1:
                raise HandstyleError(f"{flag(name)} {getattr(self, name)}: must lie between 0 and 1")
        self._check_terms()
        self._check_optimizer()

    def _check_terms(self) -> None:
        content = self.content_weight > 0 and bool(self.content_layers)
        style = (self.style_weight > 0 or self.means_weight > 0) and bool(self.style_layers)
        if not content and not style:
            raise HandstyleError("nothing to paint: give content or style a weight above 0 and a layer")
        for name in ("content_layer", "style_layer"):
            weights, layers = getattr(self, f"{name}_weights"), getattr(self, f"{name}s")
            if weights and len(weights) != len(layers):
                raise HandstyleError(
                    f"{flag(name)}-weights: {len(weights)} weights for {len(layers)} layers; give one each"
                )
            if weights and not any(weights):
                raise HandstyleError(f"{flag(name)}-weights: all are zero; give one layer a weight above 0")
        if self.style_normalization == "channels" and self.style_statistic != "wasserstein":
            raise HandstyleError("--style-normalization channels is for --style-statistic wasserstein")
        if self.style_statistic != "gram" and self.style_normalization in ("keras", "gatys", "neural-style"):
            raise HandstyleError(
                f"--style-normalization {self.style_normalization} is defined for Gram matrices; "
                f"with --style-statistic {self.style_statistic} use relative, mean or channels"
            )
        if self.normalize_gradients and (self.style_statistic != "gram" or self.means_weight):
            raise HandstyleError("--normalize-gradients is defined for --style-statistic gram without --means-weight")
        if self.mask_mode == "cysmith" and (self.style_statistic != "gram" or self.style_fit != "stretch"):
            raise HandstyleError("--mask-mode cysmith lays one mask on both pictures: add --style-fit stretch")

    def _check_optimizer(self) -> None:
        follows = not self.normalize_gradients and (SMOOTHNESS[self.tv].in_value or not self.tv_weight)
        if self.optimizer in LINE_SEARCH and not follows:
            raise HandstyleError(
                f"--optimizer {self.optimizer} searches along a line, but with "
                f"{'--normalize-gradients' if self.normalize_gradients else '--tv ' + self.tv} the gradient is not that of the value: "
                "use lbfgs-fixed or adam"
            )
        if self.restarts and self.optimizer != "lbfgsb":
            raise HandstyleError("--restarts restarts SciPy's optimizer: add --optimizer lbfgsb, or --restarts 0")
        if self.restarts and not self.evaluations:
            raise HandstyleError("--restarts needs --evaluations, of each round; the classic script has 20")
        if self.clamp and self.optimizer == "lbfgsb":
            raise HandstyleError("--clamp: not with --optimizer lbfgsb; use another, or --no-clamp")
        if self.averaging and self.optimizer != "adam":
            raise HandstyleError(
                f"--averaging {self.averaging} is adam's: with --optimizer {self.optimizer} add --averaging 0"
            )
        if self.learning_rate_schedule != "constant" and self.optimizer not in ("adam", "descent"):
            raise HandstyleError(
                f"--learning-rate-schedule {self.learning_rate_schedule}: --optimizer {self.optimizer} has a constant rate; use adam or "
                "descent, or --learning-rate-schedule constant"
            )
        if self.evaluations and self.optimizer in ("adam", "descent"):
            raise HandstyleError(
                f"--evaluations {self.evaluations}: --optimizer {self.optimizer} makes one an iteration; "
                f"use --iterations {self.evaluations} --evaluations 0"
            )
        if self.pyramid_min_size and self.pyramid_factor <= 1:
            raise HandstyleError(f"--pyramid-factor {self.pyramid_factor}: must be above 1")
        if self.pyramid_min_size and self.restarts:
            raise HandstyleError("--restarts is the classic loop, at one scale: add --pyramid-min-size 0")
        self.rate_at(1)

    def check_styles(self, count: int) -> None:
        """Raise `HandstyleError` if blends, masks and layers do not fit the number of paintings."""
        for name in ("style_blend", "style_at", "style_mask", "style_region"):
            given = len(getattr(self, name))
            if given and given != count:
                raise HandstyleError(f"{flag(name)}: {given} given for {count} paintings; give one each")
        if self.style_blend and (min(self.style_blend) < 0 or not any(self.style_blend)):
            raise HandstyleError(f"--style-blend {self.style_blend}: weights of 0 or more are needed, one above 0")
        regions = self.regions(count)
        if max(regions, default=0) > len(self.mask) or min(regions, default=0) < 0:
            raise HandstyleError(f"--style-region {self.style_region}: there are {len(self.mask)} masks")
        if idle := [i for i in range(1, len(self.mask) + 1) if i not in regions]:
            raise HandstyleError(f"--mask {self.mask[idle[0] - 1]} has no painting: give one, or leave the mask out")
        if any(not set(at.split(",")) <= {*self.style_layers, "all"} for at in self.style_at):
            raise HandstyleError(f"--style-at {self.style_at}: use names of --style-layers, with commas, or all")
        if self.share_overlaps and len(self.mask) < 2:
            raise HandstyleError(f"--share-overlaps: {len(self.mask)} masks cannot overlap; give --mask twice or more")
        if self.mask_mode == "cysmith" and self.style_mask:
            raise HandstyleError("--style-mask: not with --mask-mode cysmith, which lays --mask on the paintings")

    def regions(self, count: int) -> tuple[int, ...]:
        """Return the region of each painting, counted from 1; 0 is the whole picture.

        Raises
        ------
        HandstyleError
            If there are masks, but it is not clear which painting belongs to which.
        """
        if self.style_region:
            return self.style_region
        if not self.mask:
            return (0,) * count
        if len(self.mask) != count:
            raise HandstyleError(
                f"masks: {len(self.mask)}, paintings: {count}; give as many of each, or name each painting's mask "
                "by --style-region"
            )
        return tuple(range(1, count + 1))

    def check_layers(self, network: Network) -> None:
        """Raise `HandstyleError` if a layer is not the network's."""
        for name, taps in (("content_layers", self.content_layers), ("style_layers", self.style_layers)):
            for tap in taps:
                if tap.replace("relu", "conv") in convolution_names(network.architecture) and tap not in network.names:
                    raise HandstyleError(
                        f"{flag(name)} {tap}: this network ends at {network.names[-1]}; name a layer before, such as "
                        "relu4_2, or take a whole network: --weights vgg19"
                    )
                if tap not in network.names:
                    raise HandstyleError(
                        f"{flag(name)} {tap}: no such layer; this network has {', '.join(network.names)}"
                    )
            if len(set(taps)) != len(taps):
                raise HandstyleError(f"{flag(name)}: a layer is named twice")

    def rate_at(self, step: int) -> float:
        """Return the rate of a step, counted from 1, under the schedule."""
        kind, *numbers = self.learning_rate_schedule.split(":")
        try:
            values = [float(number) for number in numbers]
        except ValueError:
            values = []
        if kind == "constant" and not numbers:
            return self.learning_rate
        if kind == "exponential" and len(values) == 2 and values[0] > 0 and values[1] > 0:
            return float(self.learning_rate * values[0] ** ((step - 1) / values[1]))
        if kind == "root" and len(values) == 1 and values[0] > 0:
            return float(self.learning_rate / math.sqrt(1 + values[0] * (step - 1)))
        raise HandstyleError(
            f"--learning-rate-schedule {self.learning_rate_schedule}: use constant, exponential:FACTOR:STEPS or root:DECAY"
        )


LEAST = {
    "size": SMALLEST_SIDE,
    "style_size": 0,
    "iterations": 1,
    "lbfgs_history": 1,
    "seed": 0,
    "evaluations": 0,
    "restarts": 0,
    "pyramid_min_size": 0,
}


def flag(name: str) -> str:
    """Return the flag of a field: ``--style-weight``."""
    return "--" + name.replace("_", "-")
