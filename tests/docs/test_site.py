"""The built book in a browser: every page loads in silence, asks nobody outside, and sets its equations."""

import sys
import time
from pathlib import Path
from urllib.parse import quote

import pytest
from browser import find_chromium
from chapters import CHAPTERS
from conftest_docs import DOCS

sys.path.insert(0, str(DOCS / "_ext"))

SITE = DOCS / "_build" / "html"
# The theme leaves templates of its own in _static.
PAGES = sorted(path for path in SITE.rglob("*.html") if "_static" not in path.parts)
pytestmark = pytest.mark.slow
CHAPTERS_WITH_EQUATIONS = ("first_picture", "foundations/gradcheck", "network/convolution", "losses/gram")

if not PAGES:
    pytest.skip("the book is not built: make book", allow_module_level=True)
if find_chromium() is None:
    pytest.skip("no Chromium on this machine: apt-get install chromium", allow_module_level=True)

letters = pytest.importorskip("book", reason="Sphinx is not installed: pip install --group docs").letters


def address(page):
    return "file://" + quote(str(SITE / f"{page}.html"))


WIDTHS = (1440, 1024, 390)
MEASURE = """({
    unset: [...document.querySelectorAll('.math')].filter(e => !e.querySelector('mjx-container')).length,
    errors: document.querySelectorAll('[data-mjx-error], mjx-merror').length,
    broken: [...document.images].filter(i => i.complete && !i.naturalWidth).length,
    cut: [...document.querySelectorAll('mjx-container')].filter(e => e.checkVisibility() && !e.closest('table')
        && e.firstElementChild.getBoundingClientRect().width
        > (e.closest('div.math') ? e : e.closest('p, li, dd, figcaption') ?? e).clientWidth + 1).length,
    wide: Math.max(0, document.documentElement.scrollWidth - document.documentElement.clientWidth),
    small: (() => {
        const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        const found = new Set();
        while (walker.nextNode()) {
            const e = walker.currentNode.parentElement;
            if (!walker.currentNode.textContent.trim() || e.closest('mjx-container, script, noscript, style')) continue;
            if (!e.checkVisibility()) continue;
            const drawn = e.ownerSVGElement ? e.getScreenCTM().a : 1;
            const size = parseFloat(getComputedStyle(e).fontSize) * drawn;
            const words = walker.currentNode.textContent.trim().slice(0, 30);
            const read = e.closest('.bd-article :is(pre, code, .lab-sum)'); // beside text of 16
            const least = read ? 14 : 12;
            if (size && size < least - 0.1) found.add(`${size.toFixed(1)} px: ${words}`);
        }
        return found.size && [...found].slice(0, 3).join('; ');
    })(),
})"""


FIGURES = """[...document.querySelectorAll('figure img')].filter(i => i.checkVisibility()).map(
    i => [decodeURIComponent(new URL(i.src).pathname), i.width, i.closest('figure').scrollWidth
        > i.closest('figure').clientWidth + 1])"""


def faults_of_figures(browser, width):
    """Return figures whose letters are below twelve pixels, and those that must be scrolled where there is room."""
    found = []
    for file, shown, scrolled in browser.run(FIGURES):
        if file.endswith(".svg"):
            whole, smallest = letters(Path(file).read_text(encoding="utf-8"))
            size = smallest * shown / whole
            found += [f"{size:.1f} px in {Path(file).name}"] if size < 11.9 else []
        found += [f"{Path(file).name} is scrolled"] if scrolled and width in WIDTHS[:2] else []
    return found


def faults(browser, path):
    """Return what is wrong by width: troubles, equations not set or cut, pictures missing, overflow, small print."""
    browser.open("file://" + quote(str(path)), WIDTHS[0])
    found = {"troubles": browser.troubles()} if browser.troubles() else {}
    for width in WIDTHS:
        browser.resize(width)
        measured = browser.run(MEASURE) | {"figures": faults_of_figures(browser, width)}
        measured = {name: value for name, value in measured.items() if value}
        if measured:
            found[width] = measured
    return found


def test_no_page_overflows_is_broken_or_has_print_below_twelve_pixels_or_code_below_fourteen(browser):
    assert len(PAGES) > 100
    found = {str(path.relative_to(SITE)): faults(browser, path) for path in PAGES}
    assert {page: fault for page, fault in found.items() if fault} == {}


