"""The problem that several figures and chapters share: a small town in the style of the strokes, as an objective."""

from fig.common import network, painting, photograph
from handstyle.foundations.image import preprocess_forward
from handstyle.losses.content import ContentTerm
from handstyle.losses.gram import StyleTerm, moments_forward
from handstyle.losses.total_variation import VariationTerm
from handstyle.optimize.objective import Objective

STYLE_TAPS, CONTENT_TAP = ("relu1_1", "relu2_1", "relu3_1"), "relu3_1"


def town(height=48, width=64, dtype="float64", style=10.0, content=1.0, variation=1e-4):
    """Return the objective and its start, the photograph as a flat vector."""
    net, photo, art = network(dtype), photograph(height, width), painting(height, width)
    x, y = (preprocess_forward(p.astype(dtype), net.convention) for p in (photo, art))
    wanted = net.forward(x, [CONTENT_TAP])[0][CONTENT_TAP]
    manner, _ = net.forward(y, STYLE_TAPS)
    terms = [StyleTerm(tap, moments_forward(manner[tap]), style) for tap in STYLE_TAPS]
    terms += [ContentTerm(CONTENT_TAP, wanted, content), VariationTerm(variation)]
    return Objective(net, terms, photo.shape), photo.ravel().copy()
