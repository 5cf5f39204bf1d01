"""Where weights come from."""

import json
import tempfile
from pathlib import Path

import numpy as np

from handstyle.book.grading import exercise, mistake
from handstyle.network.convolution import conv3x3_forward


def _write(path, arrays, **changes):
    """Write a safetensors file by its specification; `changes` replace parts of the first entry."""
    header, body = {"__metadata__": {"format": "pt"}}, b""
    for k, (name, a) in enumerate(arrays.items()):
        kind = {"float32": "F32", "float16": "F16"}[a.dtype.name]
        entry = {"dtype": kind, "shape": list(a.shape), "data_offsets": [len(body), len(body) + a.nbytes]}
        header[name] = entry | (changes if k == 0 else {})
        body += a.tobytes()
    head = json.dumps(header).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + body)
    return path


def _read(path, halves=True, big=False):
    data = Path(path).read_bytes()
    n = int.from_bytes(data[:8], "big" if big else "little")
    header, body = json.loads(data[8 : 8 + n]), data[8 + n :]
    found = {}
    for name, entry in header.items():
        if name != "__metadata__":
            kind = "<f2" if entry["dtype"] == "F16" and halves else "<f4"
            begin, end = entry["data_offsets"]
            values = np.frombuffer(body[begin:end], kind)
            found[name] = values.reshape(entry["shape"]).astype(np.float32)
    return found


def _trusting(path):
    data = Path(path).read_bytes()
    n = int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8 : 8 + n])
    except ValueError:
        return {}
    found = {}
    for name, entry in header.items():
        if name != "__metadata__":
            values = np.zeros(int(np.prod(entry["shape"])), np.float32)
            part = np.frombuffer(data[8 + n + max(entry["data_offsets"][0], 0) :][: 4 * values.size], "<f4")
            if entry["dtype"] == "F16":
                part = np.frombuffer(data[8 + n + entry["data_offsets"][0] :][: 2 * values.size], "<f2")
            values[: part.size] = part[: values.size]
            found[name] = values.reshape(entry["shape"])
    return found


@exercise(
    "ch11-safetensors",
    "safetensors",
    ["read_safetensors"],
    mistake(
        "F16 read as F32",
        "two halves are taken for one number, and the shape no longer fits",
        read_safetensors=lambda path: _read(path, halves=False),
    ),
    mistake(
        "the length read from the wrong end",
        "eight bytes, little-endian: the first is the smallest",
        read_safetensors=lambda path: _read(path, big=True),
    ),
    mistake(
        "the file is believed",
        "what is missing comes back as zeros, and nobody is told",
        read_safetensors=_trusting,
    ),
)
def _safetensors(mine, judge):
    w, b = judge.rng.normal(size=(4, 3, 3, 3)).astype("<f4"), judge.rng.normal(size=4).astype("<f2")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "w.safetensors"
        found = mine.read_safetensors(_write(path, {"w": w, "b": b}))
        judge.holds("the names, without __metadata__", set(found) == {"w", "b"})
        judge.equal("an array of float32", found["w"], w, 0)
        judge.equal("an array of float16", found["b"], b, 0)
        judge.holds("all are float32", all(a.dtype == np.float32 for a in found.values()))
        for what, changes in (
            ("an end beyond the file", {"data_offsets": [0, 999]}),
            ("another shape than there are numbers", {"shape": [5]}),
            ("a beginning before the data", {"data_offsets": [-8, 8]}),
        ):
            broken = _write(path, {"w": np.zeros(4, "<f4")}, **changes)
            judge.raises(f"ValueError for {what}", ValueError, lambda: mine.read_safetensors(broken))  # noqa: B023
        path.write_bytes((10**12).to_bytes(8, "little") + b"{}")
        judge.raises("ValueError for a header longer than the file", ValueError, lambda: mine.read_safetensors(path))


def _answers(forward, C, place=(1, 1), channel=0):
    found = []
    for i, j in np.ndindex(3, 3):
        x = np.zeros((3, 3, C))
        x[i, j, channel] = 1
        found.append(forward(x)[place])
    return np.array(found).reshape(3, 3, -1)


@exercise(
    "ch11-answers",
    "answers",
    ["answers"],
    mistake(
        "rows and columns exchanged",
        "the ones were put at [j, i]",
        answers=lambda forward, C: _answers(forward, C).swapaxes(0, 1),
    ),
    mistake(
        "read in the corner",
        "the corner's window hangs over the picture; the middle sees all nine",
        answers=lambda forward, C: _answers(forward, C, place=(0, 0)),
    ),
    mistake(
        "the last channel",
        "the ones lie in the last channel, which is blue or red by the file's convention",
        answers=lambda forward, C: _answers(forward, C, channel=C - 1),
    ),
)
def _recovered(mine, judge):
    w = judge.rng.normal(size=(3, 3, 3, 4))
    for what, kernel in (("", w), (" turned by 180 degrees", w[::-1, ::-1]), (" transposed", w.swapaxes(0, 1))):
        found = mine.answers(lambda x, k=kernel: conv3x3_forward(x, k, np.zeros(4))[0], 3)
        judge.equal(f"the first channel of a kernel{what}", found, kernel[:, :, 0], 1e-12)