@pytest.mark.parametrize("page", CHAPTERS_WITH_EQUATIONS)
def test_chapters_have_equations_that_are_numbered(browser, page):
    browser.open(address(page))
    assert browser.run("document.querySelectorAll('.math mjx-container svg').length") > 20
    assert browser.run("document.querySelectorAll('.eqno').length") >= 4


BROKEN_OFF = """[...document.querySelectorAll('.bd-article p span.math')].filter(formula => {
    const text = document.createTreeWalker(formula.closest('p'), NodeFilter.SHOW_TEXT);
    text.currentNode = formula.querySelector('mjx-container').lastElementChild;
    while (text.nextNode()) if (!text.currentNode.parentElement.closest('mjx-container')) break;
    if (!/^[.,;:)]/.test(text.currentNode.data ?? '')) return false;
    const stop = document.createRange();
    stop.setStart(text.currentNode, 0);
    stop.setEnd(text.currentNode, 1);
    return stop.getBoundingClientRect().left < formula.querySelector('svg').getBoundingClientRect().left;
}).length"""


def test_no_line_begins_with_the_stop_behind_a_formula(browser):
    browser.open(address("optimize/lbfgs"))
    widths = (320, 390, *range(640, 1041, 50))
    assert sum(browser.resize(width) or browser.run(BROKEN_OFF) for width in widths) == 0


DRAWN_BY_CELLS = """[...document.querySelectorAll('.cell_output img[src$=".png"]')].map(i => [i.width / i.naturalWidth,
    i.alt, getComputedStyle(i.closest('.cell_output')).overflowX])"""
POINT = 100 / 72  # pixels of Matplotlib's; its smallest letters have ten points


def test_letters_in_what_a_cell_draws_have_twelve_pixels_on_a_phone(browser):
    browser.open(address("first_picture"))
    for width in WIDTHS:
        browser.resize(width)
        drawn = browser.run(DRAWN_BY_CELLS)
        assert drawn
        for shrunk, alternative, overflow in drawn:
            assert 10 * POINT * shrunk >= 12
            assert not alternative.endswith(".png")
            assert overflow == "auto"


UNFOLD = """(async () => {
    for (const button of document.querySelectorAll('.solution button.toggle-button')) button.click();
    await new Promise(done => setTimeout(done, 1000));
})()"""
IN_SOLUTIONS = """[...document.querySelectorAll('.solution p mjx-container:not([display])')].map(e =>
    [!!e.closest('.broken'), e.firstElementChild.getBoundingClientRect().width > e.closest('p').clientWidth])"""


def test_a_wide_formula_of_a_solution_is_broken_once_it_is_unfolded(browser):
    browser.open(address("network/padding"))
    browser.resize(390)
    browser.run(UNFOLD)
    found = browser.run(IN_SOLUTIONS)
    assert any(broken for broken, _ in found)
    assert not any(cut for _, cut in found)


def test_what_goes_on_behind_the_right_edge_of_a_phone_says_so(browser):
    browser.open(address("foundations/backend"))
    browser.resize(390)
    hint = "getComputedStyle(document.querySelector('figure.scrolls > figcaption'), '::before').content"
    assert "swipe" in browser.run(hint)
    browser.open(address("kernels/counting"))
    browser.resize(540)  # up to 480 px the figure to play with is shown whole
    assert "swipe" in browser.run("getComputedStyle(document.querySelector('.lab-wide'), '::before').content")
    browser.open(address("foundations/backend"))
    browser.resize(390)
    fades = """(async () => {
        const code = document.querySelector('pre.more'), before = getComputedStyle(code).maskImage;
        code.scrollLeft = code.scrollWidth;
        await new Promise(done => setTimeout(done, 300));
        return [before, getComputedStyle(code).maskImage].map(mask => mask !== 'none');
    })()"""
    assert browser.run(fades) == [True, False]


WRAPPED = """[...document.querySelectorAll('.cell_output .line')].map(line => {
    const range = document.createRange();
    range.selectNodeContents(line);
    const [first, ...others] = range.getClientRects();
    return others.filter(b => b.top > first.top + 5).map(b => b.left - first.left);
}).filter(lefts => lefts.length).map(lefts => Math.min(...lefts))"""


def test_a_wrapped_line_of_output_goes_on_behind_its_beginning(browser):
    browser.open(address("foundations/gradcheck"))
    browser.resize(390)
    found = browser.run(WRAPPED)
    assert len(found) > 5
    assert min(found) > 20


