"""``python -m weights_tools.distill``: make the embedded network from VGG-19."""

import argparse
import sys
import time
from pathlib import Path

from threadpoolctl import threadpool_limits

from handstyle.foundations.errors import HandstyleError
from handstyle.network.vgg import convolution_names
from handstyle.painting.load import load_weights
from weights_tools.distill.state import TrainingSettings, round_weights, small_weights, write_network
from weights_tools.distill.train import Distiller

WIDTHS = (24, 24, 64, 64, 112, 112, 112, 112, 256, 256, 256, 256, 512)


def main() -> None:
    """Parse the command line, run the distillation, write the network.

    Examples
    --------
    .. code-block:: console

        $ python -m weights_tools.distill --teacher vgg19 --out vgg19-slim.h5
    """
    parser = argparse.ArgumentParser(prog="python -m weights_tools.distill", description=__doc__)
    parser.add_argument("--teacher", default="vgg19", help="as handstyle weights get vgg19 installed it, or a file")
    parser.add_argument("--out", default=Path("vgg19-slim.h5"), type=Path, help="the network to write")
    parser.add_argument("--checkpoint", default=Path("distill.npz"), type=Path, help="state; resumed from if it exists")
    parser.add_argument(
        "--steps", default=TrainingSettings.steps, type=int, help="steps of Adam; 0: the closed form alone"
    )
    parser.add_argument("--workers", default=2, type=int, help="threads; the result does not depend on it")
    parser.add_argument("--seed", default=0, type=int)
    parser.add_argument("--overwrite", action="store_true", help="replace an existing network")
    arguments = parser.parse_args()
    started = time.monotonic()

    def report(line: str) -> None:
        print(f"{time.monotonic() - started:7.0f} s  {line}", file=sys.stderr, flush=True)

    try:
        if arguments.out.exists() and not arguments.overwrite:
            raise HandstyleError(f"{arguments.out} exists: choose another name or add --overwrite")
        teacher = load_weights(arguments.teacher)
        settings = settings_of(arguments)
        with threadpool_limits(1):  # one BLAS thread a picture: the pictures are the parallelism, and the bits repeat
            run = Distiller(teacher, settings, arguments.checkpoint, arguments.workers, report)
            run.run()
        provenance = _provenance_of(settings, teacher.provenance)
        small = small_weights(run.state.parameters, teacher.convention, provenance)
        write_network(arguments.out, round_weights(small))
        report(
            f"{arguments.out}: {arguments.out.stat().st_size / 1e6:.2f} MB; weights_tools.distill.evaluate judges it"
        )
    except HandstyleError as error:
        sys.exit(f"{parser.prog}: {error}")


def settings_of(arguments: argparse.Namespace) -> TrainingSettings:
    """Return the training settings for the parsed arguments `steps` and `seed` of the command line.

    Examples
    --------
    >>> settings = settings_of(argparse.Namespace(steps=100, seed=1))
    >>> settings.steps, settings.widths["conv1_1"]
    (100, 24)
    """
    widths = dict(zip(convolution_names("vgg19"), WIDTHS, strict=False))
    return TrainingSettings(widths, steps=arguments.steps, seed=arguments.seed)


def _provenance_of(settings: TrainingSettings, teacher: dict[str, str]) -> dict[str, str]:
    """Return the provenance of the written file; ``weights_tools.distill.evaluate`` adds the measured errors."""
    widths = ", ".join(map(str, settings.widths.values()))
    drawn = f"drawn by weights_tools.distill.pictures, in part from scikit-image's photographs, {settings.size} px"
    training = f"closed form on {settings.pictures} pictures and {settings.paintings} practice paintings"
    if settings.steps:
        training += (
            f", then {settings.steps} steps of Adam at {settings.learns_from} and deeper, {settings.batch} pictures a "
            f"step, a new one every {settings.fresh} steps"
        )
    return {
        "network": f"vgg19 slim, conv1_1 to conv5_1, widths {widths}",
        "source": "distilled from VGG-19 (Simonyan and Zisserman 2015; Oxford VGG, CC BY 4.0): pruned, refitted",
        "license": "CC BY 4.0",
        "source_sha256": teacher.get("source_sha256") or teacher.get("sha256", "unknown"),
        "training": f"{training}; {drawn}; seed {settings.seed}",
        "steps": str(settings.steps),
    }


if __name__ == "__main__":
    main()
