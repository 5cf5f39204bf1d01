"""A sweep recorded as a CUDA graph, and launched as a whole.

To launch a kernel takes the host ten to fifty microseconds, to run it takes the GPU as little as one: below 1024 px a
GPU waits for Python. A sweep is the same hundreds of launches every time, at the same addresses; so it is captured
once and from then on launched at one stroke (CUDA programming guide, "CUDA graphs"). For that its memory must stay
where it is: it comes from a pool of its own, which is emptied when the recording goes, and not before.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

Sweep = Callable[[Any], tuple[Any, Any]]  # picture -> values, gradient


class Recording:
    """A sweep that runs as it is the first time, is captured the second time, and is launched as a graph after that.

    The first time compiles what must be compiled, and takes the memory that the others use again. What cannot be
    captured, such as a term whose value the host must wait for, goes on being launched kernel by kernel.

    Parameters
    ----------
    cupy : module
        CuPy.
    around : callable
        Returns a context in which each sweep is to run.
    note : callable
        Is told how a sweep was launched, in words, for the report.
    """

    def __init__(
        self, cupy: Any, around: Callable[[], AbstractContextManager[None]], note: Callable[[str], None]
    ) -> None:
        self.cupy, self.around, self.note = cupy, around, note
        self.pool = cupy.cuda.MemoryPool()
        self.stream = cupy.cuda.Stream(non_blocking=True)  # what is captured may not be the default stream
        self.place: Any = None  # of the picture
        self.results: tuple[Any, Any] | None = None
        self.graph: Any = None
        self.warm = False
        self.why_not = ""

    def __call__(self, sweep: Sweep, p: Any) -> tuple[Any, Any]:
        """Sweep at a picture.

        Parameters
        ----------
        sweep : callable
            ``sweep(p)`` returns the values of the terms and the gradient, both on the device. It must do the same each
            time; it is passed each time so that this object does not keep its owner alive.
        p : array
            The picture.

        Returns
        -------
        values, gradient : array
            The caller's own.
        """
        if self.why_not or (self.place is not None and (p.shape, p.dtype) != (self.place.shape, self.place.dtype)):
            self.note(f"launched one by one: {self.why_not or 'the picture has changed its shape'}")
            with self.around():
                return sweep(p)
        here = self.cupy.cuda.get_current_stream()
        if self.place is None:
            with self._apart():
                self.place = self.cupy.empty_like(p)
        self.place[...] = p
        if self.graph is None:
            self.stream.wait_event(here.record())
            with self._apart():
                if not self.warm:
                    with self.around():
                        self.results, self.warm = sweep(self.place), True
                else:
                    self._capture(sweep)
            here.wait_event(self.stream.record())
        if self.why_not:
            return self(sweep, p)
        if self.graph is not None:
            self.graph.launch(here)
        self.note("launched as one graph" if self.graph is not None else "launched one by one")
        assert self.results is not None
        values, gradient = self.results
        return values.copy(), gradient.copy()  # the next sweep writes over these

    def __del__(self) -> None:
        # The pool is in a reference cycle; free it explicitly.
        self.graph = self.results = self.place = None
        self.around = nullcontext
        if not sys.is_finalizing():  # then CUDA may be gone already, and the memory goes with the process
            self.pool.free_all_blocks()

    def _capture(self, sweep: Sweep) -> None:
        self.results = None  # or their memory would be taken a second time
        self.stream.begin_capture()
        try:
            with self.around():
                self.results = sweep(self.place)
        except Exception as error:  # whatever forbids it, the sweep itself is not wrong
            self.why_not = " ".join(str(error).split())[:200] or type(error).__name__
        try:
            graph = self.stream.end_capture()
        except Exception as error:  # a capture that was broken off
            graph = None
            self.why_not = self.why_not or " ".join(str(error).split())[:200] or type(error).__name__
        self.graph = None if self.why_not else graph

    @contextmanager
    def _apart(self) -> Iterator[None]:
        with self.cupy.cuda.using_allocator(self.pool.malloc), self.stream:
            yield
