"""Convert arguments of the Python functions, such as arrays, dicts and lists of callbacks, to values of settings."""

import atexit
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.picture_reading import Picture, PictureLike, read_picture
from handstyle.foundations.picture_writing import write_picture
from handstyle.losses.terms import PICTURE, Term
from handstyle.network.vgg import Network
from handstyle.painting.config import check_layer
from handstyle.painting.setting_values import ARRAYS, PATHS

TERM = ("name", "tap", "weight", "measure", "loss", "spread")

NETWORK_NAMES = {name: name for name in ("backend", "kernels", "pooling", "padding", "dtype")} | {"precision": "dtype"}


def convert_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Convert keyword arguments of `stylize` to fields of `StyleConfig`.

    Parameters
    ----------
    options : mapping
        Fields of `StyleConfig`. In addition, `init`, `mask` and `style_mask` may be arrays or PIL images, which are
        written to 8-bit files that are deleted at exit, and `style_layers` and `content_layers` may be dicts from layer
        to weight. A mask is an array of booleans, of uint8 (0 to 255) or of floats (0 to 1).

    Returns
    -------
    dict
        The fields by name.

    Raises
    ------
    HandstyleError
        If an argument cannot be converted; the message names the parameter.

    Examples
    --------
    >>> convert_options({"style_layers": {"relu1_1": 1.0, "relu2_1": 0.5}})
    {'style_layers': ('relu1_1', 'relu2_1'), 'style_layer_weights': (1.0, 0.5)}
    """
    plain = dict(options)
    for name, own in NETWORK_NAMES.items():
        if name in options:
            raise HandstyleError(
                f"{name}={options[name]!r} is a setting of the network: use network=load_network('vgg19-slim', {own}=…)"
            )
    for name in ("style_layers", "content_layers"):
        if isinstance(layers := options.get(name), Mapping):
            weights = f"{name[:-1]}_weights"
            if weights in options:
                raise HandstyleError(f"{name} has a weight for each layer already: leave {weights} out")
            plain |= {name: tuple(layers), weights: tuple(layers.values())}
    if _is_picture(options.get("init")):
        plain["init"] = _file_of("init", options["init"])
    for name in PATHS:
        if name in options:
            given = options[name]
            several = [given] if _is_picture(given) or not isinstance(given, Sequence) else given
            masks = [_file_of(name, _as_mask(name, one)) if _is_picture(one) else one for one in several]
            plain[name] = given if isinstance(given, str) else tuple(masks)
    return plain


def styles_and_blend(
    styles: PictureLike | Sequence[PictureLike] | Mapping[Any, Any], options: dict[str, Any]
) -> list[PictureLike]:
    """Return the paintings as a list; if they are given as a dict, set `style_blend` or `style_region` in `options`.

    If every value of the dict is a number, its keys are paintings and its values weights, for `style_blend`. Otherwise
    its keys are regions and its values paintings, for `style_region`.

    Examples
    --------
    >>> options = {}
    >>> styles_and_blend({"a.jpg": 1, "b.jpg": 3}, options), options
    (['a.jpg', 'b.jpg'], {'style_blend': (1, 3)})
    >>> options = {}
    >>> styles_and_blend({"red": "a.jpg"}, options), options
    (['a.jpg'], {'style_region': ('red',)})
    """
    if isinstance(styles, Mapping):
        weights = all(isinstance(value, Real) for value in styles.values())
        name, what = ("style_blend", "weight") if weights else ("style_region", "region")
        if name in options:
            raise HandstyleError(f"styles has a {what} for each painting already: leave {name} out")
        options[name] = tuple(styles.values() if weights else styles)
        styles = list(styles if weights else styles.values())
    if isinstance(styles, str | os.PathLike) or _is_picture(styles) or hasattr(styles, "__array__"):
        return [styles]  # type: ignore[list-item]
    if styles is not None and not isinstance(styles, Iterable):
        raise HandstyleError(f"styles={type(styles).__name__}: give a path, a PIL image, an array, or a list of them")
    if not styles and "=" not in str(options.get("style_region", "")):
        raise HandstyleError("no style: give at least one painting")
    return list(styles)


def read_argument(
    name: str, picture: PictureLike, target: Callable[[tuple[int, int]], int], max_pixels: int | None
) -> Picture:
    """Read the picture that was given for the parameter `name`.

    A file is reduced while it is read, to the long side that `target` returns for its height and width.

    Examples
    --------
    >>> read_argument("content", np.zeros((16, 24, 3)), max, None).pixels.shape
    (16, 24, 3)
    >>> try:
    ...     read_argument("content", 7, max, None)
    ... except HandstyleError as error:
    ...     print(error)
    content=int: give a path, a PIL image or an array (H, W, 3) of 0 to 255
    """
    if isinstance(picture, np.ndarray | Picture):
        return read_picture(picture)
    if isinstance(picture, str | os.PathLike | Image.Image):
        return read_picture(picture, target=target, max_pixels=max_pixels)
    if hasattr(picture, "__array__"):  # of another library
        return read_picture(np.asarray(picture))
    raise HandstyleError(f"{name}={type(picture).__name__}: give a path, a PIL image or an array (H, W, 3) of 0 to 255")


def user_terms(terms: Any, network: Network, size: tuple[int, int]) -> list[Term]:
    """Return the terms that the caller has added to the objective, for a picture of height and width `size`.

    `terms` is a list of terms, or a function of network and size that returns one.

    Raises
    ------
    HandstyleError
        If a term lacks an attribute of `Term`, or its `tap` is not a layer of the network.

    Examples
    --------
    >>> from handstyle.losses.total_variation import VariationTerm
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network = build_network(random_weights())
    >>> [term.name for term in user_terms(lambda network, size: [VariationTerm(name="mine")], network, (32, 32))]
    ['mine']
    """
    found = terms(network, size) if callable(terms) else terms or ()
    if not isinstance(found, list | tuple):
        raise HandstyleError(f"terms={type(found).__name__}: give a list of terms, or a function that returns one")
    for term in found:
        if missing := [part for part in TERM if not hasattr(term, part)]:
            raise HandstyleError(f"terms={type(term).__name__}: a term has {', '.join(TERM)}; {missing[0]} is missing")
        if term.tap != PICTURE:
            check_layer(network, "terms", term.tap)
    return list(found)


def join_callbacks(callback: Any) -> Callable[[Any], None] | None:
    """Return a function that calls all given callbacks in order, or None if there are none.

    Examples
    --------
    >>> seen = []
    >>> join_callbacks([seen.append, lambda progress: seen.append(-progress)])(7)
    >>> seen
    [7, -7]
    """
    several = callback if isinstance(callback, list | tuple) else [callback] if callback is not None else []
    for one in several:
        if not callable(one):
            raise HandstyleError(f"callback={type(one).__name__}: give a function of one Progress, or a list of them")
    if len(several) < 2:
        return several[0] if several else None

    def all_of_them(progress: Any) -> None:
        for one in several:
            one(progress)

    return all_of_them


def _is_picture(value: Any) -> bool:
    return isinstance(value, np.ndarray | Image.Image | Picture)


def _as_mask(name: str, mask: Any) -> Any:
    if not isinstance(mask, np.ndarray) or mask.dtype == np.uint8:
        return mask
    if mask.dtype != bool and not (np.issubdtype(mask.dtype, np.floating) and 0 <= mask.min() <= mask.max() <= 1):
        raise HandstyleError(
            f"{name}: an array is a mask if it has booleans, floats from 0 to 1, or uint8 from 0 to 255"
        )
    return np.rint(mask * 255.0).astype(np.uint8)


def _file_of(name: str, picture: Any) -> str:
    read = read_picture(picture)
    path = _folder() / f"{name}-{hashlib.sha256(np.ascontiguousarray(read.pixels).tobytes()).hexdigest()[:12]}.png"
    if not path.exists():
        write_picture(path, read.pixels, read.alpha)
    return str(path)


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix=ARRAYS))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
