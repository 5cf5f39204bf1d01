"""Tiles on worker processes: the same bits, workers that are killed, workers that are refused."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("distributed", reason="Dask is not installed: pip install distributed")

from handstyle.cli import app
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.picture_writing import write_picture
from handstyle.kernels import cluster as module
from handstyle.kernels.cluster import Cluster, connect_cluster, weights_digest
from handstyle.kernels.tiles import by_tiles, tiled_features
from handstyle.losses.content import ContentTerm
from handstyle.losses.distribution import DistributionTerm
from handstyle.losses.gram import StyleTerm, gram_loss, moments_forward
from handstyle.losses.normalized import NormalizedTerm
from handstyle.losses.terms import Term
from handstyle.losses.total_variation import VariationTerm
from handstyle.network.vgg import Network, build_network, random_weights
from handstyle.optimize.objective import Objective, forward_to

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow]
SHAPE = (131, 97, 3)
TILE = 48  # with halos of 12, so ten tiles


@pytest.fixture(scope="module")
def network() -> Network:
    return build_network(random_weights(widths=(8, 8, 12, 8, 8), deepest="conv3_1")).with_kernels("auto")


@pytest.fixture(scope="module")
def terms(network: Network) -> list[Term]:
    features, _ = forward_to(
        network, ["relu1_1", "relu3_1"], np.random.default_rng(1).uniform(0, 255, SHAPE).astype("f")
    )
    target = moments_forward(features["relu3_1"])
    mask = np.random.default_rng(2).uniform(0, 1, (*features["relu1_1"].shape[:2], 1)).astype("f")
    return [
        StyleTerm("relu1_1", moments_forward(features["relu1_1"]), mask=mask),
        DistributionTerm("relu3_1", ((1.0, lambda moments: gram_loss(moments, target)),)),  # no name to be sent by
        NormalizedTerm(ContentTerm("relu3_1", features["relu3_1"][::-1].copy()), 2.0),
        VariationTerm(1e-3),
    ]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with connect_cluster("local:2") as found:
        yield found


def evaluated(network: Network, terms: list[Term], seed: int = 0) -> tuple[float, Any]:
    return Objective(network, terms, SHAPE)(np.random.default_rng(seed).uniform(0, 255, SHAPE).ravel())


def test_the_same_bits_as_without(network: Network, terms: list[Term], cluster: Cluster) -> None:
    value, gradient = evaluated(by_tiles(network, TILE), terms)
    cluster.sent = cluster.received = 0
    found, dp = evaluated(cluster.network(network, TILE), terms)
    assert found == value
    np.testing.assert_array_equal(dp, gradient)
    crops = sum(
        4 * 3 * (t.rows.stop - t.rows.start) * (t.columns.stop - t.columns.start)
        for t in cluster.network(network, TILE).engine.tiling(network, terms, SHAPE).tiles  # type: ignore[attr-defined]
    )
    assert cluster.sent == 3 * crops  # statistics, magnitudes, gradients
    assert cluster.received == crops


def test_features_computed_again_have_the_same_bits_as_without(network: Network, cluster: Cluster) -> None:
    photograph, tiled = np.random.default_rng(5).uniform(0, 255, SHAPE), by_tiles(network, TILE, recompute=True)
    features = tiled_features(tiled, photograph, ["relu2_1"])
    assert features is not None
    term = ContentTerm("relu2_1", features["relu2_1"])
    value, gradient = evaluated(tiled, [term])
    found, dp = evaluated(cluster.network(network, TILE), [term])
    assert found == value > 0
    np.testing.assert_array_equal(dp, gradient)


def profiled() -> Any:
    import dask

    return dask.config.get("distributed.worker.profile.enabled")


def test_workers_of_this_machine_spend_no_time_on_dasks_statistics(cluster: Cluster) -> None:
    assert set(cluster.client.run(profiled).values()) == {False}


def test_workers_that_are_killed_cost_a_retry(network: Network, terms: list[Term], cluster: Cluster) -> None:
    tiled = cluster.network(network, TILE)
    objective = Objective(tiled, terms, SHAPE)
    v = np.random.default_rng(3).uniform(0, 255, SHAPE).ravel()
    expected = Objective(by_tiles(network, TILE), terms, SHAPE)(v)
    killed, over = [], threading.Event()

    def kill() -> None:
        while len(killed) < 3 and not over.wait(0.3):
            for address, pid in cluster.client.run(os.getpid, on_error="ignore").items():
                os.kill(pid, signal.SIGKILL)
                killed.append(address)
                break
            time.sleep(1.5)  # until the nanny has started another

    killer = threading.Thread(target=kill)
    killer.start()
    deadline = time.monotonic() + 120
    while len(killed) < 3 and time.monotonic() < deadline:
        value, gradient = objective(v)
        assert value == expected[0]
        np.testing.assert_array_equal(gradient, expected[1])
    over.set()
    killer.join()
    assert len(killed) == 3
    assert objective(v)[0] == expected[0]


@pytest.mark.parametrize(
    ("name", "told", "words"),
    [
        ("version", "0.0.1", r"the worker tcp://\S+ has handstyle \S+, not 0\.0\.1"),
        ("weights_digest", "0", r"the worker tcp://\S+ has other weights"),
    ],
)
def test_a_worker_that_would_compute_something_else_is_refused(
    name: str, told: str, words: str, network: Network, terms: list[Term], cluster: Cluster, monkeypatch: Any
) -> None:
    monkeypatch.setattr(module, name, lambda *_: told)  # here, not in the workers
    with pytest.raises(HandstyleError, match=words):
        evaluated(cluster.network(network, TILE), terms)


def test_the_command_line_paints_the_same_picture(tmp_path: Any, capsys: Any) -> None:
    for name in ("content.png", "style.png"):
        write_picture(tmp_path / name, np.random.default_rng(0).uniform(0, 255, (120, 100, 3)))
    words = ["stylize", f"{tmp_path}/content.png", f"{tmp_path}/style.png", "--weights", "random", "--size", "120"]
    words += ["--iterations", "2", "--style-layers", "relu1_1,relu2_1", "--content-layers", "relu2_2", "--tile", "40"]
    words += ["--pyramid-min-size", "0", "--no-checkpoint"]
    for name, more in (("alone", []), ("two", ["--cluster", "local:2"])):
        assert app([*words, "-o", f"{tmp_path}/{name}.png", *more], result_action="return_value") == 0
    alone, two = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("alone", "two"))
    np.testing.assert_array_equal(alone, two)
    assert "cluster: 2 workers, dashboard http://" in capsys.readouterr().out


def test_the_digest_sees_every_weight(network: Network) -> None:
    first, *rest = network.layers
    b = first.b.copy()  # type: ignore[union-attr]
    b[-1] += 1
    assert weights_digest((replace(first, b=b), *rest)) != weights_digest(network.layers)  # type: ignore[arg-type]


@pytest.mark.parametrize("address", ["local:0", "local:x", "http://here", "2"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(HandstyleError, match=f"cluster='{address}': use local:N"), connect_cluster(address):
        pass


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch: Any) -> None:
    import distributed

    def silent(*_: object, **__: object) -> None:
        raise OSError("Timed out")

    monkeypatch.setattr(distributed, "Client", silent)
    with pytest.raises(HandstyleError, match=r"cluster='tcp://127.0.0.1:1': no scheduler answers: Timed out"):
        connect_cluster("tcp://127.0.0.1:1").__enter__()


def test_without_dask_the_command_that_gets_it_is_named(monkeypatch: Any) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(module, "import_module", missing)
    with pytest.raises(HandstyleError, match=r"pip install distributed"):
        connect_cluster("local:1").__enter__()
