"""Each convolution under the measured roofs, by the way that is chosen for it: the latest of `benchmarks/results`."""

import numpy as np

from benchmarks.gpu.report import roofline
from benchmarks.report import newest
from fig.common import BLUE, GRAY, GREEN, ORANGE, command, plt, save, y_ticks

WAYS = {
    "winograd4": ("Winograd, 4×4", BLUE, "o"),
    "winograd2": ("Winograd, 2×2", GREEN, "s"),
    "tensor": ("a product on tensor cores", BLUE, "^"),
    "torch": ("cuDNN", ORANGE, "x"),
}


def main(out, quick=True):
    """Draw the figure to `out`."""
    results = newest("gpu")
    points, peaks = roofline(results)
    layers = {row["layer"]: row for row in results["layers"].values() if row["C"] > 3}
    figure, axes = plt.subplots(1, 2, figsize=(8.8, 3.6), layout="constrained", sharex=True, sharey=True)
    shown = {}
    for ax, precision in zip(axes, ("float32", "tf32"), strict=True):
        intensity = np.geomspace(8, 1000, 200)
        roof = np.minimum(peaks[f"{precision}_flops"], intensity * peaks["copy_bytes_per_s"])
        shown["the roof"] = ax.loglog(intensity, roof / 1e12, color=GRAY)[0]
        for name, layer, x, y in points:
            way, of, _ = name.split()
            if of == precision and layer in layers and way in (layers[layer][f"chosen {precision}"], "torch"):
                label, hue, marker = WAYS.get(way, (way, GRAY, "d"))
                shown[label] = ax.loglog(x, y / 1e12, marker, color=hue, fillstyle="none")[0]
        ax.set_title({"float32": "true float32", "tf32": "factors of ten bits"}[precision])
        ax.set_xlabel("operations of direct convolution / byte")
    y_ticks(axes[0], 20, 50, 100, 200, 400)
    axes[0].set_ylabel("10¹² operations / s")
    figure.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=len(shown))
    save(figure, out)


if __name__ == "__main__":
    command(main)
