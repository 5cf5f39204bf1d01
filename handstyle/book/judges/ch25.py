"""The same algorithm in many codes."""

from functools import cache

from handstyle.book.grading import exercise, mistake
from handstyle.foundations.image import preprocess_forward
from handstyle.network.vgg import build_network, random_weights
from handstyle.optimize.objective import evaluate
from handstyle.painting.config import StyleConfig
from handstyle.painting.normalizations import STYLE, Place
from handstyle.painting.targets import build_terms


@cache
def _network():
    return build_network(random_weights(widths=(4, 6, 8, 8, 8), deepest="conv2_2")).astype("float64")


RIGHT = {
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


def _gram(f):
    F = f.reshape(-1, f.shape[2])
    return F.T @ F / F.size


def _somebodys_loss(p, photo, art):
    """Return the three parts of the loss that the page prints; pictures are 0 to 255."""
    network, taps = _network(), ["relu1_1", "relu2_1", "relu2_2"]
    f, c, s = (network.forward(preprocess_forward(x, network.convention), taps)[0] for x in (p, photo, art))
    content = 7.5 * ((f["relu2_2"] - c["relu2_2"]) ** 2).mean()
    style = sum(400 / 2 * ((_gram(f[tap]) - _gram(s[tap])) ** 2).mean() for tap in taps[:2])
    q = p / 255
    return content, style, 3.0 * (abs(q[1:] - q[:-1]).sum() + abs(q[:, 1:] - q[:, :-1]).sum())


@exercise(
    "ch25-preset",
    "add a preset",
    ["my_preset"],
    mistake(
        "white taken for 255",
        "smoothness is measured on pictures from 0 to 1; tv_white says so",
        my_preset=lambda: RIGHT | {"tv_white": 255.0},
    ),
    mistake(
        "the mean of G",
        "F.size is CM, so the Gram matrix is divided by its channels, too",
        my_preset=lambda: RIGHT | {"style_normalization": "mean"},
    ),
    mistake(
        "no layer weights",
        "each layer has half of the weight",
        my_preset=lambda: RIGHT | {"style_layer_weights": ()},
    ),
    mistake(
        "the sum for the mean",
        "content is a mean over all values",
        my_preset=lambda: RIGHT | {"content_normalization": "sum"},
    ),
    mistake("squares", "smoothness is of absolute differences", my_preset=lambda: RIGHT | {"tv": "separate"}),
)
def _preset(mine, judge):
    p, photo, art = judge.rng.uniform(0, 255, (3, 32, 40, 3))
    config = StyleConfig(**mine.my_preset())
    terms = build_terms(_network(), config, photo, [art])
    values = dict.fromkeys(("content", "style", "total variation"), 0.0)
    for term, value in zip(terms, evaluate(_network(), terms, p)[0], strict=True):
        kind = next((kind for kind in values if term.name.startswith(kind)), "style")
        values[kind] += float(value)
    for (kind, found), expected in zip(values.items(), _somebodys_loss(p, photo, art), strict=True):
        judge.equal(f"the value of {kind}", found, expected, 1e-9)


def _list(weights, source, target, places, inverse=False, largest=True, first=False):
    found = []
    for w, at in zip(weights, places, strict=True):
        factor = STYLE[source](places[0] if first else at) / STYLE[target](places[0] if first else at)
        found.append(w / factor if inverse else w * factor)
    return [w / max(found) for w in found] if largest else found


@exercise(
    "ch25-list",
    "a list of weights",
    ["carried_list"],
    mistake(
        "weight carried the wrong way",
        "multiplied by the other program's factor and divided by its own",
        carried_list=lambda *a: _list(*a, inverse=True),
    ),
    mistake(
        "not divided",
        "the largest of the weights is to be 1",
        carried_list=lambda *a: _list(*a, largest=False),
    ),
    mistake(
        "one number for all layers",
        "the factor of the first layer was taken for each of them",
        carried_list=lambda *a: _list(*a, first=True),
    ),
)
def _carried(mine, judge):
    places = [Place(C, side**2, 512**2) for C, side in ((64, 512), (128, 256), (256, 128), (512, 64), (512, 32))]
    for source, target in (("keras", "neural-style"), ("neural-style", "mean"), ("gatys", "keras"), ("mean", "mean")):
        weights = list(judge.rng.uniform(0.5, 2, 5))
        found = mine.carried_list(list(weights), source, target, list(places))
        judge.equal(f"from {source} to {target}", found, _list(weights, source, target, places), 1e-12)
