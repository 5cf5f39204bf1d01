"""A portrait drawn by a program, with the masks of its parts: the photograph of the demonstration of regions.

The head is a relief: an egg with bumps for brow, nose, lips and cheeks, lit from the upper left. The hair is a function
that is constant along each strand. Lengths are in heights of the picture; a picture narrower than high
suits it best.
"""

from typing import Any

import numpy as np
from scipy.ndimage import grey_opening

from pictures.canvas import Canvas, clouds

Floats = np.ndarray[Any, Any]

GRID = 2  # samples a pixel side
HEAD_Y, HEAD_WIDE, HEAD_TALL = 0.415, 0.168, 0.232  # the middle of the face and its half axes
LIGHT = np.array([-0.52, -0.50, 0.69])


def portrait_scene(height: int, width: int, seed: int = 0) -> Floats:  # -> (height, width, 3) uint8
    """Draw a portrait: head, hair and shoulders before an evening garden.

    Parameters
    ----------
    height, width : int
        px, at least 1.
    seed : int
        Another seed, another fall of the hair, another garden.

    Returns
    -------
    (height, width, 3) array of uint8
        sRGB.
    """
    rng = np.random.default_rng(seed)
    canvas = Canvas(GRID * height, GRID * width)
    masks = _masks(canvas)
    light = _garden(canvas, rng)
    for name, draw in (("clothes", _clothes), ("face", _face), ("hair", _hair)):
        light += masks[name][..., None] * (draw(canvas, rng) - light)
    pixels = 255 * light.reshape(height, GRID, width, GRID, 3).mean(axis=(1, 3))
    levels: Floats = np.rint(np.clip(pixels, 0, 255)).astype(np.uint8)
    return levels


def portrait_masks(height: int, width: int) -> dict[str, Floats]:  # -> {name: (height, width) float32}
    """Return where the parts of `portrait_scene` lie.

    Parameters
    ----------
    height, width : int
        px, as given to `portrait_scene`.

    Returns
    -------
    dict of str to (height, width) array of float32
        "face" (with neck), "hair", "clothes" and "background": 0 to 1, adding up to 1 at every pixel.
    """
    masks = _masks(Canvas(GRID * height, GRID * width))
    return {name: mask.reshape(height, GRID, width, GRID).mean(axis=(1, 3)) for name, mask in masks.items()}


def _places(canvas: Canvas) -> tuple[Floats, Floats]:  # -> (H, W), (H, W)
    """Return the places in half axes of the face, its middle at 0, 0."""
    return (canvas.x - canvas.right / 2) / HEAD_WIDE, (canvas.y - HEAD_Y) / HEAD_TALL


def _jaw(v: Floats) -> Floats:  # (H, W) -> (H, W), the half width of the face
    return np.asarray(1 - 0.24 * np.clip(v, 0, 1.2) ** 1.6)


def _ease(part: Floats) -> Floats:  # -> 0 to 1, smooth at both ends
    held = np.clip(part, 0, 1)
    return np.asarray(held * held * (3 - 2 * held))


