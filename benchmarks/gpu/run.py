"""Measure the GPU engine: against the CPU, against PyTorch, and kernel by kernel; write the results as JSON.

    python benchmarks/gpu/run.py --out results/gpu.json

Needs CuPy; compares with PyTorch where that is installed. Nothing is downloaded: the weights are random at VGG-19's
widths unless --weights names a file. Sections are independent and written as they finish. --rehearse runs every section
on the processor at toy sizes, with the kernels emulated: it shows that the script works, and its times mean nothing.
"""

import argparse
import datetime
import json
import platform
import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)]

from measure import Clock, ResultFile, Section, interleaved, seconds, timed  # noqa: E402

from handstyle.cli.torch_peer import TorchObjective  # noqa: E402
from handstyle.foundations.backend import choose_backend, cpu_count, cpu_name, to_numpy  # noqa: E402
from handstyle.foundations.errors import HandstyleError  # noqa: E402
from handstyle.foundations.image import preprocess_forward  # noqa: E402
from handstyle.kernels.cpu.threads import Team  # noqa: E402
from handstyle.kernels.cuda.choose import choose_method  # noqa: E402
from handstyle.kernels.cuda.convolution import METHODS, Convolver, tensor_fits  # noqa: E402
from handstyle.kernels.cuda.device import CupyDevice  # noqa: E402
from handstyle.kernels.cuda.engine import CudaEngine  # noqa: E402
from handstyle.kernels.cuda.source import BLOCKS  # noqa: E402
from handstyle.kernels.cuda.structs import Epilogue, Source  # noqa: E402
from handstyle.kernels.cuda.transfer import Transfer  # noqa: E402
from handstyle.losses.content import ContentTerm  # noqa: E402
from handstyle.losses.gram import Moments, StyleTerm, moments_forward  # noqa: E402
from handstyle.network.sequence import make_engine  # noqa: E402
from handstyle.network.vgg import WIDTHS, build_network, random_weights  # noqa: E402
from handstyle.optimize.lbfgs import minimize_lbfgs  # noqa: E402
from handstyle.optimize.lbfgsb import minimize_lbfgsb  # noqa: E402
from handstyle.optimize.objective import Objective  # noqa: E402
from handstyle.painting.config import StyleConfig  # noqa: E402
from handstyle.painting.load import load_weights  # noqa: E402
from handstyle.painting.planned_terms import planned_terms  # noqa: E402

STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT = "relu4_2"
GIB = 1 << 30


class Immediate:
    """A link for rehearsals, whose copies are made at once."""

    def pinned(self, size, dtype):
        return np.empty(size, dtype)

    def upload(self, host_array, device_array):
        device_array[...] = host_array

    def download(self, device_array, host_array):
        host_array[...] = device_array

    def wait(self, event):
        pass

    copies_follow_work = work_follows_copies = lambda self: None


