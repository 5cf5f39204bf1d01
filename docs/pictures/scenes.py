"""A town at night by the water, drawn by a program: the photograph of the demonstration.

From back to front: sky, moon and stars, hills, rows of houses that climb from a quay, trees, lamps, and water
that repeats it all. Everything is drawn twice, as what it reflects and as what it shines; lamps and moon then
light the first, and the second blooms.
"""

import numpy as np
from scipy.ndimage import gaussian_filter

from pictures.canvas import Canvas, Floats, Point, bloom, clouds
from pictures.flow_painting import flow_painting
from pictures.portrait import portrait_masks, portrait_scene
from pictures.town import QUAY, WATER, draw_church, draw_houses, draw_lamps, draw_quay, draw_trees

__all__ = ["flow_painting", "night_scene", "portrait_masks", "portrait_scene"]

GRID = 2  # samples a pixel side
MOON = (0.735, 0.165, 0.046)  # place across, place down, radius
MOON_LIGHT = np.array([0.20, 0.27, 0.46], dtype=np.float32)
LAMP_LIGHT = np.array([1.00, 0.66, 0.30], dtype=np.float32)


def night_scene(height: int, width: int, seed: int = 0) -> Floats:  # -> (height, width, 3) uint8
    """Draw a town at night by the water.

    Parameters
    ----------
    height, width : int
        px, at least 1.
    seed : int
        Another seed, another town; the same seed, the same picture.

    Returns
    -------
    (height, width, 3) array of uint8
        sRGB.
    """
    rng = np.random.default_rng(seed)
    canvas = Canvas(GRID * height, GRID * width)
    _sky(canvas, rng)
    _hills(canvas, rng)
    vanishing = 0.46 * canvas.right
    rows = ((0.520, 0.052, 0.62), (0.565, 0.068, 0.42), (0.625, 0.088, 0.20), (QUAY, 0.118, 0.0))
    for number, (foot, size, haze) in enumerate(rows):
        if number == 2:
            draw_church(canvas, 0.300 * canvas.right, 0.60, 0.225)
        draw_houses(canvas, rng, foot, size, haze, vanishing)
        draw_trees(canvas, rng, foot, size, haze)
    draw_quay(canvas)
    lamps = draw_lamps(canvas, rng)
    light = _illuminate(canvas, rng, lamps)
    light = _water(canvas, rng, light)
    _boat(canvas, light, 0.24 * canvas.right, 0.865, 0.16)
    light = 1 - np.exp(-1.25 * light)  # film: lights do not clip, they burn out softly
    pixels = 255 * light.reshape(height, GRID, width, GRID, 3).mean(axis=(1, 3)) ** 0.92
    levels: Floats = np.rint(np.clip(pixels, 0, 255)).astype(np.uint8)
    return levels


