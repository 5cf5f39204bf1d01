"""A row of four pixels with its border: where each border pixel was copied from, and where its gradient goes."""

from matplotlib import pyplot as plt

from fig.common import BLUE, GRAY, ORANGE, command, save

SOURCES = {"zero": {}, "reflect": {0: 2, 5: 3}, "replicate": {0: 1, 5: 4}}
ROW = {"zero": "0abcd0", "reflect": "babcdc", "replicate": "aabcdd"}


def cells(axes, y, text, hue):
    """Draw six cells with the letters of `text`, the border ones dashed."""
    for k, letter in enumerate(text):
        border = k in (0, 5)
        style = {"ls": "--" if border else "-", "fc": "none", "ec": GRAY if border else hue}
        axes.add_patch(plt.Rectangle((k - 0.4, y - 0.25), 0.8, 0.5, lw=1.4, **style))
        axes.text(k, y, letter, ha="center", va="center", fontsize=11, color=GRAY if border else hue)


def main(out, quick=True):
    """Draw the figure to `out`."""
    figure, axes = plt.subplots(2, 3, figsize=(7.2, 2.1), layout="constrained")
    arrow = {"arrowstyle": "-|>", "mutation_scale": 12, "lw": 1.6}
    for column, (mode, sources) in enumerate(SOURCES.items()):
        for row, place in enumerate(axes[:, column]):
            hue = ORANGE if row else BLUE
            text = [f"$\\bar x_{k}$" for k in range(6)] if row else list(ROW[mode])
            cells(place, 0, text, hue)
            for border, source in sources.items():
                start, end = (border, source) if row else (source, border)
                bend = 0.45 if (start < end) != bool(row) else -0.45
                bend = abs(bend) if row else -abs(bend)
                bend = bend if start < end else -bend
                options = arrow | {"connectionstyle": f"arc3,rad={bend}", "color": hue}
                top = -0.27 if row else 0.27
                place.annotate("", (end, top), (start, top), arrowprops=options)
            if row and not sources:
                for border in (0, 5):
                    place.text(border, -0.62, "dropped", ha="center", fontsize=9, color=GRAY)
            place.set(xlim=(-0.6, 5.6), ylim=(-0.95, 0.4) if row else (-0.4, 0.95), aspect="equal")
            place.set_axis_off()
        axes[0, column].set_title(mode)
    save(figure, out)


if __name__ == "__main__":
    command(main)
