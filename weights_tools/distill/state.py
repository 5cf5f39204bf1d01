"""Settings, state and checkpoint file of a distillation run."""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from handstyle.foundations.atomic_file import replace_file
from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from handstyle.network.vgg import Weights
from handstyle.network.weights import write_weights
from weights_tools.distill.sweep import Parameters
from weights_tools.fingerprint import with_fingerprint


@dataclass(frozen=True)
class TrainingSettings:
    """The settings of a training run, which determine its result.

    Parameters
    ----------
    widths : dict of str to int
        Channels of each convolution.
    steps : int
        Steps of Adam.
    restarts : tuple of int
        The steps at which the step length begins anew, at half of the first (warm restarts: Loshchilov and Hutter 2017,
        arXiv 1608.03983).
    learns_from : str
        The first convolution that Adam trains. Those before it keep the closed-form fit, and their output is computed
        once for each picture.
    size : int
        Side of the training pictures, px.
    pictures : int
        Pictures of the first, closed-form fit, drawn or photographed.
    judges : int
        How many of them are held out to choose the strength of the prior; see `prune`.
    paintings : int
        Practice paintings before the second fit, which includes their intermediate pictures.
    pool : int
        Number of pictures that are kept in memory with the teacher's features.
    batch : int
        Pictures of a step.
    fresh : int
        Steps after which one picture of the pool is replaced.
    practice : int
        Steps after which the network paints two pairs, whose intermediate pictures go into the pool.
    rate : float
        The first step length, relative to each array's root mean square; falls to 0 along a cosine before each restart
        and the end.
    gram_weight : float
        The weight of the Gram loss; see `match_forward`.
    photographs : bool
        Whether scikit-image's photographs are used, or drawn pictures alone.
    seed : int
        The seed of all random numbers.

    Examples
    --------
    >>> settings = TrainingSettings({"conv1_1": 24}, steps=100, restarts=())
    >>> settings.batch * settings.steps  # pictures on which the network is trained, with repetitions
    400
    """

    widths: dict[str, int]
    steps: int = 3500
    restarts: tuple[int, ...] = (2000, 2500)
    learns_from: str = "conv1_1"
    size: int = 160
    pictures: int = 240
    judges: int = 32
    paintings: int = 16
    pool: int = 240
    batch: int = 4
    fresh: int = 2
    practice: int = 50
    rate: float = 4e-3
    gram_weight: float = 1.0
    photographs: bool = True
    seed: int = 0


@dataclass
class State:
    """The state of a training run, which its checkpoint holds.

    Parameters
    ----------
    step : int
        Steps so far.
    parameters : dict of str to array
        ``conv1_1/w``, ``conv1_1/b``, … and ``relu1_1/decoder``, ….
    rates : dict of str to float
        The initial step length of each parameter: `TrainingSettings.rate` times its root mean square.
    first, second : dict of str to array
        Adam's moments.
    pool : list of (size, size, 3) array
        The pictures of the pool.
    waiting : list of (size, size, 3) array
        Pictures painted by the network, not yet in the pool.

    Examples
    --------
    >>> w = np.ones((3, 3, 3, 2), np.float32)
    >>> zeros = {"conv1_1/w": np.zeros_like(w)}
    >>> state = State(0, {"conv1_1/w": w}, {"conv1_1/w": 4e-3}, zeros, dict(zeros), pool=[])
    >>> state.step, state.waiting
    (0, [])
    """

    step: int
    parameters: Parameters
    rates: dict[str, float]
    first: Parameters
    second: Parameters
    pool: list[Array]
    waiting: list[Array] = field(default_factory=list)


def small_weights(parameters: Parameters, convention: str, provenance: dict[str, str]) -> Weights:
    """Return the small network's kernels and biases, without the decoders, as `Weights`.

    Examples
    --------
    >>> parameters = {"conv1_1/w": np.ones((3, 3, 3, 2)), "conv1_1/b": np.zeros(2), "relu1_1/decoder": np.eye(2)}
    >>> list(small_weights(parameters, "caffe", {}).layers)
    ['conv1_1']
    """
    names = [key.removesuffix("/w") for key in parameters if key.endswith("/w")]
    layers = {name: (parameters[f"{name}/w"], parameters[f"{name}/b"]) for name in names}
    return Weights("vgg19", convention, layers, provenance)


