"""The flags that several commands share, as dataclasses, and where a flag that was not typed gets its value."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, ArgumentCollection, Parameter
from cyclopts.config import Dict as FromDict
from rich.console import Console

from handstyle.foundations.backend import choose_backend
from handstyle.foundations.errors import HandstyleError
from handstyle.network.vgg import Network
from handstyle.painting.config import StyleConfig
from handstyle.painting.feature_scale import match
from handstyle.painting.load import EMBEDDED, load_network
from handstyle.painting.presets import feed, mismatches, rebuild
from handstyle.painting.presets import preset as find_preset
from handstyle.painting.settings import preset_settings, read_settings, settings_toml

out, err = Console(), Console(stderr=True)

DEFAULT_PRESET = "handstyle"
Flat = Parameter(name="*")  # a dataclass whose fields are flags of the command
Output = Annotated[Path, Parameter(name=["--output", "-o"])]
Precision = Literal["float32", "tf32", "float64"]


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
        kernels = self.kernels
        if precision == "tf32":
            if choose_backend(self.backend).name != "cupy" or kernels != "auto":
                raise HandstyleError("--precision tf32: TF32 is a GPU's own products, with --kernels auto; use float32")
            precision, kernels = "float32", "cuda-tf32"
        loaded = load_network(self.weights, backend=self.backend, dtype=precision, kernels=kernels)
        return rebuild(loaded, self.pooling, self.padding, self.rounding)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What a run is, besides its pictures.

    Parameters
    ----------
    preset : str
        A system whose choices to begin with; handstyle info --preset NAME shows them. The default is our own: relative
        losses and a pyramid.
    config : Path
        A TOML file of settings; what is typed goes before it, and it before a preset.
    write_config : bool
        Print the settings as TOML, and paint nothing.
    precision : str
        float32; tf32, a GPU's products of 10 bits; or float64, which is for checks.
    save_every : int
        Also write OUTPUT_at_iteration_K for every K-th iteration, as the classic script does; 0 for none.
    checkpoint : Path
        Write the whole run into this file as it goes, and when it is interrupted; --resume takes it up, bit for bit.
        Not with --optimizer lbfgsb, whose state is SciPy's own.
    checkpoint_every : int
        Iterations from one writing to the next.
    resume : Path
        Go on with the run in this file, with the same pictures and settings; it is kept up to date unless --checkpoint
        names another.
    overwrite : bool
        Replace an existing output.
    """

    preset: str = DEFAULT_PRESET
    config: Path | None = None
    write_config: Annotated[bool, Parameter(negative="")] = False
    precision: Precision = "float32"
    save_every: int = 0
    checkpoint: Path | None = None
    checkpoint_every: int = 10
    resume: Path | None = None
    overwrite: bool = False

    def load(self, network: NetworkConfig) -> Network:
        """Return the network as the preset feeds it, and say what of the preset it cannot give."""
        loaded = network.load(self.precision)
        if self.preset == DEFAULT_PRESET:  # for any network, fed as it is
            return loaded
        chosen = find_preset(self.preset)
        notes = [*mismatches(loaded, chosen), *chosen.notes]
        loaded, done = match(loaded, chosen.features)
        for note in (*notes, done):
            if note:
                out.print(f"preset {self.preset}: {note}")
        return feed(loaded, chosen)

    def settings(self, config: StyleConfig, network: NetworkConfig) -> str:
        """Return the settings as TOML."""
        return settings_toml(config, {"preset": self.preset, "precision": self.precision, **asdict(network)})


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
    typed = named["--preset"].tokens  # or in the file
    name = typed[-1].value if typed else DEFAULT_PRESET
    chosen = preset_settings(find_preset(name))
    FromDict(chosen, source=f"preset {name}", use_commands_as_keys=False)(_, commands, arguments)


def mebibytes(n: int) -> str:
    """Return a number of bytes in MiB, in words."""
    return f"{n / 2**20:,.1f} MiB"
