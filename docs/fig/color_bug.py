"""A painting recolored by the map, by its transpose, and channel by channel; and the same with the symmetric map."""

from matplotlib import pyplot as plt

from fig.common import command, painting, photograph, save, show
from handstyle.painting.color import match_affine
from tests.mutants.catalogue import channels_matched_apart, color_map_not_transposed


def main(out, quick=True):
    """Draw the figure to `out`."""
    photo, art = photograph(144, 192), painting(144, 192)
    figure, axes = plt.subplots(2, 3, figsize=(7.2, 4.2), layout="constrained")
    for row, method in zip(axes, ("pca", "symmetric"), strict=True):
        show(row[0], match_affine(art, photo, method), f"the map, {method}")
        show(row[1], color_map_not_transposed(art, photo, method), f"its transpose, {method}")
    show(axes[0, 2], channels_matched_apart(art, photo), "channels apart")
    show(axes[1, 2], photo, "the photograph")
    save(figure, out)


if __name__ == "__main__":
    command(main)
