"""Compare the time of one evaluation on two networks, for instance the one that ships and the one before it.

``git show 18ade05~:handstyle/data/vgg19-slim.h5 > before.h5`` and then ``python -m benchmarks.networks before.h5``. The
networks take turns within one process, at each size. The ratio is the second's time to the first's: the quartiles over
the rounds, since a disturbance reaches both sides of a round. Writes dated JSON to ``benchmarks/results``.
"""

import argparse
from functools import partial

import numpy as np

from benchmarks import common
from handstyle.network.vgg import build_network
from handstyle.painting.load import EMBEDDED, load_weights


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
        sides = {}
        for name in (options.first, options.second):
            network = build_network(load_weights(name)).with_kernels("auto")
            objective = common.objective(network, *common.targets(network, size), size)
            sides[name] = partial(objective, common.picture("tubingen.jpg", size).ravel())
        seconds = common.interleaved(sides, options.rounds)
        pairs = list(zip(seconds[options.second], seconds[options.first], strict=True))
        quartiles = np.quantile([second / first for second, first in pairs], (0.25, 0.5, 0.75)).round(3).tolist()
        least = np.min(pairs, axis=0)
        rows.append({"size": size, "rounds": options.rounds, "ratio_quartiles": quartiles, "least_s": least.tolist()})
        print(rows[-1], flush=True)
    made = [load_weights(name).provenance.get("network", name) for name in (options.first, options.second)]
    print(common.write_results("networks", rows, networks=made))


if __name__ == "__main__":
    main()
