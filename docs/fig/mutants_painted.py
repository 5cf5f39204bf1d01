"""Twelve iterations with each mutant that can be painted small, on the network that ships with the package.

Beside the figure it leaves what the gallery of bugs shows in its rows: a picture for each mutant, and the losses.
"""

import json
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

from fig.common import command, painting, photograph, save, show, weights
from handstyle.foundations.picture_writing import write_picture
from tests.mutants import paint

SIZE, TILED_SIZE = (72, 96), (144, 256)  # tiles want a picture that is larger than one
ITERATIONS, TILED_ITERATIONS, EVALUATIONS = 12, 6, 22
# What runs another way than the rest, and so has a genuine run of its own.
APART = (
    "pad_backward",
    "average_pool_backward",
    "total_variation",
    "match_affine",
    "enlarged",
    "spectrum_backward",
    "patches_backward",
)


def painted(subject, function):
    """Return a mutant's picture and what the genuine code says of it."""
    size, iterations = (TILED_SIZE, TILED_ITERATIONS) if subject in paint.TILED else (SIZE, ITERATIONS)
    pictures = photograph(*size), painting(*size)
    picture, value, _ = paint.paint(subject, function, pictures, weights(), iterations, EVALUATIONS)
    return np.clip(np.nan_to_num(picture), 0, 255), value


def main(out, quick=True):
    """Draw the figure to `out`, and the rows' pictures and losses to the folder ``mutants`` beside it."""
    folder = Path(out).with_name("mutants")
    folder.mkdir(exist_ok=True)
    genuine, values = {}, {}

    def reference(mutant):
        of = "conv3x3_backward" if mutant.subject in paint.NETWORK else "gram_loss"
        if mutant.subject in APART:
            of = mutant.subject
        elif mutant.subject in paint.TILED:
            of = "halo_of"
        elif "variation" in mutant.function.__name__:  # painted with more of it, so that it shows
            of = "total_variation"
        if of not in genuine:
            genuine[of] = painted(of, paint.GENUINE[of])
        return genuine[of]

    shown = []
    for n, mutant in enumerate(paint.MUTANTS, 1):
        if mutant.subject in paint.NOT_PAINTED:
            continue
        without_effect = mutant.function.__name__ in paint.WITHOUT_EFFECT
        picture, value = reference(mutant) if without_effect else painted(mutant.subject, mutant.function)
        write_picture(folder / f"{mutant.function.__name__}.png", picture, overwrite=True)
        if value is not None:
            values[mutant.function.__name__] = [value, reference(mutant)[1]]
        shown.append((str(n), picture))
    shown.insert(0, ("genuine", genuine["conv3x3_backward"][0]))
    (folder / "values.json").write_text(json.dumps(values))
    columns = 6
    lines = -(-len(shown) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(7.2, 1.16 * lines), layout="constrained")
    for panel in axes.ravel():
        panel.set_axis_off()
    for panel, (name, picture) in zip(axes.ravel(), shown, strict=False):
        show(panel, picture, name)
    save(figure, out)


if __name__ == "__main__":
    command(main)
