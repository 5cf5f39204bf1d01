"""Thirty iterations with each mutant that can be painted small, on the network that ships with the package."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import command, painting, photograph, save, show, weights
from tests.mutants import paint


def main(out, quick=True):
    """Draw the figure to `out`."""
    pictures = photograph(48, 64), painting(48, 64)
    left_out = paint.NOT_PAINTED | set(paint.TILED)  # tiles want a picture of 256 pixels
    rows = [(n, m) for n, m in enumerate(paint.MUTANTS, 1) if m.subject not in left_out]
    shown = [("genuine", paint.GENUINE["conv3x3_backward"], "conv3x3_backward")]
    shown += [(str(n), mutant.function, mutant.subject) for n, mutant in rows]
    columns = 6
    lines = -(-len(shown) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(7.2, 1.16 * lines), layout="constrained")
    for panel in axes.ravel():
        panel.set_axis_off()
    for panel, (name, function, subject) in zip(axes.ravel(), shown, strict=False):
        picture, _ = paint.paint(subject, function, pictures, weights())
        show(panel, np.nan_to_num(picture), name)
    save(figure, out)


if __name__ == "__main__":
    command(main)