def _masks(canvas: Canvas) -> dict[str, Floats]:
    u, v = _places(canvas)
    px = HEAD_WIDE * canvas.height  # px a unit

    def edge(inside: Floats, soft: float = 1.0) -> Floats:  # positive inside, in units of the face
        return np.clip(inside * px / soft + 0.5, 0, 1)

    egg = edge(1 - np.hypot(u / _jaw(v), v))
    neck = edge(np.minimum(0.50 + 0.35 * np.clip(v - 1.35, 0, None) ** 1.5 - np.abs(u), v - 0.5))
    opening = edge(0.95 - 1.05 * np.clip(v - 1.42, 0, None) - np.abs(u))
    shoulder = edge(v - 1.50 - 0.09 * np.abs(u) ** 2.2)
    clothes = np.maximum(shoulder * (1 - opening), 0)
    chest = np.minimum(np.maximum(neck, shoulder), np.maximum(neck * (v < 1.6), opening))
    skin = np.maximum(egg, chest)
    long = 1.40 + 0.06 * np.sin(3.4 * (v + 0.1)) + 0.16 * np.clip(v, 0, 2) - 0.05 * np.clip(v, 0, 2) ** 2
    cap = np.where(v < -0.1, 1 - np.hypot(u / 1.40, (v + 0.1) / 1.20), 1 - np.abs(u) / long)
    outer = edge(cap * 1.3, 1.6) * edge(
        2.02 + 0.06 * np.sin(13 * u) + 0.04 * np.sin(31 * u) - 0.5 * (np.abs(u) - 1.05) ** 2 - v, 2.0
    )
    hairline = -0.80 + 0.50 * np.abs(u - 0.12) ** 1.5
    framed = edge(np.minimum(v - hairline, 0.90 - 0.10 * np.clip(v, -1, 1) ** 2 - np.abs(u)), 1.5)
    bare = np.clip(skin - egg, 0, 1) * edge(0.62 - np.abs(u) + 0.25 * (v - 1.3), 1.5)
    free = np.clip(framed * egg + bare, 0, 1)
    front = np.maximum(edge(1.64 - v), edge(np.abs(u) - 0.62 - 0.18 * (v - 1.4) - 0.04 * np.sin(5 * v)))
    hair = outer * (1 - free) * np.clip(front, 0, 1)
    face = skin * (1 - hair)
    clothes = clothes * (1 - np.clip(face + hair, 0, 1))
    # Where two soft edges meet within the figure they leave a hairline of background between them: an opening takes
    # away what is thinner than a few samples, and the parts that meet there share it.
    figure = face + hair + clothes
    background = grey_opening(np.clip(1 - figure, 0, 1), size=(4 * GRID + 1, 4 * GRID + 1), mode="nearest")
    background = np.where(figure > 0, background, 1)
    share = (1 - background) / np.where(figure > 0, figure, 1)
    parts = {"face": share * face, "hair": share * hair, "clothes": share * clothes, "background": background}
    return {name: part.astype(np.float32) for name, part in parts.items()}


def _shade(relief: Floats, canvas: Canvas) -> Floats:  # (H, W), in units of the face -> (H, W), cosine to the light
    if min(relief.shape) < 2:
        return np.full_like(relief, LIGHT[2])
    slope_y, slope_x = np.gradient(relief * HEAD_WIDE * canvas.height)
    return np.asarray((LIGHT[2] - LIGHT[0] * slope_x - LIGHT[1] * slope_y) / np.sqrt(1 + slope_x**2 + slope_y**2))


def _bump(u: Floats, v: Floats, at: tuple[float, float], wide: float, tall: float) -> Floats:
    return np.asarray(np.exp(-(((u - at[0]) / wide) ** 2) - ((v - at[1]) / tall) ** 2))


def _face(canvas: Canvas, rng: np.random.Generator) -> Floats:  # -> (H, W, 3)
    u, v = _places(canvas)
    relief = 0.95 * np.sqrt(np.clip(1.12 - (u / 1.02) ** 2 - (v / 1.08) ** 2, 0.02, None))
    below = np.hypot(u / _jaw(v), v) > 1
    relief = np.where(below, 0.42 * np.sqrt(np.clip(1 - (u / 0.62) ** 2, 0.02, None)) + 0.1 * (v - 0.9), relief)
    ridge = np.clip((v + 0.25) / 0.55, 0, 1)
    relief = relief + 0.26 * ridge * np.exp(-((u / (0.075 + 0.05 * ridge)) ** 2)) * _ease((0.37 - v) / 0.13)
    for at, wide, tall, high in (
        ((-0.11, 0.27), 0.07, 0.06, 0.07),
        ((0.11, 0.27), 0.07, 0.06, 0.07),  # nostrils
        ((-0.40, -0.24), 0.24, 0.09, 0.075),
        ((0.40, -0.24), 0.24, 0.09, 0.075),  # brow
        ((-0.40, -0.07), 0.19, 0.12, -0.10),
        ((0.40, -0.07), 0.19, 0.12, -0.10),  # sockets
        ((-0.40, -0.06), 0.12, 0.07, 0.075),
        ((0.40, -0.06), 0.12, 0.07, 0.075),  # lids
        ((-0.50, 0.24), 0.24, 0.20, 0.07),
        ((0.50, 0.24), 0.24, 0.20, 0.07),  # cheeks
        ((0.0, 0.515), 0.20, 0.040, 0.055),
        ((0.0, 0.625), 0.17, 0.050, 0.075),  # lips
        ((0.0, 0.565), 0.15, 0.022, -0.035),
        ((0.0, 0.85), 0.20, 0.11, 0.085),
        ((0.0, 0.40), 0.05, 0.07, -0.02),
    ):
        relief = relief + high * _bump(u, v, at, wide, tall)
    skin: Floats = np.array([0.86, 0.64, 0.52]) + 0 * u[..., None]
    blush = (
        _bump(u, v, (-0.52, 0.24), 0.28, 0.2)
        + _bump(u, v, (0.52, 0.24), 0.28, 0.2)
        + _bump(u, v, (0, 0.22), 0.13, 0.12)
    )
    skin = skin + 0.45 * blush[..., None] * np.array([0.10, -0.08, -0.08])
    mouth = np.clip((0.27 - np.abs(u)) * 12, 0, 1)
    bow = 0.455 + 0.10 * u**2 + 0.028 * np.exp(-((u / 0.05) ** 2)) - 0.02 * np.exp(-(((np.abs(u) - 0.09) / 0.05) ** 2))
    lips = (
        mouth * np.clip((v - bow - 0.25 * np.abs(u) ** 1.6) * 40, 0, 1) * np.clip((0.685 - 1.5 * u**2 - v) * 30, 0, 1)
    )
    skin = skin + lips[..., None] * (np.array([0.70, 0.28, 0.28]) - skin)
    cosine = np.clip(_shade(relief, canvas), 0, 1)
    warm, cool = np.array([1.12, 1.02, 0.90]), np.array([0.30, 0.27, 0.36])
    color = skin * (cool + (warm - cool) * (cosine**1.15)[..., None])
    under = np.where(below, 0.50 + 0.50 * _ease((v - 1.05) / 0.55 - 0.35 * u), 1.0)  # the chin's shadow
    color = color * under[..., None] * (1 + 0.02 * clouds(rng, canvas.height, canvas.width, 0.004, 1))[..., None]
    color = color * (1 - 0.6 * np.exp(-(((v - 0.568 - 0.10 * u**2) / 0.014) ** 2)) * mouth)[..., None]
    for side in (-1.0, 1.0):
        color = _eye(color, u - 0.40 * side, v + 0.06, side)
    return np.asarray(color)


