"""The counts by which a GPU's convolutions are chosen, against the engine's own requests and against arithmetic."""

import numpy as np
import pytest

from handstyle.foundations.errors import HandstyleError
from handstyle.kernels.cuda.choose import METHODS_OF, Rates, choose_method, method_work
from handstyle.kernels.cuda.convolution import Convolver
from handstyle.kernels.cuda.dry_device import DryDevice
from handstyle.kernels.cuda.structs import Epilogue, Source


class Counting(DryDevice):
    """Counts what products are asked for, and every kernel."""

    def __init__(self):
        super().__init__()
        self.products = self.kernels = 0
        self.depths = set()

    def launch(self, *_, **__):
        self.kernels += 1

    def gemm(self, a, b, out, beta=0.0, true=False):
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
    epilogue = Epilogue(y=y, H=H, W=W, K=outer)
    Convolver(device, "float32", workspace).convolve(method, Source.of(x), w, epilogue, 1, adjoint)
    count = method_work(method, (H, W, inner, outer), workspace)
    assert device.products == pytest.approx(count.products, rel=0.03)
    assert device.kernels == pytest.approx(count.kernels, rel=0.2, abs=2)
    assert device.depths == {count.depth}


def chosen(side, precision, **options):
    shapes = ((0, 64), (1, 128), (2, 256), (3, 512), (4, 512))
    return [choose_method((side >> n, side >> n, C, C), precision, 1 << 26, **options) for n, C in shapes]


def test_what_is_chosen_depends_on_the_shape():
    assert chosen(1024, "float32") == ["winograd4"] * 5  # a quarter of the arithmetic
    assert chosen(256, "float32")[-1] == "winograd2"  # a map of 16 x 16, where half of F(4x4)'s work is its kernel
    assert chosen(1024, "tf32", tensor=True) == [*["tensor"] * 3, *["winograd2"] * 2]  # channels pay for transforms
    assert "tensor" not in chosen(1024, "tf32")  # where it does not fit
    assert "winograd4" not in chosen(1024, "tf32")  # whose error is too large
    assert choose_method((256, 256, 512, 512), "tf32", 1 << 30, rates=Rates(stacks=1e12)) == "residue"
    assert choose_method((256, 256, 512, 512), "tf32", 1 << 30, plain=False, rates=Rates(stacks=1e12)) != "residue"
    assert choose_method((256, 256, 512, 512), "tf32", 1 << 28, rates=Rates(stacks=1e12)) != "residue"  # takes more
    narrow = Rates(moved=0.2e12, read=0.2e12)  # where bytes are dear, what moves least
    assert choose_method((1024, 1024, 64, 64), "tf32", 1 << 28, rates=narrow) == "mec"


def test_our_own_kernel_wants_many_blocks():
    work = [method_work("tensor", (n, n, 512, 512), 1 << 26) for n in (16, 64)]
    assert [w.blocks for w in work] == [8, 128]
    few, many = (w.products / w.seconds(Rates(launch=0), "tf32") for w in work)
    assert few < many / 10
    assert many < Rates().tensor


def test_no_way_is_counted_that_is_not_there():
    with pytest.raises(ValueError, match="no count for fft"):
        method_work("fft", (8, 8, 4, 4), 1 << 20)


@pytest.mark.parametrize(
    ("method", "C", "offset", "message"),
    [
        ("first", 4, 1, "three channels"),
        ("first", 3, 2, "a border"),
        ("tensor", 8, 1, "16 n"),
        ("residue", 8, 2, "a border"),
    ],
)
def test_a_method_refuses_what_it_cannot_compute(method, C, offset, message):
    x, w = np.zeros((8, 8, C), np.float32), np.zeros((3, 3, C, 64), np.float32)
    epilogue = Epilogue(y=np.zeros((8, 8, 64), np.float32), H=8, W=8, K=64)
    with pytest.raises(HandstyleError, match=f"{method}: .*{message}"):
        Convolver(DryDevice(), "float32").convolve(method, Source.of(x), w, epilogue, offset, adjoint=False)
