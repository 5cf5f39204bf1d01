"""Compute the tiles of a picture on a Dask cluster: in worker processes on this machine or on others.

The work on a tile is a Dask task. The network and the terms, which all tasks share, are sent to each worker once, and
the gradients at the statistics once for each evaluation. Statistics are added on the workers in the order of
`tree_sum`, so the result has the same bits as without a cluster. If a worker dies, the scheduler repeats the tasks that
it was running, and no others.
"""

import hashlib
import os
import pickle
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from importlib import import_module
from importlib.metadata import version
from typing import Any

from handstyle.foundations.backend import Array, choose_backend
from handstyle.foundations.errors import HandstyleError
from handstyle.kernels.tiles import PictureTile, Step, TileEngine, TileJob, Tiling, add_lists, inner_engine, tree_sum
from handstyle.losses.terms import Statistic
from handstyle.network.sequence import Convolution, Layer, make_engine
from handstyle.network.vgg import Network
from handstyle.optimize.objective import Shape

TILES_IN_FLIGHT = 3  # tiles for each worker that are being sent or computed at a time
# Settings of Dask for the workers of this machine: its own statistics would take a twentieth of the processor's time.
DASK_SETTINGS = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "5s",
}
RETRIES = 5  # times that tasks are sent again after Dask has given them up because workers died
_task_lock = threading.Lock()  # held by a worker during a task: an engine must not be used by two threads at a time


def weights_digest(layers: tuple[Layer, ...]) -> str:
    """Return the SHA-256 digest of all weights of a network, in hexadecimal.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> layers = [build_network(random_weights(seed=seed, deepest="conv1_1")).layers for seed in (0, 0, 1)]
    >>> first, same, other = map(weights_digest, layers)
    >>> first == same, first == other
    (True, False)
    """
    found = hashlib.sha256()
    for layer in layers:
        if isinstance(layer, Convolution):
            for array in (layer.w, layer.b):
                found.update(f"{layer.name} {array.shape} {array.dtype}".encode() + array.tobytes())
    return found.hexdigest()


@dataclass(frozen=True)
class SharedJob:
    """A job in the form that is sent to workers: without the engine, which cannot be pickled.

    Parameters
    ----------
    job : TileJob
        The job. Its network has the reference engine and its weights are on the host.
    backend, kernels : str
        Names of the backend and of the engine that a worker uses.
    digest : str
        The digest of the weights, which a worker compares with what it received.
    package_version : str
        The version of this package, which must be the worker's too.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network = build_network(random_weights(deepest="conv1_1"))
    >>> job = TileJob(network, (), Tiling(network.layers, ["relu1_1"], 64, 64, 64))
    >>> shared = SharedJob(job, "numpy", "im2col", weights_digest(network.layers), version("handstyle"))
    >>> shared.kernels, len(shared.digest)
    ('im2col', 64)
    """

    job: TileJob
    backend: str
    kernels: str
    digest: str
    package_version: str

    def __reduce__(self) -> tuple[Any, ...]:
        # `local_job`, which has threads, is left out.
        return SharedJob, (self.job, self.backend, self.kernels, self.digest, self.package_version)

    @cached_property
    def local_job(self) -> TileJob:
        """The job with an engine that runs in this process.

        Raises
        ------
        HandstyleError
            If this worker has another version of the package, or the weights it received have another digest.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network = build_network(random_weights(deepest="conv1_1"))
        >>> job = TileJob(network, (), Tiling(network.layers, ["relu1_1"], 64, 64, 64))
        >>> shared = SharedJob(job, "numpy", "im2col", weights_digest(network.layers), version("handstyle"))
        >>> job.network.engine.name, shared.local_job.network.engine.name
        ('reference', 'im2col')
        """
        if self.package_version != version("handstyle"):
            raise HandstyleError(
                f"cluster: {self._where} has handstyle {version('handstyle')}, not {self.package_version}"
            )
        if self.digest != weights_digest(self.job.network.layers):
            raise HandstyleError(f"cluster: {self._where} has other weights")
        network = self.job.network
        if self.backend != "numpy":
            network = network.to(choose_backend(self.backend))
        return replace(self.job, network=network.with_kernels(make_engine(self.kernels)))

    @property
    def _where(self) -> str:
        return f"the worker {import_module('distributed').get_worker().address}"


