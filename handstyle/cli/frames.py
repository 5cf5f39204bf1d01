"""The command ``frames``, which paints a film frame by frame, with a temporal loss to avoid flicker."""

import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from cyclopts import Parameter

from handstyle.cli.batch import BATCH, Job, JobResult, SharedInputs, differences, picture_paths, print_summary
from handstyle.cli.options import PICTURES, Flat, Output, RunConfig, resolve
from handstyle.cli.outputs import default_target
from handstyle.cli.painting import paint
from handstyle.cli.terminal import say, set_output_form
from handstyle.foundations.errors import HandstyleError, printable
from handstyle.foundations.picture_paths import expand_path
from handstyle.foundations.picture_reading import read_picture
from handstyle.network.vgg import Network
from handstyle.painting.film import (
    ANIMATIONS,
    LAST_FRAME,
    TEMPORAL_WEIGHT,
    VIDEOS,
    Frame,
    Start,
    check_film,
    check_film_writable,
    frame_facts,
    read_film,
    start_frame,
    write_film,
)
from handstyle.painting.inputs import read_inputs
from handstyle.painting.recipe import Recipe, read_recipe
from handstyle.painting.stylize import prepare_run


def frames(
    film: Annotated[Path, Parameter(group=PICTURES)],
    style: Annotated[Path, Parameter(group=PICTURES)],
    /,
    *more_styles: Annotated[Path, Parameter(group=PICTURES)],
    output: Output = None,
    temporal_weight: Annotated[float, Parameter(group=PICTURES)] = TEMPORAL_WEIGHT,
    fps: Annotated[float, Parameter(group=PICTURES)] = 0.0,
    flags: Annotated[Any, Flat] = BATCH,
) -> int:
    """Paint a film in the style of STYLE, each frame starting from the last painted one, to avoid flicker.

    The last painted frame is warped along the optical flow between the photographs. The next frame starts from it, and
    has a temporal loss, the difference from it where the flow is reliable. A new scene starts from its photograph. The
    same command continues where an earlier one ended. It needs scikit-image: pip install scikit-image.

    Parameters
    ----------
    film : Path
        A folder of pictures in the order of their names; an animated .gif, .webp or .png; or a video, if ffmpeg is
        installed.
    style : Path
        The painting, or a folder of paintings.
    more_styles : Path
        More paintings.
    output : Path
        A folder for the frames, NAME.png; or a film, .gif, .webp or .png, or .mp4 and others if ffmpeg is installed.
        The frames of a film are also kept, in the folder NAME_frames. By default FILM_painting, a folder for a folder
        and a film for a film.
    temporal_weight : float
        Weight of the mean squared difference (0 to 255) from the warped last frame; a larger one reduces flicker. 0.02
        by default.
    fps : float
        Frames per second; by default those of the film, or 12 for a folder.

    Examples
    --------
    .. code-block:: console

        $ handstyle frames clip.gif painting.jpg
        $ handstyle frames frames/ painting.jpg --temporal-weight 0.05 --output painted.mp4
    """
    settings = resolve(flags)
    set_output_form(settings.run.quiet, settings.run.json)
    if not (math.isfinite(fps) and 0 <= fps <= 1000):
        raise HandstyleError(f"--fps {fps:g}: must lie between 0 and 1000")
    check_film(settings.config, temporal_weight)
    source = expand_path(film)
    if source.is_file() and source.suffix.lower() not in (endings := (*ANIMATIONS, *VIDEOS)):
        raise HandstyleError(f"{printable(film)}: a film is a folder of pictures, or ends in {', '.join(endings)}")
    target = expand_path(output or default_target(source))
    made, folder = (target, target.with_name(f"{target.stem}_frames")) if target.suffix else (None, target)
    if made is not None:
        check_film_writable(made, overwrite=settings.run.overwrite)
    if folder.exists() and folder.resolve() == source.resolve():
        raise HandstyleError(f"-o {output}: {folder} is the folder of the film, whose pictures it would replace")
    done: list[JobResult] = []
    with tempfile.TemporaryDirectory(prefix="handstyle-") as start, read_film(film) as (photographs, seconds):
        shared = SharedInputs.of([style, *more_styles], settings, folder)
        pairs = picture_paths(photographs, folder)
        ended = shared.paint(_frame_jobs(pairs, temporal_weight, Path(start, "start.png")), len(pairs), done)
        there = [one.picture for one in done if one.picture.exists()]
        status = print_summary(done, len(pairs), f"frames are in {folder}{_describe_flicker(there)}", ended)
        if made is not None and not ended and there:
            rates = [1 / fps] * len(seconds) if fps else seconds
            write_film(made, there, [rates[i] for i, one in enumerate(done) if one.picture.exists()])
            say(f"the film is in {made}")
    return status


@dataclass(frozen=True)
class _FrameJob(Job):
    """A frame to paint, with the photograph and the picture of the frame before it."""

    last: tuple[Path, Path] | None
    weight: float
    init: Path

    def previous(self) -> str:
        """Return the digest of the painted frame before this one, or an empty string for the first frame."""
        return "" if self.last is None else str(read_recipe(self.last[1]).result.get("sha256", ""))

    def differences(self, shared: SharedInputs, recipe: Recipe) -> list[str]:
        """Return descriptions of the settings and pictures in which a frame's recipe differs from the command's."""
        said = frame_facts(self.picture)
        changed: dict[str, Any] = {}
        if said.get("start") == LAST_FRAME:
            changed = Start.later_settings(shared.settings.config) | {"init": str(self.init)}
        found = differences(shared, self.photograph, recipe, **changed)
        if said.get("temporal_weight") != self.weight:
            found.append(f"temporal_weight {said.get('temporal_weight')}")
        return found + (["after another frame"] if said.get("previous") != self.previous() else [])

    def notes(self, shared: SharedInputs, network: Network) -> list[str]:
        """Return the notes on the first photograph and the paintings; those of the other frames would be the same."""
        return [] if self.last else super().notes(shared, network)

    def paint(self, shared: SharedInputs, network: Network, run: RunConfig) -> tuple[int, str]:
        """Paint the frame, and return an exit status and a text on how it was started or on its flicker."""
        settings = shared.settings
        photograph, _ = read_inputs(settings.config, self.photograph, [])
        last = None
        if self.last is not None:
            before, _ = read_inputs(settings.config, self.last[0], [])
            last = Frame(before.pixels, read_picture(self.last[1]).pixels.astype(np.float64), self.previous())
        start = start_frame(settings.config, photograph, last, self.weight, self.init)
        going = prepare_run(photograph, shared.paintings, network, start.config, start.terms)
        going.measured = shared.measured
        status = paint(going, network, self.picture, replace(settings, config=start.config, run=run), start.finished)
        if start.why or not self.picture.exists():
            return status, f", {start.why}" if start.why else ""
        return status, f", flicker {frame_facts(self.picture).get('flicker', math.nan):.2f}"


def _frame_jobs(pairs: Sequence[tuple[Path, Path]], weight: float, init: Path) -> Iterator[_FrameJob]:
    """Yield the job of each frame; the frame before it must have been painted by then."""
    last = None
    for photograph, picture in pairs:
        yield _FrameJob(photograph, picture, last, weight, init)
        last = (photograph, picture) if picture.exists() else last


def _describe_flicker(pictures: Sequence[Path]) -> str:
    """Return a text with the mean flicker of painted frames, or an empty string if it is unknown."""
    found = [value for one in pictures if isinstance(value := frame_facts(one).get("flicker"), float)]
    return f", flicker {sum(found) / len(found):.2f} gray levels" if found else ""
