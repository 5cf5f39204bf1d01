"""The history of L-BFGS, and the two-loop recursion on a table of dot products.

The recursion (Nocedal and Wright 2006, Numerical Optimization, algorithm 7.4) needs 4m dot products, each of which
depends on the one before: on a GPU that is 4m waits. But every vector in it is a linear combination of the 2m stored
vectors and the gradient, so it can run on the coefficients, given the table of dot products (Chen, Wang and Zhou 2014,
Large-scale L-BFGS using MapReduce, §3). One matrix product computes the new entries of the table, and one transfer
copies them to the host, together with the objective's value: one wait for each evaluation.
"""

from collections.abc import Callable

import numpy as np

from handstyle.foundations.backend import Array, namespace
from handstyle.foundations.mapped import assemble, split_pieces, zeros_for

STRIP_VALUES = 1 << 17  # length of a strip whose products are summed in the vectors' dtype; strips are added in float64
MIN_CURVATURE = 2.2e-16  # a pair is kept if s·y exceeds this times y·y (Byrd et al. 1995, eq. 3.9)


class History:
    """The history of L-BFGS: pairs of steps s and gradient differences y, the gradient, and all their dot products.

    Parameters
    ----------
    like : (n,) array
        An array of the size and dtype of the vectors; they are kept where it is, on its device or in a file.
    pairs : int
        Number of pairs kept. There is space for one more: the trial pair, of a step not yet accepted.

    Examples
    --------
    >>> import numpy as np
    >>> g = np.array([2.0, 4.0])
    >>> history = History(g, pairs=3)
    >>> history.begin(g)
    >>> history.direction()  # without pairs, steepest descent
    (array([-2., -4.]), -20.0)
    """

    def __init__(self, like: Array, pairs: int) -> None:
        rows = 1 + 2 * (pairs + 1)
        self.basis = zeros_for(like, (rows, like.size))  # gradient, then s and y of each pair
        self.table = np.zeros((rows, rows))
        self.pairs: list[tuple[int, int]] = []  # oldest first
        self.limit, self.free = pairs, rows_of(0)

    @property
    def used(self) -> int:
        """The number of rows of the basis that the gradient and the accepted pairs take.

        Examples
        --------
        >>> history = History(np.zeros(2), pairs=3)
        >>> history.begin(np.array([2.0, 0.0]))
        >>> history.used, history.basis.shape  # of four pairs, the trial's included, none is accepted yet
        (1, (9, 2))
        """
        return max((y for _, y in self.pairs), default=0) + 1

    def begin(self, g: Array) -> None:  # (n,)
        """Remove all pairs, and set the gradient to `g`.

        Examples
        --------
        >>> history = History(np.zeros(2), pairs=3)
        >>> history.begin(np.array([3.0, 4.0]))
        >>> history.pairs, float(history.table[0, 0])  # g · g
        ([], 25.0)
        """
        self.pairs, self.free = [], rows_of(0)
        self.basis[0] = g
        self.table[0, 0] = float(self._dots(1, [self.basis[0]])[0, 0])

    def trial(  # (n,), (n,), (n,), (n,) -> (used, 4) float64
        self, v: Array, g: Array, after: Array, g_after: Array, free: Callable[[slice], Array] | None = None
    ) -> Array:
        """Write a trial step into the history, and return the dot products of its vectors with the history's.

        Parameters
        ----------
        v, g : (n,) array
            The picture and the gradient before the step.
        after, g_after : (n,) array
            The picture and the gradient after it.
        free : callable, optional
            ``free(piece)`` returns a slice of the gradient that the next direction is computed from; by default that
            after the step.

        Returns
        -------
        (used, 4) array of float64
            The dot products, on the device. The caller fetches them in one transfer with the objective's value, and
            passes them to `store`.

        Examples
        --------
        >>> history, g = History(np.zeros(2), pairs=3), np.array([2.0, 0.0])
        >>> history.begin(g)
        >>> dots = history.trial(np.zeros(2), g, after=np.array([-1.0, 0.0]), g_after=np.array([1.0, 0.0]))
        >>> dots[1]  # of the step (-1, 0) with the gradient after it, itself, the difference, and the gradient before
        array([-1.,  1.,  1., -2.])
        """
        s, y = self.free
        for piece in split_pieces(g):  # of vectors in files one is in memory at a time
            self.basis[s, piece], self.basis[y, piece] = after[piece] - v[piece], g_after[piece] - g[piece]
            self.basis[0, piece] = g_after[piece] if free is None else free(piece)
        return self._dots(max(self.used, y + 1), [self.basis[0], self.basis[s], self.basis[y], g])

    def store(self, dots: Array) -> tuple[float, float]:  # (used, 4), on the host
        """Enter the dot products from `trial` in the table.

        Returns
        -------
        (float, float)
            The slopes along the step, at its end and at its beginning: ``g·s`` for the gradients after and before it.

        Examples
        --------
        >>> history, g = History(np.zeros(2), pairs=3), np.array([2.0, 0.0])
        >>> history.begin(g)
        >>> history.store(history.trial(np.zeros(2), g, after=np.array([-1.0, 0.0]), g_after=np.array([1.0, 0.0])))
        (-1.0, -2.0)
        """
        (s, y), used = self.free, len(dots)
        for column, row in enumerate((0, s, y)):
            self.table[:used, row] = self.table[row, :used] = dots[:, column]
        return float(dots[s, 0]), float(dots[s, 3])

    def accept(self) -> None:
        """Add the trial pair to the history; if it is full, the oldest pair is removed.

        A pair without positive curvature is not added: it would make the estimate of the Hessian indefinite.

        Examples
        --------
        >>> history, g = History(np.zeros(2), pairs=3), np.array([2.0, 0.0])
        >>> history.begin(g)
        >>> for g_after in (3 * g, g / 2):  # along the step (-1, 0) the gradient must grow against it
        ...     _ = history.store(history.trial(np.zeros(2), g, after=np.array([-1.0, 0.0]), g_after=g_after))
        ...     history.accept()
        ...     print(history.pairs)  # by their rows
        []
        [(1, 2)]
        """
        s, y = self.free
        if not self.table[s, y] > MIN_CURVATURE * self.table[y, y]:
            return
        self.pairs.append(self.free)
        self.free = rows_of(len(self.pairs)) if len(self.pairs) <= self.limit else self.pairs.pop(0)

    def direction(self) -> tuple[Array, float]:  # -> (n,), slope
        """Return the search direction ``-H g``, H being the estimate of the inverse Hessian, and the slope along it.

        Examples
        --------
        >>> history, g = History(np.zeros(2), pairs=3), np.array([2.0, 0.0])
        >>> history.begin(g)
        >>> _ = history.store(history.trial(np.zeros(2), g, after=np.array([-1.0, 0.0]), g_after=g / 2))
        >>> history.accept()
        >>> d, slope = history.direction()
        >>> float(d[0]), slope  # the gradient fell by half along the step, so another such step leads to its zero
        (-1.0, -1.0)
        """
        c = two_loop(self.table, self.pairs)
        factors = namespace(self.basis).asarray(-c[: self.used], dtype=self.basis.dtype)
        d = assemble(self.basis[0], lambda piece: factors @ self.basis[: self.used, piece])  # book: device-basis
        return d, -float(c @ self.table[0])

    def _dots(self, used: int, columns: list[Array]) -> Array:  # -> (used, columns) float64
        xp = namespace(self.basis)
        total: Array = xp.zeros((used, len(columns)))
        for a in range(0, self.basis.shape[1], STRIP_VALUES):
            strip = slice(a, a + STRIP_VALUES)
            total += self.basis[:used, strip] @ xp.stack([column[strip] for column in columns]).T
        return total


