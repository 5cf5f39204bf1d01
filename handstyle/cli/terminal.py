"""What the program prints: text for people, a line of JSON for each event for programs, or nothing."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from rich.console import Console


class _Terminal(Console):
    """A console that stops printing when its pipe is closed (``| head -1``), without ending the program."""

    def on_broken_pipe(self) -> None:
        """Redirect the output to the null device; rich would end the program."""
        self.quiet = True
        with open(os.devnull, "w") as nowhere:  # otherwise the flush at the interpreter's exit would fail
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


out, err = _Terminal(), _Terminal(stderr=True)
events = _Terminal(quiet=True)  # standard output, for programs


def say(*lines: str) -> None:
    """Print lines as they are: brackets are not interpreted as markup, and long lines are not broken.

    Examples
    --------
    >>> say("[1 of 2] painted")
    [1 of 2] painted
    """
    for line in lines:
        out.print(line, markup=False, highlight=False, soft_wrap=True, emoji=False)


def warn(line: str) -> None:
    """Print a line as it is to standard error.

    Examples
    --------
    >>> from contextlib import redirect_stderr
    >>> with redirect_stderr(sys.stdout):
    ...     warn("handstyle: no such file")
    handstyle: no such file
    """
    err.print(line, markup=False, highlight=False, soft_wrap=True, emoji=False)


def event(kind: str, **facts: Any) -> None:
    """Print an event as a line of JSON, if ``--json`` was given.

    Examples
    --------
    >>> set_output_form(as_json=True)
    >>> event("picture", path=Path("out.png"), failed=False)
    {"event": "picture", "path": "out.png", "failed": false}
    >>> set_output_form()
    """
    values = {key: str(value) if isinstance(value, Path) else value for key, value in facts.items()}
    text = json.dumps({"event": kind, **values}, default=lambda n: n.item())
    events.print(text, markup=False, highlight=False, soft_wrap=True, emoji=False)


def set_output_form(quiet: bool = False, as_json: bool = False) -> None:
    """Set the form of the program's output on standard output: text, JSON, or nothing.

    Examples
    --------
    >>> set_output_form(quiet=True)
    >>> say("not shown")
    >>> set_output_form()
    >>> say("shown")
    shown
    """
    out.quiet, events.quiet = quiet or as_json, not as_json
