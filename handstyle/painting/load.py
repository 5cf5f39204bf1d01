"""Load a network by the name of its weights or from a file, with a backend and an engine to run it."""

import os
from dataclasses import replace
from pkgutil import resolve_name
from typing import Any

from handstyle.foundations.backend import Backend, choose_backend
from handstyle.foundations.errors import HandstyleError, OutOfMemoryError
from handstyle.network.digests import tensors_sha256
from handstyle.network.hdf5_file import ForeignFormatError
from handstyle.network.sequence import Network, Origin
from handstyle.network.vgg import Weights, build_network, random_weights
from handstyle.network.weights import EMBEDDED, find_weights, read_weights
from handstyle.optimize.objective import engine_of
from handstyle.painting.feature_scale import match_features
from handstyle.painting.presets import DEFAULT, PRESETS, Preset, rebuild, set_input_convention, unmet


def load_weights(name_or_path: str | os.PathLike[str] = EMBEDDED) -> Weights:
    """Load the weights of a network by name or from a file.

    Parameters
    ----------
    name_or_path : str or path
        ``vgg19-slim``, the small network that ships with the package; ``random``, random weights of the same shapes;
        ``vgg19`` or another name of ``handstyle weights list`` that ``handstyle weights get`` has downloaded; or a file
        of any format that ``handstyle weights convert`` reads, which is converted in memory.

    Returns
    -------
    Weights

    Raises
    ------
    HandstyleError
        If the weights are not on this machine (the message has the command that downloads them), or the file cannot be
        read.

    Examples
    --------
    >>> load_weights().architecture
    'vgg19'
    """
    if str(name_or_path) == "random":
        return random_weights()
    # The tools for weight files are imported when they are needed.
    path = find_weights(name_or_path) or resolve_name("weights_tools.registry:find")(name_or_path, others=["random"])
    try:
        return read_weights(path)
    except ForeignFormatError:
        weights: Weights = resolve_name("weights_tools.convert:load")(path).weights
        return weights


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
    """Load a network onto a device, with the engine that will run it.

    Parameters
    ----------
    name_or_path : str, path or Weights
        See `load_weights`.
    backend : {"auto", "numpy", "cupy"} or Backend
        The device.
    dtype : {"float32", "float64"}
        The dtype of weights and features. float64 is for checks.
    kernels : str
        The engine that runs the network, a name in `ENGINES`, such as ``reference``. ``auto`` is the fastest one: that
        of `handstyle.kernels.cpu` with NumPy, that of `handstyle.kernels.cuda` with CuPy.
    pooling : {"max", "average", "l2"}
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
        If the weights or the device are not available, or an option is unknown.

    Examples
    --------
    >>> network = load_network("random", backend="numpy", pooling="average")
    >>> network.names[:3]
    ('conv1_1', 'relu1_1', 'conv1_2')
    """
    if dtype not in ("float32", "float64"):
        raise HandstyleError(f"dtype={dtype!r}: use float32 or float64")
    if not isinstance(name_or_path, str | os.PathLike | Weights):
        raise HandstyleError(f"network={type(name_or_path).__name__}: give the name of one, a weight file, or Weights")
    if not isinstance(kernels, str):
        raise HandstyleError(f"kernels={type(kernels).__name__}: give a name, such as auto or reference")
    device = backend if isinstance(backend, Backend) else choose_backend(backend)
    weights = name_or_path if isinstance(name_or_path, Weights) else load_weights(name_or_path)
    origin = Origin("" if weights is name_or_path else str(name_or_path), tensors_sha256(weights))
    network = replace(build_network(weights, pooling, padding, rounding).astype(dtype), origin=origin)
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


def describe_precision(network: Network) -> str:
    """Return a description of the network's precision and of the methods of its engine, for the report.

    Examples
    --------
    >>> describe_precision(load_network("random", backend="numpy", dtype="float64", kernels="reference"))
    'float64'
    """
    engine = engine_of(network)
    name = "tf32 (float32, products with factors of 10 bits)" if engine.tf32 else str(network.dtype)
    return "; ".join(filter(None, (name, engine.describe())))


def fit_network(network: Network, chosen: Preset) -> tuple[Network, list[str]]:
    """Return a network with the pooling, padding, rounding, input and feature size that a preset requires.

    Parameters
    ----------
    network : Network
        Any network. The result has the same engine.
    chosen : Preset
        The preset, from `find_preset`. The preset ``handstyle`` has no requirements.

    Returns
    -------
    network : Network
    notes : list of str
        A sentence for each change, and for each requirement that this network cannot meet.

    Examples
    --------
    >>> from handstyle.network.vgg import random_weights
    >>> from handstyle.painting.presets import find_preset
    >>> network = load_network(random_weights(deepest="conv2_1"), backend="numpy")
    >>> network, notes = fit_network(network, find_preset("gatys"))
    >>> next(layer.kind for layer in network.layers if layer.name == "pool1"), len(notes)
    ('average', 3)
    """
    if preset_requirements(chosen) == {"preset": DEFAULT}:  # it has no requirements
        return network, []
    notes = [*unmet(network, chosen), *chosen.notes]
    network, done = match_features(rebuild(network, chosen.pooling, chosen.padding, chosen.rounding), chosen.features)
    if network.origin is not None:
        network = replace(network, origin=replace(network.origin, asked=preset_requirements(chosen)))
    return set_input_convention(network, chosen), [note for note in (*notes, done) if note]


def preset_requirements(chosen: Preset) -> dict[str, Any]:
    """Return a preset's name, and its requirements for the network that differ from the shipped preset of that name.

    Examples
    --------
    >>> from handstyle.painting.presets import find_preset
    >>> preset_requirements(find_preset("gatys"))  # as it is shipped
    {'preset': 'gatys'}
    """
    base, own = PRESETS.get(chosen.name, PRESETS[DEFAULT]), ("architecture", "convention", "input", "features")
    return {"preset": chosen.name or DEFAULT} | {
        key: getattr(chosen, key) for key in own if getattr(chosen, key) != getattr(base, key)
    }
