"""Tables of the factors by which published systems normalize the losses of style, content and total variation.

All systems compute the same three distances and divide them by different numbers. Here each normalization is a factor
of the sum of squares, so that a weight can be converted from one system to another: ``w_B = w_A factor_A / factor_B``.
The sum of squares of style is ``‖G − A‖²``, where G and A are the mean Gram matrices ``F Fᵀ / M`` of picture and
painting, with M positions and C channels at the layer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from handstyle.foundations.backend import Array
from handstyle.losses.total_variation import (
    Variation,
    absolute_variation,
    diagonal_variation,
    power_variation,
    separate_variation,
    total_variation,
)


@dataclass(frozen=True)
class Place:
    """The sizes of a layer and of the picture, on which the factor of a loss depends.

    Parameters
    ----------
    channels : int
        C, the channels of the layer.
    positions : int
        M, height times width of the layer's feature map of the picture.
    pixels : int
        Height times width of the picture.

    Examples
    --------
    >>> STYLE["mean"](Place(channels=64, positions=512**2, pixels=512**2)) == 1 / 64**2
    True
    """

    channels: int
    positions: int
    pixels: int


Factor = Callable[[Place], float]

# Factors of ‖G − A‖². None: relative to the target, 1 / ‖A‖².
STYLE: dict[str, Factor | None] = {
    # This package.
    "relative": None,
    # keras-team/keras examples/neural_style_transfer.py: Σ(S−C)² / (4 · 3² · (rows·cols)²), S = F Fᵀ = M G, at each.
    "keras": lambda at: at.positions**2 / (36 * at.pixels**2),
    # Gatys et al. 2016, eq. 4: 1 / (4 N² M²) with sums, C = N channels; also cysmith/neural-style-tf.
    "gatys": lambda at: 1 / (4 * at.channels**2),
    # Mean over the C² entries, G = F Fᵀ / M: leongatys LossLayers.lua GramMSE; TensorFlow's tutorial;
    # gordicaleksa sums the squares of F Fᵀ / (C M), which is the same.
    "mean": lambda at: 1 / at.channels**2,
    # Mean over the entries of F Fᵀ / (C M): jcjohnson/neural-style, neural-style-pt, anishathalye, PyTorch's tutorial;
    # leongatys' weights 1e3 / C² on "mean" give the same.
    "neural-style": lambda at: 1 / at.channels**4,
    # crowsonkb/style-transfer-pytorch StyleLossW2: means over the C channels; for the Wasserstein distance.
    "channels": lambda at: 1 / at.channels,
}

# Factors of Σ |P − Q|² over patches, by their size and stride. None: relative to the paintings', 1 / (n mean |Q|²).
PATCHES: dict[str, Callable[[int, int], float] | None] = {
    "relative": None,
    # chuanli11/CNNMRF mylib/mrf.lua has no value; its gradient at a feature is the mean of P − Q over the patches that
    # contain the feature: (size / stride)² of them, except near the border. The gradient of half the sum of squares is
    # the sum of P − Q over these patches.
    "cnnmrf": lambda size, stride: 0.5 * (stride / size) ** 2,
}

# Factors of Σ (F − P)². None: relative to the target, 1 / ‖P‖².
CONTENT: dict[str, Factor | None] = {
    "relative": None,
    # keras-team/keras: the plain sum.
    "sum": lambda at: 1.0,
    # Gatys et al. 2016, eq. 1; cysmith's content loss function 3.
    "half": lambda at: 0.5,
    # Mean over all values: neural-style, leongatys, crowson-pt, anishathalye, aleksa, both tutorials; cysmith's second.
    "mean": lambda at: 1 / (at.channels * at.positions),
    # cysmith/neural-style-tf content loss function 1, its default: 1 / (2 √N √M).
    "cysmith": lambda at: 0.5 / (at.channels * at.positions) ** 0.5,
}


@dataclass(frozen=True)
class VariationForm:
    """A definition of total variation.

    Parameters
    ----------
    variation : callable
        ``p -> value, dp`` for pictures from 0 to 255.
    degree : float
        The degree of homogeneity: for pictures from 0 to w the value is ``(w / 255)^degree`` times as large.
    in_value : bool
        Whether the value of the loss includes it in the author's program. If not, the gradient is not the derivative of
        the value.

    Examples
    --------
    >>> VARIATIONS["neural-style"].in_value
    False
    """

    variation: Variation
    degree: float
    in_value: bool = True


def _half_square(p: Array) -> tuple[Array, Array]:
    value, dp = power_variation(p, 1.0)
    return value / 2, dp / 2


VARIATIONS: dict[str, VariationForm] = {
    # This package.
    "mean-square": VariationForm(total_variation, 2),
    # keras-team/keras: Σ (dx² + dy²)^1.25.
    "keras": VariationForm(power_variation, 2.5),
    # neural-style-pt, aleksa, tf.image.total_variation: Σ |dx| + |dy|.
    "absolute": VariationForm(absolute_variation, 1),
    # anishathalye: mean dx² + mean dy².
    "separate": VariationForm(separate_variation, 2),
    # crowson-pt: nine points.
    "diagonal": VariationForm(diagonal_variation, 2),
    # jcjohnson/neural-style: the gradient of ½ Σ (dx² + dy²) inside; its value is left out of the loss.
    "neural-style": VariationForm(_half_square, 2, in_value=False),
    # crowsonkb/style_transfer num_utils.tv_norm, β = 2, periodic; EPS is float32's, on a scale where white is 2.
    "wrapped": VariationForm(partial(power_variation, exponent=1.0, epsilon=1.1920929e-07 * 127.5**2, edges="wrap"), 2),
}


def variation_factor(form: str, white: float) -> float:
    """Return the factor that converts a weight of total variation from another scale of pixel values to 0 to 255.

    Parameters
    ----------
    form : str
        The name of a definition in `VARIATIONS`.
    white : float
        White minus black on the other scale: 1, 2, 255 or 256 in published systems.

    Examples
    --------
    >>> variation_factor("absolute", white=1.0) == 1 / 255
    True
    """
    return float((white / 255) ** VARIATIONS[form].degree)  # book: preset-white


def carry_over(weight: float, table: dict[str, Factor | None], source: str, target: str, at: Place) -> float | None:
    """Convert a weight from one normalization to another, so that the loss stays the same.

    Parameters
    ----------
    weight : float
        The weight under the normalization `source`.
    table : dict
        `STYLE` or `CONTENT`.
    source, target : str
        Names in the table.
    at : Place
        The sizes of the layer and the picture.

    Returns
    -------
    float or None
        None if one of the two normalizations is relative to the target and the other is not: the factor then depends
        on the pictures.

    Examples
    --------
    >>> relu1_1 = Place(channels=64, positions=512**2, pixels=512**2)
    >>> carry_over(1.0, STYLE, "mean", "neural-style", relu1_1)  # 64²
    4096.0
    """
    if source == target:
        return weight
    a, b = table[source], table[target]
    return None if a is None or b is None else weight * a(at) / b(at)  # book: preset-carry
