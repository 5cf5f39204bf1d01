"""Define the flags of the commands that paint, and merge them with a settings file and a preset.

The flags are made from the fields of the configuration. They have no defaults: a flag that was not typed is None. Typed
flags override the ``--config`` file, the file overrides the preset, and the preset overrides `StyleConfig()`.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, make_dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin

from cyclopts import Group as Heading
from cyclopts import Parameter, Token

from handstyle.cli.flag_help import HELP_GROUPS, SHORT_HELP, help_text, parameter_descriptions
from handstyle.cli.terminal import say
from handstyle.foundations.backend import choose_backend
from handstyle.foundations.errors import HandstyleError
from handstyle.network.vgg import Network
from handstyle.network.weights import EMBEDDED
from handstyle.painting.config import Group, StyleConfig
from handstyle.painting.idle_settings import idle_notes
from handstyle.painting.load import fit_network, load_network, preset_requirements
from handstyle.painting.presets import DEFAULT, PRESET_FIELDS, Preset, find_preset, rebuild
from handstyle.painting.setting_values import coerce, field_types
from handstyle.painting.settings import read_settings, settings_toml

Flat = Parameter(name="*")  # a dataclass whose fields are flags of the command
PICTURES = Heading("Pictures", sort_key=0)
Output = Annotated[Path | None, Parameter(name=["--output", "-o"], group=PICTURES)]
Precision = Literal["float32", "tf32", "float64"]


def _parse_integer(_: Any, tokens: Sequence[Token]) -> int:
    """Convert typed text to an integer, or raise `HandstyleError`."""
    try:  # the parser's own conversion would round 1.5 to 2
        return int(tokens[0].value)
    except ValueError:
        name = tokens[0].keyword or "a size"
        raise HandstyleError(f"{name} {tokens[0].value}: must be a whole number") from None


Whole = Annotated[int, Parameter(converter=_parse_integer)]


@dataclass(frozen=True, kw_only=True)
class NetworkConfig(Group):
    """The network, its backend and its engine.

    Parameters
    ----------
    weights : str
        The network's weights: vgg19-slim (included in the package), random, vgg16, vgg19, or a weight file.
    backend : str
        The array library; auto uses a GPU if there is one.
    kernels : str
        The engine; reference is the one without optimizations.
    pooling : str
        The function by which each 2 x 2 block of values is pooled.
    padding : str
        The padding of convolutions; first-replicate replicates at the first convolution and pads the others with zeros.
    rounding : str
        Round half of an odd side down or up in pooling.

    Examples
    --------
    >>> NetworkConfig(weights="vgg19", pooling="average").kernels
    'auto'
    >>> try:
    ...     NetworkConfig(pooling="mean")
    ... except HandstyleError as error:
    ...     print(error)
    pooling='mean': use max, average, l2
    """

    weights: str = EMBEDDED
    backend: Literal["auto", "numpy", "cupy"] = "auto"
    kernels: str = "auto"
    pooling: Literal["max", "average", "l2"] = "max"
    padding: Literal["zero", "reflect", "replicate", "first-replicate"] = "zero"
    rounding: Literal["down", "up"] = "down"

    def load(self, precision: str) -> Network:
        """Load the network in a precision: float32, tf32 or float64.

        Raises
        ------
        HandstyleError
            If the weights or the backend are not there, or tf32 is asked for without a GPU.

        Examples
        --------
        >>> network = NetworkConfig(weights="random", backend="numpy", pooling="average").load("float64")
        >>> network.dtype.name, network.layers[4].name, network.layers[4].kind
        ('float64', 'pool1', 'average')
        """
        kernels = self.kernels
        if precision == "tf32":
            if choose_backend(self.backend).name != "cupy" or kernels != "auto":
                raise HandstyleError("precision='tf32' needs a GPU and kernels='auto'; use float32")
            precision, kernels = "float32", "cuda-tf32"
        loaded = load_network(self.weights, backend=self.backend, dtype=precision, kernels=kernels)
        return rebuild(loaded, self.pooling, self.padding, self.rounding)


@dataclass(frozen=True, kw_only=True)
class RunConfig(Group):
    """The settings of a run other than those of pictures and network, such as its output files.

    Parameters
    ----------
    preset : str
        Use the settings of this published system; handstyle info --preset all lists all of them.
    config : Path
        A TOML file of settings, or a picture with a recipe. Flags override the file, and the file
        overrides a preset.
    write_config : bool
        Print the settings as TOML without painting.
    precision : str
        The precision of the network; tf32 is float32 with products of 10 bits of mantissa on a GPU, float64 is for
        checks.
    save_every : int
        Also write OUTPUT_at_iteration_K every K iterations; 0 for none.
    checkpoint : Path
        Save the run to this file regularly, and keep the file at the end. By default the file is OUTPUT.checkpoint,
        which is deleted when the picture is finished.
    checkpoint_every : int
        Iterations between two checkpoints; 0, the default, writes one every 30 seconds.
    no_checkpoint : bool
        Write no checkpoint.
    resume : Path
        Continue an unfinished run with the same pictures and settings; without FILE, from the checkpoint beside the
        output. The result is that of an uninterrupted run to the last bit, except with --optimizer lbfgsb, which
        continues from the picture without SciPy's history.
    bits : int
        Bits for each channel of the output, 8 or 16; 16 is for .png and .tif and avoids visible steps in a smooth sky.
    report : bool
        Also write OUTPUT.html, a self-contained page with the pictures, intermediate pictures, losses, settings, and
        checks of the gradients of this network.
    overwrite : bool
        Replace an existing output.
    preview : bool
        Show the picture and its losses during the run on a local web page, with buttons to pause and stop; the address
        is printed.
    cluster : str
        Compute the tiles on a Dask cluster; local:N starts N worker processes on this machine, tcp://HOST:PORT or
        tls://HOST:PORT is the address of a scheduler. The picture is the same to the last bit; --tile sets the size of
        the tiles.
    quiet : bool
        Print nothing but errors.
    json : bool
        Print each event as a line of JSON, for programs, and nothing else on standard output.

    Examples
    --------
    >>> try:
    ...     RunConfig(save_every=-1)
    ... except HandstyleError as error:
    ...     print(error)
    save_every=-1: must be 0 or more
    """

    preset: str = DEFAULT
    config: Path | None = None
    write_config: bool = False
    precision: Precision = "float32"
    save_every: int = 0
    checkpoint: Path | None = None
    checkpoint_every: int = 0
    no_checkpoint: bool = False
    resume: Path | None = None
    bits: int = 8
    report: bool = False
    overwrite: bool = False
    preview: bool = False
    cluster: str = ""
    quiet: bool = False
    json: bool = False

    def _faults(self) -> Iterator[str]:
        """Yield an error for values that do not fit together or are out of range."""
        for name in ("checkpoint", "checkpoint_every"):
            if self.no_checkpoint and (given := getattr(self, name)):
                yield f"no_checkpoint=True and {name}={given}: give one of them"
        if self.bits not in (8, 16):
            yield f"bits={self.bits}: a channel has 8 bits or 16"


AUTO = Path("auto")  # --resume without a file
# Keys that are not allowed in a settings file: they write or replace files, open a page, send the pictures to other
# machines, or set the form of the output.
FLAGS_ONLY = (
    *("output", "overwrite", "checkpoint", "resume", "config", "write_config", "report"),
    *("preview", "cluster", "quiet", "json"),
)


@dataclass(frozen=True)
class _Field:
    """The data of a flag: name, type, default, and its group and description in the help."""

    name: str
    hint: Any
    default: Any
    group: str
    help: str


@cache
def all_fields() -> dict[str, _Field]:
    """Return the flags of all commands that paint, by the names of the fields of the configuration.

    Examples
    --------
    >>> field = all_fields()["content_weight"]
    >>> field.group, field.hint.__name__, field.default
    ('Look', 'float', 1.0)
    """
    found = {}
    for one in (*reversed(StyleConfig.__bases__), NetworkConfig, RunConfig):
        texts, types = parameter_descriptions(one), field_types(one)
        own = [field for field in fields(one) if field.name in inspect.get_annotations(one)]
        for field in own:
            group = "Look" if field.name == "preset" else HELP_GROUPS[one.__name__]
            found[field.name] = _Field(field.name, types[field.name], field.default, group, texts.get(field.name, ""))
    return found


def make_flags(name: str, names: Iterable[str], everything: bool, defaults: Mapping[str, Any] = {}) -> Any:
    """Return an instance of a new dataclass with the named flags as fields; all are None, which means not typed.

    The help shows the values in `defaults` in place of those of the configuration.

    Examples
    --------
    >>> make_flags("Flags", ["size", "seed"], everything=False)
    Flags(size=None, seed=None)
    >>> make_flags("Flags", ["size", "seed"], everything=False).size is None  # not typed
    True
    """
    made: list[tuple[str, Any, None]] = []
    groups = list(dict.fromkeys(HELP_GROUPS.values()))
    for field in (all_fields()[each] for each in names):
        switch, several = field.hint is bool, get_origin(field.hint) is tuple
        parameter = Parameter(
            name=flag(field.name),
            group=Heading(field.group, sort_key=1 + groups.index(field.group)),
            help=as_flags(help_text(field.help, field.hint, defaults.get(field.name, field.default), everything)),
            show=everything or field.name in SHORT_HELP,
            negative=None if switch and field.name not in FLAGS_ONLY else (),
            consume_multiple=several,
        )
        kind: Any = bool | None if switch else tuple[str, ...] | None if several else str | None
        made.append((field.name, Annotated[kind, parameter], None))
    return make_dataclass(name, made, frozen=True, kw_only=True, namespace={"__module__": "handstyle.cli"})()


def flag(name: str) -> str:
    """Return the flag of a field, such as ``--style-weight`` for ``style_weight``.

    Examples
    --------
    >>> flag("style_weight")
    '--style-weight'
    """
    return "--" + name.replace("_", "-")


@dataclass(frozen=True)
class Settings:
    """The settings of a command, merged from its flags, its settings file and its preset by `resolve`.

    Parameters
    ----------
    chosen : Preset
        The preset, with the settings of the file and the flags applied.
    config : StyleConfig
        The settings of the picture.
    network : NetworkConfig
        Weights, backend and engine.
    run : RunConfig
        The settings of the run, such as its output files.
    names : tuple of str
        The fields for which the command has flags.
    given : tuple of str
        The fields that were typed, or whose value in the file is not the preset's.

    Examples
    --------
    >>> from dataclasses import replace
    >>> settings = resolve(replace(make_flags("Flags", ["size", "seed"], everything=False), size="256"))
    >>> settings.config.size, settings.config.seed, settings.names, settings.given
    (256, 0, ('size', 'seed'), ('size',))
    """

    chosen: Preset
    config: StyleConfig
    network: NetworkConfig
    run: RunConfig
    names: tuple[str, ...]
    given: tuple[str, ...] = ()

    def load(self) -> Network:
        """Load the network, change it as the preset requires, print notes on the changes, and return it.

        Examples
        --------
        >>> from dataclasses import replace
        >>> flags = make_flags("Flags", ["weights", "backend", "pooling"], everything=False)
        >>> network = resolve(replace(flags, weights="random", backend="numpy", pooling="average")).load()
        >>> network.layers[4].name, network.layers[4].kind
        ('pool1', 'average')
        """
        loaded, notes = fit_network(self.network.load(self.run.precision), self.chosen)
        say(*(as_flags(f"preset {self.chosen.name}: {note}") for note in notes))
        return loaded

    def idle_notes(self, paintings: int) -> list[str]:
        """Return a note on each setting that was given and has no effect beside the others.

        `paintings` is the number of paintings.

        Examples
        --------
        >>> from dataclasses import replace
        >>> flags = make_flags("Flags", ["learning_rate"], everything=False)
        >>> resolve(replace(flags, learning_rate="2")).idle_notes(paintings=1)
        ["`learning_rate` has no effect with optimizer='lbfgsb'"]
        """
        return idle_notes(self.config, self.given, paintings)

    def toml(self) -> str:
        """Return the settings as TOML, the text of a file for ``--config``.

        Examples
        --------
        >>> settings = resolve(make_flags("Flags", ["size", "seed"], everything=False))
        >>> print(settings.toml(), end="")
        weights = "vgg19-slim"
        backend = "auto"
        kernels = "auto"
        pooling = "max"
        padding = "zero"
        rounding = "down"
        size = 512
        seed = 0
        """
        special = {key: value for key, value in preset_requirements(self.chosen).items() if key != "preset"}
        run = {key: value for key, value in vars(self.run).items() if key in self.names and key not in FLAGS_ONLY}
        return settings_toml(self.config, {**run, **special, **asdict(self.network)}, self.names)


def resolve(
    flags: Any, base: Preset | None = None, fixed: Callable[[StyleConfig], StyleConfig] | None = None
) -> Settings:
    """Merge typed flags, settings file and preset, in this order of precedence.

    Parameters
    ----------
    flags : dataclass
        An instance of a class from `make_flags`; None means that a flag was not typed.
    base : Preset, optional
        The preset, for a command without ``--preset``.
    fixed : callable, optional
        A function that returns a configuration with the settings that this command does not let the user choose.

    Examples
    --------
    >>> from dataclasses import replace
    >>> flags = make_flags("Flags", ["size", "preset"], everything=False)
    >>> settings = resolve(replace(flags, size="256", preset="gatys"))
    >>> settings.config.size, settings.network.pooling, settings.given
    (256, 'average', ('size', 'preset'))
    """
    names = [field.name for field in fields(flags)]
    typed = {name: value for name in names if (value := getattr(flags, name)) is not None}
    said = {name: coerce(name, all_fields()[name].hint, value, typed=True) for name, value in typed.items()}
    file: Mapping[str, Any] = {}

    def preset_of(found: Mapping[str, Any]) -> Preset:
        return base or find_preset(coerce("preset", str, found.get("preset", DEFAULT)))

    if "config" in said:
        known = [name for name in (*names, *PRESET_FIELDS) if name not in FLAGS_ONLY]

        def own(found: Mapping[str, Any]) -> dict[str, Any]:
            start = preset_of(found)
            every = asdict(fixed(start.config)) if fixed else {}
            return {"preset": start.name} | {name: value for name, value in every.items() if name not in names}

        file = read_settings(typed["config"], known, FLAGS_ONLY, own)
    merged = {**file, **said}
    others = set(field_types(RunConfig)) | (set(field_types(NetworkConfig)) - set(PRESET_FIELDS))
    chosen = start = preset_of(merged)
    for layer in (file, said):
        chosen = chosen.updated({key: value for key, value in layer.items() if key not in others})
    network: dict[str, Any] = {key: merged[key] for key in ("weights", "backend", "kernels") if key in merged}
    network |= {key: getattr(chosen, key) for key in ("pooling", "padding", "rounding")}
    run = {key: merged[key] for key in field_types(RunConfig) if key in merged} | {"preset": chosen.name or DEFAULT}
    new = [key for key in file if getattr(chosen.config, key, None) != getattr(start.config, key, None)]
    given = tuple(dict.fromkeys((*said, *new)))
    return Settings(chosen, chosen.config, NetworkConfig(**network), RunConfig(**run), tuple(names), given)


def as_flags(message: str) -> str:
    """Return a message of the library with flags in place of parameters: ``--style-size 8`` for ``style_size=8``.

    What follows ``--over`` stays as it is typed.

    Examples
    --------
    >>> as_flags("style_size=8: must be 16 or more"), as_flags("clamp=False is needed")
    ('--style-size 8: must be 16 or more', '--no-clamp is needed')
    """
    names = {name: flag(name) for name in all_fields()} | {"network": "--weights", "layer": "--layer", "of": "--of"}
    value = r"""\((?:[^()]*)\)|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\s,;:)]+"""

    def named(found: re.Match[str]) -> str:
        name, text = names[found[1]], found[2]
        if text in ("True", "False"):
            return name if text == "True" else f"--no-{name[2:]}"
        if text[0] in "('\"":
            text = re.sub(r"['\"]", "", text.strip("()")).replace(", ", " ").rstrip(",")
        if not text:
            return f"no {name}"
        return f"{name} {text}"

    message = re.sub(rf"(?<![\w-])(?<!--over )({'|'.join(names)})=({value})", named, message)
    return re.sub(rf"`({'|'.join(names)})`", lambda found: names[found[1]], message)


def mebibytes(n: float) -> str:
    """Return a number of bytes as text in MiB.

    Examples
    --------
    >>> mebibytes(3 * 2**20)
    '3.0 MiB'
    """
    return f"{n / 2**20:,.1f} MiB"
