"""The counts by which a GPU's convolutions are chosen, against the engine's own requests and against arithmetic."""

import numpy as np
import pytest

from handstyle.kernels.cuda_arguments import Finish, Source
from handstyle.kernels.cuda_convolution import Convolver
from handstyle.kernels.cuda_cost import METHODS_OF, Rates, choose_method, method_work
from handstyle.kernels.cuda_memory import DryDevice


class Counting(DryDevice):
    """Counts what products are asked for, and every kernel."""

    def __init__(self):
        super().__init__()
        self.products = self.kernels = 0
        self.depths = set()

    def launch(self, *_, **__):
        self.kernels += 1

    def gemm(self, a, b, out, beta=0.0):
        self.kernels += 1
        self.depths.add(a.shape[-1])
        self.products += 2 * out.size * a.shape[-1]


@pytest.mark.parametrize("workspace", [1 << 18, 1 << 28])
@pytest.mark.parametrize("adjoint", [False, True])
@pytest.mark.parametrize("method", METHODS_OF["float32"])
def test_the_count_is_what_is_asked_for(method, adjoint, workspace):
    H, W, C, K = 96, 64, 8, 24
    device = Counting()
    inner, outer = (K, C) if adjoint else (C, K)
    x, y, w = np.zeros((H, W, inner), "f4"), np.zeros((H, W, outer), "f4"), np.zeros((3, 3, C, K), "f4")
    finish = Finish(y=y, H=H, W=W, K=outer)
    Convolver(device, "float32", workspace).convolve(method, Source.of(x), w, finish, 1, adjoint)
    count = method_work(method, H, W, inner, outer, workspace)
    assert device.products == pytest.approx(count.products, rel=0.03)
    assert device.kernels == pytest.approx(count.kernels, rel=0.2, abs=2)
    assert device.depths == {count.depth}


def test_what_is_chosen_depends_on_the_shape():
    side = {n: [choose_method(n >> level, n >> level, C, C, "float32", 1 << 28) for level, C in
                ((0, 64), (1, 128), (2, 256), (3, 512), (4, 512))] for n in (64, 256, 1024)}  # fmt: skip
    assert side[1024] == ["winograd4"] * 5  # a quarter of the arithmetic
    assert side[64] == ["mec"] * 5  # so little that the kernel's transform would be most of it
    assert side[256][-1] == "winograd2"  # between the two
    assert {choose_method(n, n, 256, 256, "tf32", 1 << 28) for n in (16, 128, 1024)} == {"mec"}
    assert choose_method(128, 128, 512, 512, "tf32", 1 << 30) == "mec"
    assert choose_method(256, 256, 512, 512, "tf32", 1 << 30) == "residue"  # nothing is lowered, and L2 is too small
    assert choose_method(256, 256, 512, 512, "tf32", 1 << 30, plain=False) != "residue"
    assert choose_method(256, 256, 512, 512, "tf32", 1 << 28) != "residue"  # it takes more than that
    narrow = Rates(moved=0.2e12)  # where bytes are dear, what moves least
    assert choose_method(1024, 1024, 64, 64, "tf32", 1 << 28, rates=narrow) == "mec"


def test_no_way_is_counted_that_is_not_there():
    with pytest.raises(ValueError, match="no count for fft"):
        method_work("fft", 8, 8, 4, 4, 1 << 20)
