"""Time each convolution of VGG-19 with bias and rectifier: ours, PyTorch's and ncnn's hand-vectorized C++.

``python -m benchmarks.peers.layers`` needs ``pip install ncnn torch``. All sides compute in float32, take turns, and
use as many threads as there are cores. ncnn transforms its kernels once, when it loads them. Ours are timed both with
kept kernels, as for small pictures, and with kernels transformed at each call, as for large ones.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks import common
from benchmarks.test_layers import SHAPES, names
from handstyle.foundations.backend import Array, cpu_count
from handstyle.kernels.counting import choose_kernel
from handstyle.kernels.cpu.arena import default_arena
from handstyle.kernels.cpu.choose import convolve
from handstyle.kernels.cpu.epilogues import RectifySink, bits_shape
from handstyle.kernels.cpu.strips import ArraySource
from handstyle.kernels.cpu.threads import default_team
from handstyle.kernels.cpu.winograd_kernels import KernelCache

try:
    import ncnn
    import torch
    import torch.nn.functional as F
except ImportError as error:
    MISSING = str(error)
else:
    MISSING = ""


def ours(x: Array, w: Array, b: Array, kept: KernelCache | None = None) -> Callable[..., Array]:
    """Return a function that computes the layer by this package; `kept` receives the transformed kernels."""
    H, W, C = x.shape
    K = w.shape[3]
    y = np.empty((H, W, K), np.float32)
    sink = RectifySink(y, np.empty(bits_shape(y.shape), np.uint8))
    tile, team, arena = choose_kernel(H, W, C, K, False), default_team(), default_arena()

    def run() -> Array:
        with team.single_threaded_blas():
            convolve(ArraySource(x), w, b, sink, tile, team, arena, cache=kept)
        return y

    return run


def pytorch(x: Array, w: Array, b: Array) -> Callable[..., Array]:
    """Return a function that computes the layer by PyTorch."""
    planes = torch.from_numpy(np.ascontiguousarray(x.transpose(2, 0, 1))[None])
    kernels, bias = torch.from_numpy(np.ascontiguousarray(w.transpose(3, 2, 0, 1))), torch.from_numpy(b)

    def run() -> Array:
        with torch.inference_mode():
            return F.relu(F.conv2d(planes, kernels, bias, padding=1))[0].numpy().transpose(1, 2, 0)

    return run


def by_ncnn(x: Array, w: Array, b: Array) -> Callable[..., Array]:
    """Return a function that computes the layer by ncnn."""
    # ncnn loads a network from two files: its layers in text, and its weights, each array after a tag (0: float32).
    H, W, C = x.shape
    K = w.shape[3]
    net = ncnn.Net()
    net.opt.num_threads = cpu_count()
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = False
    net.opt.use_winograd_convolution = True
    with tempfile.TemporaryDirectory() as folder:
        param, weights = Path(folder) / "net.param", Path(folder) / "net.bin"
        param.write_text(
            f"7767517\n2 2\nInput in 0 1 x 0={W} 1={H} 2={C}\n"
            f"Convolution conv 1 1 x y 0={K} 1=3 4=1 5=1 6={w.size} 9=1\n",
            encoding="ascii",
        )
        with weights.open("wb") as file:
            file.write(np.zeros(1, np.uint32).tobytes())
            file.write(np.ascontiguousarray(w.transpose(3, 2, 0, 1)).tobytes())
            file.write(b.tobytes())
        net.load_param(str(param))
        net.load_model(str(weights))
    memory = np.ascontiguousarray(x.transpose(2, 0, 1))  # kept in a variable, since a Mat holds no reference to it
    planes = ncnn.Mat(memory).clone()

    def run(copy: bool = False) -> Array:
        extractor = net.create_extractor()
        extractor.input("x", planes)
        _, y = extractor.extract("y")  # the extractor owns its memory
        return np.array(y).transpose(1, 2, 0) if copy else np.empty(0)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    if MISSING:
        parser.error(f"{MISSING}: pip install ncnn torch")
    torch.set_num_threads(cpu_count())
    rows = []
    print(
        "| layer | ours ms | ours, kernels kept ms | PyTorch ms | ncnn ms | ours / PyTorch | kept / ncnn "
        "| largest error ours, PyTorch, ncnn |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for H, C, K in SHAPES:
        rng = np.random.default_rng(0)
        x = np.maximum(rng.standard_normal((H, H, C), np.float32), 0)
        w = (rng.standard_normal((3, 3, C, K)) * np.sqrt(2 / 9 / C)).astype(np.float32)
        b = rng.standard_normal(K).astype(np.float32)
        sides = {"ours": ours(x, w, b), "kept": ours(x, w, b, {}), "torch": pytorch(x, w, b), "ncnn": by_ncnn(x, w, b)}
        truth = (
            torch.relu(
                F.conv2d(
                    torch.from_numpy(x.transpose(2, 0, 1)[None, :, :34].astype(np.float64)),
                    torch.from_numpy(w.transpose(3, 2, 0, 1).astype(np.float64)),
                    torch.from_numpy(b.astype(np.float64)),
                    padding=1,
                )
            )[0]
            .numpy()
            .transpose(1, 2, 0)[:32]
        )
        errors = {
            side: float(abs((work(True) if side == "ncnn" else work())[: len(truth)] - truth).max() / truth.std())
            for side, work in sides.items()
        }
        seconds = common.interleaved(sides, options.rounds)  # type: ignore[arg-type]
        best = {side: min(times) for side, times in seconds.items()}
        name = names((H, C, K))
        rows.append({"layer": name, "seconds": seconds, "largest_error": errors})
        print(
            f"| {name} | "
            + " | ".join(f"{1e3 * best[side]:.1f}" for side in sides)
            + f" | {best['ours'] / best['torch']:.2f} | {best['kept'] / best['ncnn']:.2f} | "
            + ", ".join(f"{errors[side]:.0e}" for side in ("ours", "torch", "ncnn"))
            + " |",
            flush=True,
        )
    print(common.write_results("layers", rows, threads=cpu_count()))


if __name__ == "__main__":
    main()
