"""Report a file of GPU results: the required ratios, each kernel against the roofline, and figures.

python benchmarks/gpu/report.py results/gpu.json --plot results/gpu.png
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.gpu.measure import seconds

COLORS = {"ours": "#1b6ca8", "torch": "#d1793a"}
METHODS = ("winograd4", "winograd2", "mec", "residue", "im2col", "tensor", "first", "torch")
MARKERS = dict(zip(METHODS, "os^v<P*x", strict=True))
NAMES = {"float32": ("ours cuda", "torch float32"), "TF32": ("ours cuda-tf32", "torch tf32")}


def evaluations(results):
    """Return rows (side, precision, ours ms, PyTorch's ms, ratio, ours MiB, PyTorch's MiB) of one evaluation."""
    rows = []
    for side, found in results.get("evaluation", {}).items():
        for precision, (ours, theirs) in NAMES.items():
            times, memory = found["times"], found["peak_bytes"]
            if {ours, theirs} <= set(times):
                a, b = seconds(times[ours]), seconds(times[theirs])
                rows.append((int(side), precision, 1e3 * a, 1e3 * b, a / b, *(
                    (memory.get(name) or 0) / 2**20 for name in (ours, theirs))))  # fmt: skip
    return rows


def evaluations_table(results):
    """Return the rows of `evaluations` as a table in Markdown."""
    rows = evaluations(results)
    with_memory = any(held and torchs for *_, held, torchs in rows)
    lines = ["| picture | precision | handstyle | PyTorch | ratio |", "|" + "---|" * 5]
    if with_memory:
        lines = [f"{lines[0]} memory | PyTorch's | ratio |", "|" + "---|" * 8]
    for side, precision, ours, theirs, ratio, held, torchs in rows:
        line = f"| {side}² | {precision} | {ours:.1f} ms | {theirs:.1f} ms | {ratio:.2f} |"
        if with_memory:
            line += f" {held:.0f} MiB | {torchs:.0f} MiB | {held / torchs:.2f} |" if held and torchs else " | | |"
        lines.append(line)
    return "\n".join(lines)


def accounts_table(results, accounts):
    """Return a table in Markdown of the memory that ``accounts.py`` counted and of PyTorch's in `results`."""
    lines = ["| picture | precision | handstyle, by account | PyTorch, measured | ratio |", "|" + "---|" * 5]
    for side, precision, *_, torchs in evaluations(results):
        held = accounts.get(str(side), {}).get(precision.lower(), 0) / 2**20
        if held and torchs:
            lines.append(f"| {side}² | {precision} | {held:.0f} MiB | {torchs:.0f} MiB | {held / torchs:.2f} |")
    return "\n".join(lines)


def machine_line(results):
    """Return one line with the file, the machine and the date of the measurement."""
    machine = results["machine"]
    versions = ", ".join(f"{name} {machine[name.lower()]}" for name in ("CuPy", "torch", "NumPy"))
    cudnn, cuda = machine["cudnn"], machine["runtime"]  # 91900 is 9.19, 13020 is 13.2
    libraries = f"cuDNN {cudnn // 10000}.{cudnn // 100 % 100}; CUDA {cuda // 1000}.{cuda % 1000 // 10}"
    file = f"`benchmarks/results/{results['file']}`: " if "file" in results else ""
    return f"{file}{machine['when'][:10]}, {machine['gpu']}; {versions}, {libraries}."


def rungs(results):
    """Return rows of the ladders: name, seconds, necessary bytes a second, their share of a copy's rate or None."""
    copy, rows = results.get("peaks", {}).get("copy_bytes_per_s"), []
    for name, row in results.get("rungs", {}).items():
        rate = row["bytes"] / seconds(row)
        rows.append((name, seconds(row), rate, rate / copy if copy else None))
    return rows


def ladders(results):
    """Return the rungs of each operation in order, each as (rung, seconds, necessary bytes)."""
    found = {}
    for name, row in results.get("rungs", {}).items():
        operation, comma, rung = name.partition(", ")
        if rung == "weights":  # a part of the rungs after it, not a rung
            continue
        if not comma:  # another method for the operation before it
            operation, rung = next(reversed(found)), name
        found.setdefault(operation, []).append((rung, seconds(row), row["bytes"]))
    return found


def ladders_table(results):
    """Return the ladders in Markdown, one operation a row: each rung's microseconds and speed-up over the first."""
    copy, lines = results["peaks"]["copy_bytes_per_s"], ["| operation | µs | a copy, µs |", "|---|---|---|"]
    for operation, steps in ladders(results).items():
        _, first, moved = steps[0]
        told = [f"{rung} {1e6 * time:.0f}" + (f" ({first / time:.1f}×)" if k else "")
                for k, (rung, time, _) in enumerate(steps)]  # fmt: skip
        lines.append(f"| {operation} | {', '.join(told)} | {1e6 * moved / copy:.1f} |")
    return "\n".join(lines)


def compact(results):
    """Return results without measurements of a single sample."""
    if not isinstance(results, dict):
        return results
    return {key: compact(value) for key, value in results.items() if key not in ("wall_all_s", "timeline_us", "values")}


