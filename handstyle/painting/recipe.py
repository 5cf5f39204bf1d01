"""Write and read recipes: everything needed to paint a picture again, in the picture's own file as TOML.

A recipe has five parts: the settings, as ``--config`` accepts them; the network, with a digest of its values; the names
and digests of the input pictures; the machine and the versions; and the result, with its digest. It contains no times
and no folders, so that the same run writes the same bytes, and a published picture does not reveal the folders of the
author's disk.

A recipe may come from a stranger's picture: `parse_recipe` limits its size and accepts only known keys and types.
"""

import hashlib
import json
import os
import platform
import re
import tomllib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import PureWindowsPath
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info

from handstyle.foundations.backend import Array, cpu_count, to_numpy
from handstyle.foundations.errors import HandstyleError, encodable, one_line, printable
from handstyle.foundations.picture_formats import FORMATS
from handstyle.foundations.picture_metadata import read_metadata
from handstyle.foundations.picture_paths import expand_path
from handstyle.foundations.picture_reading import Picture
from handstyle.kernels.tiles import inner_engine, tile_side
from handstyle.network.digests import sha256
from handstyle.network.sequence import Convolution, Pool
from handstyle.network.vgg import Network
from handstyle.optimize.trace import COMPLETED
from handstyle.painting.config import StyleConfig
from handstyle.painting.setting_values import ARRAYS, PATHS

KEY = "handstyle:recipe"  # the key in the picture's metadata
FORMAT = 1  # version of the recipe's format; a later format that this program cannot read has a larger number
MAX_BYTES = 1 << 20  # largest size of a recipe, or of a settings file
MAX_VALUE_LENGTH = 4096  # characters of a text in a recipe
ROLES = ("content", "style", "mask", "style_mask", "regions", "init")
BLANK = "the gray square of a texture"  # the name of the input that takes the place of a texture's photograph
PATH_SETTINGS = (*PATHS, "regions", "init", "weights")  # settings that may be the path of a file
# Values of `init` that are no paths.
STARTS = re.compile(r"content|(blurred-)?noise|gr[ae]y|style-stats|(normal|uniform):.*")


@dataclass(frozen=True)
class Input:
    """An input picture of a run.

    Parameters
    ----------
    role : {"content", "style", "mask", "style_mask", "regions", "init"}
        The use of the picture in the run.
    name : str
        The file's name without its folder, or ``an array``.
    sha256 : str
        The digest of the file or, if there was no file, of the pixels.
    side : int
        For the photograph and the paintings, the long side in pixels to which the file was reduced while it was read; a
        caller who has read it may have chosen another than the run would. 0 for other inputs.

    Examples
    --------
    >>> photograph = Picture(np.zeros((32, 48, 3)), None, "harbor.jpg", sha256="5e1f")
    >>> collect_inputs(StyleConfig(), photograph, [])
    [Input(role='content', name='harbor.jpg', sha256='5e1f', side=48)]
    """

    role: str
    name: str
    sha256: str
    side: int = 0


