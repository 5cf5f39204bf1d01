"""One house: a front, a side that recedes to the vanishing point, a roof with its tiles, a chimney, windows.

Lengths are in heights of the picture, the origin at the upper left, y downwards.
"""

from typing import Any

import numpy as np

from pictures.canvas import Canvas, Floats, Point

HORIZON = 0.700  # where what recedes converges: the top of the quay

PLASTER = np.array(
    [
        (0.86, 0.72, 0.50),
        (0.78, 0.50, 0.38),
        (0.88, 0.82, 0.70),
        (0.62, 0.66, 0.70),
        (0.72, 0.42, 0.30),
        (0.80, 0.66, 0.62),
        (0.66, 0.70, 0.58),
    ],
    dtype=np.float32,
)
TILES = np.array([(0.50, 0.24, 0.17), (0.42, 0.22, 0.20), (0.36, 0.26, 0.26), (0.56, 0.30, 0.18)], dtype=np.float32)


def draw_house(
    canvas: Canvas,
    rng: np.random.Generator,
    left: float,
    broad: float,
    foot: float,
    tall: float,
    haze: float,
    vanishing: float,
) -> None:
    """Draw a house; `haze` is the part of its color that the air has taken, `vanishing` where lines converge."""
    air = np.array([0.10, 0.13, 0.26], dtype=np.float32)

    def hazy(color: Floats) -> dict[str, Any]:
        return {"color": (1 - haze) * color, "glow": 0.55 * haze * air}

    wall = PLASTER[rng.integers(len(PLASTER))] * rng.uniform(0.8, 1.1)
    tiles = TILES[rng.integers(len(TILES))] * rng.uniform(0.8, 1.2)
    right, eaves, pitch = left + broad, foot - tall, broad * rng.uniform(0.45, 0.75)
    middle, ridge = left + broad / 2, eaves - pitch
    # the side that is seen recedes towards the vanishing point, whose height is the quay's
    side, toward = (right, 1.0) if middle < vanishing else (left, -1.0)
    depth = toward * broad * min(0.75, 0.25 + 0.9 * abs(middle - vanishing))
    shrink = 0.86

    def back(x: float, y: float) -> Point:
        return x + depth, HORIZON + (y - HORIZON) * shrink if y < HORIZON else y

    flank = [(side, foot), (side, eaves), back(side, eaves), (side + depth, foot)]
    canvas.polygon(flank, **hazy(wall * 0.62))
    _windows(canvas, rng, flank, max(1, round(abs(depth) / (0.30 * broad))), tall, broad, haze)
    over = 0.05 * broad
    slope = [(middle, ridge), (side + toward * over, eaves + over), back(side, eaves + over), back(middle, ridge)]
    canvas.polygon(slope, **hazy(tiles * 0.85))
    for k in range(1, 6):  # courses of tiles
        t = k / 6
        a = middle + t * (side + toward * over - middle), ridge + t * (eaves + over - ridge)
        b0, b1 = back(middle, ridge), back(side, eaves + over)
        b = b0[0] + t * (b1[0] - b0[0]), b0[1] + t * (b1[1] - b0[1])
        thin = 0.012 * broad
        canvas.polygon([a, b, (b[0], b[1] + thin), (a[0], a[1] + thin)], **hazy(tiles * 0.55))
    front = [(left, foot), (left, eaves), (right, eaves), (right, foot)]
    canvas.polygon(front, **hazy(wall))
    canvas.polygon([(left, eaves), (middle, ridge), (right, eaves)], **hazy(wall * 0.95))
    for end in (left, right):  # barge boards
        out = (end - middle) / broad * 0.16 * broad
        canvas.polygon(
            [
                (middle, ridge - over),
                (end + out, eaves + over * 0.6),
                (end, eaves + over),
                (middle, ridge + over * 0.8),
            ],
            **hazy(tiles * 0.7),
        )
    if rng.random() < 0.45:
        beam = np.array([0.22, 0.15, 0.12], dtype=np.float32)
        for t in (0.0, 0.34, 0.67, 1.0):
            y = foot + t * (eaves - foot)
            canvas.polygon([(left, y), (right, y), (right, y + 0.025 * broad), (left, y + 0.025 * broad)], **hazy(beam))
        for t in (0.0, 0.32, 0.64, 0.97):
            x = left + t * broad
            canvas.polygon([(x, foot), (x, eaves), (x + 0.03 * broad, eaves), (x + 0.03 * broad, foot)], **hazy(beam))
    _windows(canvas, rng, front, int(rng.integers(2, 5)) if broad > 0.07 else 2, tall, broad, haze)
    if foot > 0.6:
        _door(canvas, rng, left + broad * rng.uniform(0.12, 0.7), foot, broad)
    if rng.random() < 0.7:
        w = 0.10 * broad
        _pane(
            canvas,
            rng,
            [
                (middle - w, eaves - 0.08 * pitch),
                (middle - w, eaves - 0.38 * pitch),
                (middle + w, eaves - 0.38 * pitch),
                (middle + w, eaves - 0.08 * pitch),
            ],
            haze,
        )
    cx, cw = middle + toward * broad * rng.uniform(0.15, 0.3), 0.07 * broad
    canvas.polygon(
        [
            (cx - cw, eaves - 0.3 * pitch),
            (cx - cw, ridge - 0.15 * pitch),
            (cx + cw, ridge - 0.15 * pitch),
            (cx + cw, eaves - 0.3 * pitch),
        ],
        **hazy(wall * 0.5),
    )


