"""Compute the size in pixels of a print from the size of the paper and a resolution."""

import re
from dataclasses import dataclass

from handstyle.foundations.errors import HandstyleError

INCH = {"cm": 2.54, "mm": 25.4, "in": 1.0}  # the length of an inch in each unit
ISO_216 = {"a0": (841, 1189), "a1": (594, 841), "a2": (420, 594), "a3": (297, 420), "a4": (210, 297), "a5": (148, 210)}
DPI = 300.0  # the usual resolution of printed photographs


@dataclass(frozen=True)
class Paper:
    """The size of a sheet of paper, and the resolution of the print.

    Parameters
    ----------
    short, long : float
        The sides of the paper in inches.
    dpi : float
        Pixels per inch.

    Examples
    --------
    >>> Paper(short=8, long=10, dpi=240) == read_paper("10x8in@240")
    True
    """

    short: float
    long: float
    dpi: float

    def _inches(self, size: tuple[int, int]) -> float:
        """Return the long side in inches of the largest picture with the proportions of `size` that fits the paper."""
        return min(self.long, self.short * max(size) / min(size))

    def long_side(self, size: tuple[int, int]) -> int:
        """Return the long side in pixels of the largest picture with the proportions of `size` (H, W) on the paper.

        The paper is turned to the orientation of the picture.

        Examples
        --------
        >>> paper = read_paper("40x30cm@254")  # 100 pixels per cm
        >>> paper.long_side((2000, 3000)), paper.long_side((3000, 3000))  # 40 cm by 26.7, and 30 cm by 30
        (4000, 3000)
        """
        return max(1, round(self._inches(size) * self.dpi))

    def dpi_at(self, size: tuple[int, int]) -> float:
        """Return the pixels per inch, rounded to a tenth, at which a picture of `size` (H, W) fills the paper.

        Examples
        --------
        >>> read_paper("10x8in@300").dpi_at((800, 1000))  # 1000 pixels on 10 inches, whatever was wanted
        100.0
        """
        return round(max(size) / self._inches(size), 1)

    def printed(self, size: tuple[int, int]) -> str:
        """Return the width and height in cm of a picture of `size` (H, W) on the paper, as text.

        Examples
        --------
        >>> read_paper("40x30cm@300").printed((2000, 4000))
        '40 x 20 cm'
        """
        cm = self._inches(size) * 2.54 / max(size)
        return f"{size[1] * cm:.3g} x {size[0] * cm:.3g} cm"


def read_paper(text: str) -> Paper:
    """Parse the size of a paper and the resolution of a print.

    Parameters
    ----------
    text : str
        Two sides, a unit (cm, mm, in) and pixels per inch, as in ``40x30cm@300``, or a size of ISO 216, as in
        ``A4@300``. Without ``@`` the resolution is 300.

    Returns
    -------
    Paper

    Raises
    ------
    HandstyleError
        If the text is not of this form, or a side would have fewer than 16 or more than 65500 pixels.

    Examples
    --------
    >>> read_paper("8x10in@240")
    Paper(short=8.0, long=10.0, dpi=240.0)
    """
    number = r"(\d+(?:\.\d+)?)"
    found = re.fullmatch(
        rf"(?:{number}\s*[x×]\s*{number}\s*(cm|mm|in)|(a[0-5]))(?:@{number}(?:dpi)?)?", text.strip().lower()
    )
    if found is None:
        raise HandstyleError(f"print={text!r}: give paper and pixels per inch, as in 40x30cm@300, 8x10in@240 or A4@300")
    first, second, unit, name, dpi = found.groups()
    sides = [side / INCH["mm"] for side in ISO_216[name]] if name else [float(n) / INCH[unit] for n in (first, second)]
    paper = Paper(min(sides), max(sides), float(dpi or DPI))
    if not (paper.short * paper.dpi >= 16 and paper.long * paper.dpi <= 65500):  # a JPEG's longest side
        raise HandstyleError(
            f"print={text!r}: {paper.long * paper.dpi:.0f} x {paper.short * paper.dpi:.0f} px; use sides of 16 to 65500"
        )
    return paper
