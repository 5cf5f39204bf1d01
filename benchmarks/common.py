"""Parts of all benchmarks: the objective that is measured, a description of the machine, and the file of results."""

import datetime
import json
import math
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from handstyle.cli.bench import interleave
from handstyle.foundations.atomic_file import replace_file
from handstyle.foundations.backend import Array, cpu_name
from handstyle.foundations.image import preprocess_forward
from handstyle.losses.content import ContentTerm
from handstyle.losses.gram import Moments, StyleTerm
from handstyle.network.vgg import Network, Weights, build_network, convolution_names, random_weights
from handstyle.optimize.objective import Evaluable, Objective, nothing
from handstyle.painting.load import load_weights
from handstyle.painting.recipe import machine as environment
from handstyle.painting.targets import measure_moments

STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT = "relu4_2"
STYLE_WEIGHT = 1000.0  # divided among the style layers; content has weight 1
RESULTS = Path(__file__).parent / "results"
VGG19 = "weights/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"


def data_folder() -> Path | None:
    """Return the folder of real weights and pictures, if HANDSTYLE_TEST_DATA names one."""
    folder = os.environ.get("HANDSTYLE_TEST_DATA")
    return Path(folder) if folder else None


@cache
def weights_to(deepest: str = "conv5_1") -> Weights:
    """Return VGG-19's weights up to a layer: the real ones, or random ones without a data folder."""
    folder = data_folder()
    if folder is None:
        return random_weights("vgg19", (64, 128, 256, 512, 512), deepest=deepest)
    weights = load_weights(folder / VGG19)
    names = convolution_names("vgg19")
    kept = {name: weights.layers[name] for name in names[: names.index(deepest) + 1]}
    return Weights(weights.architecture, weights.convention, kept, weights.provenance)


