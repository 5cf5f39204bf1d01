"""The reference's terms on the quick network: for what patches a term, and need not wait for the sweeps."""

from handstyle.kernels.cpu.engine import auto_engine
from handstyle.optimize.objective import ReferenceEngine


class FastNetwork(ReferenceEngine):
    """Forward and backward of the CPU engine; every term evaluated by the reference."""

    def __init__(self) -> None:
        engine = auto_engine()
        self.forward, self.backward = engine.forward, engine.backward
