"""Name the settings of a run that have no effect beside its other settings."""

from collections.abc import Iterable

from handstyle.painting.config import LINE_SEARCH, StyleConfig


def idle_notes(config: StyleConfig, names: Iterable[str], count: int) -> list[str]:
    """Return a note on each of the named settings that has no effect beside the others.

    Parameters
    ----------
    config : StyleConfig
        The settings of the run.
    names : iterable of str
        The settings that the user has given; a preset or a recipe has others that are idle, too.
    count : int
        Number of paintings.

    Examples
    --------
    >>> idle_notes(StyleConfig(optimizer="adam", lbfgs_history=5), ["optimizer", "lbfgs_history"], 1)
    ["`lbfgs_history` has no effect with optimizer='adam'"]
    """
    optimizer, color = f"with optimizer={config.optimizer!r}", f"with color={config.color!r}"
    masked, without = config.mask or config.regions, "without `mask` or `regions`"
    idle = (
        (not masked, without, "mask_dilate mask_feather unmasked_weight"),
        (count == 1, "with one painting", "style_blend blend"),
        (not config.color.startswith("luminance"), color, "color_space"),
        (not config.color.startswith("match"), color, "color_match"),
        (config.style_size > 0, "beside `style_size`", "style_scale"),
        (not config.pyramid_min_size, "with pyramid_min_size=0", "pyramid_factor pyramid_detail"),
        (config.init != "content", f"with init={config.init!r}", "pyramid_detail"),
        (not config.tv_weight, "with tv_weight=0", "tv tv_white"),
        (bool(config.iterations_by_scale), "beside `iterations_by_scale`", "iterations"),
        (config.restarts > 0, "beside `restarts`", "iterations iterations_by_scale lbfgs_history"),
        (config.optimizer in LINE_SEARCH, optimizer, "learning_rate"),
        (config.optimizer not in LINE_SEARCH, optimizer, "precondition"),
        (config.optimizer in ("adam", "descent"), optimizer, "lbfgs_history"),
        (config.optimizer != "adam", optimizer, "beta1 beta2 epsilon"),
    )
    reasons = {name: reason for holds, reason, settings in idle if holds for name in settings.split()}
    return [f"`{name}` has no effect {reasons[name]}" for name in names if name in reasons]
