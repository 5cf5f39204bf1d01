"""VGG as data: names, widths, receptive fields.

Simonyan and Zisserman (2015, arXiv 1409.1556, table 1) describe their networks by a table, and so does this file:
configuration D is VGG-16, E is VGG-19. A slim network is the same table with narrower columns.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from handstyle.foundations.backend import Array, choose_backend
from handstyle.foundations.errors import HandstyleError, check_name
from handstyle.foundations.image import CONVENTIONS
from handstyle.network.padding import PADDINGS
from handstyle.network.pooling import ROUNDINGS
from handstyle.network.sequence import POOLS, Convolution, Layer, Pool, ReLU, make_engine, read_only
from handstyle.network.sequence import Network as Network  # also importable from here, beside `build_network`

# Convolutions in each of the five blocks, and the published widths of the blocks.
ARCHITECTURES: dict[str, tuple[int, ...]] = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
WIDTHS = (64, 128, 256, 512, 512)
QUARTER_WIDTHS = (16, 32, 64, 128, 128)


@dataclass(frozen=True)
class Weights:
    """The kernels and biases of a VGG as in a file, with their convention and provenance.

    Parameters
    ----------
    architecture : {"vgg16", "vgg19"}
        The network that has these layer names; its widths may be others.
    convention : {"caffe", "torchvision"}
        The input that the first layer expects: a name in `CONVENTIONS`.
    layers : dict of str to (w, b)
        For each convolution, ``conv1_1`` first, the kernels (3, 3, C, K) and the bias (K,) in float32, for
        cross-correlation. The last layers may be missing.
    provenance : dict of str to str
        ``network``, ``source``, ``license``, ``source_sha256``, ``tool`` and other facts.

    Examples
    --------
    >>> weights = Weights("vgg19", "caffe", {"conv1_1": (np.zeros((3, 3, 3, 8), np.float32), np.zeros(8, np.float32))})
    >>> build_network(weights).names
    ('conv1_1', 'relu1_1')
    """

    architecture: str
    convention: str
    layers: dict[str, tuple[Array, Array]]
    provenance: dict[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Return architecture, number of convolutions and convention in one line, without the arrays."""
        return f"<Weights {self.architecture}, {len(self.layers)} convolutions, {self.convention}>"


def check_layers(weights: Weights) -> None:
    """Raise `HandstyleError` unless the layers are those of the architecture, in shapes that fit each other.

    The message names the layer, what was found and what was expected.

    Examples
    --------
    >>> layers = {"conv1_1": (np.zeros((3, 3, 4, 8)), np.zeros(8))}
    >>> try:
    ...     check_layers(Weights("vgg19", "caffe", layers))
    ... except HandstyleError as error:
    ...     print(error)
    weights: layer conv1_1 has kernels of shape (3, 3, 4, 8), expected (3, 3, 3, K)
    """
    names = convolution_names(weights.architecture)
    check_name("convention", weights.convention, CONVENTIONS)
    if unknown := [name for name in weights.layers if name not in names]:
        raise HandstyleError(f"weights: layer {unknown[0]} found, but {weights.architecture} has no such layer")
    present = [name for name in names if name in weights.layers]
    if missing := [name for name in names[: max(len(present), 1)] if name not in weights.layers]:
        found = f"{len(present)} layers" if present else "no layer"
        raise HandstyleError(f"weights: layer {missing[0]} is missing; {found} of {weights.architecture} found")
    C = 3
    for name in present:
        w, b = weights.layers[name]
        if w.ndim != 4 or w.shape[:3] != (3, 3, C) or w.shape[3] == 0:
            raise HandstyleError(f"weights: layer {name} has kernels of shape {w.shape}, expected (3, 3, {C}, K)")
        if b.shape != w.shape[3:]:
            raise HandstyleError(f"weights: layer {name} has a bias of shape {b.shape}, expected {w.shape[3:]}")
        if not (np.isfinite(w).all() and np.isfinite(b).all()):
            raise HandstyleError(f"weights: layer {name} holds values that are not finite: the file is damaged")
        C = w.shape[3]


def convolution_names(architecture: str) -> list[str]:
    """Return the names of an architecture's convolutions in order, ``conv1_1`` first.

    Raises
    ------
    HandstyleError
        If the architecture is unknown.

    Examples
    --------
    >>> names = convolution_names("vgg16")
    >>> names[:3], len(names)
    (['conv1_1', 'conv1_2', 'conv2_1'], 13)
    """
    check_name("architecture", architecture, ARCHITECTURES)
    counts = ARCHITECTURES[architecture]
    return [f"conv{block}_{i}" for block, count in enumerate(counts, 1) for i in range(1, count + 1)]


