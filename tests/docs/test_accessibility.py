"""axe-core, the rules that accessibility is judged by, asked of each kind of page, light and dark: no violation."""

import importlib.util
from pathlib import Path

import pytest
from browser import find_chromium
from conftest_docs import DOCS

SITE = DOCS / "_build" / "html"
pytestmark = pytest.mark.slow
# Of each kind one, every page with an interactive figure, and those whose tables have formulas for headings.
KINDS = (
    "index",
    "first_picture",
    "foundations/gradcheck",
    "network/padding",
    "network/convolution",
    "network/pooling",
    "network/sequence",
    "network/vgg",
    "losses/gram",
    "losses/total_variation",
    "losses/regions",
    "optimize/lbfgs",
    "optimize/lbfgsb",
    "kernels/counting",
    "kernels/winograd",
    "kernels/cuda",
    "painting/controls",
    "painting/presets",
    "tasks/portrait",
    "reference/notation",
    "reference/mutants",
    "reference/speed",
    "reference/bibliography",
    "_generated/command_line",
    "_generated/api/index",
    "_generated/api/handstyle.network.convolution",
    "_modules/handstyle/network/convolution",
    "genindex",
    "search",
)

if not (SITE / "index.html").is_file():
    pytest.skip("the book is not built: make book", allow_module_level=True)
if find_chromium() is None:
    pytest.skip("no Chromium on this machine: apt-get install chromium", allow_module_level=True)
# The package is only the carrier of axe-core's one file; nothing of it is imported.
CARRIER = importlib.util.find_spec("axe_playwright_python")
if CARRIER is None:
    pytest.skip("axe-core is not installed: pip install --group site", allow_module_level=True)
AXE = (Path(CARRIER.submodule_search_locations[0]) / "axe.min.js").read_text(encoding="utf-8")

# A color on its way from one scheme to the other is not judged: transitions end at once.
NO_TRANSITIONS = "<style>*, *::before, *::after { transition: none !important }</style>"
STILL = f"document.head.insertAdjacentHTML('beforeend', '{NO_TRANSITIONS}')"
ASK = """axe.run(document, {resultTypes: ['violations']}).then(answer => answer.violations.map(
    v => `${v.id}: ${v.nodes.length} times, ${v.nodes.slice(0, 3).map(n => n.target + ' ' + n.html.slice(0, 90)
        + ' ' + (n.any[0]?.message ?? '')).join(' | ')}`))"""


@pytest.fixture(params=["light", "dark"])
def scheme(request, browser):
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": request.param}])
    yield request.param
    browser.call("Emulation.setEmulatedMedia", features=[])


@pytest.mark.parametrize("page", KINDS)
def test_axe_finds_no_violation(browser, scheme, page):
    browser.open((SITE / f"{page}.html").as_uri(), 1280)
    assert browser.run("document.documentElement.dataset.theme") == scheme
    browser.run(STILL)
    browser.run(AXE + "; 0")
    assert browser.run(ASK) == []


def test_axe_would_find_one(browser, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<!doctype html><html><body><img src='a.png'><p style='color:#ccc'>faint</p></body></html>")
    browser.open(page.as_uri())
    browser.run(AXE + "; 0")
    found = [line.split(":")[0] for line in browser.run(ASK)]
    assert {"image-alt", "color-contrast", "html-has-lang"} <= set(found)
