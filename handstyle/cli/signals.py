"""Handle the signals that ask the program to end, so that a run ends after saving its picture."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Timer
from types import FrameType

from handstyle.cli.terminal import err

NAMES = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Interrupted(KeyboardInterrupt):
    """Raised when a signal asks the program to end.

    Parameters
    ----------
    number : int
        The number of the signal; the exit status is 128 more.

    Examples
    --------
    >>> try:
    ...     raise Interrupted(signal.SIGTERM)
    ... except KeyboardInterrupt as interrupted:
    ...     print(interrupted, 128 + interrupted.number)
    SIGTERM 143
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


_received: list[int] = []  # the signals received since the last call of `reset_handlers`


def _raise_interrupted(number: int, _: FrameType | None) -> None:
    """Raise `Interrupted`; the handler of signals while there is no picture to save."""
    _received.append(number)
    raise Interrupted(number)


def status_of_signal() -> int:
    """Return the exit status of a program ended by a signal: 128 plus the number of the first signal.

    Examples
    --------
    >>> status_of_signal()  # 128 + 2, as for SIGINT, if no signal was received
    130
    """
    return 128 + (_received[0] if _received else signal.SIGINT)


def ignore_signal(number: int, _: FrameType | None) -> None:
    """Do nothing; the handler of signals when the picture has been written and the program is about to end.

    Examples
    --------
    >>> set_handler(ignore_signal)
    >>> signal.raise_signal(signal.SIGTERM)  # nothing happens
    """


def set_handler(handler: Callable[[int, FrameType | None], None]) -> None:
    """Set the handler of all signals that ask to end, except those that are ignored (by nohup or ``cmd &``).

    Examples
    --------
    >>> def note(number, frame):
    ...     print(signal.Signals(number).name)
    >>> set_handler(note)
    >>> signal.raise_signal(signal.SIGTERM)
    SIGTERM
    """
    for name in NAMES:
        number = getattr(signal, name)
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def reset_handlers() -> None:
    """Set the handler of all signals that ask to end to `_raise_interrupted`, and forget earlier signals.

    Examples
    --------
    >>> reset_handlers()
    >>> try:
    ...     signal.raise_signal(signal.SIGINT)
    ... except Interrupted as interrupted:
    ...     print(interrupted)
    SIGINT
    >>> reset_handlers()
    """
    _received.clear()
    set_handler(_raise_interrupted)


@dataclass
class Requests:
    """The signals that arrived during a block of `defer_signals`.

    Examples
    --------
    >>> requests = Requests()
    >>> bool(requests), bool(Requests([signal.SIGINT]))
    (False, True)
    """

    numbers: list[int] = field(default_factory=list)
    deferring: bool = False

    def __bool__(self) -> bool:
        """Return whether a signal has asked the run to end."""
        return bool(self.numbers)

    def raise_now(self) -> None:
        """Raise `Interrupted` if a signal has asked the run to end; to be called between two iterations.

        Examples
        --------
        >>> Requests().raise_now()  # no signal, no error
        >>> try:
        ...     Requests([signal.SIGTERM]).raise_now()
        ... except Interrupted as interrupted:
        ...     print(interrupted)
        SIGTERM
        """
        if self.numbers:
            raise Interrupted(self.numbers[0])


@contextmanager
def defer_signals() -> Iterator[Requests]:
    """Record signals in a ``with`` block, instead of raising an exception, once `Requests.deferring` is set.

    Before that, the first signal raises `Interrupted`, and later ones are recorded, because a picture may be being
    written. Python ignores a KeyboardInterrupt in a finalizer, so its signal is sent again. After a block in which
    signals were deferred, the picture has been written, and signals have no effect.

    Examples
    --------
    >>> with defer_signals() as requests:
    ...     requests.deferring = True
    ...     signal.raise_signal(signal.SIGTERM)  # which is recorded
    ...     bool(requests)
    True
    """
    requests = Requests()
    hook = sys.unraisablehook

    def note(number: int, frame: FrameType | None) -> None:
        first = not requests.numbers
        requests.numbers.append(number)
        if not requests.deferring:
            requests.deferring = True
            _raise_interrupted(number, frame)
        if first:
            err.print("ending with the picture when this iteration is done")

    def again(lost: "sys.UnraisableHookArgs") -> None:
        if issubclass(lost.exc_type, KeyboardInterrupt):
            number = getattr(lost.exc_value, "number", signal.SIGINT)
            Timer(0.05, signal.raise_signal, [number]).start()
        else:
            hook(lost)

    set_handler(note)
    sys.unraisablehook = again
    try:
        yield requests
    finally:
        sys.unraisablehook = hook
        set_handler(ignore_signal if requests.deferring else _raise_interrupted)
