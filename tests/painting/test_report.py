"""The report of a run: one file, no request, used in a browser as a person uses it."""

import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from docs.browser import Browser, find_chromium
from PIL import Image

import handstyle
from handstyle.cli import app
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.picture_reading import read_picture
from handstyle.optimize.trace import Iteration
from handstyle.painting.config import StyleConfig
from handstyle.painting.report import Snapshots, _plot, _ticks, write_report
from handstyle.painting.selfcheck import check_run

TAPS = ["relu1_1", "relu2_1"]
FAST = ["--weights", "random", "--backend", "numpy", "--size", "48", "--iterations", "3", "--style-layers", *TAPS]
FAST += ["--pyramid-min-size", "24"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    rng = np.random.default_rng(0)
    for name in ("content.png", "style.png", "<b>&.png"):
        Image.fromarray(rng.integers(0, 256, (64, 48, 3), np.uint8)).save(folder / name)
    mask = np.zeros((64, 48), np.uint8)
    mask[:32] = 255
    Image.fromarray(mask).save(folder / "top.png")
    Image.fromarray(255 - mask).save(folder / "bottom.png")
    return folder


def run(*words):
    return app([str(word) for word in words], result_action="return_value", exit_on_error=False, print_error=False)


@pytest.fixture(scope="module")
def page(folder):
    """Return the page of a run with masks, a pyramid, and a name that is markup."""
    words = [folder / "content.png", folder / "style.png", folder / "<b>&.png", "-o", folder / "out.png", *FAST]
    assert run("stylize", *words, "--mask", folder / "top.png", folder / "bottom.png", "--report") == 0
    return folder / "out.html"


def frames_of(text):
    return json.loads(re.search(r'id="frames">(.*?)</script>', text, re.DOTALL)[1])


def test_the_page_has_every_part(page, folder):
    text = page.read_text()
    for words in (
        "content.png in the style of style.png and &lt;b&gt;&amp;.png",
        "36 × 48 px; all 6 iterations done at 2 scales",
        "mask: top.png",
        "style relu1_1 region 1",
        '<td class="">18 × 24 px</td><td class="">3</td>',
        "pyramid_min_size",
        "network sha256",
        "numpy</td>",
        "handstyle again out.png",
        "checks passed",
    ):
        assert words in text
    assert "FAILED" not in text
    assert str(folder) not in text
    assert "<b>" not in text.replace("<b>0", "").replace("<b>1", "").replace("<b>2", "") or "<b>&" not in text


def test_a_note_names_a_picture_without_its_folder(folder):
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (20, 20, 3), np.uint8)).save(folder / "small.png")
    words = [folder / "content.png", folder / "small.png", "-o", folder / "noted.png"]
    words += [word.replace("48", "128") for word in FAST]
    assert run("stylize", *words, "--style-layers", "relu3_1", "--report") == 0
    text = (folder / "noted.html").read_text()
    assert "small.png: used at 20 x 20 px" in text
    assert "<code>enlarge</code> paints 96 x 128 px" in text
    assert str(folder) not in text


def test_the_page_asks_for_nothing(page):
    text = page.read_text()
    assert not re.search(r"""(src|href|url)\s*[=(]\s*["']?(?!data:)[a-z/]""", text.partition("<script>")[0])
    assert "default-src 'none'" in text
    assert "http" not in re.sub(r"base64,[^\"]*", "", text).replace("http-equiv", "")


def test_frames_are_those_of_the_run(page):
    frames = frames_of(page.read_text())
    assert [frame["text"].partition(",")[0] for frame in frames] == [f"iteration {i}" for i in range(1, 7)]
    assert "scale 1, 18 × 24 px" in frames[0]["text"]
    assert "scale 2, 36 × 48 px" in frames[-1]["text"]
    assert len({frame["src"] for frame in frames}) == 6
    assert frames[0]["x"] < frames[-1]["x"]


def test_a_long_run_keeps_few_frames():
    snapshots = Snapshots(count=10)
    raw, final = np.zeros((4, 4, 3)), np.full((4, 4, 3), 200.0)
    for i in range(1, 101):
        snapshots(
            handstyle.Progress(
                i, 100, i, 1.0, {}, 0.0, raw, scale=i // 51, sizes=((4, 4),) * 2, colored=lambda _: final
            )
        )
    with Image.open(io.BytesIO(snapshots.kept[0].jpeg)) as image:
        assert abs(np.asarray(image, float).mean() - 200) < 2  # with its colors and regions, as the run would end
    assert [frame.iteration for frame in snapshots.kept] == [1, *range(10, 51, 10), 51, *range(60, 101, 10)]


def test_a_plot_survives_zero_and_the_infinite_and_one_iteration():
    trace = [Iteration(1, 1, 1.0, {"a": 0.0, "b": 10.0}, 0.0)]
    svg = _plot(trace, ["a", "b"], [])
    assert "nan" not in svg
    assert "inf" not in svg
    assert _plot([replace(trace[0], terms={"a": 0.0})], ["a"], []) == "<p>No loss was recorded.</p>"
    assert _ticks(1) == [1]
    assert _ticks(600) == [1, *range(100, 601, 100)]


def test_a_plots_height_is_the_logarithm():
    trace = [Iteration(i, i, 1.0, {"a": 10.0**-i}, 0.0) for i in range(1, 5)]
    path = re.search(r'class="k0" d="M(.*?)"', _plot(trace, ["a"], []))[1]
    heights = [float(point.split(",")[1]) for point in path.split("L")]
    np.testing.assert_allclose(np.diff(heights), np.diff(heights)[0], atol=0.11)
    assert np.diff(heights)[0] > 0


