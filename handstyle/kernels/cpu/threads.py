"""Divide work among threads, each of which computes its matrix products alone.

NumPy's functions run in one thread, except matrix products, which OpenBLAS runs in several. For a loop over strips of a
picture the reverse is faster: each thread takes strips, and each product runs in one thread. NumPy releases the
interpreter's lock while it computes.
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

# Pixels that a thread takes at a time, where the work is the same for each pixel: enough that the overhead of a piece
# is small, and few enough that a sum over them in float32 keeps six digits.
MIN_PIXELS, MAX_PIXELS = 128, 8192
# From this many threads on, convolutions are cut into equal pieces whose number fits the threads, and into larger ones:
# all threads wait for the interpreter's lock, the less the fewer calls they make (`benchmarks/lock.py`).
MANY_THREADS = 8


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")


@cache
def blas_architectures() -> frozenset[str]:
    """Return the processor types for which the loaded BLAS libraries have chosen their kernels, in OpenBLAS's names.

    Examples
    --------
    .. code-block:: python

        blas_architectures()  # frozenset({'SkylakeX'}) on a processor with AVX-512
    """
    return frozenset(str(library.get("architecture")) for library in _blas().info())


class Team:
    """A team of threads, each of which takes the next piece of work when it is free.

    Parameters
    ----------
    threads : int, optional
        Number of threads; by default one for each core that this process may use.

    Examples
    --------
    >>> Team(2).threads
    2
    """

    def __init__(self, threads: int | None = None) -> None:
        self.threads = threads or cpu_count()
        self._pool = ThreadPoolExecutor(self.threads - 1, "handstyle") if self.threads > 1 else None
        self._owner = 0  # the thread inside `single_threaded_blas`

    def run(self, work: Callable[[int, Iterator[int]], None], pieces: int) -> None:
        """Share pieces of work among the threads, and return when all are done.

        Parameters
        ----------
        work : callable
            ``work(worker, indices)`` is called once in each thread, with the number of the thread, from 0 on, and an
            iterator over the indices of the pieces that this thread gets. Each index goes to the first free thread.
        pieces : int
            The number of pieces; the indices are 0 to ``pieces - 1``.

        Examples
        --------
        >>> squares = [0] * 5
        >>> def work(worker, indices):
        ...     for i in indices:
        ...         squares[i] = i**2
        >>> Team(2).run(work, pieces=5)
        >>> squares
        [0, 1, 4, 9, 16]
        """
        counter = itertools.count()  # next() on it is atomic

        def indices() -> Iterator[int]:
            while (i := next(counter)) < pieces:
                yield i

        with self.single_threaded_blas():
            helpers = range(1, min(self.threads, pieces))
            # In the caller's context, because it holds NumPy's error state (`np.errstate`).
            contexts = [(k, copy_context()) for k in helpers]
            futures = [self._pool.submit(c.run, work, k, indices()) for k, c in contexts] if self._pool else []
            try:
                work(0, indices())
            finally:
                for future in futures:
                    future.exception()  # waits: no piece may still run when this function returns
        for future in futures:
            future.result()

    @contextmanager
    def single_threaded_blas(self) -> Iterator[None]:
        """Run each matrix product in the thread that calls it, inside this block; blocks may be nested.

        OpenBLAS runs the products of several threads one after the other when it threads each of them itself
        (OpenBLAS issue 4217), so only one of the two may use several threads.

        Examples
        --------
        >>> from threadpoolctl import threadpool_info
        >>> with Team(2).single_threaded_blas():
        ...     {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}
        {1}
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


def block_factor(threads: int) -> int:
    """Return the factor by which blocks of work are enlarged for `threads` threads, 1 to 4.

    With few threads, blocks that fit the cache are best; with many, larger blocks need fewer calls.

    Examples
    --------
    >>> block_factor(2), block_factor(16)
    (1, 4)
    """
    return max(1, min(4, threads // 4)) if threads >= MANY_THREADS else 1


@cache
def default_team() -> Team:
    """Return the one team of threads of the process, which all engines and losses share: one thread for each core.

    Examples
    --------
    >>> default_team() is default_team()
    True
    """
    return Team()


def pixel_strips(pixels: int, most: float = math.inf, strips: int = 16) -> list[slice]:
    """Cut the pixels of a map into strips, the pieces of work for a team.

    Parameters
    ----------
    pixels : int
        The number of pixels. The number of cores has no influence, so that sums have the same bits on all machines.
    most : float
        The largest number of pixels in a strip, if less than `MAX_PIXELS`.
    strips : int
        The number of strips to aim at: fewer if they would be shorter than `MIN_PIXELS`, more if longer than `most`.

    Returns
    -------
    list of slice

    Examples
    --------
    >>> pixel_strips(10, 4)
    [slice(0, 10, None)]
    """
    step = int(min(MAX_PIXELS, max(MIN_PIXELS, min(most, -(-pixels // strips)))))
    return [slice(start, min(pixels, start + step)) for start in range(0, pixels, step)]