def build_network(weights: Weights, pooling: str = "max", padding: str = "zero", rounding: str = "down") -> Network:
    """Build a network from its weights.

    Parameters
    ----------
    weights : Weights
        The weights, which `check_layers` checks. The last layers may be missing if they are not used.
    pooling : {"max", "average", "l2"}
        VGG was trained with ``max``; Gatys et al. (2016, §2) paint with ``average``; ``l2`` is `l2_pool_forward`.
    padding : {"zero", "reflect", "replicate"}
        The border of every convolution (see `pad_forward`); VGG was trained with ``zero``.
    rounding : {"down", "up"}
        Whether pooling drops an odd last row or column, or makes blocks of it (see `max_pool_forward`).

    Returns
    -------
    Network
        In float32 on NumPy, run by the reference engine. Its arrays are read-only: to change weights, build another
        network.

    See Also
    --------
    handstyle.painting.load.load_network : Load a network by its name or from a file.

    Examples
    --------
    >>> build_network(random_weights(deepest="conv1_2"), pooling="average").names
    ('conv1_1', 'relu1_1', 'conv1_2', 'relu1_2')
    """
    check_layers(weights)
    check_name("padding", padding, PADDINGS)
    check_name("rounding", rounding, ROUNDINGS)
    check_name("pooling", pooling, POOLS)
    layers: list[Layer] = []
    for name in convolution_names(weights.architecture):
        if name not in weights.layers:
            break
        block, index = name.removeprefix("conv").split("_")
        if index == "1" and block != "1":
            layers.append(Pool(f"pool{int(block) - 1}", pooling, rounding))
        w, b = weights.layers[name]
        layers += [Convolution(name, read_only(w), read_only(b), padding), ReLU(name.replace("conv", "relu"))]
    if layers[-1].name == f"relu5_{ARCHITECTURES[weights.architecture][4]}":
        layers.append(Pool("pool5", pooling, rounding))
    convention, engine = CONVENTIONS[weights.convention], make_engine("reference")
    return Network(weights.architecture, tuple(layers), convention, engine, choose_backend("numpy"))


def random_weights(
    architecture: str = "vgg19", widths: tuple[int, ...] = QUARTER_WIDTHS, seed: int = 0, deepest: str = "conv5_1"
) -> Weights:
    """Draw random weights, as of a network before its training.

    Random filters already carry textures (Ustyuzhaninov et al. 2016, arXiv 1606.00021). The tests and the book use them
    where shapes, times and gradients matter and what the features mean does not.

    Parameters
    ----------
    architecture : {"vgg16", "vgg19"}
        The network whose layer names and depth are used.
    widths : tuple of five ints
        Channels of each block; a quarter of the published ones by default.
    seed : int
        Seed of the random numbers.
    deepest : str
        The name of the last convolution.

    Returns
    -------
    Weights
        In Caffe's convention. Normal with variance 2 / (9 C) (He et al. 2015, arXiv 1502.01852, eq. 10), so that the
        features keep their scale through the rectifiers; every kernel of the first layer has zero mean, since a
        filter that answers to plain brightness would swamp the Gram matrix.

    Examples
    --------
    >>> weights = random_weights(widths=(4, 8, 8, 8, 8), deepest="conv2_1")
    >>> {name: w.shape for name, (w, b) in weights.layers.items()}
    {'conv1_1': (3, 3, 3, 4), 'conv1_2': (3, 3, 4, 4), 'conv2_1': (3, 3, 4, 8)}
    """
    names = convolution_names(architecture)
    check_name("layer", deepest, names)
    if len(widths) != 5 or min(widths) < 1:
        raise HandstyleError(f"widths {widths}: give five, one a block, each 1 or more, such as {QUARTER_WIDTHS}")
    rng = np.random.default_rng(seed)
    layers: dict[str, tuple[Array, Array]] = {}
    C = 3
    for name in names[: names.index(deepest) + 1]:
        K = widths[int(name[4]) - 1]
        w = rng.normal(0, np.sqrt(2 / (9 * C)), (3, 3, C, K))
        if name == "conv1_1":
            w -= w.mean(axis=(0, 1, 2))
        layers[name] = (w.astype(np.float32), np.zeros(K, np.float32))
        C = K
    network = f"random slim {architecture}, seed {seed}"
    provenance = {"network": network, "source": "drawn, not trained", "license": "MIT"}
    return Weights(architecture, "caffe", layers, provenance)


class LayerSummary(NamedTuple):
    """A row of `summary`: a layer, its output, its parameters, and how much of the picture one of its values sees.

    Examples
    --------
    >>> row = summary(build_network(random_weights()), 64, 48)[2]
    >>> row.name, row.shape, row.receptive_field  # two 3x3 convolutions see 5 pixels a side
    ('conv1_2', (64, 48, 16), 5)
    """

    name: str
    shape: tuple[int, int, int]
    parameters: int
    receptive_field: int  # pixels a side
    stride: int  # pixels of the picture between neighboring values
    values: int


def summary(network: Network, height: int, width: int) -> list[LayerSummary]:
    """Describe each layer for a picture of a given size.

    Parameters
    ----------
    network : Network
        The network.
    height, width : int
        Size of the picture, px.

    Returns
    -------
    list of LayerSummary

    Notes
    -----
    The receptive field grows by (size of the window − 1) × stride: by 2 strides a convolution and 1 stride a
    pool, which also doubles the stride (e.g. Araujo et al. 2019, Distill, eq. 2).

    Examples
    --------
    >>> row = summary(build_network(random_weights()), height=64, width=96)[-1]
    >>> row.name, row.shape, row.receptive_field, row.stride
    ('relu5_1', (4, 6, 128), 156, 16)
    """
    H, W, C, field, stride = height, width, 3, 1, 1
    rows = []
    for layer in network.layers:
        parameters = 0
        if isinstance(layer, Convolution):
            # book: vgg-field
            C, field, parameters = layer.w.shape[3], field + 2 * stride, layer.w.size + layer.b.size
        elif isinstance(layer, Pool):
            (H, W), field, stride = layer.output_size(H, W), field + stride, 2 * stride
        rows.append(LayerSummary(layer.name, (H, W, C), parameters, field, stride, H * W * C))
    return rows
