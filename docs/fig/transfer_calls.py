"""What `stylize` calls, in the order of a run."""

from matplotlib import pyplot as plt

from fig.common import BLUE, GRAY, GREEN, ORANGE, command, save

ARROW = {"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, "mutation_scale": 11, "lw": 1.5}


def box(axes, x, y, width, name, words, color=GRAY):
    """Draw a function with what it does, its lower left corner at (x, y)."""
    axes.add_patch(plt.Rectangle((x, y), width, 0.74, fill=False, ec=color, lw=1.3))
    axes.text(x + width / 2, y + 0.5, name, ha="center", va="center", fontsize=9, color=color, family="monospace")
    axes.text(x + width / 2, y + 0.22, words, ha="center", va="center", fontsize=9, color=color)


def arrow(axes, start, end, color=GRAY):
    """Draw an arrow."""
    axes.annotate("", end, start, arrowprops=ARROW | {"color": color})


def main(out, quick=True):
    """Draw the figure to `out`."""
    figure, axes = plt.subplots(figsize=(7.2, 5.6), layout="constrained")
    box(axes, 0.0, 6.0, 3.4, "read_picture", "photograph, paintings")
    box(axes, 4.2, 6.0, 3.4, "make_plan", "sizes, masks, colors before")
    box(axes, 4.2, 4.8, 3.4, "starting_picture", "at the coarsest size")
    arrow(axes, (3.4, 6.37), (4.2, 6.37))
    arrow(axes, (5.9, 6.0), (5.9, 5.54))
    axes.add_patch(plt.Rectangle((-0.15, 1.35), 7.9, 3.1, fill=False, ec=BLUE, lw=1.2, ls="--"))
    axes.text(0.0, 4.25, "for each scale, from coarse to fine", fontsize=9.5, color=BLUE, va="center")
    arrow(axes, (5.9, 4.8), (5.9, 4.04))
    box(axes, 4.2, 3.3, 3.4, "enlarge_picture", "the picture so far", BLUE)
    box(axes, 0.0, 3.3, 3.4, "terms_of_scale", "targets, measured anew", BLUE)
    box(axes, 0.0, 1.75, 3.4, "Objective", "one number, one vector", GREEN)
    box(axes, 4.2, 1.75, 3.4, "minimize", "of choose_optimizer", ORANGE)
    arrow(axes, (1.7, 3.3), (1.7, 2.49), BLUE)
    arrow(axes, (5.9, 3.3), (5.9, 2.49), BLUE)
    arrow(axes, (4.2, 2.28), (3.4, 2.28), ORANGE)
    arrow(axes, (3.4, 1.96), (4.2, 1.96), GREEN)
    axes.text(3.8, 2.36, "picture", fontsize=9, ha="center", va="bottom", color=ORANGE)
    axes.text(3.8, 1.86, "gradient", fontsize=9, ha="center", va="top", color=GREEN)
    axes.plot([7.6, 7.68, 7.68], [2.12, 2.12, 3.67], color=BLUE, lw=1.5)
    arrow(axes, (7.69, 3.67), (7.6, 3.67), BLUE)
    arrow(axes, (5.9, 1.75), (5.9, 0.94))
    box(axes, 4.2, 0.2, 3.4, "change_colors_after", "if asked for")
    box(axes, 0.0, 0.2, 3.4, "Result", "picture, trace, recipe")
    arrow(axes, (4.2, 0.57), (3.4, 0.57))
    axes.set(xlim=(-0.3, 7.9), ylim=(0.05, 6.9))
    axes.set_axis_off()
    save(figure, out)


if __name__ == "__main__":
    command(main)
