"""Read AdaIN's ``vgg_normalised.pth``: Gatys' network after a layer that converts pictures to Caffe's convention.

The layer is a 1 × 1 convolution for RGB pictures from 0 to 1, at position 0 of a Sequential. Before each further
convolution there is a reflection padding, which has a position too: 2 is conv1_1, 5 conv1_2, 9 conv2_1 and so on
(xunhuang1995/AdaIN-style, models/download_models.sh; naoto0804/pytorch-AdaIN, net.py). In this package
`preprocess_forward` converts pictures, so the layer is checked and left out.
"""

from collections.abc import Callable, Mapping

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.image import CAFFE
from weights_tools.readers.reading import indexed_names

COLOR_LAYER = "0.weight", "0.bias"
NOTE = "behind a layer for colors; its code pads by reflection and rounds pools up (--padding reflect --rounding up)"


def color_layer_keys(shapes: Mapping[str, tuple[int, ...]], fetch: Callable[[str], Array]) -> dict[str, str] | None:
    """Return the keys of all layers of a file whose first layer converts colors, after checking that layer.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        The shapes of all arrays of the file by their keys.
    fetch : callable
        Returns the array with a key.

    Returns
    -------
    dict of str to str or None
        Names such as ``conv1_1.weight`` with their keys in the file; None if the file has no layer for colors.

    Raises
    ------
    HandstyleError
        If the first layer is a different 1 x 1 convolution.

    Examples
    --------
    >>> layer = {"0.weight": 255 * np.eye(3)[::-1].reshape(3, 3, 1, 1), "0.bias": -np.array(CAFFE.mean)}
    >>> shapes = {key: a.shape for key, a in layer.items()} | {"2.weight": (64, 3, 3, 3), "2.bias": (64,)}
    >>> color_layer_keys(shapes, layer.get)
    {'conv1_1.weight': '2.weight', 'conv1_1.bias': '2.bias'}
    >>> color_layer_keys({"0.weight": (64, 3, 3, 3), "0.bias": (64,)}, layer.get) is None  # of torchvision
    True
    """
    if shapes.get(COLOR_LAYER[0]) != (3, 3, 1, 1) or shapes.get(COLOR_LAYER[1]) != (3,):
        return None
    w, b = (fetch(key) for key in COLOR_LAYER)
    usual = 255 * np.eye(3)[::-1]  # RGB in, BGR out
    if not (np.allclose(w[..., 0, 0], usual, atol=0.1) and np.allclose(b, [-m for m in CAFFE.mean], atol=0.1)):
        raise HandstyleError("its first layer, of 1 x 1, is not the one that converts pictures to Caffe's convention")
    names = indexed_names("vgg19", first=2, step=3)
    found = {}
    for key in shapes:
        place, _, kind = key.rpartition(".")
        if key in COLOR_LAYER:
            continue
        if not place.isdecimal() or int(place) not in names:
            raise HandstyleError(f"after its layer for colors there is {key[:40]}, which VGG-19 does not have")
        found[f"{names[int(place)]}.{kind}"] = key
    return found
