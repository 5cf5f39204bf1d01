"""VGG as data: names, widths, receptive fields.

Simonyan and Zisserman (2015, arXiv 1409.1556, table 1) describe their networks by a table, and so does this file:
configuration D is VGG-16, E is VGG-19. A slim network is the same table with narrower columns.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from handstyle.foundations.backend import Array, Backend, choose_backend
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.image import CONVENTIONS, Convention
from handstyle.network.padding import check_padding
from handstyle.network.pooling import POOLS, check_rounding
from handstyle.network.sequence import Cache, Convolution, Features, Layer, LayerEngine, Pool, ReLU, make_engine

# Convolutions in each of the five blocks, and the published widths of the blocks.
ARCHITECTURES: dict[str, tuple[int, ...]] = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
WIDTHS = (64, 128, 256, 512, 512)
SLIM_WIDTHS = (16, 32, 64, 128, 128)


@dataclass(frozen=True)
class Origin:
    """Where the values of a network came from.

    Parameters
    ----------
    name : str
        The name or the file that was asked for.
    sha256 : str
        Of the values, in whichever file they lay: `tensors_sha256`.
    asked : mapping
        Settings by which they were changed since: the preset whose sizes of features they were given.
    """

    name: str
    sha256: str
    asked: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Network:
    """A network ready to run: layers as data, the convention of its input, and the engine that runs it.

    Parameters
    ----------
    architecture : str
        ``vgg16`` or ``vgg19``; a slim network has the names of its architecture and other widths.
    layers : tuple of Layer
        In order.
    convention : Convention
        What the first layer expects of a picture.
    engine : LayerEngine
        The reference, or a faster one from ``kernels/``.
    backend : Backend
        The library of arrays and the device on which the weights live.
    origin : Origin, optional
        Where the values came from, if they were loaded; for the recipe of a picture.

    Examples
    --------
    >>> network = build_network(random_weights())
    >>> features, caches = network.forward(np.zeros((32, 48, 3), np.float32), ["relu2_1"])
    >>> features["relu2_1"].shape
    (16, 24, 32)
    >>> network.backward(features, caches).shape
    (32, 48, 3)
    """

    architecture: str
    layers: tuple[Layer, ...]
    convention: Convention
    engine: LayerEngine
    backend: Backend
    origin: Origin | None = None

    def __repr__(self) -> str:
        """Return one line: the arrays have no place on a screen."""
        widths = "/".join(str(w) for w in dict.fromkeys(la.b.size for la in self.layers if isinstance(la, Convolution)))
        return (
            f"<Network {self.architecture}, {len(self.layers)} layers to {self.layers[-1].name}, {widths} channels, "
            f"{self.convention.name}, {self.dtype}, kernels {self.engine.name} on {self.backend.name}>"
        )

    def forward(self, x: Array, taps: Iterable[str]) -> tuple[Features, Cache]:  # (H, W, 3) -> {tap: (h, w, c)}, caches
        """Return the tapped features of a preprocessed picture; see `sequence_forward`."""
        return self.engine.forward(self.layers, x, taps)

    def backward(self, dfeatures: Mapping[str, Array], caches: Cache) -> Array:  # {tap: (h, w, c)} -> (H, W, 3)
        """Return the gradient at the preprocessed picture; see `sequence_backward`."""
        return self.engine.backward(self.layers, dfeatures, caches)

    def with_kernels(self, kernels: str | LayerEngine) -> "Network":
        """Return the same network run by another engine: a name of `ENGINES`, or an engine."""
        return replace(self, engine=make_engine(kernels) if isinstance(kernels, str) else kernels)

    def astype(self, dtype: DTypeLike) -> "Network":
        """Return the same network with weights of another dtype."""
        return self._convert(lambda a: a.astype(dtype))

    def to(self, backend: Backend) -> "Network":
        """Return the same network with its weights on another backend."""
        return replace(self._convert(backend.asarray), backend=backend)

    def _convert(self, move: Callable[[Array], Array]) -> "Network":
        def moved(layer: Layer) -> Layer:
            if not isinstance(layer, Convolution):
                return layer
            return replace(layer, w=_read_only(move(layer.w)), b=_read_only(move(layer.b)))

        return replace(self, layers=tuple(moved(layer) for layer in self.layers))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the layers, all of which may be tapped."""
        return tuple(layer.name for layer in self.layers)

    @property
    def weight_bytes(self) -> int:
        """The bytes of all weights and biases."""
        return sum(layer.w.nbytes + layer.b.nbytes for layer in self.layers if isinstance(layer, Convolution))

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The dtype of the weights."""
        return next(layer.w.dtype for layer in self.layers if isinstance(layer, Convolution))


@dataclass(frozen=True)
class Weights:
    """Weights as they lie in a file, and where they came from.

    Parameters
    ----------
    architecture : {"vgg16", "vgg19"}
        Whose names and depth; the widths are the arrays' own.
    convention : {"caffe", "torchvision"}
        What the first layer expects of a picture: a name in `CONVENTIONS`.
    layers : dict of str to (w, b)
        ``conv1_1`` … to float32 (3, 3, C, K) and (K,), cross-correlation. May end before the architecture does.
    provenance : dict of str to str
        ``network``, ``source``, ``licence``, ``source_sha256``, ``tool`` and whatever else is known.

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


