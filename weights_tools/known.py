"""Networks that are recognized: values of the first kernel, and fingerprints where the network itself could be run.

A landmark is the kernel of conv1_1's first filter, or the part of it that is known; not a number stands for the rest.
It tells which network lies in a file, whether its colors were exchanged or its kernels turned, and on which scale it
expects its pictures: nothing of that needs the network to be run.
"""

from dataclasses import dataclass, field

import numpy as np

from handstyle.foundations.backend import Array
from weights_tools.fingerprint import Fingerprint, Statistics

OXFORD = "CC BY 4.0 (Visual Geometry Group, Oxford)"
TORCHVISION = "none stated for the weights; torchvision's code is BSD-3-Clause"


def _filter(*colors: str) -> Array:  # three kernels of nine numbers, in the order of the convention -> (3, 3, 3)
    return np.stack([np.array(color.split(), float).reshape(3, 3) for color in colors], -1)


@dataclass(frozen=True)
class Known:
    """A published network.

    Parameters
    ----------
    title : str
        For people.
    architecture, convention : str
        As in `Weights`.
    landmark : (3, 3, 3) array
        conv1_1's first filter, rows, columns, colors in the order of the convention.
    source : str
        Where the landmark's values are from.
    licence : str
        Of the weights, as far as it is stated.
    fingerprint : dict
        Empty where the network could not be run.
    """

    title: str
    architecture: str
    convention: str
    landmark: Array
    source: str
    licence: str
    fingerprint: Fingerprint = field(default_factory=dict)


# Measured by `weights_tools.fingerprint` on a file whose conv1_1 to conv3_4 and biases are the exact originals; its
# later kernels were restored from an 8-bit quantization; hence `tolerance`.
_VGG19_CAFFE = """
relu1_1 0.511005 26.6923 57.768 -0.129222
relu1_2 0.332898 123.623 260.666 0.30387
relu2_1 0.416715 147.991 285.089 -0.525685
relu2_2 0.583264 159.007 402.008 -0.0399278
relu3_1 0.500203 224.71 467.237 0.0510691
relu3_2 0.481209 255.425 490.557 -0.344055
relu3_3 0.261523 546.301 827.396 0.00713602
relu3_4 0.384668 857.556 1506.31 -0.500301
relu4_1 0.512435 844.057 1602.99 0.184623
relu4_2 0.610775 603.906 1331 -0.575652
relu4_3 0.66403 366.286 860.545 0.36426
relu4_4 0.850326 93.8393 356.073 -0.523325
relu5_1 0.73724 102.53 278.384 0.252968
relu5_2 0.769206 41.8323 121.816 0.121655
relu5_3 0.807031 13.9786 43.6147 -0.419161
relu5_4 0.924805 1.75881 9.24153 0.616835
"""

# In float16 the first three blocks move by up to 0.0002. Quantizing the later kernels once more moves block 4 by up to
# 0.026 and block 5 by up to 0.024; the originals lie as far away in the other direction, at most.
TOLERANCES = {"1": 0.002, "2": 0.002, "3": 0.002, "4": 0.06, "5": 0.06}
EXTENT = "to 0.2 % in blocks 1 to 3, and to 6 % in blocks 4 and 5, where the reference is a quantized copy"
OWN_TOLERANCE = 0.002  # against a fingerprint that was stored with the very same values


def tolerance(layer: str) -> float:
    """Return how far a layer may be from the stored fingerprint of a published network."""
    return TOLERANCES[layer.removeprefix("relu")[0]]


# fmt: off
KNOWN = (
    Known(
        "VGG-19 of the Visual Geometry Group (Caffe)", "vgg19", "caffe",
        _filter("0.3411952 0.339992 -0.04484424 0.2321592 0.08978214 -0.3033143 -0.07260918 -0.246675 -0.3368328",
                "0.4641837 0.4181084 -0.04806903 0.3051121 0.1038538 -0.3731406 -0.07646758 -0.3107071 -0.4645371",
                "0.394167 0.3774031 -0.04594866 0.2671299 0.09986369 -0.3410087 -0.07573577 -0.2803425 -0.4160227"),
        "the weights themselves", OXFORD,
        {name: Statistics(*map(float, values)) for name, *values in map(str.split, _VGG19_CAFFE.strip().splitlines())},
    ),
    Known(
        "VGG-16 of the Visual Geometry Group (Caffe)", "vgg16", "caffe",
        _filter("0.4294706 0.373467 -0.06136011 0.2747699 0.03868078 -0.3672233 -0.05746817 -0.2622497 -0.3500968",
                "0.5503794" + 8 * " nan", "0.4800154" + 8 * " nan"),
        "values printed in public code that reads Keras' and MatConvNet's VGG-16", OXFORD,
    ),
    Known(
        "VGG-19 of torchvision", "vgg19", "torchvision",
        _filter("-0.053474 -0.049257 -0.067942 0.015314 0.045068 0.0021444 0.036226 0.019999 0.019864",
                "0.017015 0.055403 -0.0062293 0.14165 0.22705 0.13758 0.12000 0.20030 0.092114",
                "-0.044885 0.012680 -0.014497 0.059742 0.13955 0.054102 -0.00096141 0.058304 -0.029663"),
        "values printed in public notebooks", TORCHVISION,
    ),
    Known(
        "VGG-16 of torchvision", "vgg16", "torchvision",
        _filter("-0.5537 0.1427 0.5290 -0.5831 0.3566 0.7657 -0.6902 -0.0480 0.4841",
                "0.1755 0.0098 -0.0814 0.0441 -0.0703 -0.2604 0.1324 -0.1728 -0.1323",
                "0.3130 -0.1659 -0.4275 0.4752 -0.0827 -0.4870 0.6320 0.0193 -0.2775"),
        "values printed, to four decimals, in public notebooks", TORCHVISION,
    ),
)
# fmt: on