def round_weights(weights: Weights, bits: int = 4) -> Weights:
    """Return weights whose kernels are rounded to half precision with `bits` bits of fraction.

    Deflate packs such values into about eight bits each. The sum of the squared errors is about 2e-4 of that of the
    kernels.

    Examples
    --------
    >>> w = np.full((3, 3, 3, 1), 0.7, np.float32)
    >>> rounded = round_weights(Weights("vgg19", "caffe", {"conv1_1": (w, np.zeros(1, np.float32))}, {}))
    >>> float(rounded.layers["conv1_1"][0][0, 0, 0, 0])  # 22 / 32
    0.6875
    """

    def round_kernels(w: Array) -> Array:
        fraction, exponent = np.frexp(w.astype(np.float16).astype(np.float32))  # fraction from 0.5 to 1
        few: Array = np.ldexp(np.round(np.ldexp(fraction, bits + 1)), exponent - bits - 1)
        return few

    return replace(weights, layers={name: (round_kernels(w), b) for name, (w, b) in weights.layers.items()})


def write_network(path: Path, weights: Weights) -> None:
    """Write a small network with its fingerprint, in half precision and compressed.

    Examples
    --------
    >>> import tempfile
    >>> from handstyle.network.vgg import random_weights
    >>> from handstyle.network.weights import read_weights
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_network(Path(folder, "slim.h5"), random_weights(deepest="conv1_2"))
    ...     list(read_weights(Path(folder, "slim.h5")).layers)
    ['conv1_1', 'conv1_2']
    """
    write_weights(path, with_fingerprint(weights, np.float16), np.float16, compressed=True)


def write_state(path: Path, state: State, settings: TrainingSettings) -> None:
    """Write a checkpoint; an older one is replaced only when the new file is complete.

    Examples
    --------
    >>> import tempfile
    >>> state, settings = State(7, {"conv1_1/b": np.ones(2)}, {}, {}, {}, pool=[]), TrainingSettings({"conv1_1": 2})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "distill.npz")
    ...     write_state(path, state, settings)
    ...     write_state(path, state, settings)  # replaces the first
    ...     [file.name for file in Path(folder).iterdir()]
    ['distill.npz']
    """
    arrays = {f"pool/{i}": p for i, p in enumerate(state.pool)} | {f"wait/{i}": p for i, p in enumerate(state.waiting)}
    for kind, group in (("now", state.parameters), ("first", state.first), ("second", state.second)):
        arrays |= {f"{kind}:{name}": a for name, a in group.items()}
    about = {"step": state.step, "rates": state.rates, "settings": asdict(settings)}
    told = np.array(json.dumps(about))
    replace_file(path, lambda file: np.savez(file, allow_pickle=False, about=told, **arrays))


def read_state(path: Path, settings: TrainingSettings) -> State:
    """Read a checkpoint.

    Raises
    ------
    HandstyleError
        If the checkpoint was written with other settings.

    Examples
    --------
    >>> import tempfile
    >>> state, settings = State(7, {"conv1_1/b": np.ones(2)}, {}, {}, {}, pool=[]), TrainingSettings({"conv1_1": 2})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "distill.npz")
    ...     write_state(path, state, settings)
    ...     again = read_state(path, settings)
    >>> again.step, again.parameters
    (7, {'conv1_1/b': array([1., 1.])})
    """
    with np.load(path) as file:
        about = json.loads(str(file["about"]))
        if about["settings"] != json.loads(json.dumps(asdict(settings))):  # as JSON has it: a tuple is a list
            raise HandstyleError(f"{path}: a checkpoint of other settings; remove it, or give the same settings")
        groups = {
            kind: {key.removeprefix(f"{kind}:"): file[key] for key in file.files if key.startswith(f"{kind}:")}
            for kind in ("now", "first", "second")
        }
        pictures = {
            kind: [file[f"{kind}/{i}"] for i in range(sum(key.startswith(f"{kind}/") for key in file.files))]
            for kind in ("pool", "wait")
        }
    return State(about["step"], groups["now"], about["rates"], groups["first"], groups["second"], *pictures.values())
