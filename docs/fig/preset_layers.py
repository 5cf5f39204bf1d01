"""Who has the say in twenty-one presets: the share of each layer in the style's gradient, at the photograph."""

from dataclasses import replace

import numpy as np
from matplotlib import pyplot as plt

from fig.common import command, network, painting, photograph, save
from handstyle.losses.content import ContentTerm
from handstyle.losses.total_variation import VariationTerm
from handstyle.optimize.objective import evaluate
from handstyle.painting.load import fit_network
from handstyle.painting.presets import PRESETS
from handstyle.painting.targets import build_terms


def shares(chosen, net, photo, art):
    """Return the norms of the gradients at the photograph, one for each style term."""
    ready, _ = fit_network(net, chosen)
    config = replace(chosen.config, content_weight=0.0, tv_weight=0.0, range_weight=0.0, means_weight=0.0)
    terms = build_terms(ready, config, photo.astype(ready.dtype), [art.astype(ready.dtype)])
    terms = [term for term in terms if not isinstance(term, ContentTerm | VariationTerm)]
    norms = [np.linalg.norm(evaluate(ready, [term], photo.astype(ready.dtype))[1]) for term in terms]
    return [term.tap for term in terms], np.array(norms)


def main(out, quick=True):
    """Draw the figure to `out`."""
    height, width = (144, 192) if quick else (384, 512)
    photo, art, net = photograph(height, width), painting(height, width), network("float32")
    figure, axes = plt.subplots(figsize=(7.2, 5.4), layout="constrained")
    for row, chosen in enumerate(PRESETS.values()):
        taps, norms = shares(chosen, net, photo, art)
        left = 0.0
        for tap, part in zip(taps, norms / norms.sum(), strict=True):
            block = int(tap[4]) - 1
            axes.barh(row, part, left=left, color=plt.cm.viridis(block / 4.3), edgecolor="white", lw=0.6)
            left += part
    axes.set_yticks(range(len(PRESETS)), list(PRESETS), fontsize=9)
    axes.invert_yaxis()
    axes.set(xlim=(0, 1), xlabel="share of the sum of the gradients' norms")
    blocks = [plt.Rectangle((0, 0), 1, 1, color=plt.cm.viridis(block / 4.3)) for block in range(5)]
    names = [f"block {block}" for block in range(1, 6)]
    axes.legend(blocks, names, ncols=5, fontsize=9, loc="lower center", bbox_to_anchor=(0.45, 1))
    save(figure, out)


if __name__ == "__main__":
    command(main)
