"""Antialiased shapes on two sheets: what surfaces reflect, and what shines by itself.

A convex polygon covers a pixel by the least distance to its edges, clipped to one pixel: antialiasing without
supersampling. Lengths are in heights of the picture, the origin at the upper left, y downwards.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

Floats = np.ndarray[Any, Any]
Color = Sequence[float] | Floats
Point = tuple[float, float]


class Canvas:
    """Two sheets of `(H, W, 3)` float32, 0 to 1: `albedo` and `glow`.

    Parameters
    ----------
    height, width : int
        px.
    """

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.right = width / height
        self.albedo = np.zeros((height, width, 3), dtype=np.float32)
        self.glow = np.zeros((height, width, 3), dtype=np.float32)
        self.y, self.x = (np.mgrid[:height, :width].astype(np.float32) + np.float32(0.5)) / np.float32(
            height
        )  # (H, W) each, the places of the pixels

    def polygon(self, points: Sequence[Point], color: Color, glow: Color = (0, 0, 0)) -> None:
        """Cover a convex polygon, whichever way round, with a color and a glow."""
        corners = np.asarray(points, dtype=np.float64)
        low, high = corners.min(axis=0) * self.height - 1, corners.max(axis=0) * self.height + 2
        left, top = np.clip(low.astype(int), 0, (self.width, self.height))
        right, bottom = np.clip(high.astype(int), 0, (self.width, self.height))
        if right <= left or bottom <= top:
            return
        window = np.s_[top:bottom, left:right]
        x, y = self.x[window], self.y[window]
        cover = np.ones_like(x)
        after = np.roll(corners, -1, axis=0)
        turn = np.sign(np.sum(corners[:, 0] * after[:, 1] - after[:, 0] * corners[:, 1])) or 1.0
        for (ax, ay), (bx, by) in zip(corners, after, strict=True):
            long = np.hypot(bx - ax, by - ay)
            if long > 0:
                inside = turn * ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / long
                cover = np.minimum(cover, np.clip(inside * self.height + 0.5, 0, 1))
        self._cover(window, cover, color, glow)

    def disc(self, x: float, y: float, radius: float, color: Color, glow: Color = (0, 0, 0)) -> None:
        """Cover a disc."""
        reach = radius * self.height + 1
        left, right = (int(np.clip(x * self.height + d, 0, self.width)) for d in (-reach, reach + 1))
        top, bottom = (int(np.clip(y * self.height + d, 0, self.height)) for d in (-reach, reach + 1))
        if right <= left or bottom <= top:
            return
        window = np.s_[top:bottom, left:right]
        away = np.hypot(self.x[window] - x, self.y[window] - y)
        self._cover(window, np.clip((radius - away) * self.height + 0.5, 0, 1), color, glow)

    def below(self, ridge: Floats, color: Color | Floats, glow: Color = (0, 0, 0)) -> None:
        """Cover everything below a ridge `(W,)`, given in heights."""
        cover = np.clip((self.y - ridge[None, :]) * self.height + 0.5, 0, 1)
        self._cover(np.s_[:, :], cover, color, glow)

    def halo(self, x: float, y: float, radius: float, color: Color) -> None:
        """Add light around a place, falling as the inverse square beyond the radius."""
        away = ((self.x - x) ** 2 + (self.y - y) ** 2) / radius**2
        self.glow += np.asarray(color, dtype=np.float32) * np.exp(-0.02 * away)[..., None] / (1 + away)[..., None]

    def _cover(self, window: Any, cover: Floats, color: Color, glow: Color) -> None:
        part = cover[..., None].astype(np.float32)
        for sheet, value in ((self.albedo, color), (self.glow, glow)):
            sheet[window] += part * (np.asarray(value, dtype=np.float32) - sheet[window])


def clouds(rng: np.random.Generator, height: int, width: int, cell: float, octaves: int = 5) -> Floats:
    """Return smooth noise `(height, width)`, mean about 0, spread about 1: octaves of interpolated random grids.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the noise comes from.
    height, width : int
        px.
    cell : float
        The size of the largest lumps, as a part of the height.
    octaves : int
        How many times the lumps are halved.
    """
    noise = np.zeros((height, width), dtype=np.float32)
    for octave in range(octaves):
        rows = int(np.ceil(2**octave / cell)) + 3
        columns = int(np.ceil(2**octave * width / height / cell)) + 3
        grid = rng.normal(size=(rows, columns))
        step = max(1.0, height * cell / 2**octave)
        if step < 1.5 and octave:
            break
        y, x = np.arange(height) / step, np.arange(width) / step
        noise += 0.55**octave * _interpolate(grid, y, x)
    return noise / 0.75


def _interpolate(grid: Floats, y: Floats, x: Floats) -> Floats:  # (h, w), (H,), (W,) -> (H, W)
    def ease(place: Floats, size: int) -> tuple[Floats, Floats]:
        low = np.clip(place.astype(int), 0, size - 2)
        part = np.clip(place - low, 0, 1)
        return low, part * part * (3 - 2 * part)

    (i, v), (j, u) = ease(y, grid.shape[0]), ease(x, grid.shape[1])
    rows = grid[i] * (1 - v)[:, None] + grid[i + 1] * v[:, None]
    return np.asarray(rows[:, j] * (1 - u) + rows[:, j + 1] * u, dtype=np.float32)


def bloom(light: Floats, sigmas: Sequence[float], amounts: Sequence[float]) -> Floats:  # (H, W, 3) -> (H, W, 3)
    """Return the light that bright places spread around them, as an eye or a lens does; sigmas in px."""
    bright = np.clip(light - 0.35, 0, None)
    spread = np.zeros_like(light)
    for sigma, amount in zip(sigmas, amounts, strict=True):
        coarse = max(1, int(sigma // 3))  # a wide blur needs no fine grid
        small = bright[::coarse, ::coarse] if coarse == 1 else _shrink(bright, coarse)
        blurred = gaussian_filter(small, (sigma / coarse, sigma / coarse, 0))
        factors = (light.shape[0] / blurred.shape[0], light.shape[1] / blurred.shape[1], 1)
        spread += amount * (blurred if coarse == 1 else zoom(blurred, factors, order=1))
    return spread


def _shrink(light: Floats, factor: int) -> Floats:
    height, width = (max(1, side // factor) for side in light.shape[:2])
    if height * factor > light.shape[0] or width * factor > light.shape[1]:
        return light
    return np.asarray(light[: height * factor, : width * factor].reshape(height, factor, width, factor, 3).mean((1, 3)))
