"""The exercises of chapter 11."""

import json

import numpy as np
import pytest

from handstyle.network.convolution import conv3x3_forward

pytestmark = [pytest.mark.exercise, pytest.mark.ch11]


def written(path, arrays, **changes):
    """Write a safetensors file by its specification; `changes` replace parts of the first entry."""
    header, body = {"__metadata__": {"format": "pt"}}, b""
    for k, (name, a) in enumerate(arrays.items()):
        kind = {"float32": "F32", "float16": "F16", "int64": "I64"}[a.dtype.name]
        entry = {"dtype": kind, "shape": a.shape, "data_offsets": [len(body), len(body) + a.nbytes]}
        header[name] = entry | (changes if k == 0 else {})
        body += a.tobytes()
    head = json.dumps(header).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + body)
    return path


def test_read_safetensors_returns_what_was_written(mine, rng, tmp_path):
    w, b = rng.normal(size=(4, 3, 3, 3)).astype("<f4"), rng.normal(size=4).astype("<f2")
    found = mine.read_safetensors(written(tmp_path / "w.safetensors", {"w": w, "b": b}))
    assert set(found) == {"w", "b"}
    assert np.array_equal(found["w"], w)
    assert np.array_equal(found["b"], b.astype("f4"))
    assert found["b"].dtype == np.float32


@pytest.mark.parametrize("changes", [{"data_offsets": [0, 999]}, {"shape": [5]}, {"data_offsets": [-8, 8]}])
def test_read_safetensors_refuses_what_does_not_fit(mine, tmp_path, changes):
    path = written(tmp_path / "w.safetensors", {"w": np.zeros(4, "<f4")}, **changes)
    with pytest.raises(ValueError, match="w"):
        mine.read_safetensors(path)


def test_read_safetensors_refuses_a_header_longer_than_the_file(mine, tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes((10**12).to_bytes(8, "little") + b"{}")
    with pytest.raises(ValueError, match="safetensors"):
        mine.read_safetensors(path)


@pytest.mark.parametrize("change", [lambda w: w, lambda w: w[::-1, ::-1], lambda w: w.swapaxes(0, 1)])
def test_answers_are_the_kernel(mine, rng, change):
    w = rng.normal(size=(3, 3, 3, 4))
    found = mine.answers(lambda x: conv3x3_forward(x, change(w), np.zeros(4))[0], 3)
    assert np.allclose(found, change(w)[:, :, 0])
