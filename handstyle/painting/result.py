"""Data types of a run: its result, `Result`, and its state after an iteration, `Progress`."""

import base64
import html
import io
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.image import Size
from handstyle.foundations.picture_rescue import write_picture_somewhere
from handstyle.foundations.picture_writing import write_picture
from handstyle.optimize.trace import Ending, Iteration


@dataclass(frozen=True)
class Result:
    """A painted picture, with the trace and the recipe of its run.

    Parameters
    ----------
    array : (H, W, 3) array of float64
        The picture: RGB, 0 to 255, not clipped.
    alpha : (H, W) array or None
        The photograph's opacity, 0 (transparent) to 1.
    ended : str
        How the run ended: "done", "converged", "settled", "stopped", "interrupted", "not finite" or "out of memory";
        "going on" for a result during the run.
    stopped : str
        The reason for stopping, in words.
    trace : list of Iteration
        One row for each iteration.
    evaluations : int
        Number of evaluations of the objective.
    failed : bool
        Whether the run ended because a value was not finite or memory ran out, or no step was better than the start;
        the picture is then the best one evaluated.
    metadata : dict of str to str
        Entries for the file's metadata: the program, and the recipe, from which the run can be repeated.
    notes : list of str
        Sentences for the user about the run, for instance on changes while pictures were read.
    dpi : (float, float) or None
        Horizontal and vertical pixels per inch, from `print` or from the photograph's file.

    Examples
    --------
    >>> import numpy as np
    >>> from handstyle import stylize
    >>> photograph, painting = np.random.default_rng(0).uniform(0, 255, (2, 32, 48, 3))
    >>> result = stylize(photograph, painting, network="random", size=48, iterations=2, style_layers="relu1_1")
    >>> result.image.shape, result.image.dtype, result.stopped
    ((32, 48, 3), dtype('uint8'), 'all 2 iterations done')
    """

    array: Array
    alpha: Array | None
    ended: Ending
    stopped: str
    trace: list[Iteration]
    evaluations: int
    failed: bool
    metadata: dict[str, str]
    notes: list[str] = field(default_factory=list)
    dpi: tuple[float, float] | None = None

    @property
    def image(self) -> Array:
        """The picture as (H, W, 3) uint8, rounded and clipped.

        Examples
        --------
        >>> result = Result(np.full((1, 2, 3), 300.6), None, "done", "all 9 iterations done", [], 9, False, metadata={})
        >>> result.image[0, 0].tolist(), result.array[0, 0].tolist()
        ([255, 255, 255], [300.6, 300.6, 300.6])
        """
        return whole_levels(self.array)

    @property
    def interrupted(self) -> bool:
        """Whether the run was interrupted, by Ctrl-C or another signal.

        Examples
        --------
        >>> from dataclasses import replace
        >>> result = Result(np.zeros((16, 24, 3)), None, "done", "all 9 iterations done", [], 9, False, metadata={})
        >>> result.interrupted, replace(result, ended="interrupted").interrupted
        (False, True)
        """
        return self.ended == "interrupted"

    def save(
        self,
        path: str | os.PathLike[str],
        overwrite: bool = False,
        *,
        bits: int = 8,
        dpi: tuple[float, float] | None = None,
    ) -> None:
        """Write the picture to a file, with its transparency, metadata and resolution.

        Parameters
        ----------
        path : path
            The file, whose suffix sets the format; see `write_picture`.
        overwrite : bool
            Replace an existing file.
        bits : {8, 16}
            Bits of a channel.
        dpi : (float, float), optional
            Horizontal and vertical pixels per inch, by default those of the result.

        Raises
        ------
        HandstyleError
            If the file exists, or cannot be written.

        Examples
        --------
        >>> import tempfile
        >>> result = Result(np.zeros((16, 24, 3)), None, "done", "all 9 iterations done", [], 9, False, metadata={})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     result.save(Path(folder, "out.png"), dpi=(300, 300))
        ...     with Image.open(Path(folder, "out.png")) as image:
        ...         print(image.size, round(image.info["dpi"][0]))
        (24, 16) 300
        """
        write_picture(path, self.array, self.alpha, self.metadata, overwrite, bits, dpi or self.dpi)

    def save_somewhere(
        self,
        path: str | os.PathLike[str],
        overwrite: bool = False,
        *,
        bits: int = 8,
        dpi: tuple[float, float] | None = None,
    ) -> Path:
        """Write the picture as `save` does, or to another file if that fails, and return the path of the file.

        See `write_picture_somewhere` for the other files.

        Examples
        --------
        >>> import tempfile
        >>> result = Result(np.zeros((16, 24, 3)), None, "done", "all 9 iterations done", [], 9, False, metadata={})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Path(folder, "out.png").touch()
        ...     result.save_somewhere(Path(folder, "out.png")).name  # the other file is not replaced
        'out-1.png'
        """
        return write_picture_somewhere(
            path, self.array, self.alpha, self.metadata, overwrite=overwrite, bits=bits, dpi=dpi or self.dpi
        )

    def __repr__(self) -> str:
        """Return a line with the size, the iterations and the reason for stopping."""
        height, width, _ = self.array.shape
        return f"<Result {width} x {height} px, {len(self.trace)} iterations: {self.stopped}>"

    def _repr_png_(self) -> bytes:  # what a notebook shows
        return png(self.array, self.alpha)

    def _repr_html_(self) -> str:
        lines = [repr(self).strip("<>").removeprefix("Result "), *self.notes]
        caption = "<br>".join(html.escape(line) for line in lines)
        image = base64.b64encode(self._repr_png_()).decode()
        return f"<figure><img src='data:image/png;base64,{image}'><figcaption>{caption}</figcaption></figure>"

    def show(self) -> None:
        """Show the picture below the cell of a notebook, otherwise in the system's image viewer.

        Examples
        --------
        .. code-block:: python

            stylize("photograph.jpg", "painting.jpg").show()
        """
        if in_a_notebook():
            import_module("IPython.display").display(self)
        else:
            Image.open(io.BytesIO(self._repr_png_())).show(repr(self))

    def plot(self, axes: Any = None) -> Any:
        """Plot the loss and its terms over the iterations, on a logarithmic axis.

        Parameters
        ----------
        axes : matplotlib.axes.Axes, optional
            The axes to plot into; by default those of a new figure.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        HandstyleError
            If matplotlib is not installed.

        Examples
        --------
        The axes are replaced here by an object that records what is called; there is a line for the loss and for each
        term.

        >>> from unittest.mock import Mock
        >>> trace = [Iteration(1, 1, 3.0, {"content relu4_2": 1.0, "style relu1_1": 2.0}, 0.5)]
        >>> result = Result(np.zeros((16, 24, 3)), None, "done", "", trace, 1, False, metadata={})
        >>> [call.kwargs["label"] for call in result.plot(Mock()).plot.call_args_list]
        ['loss', 'content relu4_2', 'style relu1_1']
        """
        if axes is None:
            try:
                axes = import_module("matplotlib.pyplot").subplots(figsize=(7, 4), layout="constrained")[1]
            except ModuleNotFoundError:
                raise HandstyleError("plot needs matplotlib: pip install matplotlib") from None
        steps = [row.iteration for row in self.trace]
        axes.plot(steps, [row.value for row in self.trace], color="black", label="loss", linewidth=2)
        for name in self.trace[-1].terms if self.trace else ():
            axes.plot(steps, [row.terms.get(name, np.nan) for row in self.trace], label=name, linewidth=1)
        axes.set(xlabel="iteration", ylabel="loss and its weighted terms", yscale="log")
        axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
        return axes


