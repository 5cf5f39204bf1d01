"""A painting of a few thousand swirling brush strokes, laid along a flow field, drawn by a program.

The hand is in four rules. Strokes follow the field of a handful of vortices. Their colors follow the
distance from the vortices, so that rings of light and dark alternate. Wide strokes are laid first and narrow
ones over them. Every stroke has bristles, which mix two paints, leave ridges and run dry; light from the
upper left rakes the ridges.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

Floats = np.ndarray[Any, Any]

# A wheel of paints, in sRGB; neighbors blend, and light and dark alternate around it.
PAINTS = np.array(
    [
        (38, 18, 52),  # aubergine
        (122, 24, 58),  # madder
        (206, 52, 40),  # vermilion
        (240, 128, 36),  # cadmium orange
        (250, 196, 84),  # Naples yellow
        (252, 236, 200),  # cream
        (120, 196, 176),  # verdigris
        (24, 128, 132),  # turquoise
        (10, 62, 84),  # Prussian teal
    ],
    dtype=np.float32,
)

GRID = 3  # samples a pixel side
# width and length of the strokes in px at 512 px, cover (strokes' area over the picture's), spread of their paints
LAYERS = ((22.0, 120.0, 3.0, 0.35), (12.0, 80.0, 2.2, 0.45), (7.0, 52.0, 1.5, 0.6), (4.0, 34.0, 0.45, 0.9))


@dataclass(frozen=True)
class Field:
    """A flow of vortices over the picture, whose long side is 1.

    Attributes
    ----------
    centers : (N, 2) array
        x and y.
    spins, reaches : (N,) arrays
        Sign and strength; the radius within which a vortex rules.
    drift : float
        The phase of the waves between the vortices.
    """

    centers: Floats
    spins: Floats
    reaches: Floats
    drift: float

    def direction(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:  # (n,), (n,) -> (n,), (n,)
        """Return the unit vector of the flow."""
        u = 0.55 + 0.25 * np.sin(5 * y + self.drift)
        v = 0.55 * np.sin(6.5 * x + 2.5 * y + self.drift)
        for (cx, cy), spin, reach in zip(self.centers, self.spins, self.reaches, strict=True):
            dx, dy = x - cx, y - cy
            pull = 6 * spin * np.exp(-(dx * dx + dy * dy) / (2 * reach * reach)) / reach
            u = u - pull * dy
            v = v + pull * dx
        norm = np.hypot(u, v) + 1e-9
        return u / norm, v / norm

    def phase(self, x: Floats, y: Floats) -> Floats:  # (n,), (n,) -> (n,)
        """Return where on the wheel of paints a place lies: rings around the vortices, bands between them."""
        phase = 0.35 * np.sin(3 * x + 4.2 * y + self.drift) + 0.9 * y + 0.12 * np.sin(17 * y - 6 * x)
        for (cx, cy), spin, reach in zip(self.centers, self.spins, self.reaches, strict=True):
            r = np.hypot(x - cx, y - cy) / reach
            phase = phase + np.sign(spin) * 1.15 * np.exp(-0.5 * (r / 1.1) ** 2) * np.cos(2.6 * r)
        return np.asarray(phase)


def flow_painting(height: int, width: int, seed: int = 0) -> Floats:  # -> (height, width, 3) uint8
    """Paint swirling strokes along a flow field.

    Parameters
    ----------
    height, width : int
        px, at least 1.
    seed : int
        Another seed, another painting; the same seed, the same picture.

    Returns
    -------
    (height, width, 3) array of uint8
        sRGB.
    """
    rng = np.random.default_rng(seed)
    long_side = GRID * max(height, width)
    rows, columns = GRID * height, GRID * width
    field = _draw_field(rng, columns / long_side, rows / long_side)
    scale = long_side / 512
    paint = np.empty((rows * columns, 3), dtype=np.float32)
    paint[:] = PAINTS[1] * 0.6 + PAINTS[8] * 0.4  # a toned ground
    relief = np.zeros(rows * columns, dtype=np.float32)
    for stroke_width, length, cover, spread in LAYERS:
        wide, long = max(2.0, stroke_width * scale), max(6.0, length * scale)
        count = int(np.ceil(cover * rows * columns / (0.7 * wide * long)))
        _lay(paint, relief, rows, columns, field, rng, count, wide, long, spread)
    lit = _rake(paint.reshape(rows, columns, 3), relief.reshape(rows, columns), scale)
    pixels = lit.reshape(height, GRID, width, GRID, 3).mean(axis=(1, 3))
    levels: Floats = np.rint(np.clip(pixels, 0, 255)).astype(np.uint8)
    return levels


def _draw_field(rng: np.random.Generator, right: float, bottom: float) -> Field:
    # Two vortices make the composition; the rest fill what is empty, by dart throwing.
    centers = [(0.62 * right, 0.40 * bottom), (0.20 * right, 0.66 * bottom)]
    reaches = [0.145, 0.095]
    for _ in range(400):
        reach = rng.uniform(0.04, 0.085)
        x, y = rng.uniform(0, right), rng.uniform(0, bottom)
        far = [np.hypot(x - cx, y - cy) > 1.7 * (reach + r) for (cx, cy), r in zip(centers, reaches, strict=True)]
        if all(far) and len(centers) < 7:
            centers.append((x, y))
            reaches.append(reach)
    jitter = rng.normal(0, 0.015, (len(centers), 2))
    spins = np.where(np.arange(len(centers)) % 2 == 0, 1.0, -1.0) * rng.uniform(0.8, 1.2, len(centers))
    return Field(np.array(centers) + jitter, spins, np.array(reaches), float(rng.uniform(0, 2 * np.pi)))


def _wheel(phase: Floats) -> Floats:  # (...,) -> (..., 3); phase 1 is once around
    place = np.mod(phase, 1.0) * len(PAINTS)
    low = place.astype(int) % len(PAINTS)
    part = (place - np.floor(place))[..., None].astype(np.float32)
    return np.asarray((1 - part) * PAINTS[low] + part * PAINTS[(low + 1) % len(PAINTS)])


def _lay(
    paint: Floats,
    relief: Floats,
    rows: int,
    columns: int,
    field: Field,
    rng: np.random.Generator,
    count: int,
    wide: float,
    long: float,
    spread: float,
) -> None:
    """Lay one layer of strokes over `paint` (n, 3) and `relief` (n,), in place."""
    long_side = max(rows, columns)
    x, y = rng.uniform(-0.02, 1.02, count) * columns, rng.uniform(-0.02, 1.02, count) * rows
    lengths = long * rng.uniform(0.5, 1.15, count)
    widths = wide * rng.uniform(0.7, 1.2, count)
    phase = field.phase(x / long_side, y / long_side)
    # Paints cling to the wheel's stops, as on a palette; now and then a stroke picks a complementary one.
    phase = phase + spread * rng.normal(0, 0.085, count) + 0.5 * (rng.random(count) < 0.045 * (1 + spread))
    second = phase + rng.normal(0, 0.10, count)
    mass = 0.5 * (1 + np.sin(4.4 * x / long_side - 3.1 * y / long_side + 1.7 * field.drift))
    tone = rng.normal(0.80 + 0.26 * mass, 0.08)  # large shapes of dark and light, so that the rings do not tire
    colors, others = _wheel(phase) * tone[:, None], _wheel(second) * tone[:, None]

    steps = 14  # the spines of all strokes at once, from the middle both ways would bend the same: one way will do
    spine = np.empty((steps, 2, count))
    for k in range(steps):
        spine[k] = x, y
        u, v = field.direction(x / long_side, y / long_side)
        x, y = x + u * lengths / (steps - 1), y + v * lengths / (steps - 1)

    for n in range(count):
        _stroke(paint, relief, rows, columns, rng, spine[:, :, n], lengths[n], widths[n], colors[n], others[n])


def _stroke(
    paint: Floats,
    relief: Floats,
    rows: int,
    columns: int,
    rng: np.random.Generator,
    spine: Floats,
    length: float,
    width: float,
    color: Floats,
    other: Floats,
) -> None:
    along, across = int(length * 1.35) + 2, int(width * 1.35) + 2  # samples closer than pixels leave no holes
    s, t = np.linspace(0, 1, along), np.linspace(-1, 1, across)
    at = s * (len(spine) - 1)
    px, py = (np.interp(at, np.arange(len(spine)), spine[:, c]) for c in (0, 1))
    tx, ty = np.gradient(px), np.gradient(py)
    norm = np.hypot(tx, ty) + 1e-9
    press = np.minimum(1, np.sqrt(s * 7)) * (1 - 0.45 * s**2)  # set down round, lifted slim
    reach = 0.5 * width * press[:, None] * t
    column = np.floor(px[:, None] - (ty / norm)[:, None] * reach).astype(np.intp)
    row = np.floor(py[:, None] + (tx / norm)[:, None] * reach).astype(np.intp)

    bristles = max(3, int(width / (1.6 * GRID)))
    load = np.interp(np.linspace(0, bristles - 1, across), np.arange(bristles), rng.random(bristles))
    wet = np.interp(np.linspace(0, 3, along), np.arange(4), rng.normal(0, 0.12, 4))
    streak = np.clip(load[None, :] + wet[:, None], 0, 1)
    dry = s[:, None] > 0.62 + 0.55 * streak  # bristles with little paint run out first
    keep = (row >= 0) & (row < rows) & (column >= 0) & (column < columns) & ~dry
    mix = np.clip((streak - 0.35) * 2.2, 0, 1)[..., None]
    tint = (mix * color + (1 - mix) * other) * (0.80 + 0.36 * streak[..., None])
    height = 0.4 + 0.9 * streak + 0.7 * np.abs(t) ** 4  # paint is pushed aside to two ridges
    index = (row * columns + column)[keep]
    paint[index] = tint[keep]
    relief[index] = 0.25 * relief[index] + (height * np.sqrt(width))[keep]


def _rake(paint: Floats, relief: Floats, scale: float) -> Floats:  # (H, W, 3), (H, W) -> (H, W, 3)
    """Light the relief from the upper left."""
    smooth = gaussian_filter(relief, 0.45 * scale)
    slope_y, slope_x = np.gradient(smooth)
    slope = (0.6 * slope_x + 0.8 * slope_y) * 0.9 * np.sqrt(scale)
    facing = np.tanh(slope)[..., None]
    shaded = paint * (1 + 0.30 * facing)
    return np.asarray(shaded + 70 * np.clip(facing - 0.25, 0, None) ** 1.5)
