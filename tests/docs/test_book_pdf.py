"""The book on paper: numbers that run through, contents that name the right page, links that stay in the file."""

import subprocess

import numpy as np
import pytest
from browser import find_chromium
from chapters import CHAPTERS
from conftest_docs import DOCS, ROOT
from PIL import Image

pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed: pip install --group pdf")
import book_pdf  # noqa: E402 - it needs pypdf

PAGE = "<!doctype html><meta charset=utf-8><title>{0}</title><article><h1>{0}<a>#</a></h1>{1}</article>"


def test_the_pdf_has_every_chapter_and_no_page_that_does_not_exist():
    pages = [page for part in book_pdf.book().values() for page in part]
    assert [page for page in pages if page in {c.page for c in CHAPTERS}] == [c.page for c in CHAPTERS]
    assert [page for page in pages if not page.startswith("_") and not (DOCS / f"{page}.md").is_file()] == []
    assert {f"tasks/{path.stem}" for path in DOCS.glob("tasks/*.md")} <= set(pages)


def test_make_prints_what_make_book_has_built():
    done = subprocess.run(["make", "-n", "book-pdf"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "sphinx-build" in done.stdout
    assert "docs/book_pdf.py docs/_build/html docs/_build/handstyle.pdf" in done.stdout


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = tmp_path_factory.mktemp("site")
    (site / "sub").mkdir()
    long = "<p>" + "words " * 40 + "</p>"
    links = '<a href="sub/two.html#far">far</a> <a href="sub/two.html">two</a> <a href="api.html">not printed</a>'
    first = f'<p>{links} <a href="https://example.org/">outside</a> <a href="#near">near</a></p>{long * 60}'
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)).save(site / "noise.png")
    first += '<img src="noise.png" alt=""><section id="near"><h2>Near</h2></section>'
    second = f'{long * 90}<section id="far"><h2>Far away</h2><a href="../one.html">back</a></section>'
    (site / "one.html").write_text(PAGE.format("The first", first), encoding="utf-8")
    (site / "sub" / "two.html").write_text(PAGE.format("The second", second), encoding="utf-8")
    return site


@pytest.fixture(scope="module")
def printed(site):
    if find_chromium() is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    book_pdf.make(site, {"A": ["one"], "B": ["sub/two"]}, site / "book.pdf")
    return pypdf.PdfReader(site / "book.pdf")


def test_a_picture_is_stored_as_jpeg_and_looks_the_same(printed):
    names = [image for page in printed.pages for image in page.images if image.image.size == (96, 64)]
    assert [image.indirect_reference.get_object()["/Filter"] for image in names] == ["/DCTDecode"]
    noise = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    assert np.abs(np.asarray(names[0].image.convert("RGB")).astype(int) - noise).mean() < 8


def page_with(reader, words):
    return next(n for n, page in enumerate(reader.pages) if n > 1 and words in page.extract_text())


def test_every_page_but_the_title_has_its_number(printed):
    assert len(printed.pages) > 6
    for n, page in enumerate(printed.pages):
        lines = page.extract_text().split()
        assert n == 0 or str(n + 1) in (lines[0], lines[-1])


def test_the_contents_name_the_pages(printed):
    words = printed.pages[1].extract_text()
    for title in ("The first", "The second"):
        at = words.index(title) + len(title)
        assert int(words[at:].split()[0]) == page_with(printed, title) + 1


def test_links_lead_to_their_pages_and_dead_ones_are_gone(printed):
    def targets(number):
        found = []
        for reference in printed.pages[number].get("/Annots") or ():
            link = reference.get_object()
            if "/Dest" in link:
                found.append(printed.get_page_number(link["/Dest"][0].get_object()))
            else:
                found.append(str(link["/A"]["/URI"]))
        return found

    first, second = page_with(printed, "The first"), page_with(printed, "The second")
    near, far = page_with(printed, "Near"), page_with(printed, "Far away")
    assert first < near < second < far
    assert {far, second, near, "https://example.org/"} == set(targets(first))
    assert targets(far) == [first]
    assert [n for n in targets(1) if n != first] == [second]


def test_bookmarks_follow_the_parts(printed):
    (a, (one, (near,)), b, (two, (far,))) = printed.outline
    assert [item.title for item in (a, one, near, b, two, far)] == [
        "A",
        "The first",
        "Near",
        "B",
        "The second",
        "Far away",
    ]
    assert printed.get_destination_page_number(far) == page_with(printed, "Far away")


def test_a_page_that_was_not_built_is_named(site, tmp_path):
    with pytest.raises(SystemExit, match="no page three: build the book first"):
        book_pdf.make(site, {"A": ["one", "three"]}, tmp_path / "book.pdf")
