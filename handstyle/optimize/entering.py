"""The gradients that enter the backward sweep at the taps, each made when the sweep arrives there."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from handstyle.foundations.backend import Array


class Entering(Mapping[str, Array]):
    """Gradients by tap, made late.

    Making them late keeps one tap's gradient in memory at a time, and lets each tapped feature go after its use.

    Parameters
    ----------
    taps : iterable of str
        Where gradients enter.
    make : callable
        Of the tap; called once for each.

    Attributes
    ----------
    fresh : bool
        True: each gradient is made for the sweep alone, which may write on it.
    """

    fresh = True

    def __init__(self, taps: Iterable[str], make: Callable[[str], Array]) -> None:
        self.taps, self.make = frozenset(taps), make

    def __getitem__(self, tap: str) -> Array:
        return self.make(tap)

    def __contains__(self, tap: object) -> bool:
        return tap in self.taps

    def __iter__(self) -> Iterator[str]:
        return iter(self.taps)

    def __len__(self) -> int:
        return len(self.taps)
