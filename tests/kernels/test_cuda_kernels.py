"""Every CUDA kernel, from the first rung of its ladder on, executed on the processor against the readable functions."""

import ctypes

import numpy as np
import pytest
from support.emulated_device import WHY_NOT, EmulatedDevice, KernelError, build, fake_cublas
from support.host_mirror_device import MirroredDevice
from support.kernel_versions import KERNEL_VERSIONS, signature

from handstyle.foundations.backend import choose_backend, to_numpy
from handstyle.foundations.gradcheck import check_adjoint
from handstyle.kernels.cuda.convolution import Convolver
from handstyle.kernels.cuda.cublas import COMPUTE_32F, COMPUTE_32F_FAST_TF32, COMPUTE_64F, gemm_strided
from handstyle.kernels.cuda.device import CupyDevice
from handstyle.kernels.cuda.source import files
from handstyle.kernels.cuda.structs import BORDERS, POOL_CODES, Epilogue, Source, mask_words
from handstyle.kernels.winograd_matrices import transforms
from handstyle.losses.content import content_backward, content_forward
from handstyle.losses.gram import Moments, gram_loss
from handstyle.losses.total_variation import total_variation
from handstyle.network.convolution import conv3x3_backward, conv3x3_forward
from handstyle.network.padding import pad_backward, pad_forward
from handstyle.network.pooling import average_pool_backward, average_pool_forward, max_pool_backward, max_pool_forward

DTYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])
TOLERANCE = {"float64": 1e-13, "float32": 3e-6}


emulation = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))


@pytest.fixture(
    params=[
        pytest.param("emulated", marks=emulation),
        pytest.param("mirrored", marks=emulation),  # what the GPU's tests add, shown to change nothing
        pytest.param("gpu", marks=pytest.mark.gpu),
    ]
)
def device(request):
    if request.param == "emulated":
        return EmulatedDevice()
    if request.param == "gpu":
        return MirroredDevice(CupyDevice(), choose_backend("cupy").asarray, to_numpy)
    behind = EmulatedDevice()

    def over(host):
        there = behind.empty(host.shape, host.dtype)
        there[...] = host
        return there

    return MirroredDevice(behind, over, np.copy)