LINES_OF_TITLE = """(() => {
    const text = document.createTreeWalker(document.querySelector('.bd-article h1'), NodeFilter.SHOW_TEXT), found = [];
    while (text.nextNode()) {
        const range = document.createRange();
        range.selectNodeContents(text.currentNode);
        found.push([text.currentNode.data, range.getClientRects().length]);
    }
    return found;
})()"""


def test_the_name_of_a_module_is_broken_at_its_dots(browser):
    browser.open(address("_generated/api/handstyle.foundations.picture_bands"))
    browser.resize(390)
    found = browser.run(LINES_OF_TITLE)
    assert "".join(text for text, _ in found).startswith("handstyle.foundations.picture_bands")
    assert [text for text, lines in found if lines > 1] == []


CHAPTERS_WITH_PAIRS = (
    "first_picture",
    "foundations/gradcheck",
    "network/convolution",
    "network/sequence",
    "losses/gram",
)
SIDES = """[...document.querySelectorAll('.pair')].map(
    p => [...p.children].map(c => c.getBoundingClientRect())).map(([a, b]) => a.right <= b.left && a.top === b.top)"""
CUT = "[...document.querySelectorAll('.bd-article pre')].filter(p => p.scrollWidth > p.clientWidth + 1).length"


@pytest.mark.parametrize("page", CHAPTERS_WITH_PAIRS)
def test_forward_and_backward_are_side_by_side_where_there_is_room(browser, page):
    browser.open(address(page), 1440)
    sides = browser.run(SIDES)
    assert sides
    assert all(sides)
    assert browser.run(CUT) == 0
    browser.resize(1280)
    assert not any(browser.run(SIDES))
    assert browser.run(CUT) == 0
    browser.open(address(page), 390, phone=True)
    assert not any(browser.run(SIDES))


def test_a_dark_page_has_dark_figures(browser):
    shown = "[...document.querySelectorAll('figure img')].filter(i => i.offsetParent).map(i => i.src)"
    for scheme in ("light", "dark"):
        browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        browser.open(address("losses/gram"))
        figures = browser.run(shown)
        assert len(figures) >= 3
        assert [src.endswith("-dark.svg") for src in figures] == [scheme == "dark"] * len(figures)
    browser.call("Emulation.setEmulatedMedia", features=[])


def test_search_finds_and_asks_nobody(browser):
    browser.open(address("search") + "?q=gram+matrix")
    found = "document.querySelectorAll('#search-results li').length"
    end = time.monotonic() + 20
    while not browser.run(found) and time.monotonic() < end:
        time.sleep(0.1)
    time.sleep(0.5)
    assert browser.run(found) > 2
    assert "Style: the Gram matrix" in browser.run("document.querySelector('#search-results').innerText")
    assert browser.troubles() == []


def test_search_shows_chapters_first_who_speaks_of_it_most_and_where(browser):
    browser.open(address("search") + "?q=line+search")
    time.sleep(2)
    found = browser.run(
        "[...document.querySelectorAll('#search-results li')].map(e => [e.querySelector('a').textContent,"
        " e.querySelector('a').pathname, e.querySelector('.context')?.innerText])"
    )
    titles = [title for title, _, _ in found]
    assert {"L-BFGS-B", "Optimizers by hand"} == set(titles[:2])
    modules = ["/_generated/" in path for _, path, _ in found]
    assert modules == sorted(modules)
    assert len(set(titles)) == len(titles)
    assert all("line search" in (context or "").lower() for _, _, context in found[:2])


def test_each_flag_of_the_command_line_has_an_anchor(browser):
    browser.open(address("_generated/command_line") + "#handstyle-stylize--size")
    size = "document.getElementById('handstyle-stylize--size')"
    assert browser.run(f"{size}.textContent") == "--size"
    assert 0 < browser.run(f"{size}.getBoundingClientRect().top") < 900  # in view
    assert browser.run("document.querySelectorAll('[id^=handstyle-stylize--]').length") > 20
    assert browser.run("new Set([...document.querySelectorAll('[id]')].map(e => e.id)).size") == browser.run(
        "document.querySelectorAll('[id]').length"
    )


def test_print_is_dark_on_white(browser):
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    browser.open(address("network/convolution"))
    assert browser.run("document.documentElement.dataset.theme") == "dark"
    browser.run("dispatchEvent(new Event('beforeprint'))")
    assert browser.run("document.documentElement.dataset.theme") == "light"
    browser.run("dispatchEvent(new Event('afterprint'))")
    assert browser.run("document.documentElement.dataset.theme") == "dark"
    browser.call("Emulation.setEmulatedMedia", features=[])


