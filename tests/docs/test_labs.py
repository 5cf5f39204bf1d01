"""The interactive figures: a reader moves something, and the number shown is the package's."""

import json
import re

import numpy as np
import pytest
from browser import find_chromium
from conftest_docs import DOCS

from handstyle.kernels.counting import LOWERED, Machine, Tile, convolution_cost
from handstyle.kernels.winograd_matrices import transforms
from handstyle.losses.gram import Moments, gram_loss, moments_backward, moments_forward
from handstyle.losses.regions import carry_mask, leak
from handstyle.losses.total_variation import absolute_variation, total_variation
from handstyle.network.convolution import conv3x3_backward, conv3x3_forward
from handstyle.network.relu import relu_backward, relu_forward
from handstyle.network.sequence import POOLS, Convolution, Pool, sequence_backward, sequence_forward
from handstyle.network.vgg import build_network, random_weights, summary
from handstyle.optimize.adam import Adam

pytestmark = pytest.mark.slow
if find_chromium() is None:
    pytest.skip("no Chromium on this machine: apt-get install chromium", allow_module_level=True)


SCRIPTS = {path.stem for path in (DOCS / "_static").glob("*.js")} - {"book", "mutants"}
PAGES = [path.read_text(encoding="utf-8") for path in DOCS.rglob("*.md") if "_build" not in path.parts]


def test_at_least_twelve_figures_are_interactive_and_each_stands_on_a_page():
    assert len(SCRIPTS) >= 12
    assert {name for name in SCRIPTS if not any(f'/{name}.js"></script>' in page for page in PAGES)} == set()


