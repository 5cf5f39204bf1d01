"""Compare the time of one evaluation on two networks, for instance the one that ships and the one before it.

``git show 18ade05~:handstyle/data/vgg19-slim.h5 > before.h5`` and then ``python -m benchmarks.networks before.h5``. The
networks take turns within one process, at each size. The ratio is the second's time to the first's: the quartiles over
the rounds, by the clock and by the processor's time, which other programs disturb less. Writes dated JSON to
``benchmarks/results``.
"""

import argparse
import time
from collections.abc import Sequence
from functools import partial

import numpy as np

from benchmarks import common
from handstyle.foundations.backend import Array
from handstyle.network.vgg import build_network
from handstyle.optimize.objective import Objective
from handstyle.painting.load import EMBEDDED, load_weights


def evaluate(objective: Objective, v: Array, spent: list[float]) -> None:
    """Evaluate, and append the processor's seconds."""
    begun = time.process_time()
    objective(v)
    spent.append(time.process_time() - begun)


def quartiles(first: Sequence[float], second: Sequence[float]) -> list[float]:
    """Return the quartiles of the ratio of the second to the first, round by round."""
    return np.quantile(np.divide(second, first), (0.25, 0.5, 0.75)).round(3).tolist()


def main() -> None:
    """Time both networks and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", help="a file of weights; its time is the divisor")
    parser.add_argument("second", nargs="?", default=EMBEDDED, help="a file or a name; by default what ships")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    rows = []
    for size in options.sizes:
        sides, spent = {}, {}
        for name in (options.first, options.second):
            network = build_network(load_weights(name)).with_kernels("auto")
            objective = common.objective(network, *common.targets(network, size), size)
            spent[name] = list[float]()
            sides[name] = partial(evaluate, objective, common.picture("tubingen.jpg", size).ravel(), spent[name])
        clock = common.interleaved(sides, options.rounds)
        found = {"clock": quartiles(*clock.values()), "processor": quartiles(*(one[1:] for one in spent.values()))}
        rows.append({"size": size, "rounds": options.rounds, "least_s": [min(one) for one in clock.values()]} | found)
        print(rows[-1], flush=True)
    made = [load_weights(name).provenance.get("network", name) for name in (options.first, options.second)]
    print(common.write_results("networks", rows, networks=made))


if __name__ == "__main__":
    main()
