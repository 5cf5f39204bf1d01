"""A picture cut into tiles, one of them with its halo; and the memory of an evaluation as the picture grows."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import BLUE, BRIGHT, ORANGE, command, network, photograph, save, show
from handstyle.kernels.tiles import Tiling, by_tiles
from handstyle.painting.config import StyleConfig
from handstyle.painting.planned_terms import planned_terms

TILE = 512


def main(out, quick=True):
    """Draw the figure to `out`."""
    net = network("float32")
    height, width = 704, 1024
    picture = photograph(height, width).copy()
    tiling = Tiling(net.layers, ["relu5_1"], height, width, TILE)
    tile = tiling.tiles[1]
    shade = np.full((height, width, 1), 0.25)
    shade[tile.crop] = 0.6
    rows, columns = (slice(span.own_start, span.own_stop) for span in (tile.rows, tile.columns))
    shade[rows, columns] = 1.0
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.8, 3.3), layout="constrained", width_ratios=(1.3, 1))
    show(left, picture * shade)
    for one in tiling.tiles:
        if one.rows.own_start:
            left.axhline(one.rows.own_start, color=BRIGHT, linewidth=0.7)
        if one.columns.own_start:
            left.axvline(one.columns.own_start, color=BRIGHT, linewidth=0.7)
    sides = (256, 384, 512, 768, 1024, 1536, 2048) if quick else (256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096)
    for label, color, engine in (
        ("whole", ORANGE, net.engine),
        (f"tiles of {TILE} px", BLUE, by_tiles(net, TILE).engine),
    ):
        taken = []
        for side in sides:
            terms = planned_terms(StyleConfig(), net, (side, side))
            target = next(term.target.nbytes for term in terms if term.name.startswith("content"))
            vectors = 48 if label != "whole" and side > TILE else 24
            taken.append((engine.forecast(net, terms, (side, side, 3)).bytes - vectors * side**2 - target) / 2**20)
        right.loglog([side**2 / 1e6 for side in sides], taken, "o-", color=color, label=label, markersize=3.5)
    right.set(xlabel="megapixels", ylabel="MiB of an evaluation")
    right.legend()
    save(figure, out)


if __name__ == "__main__":
    command(main)
