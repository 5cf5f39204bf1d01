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


def seconds(row):
    """Return the time on the device, or the wall's where there was none."""
    return row.get("event_s", row["wall_s"])


def timed(clock, f, repeats, warmup=3, limit=20.0):
    """Time `f` alone: `repeats` times after `warmup`, or as often as `limit` seconds allow, at least three times."""
    for _ in range(warmup):
        clock.once(f)
    samples, begun = [], time.perf_counter()
    while len(samples) < repeats and (len(samples) < 3 or time.perf_counter() - begun < limit):
        samples.append(clock.once(f))
    return summary(samples)


def interleaved(runners, repeats, warmup=2, limit=60.0):
    """Time several (clock, function) in turn, so that all of them see the same machine; return a summary for each."""
    samples = {name: [] for name in runners}
    for clock, f in runners.values():
        for _ in range(warmup):
            clock.once(f)
    begun = time.perf_counter()
    for turn in range(repeats):
        if turn >= 3 and time.perf_counter() - begun > limit:
            break
        for name, (clock, f) in runners.items():
            samples[name].append(clock.once(f))
    return {name: summary(taken) for name, taken in samples.items()}


class Found(dict):
    """The results of a section, written as they come; one that fails is noted, and the others are still tried."""

    def __init__(self, book, name):
        super().__init__()
        self.book, self.name = book, name

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        self.book.write()

    def attempt(self, key, f):
        """Put ``f()`` under `key`; return whether that was possible."""
        try:
            if self.book.is_over():
                raise TimeoutError("the time that was given is used up")
            self[key] = f()
        except Exception as error:  # whatever it is, it must not cost what has been and will be measured
            self.book.fail(f"{self.name}: {key}", error)
            return False
        return True


class Book:
    """All results, written after each, so that a run that is cut short leaves what it has.

    Parameters
    ----------
    path : path
        Of the JSON.
    minutes : float
        After which nothing new is begun.
    """

    def __init__(self, path, minutes=float("inf")):
        self.path, self.results, self.begun = Path(path), {"errors": {}, "seconds": {}}, time.perf_counter()
        self.ends = self.begun + 60 * minutes
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def is_over(self):
        return time.perf_counter() > self.ends

    def fail(self, what, error):
        self.results["errors"][what] = f"{type(error).__name__}: {error}"
        print(f"{what}: FAILED: {type(error).__name__}: {error}", flush=True)
        self.write()

    def section(self, name, f):
        """Run ``f(found)``, which fills a `Found`."""
        begun = time.perf_counter()
        self.results[name] = found = Found(self, name)
        try:
            f(found)
        except Exception as error:
            self.fail(name, error)
        self.results["seconds"][name] = round(time.perf_counter() - begun, 1)
        self.write()
        print(f"{name}: {self.results['seconds'][name]} s", flush=True)

    def write(self):
        unfinished = self.path.with_suffix(".part")
        unfinished.write_text(json.dumps(self.results, indent=1, default=float))
        os.replace(unfinished, self.path)
