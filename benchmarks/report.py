"""Turn results in JSON into the tables and plots of the docs: ``python -m benchmarks.report FILES --out FOLDER``.

Reads what `benchmarks.peers.evaluation`, `benchmarks.peers.layers`, `benchmarks.gradient_error` and pytest-benchmark
(``--benchmark-json``) write; for each it writes NAME.md and, if there is a figure, NAME.svg.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.common import RESULTS
from benchmarks.peers.tables import NAMES, evaluation_table, fastest_peer, ratios

OWN_COLOR, PEER_COLOR, NCNN_COLOR = "#1b6ca8", "#d1793a", "#7a7a7a"


def machine_line(record: dict[str, Any]) -> str:
    """Return one line with the file, the date and the machine of a result."""
    machine = record["machine"]
    packages = ("handstyle", "numpy", "scipy", "torch", "jax", "ncnn")
    found = machine.get("versions", {name: machine[name] for name in packages if name in machine})
    versions = ", ".join(f"{name} {number}" for name, number in found.items())
    load = machine["load"] if "load" in machine else machine["load_average"][0]  # as files before December 2026 have it
    return f"{named(record)}{record['date'][:10]}, {machine['processor']}, load {load}; {versions}."


def named(record: dict[str, Any]) -> str:
    """Return where a result was read from, for the beginning of a line about it; nothing for one that was not read."""
    return f"`benchmarks/results/{record['file']}`: " if "file" in record else ""


def read(path: Path) -> dict[str, Any]:
    """Return the result of a file, with the file's name."""
    return {**json.loads(path.read_text(encoding="utf-8")), "file": path.name}


def newest(name: str) -> dict[str, Any]:
    """Return the latest result of a name in ``benchmarks/results``."""
    return read(max(RESULTS.glob(f"*-{name}.json")))  # their names begin with the date


