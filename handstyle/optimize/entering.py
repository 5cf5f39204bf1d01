"""The gradients that enter the backward sweep at the taps, each made when the sweep arrives there."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from handstyle.foundations.backend import Array
from handstyle.network.sequence import Pointwise


class Entering(Mapping[str, Array]):
    """Gradients by tap, made late.

    Making them late keeps one tap's gradient in memory at a time, and lets each tapped feature go after its use.

    Parameters
    ----------
    taps : iterable of str
        Where gradients enter.
    make : callable
        Of the tap; called once for each.
    parts : callable
        Of the tap: the gradient to be made part by part, or None where it is made whole.

    Attributes
    ----------
    fresh : bool
        True: each gradient is made for the sweep alone, which may write on it.
    """

    fresh = True

    def __init__(
        self,
        taps: Iterable[str],
        make: Callable[[str], Array],
        parts: Callable[[str], Pointwise | None] = lambda tap: None,
    ) -> None:
        self.taps, self.make, self.parts = frozenset(taps), make, parts

    def pointwise(self, tap: str) -> Pointwise | None:
        """Return a gradient in parts, made in place of the whole one; see `Pointwise`."""
        return self.parts(tap)

    def __getitem__(self, tap: str) -> Array:
        return self.make(tap)

    def __contains__(self, tap: object) -> bool:
        return tap in self.taps

    def __iter__(self) -> Iterator[str]:
        return iter(self.taps)

    def __len__(self) -> int:
        return len(self.taps)
