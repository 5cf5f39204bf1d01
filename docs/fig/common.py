"""What the figures share: two pictures, a network, and a way to save.

The pictures are drawn by the package's own programs and belong to nobody else; most figures begin with the same few, so
they are kept below ``docs/_generated/pictures``. The network is the small one that ships with the package; where that
is missing, one with random weights stands in for it and `network_label` says so.
"""

import hashlib
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
import PIL
import scipy
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from pictures.scenes import flow_painting, night_scene

from handstyle.foundations.errors import HandstyleError
from handstyle.network.vgg import Network, Weights
from handstyle.optimize.lbfgsb import minimize_lbfgsb
from handstyle.optimize.objective import Objective
from handstyle.painting.load import EMBEDDED, load_network, load_weights

BLUE, ORANGE, GREEN, GRAY = "#1f5fa8", "#d9622b", "#2e7d5b", "#7a7f87"
BRIGHT = "#fffbe6"  # of lines on pictures: white but for a tint, or it would be turned over for a dark page
# Blue below zero and orange above. The strongest are dark and zero is white; on a dark page the reverse.
from_list = mpl.colors.LinearSegmentedColormap.from_list
SIGNED = from_list("signed", ("#0c3565", "#3b7fc4", "#ffffff", "#d9622b", "#7a2c0c"))
DARK_SIGNED = from_list("signed, dark", ("#a9d3f5", "#3b7fc4", "#17191d", "#d9622b", "#ffcfae"))
STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.prop_cycle": mpl.cycler(color=[BLUE, ORANGE, GREEN, GRAY, "#8a5aa8"]),
    "figure.dpi": 110,
    "savefig.dpi": 160,
    "svg.hashsalt": "handstyle",
    "legend.frameon": False,
}
plt.rcParams.update(STYLE)
DOCS = Path(__file__).parents[1]
PICTURES = DOCS / "_generated" / "pictures"


@cache
def kept(program: Callable[..., np.ndarray], *arguments: int) -> np.ndarray:
    """Return what a program of ``docs/pictures`` draws, from the disk if the programs have drawn it before.

    The file is named after their text, and reading that makes it a part of the figure's record.
    """
    text = b"".join(path.read_bytes() for path in sorted((DOCS / "pictures").glob("*.py")))
    versions = f"{np.__version__} {scipy.__version__} {PIL.__version__}"
    drawn_by = hashlib.sha256(versions.encode() + text).hexdigest()[:16]
    file = PICTURES / f"{program.__name__}-{'-'.join(map(str, arguments))}-{drawn_by}.npy"
    if not file.is_file():
        PICTURES.mkdir(parents=True, exist_ok=True)
        beside = file.with_name(f"{file.stem}.{os.getpid()}.npy")
        np.save(beside, program(*arguments))
        beside.replace(file)  # whole at once: another figure may want it at the same moment
    return np.load(file)


@cache
def photograph(height: int = 96, width: int = 128) -> np.ndarray:  # -> (H, W, 3) float64, 0 to 255
    """Return the picture whose content is kept: a town at night."""
    return kept(night_scene, height, width).astype(np.float64)


@cache
def painting(height: int = 96, width: int = 128) -> np.ndarray:  # -> (H, W, 3) float64, 0 to 255
    """Return the picture whose style is taken: strokes along a flow."""
    return kept(flow_painting, height, width).astype(np.float64)


@cache
def weights() -> Weights:
    """Return the weights of the network that ships with the package, or random ones if it is not there."""
    try:
        return load_weights(EMBEDDED)
    except HandstyleError:
        return load_weights("random")


def network(dtype: str = "float64", **options: str) -> Network:
    """Return the network of the book, on the CPU."""
    return load_network(weights(), backend="numpy", dtype=dtype, **options)


def network_label() -> str:
    """Return what the network is, in words for a caption."""
    return weights().provenance.get("network", "unknown network")


def show(axes: plt.Axes, picture: np.ndarray, title: str = "", **options) -> None:
    """Draw a picture, (H, W, 3) 0 to 255 or (H, W), without axes."""
    if picture.ndim == 3:
        picture = np.clip(picture, 0, 255).astype(np.uint8)
    axes.imshow(picture, interpolation="nearest", **options)
    axes.set_title(title)
    axes.set_axis_off()


