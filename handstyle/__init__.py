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

>>> import handstyle
>>> result = handstyle.stylize("photograph.jpg", "painting.jpg")  # doctest: +SKIP
>>> result.save("out.png")  # doctest: +SKIP
"""

from handstyle.foundations.backend import Backend, choose_backend
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.gradcheck import check_adjoint, check_projection, check_taylor
from handstyle.foundations.picture_reading import Picture, read_picture
from handstyle.foundations.picture_writing import write_picture
from handstyle.network.vgg import Network, Weights, build_network
from handstyle.network.weights import read_weights, write_weights
from handstyle.painting.config import StyleConfig
from handstyle.painting.load import load_network
from handstyle.painting.stylize import Progress, Result, stylize

__all__ = [
    "Backend",
    "HandstyleError",
    "Network",
    "Picture",
    "Progress",
    "Result",
    "StyleConfig",
    "Weights",
    "build_network",
    "check_adjoint",
    "check_projection",
    "check_taylor",
    "choose_backend",
    "load_network",
    "read_picture",
    "read_weights",
    "stylize",
    "write_picture",
    "write_weights",
]
