"""Count the evaluations that L-BFGS needs, in pixels and in scaled cosine coefficients, at one scale and in a pyramid.

``python -m benchmarks.precondition`` runs the optimizers on several pairs of pictures and adds a row for each run to
today's JSON in ``benchmarks/results/``; rows that are there already are not run again, so it can be done in parts. The
measure is the number of evaluations until the loss that L-BFGS-B in pixels, with ten pairs, has after 100. Evaluations
do not depend on the machine. ``--timed`` runs several methods in turn, an evaluation of each at a time, and adds up
what each has taken: its evaluations, its transforms and its optimizer.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from skimage import data

from benchmarks import common
from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.image import resize
from handstyle.network.vgg import Network
from handstyle.network.weights import EMBEDDED
from handstyle.optimize.lbfgs import minimize_lbfgs
from handstyle.optimize.lbfgsb import minimize_lbfgsb
from handstyle.optimize.objective import Objective, nothing
from handstyle.optimize.precondition import KNEE, Preconditioned, Spectrum, frequency_scale
from handstyle.optimize.trace import Iteration
from handstyle.painting.config import StyleConfig
from handstyle.painting.load import load_network
from handstyle.painting.targets import build_terms

PAIRS = (
    ("photograph", "painting"),  # these two ship with the package
    ("astronaut", "wave_crop"),
    ("coffee", "monet"),
    ("chelsea", "shipwreck"),
    ("rocket", "starry_night"),
    ("tubingen", "starry_night"),
)
BUDGET = 100  # evaluations of the method that the others are compared with
MAX_EVALUATIONS = 130
RECORDED_EVALUATIONS = (*range(1, 10), *range(10, MAX_EVALUATIONS + 1, 5))  # evaluations whose loss is written down


@dataclass(frozen=True)
class Method:
    """How a picture is found: the optimizer, its variables, and where it begins."""

    optimizer: str = "lbfgsb"
    history: int = 10
    exponent: float = 0.0
    knee: float = KNEE
    pyramid: int = 0  # the side of the coarsest scale; 0: one scale
    coarse: int = 60  # evaluations at each scale before the last

    @property
    def name(self) -> str:
        """The method in words."""
        words = [{"lbfgsb": "SciPy's", "lbfgs": "our own"}[self.optimizer], f"history {self.history}"]
        words += [f"exponent {self.exponent:g}"] if self.exponent else ["pixels"]
        words += [f"f0 {self.knee:g}"] if self.exponent and self.knee != KNEE else []
        return ", ".join(words + ([f"pyramid from {self.pyramid}"] if self.pyramid else []))


PLAIN = Method()
EXPONENTS, KNEES = (0.25, 0.5, 0.75), (0.02, 0.05, 0.1)
SMALL_GRID = (PLAIN, Method(history=10, exponent=0.5), Method(history=30, exponent=0.5))
GRID = (
    *SMALL_GRID,
    *(Method(history=30, exponent=0.5, knee=knee) for knee in KNEES if knee != KNEE),
    *(Method(history=30, exponent=exponent) for exponent in EXPONENTS if exponent != 0.5),
    Method(history=30),
)
OWN_METHODS = tuple(Method("lbfgs", m.history, m.exponent, m.knee) for m in SMALL_GRID)


def picture(name: str, size: int) -> Array:  # -> (size, size, 3) float64, 0 to 255
    """Return the middle square of a picture: the package's, of the data folder, or scikit-image's."""
    shipped, folder = Path(str(files("handstyle"))) / "data" / f"{name}.jpg", common.data_folder()
    given = folder / "images" / f"{name}.jpg" if folder else None
    if shipped.exists() or (given is not None and given.exists()):
        opened = Image.open(shipped if shipped.exists() else given).convert("RGB")  # type: ignore[arg-type]
    elif hasattr(data, name):
        opened = Image.fromarray(getattr(data, name)())
    else:
        raise HandstyleError(f"{name}: no such picture; set HANDSTYLE_TEST_DATA, or choose other `--pairs`")
    side = min(opened.size)
    left, top = (opened.width - side) // 2, (opened.height - side) // 2
    box = (left, top, left + side, top + side)
    return np.asarray(opened.resize((size, size), Image.Resampling.LANCZOS, box=box), np.float64)


class RecordingObjective(Objective):
    """An objective that records the best value after each evaluation, and ends a run at a given loss."""

    best, stop_at = float("inf"), -float("inf")
    curve: list[tuple[float, float, float]]  # seconds, evaluations in those of the last scale, best value
    turn: common.Turn | None = None
    spent, share = 0.0, 1.0

    def _total(self, values: Array, finite: bool) -> float:
        value = super()._total(values, finite)
        self.best = min(self.best, value)
        self.spent += self.share
        here = 0.0 if self.turn is None else self.turn.seconds
        self.curve.append((here, self.spent, self.best))
        return value

    def wait(self) -> None:
        """Wait for the turn of this run, if several runs take turns."""
        if self.turn is not None:
            self.turn.next()

    def __call__(self, v: Array) -> tuple[float, Array]:
        """Evaluate, in turn."""
        self.wait()
        return super().__call__(v)

    def on_device(self, v: Array, extra: Callable[[Array], Array] = nothing) -> tuple[float, Array, Array]:
        """Evaluate, in turn."""
        self.wait()
        return super().on_device(v, extra)


def run(
    network: Network,
    pair: tuple[str, str],
    size: int,
    method: Method,
    stop_at: float = -np.inf,
    most: int = MAX_EVALUATIONS,
    turn: common.Turn | None = None,
) -> list[tuple[float, float, float]]:
    """Run a method, and return its curve: seconds, evaluations of the last scale, and the best loss."""
    sizes = [size]
    while method.pyramid and sizes[0] > method.pyramid:
        sizes.insert(0, max(sizes[0] // 2, method.pyramid))
    config, p, spent = StyleConfig(), picture(pair[0], sizes[0]), 0.0
    for side in sizes:
        pictures = [picture(name, side).astype(network.dtype) for name in pair]
        objective = RecordingObjective(
            network, build_terms(network, config, pictures[0], pictures[1:]), (side, side, 3)
        )
        objective.curve, objective.turn = [], turn
        objective.spent, objective.share = spent, (side / size) ** 2
        last = side == size
        start = resize(p, (side, side)).astype(np.float64 if method.optimizer == "lbfgsb" else network.dtype)
        spectrum = Spectrum(frequency_scale(side, side, method.exponent, method.knee).astype(start.dtype))
        z, evaluated = spectrum.inverse(start).ravel(), Preconditioned(objective, spectrum)

        def far_enough(row: Iteration, objective: RecordingObjective = objective, last: bool = last) -> None:
            if last and objective.best <= stop_at:
                raise StopIteration

        minimize = {"lbfgsb": minimize_lbfgsb, "lbfgs": minimize_lbfgs}[method.optimizer]
        outcome = minimize(  # type: ignore[operator]
            evaluated if method.exponent else objective,
            z if method.exponent else start.ravel(),
            most,
            method.history,
            evaluations=most if last else method.coarse,
            callback=far_enough,
        )
        found = outcome.v.reshape(side, side, 3)
        p, spent = (spectrum.forward(found) if method.exponent else found).astype(np.float64), objective.spent
    return objective.curve


def loss_after_budget(curve: list[tuple[float, float, float]]) -> float:
    """Return the loss after `BUDGET` evaluations; SciPy may end with one more."""
    return curve[:BUDGET][-1][2]


def cost_of_loss(curve: list[tuple[float, float, float]], loss: float) -> tuple[float, float] | None:
    """Return seconds and evaluations until a loss, or None if it was not reached."""
    return next(((seconds, spent) for seconds, spent, best in curve if best <= loss), None)


def row(
    name: str, pair: tuple[str, str], size: int, method: Method, curve: list[tuple[float, float, float]], loss: float
) -> dict[str, Any]:
    """Return a run as a row of the results."""
    kept = [i for i in range(len(curve)) if i + 1 in RECORDED_EVALUATIONS or i == len(curve) - 1]
    reached = cost_of_loss(curve, loss)
    return {
        "network": name,
        "pair": list(pair),
        "size": size,
        "method": asdict(method),
        "loss": loss,
        "evaluations": None if reached is None else round(reached[1], 2),
        "seconds": None if reached is None or not reached[0] else round(reached[0], 2),
        "curve": [[round(curve[i][0], 2), round(curve[i][1], 2), float(f"{curve[i][2]:.5g}")] for i in kept],
    }


def timed(name: str, pair: tuple[str, str], size: int, methods: tuple[Method, ...]) -> list[Any]:
    """Run methods in turn until each has the loss that the first has after its budget."""
    curves = common.take_turns([partial(run_in_turn, name=name, pair=pair, size=size, method=m) for m in methods])
    loss = loss_after_budget(curves[0])
    return [row(name, pair, size, m, curve, loss) for m, curve in zip(methods, curves, strict=True)]


def run_in_turn(turn: common.Turn, name: str, pair: tuple[str, str], size: int, method: Method) -> list[Any]:
    """Run a method, an evaluation in each turn, and return its curve."""
    return run(load(name), pair, size, method, most=BUDGET, turn=turn)


@cache
def load(name: str) -> Network:
    """Return the network of a name: the embedded one, or VGG-19 of the data folder."""
    return load_network(EMBEDDED, backend="numpy") if name == "slim" else common.network_with("auto")


def table(rows: list[dict[str, Any]]) -> str:
    """Return the share of the plain method's evaluations that each method needs, as a table in Markdown."""
    groups: dict[tuple[str, int, str], list[float | None]] = {}
    for one in rows:
        key = one["network"], one["size"], Method(**one["method"]).name
        groups.setdefault(key, []).append(None if one["evaluations"] is None else one["evaluations"] / BUDGET)
    lines = ["| network | size | method | pairs | median | least | most |", "|---|---|---|---|---|---|---|"]
    for (network, size, method), shares in groups.items():
        reached = [np.inf if share is None else share for share in shares]
        three = np.median(reached), min(reached), max(reached)
        shown = [f"{x:.2f}" if np.isfinite(x) else "not reached" for x in three]
        lines.append(f"| {network} | {size}² | {method} | {len(shares)} | {' | '.join(shown)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=("slim", "vgg19"), default="slim")
    parser.add_argument("--sizes", type=int, nargs="*", default=[128, 192, 256])
    parser.add_argument("--pairs", type=int, nargs="*", default=list(range(len(PAIRS))), help="by number, from 0")
    parser.add_argument("--methods", choices=("grid", "few", "own", "pyramid"), default="grid")
    parser.add_argument("--timed", action="store_true", help="in turn, with seconds")
    parser.add_argument("--rows", type=int, default=10**6, help="at most; the next call goes on")
    parser.add_argument("--table", action="store_true", help="print what has been measured, and measure nothing")
    options = parser.parse_args()
    name = "precondition-timed" if options.timed else "precondition"
    found = sorted(common.RESULTS.glob(f"*-{name}.json"))
    rows: list[dict[str, Any]] = json.loads(found[-1].read_text(encoding="utf-8"))["rows"] if found else []
    if options.table:
        print(table(rows))
        return
    pairs = [PAIRS[i] for i in options.pairs]
    for size in options.sizes:
        ours, scipys = (
            (*few[::2], *(replace(m, pyramid=max(size // 4, 64)) for m in few[::2]))
            for few in (OWN_METHODS, SMALL_GRID)
        )
        methods = {"grid": GRID, "few": SMALL_GRID, "own": (PLAIN, *ours), "pyramid": scipys}[options.methods]
        if options.timed:
            for pair in pairs:
                case = options.network, [*pair], size
                rows = [one for one in rows if (one["network"], one["pair"], one["size"]) != case]
                rows += timed(options.network, pair, size, methods if options.methods == "own" else scipys)
                common.write_results(name, rows)
            continue
        for method in methods:
            for pair in pairs:
                case = options.network, [*pair], size
                same = {
                    Method(**one["method"]): one for one in rows if (one["network"], one["pair"], one["size"]) == case
                }
                if method in same:
                    continue
                loss = same[PLAIN]["loss"] if PLAIN in same else None
                if loss is None and method != PLAIN:
                    raise SystemExit(f"{pair} at {size}: first run the plain method")
                most = BUDGET if loss is None else MAX_EVALUATIONS
                curve = run(load(options.network), pair, size, method, -np.inf if loss is None else loss, most)
                rows.append(
                    row(options.network, pair, size, method, curve, loss_after_budget(curve) if loss is None else loss)
                )
                common.write_results(name, rows)
                options.rows -= 1
                if not options.rows:
                    return
    print(table(rows))


if __name__ == "__main__":
    main()
