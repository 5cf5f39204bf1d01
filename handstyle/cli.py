"""The command line: ``handstyle demo | stylize | texture | reconstruct | check | info``, and the tools for weights.

Flags and their help come from `StyleConfig` and from the docstrings below. What a user got wrong ends in one line on
standard error and exit status 2; a check that fails in status 1; an interruption in status 130.
"""

import signal
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from cyclopts import App, ArgumentCollection, CycloptsError, Parameter
from cyclopts.config import Dict as FromDict
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table
from rich.text import Text

from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.picture_reading import Picture, PictureLike, read_picture
from handstyle.foundations.picture_writing import check_writable, write_picture
from handstyle.network.vgg import Network, summary
from handstyle.painting.config import StyleConfig
from handstyle.painting.descent import iterations_at
from handstyle.painting.flow_painting import flow_painting
from handstyle.painting.inputs import output_size, spread_folders
from handstyle.painting.interchange import equivalent_weights
from handstyle.painting.networks import EMBEDDED, backend_of, load_network
from handstyle.painting.presets import PRESETS, feed, mismatches, rebuild
from handstyle.painting.presets import preset as find_preset
from handstyle.painting.scenes import night_scene
from handstyle.painting.selfcheck import self_check
from handstyle.painting.settings import preset_settings, read_settings, settings_toml
from handstyle.painting.transfer import Progress, Result, planned_iterations, stylize

app = App(name="handstyle", help="Paint one picture in the style of another, every gradient by hand.")
out, err = Console(), Console(stderr=True)

Flat = Parameter(name="*")  # a dataclass whose fields are flags of the command
Precision = Literal["float32", "float64"]


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Which network runs, where, and how.

    Parameters
    ----------
    weights : str
        vgg19-slim (ships with the package), random, vgg16, vgg19, or a weight file.
    backend : str
        numpy, cupy, or auto: a GPU where one is found.
    kernels : str
        auto, or the name of a set of kernels; reference is the readable one.
    pooling : str
        max, or average.
    padding : str
        zero, reflect, replicate, or first-replicate: the first convolution alone.
    rounding : str
        How pooling treats an odd side: down drops it, up keeps it.
    """

    weights: str = EMBEDDED
    backend: Literal["auto", "numpy", "cupy"] = "auto"
    kernels: str = "auto"
    pooling: Literal["max", "average"] = "max"
    padding: Literal["zero", "reflect", "replicate", "first-replicate"] = "zero"
    rounding: Literal["down", "up"] = "down"

    def load(self, precision: str) -> Network:
        """Return the network, ready to run in a precision."""
        loaded = load_network(self.weights, backend=self.backend, dtype=precision, kernels=self.kernels)
        return rebuild(loaded, self.pooling, self.padding, self.rounding)


def fill_from_preset_and_file(_: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Give every flag that was not typed its value from ``--config`` or, failing that, from ``--preset``.

    The parser calls this between reading the flags and converting them, so that what was typed always wins, even
    where it equals a default.
    """
    named = {name: argument for argument in arguments for name in argument.names}
    if not {"--preset", "--config", "--style-weight"} <= named.keys():
        return
    others = [name[2:].replace("-", "_") for name in named if name.startswith("--") and not name.startswith("--no-")]
    if named["--config"].tokens:
        path = named["--config"].tokens[-1].value
        FromDict(read_settings(path, others), source=path, use_commands_as_keys=False)(_, commands, arguments)
    if named["--preset"].tokens:
        name = named["--preset"].tokens[-1].value
        chosen = preset_settings(find_preset(name))
        FromDict(chosen, source=f"preset {name}", use_commands_as_keys=False)(_, commands, arguments)


