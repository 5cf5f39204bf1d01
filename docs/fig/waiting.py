"""Host and device along time: five losses whose values are fetched one by one, and all at the end."""

from matplotlib import pyplot as plt

from fig.common import BLUE, GREEN, ORANGE, command, save

ASK, WORK, FETCH = 0.4, 1.0, 0.7  # to ask for a piece of work, to do it, to bring a number home


def main(out, quick=True):
    """Draw the figure to `out`."""
    figure, axes = plt.subplots(2, 1, figsize=(7.2, 2.8), layout="constrained", sharex=True)
    for place, every in zip(axes, (True, False), strict=True):
        host = device = 0.0
        for k in range(5):
            place.broken_barh([(host, ASK)], (1.1, 0.7), color=BLUE, ec="white")
            host += ASK
            start = max(host, device)
            place.broken_barh([(start, WORK)], (0.1, 0.7), color=GREEN, ec="white")
            device = start + WORK
            if every or k == 4:
                place.broken_barh([(device, FETCH)], (1.1, 0.7), color=ORANGE, ec="white")
                host = device + FETCH
        place.text(host + 0.15, 0.95, f"{host:.1f}", va="center")
        place.set(yticks=[0.45, 1.45], yticklabels=["device", "host"], xlim=(0, 12), xticks=[], ylim=(0, 1.9))
        place.set_title("a float for each loss" if every else "all values at the end", loc="left")
        place.spines["bottom"].set_visible(False)
    for hue, words in ((BLUE, "ask"), (GREEN, "work"), (ORANGE, "fetch")):
        axes[1].plot([], [], color=hue, lw=6, label=words)
    axes[1].legend(loc="lower right", ncol=3, fontsize=9)
    save(figure, out)


if __name__ == "__main__":
    command(main)