class Bench:
    """The benchmark's sections, and what they share."""

    def __init__(self, options, book):
        self.options, self.rehearse, self.book = options, options.rehearse, book
        widths = (4, 6, 8, 8, 8) if self.rehearse else WIDTHS
        self.weights = load_weights(options.weights) if options.weights else random_weights(widths=widths)
        self.network = build_network(self.weights)
        self.host = choose_backend("numpy")
        if self.rehearse:
            from support.emulated_device import EmulatedDevice

            self.gpu, self.device = self.host, EmulatedDevice
        else:
            self.gpu, self.device = choose_backend("cupy"), CupyDevice
        self.xp, self.clock = self.gpu.xp, Clock(self.gpu.xp)
        try:
            import torch

            self.torch = torch
            self.torch_device = "cuda" if torch.cuda.is_available() else "cpu" if self.rehearse else None
        except ImportError:
            self.torch = self.torch_device = None
        self.torch_clock = Clock(torch=self.torch) if self.torch_device == "cuda" else Clock()

    def times(self, f, repeats=None):
        return timed(self.clock, f, repeats or self.options.repeats)

    def captured(self, f):
        """Return `f` captured as one graph, so that the host's time to launch kernels is not measured."""
        if self.xp.__name__ != "cupy":
            return f
        pool, stream = self.xp.cuda.MemoryPool(), self.xp.cuda.Stream(non_blocking=True)
        self.clock.synchronize()
        with self.xp.cuda.using_allocator(pool.malloc), stream:
            f()
            stream.begin_capture()
            f()
            graph = stream.end_capture()
        stream.synchronize()

        def launch(_held=(pool, stream)):
            graph.launch()

        return launch

    def noise(self, *shape):
        """Return random values like those of a rectified map, on the device; zeros would be multiplied faster."""
        drawn = np.random.default_rng(0).standard_normal(1 << 18).clip(-1)
        return self.gpu.asarray(np.resize(drawn, shape), "float32")

    def pictures(self, side):
        """Return a start, a content and a style: noise smooth enough that features are like those of pictures."""
        rng, made, n = np.random.default_rng(0), [], min(side, 1024)
        for _ in range(3):
            coarse = rng.uniform(0, 255, (n // 8 + 1, n // 8 + 1, 3))
            small = np.kron(coarse, np.ones((8, 8, 1)))[:n, :n] + rng.normal(0, 10, (n, n, 3))
            times = -(-side // n)
            made.append(np.tile(small.astype(np.float32), (times, times, 1))[:side, :side])
        return made

    def ready_network(self, backend, engine, dtype="float32"):
        return self.network.astype(dtype).to(backend).with_kernels(engine)

    def objective(self, side, backend, engine, dtype="float32"):
        """Return the objective on a backend, a start, and its terms; their targets are computed there too."""
        network = self.ready_network(backend, engine, dtype)
        start, content, style = (backend.asarray(p, dtype) for p in self.pictures(side))
        pooled, terms = backend.in_common_pool, []

        def feature(picture, tap):  # one tap after another: all maps together take more than an evaluation
            return network.forward(preprocess_forward(picture, network.convention), [tap])[0][tap]

        for tap in STYLE:
            with backend.separate_pool():
                made = moments_forward(feature(style, tap))
            terms.append(StyleTerm(tap, Moments(float(made.count), pooled(made.sums), pooled(made.outer))))
        with backend.separate_pool():
            target = feature(content, CONTENT)
        terms.append(ContentTerm(CONTENT, pooled(target)))
        del made, target, content, style
        return Objective(network, terms, (side, side, 3)), start.ravel(), terms

    def torch_objective(self, side, terms, device, channels_last=False, compiled=False, tf32=False):
        """Return PyTorch's version of an objective, with its very targets, and the start."""
        styles = {term.tap: term.target for term in terms if isinstance(term, StyleTerm)}
        (content,) = ((term.tap, to_numpy(term.target)) for term in terms if isinstance(term, ContentTerm))
        peer = TorchObjective(
            self.network, content, styles, len(styles), channels_last, compiled=compiled, device=device, tf32=tf32
        )
        return peer, peer.tensor(self.pictures(side)[0])

    def forget(self):
        self.gpu.free_unused()
        if self.torch_device == "cuda":
            self.torch.cuda.empty_cache()

    def ready(self, side, engine):
        """Return a function that evaluates an objective, already called three times, and the memory it takes."""
        before = self.held()
        objective, start, _ = self.objective(side, self.gpu, engine)
        self.forget()

        def run():
            objective.on_device(start)

        for _ in range(3):
            run()
        return run, None if before is None else self.held() - before

    # -- sections ---------------------------------------------------------------------------------------------------

    def machine(self, found):
        known = {
            "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "gpu": self.gpu.device,
            "cpu": cpu_name(),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "weights": self.weights.provenance,
            "rehearsal": self.rehearse,
        }
        if self.xp.__name__ == "cupy":
            runtime = self.xp.cuda.runtime
            properties = runtime.getDeviceProperties(self.xp.cuda.Device().id)
            known |= {
                "cupy": self.xp.__version__,
                "driver": runtime.driverGetVersion(),
                "runtime": runtime.runtimeGetVersion(),
                "capability": f"{properties['major']}.{properties['minor']}",
                "memory_bytes": runtime.memGetInfo()[1],
                "products": CupyDevice().products,
            }
        if self.torch is not None:
            known |= {"torch": self.torch.__version__, "torch_device": self.torch_device}
            if self.torch_device == "cuda":
                known |= {"cudnn": self.torch.backends.cudnn.version()}
        found.update(known)

    def gate(self, found):
        """Measure errors against float64 on the CPU, because times of wrong results mean nothing."""
        side = 32 if self.rehearse else 128
        judge, start, judged = self.objective(side, self.host, "reference", "float64")
        value, gradient, _ = judge.on_device(start)
        found["value_float64"] = value

        def errors(v, g, *_):
            g = to_numpy(g).astype(np.float64).ravel()
            relative = np.linalg.norm(g - gradient) / np.linalg.norm(gradient)
            return {"value": abs(float(v) - value) / abs(value), "gradient": float(relative)}

        def ours(kernels):
            objective, start, _ = self.objective(side, self.gpu, kernels)
            for _ in range(2):  # the third is launched as a graph, as those that are timed
                objective.on_device(start)
            return errors(*objective.on_device(start))

        def by_way_of_the_host():  # through pinned memory and back, as SciPy's optimizer calls it
            objective, start, _ = self.objective(side, self.gpu, CudaEngine(self.device()))
            return errors(*objective(to_numpy(start).astype(np.float64)))

        for precision in ("float32", "tf32"):
            for method in (None, "mec", "im2col", "residue", "winograd2", "winograd4"):
                name = f"ours {precision} {method or 'chosen'}"
                found.attempt(name, lambda p=precision, m=method: ours(CudaEngine(self.device(p), m)))
        found.attempt("ours by way of the host", by_way_of_the_host)
        found.attempt("ours reference layers", lambda: ours("reference"))

        def torchs(on):
            return errors(*self.torch_objective(side, judged, self.torch_device, tf32=on)[0](self.pictures(side)[0]))

        for on in (False, True) if self.torch_device else ():
            found.attempt(f"torch {'tf32' if on else 'float32'}", lambda on=on: torchs(on))

    def peaks(self, found):
        """Measure the roofs: the rate of a large product, of a copy, and of copies to the device and back."""
        n = 64 if self.rehearse else 8192

        def products(precision):
            a, b = (self.gpu.asarray(np.random.default_rng(i).standard_normal((n, n)), "float32") for i in range(2))
            out, device = self.xp.empty_like(a), self.device(precision)
            return 2 * n**3 / seconds(self.times(lambda: device.gemm(a, b, out), 10))

        def copies():
            large = self.xp.zeros((1 << 16) if self.rehearse else (1 << 28), "float32")
            other = self.xp.empty_like(large)
            return 2 * large.nbytes / seconds(self.times(lambda: self.xp.copyto(other, large), 10))

        for precision in ("float32", "tf32"):
            found.attempt(f"{precision}_flops", lambda p=precision: products(p))
        found.attempt("copy_bytes_per_s", copies)

    def where(self, found):
        """Measure every kernel of an evaluation, ours and PyTorch's, by PyTorch's profiler."""
        for side in (512, 1024) if self.torch_device == "cuda" else ():
            for precision in ("float32", "tf32"):
                objective, start, terms = self.objective(side, self.gpu, CudaEngine(self.device(precision)))
                found.attempt(f"ours {precision} {side}",
                              lambda o=objective, p=start: self.kernels(lambda: o.on_device(p)))  # fmt: skip
                peer, p = self.torch_objective(side, terms, self.torch_device, tf32=precision == "tf32")
                found.attempt(f"torch {precision} {side}",
                              lambda f=peer, p=p: self.kernels(lambda: f.on_device(p)))  # fmt: skip
                del objective, start, terms, peer, p
                self.forget()

    def kernels(self, f, repeats=5):
        """Return each kernel's seconds and launches in one call of `f`, and the time for which the device was busy."""
        torch = self.torch
        for _ in range(3):
            f()
        torch.cuda.synchronize()
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
            begun = time.perf_counter()
            for _ in range(repeats):
                f()
            torch.cuda.synchronize()
            wall = (time.perf_counter() - begun) / repeats
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "trace.json"
            profiler.export_chrome_trace(str(path))
            events = json.loads(path.read_text())["traceEvents"]
        ran = [e for e in events if e.get("cat") in ("kernel", "gpu_memcpy", "gpu_memset")]
        ran.sort(key=lambda e: e["ts"])
        totals = {}
        for e in ran:
            row = totals.setdefault(e["name"][:120], {"seconds": 0.0, "launches": 0.0})
            row["seconds"] += e["dur"] / 1e6 / repeats
            row["launches"] += 1 / repeats
        return {
            "wall_s": wall,
            "busy_s": sum(row["seconds"] for row in totals.values()),
            "kernels": dict(sorted(totals.items(), key=lambda item: -item[1]["seconds"])),
            "timeline_us": [[e["name"][:40], round(e["ts"] - ran[0]["ts"], 1), e["dur"]]
                            for e in ran[: len(ran) // repeats]],
        }  # fmt: skip

    def transfers(self, found):
        """A picture there and its gradient back: pageable and at once, and pinned, in pieces of several sizes."""
        link = Immediate() if self.rehearse else self.device().link()
        for side in (32,) if self.rehearse else (512, 1024, 2048, 4096):
            v = np.random.default_rng(0).uniform(0, 255, 3 * side * side)

            def plain(v=v):
                return to_numpy(self.gpu.asarray(v, dtype="float32")).astype(np.float64)

            found.attempt(f"{side} plain", lambda f=plain: self.times(f))
            for bits in (6, 8) if self.rehearse else (16, 18, 20, 22):

                def pinned(v=v, bits=bits):
                    way = Transfer(link, self.xp, v.size, "float32", 1 << bits)
                    return self.times(lambda: way.download(way.upload(v))())

                found.attempt(f"{side} pinned, pieces of {1 << bits}", pinned)

    def layers(self, found):
        """Time every convolution of VGG-19 at one size, by every method and by cuDNN, forward and adjoint."""
        H = 32 if self.rehearse else self.options.layer_size
        for layer in self.network.layers:
            if layer.name.startswith("pool"):
                H //= 2
            if layer.name.startswith("conv"):
                row = {"layer": layer.name, "side": H, "C": layer.w.shape[2], "K": layer.w.shape[3]}
                found[layer.name] = row | {"direct_flop": 18 * H * H * row["C"] * row["K"]}
                self.layer(found, layer, found[layer.name])
                self.forget()

    def layer(self, found, layer, row):
        H, C, K = row["side"], row["C"], row["K"]
        w, b = self.gpu.asarray(layer.w), self.gpu.asarray(layer.b)
        x, y = self.noise(H, H, C), self.noise(H, H, K)

        def note(name, f):
            def measure():
                row[name] = f()
                return row

            found.attempt(layer.name, measure)

        for precision in ("float32", "tf32"):
            convolver = Convolver(self.device(precision), "float32")
            if C != 3:
                for label, shape in (("", (C, K)), (" adjoint", (K, C))):
                    fits = precision == "tf32" and tensor_fits(*shape, "float32")
                    method = choose_method((H, H, *shape), precision, convolver.workspace, tensor=fits)
                    row[f"chosen {precision}{label}"] = method
            for method in METHODS:
                if (method == "first") != (C == 3):
                    continue
                forward = method, Source.of(x), w, Epilogue(bias=b, y=y, H=H, W=H, K=K), 1, False
                adjoint = method, Source.of(y), w, Epilogue(y=x, H=H, W=H, K=C), 1, True
                for direction, arguments in (("forward", forward), ("adjoint", adjoint)):
                    shape = (C, K) if direction == "forward" else (K, C)
                    if method == "tensor" and not (precision == "tf32" and tensor_fits(*shape, "float32")):
                        continue
                    run = partial(convolver.convolve, *arguments)
                    note(f"{method} {precision} {direction}", lambda r=run: self.times(self.captured(r)))
        if not self.torch_device:
            return
        nn, to, repeats = self.torch.nn, {"device": self.torch_device}, self.options.repeats
        tw = self.torch.tensor(layer.w.transpose(3, 2, 0, 1).copy(), **to)
        tx, ty = (self.torch.tensor(to_numpy(a).transpose(2, 0, 1)[None].copy(), **to) for a in (x, y))
        tb = self.torch.tensor(layer.b, **to)
        forward = lambda: nn.functional.conv2d(tx, tw, tb, padding=1)  # noqa: E731
        adjoint = lambda: nn.grad.conv2d_input(tx.shape, tw, ty, padding=1)  # noqa: E731
        for on in (False, True):
            self.torch.backends.cudnn.allow_tf32 = self.torch.backends.cuda.matmul.allow_tf32 = on
            name = "torch tf32" if on else "torch float32"
            note(f"{name} forward", lambda: timed(self.torch_clock, forward, repeats))
            note(f"{name} adjoint", lambda: timed(self.torch_clock, adjoint, repeats))

    def rungs(self, found):
        """Time the ladders: the same work from the naive kernel to the one in use, with the necessary bytes."""
        H, C = (16, 4) if self.rehearse else (512, 64)
        device, f32 = self.device(), "float32"
        asarray, rng = self.gpu.asarray, np.random.default_rng(0)
        x = asarray(rng.standard_normal((H, H, C)), f32)
        y = self.xp.empty_like(x)

        def rung(name, nbytes, kernel, grid, block, *arguments):
            run = lambda: device.launch(kernel, grid, block, *arguments, dtype=f32)  # noqa: E731
            found.attempt(name, lambda: {"bytes": nbytes, **self.times(run)})

        def linear(size):
            return (-(-size // 256),), (256,)

        def pixels(count):
            return (-(-count // 8), -(-C // 32)), (32, 8)

        tiles, across = (H // 4) ** 2, H // 4
        V = device.empty((36, tiles, C), f32)
        strip = (0, tiles, across, 1)
        lanes = pixels(tiles)
        moved = x.nbytes + V.nbytes
        rung("winograd input, naive", moved, "winograd_input_naive", *linear(V.size), Source.of(x), V, *strip)
        rung("winograd input, coalesced", moved, "winograd_input", *lanes, Source.of(x), V, *strip)
        rows = H // 4 * -(-across // 4), -(-C // 32)
        rung("winograd input, tiled", moved, "winograd_input_tiled", rows, (32, 4), Source.of(x), V, *strip)
        M, z = V, self.xp.empty_like(x)
        rung("winograd output, naive", moved, "winograd_output_naive", *linear(z.size), M, z, *strip[:3], H, H, C)
        epilogue = Epilogue(y=z, H=H, W=H, K=C)
        rung("winograd output, in registers", moved, "winograd_output", *lanes, M, *strip[:3], epilogue)
        w = asarray(rng.standard_normal((3, 3, C, C)), f32)
        U = device.empty((36, C, C), f32)
        rung("winograd kernel, naive", w.nbytes + U.nbytes, "winograd_kernel_naive", *linear(U.size), w, U, C, C, 0)
        rung("winograd kernel, in registers", w.nbytes + U.nbytes, "winograd_kernel", *linear(C * C), w, U, C, C, 0)
        xpad = device.empty((H + 2, H + 2, C), f32)
        moved = x.nbytes + xpad.nbytes
        rung("padding, naive", moved, "pad_naive", *linear((H + 2) ** 2), Source.of(x, "reflect"), xpad)
        rung("padding, coalesced", moved, "pad", *pixels((H + 2) ** 2), Source.of(x, "reflect"), xpad)
        rung("padding's adjoint, naive", moved, "fold_naive", *linear(H * H), xpad, z, 1, H, H, C)
        quads = pixels(H * H // 4)
        rung("padding's adjoint, coalesced", moved, "fold", *quads, xpad, 1, Epilogue(y=z, H=H, W=H, K=C))
        A = device.empty((H * H, 9 * C), f32)
        rung("im2col, naive", 10 * x.nbytes, "im2col_naive", *linear(H * H), Source.of(x), A, 0, H, H, 1)
        rung("im2col, coalesced", 10 * x.nbytes, "im2col_coalesced", *linear(A.size), Source.of(x), A, 0, H, H, 1)
        rung("im2col, one division for nine", 10 * x.nbytes, "im2col", *pixels(H * H), Source.of(x), A, 0, H, H, 1)
        L = device.empty((H, H + 2, 3 * C), f32)
        rung("mec", 4 * x.nbytes, "mec", *pixels(H * (H + 2)), Source.of(x), L, 0, H, H, 1)
        bias, words = asarray(np.zeros(C), f32), -(-C // 32)
        positive = self.xp.empty(x.shape, np.uint8)
        size = np.uint64(x.size)
        rung("rectifier, naive", 2.25 * x.nbytes, "rectify_naive", *linear(x.size), y, bias, positive, C, size)
        bits = self.xp.empty((H, H, words), np.uint32)
        epilogue = Epilogue(bias=bias, y=y, bits=bits, H=H, W=H, K=C, rectify=1)
        rung("rectifier, bits", 2.03 * x.nbytes, "epilogue", *quads, Source.of(x), epilogue)
        pooled, codes = x[: H // 2, : H // 2].copy(), self.xp.empty((H // 2, H // 2, C), np.uint8)
        moved = 1.3125 * x.nbytes
        rung("max pool, naive", moved, "max_pool_naive", *linear(H * H // 4), x, pooled, codes, H, H, C)
        planes = self.xp.empty((H // 2, H // 2, 3, words), np.uint32)
        epilogue = Epilogue(pooled=pooled, planes=planes, H=H, W=H, K=C, pool=1, ph=H // 2, pw=H // 2)
        rung("max pool, two bits", moved, "epilogue", *quads, Source.of(x), epilogue)
        rung("max unpool, naive", moved, "max_unpool_naive", *linear(pooled.size), pooled, codes, y, H, H, C)
        source = Source.pooled(pooled, planes, (H, H, C), "max")
        rung("max unpool, gathered", moved, "epilogue", *quads, source, Epilogue(y=y, H=H, W=H, K=C))
        p, dp = asarray(rng.standard_normal((H, H, 3)), f32), self.xp.empty((H, H, 3), np.float32)
        energy = self.xp.empty((H, H, 3), np.float64)
        shape = (H, H, 3, np.float32(1))
        rung("variation, naive", 4 * p.nbytes, "variation_naive", *linear(p.size), p, dp, energy, *shape)
        grid = -(-3 * H // 32), -(-H // 8)
        rung("variation, tiled", 2 * p.nbytes, "variation", grid, (32, 8), p, dp, energy, *shape)
        w = asarray(rng.standard_normal((3, 3, 3, C)), f32)
        moved = p.nbytes + x.nbytes
        rung("first layer, naive", moved, "first_forward_naive", *linear(y.size), Source.of(p), w, bias, y, C)
        grid = H // 2 * -(-H // 64), words
        rung("first layer, tiled", moved, "first_forward", grid, (32, 4), Source.of(p), w, Epilogue(y=y, H=H, W=H, K=C))
        rung("first adjoint, naive", moved, "first_backward_naive", *linear(p.size), Source.of(x), w, dp)
        convolver, epilogue = Convolver(device, f32), Epilogue(y=dp, H=H, W=H, K=3)
        run = lambda: convolver.convolve("first", Source.of(x), w, epilogue, 1, adjoint=True)  # noqa: E731
        found.attempt("first adjoint, product and gather", lambda: {"bytes": moved, **self.times(run)})
        # Losses at the taps.
        q, target, shares = None, asarray(rng.standard_normal((H, H, C)), f32), self.xp.empty((x.size,), np.float64)
        numbers = np.float32(2), np.uint64(x.size)
        blocks = min(1024, -(-x.size // 256))
        moved = 3 * x.nbytes
        rung("content, naive", moved, "content_naive", *linear(x.size), x, target, q, y, shares, C, *numbers)
        rung("content, fused", moved, "content", (blocks,), (256,), x, target, q, y, shares, C, *numbers)
        rung("sum of shares, naive", 8 * blocks, "total_naive", (1,), (1,), shares, energy, blocks, np.float64(1))
        rung("sum of shares, by a tree", 8 * blocks, "total", (1,), (256,), shares, energy, blocks, np.float64(1))
        W, n = (8, 1) if self.rehearse else (512, 4)
        parts, mean, dG = (self.xp.zeros(shape, dtype) for shape, dtype in
                           (((n, W, W), np.float32), ((W, W), np.float64), ((W, W), np.float32)))  # fmt: skip
        numbers, moved = (np.float64(1), np.float64(1)), parts.nbytes + mean.nbytes + dG.nbytes
        rung("style, naive", moved, "style_naive", *linear(W), parts, mean, dG, shares, n, W, *numbers)
        side = -(-W // 16)
        rung("style, fused", moved, "style", (side, side), (16, 16), parts, mean, dG, shares, n, W, *numbers)
        if not self.rehearse:  # emulated, they take a minute
            self.tensor_rungs(rung, linear)

    def tensor_rungs(self, rung, linear):
        """Time the ladder of products on tensor cores, with factors of ten bits."""
        H, C = 256, 128
        x, y = self.noise(H, H, C), self.xp.empty((H, H, C), np.float32)
        w, B = self.noise(3, 3, C, C), self.xp.empty((9 * C * C,), np.float32)
        moved = x.nbytes + y.nbytes + w.nbytes
        rung("tensor, naive", moved, "implicit_naive", *linear(y.size), Source.of(x), w, y, H, H, C, 1, 0)
        rung("tensor, weights", 2 * w.nbytes, "implicit_kernel", *linear(B.size), w, B, C, C, 0)
        pooled = self.noise(H // 2, H // 2, C)
        drawn = np.random.default_rng(0).integers(0, 1 << 32, (H // 2, H // 2, 3, C // 32), np.uint32)
        undone = Source.pooled(pooled, self.gpu.asarray(drawn), (H, H, C), "max")
        for name, (down, across, channels, _) in BLOCKS.items():
            grid, block = -(-H // down) * -(-H // across) * (C // channels), down * channels // 8
            epilogue = Epilogue(y=y, H=H, W=H, K=C)
            rung(f"tensor, {name}", moved, name, (grid,), (block,), Source.of(x), B, 1, epilogue)
            rung(f"tensor, {name}, a pool undone", moved, f"{name}_unpool", (grid,), (block,), undone, B, 1, epilogue)

    def tuned(self, found):
        """Time the same against PyTorch tuned as documented: channels last, cuDNN's kernels chosen by trial."""
        self.evaluation(found, True)

    def compiled(self, found):
        """Time the same against `torch.compile`, which chooses its kernels by trial, and channels last."""
        self.evaluation(found, True, {"backend": "eager"} if self.rehearse else {"mode": "max-autotune"})

    def evaluation(self, found, tuned=False, compiled=False):
        """Time an evaluation of the objective at each size, ours and PyTorch's in turn, and measure their memory."""
        for side in [side for side in self.options.sizes if not tuned or side in (32, 512, 1024)]:
            runners, memory, methods, made = {}, {}, {}, Section(self.book, f"evaluation at {side}")

            def ours(name, precision, side=side, runners=runners, memory=memory, methods=methods):
                engine = CudaEngine(self.device(precision)) if precision else None
                run, memory[f"ours {name}"] = self.ready(side, engine or "reference")
                runners[f"ours {name}"] = self.clock, run
                if engine is not None:
                    methods[name] = engine.describe()

            made.attempt("cuda", lambda: ours("cuda", "float32"))
            made.attempt("cuda-tf32", lambda: ours("cuda-tf32", "tf32"))
            if side <= 1024 and not tuned:
                made.attempt("reference", lambda: ours("reference", None))

            def torchs(on, tuned, side=side, runners=runners, memory=memory):
                how = "" if not tuned else " compiled" if compiled else " tuned"
                name = f"torch {'tf32' if on else 'float32'}{how}"
                terms = self.objective(side, self.gpu, CudaEngine(self.device()))[2]
                peer, p = self.torch_objective(side, terms, self.torch_device, tuned, compiled, on)
                del terms
                self.forget()

                def run():
                    self.torch.backends.cudnn.benchmark = tuned
                    peer.on_device(p)

                if self.torch_device == "cuda":
                    run()  # memory of cuDNN's trials does not count
                    self.torch.cuda.reset_peak_memory_stats()
                    before = self.torch.cuda.memory_allocated()
                    run()
                    memory[name] = self.torch.cuda.max_memory_allocated() - before + self.held_by(peer, p)
                else:
                    run()
                runners[name] = self.torch_clock, run

            for on in (False, True) if self.torch_device else ():
                made.attempt(f"torch {'tf32' if on else 'float32'}", lambda on=on: torchs(on, tuned))
            limit = 60 if side <= 1024 else 8
            found.attempt(side, lambda r=runners, m=memory, w=methods, limit=limit: {
                "times": interleaved(r, self.options.repeats, limit=limit), "peak_bytes": m, "methods": w})  # fmt: skip
            del runners
            self.forget()

    def held(self):
        """Return the bytes of the device's memory in use by all processes."""
        if self.xp.__name__ != "cupy":
            return None
        self.clock.synchronize()
        free, total = self.xp.cuda.runtime.memGetInfo()
        return total - free

    @staticmethod
    def held_by(peer, p):
        """Return the bytes of the tensors of PyTorch's objective, before its first call."""
        tensors = [p, peer.mean, peer.std, peer.target, *(A for A, _ in peer.styles.values())]
        tensors += [tensor for _, _, *both in peer.layers for tensor in both]
        return sum(tensor.nbytes for tensor in tensors if tensor is not None)

    def workspaces(self, found):
        """Time the same evaluation with several sizes of scratch."""
        side = 32 if self.rehearse else 1024

        def measure(scratch):
            objective, start, _ = self.objective(side, self.gpu, CudaEngine(self.device(), None, scratch))
            return self.times(lambda: objective.on_device(start))

        for bits in (14, 15) if self.rehearse else (24, 25, 26, 27, 28, 29, 30):
            found.attempt(1 << bits, lambda bits=bits: measure(1 << bits))
            self.forget()

    def processor(self, found):
        """Time the same evaluation on the CPU, ours and PyTorch's, with one, two and all threads."""

        def measure(side, counts):
            runners = {}
            for threads in counts:
                engine = replace(make_engine("auto"), team=Team(threads))
                objective, start, terms = self.objective(side, self.host, engine)
                runners[f"ours {threads} threads"] = Clock(), lambda o=objective, p=start: o.on_device(p)
            if self.torch is not None:
                peer, p = self.torch_objective(side, terms, "cpu")
                for threads in counts:

                    def run(threads=threads, peer=peer, p=p):
                        self.torch.set_num_threads(threads)
                        peer.on_device(p)

                    runners[f"torch {threads} threads"] = Clock(), run
            return interleaved(runners, 5, warmup=1, limit=15)

        every = sorted({1, 2, cpu_count()})
        for side, counts in ((32, every),) if self.rehearse else ((256, every), (512, every[-1:]), (1024, every[-1:])):
            found.attempt(side, lambda side=side, counts=counts: measure(side, counts))

    def painting(self, found):
        """Time whole runs, in float32 and TF32: L-BFGS on the device, and SciPy's L-BFGS-B on the host."""
        side, iterations = (32, 3) if self.rehearse else (512, self.options.iterations)

        def run(optimizer, precision):
            objective, start, _ = self.objective(side, self.gpu, CudaEngine(self.device(precision)))
            objective.on_device(start)
            self.clock.synchronize()
            begun = time.perf_counter()
            if optimizer == "lbfgs":
                outcome = minimize_lbfgs(objective, start, iterations)
            else:
                v0 = to_numpy(start).astype(np.float64)
                outcome = minimize_lbfgsb(objective, v0, min(iterations, 100))  # its time an iteration is steady
            self.clock.synchronize()
            return {
                "seconds": time.perf_counter() - begun,
                "iterations": len(outcome.trace),
                "evaluations": outcome.evaluations,
                "value": outcome.value,
                "stopped": outcome.stopped,
                "values": [row.value for row in outcome.trace],
            }

        for optimizer in ("lbfgs", "scipy"):
            for precision in ("tf32", "float32"):
                found.attempt(f"{optimizer} {precision}", lambda o=optimizer, p=precision: run(o, p))

    def largest(self, found):
        """The largest square picture whose evaluation fits 24 GiB without tiles, and what was forecast for it."""
        room = 24 * GIB
        config = StyleConfig(style_layers=STYLE, content_layers=(CONTENT,), tv_weight=0.0)

        def measure(side):
            engine = CudaEngine(self.device())
            network = self.ready_network(self.gpu, engine)
            expected = engine.forecast(network, planned_terms(config, network, (side, side)), (side, side, 3))
            forecast = expected.bytes + expected.weights
            del network
            run, held = self.ready(side, engine)
            taken = timed(self.clock, run, 3, 0)
            return {"fits": held is None or held <= room, "forecast_bytes": forecast, "taken_bytes": held, **taken}

        for side in (32, 48) if self.rehearse else (4096, 6000, 7424):
            self.forget()
            if not found.attempt(side, lambda side=side: measure(side)) or not found[side]["fits"]:
                break


# The most important sections first.
SECTIONS = (
    "machine",
    "gate",
    "peaks",
    "evaluation",
    "painting",
    "where",
    "transfers",
    "layers",
    "rungs",
    "workspaces",
    "processor",
    "largest",
    "tuned",
    "compiled",
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    parser.add_argument("--sections", default=",".join(SECTIONS))
    parser.add_argument("--sizes", type=lambda s: [int(n) for n in s.split(",")])
    parser.add_argument("--layer-size", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--iterations", type=int, default=500)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="after which nothing new is begun")
    parser.add_argument("--rehearse", action="store_true", help="on the processor, at toy sizes; times mean nothing")
    options = parser.parse_args()
    options.sizes = options.sizes or ([32] if options.rehearse else [256, 512, 1024, 2048, 4096])
    if options.rehearse:
        options.repeats = 3
    wanted = list(dict.fromkeys(["machine", *options.sections.split(",")]))  # the machine is always described
    if unknown := set(wanted) - set(SECTIONS):
        parser.error(f"unknown section {', '.join(sorted(unknown))}: use {', '.join(SECTIONS)}")
    book = ResultFile(options.out, options.minutes)
    try:
        bench = Bench(options, book)
    except HandstyleError as error:
        parser.error(f"{error}; --rehearse needs no GPU")
    for name in wanted:
        book.section(name, getattr(bench, name))
        bench.forget()
    print(options.out)
    sys.exit(1 if book.results["errors"] else 0)


if __name__ == "__main__":
    main()
