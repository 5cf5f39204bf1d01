"""Save a run to a checkpoint, and resume it.

The optimizers save their own state bit for bit (`optimize.checkpoint`). A run adds its current scale, the trace of
earlier scales, and its settings with digests of pictures and network, so that it cannot be resumed with others.
"""

import json
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.picture_paths import expand_path
from handstyle.kernels.cpu.threads import blas_architectures
from handstyle.network.vgg import Network
from handstyle.optimize.checkpoint import read_facts
from handstyle.optimize.checkpoint_archive import check_facts
from handstyle.optimize.loop import TRACE
from handstyle.optimize.trace import Iteration, Save
from handstyle.painting.config import StyleConfig
from handstyle.painting.plan import Plan
from handstyle.painting.recipe import array_digest, network_digest

RUN_TYPES = {  # the types of a run's values in a checkpoint, see `optimize.checkpoint_archive.has_type`
    "scale": int,
    "trace": TRACE,
    "evaluations": int,
    **dict.fromkeys(("network", "pictures", "kernels", "processor"), str),
}
# Settings that may differ when a run resumes: its length, the paths of masks (whose pixels are compared), and tiles,
# which change only the rounding.
MAY_DIFFER = (
    *("iterations", "iterations_by_scale", "evaluations", "stop_below"),
    *("mask", "style_mask", "regions", "tile", "max_pixels"),
)


@dataclass(frozen=True)
class RunPosition:
    """The progress of a run through its scales.

    Parameters
    ----------
    scale : int
        The current scale, counted from 0, the coarsest.
    trace : list of Iteration
        The trace of earlier scales.
    evaluations : int
        Evaluations at earlier scales.

    Examples
    --------
    >>> RunPosition().scale
    0
    """

    scale: int = 0
    trace: list[Iteration] = field(default_factory=list)
    evaluations: int = 0


@dataclass
class Identity:
    """The settings of a run with digests of its network and pictures, which must be the same when it resumes.

    Examples
    --------
    >>> import numpy as np
    >>> from handstyle.foundations.picture_reading import Picture
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> from handstyle.painting.plan import make_plan
    >>> network, photograph = build_network(random_weights()), Picture(np.zeros((32, 32, 3)), None, "")
    >>> config, longer = StyleConfig(size=32, iterations=200), StyleConfig(size=32, iterations=300)
    >>> plan = make_plan(config, photograph, [photograph])
    >>> Identity(config, network, plan).facts == Identity(longer, network, plan).facts  # see `MAY_DIFFER`
    True
    """

    config: StyleConfig
    network: Network
    plan: Plan

    @cached_property
    def network_digest(self) -> str:
        """The digest of the network as it runs, computed once: it takes half a second for VGG-19.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network = build_network(random_weights())
        >>> Identity(StyleConfig(), network, plan=None).network_digest == network_digest(network)
        True
        """
        return network_digest(self.network)

    @cached_property
    def facts(self) -> dict[str, Any]:
        """The settings, without those in `MAY_DIFFER`, and the digests, as JSON values.

        Examples
        --------
        >>> import numpy as np
        >>> from handstyle.foundations.picture_reading import Picture
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> from handstyle.painting.plan import make_plan
        >>> network, photograph = build_network(random_weights()), Picture(np.zeros((32, 32, 3)), None, "")
        >>> config = StyleConfig(size=32)
        >>> identity = Identity(config, network, make_plan(config, photograph, [photograph]))
        >>> identity.facts["settings"]["size"], identity.facts["kernels"], sorted(identity.facts)
        (32, 'reference', ['kernels', 'network', 'pictures', 'processor', 'settings'])
        """
        settings = {key: value for key, value in asdict(self.config).items() if key not in MAY_DIFFER}
        plan, style_masks = self.plan, [mask for mask in self.plan.style_masks if mask is not None]
        return {
            "settings": json.loads(json.dumps(settings)),  # tuples become lists, as after reading
            "network": self.network_digest,
            "pictures": array_digest([plan.p, plan.photograph_pixels, *plan.paintings, *plan.masks, *style_masks]),
            "kernels": self.network.engine.name,
            "processor": processor(),
        }


