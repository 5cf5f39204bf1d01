"""A picture found from features before the rectifier: with the true gradient, and with one masked by the sign."""

import numpy as np

from fig.common import command, network, photograph, save, two_runs
from handstyle.foundations.image import preprocess_forward
from handstyle.losses import content
from handstyle.optimize.objective import Objective


class Masked(content.ContentTerm):
    """A content term whose gradient is dropped wherever the feature is negative."""

    def spread(self, ds, f, where=content.WHOLE):
        """Return the gradient at the features, wrong before a rectifier."""
        return np.where(f > 0, super().spread(ds, f, where), 0)


def main(out, quick=True):
    """Draw the figure to `out`."""
    photo, net, tap = photograph(144, 192), network("float32"), "conv2_1"
    wanted = net.forward(preprocess_forward(photo.astype(net.dtype), net.convention), [tap])[0][tap]
    start = np.random.default_rng(0).uniform(110, 145, photo.size)
    kinds = {"true gradient": content.ContentTerm, "masked by the sign": Masked}
    runs = {words: Objective(net, [kind(tap, wanted)], photo.shape) for words, kind in kinds.items()}
    figure, _ = two_runs(runs, start, 60 if quick else 300)
    save(figure, out)


if __name__ == "__main__":
    command(main)
