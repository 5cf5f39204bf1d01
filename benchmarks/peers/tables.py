"""The table of `benchmarks.peers.evaluation`, with the required and the desired ratio of each row."""

from typing import Any

REQUIRED = {
    "time 256": 0.55,
    "time 512": 0.40,
    "time 1024": 0.37,
    "memory 512": 0.42,
    "error 384": 1.5e-3,
    "run 512": 0.5,
}
AIM = {"time 256": 0.40, "time 512": 0.30, "time 1024": 0.28, "memory 512": 0.30, "error 384": 5e-4, "run 512": 0.35}


def evaluation_table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a table in Markdown, with the required and the desired ratios."""
    lines = ["| | ours | PyTorch | ratio (minima) | median ratio | required | aim |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        what = row["what"]
        kind = " ".join(what.split()[:2])  # after a run comes the name of its optimizer
        bounds = f"{REQUIRED.get(kind, '')} | {AIM.get(kind, '')}"
        if what.startswith("memory"):
            sides = f"{row['ours_bytes'] / 1e6:.0f} MB | {row['theirs_bytes'] / 1e6:.0f} MB"
        elif what.startswith("error"):
            lines.append(f"| {what} | {row['ours']:.1e} | {row['theirs']:.1e} | | | {bounds} |")
            continue
        else:
            sides = f"{row['ours_min_s']:.3f} s | {row['theirs_min_s']:.3f} s"
        median = f"{row['median_ratio']:.2f}" if "median_ratio" in row else ""
        lines.append(f"| {what} | {sides} | {row['ratio_of_minima']:.2f} | {median} | {bounds} |")
    return "\n".join(lines)
