"""Arrays in temporary files: what lies in one, what is computed in pieces, what a full disk says."""

import numpy as np
import pytest

from handstyle.foundations import mapped
from handstyle.foundations.errors import OutOfMemoryError
from handstyle.foundations.mapped import assemble, copy_array, is_mapped, split_pieces, zeros_for


def test_zeros_lie_where_their_model_lies() -> None:
    in_file = mapped.mapped_zeros((3, 4), np.float32)
    assert in_file.dtype == np.float32
    assert not in_file.any()
    for like in (in_file, in_file[1], in_file.reshape(2, 6)):
        assert is_mapped(like)
        assert is_mapped(zeros_for(like))
        assert zeros_for(like, (7,)).shape == (7,)
    for like in (np.zeros(3), in_file + 1, np.zeros_like(in_file)):
        assert not is_mapped(like)
        assert not is_mapped(zeros_for(like))
    assert is_mapped(copy_array(in_file[0]))
    assert not is_mapped(copy_array(np.zeros(3)))


def test_a_copy_is_another_array() -> None:
    a = mapped.mapped_zeros((5,), np.float64)
    b = copy_array(a)
    a[:] = 1
    assert not b.any()


@pytest.mark.parametrize("where", ["memory", "file"])
def test_pieces_put_together_are_the_whole(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped, "PIECE", 4)
    v = np.arange(10.0) if where == "memory" else mapped.mapped_zeros((10,), np.float64)
    v[:] = np.arange(10)
    seen = []

    def doubled(piece: slice) -> np.ndarray:
        seen.append(piece)
        return 2 * v[piece]

    made = assemble(v, doubled)
    np.testing.assert_array_equal(made, 2 * np.arange(10))
    assert is_mapped(made) == (where == "file")
    assert seen == list(split_pieces(v)) == [slice(0, 4), slice(4, 8), slice(8, 12)]


def test_a_full_disk_says_so_before_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(mapped.os, "posix_fallocate", full)
    monkeypatch.setenv("TMPDIR", "/tmp")
    with pytest.raises(OutOfMemoryError, match=r"no room for 1\.0 GiB in /tmp: No space left on device; TMPDIR names"):
        mapped.mapped_zeros((1 << 28,), np.float32)
