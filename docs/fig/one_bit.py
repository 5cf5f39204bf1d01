"""How far runs drift apart that should be one: the same again, one bit changed, other kernels, another precision."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import command, network, painting, photograph, save
from handstyle.painting.config import StyleConfig
from handstyle.painting.stylize import stylize


def runs(iterations: int) -> dict[str, np.ndarray]:  # {name and last loss: (iterations, H, W, 3)}
    """Return the pictures on the way of five runs from one recipe."""
    photo, paint = photograph(72, 96).astype(np.float32), painting(72, 96)
    nudged = photo.copy()
    nudged[36, 48, 1] = np.nextafter(nudged[36, 48, 1], np.float32(300))
    config = StyleConfig(size=96, iterations=iterations, pyramid_min_size=0)
    found = {}
    for name, start, options in (
        ("the first run", photo, {}),
        ("the same again", photo, {}),
        ("one bit of one pixel", nudged, {}),
        ("other kernels", photo, {"kernels": "im2col"}),
        ("float64", photo, {"dtype": "float64"}),
    ):
        kept: list[np.ndarray] = []
        options = {"dtype": "float32", "kernels": "auto", **options}
        result = stylize(
            start, paint, network=network(**options), config=config, callback=lambda p, kept=kept: kept.append(p.array)
        )
        found[f"{name}, loss {result.trace[-1].value:.3f}"] = np.array(kept)
    return found


def main(out, quick=True):
    """Draw the figure to `out`."""
    found = runs(60 if quick else 200)
    (name, first), *others = found.items()
    figure, axes = plt.subplots(figsize=(6.8, 3.2), layout="constrained")
    axes.plot([], [], " ", label=name)
    for name, pictures in others:
        n = min(len(first), len(pictures))
        apart = np.abs(pictures[:n] - first[:n]).mean(axis=(1, 2, 3))
        axes.semilogy(np.arange(1, n + 1), np.maximum(apart, 1e-10), label=name)
    axes.axhline(0.5, color="#7a7f87", lw=0.8, ls=":")
    axes.annotate("half a gray level", (48, 0.12), fontsize=9, color="#7a7f87")
    axes.set(xlabel="iteration of L-BFGS-B", ylabel="mean difference, gray levels", ylim=(5e-11, 20))
    axes.legend(fontsize=9, loc="center right")
    save(figure, out)


if __name__ == "__main__":
    command(main)