@dataclass(frozen=True)
class Recipe:
    """The settings, network, inputs, environment and result of a run.

    Parameters
    ----------
    settings : dict
        All fields of `StyleConfig`, the preset, the precision and the network's settings, as ``--config`` accepts them.
    network : dict
        ``name``; ``sha256`` of the weights' values; ``ran_sha256`` of the layers as they ran, after all changes.
    inputs : list of Input
        The input pictures in the order of the run.
    environment : dict of str to str
        Versions, system, device, kernels, BLAS and threads, which may change the last bits of the result.
    result : dict
        ``ended``, how the run ended, and ``stopped``, the reason in words; ``loss``, its ``terms``, iterations,
        evaluations, and ``sha256`` of the painted (H, W, 3) float64 array.

    Examples
    --------
    >>> recipe = Recipe({"size": 64}, result={"ended": "done"})
    >>> parse_recipe(recipe.toml(), "a.png") == recipe
    True
    """

    settings: dict[str, Any]
    network: dict[str, Any] = field(default_factory=dict)
    inputs: list[Input] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)

    def toml(self) -> str:
        """Return the recipe as TOML, which `parse_recipe` reads.

        Examples
        --------
        >>> print(Recipe({"size": 64, "optimizer": "adam"}, environment={"numpy": "2.3"}).toml(), end="")
        recipe = 1
        <BLANKLINE>
        [settings]
        size = 64
        optimizer = "adam"
        <BLANKLINE>
        [environment]
        numpy = "2.3"
        """
        parts = [f"recipe = {FORMAT}\n", _table("[settings]", self.settings), _table("[network]", self.network)]
        inputs = ({key: value for key, value in asdict(one).items() if key != "side" or value} for one in self.inputs)
        parts += [_table("[[inputs]]", one) for one in inputs]
        parts += [_table("[environment]", self.environment), _table("[result]", self.result)]
        return "\n".join(part for part in parts if part)

    @property
    def stopped(self) -> str:
        """The reason for stopping, in words; empty if the recipe has none.

        Examples
        --------
        >>> Recipe({}, result={"stopped": "all 200 iterations done"}).stopped
        'all 200 iterations done'
        """
        return str(self.result.get("stopped", ""))

    @property
    def cut_short(self) -> bool:
        """Whether the run was ended by the user or by an error, so that it cannot be repeated.

        Examples
        --------
        >>> [Recipe({}, result={"ended": ended}).cut_short for ended in ("done", "settled", "interrupted")]
        [False, False, True]
        """
        return self.result.get("ended", "done") not in COMPLETED

    def named(self, role: str) -> list[Input]:
        """Return the inputs with a given role, such as ``"style"``, in the order of the run.

        Examples
        --------
        >>> inputs = [Input("content", "harbor.jpg", "5e1f"), Input("style", "waves.jpg", "c0de")]
        >>> [one.name for one in Recipe({}, inputs=inputs).named("style")]
        ['waves.jpg']
        """
        return [one for one in self.inputs if one.role == role]


def make_recipe(
    config: StyleConfig,
    network: Network,
    inputs: list[Input],
    engine: str,
    array: Array,
    result: Mapping[str, Any],
    ran: str,
) -> Recipe:
    """Return the recipe of a run.

    Parameters
    ----------
    config : StyleConfig
        The settings of the run.
    network : Network
        The network as it ran; its settings are derived from its layers.
    inputs : list of Input
        The result of `collect_inputs`, called before the run, since files may change during it.
    engine : str
        A description of the engine's methods.
    array : (H, W, 3) array of float64
        The painted picture.
    result : mapping
        The other entries of `Recipe.result`.
    ran : str
        The result of `network_digest`.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network, p = build_network(random_weights()), np.zeros((32, 48, 3))
    >>> recipe = make_recipe(StyleConfig(size=48), network, [], "reference", p, {"loss": 0.5}, network_digest(network))
    >>> recipe.settings["size"], recipe.result["width"], recipe.result["height"]
    (48, 48, 32)
    """
    own = network_settings(network)
    settings = {**own, **config.in_use(), **own}  # the network's settings come first, and replace those in `config`
    for name in PATH_SETTINGS:
        settings[name] = _without_folder(settings[name])
    digest = hashlib.sha256(np.ascontiguousarray(array, "<f8").data).hexdigest()  # book: recipe-digest
    origin = network.origin
    found = {"name": _without_folder(origin.name), "sha256": origin.sha256} if origin else {}
    size = {"width": array.shape[1], "height": array.shape[0]}
    return Recipe(  # book: recipe-run
        settings,
        {**found, "architecture": network.architecture, "ran_sha256": ran},
        inputs,
        environment(network, engine),
        {**result, **size, "sha256": digest},
    )


