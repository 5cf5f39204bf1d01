"""Published networks by name: what each is, where it lies, which digest is known; and where they are kept here."""

import difflib
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from handstyle.foundations.errors import HandstyleError
from handstyle.network.weights import EMBEDDED, cache_folder, find_weights
from weights_tools.known import OXFORD, TORCHVISION


@dataclass(frozen=True)
class Entry:
    """A published file.

    Parameters
    ----------
    name : str
        What a user types.
    network, convention, licence : str
        For people.
    urls : tuple of str
        In the order of trial; the last part of the first is the file's name.
    digest : str or None
        ``md5:…`` or ``sha256:…``; fewer digits than the algorithm has are the first ones. None: not known for
        certain, so that only the self-test judges the file.
    size : int or None
        About, bytes.
    title : str or None
        The title in `weights_tools.known` that the file must be recognized as, where no digest is known.
    """

    name: str
    network: str
    convention: str
    licence: str
    urls: tuple[str, ...]
    digest: str | None = None
    size: int | None = None
    title: str | None = None

    @property
    def file(self) -> str:
        """The name of the file as published."""
        return self.urls[0].rpartition("/")[2]


_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications"
_CHOLLET = "https://github.com/fchollet/deep-learning-models/releases/download/v0.1"
_CAFFE16, _CAFFE19 = (f"VGG-{n} of the Visual Geometry Group (Caffe)" for n in (16, 19))


def _keras(
    number: int, kind: str, digest: str | None, size: int | None
) -> tuple[tuple[str, ...], str | None, int | None]:
    file = f"vgg{number}_weights_{kind}.h5"
    return (f"{_KERAS}/vgg{number}/{file}", f"{_CHOLLET}/{file}"), digest, size


_TF, _TOP = "tf_dim_ordering_tf_kernels_notop", "tf_dim_ordering_tf_kernels"
_TH = "th_dim_ordering_th_kernels_notop"
# fmt: off
_entries = (
    Entry("vgg16", "VGG-16, Keras", "caffe", OXFORD,
          *_keras(16, _TF, "md5:6d6bbae143d832006294945121d1f1fc", 59_000_000), _CAFFE16),
    Entry("vgg19", "VGG-19, Keras", "caffe", OXFORD,
          *_keras(19, _TF, "md5:253f8cb515780f3b799900260a226db6", 80_000_000), _CAFFE19),
    Entry("vgg16-keras-top", "VGG-16, Keras, with its classifier", "caffe", OXFORD,
          *_keras(16, _TOP, "md5:64373286793e3c8b2b4e3219cbf3544b", None), _CAFFE16),
    Entry("vgg19-keras-top", "VGG-19, Keras, with its classifier", "caffe", OXFORD,
          *_keras(19, _TOP, "md5:cbe5617147190e668d6c5d5026f83318", None), _CAFFE19),
    Entry("vgg16-theano", "VGG-16, Keras, Theano's ordering", "caffe", OXFORD,
          (f"{_CHOLLET}/vgg16_weights_{_TH}.h5",), None, None, _CAFFE16),
    Entry("vgg19-theano", "VGG-19, Keras, Theano's ordering", "caffe", OXFORD,
          (f"{_CHOLLET}/vgg19_weights_{_TH}.h5",), None, None, _CAFFE19),
    Entry("vgg16-torchvision", "VGG-16, torchvision", "torchvision", TORCHVISION,
          ("https://download.pytorch.org/models/vgg16-397923af.pth",),
          "sha256:397923af", None, "VGG-16 of torchvision"),
    Entry("vgg19-torchvision", "VGG-19, torchvision", "torchvision", TORCHVISION,
          ("https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",),
          "sha256:dcbb9e9d", None, "VGG-19 of torchvision"),
    Entry("vgg16-caffe-pth", "VGG-16, Caffe's weights for PyTorch", "caffe", OXFORD,
          ("https://web.eecs.umich.edu/~justincj/models/vgg16-00b39a1b.pth",), "sha256:00b39a1b", None, _CAFFE16),
    Entry("vgg19-caffe-pth", "VGG-19, Caffe's weights for PyTorch", "caffe", OXFORD,
          ("https://web.eecs.umich.edu/~justincj/models/vgg19-d01eb7cb.pth",), "sha256:d01eb7cb", None, _CAFFE19),
    Entry("vgg19-matconvnet", "VGG-19, MatConvNet", "caffe", OXFORD,
          ("https://www.vlfeat.org/matconvnet/models/imagenet-vgg-verydeep-19.mat",),
          "sha256:abdb57167f82a2a1fbab1e1c16ad9373411883f262a1a37ee5db2e6fb0044695", None, _CAFFE19),
    Entry("vgg16-caffe", "VGG-16, Caffe", "caffe", OXFORD,
          ("http://www.robots.ox.ac.uk/~vgg/software/very_deep/caffe/VGG_ILSVRC_16_layers.caffemodel",),
          None, None, _CAFFE16),
    Entry("vgg19-caffe", "VGG-19, Caffe", "caffe", OXFORD,
          ("http://www.robots.ox.ac.uk/~vgg/software/very_deep/caffe/VGG_ILSVRC_19_layers.caffemodel",),
          None, None, _CAFFE19),
    Entry("vgg19-normalized", "VGG-19, rescaled by Gatys, Caffe; its host is gone", "caffe",
          "academic and non-commercial, by some headers of the code that uses it",
          ("https://bethgelab.org/media/uploads/deeptextures/vgg_normalised.caffemodel",)),
)
# fmt: on
ENTRIES = {entry.name: entry for entry in _entries}