app.config = [fill_from_preset_and_file]


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What a run is, besides its pictures.

    Parameters
    ----------
    preset : str
        A system whose choices to begin with; handstyle info --preset NAME shows them.
    config : Path
        A TOML file of settings; what is typed goes before it, and it before a preset.
    write_config : bool
        Print the settings as TOML, and paint nothing.
    precision : str
        float32, or float64, which is for checks.
    save_every : int
        Also write OUTPUT_at_iteration_K for every K-th iteration, as the classic script does; 0 for none.
    overwrite : bool
        Replace an existing output.
    """

    preset: str = ""
    config: Path | None = None
    write_config: Annotated[bool, Parameter(negative="")] = False
    precision: Precision = "float32"
    save_every: int = 0
    overwrite: bool = False

    def load(self, network: NetworkConfig) -> Network:
        """Return the network as the preset feeds it, and say what of the preset it cannot give."""
        loaded = network.load(self.precision)
        if not self.preset:
            return loaded
        chosen = find_preset(self.preset)
        for note in (*mismatches(loaded, chosen), *chosen.notes):
            out.print(f"preset {self.preset}: {note}")
        return feed(loaded, chosen)

    def settings(self, config: StyleConfig, network: NetworkConfig) -> str:
        """Return the settings as TOML."""
        own = {"preset": self.preset} if self.preset else {}
        return settings_toml(config, {**own, "precision": self.precision, **asdict(network)})


@app.command(name="stylize")
def stylize_command(
    content: Path,
    style: Path,
    *more_styles: Path,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    config: Annotated[StyleConfig, Flat] = StyleConfig(),  # noqa: B008  frozen
    network: Annotated[NetworkConfig, Flat] = NetworkConfig(),
    run: Annotated[RunConfig, Flat] = RunConfig(),
) -> int:
    """Paint CONTENT in the style of STYLE.

    Parameters
    ----------
    content : Path
        The photograph.
    style : Path
        The painting, or a folder of paintings.
    more_styles : Path
        More paintings or folders; blended, or each in its --mask.
    output : Path
        Where the picture goes: .png, .jpg, .webp or .tif.
    """
    return start(content, [style, *more_styles], output, config, network, run)


@app.command
def texture(
    style: Path,
    *more_styles: Path,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    config: Annotated[StyleConfig, Flat] = StyleConfig(),  # noqa: B008  frozen
    network: Annotated[NetworkConfig, Flat] = NetworkConfig(),
    run: Annotated[RunConfig, Flat] = RunConfig(),
) -> int:
    """Make a square picture that has the style of STYLE and no content (Gatys et al. 2015, arXiv 1505.07376).

    Parameters
    ----------
    style : Path
        The painting, or a folder of paintings.
    more_styles : Path
        More paintings or folders.
    output : Path
        Where the picture goes.
    """
    if config.mask:
        raise HandstyleError("--mask: a texture has no regions; paint a picture with handstyle stylize")
    if config.color != "none":
        raise HandstyleError(f"--color {config.color}: a texture has no photograph whose colours it could have")
    init = "noise" if config.init == "content" else config.init
    config = replace(config, content_weight=0.0, init=init, size_rule="long")
    blank = np.full((config.size, config.size, 3), 127.5, np.float32)
    return start(blank, [style, *more_styles], output, config, network, run)


@app.command
def reconstruct(
    picture: Path,
    *,
    layer: str,
    of: Literal["content", "style"] = "content",
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    size: int = 256,
    iterations: int = 200,
    tv_weight: float = 1e-6,
    seed: int = 0,
    network: Annotated[NetworkConfig, Flat] = NetworkConfig(),
    run: Annotated[RunConfig, Flat] = RunConfig(),
) -> int:
    """Paint from noise what one LAYER keeps of PICTURE (Gatys et al. 2016, fig. 1).

    Parameters
    ----------
    picture : Path
        Any picture.
    layer : str
        Where its features are measured: relu4_2, conv3_1, pool2, …
    of : str
        content: the features themselves; style: their Gram matrix.
    output : Path
        Where the picture goes.
    size : int
        Long side, pixels.
    iterations : int
        Of L-BFGS.
    tv_weight : float
        A little smoothness, which says nothing of its own.
    seed : int
        Of the noise.
    """
    options: dict[str, Any] = {"content_weight": 0.0, "style_weight": 1.0, "style_layers": (layer,)}
    if of == "content":
        options = {"content_weight": 1.0, "style_weight": 0.0, "content_layers": (layer,)}
    config = StyleConfig(size=size, iterations=iterations, init="noise", tv_weight=tv_weight, seed=seed, **options)
    return start(picture, [picture], output, config, network, run)


def start(
    content: PictureLike,
    styles: Sequence[PictureLike],
    output: Path,
    config: StyleConfig,
    network: NetworkConfig,
    run: RunConfig,
) -> int:
    """Check what can be checked without reading a picture, then paint; return the exit status."""
    if run.save_every < 0:
        raise HandstyleError(f"--save-every {run.save_every}: must be 0 or more")
    config.check()
    if run.write_config:
        out.print(run.settings(config, network), end="", markup=False, highlight=False, soft_wrap=True)
        return 0
    paintings = spread_folders(styles)
    config.check_styles(len(paintings))
    check_outputs(output, config, run.save_every, run.overwrite)  # once more in `paint`, which has read the photograph
    return paint(content, paintings, output, config, network, run.load(network), run.save_every, run.overwrite)


@app.command
def demo(
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path("demo"),
    size: int = 384,
    iterations: int = 100,
    network: Annotated[NetworkConfig, Flat] = NetworkConfig(),
) -> int:
    """Draw a town at night and a painting, and paint the one in the style of the other.

    Parameters
    ----------
    output : Path
        A folder for the three pictures; it is made, and pictures of an earlier demo in it are replaced.
    size : int
        Long side of the pictures, pixels.
    iterations : int
        Of L-BFGS.
    """
    config = StyleConfig(size=size, iterations=iterations)
    config.check()
    output.mkdir(parents=True, exist_ok=True)
    scene, painting = night_scene(config.size * 3 // 4, config.size), flow_painting(config.size, config.size)
    write_picture(output / "content.png", scene, overwrite=True)
    write_picture(output / "style.png", painting, overwrite=True)
    out.print(f"drew {output / 'content.png'} and {output / 'style.png'}")
    return paint(scene, [painting], output / "painted.png", config, network, network.load("float32"), overwrite=True)


def paint(
    content: PictureLike,
    styles: Sequence[PictureLike],
    output: Path,
    config: StyleConfig,
    network: NetworkConfig,
    loaded: Network,
    save_every: int = 0,
    overwrite: bool = False,
) -> int:
    """Run `stylize` with a progress bar, save what it returns and say why it stopped; return the exit status."""
    config.check_layers(loaded)
    photograph, paintings = read_picture(content), [read_picture(style) for style in styles]
    check_outputs(output, config, save_every, overwrite, photograph)
    backend = backend_of(loaded)
    out.print(f"network {described(network.weights)}, kernels {loaded.engine.name}, {backend.name} on {backend.device}")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
    )
    with PaintingBar(*columns, console=err) as bar:
        task = bar.add_task("painting", total=planned_iterations(config, photograph))

        def show(progress: Progress) -> None:
            bar.losses = losses_line(progress)
            bar.update(task, completed=progress.iteration)
            if save_every and progress.iteration % save_every == 0:
                write_picture(at_iteration(output, progress.iteration, config), progress.array, overwrite=overwrite)

        result = stylize(photograph, paintings, network=loaded, config=config, callback=show)
    result.save(output, overwrite=overwrite)
    return report(result, output)


def check_outputs(
    output: Path, config: StyleConfig, save_every: int, overwrite: bool, photograph: Picture | None = None
) -> None:
    """Refuse an output that could not be written; with the photograph, also one that could not hold it."""
    alpha, size = False, None
    if photograph is not None:
        alpha = photograph.alpha is not None
        size = output_size(config, (photograph.pixels.shape[0], photograph.pixels.shape[1]), photograph.source)
    total = iterations_at(config, 0) if photograph is None else planned_iterations(config, photograph)
    for path in [output, *(at_iteration(output, i, config) for i in saved_iterations(total, save_every))]:
        check_writable(path, overwrite, alpha=alpha, size=size)


class PaintingBar(ProgressBar):
    """A progress bar with the losses on a line of their own, so that a narrow terminal shows them whole."""

    losses = "measuring the targets"

    def get_renderables(self) -> Iterable[RenderableType]:
        """Yield the bar and the line below it."""
        yield self.make_tasks_table(self.tasks)
        yield Text(self.losses, overflow="ellipsis", no_wrap=True)


def report(result: Result, output: Path) -> int:
    """Print what came out and why the run stopped, and return the exit status."""
    for note in result.notes:
        out.print(f"note: {note}")
    interrupted = result.stopped.startswith("interrupted")
    out.print(f"stopped: {result.stopped}; {result.evaluations} evaluations")
    kind = "the best picture so far" if interrupted or result.failed else "the picture"
    out.print(f"{kind} is in {output}")
    return 130 if interrupted else 1 if result.failed else 0


def losses_line(progress: Progress) -> str:
    """Return the losses by kind of term, and the evaluations, for the progress bar."""
    kinds: dict[str, float] = {}
    for name, value in progress.terms.items():
        kind = "tv" if name == "total variation" else name.split()[0]
        kinds[kind] = kinds.get(kind, 0.0) + value
    terms = "  ".join(f"{kind} {value:.3g}" for kind, value in kinds.items())
    return f"loss {progress.value:.4g} ({terms})  {progress.evaluations} evaluations"


def at_iteration(output: Path, iteration: int, config: StyleConfig) -> Path:
    """Return the name of the picture at an iteration: ``out_at_iteration_20.png``; the classic loop counts from 0."""
    iteration -= bool(config.rounds)
    return output.with_name(f"{output.stem}_at_iteration_{iteration}{output.suffix}")


def saved_iterations(iterations: int, save_every: int) -> range:
    """Return the iterations whose pictures will be written."""
    return range(save_every, iterations + 1, save_every) if save_every else range(0)


def described(weights: str) -> str:
    """Return the name of the weights, with a label where they have learnt nothing."""
    return "random (seeded, not trained: colour and grain only)" if weights == "random" else weights


@app.command
def check(
    *,
    size: int = 32,
    seed: int = 0,
    precision: Precision = "float64",
    network: Annotated[NetworkConfig, Flat] = NetworkConfig(),
) -> int:
    """Check every gradient of a network, by adjoints, differences and Taylor; exit status 1 if one fails.

    Parameters
    ----------
    size : int
        Side of the random picture, pixels.
    seed : int
        Of the picture and of the directions.
    precision : str
        float64, where differences can judge, or float32.
    """
    if size < 16:
        raise HandstyleError(f"--size {size}: must be 16 or more")
    loaded = network.load(precision)
    table = Table(title=f"{network.weights}, {precision}, kernels {loaded.engine.name}")
    for heading in ("of", "check", "measured", "expected", "kinks crossed", "verdict"):
        table.add_column(heading, justify="right" if heading in ("measured", "kinks crossed") else "left")
    failures = 0
    for subject, found in self_check(loaded, size, seed):
        bound = found.bound
        expected = f"{bound[0]} to {bound[1]}" if isinstance(bound, tuple) else f"at most {bound:.0e}"
        verdict = "ok" if found else "[bold red]FAILED"
        table.add_row(subject, found.check, f"{found.measured:.2e}", expected, str(found.kinks or ""), verdict)
        failures += not found
    out.print(table)
    out.print("every gradient is right" if not failures else f"{failures} checks FAILED")
    return 1 if failures else 0


@app.command
def info(
    *,
    size: int = 512,
    preset: str = "",
    as_: Annotated[str, Parameter(name="--as")] = "",
    precision: Precision = "float32",
    network: Annotated[NetworkConfig, Flat] = NetworkConfig(),
) -> int:
    """Print the network: every layer, its output, parameters, receptive field and memory. Or a preset.

    Parameters
    ----------
    size : int
        Side of the picture, pixels.
    preset : str
        Print this preset instead: its settings, and where they are from; all for a list.
    as_ : str
        With --preset: print the preset's weights in the units of this other one.
    precision : str
        float32 or float64.
    """
    if as_ and not preset:
        raise HandstyleError("--as NAME carries weights over from a preset: add --preset")
    if preset:
        return preset_info(preset, as_, size, network)
    loaded = network.load(precision)
    rows = summary(loaded, size, size)
    bytes_each = loaded.dtype.itemsize
    table = Table(title=f"{network.weights} ({loaded.architecture}), {loaded.convention.name}, {size} x {size} px")
    for heading in ("layer", "output", "parameters", "receptive field", "feature map"):
        table.add_column(heading, justify="left" if heading == "layer" else "right")
    for row in rows:
        shape = " x ".join(map(str, row.shape))
        parameters = f"{row.parameters:,}" if row.parameters else ""
        table.add_row(row.name, shape, parameters, f"{row.receptive_field} px", mebibytes(row.values * bytes_each))
    out.print(table)
    out.print(f"parameters: {sum(row.parameters for row in rows):,}")
    out.print(
        f"all feature maps: {mebibytes(sum(row.values for row in rows) * bytes_each)}; kernels: {loaded.engine.name}"
    )
    return 0


def preset_info(name: str, other: str, size: int, network: NetworkConfig) -> int:
    """Print the presets, one preset, or its weights in the units of another."""
    if name == "all":
        table = Table("preset", "optimiser", "from", title="presets")
        for each, chosen in PRESETS.items():
            table.add_row(each, chosen.config.optimizer, chosen.source)
        out.print(table)
        return 0
    chosen = find_preset(name)
    if not other:
        out.print(f"# {name}: {chosen.source}", markup=False, highlight=False, soft_wrap=True)
        for note in chosen.notes:
            out.print(f"# {note}", markup=False, highlight=False, soft_wrap=True)
        out.print(f"# {chosen.architecture}, weights in {chosen.weights}'s convention", highlight=False)
        out.print(f"# optimisers that can serve it: {', '.join(chosen.optimisers)}", highlight=False)
        own = {"pooling": chosen.pooling, "padding": chosen.padding, "rounding": chosen.rounding}
        out.print(settings_toml(chosen.config, own), end="", markup=False, highlight=False, soft_wrap=True)
        return 0
    target = find_preset(other)
    rows = equivalent_weights(chosen, target, network.load("float32"), size, size)
    table = Table(title=f"weights of {name} in the units of {other}, at {size} x {size} px")
    for heading in ("term", name, f"as {other}", f"{other}'s own", ""):
        table.add_column(heading, justify="left" if heading in ("term", "") else "right")
    for row in rows:
        shown = ["" if value is None else f"{value:.6g}" for value in (row.weight, row.equivalent, row.own)]
        table.add_row(row.term, *shown, row.note)
    out.print(table)
    out.print("all weights of a run may be multiplied by one number")
    if chosen.weights != target.weights or chosen.input != target.input:
        out.print("the two feed their networks differently: the weights are equivalent at equal features")
    return 0


def mebibytes(n: int) -> str:
    """Return a number of bytes in MiB, in words."""
    return f"{n / 2**20:,.1f} MiB"


def main() -> None:
    """Run the command line; turn a user's mistakes into one line and exit status 2."""
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))  # a batch system's way to say Ctrl-C
    try:
        status = app(result_action="return_value", exit_on_error=False, print_error=False)
    except (HandstyleError, CycloptsError) as error:
        message = " ".join(str(error).split())
        err.print(f"handstyle: {message}", markup=False, highlight=False, soft_wrap=True)
        status = 2
    except KeyboardInterrupt:
        err.print("handstyle: interrupted before the first picture; nothing was written")
        status = 130
    sys.exit(status if isinstance(status, int) else 0)