def network_settings(network: Network) -> dict[str, Any]:
    """Return the settings with which this network can be loaded: weights, precision, backend, pooling and so on.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> settings = network_settings(build_network(random_weights(), pooling="average"))
    >>> settings["pooling"], settings["padding"], settings["precision"]
    ('average', 'zero', 'float32')
    """
    convolutions = [layer.padding for layer in network.layers if isinstance(layer, Convolution)]
    pools = [(layer.kind, layer.rounding) for layer in network.layers if isinstance(layer, Pool)]
    kind, rounding = pools[0] if pools else ("max", "down")
    first = convolutions[0] == "replicate" and set(convolutions[1:]) == {"zero"}
    side, engine, origin = tile_side(network), inner_engine(network), network.origin
    return {
        "preset": "handstyle",
        "precision": "tf32" if engine.tf32 else str(network.dtype),
        **(origin.asked if origin else {}),
        "weights": origin.name if origin else "",
        "backend": network.backend.name,
        "kernels": "auto" if engine.tf32 else engine.name,
        "pooling": kind,
        "padding": "first-replicate" if first else convolutions[0],
        "rounding": rounding,
        **({"tile": side} if side else {}),  # also if lack of memory, and not the user, chose them
    }


def network_digest(network: Network) -> str:
    """Return the sha256 of a network as it runs: of its convention, its dtype, and the values of every layer.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> max_pools, average_pools = (build_network(random_weights(), pooling) for pooling in ("max", "average"))
    >>> network_digest(max_pools) == network_digest(average_pools)
    False
    """
    found = hashlib.sha256(f"{network.convention} {network.dtype}".encode())
    for layer in network.layers:
        if isinstance(layer, Convolution):
            found.update(f"{layer.name} {layer.padding} {array_digest((layer.w, layer.b))}".encode())
        else:
            found.update(f"{layer.name} {(layer.kind, layer.rounding) if isinstance(layer, Pool) else ''}".encode())
    return found.hexdigest()


def array_digest(arrays: Iterable[Array]) -> str:
    """Return the sha256 of the shapes, dtypes and values of arrays.

    Examples
    --------
    >>> array_digest([np.zeros(4)]) == array_digest([np.zeros((2, 2))])
    False
    """
    found = hashlib.sha256()
    for array in arrays:
        host = np.ascontiguousarray(to_numpy(array))
        found.update(f"{host.shape} {host.dtype}".encode())
        found.update(host.data)
    return found.hexdigest()


def collect_inputs(config: StyleConfig, photograph: Picture, paintings: Iterable[Picture]) -> list[Input]:
    """Return the names and digests of all input pictures of a run.

    Examples
    --------
    >>> photograph = Picture(np.zeros((32, 48, 3)), None, "an array")
    >>> [(one.role, one.name) for one in collect_inputs(StyleConfig(), photograph, [photograph])]
    [('content', 'an array'), ('style', 'an array')]
    """
    pictures = [("content", photograph), *(("style", painting) for painting in paintings)]
    found = []
    for role, picture in pictures:
        if picture.sha256:
            found.append(Input(role, _without_folder(picture.source), picture.sha256, max(picture.pixels.shape)))
            continue
        planes = [picture.pixels] if picture.alpha is None else [picture.pixels, picture.alpha]
        name = picture.source if picture.source in (BLANK, "a PIL image") else "an array"
        found.append(Input(role, name, array_digest(planes)))
    return found + file_inputs(config)


def file_inputs(config: StyleConfig) -> list[Input]:
    """Return the names and digests of the files that the settings name: masks, map of regions, starting picture.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "sky.png").write_bytes(b"white")
    ...     found = file_inputs(StyleConfig(mask=f"{folder}/sky.png"))
    >>> [(one.role, one.name) for one in found]
    [('mask', 'sky.png')]
    """
    found = []
    files = [("mask", path) for path in config.mask]
    files += [("style_mask", path) for path in config.style_mask if path != "all"]
    files += [("regions", config.regions)] if config.regions else []
    if not STARTS.fullmatch(config.init) and expand_path(config.init).is_file():  # other values are refused by the run
        files.append(("init", config.init))
    for role, path in files:
        given = expand_path(path).parent.name.startswith(ARRAYS)
        found.append(Input(role, "an array" if given else _without_folder(path), sha256(expand_path(path))))
    return found


