"""The chain rule as a program: a tuple of layers, taps, one sweep forward and one backward.

A layer is data: a name and what the layer's pair of functions needs. A *tap* is the name of a layer whose output a
loss looks at. The forward sweep collects the tapped features and stops at the deepest; the backward sweep starts
there and adds each tap's gradient where it enters. That is the derivative of a sum of losses, at the price of one
sweep.

An *engine* runs a tuple of layers. The reference calls `sequence_forward` and `sequence_backward`; the engines in
``kernels/`` do the same work in fewer passes over memory, under the same contract. `ENGINES` lists them. A `Network`
is the layers with their engine, their backend and the convention of their input.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pkgutil import resolve_name
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike

from handstyle.foundations.backend import Array, Backend
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.image import Convention
from handstyle.network.convolution import conv3x3_backward, conv3x3_forward
from handstyle.network.l2_pooling import l2_pool_backward, l2_pool_forward
from handstyle.network.pooling import average_pool_backward, average_pool_forward, max_pool_backward, max_pool_forward
from handstyle.network.relu import relu_backward, relu_forward

Cache = Any  # each pair's own; only its backward function looks inside
POOLS = {
    "max": (max_pool_forward, max_pool_backward),
    "average": (average_pool_forward, average_pool_backward),
    "l2": (l2_pool_forward, l2_pool_backward),
}


@dataclass(frozen=True)
class Convolution:
    """A 3x3 convolution: its name, weights (3, 3, C, K), bias (K,) and border.

    Examples
    --------
    >>> layer = Convolution("conv1_1", np.ones((3, 3, 3, 16)), np.zeros(16))
    >>> layer.padding, layer  # the arrays are not printed
    ('zero', Convolution(name='conv1_1', padding='zero'))
    """

    name: str
    w: Array = field(repr=False)
    b: Array = field(repr=False)
    padding: str = "zero"

    def forward(self, x: Array) -> tuple[Array, Cache]:  # (H, W, C) -> (H, W, K), cache
        """Return the convolved map, and the cache for `backward`; see `conv3x3_forward`.

        Examples
        --------
        >>> layer = Convolution("conv1_1", np.ones((3, 3, 1, 1)), np.zeros(1))
        >>> y, _ = layer.forward(np.ones((2, 2, 1)))
        >>> y[..., 0].tolist()  # the border is zero, so each window holds the same four ones
        [[4.0, 4.0], [4.0, 4.0]]
        """
        return conv3x3_forward(x, self.w, self.b, self.padding)

    def backward(self, dy: Array, cache: Cache) -> Array:  # (H, W, K), cache -> (H, W, C)
        """Return the gradient at the input from that at the output; see `conv3x3_backward`.

        Examples
        --------
        >>> w = np.zeros((3, 3, 1, 1))
        >>> w[1, 2] = 1.0  # the output reads the pixel to the right,
        >>> layer = Convolution("conv1_1", w, np.zeros(1))
        >>> _, cache = layer.forward(np.zeros((1, 3, 1)))
        >>> layer.backward(np.array([[[5.0], [6.0], [7.0]]]), cache).ravel()  # so its gradient goes to the right
        array([0., 5., 6.])
        """
        return conv3x3_backward(dy, cache)


@dataclass(frozen=True)
class ReLU:
    """A rectifier: its name.

    Examples
    --------
    >>> features, _ = sequence_forward((ReLU("relu1_1"),), np.array([[[-1.0, 2.0]]]), ["relu1_1"])
    >>> features["relu1_1"].ravel()
    array([0., 2.])
    """

    name: str

    def forward(self, x: Array) -> tuple[Array, Cache]:  # (H, W, C) -> (H, W, C), mask
        """Return the rectified map, and the mask for `backward`; see `relu_forward`.

        Examples
        --------
        >>> y, mask = ReLU("relu1_1").forward(np.array([[[-1.0, 2.0]]]))
        >>> y.ravel(), mask.ravel()
        (array([0., 2.]), array([False,  True]))
        """
        return relu_forward(x)

    def backward(self, dy: Array, cache: Cache) -> Array:  # (H, W, C), mask -> (H, W, C)
        """Return the gradient at the input from that at the output; see `relu_backward`.

        Examples
        --------
        >>> layer = ReLU("relu1_1")
        >>> _, mask = layer.forward(np.array([[[-1.0, 2.0]]]))
        >>> layer.backward(np.array([[[5.0, 6.0]]]), mask).ravel()
        array([0., 6.])
        """
        return relu_backward(dy, cache)


@dataclass(frozen=True)
class Pool:
    """Pooling over 2x2 blocks: its name, ``max``, ``average`` or ``l2``, and how an odd side is rounded.

    Examples
    --------
    >>> Pool("pool1")
    Pool(name='pool1', kind='max', rounding='down')
    """

    name: str
    kind: str = "max"
    rounding: str = "down"

    def forward(self, x: Array) -> tuple[Array, Cache]:  # (H, W, C) -> (h, w, C), cache
        """Return the pooled map, of half the height and width, and the cache for `backward`; see `POOLS`.

        Examples
        --------
        >>> x = np.array([[[1.0], [2.0]], [[3.0], [6.0]]])
        >>> [Pool("pool1", kind).forward(x)[0].item() for kind in ("max", "average")]
        [6.0, 3.0]
        """
        return POOLS[self.kind][0](x, self.rounding)

    def backward(self, dy: Array, cache: Cache) -> Array:  # (h, w, C), cache -> (H, W, C)
        """Return the gradient at the input from that at the output; see `POOLS`.

        Examples
        --------
        >>> layer = Pool("pool1", "max")
        >>> _, cache = layer.forward(np.array([[[1.0], [2.0]], [[3.0], [6.0]]]))
        >>> layer.backward(np.array([[[5.0]]]), cache)[..., 0]  # it goes to the largest of the block
        array([[0., 0.],
               [0., 5.]])
        """
        return POOLS[self.kind][1](dy, cache)

    def output_size(self, H: int, W: int) -> tuple[int, int]:
        """Return the height and width of the output for an input of height H and width W.

        Examples
        --------
        >>> Pool("pool1").output_size(5, 8), Pool("pool1", rounding="up").output_size(5, 8)
        ((2, 4), (3, 4))
        """
        up = self.rounding == "up"
        return (H + up) // 2, (W + up) // 2


Layer = Convolution | ReLU | Pool
Features = dict[str, Array]


class LayerEngine(Protocol):
    """A program that runs a tuple of layers; see `sequence_forward` and `sequence_backward` for the contract.

    `handstyle.optimize.objective.Engine` adds what an objective needs of it.
    """

    name: str

    def forward(self, layers: tuple[Layer, ...], x: Array, taps: Iterable[str]) -> tuple[Features, Cache]:
        """Return the tapped features and what the backward sweep needs."""

    def backward(self, layers: tuple[Layer, ...], dfeatures: Mapping[str, Array], caches: Cache) -> Array:
        """Return the gradient at `x`."""


def sequence_forward(  # (H, W, C), {tap} -> {tap: (h, w, c)}, caches
    layers: tuple[Layer, ...], x: Array, taps: Iterable[str]
) -> tuple[Features, list[Cache]]:
    """Run `x` through the layers up to the deepest tap.

    Parameters
    ----------
    layers : tuple of Layer
        In order.
    x : (H, W, C) array
        The input of the first layer.
    taps : iterable of str
        Names of the layers whose outputs are wanted.

    Returns
    -------
    features : dict of str to (h, w, c) array
        The output of each tapped layer.
    caches : list
        One for each layer that was run; its length tells the backward sweep where to start.

    Raises
    ------
    HandstyleError
        If a tap names no layer.

    See Also
    --------
    sequence_backward : The gradient at the input.

    Examples
    --------
    >>> import numpy as np
    >>> layers = (ReLU("relu1_1"), Pool("pool1"), ReLU("relu2_1"))
    >>> x = np.array([[[-1.0], [2.0]], [[3.0], [-4.0]]])
    >>> features, caches = sequence_forward(layers, x, ["pool1"])
    >>> features["pool1"].ravel(), len(caches)  # relu2_1 was not run
    (array([3.]), 2)
    """
    wanted = check_taps(layers, taps)
    features: Features = {}
    caches: list[Cache] = []
    for layer in layers[: deepest(layers, wanted)]:
        x, cache = layer.forward(x)
        caches.append(cache)
        if layer.name in wanted:
            features[layer.name] = x
    return features, caches


def sequence_backward(  # {tap: (h, w, c)}, caches -> (H, W, C)
    layers: tuple[Layer, ...], dfeatures: Mapping[str, Array], caches: list[Cache]
) -> Array:
    """Sweep once from the deepest tap to the input, adding each tap's gradient where it enters.

    Parameters
    ----------
    layers : tuple of Layer
        The layers of the forward sweep.
    dfeatures : mapping of str to (h, w, c) array
        The gradient at tapped features. The deepest layer that was run must be among them.
    caches : list
        From the forward sweep.

    Returns
    -------
    (H, W, C) array
        The gradient at the input: the sum over taps of each tap's gradient carried down the chain.

    Raises
    ------
    HandstyleError
        If a gradient is given for a layer that the forward sweep did not reach, or none for the deepest.

    See Also
    --------
    sequence_forward : The forward function.

    Examples
    --------
    >>> import numpy as np
    >>> layers = (ReLU("relu1_1"), Pool("pool1"))
    >>> x = np.array([[[-1.0], [2.0]], [[3.0], [-4.0]]])
    >>> features, caches = sequence_forward(layers, x, ["relu1_1", "pool1"])
    >>> ones = {name: np.ones_like(f) for name, f in features.items()}
    >>> sequence_backward(layers, ones, caches)[..., 0]
    array([[0., 1.],
           [2., 0.]])
    """
    run = layers[: len(caches)]
    check_gradients([layer.name for layer in run], dfeatures)
    dx: Any = 0
    for layer, cache in zip(reversed(run), reversed(caches), strict=True):
        if layer.name in dfeatures:
            dx = dx + dfeatures[layer.name]  # book: seq-backward
        dx = layer.backward(dx, cache)
    return dx


def check_taps(layers: tuple[Layer, ...], taps: Iterable[str]) -> set[str]:
    """Return the taps as a set, or raise `HandstyleError` naming those that are no layer of `layers`.

    Examples
    --------
    >>> layers = (ReLU("relu1_1"), ReLU("relu1_2"))
    >>> check_taps(layers, ["relu1_2"])
    {'relu1_2'}
    """
    wanted = set(taps)
    names = [layer.name for layer in layers]
    if not wanted:
        raise HandstyleError("no taps: name at least one layer, such as relu4_2")
    if unknown := wanted.difference(names):
        raise HandstyleError(f"unknown layer {', '.join(sorted(unknown))}: this network has {', '.join(names)}")
    return wanted


def check_gradients(run: Sequence[str], dfeatures: Mapping[str, Array]) -> None:
    """Raise `HandstyleError` unless the gradients suit a forward sweep.

    Parameters
    ----------
    run : sequence of str
        Names of the layers that the forward sweep ran, in order.
    dfeatures : mapping of str to array
        The gradients at the taps; only its keys are asked for.

    Examples
    --------
    >>> check_gradients(["conv1_1", "relu1_1"], {"relu1_1": 0})
    >>> try:
    ...     check_gradients(["conv1_1", "relu1_1"], {"conv1_1": 0})
    ... except HandstyleError as error:
    ...     print(error)
    no gradient for relu1_1, the deepest layer that forward ran to
    """
    if beyond := set(dfeatures).difference(run):
        raise HandstyleError(f"no cache for {', '.join(sorted(beyond))}: run forward with these taps first")
    if run[-1] not in dfeatures:
        raise HandstyleError(f"no gradient for {run[-1]}, the deepest layer that forward ran to")


def deepest(layers: tuple[Layer, ...], taps: Iterable[str]) -> int:
    """Return how many layers must run to reach the deepest of `taps`: none, if there is no tap.

    Examples
    --------
    >>> layers = (ReLU("relu1_1"), ReLU("relu1_2"), ReLU("relu2_1"))
    >>> deepest(layers, ["relu1_2", "relu1_1"])
    2
    """
    position = {layer.name: i for i, layer in enumerate(layers, start=1)}
    return max((position[tap] for tap in taps), default=0)


# The engines by name, as import paths: each is loaded when it is first asked for.
ENGINES = {
    "reference": "handstyle.optimize.objective:ReferenceEngine",
    "auto": "handstyle.kernels.cpu.engine:auto_engine",
    "winograd": "handstyle.kernels.cpu.engine:winograd_engine",
    "im2col": "handstyle.kernels.cpu.engine:im2col_engine",
    "cuda": "handstyle.kernels.cuda.engine:CudaEngine",
    "cuda-tf32": "handstyle.kernels.cuda.engine:tf32_engine",
}


def make_engine(name: str) -> LayerEngine:
    """Return a new engine.

    Parameters
    ----------
    name : str
        A key of `ENGINES`.

    Raises
    ------
    HandstyleError
        If there is no such engine, or it cannot run here.

    Examples
    --------
    >>> make_engine("reference").name
    'reference'
    """
    if name not in ENGINES:
        raise HandstyleError(f"kernels={name!r}: use {', '.join(ENGINES)}")
    return resolve_name(ENGINES[name])()


@dataclass(frozen=True)
class Origin:
    """The source of a network's weights.

    Parameters
    ----------
    name : str
        The name or the file given to `load_network`.
    sha256 : str
        The digest of the values, whatever their file: `tensors_sha256`.
    asked : mapping
        The settings by which the values were changed after loading: the preset whose feature sizes they have.

    Examples
    --------
    >>> Origin("vgg19-slim", sha256="3f786850").name
    'vgg19-slim'
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
        The layers in order.
    convention : Convention
        The input that the first layer expects.
    engine : LayerEngine
        The reference, or a faster one from ``kernels/``.
    backend : Backend
        The array library and the device of the weights.
    origin : Origin, optional
        The source of the weights, if they were loaded; for the recipe of a picture.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> build_network(random_weights(deepest="conv1_2"))
    <Network vgg19, 4 layers to relu1_2, 16 channels, caffe, float32, kernels reference on numpy>
    """

    architecture: str
    layers: tuple[Layer, ...]
    convention: Convention
    engine: LayerEngine
    backend: Backend
    origin: Origin | None = None

    def __repr__(self) -> str:
        """Return architecture, layers, widths, convention, dtype and engine in one line, without the arrays."""
        widths = "/".join(str(w) for w in dict.fromkeys(la.b.size for la in self.layers if isinstance(la, Convolution)))
        return (
            f"<Network {self.architecture}, {len(self.layers)} layers to {self.layers[-1].name}, {widths} channels, "
            f"{self.convention.name}, {self.dtype}, kernels {self.engine.name} on {self.backend.name}>"
        )

    def forward(self, x: Array, taps: Iterable[str]) -> tuple[Features, Cache]:  # (H, W, 3) -> {tap: (h, w, c)}, caches
        """Return the tapped features of a preprocessed picture, and the caches for `backward`; see `sequence_forward`.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network = build_network(random_weights())
        >>> features, _ = network.forward(np.zeros((32, 48, 3), np.float32), ["relu1_1", "relu2_1"])
        >>> {tap: f.shape for tap, f in features.items()}  # height, width, channels; the first pool halves the map
        {'relu1_1': (32, 48, 16), 'relu2_1': (16, 24, 32)}
        """
        return self.engine.forward(self.layers, x, taps)

    def backward(self, dfeatures: Mapping[str, Array], caches: Cache) -> Array:  # {tap: (h, w, c)} -> (H, W, 3)
        """Return the gradient at the preprocessed picture; see `sequence_backward`.

        Examples
        --------
        For half the sum of the squared features, the gradient at the features is the features:

        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network = build_network(random_weights())
        >>> features, caches = network.forward(np.ones((32, 48, 3), np.float32), ["relu2_1"])
        >>> network.backward(features, caches).shape
        (32, 48, 3)
        """
        return self.engine.backward(self.layers, dfeatures, caches)

    def with_kernels(self, kernels: str | LayerEngine) -> "Network":
        """Return the same network run by another engine: a name of `ENGINES`, or an engine.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network = build_network(random_weights(deepest="conv1_1"))
        >>> network.engine.name, network.with_kernels("im2col").engine.name
        ('reference', 'im2col')
        """
        return replace(self, engine=make_engine(kernels) if isinstance(kernels, str) else kernels)

    def astype(self, dtype: DTypeLike) -> "Network":
        """Return the same network with weights of another dtype: ``float64`` for checks, ``float32`` for pictures.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network = build_network(random_weights(deepest="conv1_1"))
        >>> network.dtype, network.astype("float64").dtype
        (dtype('float32'), dtype('float64'))
        """
        return self._convert(lambda a: a.astype(dtype))

    def to(self, backend: Backend) -> "Network":
        """Return the same network with its weights on another backend.

        Examples
        --------
        >>> from handstyle.foundations.backend import choose_backend
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network = build_network(random_weights(deepest="conv1_1"))
        >>> network.to(choose_backend("numpy")).backend.name
        'numpy'
        """
        return replace(self._convert(backend.asarray), backend=backend)

    def _convert(self, move: Callable[[Array], Array]) -> "Network":
        def moved(layer: Layer) -> Layer:
            if not isinstance(layer, Convolution):
                return layer
            return replace(layer, w=read_only(move(layer.w)), b=read_only(move(layer.b)))

        return replace(self, layers=tuple(moved(layer) for layer in self.layers))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the layers, all of which may be tapped.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> build_network(random_weights(deepest="conv1_2")).names
        ('conv1_1', 'relu1_1', 'conv1_2', 'relu1_2')
        """
        return tuple(layer.name for layer in self.layers)

    @property
    def weight_bytes(self) -> int:
        """The bytes of all weights and biases.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> build_network(random_weights(deepest="conv1_1")).weight_bytes  # 4 * (3 * 3 * 3 * 16 + 16)
        1792
        """
        return sum(layer.w.nbytes + layer.b.nbytes for layer in self.layers if isinstance(layer, Convolution))

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The dtype of the weights, which is also that of the features.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> build_network(random_weights(deepest="conv1_1")).dtype
        dtype('float32')
        """
        return next(layer.w.dtype for layer in self.layers if isinstance(layer, Convolution))


def read_only(a: Array) -> Array:
    """Return a view that cannot be written to; of CuPy's arrays, which have no such flag, the array itself.

    Engines keep results computed from the weights, which must therefore not change.

    Examples
    --------
    >>> a = np.zeros(3)
    >>> read_only(a).flags.writeable, a.flags.writeable
    (False, True)
    """
    if isinstance(a, np.ndarray):
        a = a.view()
        a.flags.writeable = False
    return a
