"""One photograph and one painting through five inputs: the one the network was trained on, and four wrong ones."""

from dataclasses import replace

from matplotlib import pyplot as plt

from fig.common import command, painting, save, show
from fig.problem import painted
from handstyle.foundations.image import CAFFE

INPUTS = {
    "as in training": CAFFE,
    "red and blue exchanged": replace(CAFFE, order="RGB"),
    "mean not subtracted": replace(CAFFE, mean=(0.0, 0.0, 0.0)),
    "0 to 1 instead of 0 to 255": replace(CAFFE, scale=1.0),
    "mean in the wrong order": replace(CAFFE, mean=CAFFE.mean[::-1]),
}


def main(out, quick=True):
    """Draw the figure to `out`."""
    figure, axes = plt.subplots(2, 3, figsize=(7.2, 4.1), layout="constrained")
    show(axes[0, 0], painting(144, 192), "the painting")
    for place, (title, convention) in zip(axes.ravel()[1:], INPUTS.items(), strict=True):
        show(place, painted(convention=convention, steps=40 if quick else 300), title)
    save(figure, out)


if __name__ == "__main__":
    command(main)