def draw(*shape, dtype="float64", seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def run(device, kernel, size, *arguments, dtype="float64", tile=4):
    device.launch(kernel, (-(-size // 64),), (64,), *arguments, dtype=dtype, tile=tile)


def lanes(device, kernel, groups, channels, *arguments, dtype="float64", tile=4):
    device.launch(kernel, (-(-groups // 8), mask_words(channels)), (32, 8), *arguments, dtype=dtype, tile=tile)


def unpack(bits, channels):  # (..., words) uint32 -> (..., channels) bool
    planes = (bits[..., None] >> np.arange(32, dtype=np.uint32)) & 1
    return planes.reshape(*bits.shape[:-1], -1)[..., :channels].astype(bool)


def close(found, expected, dtype="float64"):
    assert found.dtype == expected.dtype == np.dtype(dtype)
    assert np.linalg.norm(found - expected) <= TOLERANCE[dtype] * np.linalg.norm(expected)


def test_every_kernel_is_listed_with_its_parameters():
    assert set(files().values()) == {
        "epilogue", "first", "implicit", "losses", "lower", "pooling", "variation", "winograd",
    }  # fmt: skip
    assert signature("winograd_output") == ("const REAL*", "int", "int", "int", "Epilogue")
    assert signature("implicit_tf32") == ("Source", "const REAL*", "int", "Epilogue")


def test_every_kernel_is_a_rung_of_a_ladder_and_every_ladder_begins_naively():
    assert {kernel for rungs in KERNEL_VERSIONS.values() for _, kernel in rungs} == set(files())
    for rungs in KERNEL_VERSIONS.values():
        assert rungs[0][0] == "naive"
        assert len(rungs) > 1


@pytest.mark.parametrize("tile", [2, 4])
@pytest.mark.parametrize("kernel", ["winograd_input_naive", "winograd_input", "winograd_input_tiled"])
@DTYPES
def test_winograd_input_ladder(device, tile, kernel, dtype):
    x = draw(11, 19, 35, dtype=dtype)
    n, C = tile + 2, 35
    down, across = -(-11 // tile), -(-19 // tile)
    first, count = across, (down - 1) * across  # all rows of tiles but the first
    V = device.empty((n * n, count, C), dtype)
    arguments = (Source.of(x, "reflect"), V, first, count, across, 1)
    if kernel.endswith("naive"):
        run(device, kernel, V.size, *arguments, dtype=dtype, tile=tile)
    elif kernel.endswith("tiled"):
        grid = (down - 1) * -(-across // 4), 2
        device.launch(kernel, grid, (32, 4), *arguments, dtype=dtype, tile=tile)
    else:
        device.launch(kernel, (-(-count // 8), 2), (32, 8), *arguments, dtype=dtype, tile=tile)
    BT = transforms(tile).BT
    padded = np.zeros((down * tile + 2, across * tile + 2, C))
    padded[:13, :21] = pad_forward(x, "reflect")[0]
    for t in range(count):
        top, left = (first + t) // across * tile, (first + t) % across * tile
        expected = np.einsum("ai,ijc,bj->abc", BT, padded[top : top + n, left : left + n], BT).reshape(n * n, C)
        assert np.abs(V[:, t] - expected).max() <= 20 * TOLERANCE[dtype] * np.abs(expected).max()


@pytest.mark.parametrize("tile", [2, 4])
@pytest.mark.parametrize("kernel", ["winograd_kernel_naive", "winograd_kernel"])
def test_winograd_kernels_are_transformed_and_turned(device, kernel, tile):
    w, n = draw(3, 3, 5, 7), tile + 2
    G = transforms(tile).G
    for adjoint in (0, 1):
        U = device.empty((n * n, 5, 7), "float64")
        run(device, kernel, U.size if kernel.endswith("naive") else 35, w, U, 5, 7, adjoint, tile=tile)
        turned = w[::-1, ::-1] if adjoint else w
        close(U, np.einsum("ai,ijck,bj->abck", G, turned, G).reshape(n * n, 5, 7))


@pytest.mark.parametrize("tile", [2, 4])
def test_winograd_output(device, tile):
    n, K, H, W = tile + 2, 33, 7, 9
    down, across = -(-H // tile), -(-W // tile)
    M, bias = draw(n * n, down * across, K), draw(K)
    y, naive = device.empty((H, W, K), "float64"), device.empty((H, W, K), "float64")
    size = down * across * tile * tile * K
    run(device, "winograd_output_naive", size, M, naive, 0, down * across, across, H, W, K, tile=tile)
    epilogue = Epilogue(bias=bias, y=y, H=H, W=W, K=K)
    device.launch("winograd_output", (-(-down * across // 8), 2), (32, 8), M, 0, down * across, across, epilogue,
                  dtype="float64", tile=tile)  # fmt: skip
    AT = transforms(tile).AT
    tiles = np.einsum("ai,ijtk,bj->tabk", AT, M.reshape(n, n, -1, K), AT).reshape(down, across, tile, tile, K)
    expected = tiles.transpose(0, 2, 1, 3, 4).reshape(down * tile, across * tile, K)[:H, :W]
    close(naive, expected)
    close(y, expected + bias)


@pytest.mark.parametrize("padding", BORDERS)
@pytest.mark.parametrize("kernel", ["im2col_naive", "im2col_coalesced", "im2col"])
def test_im2col_ladder(device, padding, kernel):
    x = draw(6, 5, 33)
    A = device.empty((4 * 5, 9 * 33), "float64")
    arguments = Source.of(x, padding), A, 2, 4, 5, 1
    if kernel == "im2col":
        lanes(device, kernel, 20, 33, *arguments)
    else:
        run(device, kernel, A.size if kernel == "im2col_coalesced" else 20, *arguments)
    padded = pad_forward(x, padding)[0]
    expected = [padded[h : h + 3, w : w + 3].ravel() for h in range(2, 6) for w in range(5)]
    np.testing.assert_array_equal(A, expected)


def test_mec_holds_each_row_of_inputs_once(device):
    x = draw(6, 5, 33)
    L = device.empty((5, 4, 99), "float64")
    lanes(device, "mec", 20, 33, Source.of(x), L, 3, 2, 5, 1)
    padded = pad_forward(x)[0]
    np.testing.assert_array_equal(L, [[padded[3 + r, w : w + 3].ravel() for r in range(4)] for w in range(5)])


@DTYPES
@pytest.mark.parametrize("padding", BORDERS)
@pytest.mark.parametrize("shape", [(5, 6), (1, 1), (7, 130)])
def test_first_layer_ladder(device, dtype, padding, shape):
    x, w, b = draw(*shape, 3, dtype=dtype), draw(3, 3, 3, 34, dtype=dtype, seed=1), draw(34, dtype=dtype, seed=2)
    expected, cache = conv3x3_forward(x, w, b, padding)
    naive, y = device.empty(expected.shape, dtype), device.empty(expected.shape, dtype)
    run(device, "first_forward_naive", y.size, Source.of(x, padding), w, b, naive, 34, dtype=dtype)
    close(naive, expected, dtype)
    convolver = Convolver(device, dtype, workspace=1)
    epilogue = Epilogue(bias=b, y=y, H=shape[0], W=shape[1], K=34)
    convolver.convolve("first", Source.of(x, padding), w, epilogue, 1, adjoint=False)
    close(y, expected, dtype)
    if padding == "zero":
        dy = draw(*expected.shape, dtype=dtype, seed=3)
        expected = conv3x3_backward(dy, cache)
        naive, dx = device.empty(x.shape, dtype), device.empty(x.shape, dtype)
        run(device, "first_backward_naive", x.size, Source.of(dy), w, naive, dtype=dtype)
        close(naive, expected, dtype)
        epilogue = Epilogue(y=dx, H=shape[0], W=shape[1], K=3)
        convolver.convolve("first", Source.of(dy), w, epilogue, 1, adjoint=True)
        close(dx, expected, dtype)


@pytest.mark.parametrize("padding", BORDERS)
@pytest.mark.parametrize("shape", [(5, 6), (1, 1), (1, 4), (2, 2)])
def test_padding_and_its_adjoint(device, padding, shape):
    x, dxpad = draw(*shape, 3), draw(shape[0] + 2, shape[1] + 2, 3)
    xpad, dx = device.empty(dxpad.shape, "float64"), device.empty(x.shape, "float64")
    lanes(device, "pad", (shape[0] + 2) * (shape[1] + 2), 3, Source.of(x, padding), xpad)
    np.testing.assert_array_equal(xpad, pad_forward(x, padding)[0])
    naive = device.empty(dxpad.shape, "float64")
    run(device, "pad_naive", (shape[0] + 2) * (shape[1] + 2), Source.of(x, padding), naive)
    np.testing.assert_array_equal(naive, xpad)
    naive = device.empty(x.shape, "float64")
    run(device, "fold_naive", shape[0] * shape[1], dxpad, naive, BORDERS[padding], *shape, 3)
    np.testing.assert_allclose(naive, pad_backward(dxpad, padding), rtol=1e-14, atol=1e-14)
    Convolver(device, "float64").fold(dxpad, padding, Epilogue(y=dx, H=shape[0], W=shape[1], K=3))
    np.testing.assert_allclose(dx, pad_backward(dxpad, padding), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("channels", [1, 31, 32, 33, 70])
def test_rectifier_ladder(device, channels):
    x, bias = draw(5, 6, channels), draw(channels)
    x[0, 0] = -bias  # a rectifier at its kink lets nothing through
    expected = np.maximum(x + bias, 0)
    naive, positive = device.empty(x.shape, "float64"), device.empty(x.shape, np.uint8)
    naive[...] = x
    run(device, "rectify_naive", x.size, naive, bias, positive, channels, np.uint64(x.size))
    np.testing.assert_array_equal(naive, expected)
    y, raw = device.empty(x.shape, "float64"), device.empty(x.shape, "float64")
    bits = device.empty((5, 6, mask_words(channels)), np.uint32)
    epilogue = Epilogue(bias=bias, raw=raw, y=y, bits=bits, H=5, W=6, K=channels, rectify=1)
    Convolver(device, "float64").epilogue(Source.of(x), epilogue)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(raw, x + bias)
    np.testing.assert_array_equal(unpack(bits, channels), x + bias > 0)
    np.testing.assert_array_equal(positive.astype(bool), x + bias > 0)
    # Backward: what enters at the rectifier's tap is masked, what enters at the convolution's is not.
    dy, entering, after = draw(5, 6, channels, seed=1), draw(5, 6, channels, seed=2), draw(5, 6, channels, seed=3)
    dx = device.empty(x.shape, "float64")
    landing = Epilogue(relu_gradient=entering, mask=bits, conv_gradient=after, y=dx, H=5, W=6, K=channels)
    Convolver(device, "float64").epilogue(Source.of(dy), landing)
    np.testing.assert_allclose(dx, np.where(x + bias > 0, dy + entering, 0) + after, rtol=1e-14)


def tied(H, W, C):
    """A map of few values, so that every kind of tie occurs, also between negative and zero ones."""
    return np.random.default_rng(5).integers(-1, 2, (H, W, C)).astype(float)


def max_pooled(device, x, rounding):
    H, W, C = x.shape
    up = rounding == "up"
    pooled = device.empty(((H + up) // 2, (W + up) // 2, C), "float64")
    planes = device.empty((*pooled.shape[:2], 3, mask_words(C)), np.uint32)
    ph, pw, _ = pooled.shape
    epilogue = Epilogue(H=H, W=W, K=C, rectify=1, pooled=pooled, planes=planes, pool=POOL_CODES["max"], ph=ph, pw=pw)
    Convolver(device, "float64").epilogue(Source.of(x), epilogue)
    return pooled, planes


@pytest.mark.parametrize("rounding", ["down", "up"])
@pytest.mark.parametrize("shape", [(6, 8, 33), (5, 7, 2), (2, 3, 64)])
def test_max_pool_ladder(device, rounding, shape):
    x = tied(*shape)
    expected, (choice, _) = cache = max_pool_forward(np.maximum(x, 0), rounding)
    pooled, planes = max_pooled(device, x, rounding)
    np.testing.assert_array_equal(pooled, expected)
    low, high, positive = (unpack(planes[:, :, i], shape[2]) for i in range(3))
    np.testing.assert_array_equal(low + 2 * high, choice)
    np.testing.assert_array_equal(positive, expected > 0)
    dy = draw(*pooled.shape)
    routed = np.where(x > 0, max_pool_backward(dy, cache[1]), 0)
    dx = device.empty(shape, "float64")
    H, W, C = shape
    Convolver(device, "float64").epilogue(Source.pooled(dy, planes, shape, "max"), Epilogue(y=dx, H=H, W=W, K=C))
    np.testing.assert_array_equal(dx, routed)
    if H % 2 == W % 2 == 0:
        y, codes = device.empty(pooled.shape, "float64"), device.empty(pooled.shape, np.uint8)
        run(device, "max_pool_naive", pooled.size // C, x, y, codes, H, W, C)
        np.testing.assert_array_equal(y, max_pool_forward(x)[0])
        np.testing.assert_array_equal(codes, max_pool_forward(x)[1][0])
        run(device, "max_unpool_naive", dy.size, dy, codes, dx, H, W, C)
        np.testing.assert_array_equal(dx, max_pool_backward(dy, max_pool_forward(x)[1]))


@emulation
def test_of_equals_the_first_wins_and_its_breach_is_seen():
    broken = EmulatedDevice(mutate=lambda text: text.replace("(a > best || a != a)", "(a >= best || a != a)"))
    x = tied(6, 8, 33)
    (_, right), (_, wrong) = max_pooled(EmulatedDevice(), x, "down"), max_pooled(broken, x, "down")
    assert (right != wrong).any()


@emulation
@pytest.mark.parametrize("read", ["(h % 2) * 2 + w % 2", "(w % 2) * 2 + h % 2"])
def test_a_code_read_by_column_is_no_adjoint(read):
    """The mutant ``code_read_by_column`` of chapter 23, in the kernel itself."""
    device = EmulatedDevice(mutate=lambda text: text.replace("(h % 2) * 2 + w % 2", read))
    x = np.abs(draw(6, 8, 33))
    _, (choice, _) = max_pool_forward(x)
    _, planes = max_pooled(device, x, "down")

    def forward(u):  # the linear piece: what each block's choice takes of u
        blocks = u.reshape(3, 2, 4, 2, 33).transpose(1, 3, 0, 2, 4).reshape(4, 3, 4, 33)
        return np.take_along_axis(blocks, choice[None].astype(int), 0)[0]

    def backward(v):
        dx = device.empty(x.shape, "float64")
        Convolver(device, "float64").epilogue(Source.pooled(v, planes, x.shape, "max"), Epilogue(y=dx, H=6, W=8, K=33))
        return dx

    assert bool(check_adjoint(forward, backward, x)) == read.startswith("(h")


@pytest.mark.parametrize("rounding", ["down", "up"])
@pytest.mark.parametrize("shape", [(6, 8, 33), (5, 7, 2)])
def test_average_pool(device, rounding, shape):
    x, (H, W, C) = draw(*shape), shape
    expected, cache = average_pool_forward(np.maximum(x, 0), rounding)
    pooled, bits = device.empty(expected.shape, "float64"), device.empty((H, W, mask_words(C)), np.uint32)
    ph, pw, _ = pooled.shape
    epilogue = Epilogue(bits=bits, H=H, W=W, K=C, rectify=1, pooled=pooled, pool=POOL_CODES["average"], ph=ph, pw=pw)
    Convolver(device, "float64").epilogue(Source.of(x), epilogue)
    np.testing.assert_allclose(pooled, expected, rtol=1e-14)
    dy, dx = draw(*pooled.shape), device.empty(shape, "float64")
    Convolver(device, "float64").epilogue(Source.pooled(dy, bits, shape, "average"), Epilogue(y=dx, H=H, W=W, K=C))
    np.testing.assert_allclose(dx, np.where(x > 0, average_pool_backward(dy, cache), 0), rtol=1e-14)


@DTYPES
@pytest.mark.parametrize("shape", [(9, 12, 3), (1, 1, 3), (1, 5, 3), (20, 40, 3), (8, 32, 1)])
def test_total_variation_ladder(device, dtype, shape):
    p = draw(*shape, dtype=dtype) * np.dtype(dtype).type(100)
    H, W, C = shape
    value, gradient = total_variation(p)
    pairs = max((H - 1) * W * C + H * (W - 1) * C, 1)
    scale = np.dtype(dtype).type(2 / pairs)
    grid = -(-W * C // 32), -(-H // 8)
    dp, energy = device.empty(shape, dtype), device.empty(shape, "float64")
    run(device, "variation_naive", p.size, p, dp, energy, H, W, C, scale, dtype=dtype)
    np.testing.assert_allclose(dp, gradient, rtol=1e-4, atol=1e-5 * abs(gradient).max())
    assert energy.sum() / pairs == pytest.approx(value, rel=1e-6)
    dp, energy = device.empty(shape, dtype), device.empty(grid[::-1], "float64")
    device.launch("variation", grid, (32, 8), p, dp, energy, H, W, C, scale, dtype=dtype)
    np.testing.assert_allclose(dp, gradient, rtol=1e-4, atol=1e-5 * abs(gradient).max())
    assert energy.sum() / pairs == pytest.approx(value, rel=1e-6)


@DTYPES
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kernel", ["content_naive", "content"])
def test_content_ladder(device, kernel, masked, dtype):
    f, target, q = draw(7, 9, 33, dtype=dtype), draw(7, 9, 33, dtype=dtype, seed=1), draw(7, 9, 1, dtype=dtype) ** 2
    mask = q if masked else None
    value, gradient = 0.5 * content_forward(f, target, mask), content_backward(1.5, f, target, mask)
    df, blocks = device.empty(f.shape, dtype), -(-f.size // 256) if kernel.endswith("naive") else 3
    energy = device.empty((f.size if kernel.endswith("naive") else blocks,), "float64")
    numbers = np.dtype(dtype).type(2 * 0.5 * 3.0), np.uint64(f.size)
    device.launch(kernel, (blocks,), (256,), f, target, q if masked else None, df, energy, 33, *numbers, dtype=dtype)
    close(df, gradient, dtype)
    assert 0.5 * energy.sum() == pytest.approx(value, rel=1e-6)


@DTYPES
@pytest.mark.parametrize("kernel", ["style_naive", "style"])
def test_style_ladder(device, kernel, dtype):
    C, count, scale = 37, 40.0, 0.25
    parts, target = draw(3, C, C, dtype=dtype) * 40, draw(C, C, seed=1)
    outer = parts.astype("float64").sum(axis=0)
    value, dmoments = gram_loss(Moments(count, outer[0], outer), Moments(1.0, target[0], target), scale)
    grid, block = ((1,), (64,)) if kernel.endswith("naive") else ((3, 3), (16, 16))
    dG, energy = device.empty((C, C), dtype), device.empty((C if kernel.endswith("naive") else 9,), "float64")
    numbers = np.float64(1 / count), np.float64(2 * scale / count)
    device.launch(kernel, grid, block, parts, target, dG, energy, 3, C, *numbers, dtype=dtype)
    close(dG, (dmoments.outer + dmoments.outer.T).astype(dtype), dtype)
    assert scale * energy.sum() == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("kernel", ["total_naive", "total"])
@pytest.mark.parametrize("n", [1, 255, 1000])
def test_shares_are_added_up(device, kernel, n):
    shares, value = draw(n), device.empty((1,), "float64")
    block = (1,) if kernel.endswith("naive") else (256,)
    device.launch(kernel, (1,), block, shares, value, n, np.float64(3), dtype="float32")
    assert value[0] == pytest.approx(3 * shares.sum(), rel=1e-12)


@emulation
@pytest.mark.parametrize(
    "body",
    [
        "if (threadIdx.x < 3) __syncthreads(); else __ballot_sync(~0u, 1);",
        "if (threadIdx.x == 3) return; __ballot_sync(~0u, 1);",
        "if (threadIdx.x < 32) __syncthreads(); else return; __ballot_sync(~0u, threadIdx.x < 3);",
    ],
)
def test_the_emulation_sees_what_would_hang_a_gpu(body):
    library = build(f'extern "C" __global__ void f(int n) {{ {body} }}')
    library.run_f.restype = ctypes.c_char_p
    arguments = (ctypes.c_void_p * 1)(ctypes.addressof(ctypes.c_int(1)))
    wrong = library.run_f((ctypes.c_int * 6)(1, 1, 1, 64, 1, 1), arguments, 0)
    assert b"is missing from a" in wrong


@emulation
def test_the_emulation_sees_a_write_out_of_bounds():
    device = EmulatedDevice()
    x = draw(4, 4, 3)
    xpad = device.empty((5, 6, 3), "float64")  # a row short
    with pytest.raises(KernelError, match="outside an array"):
        lanes(device, "pad", 36, 3, Source.of(x), xpad)


STACKS = {
    "plain": lambda r: (r(5, 3), r(3, 4), r(5, 4)),
    "stack": lambda r: (r(2, 5, 3), r(2, 3, 4), r(2, 5, 4)),
    "turned kernels": lambda r: (r(2, 5, 3), r(2, 4, 3).swapaxes(1, 2), r(2, 5, 4)),
    "turned maps": lambda r: (r(3, 5).T, r(3, 4), r(5, 4)),
    "one kernel for all": lambda r: (r(2, 5, 3), r(3, 4), r(2, 5, 4)),
    "rows apart": lambda r: (r(5, 7)[:, 2:5], r(3, 9)[:, 1:5], r(15, 4)[::3]),
    "overlapping": lambda r: (
        np.lib.stride_tricks.as_strided(r(60), (3, 4, 6), (16, 96, 8)),
        r(6, 4),
        r(3, 4, 4),
    ),
    "single row": lambda r: (r(1, 3), r(3, 4), r(1, 4)),
    "single column": lambda r: (r(5, 3), r(3, 1), r(5, 1)),
    "single depth": lambda r: (r(5, 1), r(1, 4), r(5, 4)),
}


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_gemm_speaks_to_cublas_in_columns(stack, beta):
    rng = np.random.default_rng(0)
    a, b, out = STACKS[stack](lambda *shape: rng.standard_normal(shape))
    expected = a @ b + beta * out
    gemm_strided(fake_cublas(COMPUTE_64F), a, b, out, beta)
    np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("compute", [COMPUTE_32F, COMPUTE_32F_FAST_TF32])
def test_gemm_in_float32_asks_for_the_precision(compute):
    a, b, out = draw(5, 3, dtype="float32"), draw(3, 4, dtype="float32"), np.empty((5, 4), np.float32)
    gemm_strided(fake_cublas(compute), a, b, out, tf32=compute == COMPUTE_32F_FAST_TF32)
    np.testing.assert_allclose(out, a @ b, rtol=1e-5, atol=1e-6)


def test_gemm_refuses_what_it_would_get_wrong():
    a, b, out = draw(4, 3), draw(3, 4), np.empty((4, 4))
    for bad in (
        (a[:, :2], b, out),
        (a, b.astype("float32"), out),
        (draw(8, 6)[::2, ::2], b, out),
        (a, b, np.empty((4, 4)).T),
        (np.lib.stride_tricks.as_strided(draw(20), (4, 3), (16, 8)), b, out),
        (draw(2, 4, 3), b, out),
    ):
        with pytest.raises(ValueError, match="gemm"):
            gemm_strided(fake_cublas(COMPUTE_64F), *bad)
