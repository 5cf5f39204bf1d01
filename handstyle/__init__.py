"""Neural style transfer with every gradient written, derived and checked by hand.

handstyle paints one picture in the style of another (Gatys, Ecker and Bethge 2016). The forward and backward passes of
VGG are plain array code that runs on NumPy or CuPy, and the value and its analytic gradient go to SciPy's L-BFGS-B.

Read the package in this order; every folder is a part of the book, every file a chapter, and a module imports only
earlier ones:

1. ``foundations``: arrays on two machines, pictures, derivatives that can be trusted;
2. ``network``: padding, convolution, rectifier, pooling, the chain rule as a program, VGG, weights;
3. ``losses``: content, style, total variation;
4. ``optimize``: one number and one vector, and the methods that descend;
5. ``kernels``: the same functions, fast;
6. ``painting``: the whole painter.

Names are loaded when they are first used (PEP 562), so that ``import handstyle`` loads nothing besides.

>>> import handstyle
>>> result = handstyle.stylize("photograph.jpg", "painting.jpg")  # doctest: +SKIP
>>> result.save("out.png")  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Public name -> the module that has it.
_MODULES = {
    "Adam": "handstyle.optimize.adam",
    "Backend": "handstyle.foundations.backend",
    "ContentTerm": "handstyle.losses.content",
    "DistributionTerm": "handstyle.losses.distribution",
    "HandstyleError": "handstyle.foundations.errors",
    "Moments": "handstyle.losses.gram",
    "MomentsTerm": "handstyle.losses.gram",
    "Network": "handstyle.network.vgg",
    "Objective": "handstyle.optimize.objective",
    "Outcome": "handstyle.optimize.trace",
    "Painting": "handstyle.painting.targets",
    "PatchTerm": "handstyle.losses.patches",
    "PaintingInterrupted": "handstyle.painting.result",
    "Picture": "handstyle.foundations.picture_reading",
    "Preset": "handstyle.painting.presets",
    "Progress": "handstyle.painting.result",
    "Result": "handstyle.painting.result",
    "Snapshots": "handstyle.painting.report",
    "StyleConfig": "handstyle.painting.config",
    "StyleTerm": "handstyle.losses.gram",
    "Term": "handstyle.losses.terms",
    "VariationTerm": "handstyle.losses.total_variation",
    "Weights": "handstyle.network.vgg",
    "build_network": "handstyle.network.vgg",
    "build_terms": "handstyle.painting.targets",
    "check_adjoint": "handstyle.foundations.gradcheck",
    "check_projection": "handstyle.foundations.gradcheck",
    "check_taylor": "handstyle.foundations.gradcheck",
    "choose_backend": "handstyle.foundations.backend",
    "content_backward": "handstyle.losses.content",
    "content_forward": "handstyle.losses.content",
    "evaluate": "handstyle.optimize.objective",
    "find_preset": "handstyle.painting.presets",
    "frames": "handstyle.painting.film",
    "gram_loss": "handstyle.losses.gram",
    "last_result": "handstyle.painting.result",
    "live": "handstyle.painting.progress",
    "load_network": "handstyle.painting.load",
    "minimize_adam": "handstyle.optimize.adam",
    "minimize_lbfgs": "handstyle.optimize.lbfgs",
    "minimize_lbfgsb": "handstyle.optimize.lbfgsb",
    "moments_backward": "handstyle.losses.gram",
    "moments_forward": "handstyle.losses.gram",
    "preset": "handstyle.painting.presets",
    "read_picture": "handstyle.foundations.picture_reading",
    "read_weights": "handstyle.network.weights",
    "reconstruct": "handstyle.painting.stylize",
    "stylize": "handstyle.painting.stylize",
    "summary": "handstyle.network.vgg",
    "texture": "handstyle.painting.stylize",
    "temporal_term": "handstyle.losses.temporal",
    "total_variation": "handstyle.losses.total_variation",
    "wasserstein_loss": "handstyle.losses.distribution",
    "write_picture": "handstyle.foundations.picture_writing",
    "write_report": "handstyle.painting.report",
    "write_weights": "handstyle.network.weights",
}

__all__ = [*_MODULES, "__version__"]

if TYPE_CHECKING:  # the same names, for editors and type checkers
    from handstyle.foundations.backend import Backend as Backend
    from handstyle.foundations.backend import choose_backend as choose_backend
    from handstyle.foundations.errors import HandstyleError as HandstyleError
    from handstyle.foundations.gradcheck import check_adjoint as check_adjoint
    from handstyle.foundations.gradcheck import check_projection as check_projection
    from handstyle.foundations.gradcheck import check_taylor as check_taylor
    from handstyle.foundations.picture_reading import Picture as Picture
    from handstyle.foundations.picture_reading import read_picture as read_picture
    from handstyle.foundations.picture_writing import write_picture as write_picture
    from handstyle.losses.content import ContentTerm as ContentTerm
    from handstyle.losses.content import content_backward as content_backward
    from handstyle.losses.content import content_forward as content_forward
    from handstyle.losses.distribution import DistributionTerm as DistributionTerm
    from handstyle.losses.distribution import wasserstein_loss as wasserstein_loss
    from handstyle.losses.gram import Moments as Moments
    from handstyle.losses.gram import MomentsTerm as MomentsTerm
    from handstyle.losses.gram import StyleTerm as StyleTerm
    from handstyle.losses.gram import gram_loss as gram_loss
    from handstyle.losses.gram import moments_backward as moments_backward
    from handstyle.losses.gram import moments_forward as moments_forward
    from handstyle.losses.patches import PatchTerm as PatchTerm
    from handstyle.losses.temporal import temporal_term as temporal_term
    from handstyle.losses.terms import Term as Term
    from handstyle.losses.total_variation import VariationTerm as VariationTerm
    from handstyle.losses.total_variation import total_variation as total_variation
    from handstyle.network.vgg import Network as Network
    from handstyle.network.vgg import Weights as Weights
    from handstyle.network.vgg import build_network as build_network
    from handstyle.network.vgg import summary as summary
    from handstyle.network.weights import read_weights as read_weights
    from handstyle.network.weights import write_weights as write_weights
    from handstyle.optimize.adam import Adam as Adam
    from handstyle.optimize.adam import minimize_adam as minimize_adam
    from handstyle.optimize.lbfgs import minimize_lbfgs as minimize_lbfgs
    from handstyle.optimize.lbfgsb import minimize_lbfgsb as minimize_lbfgsb
    from handstyle.optimize.objective import Objective as Objective
    from handstyle.optimize.objective import evaluate as evaluate
    from handstyle.optimize.trace import Outcome as Outcome
    from handstyle.painting.config import StyleConfig as StyleConfig
    from handstyle.painting.film import frames as frames
    from handstyle.painting.load import load_network as load_network
    from handstyle.painting.presets import Preset as Preset
    from handstyle.painting.presets import find_preset as find_preset
    from handstyle.painting.presets import preset as preset
    from handstyle.painting.progress import live as live
    from handstyle.painting.report import Snapshots as Snapshots
    from handstyle.painting.report import write_report as write_report
    from handstyle.painting.result import PaintingInterrupted as PaintingInterrupted
    from handstyle.painting.result import Progress as Progress
    from handstyle.painting.result import Result as Result
    from handstyle.painting.result import last_result as last_result
    from handstyle.painting.stylize import reconstruct as reconstruct
    from handstyle.painting.stylize import stylize as stylize
    from handstyle.painting.stylize import texture as texture
    from handstyle.painting.targets import Painting as Painting
    from handstyle.painting.targets import build_terms as build_terms


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'handstyle' has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
