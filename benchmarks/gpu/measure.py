"""How a time is taken, and how results are written."""

import json
import os
import statistics
import time
from pathlib import Path


class Clock:
    """Times calls by CUDA events and by the wall, on CuPy's or PyTorch's stream; by the wall alone without a GPU."""

    def __init__(self, xp=None, torch=None):
        self.xp, self.torch = xp, torch

    def synchronize(self):
        if self.torch is not None:
            self.torch.cuda.synchronize()
        elif self.xp is not None and self.xp.__name__ == "cupy":
            self.xp.cuda.get_current_stream().synchronize()

    def once(self, f):
        """Return (seconds by events or None, seconds by the wall)."""
        self.synchronize()
        begun = time.perf_counter()
        if self.torch is not None:
            a, b = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
            a.record()
            f()
            b.record()
            self.synchronize()
            return a.elapsed_time(b) / 1e3, time.perf_counter() - begun
        if self.xp is not None and self.xp.__name__ == "cupy":
            a, b = self.xp.cuda.Event(), self.xp.cuda.Event()
            a.record()
            f()
            b.record()
            b.synchronize()
            return self.xp.cuda.get_elapsed_time(a, b) / 1e3, time.perf_counter() - begun
        f()
        return None, time.perf_counter() - begun


def summary(samples):
    """Return medians and quartiles of what `Clock.once` gave."""
    events = [event for event, _ in samples if event is not None]
    walls = [wall for _, wall in samples]
    result = {"n": len(samples), "wall_s": statistics.median(walls), "wall_all_s": walls}
    if events:
        result |= {
            "event_s": statistics.median(events),
            "event_over_wall": statistics.median(events) / result["wall_s"],
        }
    return result


def timed(clock, f, repeats, warmup=3, seconds=20.0):
    """Time `f` alone: `repeats` times after `warmup`, or as often as `seconds` allow, at least three times."""
    for _ in range(warmup):
        clock.once(f)
    samples, begun = [], time.perf_counter()
    while len(samples) < repeats and (len(samples) < 3 or time.perf_counter() - begun < seconds):
        samples.append(clock.once(f))
    return summary(samples)


def interleaved(runners, repeats, warmup=2, seconds=60.0):
    """Time several (clock, function) in turn, so that all of them see the same machine; return a summary for each."""
    samples = {name: [] for name in runners}
    for clock, f in runners.values():
        for _ in range(warmup):
            clock.once(f)
    begun = time.perf_counter()
    for turn in range(repeats):
        if turn >= 3 and time.perf_counter() - begun > seconds:
            break
        for name, (clock, f) in runners.items():
            samples[name].append(clock.once(f))
    return {name: summary(taken) for name, taken in samples.items()}


class Book:
    """The results, written after each section, so that a run that is cut short leaves what it has."""

    def __init__(self, path):
        self.path, self.results, self.begun = Path(path), {"errors": {}, "seconds": {}}, time.perf_counter()
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def section(self, name, f):
        begun = time.perf_counter()
        try:
            self.results[name] = f()
        except Exception as error:  # one section that fails must not cost the others
            self.results["errors"][name] = f"{type(error).__name__}: {error}"
            print(f"{name}: FAILED: {type(error).__name__}: {error}", flush=True)
        self.results["seconds"][name] = round(time.perf_counter() - begun, 1)
        self.write()
        print(f"{name}: {self.results['seconds'][name]} s", flush=True)

    def write(self):
        unfinished = self.path.with_suffix(".part")
        unfinished.write_text(json.dumps(self.results, indent=1, default=float))
        os.replace(unfinished, self.path)
