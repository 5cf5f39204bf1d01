"""The same run with three broken backward sweeps, by a method that ignores the value."""

from dataclasses import dataclass

from matplotlib import pyplot as plt

from fig import problem
from fig.common import command, save, show
from fig.common import network as genuine_network
from handstyle.network.sequence import sequence_backward, sequence_forward
from handstyle.optimize.adam import minimize_adam
from tests.mutants.catalogue import only_the_deepest_tap, tap_enters_behind_its_layer, tap_overwrites


@dataclass(frozen=True)
class Sweep:
    """An engine whose way back is `back`."""

    name: str
    back: object

    def forward(self, layers, x, taps):
        """Run the reference's way forward."""
        return sequence_forward(layers, x, taps)

    def backward(self, layers, dfeatures, caches):
        """Run `back`."""
        return self.back(layers, dfeatures, caches)


def painted(back, steps):
    """Return the town painted with `back` for the sweep back."""
    problem.network = lambda dtype: genuine_network(dtype).with_kernels(Sweep(back.__name__, back))
    try:
        objective, start = problem.town(72, 96, content=0.3)
    finally:
        problem.network = genuine_network
    return minimize_adam(objective, start, steps, 8.0).v.reshape(objective.shape)


def main(out, quick=True):
    """Draw the figure to `out`."""
    steps = 120 if quick else 600
    sweeps = {
        "true sweep": sequence_backward,
        "only the shallowest tap speaks": tap_overwrites,
        "only the deepest tap speaks": only_the_deepest_tap,
        "each tap enters behind its layer": tap_enters_behind_its_layer,
    }
    figure, axes = plt.subplots(1, 4, figsize=(12, 2.5), layout="constrained")
    for place, (title, back) in zip(axes, sweeps.items(), strict=True):
        show(place, painted(back, steps), title)
    save(figure, out)


if __name__ == "__main__":
    command(main)
