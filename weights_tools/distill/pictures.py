"""The training pictures: scikit-image's photographs, and pictures drawn here.

While the network paints, its input changes from a photograph to a painting and is like neither in between. So in
addition to photographs there are synthetic pictures (leaves, stripes, flows, cells, clouds, strokes), photographs
painted over with strokes along a swirling field, mixtures of two, and added noise. Every picture is a function of a
seed.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter, map_coordinates

from handstyle.foundations.backend import Array
from handstyle.foundations.image import resize

Drawing = Callable[[np.random.Generator, int], Array]  # (generator, size) -> (size, size, 3)

# Photographs in scikit-image's own package. `astronaut` is kept out: the evaluation paints it.
PHOTOGRAPHS = (
    "brick", "camera", "cell", "chelsea", "coffee", "coins", "grass", "gravel", "hubble_deep_field",
    "immunohistochemistry", "moon", "retina", "rocket",
)  # fmt: skip


def load_photographs() -> list[Array]:
    """Return scikit-image's photographs, (H, W, 3) float32, 0 to 255, in the order of `PHOTOGRAPHS`.

    Examples
    --------
    .. code-block:: python

        photographs = load_photographs()  # scikit-image is installed with the extra "train"
        photographs[PHOTOGRAPHS.index("coffee")].shape  # (400, 600, 3)
    """
    from skimage import data

    photographs = []
    for name in PHOTOGRAPHS:
        pixels = np.asarray(getattr(data, name)(), np.float32)
        photographs.append(np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels[..., :3])
    return photographs


def training_picture(seed: tuple[int, ...], size: int, photographs: list[Array]) -> Array:  # -> (size, size, 3)
    """Return one picture of the training set.

    Parameters
    ----------
    seed : tuple of int
        The seed; the same seed gives the same picture.
    size : int
        Side, px.
    photographs : list of (H, W, 3) array
        From `load_photographs`; if empty every picture is drawn.

    Returns
    -------
    (size, size, 3) float32 array
        RGB, about 0 to 255, not clipped where noise was added.

    Examples
    --------
    >>> p = training_picture((0, 7), 48, [])
    >>> p.shape, np.array_equal(p, training_picture((0, 7), 48, []))
    ((48, 48, 3), True)
    """
    rng = np.random.default_rng(seed)
    p = _base_picture(rng, size, photographs)
    if rng.random() < 0.35:
        p = _painted_over(rng, p)
    if rng.random() < 0.15:
        p = _mix(rng, p, _base_picture(rng, size, photographs))
    return _degrade(rng, p)


def content_picture(rng: np.random.Generator, size: int, photographs: list[Array]) -> Array:  # -> (size, size, 3)
    """Return a random crop of one of the photographs; if there are none, a drawn picture of leaves.

    Examples
    --------
    >>> photograph = np.full((60, 80, 3), 100, np.float32)
    >>> content_picture(np.random.default_rng(0), 48, [photograph]).shape
    (48, 48, 3)
    """
    return _crop(rng, photographs[rng.integers(len(photographs))], size) if photographs else _leaves(rng, size)


def style_picture(rng: np.random.Generator, size: int, photographs: list[Array]) -> Array:  # -> (size, size, 3)
    """Return a picture in whose style the network paints: seven of ten have brush strokes.

    Examples
    --------
    >>> style_picture(np.random.default_rng(0), 48, []).shape
    (48, 48, 3)
    """
    p = _base_picture(rng, size, photographs)
    return _painted_over(rng, p, layers=3) if rng.random() < 0.7 else p


def _base_picture(rng: np.random.Generator, size: int, photographs: list[Array]) -> Array:
    if photographs and rng.random() < 0.45:
        return _crop(rng, photographs[rng.integers(len(photographs))], size)
    return DRAWINGS[rng.integers(len(DRAWINGS))](rng, size)


def _crop(rng: np.random.Generator, photograph: Array, size: int) -> Array:  # (H, W, 3) -> (size, size, 3)
    """Cut a square at a random place and scale, turn, mirror and tint it at random."""
    H, W, _ = photograph.shape
    side = int(min(H, W) * np.exp(rng.uniform(np.log(min(1.0, size / min(H, W))), 0)))
    y, x = rng.integers(H - side + 1), rng.integers(W - side + 1)
    p = resize(photograph[y : y + side, x : x + side], (size, size))
    if rng.random() < 0.5:
        p = p[:, ::-1]
    if rng.random() < 0.2:
        p = np.rot90(p, int(rng.integers(1, 4)))
    return _tinted(rng, p) if rng.random() < 0.5 else np.ascontiguousarray(p)


def _tinted(rng: np.random.Generator, p: Array) -> Array:  # (H, W, 3) -> (H, W, 3)
    """Mix the channels, and change contrast and brightness."""
    mix = np.eye(3) + rng.normal(0, 0.35, (3, 3))
    mix /= mix.sum(axis=1, keepdims=True).clip(0.5)
    q = (p - 128) @ mix.T * rng.uniform(0.6, 1.3) + 128 + rng.normal(0, 25, 3)
    clipped: Array = q.clip(0, 255).astype(np.float32)
    return clipped


def _palette(rng: np.random.Generator, n: int) -> Array:  # -> (n, 3)
    """Return `n` colors that belong together: spread along a few random directions around a random middle."""
    middle = rng.uniform(60, 200, 3)
    axes = rng.normal(0, 1, (2, 3)) * rng.uniform(15, 70, (2, 1))
    gray = rng.normal(0, 1, (n, 1)) * rng.uniform(20, 70)
    colors: Array = (middle + rng.normal(0, 1, (n, 2)) @ axes + gray).clip(0, 255)
    return colors


def _ramp(rng: np.random.Generator, t: Array, n: int = 5) -> Array:  # (H, W) -> (H, W, 3)
    """Color a plane by a palette: its range is spread over `n` colors, blended linearly."""
    colors, stops = _palette(rng, n), np.linspace(0, 1, n)
    t = (t - t.min()) / (np.ptp(t) or 1)
    return np.stack([np.interp(t, stops, colors[:, c]) for c in range(3)], axis=-1).astype(np.float32)


def _fractal(rng: np.random.Generator, size: int, slope: float) -> Array:  # -> (size, size), zero mean, unit variance
    """Return noise whose amplitude falls as frequency to the power `slope`."""
    f = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None])
    f[0, 0] = 1
    spectrum = np.fft.fft2(rng.standard_normal((size, size))) / f**slope
    spectrum[0, 0] = 0
    noise = np.fft.ifft2(spectrum).real
    scaled: Array = noise / noise.std()
    return scaled


def _clouds(rng: np.random.Generator, size: int) -> Array:  # -> (size, size, 3)
    """Draw clouds: fractal noise through a palette."""
    return _ramp(rng, _fractal(rng, size, rng.uniform(0.8, 2.2)), int(rng.integers(2, 8)))


def _stripes(rng: np.random.Generator, size: int) -> Array:  # -> (size, size, 3)
    """Draw stripes, bent by noise, sometimes crossed, smooth or sharp."""
    y, x = np.mgrid[:size, :size] / size
    bend = _fractal(rng, size, 2.2) * rng.uniform(0, 0.12)
    t = np.zeros((size, size))
    for _ in range(rng.integers(1, 3)):
        angle, frequency = rng.uniform(0, np.pi), size / np.exp(rng.uniform(np.log(4), np.log(size / 2)))
        t = t + np.sin(2 * np.pi * frequency * (np.cos(angle) * x + np.sin(angle) * y + bend))
    return _ramp(rng, np.tanh(t * rng.uniform(0.3, 6)), int(rng.integers(2, 5)))


def _cells(rng: np.random.Generator, size: int) -> Array:  # -> (size, size, 3)
    """Draw Voronoi cells, flat, shaded or outlined."""
    n = int(np.exp(rng.uniform(np.log(8), np.log(size))))
    seeds = rng.uniform(0, size, (n, 2))
    y, x = np.mgrid[:size, :size]
    d = np.sqrt((y[..., None] - seeds[:, 0]) ** 2 + ((x[..., None] - seeds[:, 1]) * rng.uniform(0.4, 1)) ** 2)
    nearest = d.argmin(axis=2)
    p = _palette(rng, n)[nearest]
    if rng.random() < 0.5:
        p = p * (0.4 + 0.6 * np.exp(-np.take_along_axis(d, nearest[..., None], 2) / size * np.sqrt(n)))
    if rng.random() < 0.5:
        two = np.partition(d, 1, axis=2)
        p = np.where((two[..., 1] - two[..., 0] < rng.uniform(1, 4))[..., None], _palette(rng, 1)[0], p)
    drawn: Array = p.astype(np.float32)
    return drawn


def _leaves(rng: np.random.Generator, size: int) -> Array:  # -> (size, size, 3)
    """Draw dead leaves: opaque shapes over one another, sizes by a power law (Lee, Mumford and Huang 2001)."""
    colors = _palette(rng, 24)
    image = Image.new("RGB", (size, size), tuple(colors[0].astype(int)))
    draw = ImageDraw.Draw(image)
    corners = int(rng.choice([0, 0, 3, 4, 7]))
    for _ in range(int(rng.integers(60, 500))):
        r = size * 0.012 / rng.uniform(0.03, 1) ** 0.9
        cy, cx = rng.uniform(-0.1 * size, 1.1 * size, 2)
        stretch, turn = rng.uniform(0.3, 1), rng.uniform(0, 2 * np.pi)
        angles = np.sort(rng.uniform(0, 2 * np.pi, corners)) if corners else np.linspace(0, 2 * np.pi, 20)
        u, v = r * np.cos(angles), r * stretch * np.sin(angles)
        outline = np.stack([cx + u * np.cos(turn) - v * np.sin(turn), cy + u * np.sin(turn) + v * np.cos(turn)], 1)
        draw.polygon([tuple(q) for q in outline], fill=tuple(colors[rng.integers(24)].astype(int)))
    p = np.asarray(image, np.float32)
    grain = _fractal(rng, size, rng.uniform(0.3, 1.5))[..., None] * rng.uniform(0, 25)
    grained: Array = (p + grain).clip(0, 255).astype(np.float32)
    return grained


def _flow_field(rng: np.random.Generator, size: int) -> Array:  # -> (size, size) angles
    """Return the directions of a flow: a smooth drift and a few vortices."""
    y, x = np.mgrid[:size, :size].astype(float)
    u, v = (
        _fractal(rng, size, 2.5) * 0.6 + np.cos(a := rng.uniform(0, 2 * np.pi)),
        _fractal(rng, size, 2.5) * 0.6 + np.sin(a),
    )
    for _ in range(rng.integers(0, 6)):
        cy, cx, r = rng.uniform(0, size), rng.uniform(0, size), size * rng.uniform(0.06, 0.35)
        near = np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * r * r)) * rng.choice([-6, 6]) / r
        u, v = u - near * (y - cy), v + near * (x - cx)
    angle: Array = np.arctan2(v, u)
    return angle


def _flows(rng: np.random.Generator, size: int) -> Array:  # -> (size, size, 3)
    """Draw noise smeared along a flow (line integral convolution, Cabral and Leedom 1993)."""
    angle, noise = _flow_field(rng, size), gaussian_filter(rng.standard_normal((size, size)), rng.uniform(0.4, 2.5))
    total, length = np.zeros((size, size)), int(rng.integers(4, 14))
    for sign in (-1, 1):
        at = np.mgrid[:size, :size].astype(float)
        for _ in range(length):
            here = angle[at[0].astype(int).clip(0, size - 1), at[1].astype(int).clip(0, size - 1)]
            at = at + sign * np.stack([np.sin(here), np.cos(here)])
            total += map_coordinates(noise, at, order=1, mode="reflect")
    base = _fractal(rng, size, 2.0) * total.std() * rng.uniform(0, 1.5)
    return _ramp(rng, total + base, int(rng.integers(3, 8)))


def _strokes(rng: np.random.Generator, size: int) -> Array:  # -> (size, size, 3)
    """Draw clouds or leaves in brush strokes."""
    return _painted_over(rng, (_clouds if rng.random() < 0.6 else _leaves)(rng, size), layers=3)


def _painted_over(rng: np.random.Generator, p: Array, layers: int = 2) -> Array:  # (H, W, 3) -> (H, W, 3)
    """Paint over a picture: strokes in its colors along a flow, broad ones first (after Hertzmann 1998)."""
    size = p.shape[0]
    angle = _flow_field(rng, size)
    image = Image.fromarray(p.clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    width = rng.uniform(2.5, 9) * size / 160
    jitter = rng.uniform(5, 35)
    for _ in range(layers):
        source = gaussian_filter(p, (width / 2, width / 2, 0))
        for _ in range(int(min(1500, rng.uniform(0.4, 1.4) * size * size / (4 * width * width)))):
            at = rng.uniform(0, size, 2)
            color = source[int(at[0]), int(at[1])] + rng.normal(0, jitter) + rng.normal(0, jitter / 2, 3)
            path = [tuple(at[::-1])]
            for _ in range(4):
                here = angle[int(at[0]) % size, int(at[1]) % size]
                at = at + width * 0.9 * np.array([np.sin(here), np.cos(here)])
                path.append(tuple(at[::-1]))
            draw.line(path, fill=tuple(color.clip(0, 255).astype(int)), width=max(1, round(width)), joint="curve")
        width = max(1.0, width * 0.55)
    return np.asarray(image, np.float32)


def _mix(rng: np.random.Generator, p: Array, q: Array) -> Array:
    # Half of one, half of another: side by side along a soft, ragged border, or one seen through the other.
    mask = rng.uniform(0.2, 0.8) if rng.random() < 0.5 else 1 / (1 + np.exp(-4 * _fractal(rng, len(p), 2)))[..., None]
    mixed: Array = (mask * p + (1 - mask) * q).astype(np.float32)
    return mixed


def _degrade(rng: np.random.Generator, p: Array) -> Array:
    # What an optimizer's unfinished picture looks like: blurred, noisy at one pixel or at several, out of range.
    kind = rng.random()
    if kind < 0.12:
        p = gaussian_filter(p, (s := rng.uniform(0.4, 1.6), s, 0))
    elif kind < 0.45:
        noise = rng.standard_normal(p.shape) * np.exp(rng.uniform(np.log(2), np.log(45)))
        if rng.random() < 0.5:
            blur = rng.uniform(0.4, 1.5)
            noise = gaussian_filter(noise, (blur, blur, 0)) * (1 + 2 * blur)
        p = p + noise
    return np.ascontiguousarray(p, np.float32)


DRAWINGS: tuple[Drawing, ...] = (_leaves, _stripes, _flows, _cells, _clouds, _strokes)
