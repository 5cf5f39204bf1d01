"""A run by tiles: asked for, where memory demands it, and where memory runs out on the way."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import handstyle
from handstyle.foundations import mapped
from handstyle.foundations.backend import Array, Backend
from handstyle.foundations.errors import HandstyleError, OutOfMemoryError
from handstyle.kernels import tiles
from handstyle.kernels.tiles import TileEvaluation, by_tiles
from handstyle.losses.content import ContentTerm
from handstyle.losses.gram import StyleTerm
from handstyle.network.vgg import Network, build_network, random_weights
from handstyle.optimize.objective import engine_of
from handstyle.painting.config import StyleConfig
from handstyle.painting.memory import RunMemory, dummy_picture
from handstyle.painting.stylize import stylize
from handstyle.painting.targets import Painting, build_terms

LAYERS = {"style_layers": ("relu1_1", "relu2_1", "relu3_1"), "content_layers": ("relu2_2",)}  # halos of 12 pixels
QUICK = {**LAYERS, "size": 150, "iterations": 3, "pyramid_min_size": 60, "optimizer": "adam"}
PHOTOGRAPH, PAINTING = np.random.default_rng(0).uniform(0, 255, (2, 101, 150, 3))
MIB = 1 << 20


@pytest.fixture
def network() -> Network:
    weights = random_weights(widths=(8, 8, 8, 8, 8), deepest="conv3_1")
    return build_network(weights, "average").astype("float64").with_kernels("auto")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "TILE_SIDES", (96, 64, 48))


def test_the_picture_is_the_same(network: Network) -> None:
    whole, tiled = (stylize(PHOTOGRAPH, PAINTING, network=network, **QUICK, tile=tile) for tile in (0, 64))
    assert np.abs(tiled.array - whole.array).max() < 1e-8
    assert not tiled.notes


def test_a_tile_that_is_too_small_is_refused_before_work(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(network.engine), "forward", lambda *_: pytest.fail("work was done"))
    with pytest.raises(
        HandstyleError, match=r"tile=20: relu3_1 needs 12 pixels around what a tile owns; use 28 or more"
    ):
        stylize(PHOTOGRAPH, PAINTING, network=network, **QUICK, tile=20)


def test_targets_are_measured_by_tiles_too(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    mask = np.zeros((101, 150))
    mask[:, 70:] = 1
    paintings = [Painting(PAINTING, mask), Painting(PAINTING[:90, :80], region=1)]
    config = StyleConfig(**LAYERS)
    whole = build_terms(network, config, PHOTOGRAPH, paintings, [mask])
    tiled = by_tiles(network, 64)
    monkeypatch.setattr(mapped, "MAPPED", 1000)
    seen = []
    forward = type(network.engine).run_forward
    monkeypatch.setattr(
        type(network.engine),
        "run_forward",
        lambda self, layers, x, *a: seen.append(x.shape) or forward(self, layers, x, *a),
    )
    for term, expected in zip(build_terms(tiled, config, PHOTOGRAPH, paintings, [mask]), whole, strict=True):
        assert term.name == expected.name
        if isinstance(term, StyleTerm):
            np.testing.assert_allclose(term.target.outer, expected.target.outer, rtol=1e-12)
        if isinstance(term, ContentTerm):
            np.testing.assert_allclose(term.target, expected.target, rtol=1e-10)
            assert isinstance(term.target, np.memmap)
    assert max(max(shape) for shape in seen) <= 64 + 3


def test_a_full_disk_leaves_the_target_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(mapped, "MAPPED", 0)
    monkeypatch.setattr(mapped.os, "posix_fallocate", full)
    assert type(tiles.empty_map((2, 3, 4), np.zeros(1))) is np.ndarray


def run(config: StyleConfig, free: int, network: Network) -> RunMemory:
    return RunMemory(config, network, dummy_picture(640), [dummy_picture(640)], own_memory=False, free=free)


def test_memory_decides(network: Network) -> None:
    config = StyleConfig(**(QUICK | {"size": 640, "pyramid_min_size": 0}))
    whole = run(config, 1 << 40, network).fitted()
    assert whole.network is network
    assert not whole.tiled
    needed = int((whole.need().total - whole.need().weights) / 0.9)
    tiled = run(config, int(0.9 * needed), network).fitted()
    tiled.check()
    assert engine_of(tiled.network).name.startswith("tiles of ")
    assert "640 x 640 px need" in tiled.tiled
    assert "painted by tiles of" in tiled.tiled
    assert "\n" not in tiled.tiled
    assert tiled.need().total < whole.need().total
    asked = StyleConfig(**(vars(config) | {"tile": 96}))
    much, little = (run(asked, free, network).fitted() for free in (1 << 40, 1 << 20))
    assert 1 << 38 < engine_of(much.network).kept_bytes < 1 << 39  # half of what is left
    assert engine_of(little.network).kept_bytes == 0
    with pytest.raises(OutOfMemoryError, match=r"640 x 640 px need .*; size=\d+"):
        run(config, 20 * MIB, network).fitted().check()


def test_a_picture_that_does_not_fit_is_painted_by_tiles(network: Network, small: None, monkeypatch) -> None:
    config = StyleConfig(**QUICK)
    need = RunMemory(config, network, dummy_picture(150), [dummy_picture(150)], own_memory=False, free=0).need()
    monkeypatch.setattr(Backend, "free_memory", lambda self: int((need.total - need.weights) / 0.9) - MIB)
    result = stylize(PHOTOGRAPH.repeat(2, axis=0)[:150], PAINTING, network=network, config=config)
    assert "painted by tiles of" in result.notes[0]
    assert result.stopped.startswith("all ")


def test_vectors_lie_in_files_where_that_is_faster_than_smaller_tiles(
    network: Network, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapped, "MAPPED", 1 << 18)  # of a vector at 150 px
    monkeypatch.setattr(mapped, "PIECE", 1 << 12)
    monkeypatch.setattr("handstyle.painting.memory.PIECE", 1 << 12)
    config = StyleConfig(**(QUICK | {"optimizer": "lbfgs", "pyramid_min_size": 0, "lbfgs_history": 20}))
    photograph = PHOTOGRAPH.repeat(2, axis=0)[:150]
    expected = stylize(photograph, PAINTING, network=network, config=config, tile=96)

    def planned(**changes: int) -> RunMemory:
        return RunMemory(
            config, network, dummy_picture(150), [dummy_picture(150)], own_memory=False, free=1 << 40, **changes
        )

    filed = planned(files=True)
    large, least = (
        replace(one, network=by_tiles(network, side)).need() for one, side in ((filed, 96), (planned(), 48))
    )
    assert large.files > 40 * 8 * 3 * 150 * 150
    assert large.total < least.total
    monkeypatch.setattr(Backend, "free_memory", lambda self: int((large.total - large.weights) / 0.9) + 1000)
    result = stylize(photograph, PAINTING, network=network, config=config)
    assert "painted by tiles of 96 px, the same picture, with files of " in result.notes[0]
    np.testing.assert_array_equal(result.array, expected.array)
    monkeypatch.setattr("handstyle.painting.memory.free_disk", lambda: 0)
    with pytest.raises(OutOfMemoryError, match="150 x 150 px need"):
        stylize(photograph, PAINTING, network=network, config=config)
    assert re.search(r"need \d+ MiB of files in \S+ \(TMPDIR\), \d+ MiB are free", filed.shortage())


def test_the_plan_keeps_the_photographs_features_or_computes_them_again(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = StyleConfig(**(QUICK | {"pyramid_min_size": 0, "tile": 64}))
    photograph = PHOTOGRAPH.repeat(2, axis=0)[:150]
    seen = []
    genuine = tiles.tiled_features

    def watched(*arguments: Any) -> Any:
        found = genuine(*arguments)
        seen.append(type(found["relu2_2"]))
        return found

    monkeypatch.setattr("handstyle.painting.targets.tiled_features", watched)

    def painted() -> tuple[Array, type, list[str]]:
        result = stylize(photograph, PAINTING, network=network, config=config)
        return result.array, seen[-1], result.notes

    kept, where, notes = painted()
    assert where is np.ndarray
    monkeypatch.setattr(mapped, "MAPPED", 1 << 10)
    filed, where, notes = painted()
    assert where is np.memmap
    np.testing.assert_array_equal(filed, kept)
    before = run(config, 1 << 40, network).fitted().needs[-1]
    size = before.files
    assert size == 8 * 75 * 75 * 8  # features at half of 150 px, float64
    with monkeypatch.context() as patch:  # too little room on the disk
        patch.setattr("handstyle.painting.memory.free_disk", lambda: size - 1)
        after = run(config, 1 << 40, network).fitted().needs[-1]
        assert (after.files, after.seconds > before.seconds) == (0, True)
        patch.setattr("handstyle.painting.memory.free_disk", lambda: 0)
        again, where, notes = painted()
    assert where is tiles.Photograph
    assert np.abs(again - kept).max() < 1e-8
    assert "of files in" in notes[0]
    assert "the photograph's features computed again for each tile" in notes[0]
    monkeypatch.setattr(tiles, "DISK_RATE", 1.0)  # a disk that takes longer than another forward pass
    again, where, notes = painted()
    assert where is tiles.Photograph
    assert not notes


@pytest.mark.parametrize("at", [1, 5, 6])  # the first evaluation of all, one of the second scale, its last
@pytest.mark.parametrize("optimizer", ["adam", "lbfgsb"])
def test_memory_that_runs_out_costs_no_iteration(
    at: int, optimizer: str, network: Network, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = StyleConfig(**(QUICK | {"optimizer": optimizer, "pyramid_min_size": 75}))
    host, call, count = TileEvaluation.host, TileEvaluation.__call__, [0]

    def failing(genuine):
        def evaluate(self: TileEvaluation, p: Array) -> tuple[Array, Array]:
            count[0] += 1
            if count[0] == at:
                raise MemoryError("Unable to allocate 1 GiB")
            return genuine(self, p)

        return evaluate

    monkeypatch.setattr(TileEvaluation, "host", failing(host))
    monkeypatch.setattr(TileEvaluation, "__call__", failing(call))
    seen = []
    monkeypatch.setattr(tiles, "TILE_SIDES", (96, 64, 48))
    result = stylize(
        PHOTOGRAPH,
        PAINTING,
        network=network,
        config=handstyle.StyleConfig(**(vars(config) | {"tile": 70})),
        callback=lambda progress: seen.append(progress.iteration),
    )
    assert count[0] >= at
    assert len(result.trace) == 6
    assert seen == sorted(set(seen))
    assert not result.failed
    assert result.stopped == "all 6 iterations done at 2 scales"
    assert any("memory ran out at" in note and "tiles of 64 px" in note for note in result.notes)
