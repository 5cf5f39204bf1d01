"""An anchor for each flag on the page of the command line, ``command_line.html#handstyle-stylize--size``."""

import re

from sphinx.application import Sphinx

PLACE = re.compile(r'<section id="(?P<command>[\w-]+)">|^  (?P<flag>--[a-z][\w-]*)', re.MULTILINE)


def with_anchors(body: str) -> str:
    """Return the page's HTML with a link to itself at each flag that begins a line of a command's help."""
    command, known = "", set()

    def replaced(found: re.Match[str]) -> str:
        nonlocal command
        if found["command"]:
            command = found["command"]
            return found[0]
        name = f"{command}{found['flag']}"
        if name in known:
            return found[0]
        known.add(name)
        return f'  <a id="{name}" href="#{name}">{found["flag"]}</a>'

    return PLACE.sub(replaced, body)


def link_flags(app: Sphinx, pagename: str, templatename: str, context: dict[str, str], doctree: object) -> None:
    if pagename == "_generated/command_line":
        context["body"] = with_anchors(context["body"])


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", link_flags)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
