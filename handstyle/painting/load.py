"""From a name or a file to a network that is ready to run."""

import os
from importlib.resources import as_file, files
from pathlib import Path

from handstyle.foundations.backend import Backend, choose_backend
from handstyle.foundations.errors import HandstyleError, OutOfMemoryError
from handstyle.network.vgg import Network, Weights, build_network, random_weights
from handstyle.network.weights import read_weights
from handstyle.optimize.objective import engine_of

EMBEDDED = "vgg19-slim"


def load_weights(name_or_path: str | os.PathLike[str] = EMBEDDED) -> Weights:
    """Find weights by name, or read them from a file.

    Parameters
    ----------
    name_or_path : str or path
        ``vgg19-slim``, the small network that ships with the package; ``random``, the same shape with weights that have
        learnt nothing; ``vgg19`` or another name of ``handstyle weights list``, once ``get`` has fetched it; or a file.

    Returns
    -------
    Weights

    Raises
    ------
    HandstyleError
        If there are none to be had, with the command that gets them.
    """
    name = str(name_or_path)
    if name == "random":
        return random_weights()
    if name == EMBEDDED:
        with as_file(files("handstyle") / "data" / f"{EMBEDDED}.h5") as path:
            return read_weights(path)
    path = Path(name)
    if not path.is_file() and not path.suffix and len(path.parts) == 1:
        from weights_tools.registry import ENTRIES, locate  # a tool for downloads, which painting itself does not need

        if name not in ENTRIES:
            known = ", ".join((EMBEDDED, "random", *ENTRIES))
            raise HandstyleError(f"unknown weights {name!r}: use {known}, or the path of a file")
        found = locate(name)
        if found is None:
            raise HandstyleError(f"weights {name} are not on this machine: handstyle weights get {name}")
        return read_weights(found)
    return read_weights(name)


def load_network(
    name_or_path: str | os.PathLike[str] | Weights = EMBEDDED,
    *,
    backend: str | Backend = "auto",
    dtype: str = "float32",
    kernels: str = "auto",
    pooling: str = "max",
    padding: str = "zero",
    rounding: str = "down",
) -> Network:
    """Load a network and put it where it shall run.

    Parameters
    ----------
    name_or_path : str, path or Weights
        See `load_weights`.
    backend : {"auto", "numpy", "cupy"} or Backend
        The device.
    dtype : {"float32", "float64"}
        Of weights and features. float64 is for checks.
    kernels : str
        A name in `ENGINES`, or ``auto``: the fused kernels on a processor, the CUDA kernels on a GPU.
    pooling : {"max", "average"}
        See `build_network`.
    padding : {"zero", "reflect", "replicate"}
        See `build_network`.
    rounding : {"down", "up"}
        See `build_network`.

    Returns
    -------
    Network

    Raises
    ------
    HandstyleError
        If the weights or the device cannot be had, or an option is unknown.
    """
    if dtype not in ("float32", "float64"):
        raise HandstyleError(f"unknown precision {dtype!r}: use float32 or float64")
    device = backend if isinstance(backend, Backend) else choose_backend(backend)
    weights = name_or_path if isinstance(name_or_path, Weights) else load_weights(name_or_path)
    network = build_network(weights, pooling, padding, rounding).astype(dtype)
    try:
        network = network.to(device)
    except MemoryError as error:
        free = device.free_memory() / 2**20
        raise OutOfMemoryError(
            f"the weights do not fit {device.device}, {free:.0f} MiB are free: use network={EMBEDDED!r}, or "
            f"backend='numpy' ({error})"
        ) from None
    if kernels == "auto":
        kernels = {"numpy": "auto", "cupy": "cuda"}.get(device.name, "reference")
    return network.with_kernels(kernels)


def precision_of(network: Network) -> str:
    """Return what the network computes in, and how its engine did it, for the report."""
    tf32 = network.engine.name.endswith("tf32")
    name = "tf32 (float32, products with factors of 10 bits)" if tf32 else str(network.dtype)
    described = engine_of(network).describe()
    return f"{name}; {described}" if described else name