def _eye(color: Floats, u: Floats, v: Floats, side: float) -> Floats:  # its middle at 0, 0
    upper, lower = -0.078 * (1 - (u / 0.20) ** 2) + 0.015 * side * -u, 0.050 * (1 - (u / 0.20) ** 2)
    opening = np.clip((v - upper) * 45, 0, 1) * np.clip((lower - v) * 45, 0, 1) * (np.abs(u) < 0.20)
    # the ball's own aspect: half axes of the face differ
    away = np.hypot(u - 0.01, (v + 0.012) * HEAD_TALL / HEAD_WIDE)
    ball = np.array([0.86, 0.84, 0.82]) * (0.72 + 0.28 * np.clip((v - upper) / 0.08, 0, 1))[..., None]
    iris = np.clip((0.082 - away) * 60, 0, 1)[..., None]
    ball = ball + iris * (np.array([0.22, 0.36, 0.36]) * (0.6 + 5 * away)[..., None] - ball)
    ball = ball * (1 - np.clip((0.040 - away) * 60, 0, 1))[..., None]
    glint = np.exp(-((np.hypot(u + 0.022, v + 0.045) / 0.016) ** 2))[..., None]
    color = color + opening[..., None] * (np.clip(ball + glint, 0, 1) - color)
    within = np.clip((0.215 - np.abs(u)) * 25, 0, 1)
    lash = np.exp(-(((v - upper) / 0.020) ** 2)) * within
    crease = 0.4 * np.exp(-(((v - upper + 0.055) / 0.014) ** 2)) * within
    outward = u * side
    arch = -0.235 - 0.05 * np.cos(5 * (outward - 0.06)) + 0.03 * outward
    thick = 0.034 * (1 - 0.55 * np.clip((outward + 0.22) / 0.5, 0, 1))
    brow = 0.75 * np.exp(-(((v - arch) / thick) ** 2)) * np.clip((0.27 - np.abs(u)) * 14, 0, 1)
    dark = np.clip(0.9 * lash + crease + brow + 0.18 * np.exp(-(((v - lower) / 0.014) ** 2)) * within, 0, 0.92)
    return np.asarray(color + dark[..., None] * (np.array([0.16, 0.08, 0.06]) - color))


