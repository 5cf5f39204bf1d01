"""The convolution by tensor cores, executed on the processor, against true products of factors of ten bits."""

import numpy as np
import pytest
from support.emulated_device import WHY_NOT, EmulatedDevice, KernelError
from support.host_mirror_device import MirroredDevice
from support.kernel_versions import KERNEL_VERSIONS, kernels

from handstyle.foundations.backend import choose_backend, to_numpy
from handstyle.kernels.cuda.device import CupyDevice
from handstyle.kernels.cuda.source import BLOCKS, FOLDER, dynamic_shared_bytes
from handstyle.kernels.cuda.structs import BORDERS, POOL_CODES, Epilogue, Source, mask_words
from handstyle.network.convolution import conv3x3_backward, conv3x3_forward
from handstyle.network.pooling import average_pool_backward, average_pool_forward, max_pool_backward, max_pool_forward

TOLERANCE = 3e-6
emulation = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))


@pytest.fixture(params=[pytest.param("emulated", marks=emulation), pytest.param("gpu", marks=pytest.mark.gpu)])
def device(request):
    if request.param == "emulated":
        return EmulatedDevice()
    return MirroredDevice(CupyDevice(), choose_backend("cupy").asarray, to_numpy)


def draw(*shape, dtype="float32", seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def rounded(a):
    """To ten bits behind the point, the nearest, as float64; of two as near, the farther from zero."""
    bits = np.ascontiguousarray(a, np.float32).view(np.uint32) + np.uint32(1 << 12)
    return (bits & ~np.uint32((1 << 13) - 1)).view(np.float32).astype("float64")


def packed(bits):  # (..., channels) bool -> (..., words) uint32
    padded = np.zeros((*bits.shape[:-1], mask_words(bits.shape[-1]) * 32), bool)
    padded[..., : bits.shape[-1]] = bits
    return np.packbits(padded, axis=-1, bitorder="little").view(np.uint32)


def close(found, expected):
    assert np.linalg.norm(found - expected) <= TOLERANCE * np.linalg.norm(expected)


def convolve(device, kernel, source, w, epilogue, offset=1, adjoint=0):
    C, K = source.C, epilogue.K
    B = device.empty((C // 16, 9, K, 16), "float32")
    device.launch("implicit_kernel", (-(-B.size // 256),), (256,), w, B, C, K, adjoint, dtype="float32")
    down, across, channels, _ = BLOCKS[kernel.removesuffix("_unpool")]
    blocks = -(-epilogue.H // down) * -(-epilogue.W // across) * (K // channels)
    device.launch(kernel, (blocks,), (down * channels // 8,), source, B, offset, epilogue, dtype="float32")


def convolved(device, kernel, source, w, H, W, offset=1, adjoint=0, **asked):
    y = device.empty((H, W, w.shape[2 if adjoint else 3]), "float32")
    convolve(device, kernel, source, w, Epilogue(y=y, H=H, W=W, K=y.shape[2], **asked), offset, adjoint)
    return y


def test_rounding_is_to_the_nearest():
    one, step = np.float32(1), np.float32(2**-10)
    a = np.array([one, one + step / 2, one + step / 2.01, -one - step / 2, 3e-39, np.inf], np.float32)
    assert rounded(a).tolist()[:4] == [1, 1 + 2**-10, 1, -1 - 2**-10]
    assert rounded(a)[5] == np.inf
    x = draw(1000)
    assert (np.abs(rounded(x) - x) <= 2.0**-11 * np.abs(x)).all()


@pytest.mark.parametrize("adjoint", [0, 1])
def test_weights_are_laid_out_for_the_loads(device, adjoint):
    C, K = 32, 64
    w = draw(3, 3, K, C) if adjoint else draw(3, 3, C, K)
    B = device.empty((2, 9, K, 16), "float32")
    device.launch("implicit_kernel", (-(-B.size // 64),), (64,), w, B, C, K, adjoint, dtype="float32")
    turned = w[::-1, ::-1].transpose(0, 1, 3, 2) if adjoint else w
    expected = rounded(turned).reshape(9, 2, 16, K).transpose(1, 0, 3, 2)
    np.testing.assert_array_equal(B, expected)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("padding", BORDERS)
def test_naive_rung(device, padding, dtype):
    x, w, dy = draw(5, 6, 3, dtype=dtype), draw(3, 3, 3, 7, dtype=dtype, seed=1), draw(5, 6, 7, dtype=dtype, seed=2)
    y, dx = device.empty((5, 6, 7), dtype), device.empty((7, 8, 3), dtype)
    device.launch("implicit_naive", (4,), (64,), Source.of(x, padding), w, y, 5, 6, 7, 1, 0, dtype=dtype)
    np.testing.assert_allclose(y, conv3x3_forward(x, w, np.zeros(7, dtype), padding)[0], atol=1e-4)
    device.launch("implicit_naive", (3,), (64,), Source.of(dy), w, dx, 7, 8, 3, 2, 1, dtype=dtype)
    np.testing.assert_allclose(dx, conv3x3_backward(np.pad(dy, ((1, 1), (1, 1), (0, 0))), (w, "zero")), atol=1e-4)


@pytest.mark.parametrize(
    ("kernel", "shape", "channels", "padding"),
    [
        ("implicit_tf32_narrow", (9, 17), (32, 64), "zero"),
        ("implicit_tf32_narrow", (1, 1), (32, 64), "reflect"),
        ("implicit_tf32_narrow", (16, 16), (64, 128), "replicate"),
        ("implicit_tf32_half", (8, 16), (32, 128), "replicate"),
        ("implicit_tf32_half", (9, 17), (64, 128), "reflect"),
        ("implicit_tf32_half", (1, 1), (32, 256), "zero"),
        ("implicit_tf32", (13, 35), (32, 128), "reflect"),
        ("implicit_tf32", (17, 5), (64, 128), "zero"),
        ("implicit_tf32", (2, 33), (32, 128), "replicate"),
    ],
)
def test_forward(device, kernel, shape, channels, padding):
    x, w, b = draw(*shape, channels[0]), draw(3, 3, *channels, seed=1), draw(channels[1], seed=2)
    y = convolved(device, kernel, Source.of(x, padding), w, *shape, bias=b)
    close(y, conv3x3_forward(rounded(x), rounded(w), b.astype("float64"), padding)[0])


@pytest.mark.parametrize(
    ("kernel", "channels"),
    [("implicit_tf32_narrow", (64, 32)), ("implicit_tf32_half", (128, 64)), ("implicit_tf32", (128, 32))],
)
@pytest.mark.parametrize("offset", [1, 2])
def test_adjoint(device, kernel, channels, offset):
    dy, w = draw(7, 18, channels[1]), draw(3, 3, *channels, seed=1)
    border = offset - 1  # the gradient at a map with a border of one pixel
    dx = convolved(device, kernel, Source.of(dy), w, 7 + 2 * border, 18 + 2 * border, offset, adjoint=1)
    wide = np.pad(rounded(dy), ((border, border), (border, border), (0, 0)))
    close(dx, conv3x3_backward(wide, (rounded(w), "zero")))


@pytest.mark.parametrize("kernel", BLOCKS)
@pytest.mark.parametrize("rounding", ["down", "up"])
@pytest.mark.parametrize("kind", ["max", "average"])
def test_a_pool_is_undone_while_it_reads(device, kernel, rounding, kind):
    H, W, C = 11, 19, 64
    K = BLOCKS[kernel][2]
    x, w = draw(H, W, C), draw(3, 3, K, C, seed=1)
    if kind == "max":
        pooled, cache = max_pool_forward(np.maximum(x, 0), rounding)
        choice = cache[0]
        codes = packed(np.stack([choice & 1, choice >> 1, pooled > 0], axis=2).astype(bool))
        backward = max_pool_backward
    else:
        pooled, cache = average_pool_forward(np.maximum(x, 0), rounding)
        codes = packed(x > 0)
        backward = average_pool_backward
    dy = draw(*pooled.shape, seed=2)
    dx = convolved(device, f"{kernel}_unpool", Source.pooled(dy, codes, (H, W, C), kind), w, H + 2, W + 2, 2, adjoint=1)
    seen = np.where(x > 0, backward(rounded(dy), cache), 0)  # a half or a quarter has as many bits
    close(dx, conv3x3_backward(np.pad(seen, ((1, 1), (1, 1), (0, 0))), (rounded(w), "zero")))


@pytest.mark.parametrize("kernel", BLOCKS)
@pytest.mark.parametrize(("kind", "up"), [("max", 1), ("max", 0), ("average", 1)])
def test_what_follows_forward(device, kernel, kind, up):
    H, W, C, K = 9, 19, 32, 128
    x, w, b = draw(H, W, C), draw(3, 3, C, K, seed=1), draw(K, seed=2)
    ph, pw = (H + up) // 2, (W + up) // 2
    y, raw = device.empty((H, W, K), "float32"), device.empty((H, W, K), "float32")
    bits, planes = device.empty((H, W, mask_words(K)), np.uint32), device.empty((ph, pw, 3, mask_words(K)), np.uint32)
    pooled = device.empty((ph, pw, K), "float32")
    planes = planes if kind == "max" else None
    epilogue = Epilogue(bias=b, raw=raw, y=y, bits=bits, pooled=pooled, planes=planes, H=H, W=W, K=K,
                    rectify=1, pool=POOL_CODES[kind], ph=ph, pw=pw)  # fmt: skip
    convolve(device, kernel, Source.of(x), w, epilogue)
    close(raw, conv3x3_forward(rounded(x), rounded(w), b.astype("float64"))[0])
    np.testing.assert_array_equal(y, np.maximum(raw, 0))
    np.testing.assert_array_equal(bits, packed(raw > 0))
    if kind == "max":
        expected, (choice, _) = max_pool_forward(y, "up" if up else "down")
        np.testing.assert_array_equal(pooled, expected)
        kept = np.stack([choice & 1, choice >> 1, expected > 0], axis=2).astype(bool)
        np.testing.assert_array_equal(planes, packed(kept))
    else:
        np.testing.assert_allclose(pooled, average_pool_forward(y, "up")[0], rtol=1e-6)


@pytest.mark.parametrize("kernel", BLOCKS)
@pytest.mark.parametrize(
    "tapped",
    [("relu_gradient",), ("mask",), ("conv_gradient",), ("relu_gradient", "mask", "conv_gradient")],
)
def test_what_follows_backward(device, kernel, tapped):
    H, W, C, K = 5, 18, 32, BLOCKS[kernel][2]
    x, w = draw(H, W, C), draw(3, 3, C, K, seed=1)
    plain = convolved(device, kernel, Source.of(x), w, H, W)
    entering, after, live = draw(H, W, K, seed=2), draw(H, W, K, seed=3), draw(H, W, K, seed=4) > 0
    given = {"relu_gradient": entering, "conv_gradient": after, "mask": packed(live)}
    y = convolved(device, kernel, Source.of(x), w, H, W, **{name: given[name] for name in tapped})
    expected = plain + entering if "relu_gradient" in tapped else plain
    expected = np.where(live, expected, 0) if "mask" in tapped else expected
    np.testing.assert_array_equal(y, expected + after if "conv_gradient" in tapped else expected)


@emulation
@pytest.mark.parametrize("kernel", BLOCKS)
def test_the_order_of_threads_changes_no_bit(kernel):
    x, w = draw(9, 17, 32), draw(3, 3, 32, 128, seed=1)
    dy, codes = draw(5, 9, 32, seed=2), packed(draw(5, 9, 3, 32, seed=3) > 0)
    pooled = Source.pooled(dy, codes, (9, 17, 32), "max")
    for name, source in ((kernel, Source.of(x, "reflect")), (f"{kernel}_unpool", pooled)):
        results = [
            convolved(EmulatedDevice(reversed_order=order), name, source, w, 9, 17, bias=draw(128)).tobytes()
            for order in (False, True)
        ]
        assert results[0] == results[1]


@emulation
@pytest.mark.parametrize(
    ("right", "wrong", "seen"),
    [
        ("            wait<0>();\n", "", "never waited for"),
        ("to_tf32(a.z), to_tf32(b.z)", "a.z, b.z", None),
        ("            wait<0>();\n            __syncthreads();\n", "            wait<0>();\n", None),
    ],
)
def test_what_is_left_out_is_seen(right, wrong, seen):
    def mutate(text):
        assert text.count(right) == 1
        return text.replace(right, wrong)

    x, w = draw(8, 16, 32), draw(3, 3, 32, 64, seed=1)
    expected = conv3x3_forward(rounded(x), rounded(w), np.zeros(64))[0]
    device = EmulatedDevice(mutate=mutate)
    if seen:
        with pytest.raises(KernelError, match=seen):
            convolved(device, "implicit_tf32_narrow", Source.of(x), w, 8, 16)
        return
    y = convolved(device, "implicit_tf32_narrow", Source.of(x), w, 8, 16)
    assert not np.linalg.norm(y - expected) <= TOLERANCE * np.linalg.norm(expected)


def test_a_launch_asks_for_the_shared_memory_of_the_text():
    for kernel, (down, across, channels, asked) in BLOCKS.items():
        patch, weights = (down + 2) * (across + 4) * 16, 3 * channels * 16  # floats of a chunk, of a row of taps
        results = down * across * channels // 2 * 72 // 64  # which take their place at the end
        assert (
            dynamic_shared_bytes(kernel)
            == dynamic_shared_bytes(f"{kernel}_unpool")
            == asked
            == 4 * max(2 * patch + 2 * weights, results)
        )
        assert f"void {kernel}(" in (FOLDER / "implicit.cu").read_text("utf-8")
    assert dynamic_shared_bytes("epilogue") == 0


def test_float64_has_the_naive_rung_alone():
    assert kernels("implicit", "float64") == ("implicit_naive",)
    assert set(kernels("implicit")) == {kernel for _, kernel in KERNEL_VERSIONS["products on tensor cores"]}