def entry(name: str) -> Entry:
    """Return the entry of a name, or raise `HandstyleError` that lists the names."""
    if name not in ENTRIES:
        raise HandstyleError(f"unknown network {name!r}: use {', '.join(ENTRIES)}")
    return ENTRIES[name]


def locate(name: str) -> Path | None:
    """Return the native file of a published network, or None if it is not installed.

    Parameters
    ----------
    name : str
        In `ENTRIES`.
    """
    try:
        path = cache_folder() / f"{entry(name).name}.h5"
    except HandstyleError:
        if name in ENTRIES:  # there is no home folder, so nothing is installed
            return None
        raise
    return path if path.is_file() else None


def find(name_or_path: str | os.PathLike[str], others: Sequence[str] = ()) -> Path:
    """Return the file that a user means.

    Parameters
    ----------
    name_or_path : str or path
        ``vgg19-slim``, the network that ships; a name in `ENTRIES`, if it is installed; or a file, which goes first.
    others : sequence of str
        Further names that the caller takes, for the message of the error.

    Returns
    -------
    Path

    Raises
    ------
    HandstyleError
        If it is none of them: with the command that installs it, or the names to choose from.

    Examples
    --------
    >>> find("vgg19-slim").name
    'vgg19-slim.h5'
    """
    if found := find_weights(name_or_path):
        return found
    name, path = str(name_or_path), Path(name_or_path)
    if name in ENTRIES:
        raise HandstyleError(f"{name} is not on this machine: handstyle weights get {name}")
    if path.suffix or len(path.parts) > 1:
        raise HandstyleError(f"{path}: no such weight file")
    near = difflib.get_close_matches(name, (EMBEDDED, *others, *ENTRIES), 1)
    hint = f"did you mean {near[0]}? " if near else ""
    names = ", ".join((EMBEDDED, *others, *ENTRIES))
    raise HandstyleError(f"{name}: no such file, and no network of that name; {hint}use {names}")


def check_digest(path: Path, digest: str | None) -> None:
    """Raise `HandstyleError` with both digests unless a file has the one that is known."""
    if digest is None:
        return
    algorithm, _, expected = digest.partition(":")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, algorithm).hexdigest()
    if not found.startswith(expected):
        begins = "begins with " if len(expected) < len(found) else ""
        raise HandstyleError(f"its {algorithm} is {found}, the published one {begins}{expected}")
