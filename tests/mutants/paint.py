"""Paint with every mutant: what the last column of `table.py` was read from.

    HANDSTYLE_TEST_DATA=... python tests/mutants/paint.py OUT [NAME ...]

writes a picture a mutant to the folder OUT and prints what became of the run, the loss that the genuine code finds at
the picture among it. Weights, photograph and painting are those of the test data; films are painted by the small
network. Ten minutes on one core for all of them.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from mutants.harness import GENUINE
from mutants.table import MUTANTS
from support.fast_network import FastNetwork

from handstyle.foundations.backend import Array
from handstyle.foundations.image import fit_long_side
from handstyle.foundations.picture_reading import read_picture
from handstyle.foundations.picture_writing import write_picture
from handstyle.kernels import tiles
from handstyle.losses import content, gram, patches
from handstyle.losses.content import ContentTerm
from handstyle.losses.gram import StyleTerm
from handstyle.losses.patches import PatchTerm
from handstyle.losses.total_variation import VariationTerm, total_variation
from handstyle.network import convolution, sequence
from handstyle.network.pooling import average_pool_forward, max_pool_forward
from handstyle.network.sequence import POOLS
from handstyle.network.vgg import Network, build_network
from handstyle.optimize import objective as objective_module
from handstyle.optimize.lbfgsb import minimize_lbfgsb
from handstyle.optimize.objective import Evaluable, Objective, ReferenceEngine
from handstyle.optimize.precondition import Spectrum, minimize_preconditioned
from handstyle.painting import film as film_module
from handstyle.painting import stylize as stylize_module
from handstyle.painting.load import load_weights
from handstyle.painting.normalizations import STYLE as NORMALIZATIONS
from handstyle.painting.normalizations import Place

SIZE, ITERATIONS = 80, 30
TILED, TILED_SIZE, TILE = {"halo_of": tiles, "owned": tiles.PictureTile}, 256, 208  # subjects, and who has them
STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
VARIATION = [total_variation]  # what the objective's term is made of
# The subjects that only training, only float32 on large pictures, or only painting again by a recipe would show.
NOT_PAINTED = {"conv3x3_weight_gradient", "conv3x3_bias_gradient", "moments_forward", "network_settings", "toml_value"}
FILMS = {"temporal_gradient", "moved", "certainty"}  # it takes a film to see them
NOT_PAINTED |= FILMS
# Subjects within the network; a mutant of another is painted on the CPU engine's network, in two thirds of the time.
NETWORK = {"conv3x3_forward", "conv3x3_backward", "correlate_tiles", "pad_backward", "relu", "max_pool", *TILED}
NETWORK |= {"average_pool_backward", "sequence_forward", "sequence_backward"}
# Mutants whose run is the genuine one to the last bit: it has no tie, mask, standard deviation or sum of features, its
# taps are rectified, its Gram matrices symmetric, its pictures of one size, and its first one within 0 to 255. A test
# asks.
WITHOUT_EFFECT = {
    "gradient_at_zero",
    "every_tie_gets_the_gradient",
    "rectifier_in_place",
    "std_forgotten",
    "gram_gradient_not_symmetric",
    "gradient_of_the_sums_ignored",
    "mask_applied_twice",
    "mask_not_applied",
    "divided_by_the_paintings_size",
    "content_gradient_masked_by_the_sign",
    "branch_frozen_when_recorded",
}


class Painted(NamedTuple):
    """A picture and what became of its run; `value` is what the genuine code says of it, where it can be compared."""

    picture: Array
    value: float | None
    facts: dict[str, Any]


class Wrong(Evaluable):
    """An objective evaluated by a mutant, a function of the genuine objective and a picture."""

    def __init__(self, objective: Objective, function: Callable[..., Any]) -> None:
        self.objective, self.function, self.terms = objective, function, {}

    def __call__(self, v: Array) -> tuple[float, Array]:
        value, gradient = self.function(self.objective, v)
        self.terms = self.objective.terms
        return value, gradient


def replacements(subject: str, function: Callable[..., Any]) -> Iterator[tuple[Any, str, Any]]:
    """Yield where the package must be patched for `function` to take the place of `subject`."""
    if subject == "pad_backward":
        genuine = GENUINE[subject]
        yield convolution, subject, lambda d, mode: function(d, mode) if mode == "reflect" else genuine(d, mode)
    elif subject == "total_variation":
        VARIATION[0] = function
    elif subject == "conv3x3_backward":  # channels_not_transposed fits square kernels only
        genuine = GENUINE[subject]
        yield (
            sequence,
            subject,
            lambda dy, cache: (
                function(dy, cache)
                if cache[0].shape[2] == cache[0].shape[3] or not fussy(function)
                else genuine(dy, cache)
            ),
        )
    elif subject == "relu":
        yield sequence, "relu_forward", lambda x: (np.maximum(x, 0), x)
        yield sequence, "relu_backward", function
    elif subject == "max_pool":
        pair = (lambda x, rounding: (max_pool_forward(x, rounding)[0], x), lambda dy, x: grown(function(dy, x), x))
        yield sequence, "POOLS", {**POOLS, "max": pair}
    elif subject == "average_pool_backward":
        yield sequence, "POOLS", {**POOLS, "average": (average_pool_forward, function)}
    elif subject == "conv3x3_forward":
        yield sequence, subject, function
    elif subject == "correlate_tiles":
        yield sequence, "conv3x3_forward", lambda x, w, b, padding: (function(x, w, 4) + b, w)
        yield sequence, "conv3x3_backward", lambda dy, w: function(dy, w[::-1, ::-1].transpose(0, 1, 3, 2), 4)
    elif subject in ("gram_loss", "moments_backward", "moments_forward"):
        yield gram, subject, function
    elif subject == "patches_backward":
        yield patches, subject, function
    elif subject in TILED:
        yield TILED[subject], subject, function
    elif subject == "content_backward":
        yield content, subject, function
    elif subject == "spectrum_backward":
        yield Spectrum, "backward", function
    elif subject in ("sequence_backward", "sequence_forward"):
        yield ReferenceEngine, subject.removeprefix("sequence_"), staticmethod(function)
    elif subject not in ("objective", "match_affine"):  # those of the objective's own file
        yield objective_module, subject, function


def fussy(function: Callable[..., Any]) -> bool:
    return function.__name__ == "channels_not_transposed"


def grown(dx: Array, x: Array) -> Array:
    """Return `dx` with the odd row and column that a mutant left out."""
    whole = np.zeros_like(x)
    whole[: dx.shape[0], : dx.shape[1]] = dx
    return whole


def make_objective(
    network: Network, photograph: Array, painting: Array, variation: float, by_patches: bool = False
) -> Objective:
    """Return the default objective, its targets measured by what is in the package at the moment."""

    def features(p: Array) -> dict[str, Array]:
        x = objective_module.preprocess_forward(p.astype(np.float32), network.convention)
        return network.forward(x, [*STYLE, "relu4_2"])[0]

    painted, photographed = features(painting), features(photograph)
    asked: list[Any] = [StyleTerm(tap, gram.moments_forward(painted[tap]), 10.0) for tap in STYLE]
    if by_patches:
        asked = [PatchTerm(tap, painted[tap], 10.0) for tap in ("relu3_1", "relu4_1")]
    asked += [ContentTerm("relu4_2", photographed["relu4_2"])]
    asked.append(VariationTerm(variation, function=VARIATION[0]))
    return Objective(network, asked, photograph.shape)


def paint(
    subject: str,
    function: Callable[..., Any],
    pictures: tuple[Array, ...],
    weights: Any,
    iterations: int = ITERATIONS,
    evaluations: int | None = None,
) -> Painted:
    """Return the picture painted with `function` in the place of `subject`, and what became of the run.

    It ends with as many `evaluations` at the latest, of which a line search that finds no descent can take many.
    """
    pooling, rounding = ("average", "up") if subject == "average_pool_backward" else ("max", "down")
    padding = "reflect" if subject == "pad_backward" else "zero"
    network = build_network(weights, pooling, padding, rounding)
    if subject not in NETWORK:
        network = network.with_kernels(FastNetwork())
    if subject == "match_affine":  # by the principal axes: the symmetric map is its own transpose
        pictures = pictures[0], function(pictures[1], pictures[0], "pca")
    if subject == "carry_over":
        return by_weights(function, pictures, network, iterations)
    if subject == "enlarged":
        return by_scales(function, pictures, network, iterations)
    variation = 1e-2 if subject == "total_variation" or "variation" in function.__name__ else 1e-5
    with ExitStack() as patched:
        for module, name, replacement in replacements(subject, function):
            patched.enter_context(patch.object(module, name, replacement))
        tiled = tiles.by_tiles(network.with_kernels("auto"), TILE) if subject in TILED else network
        judged = make_objective(tiled, *pictures, variation, subject == "patches_backward")
        evaluate: Evaluable = judged
        if subject == "objective":
            evaluate = Wrong(judged, function)
        if subject == "spectrum_backward":
            outcome = minimize_preconditioned(minimize_lbfgsb, judged, pictures[0].ravel(), iterations, exponent=0.5)
        else:
            outcome = minimize_lbfgsb(evaluate, pictures[0].ravel(), iterations, evaluations=evaluations)
    VARIATION[0] = total_variation
    genuine = make_objective(network, *pictures, variation, subject == "patches_backward")(outcome.v)[0]
    return Painted(outcome.v.reshape(pictures[0].shape), genuine, facts_of(outcome) | {"genuine": round(genuine, 4)})


def facts_of(outcome: Any) -> dict[str, Any]:
    """Return what a run says of itself; one that found no descent at all has no value."""
    return {
        "value": round(outcome.trace[-1].value, 4) if outcome.trace else None,
        "iterations": len(outcome.trace),
        "evaluations": outcome.evaluations,
        "stopped": outcome.stopped,
    }


def by_weights(
    function: Callable[..., Any], pictures: tuple[Array, Array], network: Network, iterations: int
) -> Painted:
    """Return the picture painted with neural-style's weight of 1e3 a layer, carried over to means of G."""
    height, width, _ = pictures[0].shape
    x, y = (objective_module.preprocess_forward(p.astype(np.float32), network.convention) for p in pictures)
    wanted, manner = network.forward(x, ["relu4_2"])[0]["relu4_2"], network.forward(y, STYLE)[0]
    terms = [ContentTerm("relu4_2", wanted, 5.0, 1 / wanted.size)]
    for tap in STYLE:
        at = Place(manner[tap].shape[2], 1, height * width)
        weight = function(1e3, NORMALIZATIONS, "neural-style", "mean", at)
        terms.append(StyleTerm(tap, gram.moments_forward(manner[tap]), weight, 1 / at.channels**2))
    outcome = minimize_lbfgsb(Objective(network, terms, pictures[0].shape), pictures[0].ravel(), iterations)
    return Painted(outcome.v.reshape(pictures[0].shape), None, facts_of(outcome))


