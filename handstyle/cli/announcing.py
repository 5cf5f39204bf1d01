"""The lines that are printed before and after a run: network, pictures, iterations, notes, where the picture is."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from handstyle.cli.checkpoints import checkpoint_path
from handstyle.cli.options import NetworkConfig, RunConfig, as_flags, mebibytes
from handstyle.cli.terminal import event, out, say, warn
from handstyle.foundations.picture_paths import expand_path
from handstyle.foundations.picture_reading import Picture
from handstyle.kernels.cluster import is_single_tile
from handstyle.network.weights import EMBEDDED
from handstyle.painting.config import StyleConfig
from handstyle.painting.inputs import scales, size_for_photograph
from handstyle.painting.memory import RunMemory
from handstyle.painting.presets import PRESETS
from handstyle.painting.recipe import BLANK
from handstyle.painting.result import Result
from handstyle.painting.strength import style_weight
from handstyle.painting.trial import run_time
from weights_tools.registry import locate

# Seconds of SciPy's L-BFGS-B with ten pairs, for each value of the picture and iteration, on a server's CPU: 100
# iterations at 512 px took 11 s, evaluations excluded (benchmarks/results/2026-11-27-gpu.json, "scipy float32").
SCIPY_SECONDS = 1.4e-7


def lbfgs_advice(values: int, itemsize: int) -> str:
    """Return a sentence on the time that SciPy's L-BFGS-B, which runs on the host, adds to an iteration on a GPU.

    `values` is the number of values of the picture, `itemsize` the bytes of each on the GPU.

    Examples
    --------
    >>> lbfgs_advice(3 * 512 * 512, itemsize=4).split(": ")[0]
    "SciPy's L-BFGS-B runs on the host"
    """
    moved = mebibytes(2 * itemsize * values)  # the picture to the device, the gradient back
    return (
        f"SciPy's L-BFGS-B runs on the host: an iteration takes {SCIPY_SECONDS * values:.1g} s more, copies {moved}: "
        "--optimizer lbfgs avoids both"
    )


def describe_pictures(config: StyleConfig, photograph: Picture, paintings: Sequence[Picture]) -> str:
    """Return a phrase with the names of a run's photograph and paintings, for the user.

    Examples
    --------
    >>> import numpy as np
    >>> from handstyle.foundations.picture_reading import read_picture
    >>> photograph = read_picture(np.zeros((8, 8, 3)))
    >>> describe_pictures(StyleConfig(), photograph, [photograph])
    'an array in the style of an array'
    """
    subject = "a texture" if photograph.source == BLANK else Path(photograph.source).name
    what = " and ".join(Path(painting.source).name for painting in paintings)
    what = f"in the style of {what}" if config.has_style else f"by its features at {' '.join(config.content_layers)}"
    return f"{subject} {what}"


def print_start(
    memory: RunMemory,
    photograph: Picture,
    paintings: Sequence[Picture],
    output: Path,
    weights: str,
    strong: str,
    run: RunConfig,
) -> None:
    """Print what a run will do: its network, engine, device, tiles, pictures, strength, size and iterations.

    Parameters
    ----------
    memory : RunMemory
        The forecast of the run, with its settings and network.
    photograph, paintings : Picture, sequence of Picture
        The pictures, as they were read.
    output : Path
        The picture to write.
    weights : str
        The name of the network, as it was typed.
    strong : str
        The strength in words.
    run : RunConfig
        The settings of the run.

    Examples
    --------
    >>> import numpy as np
    >>> from handstyle.foundations.picture_reading import read_picture
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> config, photograph = StyleConfig(size=32, iterations=5), read_picture(np.zeros((32, 32, 3)))
    >>> memory = RunMemory.now(config, build_network(random_weights()), photograph, [photograph])
    >>> print_start(  # doctest: +ELLIPSIS
    ...     memory, photograph, [photograph], Path("out.png"), "random", "strength 0.5", RunConfig()
    ... )
    network random (seeded, not trained: color and grain only), kernels reference, numpy on ...
    an array in the style of an array, strength 0.5, 32 x 32 px, 5 iterations
    """
    config, loaded = memory.config, memory.network
    backend = loaded.backend
    untrained = " (seeded, not trained: color and grain only)" if weights == "random" else ""
    say(f"network {weights}{untrained}, kernels {loaded.engine.name}, {backend.name} on {backend.device}")
    if weights == EMBEDDED and locate("vgg19") is None:
        say("a small network in place of VGG-19; for VGG-19: handstyle weights get vgg19, then --weights vgg19")
    height, width = size_for_photograph(config, photograph)
    if backend.name == "cupy" and config.optimizer == "lbfgsb":
        say(lbfgs_advice(3 * height * width, loaded.dtype.itemsize))
    if memory.tiled:
        say(as_flags("; ".join(filter(None, (memory.tiled, "" if run.cluster else str(run_time(memory)))))))
    if run.cluster and is_single_tile(loaded, (height, width, 3)):
        say("the picture is one tile, so the workers have nothing to do: use a smaller --tile")
    sizes = scales(config, (height, width))
    each = [config.iterations_at(k) for k in range(len(sizes))]
    steps = f"{sum(each)} iterations"
    if len(sizes) > 1 and len(set(each)) == 1:
        steps += f": {each[0]} at each of {len(sizes)} scales"
    elif len(sizes) > 1:
        steps += f" at {len(sizes)} scales: {' + '.join(map(str, each))}"
    mixed = " blended" if len(paintings) > 1 and not (config.mask or config.regions) else ""
    if mixed and len(paintings) > 2 and not config.style_blend:  # as a shell lists the photographs of a folder
        print_notes([f"{len(paintings)} paintings are blended; for several photographs: handstyle batch FOLDER STYLE"])
    say(f"{describe_pictures(config, photograph, paintings)}{mixed}, {strong}, {width} x {height} px, {steps}")
    event(
        "begin",
        version=version("handstyle"),
        photograph=photograph.source,
        paintings=[painting.source for painting in paintings],
        output=output,
        network=weights,
        device=backend.device,
        style_weight=style_weight(config, loaded),
        iterations=sum(each),
        sizes=[[w, h] for h, w in sizes],
    )


def settings_line(config: StyleConfig, network: NetworkConfig, run: RunConfig) -> str:
    """Return a line with the name of the preset and the settings that differ from it.

    Examples
    --------
    >>> settings_line(StyleConfig(size=256, seed=7), NetworkConfig(), RunConfig())
    'preset handstyle, size 256, seed 7'
    """
    chosen = PRESETS[run.preset]
    base = {**asdict(chosen.config), **asdict(NetworkConfig())}
    base |= {name: getattr(chosen, name) for name in ("pooling", "padding", "rounding")}
    given = {**config.in_use(), **asdict(network)}
    texts = [f"preset {run.preset}"]
    for name, value in given.items():
        if value != base[name]:
            texts.append(f"{name} {' '.join(map(str, value)) or 'none' if isinstance(value, tuple) else value}")
    return ", ".join(texts)


def print_notes(notes: Iterable[str]) -> None:
    """Print notes of the library, with flags in place of parameters.

    Examples
    --------
    >>> print_notes(["size=256 is larger than the photograph"])
    note: --size 256 is larger than the photograph
    """
    for note in notes:
        say(as_flags(f"note: {note}"))
        event("note", text=as_flags(note))


def print_end(result: Result, output: Path, written: Path, keep: Path | None) -> int:
    """Print the reason for stopping and the picture's path, and return the exit status.

    Examples
    --------
    >>> import numpy as np
    >>> result = Result(np.zeros((8, 8, 3)), None, "done", "all 300 iterations done", [], 310, False, {})
    >>> print_end(result, Path("out.png"), Path("out.png"), None)
    stopped: all 300 iterations done; 310 evaluations
    the picture is in out.png
    0
    """
    say(as_flags(f"stopped: {result.stopped.removeprefix('stopped ')}; {result.evaluations} evaluations"))
    kind = "the best picture so far" if result.interrupted or result.failed else "the picture"
    elsewhere = written != expand_path(output)
    place = f"{kind} is in {written}"
    say(place + (f", since {output} could not be written" if elsewhere else ""))
    if out.quiet and (elsewhere or result.failed):
        warn(as_flags(f"handstyle: {result.stopped}; {place}"))
    if (result.interrupted or result.failed) and keep is not None and keep.exists():
        named = "" if keep == checkpoint_path(output) else f" {keep}"
        say(f"the run is in {keep}: the same command with --resume{named} continues it")
    return 130 if result.interrupted else 1 if result.failed or elsewhere else 0
