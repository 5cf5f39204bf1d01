"""Compare each layer of an evaluation with the least that the same algorithm could take.

``python -m benchmarks.bound`` evaluates the default objective and writes down the seconds of each convolution, forward
and backward, with all that is done on its strips: bias, rectifier, pool, masks, and the style's gradient where it is
computed part by part. The bound of a layer is its multiplications and additions, as its kernel makes them, at the rate
of a large matrix product, and one pass over the maps that it reads and writes at the rate of a copy. Evaluations take
turns with the product and the copy, so that all meet the same machine, and the least of each counts. The result is
dated JSON in ``benchmarks/results``.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import numpy as np

from benchmarks import common
from handstyle.foundations.backend import cpu_count
from handstyle.kernels.cpu import engine, passes
from handstyle.kernels.cpu.dry_run import LayerForecast, dry_run
from handstyle.kernels.cpu.threads import default_team
from handstyle.network.sequence import Convolution, Pool
from handstyle.network.vgg import Network

LOSSES, REST, WHOLE = "losses", "the rest", "evaluation"
PRODUCT = 3072  # side of the matrices of the large product
COPY = 1 << 26  # values of the copy


@contextmanager
def timing(seconds: dict[str, float]) -> Iterator[None]:
    """Add the seconds of each convolution and of the losses to `seconds`."""
    run = passes.CpuPasses._run
    inside = False

    def timed(label: str, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        nonlocal inside
        if inside:  # `gradient_of` calls `moments_gradient`
            return function(*arguments, **keywords)
        inside, start = True, time.perf_counter()
        result = function(*arguments, **keywords)
        inside = False
        seconds[label] += time.perf_counter() - start
        return result

    def convolution(own: passes.CpuPasses, source: Any, layer: Convolution, b: Any, sink: Any, adjoint: bool) -> None:
        label = f"{layer.name} {'backward' if adjoint else 'forward'}"
        timed(label, run, own, source, layer, b, sink, adjoint)

    def loss(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arguments, **keywords: timed(LOSSES, function, *arguments, **keywords)

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(passes.CpuPasses, "_run", convolution))
        stack.enter_context(mock.patch.object(engine, "gradient_of", loss(engine.gradient_of)))
        stack.enter_context(mock.patch.object(passes, "moments_gradient", loss(passes.moments_gradient)))
        yield


def counts(network: Network, rows: list[LayerForecast], item: int) -> dict[str, dict[str, Any]]:
    """Return kernel, operations, and bytes of the maps that are read and written, by layer and direction."""
    found: dict[str, dict[str, Any]] = defaultdict(lambda: {"kernel": "", "operations": 0, "bytes": 0})
    convolutions = {layer.name: layer for layer in network.layers if isinstance(layer, Convolution)}
    # A convolution with a rectifier and a pool behind it writes the pooled map, and its adjoint reads that.
    pooled = {a.name for a, b in zip(network.layers, network.layers[2:], strict=False) if isinstance(b, Pool)}
    names = [layer.name for layer in network.layers]
    for row in rows:
        H, W, K = row.shape
        if row.direction == "loss":  # the features are read, and the gradient is written
            part, operations = found[LOSSES], row.cost.products
            part["bytes"] += 2 * item * H * W * K
            # Two thirds of the operations, the gradient, are then done on the strips of the next convolution.
            if K <= passes.MAX_PART_CHANNELS:
                after = next(name for name in names[names.index(row.layer) :] if name in convolutions)
                found[f"{after} backward"]["operations"] += 2 * operations // 3
                part["bytes"] -= item * H * W * K
                operations //= 3
            part["operations"] += operations
        elif row.layer in convolutions:
            part = found[f"{row.layer} {row.direction}"]
            C, K = convolutions[row.layer].w.shape[2:]
            part["kernel"] = row.kernel
            part["operations"] += row.cost.products
            part["bytes"] += item * H * W * C + item * H * W * K // (4 if row.layer in pooled else 1)
    return found


def measure(size: int, rounds: int) -> dict[str, Any]:
    """Time evaluations in turn with a large product and a copy, and return the least seconds of each layer."""
    network = common.network_with("auto", np.float32)
    content, styles = common.targets(network, size)
    objective = common.objective(network, content, styles, size)
    v = common.picture("tubingen.jpg", size).astype(np.float64).ravel()
    draw, team = np.random.default_rng(0), default_team()
    A, B = (draw.standard_normal((PRODUCT, PRODUCT), np.float32) for _ in range(2))
    C = np.empty_like(A)
    source = draw.standard_normal((8 * team.threads, COPY // (8 * team.threads)), np.float32)
    target = np.empty_like(source)

    def copy(_: int, pieces: Iterator[int]) -> None:
        for i in pieces:
            np.copyto(target[i], source[i])

    best: dict[str, float] = {}
    for turn in range(rounds + 1):
        seconds: dict[str, float] = defaultdict(float)
        with timing(seconds):
            start = time.perf_counter()
            objective(v)
            seconds[WHOLE] = time.perf_counter() - start
        seconds[REST] = 2 * seconds[WHOLE] - sum(seconds.values())
        for label, work in (("product", lambda: np.matmul(A, B, out=C)), ("copy", lambda: team.run(copy, len(source)))):
            start = time.perf_counter()
            work()
            seconds[label] = time.perf_counter() - start
        if turn:  # the first warms up
            best = {label: min(taken, best.get(label, taken)) for label, taken in seconds.items()}
    terms = objective.prepared.terms  # type: ignore[attr-defined]
    counted = counts(
        network, dry_run(engine.auto_engine(), network, terms, (size, size, 3)).rows, network.dtype.itemsize
    )
    rate, copied = 2 * PRODUCT**3 / best.pop("product"), 2 * source.nbytes / best.pop("copy")
    layers = [{"layer": label, **counted[label], "seconds": taken} for label, taken in best.items() if label != WHOLE]
    return {"size": size, WHOLE: best[WHOLE], "operations_a_second": rate, "bytes_a_second": copied, "layers": layers}


def bound(row: dict[str, Any], layer: dict[str, Any]) -> float:
    """Return the least seconds of a layer: its operations at the product's rate, its maps at the copy's."""
    return float(layer["operations"] / row["operations_a_second"] + layer["bytes"] / row["bytes_a_second"])


def table(row: dict[str, Any]) -> str:
    """Return the layers of an evaluation, their seconds and their bounds, as a table in Markdown."""
    lines = ["| layer | kernel | GFLOP | measured | bound | reached |", "|---|---|---:|---:|---:|---:|"]
    total = 0.0
    for layer in row["layers"]:
        least = bound(row, layer)
        total += least
        reached = f"{least / layer['seconds']:.0%}" if least else ""
        counted = f"{layer['operations'] / 1e9:.1f} | {layer['seconds'] * 1e3:.1f} ms | {least * 1e3:.1f} ms"
        lines.append(f"| {layer['layer']} | {layer['kernel']} | {counted} | {reached} |")
    whole, operations = row[WHOLE], sum(layer["operations"] for layer in row["layers"])
    lines.append(
        f"| **all** | | {operations / 1e9:.0f} | {whole * 1e3:.0f} ms | {total * 1e3:.0f} ms | {total / whole:.0%} |"
    )
    return "\n".join(lines)


def bound_line(row: dict[str, Any]) -> str:
    """Return one line with the rates that the bounds are made of."""
    product, copied = row["operations_a_second"] / 1e9, row["bytes_a_second"] / 1e9
    return f"{row['size']}²; a large product {product:.0f} GFLOP/s, a copy {copied:.1f} GB/s."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[512])
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    rows = []
    for size in options.sizes:
        rows.append(measure(size, options.rounds))
        print(f"{bound_line(rows[-1])}\n{table(rows[-1])}", flush=True)
    print(common.write_results("bound", rows, threads=cpu_count()))


if __name__ == "__main__":
    main()
