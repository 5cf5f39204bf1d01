"""Record an evaluation as a CUDA graph, and launch it as a whole.

The host takes ten to fifty microseconds to launch a kernel, and the GPU may finish it in one: below 1024 px a GPU waits
for Python. An evaluation consists of the same hundreds of launches every time, at the same addresses; so it is captured
once and then launched by one call (CUDA programming guide, "CUDA graphs"). Its memory must stay where it is, so it is
allocated from a separate pool, which is freed with the recording.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

Sweep = Callable[[Any], tuple[Any, Any]]  # picture -> values, gradient: a forward and a backward pass


class Recording:
    """A recorder that runs a function normally at first, captures it the second time, and then launches the graph.

    The first run compiles kernels and allocates the memory that later runs reuse. A function that cannot be captured,
    for instance because the host waits for the value of a term, is launched kernel by kernel every time.

    Parameters
    ----------
    cupy : module
        The module CuPy.
    context : callable
        Returns a context manager, inside which the function runs.
    report : callable
        Called with a description of how the function was launched, for the report.

    Examples
    --------
    On a machine with a GPU:

    .. code-block:: python

        import cupy

        recording = Recording(cupy, nullcontext, print)
        for _ in range(3):
            values, gradient = recording(sweep, p)
        # prints: launched one by one; launched as one graph; launched as one graph
    """

    def __init__(
        self, cupy: Any, context: Callable[[], AbstractContextManager[None]], report: Callable[[str], None]
    ) -> None:
        self.cupy, self.context, self.report = cupy, context, report
        self.pool = cupy.cuda.MemoryPool()
        self.stream = cupy.cuda.Stream(non_blocking=True)  # the default stream cannot be captured
        self.picture: Any = None  # the buffer of the picture that the graph reads
        self.outputs: tuple[Any, Any] | None = None
        self.graph: Any = None
        self.reason = ""  # why the function cannot be launched as a graph, if it cannot

    def __call__(self, sweep: Sweep, p: Any) -> tuple[Any, Any]:
        """Run a function at a picture, directly or as a graph.

        Parameters
        ----------
        sweep : callable
            ``sweep(p)`` returns the values of the terms and the gradient, both on the device. It must launch the same
            kernels each time. It is an argument here because an attribute would keep its owner alive.
        p : array
            The picture.

        Returns
        -------
        values, gradient : array
            New arrays.
        """
        if self.reason or (self.picture is not None and (p.shape, p.dtype) != (self.picture.shape, self.picture.dtype)):
            self.report(f"launched one by one: {self.reason or 'the picture has changed its shape'}")
            with self.context():
                return sweep(p)
        current = self.cupy.cuda.get_current_stream()
        if self.picture is None:
            with self._own_pool():
                self.picture = self.cupy.empty_like(p)
        self.picture[...] = p
        if self.graph is None:
            self.stream.wait_event(current.record())
            with self._own_pool():
                if self.outputs is None:
                    with self.context():
                        self.outputs = sweep(self.picture)
                else:
                    self._capture(sweep)
            current.wait_event(self.stream.record())
        if self.reason:
            return self(sweep, p)
        if self.graph is not None:
            self.graph.launch(current)
        self.report("launched as one graph" if self.graph is not None else "launched one by one")
        assert self.outputs is not None
        values, gradient = self.outputs
        return values.copy(), gradient.copy()  # the next sweep writes over these

    def __del__(self) -> None:
        # The pool is in a reference cycle; free it explicitly.
        self.graph = self.outputs = self.picture = None
        self.context = nullcontext
        if not sys.is_finalizing():  # at exit CUDA may be shut down already, and the process's memory is freed anyway
            self.pool.free_all_blocks()

    def _capture(self, sweep: Sweep) -> None:
        self.outputs = None  # frees their memory, which the capture allocates again
        self.stream.begin_capture()
        try:
            with self.context():
                self.outputs = sweep(self.picture)
        except Exception as error:  # any reason: the sweep is then launched kernel by kernel
            self.reason = _in_short(error)
        try:
            graph = self.stream.end_capture()
        except Exception as error:  # the capture was aborted
            graph = None
            self.reason = self.reason or _in_short(error)
        self.graph = None if self.reason else graph

    @contextmanager
    def _own_pool(self) -> Iterator[None]:
        with self.cupy.cuda.using_allocator(self.pool.malloc), self.stream:
            yield


def _in_short(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