def by_scales(
    function: Callable[..., Any], pictures: tuple[Array, Array], network: Network, iterations: int
) -> Painted:
    """Return the picture painted at half its size and then whole, and what became of the run."""
    size = max(pictures[0].shape)
    with patch.object(stylize_module, "enlarge_picture", function):
        result = stylize_module.stylize(
            *pictures, network=network, size=size, pyramid_min_size=size // 2, iterations=iterations, progress=False
        )
    return Painted(result.array, result.trace[-1].value, facts_of(result))


def film(subject: str, function: Callable[..., Any], photograph: Array, painting: Array) -> Painted:
    """Return the last of four frames, painted by the small network: a bright square moves before a panning town.

    The value is that of the last frame, the mutant's own; the flicker of the film is measured by the genuine code.
    """
    town, shots = fit_long_side(photograph, 128), []
    for t in range(4):
        shots.append(town[:72, 6 * t : 6 * t + 96].copy())
        shots[-1][26:46, 10 + 16 * t : 30 + 16 * t] = 240, 220, 90
    name = {"moved": "warp", "certainty": "certainty"}.get(subject)
    genuine = content.content_backward

    def held(ds: Array, f: Array, target: Array, mask: Array | None = None) -> Array:
        return genuine(ds, f, target) if mask is None else function(ds, f, target, mask)

    with patch.object(film_module, name, function) if name else patch.object(content, "content_backward", held):
        painted = list(film_module.frames(shots, painting, size=96, iterations=20, pyramid_min_size=48))
    flicker = film_module.flicker(shots, [result.image.astype(np.float64) for result in painted])
    return Painted(painted[-1].array, None, facts_of(painted[-1]) | {"flicker": round(flicker, 3)})