def environment(network: Network, engine: str) -> dict[str, str]:
    """Return everything on which the last bits of a picture depend: versions, system, device, engine, BLAS, threads.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> environment(build_network(random_weights()), "reference")["engine"]
    'reference'
    """
    found = machine()
    if network.backend.name == "cupy":
        found["cupy"] = network.backend.xp.__version__
    return found | {"device": network.backend.device, "engine": engine}


def machine(packages: Iterable[str] = ("handstyle", "numpy", "scipy", "pillow")) -> dict[str, str]:
    """Return the versions of installed packages, the system, the BLAS and the number of threads.

    Examples
    --------
    >>> sorted(machine())
    ['blas', 'handstyle', 'numpy', 'pillow', 'python', 'scipy', 'system', 'threads']
    """
    blas = [
        f"{library.get('internal_api')} {library.get('version')} {library.get('architecture') or ''}".strip()
        for library in threadpool_info()
        if library.get("user_api") == "blas"
    ]
    found = dict[str, str]()
    for name in packages:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found | {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "blas": ", ".join(sorted(set(blas))),
        "threads": str(cpu_count()),
    }


# reading


def read_recipe(path: str | os.PathLike[str]) -> Recipe:
    """Read the recipe of a picture.

    Parameters
    ----------
    path : path
        A picture painted by this program, or a TOML file with the output of ``handstyle info --recipe``.

    Returns
    -------
    Recipe

    Raises
    ------
    HandstyleError
        If the file cannot be read, has no recipe, or has a recipe that this program cannot have written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from handstyle.foundations.picture_writing import write_picture
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "a.png")
    ...     write_picture(path, np.zeros((16, 16, 3)), metadata={KEY: Recipe({"seed": 7}).toml()})
    ...     read_recipe(path).settings
    {'seed': 7}
    """
    text = _recipe_text(path) if is_picture(path) else settings_text(path)
    return parse_recipe(text, printable(path))


def is_picture(path: str | os.PathLike[str]) -> bool:
    """Return whether the name of a file has the suffix of a picture.

    Examples
    --------
    >>> is_picture("painting.PNG"), is_picture("settings.toml")
    (True, False)
    """
    return expand_path(path).suffix.lower() in FORMATS


def _recipe_text(path: str | os.PathLike[str]) -> str:
    """Return the text of the recipe in a picture's metadata, without decoding the pixels."""
    text = read_metadata(path, decode=False).get(KEY)
    if text is None:
        raise HandstyleError(
            f"{printable(path)} has no recipe: handstyle did not paint it, or another program has removed the metadata"
        )
    return text


def settings_text(path: str | os.PathLike[str]) -> str:
    """Return the text of a settings file of at most `MAX_BYTES` bytes.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "settings.toml")
    ...     _ = path.write_text("size = 256")
    ...     settings_text(path)
    'size = 256'
    """
    try:
        with open(expand_path(path), "rb") as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise HandstyleError(f"settings file {path}: {error.strerror or error}") from None
    if len(text) > MAX_BYTES:
        raise HandstyleError(f"settings file {path}: larger than 1 MiB, too large for settings")
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise HandstyleError(f"settings file {path} is not TOML: {' '.join(str(error).split())}") from None


