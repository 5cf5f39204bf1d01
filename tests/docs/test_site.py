"""The built book in a browser: every page loads in silence, asks nobody outside, and sets its equations."""

from urllib.parse import quote

import pytest
from browser import Browser, find_chromium
from conftest_docs import DOCS

SITE = DOCS / "_build" / "html"
PAGES = sorted(SITE.rglob("*.html"))
CHAPTERS_WITH_EQUATIONS = ("first_picture", "foundations/gradcheck", "network/convolution", "losses/style")

if not PAGES:
    pytest.skip("the book is not built: make book", allow_module_level=True)
if find_chromium() is None:
    pytest.skip("no Chromium on this machine: apt-get install chromium", allow_module_level=True)


@pytest.fixture(scope="module")
def browser():
    with Browser() as browser:
        yield browser


def address(page):
    return "file://" + quote(str(SITE / f"{page}.html"))


def test_pages_load_in_silence_and_ask_nobody(browser):
    found = {}
    for path in PAGES:
        browser.open("file://" + quote(str(path)))
        if troubles := browser.troubles():
            found[str(path.relative_to(SITE))] = troubles
    assert found == {}


@pytest.mark.parametrize("width", [390, 1280])
def test_pages_set_their_equations_and_fit_the_screen(browser, width):
    found = {}
    for path in PAGES:
        if "_modules" in path.parts:
            continue
        browser.open("file://" + quote(str(path)), width, phone=width < 500)
        measured = browser.run(
            """({
                unset: document.querySelectorAll('.math').length
                    - document.querySelectorAll('.math mjx-container').length,
                errors: document.querySelectorAll('[data-mjx-error], mjx-merror').length,
                broken: [...document.images].filter(i => i.complete && !i.naturalWidth).length,
                wide: Math.max(0, document.documentElement.scrollWidth - innerWidth),
                plain: document.body.innerText.includes('\\\\shape{') ? 1 : 0,
            })"""
        )
        if any(measured.values()):
            found[str(path.relative_to(SITE))] = measured
    assert found == {}


@pytest.mark.parametrize("page", CHAPTERS_WITH_EQUATIONS)
def test_chapters_have_equations_that_are_numbered(browser, page):
    browser.open(address(page))
    assert browser.run("document.querySelectorAll('.math mjx-container svg').length") > 20
    assert browser.run("document.querySelectorAll('.eqno').length") >= 4


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
