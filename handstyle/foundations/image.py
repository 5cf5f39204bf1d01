"""Pictures as arrays: the network's conventions, the affine map from a picture into them, and resampling.

A picture is `(H, W, 3)`, RGB, on the scale 0 to 255, not clipped. A network was trained on something else:
its channels may be BGR, its scale 0 to 1, its mean subtracted. `Convention` says which, the weight file names
the convention, and `preprocess_forward` and `preprocess_backward` are the map into it and the adjoint of its
linear part. Resampling happens once, on the host, before the first evaluation; no gradient passes through it.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from PIL import Image

from handstyle.foundations.backend import Array, namespace
from handstyle.foundations.errors import HandstyleError

MIN_SIDE = 16  # px; four poolings leave one value
Size = tuple[int, int]  # height and width of a picture, px


@dataclass(frozen=True)
class Convention:
    """The input that a network expects: the order, the scale, the mean and the deviation of its channels.

    Attributes
    ----------
    name : str
        The name that a weight file records.
    order : {"BGR", "RGB"}
        The order of the channels.
    scale : float
        The value of white: 255 or 1.
    mean, std : tuple of float
        The mean is subtracted from each channel, which is then divided by `std`; in the order of the channels, on the
        scale of `scale`.

    Examples
    --------
    >>> CAFFE.order, CAFFE.scale, CAFFE.mean
    ('BGR', 255.0, (103.939, 116.779, 123.68))
    >>> gray = np.full((1, 1, 3), 128.0)
    >>> preprocess_forward(gray, CAFFE).ravel().round(2).tolist()  # 128 minus the mean of each channel
    [24.06, 11.22, 4.32]
    """

    name: str
    order: Literal["BGR", "RGB"]
    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)


CAFFE = Convention("caffe", "BGR", 255.0, (103.939, 116.779, 123.68))
TORCHVISION = Convention("torchvision", "RGB", 1.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CONVENTIONS = {convention.name: convention for convention in (CAFFE, TORCHVISION)}


def preprocess_forward(p: Array, convention: Convention) -> Array:  # (H, W, 3) -> (H, W, 3)
    """Convert RGB to the network's input convention.

    Parameters
    ----------
    p : (H, W, 3) array of float
        RGB, on the scale 0 to 255; values may lie outside.
    convention : Convention
        What the network expects.

    Returns
    -------
    (H, W, 3) array
        `(s p[order] - mean) / std` with `s = scale / 255`; the dtype of `p`, contiguous.

    See Also
    --------
    preprocess_backward : The gradient at the picture.

    Notes
    -----
    The Caffe means are those of the VGG authors' model card (Simonyan and Zisserman, "Very Deep
    Convolutional Networks for Large-Scale Image Recognition", 2015; ILSVRC training set, BGR). The other
    convention is that of torchvision's ImageNet models.

    Examples
    --------
    >>> import numpy as np
    >>> p = np.array([[[255.0, 0.0, 0.0]]])  # red
    >>> preprocess_forward(p, CAFFE).round(3)  # blue, green, red
    array([[[-103.939, -116.779,  131.32 ]]])
    """
    mean, std = _channel_constants(convention, p)
    x: Array = (reorder_channels(p, convention) * (convention.scale / 255.0) - mean) / std  # book: image-forward
    return x


def preprocess_backward(dx: Array, convention: Convention) -> Array:  # (H, W, 3) -> (H, W, 3)
    """Convert a gradient at the network's input to a gradient at the RGB picture.

    Parameters
    ----------
    dx : (H, W, 3) array of float
        The gradient with respect to the output of `preprocess_forward`.
    convention : Convention
        That of the forward call.

    Returns
    -------
    (H, W, 3) array
        The gradient with respect to the picture: `s dx / std`, back in RGB. The mean is a constant and has
        no part in it.

    See Also
    --------
    preprocess_forward : The forward function.

    Examples
    --------
    >>> import numpy as np
    >>> preprocess_backward(np.array([[[1.0, 2.0, 3.0]]]), CAFFE)
    array([[[3., 2., 1.]]])
    """
    _, std = _channel_constants(convention, dx)
    # Reversing the channels undoes itself, so the same function leads both ways.
    return reorder_channels(dx / std * (convention.scale / 255.0), convention)  # book: image-backward


def deprocess(x: Array, convention: Convention) -> Array:  # (H, W, 3) -> (H, W, 3)
    """Invert `preprocess_forward`: the picture whose network input is `x`, not clipped.

    Parameters
    ----------
    x : (H, W, 3) array of float
        A network input.
    convention : Convention
        The convention of `x`.

    Returns
    -------
    (H, W, 3) array
        RGB, 0 to 255.

    Examples
    --------
    >>> import numpy as np
    >>> p = np.array([[[255.0, 128.0, 0.0]]])
    >>> deprocess(preprocess_forward(p, TORCHVISION), TORCHVISION).round(9)
    array([[[255., 128.,   0.]]])
    """
    mean, std = _channel_constants(convention, x)
    return reorder_channels((x * std + mean) * (255.0 / convention.scale), convention)


def reorder_channels(a: Array, convention: Convention) -> Array:  # (H, W, 3) -> (H, W, 3)
    """Return an RGB array in the order of a convention's channels, or the reverse; contiguous if the orders differ.

    Examples
    --------
    >>> reorder_channels(np.array([[[1.0, 2.0, 3.0]]]), CAFFE).ravel().tolist()
    [3.0, 2.0, 1.0]
    """
    return a if convention.order == "RGB" else a[..., ::-1].copy()


def channel_order(convention: Convention) -> list[int]:
    """Return the picture's channel, red 0 to blue 2, for each channel of the network's input.

    Examples
    --------
    >>> channel_order(CAFFE), channel_order(TORCHVISION)
    ([2, 1, 0], [0, 1, 2])
    """
    return [0, 1, 2] if convention.order == "RGB" else [2, 1, 0]


def _channel_constants(convention: Convention, like: Array) -> tuple[Array, Array]:  # -> (3,), (3,)
    xp = namespace(like)
    return xp.asarray(convention.mean, dtype=like.dtype), xp.asarray(convention.std, dtype=like.dtype)


def resize(pixels: np.ndarray[Any, Any], size: tuple[int, int]) -> np.ndarray[Any, Any]:
    # (H, W, C) or (H, W), (h, w) -> (h, w, C) or (h, w)
    """Resample a picture, or one plane such as its alpha, on the host.

    Parameters
    ----------
    pixels : (H, W, C) or (H, W) array of float
        The picture or the plane, on any scale.
    size : (int, int)
        The new height and width, at least 1.

    Returns
    -------
    (h, w, C) or (h, w) array
        Of the dtype of `pixels`; computed in float32, so that nothing is rounded to 8 bits.

    Notes
    -----
    Lanczos with three lobes, whose support grows with the factor of reduction, so that every
    source pixel counts and nothing aliases (Pillow's `resize`). The filter overshoots at edges; the result is
    held within the range that each channel had. Values are averaged as they are encoded, in sRGB, as every
    code that trained these networks did.

    Examples
    --------
    >>> import numpy as np
    >>> resize(np.full((4, 6, 3), 7.0), (2, 3)).shape
    (2, 3, 3)
    """
    height, width = size
    if pixels.shape[:2] == (height, width):
        return pixels.copy()
    planes = pixels[..., None] if pixels.ndim == 2 else pixels
    out = np.empty((height, width, planes.shape[2]), dtype=pixels.dtype)
    for c in range(planes.shape[2]):
        plane = np.ascontiguousarray(planes[..., c], dtype=np.float32)
        resampled = np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.LANCZOS))
        out[..., c] = np.clip(resampled, plane.min(), plane.max())
    return out[..., 0] if pixels.ndim == 2 else out


def fitted_size(size: tuple[int, int], n: int, enlarge: bool = False, name: str = "the picture") -> tuple[int, int]:
    """Return the height and width whose long side is `n`, in the same proportions.

    Parameters
    ----------
    size : (int, int)
        Height and width, px.
    n : int
        The length of the long side of the result, px.
    enlarge : bool
        Whether a picture smaller than `n` is enlarged; otherwise it keeps its size.
    name : str
        The word for the picture in the error.

    Returns
    -------
    (int, int)
        Height and width, px.

    Raises
    ------
    HandstyleError
        If a side would fall below 16 px.

    Examples
    --------
    >>> fitted_size((600, 800), 400), fitted_size((60, 80), 400), fitted_size((60, 80), 400, enlarge=True)
    ((300, 400), (60, 80), (300, 400))
    """
    height, width = size
    if n < 1:
        raise HandstyleError(f"size {n} is not a number of pixels: give the long side, at least {MIN_SIDE}")
    factor = n / max(height, width)
    if factor > 1 and not enlarge:
        factor = 1.0
    fitted = max(1, int(height * factor + 0.5)), max(1, int(width * factor + 0.5))
    if min(fitted) < MIN_SIDE:
        raise HandstyleError(
            f"{name} is {width} x {height} px and would be used at {fitted[1]} x {fitted[0]}: "
            f"each side needs at least {MIN_SIDE} px; "
            + ("take a larger size" if min(size) >= MIN_SIDE else "take a larger picture")
        )
    return fitted


def fit_long_side(
    pixels: np.ndarray[Any, Any], n: int, enlarge: bool = False, name: str = "the picture"
) -> np.ndarray[Any, Any]:  # (H, W, C) or (H, W) -> (h, w, C) or (h, w)
    """Resample so that the long side is `n` px; `fitted_size` and `resize` in one call.

    Parameters
    ----------
    pixels : (H, W, C) or (H, W) array of float
        The picture or the plane, on any scale.
    n, enlarge, name
        As in `fitted_size`.

    Returns
    -------
    (h, w, C) or (h, w) array
        Of the dtype of `pixels`.

    Raises
    ------
    HandstyleError
        If a side would fall below 16 px.

    Examples
    --------
    >>> import numpy as np
    >>> fit_long_side(np.zeros((600, 800, 3)), 400).shape
    (300, 400, 3)
    """
    height, width = pixels.shape[:2]
    return resize(pixels, fitted_size((height, width), n, enlarge, name))
