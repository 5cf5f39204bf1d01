"""Parts of all benchmarks: the objective that is measured, a description of the machine, and the file of results."""

import datetime
import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
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
from handstyle.network.weights import read_weights
from handstyle.optimize.objective import Objective
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
    weights = read_weights(folder / VGG19)
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


class TurnTaker:
    """Lets several runs, each in a thread of its own, take turns, an evaluation at a time, and times each.

    What disturbs the machine then disturbs all of them, and each has the seconds that it took itself: its evaluations,
    and the optimizer between them.
    """

    def __init__(self, count: int) -> None:
        self.changed, self.alive, self.now = threading.Condition(), list(range(count)), 0
        self.seconds, self.since = [0.0] * count, time.perf_counter()

    def next(self, index: int) -> None:
        """End the turn of a run, if one has begun, and wait for its next."""
        with self.changed:
            if self.now == index and self.seconds[index]:
                self._next_turn(index)
            self.changed.wait_for(lambda: self.now == index)
            self.seconds[index] = self.seconds[index] or 1e-9  # it has begun
            self.since = time.perf_counter()

    def seconds_of(self, index: int) -> float:
        """Return the seconds of a run's turns, with the present one."""
        return self.seconds[index] + time.perf_counter() - self.since

    def run(self, works: Sequence[Callable[[], object]]) -> None:
        """Run all to their ends; the first of their exceptions is raised then."""
        failures: list[BaseException] = []

        def worked(index: int, work: Callable[[], object]) -> None:
            try:
                work()
            except BaseException as error:
                failures.append(error)
            finally:
                with self.changed:
                    self.changed.wait_for(lambda: self.now == index)
                    self._next_turn(index)
                    self.alive.remove(index)

        threads = [threading.Thread(target=worked, args=pair) for pair in enumerate(works)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]

    def _next_turn(self, index: int) -> None:
        self.seconds[index] += time.perf_counter() - self.since
        self.now = self.alive[(self.alive.index(index) + 1) % len(self.alive)]
        self.since = time.perf_counter()
        self.changed.notify_all()


@dataclass
class TurnTakingObjective:
    """An objective that waits for its turn before each evaluation, and writes down seconds and value after it."""

    objective: Objective
    turns: TurnTaker
    index: int
    trace: list[tuple[float, float]]

    @property
    def terms(self) -> dict[str, float]:
        return self.objective.terms

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.objective.shape

    def __call__(self, v: Array) -> tuple[float, Array]:
        self.turns.next(self.index)
        found = self.objective(v)
        self.trace.append((self.turns.seconds_of(self.index), found[0]))
        return found

    def on_device(self, v: Array, extra: Any = None) -> tuple[float, Array, Array | None]:
        self.turns.next(self.index)
        found = self.objective.on_device(v, extra)
        self.trace.append((self.turns.seconds_of(self.index), found[0]))
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
