"""Prepare the inputs of a run: pictures at their sizes, masks, the starting picture, and changes of color.

All functions run on the host, before the first evaluation or after the last.
"""

import math
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.image import MIN_SIDE, Convention, Size, deprocess, fitted_size, resize
from handstyle.foundations.picture_paths import expand_path, pictures_in
from handstyle.foundations.picture_reading import Picture, PictureLike, read_picture
from handstyle.losses.regions import check_mask
from handstyle.painting.arguments import read_argument
from handstyle.painting.color import (
    color_statistics,
    keep_color,
    luminance,
    match_affine,
    match_histogram,
    match_luminance,
)
from handstyle.painting.config import StyleConfig, split_numbers
from handstyle.painting.paper import read_paper

Masks = Sequence[Array | None]  # the weight of each pixel of each picture, or None if all weights are 1
LUMA_WEIGHTS = np.array([0.299, 0.587, 0.114])  # BT.601
STRETCHED = 4  # a picture that will be stretched is read at this multiple of the size at which it is used
START_ALIASES = {"image": "content", "photo": "content", "random": "noise"}  # of other programs, and ours
BLUR = 3.0  # standard deviation in pixels of the blur of noise: finer noise than a stroke stays in the picture
MIN_CHROMA = 48  # gray levels by which the channels of a colored mask differ; those of a gray JPEG differ by a few


def read_inputs(
    config: StyleConfig, content: PictureLike, styles: Sequence[PictureLike]
) -> tuple[Picture, list[Picture]]:
    """Read the photograph and the paintings; large files are reduced to the size that the run needs.

    Parameters
    ----------
    config : StyleConfig
        The settings, of which sizes and `max_pixels` are used.
    content, styles : path, PIL image, array or Picture
        See `stylize`; folders must be replaced by their pictures before.

    Returns
    -------
    Picture and list of Picture

    Raises
    ------
    HandstyleError
        If a picture cannot be read, or a side of the photograph would be too short for the network.

    Examples
    --------
    >>> import numpy as np
    >>> photograph, paintings = read_inputs(StyleConfig(size=32), np.zeros((64, 48, 3)), [np.zeros((40, 40, 3))])
    >>> photograph.pixels.shape, len(paintings)
    ((64, 48, 3), 1)
    """
    limit = config.max_pixels or None
    used = partial(_side_needed, lambda size: output_size(config, size, ""))
    photograph = read_argument("content", content, used, limit)
    full = size_for_photograph(config, photograph)

    def measured(size: Size) -> Size:
        return style_size(config, Picture(np.broadcast_to(np.float32(0), (*size, 3)), None, ""), full, full)

    return photograph, [read_argument("styles", one, partial(_side_needed, measured), limit) for one in styles]


def _side_needed(used: Callable[[Size], Size], size: Size) -> int:
    """Return the long side to which a picture of `size` may be reduced while it is read."""
    try:
        height, width = used(size)
    except HandstyleError:  # raised again, with the picture's name, once it is read
        return max(size)
    if abs(height * size[1] / size[0] - width) <= 1:
        return max(height, width)
    return STRETCHED * long_side_of(size, (height, width))  # resampled in two steps: the first keeps more than is used


def output_size(config: StyleConfig, size: Size, name: str) -> Size:
    """Return the height and width of the output for a photograph of `size`, by `StyleConfig.size_rule`.

    Examples
    --------
    >>> output_size(StyleConfig(size=512), (1500, 2000), "photograph.jpg")
    (384, 512)
    >>> output_size(StyleConfig(size=512, size_rule="short"), (1500, 2000), "photograph.jpg")
    (512, 683)
    """
    return _scaled_size(size, wanted_side(config, size), config.size_rule, name, "size", config.enlarge)


def size_for_photograph(config: StyleConfig, photograph: Picture) -> Size:
    """Return the height and width of the output for a photograph.

    Examples
    --------
    >>> import numpy as np
    >>> size_for_photograph(StyleConfig(size=64), read_picture(np.zeros((100, 200, 3))))
    (32, 64)
    """
    height, width = photograph.pixels.shape[:2]
    return output_size(config, (height, width), photograph.source)