def _sky(canvas: Canvas, rng: np.random.Generator) -> None:
    x, y = canvas.x, canvas.y
    stops = np.array([0.0, 0.20, 0.36, 0.50, 1.0])
    colors = np.array(
        [(0.020, 0.035, 0.135), (0.045, 0.085, 0.270), (0.120, 0.170, 0.390), (0.560, 0.350, 0.340), (0.7, 0.4, 0.3)]
    )
    veil = clouds(rng, canvas.height, canvas.width, 0.30)
    lifted = np.clip(y + 0.035 * veil, 0, 1)
    for c in range(3):
        canvas.glow[..., c] = np.interp(lifted, stops, colors[:, c])
    moon_x, moon_y, radius = MOON[0] * canvas.right, MOON[1], MOON[2]
    count = int(260 * max(0.4, canvas.right))
    for _ in range(count):
        size = 0.0009 + 0.0022 * rng.random() ** 5
        sx, sy, tint = rng.uniform(0, canvas.right), 0.5 * rng.random() ** 1.3, rng.random()
        shine = (0.5 + 0.5 * rng.random()) * np.array([0.8 + 0.2 * tint, 0.9, 1.05 - 0.25 * tint]) * (1.2 - 1.6 * sy)
        if np.hypot(sx - moon_x, sy - moon_y) > 2.2 * radius and size * canvas.height > 0.25:
            canvas.disc(sx, sy, size, (0, 0, 0), np.clip(shine, 0.1, None))
    # clouds lit from the moon's side, in long banks
    bank = clouds(rng, canvas.height, canvas.width, 0.16, 6) + 0.9 * np.sin(14 * y - 2.2 * x + 0.8 * veil) - 0.5
    cover = 0.55 * np.clip(bank * 0.55, 0, 1) * np.clip((0.58 - y) * 6, 0, 1) * np.clip(y * 5 + 0.15, 0, 1)
    near = 1 / (1 + ((x - moon_x) ** 2 + (y - moon_y) ** 2) / 0.10)
    lit = np.stack([0.20 + 0.75 * near, 0.24 + 0.72 * near, 0.40 + 0.55 * near], axis=-1)
    canvas.glow += cover[..., None] * (lit - canvas.glow)
    canvas.halo(moon_x, moon_y, 0.085, (0.46, 0.48, 0.50))
    canvas.disc(moon_x, moon_y, radius, (0, 0, 0), (1.9, 1.85, 1.6))
    for dx, dy, r in ((-0.35, -0.2, 0.28), (0.2, 0.3, 0.22), (0.35, -0.3, 0.16), (-0.1, 0.5, 0.13), (0.0, -0.5, 0.12)):
        canvas.disc(moon_x + dx * radius, moon_y + dy * radius, r * radius, (0, 0, 0), (1.55, 1.5, 1.32))


def _hills(canvas: Canvas, rng: np.random.Generator) -> None:
    x = canvas.x[0]
    for level, rise, color in (
        (0.455, 0.060, (0.170, 0.170, 0.330)),
        (0.490, 0.045, (0.100, 0.115, 0.240)),
        (0.530, 0.030, (0.050, 0.070, 0.140)),
    ):
        ridge = level - rise * np.sin(2.3 * x + rng.uniform(0, 6)) * np.sin(1.1 * x + rng.uniform(0, 6))
        for lumps, tall in ((7, 0.012), (23, 0.006), (90, 0.0025)):  # the wood along the ridge
            nodes = rng.normal(0, tall, int(lumps * canvas.right) + 3)
            ridge = ridge + np.interp(x * lumps, np.arange(len(nodes)), nodes)
        canvas.below(ridge, (0.0, 0.0, 0.0), color)
    canvas.below(np.full_like(x, 0.56), (0.20, 0.24, 0.20), (0.015, 0.02, 0.03))


def _illuminate(canvas: Canvas, rng: np.random.Generator, lamps: list[Point]) -> Floats:  # -> (H, W, 3)
    field = np.zeros((canvas.height, canvas.width), dtype=np.float32)
    for x, y in lamps:
        field += 0.95 / (1 + ((canvas.x - x) ** 2 + 0.8 * (canvas.y - y) ** 2) / 0.0052)
    grain = 1 + 0.10 * clouds(rng, canvas.height, canvas.width, 0.02, 3)
    surface = canvas.albedo * grain[..., None] * (MOON_LIGHT + field[..., None] * LAMP_LIGHT)
    light = surface + canvas.glow
    for x, y in lamps:
        away = ((canvas.x - x) ** 2 + (canvas.y - y) ** 2) / 0.020**2
        light += (0.34 / (1 + away) ** 1.15)[..., None] * LAMP_LIGHT
    h = canvas.height
    return light + bloom(light, (0.004 * h, 0.014 * h, 0.05 * h), (0.22, 0.16, 0.16))


