"""The interactive figures: a reader moves something, and the number shown is the package's."""

import numpy as np
import pytest
from browser import find_chromium
from conftest_docs import DOCS

from handstyle.losses.gram import Moments, gram_loss, moments_backward, moments_forward
from handstyle.losses.regions import carry_mask
from handstyle.losses.total_variation import absolute_variation, total_variation
from handstyle.network.vgg import build_network, random_weights
from handstyle.optimize.adam import Adam

pytestmark = pytest.mark.slow
if find_chromium() is None:
    pytest.skip("no Chromium on this machine: apt-get install chromium", allow_module_level=True)


@pytest.fixture
def lab(browser, tmp_path):
    """Return a function that opens a page with one figure on it, from file://."""

    def open_lab(name):
        script = DOCS / "_static" / f"{name}_lab.js"
        page = tmp_path / "page.html"
        page.write_text(
            f'<meta charset="utf-8"><div class="{name}-lab"></div><script src="file://{script}"></script>',
            encoding="utf-8",
        )
        browser.open(f"file://{page}", 1280)
        assert not browser.troubles()
        return browser

    return open_lab


def key(browser, name):
    for kind in ("keyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key=name, code=name)


def text(browser, selector):
    return browser.run(f"document.querySelector('{selector}').textContent")


def slide(browser, selector, value):
    browser.run(
        f"(() => {{ const e = document.querySelector('{selector}'); e.value = {value};"
        " e.dispatchEvent(new Event('input')); })()"
    )


CLOUD = np.array([[[1.0, 0], [1, 1], [0, 2]]])
TARGET = Moments(3.0, np.zeros(2), np.array([[2.0, 0], [0, 5]]))


def cloud_loss(f):
    return float(gram_loss(moments_forward(f), TARGET, 1.0)[0])


def test_a_point_of_the_cloud_moves_by_keys(lab):
    browser = lab("cloud")
    assert float(text(browser, ".lab-loss")) == pytest.approx(2 / 9, abs=1e-4)
    browser.run("document.querySelector('canvas').focus()")
    key(browser, "3")
    key(browser, "ArrowLeft")
    key(browser, "ArrowDown")
    moved = CLOUD + [[[0, 0], [0, 0], [-0.1, -0.1]]]
    assert float(text(browser, ".lab-loss")) == pytest.approx(cloud_loss(moved), abs=1e-4)


def test_a_step_of_the_cloud_is_the_packages(lab):
    browser = lab("cloud")
    browser.run("document.querySelector('.lab-step').click()")
    gradient = moments_backward(gram_loss(moments_forward(CLOUD), TARGET, 1.0)[1], CLOUD)
    assert float(text(browser, ".lab-loss")) == pytest.approx(cloud_loss(CLOUD - 0.1 * gradient), abs=1e-4)


@pytest.mark.parametrize(("power", "variation"), [(1, absolute_variation), (2, total_variation)])
def test_what_an_edge_costs_is_what_the_package_says(lab, power, variation):
    browser = lab("variation")
    slide(browser, ".lab-power", power)
    slide(browser, ".lab-pixels", 5)
    edge, ramp = np.repeat([0.0, 120.0], 5)[None, 2:8, None], np.linspace(0, 120, 6)[None, :, None]
    expected = 100 * float(variation(ramp)[0]) / float(variation(edge)[0])
    assert float(text(browser, ".lab-cost").split()[0]) == pytest.approx(expected, abs=0.06)


def test_the_smoothed_curve_keeps_the_edge_only_for_the_absolute_value(lab):
    browser = lab("variation")
    jumps = []
    for power in (1, 2):
        slide(browser, ".lab-power", power)
        curve = np.array(browser.run("document.querySelector('.variation-lab').lab.curve"))
        jumps.append(np.abs(np.diff(curve)).max())
    assert jumps[0] > 90
    assert jumps[1] < 60


def test_adam_in_the_valley_is_the_packages(lab):
    browser = lab("valley")
    slide(browser, ".lab-steep", 7)
    slide(browser, ".lab-count", 25)
    browser.run("document.querySelector('canvas').focus()")
    key(browser, "ArrowUp")
    adam, x, values = Adam(np.zeros(2), np.zeros(2)), np.array([10.0, 4.5]), []
    for _ in range(25):
        values.append((x[0] ** 2 + 7 * x[1] ** 2) / 2)
        x = adam.step(x, x * [1, 7], 0.5)
    shown = browser.run("document.querySelector('.valley-lab').lab.values")
    assert shown["Adam"] == pytest.approx(min(values))
    assert shown["L-BFGS"] < 1e-6 * shown["descent"]


@pytest.mark.parametrize("rule", ["fraction", "inside"])
def test_a_painted_mask_travels_as_the_package_carries_it(lab, rule):
    browser = lab("mask")
    browser.run("document.querySelector('.lab-erase').click()")
    browser.run("document.querySelector('.lab-mask').focus()")
    slide(browser, ".lab-brush", 10)
    browser.run(
        f"(() => {{ const e = document.querySelector('.lab-rule'); e.value = '{rule}';"
        " e.dispatchEvent(new Event('change')); })()"
    )
    for name in ("ArrowDown", "ArrowDown", "ArrowRight"):
        key(browser, name)
    browser.call("Input.dispatchKeyEvent", type="keyDown", key=" ", code="Space")
    mask = np.array(browser.run("document.querySelector('.mask-lab').lab.mask"), float)
    assert 200 < mask.sum() < 400
    taps = ("relu2_1", "relu3_1", "relu4_1")
    carried = carry_mask(build_network(random_weights()).layers, mask, taps, rule)
    for tap in taps:
        assert float(text(browser, f".mean-{tap}").split()[1]) == pytest.approx(carried[tap].mean(), abs=1e-4)
