"""The commands that paint: ``stylize``, ``texture``, ``reconstruct``, ``demo``."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from cyclopts import Parameter

from handstyle.cli.options import Flat, NetworkConfig, Output, RunConfig, out
from handstyle.cli.session import paint, start
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.picture_writing import write_picture
from handstyle.painting.config import StyleConfig
from handstyle.painting.flow_painting import flow_painting
from handstyle.painting.scenes import night_scene, portrait_masks, portrait_scene


def stylize_command(
    content: Path,
    style: Path,
    *more_styles: Path,
    output: Output,
    config: Annotated[StyleConfig, Flat] = StyleConfig(),
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


def texture(
    style: Path,
    *more_styles: Path,
    output: Output,
    config: Annotated[StyleConfig, Flat] = StyleConfig(),
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
        raise HandstyleError(f"--color {config.color}: a texture has no photograph whose colors it could have")
    init = "noise" if config.init == "content" else config.init
    config = replace(config, content_weight=0.0, init=init, size_rule="long")
    blank = np.full((config.size, config.size, 3), 127.5, np.float32)
    return start(blank, [style, *more_styles], output, config, network, run)


def reconstruct(
    picture: Path,
    *,
    layer: str,
    of: Literal["content", "style"] = "content",
    output: Output,
    size: int = 256,
    iterations: int = 200,
    tv_weight: float = 1e-4,
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
        A little smoothness, for what the layer does not see: without it the noise of the start stays.
    seed : int
        Of the noise.
    """
    options: dict[str, Any] = {"content_weight": 0.0, "style_weight": 1.0, "style_layers": (layer,)}
    if of == "content":
        options = {"content_weight": 1.0, "style_weight": 0.0, "content_layers": (layer,)}
    config = StyleConfig(size=size, iterations=iterations, init="noise", tv_weight=tv_weight, seed=seed, **options)
    return start(picture, [picture], output, config, network, run)


def demo(
    *,
    output: Output = Path("demo"),
    size: int = 384,
    iterations: int = 100,
    regions: Annotated[bool, Parameter(negative="")] = False,
    network: Annotated[NetworkConfig, Flat] = NetworkConfig(),
) -> int:
    """Draw a town at night and a painting, and paint the one in the style of the other.

    Parameters
    ----------
    output : Path
        A folder for the pictures; it is made, and pictures of an earlier demo in it are replaced.
    size : int
        Long side of the pictures, pixels.
    iterations : int
        Of L-BFGS.
    regions : bool
        Draw a portrait instead, and paint its garden and its clothes in two styles; the head stays as it is.
    """
    config = StyleConfig(size=size, iterations=iterations)
    config.check()
    output.mkdir(parents=True, exist_ok=True)
    if regions:
        return demo_regions(output, config, network)
    scene, painting = night_scene(config.size * 3 // 4, config.size), flow_painting(config.size, config.size)
    write_picture(output / "content.png", scene, overwrite=True)
    write_picture(output / "style.png", painting, overwrite=True)
    out.print(f"drew {output / 'content.png'} and {output / 'style.png'}")
    loaded = network.load("float32")
    return paint(scene, [painting], output / "painted.png", config, network, loaded, RunConfig(overwrite=True))


def demo_regions(output: Path, config: StyleConfig, network: NetworkConfig) -> int:
    """Draw a portrait, the masks of two of its parts and two paintings, and paint each part in its style."""
    height, width = config.size, config.size * 3 // 4
    write_picture(output / "content.png", portrait_scene(height, width), overwrite=True)
    parts, masks, styles = portrait_masks(height, width), [], []
    for number, part in enumerate(("background", "clothes")):
        masks.append(output / f"mask_{part}.png")
        styles.append(output / f"style_{part}.png")
        write_picture(masks[-1], np.repeat(255 * parts[part][..., None], 3, axis=2), overwrite=True)
        strokes = flow_painting(config.size, config.size, 3 * number)
        write_picture(styles[-1], strokes[..., ::-1] if number else strokes, overwrite=True)  # two palettes
    config = replace(config, mask=tuple(map(str, masks)), pyramid_min_size=config.size // 2)  # large forms first
    out.print(f"drew {output / 'content.png'}, {' and '.join(map(str, masks))}, {' and '.join(map(str, styles))}")
    loaded = network.load("float32")
    run = RunConfig(overwrite=True)
    return paint(output / "content.png", styles, output / "painted.png", config, network, loaded, run)
