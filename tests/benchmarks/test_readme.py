"""The benchmarks' README names every script, and no other."""

import re
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_the_readme_names_every_script() -> None:
    text = (BENCHMARKS / "README.md").read_text(encoding="utf-8")
    scripts = {
        ".".join(path.relative_to(BENCHMARKS.parent).with_suffix("").parts)
        for path in BENCHMARKS.rglob("*.py")
        if "__main__" in path.read_text(encoding="utf-8") and path.parent.name != "gpu"
    }
    assert set(re.findall(r"python -m (benchmarks(?:\.\w+)+)", text)) == scripts