def check_layers(weights: Weights) -> None:
    """Raise `HandstyleError` unless the layers are those of the architecture, in shapes that fit each other.

    The message names the layer, what was found and what was expected.
    """
    names = convolution_names(weights.architecture)
    if weights.convention not in CONVENTIONS:
        raise HandstyleError(f"unknown convention {weights.convention!r}: use {', '.join(CONVENTIONS)}")
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
    """Return ``conv1_1`` … in order.

    Raises
    ------
    HandstyleError
        If the architecture is unknown.
    """
    if architecture not in ARCHITECTURES:
        raise HandstyleError(f"unknown architecture {architecture!r}: use {', '.join(ARCHITECTURES)}")
    counts = ARCHITECTURES[architecture]
    return [f"conv{block}_{i}" for block, count in enumerate(counts, 1) for i in range(1, count + 1)]


def build_network(weights: Weights, pooling: str = "max", padding: str = "zero", rounding: str = "down") -> Network:
    """Turn weights into layers.

    Parameters
    ----------
    weights : Weights
        Checked by `check_layers`; may end early (a network that is only used up to ``conv5_1`` needs no more).
    pooling : {"max", "average", "l2"}
        VGG's own is max; Gatys et al. (2016, §2) paint with average; l2 is `l2_pool_forward`.
    padding : {"zero", "reflect", "replicate"}
        VGG's own is zero.
    rounding : {"down", "up"}
        How pooling treats an odd side.

    Returns
    -------
    Network
        In float32 on NumPy, run by the reference engine. Its arrays are read-only: to change weights, build another
        network.

    Examples
    --------
    >>> build_network(random_weights(deepest="conv1_2"), pooling="average").names
    ('conv1_1', 'relu1_1', 'conv1_2', 'relu1_2')
    """
    check_layers(weights)
    check_padding(padding)
    check_rounding(rounding)
    if pooling not in POOLS:
        raise HandstyleError(f"unknown pooling {pooling!r}: use {', '.join(POOLS)}")
    layers: list[Layer] = []
    for name in convolution_names(weights.architecture):
        if name not in weights.layers:
            break
        block, index = name.removeprefix("conv").split("_")
        if index == "1" and block != "1":
            layers.append(Pool(f"pool{int(block) - 1}", pooling, rounding))
        w, b = weights.layers[name]
        layers += [Convolution(name, _read_only(w), _read_only(b), padding), ReLU(name.replace("conv", "relu"))]
    if layers[-1].name == f"relu5_{ARCHITECTURES[weights.architecture][4]}":
        layers.append(Pool("pool5", pooling, rounding))
    numpy = choose_backend("numpy")
    return Network(
        weights.architecture, tuple(layers), CONVENTIONS[weights.convention], make_engine("reference"), numpy
    )


def _read_only(a: Array) -> Array:
    # A promise that engines rely on when they keep what they computed from weights; CuPy has no such flag.
    if isinstance(a, np.ndarray):
        a = a.view()
        a.flags.writeable = False
    return a


def random_weights(
    architecture: str = "vgg19", widths: tuple[int, ...] = SLIM_WIDTHS, seed: int = 0, deepest: str = "conv5_1"
) -> Weights:
    """Draw the weights of a network that has learnt nothing.

    Random filters already carry textures (Ustyuzhaninov et al. 2016, arXiv 1606.00021); the demo and the book use
    them wherever trained weights would be a download.

    Parameters
    ----------
    architecture : {"vgg16", "vgg19"}
        Whose names and depth.
    widths : tuple of five ints
        Channels of each block.
    seed : int
        Of the draw.
    deepest : str
        The last convolution.

    Returns
    -------
    Weights
        In Caffe's convention. Normal with variance 2 / (9 C) (He et al. 2015, arXiv 1502.01852, eq. 10), so that the
        features keep their scale through the rectifiers; every kernel of the first layer has zero mean, since a
        filter that answers to plain brightness would swamp the Gram matrix.
    """
    names = convolution_names(architecture)
    if deepest not in names:
        raise HandstyleError(f"unknown layer {deepest!r}: {architecture} has {', '.join(names)}")
    if len(widths) != 5 or min(widths) < 1:
        raise HandstyleError(f"widths {widths}: give five, one a block, each 1 or more, such as {SLIM_WIDTHS}")
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
    provenance = {
        "network": f"random slim {architecture}, seed {seed}",
        "source": "drawn, not trained",
        "licence": "MIT",
    }
    return Weights(architecture, "caffe", layers, provenance)


class LayerSummary(NamedTuple):
    """A row of `summary`: the layer, its output, its parameters and what of the picture one of its values sees."""

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
        Of the picture, pixels.

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
            up = layer.rounding == "up"
            H, W, field, stride = (H + up) // 2, (W + up) // 2, field + stride, 2 * stride
        rows.append(LayerSummary(layer.name, (H, W, C), parameters, field, stride, H * W * C))
    return rows
