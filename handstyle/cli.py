"""The command line: ``handstyle demo | stylize | check | info``, and the tools for weights.

Flags and their help come from `StyleConfig` and from the docstrings below. What a user got wrong ends in one line on
standard error and exit status 2; a check that fails in status 1; an interruption in status 130.
"""

import signal
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table
from rich.text import Text

from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.image import fitted_size
from handstyle.foundations.picture_reading import Picture, PictureLike, read_picture
from handstyle.foundations.picture_writing import check_writable, write_picture
from handstyle.network.vgg import Network, summary
from handstyle.painting.config import StyleConfig
from handstyle.painting.flow_painting import flow_painting
from handstyle.painting.networks import EMBEDDED, backend_of, load_network
from handstyle.painting.scenes import night_scene
from handstyle.painting.selfcheck import self_check
from handstyle.painting.transfer import Progress, Result, stylize

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
        zero, reflect or replicate.
    """

    weights: str = EMBEDDED
    backend: Literal["auto", "numpy", "cupy"] = "auto"
    kernels: str = "auto"
    pooling: Literal["max", "average"] = "max"
    padding: Literal["zero", "reflect", "replicate"] = "zero"

    def load(self, precision: str) -> Network:
        """Return the network, ready to run in a precision."""
        return load_network(
            self.weights,
            backend=self.backend,
            dtype=precision,
            kernels=self.kernels,
            pooling=self.pooling,
            padding=self.padding,
        )


@app.command(name="stylize")
def stylize_command(
    content: Path,
    style: Path,
    *more_styles: Path,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    config: Annotated[StyleConfig, Flat] = StyleConfig(),  # noqa: B008  frozen
    network: Annotated[NetworkConfig, Flat] = NetworkConfig(),
    precision: Precision = "float32",
    save_every: int = 0,
    overwrite: bool = False,
) -> int:
    """Paint CONTENT in the style of STYLE.

    Parameters
    ----------
    content : Path
        The photograph.
    style : Path
        The painting.
    more_styles : Path
        More paintings; their Gram matrices are averaged.
    output : Path
        Where the picture goes: .png, .jpg, .webp or .tif.
    precision : str
        float32, or float64, which is for checks.
    save_every : int
        Also write OUTPUT_at_iteration_K for every K-th iteration, as the classic script does; 0 for none.
    overwrite : bool
        Replace an existing output.
    """
    if save_every < 0:
        raise HandstyleError(f"--save-every {save_every}: must be 0 or more")
    config.check()
    check_outputs(output, config, save_every, overwrite)  # once more in `paint`, which has read the photograph
    return paint(
        content, [style, *more_styles], output, config, network, network.load(precision), save_every, overwrite
    )


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
        task = bar.add_task("painting", total=config.iterations)

        def show(progress: Progress) -> None:
            bar.losses = losses_line(progress)
            bar.update(task, completed=progress.iteration)
            if save_every and progress.iteration % save_every == 0:
                write_picture(at_iteration(output, progress.iteration), progress.array, overwrite=overwrite)

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
        size = fitted_size(photograph.pixels.shape[:2], config.size, name=photograph.source)
    for path in [output, *(at_iteration(output, i) for i in saved_iterations(config.iterations, save_every))]:
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


def at_iteration(output: Path, iteration: int) -> Path:
    """Return the name of the picture at an iteration: ``out_at_iteration_20.png``."""
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
    precision: Precision = "float32",
    network: Annotated[NetworkConfig, Flat] = NetworkConfig(),
) -> int:
    """Print the network: every layer, its output, parameters, receptive field and memory.

    Parameters
    ----------
    size : int
        Side of the picture, pixels.
    precision : str
        float32 or float64.
    """
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
