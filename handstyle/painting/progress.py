"""Display the progress of a run in terminals, notebooks and logs, and estimate the time left."""

import base64
import html
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from itertools import pairwise
from math import isnan, log
from statistics import median
from typing import Any, Protocol

from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.image import Size
from handstyle.painting.result import Progress, in_a_notebook, png

RECENT = 20  # number of iterations whose median time is the estimate for the next
# Exponent with which the time of an iteration grows with the number of pixels. VGG-19 on two cores took 0.37, 1.27 and
# 6.61 s at 256, 512 and 1024 px a side (benchmarks/results/2026-11-26-evaluation.json), exponents of 0.89 and 1.19; it
# is less for smaller pictures.
GROWTH = 0.9
LINES_EVERY = 5.0  # seconds between two lines of a log


class Display(Protocol):
    """A display of a run's progress: it is called with each `Progress`, and `note` prints a permanent line."""

    def __call__(self, progress: Progress) -> None: ...  # noqa: D102

    def note(self, text: str) -> None: ...  # noqa: D102


def time_left(
    ends: Sequence[float],
    planned: Sequence[int],
    sizes: Sequence[Size],
    scale: int,
    before: Sequence[float] = (),
    forecast: Sequence[float] = (),
) -> float | None:
    """Estimate the seconds left in a run.

    Parameters
    ----------
    ends : sequence of float
        Times in seconds at which the current scale began and each of its iterations ended.
    planned : sequence of int
        Iterations of each scale.
    sizes : sequence of (int, int)
        Height and width of each scale.
    scale : int
        The number of the current scale, counted from 0.
    before : sequence of float
        Times in seconds at which the last iterations of the scale before ended.
    forecast : sequence of float
        Forecast seconds of an evaluation at each scale, of which only the ratios are used; NaN or empty if there is no
        forecast.

    Returns
    -------
    float or None
        None while there are too few iterations for an estimate.

    Notes
    -----
    The next iterations are assumed to take the median time of the last ones. Those of later scales take longer by the
    ratio of the forecasts. Without a forecast, the time is assumed to grow with a power of the number of pixels: the
    power observed between the last scale and this one, or `GROWTH` at the first scale. This is less exact, because much
    of the time of a small picture does not depend on its size.

    Examples
    --------
    >>> time_left([0.0, 1.0, 2.0], planned=[4, 4], sizes=[(10, 10), (10, 10)], scale=0)
    6.0
    """
    if len(ends) < 3 - (scale > 0):  # the run's first iteration takes longer: it prepares and searches a step length
        return None
    each = median(b - a for a, b in pairwise(ends[-RECENT - 1 :]))  # a median, so that a pause does not count
    pixels, growth = [h * w for h, w in sizes], GROWTH
    if len(before) > 2 and len(ends) > 3 and pixels[scale] > pixels[scale - 1]:
        longer = each / max(median(b - a for a, b in pairwise(before)), 1e-9)
        growth = min(max(log(max(longer, 1.0)) / log(pixels[scale] / pixels[scale - 1]), 0.5), 1.2)
    times = list(forecast)
    if not times or any(isnan(one) for one in times):
        times = [(one / pixels[scale]) ** growth for one in pixels]
    later = sum(n * one / times[scale] for n, one in zip(planned[scale + 1 :], times[scale + 1 :], strict=True))
    return float(each * (max(0, planned[scale] + 1 - len(ends)) + later))


def format_duration(seconds: float) -> str:
    """Return a duration as text: 40 s, 3 min 20 s, 2 h 5 min.

    Examples
    --------
    >>> format_duration(0.4), format_duration(200), format_duration(7500)
    ('0 s', '3 min 20 s', '2 h 5 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def eta(progress: Progress) -> str:
    """Return the estimated time left as text, or an empty string if there is no estimate or nothing is left.

    Examples
    --------
    >>> import numpy as np
    >>> eta(Progress(25, 100, 30, 0.5, {}, 10.0, np.zeros((32, 48, 3)), seconds_left=200.0))
    'about 3 min 20 s left'
    """
    return f"about {format_duration(progress.seconds_left)} left" if progress.seconds_left else ""


class Lines:
    """The display for logs and pipes: a line when a scale begins, every five seconds, and at the last iteration.

    Parameters
    ----------
    write : callable
        Called with each line.

    Examples
    --------
    >>> import numpy as np
    >>> display = Lines(print)
    >>> display(Progress(1, 100, 1, 0.5, {"content relu4_2": 0.5}, 0.1, np.zeros((32, 48, 3)), sizes=((32, 48),)))
    48 x 32 px: iteration 1 of 100, loss 0.5 (content 0.5), 0 s
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self.note, self.scale, self.written = write, -1, 0.0

    def __call__(self, progress: Progress) -> None:
        """Write a line if `LINES_EVERY` seconds have passed, or at the first or last iteration."""
        now, last = time.monotonic(), progress.iteration == progress.iterations
        if progress.scale == self.scale and now - self.written < LINES_EVERY and not last:
            return
        self.scale, self.written = progress.scale, now
        rest = "" if last or progress.seconds_left is None else f", {eta(progress)}"
        words = f"{progress.where}: iteration {progress.iteration} of {progress.iterations}, {progress.losses}"
        self.note(f"{words}, {format_duration(progress.seconds)}{rest}")


