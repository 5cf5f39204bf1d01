"""What painting at a size takes of a GPU's memory, by optimizer; known before there is a GPU.

The forecast is that of ``kernels/cuda/forecast.py``, with what surrounds an evaluation added.
"""

from dataclasses import dataclass, replace
from functools import cache

from handstyle.kernels.cuda import convolution as cuda_convolution
from handstyle.kernels.cuda.engine import CudaEngine
from handstyle.kernels.cuda.forecast import DryRun, dry_run, largest, measuring_room
from handstyle.network.sequence import Convolution
from handstyle.network.vgg import Network, summary
from handstyle.optimize.lbfgsb import most_memory
from handstyle.painting.config import StyleConfig

Size = tuple[int, int]
# Beside what a sweep takes to measure a painting: it, the network's view of it, and what is made on the way there.
MEASURED_PICTURES = 4
SCRATCH = (cuda_convolution.SCRATCH, 1 << 24)  # bytes that a convolution may use beside its maps, the fastest first


@dataclass(frozen=True)
class Need:
    """Bytes that painting at a size takes.

    Parameters
    ----------
    evaluation, targets, weights, optimizer : int
        On the device.
    host : int
        On the host, for SciPy's optimizer.
    run : DryRun
        What the evaluation asks for.
    """

    evaluation: int
    targets: int
    weights: int
    optimizer: int
    host: int
    run: DryRun

    @property
    def device(self) -> int:
        """Bytes on the device, the weights among them."""
        return self.evaluation + self.targets + self.weights + self.optimizer


def device_need(
    network: Network, config: StyleConfig, size: Size, scratch: int = SCRATCH[0], precision: str = ""
) -> Need:
    """Say what painting at a size takes on a GPU, without one.

    Parameters
    ----------
    network : Network
        On any backend; its engine says the precision.
    config : StyleConfig
        Layers, optimizer, its memory and the number of regions.
    size : (int, int)
        Height and width of the picture, pixels.
    scratch : int
        Bytes that a convolution may use.
    precision : str
        In place of the engine's.

    Returns
    -------
    Need
    """
    style = config.style_layers if config.style_weight or config.means_weight else ()
    content = config.content_layers if config.content_weight else ()
    taps, item, engine = {*style, *content}, network.dtype.itemsize, network.engine
    if not precision:
        precision = engine.device.precision if isinstance(engine, CudaEngine) else "float32"
    run = dry_run(network.layers, size, taps, content, network.dtype, precision, scratch) if taps else DryRun(0, {})
    shapes = {row.name: row.shape for row in summary(network, *size) if row.name in taps}
    targets = sum(item * shapes[tap][0] * shapes[tap][1] * shapes[tap][2] for tap in content)
    regions = max(len(config.mask), 1)
    targets += regions * sum(2 * 8 * shapes[tap][2] * (shapes[tap][2] + 1) for tap in style)
    if config.mask:
        targets += len(config.mask) * sum(item * shapes[tap][0] * shapes[tap][1] for tap in style)
    weights = sum(layer.w.nbytes + layer.b.nbytes for layer in network.layers if isinstance(layer, Convolution))
    n = 3 * size[0] * size[1]
    vectors = (
        6 if config.tv_weight or config.range_weight else 2
    )  # differences of neighbours and the picture's gradient
    evaluation = max(run.peak, vectors * item * n)
    return Need(evaluation, targets, weights, optimizer_bytes(config, n, item), host_bytes(config, n), run)


def measuring_bytes(network: Network, config: StyleConfig, size: Size) -> int:
    """Say what measuring a painting's style takes on a GPU, beside the weights and what has been measured.

    Parameters
    ----------
    network : Network
        With an engine on a GPU.
    config : StyleConfig
        Layers.
    size : (int, int)
        At which the painting is measured.

    Returns
    -------
    int
        At the size of the output this is less than the painting itself takes.
    """
    engine = network.engine
    assert isinstance(engine, CudaEngine)
    rooms = (measuring_room(engine, network.layers, size, tap, network.dtype).size for tap in config.style_layers)
    return max(rooms, default=0) + MEASURED_PICTURES * 3 * size[0] * size[1] * network.dtype.itemsize