def newest_with(what: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the latest comparison with the peers that has rows of a kind (time, memory, error, run), and those rows.

    A whole run takes long, and memory is measured more often; so not every day's file has every row.
    """
    for path in sorted(RESULTS.glob("*.json"), reverse=True):
        if path.stem.split("-", 3)[-1] in ("evaluation", "memory", "run"):
            record = read(path)
            if any(row["what"].startswith(what) for row in record["rows"]):
                return record, [row for row in record["rows"] if row["what"].startswith(what.split()[0])]
    raise FileNotFoundError(f"{RESULTS}: no result has a row of {what}")


def lock_table(record: dict[str, Any]) -> str:
    """Return the modeled times of an evaluation by threads, and the part of them that is spent waiting."""
    rows = record["rows"]
    lines = ["| threads | " + " | ".join(f"{row['size']}² | waiting" for row in rows) + " |"]
    lines.append("| ---: " * (1 + 2 * len(rows)) + "|")
    for modeled in zip(*(row["model"] for row in rows), strict=True):
        cells = (f"{one['seconds'] * 1e3:.0f} ms | {one['waiting']:.0%}" for one in modeled)
        lines.append(f"| {modeled[0]['threads']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def evaluation_figure(measured: list[dict[str, Any]]) -> Figure:
    rows = {row["what"]: row for row in measured}
    timed = [row for what, row in rows.items() if what.startswith("time")]
    runs = {what: row for what, row in rows.items() if what.startswith("run")}
    figure = Figure(figsize=(8 if runs else 4, 3.2), layout="constrained")
    left, *others = figure.subplots(1, 2 if runs else 1, squeeze=False)[0]
    for i, row in enumerate(timed):
        share = ratios(row)[0]
        left.bar([i - 0.2, i + 0.2], [1, share], width=0.38, color=[PEER_COLOR, OWN_COLOR])
        left.text(i - 0.2, 0.5, NAMES.get(fastest_peer(row), fastest_peer(row)), rotation=90, ha="center", va="center")
        left.text(i + 0.2, share, f"{share:.2f}", ha="center", va="bottom")
    left.set_xticks(range(len(timed)), [row["what"].removeprefix("time ") + "²" for row in timed])
    left.set_ylabel("time of one evaluation, fastest peer = 1")
    left.set_title("fastest peer (left), handstyle (right)", fontsize="medium")
    for right in others:
        first = next(iter(runs.values()))
        sides = [(first["theirs_trace"], PEER_COLOR, "-", "PyTorch's L-BFGS")]
        for (what, row), style in zip(runs.items(), ("-", "--", "-.", ":"), strict=False):
            sides.append((row["ours_trace"], OWN_COLOR, style, " ".join(what.split()[2:]) or "handstyle"))
        for trace, color, style, label in sides:
            right.plot(*zip(*trace, strict=True), color=color, linestyle=style, label=label)
        right.axhline(first["loss"], color="0.7", lw=0.8, zorder=0)
        right.set_yscale("log")
        right.set_xlabel("seconds")
        right.set_ylabel("loss at 512²")
        right.legend(frameon=False)
    return figure


def evaluation(record: dict[str, Any], out: Path) -> None:
    _page(record, out, evaluation_table(record["rows"]), evaluation_figure(record["rows"]))


def layers_table(record: dict[str, Any]) -> str:
    lines = [
        "| layer | ours ms | kernels kept ms | PyTorch ms | ncnn ms | ours / PyTorch | kept / ncnn |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in record["rows"]:
        times = {side: 1e3 * min(seconds) for side, seconds in row["seconds"].items()}
        cells = [f"{times[side]:.1f}" for side in ("ours", "kept", "torch", "ncnn")]
        ratios = f"{times['ours'] / times['torch']:.2f} | {times['kept'] / times['ncnn']:.2f}"
        lines.append(f"| {row['layer']} | {' | '.join(cells)} | {ratios} |")
    return "\n".join(lines)


def layers_figure(record: dict[str, Any]) -> Figure:
    best = [{side: 1e3 * min(seconds) for side, seconds in row["seconds"].items()} for row in record["rows"]]
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    axes = figure.add_subplot()
    for k, (side, color, label) in enumerate(
        (("kept", OWN_COLOR, "handstyle"), ("torch", PEER_COLOR, "PyTorch"), ("ncnn", NCNN_COLOR, "ncnn"))
    ):
        places = [i + 0.27 * (k - 1) for i in range(len(best))]
        axes.bar(places, [times[side] for times in best], width=0.26, color=color, label=label)
    axes.set_xticks(range(len(best)), [row["layer"] for row in record["rows"]], rotation=30, ha="right")
    axes.set_ylabel("ms, forward with bias and rectifier")
    axes.legend(frameon=False)
    return figure


def layers(record: dict[str, Any], out: Path) -> None:
    _page(record, out, layers_table(record), layers_figure(record))


def choices_table(record: dict[str, Any]) -> str:
    head = (
        "| picture | tile forward, backward | error | with the exact choices | rectifiers flipped | bits of pools |\n"
        "|---|---|---|---|---|---|\n"
    )
    lines = [
        f"| {name} | {forward or 'direct'}, {backward or 'direct'} | {own:.1e} | {given:.1e} | {rectifiers} | {pools} |"
        for name, forward, backward, own, given, rectifiers, pools in record["rows"]
    ]
    return head + "\n".join(lines)


def choices(record: dict[str, Any], out: Path) -> None:
    _page(record, out, choices_table(record))


def suites(record: dict[str, Any], out: Path, name: str) -> None:
    # pytest-benchmark's file: one row for each test, with the test's `extra_info`.
    head = "| test | fastest ms | median ms | GFLOP/s | MB | largest error |\n|---|---|---|---|---|---|\n"
    lines = []
    for row in record["benchmarks"]:
        stats, extra = row["stats"], row["extra_info"]
        cells = [
            f"{1e3 * stats['min']:.1f}",
            f"{1e3 * stats['median']:.1f}",
            f"{extra['gflops']:.0f}" if "gflops" in extra else "",
            f"{extra['bytes'] / 1e6:.0f}" if "bytes" in extra else "",
            f"{extra['largest_error']:.0e}" if "largest_error" in extra else "",
        ]
        lines.append(f"| {row['name'].removeprefix('test_')} | " + " | ".join(cells) + " |")
    cpu = record["machine_info"].get("cpu", {}).get("brand_raw", "")
    text = head + "\n".join(lines) + f"\n\n{record['datetime'][:10]}, {cpu}.\n"
    (out / f"{name}.md").write_text(text, encoding="utf-8")


def _page(record: dict[str, Any], out: Path, table: str, figure: Figure | None = None) -> None:
    (out / f"{record['name']}.md").write_text(f"{table}\n\n{machine_line(record)}\n", encoding="utf-8")
    if figure is not None:
        for axes in figure.axes:
            axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(out / f"{record['name']}.svg")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for path in options.results:
        record = json.loads(path.read_text(encoding="utf-8"))
        if "benchmarks" in record:
            suites(record, options.out, path.stem)
        elif "rows" not in record:
            print(f"{path}: not of these benchmarks, left out")
        elif record["rows"] and isinstance(record["rows"][0], list):
            choices(record, options.out)
        elif "layer" in record["rows"][0]:
            layers(record, options.out)
        else:
            evaluation(record, options.out)


if __name__ == "__main__":
    main()