def fraction_done(progress: Progress) -> float:
    """Return the fraction of a run that is done, by time or, without an estimate, by iterations.

    Examples
    --------
    >>> import numpy as np
    >>> fraction_done(Progress(25, 100, 30, 0.5, {}, 10.0, np.zeros((32, 48, 3)), seconds_left=30.0))
    0.25
    """
    if progress.seconds_left is None or progress.seconds <= 0:
        return progress.iteration / progress.iterations
    return progress.seconds / (progress.seconds + progress.seconds_left)


@contextmanager
def _show_bar(console: Any) -> Iterator[Display]:
    """Show a progress bar with the losses below it in a terminal, for the duration of a ``with`` block."""
    from rich.console import Group
    from rich.live import Live
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    width = max(10, min(40, console.width - 60))

    def drawn(progress: Progress | None) -> Group:
        table = Table.grid(padding=(0, 1))
        if progress is None:
            table.add_row("painting", ProgressBar(total=1, completed=0, width=width))
            return Group(table, Text("measuring the targets"))
        done = ProgressBar(total=1, completed=fraction_done(progress), width=width)
        table.add_row(
            Text(progress.where), done, Text(f"{progress.iteration}/{progress.iterations}"), Text(eta(progress))
        )
        return Group(table, Text(progress.losses, overflow="ellipsis", no_wrap=True))

    with Live(drawn(None), console=console, auto_refresh=False) as live:

        class Bar:
            def __init__(self) -> None:
                self.drawn = 0.0

            def __call__(self, progress: Progress) -> None:
                now = time.monotonic()
                if now - self.drawn > 0.1 or progress.iteration == progress.iterations:
                    self.drawn = now
                    live.update(drawn(progress), refresh=True)

            def note(self, text: str) -> None:
                live.console.print(text, markup=False, highlight=False, soft_wrap=True)

        yield Bar()


class _NotebookBar:
    """The display for notebooks: a bar below the cell, updated in place."""

    def __init__(self) -> None:
        self.shown: Any = import_module("IPython.display")
        self.drawn = 0.0
        self.handle = self.shown.display(self.shown.HTML("measuring the targets"), display_id=True)

    def __call__(self, progress: Progress) -> None:
        """Show the iteration, unless another was shown less than 0.2 seconds ago."""
        now = time.monotonic()
        if now - self.drawn < 0.2 and progress.iteration < progress.iterations:
            return
        self.drawn = now
        words = f"{progress.where}: {progress.iteration}/{progress.iterations} {eta(progress)}<br>{progress.losses}"
        self.handle.update(self.shown.HTML(f"<progress value='{fraction_done(progress):.3f}'></progress> {words}"))

    def note(self, text: str) -> None:
        """Show a line of text above the bar."""
        self.shown.display(self.shown.HTML(html.escape(text)))


class live:
    """A callback that shows the picture below a notebook's cell: ``stylize(..., callback=live(every=10))``.

    Parameters
    ----------
    every : int
        Number of iterations between two pictures; the last picture is always shown.

    Raises
    ------
    HandstyleError
        If the program does not run in a notebook.

    Examples
    --------
    >>> live(every=10)
    Traceback (most recent call last):
    ...
    handstyle.foundations.errors.HandstyleError: live shows pictures in a notebook; elsewhere use stylize(progress=True)
    """

    def __init__(self, every: int = 10) -> None:
        if not isinstance(every, int) or every < 1:
            raise HandstyleError(f"every={every!r}: must be a whole number of iterations, 1 or more")
        if not in_a_notebook():
            raise HandstyleError("live shows pictures in a notebook; elsewhere use stylize(progress=True)")
        self.every, self.handle = every, None

    def __call__(self, progress: Progress) -> None:
        """Show the picture of an iteration if it is the first, the last, or a multiple of `every`."""
        if progress.iteration == 1:
            self.handle = None
        if progress.iteration > 1 and progress.iteration % self.every and progress.iteration < progress.iterations:
            return
        picture = png(progress.picture())
        words = f"{progress.where}: {progress.iteration}/{progress.iterations} {eta(progress)}<br>{progress.losses}"
        image, width = base64.b64encode(picture).decode(), progress.sizes[-1][1]
        shown: Any = import_module("IPython.display")
        page = shown.HTML(f"<img width='{width}' src='data:image/png;base64,{image}'><br>{words}")
        if self.handle is None:
            self.handle = shown.display(page, display_id=True)
        else:
            self.handle.update(page)


@contextmanager
def progress_display(console: Any = None) -> Iterator[Display]:
    """Yield the display of progress: a bar in a notebook or a terminal, otherwise lines on standard error.

    Parameters
    ----------
    console : rich.console.Console, optional
        The terminal; by default standard error.

    Examples
    --------
    >>> import sys
    >>> from rich.console import Console
    >>> with progress_display(Console(file=sys.stdout, force_terminal=False)) as display:
    ...     display.note("the checkpoint cannot be written")
    the checkpoint cannot be written
    """
    if in_a_notebook():
        yield _NotebookBar()
        return
    from rich.console import Console

    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield Lines(lambda text: console.print(text, markup=False, highlight=False, soft_wrap=True))
        return
    with _show_bar(console) as display:
        yield display