def whole_levels(array: Array) -> Array:
    """Return an array rounded and clipped to uint8, 0 to 255.

    Examples
    --------
    >>> whole_levels(np.array([-3.0, 1.6, 300.0])).tolist()
    [0, 2, 255]
    """
    clipped: Array = np.clip(np.rint(array), 0, 255).astype(np.uint8)
    return clipped


def png(array: Array, alpha: Array | None = None) -> bytes:
    r"""Return a picture, (H, W, 3) from 0 to 255, and its opacity, (H, W) from 0 to 1, encoded as PNG for display.

    Examples
    --------
    >>> png(np.zeros((2, 2, 3)))[:4]
    b'\x89PNG'
    """
    file, pixels = io.BytesIO(), whole_levels(array)
    if alpha is not None:
        pixels = np.dstack([pixels, whole_levels(255 * alpha)])
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def jpeg(array: Array, quality: int = 92) -> bytes:
    r"""Return a picture, (H, W, 3) from 0 to 255, encoded as JPEG for display.

    Examples
    --------
    >>> jpeg(np.zeros((2, 2, 3)))[:2]
    b'\xff\xd8'
    """
    file = io.BytesIO()
    Image.fromarray(whole_levels(array)).save(file, "JPEG", quality=quality, subsampling=0)
    return file.getvalue()


