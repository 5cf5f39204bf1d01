"""What a result file says: the required ratios, each kernel against the roof, and a picture of it.

python benchmarks/gpu/report.py results/gpu.json --plot results/gpu.png
"""

import argparse
import json
from pathlib import Path

from measure import seconds


def ratios(results):
    """Return rows (what, measured, required, aim); what was not measured is left out."""
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


def choices(results):
    """Return lines about the convolutions for which another method was faster than the one that the counts favour."""
    lines = []
    for row in results.get("layers", {}).values():
        for precision in ("float32", "tf32"):
            chosen = f"{row.get(f'chosen {precision}')} {precision} forward"
            ways = {name: seconds(time) for name, time in row.items()
                    if isinstance(time, dict) and name.endswith(f" {precision} forward")
                    and not name.startswith("torch")
                    and not (precision == "tf32" and name.startswith("winograd"))}  # fmt: skip
            if chosen in ways and (best := min(ways, key=ways.get)) != chosen:
                ratio = ways[chosen] / ways[best]
                lines.append(f"{row['layer']:<8} {precision}: {chosen.split()[0]} was chosen, {best.split()[0]} takes "
                             f"{1 / ratio:.2f} of its time")  # fmt: skip
    return lines


def transfers(results):
    """Return lines about the ways to the device and back: a picture there and a gradient home."""
    return [f"{name:<40} {1e3 * row['wall_s']:10.2f} ms" for name, row in results.get("transfers", {}).items()]


def roofline(results):
    """Return points (name, operations a byte, operations a second) for the layers, and the roofs."""
    points = []
    for row in results.get("layers", {}).values():
        H, C, K = row["side"], row["C"], row["K"]
        least = 4 * (H * H * (C + K) + 9 * C * K)  # read the map and the kernels, write the result
        for name, time in row.items():
            if isinstance(time, dict) and name.endswith("forward"):
                points.append((name, row["layer"], row["direct_flop"] / least, row["direct_flop"] / seconds(time)))
    return points, results.get("peaks", {})


def plot(results, path):
    """Draw the layers under the roofs: direct convolution's operations, so that Winograd may rise above its roof."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    points, peaks = roofline(results)
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.5), sharey=True, layout="constrained")
    for ax, precision in zip(axes, ("float32", "tf32"), strict=True):
        chosen = [p for p in points if f" {precision} " in p[0]]
        for name, marker in (("winograd4", "o"), ("winograd2", "s"), ("mec", "^"), ("residue", "v"), ("im2col", "<"),
                             ("first", "*"), ("torch", "x")):  # fmt: skip
            own = [p for p in chosen if p[0].startswith(name)]
            if own:
                ax.loglog([p[2] for p in own], [p[3] / 1e12 for p in own], marker, label=name, alpha=0.8)
        if peaks and chosen:
            low, high = min(p[2] for p in chosen) / 2, max(p[2] for p in chosen) * 2
            xs = [low * (high / low) ** (i / 50) for i in range(51)]
            roof = [min(peaks[f"{precision}_flops"], x * peaks["copy_bytes_per_s"]) / 1e12 for x in xs]
            ax.loglog(xs, roof, "k-", linewidth=1, label="measured roof, direct")
        ax.set_title(precision)
        ax.set_xlabel("operations of direct convolution / byte that must move")
    axes[0].set_ylabel("10¹² operations of direct convolution / s")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
    machine = results.get("machine", {})
    note = " (a rehearsal: the times mean nothing)" if machine.get("rehearsal") else ""
    figure.suptitle(f"Convolutions of VGG-19, forward: {machine.get('gpu', '')}{note}", fontsize=10)
    figure.savefig(path, dpi=130)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    results = json.loads(options.results.read_text())
    machine = results.get("machine", {})
    rehearsal = machine.get("rehearsal")
    print(f"{machine.get('gpu')}, {machine.get('when')}{': a rehearsal, its times mean nothing' if rehearsal else ''}")
    for name, error in results["errors"].items():
        print(f"FAILED {name}: {error}")
    for name, found in results.get("gate", {}).items():
        if isinstance(found, dict):
            print(f"error against float64, {name:<28} value {found['value']:.1e}  gradient {found['gradient']:.1e}")
    for what, measured, required, aim in [] if rehearsal else ratios(results):
        print(f"{what:<60} {measured:10.3g}   required {required:<8} aim {aim}")
    for line in [] if rehearsal else [*choices(results), *transfers(results)]:
        print(line)
    for side, row in results.get("largest", {}).items():
        if row.get("taken_bytes"):
            taken, forecast = (row[key] / 2**30 for key in ("taken_bytes", "forecast_bytes"))
            print(f"{side}²: {taken:.2f} GiB taken, {forecast:.2f} GiB of them forecast for the evaluation")
    copy = results.get("peaks", {}).get("copy_bytes_per_s")
    for name, row in results.get("rungs", {}).items():
        rate = row["bytes"] / seconds(row)
        share = f"{100 * rate / copy:5.0f} % of a copy's" if copy else ""
        print(f"{name:<40} {1e6 * seconds(row):10.1f} µs  {rate / 1e9:8.1f} GB/s {share}")
    if options.plot:
        plot(results, options.plot)


if __name__ == "__main__":
    main()
