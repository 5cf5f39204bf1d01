"""Signals: a request to end a run ends it with the picture it has."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Timer
from types import FrameType

from handstyle.cli.options import err

NAMES = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Interrupted(KeyboardInterrupt):
    """A signal asked the program to end.

    Parameters
    ----------
    number : int
        Of the signal; the exit status is 128 more.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


_received: list[int] = []  # signals that asked to end, since `listen`


def raise_interrupted(number: int, _: FrameType | None) -> None:
    """Raise `Interrupted`: what a signal does while there is nothing to save."""
    _received.append(number)
    raise Interrupted(number)


def status_of_signal() -> int:
    """Return the exit status of a program that a signal ended: 128 and the number of the first that came."""
    return 128 + (_received[0] if _received else signal.SIGINT)


def pass_over(number: int, _: FrameType | None) -> None:
    """Do nothing: what a signal does when the picture is written and the program is about to end."""


def handle(handler: Callable[[int, FrameType | None], None]) -> None:
    """Let a function handle every signal that asks to end, but for those that are ignored here (nohup, ``cmd &``)."""
    for name in NAMES:
        number = getattr(signal, name)
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def listen() -> None:
    """Let every signal that asks to end raise `Interrupted`."""
    _received.clear()
    handle(raise_interrupted)


@dataclass
class Requests:
    """Signals that came while they were deferred."""

    numbers: list[int] = field(default_factory=list)
    deferring: bool = False

    def __bool__(self) -> bool:
        """Return whether the run is asked to end."""
        return bool(self.numbers)

    def raise_now(self) -> None:
        """Raise `Interrupted` if the run was asked to end: between iterations, where the picture is kept."""
        if self.numbers:
            raise Interrupted(self.numbers[0])


@contextmanager
def deferred() -> Iterator[Requests]:
    """Note signals inside this block, once `deferring` is set, instead of raising.

    Before that the first one raises, and those after it are noted: a picture may be being written by then. A
    KeyboardInterrupt that falls into a finalizer, from where Python lets no exception out, is sent again. When a block
    that deferred is done, so is the picture, and signals do nothing.
    """
    requests = Requests()
    hook = sys.unraisablehook

    def note(number: int, frame: FrameType | None) -> None:
        first = not requests.numbers
        requests.numbers.append(number)
        if not requests.deferring:
            requests.deferring = True
            raise_interrupted(number, frame)
        if first:
            err.print("ending with the picture when this iteration is done")

    def again(lost: "sys.UnraisableHookArgs") -> None:
        if issubclass(lost.exc_type, KeyboardInterrupt):
            number = getattr(lost.exc_value, "number", signal.SIGINT)
            Timer(0.05, signal.raise_signal, [number]).start()
        else:
            hook(lost)

    handle(note)
    sys.unraisablehook = again
    try:
        yield requests
    finally:
        sys.unraisablehook = hook
        handle(pass_over if requests.deferring else raise_interrupted)
