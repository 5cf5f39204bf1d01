"""Measure where the error of a float32 gradient comes from: rounding, or rectifiers and pools that rounding decides.

``python -m benchmarks.gradient_error`` computes the gradient of the objective in float32 with several kernels and
compares it with float64; then again with the choices of rectifiers and pools replaced by those of the float64 pass.
Last, it runs an optimizer with each, to see what the choices mean for the loss.
"""

import argparse
from functools import partial
from typing import Any

import numpy as np

from benchmarks import common
from handstyle.foundations.backend import Array
from handstyle.kernels.counting import LOWERED, MIN_CHANNELS, Tile, choose_kernel
from handstyle.kernels.cpu.engine import CpuEngine
from handstyle.kernels.stages import Stage
from handstyle.optimize.lbfgsb import minimize_lbfgsb

SIZE = 384
RUN_SIZE, RUN_ITERATIONS = 256, (20, 40, 60)
SQUARE = (0, 0), (2, 2), (4, 4), (4, 6), (6, 6)  # tiles forward and backward; 0: direct
Masks = list[tuple[Array | None, Array | None]]


def engine(forward: int, backward: int) -> CpuEngine:
    """Return an engine with square Winograd tiles of these sides (0: lowering)."""

    def choose(H: int, W: int, C: int, K: int, adjoint: bool) -> Tile:
        side = backward if adjoint else forward
        return LOWERED if min(C, K) < MIN_CHANNELS else Tile(side, side)

    return CpuEngine(f"{forward} {backward}", choose)


def auto() -> CpuEngine:
    """Return the engine that chooses by shape."""
    return CpuEngine("auto", choose_kernel)


def gradient(
    kernels: Any, dtype: Any, p: Array, content: Array, styles: Any, masks: Masks | None
) -> tuple[Array, Masks]:
    """Return the gradient at `p` and the masks of rectifiers and pools; with `masks`, these replace the pass's own."""
    network = common.network_with("auto", dtype).with_kernels(kernels)
    objective = common.objective(network, content, styles, p.shape[0])
    made: Masks = []
    forward = kernels.forward

    def spied(*arguments: Any) -> tuple[Any, list[Stage]]:
        features, stages = forward(*arguments)
        made.extend((stage.bits, stage.pool_bits) for stage in stages)
        for stage, (bits, pool_bits) in zip(stages, masks or made, strict=True):
            stage.bits, stage.pool_bits = bits, pool_bits
        return features, stages

    kernels.forward = spied
    return objective(p.astype(np.float64).ravel())[1], made


def count_flips(a: Masks, b: Masks) -> tuple[int, int]:
    """Return the number of rectifiers, and of bits of pools, that differ between two passes."""
    counts = [0, 0]
    for one, other in zip(a, b, strict=True):
        for kind in range(2):
            if one[kind] is not None and other[kind] is not None:
                counts[kind] += int(np.bitwise_count(one[kind] ^ other[kind]).sum())
    return counts[0], counts[1]


def whole_runs() -> list[dict[str, Any]]:
    """Return the losses of whole runs of SciPy's L-BFGS-B with several kernels, each from the photograph."""
    network = common.network_with("auto")
    content, styles = common.targets(network, RUN_SIZE)
    start = common.picture("tubingen.jpg", RUN_SIZE).astype(np.float64).ravel()
    found = []
    for name, kernels in (
        ("lowering", engine(0, 0)),
        ("tiles 2 x 2", engine(2, 2)),
        ("tiles 4 x 4", engine(4, 4)),
        ("tiles 6 x 6", engine(6, 6)),
        ("auto", auto()),
    ):
        objective = common.objective(network.with_kernels(kernels), content, styles, RUN_SIZE)
        values = [row.value for row in minimize_lbfgsb(objective, start, max(RUN_ITERATIONS)).trace]
        losses = {str(i): values[min(i, len(values)) - 1] for i in RUN_ITERATIONS}
        found.append({"kernels": name, "loss": losses})
        print(f"{name}: " + ", ".join(f"{value:.4f} after {i}" for i, value in losses.items()), flush=True)
    return found


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    network = common.network_with("im2col", np.float64)
    content, styles = common.targets(network, SIZE)
    photograph = common.picture("tubingen.jpg", SIZE)
    noise = np.random.default_rng(0).normal(0, 2, photograph.shape)
    rows = []
    for name, p in (("photograph", photograph), ("photograph and noise", (photograph + noise).astype(np.float32))):
        truth, choices = gradient(engine(0, 0), np.float64, p, content, styles, None)
        for forward, backward in (*SQUARE, ("auto", "auto")):
            kernels = auto if forward == "auto" else partial(engine, forward, backward)
            found, made = gradient(kernels(), np.float32, p, content, styles, None)
            forced, _ = gradient(kernels(), np.float32, p, content, styles, choices)
            own, given = (float(np.linalg.norm(g - truth) / np.linalg.norm(truth)) for g in (found, forced))
            rectifiers, pooled = count_flips(made, choices)
            rows.append([name, forward, backward, own, given, rectifiers, pooled])
            print(f"{name}: tiles {forward} forward, {backward} backward: error {own:.2e},", end=" ")
            print(f"with the exact choices {given:.2e}; flipped: {rectifiers} rectifiers, {pooled} bits of pools")
    print(common.write_results("choices", rows, runs=whole_runs()))


if __name__ == "__main__":
    main()
