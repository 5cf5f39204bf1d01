"""The commands ``again`` and ``report``, which repeat a run by the recipe in its picture."""

import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from cyclopts import Parameter

from handstyle.cli.options import Output, Settings, Whole, all_fields, as_flags, make_flags, resolve
from handstyle.cli.outputs import free_name
from handstyle.cli.reporting import check_page
from handstyle.cli.terminal import err, say
from handstyle.foundations.errors import HandstyleError, printable
from handstyle.foundations.picture_paths import expand_path
from handstyle.foundations.picture_reading import Picture, PictureLike, read_picture
from handstyle.foundations.picture_writing import check_writable
from handstyle.network.digests import sha256
from handstyle.network.vgg import Network
from handstyle.network.weights import find_weights
from handstyle.painting.config import style_config
from handstyle.painting.inputs import read_inputs
from handstyle.painting.presets import DEFAULT
from handstyle.painting.recipe import BLANK, KEY, Input, Recipe, array_digest, parse_recipe, read_recipe, toml_value
from handstyle.painting.report import Snapshots, changed_settings, write_report
from handstyle.painting.result import Progress, Result
from handstyle.painting.strength import style_weight
from handstyle.painting.stylize import blank_picture, stylize

LOSSLESS = (".png", ".tif", ".tiff")