class PaintingInterrupted(KeyboardInterrupt):
    """Raised when a run is interrupted; its attribute `result` has the best picture so far.

    Parameters
    ----------
    result : Result
        The best picture so far.

    Examples
    --------
    >>> result = Result(np.zeros((32, 48, 3)), None, "interrupted", "interrupted at the second scale", [], 4, False, {})
    >>> print(PaintingInterrupted(result))
    interrupted at the second scale; the best picture so far is handstyle.last_result()
    """

    def __init__(self, result: Result) -> None:
        super().__init__(f"{result.stopped}; the best picture so far is handstyle.last_result()")
        self.result = result


_kept: list[Result] = []


def keep_last(result: Result) -> Result:
    """Keep a result as that of the last run, for `last_result`, and return it.

    Examples
    --------
    >>> result = Result(np.zeros((32, 48, 3)), None, "done", "all 2 iterations done", [], 2, False, {})
    >>> keep_last(result) is last_result()
    True
    """
    _kept[:] = [result]
    return result


def last_result() -> Result:
    """Return the result of the last run of this process, whether it ended by itself or was interrupted.

    Returns
    -------
    Result

    Raises
    ------
    HandstyleError
        If there was no run.

    Examples
    --------
    >>> import numpy as np
    >>> from handstyle import stylize
    >>> def interrupt(progress: Progress) -> None:
    ...     raise KeyboardInterrupt
    >>> photograph, painting = np.random.default_rng(0).uniform(0, 255, (2, 32, 48, 3))
    >>> try:
    ...     stylize(photograph, painting, network="random", size=48, style_layers="relu1_1", callback=interrupt)
    ... except KeyboardInterrupt as interrupted:
    ...     print(interrupted)
    interrupted after 1 iterations; the best picture so far is handstyle.last_result()
    >>> last_result()
    <Result 48 x 32 px, 1 iterations: interrupted after 1 iterations>
    """
    if not _kept:
        raise HandstyleError("last_result: nothing has been painted yet; call stylize first")
    return _kept[-1]


def in_a_notebook() -> bool:
    """Return whether the program runs in the kernel of a notebook.

    Examples
    --------
    >>> in_a_notebook()
    False
    """
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return any(one.__name__ == "ZMQInteractiveShell" for one in type(shell).__mro__)  # or a class derived from it


