"""The same weight file read right and in four wrong ways, and what each paints."""

from dataclasses import replace

from matplotlib import pyplot as plt

from fig import problem
from fig.common import command, painting, save, show, weights
from handstyle.painting.load import load_network


def square(w):
    """Return whether a kernel has as many channels in as out, so that exchanging them fits."""
    return w.shape[2] == w.shape[3]


READERS = {
    "read right": lambda name, w: w,
    "turned by 180 degrees": lambda name, w: w[::-1, ::-1],
    "rows for columns": lambda name, w: w.swapaxes(0, 1),
    "in for out, where it fits": lambda name, w: w.swapaxes(2, 3) if square(w) else w,
    "blue for red, first layer": lambda name, w: w[:, :, ::-1] if name == "conv1_1" else w,
}


def misread(reader):
    """Return the weights of the book's network as `reader` understands them."""
    found = weights()
    return replace(found, layers={name: (reader(name, w).copy(), b) for name, (w, b) in found.layers.items()})


def main(out, quick=True):
    """Draw the figure to `out`."""
    figure, axes = plt.subplots(2, 3, figsize=(7.2, 4.1), layout="constrained")
    show(axes[0, 0], painting(144, 192), "the painting")
    genuine = problem.network
    try:
        for place, (title, reader) in zip(axes.ravel()[1:], READERS.items(), strict=True):
            problem.network = lambda dtype, reader=reader, **options: load_network(
                misread(reader), backend="numpy", dtype=dtype, **options
            )
            show(place, problem.painted(steps=40 if quick else 300), title)
    finally:
        problem.network = genuine
    save(figure, out)


if __name__ == "__main__":
    command(main)
