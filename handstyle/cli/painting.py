"""The commands that paint one picture: ``stylize``, ``texture``, ``reconstruct`` and ``demo``."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import CycloptsError, Parameter

from handstyle.cli.announcing import describe_pictures, print_end, print_notes, print_start, settings_line
from handstyle.cli.checkpoints import checkpoint_path, is_unfinished
from handstyle.cli.following import choose_display, follow_run
from handstyle.cli.options import (
    AUTO,
    PICTURES,
    Flat,
    NetworkConfig,
    Output,
    RunConfig,
    Settings,
    Whole,
    all_fields,
    make_flags,
    resolve,
)
from handstyle.cli.outputs import check_before, check_outputs, default_output, make_folder
from handstyle.cli.reporting import report_run
from handstyle.cli.terminal import event, say, set_output_form
from handstyle.cli.workers import connect_workers, with_workers
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.image import fit_long_side
from handstyle.foundations.picture_paths import expand_path
from handstyle.foundations.picture_reading import PictureLike, read_picture
from handstyle.foundations.picture_writing import write_picture
from handstyle.network.vgg import Network
from handstyle.painting.call_options import collect_styles
from handstyle.painting.config import ColorConfig, RegionConfig, StyleConfig, check_layer
from handstyle.painting.notes import picture_notes
from handstyle.painting.presets import DEFAULT, PRESETS
from handstyle.painting.progress import format_duration
from handstyle.painting.result import Result
from handstyle.painting.setting_values import field_types
from handstyle.painting.strength import describe_strength
from handstyle.painting.stylize import PaintingRun, blank_picture, prepare_run, reconstruction_config, texture_config

NO_TEXTURE = {  # settings that need a photograph, which a texture does not have
    *(set(field_types(RegionConfig)) - {"style_mask", "style_blend", "style_at", "blend"}),
    *field_types(ColorConfig),
    *("strength", "content_weight", "content_layers", "content_layer_weights", "content_normalization"),
    *("size_rule", "enlarge"),
}
RECONSTRUCTION = ("size", "max_pixels", "iterations", "tv_weight", "seed", "optimizer", "lbfgs_history")
STYLIZE_NAMES = list(all_fields())
TEXTURE_NAMES = [name for name in all_fields() if name not in NO_TEXTURE]
RECONSTRUCT_NAMES = [*RECONSTRUCTION, *field_types(NetworkConfig), *field_types(RunConfig)]
RECONSTRUCT_NAMES.remove("preset")

Picture = Annotated[Path, Parameter(group=PICTURES)]
Finish = Callable[[Result], Result]


def commands(everything: bool) -> dict[str, Any]:
    """Return the functions of the commands ``stylize``, ``texture`` and ``reconstruct`` by name.

    Their help shows all flags if `everything` is true, else only the common ones.

    Examples
    --------
    >>> list(commands(everything=False))
    ['stylize', 'texture', 'reconstruct']
    """
    of_stylize = make_flags("StylizeFlags", STYLIZE_NAMES, everything)
    of_texture = make_flags("TextureFlags", TEXTURE_NAMES, everything, vars(texture_config(StyleConfig())))
    defaults = vars(reconstruction_config("relu4_2", "content"))
    of_reconstruct = make_flags("ReconstructFlags", RECONSTRUCT_NAMES, everything, defaults)

    def stylize(
        content: Picture,
        style: Annotated[Path | None, Parameter(group=PICTURES)] = None,
        /,
        *more_styles: Picture,
        output: Output = None,
        flags: Annotated[Any, Flat] = of_stylize,
    ) -> int:
        """Paint CONTENT in the style of STYLE.

        Parameters
        ----------
        content : Path
            The photograph.
        style : Path
            The painting, or a folder of paintings.
        more_styles : Path
            More paintings; they are blended, or each is used inside its --mask.
        output : Path
            The picture to write: .png, .jpg, .webp or .tif. By default CONTENT_painting.png, or the next free name.
        """
        settings = resolve(flags)
        if style is None and not any("=" in region for region in settings.config.style_region):
            raise CycloptsError(msg="stylize needs a STYLE after CONTENT.")
        return start(content, [style, *more_styles] if style else [], output, f"{content.stem}_painting.png", settings)

    def texture(
        style: Picture,
        /,
        *more_styles: Picture,
        output: Output = None,
        flags: Annotated[Any, Flat] = of_texture,
    ) -> int:
        """Paint a square picture that has the style of STYLE and no content (Gatys et al. 2015, arXiv 1505.07376).

        Parameters
        ----------
        style : Path
            The painting, or a folder of paintings.
        more_styles : Path
            More paintings, which are blended.
        output : Path
            The picture to write. By default STYLE_texture.png, or the next free name.
        """
        settings = resolve(flags, fixed=texture_config)
        if not settings.run.write_config:  # the file has the settings that were given, not those changed for a texture
            settings = replace(settings, config=texture_config(settings.config))
        photograph = blank_picture(settings.config)
        return start(photograph, [style, *more_styles], output, f"{style.stem}_texture.png", settings)

    def reconstruct(
        picture: Picture,
        /,
        *,
        layer: Annotated[str, Parameter(group=PICTURES)],
        of: Annotated[Literal["content", "style"], Parameter(group=PICTURES)] = "content",
        output: Output = None,
        flags: Annotated[Any, Flat] = of_reconstruct,
    ) -> int:
        """Reconstruct PICTURE, from noise, by its features or Gram matrix at one LAYER (Gatys et al. 2016, fig. 1).

        Parameters
        ----------
        picture : Path
            Any picture.
        layer : str
            The layer of the network, such as relu4_2, conv3_1 or pool2.
        of : str
            Match the features (content) or their Gram matrix (style).
        output : Path
            The picture to write. By default PICTURE_LAYER.png, or the next free name.
        """
        config = reconstruction_config(layer, of)
        given = {name: getattr(config, name) for name in field_types(StyleConfig)}
        settings = resolve(flags, replace(PRESETS[DEFAULT], settings=given), lambda _: config)
        return start(picture, [picture], output, f"{picture.stem}_{layer}.png", settings, layer)

    for command, none_typed in ((stylize, of_stylize), (texture, of_texture), (reconstruct, of_reconstruct)):
        command.__annotations__["flags"] = Annotated[type(none_typed), Flat]
    return {"stylize": stylize, "texture": texture, "reconstruct": reconstruct}


def with_output(output: Path | None, default: str, settings: Settings) -> tuple[Path, Settings]:
    """Return the path of the output, and the settings with the checkpoint from which the run is resumed.

    Without `output` the path is `default`, or a free one beside it; see `default_output`.

    Examples
    --------
    >>> settings = resolve(make_flags("Flags", ["size"], everything=False))
    >>> with_output(Path("out.png"), "photograph_painting.png", settings)[0].name
    'out.png'
    """
    run = settings.run
    output = expand_path(output or default_output(Path(default), run))
    if not output.name:
        raise HandstyleError(f"-o {output} is a folder: name a picture in it")
    if run.resume == AUTO:
        run = replace(run, resume=checkpoint_path(output))
    return output, replace(settings, run=run)


def start(
    content: PictureLike, styles: Sequence[Path], output: Path | None, name: str, settings: Settings, layer: str = ""
) -> int:
    """Check the settings, load the network, paint the picture, and return the exit status.

    Without `output` the picture has the default name `name`, or the next free one.

    Examples
    --------
    >>> flags = make_flags("Flags", ["size", "write_config"], everything=False)
    >>> settings = resolve(replace(flags, size="256", write_config=True))
    >>> start("photograph.jpg", [Path("painting.jpg")], None, "out.png", settings)  # which prints the settings only
    weights = "vgg19-slim"
    backend = "auto"
    kernels = "auto"
    pooling = "max"
    padding = "zero"
    rounding = "down"
    size = 256
    0
    """
    if settings.run.write_config:
        say(settings.toml().rstrip("\n"))
        return 0
    path, settings = with_output(output, name, settings)
    set_output_form(settings.run.quiet, settings.run.json)
    check_before(path, settings.config, settings.run)
    paintings, config = collect_styles(styles, settings.config)
    print_notes(settings.idle_notes(len(paintings)))
    loaded = settings.load()
    if layer:
        check_layer(loaded, "layer", layer)
    with connect_workers(settings.run.cluster) as cluster:
        network = with_workers(cluster, loaded, config)
        run = prepare_run(content, paintings, network, config)
        return paint(run, network, path, replace(settings, config=config))


def paint(going: PaintingRun, loaded: Network, output: Path, settings: Settings, finish: Finish | None = None) -> int:
    """Paint the picture of a run with progress, save it, print the reason for stopping, and return the exit status.

    `loaded` is the network without tiles, which the report checks; `finish` may change the result before it is saved.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> flags = make_flags("Flags", ["size", "iterations", "style_layers", "quiet"], everything=False)
    >>> settings = resolve(replace(flags, size="32", iterations="2", style_layers=("relu1_1",), quiet=True))
    >>> photograph, painting = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    >>> network = build_network(random_weights())
    >>> run = prepare_run(photograph, [painting], network, settings.config)
    >>> set_output_form(quiet=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     status = paint(run, network, Path(folder, "out.png"), settings)
    ...     status, Path(folder, "out.png").is_file()
    (0, True)
    >>> set_output_form()
    """
    config, network, run = settings.config, settings.network, settings.run
    going.file = run.resume
    photograph, paintings = going.plan.photograph, going.plan.sources
    check_outputs(output, config, run, photograph)
    strong, said = describe_strength(config, loaded), picture_notes(config, loaded, photograph, paintings)
    print_start(going.memory, photograph, paintings, output, network.weights, strong, run)
    print_notes(said)
    started, title = time.monotonic(), f"{describe_pictures(config, photograph, paintings)}, {strong}"
    with follow_run(output, config, run, title, photograph) as follower:
        with choose_display(run) as follower.display:
            going.callback = follower
            result = going.paint()
        result = result if finish is None else finish(result)
        replaced = run.overwrite or is_unfinished(output, run)
        written = result.save_somewhere(output, overwrite=replaced, bits=run.bits)
        keep = follower.checkpoint
        if keep == checkpoint_path(output) and not result.failed and not result.interrupted:
            keep.unlink(missing_ok=True)
        print_notes(note for note in result.notes if note not in said)
        if run.report and not follower.asked:
            of = written, result, loaded, going.plan, config, follower.snapshots, run.overwrite
            follower.attempt("the report", partial(report_run, *of))
        status = print_end(result, output, written, keep)
        height, width = result.array.shape[:2]
        spent = format_duration(time.monotonic() - started)
        say(f"{width} x {height} px in {spent}; settings: {settings_line(config, network, run)}")
        if follower.preview is not None:
            follower.preview.finish(result, f"{result.stopped}; the picture is in {written}")
    status = 128 + follower.asked.numbers[0] if follower.asked else status
    event("end", path=written, width=width, height=height, ended=result.ended, stopped=result.stopped, status=status)
    return status


def demo(
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path("demo"),
    size: Whole = 384,
    iterations: Whole = 100,
    regions: Annotated[bool, Parameter(negative="")] = False,
    network: Annotated[NetworkConfig, Flat] = NetworkConfig(),
) -> int:
    """Paint a town at night in the style of a painting; both pictures are included in the package.

    Parameters
    ----------
    output : Path
        The folder for the pictures, which is created; pictures of an earlier demo in it are replaced.
    size : int
        Long side of the pictures in pixels.
    iterations : int
        Iterations of L-BFGS at each scale.
    regions : bool
        Paint a portrait instead, with the garden and the clothes in two styles and the head unchanged.

    Examples
    --------
    .. code-block:: console

        $ handstyle demo
        $ handstyle demo --size 512 --regions --output portrait
    """
    config = StyleConfig(size=size, iterations=iterations)
    output = expand_path(output)
    make_folder(output, "--output")
    names = {"content.png": "portrait.jpg" if regions else "photograph.jpg", "style.png": "painting.jpg"}
    if regions:
        names |= {"mask_background.png": "portrait_background.png", "mask_clothes.png": "portrait_clothes.png"}
    for name, source in names.items():
        with as_file(files("handstyle") / "data" / source) as file:
            pixels = read_picture(file).pixels
        write_picture(output / name, fit_long_side(pixels, size, name=source), overwrite=True)
    styles = [output / "style.png"]
    if regions:
        styles.append(output / "style_2.png")
        pixels = read_picture(styles[0]).pixels
        write_picture(styles[1], pixels[::-1, :, ::-1], overwrite=True)  # another palette
        masks = tuple(str(output / name) for name in names if name.startswith("mask"))
        config = replace(config, mask=masks, pyramid_min_size=size // 2)
    say(f"the pictures are in {output}")
    settings = Settings(PRESETS[DEFAULT], config, network, RunConfig(overwrite=True), names=())
    return start(output / "content.png", styles, output / "painted.png", "", settings)