def vectors_on_device(config: StyleConfig) -> int:
    """Return how many vectors the optimizer holds on the device during an evaluation, beside the picture."""
    if config.optimizer in ("lbfgs", "lbfgs-fixed"):
        # The gradient, a step and a difference for each pair and for the one under trial; then the start, the iterate,
        # its gradient, the direction and the best picture.
        return 1 + 2 * (config.lbfgs_history + 1) + 5
    # The start, the iterate, the last gradient and the best picture; Adam's two moments and the mean of the iterates.
    return {"lbfgsb": 0, "adam": 7, "descent": 4}[config.optimizer]


def made_between(config: StyleConfig) -> int:
    """Return how many more vectors are made between two evaluations, at most: CuPy's pool has them from then on."""
    if config.optimizer in ("lbfgs", "lbfgs-fixed"):
        return 5 if config.clamp else 4
    return {"lbfgsb": 0, "adam": 3, "descent": 1}[config.optimizer]


def optimizer_bytes(config: StyleConfig, n: int, item: int) -> int:
    """Return what an optimizer takes of the device for `n` values of `item` bytes each."""
    return item * n * (vectors_on_device(config) + made_between(config))


def host_bytes(config: StyleConfig, n: int) -> int:
    """Return what SciPy's L-BFGS-B keeps on the host for `n` values, in float64: workspace and copies; 0 for others."""
    return 8 * n * (2 * config.lbfgs_history + 5 + 6 + 2) if config.optimizer == "lbfgsb" else 0


@dataclass(frozen=True)
class Choice:
    """An optimizer on a GPU: what it takes at the planned size, and the side of the largest square that fits."""

    name: str
    need: Need
    scratch: int
    side: int


def choices(network: Network, config: StyleConfig, size: Size, free: int, precision: str) -> list[Choice]:
    """Return what each optimizer takes of a GPU, whether or not there is one.

    Parameters
    ----------
    network : Network
        On any backend.
    config : StyleConfig
        Layers and weights.
    size : (int, int)
        Height and width that are planned.
    free : int
        Bytes of the GPU, the weights not yet in them.
    precision : {"float32", "tf32"}
        Of the products.

    Returns
    -------
    list of Choice
        With as much scratch as fits. SciPy's first, with no more pairs than it can count at this size.
    """
    pairs = min(config.lbfgs_history, most_memory(3 * size[0] * size[1]))
    item = network.dtype.itemsize

    @cache
    def shared(size: Size, scratch: int) -> Need:  # only the vectors differ from one optimizer to the next
        return device_need(network, config, size, scratch, precision)

    found = []
    for optimizer, memory in (
        ("lbfgsb", pairs),
        ("lbfgs", config.lbfgs_history),
        ("lbfgs", 3),
        ("adam", config.lbfgs_history),
    ):
        other = replace(config, optimizer=optimizer, lbfgs_history=memory)

        def need(size: Size, scratch: int, other: StyleConfig = other) -> Need:
            n = 3 * size[0] * size[1]
            return replace(shared(size, scratch), optimizer=optimizer_bytes(other, n, item), host=host_bytes(other, n))

        needs = [need(size, scratch) for scratch in SCRATCH]
        fitting = next((i for i, each in enumerate(needs) if each.device <= free), len(SCRATCH) - 1)
        name = optimizer + (f", {memory} pairs" if optimizer.startswith("lbfgs") else "")
        side = largest(lambda side, need=need: need((side, side), SCRATCH[-1]).device, free)  # type: ignore[misc]
        found.append(Choice(name, needs[fitting], SCRATCH[fitting], side))
    return found