def main() -> None:
    """Paint the genuine picture and those of the mutants."""
    folder, names = Path(sys.argv[1]), sys.argv[2:]
    data = Path(os.environ["HANDSTYLE_TEST_DATA"])
    weights = load_weights(next((data / "weights").glob("*.h5")))
    read = [
        np.asarray(read_picture(data / "images" / n).pixels, np.float64) for n in ("tubingen.jpg", "starry_night.jpg")
    ]
    by_size = {size: tuple(fit_long_side(p, size) for p in read) for size in (SIZE, TILED_SIZE)}
    subjects = (
        "conv3x3_backward",
        "pad_backward",
        "average_pool_backward",
        "total_variation",
        "halo_of",
        "match_affine",
        "enlarged",
        "carry_over",
        "spectrum_backward",
        "patches_backward",
    )
    runs = [(f"genuine {subject}", subject, GENUINE[subject]) for subject in (*subjects, "moved")]
    runs += [(m.function.__name__, m.subject, m.function) for m in MUTANTS if m.subject not in NOT_PAINTED - FILMS]
    for name, subject, function in runs:
        if not names or name in names:
            if subject in FILMS:
                picture, _, facts = film(subject, function, *by_size[TILED_SIZE])
            else:
                pictures = by_size[TILED_SIZE if subject in TILED else SIZE]
                picture, _, facts = paint(subject, function, pictures, weights)
            folder.mkdir(exist_ok=True)
            write_picture(folder / f"{name.replace(' ', '_')}.png", np.clip(picture, 0, 255), overwrite=True)
            print(f"{name:40}", *(f"{key} {fact}" for key, fact in facts.items()), flush=True)


if __name__ == "__main__":
    main()