def parse_recipe(text: str, name: str) -> Recipe:
    """Parse a recipe from untrusted TOML.

    Parameters
    ----------
    text : str
        The text, as `Recipe.toml` returns it.
    name : str
        The name of the file, for messages.

    Raises
    ------
    HandstyleError
        If the text is too long, is not TOML, has unknown parts or types of values, has a path with a folder, or has a
        later format.

    Examples
    --------
    >>> try:
    ...     parse_recipe("colour = 1", "out.png")
    ... except HandstyleError as error:
    ...     print(error)
    out.png: its recipe was not written by handstyle: unknown part colour
    """
    if len(text) > MAX_BYTES:
        raise HandstyleError(f"{name}: its recipe is larger than 1 MiB, too large for a recipe")
    try:
        found = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also for integers of thousands of digits
        raise HandstyleError(f"{name}: its recipe is not TOML: {printable(one_line(error))}") from None
    form, inputs = found.pop("recipe", None), found.pop("inputs", [])
    if isinstance(form, int) and form > FORMAT:
        raise HandstyleError(
            f"{name}: its recipe has format {form}, this program reads {FORMAT}: use a newer handstyle"
        )
    parts = {part: found.pop(part, {}) for part in ("settings", "network", "environment", "result")}
    if form != FORMAT or found or not isinstance(inputs, list):
        what = f"unknown part {printable(next(iter(found)))}" if found else f"its format is {form!r:.20}, not {FORMAT}"
        raise HandstyleError(f"{name}: its recipe was not written by handstyle: {what}")
    terms = parts["result"].pop("terms", {}) if isinstance(parts["result"], dict) else {}
    for part, table in (*parts.items(), ("terms", terms), *(("inputs", one) for one in inputs)):
        _check_table(table, part, name)
    for one in inputs:
        texts, side = [one.get(key) for key in ("role", "name", "sha256")], one.get("side", 0)
        plain = all(isinstance(text, str) for text in texts) and isinstance(side, int) and side >= 0
        if not plain or one["role"] not in ROLES or len(one) > 3 + ("side" in one):
            raise HandstyleError(f"{name}: its recipe has an input without a role, a name and a sha256")
    for key in PATH_SETTINGS:
        values = parts["settings"].get(key, ())
        for value in values if isinstance(values, list) else [values]:
            _check_name(value, key, name)
    for one in inputs:
        _check_name(one["name"], "name", name)
    result = parts["result"] | ({"terms": terms} if terms else {})
    return Recipe(parts["settings"], parts["network"], [Input(**one) for one in inputs], parts["environment"], result)


def _check_table(table: Any, part: str, name: str) -> None:
    """Raise `HandstyleError` unless a table has printable keys, and texts, numbers or lists of them as values."""
    if not isinstance(table, dict):
        raise HandstyleError(f"{name}: in its recipe {part} is of type {type(table).__name__}, not a table")
    for key, value in table.items():
        if not key.isprintable() or len(key) > 200:
            raise HandstyleError(f"{name}: its recipe has an invalid key in {part}: {printable(key)[:60]}")
        for one in value if isinstance(value, list) else [value]:
            if not isinstance(one, str | int | float) or (isinstance(one, str) and len(one) > MAX_VALUE_LENGTH):
                raise HandstyleError(f"{name}: its recipe has an invalid value of {part} {key}")


def _check_name(value: Any, key: str, name: str) -> None:
    """Raise `HandstyleError` if a path has a folder: a stranger's recipe must not choose the files that are read."""
    if isinstance(value, str) and value != _without_folder(value) and not STARTS.fullmatch(value):
        raise HandstyleError(
            f"{name}: its recipe has {key}={printable(value)!r:.200}, a path with a folder, which is not allowed; give "
            "the file yourself"
        )


def _without_folder(value: Any) -> Any:
    """Return a path of Unix or Windows without its folder; for a tuple of paths, each of them."""
    if isinstance(value, tuple):
        return tuple(_without_folder(one) for one in value)
    return PureWindowsPath(value).name  # it splits at both kinds of slash


# TOML


def _table(head: str, pairs: Mapping[str, Any]) -> str:
    lines = [f"{_key(key)} = {toml_value(value)}\n" for key, value in pairs.items()]
    return "".join([f"{head}\n", *lines]) if lines else ""


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else toml_value(key)


def toml_value(value: Any) -> str:
    r"""Return a text, number, boolean, list or table as TOML in printable characters.

    Examples
    --------
    >>> print(toml_value({"a b": [1, 2.5, True, "x\x1b"]}))
    {"a b" = [1, 2.5, true, "x\u001b"]}
    """
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {toml_value(one)}" for key, one in value.items()) + "}"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(toml_value(one) for one in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        shown = json.dumps(encodable(value), ensure_ascii=False)
        return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in shown)
    return repr(value)
