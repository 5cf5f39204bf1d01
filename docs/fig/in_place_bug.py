"""A town painted by losses that look at convolutions, and the same with rectifiers that write into their input."""

from unittest.mock import patch

from matplotlib import pyplot as plt

from fig.common import command, network, painting, photograph, save, show
from handstyle.foundations.image import preprocess_forward
from handstyle.losses.content import ContentTerm
from handstyle.losses.gram import StyleTerm, moments_forward
from handstyle.losses.total_variation import VariationTerm
from handstyle.optimize.adam import minimize_adam
from handstyle.optimize.objective import Objective, ReferenceEngine
from tests.mutants.catalogue import rectifier_in_place

TAPS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1")


def painted(steps, size=(144, 192)):
    """Return the town, painted by terms at convolutions."""
    net, photo, art = network("float32", kernels="reference"), photograph(*size), painting(*size)
    x, y = (preprocess_forward(p.astype("float32"), net.convention) for p in (photo, art))
    wanted, manner = net.forward(x, TAPS[-1:])[0], net.forward(y, TAPS)[0]
    terms = [StyleTerm(tap, moments_forward(manner[tap]), 10.0) for tap in TAPS]
    terms += [ContentTerm(TAPS[-1], wanted[TAPS[-1]], 3.0), VariationTerm(1e-4)]
    objective = Objective(net, terms, photo.shape)
    return minimize_adam(objective, photo.ravel().copy(), steps, 8.0).v.reshape(photo.shape)


def main(out, quick=True):
    """Draw the figure to `out`."""
    steps = 24 if quick else 300
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 2.9), layout="constrained")
    show(axes[0], painted(steps), "each rectifier makes a map of its own")
    with patch.object(ReferenceEngine, "forward", staticmethod(rectifier_in_place)):
        show(axes[1], painted(steps), "each writes into its input")
    save(figure, out)


if __name__ == "__main__":
    command(main)
