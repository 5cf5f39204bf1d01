"""A change of variables for L-BFGS: the picture's scaled cosine coefficients in place of its pixels.

L-BFGS starts from a model in which all unknowns have the same curvature: each is moved in proportion to its gradient.
The frequencies of a picture do not have the same curvature. Between the photograph and the result, low frequencies
change more, in proportion to their gradient at the start, than high ones. The cosine transform separates the
frequencies, and a factor for each of them makes the changes about proportional to the gradients (Nocedal and Wright
2006, Numerical Optimization, §2.2, on scaling).
Optimizing a picture in scaled Fourier coefficients is known from feature visualization (Olah, Mordvintsev and Schubert
2017, *Feature Visualization*, Distill).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from handstyle.foundations.backend import Array, namespace
from handstyle.optimize.objective import Evaluable, Objective, nothing
from handstyle.optimize.trace import Callback, Iteration, Outcome

KNEE = 0.05  # cycles a pixel: waves much longer than 20 pixels all have nearly the same scale


def frequency_scale(height: int, width: int, exponent: float, knee: float = KNEE) -> Array:  # -> (H, W, 1)
    """Return the factor of each cosine coefficient of a picture, ``s(f) = (f0 / (f0 + f))^exponent``.

    Parameters
    ----------
    height, width : int
        Height and width of the picture in pixels.
    exponent : float
        0 makes all factors 1; a larger exponent lowers the factors of high frequencies more.
    knee : float
        The frequency f0, in cycles a pixel.

    Returns
    -------
    (H, W, 1) array of float64
        Scaled to a mean square of 1, so that a change of the coefficients by 1 in root mean square changes pixels by
        1 gray level in root mean square if all frequencies take part.

    Notes
    -----
    Row u of the coefficients is a cosine with ``u / 2H`` cycles a pixel, column v one with ``v / 2W``.

    Examples
    --------
    >>> frequency_scale(2, 2, 1.0, knee=0.25)[..., 0].round(3)
    array([[1.547, 0.773],
           [0.773, 0.641]])
    """
    f = np.hypot(np.arange(height)[:, None] / (2 * height), np.arange(width) / (2 * width))[..., None]
    s = (knee / (knee + f)) ** exponent  # book: precondition-scale
    return s / np.sqrt((s * s).mean())


@dataclass(frozen=True)
class Spectrum:
    """The linear map from a picture's scaled cosine coefficients to the picture.

    Parameters
    ----------
    scale : (H, W, 1) array
        The factor of each coefficient, as from `frequency_scale`.
    matrices : (array, array), optional
        The cosine transforms of a column (H, H) and of a row (W, W), for arrays that SciPy cannot transform; without
        them the fast transform of SciPy is used.

    Examples
    --------
    >>> import numpy as np
    >>> spectrum = Spectrum(np.ones((4, 4, 1)))
    >>> z = spectrum.inverse(np.full((4, 4, 3), 100.0))
    >>> round(float(z[0, 0, 0]), 9), bool(abs(spectrum.forward(z) - 100).max() < 1e-12)
    (400.0, True)
    """

    scale: Array
    matrices: tuple[Array, Array] | None = None

    @classmethod
    def of(cls, shape: tuple[int, int, int], exponent: float, like: Array) -> "Spectrum":
        """Return the map for pictures of a shape, in the dtype and on the device of `like`.

        Examples
        --------
        >>> spectrum = Spectrum.of((4, 6, 3), exponent=0.5, like=np.zeros(72, np.float32))
        >>> spectrum.scale.shape, spectrum.scale.dtype
        ((4, 6, 1), dtype('float32'))
        """
        xp, (height, width, _) = namespace(like), shape
        scale = xp.asarray(frequency_scale(height, width, exponent), dtype=like.dtype)
        if xp is np:
            return cls(scale)
        return cls(scale, (dct_matrix(height, like), dct_matrix(width, like)))

    def forward(self, z: Array) -> Array:  # (H, W, 3) -> (H, W, 3)
        """Return the picture that has the scaled coefficients `z`.

        Examples
        --------
        >>> z = np.zeros((2, 2, 1))
        >>> z[0, 0] = 100.0  # the coefficient of the mean
        >>> Spectrum(np.full((2, 2, 1), 3.0)).forward(z)[..., 0].round(9)  # 3 · 100 / √(2 · 2)
        array([[150., 150.],
               [150., 150.]])
        """
        return self._transform(self.scale * z, inverse=True)  # book: precondition-forward

    def backward(self, dp: Array) -> Array:  # (H, W, 3) -> (H, W, 3)
        """Return the gradient with respect to the scaled coefficients, from that with respect to the picture.

        Examples
        --------
        >>> spectrum, rng = Spectrum.of((4, 6, 3), 0.5, np.zeros(72)), np.random.default_rng(0)
        >>> z, dp = rng.normal(size=(2, 4, 6, 3))
        >>> bool(np.isclose((spectrum.forward(z) * dp).sum(), (z * spectrum.backward(dp)).sum()))  # the adjoint
        True
        """
        return self.scale * self._transform(dp)  # book: precondition-backward

    def inverse(self, p: Array) -> Array:  # (H, W, 3) -> (H, W, 3)
        """Return the scaled cosine coefficients of a picture.

        Examples
        --------
        >>> spectrum, p = Spectrum.of((4, 6, 3), 0.5, np.zeros(72)), np.random.default_rng(0).normal(size=(4, 6, 3))
        >>> bool(np.allclose(spectrum.forward(spectrum.inverse(p)), p))
        True
        """
        return self._transform(p) / self.scale  # book: precondition-inverse

    def _transform(self, x: Array, inverse: bool = False) -> Array:
        if self.matrices is None:
            import scipy.fft

            transform: Callable[..., Array] = scipy.fft.idctn if inverse else scipy.fft.dctn
            return transform(x, axes=(0, 1), norm="ortho", overwrite_x=inverse)  # only a product is overwritten
        columns, rows = (matrix.T if inverse else matrix for matrix in self.matrices)
        H, W, C = x.shape
        half = (columns @ x.reshape(H, -1)).reshape(H, W, C)
        return (half.swapaxes(1, 2).reshape(-1, W) @ rows.T).reshape(H, C, W).swapaxes(1, 2)


def dct_matrix(n: int, like: Array) -> Array:  # -> (n, n)
    """Return the matrix of the orthonormal cosine transform (DCT-II) of `n` numbers, with the dtype of `like`.

    Examples
    --------
    >>> matrix = dct_matrix(4, np.zeros(1))
    >>> np.allclose(matrix @ matrix.T, np.eye(4)), matrix[0].tolist()
    (True, [0.5, 0.5, 0.5, 0.5])
    """
    u, x = np.arange(n)[:, None], np.arange(n)
    matrix = np.sqrt(2 / n) * np.cos(np.pi * u * (2 * x + 1) / (2 * n))
    matrix[0] /= np.sqrt(2)
    return namespace(like).asarray(matrix, dtype=like.dtype)


class Preconditioned(Evaluable):
    """An objective as a function of the picture's scaled cosine coefficients.

    Parameters
    ----------
    objective : Objective
        The objective of the picture.
    spectrum : Spectrum
        The map from the coefficients to the picture.
    variables : str
        A description of the unknowns for checkpoints: a run does not resume from a checkpoint with another one.

    Examples
    --------
    >>> import numpy as np
    >>> from handstyle.losses.total_variation import VariationTerm
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> objective = Objective(build_network(random_weights()), [VariationTerm(2.0)], (16, 16, 3))
    >>> p = np.arange(768.0)
    >>> spectrum = Spectrum.of(objective.shape, 0.5, p)
    >>> z = spectrum.inverse(p.reshape(16, 16, 3)).ravel()
    >>> value, _ = Preconditioned(objective, spectrum)(z)
    >>> round(value, 6), objective(p)[0]
    (2313.0, 2313.0)
    """

    def __init__(self, objective: Objective, spectrum: Spectrum, variables: str = "") -> None:
        self.objective, self.spectrum, self.variables, self.terms = objective, spectrum, variables, objective.terms

    def picture(self, z: Array) -> Array:  # (3HW,) -> (3HW,)
        """Return the picture that has the scaled coefficients `z`.

        Examples
        --------
        >>> from handstyle.losses.total_variation import VariationTerm
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> objective = Objective(build_network(random_weights()), [VariationTerm()], (2, 2, 3))
        >>> evaluated = Preconditioned(objective, Spectrum(np.full((2, 2, 1), 3.0)))
        >>> z = np.zeros(12)
        >>> z[:3] = 100.0  # the coefficients of the mean
        >>> evaluated.picture(z).reshape(4, 3)[0].round(9)  # of the first pixel: 3 · 100 / √(2 · 2)
        array([150., 150., 150.])
        """
        return self.spectrum.forward(z.reshape(self.objective.shape)).ravel()

    def gradient(self, dp: Array) -> Array:  # (3HW,) -> (3HW,)
        """Return the gradient with respect to the coefficients, from that with respect to the picture.

        Examples
        --------
        >>> from handstyle.losses.total_variation import VariationTerm
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> objective = Objective(build_network(random_weights()), [VariationTerm()], (2, 2, 3))
        >>> evaluated = Preconditioned(objective, Spectrum(np.full((2, 2, 1), 3.0)))
        >>> evaluated.gradient(np.ones(12)).reshape(4, 3)[0].round(9)  # of the mean: 3 · 4 / √(2 · 2)
        array([6., 6., 6.])
        """
        return self.spectrum.backward(dp.reshape(self.objective.shape)).ravel()

    def __call__(self, z: Array) -> tuple[float, Array]:  # (3HW,) -> value, (3HW,)
        """Return the objective's value, and its gradient with respect to the coefficients; see `Objective`."""
        value, dp = self.objective(self.picture(z))
        self.terms = self.objective.terms
        return value, self.gradient(dp)

    def on_device(self, z: Array, extra: Callable[[Array], Array] = nothing) -> tuple[float, Array, Array]:
        # (3HW,) -> value, (3HW,), extra
        """Return value and gradient on the device of `z`; see `Evaluable.on_device`.

        Examples
        --------
        >>> from handstyle.losses.total_variation import VariationTerm
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> objective = Objective(build_network(random_weights()), [VariationTerm()], (2, 2, 3))
        >>> evaluated = Preconditioned(objective, Spectrum(np.full((2, 2, 1), 3.0)))
        >>> z = np.arange(12.0)
        >>> value, gradient, norm = evaluated.on_device(z, lambda g: abs(g).sum().reshape(1))
        >>> (value, gradient.tolist()) == (evaluated(z)[0], evaluated(z)[1].tolist())
        True
        >>> norm == abs(gradient).sum()  # of the gradient with respect to the coefficients
        array([ True])
        """
        gradients: list[Array] = []

        def after(dp: Array) -> Array:
            gradients.append(self.gradient(dp))
            return extra(gradients[0])

        value, _, answer = self.objective.on_device(self.picture(z), after)
        self.terms = self.objective.terms
        return value, gradients[0], answer