@dataclass(frozen=True)
class Progress:
    """The state of a run after an iteration, as the callback receives it.

    Parameters
    ----------
    iteration, iterations : int
        Number of iterations so far, and of all planned iterations.
    evaluations : int
        Number of evaluations of the objective so far.
    value : float
        The value of the objective.
    terms : dict of str to float
        The weighted value of each term; `value` is their sum.
    seconds : float
        Seconds since the optimizer started.
    array : (H, W, 3) array
        The picture, RGB, 0 to 255, not clipped.
    save : callable, optional
        ``save(path)`` writes a checkpoint, from which `stylize` resumes the run bit for bit, except with
        ``optimizer="lbfgsb"``, which resumes with an empty history. To be called during the callback only.
    scale : int
        The current scale, counted from 0, the coarsest.
    sizes : tuple of (int, int)
        Height and width of every scale.
    seconds_left : float or None
        Estimated time of the remaining iterations, see `time_left`.
    colored : callable, optional
        ``colored((height, width))`` returns the (H, W, 3) picture at this size in its final colors; see `picture`.
    finish : callable, optional
        ``finish((height, width))`` returns the `Result` at this size as if the run ended now; see `result`.

    Examples
    --------
    >>> import numpy as np
    >>> from handstyle import stylize
    >>> def show(progress: Progress) -> None:
    ...     print(progress.iteration, "of", progress.iterations, sorted(progress.terms))
    >>> photograph, painting = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    >>> options = {"size": 32, "iterations": 1, "style_layers": "relu1_1"}
    >>> _ = stylize(photograph, painting, network="random", callback=show, **options)
    1 of 1 ['content relu4_2', 'style relu1_1', 'total variation']
    """

    iteration: int
    iterations: int
    evaluations: int
    value: float
    terms: dict[str, float]
    seconds: float
    array: Array
    save: Callable[[Path], None] | None = None
    scale: int = 0
    sizes: tuple[Size, ...] = ()
    seconds_left: float | None = None
    colored: Callable[[Size], Array] | None = None
    finish: Callable[[Size], Result] | None = None

    def __repr__(self) -> str:
        """Return a line with the iteration and the losses, without the arrays."""
        return f"<Progress {self.iteration} of {self.iterations} iterations: {self.losses}>"

    def result(self, size: Size | None = None) -> Result:
        """Return the `Result` as if the run ended now, at the size of the output or at `size`, which is (H, W).

        Examples
        --------
        >>> from handstyle import stylize
        >>> photograph, painting = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3))
        >>> few = {"size": 16, "iterations": 1, "style_layers": "relu1_1"}
        >>> def show(progress: Progress) -> None:
        ...     print(progress.result())
        >>> _ = stylize(photograph, painting, network="random", callback=show, **few)
        <Result 16 x 16 px, 1 iterations: after 1 of 1 iterations>
        """
        assert self.finish is not None
        return self.finish(size or self.sizes[-1])

    def picture(self, size: Size | None = None) -> Array:
        """Return the (H, W, 3) picture in its final colors, at the size of the current scale or at `size`, (H, W).

        Examples
        --------
        >>> from handstyle import stylize
        >>> photograph, painting = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3))
        >>> few = {"size": 16, "iterations": 1, "style_layers": "relu1_1"}
        >>> def show(progress: Progress) -> None:
        ...     print(progress.picture().shape, progress.picture((8, 8)).shape)
        >>> _ = stylize(photograph, painting, network="random", callback=show, **few)
        (16, 16, 3) (8, 8, 3)
        """
        assert self.colored is not None
        return self.colored(size or self.sizes[self.scale])

    @property
    def losses(self) -> str:
        """A line with the loss and the sums of its terms by kind: content, style, tv and so on.

        Examples
        --------
        >>> terms = {"content relu4_2": 1.0, "style relu1_1": 2.0, "style relu2_1": 3.0}
        >>> Progress(7, 100, 8, value=6.0, terms=terms, seconds=0.5, array=np.zeros((16, 24, 3))).losses
        'loss 6 (content 1  style 5)'
        """
        kinds: dict[str, float] = {}
        for name, value in self.terms.items():
            kind = "tv" if name == "total variation" else name.split()[0]
            kinds[kind] = kinds.get(kind, 0.0) + value
        terms = "  ".join(f"{kind} {value:.3g}" for kind, value in kinds.items())
        return f"loss {self.value:.4g} ({terms})"

    @property
    def where(self) -> str:
        """A text with the size of the picture, width first, and, if there are several scales, the number of this one.

        Examples
        --------
        >>> p, sizes = np.zeros((16, 24, 3)), ((16, 24), (32, 48))
        >>> Progress(7, 100, 8, value=6.0, terms={}, seconds=0.5, array=p, scale=0, sizes=sizes).where
        '24 x 16 px, scale 1 of 2'
        """
        height, width = self.array.shape[:2]
        of = f", scale {self.scale + 1} of {len(self.sizes)}" if len(self.sizes) > 1 else ""
        return f"{width} x {height} px{of}"
