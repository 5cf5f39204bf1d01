"""Pictures as arrays: the network's conventions, and the affine map from a picture into them.

A picture is `(H, W, 3)`, RGB, on the scale 0 to 255, not clipped. A network was trained on something else: its
channels may be BGR, its scale 0 to 1, its mean subtracted. `Convention` says which, the weight file names the
convention, and `preprocess_forward` and `preprocess_backward` are the map into it and the adjoint of its linear part.
"""

from dataclasses import dataclass
from typing import Literal

from handstyle.foundations.backend import Array, namespace


@dataclass(frozen=True)
class Convention:
    """What a network expects of its input.

    Attributes
    ----------
    name : str
        The name that a weight file records.
    order : {"BGR", "RGB"}
        The order of the channels.
    scale : float
        The value of white: 255 or 1.
    mean, std : tuple of float
        Subtracted from, then divided into, each channel; in the order of the channels, on the scale of `scale`.
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
    """Lead a picture into a network's convention.

    Parameters
    ----------
    p : (H, W, 3) array of float
        RGB, 0 to 255, not necessarily within.
    convention : Convention
        What the network expects.

    Returns
    -------
    (H, W, 3) array
        `(s p[order] - mean) / std` with `s = scale / 255`; the dtype of `p`, contiguous.

    Notes
    -----
    The Caffe means are those of the VGG authors' model card (Simonyan and Zisserman, "Very Deep Convolutional
    Networks for Large-Scale Image Recognition", 2015; ILSVRC training set, BGR). The other convention is that of
    torchvision's ImageNet models.
    """
    xp = namespace(p)
    mean = xp.asarray(convention.mean, dtype=p.dtype)
    std = xp.asarray(convention.std, dtype=p.dtype)
    return (_reorder(p, convention) * (convention.scale / 255.0) - mean) / std


def preprocess_backward(dx: Array, convention: Convention) -> Array:  # (H, W, 3) -> (H, W, 3)
    """Lead a gradient from the network's input back to the picture.

    Parameters
    ----------
    dx : (H, W, 3) array of float
        The gradient with respect to the output of `preprocess_forward`.
    convention : Convention
        The same as forward.

    Returns
    -------
    (H, W, 3) array
        The gradient with respect to the picture: `s dx / std`, back in RGB. The mean is a constant and leaves no trace.
    """
    xp = namespace(dx)
    std = xp.asarray(convention.std, dtype=dx.dtype)
    return _reorder(dx / std * (convention.scale / 255.0), convention)


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
    """
    xp = namespace(x)
    mean = xp.asarray(convention.mean, dtype=x.dtype)
    std = xp.asarray(convention.std, dtype=x.dtype)
    return _reorder((x * std + mean) * (255.0 / convention.scale), convention)


def _reorder(x: Array, convention: Convention) -> Array:  # (H, W, 3) -> (H, W, 3)
    # RGB to BGR is its own inverse and its own adjoint. A negative stride would leak into every later kernel.
    return namespace(x).ascontiguousarray(x[..., ::-1]) if convention.order == "BGR" else x
