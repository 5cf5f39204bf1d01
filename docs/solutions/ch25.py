"""Solutions to chapter 25. The judges that hold them grade a reader's file too."""

from handstyle.painting.normalizations import STYLE


def my_preset():  # -> fields of StyleConfig
    """Return somebody's choices."""
    return {
        "content_layers": ("relu2_2",),
        "content_weight": 7.5,
        "content_normalization": "mean",
        "style_layers": ("relu1_1", "relu2_1"),
        "style_layer_weights": (0.5, 0.5),
        "style_weight": 400.0,
        "style_normalization": "neural-style",
        "tv": "absolute",
        "tv_weight": 3.0,
        "tv_white": 1.0,
    }


def carried_list(weights, source, target, places):  # -> list of float, the largest 1
    """Return style weights in the units of another program, up to a factor."""
    pairs = zip(weights, places, strict=True)
    found = [w * STYLE[source](at) / STYLE[target](at) for w, at in pairs]
    return [w / max(found) for w in found]
