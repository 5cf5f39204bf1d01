"""How much of a GPU's memory a picture takes, by its size."""

import json

from matplotlib import pyplot as plt

from benchmarks.report import RESULTS
from fig.common import BLUE, GRAY, command, save


def main(out, quick=True):
    """Draw the figure to `out`."""
    record = json.loads(max(RESULTS.glob("*-gpu-memory.json")).read_text(encoding="utf-8"))
    sides = sorted(int(side) for side in record)
    taken = [record[str(side)]["float32"] / 2**30 for side in sides]
    figure, axes = plt.subplots(figsize=(5.4, 2.8), layout="constrained")
    axes.plot([side**2 / 1e6 for side in sides], taken, "o-", color=BLUE)
    for side, height in zip(sides, taken, strict=True):
        beside = (6, -9) if side > sides[0] else (-9, 8)  # the two smallest lie close together
        axes.annotate(f"{side}²", (side**2 / 1e6, height), beside, textcoords="offset points")
    for card in (2, 4):
        axes.axhline(card, color=GRAY, lw=0.8, ls="--")
        axes.text(0, card, f" a card of {card} GiB", va="bottom", color=GRAY)
    axes.set(xlabel="megapixels", ylabel="GiB", ylim=(-0.2, 4.6))
    save(figure, out)


if __name__ == "__main__":
    command(main)
