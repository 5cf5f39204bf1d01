"""What a run takes of a GPU's memory, and what it says when there is not enough: on a device of bounded memory."""

import gc
import re
import tracemalloc
import weakref
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from support.emulated_device import WHY_NOT, EmulatedDevice

import handstyle.painting.room as room_module
from handstyle.cli import measuring
from handstyle.cli.options import NetworkConfig
from handstyle.foundations.backend import RESERVED, Backend
from handstyle.foundations.errors import HandstyleError, OutOfMemoryError
from handstyle.kernels.cuda.engine import CudaEngine
from handstyle.losses.content import ContentTerm
from handstyle.network.vgg import WIDTHS, build_network, random_weights
from handstyle.optimize.adam import Adam, minimize_adam
from handstyle.optimize.classic import minimize_descent
from handstyle.optimize.lbfgs import minimize_lbfgs
from handstyle.optimize.lbfgsb import minimize_lbfgsb, most_memory
from handstyle.painting import stylize as transfer
from handstyle.painting.config import StyleConfig
from handstyle.painting.need import SCRATCH, choices, device_need, vectors_on_device
from handstyle.painting.room import cheaper, is_out_of_memory, make_room
from handstyle.painting.stylize import stylize
from handstyle.painting.targets import build_terms

MIB = 1 << 20
WITH_KERNELS = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))
CONFIG = StyleConfig(size=48, iterations=2, style_layers=("relu1_1", "relu2_1"), content_layers=("relu2_2",))


def small_network(memory=None, workspace=SCRATCH[-1]):
    """A narrow network on a device with so many bytes."""
    weights = random_weights(widths=(8, 8, 8, 8, 8), deepest="conv2_2")
    return build_network(weights).with_kernels(CudaEngine(EmulatedDevice(memory=memory), workspace=workspace))


class Unlimited:
    """A device that is asked for its free memory and its precision, and for nothing else."""

    precision, products = "float32", ""

    def __init__(self, free):
        self.free = free

    def free_memory(self):
        return self.free


def full_network(free):
    return build_network(random_weights(widths=WIDTHS)).with_kernels(CudaEngine(Unlimited(free)))


