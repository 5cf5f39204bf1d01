"""The workers of a cluster, which compute the tiles of a picture."""

from collections.abc import Iterator
from contextlib import contextmanager

from handstyle.cli.terminal import say
from handstyle.kernels.cluster import Cluster, connect_cluster
from handstyle.network.vgg import Network
from handstyle.painting.config import StyleConfig

CLUSTER_TILE = 512  # pixels: small enough that several workers have something to do


@contextmanager
def connect_workers(address: str) -> Iterator[Cluster | None]:
    """Connect to the cluster at an address, print its number of workers, and yield it; without address, yield None.

    Examples
    --------
    >>> with connect_workers("") as cluster:
    ...     cluster is None
    True
    """
    if not address:
        yield None
        return
    with connect_cluster(address) as cluster:
        say(f"cluster: {cluster}")
        yield cluster


def with_workers(cluster: Cluster | None, network: Network, config: StyleConfig) -> Network:
    """Return the network with an engine that computes tiles on a cluster; without a cluster, the network itself.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network = build_network(random_weights())
    >>> with_workers(None, network, StyleConfig()) is network
    True
    """
    return network if cluster is None else cluster.network(network, config.tile or CLUSTER_TILE)