def test_a_bug_is_shown_with_its_picture_beside_its_code(browser):
    browser.open(address("reference/mutants"))
    boxes = "[...document.querySelectorAll('#mutant-3 :is(img, .wrong)')].map(e => e.getBoundingClientRect().toJSON())"
    for width in WIDTHS[:2]:
        browser.resize(width)
        picture, code = browser.run(boxes)
        assert picture["width"] == 256
        assert code["left"] > picture["right"]
        assert code["width"] > 400


def test_the_book_is_whole_and_a_page_that_is_not_says_so(browser, tmp_path):
    note = "document.querySelector('.bd-article h1 + p.left-over')?.innerText"
    browser.open(address("network/relu"))
    assert browser.run("leftOver") == [], "make book-whole"
    assert browser.run(note) is None
    (tmp_path / "_static").mkdir()
    for file in (SITE / "_static").iterdir():
        (tmp_path / "_static" / file.name).symlink_to(file)
    (tmp_path / "_static/left_over.js").unlink()
    (tmp_path / "_static/left_over.js").write_text('const leftOver = ["network/relu"];')
    (tmp_path / "network").mkdir()
    (tmp_path / "network/relu.html").write_bytes((SITE / "network/relu.html").read_bytes())
    browser.open(f"file://{tmp_path}/network/relu.html")
    assert browser.run(note).startswith("Some of this page was computed before the last change of the package.")


def test_the_contents_say_which_chapters_are_not_written(browser):
    unwritten = [c for c in CHAPTERS if "Not yet written" in (DOCS / f"{c.page}.md").read_text(encoding="utf-8")]
    browser.open(address("index"))
    lines = browser.run("[...document.querySelectorAll('li > p.unwritten')].map(p => p.innerText)")
    assert len(lines) == len(unwritten)
    assert all(line.startswith("Not yet written. It will show ") for line in lines)


def test_solutions_are_folded(browser):
    browser.open(address("network/convolution"))
    count = "document.querySelectorAll('.solution.dropdown').length"
    assert browser.run(count) == 4
    hidden = "[...document.querySelectorAll('.solution.dropdown')].filter(e => e.offsetHeight < 120).length"
    assert browser.run(hidden) == 4


def test_the_kernel_can_be_dragged(browser):
    browser.open(address("network/convolution"))
    browser.run("document.querySelector('.lab-input').scrollIntoView({block: 'center', behavior: 'instant'})")
    box = browser.run("document.querySelector('.lab-input').getBoundingClientRect().toJSON()")
    before = browser.run("document.querySelector('.lab-sum').textContent")

    def mouse(kind, row, column):
        x = box["x"] + (column + 0.5) / 28 * box["width"]
        y = box["y"] + (row + 0.5) / 20 * box["height"]
        browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)

    mouse("mousePressed", 8, 5)
    mouse("mouseMoved", 10, 20)
    mouse("mouseReleased", 10, 20)
    after = browser.run("document.querySelector('.lab-sum').textContent")
    assert before.startswith("y[8, 5] = ")
    assert after.startswith("y[10, 20] = ")


def test_the_figure_computes_what_the_package_computes(browser):
    import numpy as np

    from handstyle.network.convolution import conv3x3_forward

    browser.open(address("network/convolution"))
    x = np.array(browser.run("document.querySelector('.kernel-lab').lab.x"), float)
    w = np.array(browser.run("document.querySelector('.kernel-lab').lab.w"), float)
    y = conv3x3_forward(x[:, :, None], w[:, :, None, None], np.zeros(1))[0][..., 0]
    for r, s in ((0, 0), (8, 5), (19, 27), (3, 9)):
        browser.run(f"document.querySelector('.kernel-lab').lab.move({r}, {s})")
        shown = browser.run("document.querySelector('.lab-sum').textContent").split(" = ")[-1]
        assert float(shown) == pytest.approx(y[r, s], abs=0.01)


def test_adding_term_by_term_ends_with_nine(browser):
    browser.open(address("network/convolution"))
    browser.run("document.querySelector('.kernel-lab').lab.show(4)")
    assert browser.run("document.querySelector('.lab-added').textContent") == "4"
    assert browser.run("document.querySelector('.lab-sum').textContent.split(' = ')[1].split(/ [+−] /).length") == 4
