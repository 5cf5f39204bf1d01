"""The path of a picture: which files a run enters from the command line to the first gradient, on the reference.

The page *How a picture flows* lists them. Here one run is traced, in a process of its own because a cache that another
test has filled would shorten the path, and the page is held to what was found.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "architecture.md"

TRACE = r"""
import inspect, json, os, sys
import numpy as np
import handstyle
from handstyle.cli import app
from handstyle.foundations.picture_writing import write_picture

package = os.path.dirname(handstyle.__file__) + os.sep
entered, within, chain, state = [], [], [], "before"


def file_of(code):
    is_function = code.co_flags & inspect.CO_OPTIMIZED  # not the body of a module or of a class
    name = code.co_filename
    return name[len(package):].replace(os.sep, "/") if is_function and name.startswith(package) else None


def follow(frame, event, argument):
    global state
    file, name = file_of(frame.f_code), frame.f_code.co_name
    if file is None or event not in ("call", "return") or state == "done":
        return
    if event == "call":
        if (file, name) == ("cli/painting.py", "stylize"):
            state = "on the way"
        if (file, name) == ("optimize/objective.py", "evaluate") and state == "on the way":
            state, caller = "evaluating", frame
            while caller is not None:
                at = file_of(caller.f_code)
                if at is not None and at not in chain:
                    chain.insert(0, at)
                caller = caller.f_back
        if state != "before" and file not in entered:
            entered.append(file)
        if state == "evaluating" and file not in within:
            within.append(file)
    elif (file, name) == ("optimize/objective.py", "evaluate"):
        state = "done"


folder = sys.argv[1]
for name in ("content.png", "style.png"):
    picture = np.random.default_rng(0).uniform(0, 255, (160, 160, 3))
    write_picture(os.path.join(folder, name), picture)
words = [os.path.join(folder, name) for name in ("content.png", "style.png")]
words = ["stylize", *words, "-o", os.path.join(folder, "out.png"), "--size", "160", "--iterations", "1"]
words += ["--weights", "random", "--kernels", "reference", "--backend", "numpy", "--pyramid-min-size", "0"]
sys.setprofile(follow)
try:
    app(words, result_action="return_value")
finally:
    sys.setprofile(None)
before = [file for file in entered if file not in chain and file not in within]
print("TRACE " + json.dumps([before, chain, [file for file in within if file not in chain]]))
"""


def traced(folder: Path) -> list[list[str]]:
    """Return the files that prepare, those that call one another down to `evaluate`, and those that it enters."""
    done = subprocess.run([sys.executable, "-c", TRACE, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lists: list[list[str]] = json.loads(done.stdout.rpartition("TRACE ")[2])
    return lists


def test_the_page_lists_the_files_from_the_command_line_to_the_gradient(tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8").partition("## The files")[2].partition("\n## ")[0]
    sections = re.split(r"^### .*$", text, flags=re.MULTILINE)[1:]
    listed = [re.findall(r"^\d+\. `([\w/.]+)`", section, re.MULTILINE) for section in sections]
    chain, within, before = listed
    prepare, callers, evaluation = traced(tmp_path)
    assert (chain, within, before) == (callers, evaluation, prepare)
    assert len(chain + within) <= 14
    assert f"{len(chain)} files call one another" in text
    assert f"{len(within)} more" in text
    assert f"{len(before)} others" in text
    assert f"These {len(chain + within)} files" in text
    assert f"lists the {len(chain + within)} files" in (ROOT / "README.md").read_text(encoding="utf-8")
