"""The rows of houses, the church, the trees, the quay and the lamps of a town, as shapes on a canvas.

Lengths are in heights of the picture, the origin at the upper left, y downwards.
"""

import numpy as np

from pictures.canvas import Canvas, Point
from pictures.house import HORIZON, draw_house

QUAY, WATER = HORIZON, 0.735  # the top and the foot of the quay's wall, in heights of the picture


def _ground(canvas: Canvas, foot: float, x: float) -> float:
    """Return where the ground of a row lies: the town stands on a hill that falls to both sides, the quay does not."""
    away = (x - 0.33 * canvas.right) / (0.62 * canvas.right)
    return foot + 0.9 * (QUAY - foot) * away**2


def draw_houses(
    canvas: Canvas, rng: np.random.Generator, foot: float, size: float, haze: float, vanishing: float
) -> None:
    """Draw one row of houses along the ground; `haze` is the part of their color that the air has taken."""
    houses = []
    place = -rng.uniform(0.2, 0.9) * size
    while place < canvas.right + 0.2 * size:
        broad = size * rng.uniform(0.62, 1.15)
        ground = _ground(canvas, foot, place) - size * 0.10 * rng.random()
        houses.append((place, broad, ground, size * rng.uniform(0.85, 1.65)))
        place += broad * rng.uniform(1.02, 1.30)
    # those at the borders first, so that what is nearer to the vanishing point covers what recedes behind it
    for left, broad, ground, tall in sorted(houses, key=lambda h: -abs(h[0] + h[1] / 2 - vanishing)):
        draw_house(canvas, rng, left, broad, ground, tall, haze, vanishing)


def draw_church(canvas: Canvas, x: float, foot: float, tall: float) -> None:
    """Draw a church: a nave, a tower with a clock, a spire."""
    stone, slate = np.array([0.70, 0.66, 0.60]), np.array([0.26, 0.30, 0.36])
    w = 0.030
    canvas.polygon([(x, foot), (x, foot - 0.075), (x + 0.15, foot - 0.075), (x + 0.15, foot)], stone * 0.75)
    canvas.polygon(
        [(x, foot - 0.07), (x + 0.012, foot - 0.125), (x + 0.138, foot - 0.125), (x + 0.157, foot - 0.07)], slate
    )
    for k in range(4):
        u = x + 0.045 + 0.027 * k
        canvas.polygon(
            [
                (u, foot - 0.02),
                (u, foot - 0.052),
                (u + 0.006, foot - 0.060),
                (u + 0.012, foot - 0.052),
                (u + 0.012, foot - 0.02),
            ],
            (0.1, 0.1, 0.1),
            (0.95, 0.62, 0.30),
        )
    top = foot - tall
    canvas.polygon([(x - w, foot), (x - w, top), (x + w * 0.45, top), (x + w * 0.45, foot)], stone)
    canvas.polygon([(x + w * 0.45, foot), (x + w * 0.45, top), (x + w, top + 0.006), (x + w, foot)], stone * 0.55)
    canvas.polygon([(x - w * 1.12, top), (x - w * 0.1, top - 0.15), (x + w * 0.5, top)], slate * 1.35)
    canvas.polygon([(x + w * 0.5, top), (x - w * 0.1, top - 0.15), (x + w * 1.12, top + 0.006)], slate * 0.7)
    canvas.polygon(
        [
            (x - w * 0.13, top - 0.145),
            (x - w * 0.13, top - 0.175),
            (x - w * 0.05, top - 0.175),
            (x - w * 0.05, top - 0.145),
        ],
        slate,
    )
    canvas.disc(x - w * 0.28, top + 0.028, 0.0135, (0.2, 0.2, 0.2), (1.05, 0.95, 0.70))
    for u in (-0.72, -0.05):
        canvas.polygon(
            [
                (x + u * w, top + 0.085),
                (x + u * w, top + 0.056),
                (x + (u + 0.18) * w, top + 0.048),
                (x + (u + 0.36) * w, top + 0.056),
                (x + (u + 0.36) * w, top + 0.085),
            ],
            (0.08, 0.08, 0.1),
        )


def draw_trees(canvas: Canvas, rng: np.random.Generator, foot: float, size: float, haze: float) -> None:
    """Draw round trees before a row of houses."""
    for _ in range(int(2 + 3 * canvas.right)):
        x, broad = rng.uniform(0, canvas.right), size * rng.uniform(0.16, 0.30)
        ground = _ground(canvas, foot, x)
        tall = size * rng.uniform(0.45, 0.85)
        for _ in range(150):
            angle, part = rng.uniform(0, 2 * np.pi), np.sqrt(rng.random())
            u, v = part * np.cos(angle), part * np.sin(angle)
            tone = (0.8 + 0.45 * v + 0.45 * u + 0.3 * rng.normal()) * (1 - haze)
            green = np.array([0.20, 0.30, 0.16]) * max(0.15, tone)
            center = x + u * broad, ground - 0.12 * size - tall * 0.5 * (1 + v * -1.0)
            canvas.disc(*center, size * rng.uniform(0.014, 0.040), green, haze * np.array([0.04, 0.06, 0.10]))
        canvas.polygon(
            [
                (x - 0.012 * size, ground),
                (x - 0.012 * size, ground - 0.25 * size),
                (x + 0.012 * size, ground - 0.25 * size),
                (x + 0.012 * size, ground),
            ],
            (0.12, 0.09, 0.07),
        )


def draw_quay(canvas: Canvas) -> None:
    """Draw the wall of the quay, down to the foot of the picture."""
    right = canvas.right
    stone = np.array([0.50, 0.46, 0.42])
    canvas.polygon([(-1, QUAY), (right + 1, QUAY), (right + 1, 2), (-1, 2)], stone * 0.62)
    canvas.polygon(
        [(-1, QUAY - 0.006), (right + 1, QUAY - 0.006), (right + 1, QUAY + 0.004), (-1, QUAY + 0.004)], stone
    )
    course = (WATER - QUAY) / 4
    for row in range(4):
        y = QUAY + (row + 0.5) * course
        canvas.polygon([(-1, y), (right + 1, y), (right + 1, y + 0.0016), (-1, y + 0.0016)], stone * 0.3)
        for k in range(int(right / 0.035) + 2):
            x = (k + 0.5 * (row % 2)) * 0.035
            canvas.polygon([(x, y), (x + 0.0016, y), (x + 0.0016, y + course), (x, y + course)], stone * 0.3)


def draw_lamps(canvas: Canvas, rng: np.random.Generator) -> list[Point]:
    """Draw the lamps along the quay, and return where they burn."""
    iron = (0.07, 0.07, 0.08)
    lamps = []
    for x in np.arange(0.07, canvas.right + 0.05, 0.215) + rng.uniform(-0.02, 0.02):
        top = QUAY - 0.105
        for half, low, high in ((0.0022, QUAY, top), (0.0050, QUAY, QUAY - 0.02), (0.0065, QUAY, QUAY - 0.006)):
            canvas.polygon([(x - half, low), (x - half, high), (x + half, high), (x + half, low)], iron)
        canvas.polygon(
            [(x - 0.005, top), (x - 0.009, top - 0.022), (x + 0.009, top - 0.022), (x + 0.005, top)],
            (0.3, 0.3, 0.3),
            (2.4, 1.9, 1.05),
        )
        canvas.polygon([(x - 0.011, top - 0.021), (x, top - 0.034), (x + 0.011, top - 0.021)], iron)
        lamps.append((float(x), top - 0.012))
    return lamps