def _run_step(shared: SharedJob, step: Step, tile: PictureTile, p: Array, common: Any) -> Any:
    """Call ``step(job, tile, p, common)`` with the shared job, in a worker."""
    with _task_lock:
        return step(shared.local_job, tile, p, common)


def _run_on_network(shared: SharedJob, work: Callable[..., Any], *arguments: Any) -> Any:
    """Call ``work(network, *arguments)`` with the network of the shared job, in a worker."""
    with _task_lock:
        return work(shared.local_job.network, *arguments)


class Cluster:
    """The workers of a Dask cluster, which compute tiles; see `handstyle.kernels.tiles.Workers`.

    Parameters
    ----------
    client : distributed.Client
        A client connected to the cluster.

    Attributes
    ----------
    sent, received : int
        Bytes of the crops of pictures sent to the workers, and of the gradients received.

    Examples
    --------
    >>> from distributed import Client
    >>> with Client(processes=False, n_workers=2, dashboard_address=":0") as client:  # two workers in this process
    ...     str(Cluster(client)).split(",")[0]
    '2 workers'
    """

    def __init__(self, client: Any) -> None:
        self.client = client
        client.amm.stop()  # Dask's memory manager would drop the workers' copies of the network, all but one
        self.sent = self.received = 0
        self._shared: tuple[TileJob, Any] | None = None
        self._network_job: TileJob | None = None

    def __str__(self) -> str:
        """Return the number of workers and the address of Dask's dashboard, in words."""
        count = len(self.client.scheduler_info()["workers"])
        return f"{count} worker{'s' * (count > 1)}, dashboard {self.client.dashboard_link}"

    def network(self, network: Network, side: int) -> Network:
        """Return the network with an engine that computes by tiles on this cluster; see `by_tiles`.

        Parameters
        ----------
        network : Network
            The network; its engine will compute the tiles.
        side : int
            Side in pixels of a tile with its halo.

        Examples
        --------
        >>> from distributed import Client
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network = build_network(random_weights(deepest="conv1_1"))
        >>> with Client(processes=False, n_workers=1, dashboard_address=":0") as client:  # a worker in this process
        ...     Cluster(client).network(network, side=1024).engine.name
        'tiles of 1024 px, reference'
        """
        return network.with_kernels(TileEngine(inner_engine(network), side, self))

    def begin(self, work: Callable[..., Any], network: Network, *arguments: Any) -> Callable[[], Any]:
        """Start ``work(network, *arguments)`` on one worker, and return a function that waits for its result.

        Parameters
        ----------
        work : callable
            A function at the top level of a module, so that it can be pickled.
        network : Network
            The network. It is sent to the workers once, and again only if the next call has another one.
        *arguments
            Further arguments of `work`.

        Returns
        -------
        callable
            Returns the result of `work`, or raises its exception. If the worker died, it starts the work again.

        Examples
        --------
        >>> from distributed import Client
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network = build_network(random_weights(deepest="conv1_1"))
        >>> with Client(processes=False, n_workers=1, dashboard_address=":0") as client:  # a worker in this process
        ...     wait = Cluster(client).begin(getattr, network, "names")  # getattr(network, "names"), on the worker
        ...     wait()
        ('conv1_1', 'relu1_1')
        """
        if self._network_job is None or self._network_job.network is not network:
            one_tile = Tiling(network.layers, (network.names[0],), 1, 1, 1)
            self._network_job = TileJob(network, (), one_tile)
        job = self._network_job

        def submit() -> Any:
            return self._submit(_run_on_network, self._shared_job(job), work, *arguments)

        futures = [submit()]
        return partial(self._retry, lambda: (futures.pop() if futures else submit()).result())

    def total(self, step: Step, job: TileJob, p: Array, common: Any) -> list[Statistic]:
        """Run a step on every tile, and return the sum of the results, which are added on the workers.

        The parameters are those of `handstyle.kernels.tiles.Sequential.total`, and the result has the same bits.

        Examples
        --------
        >>> import numpy as np
        >>> from distributed import Client
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network = build_network(random_weights(deepest="conv1_1"))
        >>> from handstyle.kernels.tiles import measure_tile
        >>> from handstyle.losses.gram import Moments, StyleTerm
        >>> terms = (StyleTerm("relu1_1", Moments(1.0, np.zeros(16), np.eye(16))),)
        >>> job = TileJob(network, terms, Tiling(network.layers, ["relu1_1"], 40, 20, side=24))  # two tiles
        >>> with Client(processes=False, n_workers=1, dashboard_address=":0") as client:  # a worker in this process
        ...     (moments_of_all,) = Cluster(client).total(measure_tile, job, np.ones((40, 20, 3)), None)
        >>> float(moments_of_all.count)  # 40 · 20 pixels, each once
        800.0
        """

        def summed() -> list[Statistic]:
            def add(a: Any, b: Any) -> Any:
                return self._submit(add_lists, a, b)

            future: Any = tree_sum(self._submit_tiles(step, job, p, common), add)
            return list(future.result())

        statistics: list[Statistic] = self._retry(summed)
        return statistics

    def each(self, step: Step, job: TileJob, p: Array, common: Any) -> Iterator[Array]:
        """Run a step on every tile, and yield the results in the order of the tiles.

        The parameters are those of `handstyle.kernels.tiles.Sequential.each`; each result must be an array.

        Examples
        --------
        >>> import numpy as np
        >>> from distributed import Client
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network = build_network(random_weights(deepest="conv1_1"))
        >>> from handstyle.kernels.tiles import Spread, spread_tile
        >>> from handstyle.losses.content import ContentTerm
        >>> terms = (ContentTerm("relu1_1", np.zeros((40, 20, 16), np.float32), scale=1.0),)
        >>> job = TileJob(network, terms, Tiling(network.layers, ["relu1_1"], 40, 20, side=24))  # two tiles
        >>> with Client(processes=False, n_workers=1, dashboard_address=":0") as client:  # a worker in this process
        ...     parts = Cluster(client).each(spread_tile, job, np.ones((40, 20, 3)), [Spread(np.float64(1.0), 1.0)])
        ...     [dp.shape for dp in parts]
        [(21, 20, 3), (21, 20, 3)]
        """
        killed = import_module("distributed").KilledWorker
        for tile, future in zip(job.tiling.tiles, self._submit_tiles(step, job, p, common), strict=True):
            try:
                found = future.result()
            except killed:
                found = self._retry(partial(self._compute_tile, step, job, tile, p, common))
            self.received += found.nbytes
            yield found

    def _compute_tile(self, step: Step, job: TileJob, tile: PictureTile, p: Array, common: Any) -> Any:
        return self._submit_tile(step, job, tile, p, common).result()

    def _retry(self, work: Callable[[], Any]) -> Any:
        # Dask gives up a task after several workers in a row have died while running it, perhaps for other reasons.
        for _ in range(RETRIES):
            try:
                return work()
            except import_module("distributed").KilledWorker:
                continue
        return work()

    def _submit_tiles(self, step: Step, job: TileJob, p: Array, common: Any) -> Iterator[Any]:
        # The scheduler holds a few crops a worker at a time, not the whole picture.
        common = None if common is None else self._submit(_identity, common)
        window, most = deque[Any](), TILES_IN_FLIGHT * max(1, len(self.client.scheduler_info()["workers"]))
        for tile in job.tiling.tiles:
            if len(window) == most:
                import_module("distributed").wait(window[0])
                yield window.popleft()
            window.append(self._submit_tile(step, job, tile, p, common))
        yield from window

    def _submit_tile(self, step: Step, job: TileJob, tile: PictureTile, p: Array, common: Any) -> Any:
        crop = p[tile.crop].astype(job.network.dtype)
        self.sent += crop.nbytes
        return self._submit(_run_step, self._shared_job(job), step, tile, crop, common)

    def _shared_job(self, job: TileJob) -> Any:
        if self._shared is None or self._shared[0] is not job:
            network, backend = job.network, job.network.backend.name
            host = network.with_kernels("reference").to(choose_backend("numpy"))
            plain = TileJob(host, job.terms, job.tiling)
            shared = SharedJob(plain, backend, network.engine.name, weights_digest(host.layers), version("handstyle"))
            cloudpickle = import_module("cloudpickle")  # a dependency of Dask; it can also pickle nested functions
            future = self._submit(pickle.loads, cloudpickle.dumps(shared))
            self._shared = job, future
        return self._shared[1]

    def _submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        with warnings.catch_warnings():
            # Crops and weights are large, and the scheduler must hold them to send them again.
            warnings.filterwarnings("ignore", message="Sending large graph")
            return self.client.submit(function, *arguments, pure=False)


