"""What the search page knows beside Sphinx's index: the prose of each page.

It is written into ``_static/page_texts.js``, which only the search page loads. From it ``search.js`` beside this file
shows where the words stand, and puts first the chapters that speak of them most. Sphinx fetches pages for that, which
a browser refuses from ``file://``.
"""

import html
import json
import re
from pathlib import Path

from sphinx.application import Sphinx

PROSE = re.compile(r"<(h[1-6]|p|dt|t[dh]|figcaption)\b[^>]*>(.*?)</\1>", re.DOTALL)
TAG = re.compile(r"<[^>]*>")


def prose(page: str) -> str:
    """Return the headings and paragraphs of a page's HTML as one line of text, without its menus."""
    article = page.partition('<article class="bd-article"')[2].partition("</article>")[0]
    words = " ".join(html.unescape(TAG.sub("", text)) for _, text in PROSE.findall(article))
    return " ".join(re.sub(r"\\[()]|#", "", words).split())


def write_texts(app: Sphinx, exception: Exception | None) -> None:
    if exception is not None or app.builder.name != "html":
        return
    folder = Path(app.outdir)
    files = {name: folder / f"{name}.html" for name in sorted(app.env.found_docs)}
    texts = {name: prose(file.read_text(encoding="utf-8")) for name, file in files.items() if file.is_file()}
    script = f"const pageTexts = {json.dumps(texts, ensure_ascii=False)};\n"
    (folder / "_static" / "page_texts.js").write_text(script, encoding="utf-8")


def load_texts(app: Sphinx, pagename: str, *_: object) -> None:
    if pagename == "search":
        app.add_js_file("page_texts.js", priority=100)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", write_texts)
    app.connect("html-page-context", load_texts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