def picture(name: str, size: int) -> Array:  # -> (size, size, 3) float32, 0 to 255
    """Return a square picture from the data folder, or colored noise without one."""
    folder = data_folder()
    if folder is None:
        rng = np.random.default_rng(len(name))
        coarse = rng.uniform(0, 255, (size // 16 + 1, size // 16 + 1, 3)).astype(np.uint8)
        opened = Image.fromarray(coarse)
    else:
        opened = Image.open(folder / "images" / name).convert("RGB")
    side = min(opened.size)
    left, top = (opened.width - side) // 2, (opened.height - side) // 2
    box = (left, top, left + side, top + side)
    return np.asarray(opened.resize((size, size), Image.Resampling.LANCZOS, box=box), np.float32)


def targets(network: Network, size: int) -> tuple[Array, dict[str, Moments]]:
    """Return the content target and the style targets, measured on a photograph and a painting of the same size."""
    photograph, painting = (
        preprocess_forward(picture(name, size).astype(network.dtype), network.convention)
        for name in ("tubingen.jpg", "starry_night.jpg")
    )
    content = network.forward(photograph, (CONTENT,))[0][CONTENT]
    features, _ = network.forward(painting, STYLE)
    return np.array(content), {tap: measure_moments(features.pop(tap)) for tap in STYLE}


def objective(network: Network, content: Array, styles: dict[str, Moments], size: int) -> Objective:
    """Return the default objective: content at relu4_2, style at relu1_1 … relu5_1."""
    dtype = network.dtype
    terms = [ContentTerm(CONTENT, content.astype(dtype))]
    terms += [StyleTerm(tap, moments, STYLE_WEIGHT / len(styles)) for tap, moments in styles.items()]
    return Objective(network, terms, (size, size, 3))


def network_with(kernels: str, dtype: Any = np.float32) -> Network:
    """Return VGG-19 up to relu5_1, run by an engine of `ENGINES`."""
    network = build_network(weights_to())
    return (network if dtype == np.float32 else network.astype(dtype)).with_kernels(kernels)


def interleaved(sides: dict[str, Callable[[], object]], rounds: int, warmup: int = 1) -> dict[str, list[float]]:
    """Time several functions in turn, so that a disturbance affects all; return the seconds of each round."""
    return {
        name: [turn.seconds for turn in taken[warmup:]] for name, taken in interleave(sides, warmup + rounds).items()
    }


class Turn:
    """One of several runs that take turns: it waits for each of its turns, and adds up their seconds.

    Attributes
    ----------
    finished : dict of int to object
        The results of the runs that had ended when this turn began, by the number of the run.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection, self.finished = connection, dict[int, Any]()
        self._before, self._since = 0.0, math.inf  # seconds of earlier turns; when the present one began

    @property
    def seconds(self) -> float:
        """The seconds of all turns so far, with the present one; preparations before the first do not count."""
        return self._before + max(0.0, time.perf_counter() - self._since)

    def next(self) -> None:
        """End the turn, if one has begun, and wait for the next."""
        self._before, self._since = self.seconds, math.inf
        self._connection.send(("waits", None))
        self.finished = self._connection.recv()
        self._since = time.perf_counter()


def take_turns(runs: Sequence[Callable[[Turn], Any]]) -> list[Any]:
    """Run several functions, each in a process of its own, a turn at a time; return their results.

    What disturbs the machine then disturbs all of them, and each has the memory and the threads that it has alone. In
    one process they would share the limit of BLAS's threads, which threadpoolctl lets only one thread set at a time.

    Parameters
    ----------
    runs : sequence of callable
        ``run(turn)`` calls ``turn.next()`` before each step, and returns its result. It must be possible to pickle it.

    Raises
    ------
    RuntimeError
        If a run fails.
    """
    context, results = multiprocessing.get_context("spawn"), dict[int, Any]()
    waiting: dict[int, Connection] = {}
    processes = []
    try:
        for index, run in enumerate(runs):  # one after the other, so that they do not prepare at the same time
            here, there = context.Pipe()
            processes.append(context.Process(target=_take_turns, args=(run, there), daemon=True))
            processes[-1].start()
            there.close()
            waiting[index] = here
            _end_of_turn(waiting, index, results)
        while waiting:
            for index in list(waiting):
                waiting[index].send(dict(results))
                _end_of_turn(waiting, index, results)
    finally:
        for process in processes:
            process.terminate()
    return [results[index] for index in range(len(runs))]


def _take_turns(run: Callable[[Turn], Any], connection: Connection) -> None:
    try:
        connection.send(("ends", run(Turn(connection))))
    except Exception as error:
        connection.send(("fails", f"{type(error).__name__}: {error}"))


def _end_of_turn(waiting: dict[int, Connection], index: int, results: dict[int, Any]) -> None:
    # Wait until a run has ended its turn; one that has come to its end moves from `waiting` to `results`.
    what, value = waiting[index].recv()
    if what == "fails":
        raise RuntimeError(f"run {index}: {value}")
    if what == "ends":
        results[index] = value
        del waiting[index]


@dataclass
class TurnTakingObjective(Evaluable):
    """An objective that waits for its turn before each evaluation, and records seconds and value after it."""

    objective: Objective
    turn: Turn
    trace: list[tuple[float, float]]

    @property
    def terms(self) -> dict[str, float]:
        return self.objective.terms

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.objective.shape

    def __call__(self, v: Array) -> tuple[float, Array]:
        self.turn.next()
        found = self.objective(v)
        self.trace.append((self.turn.seconds, found[0]))
        return found

    def on_device(self, v: Array, extra: Callable[[Array], Array] = nothing) -> tuple[float, Array, Array]:
        self.turn.next()
        found = self.objective.on_device(v, extra)
        self.trace.append((self.turn.seconds, found[0]))
        return found


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """Return the ratio of our time to theirs: of the fastest rounds, and the median over rounds."""
    return {
        "ours_min_s": min(ours),
        "theirs_min_s": min(theirs),
        "ours_median_s": float(np.median(ours)),
        "theirs_median_s": float(np.median(theirs)),
        "ratio_of_minima": min(ours) / min(theirs),
        "median_ratio": float(np.median([a / b for a, b in zip(ours, theirs, strict=True)])),
    }


def machine() -> dict[str, Any]:
    """Describe the machine as a recipe does, with the processor, its load, the peers' versions and the weights."""
    packages = ("handstyle", "numpy", "scipy", "torch", "jax", "ncnn")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    weights = "vgg19, ImageNet" if data_folder() else "vgg19, random"
    return environment(packages) | {"processor": cpu_name(), "load": f"{load:.2f}", "weights": weights}


def write_results(name: str, rows: Any, **more: Any) -> Path:
    """Write results as dated JSON to ``benchmarks/results``, and return the path."""
    now = datetime.datetime.now(datetime.UTC)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{now:%Y-%m-%d}-{name}.json"
    record = {"name": name, "date": now.isoformat(timespec="seconds"), "machine": machine(), "rows": rows, **more}
    replace_file(path, (json.dumps(record, indent=1) + "\n").encode())
    return path
