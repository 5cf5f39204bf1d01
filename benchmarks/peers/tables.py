"""The table of `benchmarks.peers.evaluation`, with the required and the desired ratio of each row."""

from typing import Any

REQUIRED = {
    "time 256": 0.45,
    "time 512": 0.36,
    "time 1024": 0.29,
    "memory 512": 0.42,
    "error 384": 1.5e-3,
    "run 512": 0.35,
}
AIM = {"time 256": 0.38, "time 512": 0.30, "time 1024": 0.25, "memory 512": 0.30, "error 384": 5e-4}
NAMES = {"torch": "PyTorch", "torch channels last": "PyTorch, channels last", "jax": "JAX"}


def fastest_peer(row: dict[str, Any]) -> str:
    """Return the peer whose fastest round is the shortest."""
    peers = {name: min(seconds) for name, seconds in row["seconds"].items() if name != "ours"}
    return min(peers, key=lambda name: peers[name])


def ratios(row: dict[str, Any]) -> tuple[float, float]:
    """Return our time over the fastest peer's: of the fastest rounds, and the median over the rounds."""
    ours, theirs = row["seconds"]["ours"], row["seconds"][fastest_peer(row)]
    each = sorted(a / b for a, b in zip(ours, theirs, strict=True))
    return min(ours) / min(theirs), (each[len(each) // 2] + each[(len(each) - 1) // 2]) / 2


def evaluation_table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a table in Markdown, with the required and the desired ratios."""
    lines = [
        "| what | ours | fastest peer | ratio (minima) | median ratio | the others | required | aim |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        what = row["what"]
        kind = " ".join(what.split()[:2])  # after a run comes the name of its optimizer
        bounds = f"{REQUIRED.get(kind, '')} | {AIM.get(kind, '')}"
        if what.startswith("memory"):
            sides = f"{row['ours_bytes'] / 1e6:.0f} MB | {row['theirs_bytes'] / 1e6:.0f} MB (PyTorch)"
            lines.append(f"| {what} | {sides} | {row['ratio_of_minima']:.2f} | | | {bounds} |")
        elif what.startswith("error"):
            lines.append(f"| {what} | {row['ours']:.1e} | {row['theirs']:.1e} (PyTorch) | | | | {bounds} |")
        elif what.startswith("run"):
            lines.append(f"| {what} | {_run_cells(row)} | {bounds} |")
        else:
            fastest, (minima, median) = fastest_peer(row), ratios(row)
            seconds = {name: f"{min(each):.3f} s" for name, each in row["seconds"].items()}
            others = "; ".join(f"{NAMES.get(n, n)} {t}" for n, t in seconds.items() if n not in ("ours", fastest))
            sides = f"{seconds['ours']} | {seconds[fastest]} ({NAMES.get(fastest, fastest)})"
            lines.append(f"| {what} | {sides} | {minima:.2f} | {median:.2f} | {others} | {bounds} |")
    return "\n".join(lines)


def without_empty_columns(table: str) -> str:
    """Return a table in Markdown without the columns that have a heading and no entry."""
    lines = [line.strip("|").split("|") for line in table.splitlines()]
    columns = [column for column in zip(*lines, strict=True) if any(cell.strip() for cell in column[2:])]
    return "\n".join("|" + "|".join(cells) + "|" for cells in zip(*columns, strict=True))


def _run_cells(row: dict[str, Any]) -> str:
    """Return the cells of a whole run: its seconds, and in brackets its evaluations."""
    ours = f"{row['ours_min_s']:.0f} s" + ("" if row["reached"] else ", not reached")
    if "evaluations" in row:
        ours += f" ({row['evaluations'][0]})"
    theirs = f"{row['theirs_min_s']:.0f} s"
    if "ratio_to_fastest" not in row:
        return f"{ours} | {theirs} (PyTorch) | {row['ratio_of_minima']:.2f} | |"
    fastest = NAMES.get(row["fastest"], row["fastest"])
    first = f"{row['theirs_fastest_s']:.0f} s ({fastest})"
    others = f"PyTorch {theirs} ({row['evaluations'][1]}), {row['ratio_of_minima']:.2f}"
    return f"{ours} | {first} | {row['ratio_to_fastest']:.2f} | | {others}"
