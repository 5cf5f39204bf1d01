"""Compute the exact objective of a picture that is larger than memory, tile by tile.

Each pixel of the picture belongs to one tile, which *owns* it. A tile is computed with a *halo* around the part that it
owns: the pixels on which the values of the deepest layer depend beyond their own block. An evaluation computes every
tile twice. The first pass adds up the statistics of the terms over the values that each tile owns. The loss is a
function of the sums. The second pass computes each tile again, spreads the gradient at the statistics over the values
that the tile owns, runs the network backward, and adds the result to the gradient of the picture. Nothing is
approximated: every value is measured once, in a crop that contains all pixels on which it depends.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain, repeat
from typing import Any, NamedTuple, Protocol

import numpy as np

from handstyle.foundations.backend import Array, namespace, to_numpy
from handstyle.foundations.errors import HandstyleError, OutOfMemoryError
from handstyle.foundations.image import preprocess_backward
from handstyle.foundations.mapped import is_large, mapped_zeros, zeros_for
from handstyle.kernels.counting import ceil_div
from handstyle.kernels.cpu.engine import CpuEngine
from handstyle.kernels.cpu.losses import MomentsGradient, moments
from handstyle.kernels.cpu.threads import default_team
from handstyle.kernels.gradients import has_plain_moments, scaled_terms
from handstyle.losses.content import ContentTerm, part_of, scale_of
from handstyle.losses.gram import Moments, MomentsTerm, StyleTerm
from handstyle.losses.normalized import NORMALIZE_EPSILON, NormalizedTerm
from handstyle.losses.terms import PICTURE, Statistic, Term, Window
from handstyle.losses.total_variation import (
    VariationTerm,
    absolute_variation,
    neighbor_pairs,
    power_variation,
    range_penalty,
    total_variation,
)
from handstyle.network.sequence import Cache, Convolution, Features, Layer, Pool, check_gradients, check_taps, deepest
from handstyle.network.vgg import Network, summary
from handstyle.optimize.objective import Engine, Evaluate, Forecast, Shape, engine_of, forward_to, taps_of

STRIP_PIXELS = 1 << 17  # pixels of a strip of the picture, for the terms on the picture itself
STRIP_ARRAYS = 10  # arrays of a strip's size that such a term allocates, at most: `power_variation`
MOMENTS_VALUES = 1 << 19  # values of a map whose moments are measured at a time
DISK_RATE = 1e8  # bytes a second that a slow disk reads
GRADIENT_BYTES = 16  # bytes for each value of the picture: an optimizer keeps one gradient while the next is computed
# The functions of a picture that are sums over pixels or pairs of neighbors, and what each divides its sum by.
DIVISORS: list[tuple[Callable[..., Any], Callable[[Shape], int]]] = [
    (total_variation, neighbor_pairs),
    *((function, lambda shape: 1) for function in (absolute_variation, power_variation, range_penalty)),
]
TILE_SIDES = (4096, 3072, 2048, 1536, 1024, 768, 512, 384, 256)  # sides of tiles to try for a picture that does not fit

# --- geometry -------------------------------------------------------------------------------------------------------


def reach(layers: Sequence[Layer]) -> tuple[int, int]:
    """Return how far the receptive field of a value extends beyond its own block, and the block's side, in pixels.

    Parameters
    ----------
    layers : sequence of Layer
        The first layers of a network, up to the one whose receptive field is computed.

    Returns
    -------
    radius : int
        A value at row ``i`` depends on the rows from ``i stride − radius`` to ``(i + 1) stride + radius``.
    stride : int
        Pixels between neighboring values.

    Notes
    -----
    A convolution adds one value, that is ``stride`` pixels, on each side; a pool merges blocks and adds nothing
    (Araujo et al. 2019, Distill, eq. 2).

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> reach(build_network(random_weights()).layers)  # VGG-19 up to relu5_1
    (70, 16)
    """
    radius, stride = 0, 1
    for layer in layers:
        radius += stride * isinstance(layer, Convolution)  # book: tiles-radius
        stride *= 1 + isinstance(layer, Pool)
    return radius, stride


def halo_of(radius: int, stride: int) -> int:
    """Return the width in pixels of a tile's halo: the radius, rounded up to whole blocks.

    Examples
    --------
    >>> halo_of(70, 16), halo_of(58, 16)  # up to conv5_1 of VGG-19, of VGG-16
    (80, 64)
    """
    return ceil_div(radius, stride) * stride  # book: tiles-halo


class Span(NamedTuple):
    """A tile's part of one side of the picture, in pixels.

    Parameters
    ----------
    start, stop : int
        The pixels that are computed.
    own_start, own_stop : int
        The pixels that the tile owns; every pixel of the picture is owned by exactly one tile.

    Examples
    --------
    >>> Span(start=4, stop=12, own_start=6, own_stop=12).own_stop
    12
    """

    start: int
    stop: int
    own_start: int
    own_stop: int


def cut_side(length: int, side: int, halo: int, stride: int) -> list[Span]:
    """Cut one side of a picture into overlapping spans of nearly equal length.

    Parameters
    ----------
    length : int
        Length of the side in pixels.
    side : int
        Largest length of a tile with its halo; a multiple of `stride`.
    halo : int
        Pixels around the owned part, inside the picture; a multiple of `stride`.
    stride : int
        All starts, and all ends except that of the picture, are multiples of it, so that a tile has the same pooling
        blocks as the picture.

    Returns
    -------
    list of Span
        The spans in order. The last may be longer than `side` by the remainder of `length` divided by `stride`.

    Examples
    --------
    >>> cut_side(12, side=8, halo=2, stride=2)
    [Span(start=0, stop=8, own_start=0, own_stop=6), Span(start=4, stop=12, own_start=6, own_stop=12)]
    """
    if length <= side:
        return [Span(0, length, 0, length)]
    inside = length - 2 * halo
    count = ceil_div(inside, side - 2 * halo)
    even = ceil_div(ceil_div(inside, count) + 2 * halo, stride) * stride  # as short as `count` tiles can be
    starts = [k * (even - 2 * halo) for k in range(count - 1)]
    spans, own = [], 0
    for start in starts:
        spans.append(Span(start, start + even, own, start + even - halo))
        own = start + even - halo
    return [*spans, Span((length - even) // stride * stride, length, own, length)]


class PictureTile(NamedTuple):
    """A rectangle of the picture that is computed at once, and the part of it that it owns.

    Parameters
    ----------
    rows, columns : Span
        The pixels that are computed and owned, down and across the picture.

    Examples
    --------
    >>> tile = PictureTile(Span(start=0, stop=48, own_start=0, own_stop=32), Span(16, 64, 32, 64))
    >>> tile.shape  # of which it owns 32 x 32 pixels
    (48, 48, 3)
    """

    rows: Span
    columns: Span

    @property
    def crop(self) -> Window:
        """The window of the picture that is computed.

        Examples
        --------
        >>> tile = PictureTile(Span(start=0, stop=48, own_start=0, own_stop=32), Span(16, 64, 32, 64))
        >>> np.zeros((64, 64, 3))[tile.crop].shape
        (48, 48, 3)
        """
        return slice(self.rows.start, self.rows.stop), slice(self.columns.start, self.columns.stop)

    @property
    def shape(self) -> Shape:
        """The shape of the rectangle that is computed.

        Examples
        --------
        >>> PictureTile(Span(start=0, stop=48, own_start=0, own_stop=32), Span(0, 20, 0, 20)).shape
        (48, 20, 3)
        """
        return (self.rows.stop - self.rows.start, self.columns.stop - self.columns.start, 3)

    def owned(self, stride: int, height: int, width: int) -> tuple[Window, Window]:
        """Return the part of a feature map that the tile owns, as a window of the tile's map and of the whole map.

        Parameters
        ----------
        stride : int
            Pixels between neighboring values of the map.
        height, width : int
            Size of the tile's map. The last tile owns the map to its end, whether pools round up or down.

        Examples
        --------
        >>> tile = PictureTile(Span(start=16, stop=64, own_start=32, own_stop=64), Span(0, 20, 0, 20))
        >>> inside, whole = tile.owned(stride=2, height=24, width=10)
        >>> inside[0], whole[0]  # pixels 32 to 64 are rows 8 to 24 of the tile's map, and 16 to 32 of the whole map
        (slice(8, 24, None), slice(16, 32, None))
        """
        inside, whole = [], []
        for span, length in ((self.rows, height), (self.columns, width)):
            first, offset = (span.own_start - span.start) // stride, span.start // stride
            last = length if span.own_stop == span.stop else (span.own_stop - span.start) // stride
            inside.append(slice(first, last))
            whole.append(slice(offset + first, offset + last))
        return (inside[0], inside[1]), (whole[0], whole[1])


class Tiling:
    """The division of a picture into tiles, for some layers of a network.

    Parameters
    ----------
    layers : tuple of Layer
        The layers of the network.
    taps : iterable of str
        The layers whose features are needed.
    height, width : int
        Size of the picture in pixels.
    side : int
        Side in pixels of a tile with its halo; it is rounded down to a multiple of the stride of the deepest layer.

    Attributes
    ----------
    tiles : list of PictureTile
        The tiles in reading order.
    halo : int
        Width of the halo in pixels.

    Raises
    ------
    HandstyleError
        If `side` is too small for the halo, or the padding of a convolution is not zero, reflect or replicate.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> layers = build_network(random_weights(deepest="conv2_1")).layers
    >>> tiling = Tiling(layers, ["relu2_1"], height=100, width=60, side=64)
    >>> len(tiling.tiles), tiling.halo
    (2, 4)
    """

    def __init__(self, layers: tuple[Layer, ...], taps: Iterable[str], height: int, width: int, side: int) -> None:
        wanted = check_taps(layers, taps)
        run = layers[: deepest(layers, wanted)]
        for layer in run:
            # The padding of a tile lies in its halo, where owned values do not depend on it. Circular padding would
            # take values from the other end of the tile instead of the picture.
            if isinstance(layer, Convolution) and layer.padding not in ("zero", "reflect", "replicate"):
                raise HandstyleError(f"{layer.name}: tiles cannot have padding={layer.padding!r}, which crosses them")
        self.strides = {layer.name: reach(run[: i + 1])[1] for i, layer in enumerate(run)}
        radius, stride = reach(run)
        self.halo = halo_of(radius, stride)
        least = 2 * self.halo + stride
        if side < least and max(height, width) > side:
            raise HandstyleError(
                f"tile={side}: {run[-1].name} needs {self.halo} pixels around what a tile owns; use {least} or more"
            )
        side = side // stride * stride
        spans = [cut_side(length, side, self.halo, stride) for length in (height, width)]
        self.tiles = [PictureTile(rows, columns) for rows in spans[0] for columns in spans[1]]

    def owned(self, tile: PictureTile, tap: str, f: Array) -> tuple[Window, Window]:
        """Return the part of the features `f` at the layer `tap` that a tile owns; see `PictureTile.owned`.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network = build_network(random_weights(deepest="conv1_1"))
        >>> tiling = Tiling(network.layers, ["relu1_1"], height=40, width=20, side=24)
        >>> inside, whole = tiling.owned(tiling.tiles[0], "relu1_1", np.zeros((21, 20, 16)))
        >>> inside[0], tiling.halo  # the last row of the first tile is halo
        (slice(0, 20, None), 1)
        """
        return tile.owned(self.strides[tap], f.shape[0], f.shape[1])


# --- what is done for a tile ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Photograph:
    """A content term's target whose features are not kept: each tile computes its own from the photograph.

    Parameters
    ----------
    pixels : (H, W, 3) array
        The photograph.
    shape : (h, w, C)
        Shape of its features at the term's tap.

    Examples
    --------
    >>> import numpy as np
    >>> Photograph(np.zeros((64, 64, 3)), shape=(8, 8, 128)).shape
    (8, 8, 128)
    """

    pixels: Array
    shape: Shape


@dataclass(frozen=True)
class PartialMap:
    """A part of a map that is indexed by windows of the whole map.

    Parameters
    ----------
    values : (h, w, C) array
        The part.
    top, left : int
        The place of its first value in the whole map.

    Examples
    --------
    >>> import numpy as np
    >>> part = PartialMap(np.arange(4.0).reshape(2, 2, 1), top=10, left=20)
    >>> part[11:12, 20:22][..., 0]
    array([[2., 3.]])
    """

    values: Array
    top: int
    left: int

    def __getitem__(self, window: tuple[slice, slice]) -> Array:
        """Return the values in a window of the whole map, which must lie in this part."""
        rows, columns = window
        top, left = self.top, self.left
        return self.values[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]


@dataclass(frozen=True)
class TileJob:
    """The network, the terms and the tiles of an objective, which stay the same for all tiles and evaluations.

    Parameters
    ----------
    network : Network
        The network, with the engine that computes a tile.
    terms : tuple of Term
        The terms that measure layers of the network, not the picture itself.
    tiling : Tiling
        The tiles.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network = build_network(random_weights(deepest="conv1_1"))
    >>> term = ContentTerm("relu1_1", np.zeros((64, 40, 16), np.float32))
    >>> job = TileJob(network, (term,), Tiling(network.layers, ["relu1_1"], 64, 40, 48))
    >>> [tile.shape for tile in job.tiling.tiles]
    [(33, 40, 3), (33, 40, 3)]
    """

    network: Network
    terms: tuple[Term, ...]
    tiling: Tiling

    @cached_property
    def taps(self) -> tuple[str, ...]:
        """The layers that the terms measure.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network = build_network(random_weights(deepest="conv1_1"))
        >>> term = ContentTerm("relu1_1", np.zeros((64, 40, 16), np.float32))
        >>> TileJob(network, (term, term), Tiling(network.layers, ["relu1_1"], 64, 40, 48)).taps  # each once
        ('relu1_1',)
        """
        return taps_of(self.terms)

    def features(self, p: Array) -> tuple[Features, Cache]:
        """Run the network on a crop of the picture, and return the features at `taps` and the caches.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network = build_network(random_weights(deepest="conv1_1"))
        >>> term = StyleTerm("relu1_1", Moments(1.0, np.zeros(16), np.eye(16)))
        >>> job = TileJob(network, (term,), Tiling(network.layers, ["relu1_1"], 40, 20, side=24))
        >>> features, _ = job.features(np.zeros((40, 20, 3))[job.tiling.tiles[0].crop])
        >>> features["relu1_1"].shape, features["relu1_1"].dtype  # computed in the network's dtype
        ((21, 20, 16), dtype('float32'))
        """
        return forward_to(self.network, self.taps, self.network.backend.asarray(p, dtype=self.network.dtype))

    def terms_of(self, tile: PictureTile) -> tuple[Term, ...]:
        """Return the terms for a tile: a `Photograph` is replaced by its features in the tile.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network = build_network(random_weights(deepest="conv1_1"))
        >>> photograph = Photograph(np.zeros((40, 20, 3), np.float32), shape=(40, 20, 16))
        >>> term = with_target(ContentTerm("relu1_1", np.zeros((1, 1, 16)), scale=1.0), photograph)
        >>> job = TileJob(network, (term,), Tiling(network.layers, ["relu1_1"], 40, 20, side=24))
        >>> (of_tile,) = job.terms_of(job.tiling.tiles[1])
        >>> of_tile.target.values.shape, of_tile.target.top  # the tile's part of the map, from row 19 on
        ((21, 20, 16), 19)
        """
        sources = {term.tap: photograph for term in self.terms if (photograph := photograph_of(term))}
        if not sources:
            return self.terms
        network, strides = self.network, self.tiling.strides
        (pixels,) = {id(one.pixels): one.pixels for one in sources.values()}.values()  # of all taps in one pass
        features, _ = forward_to(network, tuple(sources), network.backend.asarray(pixels[tile.crop], network.dtype))
        parts = {
            tap: PartialMap(f, tile.rows.start // strides[tap], tile.columns.start // strides[tap])
            for tap, f in features.items()
        }
        return tuple(with_target(term, parts[term.tap]) if photograph_of(term) else term for term in self.terms)


def photograph_of(term: Term) -> Photograph | None:
    """Return a term's photograph if its features are computed again for each tile.

    Examples
    --------
    >>> from handstyle.losses.content import ContentTerm
    >>> photograph = Photograph(np.zeros((64, 64, 3)), shape=(64, 64, 16))
    >>> photograph_of(with_target(ContentTerm("relu1_1", np.zeros((64, 64, 16)), scale=1.0), photograph)) is photograph
    True
    """
    target = getattr(term.inner if isinstance(term, NormalizedTerm) else term, "target", None)
    return target if isinstance(target, Photograph) else None


def with_target(term: Term, target: Any) -> Term:
    """Return a content term, normalized or not, with another target.

    Examples
    --------
    >>> term = with_target(ContentTerm("relu1_1", np.zeros((2, 2, 4)), scale=1.0), np.ones((2, 2, 4)))
    >>> float(term.target.sum())
    16.0
    """
    if isinstance(term, NormalizedTerm):
        return replace(term, inner=with_target(term.inner, target))
    return replace(term, target=target)  # type: ignore[type-var]


# (job, tile, its crop of the picture, the data that are the same for all tiles) -> result
Step = Callable[[TileJob, PictureTile, Array, Any], Any]


def measure_tile(job: TileJob, tile: PictureTile, p: Array, common: None = None) -> list[Statistic]:
    """Do the first pass for a tile: return the statistic of every term over the values that the tile owns.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network = build_network(random_weights(deepest="conv1_1"))
    >>> term = StyleTerm("relu1_1", Moments(1.0, np.zeros(16), np.eye(16)))
    >>> job = TileJob(network, (term,), Tiling(network.layers, ["relu1_1"], 40, 20, side=24))
    >>> tile = job.tiling.tiles[0]
    >>> (statistic,) = measure_tile(job, tile, np.ones(tile.shape, np.float32))
    >>> float(statistic.count)  # the pixels that the tile owns
    400.0
    """
    terms = job.terms_of(tile)
    features, _ = job.features(p)
    statistics = []
    for term in terms:
        f = features[term.tap]
        inside, where = job.tiling.owned(tile, term.tap, f)
        statistics.append(measure(term, f[inside], where))  # book: tiles-measure
    return statistics


def measure(term: Term, f: Array, where: Window) -> Statistic:  # (h, w, C) -> statistic
    """Measure a term's statistic on a part of its features; moments on the host are summed strip by strip.

    Examples
    --------
    >>> f = np.array([[[1.0, 2.0], [3.0, 4.0]]])
    >>> measure(StyleTerm("relu1_1", Moments(1.0, np.zeros(2), np.eye(2))), f, (slice(0, 1), slice(0, 2))).sums
    array([4., 6.])
    """
    inner = term.inner if isinstance(term, NormalizedTerm) else term
    if not (has_plain_moments(inner) and isinstance(f, np.ndarray)):
        return term.measure(f, where)
    mask, rows = part_of(inner.mask, where), max(1, MOMENTS_VALUES // math.prod(f.shape[1:]))
    strips = [slice(top, top + rows) for top in range(0, len(f), rows)]

    def part(strip: slice) -> Moments:
        count = f[strip].shape[0] * f.shape[1] if inner.counts_all else None
        return moments(f[strip], part_of(mask, strip), count)

    with default_team().single_threaded_blas():
        return sum(map(part, strips[1:]), part(strips[0]))


def magnitude_tile(job: TileJob, tile: PictureTile, p: Array, gradients: list[Statistic]) -> list[Statistic]:
    """Sum the magnitudes of every term's gradient over the values that a tile owns, to normalize the gradient.

    Parameters
    ----------
    job, tile, p
        See `measure_tile`.
    gradients : list of statistic
        The gradients at the statistics of the whole picture, one for each term.

    Returns
    -------
    list of (2,) array
        For each normalized term the sum of the magnitudes and their number, for others zeros.

    Examples
    --------
    >>> from handstyle.losses.content import ContentTerm
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network = build_network(random_weights(deepest="conv1_1"))
    >>> p = np.zeros((8, 8, 3), np.float32)
    >>> target = forward_to(network, ("relu1_1",), p)[0]["relu1_1"]
    >>> term = NormalizedTerm(ContentTerm("relu1_1", target - 1, scale=1.0), weight=1.0)
    >>> job = TileJob(network, (term,), Tiling(network.layers, ["relu1_1"], 8, 8, 8))
    >>> (sums,) = magnitude_tile(job, job.tiling.tiles[0], p, [term.inner.loss(np.float64(0.0))[1]])
    >>> sums  # a gradient of 2 at each of 8 x 8 pixels and 16 channels
    array([2048., 1024.])
    """
    terms = job.terms_of(tile)
    features, _ = job.features(p)
    sums = []
    for term, ds in zip(terms, gradients, strict=True):
        f = features[term.tap]
        inside, where = job.tiling.owned(tile, term.tap, f)
        sums.append(magnitude(term, ds, f[inside], where))
    return sums


def magnitude(term: Term, ds: Statistic, f: Array, where: Window) -> Array:  # -> (2,)
    """Return the sum of the magnitudes of a normalized term's gradient and their number, or zeros for other terms.

    Examples
    --------
    >>> term = NormalizedTerm(ContentTerm("relu1_1", np.zeros((1, 2, 1)), scale=1.0), weight=1.0)
    >>> f, where = np.array([[[1.0], [-3.0]]]), (slice(0, 1), slice(0, 2))
    >>> magnitude(term, np.float64(1.0), f, where)  # the gradient is 2 and -6
    array([8., 2.])
    """
    xp = namespace(f)
    if not isinstance(term, NormalizedTerm):
        return xp.zeros(2)  # type: ignore[no-any-return]
    df = abs(term.inner.spread(ds, f, where))
    return xp.stack([df.sum(dtype=xp.float64), xp.asarray(df.size, dtype=xp.float64)])  # type: ignore[no-any-return]


class Spread(NamedTuple):
    """The results of the first pass that the second pass needs, for one term.

    Parameters
    ----------
    ds : statistic
        The gradient at the statistic of the whole picture.
    factor : float
        The factor of the gradient at the features.

    Examples
    --------
    >>> import numpy as np
    >>> Spread(ds=np.float64(2.0), factor=0.5).factor
    0.5
    """

    ds: Statistic
    factor: Any


def add_spread(term: Term, first_pass: Spread, f: Array, where: Window, df: Array) -> None:  # (h, w, C), (h, w, C)
    """Add a term's weighted gradient at a part of its features to `df`.

    Examples
    --------
    >>> f, where = np.array([[[1.0], [-3.0]]]), (slice(0, 1), slice(0, 2))
    >>> term, df = ContentTerm("relu1_1", np.zeros((1, 2, 1)), scale=1.0), np.full((1, 2, 1), 100.0)
    >>> add_spread(term, Spread(np.float64(1.0), 0.5), f, where, df)
    >>> df.ravel().tolist()  # half of 2 and -6 was added
    [101.0, 97.0]
    """
    inner = term.inner if isinstance(term, NormalizedTerm) else term
    if has_plain_moments(inner) and isinstance(f, np.ndarray):
        ds = first_pass.ds.scaled(float(first_pass.factor))
        MomentsGradient(ds, f, part_of(inner.mask, where)).add_to(df)
    else:
        df += spread(term, first_pass, f, where)


def spread(term: Term, first_pass: Spread, f: Array, where: Window) -> Array:  # (h, w, C) -> (h, w, C)
    """Return a term's weighted gradient at a part of its features.

    Examples
    --------
    >>> f, where = np.array([[[1.0], [-3.0]]]), (slice(0, 1), slice(0, 2))
    >>> term = ContentTerm("relu1_1", np.zeros((1, 2, 1)), scale=1.0)
    >>> spread(term, Spread(np.float64(1.0), 0.5), f, where).ravel().tolist()  # half of 2 and -6
    [1.0, -3.0]
    """
    inner = term.inner if isinstance(term, NormalizedTerm) else term
    df: Array = inner.spread(first_pass.ds, f, where)
    weighted: Array = df * namespace(df).asarray(first_pass.factor, dtype=df.dtype)
    return weighted


@dataclass(frozen=True)
class OwnGradients(Mapping[str, Array]):
    """The terms' gradients by layer for a tile, with zeros outside the part that the tile owns.

    The backward pass takes each once, when it reaches the layer; the features are then freed.

    Examples
    --------
    >>> from handstyle.losses.content import ContentTerm
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network = build_network(random_weights(deepest="conv1_1"))
    >>> term = ContentTerm("relu1_1", np.zeros((64, 40, 16), np.float32), scale=1.0)
    >>> job = TileJob(network, (term,), Tiling(network.layers, ["relu1_1"], 64, 40, 48))
    >>> tile = job.tiling.tiles[0]
    >>> f = np.ones((*tile.shape[:2], 16), np.float32)
    >>> gradients = OwnGradients(job, (term,), tile, {"relu1_1": f}, [Spread(ds=np.float64(1.0), factor=1.0)])
    >>> int(gradients["relu1_1"].any(axis=(1, 2)).sum()), tile.rows  # rows that are not zero
    (32, Span(start=0, stop=33, own_start=0, own_stop=32))
    """

    job: TileJob
    terms: tuple[Term, ...]
    tile: PictureTile
    features: Features
    first_pass: list[Spread]

    def __getitem__(self, tap: str) -> Array:
        f = self.features.pop(tap)
        inside, where = self.job.tiling.owned(self.tile, tap, f)
        df: Array = namespace(f).zeros_like(f)
        own = df[inside]
        for term, first_pass in zip(self.terms, self.first_pass, strict=True):
            if term.tap == tap:
                add_spread(term, first_pass, f[inside], where, own)  # book: tiles-spread
        return df

    def __contains__(self, tap: object) -> bool:
        return tap in self.job.taps

    def __iter__(self) -> Iterator[str]:
        return iter(self.job.taps)

    def __len__(self) -> int:
        return len(self.job.taps)


def spread_tile(job: TileJob, tile: PictureTile, p: Array, first_pass: list[Spread]) -> Array:  # (h, w, 3) -> (h, w, 3)
    """Do the second pass for a tile: return the gradient at the tile's crop of the picture.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network = build_network(random_weights(deepest="conv1_1"))
    >>> term = ContentTerm("relu1_1", np.zeros((40, 20, 16), np.float32), scale=1.0)
    >>> job = TileJob(network, (term,), Tiling(network.layers, ["relu1_1"], 40, 20, side=24))
    >>> tile = job.tiling.tiles[0]
    >>> spread_tile(job, tile, np.ones(tile.shape, np.float32), [Spread(np.float64(1.0), 1.0)]).shape
    (21, 20, 3)
    """
    terms = job.terms_of(tile)
    features, caches = job.features(p)
    dx = job.network.backward(OwnGradients(job, terms, tile, features, first_pass), caches)
    dp: Array = preprocess_backward(dx, job.network.convention)
    return dp


# --- the workers ----------------------------------------------------------------------------------------------------


class Workers(Protocol):
    """An executor that calls a function for every tile, in this process or in others."""

    def total(self, step: Step, job: TileJob, p: Array, common: Any) -> list[Statistic]:
        """Call `step` for every tile, and return the sum of the results, added as by `tree_sum`."""

    def each(self, step: Step, job: TileJob, p: Array, common: Any) -> Iterator[Array]:
        """Call `step` for every tile, and yield the results in the order of the tiles."""


@dataclass(frozen=True)
class KeptTileJob(TileJob):
    """A job for one tile that keeps the tile's features from the first pass for the next pass.

    Parameters
    ----------
    network, terms, tiling
        See `TileJob`.
    kept : list of (features, caches)
        What the pass before has kept: one pair, or nothing.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network = build_network(random_weights(deepest="conv1_1"))
    >>> term = StyleTerm("relu1_1", Moments(1.0, np.zeros(16), np.eye(16)))
    >>> job = KeptTileJob(network, (term,), Tiling(network.layers, ["relu1_1"], 8, 8, 8))
    >>> tile, p = job.tiling.tiles[0], np.ones((8, 8, 3), np.float32)
    >>> statistics = measure_tile(job, tile, p)
    >>> len(job.kept)
    1
    """

    kept: list[tuple[Features, Cache]] = field(default_factory=list)

    def features(self, p: Array) -> tuple[Features, Cache]:
        """Return the features kept by the pass before, or compute them and keep them for the next pass.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network = build_network(random_weights(deepest="conv1_1"))
        >>> term = StyleTerm("relu1_1", Moments(1.0, np.zeros(16), np.eye(16)))
        >>> job = KeptTileJob(network, (term,), Tiling(network.layers, ["relu1_1"], 8, 8, 8))
        >>> first, second = (job.features(np.ones((8, 8, 3), np.float32))[0]["relu1_1"] for _ in range(2))
        >>> second is first  # kept from the first pass for the second
        True
        """
        if self.kept:
            return self.kept.pop()
        features, caches = super().features(p)
        self.kept.append((dict(features), caches))
        return features, caches


@dataclass
class Sequential:
    """The executor that works on one tile after another in this process.

    Parameters
    ----------
    keep : int
        Number of tiles, counted from the first one, whose features are kept from the first pass for the second.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network = build_network(random_weights(deepest="conv1_1"))
    >>> terms = (StyleTerm("relu1_1", Moments(1.0, np.zeros(16), np.eye(16))),)
    >>> job = TileJob(network, terms, Tiling(network.layers, ["relu1_1"], 40, 20, side=24))
    >>> def count_pixels(job, tile, p, common):
    ...     return [p.shape[0] * p.shape[1]]
    >>> list(Sequential().each(count_pixels, job, np.ones((40, 20, 3)), None))
    [[420], [420]]
    """

    keep: int = 0

    def __post_init__(self) -> None:
        self._kept: list[KeptTileJob] = []

    def total(self, step: Step, job: TileJob, p: Array, common: Any) -> list[Statistic]:
        """Call `step` for every tile, and return the sum of the results.

        Parameters
        ----------
        step : callable
            ``step(job, tile, crop, common)`` returns a list; the lists of all tiles are added by `tree_sum`.
        job : TileJob
            The network, the terms and the tiles.
        p : (H, W, 3) array
            The picture, of which each tile gets its crop.
        common : any
            The data that are the same for all tiles.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network = build_network(random_weights(deepest="conv1_1"))
        >>> terms = (StyleTerm("relu1_1", Moments(1.0, np.zeros(16), np.eye(16))),)
        >>> job = TileJob(network, terms, Tiling(network.layers, ["relu1_1"], 40, 20, side=24))
        >>> (moments_of_all,) = Sequential().total(measure_tile, job, np.ones((40, 20, 3)), None)
        >>> float(moments_of_all.count)  # 40 · 20 pixels, each once
        800.0
        """
        return tree_sum(self.each(step, job, p, common))

    def each(self, step: Step, job: TileJob, p: Array, common: Any) -> Iterator[Any]:
        """Call `step` for every tile, and yield the results in the order of the tiles.

        Parameters
        ----------
        step, job, p, common
            See `total`.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network = build_network(random_weights(deepest="conv1_1"))
        >>> terms = (ContentTerm("relu1_1", np.zeros((40, 20, 16), np.float32), scale=1.0),)
        >>> job = TileJob(network, terms, Tiling(network.layers, ["relu1_1"], 40, 20, side=24))
        >>> first_pass = [Spread(ds=np.float64(1.0), factor=1.0)]
        >>> [dp.shape for dp in Sequential().each(spread_tile, job, np.ones((40, 20, 3)), first_pass)]
        [(21, 20, 3), (21, 20, 3)]
        """
        tiles = job.tiling.tiles
        if step is measure_tile:  # a new picture
            self._kept = [KeptTileJob(job.network, job.terms, job.tiling) for _ in tiles[: self.keep]]
        jobs = chain(self._kept, repeat(job))
        return (step(one, tile, p[tile.crop], common) for one, tile in zip(jobs, tiles, strict=False))


def add_lists(a: list[Statistic], b: list[Statistic]) -> list[Statistic]:
    """Return the elementwise sums of two lists of statistics.

    Examples
    --------
    >>> add_lists([1.0, 2.0], [10.0, 20.0])
    [11.0, 22.0]
    """
    return [one + other for one, other in zip(a, b, strict=True)]


def tree_sum(parts: Iterable[Any], add: Callable[[Any, Any], Any] = add_lists) -> list[Statistic]:
    """Add up lists of statistics pairwise, in an order that depends on their number alone.

    Parameters
    ----------
    parts : iterable of list of statistic
        One or more lists of the same length. For n lists, at most about log2(n) sums are in memory at a time.
    add : callable
        Returns the sum of two lists.

    Returns
    -------
    list of statistic

    Examples
    --------
    >>> tree_sum([[1.0], [2.0], [4.0]])
    [7.0]
    """
    waiting: list[tuple[int, Any]] = []
    for part in parts:
        level = 0
        while waiting and waiting[-1][0] == level:
            part, level = add(waiting.pop()[1], part), level + 1
        waiting.append((level, part))
    total: list[Statistic] = waiting.pop()[1]
    while waiting:
        total = add(waiting.pop()[1], total)
    return total


# --- the engine -----------------------------------------------------------------------------------------------------


@dataclass
class TileEngine:
    """An engine that computes a picture tile by tile with another engine.

    Parameters
    ----------
    inner : Engine
        The engine that computes a tile.
    side : int
        Side in pixels of a tile with its halo.
    workers : Workers
        The executor of the work on the tiles; by default one tile after another in this process.
    kept_bytes : int
        Bytes of memory in which features of tiles may be kept from the first pass for the second; used only with the
        CPU engine in one process.
    recompute : bool
        Whether a photograph's features are computed again for each tile in each pass, in place of being kept.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network = by_tiles(build_network(random_weights(deepest="conv2_1")), 64)
    >>> network.engine.name
    'tiles of 64 px, reference'
    """

    inner: Engine
    side: int
    workers: Workers = field(default_factory=Sequential)
    kept_bytes: int = 0
    recompute: bool = False
    name: str = field(init=False)

    def __post_init__(self) -> None:
        self.name = f"tiles of {self.side} px, {self.inner.name}"
        self.poolings, self.tf32 = self.inner.poolings, self.inner.tf32
        self._last = ""

    def forward(self, layers: tuple[Layer, ...], x: Array, taps: Iterable[str]) -> tuple[Features, Cache]:
        """Return the features at the layers `taps`, put together from those of the tiles, and data for `backward`.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network = build_network(random_weights(deepest="conv2_1"))
        >>> x = np.random.default_rng(0).normal(size=(48, 40, 3)).astype(np.float32)
        >>> whole, _ = network.forward(x, ["relu2_1"])
        >>> tiled, _ = TileEngine(network.engine, side=32).forward(network.layers, x, ["relu2_1"])
        >>> np.allclose(tiled["relu2_1"], whole["relu2_1"], atol=1e-5)
        True
        """
        taps = tuple(dict.fromkeys(taps))
        tiling = Tiling(layers, taps, x.shape[0], x.shape[1], self.side)
        if len(tiling.tiles) == 1:
            features, caches = self.inner.forward(layers, x, taps)
            return features, (None, taps, caches)
        parts = (self.inner.forward(layers, x[tile.crop], taps)[0] for tile in tiling.tiles)
        return assemble_maps(tiling, layers, x.shape, parts), (tiling, taps, x)

    def backward(self, layers: tuple[Layer, ...], dfeatures: Mapping[str, Array], caches: Cache) -> Array:
        """Return the gradient at the input; every tile is run forward again before it is run backward.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network = build_network(random_weights(deepest="conv2_1"))
        >>> x = np.random.default_rng(0).normal(size=(48, 40, 3)).astype(np.float32)
        >>> features, caches = network.forward(x, ["relu2_1"])
        >>> engine = TileEngine(network.engine, side=32)
        >>> _, tiled = engine.forward(network.layers, x, ["relu2_1"])
        >>> np.allclose(engine.backward(network.layers, features, tiled), network.backward(features, caches), atol=1e-5)
        True
        """
        tiling, taps, x = caches
        if tiling is None:
            return self.inner.backward(layers, dfeatures, x)
        check_gradients([layer.name for layer in layers[: deepest(layers, taps)]], dfeatures)
        dx = namespace(x).zeros_like(x)
        for tile in tiling.tiles:
            features, inner = self.inner.forward(layers, x[tile.crop], taps)
            own = {}
            for tap, df in dfeatures.items():
                inside, where = tiling.owned(tile, tap, features[tap])
                own[tap] = namespace(df).zeros_like(features[tap])
                own[tap][inside] = df[where]
            part = dx[tile.crop]
            part += self.inner.backward(layers, own, inner)
        return dx  # type: ignore[no-any-return]

    def prepare(self, network: Network, terms: Sequence[Term], shape: Shape) -> Evaluate:
        """Return a function that evaluates `terms` on `network`; with one tile it is that of the inner engine.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network = build_network(random_weights(deepest="conv1_1"))
        >>> terms = [ContentTerm("relu1_1", np.zeros((40, 64, 16), np.float32), scale=1.0)]
        >>> evaluate = TileEngine(network.engine, side=48).prepare(network, terms, (40, 64, 3))
        >>> values, dp = evaluate(np.zeros((40, 64, 3), np.float32))
        >>> values.shape, dp.shape
        ((1,), (40, 64, 3))
        """
        inner = network.with_kernels(self.inner)
        tiling = self.tiling(network, terms, shape)
        terms = scaled_terms([self._with_scale(term, inner, tiling) for term in terms])
        if tiling is not None and len(tiling.tiles) == 1:
            self._last = "one tile"
            return self.inner.prepare(inner, terms, shape)
        workers = self.workers
        if tiling is not None:
            self._last = f"{len(tiling.tiles)} tiles with halos of {tiling.halo} px"
            if keep := self.kept(network, terms, tiling):
                workers, self._last = Sequential(keep), f"{self._last}, {keep} of them kept from one pass to the next"
            if any(map(photograph_of, terms)):
                self._last += ", the photograph's features computed again for each"
        return TileEvaluation(workers, inner, terms, shape, tiling)

    def _with_scale(self, term: Term, network: Network, tiling: Tiling | None) -> Term:
        photograph = photograph_of(term)
        if photograph is None or tiling is None:
            return term
        if isinstance(term, NormalizedTerm):
            return replace(term, inner=self._with_scale(term.inner, network, tiling))
        if term.scale is not None:  # type: ignore[attr-defined]
            return term
        nothing = network.backend.xp.broadcast_to(network.dtype.type(0), photograph.shape)
        zero = replace(with_target(term, nothing), scale=1.0)  # type: ignore[type-var]
        (energy,) = self.workers.total(measure_tile, TileJob(network, (zero,), tiling), photograph.pixels, None)
        return replace(term, scale=scale_of(energy))  # type: ignore[type-var]

    def kept(self, network: Network, terms: Sequence[Term], tiling: Tiling) -> int:
        """Return the number of tiles whose features fit into `kept_bytes` bytes and will be kept.

        Examples
        --------
        >>> from handstyle.kernels.cpu.engine import auto_engine
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network = build_network(random_weights(deepest="conv1_1"))
        >>> terms = [ContentTerm("relu1_1", np.zeros((40, 64, 16), np.float32), scale=1.0)]
        >>> engine = TileEngine(auto_engine(), side=24, kept_bytes=100_000)
        >>> tiling = engine.tiling(network, terms, (40, 64, 3))
        >>> engine.kept(network, terms, tiling), len(tiling.tiles)  # a tile has 38 kB
        (2, 6)
        """
        if not (self.kept_bytes and isinstance(self.inner, CpuEngine) and isinstance(self.workers, Sequential)):
            return 0
        rows = summary(network, *max(tile.shape for tile in tiling.tiles)[:2])
        taps = taps_of(terms)
        deep = max(i for i, row in enumerate(rows) if row.name in taps)
        # Features in full; of every map up to the deepest two bits a value, of the rectifier and of the pool.
        size = network.dtype.itemsize * sum(row.values for row in rows if row.name in taps)
        size += sum(row.values for row in rows[: deep + 1]) // 4
        return min(len(tiling.tiles), self.kept_bytes // size)

    def tiling(self, network: Network, terms: Sequence[Term], shape: Shape) -> Tiling | None:
        """Return the tiles of a picture of `shape`, or None if no term measures a layer.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network = build_network(random_weights(deepest="conv1_1"))
        >>> term = ContentTerm("relu1_1", np.zeros((40, 64, 16), np.float32), scale=1.0)
        >>> engine = TileEngine(network.engine, side=48)
        >>> len(engine.tiling(network, [term], (40, 64, 3)).tiles)
        2
        >>> engine.tiling(network, [VariationTerm()], (40, 64, 3)) is None  # it measures the picture
        True
        """
        taps = taps_of(terms)
        return Tiling(network.layers, taps, shape[0], shape[1], self.side) if taps else None

    def forecast(self, network: Network, terms: Sequence[Term], shape: Shape, *, gradient: bool = True) -> Forecast:
        """Return the memory and the time of an evaluation, from the inner engine's forecast for the largest tile.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network = build_network(random_weights(deepest="conv2_1"))
        >>> terms = [StyleTerm("relu2_1", Moments(1.0, np.zeros(32), np.eye(32)))]
        >>> engines = [TileEngine(network.engine, side) for side in (128, 512)]
        >>> small, large = (engine.forecast(network, terms, (512, 512, 3)) for engine in engines)
        >>> small.bytes < large.bytes / 2  # the large tile is the whole picture
        True
        """
        inner, tiling = network.with_kernels(self.inner), self.tiling(network, terms, shape)
        if tiling is None or len(tiling.tiles) == 1:
            return self.inner.forecast(inner, terms, shape, gradient=gradient)
        tile = max(tiling.tiles, key=lambda tile: math.prod(tile.shape))
        crop = tile.shape
        cut = [cut_term(term, tile, tiling) for term in terms if term.tap != PICTURE]
        once = self.inner.forecast(inner, cut, crop, gradient=False)
        held = sum(term_bytes_in_memory(term, network) for term in terms)
        n, count = math.prod(shape), len(tiling.tiles)
        if not gradient:
            return Forecast(once.bytes + held, once.weights, count * once.seconds)
        seconds = 2 * target_bytes_in_files(network, terms, shape) / DISK_RATE
        if self.recompute and (of_photograph := [term for term in cut if is_content(term)]):
            seconds += 2 * count * self.inner.forecast(inner, of_photograph, crop, gradient=False).seconds
        both = self.inner.forecast(inner, cut, crop)
        # Unlike the inner engine's own evaluation, a tile keeps the first map, and has its gradient in another array.
        # The terms of the picture come after the tiles, while the inner engine keeps its memory.
        maps = {row.name: row.values for row in summary(network, *crop[:2])}
        largest = network.dtype.itemsize * max(maps[tap] for tap in taps_of(terms))
        of_picture = [term for term in terms if term.tap == PICTURE]
        pixels = shape[0] * shape[1] if any(map(needs_whole_picture, of_picture)) else STRIP_PIXELS
        strip = bool(of_picture) * STRIP_ARRAYS * network.dtype.itemsize * min(3 * pixels, n)
        taken = both.bytes + largest + max(largest, strip)
        seconds += count * (once.seconds + both.seconds) - self.kept(network, cut, tiling) * once.seconds
        return Forecast(taken + held + GRADIENT_BYTES * n, both.weights, seconds)

    def describe(self) -> str:
        """Return in words the number of tiles of the last objective, and the methods of the inner engine.

        Examples
        --------
        >>> from handstyle.kernels.cpu.engine import im2col_engine
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network = build_network(random_weights(deepest="conv1_1"))
        >>> terms = [ContentTerm("relu1_1", np.zeros((40, 64, 16), np.float32), scale=1.0)]
        >>> engine = TileEngine(im2col_engine(), side=48)
        >>> values, dp = engine.prepare(network, terms, (40, 64, 3))(np.zeros((40, 64, 3), np.float32))
        >>> engine.describe()
        '2 tiles with halos of 1 px; im2col: conv1_1 forward, conv1_1 adjoint'
        """
        return "; ".join(filter(None, (self._last, self.inner.describe())))


def smaller_tiles(network: Network, shape: Shape) -> list[int]:
    """Return the sides of smaller tiles to try if the network's tiles do not fit the memory, from large to small.

    Parameters
    ----------
    network : Network
        A network from `by_tiles`, or any other.
    shape : (H, W, 3)
        Shape of the picture.

    Returns
    -------
    list of int
        The sides in `TILE_SIDES` smaller than the network's tiles and the picture; the last ones may be too small for
        the network.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> smaller_tiles(by_tiles(build_network(random_weights()), 768), (2000, 1000, 3))
    [512, 384, 256]
    """
    longest = max(shape[:2])
    return [side for side in TILE_SIDES if side < min(tile_side(network) or longest, longest)]


def gradient_bytes(network: Network, shape: Shape) -> int:
    """Return the bytes for gradients of the picture that are included in a forecast; 0 if there are no tiles.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network = build_network(random_weights(deepest="conv1_1"))
    >>> gradient_bytes(network, (64, 64, 3)), gradient_bytes(by_tiles(network, 32), (64, 64, 3)) // (3 * 64 * 64)
    (0, 16)
    """
    return GRADIENT_BYTES * math.prod(shape) if max(shape[:2]) > tile_side(network) > 0 else 0


def target_bytes_in_files(network: Network, terms: Sequence[Term], shape: Shape) -> int:
    """Return the bytes of the files in which the terms' targets lie during a run; 0 without tiles.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network = by_tiles(build_network(random_weights(deepest="conv1_1")), 32)
    >>> target_bytes_in_files(network, [ContentTerm("relu1_1", np.ones((64, 64, 16)))], (64, 64, 3))  # it is small
    0
    """
    tiled = max(shape[:2]) > tile_side(network) > 0
    return sum(target_file(term, network) for term in terms) if tiled else 0


def by_tiles(network: Network, side: int, *, recompute: bool | None = None) -> Network:
    """Return the network with an engine that computes pictures tile by tile.

    Parameters
    ----------
    network : Network
        The network; its engine will compute the tiles. If that is a `TileEngine` already, its inner engine and workers
        are used.
    side : int
        Side in pixels of a tile with its halo.
    recompute : bool, optional
        As of `TileEngine`; by default that of the network, or False.

    Returns
    -------
    Network

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> by_tiles(build_network(random_weights()), 512).engine.side
    512
    """
    engine = engine_of(network)
    workers = engine.workers if isinstance(engine, TileEngine) else Sequential()
    recompute = recomputes_photograph(network) if recompute is None else recompute
    return network.with_kernels(TileEngine(inner_engine(network), side, workers, recompute=recompute))


def with_kept_features(network: Network, kept_bytes: int) -> Network:
    """Return a network whose `TileEngine` may keep features in `kept_bytes`; without tiles, the network itself.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network = build_network(random_weights(deepest="conv1_1"))
    >>> with_kept_features(by_tiles(network, 32), 1 << 20).engine.kept_bytes
    1048576
    >>> with_kept_features(network, 1 << 20) is network
    True
    """
    engine = engine_of(network)
    return network.with_kernels(replace(engine, kept_bytes=kept_bytes)) if isinstance(engine, TileEngine) else network


def tile_side(network: Network) -> int:
    """Return the side in pixels of the tiles of a network's engine; 0 if it has no tiles.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network = build_network(random_weights(deepest="conv1_1"))
    >>> tile_side(network), tile_side(by_tiles(network, 32))
    (0, 32)
    """
    engine = engine_of(network)
    return engine.side if isinstance(engine, TileEngine) else 0


def recomputes_photograph(network: Network) -> bool:
    """Return whether a network computes a photograph's features again for each tile.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network = build_network(random_weights(deepest="conv1_1"))
    >>> recomputes_photograph(network), recomputes_photograph(by_tiles(network, 32, recompute=True))
    (False, True)
    """
    engine = engine_of(network)
    return isinstance(engine, TileEngine) and engine.recompute


def inner_engine(network: Network) -> Engine:
    """Return the engine that computes each tile; if a network has no tiles, its engine.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network = build_network(random_weights(deepest="conv1_1"))
    >>> inner_engine(by_tiles(network, 32)) is network.engine
    True
    """
    engine = engine_of(network)
    return engine.inner if isinstance(engine, TileEngine) else engine


def assemble_maps(tiling: Tiling, layers: tuple[Layer, ...], shape: Shape, parts: Iterable[Features]) -> Features:
    """Return a picture's feature maps, put together from those of its tiles; large ones are mapped from files.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network, p = build_network(random_weights(deepest="conv1_1")), np.ones((40, 20, 3), np.float32)
    >>> tiling = Tiling(network.layers, ["relu1_1"], 40, 20, side=24)
    >>> parts = [network.forward(p[tile.crop], ["relu1_1"])[0] for tile in tiling.tiles]
    >>> f = assemble_maps(tiling, network.layers, p.shape, parts)["relu1_1"]
    >>> np.allclose(f, network.forward(p, ["relu1_1"])[0]["relu1_1"], atol=1e-6)
    True
    """
    maps: Features = {}
    for tile, features in zip(tiling.tiles, parts, strict=True):
        for tap in list(features):
            f = features.pop(tap)
            inside, where = tiling.owned(tile, tap, f)
            if tap not in maps:
                maps[tap] = empty_map((*map_size(layers, tap, shape), f.shape[2]), f)
            maps[tap][where] = f[inside]
    return maps


def map_size(layers: tuple[Layer, ...], tap: str, shape: Shape) -> tuple[int, int]:
    """Return height and width of the features at the layer `tap`, for a picture of `shape`.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> map_size(build_network(random_weights()).layers, "relu3_1", (100, 60, 3))  # after two pools
    (25, 15)
    """
    H, W = shape[:2]
    for layer in layers:
        if isinstance(layer, Pool):
            H, W = layer.output_size(H, W)
        if layer.name == tap:
            break
    return H, W


def tiled_features(network: Network, p: Array, taps: Sequence[str]) -> dict[str, Any] | None:
    """Return a picture's features, computed tile by tile, or None if the network has no tiles.

    Parameters
    ----------
    network, p, taps
        See `tiled_moments`.

    Returns
    -------
    dict of str to (h, w, C) array, or None
        The features by layer, on the network's device, or on the host in files mapped into memory; if they are computed
        again for each tile, `Photograph`.

    Examples
    --------
    >>> import numpy as np
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network = by_tiles(build_network(random_weights(deepest="conv2_1")), 32)
    >>> tiled_features(network, np.zeros((48, 40, 3), np.float32), ["relu2_1"])["relu2_1"].shape
    (24, 20, 32)
    """
    engine = engine_of(network)
    if not isinstance(engine, TileEngine):
        return None
    tiling = Tiling(network.layers, taps, p.shape[0], p.shape[1], engine.side)
    if engine.recompute and len(tiling.tiles) > 1:
        shapes = {row.name: row.shape for row in summary(network, *p.shape[:2])}
        return {tap: Photograph(p, shapes[tap]) for tap in taps}
    nothing = np.zeros((0, 0, 0))
    job = TileJob(network.with_kernels(engine.inner), tuple(ContentTerm(tap, nothing) for tap in taps), tiling)
    parts = (job.features(p[tile.crop])[0] for tile in tiling.tiles)
    return assemble_maps(tiling, network.layers, p.shape, parts)


def tiled_moments(
    network: Network, p: Array, taps: Sequence[str], masks: Mapping[str, Array]
) -> dict[str, Moments] | None:
    """Return the moments of a picture's features, measured tile by tile, or None if the network has no tiles.

    Parameters
    ----------
    network : Network
        A network from `by_tiles`; for any other the result is None.
    p : (H, W, 3) array
        The picture, on the host or the device.
    taps : sequence of str
        The layers whose moments are measured.
    masks : mapping of str to (h, w, 1) array
        The weight of each pixel by layer, on the network's device in its dtype. Layers without a mask have weight 1.

    Returns
    -------
    dict of str to Moments, or None

    Examples
    --------
    >>> import numpy as np
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network = by_tiles(build_network(random_weights(deepest="conv2_1")), 32)
    >>> float(tiled_moments(network, np.zeros((48, 40, 3), np.float32), ["relu2_1"], {})["relu2_1"].count)
    480.0
    """
    engine = engine_of(network)
    if not isinstance(engine, TileEngine):
        return None
    nothing = Moments(1.0, np.zeros(0), np.zeros((0, 0)))
    terms = tuple(StyleTerm(tap, nothing, mask=masks.get(tap)) for tap in taps)
    tiling = Tiling(network.layers, taps, p.shape[0], p.shape[1], engine.side)
    job = TileJob(network.with_kernels(engine.inner), terms, tiling)
    return dict(zip(taps, engine.workers.total(measure_tile, job, p, None), strict=True))


def empty_map(shape: Shape, like: Array) -> Array:  # -> (h, w, C)
    """Return an uninitialized array for a feature map; a large one on the host is a file mapped into memory.

    Examples
    --------
    >>> empty_map((4, 6, 8), like=np.zeros(1, np.float32)).shape
    (4, 6, 8)
    """
    if isinstance(like, np.ndarray) and is_large(math.prod(shape) * like.itemsize):
        with suppress(OutOfMemoryError):
            return mapped_zeros(shape, like.dtype)
    array: Array = namespace(like).empty(shape, like.dtype)
    return array


@dataclass(frozen=True)
class TileEvaluation:
    """An objective prepared by `TileEngine`; see `handstyle.optimize.objective.Evaluate`.

    Parameters
    ----------
    workers : Workers
        The executor of the work on the tiles.
    network : Network
        The network, with the engine that computes a tile.
    terms : sequence of Term
        The terms of the objective.
    shape : (H, W, 3)
        Shape of the picture.
    tiling : Tiling or None
        The tiles; None if all terms are functions of the picture itself.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network = build_network(random_weights(deepest="conv1_1"))
    >>> terms = [ContentTerm("relu1_1", np.zeros((40, 64, 16), np.float32), scale=1.0)]
    >>> tiling = Tiling(network.layers, ["relu1_1"], 40, 64, 48)
    >>> evaluation = TileEvaluation(Sequential(), network, terms, (40, 64, 3), tiling)
    >>> values, dp = evaluation(np.zeros((40, 64, 3), np.float32))
    >>> values.shape, dp.shape
    ((1,), (40, 64, 3))
    """

    workers: Workers
    network: Network
    terms: Sequence[Term]
    shape: Shape
    tiling: Tiling | None

    @cached_property
    def job(self) -> TileJob:
        """The network, the terms at layers and the tiles, for the work on the tiles.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network = build_network(random_weights(deepest="conv1_1"))
        >>> terms = [ContentTerm("relu1_1", np.zeros((40, 64, 16), np.float32), scale=1.0), VariationTerm()]
        >>> tiling = Tiling(network.layers, ["relu1_1"], 40, 64, 48)
        >>> job = TileEvaluation(Sequential(), network, terms, (40, 64, 3), tiling).job
        >>> [term.tap for term in job.terms]  # without that of the picture
        ['relu1_1']
        """
        assert self.tiling is not None
        return TileJob(self.network, tuple(term for term in self.terms if term.tap != PICTURE), self.tiling)

    def __call__(self, p: Array) -> tuple[Array, Array]:  # (H, W, 3) -> (n,), (H, W, 3)
        """Return the terms' values and the gradient of their sum."""
        dp = zeros_for(p)
        return self.add_gradient(p, dp), dp

    def host(self, v: Array) -> tuple[Array, Array]:  # (3HW,) -> (n,), (3HW,)
        """Return the terms' values and the gradient at a flat float64 vector on the host, which is not copied.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network = build_network(random_weights(deepest="conv1_1"))
        >>> terms = [ContentTerm("relu1_1", np.zeros((40, 64, 16), np.float32), scale=1.0)]
        >>> tiling = Tiling(network.layers, ["relu1_1"], 40, 64, 48)
        >>> values, gradient = TileEvaluation(Sequential(), network, terms, (40, 64, 3), tiling).host(np.zeros(7680))
        >>> gradient.shape, gradient.dtype
        ((7680,), dtype('float64'))
        """
        dp = np.zeros(self.shape)
        return to_numpy(self.add_gradient(v.reshape(self.shape), dp)), dp.ravel()

    def add_gradient(self, p: Array, dp: Array) -> Array:  # (H, W, 3), (H, W, 3) -> (n,)
        """Add the gradient at `p` to `dp`, both on the host or both on the device, and return the terms' values.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network = build_network(random_weights(deepest="conv1_1"))
        >>> evaluation = TileEvaluation(Sequential(), network, [VariationTerm(weight=2.0)], (1, 2, 3), None)
        >>> p, dp = np.array([[[0.0, 0.0, 0.0], [3.0, 0.0, 0.0]]], np.float32), np.full((1, 2, 3), 100.0)
        >>> evaluation.add_gradient(p, dp), dp[0, :, 0]  # the value is 2 · 3² / 3 pairs, and 4 was subtracted and added
        (array([6.]), array([ 96., 104.]))
        """
        values = {}
        if self.tiling is not None:
            job, at_layers = self.job, self.job.terms
            statistics = self.workers.total(measure_tile, job, p, None)
            losses = [term.loss(s) for term, s in zip(at_layers, statistics, strict=True)]
            ds = [ds for _, ds in losses]
            magnitudes: list[Any] = [None] * len(ds)
            if any(isinstance(term, NormalizedTerm) for term in at_layers):
                magnitudes = self.workers.total(magnitude_tile, job, p, ds)
            first_pass = [Spread(*one) for one in zip(ds, map(factor_of, at_layers, magnitudes), strict=True)]
            for tile, part in zip(self.tiling.tiles, self.workers.each(spread_tile, job, p, first_pass), strict=True):
                own = dp[tile.crop]
                own += to_numpy(part) if isinstance(dp, np.ndarray) else part  # book: tiles-add
            values = {t.name: float(t.weight) * value for t, (value, _) in zip(at_layers, losses, strict=True)}
        for term in self.terms:
            if term.tap == PICTURE:
                values[term.name] = self._add_picture_term(term, p, dp)
        xp = self.network.backend.xp
        return xp.stack([xp.asarray(values[term.name], dtype="float64") for term in self.terms])  # type: ignore[no-any-return]

    def _add_picture_term(self, term: Term, p: Array, dp: Array) -> Array:
        # Strip by strip, so that the only arrays of the picture's size are the picture and its gradient.
        weight, (height, width) = float(term.weight), self.shape[:2]

        def cut(rows: slice) -> Array:
            return self.network.backend.asarray(p[rows], dtype=self.network.dtype)

        def add(rows: slice, df: Array) -> None:
            own = dp[rows]
            own += to_numpy(df) if isinstance(dp, np.ndarray) else df

        step = height if needs_whole_picture(term) else max(1, STRIP_PIXELS // width)
        if isinstance(term, VariationTerm):
            return variation_by_strips(term, cut, add, self.shape, step)
        strips = [(slice(top, min(height, top + step)), slice(None)) for top in range(0, height, step)]
        (statistic,) = tree_sum([measure(term, cut(where[0]), where)] for where in strips)
        value, ds = term.loss(statistic)
        sums = None
        if isinstance(term, NormalizedTerm):
            (sums,) = tree_sum([magnitude(term, ds, cut(where[0]), where)] for where in strips)
        first_pass = Spread(ds, factor_of(term, sums))
        for where in strips:
            add(where[0], spread(term, first_pass, cut(where[0]), where))
        return weight * value


def factor_of(term: Term, sums: Array | None) -> Any:
    """Return the factor of a term's gradient: its weight or, for a normalized term, weight over mean magnitude.

    `sums` has the sum of the magnitudes of a normalized term's gradient and the number of its values.

    Examples
    --------
    >>> term = ContentTerm("relu1_1", np.zeros((1, 2, 1)), weight=10.0, scale=1.0)
    >>> normalized = NormalizedTerm(term, weight=10.0)
    >>> factor_of(term, None), round(float(factor_of(normalized, np.array([8.0, 2.0]))), 6)  # 10 / (8 / 2)
    (10.0, 2.5)
    """
    if sums is None or not isinstance(term, NormalizedTerm):
        return float(term.weight)
    return float(term.weight) / (sums[0] / sums[1] + NORMALIZE_EPSILON)


def needs_whole_picture(term: Term) -> bool:
    """Return whether a term is a function of the picture that cannot be evaluated on strips of rows.

    Examples
    --------
    >>> from handstyle.losses.total_variation import VariationTerm
    >>> needs_whole_picture(VariationTerm())
    False
    >>> needs_whole_picture(VariationTerm(function=lambda p: (p.sum(), p * 0 + 1)))
    True
    """
    # A normalized variation is measured like any term, and neighbors in two strips have no difference in either.
    inner = term.inner if isinstance(term, NormalizedTerm) else term
    return isinstance(inner, VariationTerm) and (inner is not term or divisor_of(inner) is None)


def divisor_of(term: VariationTerm) -> Callable[[Shape], int] | None:
    """Return the function in `DIVISORS` for a term, or None.

    Examples
    --------
    >>> divisor_of(VariationTerm())((2, 3, 1))  # 3 pairs down, 4 across
    7
    """
    return next((divisor for function, divisor in DIVISORS if function is term.function), None)


def variation_by_strips(
    term: VariationTerm, cut: Callable[[slice], Array], add: Callable[[slice, Array], None], shape: Shape, step: int
) -> Array:
    """Evaluate a term that is a function of the picture, such as total variation, on strips of rows.

    Parameters
    ----------
    term : VariationTerm
        The term with the function, which is evaluated on the whole picture if it is not one of `DIVISORS`.
    cut : callable
        ``cut(rows)`` returns rows of the picture.
    add : callable
        ``add(rows, gradient)`` adds the term's weighted gradient to these rows of the picture's.
    shape : (H, W, 3)
        Shape of the picture.
    step : int
        Number of rows of a strip.

    Returns
    -------
    () array of float64
        The weighted value.

    Notes
    -----
    Neighboring strips share a row, so that each pair of neighbors is in a strip. Pairs within a shared row are counted
    twice, so the value of the row alone is subtracted.

    Examples
    --------
    >>> import numpy as np
    >>> p, gradient = np.arange(12.0).reshape(4, 1, 3), np.zeros((4, 1, 3))
    >>> def add(rows, df):
    ...     gradient[rows] += df
    >>> float(variation_by_strips(VariationTerm(), lambda rows: p[rows], add, p.shape, step=2))
    9.0
    """
    height, divisor, weight, total = shape[0], divisor_of(term), float(term.weight), np.zeros(())
    parts = [(slice(0, height), weight)]  # rows, and the weight of the function's value there
    if divisor is not None and height > step:
        strips = [(slice(top, min(height, top + step + 1)), weight) for top in range(0, height - 1, step)]
        shared = [(slice(top, top + 1), -weight) for top in range(step, height - 1, step)]
        of_one = divisor(shape)
        parts = [(rows, w * divisor((rows.stop - rows.start, *shape[1:])) / of_one) for rows, w in strips + shared]
    for rows, w in parts:
        value, df = term.function(cut(rows))
        total = total + w * float(term.in_value) * value
        add(rows, df.dtype.type(w * term.stretch) * df)
    return total


# --- forecasts ------------------------------------------------------------------------------------------------------


def cut_term(term: Term, tile: PictureTile, tiling: Tiling) -> Term:
    """Return a copy of a term with its target and mask cut to the part that a tile computes.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> layers = build_network(random_weights(deepest="conv1_1")).layers
    >>> tiling = Tiling(layers, ["relu1_1"], 40, 20, side=24)
    >>> term = ContentTerm("relu1_1", np.zeros((40, 20, 16)), scale=1.0)
    >>> cut_term(term, tiling.tiles[0], tiling).target.shape[:2] == tiling.tiles[0].shape[:2]
    True
    """
    if isinstance(term, NormalizedTerm):
        return replace(term, inner=cut_term(term.inner, tile, tiling))
    stride = tiling.strides.get(term.tap, 1)
    rows, columns = (slice(span.start // stride, ceil_div(span.stop, stride)) for span in (tile.rows, tile.columns))
    where, changes = (rows, columns), {}
    for part in ("target", "mask"):
        if isinstance(getattr(term, part, None), np.ndarray) and isinstance(term, ContentTerm | MomentsTerm):
            changes[part] = getattr(term, part)[where]
    return replace(term, **changes) if changes else term  # type: ignore[type-var]


def is_content(term: Term) -> bool:
    """Return whether a term compares the picture with a photograph's features at a layer.

    Examples
    --------
    >>> is_content(ContentTerm("relu4_2", np.ones((2, 2, 4)))), is_content(VariationTerm())
    (True, False)
    """
    inner = term.inner if isinstance(term, NormalizedTerm) else term
    return isinstance(inner, ContentTerm) and inner.tap != PICTURE


def term_bytes_in_memory(term: Term, network: Network) -> int:
    """Return the bytes of a term's target and mask in memory, without those in files or computed again.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network = build_network(random_weights(deepest="conv1_1"))
    >>> term = ContentTerm("relu1_1", np.zeros((8, 8, 16), np.float32), scale=1.0)
    >>> term_bytes_in_memory(term, network)  # 4 * 8 * 8 * 16
    4096
    """
    inner = term.inner if isinstance(term, NormalizedTerm) else term
    elsewhere = is_content(term) and (recomputes_photograph(network) or target_file(term, network))
    parts = [getattr(inner, "mask", None), None if elsewhere else getattr(inner, "target", None)]
    return sum(getattr(part, "nbytes", 0) for part in parts)


def target_file(term: Term, network: Network) -> int:
    """Return the size in bytes of the file that holds a term's target, or 0 if it is in memory; see `empty_map`.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network = build_network(random_weights(deepest="conv1_1"))
    >>> target_file(ContentTerm("relu1_1", np.zeros((8, 8, 16)), scale=1.0), network)  # which is in memory
    0
    """
    if not is_content(term) or recomputes_photograph(network) or network.backend.name == "cupy":
        return 0
    target = (term.inner if isinstance(term, NormalizedTerm) else term).target  # type: ignore[attr-defined]
    return int(target.nbytes) if is_large(target.nbytes) else 0