def test_a_broken_gradient_is_said_in_the_page(folder, monkeypatch):
    network = handstyle.load_network("random", backend="numpy", kernels="reference", dtype="float64")
    config = StyleConfig(size=48, iterations=1, style_layers=TAPS, pyramid_min_size=0)
    photograph, painting = (read_picture(folder / name) for name in ("content.png", "style.png"))
    result = handstyle.stylize(photograph, painting, network=network, config=config)

    class Doubled:
        def __init__(self, engine):
            self.engine, self.name = engine, "doubled"

        def __getattr__(self, name):
            return getattr(self.engine, name)

        def backward(self, *arguments):
            return 2 * self.engine.backward(*arguments)

    broken = replace(network, engine=Doubled(network.engine))
    write_report(folder / "broken.html", result, broken, photograph, [painting], config=config, overwrite=True)
    text = (folder / "broken.html").read_text()
    assert "checks FAILED" in text
    assert '<td class="failed">FAILED</td>' in text
    assert '<td class="failed">' not in text.partition("The adjoints of")[2]
    assert re.search(r"conv1_1</td><td class=\"\">adjoint</td>.*?FAILED", text.partition("The adjoints of")[0])


@pytest.mark.parametrize("more", [{"style_statistic": "wasserstein"}, {"color": "luminance"}, {"init": "noise"}])
def test_the_terms_of_the_run_are_checked(more):
    network = handstyle.load_network("random", backend="numpy")
    rows = list(check_run(network, StyleConfig(style_layers=TAPS, **more)))
    assert {"style relu1_1", "content relu4_2", "total variation"} <= {row.subject for row in rows}
    assert all(row.report for row in rows if row.report is not None)


def test_the_command_makes_a_picture_again_and_shows_it(folder, page, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    assert run("report", "out.png", "-o", "again.html") == 0
    text = (folder / "again.html").read_text()
    assert "Painted again by the recipe in the picture: equal to the bit." in text
    assert len(frames_of(text)) == 6
    with pytest.raises(HandstyleError, match="exists"):
        run("report", "out.png", "-o", "again.html")
    with pytest.raises(HandstyleError, match=r"must end in .html"):
        run("report", "out.png", "-o", "again.png")


def test_a_texture_has_a_page_and_an_existing_page_is_kept(folder):
    assert run("texture", folder / "style.png", "-o", folder / "texture.png", *FAST, "--report") == 0
    text = (folder / "texture.html").read_text()
    assert "A texture of style.png" in text
    assert 'id="split"' not in text
    with pytest.raises(HandstyleError, match=r"texture.html exists"):
        run("texture", folder / "style.png", "-o", folder / "texture.jpg", *FAST, "--report")
    assert not (folder / "texture.jpg").exists()


@pytest.mark.slow
@pytest.mark.skipif(find_chromium() is None, reason="there is no Chromium to use the page in")
def test_the_page_is_used_in_a_browser(page, tmp_path):
    with Browser() as browser:
        browser.call("Network.setBypassServiceWorker", bypass=True)
        browser.open(page.as_uri())
        assert browser.troubles() == []
        # before and after: the slider by its value, and the picture by the pointer
        browser.run("split.value = 25; split.dispatchEvent(new Event('input'))")
        assert browser.run("getComputedStyle(document.querySelector('.top')).clipPath").startswith(
            "inset(0px 0px 0px 25%"
        )
        box = browser.run(
            "(b => [b.left, b.top, b.width, b.height])(document.querySelector('.both').getBoundingClientRect())"
        )
        x, y = box[0] + 0.8 * box[2], box[1] + box[3] / 2
        for kind in ("mousePressed", "mouseReleased"):
            browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        assert float(browser.run("split.value")) == pytest.approx(80, abs=2)
        # the scrubber, by the keyboard
        frames = frames_of(page.read_text())
        browser.run("scrub.focus()")
        for key in ("Home", "ArrowRight"):
            browser.call(
                "Input.dispatchKeyEvent",
                type="keyDown",
                key=key,
                code=key,
                windowsVirtualKeyCode=36 if key == "Home" else 39,
            )
        assert browser.run("document.getElementById('when').textContent") == frames[1]["text"]
        assert browser.run("document.querySelector('#frame img').src") == frames[1]["src"]
        assert float(browser.run("document.getElementById('at').getAttribute('x1')")) == frames[1]["x"]
        assert browser.run("document.querySelector('.keys b').textContent") == frames[1]["values"][0]
        assert browser.run(
            "[...document.images].filter(i => i.checkVisibility()).every(i => i.complete && i.naturalWidth > 0)"
        )
        # nothing is wider than the window, on a phone either
        for width in (1280, 390):
            browser.open(page.as_uri(), width=width)
            assert browser.run("document.documentElement.scrollWidth") <= width
        # there a name is broken only if the longest word would not fit, so that a long value does not squeeze it
        wrap = "getComputedStyle(document.querySelector('.facts td:first-child')).overflowWrap"
        assert browser.run(wrap) == "break-word"
        # ink on paper, and paper on ink
        ink = {}
        for mode in ("light", "dark"):
            browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": mode}])
            ink[mode] = browser.run(
                "getComputedStyle(document.body).color + getComputedStyle(document.body).backgroundColor"
            )
        assert ink["light"] != ink["dark"]
        # printed: no controls, the film strip in place of the scrubber, both pictures side by side
        browser.call("Emulation.setEmulatedMedia", media="print")
        visible = "e => e.checkVisibility()"
        assert browser.run(f"[...document.querySelectorAll('input')].some({visible})") is False
        assert browser.run(f"[...document.querySelectorAll('.film img')].every({visible})") is True
        before, after = browser.run(
            "[...document.querySelectorAll('.both img')].map(i => i.getBoundingClientRect().left)"
        )
        assert before < after
        assert browser.call("Page.printToPDF")["data"]
        assert browser.troubles() == []