def signed(axes: plt.Axes, values: np.ndarray, title: str = "", size: float | None = None) -> None:
    """Draw a plane of signed numbers: orange above zero, blue below."""
    size = size or float(np.abs(values).max()) or 1.0
    show(axes, values, title, cmap=SIGNED, vmin=-size, vmax=size)


def two_runs(runs: dict[str, Objective], start: np.ndarray, evaluations: int) -> tuple[Figure, plt.Axes]:
    """Draw where L-BFGS-B leads with the right objective and with a broken one, and both losses over evaluations.

    A cross marks a run that gave up. Returns the figure and the panel of the losses.
    """
    figure, (*panels, losses) = plt.subplots(1, 3, figsize=(7.2, 2.4), layout="constrained")
    for panel, color, (words, objective) in zip(panels, (BLUE, ORANGE), runs.items(), strict=True):
        outcome = minimize_lbfgsb(objective, start, evaluations, evaluations=evaluations)
        show(panel, outcome.v.reshape(objective.shape), words)
        done = [1, *(row.evaluations for row in outcome.trace), outcome.evaluations]
        values = [objective(start)[0], *(row.value for row in outcome.trace), outcome.value]
        losses.semilogy(done, values, color=color, label=words)
        if outcome.evaluations < evaluations:
            losses.plot(outcome.evaluations, outcome.value, "x", color=color, ms=9, mew=2)
    losses.set(xlabel="evaluations", title="the loss")
    losses.legend(fontsize=9)
    return figure, losses


def y_ticks(axes: plt.Axes, *values: float) -> None:
    """Write these values beside a logarithmic axis, as numbers and not as powers of ten."""
    axes.set_yticks(values, [f"{value:g}" for value in values])
    axes.minorticks_off()


def save(figure: Figure, out: str) -> None:
    """Write the figure, and beside it one for dark pages, and let it go."""
    options = {"bbox_inches": "tight", "metadata": {"Date": None} if str(out).endswith(".svg") else None}
    figure.savefig(out, **options)
    figure.set_layout_engine("none")  # everything has its place now
    for_a_dark_page(figure)
    path = Path(out)
    figure.savefig(path.with_name(f"{path.stem}-dark{path.suffix}"), transparent=True, **options)
    plt.close(figure)


def for_a_dark_page(figure: Figure) -> None:
    """Turn grays over, black to near white, and lighten the colors of lines and words.

    Pictures stay as they are; in maps of signed numbers zero is dark.
    """

    def turned(hue: object) -> object:
        if isinstance(hue, str) and hue == "none":
            return hue
        found = mpl.colors.to_rgba_array(hue)
        for c in found:
            if np.ptp(c[:3]) < 0.02:
                c[:3] = 0.92 - 0.84 * c[:3]
            elif c[:3] @ (0.3, 0.6, 0.1) < 0.5:
                c[:3] += 0.35 * (1 - c[:3])
        return found[0] if len(found) == 1 else found

    arrows = [t.arrow_patch for t in figure.findobj(mpl.text.Annotation) if t.arrow_patch]
    for artist in [*figure.findobj(), *arrows]:
        if isinstance(artist, mpl.image.AxesImage) and artist.get_cmap() == SIGNED:
            artist.set_cmap(DARK_SIGNED)
        if isinstance(artist, mpl.collections.Collection):
            if artist.get_array() is None:
                artist.set(facecolor=turned(artist.get_facecolor()), edgecolor=turned(artist.get_edgecolor()))
        elif isinstance(artist, mpl.patches.Patch):
            edge = artist.get_edgecolor()
            edge = turned(edge) if edge[3] else "none"  # else the transparency of the whole would make it visible
            artist.set(facecolor=turned(artist.get_facecolor()), edgecolor=edge)
        elif isinstance(artist, mpl.lines.Line2D):
            own = artist.get_markerfacecolor(), artist.get_markeredgecolor()
            artist.set_color(turned(artist.get_color()))
            artist.set(markerfacecolor=turned(own[0]), markeredgecolor=turned(own[1]))
        elif isinstance(artist, mpl.text.Text):
            artist.set_color(turned(artist.get_color()))


def command(main: Callable[..., None]) -> None:
    """Run `main(out, quick=True)`: ``python -m fig.name OUT [--full]``."""
    main(sys.argv[1], quick="--full" not in sys.argv)