def pictures(side=48):
    rng = np.random.default_rng(0)
    return [np.kron(rng.integers(0, 255, (side // 8, side // 8, 3)), np.ones((8, 8, 1))).astype(np.uint8) for _ in "ab"]


def need_at(side, config=CONFIG):
    expected = device_need(small_network(), config, (side, side), SCRATCH[-1])
    return expected.device - expected.weights


@WITH_KERNELS
def test_with_room_enough_it_paints():
    enough = need_at(48)
    content, style = pictures()
    result = stylize(content, style, network=small_network(enough), config=CONFIG)
    assert result.image.shape == (48, 48, 3)
    assert not [note for note in result.notes if "scratch" in note]


@WITH_KERNELS
def test_what_does_not_fit_is_refused_before_any_work_and_told_what_would():
    network = small_network(need_at(32))
    content, style = pictures()
    with pytest.raises(OutOfMemoryError, match=r"48 x 48 px need .* --size 32 would fit") as caught:
        stylize(content, style, network=network, config=CONFIG)
    assert "\n" not in str(caught.value)
    assert network.engine.device.launches == []
    content, style = pictures(32)
    stylize(content, style, network=network, config=replace(CONFIG, size=32))


@WITH_KERNELS
def test_a_forecast_that_was_wrong_ends_in_the_same_words(monkeypatch):
    monkeypatch.setattr(EmulatedDevice, "free_memory", lambda self: 1 << 30)  # more than it will give
    content, style = pictures()
    for memory in (need_at(16), need_at(32)):  # fails while the targets are measured, or later
        with pytest.raises(OutOfMemoryError, match=r"out of memory at 48 x 48 px, though .* --size [0-9]+ .*would fit"):
            stylize(content, style, network=small_network(memory), config=CONFIG)


@pytest.mark.parametrize("name", ["moments_forward", "content_loss", "gram_loss", "preprocess_backward"])
def test_an_allocation_that_fails_anywhere_ends_in_words(name, monkeypatch):
    """CuPy's arrays are made in many places; each of these stands for the library's own allocator."""
    from handstyle.losses import gram as losses
    from handstyle.optimize import objective, terms

    modules = [module for module in (objective, terms, losses) if hasattr(module, name)]
    made = getattr(modules[0], name)
    calls = []

    def failing(*arguments, **options):
        calls.append(name)
        if len(calls) > 2:
            raise MemoryError("Out of memory allocating 1,024 bytes (allocated so far: 512 bytes).")
        return made(*arguments, **options)

    for module in modules:
        monkeypatch.setattr(module, name, failing)
    content, style = pictures()
    network = build_network(random_weights(deepest="conv2_2"))
    with pytest.raises(HandstyleError, match=r"out of memory at 48 x 48 px.*allocating 1,024 bytes.*smaller --size"):
        stylize(content, style, network=network, config=CONFIG)
    calls.clear()
    with pytest.raises(HandstyleError, match=r"--size \d+ would fit"):
        stylize(content, style, network=network.with_kernels("auto"), config=CONFIG)


def test_other_errors_pass(monkeypatch):
    def descend(*_):
        raise RuntimeError("something else")

    monkeypatch.setattr(transfer, "descend", descend)
    content, style = pictures()
    with pytest.raises(RuntimeError, match="something else"):
        stylize(content, style, network=build_network(random_weights(deepest="conv2_2")), config=CONFIG)


def test_what_counts_as_full():
    for words in ("cudaErrorMemoryAllocation: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDA_ERROR_OUT_OF_MEMORY"):
        assert is_out_of_memory(RuntimeError(words))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("cudaErrorIllegalAddress"))


def test_less_scratch_is_taken_before_anything_is_refused_and_it_is_said():
    config, size = StyleConfig(), (512, 512)
    network = full_network(1 << 40)
    needs = [device_need(network, config, size, scratch) for scratch in SCRATCH]
    beside = [need.device - need.weights for need in needs]
    assert beside[0] > beside[-1]
    assert make_room(config, full_network(beside[0]), [size]).notes == []
    for least, scratch in zip(beside[1:], SCRATCH[1:], strict=True):
        room = make_room(config, full_network(least), [size])
        assert room.network.engine.workspace == scratch
        assert f"{scratch >> 20} MiB of scratch, not {SCRATCH[0] >> 20}" in room.notes[0]
    with pytest.raises(OutOfMemoryError, match=r"512 x 512 px need .* --size \d+ would fit"):
        make_room(config, full_network(beside[-1] - 1), [size])


def test_the_size_that_is_named_fits_and_is_the_largest():
    config, free = StyleConfig(optimizer="lbfgs"), 900 * MIB
    with pytest.raises(OutOfMemoryError) as caught:
        make_room(config, full_network(free), [(1024, 1536)])
    named = int(str(caught.value).split("--size ")[1].split()[0])
    network = full_network(free)
    make_room(config, network, [(round(named / 1.5), named)])
    expected = device_need(network, config, (round((named + 16) / 1.5), named + 16))
    assert expected.device - expected.weights > free


def test_cheaper_ways_are_named_and_fit():
    config, size = StyleConfig(optimizer="lbfgs"), (1024, 1024)
    network = full_network(1 << 40)
    expected = device_need(network, config, size, SCRATCH[-1])
    free = expected.device - expected.weights - 20 * MIB
    ways = cheaper(network, config, size, free)
    memory = int(ways[0].removeprefix("--lbfgs-history "))
    assert memory in (8, 9)
    assert ways[1:] == ["--optimizer lbfgsb", "--optimizer adam"]
    make_room(replace(config, lbfgs_history=memory), full_network(free), [size])
    make_room(replace(config, optimizer="lbfgsb"), full_network(free), [size])
    with pytest.raises(
        OutOfMemoryError, match=f"--size .* or at this size --lbfgs-history {memory} or at this size --optim"
    ):
        make_room(config, full_network(free), [size])


def test_scipy_is_no_way_out_where_the_host_has_no_room(monkeypatch):
    monkeypatch.setattr(room_module, "available_memory", lambda: 1 * MIB)
    network = full_network(1 << 40)
    config, size = StyleConfig(optimizer="adam"), (512, 512)
    assert cheaper(network, config, size, 1 << 40) == []


def test_six_thousand_pixels_fit_a_card_of_24_gigabytes():
    """A card of 24 GiB, half a GiB of which CUDA and the screen have; VGG-19 at its usual layers, no tiles."""
    free, config = int(23.5 * 2**30), StyleConfig()
    assert config.optimizer == "lbfgsb"
    network = full_network(free)
    expected = device_need(network, config, (6000, 6000))
    assert expected.device <= free
    assert expected.optimizer == 0  # SciPy's vectors are on the host
    assert most_memory(3 * 6000 * 6000) == 7  # of the ten pairs that are the default


def test_each_optimizer_is_told_what_it_takes():
    free = int(23.5 * 2**30)
    rows = choices(full_network(0), StyleConfig(), (6000, 6000), free, "float32")
    assert [row.name for row in rows] == ["lbfgsb, 7 pairs", "lbfgs, 10 pairs", "lbfgs, 3 pairs", "adam"]
    assert rows[0].side >= 6000  # SciPy's vectors are on the host, where they take as much
    assert rows[0].need.host > 20 * 2**30
    assert all(row.need.host == 0 for row in rows[1:])
    assert [row.side >= 6000 for row in rows] == [True, False, True, True]
    assert rows[1].need.optimizer == (28 + 4) * 12 * 6000**2
    assert rows[0].need.run.chosen["conv1_2 forward"] == "winograd4"
    tf32 = choices(full_network(0), StyleConfig(), (512, 512), free, "tf32")
    assert "tensor" in tf32[0].need.run.chosen.values()


@pytest.mark.parametrize("card", [1, 3])
def test_a_gpu_is_planned_by_the_memory_that_it_says_is_free(card, monkeypatch, capsys):
    class Runtime:
        @staticmethod
        def memGetInfo():
            return card << 30, 80 << 30

    class Pool:
        @staticmethod
        def free_bytes():
            return 1 << 29  # held by CuPy, and free within

    cupy = SimpleNamespace(cuda=SimpleNamespace(runtime=Runtime), get_default_memory_pool=Pool)
    backend = Backend("cupy", cupy, "a pretended GPU")
    assert backend.free_memory() == (card << 30) + (1 << 29) - RESERVED
    monkeypatch.setattr(measuring, "choose_backend", lambda name: backend)
    assert measuring.plan(size=256, network=NetworkConfig(weights="random", backend="cupy")) == 0
    here = capsys.readouterr().out
    assert f"a pretended GPU, {card}.44 GiB free" in " ".join(here.split())
    assert (
        measuring.plan(size=256, gpu_memory=card + 0.5 - RESERVED / 2**30, network=NetworkConfig(weights="random")) == 0
    )
    elsewhere = capsys.readouterr().out
    sides = [re.findall(r"(\d+)² │", text) for text in (here, elsewhere)]
    assert sides[0] == sides[1]
    assert len(sides[0]) == 4


def vectors_held(minimise, n=20000):
    """Return how many vectors of n float32 are alive while the objective is evaluated, at most, `v` left out."""
    held = []

    def f(v):
        held.append(tracemalloc.get_traced_memory()[0] / (4 * n))
        scales = np.float32(1) + np.float32(0.01) * (np.arange(n) % 100).astype(np.float32)
        return 0.5 * float((scales * v * v).sum(dtype=np.float64)), scales * v

    class Objective:
        terms = {"f": 0.0}

        def __call__(self, v):
            return f(v)

    tracemalloc.start()
    try:
        minimise(Objective(), np.linspace(-3, 5, n, dtype=np.float32))
    finally:
        tracemalloc.stop()
    return max(held) - 1


@pytest.mark.parametrize("memory", [3, 10])
def test_the_optimizers_hold_as_many_vectors_as_are_counted(memory):
    config = StyleConfig(lbfgs_history=memory)
    found = vectors_held(lambda f, v: minimize_lbfgs(f, v, 2 * memory, memory))
    assert found == pytest.approx(vectors_on_device(replace(config, optimizer="lbfgs")), abs=0.3)
    found = vectors_held(lambda f, v: minimize_adam(f, v, 10, start=Adam(v * 0, v * 0)))
    assert found == pytest.approx(vectors_on_device(replace(config, optimizer="adam")), abs=0.3)
    found = vectors_held(lambda f, v: minimize_descent(f, v, 10, lambda _: 0.1))
    assert found == pytest.approx(vectors_on_device(replace(config, optimizer="descent")), abs=0.3)


def test_more_than_scipy_can_count_is_refused():
    assert most_memory(1000) > 100
    assert most_memory(3 * 5000**2) >= 10
    assert most_memory(3 * 30000**2) <= 0
    v0 = np.broadcast_to(np.float64(0), (3 * 6000**2,))  # takes no memory
    with pytest.raises(HandstyleError, match="room for 7 pairs, not 10"):
        minimize_lbfgsb(lambda v: (0.0, v), v0, 1)


@WITH_KERNELS
@pytest.mark.parametrize(("precision", "told"), [("float32", "float32; "), ("tf32", "tf32 (float32, products with")])
def test_the_precision_and_the_methods_are_written_down(precision, told):
    network = small_network()
    network = network.with_kernels(CudaEngine(EmulatedDevice(precision, memory=1 << 30)))
    content, style = pictures()
    written = stylize(content, style, network=network, config=CONFIG).metadata["handstyle:precision"]
    assert written.startswith(told)
    assert "products by NumPy; first: conv1_1 forward, conv1_1 adjoint; mec: conv1_2 forward" in written
    plain = stylize(content, style, network=network.with_kernels("auto"), config=CONFIG)
    done = "im2col: conv1_1 forward, conv1_1 adjoint; winograd"  # three channels leave nothing to gain from tiles
    assert plain.metadata["handstyle:precision"].startswith(f"float32; {done}")
    reference = stylize(content, style, network=network.with_kernels("reference"), config=CONFIG)
    assert reference.metadata["handstyle:precision"] == "float32"


@pytest.mark.parametrize("kernels", ["reference", pytest.param("cuda", marks=WITH_KERNELS)])
def test_nothing_holds_what_the_targets_were_measured_with(kernels):
    """On a GPU it is made aside, and what is held when the run begins cannot be given back to it."""
    network = small_network(1 << 30)
    network, seen = network if kernels == "cuda" else network.with_kernels(kernels), []

    class Watched:
        name, report = "watched", ""

        def __init__(self, engine):
            self.engine = engine

        def forward(self, layers, x, taps):
            features, caches = self.engine.forward(layers, x, taps)
            seen.extend([weakref.ref(x), *(weakref.ref(features[tap]) for tap in features)])
            return features, caches

        def backward(self, *arguments):
            return self.engine.backward(*arguments)

    content, style = (np.asarray(p, float) for p in pictures())
    config = replace(CONFIG, style_layers=("relu1_1", "relu2_1"), content_layers=("relu2_2",))
    gc.disable()  # what waits for a collection holds its memory until then
    try:
        terms = build_terms(network.with_kernels(Watched(network.engine)), config, content, [style])
        alive = [made() for made in seen if made() is not None]
    finally:
        gc.enable()
    assert len(seen) >= 5
    kept = next(term.target for term in terms if isinstance(term, ContentTerm))
    assert [made is kept for made in alive] == [True]  # which on a GPU is a copy
