"""How long a sweep there and back through VGG-19 takes: the reference, plain Winograd, fused stages, chosen kernels."""

import time
from dataclasses import replace

import numpy as np
from matplotlib import pyplot as plt

from fig.common import BLUE, GRAY, command, save
from handstyle.kernels.counting import LOWERED, choose_kernel
from handstyle.kernels.cpu.engine import CpuEngine
from handstyle.kernels.cpu.threads import Team
from handstyle.kernels.winograd_plain import winograd_backward, winograd_forward
from handstyle.network.sequence import Convolution
from handstyle.network.vgg import build_network, random_weights

TAP = "relu4_1"


class Plain(Convolution):
    """A convolution by chapter 21's seventy lines, which write every map between their steps to memory."""

    def forward(self, x):
        """Convolve in tiles of 4 x 4."""
        return winograd_forward(x, self.w, self.b)

    def backward(self, dy, cache):
        """Return the gradient at the input."""
        return winograd_backward(dy, cache)


def main(out, quick=True):
    """Draw the figure to `out`."""
    rng = np.random.default_rng(0)
    network = build_network(random_weights(widths=(64, 128, 256, 512, 512), deepest="conv4_1")).astype("float32")
    x = rng.normal(0, 60, size=(96, 96, 3)).astype("float32")
    team = Team(1)
    engines = {
        "reference": network,
        "plain Winograd": replace(
            network,
            layers=tuple(Plain(**vars(a)) if isinstance(a, Convolution) else a for a in network.layers),
        ),
        "fused, lowered": replace(network, engine=CpuEngine("im2col", lambda *_: LOWERED, team)),
        "fused, chosen": replace(network, engine=CpuEngine("auto", choose_kernel, team)),
    }
    dy = {TAP: rng.normal(size=network.forward(x, [TAP])[0][TAP].shape).astype("float32")}
    best = dict.fromkeys(engines, np.inf)
    for _ in range(4 if quick else 20):  # in turn, so that a noisy neighbor disturbs all alike
        for name, engine in engines.items():
            with team.single_threaded_blas():
                start = time.perf_counter()
                engine.backward(dy, engine.forward(x, [TAP])[1])
                best[name] = min(best[name], time.perf_counter() - start)
    figure, ax = plt.subplots(figsize=(7.2, 2.3), layout="constrained")
    ax.barh(list(best), [1e3 * t for t in best.values()], color=(GRAY, GRAY, BLUE, BLUE))
    for y, t in enumerate(best.values()):
        ax.text(1e3 * t, y, f"  {1e3 * t:.0f} ms", va="center")
    ax.set_xlim(0, 1.15e3 * max(best.values()))
    ax.invert_yaxis()
    ax.set_xlabel("ms, there and back")
    save(figure, out)


if __name__ == "__main__":
    command(main)
