"""Forecast the memory of a run, compare it with the free memory, and suggest settings that would fit.

The engine forecasts the memory of an evaluation (`Engine.forecast`). This module adds the weights, the optimizer's
vectors, the measuring of the paintings, and the pictures.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from handstyle.foundations.errors import HandstyleError, OutOfMemoryError
from handstyle.foundations.free_memory import available_memory
from handstyle.foundations.image import MIN_SIDE, Size
from handstyle.foundations.mapped import PIECE, free_disk, is_large, mapped_folder
from handstyle.foundations.picture_reading import Picture
from handstyle.kernels.tiles import (
    by_tiles,
    gradient_bytes,
    recomputes_photograph,
    smaller_tiles,
    target_bytes_in_files,
    tile_side,
    with_kept_features,
)
from handstyle.losses.terms import Term
from handstyle.network.vgg import Network
from handstyle.optimize.lbfgsb import max_history
from handstyle.optimize.objective import engine_of
from handstyle.painting.config import LINE_SEARCH, StyleConfig, style_config
from handstyle.painting.inputs import scales, size_for_photograph, style_size
from handstyle.painting.planned_terms import planned_terms

# The fraction of the host's free memory that a run may take; the rest is for the system.
USABLE = 0.9
LIBRARY_BYTES = 2 << 20  # taken on the host by the first evaluation for stacks of threads and buffers of libraries
PICTURE_ITEM = 4  # bytes of a value of a picture as read
# Float64 vectors of SciPy's L-BFGS-B in addition to its workspace of 2 m + 5 (TOMS 778, §3): the start and its scaled
# copy, the point, the gradient and their copies, two bounds, indices, the best picture. Derived from its measured peak.
SCIPY_COPIES = 14
# Vectors of lbfgs in files in addition to `optimizer_vectors`: two gradients, the trial, the one before it, two copies.
FILE_VECTORS = 6
PIECES_IN_MEMORY = 8  # pieces of vectors in files that are in memory at a time


@dataclass(frozen=True)
class Need:
    """The memory in bytes that painting at one scale needs, and the time of an evaluation.

    Parameters
    ----------
    size : (H, W)
        Height and width of the picture in pixels.
    iterations : int
        Iterations at this scale.
    weights, evaluation, optimizer : int
        Bytes on the device, which may be the host, for the network's weights, for an evaluation including its targets,
        and for the vectors of the optimizer.
    measuring : int
        Bytes on the device for measuring the largest painting, without the weights.
    pictures, scipy : int
        Bytes on the host for pictures and masks, and for the vectors of SciPy's optimizer.
    seconds : float
        Time of one evaluation; NaN if there is no estimate.
    files : int
        Bytes on the disk for vectors and features in files.

    Examples
    --------
    >>> need = Need((64, 64), 100, 10, 30, 5, measuring=20, pictures=7, scipy=3, seconds=0.1)
    >>> need.device, need.host, need.total - LIBRARY_BYTES
    (45, 10, 55)
    """

    size: Size
    iterations: int
    weights: int
    evaluation: int
    optimizer: int
    measuring: int
    pictures: int
    scipy: int
    seconds: float
    files: int = 0

    @property
    def device(self) -> int:
        """Bytes on the device at the peak, if the device has its own memory.

        The paintings are measured before the evaluations; of the two, that which takes more memory counts.

        Examples
        --------
        >>> need = Need((64, 64), 100, 10, 30, 5, measuring=20, pictures=7, scipy=3, seconds=0.1)
        >>> need.device  # 10 + 30 + 5
        45
        """
        return self.weights + max(self.measuring, self.evaluation + self.optimizer)

    @property
    def host(self) -> int:
        """Bytes on the host at the peak, if the device has its own memory.

        Examples
        --------
        >>> need = Need((64, 64), 100, 10, 30, 5, measuring=20, pictures=7, scipy=3, seconds=0.1)
        >>> need.host  # 7 + 3
        10
        """
        return self.pictures + self.scipy

    @property
    def total(self) -> int:
        """Bytes at the peak, if the device is the host; `LIBRARY_BYTES` is part of them.

        Examples
        --------
        >>> need = Need((64, 64), 100, 10, 30, 5, measuring=20, pictures=7, scipy=3, seconds=0.1)
        >>> need.total - LIBRARY_BYTES  # 10 + 30 + 5 + 7 + 3
        55
        """
        working = max(self.measuring, self.evaluation + self.optimizer + self.scipy)
        return LIBRARY_BYTES + self.weights + self.pictures + working


def optimizer_vectors(config: StyleConfig, own_memory: bool) -> int:
    """Return the number of vectors that this package's optimizers keep at most, in addition to an evaluation.

    Parameters
    ----------
    config : StyleConfig
        The run's settings, of which `optimizer`, `lbfgs_history` and `clamp` are used.
    own_memory : bool
        Whether the vectors are on a device with its own memory. CuPy's pool keeps the memory of temporary arrays too.
        NumPy frees it, and the gradient is counted with the evaluation.

    Returns
    -------
    int
        Number of vectors in the network's dtype; 0 for SciPy's L-BFGS-B, for which see `scipy_bytes`.

    Notes
    -----
    L-BFGS keeps the gradient, a step and a difference for each pair and for the trial pair; and also the starting
    picture, the current one and its gradient, the direction and the best picture. Adam keeps two moments, the starting
    picture, the current one and its gradient, the best picture, and the mean of the pictures.

    Examples
    --------
    >>> optimizer_vectors(StyleConfig(optimizer="adam"), own_memory=False)
    8
    """
    if config.optimizer in ("lbfgs", "lbfgs-fixed"):
        pairs = 1 + 2 * (config.lbfgs_history + 1)
        return pairs + (5 + (5 if config.clamp else 4) if own_memory else 5)
    device, host = {"lbfgsb": (0, 0), "adam": (10, 8), "descent": (5, 3)}[config.optimizer]
    return device if own_memory else host


def scipy_bytes(config: StyleConfig, n: int) -> int:
    """Return the bytes that SciPy's L-BFGS-B keeps on the host for `n` values; 0 for other optimizers.

    Examples
    --------
    >>> scipy_bytes(StyleConfig(optimizer="lbfgsb", lbfgs_history=10), n=1000)  # 8 * 1000 * (2 * 10 + 5 + 14)
    312000
    >>> scipy_bytes(StyleConfig(optimizer="adam"), n=1000)
    0
    """
    return 8 * n * (2 * config.lbfgs_history + 5 + SCIPY_COPIES) if config.optimizer == "lbfgsb" else 0


def precondition_bytes(config: StyleConfig, size: Size, item: int, own_memory: bool) -> int:
    """Return the bytes that the preconditioner takes, on the device of the optimizer's vectors.

    Parameters
    ----------
    config : StyleConfig
        The run's settings, of which `optimizer` and `precondition` are used.
    size : (H, W)
        Height and width of the picture in pixels.
    item : int
        Bytes of one number in the optimizer's vectors; 8 with SciPy.
    own_memory : bool
        See `optimizer_vectors`.

    Returns
    -------
    int
        Bytes of the scale, a third of a vector; of the coefficients of the starting picture, the picture of a trial and
        the gradient there; of temporary arrays; and, on a device with its own memory, of the transform's matrices.

    Examples
    --------
    >>> precondition_bytes(StyleConfig(), (512, 512), item=4, own_memory=False)  # the default has no preconditioner
    0
    """
    if not config.precondition or config.optimizer not in LINE_SEARCH:
        return 0
    height, width = size
    # As measured: tests/painting/test_memory.py.
    vectors = 2 if config.optimizer == "lbfgsb" else 4
    matrices = height**2 + width**2 if own_memory and config.optimizer == "lbfgs" else 0
    return item * (height * width * (1 + 3 * vectors) + matrices)


def _find_fastest(runs: Sequence["RunMemory"]) -> "RunMemory | None":
    """Return the run whose evaluation at the finest scale is forecast to be the fastest; the first of equals."""
    return min(runs, key=lambda run: run.needs[-1].seconds, default=None)


@dataclass(frozen=True)
class RunMemory:
    """The data of a run on which its memory depends: settings, network, picture sizes and free memory.

    Parameters
    ----------
    config : StyleConfig
        The run's settings, already checked.
    network : Network
        The network, on its device.
    photograph : Picture
        The photograph, of which only the shape is used.
    paintings : sequence of Picture
        The paintings, of which only the shapes are used.
    own_memory : bool
        Whether the device has its own memory.
    free : float
        Free bytes on the device after the weights were loaded; infinity if the system does not say.
    tiled : str
        A note in one line, if memory requires tiles or files that the settings do not: the reason, and how the run is
        painted; otherwise empty.
    files : bool
        Whether large vectors of the optimizer are kept in files that are mapped into memory.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network, pictures = build_network(random_weights()), [dummy_picture(64), dummy_picture(64)]
    >>> run = RunMemory(StyleConfig(size=64), network, pictures[0], pictures[1:], own_memory=False, free=1e6)
    >>> run.fits(), replace(run, free=1e9).fits()
    (False, True)
    """

    config: StyleConfig
    network: Network
    photograph: Picture
    paintings: Sequence[Picture]
    own_memory: bool
    free: float
    tiled: str = ""
    files: bool = False

    @classmethod
    def now(
        cls, config: StyleConfig, network: Network, photograph: Picture, paintings: Sequence[Picture]
    ) -> "RunMemory":
        """Return the data of a run, with the memory that is now free on the network's device.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> photograph = dummy_picture(64)
        >>> run = RunMemory.now(StyleConfig(size=64), build_network(random_weights()), photograph, [photograph])
        >>> run.own_memory, run.free > 0
        (False, True)
        """
        backend = network.backend
        return cls(config, network, photograph, paintings, backend.name == "cupy", backend.free_memory())

    def fitted(self) -> "RunMemory":
        """Return the run with tiles if `StyleConfig.tile` or the free memory requires them, otherwise the run itself.

        Returns
        -------
        RunMemory
            If tiles are required, its network has a `TileEngine`, with the largest tiles that fit, or with the smallest
            if none fit. Vectors are kept in files if that is faster than smaller tiles. The photograph's features are
            computed again for each tile where there is no room for them, or where reading them would take longer. Half
            of the remaining memory is used to keep features of tiles from the first pass for the second.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network, p = build_network(random_weights()), dummy_picture(512)
        >>> run = RunMemory(StyleConfig(size=512, tile=256), network, p, [p], own_memory=False, free=1e9)
        >>> run.fitted().network.engine.name
        'tiles of 256 px, reference'
        """
        run = self._with_tiles()
        needs = [need.total - need.weights for need in run.needs]
        # Half of it: a run is long, and other programs come.
        kept_bytes = max(0, int(USABLE * run.free) - max(needs)) // 2 if math.isfinite(run.free) else 0
        network = run.network if run.own_memory else with_kept_features(run.network, kept_bytes)
        return run if network is run.network else replace(run, network=network)

    def _with_tiles(self) -> "RunMemory":
        if self.config.tile:
            return self._with_tiles_of(self.config.tile)
        if not (missing := self.shortage()):
            return self
        with_files = [replace(self, files=True)] if self._may_have_files() else []
        runs = [run.with_smaller_tiles(missing) for run in (self, *with_files)]
        return _find_fastest([run for run in runs if run and run.tiled]) or runs[0] or self

    def _with_tiles_of(self, side: int) -> "RunMemory":
        """Return the run with tiles of a given side: the fastest way that fits, or if none fits, all in memory."""
        networks = (by_tiles(self.network, side, recompute=recompute) for recompute in (False, True))
        runs = [replace(self, network=network) for network in networks]
        missing, best = runs[0].shortage(), _find_fastest([run for run in runs if not run.shortage()])
        if not best and self._may_have_files():
            best = _find_fastest([run for one in runs if not (run := replace(one, files=True)).shortage()])
        if not best:
            return runs[0]
        return best._with_note(missing) if missing else best

    def _may_have_files(self) -> bool:
        return self.config.optimizer == "lbfgs" and not self.config.precondition and not self.own_memory

    def _with_note(self, why: str) -> "RunMemory":
        """Return the run with a note that has the reason `why` and a description of how the run is painted."""
        how = f"painted by tiles of {tile_side(self.network)} px, the same picture"
        if on_disk := max(need.files for need in self.needs):
            how += f", with files of {_format_bytes(on_disk)} in {mapped_folder()}"
        if recomputes_photograph(self.network):
            how += ", the photograph's features computed again for each tile"
        return replace(self, tiled=f"{why}: {how}")

    def with_smaller_tiles(self, why: str) -> "RunMemory | None":
        """Return the run with smaller tiles than now: the largest that fit the memory, or the smallest if none fit.

        Parameters
        ----------
        why : str
            The reason, for the note.

        Returns
        -------
        RunMemory or None
            None if there are no smaller tiles.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network, p = build_network(random_weights()), dummy_picture(512)
        >>> run = RunMemory(StyleConfig(size=512), network, p, [p], own_memory=False, free=1e9)
        >>> run.with_smaller_tiles("memory ran out").tiled
        'memory ran out: painted by tiles of 384 px, the same picture'
        """
        if self.config.style_statistic == "patches":  # which need the whole picture
            return None
        runs = [run for recompute in (False, True) if (run := self._largest_tiles(recompute))]
        best = _find_fastest([run for run in runs if not run.shortage()])
        return best._with_note(why) if best else runs[0] if runs else None

    def _largest_tiles(self, recompute: bool) -> "RunMemory | None":
        run = None
        for side in smaller_tiles(self.network, (*self._full_size(), 3)):
            try:
                smaller = replace(self, network=by_tiles(self.network, side, recompute=recompute))
                fits, run = not smaller.shortage(), smaller
            except HandstyleError:  # no such tiles for this network
                break
            if fits:
                break
        return run

    @cached_property  # it is asked for several times before a run, and a forecast takes a while
    def needs(self) -> list[Need]:
        """The memory that each scale needs, from coarse to fine.

        Raises
        ------
        HandstyleError
            If a scale is too small for the network.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network, p = build_network(random_weights()), dummy_picture(512)
        >>> run = RunMemory(StyleConfig(size=512), network, p, [p], own_memory=False, free=1e9)
        >>> [need.size for need in run.needs]
        [(128, 128), (256, 256), (512, 512)]
        """
        return [self.need_at(size, k) for k, size in enumerate(scales(self.config, self._full_size()))]

    def terms(self, size: Size, timed: bool = False) -> list[Term]:
        """Return terms for forecasts, like those of a scale but with targets that take no memory; see `planned_terms`.

        Parameters
        ----------
        size : (H, W)
            Height and width of the scale in pixels.
        timed : bool
            Whether the terms will be evaluated, to measure the time.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network, p = build_network(random_weights()), dummy_picture(512)
        >>> run = RunMemory(StyleConfig(style_layers="relu1_1"), network, p, [p], own_memory=False, free=1e9)
        >>> [term.name for term in run.terms((64, 64))]
        ['style relu1_1', 'content relu4_2', 'total variation']
        """
        return planned_terms(self.config, self.network, size, *self._regions(size), timed)

    def _regions(self, size: Size) -> tuple[tuple[int, ...], list[Size]]:
        """Return the region and size of each painting; those that also paint outside all regions are listed twice."""
        config, paintings, full = self.config, self.paintings, self._full_size()
        regions = config.region_numbers(len(paintings)) or (0,)
        sizes = [style_size(config, painting, size, full) for painting in paintings] or [size]
        if config.unmasked == "paint" and max(regions) <= (count := len(config.mask or config.region_colors())):
            regions, sizes = regions + (count + 1,) * len(paintings), 2 * sizes
        return regions, sizes

    def need_at(self, size: Size, k: int = 0) -> Need:
        """Return the memory and the time of painting at a size.

        Parameters
        ----------
        size : (H, W)
            Height and width of the picture in pixels, which need not be those of a scale.
        k : int
            The scale, counted from 0, from which the number of iterations in the result is taken.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network, p = build_network(random_weights()), dummy_picture(512)
        >>> run = RunMemory(StyleConfig(size=512), network, p, [p], own_memory=False, free=1e9)
        >>> small, large = run.need_at((64, 64)), run.need_at((128, 128))
        >>> large.scipy / small.scipy  # four times the pixels
        4.0
        """
        config, network, paintings = self.config, self.network, self.paintings
        engine, item, full = engine_of(network), network.dtype.itemsize, self._full_size()
        regions, _ = self._regions(size)
        n, scipys = 3 * size[0] * size[1], config.optimizer == "lbfgsb"
        changed = precondition_bytes(config, size, 8 if scipys else item, self.own_memory)
        terms = self.terms(size)
        expected = engine.forecast(network, terms, (*size, 3))
        styles = {style_size(config, painting, size, full) for painting in paintings}
        measured = []  # for the losses in use only; a configuration without any is refused earlier
        if config.has_style:
            measured += [(replace(config, content_weight=0.0), style) for style in styles]
        if config.content_weight and config.content_layers:
            measured.append((style_config(config, style_weight=0.0, means_weight=0.0), size))
        measuring = [
            engine.forecast(network, planned_terms(only, network, at), (*at, 3), gradient=False).bytes
            for only, at in measured
        ]
        vectors, evaluation = item * n * optimizer_vectors(config, self.own_memory), expected.bytes
        files = target_bytes_in_files(network, terms, (*size, 3))
        if self.files and is_large(item * n):
            files, vectors = files + vectors + item * n * FILE_VECTORS, item * PIECE * PIECES_IN_MEMORY
            evaluation -= gradient_bytes(network, (*size, 3))
        # The photograph, its colors, the start and every painting: twice, at the planned size and at this scale's.
        values = 3 * sum(h * w for h, w in styles) + 2 * 3 * full[0] * full[1] + max(regions) * full[0] * full[1]
        return Need(
            size,
            config.iterations_at(k),
            expected.weights,
            evaluation,
            vectors + (0 if scipys else changed),
            max(measuring, default=0),
            2 * PICTURE_ITEM * values + 8 * n,
            scipy_bytes(config, n) + (changed if scipys else 0),
            expected.seconds,
            files,
        )

    def need(self) -> Need:
        """Return the memory of the scale that needs most, which is not always the finest; see `needs`.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network, p = build_network(random_weights()), dummy_picture(512)
        >>> run = RunMemory(StyleConfig(size=512), network, p, [p], own_memory=False, free=1e9)
        >>> run.need().size
        (512, 512)
        """
        return max(self.needs, key=lambda need: need.total)

    def shortage(self) -> str:
        """Return a description of the memory that is too small, or an empty string if the run fits.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network, p = build_network(random_weights()), dummy_picture(512)
        >>> run = RunMemory(StyleConfig(size=512), network, p, [p], own_memory=False, free=0)
        >>> run.shortage()
        '512 x 512 px need 882 MiB of memory, 0 MiB are free'
        """
        needs = sorted(self.needs, key=lambda need: -need.total)
        return next(filter(None, map(self.missing, needs)), "")

    def missing(self, need: Need) -> str:
        """Return a description of the memory that is too small for a scale, or an empty string if the scale fits.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network, p = build_network(random_weights()), dummy_picture(512)
        >>> run = RunMemory(StyleConfig(size=512), network, p, [p], own_memory=False, free=2**20)
        >>> run.missing(Need((512, 512), 100, 0, 2**30, 0, 0, 0, 0, seconds=0.1))
        '512 x 512 px need 1.0 GiB of memory, 1 MiB are free'
        """
        config, (height, width) = self.config, need.size
        pairs = max_history(3 * height * width)
        if config.optimizer == "lbfgsb" and config.lbfgs_history > pairs:
            return f"at {width} x {height} px SciPy's L-BFGS-B can keep {pairs} pairs (it counts in 32 bits)"
        # The weights are already in memory.
        taken = (need.device if self.own_memory else need.total) - need.weights
        subject = f"{width} x {height} px need"
        if taken > (1.0 if self.own_memory else USABLE) * self.free:
            where = "the GPU's memory" if self.own_memory else "memory"
            return f"{subject} {_format_bytes(taken)} of {where}, {_format_bytes(self.free)} are free"
        if need.files > (free := free_disk()):
            where = f"files in {mapped_folder()} (TMPDIR)"
            return f"{subject} {_format_bytes(need.files)} of {where}, {_format_bytes(free)} are free"
        if self.own_memory and need.host > USABLE * (left := available_memory()):
            return f"{subject} {_format_bytes(need.host)} of the host's memory, {_format_bytes(left)} are free"
        return ""

    def fits(self, **changes: object) -> bool:
        """Return whether the run would fit with changed settings; False if they are invalid.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network, p = build_network(random_weights()), dummy_picture(512)
        >>> run = RunMemory(StyleConfig(size=512), network, p, [p], own_memory=False, free=64 * 2**20)
        >>> run.fits(), run.fits(size=64), run.fits(size=-1)
        (False, True, False)
        """
        try:
            config = replace(self.config, **changes)  # type: ignore[arg-type]
            run = replace(self, config=config)
            sizes = list(enumerate(scales(config, run._full_size())))
            # The finest scale, which is usually the first not to fit, is forecast first.
            return not any(run.missing(run.need_at(size, k)) for k, size in reversed(sizes))
        except HandstyleError:
            return False

    def check(self) -> None:
        """Raise `OutOfMemoryError` if the run does not fit into the free memory.

        Raises
        ------
        OutOfMemoryError
            The message has, in one line, the needed and the free memory, the size that would fit, and settings that
            need less memory at this size.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network, p = build_network(random_weights()), dummy_picture(512)
        >>> run = RunMemory(StyleConfig(size=512), network, p, [p], own_memory=False, free=64 * 2**20)
        >>> try:
        ...     run.check()
        ... except OutOfMemoryError as error:
        ...     print(error)
        512 x 512 px need 882 MiB of memory, 64 MiB are free; size=128 would fit
        """
        if missing := self.shortage():
            raise OutOfMemoryError(f"{missing}; {self.advice()}")

    def advice(self) -> str:
        """Return a text with settings that would fit: a smaller size, or other settings at this size.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network, p = build_network(random_weights()), dummy_picture(512)
        >>> run = RunMemory(StyleConfig(size=512), network, p, [p], own_memory=False, free=64 * 2**20)
        >>> run.advice()
        'size=128 would fit'
        """
        printed = bool(self.config.print)
        side = self.largest_size(max(self._full_size()) if printed else self.config.size)
        choices = [f"size={side}" + " in place of `print`" * printed] if side else []
        choices += [f"at this size {way}" for way in self._cheaper_settings()]
        return " or ".join(choices) + " would fit" if choices else "not even a small picture would fit"

    def largest_size(self, below: int) -> int:
        """Return the largest size below `below` at which the run would fit, or 0; see `largest_side`.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network, p = build_network(random_weights()), dummy_picture(512)
        >>> run = RunMemory(StyleConfig(size=512), network, p, [p], own_memory=False, free=64 * 2**20)
        >>> run.largest_size(512)
        128
        """
        # Memory grows about as the area, so no side fits that is twice the estimate from this.
        taken = self.need().total / (max(self._full_size()) if self.config.print else self.config.size) ** 2
        most = min(below, 2 * int(min(below, math.sqrt(max(1, self.free / taken)))))
        return largest_side(most, lambda side: self.fits(size=side, print=""))

    def _cheaper_settings(self) -> list[str]:
        """Return changes of settings that would fit at this size: of style size, L-BFGS history or optimizer."""
        config, choices = self.config, list[str]()
        if config.has_style and (config.style_size or config.style_scale > 1) and self.paintings:
            wanted = max(max(style_size(config, p, self._full_size(), self._full_size())) for p in self.paintings)
            if side := largest_side(wanted, lambda side: self.fits(style_size=side)):
                choices.append(f"style_size={side}")
        if config.optimizer in ("lbfgsb", "lbfgs", "lbfgs-fixed"):
            fewer = next((m for m in range(config.lbfgs_history - 1, 2, -1) if self.fits(lbfgs_history=m)), None)
            choices += [f"lbfgs_history={fewer}"] if fewer else []
        others = ("lbfgs", "adam") if config.optimizer == "lbfgsb" else ("lbfgsb", "adam")
        for optimizer in others:
            if not config.restarts and optimizer != config.optimizer and self.fits(optimizer=optimizer):
                choices.append(f"optimizer={optimizer}")
        return choices

    def _full_size(self) -> Size:
        return size_for_photograph(self.config, self.photograph)

    @contextmanager
    def guard(self, size: Size | None = None) -> Iterator[None]:
        """Raise `OutOfMemoryError`, with settings that would fit, if an allocation in the ``with`` block fails.

        Parameters
        ----------
        size : (H, W), optional
            The size of the current scale; by default the finest.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network, p = build_network(random_weights()), dummy_picture(512)
        >>> run = RunMemory(StyleConfig(size=512), network, p, [p], own_memory=False, free=1e9)
        >>> try:
        ...     with run.guard():
        ...         raise MemoryError
        ... except OutOfMemoryError as error:
        ...     print(str(error).split("; ")[1])
        size=448 or at this size optimizer=adam would fit
        """
        size = size or self._full_size()
        try:
            yield
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, HandstyleError) or not is_out_of_memory(error):
                raise
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            need = self.need()  # if it seemed to fit, four fifths of the forecast are an estimate of what was free
            held = (need.device if self.own_memory else need.total / USABLE) - need.weights
            less = replace(self, free=0.8 * (self.free if self.shortage() else held))
            raise OutOfMemoryError(
                f"out of memory at {size[1]} x {size[0]} px, though the forecast said it would "
                f"fit ({first}); {less.advice()}"
            ) from None


def largest_side(wanted: int, fits: Callable[[int], bool]) -> int:
    """Return the largest side of a picture, in pixels, that is below `wanted` and fits the memory; 0 if none does.

    Parameters
    ----------
    wanted : int
        The side in pixels that does not fit.
    fits : callable
        ``fits(side)`` returns whether a side fits. A smaller side may need more memory than a larger one, since small
        pictures keep their transformed kernels. So sides are tried downward, each a sixteenth shorter than the last,
        until one fits; then, in steps of 16 pixels, the sides between it and the one before.

    Examples
    --------
    >>> largest_side(1024, lambda side: side**2 <= 500_000)
    704
    """
    side = above = wanted
    while side > MIN_SIDE:
        above, side = side, max(MIN_SIDE, min(side - 1, side * 15 // 16) // 16 * 16)
        if fits(side):
            return next(s for s in reversed(range(side, above, 16)) if s == side or fits(s))
    return 0


def dummy_picture(side: int, name: str = "a picture") -> Picture:
    """Return a square picture for forecasts, whose pixels take no memory.

    Examples
    --------
    >>> pixels = dummy_picture(4096).pixels
    >>> pixels.shape, pixels.strides
    ((4096, 4096, 3), (0, 0, 0))
    """
    return Picture(np.broadcast_to(np.float32(0), (side, side, 3)), None, name)


def _format_bytes(n: float) -> str:
    """Return a number of bytes as text, in GiB or, if it is less than one GiB, in MiB."""
    return f"{n / 2**30:.1f} GiB" if n >= 2**30 else f"{n / 2**20:.0f} MiB"


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error of NumPy, CuPy, the GPU's driver or cuBLAS means that there is no free memory.

    Examples
    --------
    >>> is_out_of_memory(MemoryError()), is_out_of_memory(RuntimeError("shapes differ"))
    (True, False)
    """
    words = ("MemoryAllocation", "OUT_OF_MEMORY", "ALLOC_FAILED", "can't start new thread")
    return isinstance(error, MemoryError) or any(word in str(error) for word in words)