def _water(canvas: Canvas, rng: np.random.Generator, light: Floats) -> Floats:  # (H, W, 3) -> (H, W, 3)
    """Repeat what is above the water line below it, broken by waves that grow towards us."""
    h, w = canvas.height, canvas.width
    line = int(WATER * h)
    if line < 1 or line >= h:
        return light
    x, y = canvas.x[line:], canvas.y[line:]
    near = np.clip((y - WATER) / (1 - WATER), 0, 1)
    rank = np.log(0.04 + near)  # waves of equal size seen at a low angle crowd at the horizon
    wobble = clouds(rng, h - line, w, 0.8, 3)
    waves = (
        np.sin(26 * rank + 3.0 * wobble + 5 * x)
        + 0.7 * np.sin(47 * rank - 2.6 * wobble - 9 * x)
        + 0.5 * np.sin(83 * rank + 4 * wobble + 17 * x)
    )
    shift_y, shift_x = (0.004 + 0.028 * near) * waves, (0.001 + 0.006 * near) * waves
    mirror = np.zeros((h - line, w, 3), dtype=np.float32)
    smear = (-1.0, -0.5, 0.0, 0.5, 1.0)
    for part in smear:
        source_y = WATER - 1.45 * (y - WATER) - shift_y - part * (0.006 + 0.05 * near)
        row = np.clip(np.abs(source_y) * h, 0, line - 1).astype(np.intp)
        column = np.clip((x + shift_x * (1 + part)) * h, 0, w - 1).astype(np.intp)
        mirror += light[row, column] / len(smear)
    deep = np.array([0.012, 0.035, 0.085], dtype=np.float32)
    crest = np.clip(waves * 0.5, 0, 1)[..., None] * np.array([0.020, 0.030, 0.055], dtype=np.float32)
    share = (0.86 - 0.34 * near + 0.07 * waves)[..., None]
    away = np.abs(x - MOON[0] * canvas.right) / (0.03 + 0.10 * near)
    fine = np.sin(150 * rank + 5 * wobble + 23 * x) + 0.8 * np.sin(111 * rank - 4 * wobble - 31 * x)
    glitter = np.clip(0.5 * waves + fine - 1.1, 0, 1) * np.exp(-(away**2)) * (0.25 + 0.75 * near)
    crest = crest + 0.8 * glitter[..., None] * np.array([0.95, 0.95, 0.85], dtype=np.float32)
    light = light.copy()
    light[line:] = share * mirror * np.array([0.82, 0.92, 1.0], dtype=np.float32) + (1 - share) * deep + crest
    return light


def _boat(canvas: Canvas, light: Floats, x: float, y: float, long: float) -> None:
    """Lay a rowing boat with a lantern over the light, in place."""
    boat = Canvas(canvas.height, canvas.width)
    hull, rim = (0.045, 0.040, 0.050), (0.26, 0.17, 0.11)
    half, deep = long / 2, 0.20 * long
    boat.polygon(
        [
            (x - half, y - 0.02 * long),
            (x + half, y - 0.06 * long),
            (x + 0.72 * half, y + deep),
            (x - 0.74 * half, y + deep),
        ],
        hull,
        (1, 1, 1),
    )
    boat.polygon(
        [
            (x - half, y - 0.035 * long),
            (x + half, y - 0.075 * long),
            (x + half, y - 0.045 * long),
            (x - half, y - 0.002 * long),
        ],
        rim,
        (1, 1, 1),
    )
    boat.polygon(
        [
            (x + 0.55 * half, y),
            (x + 0.55 * half, y - 0.5 * long),
            (x + 0.58 * half, y - 0.5 * long),
            (x + 0.58 * half, y),
        ],
        hull,
        (1, 1, 1),
    )
    part = boat.glow[..., :1]
    dark = 0.85 * gaussian_filter(part[..., 0], (0.30 * deep * canvas.height, 0.05 * long * canvas.height))
    drop = int(1.1 * deep * canvas.height)  # its reflection
    ripple = 0.75 + 0.25 * np.sin(np.cumsum(np.full(canvas.height, 560.0 / canvas.height)))[:, None]
    light *= 1 - (np.roll(dark, drop, axis=0) * ripple * (canvas.y > y))[..., None]
    light += part * (boat.albedo - light)
    lamp_x, lamp_y = x + 0.565 * half, y - 0.5 * long
    away = ((canvas.x - lamp_x) ** 2 + (canvas.y - lamp_y) ** 2) / 0.010**2
    light += (1.3 / (1 + away) ** 1.1)[..., None] * LAMP_LIGHT