def minimize_preconditioned(
    minimize: Callable[..., Outcome],
    objective: Objective,
    v0: Array,
    *args: Any,
    exponent: float,
    callback: Callback | None = None,
    **options: Any,
) -> Outcome:
    """Minimize an objective with an optimizer whose unknowns are the picture's scaled cosine coefficients.

    Parameters
    ----------
    minimize : callable
        `minimize_lbfgsb`, `minimize_lbfgs` or another optimizer. It must run without a box, which would bound the
        coefficients and not the pixels.
    objective : Objective
        The objective as a function of the picture.
    v0 : (3HW,) array
        The starting picture.
    *args
        Arguments of `minimize` after the starting picture; the first is the number of iterations.
    exponent : float
        See `frequency_scale`.
    callback : callable, optional
        Called with an `Iteration` whose ``v`` is the picture.
    **options
        Keyword arguments of `minimize`; a checkpoint to resume must have been written with the same exponent.

    Returns
    -------
    Outcome
        The result of `minimize`, but ``v`` is the picture and not its coefficients.

    Examples
    --------
    >>> import numpy as np
    >>> from handstyle.losses.total_variation import VariationTerm
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> from handstyle.optimize.lbfgsb import minimize_lbfgsb
    >>> objective = Objective(build_network(random_weights()), [VariationTerm()], (16, 16, 3))
    >>> p = np.random.default_rng(0).uniform(0, 255, 768)
    >>> outcome = minimize_preconditioned(minimize_lbfgsb, objective, p, 10, exponent=0.5)
    >>> outcome.value < objective(p)[0] / 1000
    True
    """
    spectrum = Spectrum.of(objective.shape, exponent, v0)
    transformed = Preconditioned(objective, spectrum, f" in waves ({exponent:g})")

    def with_picture(row: Iteration) -> None:
        assert callback is not None
        assert row.v is not None
        callback(replace(row, v=transformed.picture(row.v)))

    z0 = spectrum.inverse(v0.reshape(objective.shape)).ravel()
    outcome = minimize(transformed, z0, *args, callback=callback and with_picture, **options)
    return replace(outcome, v=transformed.picture(outcome.v))