def wanted_side(config: StyleConfig, size: Size) -> int:
    """Return the length in pixels of the side of the output that is set by `size` or by `print`.

    Examples
    --------
    >>> wanted_side(StyleConfig(size=512), (1500, 2000))
    512
    >>> wanted_side(StyleConfig(print="10x8in@100"), (1500, 2000))  # of 10 inches
    1000
    """
    return read_paper(config.print).long_side(size) if config.print else config.size


def _scaled_size(size: Size, n: float, rule: str, name: str, parameter: str, enlarge: bool = False) -> Size:
    """Return a height and width scaled so that the side that `rule` names is `n` pixels long.

    They are only made larger if `rule` is ``square`` or `enlarge` is true.

    Raises
    ------
    HandstyleError
        If a side is too short for the network; the message has the least sufficient value of `parameter`.
    """
    if rule == "square":
        return int(n), int(n)
    side = _side_by_rule(size, rule)
    factor = n / side if enlarge else min(1.0, n / side)
    long = max(1, int(max(size) * factor + 0.5))
    if min(size) >= MIN_SIDE > int(long * min(size) / max(size) + 0.5):
        enough = -(-MIN_SIDE * (max(size) if parameter == "style_size" else side) // min(size))
        raise HandstyleError(
            f"{name}, {size[1]} x {size[0]} px, would be used with a long side of {long} px and a short side below "
            f"{MIN_SIDE} px: use a larger {parameter}={enough}"
        )
    return fitted_size(size, long, enlarge, name)


def scales(config: StyleConfig, full: Size) -> list[Size]:
    """Return height and width at each scale of the pyramid, from coarse to fine; the last is `full`.

    Scales with a side below `MIN_SIDE` are left out, so a panorama has fewer scales.

    Examples
    --------
    >>> scales(StyleConfig(pyramid_min_size=128), (512, 384))
    [(128, 96), (256, 192), (512, 384)]
    """
    if not config.pyramid_min_size:
        return [full]
    side, sizes, k = _side_by_rule(full, config.size_rule), [full], 1
    while round(side / config.pyramid_factor**k) >= config.pyramid_min_size:  # book: transfer-sizes
        factor = round(side / config.pyramid_factor**k) / side
        if round(min(full) * factor) < MIN_SIDE:
            break
        sizes.append(fitted_size(full, max(1, round(max(full) * factor))))
        k += 1
    return sizes[::-1]


def style_size(config: StyleConfig, painting: Picture, p_size: Size, full: Size) -> Size:
    """Return the height and width to which a painting is resized at the scale where the picture has `p_size`.

    Examples
    --------
    >>> import numpy as np
    >>> painting = read_picture(np.zeros((600, 800, 3)))
    >>> style_size(StyleConfig(size=512), painting, p_size=(256, 256), full=(512, 512))  # a scale of half the size
    (192, 256)
    """
    if config.style_fit == "stretch":
        return p_size
    size = (painting.pixels.shape[0], painting.pixels.shape[1])
    if config.style_size:
        return _scaled_size(size, min(config.style_size, max(size)), "long", painting.source, "style_size")
    rule = "long" if config.size_rule == "square" else config.size_rule
    n = style_side(config, p_size, full)
    if p_size != full:  # at a coarse scale the short side of a narrow painting is at least `MIN_SIDE`
        n = max(n, -(-MIN_SIDE * rule_side(config, size) // min(size)))
    return _scaled_size(size, n, rule, painting.source, "style_size")


def style_side(config: StyleConfig, p_size: Size, full: Size) -> int:
    """Return the length in pixels to which the settings resize a side of a painting, when the picture has `p_size`.

    Examples
    --------
    >>> style_side(StyleConfig(size=512, style_scale=1.5), p_size=(256, 256), full=(512, 512))
    384
    """
    if config.style_size:
        return config.style_size
    # book: transfer-style
    return round((max(full) if config.print else config.size) * config.style_scale * max(p_size) / max(full))


def rule_side(config: StyleConfig, size: Size) -> int:
    """Return the length in pixels of the side of a painting that `size_rule` names, before it is resized.

    With `style_size` it is the long side.

    Examples
    --------
    >>> rule_side(StyleConfig(), (600, 800)), rule_side(StyleConfig(size_rule="short"), (600, 800))
    (800, 600)
    """
    return _side_by_rule(size, "long" if config.style_size else config.size_rule)


def _side_by_rule(size: Size, rule: str) -> int:
    """Return the side of a picture of height and width `size` that `rule` names; for ``square`` the long one."""
    return {"long": max(size), "square": max(size), "short": min(size), "height": size[0]}[rule]


def starting_picture(
    config: StyleConfig,
    p: Array,
    convention: Convention | None = None,
    paintings: Sequence[Array] = (),
    masks: Masks = (),
    full: Size | None = None,
) -> Array:  # (H, W, 3) -> (H, W, 3) float64
    """Return the picture from which the optimizer starts, at the size of the photograph `p`.

    Parameters
    ----------
    config : StyleConfig
        The settings, of which `init`, `init_noise` and `seed` are used. The result is
        ``(1 - init_noise) · start + init_noise · noise``, as in anishathalye/neural-style.
    p : (H, W, 3) array
        The photograph.
    convention : Convention, optional
        The input convention of the network. Its mean is the mean of the noise ``normal`` and ``uniform``.
    paintings : sequence of (h, w, 3) arrays
        The paintings, for ``style-stats``, noise with the mean and deviation of their colors, truncated at black and
        white, as in crowsonkb/style-transfer-pytorch; and for ``blurred-noise``, the same without its finest parts,
        which would remain in the picture.
    masks : sequence of (h, w) arrays or None
        For each painting, the weights of its pixels in that mean and deviation.
    full : (int, int), optional
        Height and width in pixels of the photograph as it was read. A picture given as `init` may have its proportions
        or those of `p`.

    Raises
    ------
    HandstyleError
        If `init` is neither one of the names nor a picture, or the picture has other proportions.

    Examples
    --------
    >>> import numpy as np
    >>> starting_picture(StyleConfig(init="gray"), np.zeros((16, 16, 3)))[0, 0]
    array([127.5, 127.5, 127.5])
    """
    rng, (name, numbers) = np.random.default_rng(config.seed), split_numbers(config.init)
    if config.init == "content":
        start = p.astype(np.float64)
    elif config.init == "noise":
        start = rng.uniform(0, 255, p.shape)
    elif config.init == "gray":
        start = np.full(p.shape, 127.5)
    elif config.init in ("style-stats", "blurred-noise") and paintings:
        start = _noise_in_colors(config, p.shape, paintings, masks or (None,) * len(paintings), rng)
    elif name == "normal" and len(numbers) == 1 and convention is not None:  # around the mean of the network's input
        start = deprocess(rng.normal(0, numbers[0], p.shape), convention)
    elif name == "uniform" and len(numbers) == 2 and convention is not None:
        start = deprocess(rng.uniform(numbers[0], numbers[1], p.shape), convention)
    else:
        start = _read_start(config, (p.shape[0], p.shape[1]), full or p.shape[:2])
    if config.init_noise:
        # book: transfer-start
        start = (1 - config.init_noise) * start + config.init_noise * rng.uniform(0, 255, p.shape)
    return start


def _noise_in_colors(
    config: StyleConfig, shape: tuple[int, ...], paintings: Sequence[Array], masks: Masks, rng: Any
) -> Array:
    moments = [color_statistics(painting, mask) for painting, mask in zip(paintings, masks, strict=True)]
    mean, covariance = (np.mean(each, axis=0) for each in zip(*moments, strict=True))
    if config.init == "style-stats":
        return _truncated_normal(rng, mean, np.sqrt(covariance.diagonal()), shape)
    noise = gaussian_filter(rng.normal(size=shape), (BLUR, BLUR, 0), mode="wrap")
    blurred: Array = (mean + noise / noise.std() * np.sqrt(covariance.diagonal())).clip(0, 255)
    return blurred


def _read_start(config: StyleConfig, size: Size, full: Size) -> Array:
    if "://" not in config.init and not expand_path(config.init).exists():
        meant = f"did you mean {START_ALIASES[config.init]}? U" if config.init in START_ALIASES else "u"
        raise HandstyleError(
            f"init={config.init!r}: {meant}se content, noise, blurred-noise, gray, style-stats, normal:SIGMA, "
            "uniform:LOW:HIGH, or the path of a picture"
        )
    picture = read_picture(config.init, target=long_side_of(full, size), max_pixels=config.max_pixels or None)
    check_proportions(picture, f"init={config.init!r}", size, full)
    return resize(picture.pixels, size).astype(np.float64)


def _truncated_normal(rng: np.random.Generator, mean: Array, std: Array, shape: tuple[int, ...]) -> Array:
    """Draw colors from a normal distribution truncated to 0 to 255; values outside are drawn again."""
    drawn = rng.normal(mean, std, shape)
    while (outside := (drawn < 0) | (drawn > 255)).any():
        drawn = np.where(outside, rng.normal(mean, std, shape), drawn)
    return drawn


def check_proportions(picture: Picture, name: str, size: Size, full: Size) -> None:
    """Raise `HandstyleError` unless a picture has the proportions of one of two sizes, within 2 % or a pixel.

    Parameters
    ----------
    picture : Picture
        A mask or a starting picture.
    name : str
        The name of the picture in the error message.
    size, full : (int, int)
        Height and width of the picture that it belongs to: as used in the run, and as read.

    Examples
    --------
    >>> import numpy as np
    >>> mask = read_picture(np.zeros((50, 100, 3)))
    >>> try:
    ...     check_proportions(mask, "mask sky.png", (256, 256), (1000, 1000))
    ... except HandstyleError as error:
    ...     print(error)
    mask sky.png is 100 x 50 px, its picture 1000 x 1000: crop it to the same proportions
    """
    height, width = picture.full_size
    for h, w in (full, size):
        if abs(height * w / h - width) <= max(1, 0.02 * width) or abs(width * h / w - height) <= max(1, 0.02 * height):
            return
    raise HandstyleError(
        f"{name} is {width} x {height} px, its picture {full[1]} x {full[0]}: crop it to the same proportions"
    )


def long_side_of(full: Size, size: Size) -> int:
    """Return the least long side at which a picture with the proportions of `full` covers `size`.

    Examples
    --------
    >>> long_side_of((100, 200), (64, 64))  # at 64 x 128 px it covers 64 x 64 px
    128
    """
    return math.ceil(max(full) * max(size[0] / full[0], size[1] / full[1]))


def read_mask(
    source: str | os.PathLike[str], size: Size, full: Size | None = None, max_pixels: int | None = None
) -> Array:  # -> (H, W)
    """Read a mask and resize it to the size of the picture that it belongs to.

    Parameters
    ----------
    source : path
        Any gray picture: white is inside, black and transparent pixels are outside.
    size : (int, int)
        Height and width in pixels at which the picture that it belongs to is used.
    full : (int, int), optional
        Height and width of that picture as it was read; the mask may have its proportions or those of `size`.
    max_pixels : int, optional
        See `read_picture`.

    Returns
    -------
    (H, W) array of float64
        The mask, 0 to 1.

    Raises
    ------
    HandstyleError
        If the file is not a picture, has other proportions, is colored, or is black everywhere.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from handstyle.foundations.picture_writing import write_picture
    >>> white_left = np.zeros((32, 32, 3))
    >>> white_left[:, :16] = 255.0
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_picture(f"{folder}/mask.png", white_left)
    ...     mask = read_mask(f"{folder}/mask.png", (16, 16))
    >>> mask.shape, float(mask[0, 0]), float(mask[0, -1])
    ((16, 16), 1.0, 0.0)
    """
    full = full or size
    picture = read_picture(source, target=long_side_of(full, size), max_pixels=max_pixels)
    check_proportions(picture, f"mask {source}", size, full)
    if (np.ptp(picture.pixels, axis=2) > MIN_CHROMA).mean() > 0.01:
        raise HandstyleError(
            f"mask {source} is colored, but a mask is white inside its region and black outside: save a gray picture "
            "for each region, or give it as `regions`"
        )
    plane: Array = picture.pixels.astype(np.float64) @ LUMA_WEIGHTS / 255
    if picture.alpha is not None:
        # `read_picture` fills transparent pixels with the mean of the visible ones; in a mask they are outside.
        plane -= (1 - picture.alpha) * plane.mean()
    plane = np.clip(resize(plane, size), 0, 1)
    check_mask(plane, f"mask {source}")
    return plane


def expand_folders(styles: Sequence[PictureLike]) -> list[PictureLike]:
    """Replace each folder among the paintings by the pictures in it, in the order of their names.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("b.jpg", "a.png", "notes.txt"):
    ...         Path(folder, name).touch()
    ...     [Path(one).name for one in expand_folders([folder, "c.jpg"])]
    ['a.png', 'b.jpg', 'c.jpg']
    """
    spread: list[PictureLike] = []
    for style in styles:
        if isinstance(style, str | os.PathLike) and expand_path(style).is_dir():
            spread += pictures_in(style)
        else:
            spread.append(style)
    return spread


def change_colors_before(
    config: StyleConfig, p: Array, paintings: Sequence[Array], regions: Masks, style_masks: Masks
) -> tuple[Array, list[Array]]:
    """Return the photograph and the paintings with their colors changed before the run, as `config.color` requires.

    Parameters
    ----------
    config : StyleConfig
        The settings, of which `color`, `color_space` and `color_match` are used.
    p : (H, W, 3) array
        The photograph.
    paintings : sequence of (h, w, 3) arrays
        The paintings. Each gets the colors of its region of the photograph, inside its mask.
    regions, style_masks : sequence of arrays or None
        For each painting the mask of its region in the photograph, and its own mask.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> p, painting = rng.uniform(0, 100, (8, 8, 3)), rng.uniform(100, 255, (8, 8, 3))
    >>> same, (changed,) = change_colors_before(StyleConfig(color="match"), p, [painting], [None], [None])
    >>> same is p, bool(np.allclose(changed.mean(axis=(0, 1)), p.mean(axis=(0, 1))))
    (True, True)
    """
    if config.color == "luminance":
        gray = luminance(p, config.color_space)
        pairs = zip(paintings, style_masks, strict=True)
        return gray, [match_luminance(luminance(one, config.color_space), gray, mask) for one, mask in pairs]
    if config.color not in ("match", "histogram"):
        return p, list(paintings)
    match = _matching(config)
    each = zip(paintings, style_masks, regions, strict=True)
    return p, [match(one, p, source_mask=mask, target_mask=region) for one, mask, region in each]


def _matching(config: StyleConfig) -> Callable[..., Array]:
    return match_histogram if "histogram" in config.color else partial(match_affine, method=config.color_match)


def change_colors_after(config: StyleConfig, result: Array, p: Array, masks: Sequence[Array]) -> Array:
    """Return the result with its colors changed after the run, as `config.color` requires; with masks, by region.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> result, p = rng.uniform(100, 255, (8, 8, 3)), rng.uniform(0, 100, (8, 8, 3))
    >>> changed = change_colors_after(StyleConfig(color="match-after"), result, p, [])
    >>> bool(np.allclose(changed.mean(axis=(0, 1)), p.mean(axis=(0, 1))))
    True
    """
    everywhere: list[Array | None] = list(masks) or [None]
    for mask in everywhere:
        if config.color in ("match-after", "histogram-after"):
            result = _matching(config)(result, p, source_mask=mask, target_mask=mask)
        elif config.color in ("luminance", "luminance-after"):
            result = keep_color(result, p, config.color_space, mask if config.color == "luminance-after" else None)
    return result
