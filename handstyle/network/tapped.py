"""What a fast forward sweep hands to the losses, and what it need not hold for them.

The first rectifier's map is the largest of all, and the cheapest to make: 27 products a value. So it is not held from
the sweep until its loss is due, but made again then, from the picture.
"""

from collections.abc import Callable, Iterator, MutableMapping

from handstyle.foundations.backend import Array


class Tapped(MutableMapping[str, Array]):
    """Features by the names of their taps.

    Attributes
    ----------
    spare : bool
        True: the sweep back does not look at them, so whoever takes one out may write on it.
    """

    spare = True

    def __init__(self) -> None:
        self._held: dict[str, Array] = {}
        self._made: dict[str, Callable[[], Array]] = {}

    def make_again(self, tap: str, make: Callable[[], Array]) -> None:
        """Let a feature go, and call `make` whenever it is asked for."""
        del self._held[tap]
        self._made[tap] = make

    def __getitem__(self, tap: str) -> Array:
        return self._made[tap]() if tap in self._made else self._held[tap]

    def __setitem__(self, tap: str, feature: Array) -> None:
        self._held[tap] = feature

    def __delitem__(self, tap: str) -> None:
        del (self._made if tap in self._made else self._held)[tap]

    def __iter__(self) -> Iterator[str]:
        yield from self._made
        yield from self._held

    def __len__(self) -> int:
        return len(self._made) + len(self._held)
