"""Signals: a request to end a run ends it with the picture it has."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Timer
from types import FrameType
from typing import Any

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


def raise_interrupted(number: int, _: FrameType | None) -> None:
    """Raise `Interrupted`: what a signal does while there is nothing to save."""
    raise Interrupted(number)


def listen() -> None:
    """Let every signal that asks to end raise `Interrupted`, but for those that are ignored here (nohup, ``cmd &``)."""
    for name in NAMES:
        number = getattr(signal, name)
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, raise_interrupted)


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
    """Note signals inside this block, once `deferring` is set, instead of raising; before that they raise.

    A KeyboardInterrupt that falls into a finalizer, from where Python lets no exception out, is sent again.
    """
    requests = Requests()
    before = {number: signal.getsignal(number) for number in (getattr(signal, name) for name in NAMES)}
    hook = sys.unraisablehook

    def note(number: int, frame: FrameType | None) -> None:
        if not requests.deferring:
            raise_interrupted(number, frame)
        if not requests.numbers:
            err.print("ending with the picture when this iteration is done")
        requests.numbers.append(number)

    def again(lost: "sys.UnraisableHookArgs") -> None:
        if issubclass(lost.exc_type, KeyboardInterrupt):
            number = getattr(lost.exc_value, "number", signal.SIGINT)
            Timer(0.05, signal.raise_signal, [number]).start()
        else:
            hook(lost)

    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, note)
    sys.unraisablehook = again
    try:
        yield requests
    finally:
        sys.unraisablehook = hook
        for number, old in before.items():
            handler_: Any = old
            signal.signal(number, handler_)