def _identity(common: Any) -> Any:
    return common


def is_single_tile(network: Network, shape: Shape) -> bool:
    """Return whether a picture is a single tile, which is computed in this process and not by the network's workers.

    Parameters
    ----------
    network : Network
        From `Cluster.network`; for any other the result is False.
    shape : (H, W, 3)
        The shape of the picture.

    Returns
    -------
    bool

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> is_single_tile(build_network(random_weights(deepest="conv1_1")), (64, 64, 3))  # without a cluster
    False
    """
    engine = network.engine
    return isinstance(engine, TileEngine) and isinstance(engine.workers, Cluster) and max(shape[:2]) <= engine.side


def _pin_to_cores(dask_worker: Any, cores: list[int], workers: int) -> None:
    """Restrict a worker process on this machine to its share of the processor cores."""
    own = cores[int(dask_worker.name) % workers :: workers]
    os.sched_setaffinity(0, own or cores)


@contextmanager
def connect_cluster(address: str) -> Iterator[Cluster]:
    """Connect to a running Dask cluster, or start one on this machine, for the duration of a ``with`` block.

    Parameters
    ----------
    address : str
        ``local:N`` starts N worker processes on this machine, which share its cores. ``tcp://host:port`` or
        ``tls://host:port`` is the address of a running scheduler; TLS certificates are set in Dask's configuration.

    Yields
    ------
    Cluster

    Raises
    ------
    HandstyleError
        If Dask is not installed, the address has another form, no scheduler answers, or there is no worker.

    Examples
    --------
    >>> # starts worker processes
    >>> with connect_cluster("local:2") as cluster:  # doctest: +SKIP
    ...     network = cluster.network(by_tiles(network, 1024))
    """
    try:
        distributed = import_module("distributed")
    except ImportError:
        raise HandstyleError("cluster: Dask is not installed: pip install distributed") from None
    kind, _, rest = address.partition(":")
    if kind == "local" and rest.isdecimal() and int(rest):
        workers, cores = int(rest), sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []

        class Pin(distributed.WorkerPlugin):  # type: ignore[misc, name-defined]
            def setup(self, worker: Any) -> None:
                _pin_to_cores(worker, cores, workers)

        with (
            import_module("dask").config.set(DASK_SETTINGS),
            distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                memory_limit=0,
                dashboard_address=":0",
                silence_logs=50,
            ) as here,
            distributed.Client(here) as client,
        ):
            if cores:
                client.register_plugin(Pin())
            yield Cluster(client)
        return
    if kind not in ("tcp", "tls"):
        raise HandstyleError(f"cluster={address!r}: use local:N, or the address of a scheduler, tcp://… or tls://…")
    try:
        client = distributed.Client(address, timeout=10)
    except (OSError, ValueError) as error:
        raise HandstyleError(f"cluster={address!r}: no scheduler answers: {error}") from None
    with client:
        if not client.scheduler_info()["workers"]:
            raise HandstyleError(
                f"cluster={address!r}: the scheduler has no worker; start one with: dask worker {address}"
            )
        yield Cluster(client)