def rows_of(k: int) -> tuple[int, int]:
    """Return the rows of the k-th pair in the history: row 0 is the gradient's, so the first pair has the rows 1 and 2.

    Examples
    --------
    >>> rows_of(0), rows_of(1)
    ((1, 2), (3, 4))
    """
    return 1 + 2 * k, 2 + 2 * k


def two_loop(table: Array, pairs: list[tuple[int, int]]) -> Array:  # (r, r), pairs oldest first -> (r,)
    """Compute the coefficients of ``H g``, the inverse Hessian's estimate times the gradient, by two-loop recursion.

    Parameters
    ----------
    table : (r, r) array of float64
        Dot products of the gradient (row 0) and of ``s`` and ``y`` of each pair.
    pairs : list of (int, int)
        The rows of ``s`` and ``y`` of each pair in use, oldest first.

    Returns
    -------
    (r,) array of float64
        The coefficients of ``H g`` as a linear combination of the gradient and all ``s`` and ``y``.

    Notes
    -----
    Nocedal and Wright (2006), algorithm 7.4, with ``H⁰ = s·y / y·y`` of the newest pair (eq. 7.20).

    Examples
    --------
    >>> import numpy as np
    >>> g, s, y = np.array([2.0, 0.0]), np.array([1.0, 0.0]), np.array([4.0, 0.0])
    >>> vectors = np.stack([g, s, y])
    >>> two_loop(vectors @ vectors.T, [(1, 2)]) @ vectors  # the curvature along s is 4
    array([0.5, 0. ])
    """
    c = np.zeros(len(table))
    c[0] = 1.0
    alpha = {}
    for s, y in reversed(pairs):
        alpha[s] = table[s] @ c / table[s, y]  # book: device-table
        c[y] -= alpha[s]
    if pairs:
        s, y = pairs[-1]
        c *= table[s, y] / table[y, y]
    for s, y in pairs:
        c[s] += alpha[s] - table[y] @ c / table[s, y]
    return c
