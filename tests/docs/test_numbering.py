"""The chapters' own numbers: a build writes only what has changed, and all pages when a title has."""

import os
import sys
from types import SimpleNamespace

import pytest
from conftest_docs import DOCS

sys.path.insert(0, str(DOCS / "_ext"))
pytest.importorskip("sphinx", reason="Sphinx is not installed: pip install --group docs")
book = pytest.importorskip("book", reason="Sphinx is not installed: pip install --group docs")

CONTENTS = "Contents\n========\n\n.. toctree::\n   :numbered:\n\n   first\n   second\n"
PAGES = {"index": CONTENTS, "first": "First\n=====\n\nPart\n----\n", "second": "Second\n======\n\nPart\n----\n"}


@pytest.fixture
def build(tmp_path, monkeypatch):
    """Return a function that builds a book whose second page is chapter 7, and says which pages it wrote."""
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace

    monkeypatch.setattr(book.TocTreeCollector, "assign_section_numbers", book.number_chapters_through)
    monkeypatch.setattr(
        book, "CHAPTERS", [SimpleNamespace(page="first", number=1), SimpleNamespace(page="second", number=7)]
    )
    (tmp_path / "conf.py").write_text("")
    for page, text in PAGES.items():
        (tmp_path / f"{page}.rst").write_text(text)
    moments = iter(range(2_000_000_000, 2_000_000_010))

    def go(**changed):
        for page, text in changed.items():
            (tmp_path / f"{page}.rst").write_text(text)
            moment = next(moments)
            os.utime(tmp_path / f"{page}.rst", (moment, moment))
        out, written = tmp_path / "out", []
        with docutils_namespace():
            app = Sphinx(tmp_path, tmp_path, out, out / "trees", "html", status=None, warning=None)
            app.connect("html-page-context", lambda app, page, template, context, tree: tree and written.append(page))
            app.build()
        return sorted(written), (out / "second.html").read_text()

    return go


def test_a_chapter_has_its_number_and_is_not_written_again_without_a_change(build):
    written, second = build()
    assert written == ["first", "index", "second"]
    assert '<span class="section-number">7.1. </span>Part' in second
    assert build()[0] == []
    assert build(first=PAGES["first"] + "\nWords.\n")[0] == ["first", "index"]  # which lists it


def test_a_changed_title_is_written_on_all_pages(build):
    build()
    assert build(first=PAGES["first"].replace("First", "Other"))[0] == ["first", "index", "second"]