def figure(results):
    """Draw the time of evaluations by the picture's side, and each layer's rate with the method chosen for it."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(8.8, 3.6), layout="constrained")
    left, right = made.subplots(1, 2)
    rows = evaluations(results)
    for precision, line in (("float32", "-"), ("TF32", "--")):
        own = [row for row in rows if row[1] == precision]
        for who, column in (("ours", 2), ("torch", 3)):
            label = f"{'handstyle' if who == 'ours' else 'PyTorch'}, {precision}"
            left.loglog([r[0] for r in own], [r[column] for r in own], line, marker="o", color=COLORS[who], label=label)
    left.set_xticks(sides := sorted({row[0] for row in rows}), [f"{side}" for side in sides])
    left.minorticks_off()
    left.set_xlabel("side of the picture, px")
    left.set_ylabel("ms of one evaluation")
    left.legend(frameon=False)
    layers = [row for row in results.get("layers", {}).values() if row["C"] != 3]
    for k, (precision, alpha) in enumerate((("float32", 1.0), ("tf32", 0.55))):
        for who, place in (("ours", 2 * k), ("torch", 2 * k + 1)):
            way = [row.get(f"chosen {precision}") if who == "ours" else "torch" for row in layers]
            rate = [row["direct_flop"] / seconds(row[f"{name} {precision} forward"]) / 1e12
                    for row, name in zip(layers, way, strict=True)]  # fmt: skip
            at = [i + 0.2 * (place - 1.5) for i in range(len(layers))]
            right.bar(at, rate, width=0.19, color=COLORS[who], alpha=alpha)
    right.set_xticks(range(len(layers)), [row["layer"] for row in layers], rotation=45, ha="right")
    right.set_ylabel("10¹² operations of direct convolution / s")
    right.set_title("forward: float32 (full), TF32 (pale)", fontsize="medium")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    return made


def ratios(results):
    """Return rows (what, measured, required, aim) for everything that was measured."""
    rows = []
    times = {int(side): found["times"] for side, found in results.get("evaluation", {}).items()}
    memory = {int(side): found["peak_bytes"] for side, found in results.get("evaluation", {}).items()}
    for side in (512, 1024):
        if {"ours cuda", "torch float32"} <= set(times.get(side, ())):
            ratio = seconds(times[side]["ours cuda"]) / seconds(times[side]["torch float32"])
            rows.append((f"one evaluation, float32 / PyTorch float32, {side} px", ratio, "≤ 1.0", "0.6"))
    if {"ours cuda-tf32", "torch tf32"} <= set(times.get(1024, ())):
        ratio = seconds(times[1024]["ours cuda-tf32"]) / seconds(times[1024]["torch tf32"])
        rows.append(("one evaluation, TF32 / PyTorch TF32, 1024 px", ratio, "≤ 2.0", "1.0"))
    painting = results.get("painting", {})
    if "lbfgs tf32" in painting:
        run = painting["lbfgs tf32"]
        rows.append((f"{run['iterations']} iterations, 512 px, lbfgs, tf32: seconds", run["seconds"], "≤ 10", "5"))
    host = results.get("processor", {}).get("1024", {})
    threads = [name for name in host if name.startswith("ours")]
    if threads and "ours cuda" in times.get(1024, ()):
        most = max(threads, key=lambda name: int(name.split()[1]))
        ratio = host[most]["wall_s"] / seconds(times[1024]["ours cuda"])
        rows.append((f"the processor ({most}) / GPU, one evaluation, 1024 px", ratio, "≥ 30", "100"))
    found = memory.get(1024, {})
    for ours, theirs in (("ours cuda", "torch float32"), ("ours cuda-tf32", "torch tf32")):
        if found.get(ours) and found.get(theirs):
            what = f"peak memory / PyTorch's, {theirs.split()[1]}, 1024 px"
            rows.append((what, found[ours] / found[theirs], "≤ 0.5", "0.3"))
    fitting = [int(side) for side, row in results.get("largest", {}).items() if row.get("fits")]
    if fitting:
        rows.append(("largest side tried that fits 24 GiB, px", max(fitting), "≥ 6000", ""))
    return rows


def chosen(results, precision):
    """Return a row for each convolution: layer, direction, method chosen, fastest method, ratio of their times."""
    rows = []
    layers = [row for section in ("layers", "layers_256") for row in results.get(section, {}).values()]
    for row in layers:
        for direction, label in (("forward", f"chosen {precision}"), ("adjoint", f"chosen {precision} adjoint")):
            # F(4x4) with factors of ten bits is measured but too inexact to be chosen.
            ways = {name.split()[0]: seconds(time) for name, time in row.items()
                    if isinstance(time, dict) and name.endswith(f" {precision} {direction}")
                    and not name.startswith("torch")
                    and not (precision == "tf32" and name.startswith("winograd4"))}  # fmt: skip
            if row.get(label) in ways:
                best = min(ways, key=ways.get)
                rows.append((row["layer"], direction, row[label], best, ways[row[label]] / ways[best]))
    return rows


def choices(results):
    """Return a line for each convolution for which another method was faster than the chosen one."""
    lines = []
    for precision in ("float32", "tf32"):
        rows = chosen(results, precision)
        for layer, direction, method, best, ratio in rows:
            if best != method:
                lines.append(f"{layer:<8} {precision}: {method} was chosen, {best} takes {1 / ratio:.2f} of its time"
                             f"{'' if direction == 'forward' else ', adjoint'}")  # fmt: skip
        if rows:
            mean = sum(ratio for *_, ratio in rows) / len(rows)
            longer = f"{100 * (mean - 1):.1f} % longer than the best, on average"
            lines.append(f"{precision}: what was chosen takes {longer}")
    return lines


def transfers(results):
    """Return lines on the time to copy a picture to the device and a gradient back."""
    return [f"{name:<40} {1e3 * row['wall_s']:10.2f} ms" for name, row in results.get("transfers", {}).items()]


def roofline(results):
    """Return the roofline's points (name, operations a byte, operations a second) for the layers, and its roofs."""
    points = []
    for row in results.get("layers", {}).values():
        H, C, K = row["side"], row["C"], row["K"]
        least = 4 * (H * H * (C + K) + 9 * C * K)  # read the map and the kernels, write the result
        for name, time in row.items():
            if isinstance(time, dict) and name.endswith("forward"):
                points.append((name, row["layer"], row["direct_flop"] / least, row["direct_flop"] / seconds(time)))
    return points, results.get("peaks", {})


