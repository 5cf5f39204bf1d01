"""Part V, making it fast: the same layers in fewer passes over memory, each held to the reference by tests."""

from handstyle.kernels.cost import FEWEST_CHANNELS, LOWERED, Tile, choose_kernel
from handstyle.kernels.cuda import CupyDevice
from handstyle.kernels.cuda_engine import CudaEngine
from handstyle.kernels.engine import FusedEngine
from handstyle.network.sequence import ENGINES


def _im2col(H: int, W: int, C: int, K: int, adjoint: bool) -> Tile:
    return LOWERED


def _winograd(H: int, W: int, C: int, K: int, adjoint: bool) -> Tile:
    return LOWERED if min(C, K) < FEWEST_CHANNELS else Tile(4, 4)


ENGINES.update(
    im2col=lambda: FusedEngine("im2col", _im2col),
    winograd=lambda: FusedEngine("winograd", _winograd),
    auto=lambda: FusedEngine("auto", choose_kernel),
)
ENGINES.update({"cuda": CudaEngine, "cuda-tf32": lambda: CudaEngine(CupyDevice("tf32"))})
