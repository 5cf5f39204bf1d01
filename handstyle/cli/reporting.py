"""The report of a run, a page beside its picture."""

import os
from pathlib import Path
from typing import Any

from handstyle.cli.terminal import say
from handstyle.foundations.errors import HandstyleError, printable
from handstyle.network.vgg import Network
from handstyle.painting.config import StyleConfig
from handstyle.painting.plan import Plan
from handstyle.painting.report import Snapshots, write_report
from handstyle.painting.result import Result


def check_page(path: Path, overwrite: bool) -> None:
    """Raise `HandstyleError` if a report cannot be written to `path`.

    Examples
    --------
    >>> try:
    ...     check_page(Path("report.txt"), overwrite=False)
    ... except HandstyleError as error:
    ...     print(error)
    the report report.txt: its name must end in .html
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise HandstyleError(f"the report {printable(path)}: its name must end in .html")
    if path.exists() and (path.is_dir() or not overwrite):
        raise HandstyleError(f"the report {printable(path)} exists: choose another name with -o, or add --overwrite")
    if not os.access(path.absolute().parent, os.W_OK):
        raise HandstyleError(f"the report {printable(path)}: its folder does not exist, or cannot be written to")


def report_run(
    picture: Path,
    result: Result,
    network: Network,
    plan: Plan,
    config: StyleConfig,
    snapshots: Snapshots | None,
    overwrite: bool,
) -> None:
    """Write the report of a run beside its picture, and print its path.

    Examples
    --------
    .. code-block:: console

        $ handstyle stylize photograph.jpg painting.jpg --report
    """
    page, pictures = picture.with_suffix(".html"), (plan.photograph, plan.sources)
    facts: dict[str, Any] = {"masks": config.mask, "config": config, "snapshots": snapshots, "picture": picture.name}
    write_report(page, result, network, *pictures, overwrite=overwrite, **facts)
    say(f"the report is in {page}")