def again(
    picture: Path,
    /,
    *sources: Path,
    output: Output = None,
    weights: str | None = None,
    backend: str | None = None,
    kernels: str | None = None,
    bits: Whole = 8,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Paint PICTURE again by the recipe in its file, and compare the new picture with it.

    The exit status is 0 if the two runs are equal to the last bit, otherwise 1.

    Parameters
    ----------
    picture : Path
        A picture painted by handstyle.
    sources : Path
        The input pictures and masks of that run, or folders of them, in any order; they are identified by their
        digests. By default the folder of PICTURE and the current folder.
    output : Path
        The new picture to write. By default PICTURE_again.png, or the next free name.
    weights : str
        The name or the file of the network, if that in the recipe is not found.
    backend : str
        numpy or cupy, in place of that in the recipe.
    kernels : str
        The engine, in place of that in the recipe.
    bits : int
        Bits for each channel of the new picture, 8 or 16.
    overwrite : bool
        Replace an existing output.

    Examples
    --------
    .. code-block:: console

        $ handstyle again painting.png
        $ handstyle again painting.png photograph.jpg style.jpg --output repeated.png
    """
    output = output or free_name(Path(f"{picture.stem}_again.png"))
    check_writable(output, overwrite, bits=bits)
    run = _Repetition.of(picture, sources, {"weights": weights, "backend": backend, "kernels": kernels})
    result = run.paint()
    written = result.save_somewhere(output, overwrite, bits=bits)
    say(as_flags(f"stopped: {result.stopped}; {result.evaluations} evaluations"), f"the new picture is in {written}")
    lines, equal = _compare_runs(picture, run.recipe, read_recipe(written), written)
    say(*lines)
    return 0 if equal else 1


def report(
    picture: Path,
    /,
    *sources: Path,
    output: Output = None,
    weights: str | None = None,
    backend: str | None = None,
    kernels: str | None = None,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Paint PICTURE again by the recipe in its file, and write a report of the run: one self-contained HTML file.

    It shows the pictures, intermediate pictures, the losses, the settings, whether the two pictures are equal, and
    checks of the network's gradients. ``stylize --report`` writes it when a picture is first painted.

    Parameters
    ----------
    picture : Path
        A picture painted by handstyle.
    sources : Path
        The input pictures and masks of that run, or folders of them, as for ``again``.
    output : Path
        The report to write, .html. By default PICTURE.html, or the next free name.
    weights : str
        The name or the file of the network, if that in the recipe is not found.
    backend : str
        numpy or cupy, in place of that in the recipe.
    kernels : str
        The engine, in place of that in the recipe.
    overwrite : bool
        Replace an existing output.

    Examples
    --------
    .. code-block:: console

        $ handstyle report painting.png --output painting.html
    """
    output = output or free_name(Path(f"{picture.stem}.html"))
    check_page(output, overwrite)
    run = _Repetition.of(picture, sources, {"weights": weights, "backend": backend, "kernels": kernels})
    snapshots = Snapshots()
    result = run.paint(snapshots)
    lines, equal = _compare_runs(picture, run.recipe, parse_recipe(result.metadata[KEY], "the new picture"))
    note = "Painted again by the recipe in the picture: " + "; ".join(lines) + "."
    config = run.settings.config
    facts: dict[str, Any] = {"masks": config.mask, "config": config, "snapshots": snapshots, "picture": picture.name}
    write_report(output, result, run.network, run.photograph, run.paintings, notes=[note], overwrite=overwrite, **facts)
    say(*lines, f"the report is in {output}")
    return 0 if equal else 1


@dataclass(frozen=True)
class _Repetition:
    """A run to repeat: its recipe, and the settings, network and input pictures, which have been loaded."""

    recipe: Recipe
    settings: Settings
    network: Network
    photograph: Picture
    paintings: list[Picture]

    @classmethod
    def of(cls, picture: Path, sources: Iterable[Path], instead: dict[str, str | None]) -> "_Repetition":
        """Read the recipe of a picture, and load the settings, network and input pictures of its run.

        Raises
        ------
        HandstyleError
            If the run ended early, or an input picture or the network is not found.
        """
        picture = expand_path(picture)
        recipe = read_recipe(picture)
        if recipe.cut_short:
            raise HandstyleError(
                f"{picture}: that run ended early ({printable(recipe.stopped)[:80]}), which cannot be repeated; "
                f"--config {picture} paints a whole run"
            )
        if "temporal" in recipe.result.get("terms", {}):
            raise HandstyleError(
                f"{picture}: a frame of a film, which depends on the frame before it; use `handstyle frames`"
            )
        found = find_inputs(recipe, list(sources) or [picture.absolute().parent, Path.cwd()])
        places = [expand_path(place) for place in sources] or [picture.absolute().parent]
        files = [place / str(recipe.settings.get("weights")) if place.is_dir() else place for place in places]
        if instead["weights"] is None and find_weights(str(recipe.settings.get("weights"))) is None:
            near = [str(file) for file in files if file.is_file() and file.name == recipe.settings.get("weights")]
            instead = {**instead, "weights": near[0] if near else None}
        settings = _recipe_settings(picture, recipe, found, instead)
        network = settings.load()
        then, now = recipe.network.get("sha256"), network.origin.sha256 if network.origin else ""
        if then != now:
            raise HandstyleError(
                f"weights={settings.network.weights!r}: not the network that painted {picture}, whose values have the "
                f"sha256 {printable(str(then))[:64]}; give its name or file"
            )
        weight = recipe.result.get("style_weight")  # of the strength, by the calibration of that version
        if weight is not None and weight != style_weight(settings.config, network):
            settings = replace(settings, config=style_config(settings.config, style_weight=weight))
        limit = settings.config.max_pixels or None

        def read(one: Input) -> PictureLike:
            path = found[one]
            if path is None:
                return blank_picture(settings.config)
            return read_picture(path, target=one.side, max_pixels=limit) if one.side else path

        content, *styles = (read(one) for role in ("content", "style") for one in recipe.named(role))
        return cls(recipe, settings, network, *read_inputs(settings.config, content, styles))

    def paint(self, callback: Callable[[Progress], None] | None = None) -> Result:
        """Run `stylize` with the settings and inputs of the run, and return the result."""
        config, shown = self.settings.config, err.is_terminal
        return stylize(
            self.photograph, self.paintings, network=self.network, config=config, callback=callback, progress=shown
        )


def find_inputs(recipe: Recipe, sources: Iterable[Path]) -> dict[Input, Path | None]:
    """Return the path of each input of a run, found by its digest.

    Parameters
    ----------
    recipe : Recipe
        The recipe of the run.
    sources : iterable of Path
        Files, and folders whose files are searched.

    Returns
    -------
    dict of Input to Path or None
        The paths; None for the blank photograph of a texture, which is no file.

    Raises
    ------
    HandstyleError
        If an input is not among `sources`, has changed since, or was given as an array, not as a file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("photograph.jpg", "painting.jpg"):
    ...         _ = Path(folder, name).write_text(name)
    ...     inputs = [
    ...         Input("content", "photograph.jpg", sha256(Path(folder, "photograph.jpg"))),
    ...         Input("style", "painting.jpg", sha256(Path(folder, "painting.jpg"))),
    ...     ]
    ...     found = find_inputs(Recipe({}, inputs=inputs), [Path(folder)])
    >>> {one.role: path.name for one, path in found.items()}
    {'content': 'photograph.jpg', 'style': 'painting.jpg'}
    """
    if len(recipe.named("content")) != 1 or not recipe.named("style"):
        raise HandstyleError("the recipe does not list its photograph and paintings")
    names = {one.name for one in recipe.inputs}
    candidates: dict[Path, None] = {}  # a dict, to keep the order and each file once
    for source in sources:
        source = expand_path(source)
        if not source.exists():
            raise HandstyleError(f"{printable(source)}: no such file or folder")
        here = [source / name for name in sorted(names)] if source.is_dir() else [source]
        candidates |= dict.fromkeys(path for path in here if path.is_file())
    digests = {sha256(path): path for path in reversed(candidates)}
    found: dict[Input, Path | None] = {}
    for one in recipe.inputs:
        if one.name == BLANK:
            found[one] = None
        elif one.sha256 in digests:
            found[one] = digests[one.sha256]
        elif one.name in ("an array", "a PIL image"):
            raise HandstyleError(f"the {one.role} was {one.name} in Python, not a file: repeat the run in Python")
        else:
            there = any(path.name == one.name for path in candidates)
            what = "is not the file of that run" if there else "was not found"
            raise HandstyleError(
                f"{printable(one.name)}, the {one.role.replace('_', ' ')}, {what}: give the file or its folder after "
                f"the picture (sha256 {printable(one.sha256)[:64]})"
            )
    return found


def _recipe_settings(
    picture: Path, recipe: Recipe, found: dict[Input, Path | None], instead: dict[str, str | None]
) -> Settings:
    """Return the settings of a recipe, with the paths of the files that were found, changed by those in `instead`."""
    flags = make_flags("AgainFlags", list(all_fields()), everything=False)
    over = {name: value for name, value in instead.items() if value is not None}
    paths = {
        role: [str(found[one]) for one in recipe.named(role)] for role in ("mask", "style_mask", "regions", "init")
    }
    masks, starts = iter(paths["style_mask"]), paths["init"]
    said = recipe.settings.get("style_mask", [])
    settings = resolve(replace(flags, config=str(picture), **over))
    config = replace(
        settings.config,
        mask=tuple(paths["mask"]),
        regions="".join(paths["regions"]),
        style_mask=tuple("all" if mask == "all" else next(masks, mask) for mask in said),
        init=starts[0] if starts else settings.config.init,
    )
    return replace(settings, config=config)


def _compare_runs(picture: Path, recipe: Recipe, new: Recipe, written: Path | None = None) -> tuple[list[str], bool]:
    """Compare two runs by their recipes and pixels, and return lines to print and whether the runs are equal."""
    same, changed, lines = recipe.result.get("sha256") == new.result.get("sha256"), False, []
    if written is not None:
        a, b = (read_picture(path).pixels.astype(np.float64) for path in (picture, written))
        exact = picture.suffix.lower() in LOSSLESS and written.suffix.lower() in LOSSLESS
        changed = exact and array_digest([a]) != array_digest([b])
        if a.shape != b.shape:
            lines.append(f"{a.shape[1]} x {a.shape[0]} px then, {b.shape[1]} x {b.shape[0]} px now")
        elif changed or not same:
            apart = np.abs(a - b)
            lines.append(
                f"differs: by {apart.mean():.3g} gray levels of 255 in the mean, by {apart.max():.3g} at most, in "
                f"{(apart > 0).mean():.1%} of the values"
            )
    if same:
        told = f"the run is equal to the last bit, but {picture} was changed since it was written"
        return ([told, *lines], False) if changed else (["equal to the bit"], True)
    lines.append(f"not equal to the last bit: loss {recipe.result.get('loss')} then, {new.result.get('loss')} now")
    parts = (("environment", recipe.environment, new.environment), ("network", recipe.network, new.network))
    for part, then, now in parts:
        for key in sorted({*then, *now} - {"name"}):
            if then.get(key) != now.get(key):
                before, after = (printable(str(table.get(key, "nothing")))[:200] for table in (then, now))
                lines.append(f"{part}: {printable(key)} was {before}, is {after}")
    return lines, False


def picture_info(picture: Path, recipe: Recipe) -> list[str]:
    r"""Return lines that describe a picture: settings that differ from its preset, network, inputs, machine, result.

    Examples
    --------
    >>> recipe = Recipe({"size": 256}, inputs=[Input("style", "painting.jpg", "5e1f")], result={"loss": 0.5})
    >>> print("\n".join(picture_info(Path("out.png"), recipe)))
    settings that differ from the preset handstyle:
      size = 256
    style: painting.jpg (sha256 5e1f)
    result:
      loss = 0.5
    with the same settings: handstyle stylize PHOTOGRAPH painting.jpg --config out.png
    painted again, and compared: handstyle again out.png
    """

    def lines(head: str, table: dict[str, Any]) -> list[str]:
        return [f"{head}:", *(f"  {key} = {toml_value(value)}" for key, value in table.items())] if table else []

    chosen = recipe.settings.get("preset", DEFAULT)
    styles = " ".join(shlex.quote(one.name) for one in recipe.named("style") if one.name.isprintable())
    return [
        *lines(f"settings that differ from the preset {printable(str(chosen))[:40]}", changed_settings(recipe)),
        *lines("network", recipe.network),
        *(
            f"{one.role.replace('_', ' ')}: {printable(one.name)} (sha256 {printable(one.sha256)})"
            for one in recipe.inputs
        ),
        *lines("environment", recipe.environment),
        *lines("result", recipe.result),
        f"with the same settings: handstyle stylize PHOTOGRAPH {styles} --config {shlex.quote(str(picture))}",
        f"painted again, and compared: handstyle again {shlex.quote(str(picture))}",
    ]