def plot(results, path):
    """Draw the roofline of the layers, counting direct convolution's operations: Winograd's may exceed the roof."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    points, peaks = roofline(results)
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.5), sharey=True, layout="constrained")
    for ax, precision in zip(axes, ("float32", "tf32"), strict=True):
        chosen = [p for p in points if f" {precision} " in p[0]]
        for k, (name, marker) in enumerate(MARKERS.items()):  # the same colors on both sides
            own = [p for p in chosen if p[0].startswith(name)]
            if own:
                ax.loglog([p[2] for p in own], [p[3] / 1e12 for p in own], marker, color=f"C{k}", label=name, alpha=0.8)
        if peaks and chosen:
            low, high = min(p[2] for p in chosen) / 2, max(p[2] for p in chosen) * 2
            xs = [low * (high / low) ** (i / 50) for i in range(51)]
            roof = [min(peaks[f"{precision}_flops"], x * peaks["copy_bytes_per_s"]) / 1e12 for x in xs]
            ax.loglog(xs, roof, "k-", linewidth=1, label="measured roof, direct")
        ax.set_title(precision)
        ax.set_xlabel("operations of direct convolution / byte that must move")
    axes[0].set_ylabel("10¹² operations of direct convolution / s")
    figure.legend(*axes[-1].get_legend_handles_labels(), loc="outside right center", fontsize=8)
    machine = results.get("machine", {})
    note = " (a rehearsal: the times mean nothing)" if machine.get("rehearsal") else ""
    figure.suptitle(f"Convolutions of VGG-19, forward: {machine.get('gpu', '')}{note}", fontsize=10)
    figure.savefig(path, dpi=130)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--keep", type=Path, help="write the results here without their single samples")
    options = parser.parse_args()
    results = json.loads(options.results.read_text())
    machine = results.get("machine", {})
    rehearsal = machine.get("rehearsal")
    print(f"{machine.get('gpu')}, {machine.get('when')}{': a rehearsal, its times mean nothing' if rehearsal else ''}")
    for note in results.get("notes", ()):
        print(f"note: {note}")
    for name, error in results["errors"].items():
        print(f"FAILED {name}: {error}")
    for name, found in results.get("gate", {}).items():
        if isinstance(found, dict):
            print(f"error against float64, {name:<28} value {found['value']:.1e}  gradient {found['gradient']:.1e}")
    for side, precision, ours, theirs, ratio, held, torchs in [] if rehearsal else evaluations(results):
        memory = f"; {held:6.0f} MiB, PyTorch {torchs:6.0f} MiB" if held and torchs else ""
        print(f"{side:>5} px {precision:<8} {ours:8.2f} ms, PyTorch {theirs:8.2f} ms, ratio {ratio:.2f}{memory}")
    for what, measured, required, aim in [] if rehearsal else ratios(results):
        print(f"{what:<60} {measured:10.3g}   required {required:<8} aim {aim}")
    for line in [] if rehearsal else [*choices(results), *transfers(results)]:
        print(line)
    for side, row in results.get("largest", {}).items():
        if row.get("taken_bytes"):
            taken, forecast = (row[key] / 2**30 for key in ("taken_bytes", "forecast_bytes"))
            print(f"{side}²: {taken:.2f} GiB taken, {forecast:.2f} GiB of them forecast for the evaluation")
    for name, time, rate, share in rungs(results):
        told = f"{100 * share:5.0f} % of a copy's" if share else ""
        print(f"{name:<40} {1e6 * time:10.1f} µs  {rate / 1e9:8.1f} GB/s {told}")
    if options.plot:
        plot(results, options.plot)
    if options.keep:
        options.keep.write_text(json.dumps(compact(results), indent=1) + "\n")


if __name__ == "__main__":
    main()
