"""As a new user goes: paint, be told of the full network, get it over a bad line, look at it, paint with it."""

import hashlib

import numpy as np
import pytest
from PIL import Image
from support.faulty_server import Server
from support.published_formats import slim, write_keras_h5

from handstyle.cli import app
from handstyle.network.weights import read_weights
from weights_tools.registry import ENTRIES, Entry

pytest.importorskip("requests")


def run(*words):
    return app([*map(str, words)], result_action="return_value", exit_on_error=False, print_error=False)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serves what stands for VGG-19, and is where the registry says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HANDSTYLE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("weights_tools.download.PAUSE", 0)
    weights = slim(widths=(8, 8, 8, 8, 8))
    layers = {name: (w, 1e-4 * b) for name, (w, b) in weights.layers.items()}  # the biases of one trained on 0 to 255
    weights.layers.update(layers)
    write_keras_h5(tmp_path / "published.h5", weights)
    started = Server((tmp_path / "published.h5").read_bytes())
    digest = "md5:" + hashlib.md5(started.data).hexdigest()
    monkeypatch.setitem(ENTRIES, "vgg19", Entry("vgg19", "VGG-19", "caffe", "CC BY 4.0", (started.url,), digest))
    yield started
    started.close()


def test_from_the_network_that_ships_to_the_full_one(server, capsys, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("photograph", "painting"):
        Image.fromarray(rng.integers(0, 255, (64, 72, 3), np.uint8)).save(f"{name}.png")
    paint = "stylize", "photograph.png", "painting.png", "--size", 72, "--iterations", 1, "-o"

    assert run(*paint, "small.png") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "network vgg19-slim" in said
    assert "handstyle weights get vgg19, then --weights vgg19" in said

    server.mark, server.faults = ("ETag", '"1"'), ["cut"]
    assert run("weights", "get", "vgg19") == 0
    said = capsys.readouterr().out
    assert "0 failed" in said
    assert said.endswith("use it: --weights vgg19\n")
    assert server.requests == 2

    assert run("weights", "verify", "vgg19") == 0
    assert f"its own account of its source: slim.h5, vgg19 ({ENTRIES['vgg19'].digest}" in capsys.readouterr().out
    assert run("weights", "card", "vgg19") == 0
    assert "slim.h5" in capsys.readouterr().out
    installed = read_weights(tmp_path / "cache" / "vgg19.h5")
    assert installed.provenance["published"] == f"vgg19 ({ENTRIES['vgg19'].digest}, as published)"

    assert run(*paint, "full.png", "--weights", "vgg19") == 0
    said = capsys.readouterr().out
    assert "network vgg19," in said
    assert run(*paint, "again.png") == 0
    assert "--weights vgg19" not in capsys.readouterr().out, "said until it is there"
    small, full = (np.asarray(Image.open(f"{name}.png")) for name in ("small", "full"))
    assert small.shape == full.shape == (64, 72, 3)
    assert not np.array_equal(small, full)