def _door(canvas: Canvas, rng: np.random.Generator, left: float, foot: float, broad: float) -> None:
    w, h = 0.18 * broad, 0.30 * broad
    frame, leaf = np.array([0.62, 0.56, 0.48]), np.array([0.30, 0.16, 0.09]) * rng.uniform(0.7, 1.4)
    for out, color in ((0.14, frame), (0.0, leaf)):
        x0, x1, top = left - out * w, left + (1 + out) * w, foot - h * (1 + 0.5 * out)
        arch = [(x0 + (x1 - x0) * t, top - 0.4 * w * np.sin(np.pi * t)) for t in np.linspace(0, 1, 7)]
        canvas.polygon([(x0, foot), *arch, (x1, foot)], color)
    canvas.polygon(
        [(left + 0.2 * w, foot - 0.9 * h), (left + 0.5 * w, foot - 1.15 * h), (left + 0.8 * w, foot - 0.9 * h)],
        (0.1, 0.1, 0.1),
        (0.9, 0.6, 0.25),
    )


def _windows(
    canvas: Canvas,
    rng: np.random.Generator,
    quad: list[Point],
    columns: int,
    tall: float,
    broad: float,
    haze: float,
) -> None:
    """Fill a face (lower left, upper left, upper right, lower right) with rows of windows."""
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = quad
    storeys = max(1, round(tall / (0.36 * broad)))

    def at(u: float, v: float) -> Point:
        low = ax + u * (dx - ax), ay + u * (dy - ay)
        high = bx + u * (cx - bx), by + u * (cy - by)
        return low[0] + v * (high[0] - low[0]), low[1] + v * (high[1] - low[1])

    for row in range(storeys):
        for column in range(columns):
            u0, u1 = (column + 0.28) / columns, (column + 0.72) / columns
            v0, v1 = (row + 0.25) / storeys, (row + 0.80) / storeys
            _pane(canvas, rng, [at(u0, v0), at(u0, v1), at(u1, v1), at(u1, v0)], haze)


def _pane(canvas: Canvas, rng: np.random.Generator, corners: list[Point], haze: float) -> None:
    center = np.mean(corners, axis=0)
    frame = [tuple(center + 1.22 * (np.array(p) - center)) for p in corners]
    canvas.polygon(frame, (1 - haze) * np.array([0.30, 0.24, 0.20]), (0.0, 0.0, 0.0))
    if rng.random() < 0.46:
        warm = rng.random()
        shine = np.array([1.15, 0.80 - 0.16 * warm, 0.36 - 0.16 * warm]) * rng.uniform(0.45, 1.05) * (1 - 0.35 * haze)
    else:
        shine = np.array([0.03, 0.045, 0.10]) * rng.uniform(0.6, 1.6)
    canvas.polygon(corners, (0.05, 0.05, 0.06), shine)
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = corners
    if abs(dx - ax) * canvas.height > 5:  # glazing bars, where they can be seen
        t = 0.09 * (dx - ax)
        mx0, mx1 = (ax + dx) / 2, (bx + cx) / 2
        canvas.polygon(
            [(mx0 - t, (ay + dy) / 2), (mx1 - t, (by + cy) / 2), (mx1 + t, (by + cy) / 2), (mx0 + t, (ay + dy) / 2)],
            (0.2, 0.16, 0.13),
        )
        my0, my1 = 0.42 * ay + 0.58 * by, 0.42 * dy + 0.58 * cy
        canvas.polygon(
            [(ax, my0 - abs(t)), (dx, my1 - abs(t)), (dx, my1 + abs(t)), (ax, my0 + abs(t))], (0.2, 0.16, 0.13)
        )