def _hair(canvas: Canvas, rng: np.random.Generator) -> Floats:  # -> (H, W, 3)
    u, v = _places(canvas)
    side = np.sign(u - 0.12)
    sway = 0.10 * np.sin(2.6 * v + 1.0 + 0.8 * side) * np.clip(v + 0.6, 0, 1.4)
    strand = np.hypot((np.abs(u - 0.12 * np.clip(-v, 0, 1)) - sway * 0.6) / 1.4, np.minimum(v + 0.1, 0) / 1.2)
    tone = np.zeros_like(strand)
    for strands, amount in ((9, 0.34), (24, 0.28), (70, 0.22)):
        nodes = rng.normal(size=(2, 3 * strands))
        drift = strand * strands + 0.7 * np.sin(1.7 * v + strands)
        pair = [np.interp(drift, np.arange(3 * strands), row) for row in nodes]
        tone += amount * np.where(side > 0, pair[0], pair[1])
    sheen = np.exp(-(((v + 0.72 + 0.55 * np.abs(u + 0.25)) / 0.17) ** 2)) + 0.6 * np.exp(
        -(((v - 0.62 - 0.3 * u) / 0.3) ** 2)
    )
    round_ = np.clip(1.25 - 0.75 * strand**4, 0.3, 1.2) * (0.90 - 0.22 * u)
    value = (0.42 + 0.16 * tone) * round_ + 0.30 * sheen * np.clip(0.7 + 0.6 * tone, 0, 2) * (0.8 - 0.3 * u)
    shadow = 1 - 0.45 * _bump(np.abs(u), v, (0.95, 0.5), 0.22, 0.7)
    value = np.clip(value * shadow, 0.03, 1.1)
    dark, mid, bright = np.array([0.09, 0.03, 0.03]), np.array([0.50, 0.20, 0.09]), np.array([0.98, 0.66, 0.34])
    stops = np.array([0.0, 0.45, 1.1])
    return np.stack([np.interp(value, stops, (dark[c], mid[c], bright[c])) for c in range(3)], axis=-1)


def _clothes(canvas: Canvas, rng: np.random.Generator) -> Floats:  # -> (H, W, 3)
    u, v = _places(canvas)
    folds = 0.06 * np.sin(7 * u + 2.4 * np.sin(2.2 * v) + 3 * v * np.sign(u)) + 0.03 * np.sin(17 * u - 5 * v)
    relief = 0.9 * np.sqrt(np.clip(1.6 - (u / 2.6) ** 2, 0.05, None)) - 0.25 * (2.2 - v) ** 2 * (v < 2.2) + folds
    cosine = np.clip(_shade(relief, canvas), 0.05, 1)
    weave = 1 + 0.05 * clouds(rng, canvas.height, canvas.width, 0.012, 2)
    color = np.array([0.10, 0.36, 0.38]) * (0.35 + 0.95 * cosine * weave)[..., None]
    hem = np.exp(-(((np.abs(u) - (0.99 - 1.05 * np.clip(v - 1.42, 0, None))) / 0.045) ** 2))
    bead = 0.7 + 0.3 * np.sin(60 * v)
    return np.asarray(
        color + (hem * bead)[..., None] * (np.array([0.86, 0.66, 0.28]) * (0.4 + 0.8 * cosine[..., None]) - color)
    )


def _garden(canvas: Canvas, rng: np.random.Generator) -> Floats:  # -> (H, W, 3)
    """Draw an evening garden out of focus."""
    x, y = canvas.x, canvas.y
    glow = np.exp(-(((x - 0.12 * canvas.right) / 0.5) ** 2) - ((y - 0.22) / 0.4) ** 2)
    base = np.stack([0.14 + 0.62 * glow, 0.24 + 0.40 * glow, 0.22 + 0.08 * glow], axis=-1)
    leaves = clouds(rng, canvas.height, canvas.width, 0.16, 5)
    canvas.glow[:] = np.clip(base * (0.85 + 0.20 * leaves)[..., None], 0, 1)
    for _ in range(int(150 * max(0.4, canvas.right))):
        place = rng.uniform(-0.02, canvas.right + 0.02), rng.uniform(0, 1)
        warm, part = rng.random(), rng.random()
        hue = np.array([0.95, 0.45 + 0.4 * warm, 0.30]) if rng.random() < 0.35 else np.array([0.30, 0.50, 0.28])
        canvas.disc(*place, rng.uniform(0.008, 0.030), (0, 0, 0), 0.75 * _behind(canvas, place) + 0.40 * part * hue)
    return canvas.glow.copy()


def _behind(canvas: Canvas, place: tuple[float, float]) -> Floats:  # -> (3,)
    column = int(np.clip(place[0] * canvas.height, 0, canvas.width - 1))
    return np.asarray(canvas.glow[int(np.clip(place[1] * canvas.height, 0, canvas.height - 1)), column])
