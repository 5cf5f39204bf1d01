"""Time functions, and write results."""

import json
import os
import statistics
import time
from pathlib import Path


class Clock:
    """Times calls by the wall clock and, on a GPU, by CUDA events on CuPy's or PyTorch's stream."""

    def __init__(self, xp=None, torch=None):
        self.xp, self.torch = xp, torch

    def synchronize(self):
        if self.torch is not None:
            self.torch.cuda.synchronize()
        elif self.xp is not None and self.xp.__name__ == "cupy":
            self.xp.cuda.get_current_stream().synchronize()

    def once(self, f):
        """Call `f` once; return its seconds by CUDA events, or None, and by the wall clock."""
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
    """Return the median times of results of `Clock.once`, and all wall-clock times."""
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
    """Return the time by CUDA events, or by the wall clock without them."""
    return row.get("event_s", row["wall_s"])


def timed(clock, f, repeats, warmup=3, limit=20.0):
    """Time `f` `repeats` times after `warmup` calls; after `limit` seconds stop, but not before three times."""
    for _ in range(warmup):
        clock.once(f)
    samples, begun = [], time.perf_counter()
    while len(samples) < repeats and (len(samples) < 3 or time.perf_counter() - begun < limit):
        samples.append(clock.once(f))
    return summary(samples)


def interleaved(runners, repeats, warmup=2, limit=60.0):
    """Time several functions in turn, each given as (clock, function), so that a disturbance affects all."""
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


class Section(dict):
    """The results of a section, each written to the file at once; failures are recorded, and the section continues."""

    def __init__(self, book, name):
        super().__init__()
        self.book, self.name = book, name

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        self.book.write()

    def attempt(self, key, f):
        """Store ``f()`` under `key`, or record its failure; return whether it succeeded."""
        try:
            if self.book.is_over():
                raise TimeoutError("the time that was given is used up")
            self[key] = f()
        except Exception as error:  # any failure: the other measurements must not be lost
            self.book.fail(f"{self.name}: {key}", error)
            return False
        return True


class ResultFile:
    """All results, written to the file after each, so that an aborted run leaves what it has measured.

    Parameters
    ----------
    path : path
        The JSON file.
    minutes : float
        The time after which no measurement is started.
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
        """Run a section: ``f(found)`` stores its results in a new `Section`; time and failure are recorded."""
        begun = time.perf_counter()
        self.results[name] = found = Section(self, name)
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
