"""Digests: of a file, and of the values with which a network computes."""

import hashlib
import os

import numpy as np

from handstyle.network.vgg import Weights


def tensors_sha256(weights: Weights) -> str:
    """Return the sha256 of what a network computes with: its architecture, its convention, and every value as float32.

    Examples
    --------
    >>> from handstyle.network.vgg import random_weights
    >>> tensors_sha256(random_weights(seed=0)) == tensors_sha256(random_weights(seed=1))
    False
    """
    digest = hashlib.sha256(f"{weights.architecture} {weights.convention}".encode())
    for name in sorted(weights.layers):
        for values in weights.layers[name]:
            digest.update(f" {name} {values.shape} ".encode())
            digest.update(np.ascontiguousarray(values, "<f4").data)
    return digest.hexdigest()


def sha256(path: str | os.PathLike[str]) -> str:
    """Return the sha256 of a file, in hexadecimal: its fingerprint in reports and registries.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     sha256(file.name)[:8]  # of no byte
    'e3b0c442'
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