def save_run(path: Path, save: Save, position: RunPosition, identity: Identity) -> None:
    """Write a checkpoint of a run: the state of the optimizer, the progress and the identity of the run.

    Examples
    --------
    >>> import numpy as np
    >>> from handstyle.foundations.picture_reading import Picture
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> from handstyle.painting.plan import make_plan
    >>> network, photograph = build_network(random_weights()), Picture(np.zeros((32, 32, 3)), None, "")
    >>> config = StyleConfig(size=32)
    >>> identity = Identity(config, network, make_plan(config, photograph, [photograph]))
    >>> def save(path, run):  # an optimizer adds its own state
    ...     print(path, run["scale"], run["evaluations"])
    >>> save_run(Path("out.checkpoint"), save, RunPosition(scale=1, evaluations=90), identity)
    out.checkpoint 1 90
    """
    trace = [row.values() for row in position.trace]
    run = {"scale": position.scale, "trace": trace, "evaluations": position.evaluations}
    save(expand_path(path), run | identity.facts)


def read_run(path: Path, identity: Identity) -> tuple[RunPosition, list[str]]:
    """Read a run's progress from a checkpoint, with notes on differences from an uninterrupted run.

    Parameters
    ----------
    path : Path
        A file written by `save_run`.
    identity : Identity
        The identity of the run that resumes.

    Raises
    ------
    HandstyleError
        If the file is not a checkpoint of a run, or that run has other settings, pictures, or another network.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "out.checkpoint")
    ...     _ = path.write_text("no checkpoint")
    ...     try:
    ...         read_run(path, identity=None)
    ...     except HandstyleError as error:
    ...         print(str(error).split(": ")[1])
    the checkpoint is damaged (File is not a zip file)
    """
    run = read_facts(path).get("run")
    if not isinstance(run, dict) or not isinstance(run.get("settings"), dict):
        raise HandstyleError(f"{path}: a checkpoint written by an optimizer alone, not by a run; it cannot be resumed")
    check_facts(path, run, RUN_TYPES)
    current = identity.facts
    # Of strength and style_weight one is None; the other, which is in use, is compared first: its message says more.
    for name, value in sorted(current["settings"].items(), key=lambda setting: setting[1] is None):
        if name not in run["settings"]:
            raise HandstyleError(f"{path}: saved by an earlier version, which had no {name}; start a new run")
        if (saved := run["settings"][name]) != value:
            raise HandstyleError(f"{path}: that run has {name}={_shown(saved)}, this one {name}={_shown(value)}")
    for what, subject in (("network", "another network"), ("pictures", "other pictures, sizes or masks")):
        if run[what] != current[what]:
            raise HandstyleError(f"{path}: that run has {subject}; use the same ones, or start a new run")
    if run["kernels"] != current["kernels"]:
        raise HandstyleError(
            f"{path}: that run has kernels={run['kernels']!r}, this one {current['kernels']!r}: use the same"
        )
    if run["scale"] >= len(identity.plan.sizes):
        raise HandstyleError(f"{path}: not a checkpoint of this program, it has no scale {run['scale']}")
    notes = []
    if identity.config.optimizer == "lbfgsb" and not identity.config.restarts:
        notes.append(
            "SciPy's L-BFGS-B resumed from the picture alone, since its record of earlier steps cannot be saved: the "
            "result differs from that of an uninterrupted run (optimizer='lbfgs' saves the record)"
        )
    if run["processor"] != current["processor"]:
        notes.append(
            f"the run was started on a processor of another type ({run['processor'][:40]}, here "
            f"{current['processor']}), whose sums differ in the last bits"
        )
    return RunPosition(run["scale"], [Iteration(*row) for row in run["trace"]], run["evaluations"]), notes


def processor() -> str:
    """Return the processor type for which BLAS has chosen its kernels, on which the last bits of products depend.

    Examples
    --------
    >>> from unittest import mock
    >>> with mock.patch("handstyle.painting.resuming.blas_architectures", return_value={"SkylakeX", "Haswell"}):
    ...     processor()  # NumPy and SciPy have a BLAS each
    'Haswell SkylakeX'
    """
    return " ".join(sorted(blas_architectures()))


def _shown(value: Any) -> str:
    return repr(tuple(value)) if isinstance(value, list) else repr(value)
