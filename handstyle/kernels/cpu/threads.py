"""Threads that share out pieces of work, each with its own matrix products.

NumPy's functions run in one thread, except products, which OpenBLAS threads itself. A loop over strips of a picture
runs better the other way round: strips in threads, products in one. NumPy lets go of the interpreter while it computes.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from functools import cache
from threading import get_ident

from threadpoolctl import ThreadpoolController

from handstyle.foundations.backend import cpu_count

# Pixels of a map that a thread takes at a time, where the work is the same for each pixel: at least so many that
# starting is not felt, and at most so many that what is summed over them in float32 keeps six digits.
FEWEST_PIXELS, MOST_PIXELS = 512, 8192


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")


@cache
def blas_architectures() -> frozenset[str]:
    """Return the processors whose kernels the loaded BLAS libraries run here, as OpenBLAS calls them."""
    return frozenset(str(library.get("architecture")) for library in _blas().info())


class Team:
    """Threads that take pieces of work in turn.

    Parameters
    ----------
    threads : int, optional
        By default one for each core this process may use.
    """

    def __init__(self, threads: int | None = None) -> None:
        self.threads = threads or cpu_count()
        self._pool = ThreadPoolExecutor(self.threads - 1, "handstyle") if self.threads > 1 else None
        self._owner = 0  # the thread inside `single_threaded_blas`

    def run(self, work: Callable[[int, Iterator[int]], None], pieces: int) -> None:
        """Call ``work(worker, indices)`` in every thread; indices 0 … pieces-1 are dealt out as they are asked for."""
        counter = itertools.count()  # next() on it is atomic

        def indices() -> Iterator[int]:
            while (i := next(counter)) < pieces:
                yield i

        with self.single_threaded_blas():
            helpers = range(1, min(self.threads, pieces))
            # In the caller's context: whether a number that is too large is an error is the caller's to say.
            contexts = [(k, copy_context()) for k in helpers]
            futures = [self._pool.submit(c.run, work, k, indices()) for k, c in contexts] if self._pool else []
            try:
                work(0, indices())
            finally:
                for future in futures:
                    future.exception()  # waits: nothing may run on when the caller goes on
        for future in futures:
            future.result()

    @contextmanager
    def single_threaded_blas(self) -> Iterator[None]:
        """Keep each matrix product in the thread that asked for it, inside this block; blocks may be nested.

        OpenBLAS runs the products of several threads one after the other when it threads each of them itself
        (OpenBLAS issue 4217), so either it or the team has the cores.
        """
        if self._owner == get_ident():
            yield
            return
        self._owner, before = get_ident(), self._owner
        try:
            with _blas().limit(limits=1):
                yield
        finally:
            self._owner = before


@cache
def default_team() -> Team:
    """Return the team that everybody shares: one thread a core, so that there are never more."""
    return Team()


def pixel_strips(pixels: int, most: float = math.inf) -> list[slice]:
    """Cut the pixels of a map into strips to be shared out.

    Parameters
    ----------
    pixels : int
        How many there are. Strips follow from their number alone, not from that of the cores, so that sums repeat.
    most : float
        Pixels of a strip, where fewer are wanted than `MOST_PIXELS`.

    Returns
    -------
    list of slice
    """
    step = int(min(MOST_PIXELS, max(FEWEST_PIXELS, min(most, pixels // 4))))
    return [slice(start, min(pixels, start + step)) for start in range(0, pixels, step)]
