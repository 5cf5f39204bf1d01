"""The same run with three broken backward sweeps, by a method that ignores the value."""

from matplotlib import pyplot as plt

from fig import problem
from fig.common import command, save, show
from fig.common import network as genuine_network
from handstyle.network.sequence import sequence_backward
from handstyle.optimize.adam import minimize_adam
from handstyle.optimize.objective import ReferenceEngine
from tests.mutants.catalogue import only_the_deepest_tap, tap_enters_behind_its_layer, tap_overwrites


class Sweep(ReferenceEngine):
    """The reference with `back` for its sweep back."""

    def __init__(self, back):
        self.back = back

    def backward(self, layers, dfeatures, caches):
        """Run `back`."""
        return self.back(layers, dfeatures, caches)


def painted(back, steps):
    """Return the town painted with `back` for the sweep back."""
    problem.network = lambda dtype: genuine_network("float32").with_kernels(Sweep(back))
    try:
        objective, start = problem.town(120, 160, content=0.3)
    finally:
        problem.network = genuine_network
    return minimize_adam(objective, start, steps, 8.0).v.reshape(objective.shape)


def main(out, quick=True):
    """Draw the figure to `out`."""
    steps = 24 if quick else 600
    sweeps = {
        "true sweep": sequence_backward,
        "only the shallowest tap speaks": tap_overwrites,
        "only the deepest tap speaks": only_the_deepest_tap,
        "each tap enters behind its layer": tap_enters_behind_its_layer,
    }
    figure, axes = plt.subplots(2, 2, figsize=(7.2, 5.6), layout="constrained")
    for place, (title, back) in zip(axes.ravel(), sweeps.items(), strict=True):
        show(place, painted(back, steps), title)
    save(figure, out)


if __name__ == "__main__":
    command(main)