@pytest.fixture
def lab(browser, tmp_path):
    """Return a function that opens a page with one figure on it, from file://: its class, its scripts."""

    def open_lab(name, *scripts):
        page = tmp_path / "page.html"
        sources = [DOCS / "_static" / f"{script}.js" for script in scripts or (f"{name.replace('-', '_')}_lab",)]
        page.write_text(
            f'<meta charset="utf-8"><div class="{name}{"" if scripts else "-lab"}"></div>'
            + "".join(f'<script src="file://{source}"></script>' for source in sources),
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


def numbers(words):
    """The numbers in a text; a minus sign is U+2212 there."""
    return [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?", words.replace("−", "-"))]


def press_space(browser):
    browser.call("Input.dispatchKeyEvent", type="keyDown", key=" ", code="Space")
    browser.call("Input.dispatchKeyEvent", type="keyUp", key=" ", code="Space")


def choose(browser, selector, value):
    """Choose an entry of a list."""
    browser.run(
        f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.value = {json.dumps(value)};"
        " for (const kind of ['input', 'change']) e.dispatchEvent(new Event(kind, {bubbles: true})); })()"
    )


def slide(browser, selector, value):
    browser.run(
        f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.value = {value};"
        " e.dispatchEvent(new Event('input', {bubbles: true})); })()"
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


@pytest.mark.parametrize("first", [0.04, 0.8, 2.0, 3.4, 4.0])
def test_a_line_search_makes_the_trials_of_the_packages(lab, first):
    from fig.wolfe import search

    browser = lab("search")
    browser.run("document.querySelector('.lab-first').focus()")
    slide(browser, ".lab-first", first)
    _, *expected = search(first)
    browser.run("document.querySelector('.lab-next').focus()")
    for k, trial in enumerate(expected, 1):
        words = text(browser, ".lab-sum")
        assert numbers(words)[:4] == pytest.approx([k, trial.step, trial.value, trial.slope], abs=1e-4)
        assert words.endswith("taken") == (k == len(expected))
        press_space(browser)
    assert numbers(text(browser, ".lab-sum"))[0] == 1  # and from the beginning


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
    # The leak map is the package's sweep back through kernels that are all means, begun with the carried mask.
    names = ("conv1_1", "conv1_2", "pool1", "conv2_1", "conv2_2", "pool2", "conv3_1", "conv3_2", "conv3_3", "conv3_4")
    mean = np.full((3, 3, 1, 1), 1 / 9)
    layers = tuple(
        Pool(name, "average") if name.startswith("pool") else Convolution(name, mean, np.zeros(1), "zero")
        for name in (*names, "pool3", "conv4_1")
    )
    for tap in taps:
        at = tap.replace("relu", "conv")
        _, caches = sequence_forward(layers, mask[..., None], [at])
        expected = 100 * leak(sequence_backward(layers, {at: carried[tap]}, caches), mask)
        assert numbers(text(browser, f".share-{tap}"))[0] == pytest.approx(expected, abs=1e-3)
        assert (expected > 0.01) == (rule == "fraction")


@pytest.mark.parametrize("m", [2, 4, 6])
def test_multiplications_are_counted_as_the_package_counts_them(lab, m):
    browser = lab("winograd")
    slide(browser, ".lab-height", 31)
    slide(browser, ".lab-width", 45)
    choose(browser, "select", str(m))
    whole, tiled = numbers(text(browser, ".lab-count"))[:2]
    counted = [convolution_cost(31, 45, 1, 1, tile, 4).products for tile in (LOWERED, Tile(m, m))]
    assert [2 * whole, 2 * tiled] == counted  # the package counts additions too


def test_two_outputs_take_six_multiplications_or_four_and_are_the_same(lab):
    browser = lab("winograd")
    slide(browser, "[aria-label=x3]", -7)
    slide(browser, "[aria-label=w0]", 3)
    x, w = np.array([1.0, 3, 2, -7]), np.array([3.0, 4, -2])
    BT, G, AT = transforms(2)
    browser.run("document.querySelector('.lab-next').focus()")
    for _ in range(3):
        press_space(browser)
    assert text(browser, ".lab-tile-sum") == "3 of 4 multiplications"
    press_space(browser)
    assert text(browser, ".lab-direct-sum") == "4 of 6 multiplications"
    shown = browser.run("[...document.querySelectorAll('.lab-tile tr')].map(r => r.cells[2].textContent)")
    assert [numbers(value)[0] for value in shown] == pytest.approx((G @ w) * (BT @ x))
    for _ in range(2):
        press_space(browser)
    y = AT @ ((G @ w) * (BT @ x))
    for selector, count in ((".lab-direct-sum", 6), (".lab-tile-sum", 4)):
        found = numbers(text(browser, selector))
        assert [found[0], found[2], found[4]] == pytest.approx([count, *y])


@pytest.mark.parametrize(("layer", "shape"), [("conv1_1", (512, 512, 3, 64)), ("conv4_2", (64, 64, 512, 512))])
def test_what_a_layer_waits_for_is_what_the_package_counts(lab, layer, shape):
    browser = lab("roof")
    slide(browser, ".lab-flops", 11)
    slide(browser, ".lab-bytes", 10.5)
    choose(browser, "select", layer)
    cost = convolution_cost(*shape, LOWERED, 4)
    machine = Machine(products=1e11, moved=10**10.5)
    computing, moving = cost.products / machine.products, cost.moved / machine.moved
    words = text(browser, ".lab-sum").partition(": ")[2]
    expected = [cost.products / cost.moved, 1e3 * computing, 1e3 * moving]
    assert numbers(words) == pytest.approx(expected, rel=5e-3)
    assert words.endswith("arithmetic" if computing > moving else "memory")


@pytest.mark.parametrize("power", [9, 11, 13])
def test_the_roof_rises_as_much_as_it_goes_along_whatever_the_memory(lab, power):
    browser = lab("roof")
    slide(browser, ".lab-flops", 14.5)  # for little memory the balance lies beyond the right edge
    slide(browser, ".lab-bytes", power)
    across, up = browser.run(
        "(() => { const x = [...document.querySelectorAll('.lab-wide text')].filter(e => ['0.1', '1'].includes("
        "e.textContent)).map(e => +e.getAttribute('x')), y = [...document.querySelectorAll('.lab-wide line')].map("
        "e => +e.getAttribute('y1')); return [x[1] - x[0], (y[0] - y[1]) / 2]; })()"  # of a power of ten
    )
    (x0, y0), (x1, y1), _ = browser.run(
        "document.querySelector('.lab-wide polyline').getAttribute('points').split(' ')"
        ".map(p => p.split(',').map(Number))"
    )
    assert (y0 - y1) / up == pytest.approx((x1 - x0) / across)


@pytest.mark.parametrize(
    ("way", "addresses"), [("a lane a channel", range(32)), ("a lane a pixel, 64", range(0, 2048, 64))]
)
def test_the_sectors_of_a_warp_are_those_that_the_books_machine_touches(lab, way, addresses):
    from handstyle.book.gpu_by_loops import Traced, warp_sectors

    browser = lab("warp")
    ways = browser.run("[...document.querySelectorAll('option')].map(o => o.textContent)")
    choose(browser, "select", next(name for name in ways if name.startswith(way)))
    at, memory = list(addresses), Traced(np.zeros(4096))

    def read(block, blocks, thread, memory):
        memory[at[thread.x]] = 1

    (expected,) = warp_sectors(memory, read, (32,), memory)
    assert numbers(text(browser, ".lab-sum"))[0] == expected


def test_the_film_shows_the_losses_of_the_run(lab, tmp_path):
    from fig import film

    photo, art = film.photograph(48, 64), film.painting(48, 64)
    rows = []
    original = film.frame

    def frame(iteration, picture, value=None, terms=()):
        rows.append((iteration, value, dict(terms)))
        return original(iteration, picture, value, terms)

    film.frame = frame
    try:
        _, made = film.run(photo, art, iterations=6)
    finally:
        film.frame = original
    script = tmp_path / "film_frames.js"
    script.write_text(f"const FILM = {json.dumps(made)};", encoding="utf-8")
    browser = lab("film-lab", script.with_suffix(""), "film_lab")
    browser.run("document.querySelector('.film-at').focus()")
    key(browser, "Home")
    assert text(browser, ".lab-sum") == "iteration 0: the photograph"
    for _ in range(3):
        key(browser, "ArrowRight")
    iteration, value, terms = rows[3]
    style = sum(part for name, part in terms.items() if name.startswith("style"))
    assert numbers(text(browser, ".lab-sum")) == pytest.approx(
        [iteration, value, terms["content relu4_2"], style], rel=5e-3
    )
    assert browser.run("document.querySelector('.film-picture').naturalWidth") == 64


def test_a_gradient_at_an_output_goes_where_the_package_sends_it(lab):
    browser = lab("kernel-back", "kernel_lab", "kernel_back")
    browser.run("document.querySelector('.back-clear').click()")
    choose(browser, "select", "vertical edges")
    browser.run("document.querySelector('.back-dy').focus()")
    for name in ("ArrowLeft", "ArrowLeft", "ArrowLeft"):
        key(browser, name)
    press_space(browser)
    x = np.array(browser.run("document.querySelector('.kernel-back').lab.x"), float)[:, :, None]
    dy = np.array(browser.run("document.querySelector('.kernel-back').lab.dy"), float)[:, :, None]
    assert dy[9, 4, 0] == dy.sum() == 1
    w = np.array([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]])[:, :, None, None]
    y, cache = conv3x3_forward(x, w, np.zeros(1))
    left, right = numbers(text(browser, ".lab-sum"))
    assert left == (y * dy).sum()
    assert right == (x * conv3x3_backward(dy, cache)).sum() == left
    browser.run("document.querySelector('.back-forget').click()")
    assert text(browser, ".lab-sum").endswith("not equal: this is not the adjoint")


def test_the_tape_gives_the_gradient_of_the_packages_rectifier(lab):
    browser = lab("tape-lab", "tape")
    slide(browser, ".tape-x", 1.5)
    browser.run("document.querySelector('input[value=b]').click()")
    x = np.array([[[1.5]]])
    a = 3 * x
    b, cache = relu_forward(a)
    c = -2 * b
    db = -2 * (c + 10) + (b - 1)
    dx = 3 * (relu_backward(db, cache) + (a - 5))
    value = ((a - 5) ** 2 + (b - 1) ** 2 + (c + 10) ** 2) / 2
    words = text(browser, ".lab-sum")
    assert numbers(words)[:2] == pytest.approx([value.item(), dx.item()], abs=1e-3)
    assert words.endswith("equal")
    choose(browser, "select", "a tap overwrites")
    assert text(browser, ".lab-sum").endswith("WRONG")


@pytest.mark.parametrize(("dtype", "place"), [("float64", 0), ("float32", 1)])
def test_the_error_of_a_difference_is_numpys(lab, dtype, place):
    browser = lab("v-curve", "v_curve")
    slide(browser, "input", -3)
    h, one = np.asarray(1e-3, dtype), np.asarray(1, dtype)
    slope = (np.exp(one + h) - np.exp(one - h)) / (2 * h)
    shown = [float(n) for n in re.findall(r"error (\S+),", text(browser, ".lab-sum"))][place]
    # In float32 one exponential may be rounded the other way: half a unit of 2.7, over 2h.
    rounding = 0 if dtype == "float64" else 2**-23 / 2e-3 / np.e * 2
    assert shown == pytest.approx(abs(float(slope) - np.e) / np.e, rel=0.05, abs=rounding)


@pytest.mark.parametrize(("x", "exponent", "between"), [(0.3, -1.0, 0), (0.3, -0.4, 1), (-0.75, 0.0, 3)])
def test_the_kinks_between_two_ends_are_counted(lab, x, exponent, between):
    browser, kinks_between = lab("kinks"), cell_function("foundations/gradcheck", "kinks_between")
    opens, adds = (np.array(browser.run(name)) for name in ("KINKS", "SLOPES"))
    slide(browser, "[aria-label='the point x']", x)
    slide(browser, "[aria-label='logarithm of the step']", exponent)
    h, (rectified, mask) = 10**exponent, relu_forward(x - opens)
    ahead, behind = (adds @ relu_forward(at - opens)[0] for at in (x + h, x - h))
    words = text(browser, ".lab-sum")
    slope, secant, _, found = numbers(words.replace("h = ", ""))[:4]
    assert slope == pytest.approx(adds @ relu_backward(np.ones_like(rectified), mask), abs=6e-5)
    assert secant == pytest.approx((ahead - behind) / (2 * h), abs=6e-5)
    assert found == between == kinks_between(x - opens, np.ones_like(opens), h)


def cell_function(page, name):
    """A function that a cell of a page defines."""
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    (cell,) = [cell for cell in re.findall(r"```\{code-cell\}.*?\n(.*?)```", text, re.DOTALL) if f"def {name}(" in cell]
    space = {}
    exec(f"import numpy as np\n{cell}".partition("\n\np = ")[0], space)
    return space[name]


def test_two_pixels_descend_as_those_of_the_page(lab):
    browser, two_pixels = lab("pixels"), cell_function("first_picture", "two_pixels")

    def shown():
        *p, edge, content, style, total, _, slope = numbers(text(browser, ".lab-sum").partition("p = ")[2])
        assert edge == pytest.approx(p[1] - p[0], abs=0.011)
        assert content + style == pytest.approx(total, abs=2e-4)
        return p, total, slope

    p = np.array([10.0, 30.0])
    for _ in range(3):
        value, gradient = two_pixels(p)
        found, total, slope = shown()
        assert found == pytest.approx(p, abs=0.006)
        assert total == pytest.approx(value, abs=6e-5)
        assert slope == pytest.approx(gradient[1], abs=6e-5)
        p = p - gradient
        browser.run("document.querySelector('.one').focus()")
        press_space(browser)
    slide(browser, "[aria-label='weight of the style']", 0)
    for _ in range(15):
        browser.run("document.querySelector('.many').click()")
    assert shown()[0][1] - shown()[0][0] == pytest.approx(20, abs=0.02)
    browser.run("document.querySelector('.back').click()")
    slide(browser, "[aria-label='weight of the style']", 1)
    slide(browser, "[aria-label='pixel 1']", 30)
    slide(browser, "[aria-label='pixel 2']", 20)
    for _ in range(5):
        browser.run("document.querySelector('.many').click()")
    below, _, slope = shown()
    assert below[1] - below[0] == pytest.approx(-7.3, abs=0.1)  # a second minimum, below zero
    assert slope == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("kind", ["max", "average"])
def test_a_pool_routes_as_the_package_does(lab, kind):
    browser = lab("pooling")
    browser.run(f"document.querySelector('input[value={kind}]').click()")
    slide(browser, "[aria-label='x, row 0, column 3']", 9)
    slide(browser, "[aria-label='gradient at y, row 1, column 1']", -6)
    x = np.array([[1.0, 3, 2, 9], [4, 2, 5, 5], [0, 0, 1, 8], [0, 0, 2, 3]])[:, :, None]
    dy = np.array([[1.0, 2], [3, -6]])[:, :, None]
    forward, backward = POOLS[kind]
    y, cache = forward(x, "down")
    for selector, expected in ((".pool-y", y), (".pool-dx", backward(dy, cache))):
        shown = browser.run(f"[...document.querySelectorAll('{selector} td')].map(c => c.textContent)")
        assert [numbers(value)[0] for value in shown] == pytest.approx(expected.ravel())


@pytest.mark.parametrize("architecture", ["VGG-19", "VGG-16"])
def test_the_receptive_field_is_the_summarys(lab, architecture):
    browser = lab("receptive-field", "receptive_field")
    choose(browser, "select", architecture)
    kind, deepest = {"VGG-16": ("vgg16", "conv5_3"), "VGG-19": ("vgg19", "conv5_4")}[architecture]
    weights = random_weights(kind, deepest=deepest)
    rows = [row for row in summary(build_network(weights), 256, 256) if not row.name.startswith("relu")]
    browser.run("document.querySelector('.field-layers').focus()")
    for _ in range(20):
        key(browser, "ArrowLeft")
    for row in rows:
        words = text(browser, ".lab-sum")
        assert words.startswith(f"{row.name}: one number sees {row.receptive_field} × {row.receptive_field} pixels")
        assert words.endswith(f"{row.stride} further on")
        key(browser, "ArrowRight")
