"""Paint a film frame by frame: each frame starts from the last painted frame, warped along the optical flow.

A temporal loss measures the difference from the warped frame. `frames` is the function for Python. `start_frame`, which
the command line uses too, computes the starting picture and the target of the temporal loss. Animations are read and
written by Pillow, videos by ffmpeg.
"""

import io
import json
import math
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from handstyle.foundations.atomic_file import replace_file
from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError, one_line, printable
from handstyle.foundations.image import Size, resize
from handstyle.foundations.picture_metadata import read_metadata
from handstyle.foundations.picture_paths import expand_path, pictures_in
from handstyle.foundations.picture_reading import Picture, PictureLike
from handstyle.foundations.picture_writing import write_picture
from handstyle.losses.temporal import certainty, temporal_term, warp
from handstyle.losses.terms import Term
from handstyle.network.vgg import Network
from handstyle.painting.arguments import styles_and_blend
from handstyle.painting.call_options import as_network, choose_settings, network_argument
from handstyle.painting.color import luminance
from handstyle.painting.config import StyleConfig
from handstyle.painting.inputs import read_inputs, size_for_photograph
from handstyle.painting.measured import Measured
from handstyle.painting.recipe import KEY, parse_recipe
from handstyle.painting.region_masks import feather_mask
from handstyle.painting.result import Progress, Result, keep_last, whole_levels
from handstyle.painting.stylize import stylize

TEMPORAL_WEIGHT = 0.02
FRAME = "handstyle:frame"  # key of a frame's metadata
LAST_FRAME = "the last frame"
EDGE = 2.0  # pixels, standard deviation of the blur at the edges of the mask of reliable flow, within it
MIN_EXPLAINED = 0.5  # if the flow explains less than this fraction of a photograph's variance, the frame is a new scene
# With these, colors are changed after painting, so the file of a frame is not what a next frame could start from.
COLORS_AFTER = ("match-after", "histogram-after", "luminance-after")
ANIMATIONS = {".gif": "GIF", ".webp": "WEBP", ".png": "PNG", ".apng": "PNG"}
COLORS = ("colorspace", "color_primaries", "color_trc")  # what a video says about its colors
VIDEOS = (".mp4", ".mov", ".mkv", ".webm", ".avi")
SECONDS = 1 / 12  # duration of a frame, if the film has none


# --- a frame and the one before it --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Frame:
    """A frame of a film, before and after painting.

    Parameters
    ----------
    photograph : (h, w, 3) array
        The photograph, at the size of the output or of the file.
    painted : (H, W, 3) array
        The painted picture, 0 to 255, rounded to integers as in its file.
    digest : str
        The sha256 of the painted picture, from its recipe.

    Examples
    --------
    >>> frame = Frame(np.zeros((32, 32, 3)), np.zeros((32, 32, 3)), "5e1f")
    >>> photograph = Picture(np.zeros((32, 48, 3)), None, "frame_2.png")
    >>> start_frame(StyleConfig(size=48), photograph, frame, 0.02, Path("start.png")).why  # it has another size
    'the frame before has 32 x 32 px'
    """

    photograph: Array
    painted: Array
    digest: str = ""


@dataclass(frozen=True)
class Start:
    """The settings of a frame, and the target of its temporal loss.

    Parameters
    ----------
    config : StyleConfig
        The settings of the frame. For the first frame of a scene they are those of the film; for others they have one
        scale, and the warped last frame as the starting picture.
    why : str
        The reason for starting from the photograph, in words; empty if the frame starts from the last one.
    target : (H, W, 3) array, optional
        The last painted frame, warped along the flow.
    certain : (H, W) array of bool, optional
        The mask of pixels with a reliable flow.
    weight : float
        Weight of the temporal term.
    previous : str
        The digest of the last frame.

    Examples
    --------
    >>> p = np.random.default_rng(0).uniform(0, 255, (32, 32, 3))
    >>> last = Frame(photograph=p, painted=p.round())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     start = start_frame(StyleConfig(size=32), Picture(p, None, ""), last, 0.02, Path(folder, "start.png"))
    >>> start.why, np.array_equal(start.target, last.painted)  # nothing has moved
    ('', True)
    """

    config: StyleConfig
    why: str = ""
    target: Array | None = None
    certain: Array | None = None
    weight: float = TEMPORAL_WEIGHT
    previous: str = ""

    @staticmethod
    def later_settings(config: StyleConfig) -> dict[str, Any]:
        """Return the settings of a frame that starts from the last one, where they differ from those of the film.

        Such a frame has no noise and one scale, with the iterations of the film's finest.

        Examples
        --------
        >>> Start.later_settings(StyleConfig(iterations_by_scale=(300, 100)))
        {'init_noise': 0.0, 'pyramid_min_size': 0, 'iterations_by_scale': (100,)}
        """
        return {"init_noise": 0.0, "pyramid_min_size": 0, "iterations_by_scale": config.iterations_by_scale[-1:]}

    def terms(self, network: Network, size: Size) -> list[Term]:
        """Return the list of terms for `stylize`: the temporal term, or none if the flow is reliable nowhere.

        Parameters
        ----------
        network : Network
            The network of the run, on whose device the target is put.
        size : (H, W)
            Height and width of the scale, which are those of the target.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network, target = build_network(random_weights()), np.zeros((16, 16, 3))
        >>> start = Start(StyleConfig(), target=target, certain=np.ones((16, 16), bool), weight=0.5)
        >>> [(term.name, term.weight) for term in start.terms(network, (16, 16))]
        [('temporal', 0.5)]
        >>> Start(StyleConfig(), "a new scene").terms(network, (16, 16))
        []
        """
        if self.target is None or self.certain is None or not self.weight or not self.certain.any():
            return []
        target = luminance(self.target, self.config.color_space) if self.config.color == "luminance" else self.target
        # With a hard edge the pixels beside it, which alone may change, take on all the style that the others lack.
        soft = np.clip(2 * feather_mask(self.certain.astype(np.float64), EDGE) - 1, 0, 1)
        made, mask = (network.backend.asarray(a, dtype=network.dtype) for a in (target, soft[..., None]))
        return [temporal_term(made, mask, self.weight)]

    def flicker(self, painted: Array) -> float | None:
        """Return the root mean square difference, in gray levels, of the painted frame from the warped last one.

        Only pixels with a reliable flow are compared. If there are none, the result is None.

        Examples
        --------
        >>> target, certain = np.zeros((2, 2, 3)), np.array([[True, True], [False, False]])
        >>> start = Start(StyleConfig(), target=target, certain=certain)
        >>> start.flicker(np.array([[[3.0] * 3] * 2, [[99.0] * 3] * 2]))  # the second row is not compared
        3.0
        """
        if self.target is None or self.certain is None or not self.certain.any():
            return None
        return _warped_difference(painted, self.target, self.certain)

    def finished(self, result: Result) -> Result:
        """Return a frame's result with the facts about the frame added to its metadata; see `frame_facts`.

        Examples
        --------
        >>> painted = Result(np.full((2, 2, 3), 3.0), None, "done", "all 9 iterations done", [], 9, False, metadata={})
        >>> start = Start(StyleConfig(), target=np.zeros((2, 2, 3)), certain=np.ones((2, 2), bool))
        >>> json.loads(start.finished(painted).metadata[FRAME])
        {'start': 'the last frame', 'temporal_weight': 0.02, 'previous': '', 'flicker': 3.0}
        """
        facts: dict[str, Any] = {"start": self.why or LAST_FRAME, "temporal_weight": self.weight}
        facts["previous"] = self.previous
        flicker = self.flicker(whole_levels(result.array).astype(np.float64))
        facts |= {} if flicker is None else {"flicker": round(flicker, 3)}
        notes = [note for note in result.notes if "the term temporal" not in note]  # it is no term of the caller's own
        return replace(result, metadata={**result.metadata, FRAME: json.dumps(facts)}, notes=notes)


def frame_facts(picture: Path) -> dict[str, Any]:
    """Read the facts about a frame from its metadata: start, temporal_weight, previous and flicker.

    Parameters
    ----------
    picture : Path
        Any picture; the result is empty if it has no such metadata.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "frame.png")
    ...     write_picture(path, np.zeros((16, 16, 3)), metadata={FRAME: '{"flicker": 1.5}'})
    ...     frame_facts(path)
    {'flicker': 1.5}
    """
    try:
        found = json.loads(read_metadata(picture, decode=False).get(FRAME, "{}"))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _warped_difference(painted: Array, target: Array, certain: Array) -> float:  # (H, W, 3), (H, W, 3), (H, W) -> float
    """Return the root mean square difference of a frame from the warped last frame, where the flow is reliable."""
    return math.sqrt(float(((painted - target)[certain] ** 2).mean()))


def flicker(photographs: Sequence[Array], painted: Sequence[Array]) -> float:
    """Return the flicker of a film: the mean over its frames of `_warped_difference`, in gray levels.

    Parameters
    ----------
    photographs, painted : sequence of (H, W, 3) arrays
        The frames before and after painting, all of one size. The flow is computed from the photographs.

    Returns
    -------
    float
        0 if all painted colors move with the photographs; NaN for fewer than two frames.

    Notes
    -----
    It is the square root of the warping error of Lai et al. (2018, "Learning blind video temporal consistency",
    arXiv 1808.00449).

    Examples
    --------
    >>> photographs = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3)).repeat(2, axis=0)  # nothing moves
    >>> painted = [np.full((32, 32, 3), 100.0), np.full((32, 32, 3), 103.0)]
    >>> flicker(photographs, painted)
    3.0
    """
    found = []
    for i in range(1, len(painted)):
        backward, certain = motion(photographs[i], photographs[i - 1])
        if certain.any():
            found.append(_warped_difference(painted[i], warp(painted[i - 1], backward), certain))
    return sum(found) / len(found) if found else math.nan


def motion(now: Array, before: Array) -> tuple[Array, Array]:  # (H, W, 3), (H, W, 3) -> (2, H, W), (H, W) of bool
    """Return the flow from each pixel of a frame to its position in the last frame, and the mask of reliable pixels.

    Examples
    --------
    >>> now = np.random.default_rng(0).uniform(0, 255, (32, 32, 3))
    >>> backward, certain = motion(now, now)
    >>> float(abs(backward).max()), bool(certain.all())
    (0.0, True)
    """
    backward = flow_between(now, before)
    return backward, certainty(flow_between(before, now), backward)


def flow_between(a: Array, b: Array) -> Array:  # (H, W, 3), (H, W, 3) -> (2, H, W)
    """Return the optical flow from each pixel of `a` to its position in `b`: rows and columns in pixels.

    Raises
    ------
    HandstyleError
        If scikit-image is not installed.

    Notes
    -----
    The flow is scikit-image's TV-L1 (Zach, Pock and Bischof 2007) of the luminance.

    Examples
    --------
    >>> from scipy.ndimage import gaussian_filter
    >>> p = 255 * gaussian_filter(np.random.default_rng(0).uniform(0, 1, (40, 44)), 2)[..., None].repeat(3, axis=2)
    >>> p = (p - p.min()) / np.ptp(p) * 255
    >>> flow = flow_between(p[:, 2:42], p[:, :40])  # what is at column x is at x + 2 in the other
    >>> np.median(flow, axis=(1, 2)).round().tolist()
    [0.0, 2.0]
    """
    gray = [np.asarray(luminance(p)[..., 0] / 255, np.float32) for p in (a, b)]
    return np.asarray(_registration().optical_flow_tvl1(*gray), np.float64)


def _registration() -> Any:
    try:
        return import_module("skimage.registration")
    except ModuleNotFoundError:
        raise HandstyleError("a film needs optical flow, by scikit-image: pip install scikit-image") from None


def check_film(config: StyleConfig, weight: float) -> None:
    """Raise `HandstyleError` if the settings cannot be used for a film, or if scikit-image is not installed.

    Examples
    --------
    >>> try:
    ...     check_film(StyleConfig(color="luminance-after"), 0.02)
    ... except HandstyleError as error:
    ...     print(str(error).split(": ")[-1])
    changes colors after painting, so the next frame could not start from it; use color='luminance'
    """
    _registration()
    if not (math.isfinite(weight) and weight >= 0):
        raise HandstyleError(f"temporal_weight={weight}: must be a number of 0 or more")
    if config.color in COLORS_AFTER:
        raise HandstyleError(
            f"color={config.color!r}: changes colors after painting, so the next frame could not start from it; "
            f"use color={config.color.removesuffix('-after')!r}"
        )


def start_frame(config: StyleConfig, photograph: Picture, last: Frame | None, weight: float, init: Path) -> Start:
    """Return the start of a frame: its settings and its temporal target, from the last frame or from the photograph.

    Parameters
    ----------
    config : StyleConfig
        The settings of the film.
    photograph : Picture
        The photograph of the frame.
    last : Frame or None
        The last painted frame.
    weight : float
        Weight of the temporal term.
    init : Path
        The PNG to write with the picture from which the frame starts. Pixels that were occluded in the last frame are
        taken from the photograph.

    Returns
    -------
    Start
        The frame starts from the photograph if there is no last frame, if that has another size, or in a new scene. A
        frame is a new scene if the flow explains less than half of the variance, ``1 − Σ (p − ω)² / Σ (p − mean)²`` for
        the photograph p and the warped last photograph ω.

    Examples
    --------
    >>> photograph = Picture(np.zeros((32, 32, 3)), None, "frame_1.png")
    >>> start_frame(StyleConfig(size=32), photograph, None, 0.02, Path("start.png")).why
    'the first frame'
    """
    if last is None:
        return Start(config, "the first frame", weight=weight)
    anew = Start(config, "a new scene", weight=weight, previous=last.digest)
    size = size_for_photograph(config, photograph)
    if last.painted.shape[:2] != size:
        return replace(anew, why=f"the frame before has {last.painted.shape[1]} x {last.painted.shape[0]} px")
    now, before = (resize(p, size).astype(np.float64) for p in (photograph.pixels, last.photograph))
    backward, certain = motion(now, before)
    unexplained = ((now - warp(before, backward)) ** 2).sum() / max(((now - now.mean(axis=(0, 1))) ** 2).sum(), 1e-9)
    if unexplained > 1 - MIN_EXPLAINED:
        return anew
    target = warp(last.painted, backward)
    write_picture(init, np.where(certain[..., None], target, now), overwrite=True)
    later = replace(config, init=str(init), **Start.later_settings(config))
    return Start(later, "", target, certain, weight, last.digest)


def frames(
    photographs: str | os.PathLike[str] | Iterable[PictureLike],
    styles: PictureLike | Sequence[PictureLike] | Mapping[Any, Any],
    *,
    network: Network | str | os.PathLike[str] | None = None,
    config: StyleConfig | Mapping[str, Any] | None = None,
    preset: str | None = None,
    temporal_weight: float = TEMPORAL_WEIGHT,
    callback: Callable[[Progress], None] | Sequence[Callable[[Progress], None]] | None = None,
    progress: bool | None = None,
    **options: Any,
) -> Iterator[Result]:
    """Paint a film frame by frame, and yield the result of each frame.

    Parameters
    ----------
    photographs : path, or pictures in order
        A folder of pictures, an animation (GIF, WebP, APNG), or a video if ffmpeg is installed; or a sequence of paths,
        PIL images or arrays.
    styles, network, config, preset
        See `stylize`. The network is loaded once, and the paintings are measured once at each size.
    temporal_weight : float
        Weight of the mean squared difference (0 to 255) from the warped last frame where the flow is reliable.
    callback, progress, **options
        See `stylize`; they are used for each frame.

    Yields
    ------
    Result
        The result of each frame, before the next is started.

    Raises
    ------
    HandstyleError
        If there are no frames, if scikit-image is not installed, and in the cases of `stylize`.

    References
    ----------
    Ruder, Dosovitskiy and Brox 2016, *Artistic style transfer for videos*, arXiv 1604.08610.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> photograph, painting = rng.uniform(0, 255, (2, 48, 52, 3))
    >>> pan = [photograph[:, i : i + 48] for i in range(3)]
    >>> options = {"network": "random", "size": 48, "iterations": 2, "style_layers": "relu1_1"}
    >>> [result.array.shape for result in frames(pan, painting, **options)]
    [(48, 48, 3), (48, 48, 3), (48, 48, 3)]
    """
    network, sources = network_argument(network, options), styles_and_blend(styles, options)
    chosen, config = choose_settings(config, preset, options)
    check_film(config, temporal_weight)
    loaded, _ = as_network(network, chosen)
    with tempfile.TemporaryDirectory(prefix="handstyle-") as folder, read_film(photographs) as (pictures, _):
        last, measured = None, Measured()
        called: dict[str, Any] = {"network": loaded, "callback": callback, "progress": progress, "measured": measured}
        for picture in pictures:
            photograph, _ = read_inputs(config, picture, [])
            start = start_frame(config, photograph, last, temporal_weight, Path(folder, "start.png"))
            painted = stylize(photograph, sources, config=start.config, terms=start.terms, **called)
            result = keep_last(start.finished(painted))
            measured.forget_maps()
            digest = parse_recipe(result.metadata[KEY], "the frame").result["sha256"]
            last = Frame(photograph.pixels, whole_levels(result.array).astype(np.float64), digest)
            yield result


# --- films in files -------------------------------------------------------------------------------------------------


def natural_order(paths: Iterable[Path]) -> list[Path]:
    """Sort paths in natural order: frame 2 before frame 10.

    Examples
    --------
    >>> [path.name for path in natural_order([Path("f10.png"), Path("f2.png"), Path("F1.png")])]
    ['F1.png', 'f2.png', 'f10.png']
    """

    def key(path: Path) -> list[tuple[bool, int, str]]:
        parts = re.split(r"([0-9]+)", path.stem.lower())
        return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]

    return sorted(paths, key=key)


@contextmanager
def read_film(source: Any) -> Iterator[tuple[list[Any], list[float]]]:
    """Read a film, and yield its frames and the duration of each in seconds, for the time of a ``with`` block.

    Parameters
    ----------
    source : path or iterable of pictures
        A folder, an animation, a video, or pictures. The frames of animations and videos are written as NAME_0001.png
        and so on into a temporary folder that is deleted at the end of the block.

    Raises
    ------
    HandstyleError
        If the film has no frames or cannot be read.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     frames_of = [Image.new("RGB", (32, 32), color) for color in ("red", "blue")]
    ...     frames_of[0].save(Path(folder, "clip.gif"), save_all=True, append_images=frames_of[1:], duration=200)
    ...     with read_film(Path(folder, "clip.gif")) as (pictures, seconds):
    ...         [one.name for one in pictures], seconds
    (['clip_0001.png', 'clip_0002.png'], [0.2, 0.2])
    """
    if not isinstance(source, str | os.PathLike):
        pictures = list(source)
        if not pictures:
            raise HandstyleError("photographs: no frames; give one at least")
        yield pictures, [SECONDS] * len(pictures)
        return
    path = expand_path(source)
    if path.is_dir():
        found = natural_order(pictures_in(path))
        yield found, [SECONDS] * len(found)
        return
    with tempfile.TemporaryDirectory(prefix="handstyle-") as name:
        folder = Path(name)
        seconds = (_extract_by_ffmpeg if path.suffix.lower() in VIDEOS else _extract_by_pillow)(path, folder)
        yield natural_order(folder.iterdir()), seconds


def _extract_by_pillow(path: Path, folder: Path) -> list[float]:
    """Write the frames of an animation into a folder as PNG files, and return the duration of each in seconds."""
    seconds = []
    try:
        with Image.open(path) as image:
            count = getattr(image, "n_frames", 1)
            for number in range(count):
                image.seek(number)
                image.load()
                mode = "RGBA" if image.has_transparency_data else "RGB"
                image.convert(mode).save(folder / f"{path.stem}_{number + 1:04d}.png", compress_level=1)
                seconds.append(float(image.info.get("duration") or 1000 * SECONDS) / 1000)
    except Exception as error:  # decoders raise errors of any class
        at = f" from frame {len(seconds) + 1} on" if seconds else ""
        reason = getattr(error, "strerror", None) or one_line(error)
        raise HandstyleError(f"{printable(path)} cannot be read{at}: {reason}") from None
    if count < 2:
        raise HandstyleError(f"{printable(path)} is a single picture, not a film: paint it with `stylize`")
    return seconds


def _ffmpeg_path(what: str) -> str:
    """Return the path of ffmpeg, or raise `HandstyleError` with `what` as the subject if it is not installed."""
    found = shutil.which("ffmpeg")
    if found is None:
        raise HandstyleError(
            f"{what}: videos need ffmpeg, which is not installed (ffmpeg.org); a folder of pictures, .gif, .webp and "
            ".png do without"
        )
    return found


def _extract_by_ffmpeg(path: Path, folder: Path) -> list[float]:
    """Write the frames of a video into a folder as PNG files, and return the duration of each in seconds."""
    program = _ffmpeg_path(printable(path))
    if not path.is_file():
        raise HandstyleError(f"{printable(path)} cannot be read: there is no such file")
    pattern = folder / f"{path.stem.replace('%', '%%')}_%04d.png"
    words = [program, "-nostdin", "-hide_banner", "-i", f"file:{path.absolute()}", "-fps_mode", "passthrough"]
    done = subprocess.run([*words, str(pattern)], capture_output=True, text=True, errors="replace", check=False)
    count = len(list(folder.iterdir()))
    if done.returncode or not count:
        raise HandstyleError(f"{printable(path)}: ffmpeg cannot read it: {_last_line(done.stderr)}")
    rate = re.search(r"([0-9.]+) fps", done.stderr)
    return [1 / float(rate[1]) if rate and float(rate[1]) else SECONDS] * count


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return one_line(lines[-1]) if lines else "no message"


def check_film_writable(path: Path, overwrite: bool) -> None:
    """Raise `HandstyleError` if a film cannot be written to `path`.

    Examples
    --------
    >>> try:
    ...     check_film_writable(Path("film.doc"), overwrite=False)
    ... except HandstyleError as error:
    ...     print(str(error).split(",")[0])
    film.doc: a film is a folder
    """
    if path.suffix.lower() in VIDEOS:
        _ffmpeg_path(printable(path))
    elif path.suffix.lower() not in ANIMATIONS:
        raise HandstyleError(f"{printable(path)}: a film is a folder, or ends in {', '.join((*ANIMATIONS, *VIDEOS))}")
    if path.exists() and (path.is_dir() or not overwrite):
        raise HandstyleError(f"{printable(path)} exists: choose another name, or add `overwrite`")
    if not os.access(path.absolute().parent, os.W_OK):
        raise HandstyleError(f"{printable(path)}: its folder does not exist, or cannot be written to")


def write_film(path: str | os.PathLike[str], pictures: Sequence[Path], seconds: Sequence[float]) -> None:
    """Write painted frames as an animation or a video, depending on the suffix of the file.

    Parameters
    ----------
    path : path
        A file with the suffix .gif, .webp, .png or .apng or, if ffmpeg is installed, .mp4, .mov, .mkv, .webm or .avi.
        An existing file is replaced.
    pictures : sequence of Path
        The frames, of one size.
    seconds : sequence of float
        The duration of each frame. All frames of a video have the mean duration.

    Raises
    ------
    HandstyleError
        If the frames differ in size, or the film cannot be written.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pictures = [Path(folder, f"{number}.png") for number in (1, 2, 3)]
    ...     for number, picture in enumerate(pictures):
    ...         write_picture(picture, np.full((16, 16, 3), 100.0 * number))
    ...     write_film(Path(folder, "film.gif"), pictures, [0.1] * 3)
    ...     with Image.open(Path(folder, "film.gif")) as film:
    ...         film.n_frames, film.info["duration"]
    (3, 100)
    """
    path = expand_path(path)
    sizes = []
    for picture in pictures:
        with Image.open(picture) as image:
            sizes.append(image.size)
        if sizes[-1] != sizes[0]:
            said = f"{image.width} x {image.height} px, {pictures[0].name} {sizes[0][0]} x {sizes[0][1]}"
            raise HandstyleError(
                f"{printable(path)}: {printable(picture.name)} has {said}: all frames must have the same size"
            )
    if path.suffix.lower() in VIDEOS:
        replace_file(path, _video(path, pictures, len(seconds) / max(sum(seconds), 1e-3)))
        return
    kind = ANIMATIONS[path.suffix.lower()]
    options: dict[str, Any] = {"quality": 90} if kind == "WEBP" else {}
    durations = [max(1, round(1000 * one)) for one in seconds]
    options |= {"save_all": True, "duration": durations if len(durations) > 1 else durations[0], "loop": 0}
    file = io.BytesIO()
    Frames(pictures).save(file, kind, **options)
    replace_file(path, file.getvalue())


def read_frame(picture: Path) -> Image.Image:
    """Read a painted frame as an RGB or RGBA image, to be written into a film.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_picture(Path(folder, "frame.png"), np.full((16, 24, 3), 255.0))
    ...     image = read_frame(Path(folder, "frame.png"))
    >>> image.size, image.mode
    ((24, 16), 'RGB')
    """
    with Image.open(picture) as image:
        return image.convert("RGBA" if image.has_transparency_data else "RGB")


class Frames(Image.Image):
    """An image of Pillow's with several frames, which reads each frame from its file when it is needed.

    Parameters
    ----------
    pictures : sequence of Path
        The files, of pictures of one size.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pictures = [Path(folder, f"{number}.png") for number in (1, 2)]
    ...     for picture in pictures:
    ...         write_picture(picture, np.zeros((16, 16, 3)))
    ...     film = Frames(pictures)
    >>> film.n_frames, film.size
    (2, (16, 16))
    """

    def __init__(self, pictures: Sequence[Path]) -> None:
        super().__init__()
        self.pictures, self.n_frames = pictures, len(pictures)
        self.seek(0)

    def seek(self, frame: int) -> None:
        """Read a frame, counted from 0, in place of the one before.

        Raises
        ------
        EOFError
            If there is no such frame, as Pillow expects.

        Examples
        --------
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     pictures = [Path(folder, "black.png"), Path(folder, "white.png")]
        ...     for picture, level in zip(pictures, (0.0, 255.0), strict=True):
        ...         write_picture(picture, np.full((16, 16, 3), level))
        ...     film = Frames(pictures)
        ...     film.seek(1)
        >>> film.getpixel((0, 0))
        (255, 255, 255)
        """
        if not 0 <= frame < self.n_frames:
            raise EOFError
        image = read_frame(self.pictures[frame])
        self.im, self._mode, self._size = image.im, image.mode, image.size


def _video(path: Path, pictures: Sequence[Path], rate: float) -> bytes:
    """Encode frames by ffmpeg, through a pipe, at `rate` frames per second, and return the file's bytes."""
    with tempfile.TemporaryDirectory(prefix="handstyle-") as folder:
        made = Path(folder, f"film{path.suffix.lower()}")
        # The form that players can decode: even sides, and colors by the matrix of BT.709, which the file names. If it
        # names none, players take that of BT.601 for small pictures and this one for large; an .avi can name none.
        even, named = "pad=ceil(iw/2)*2:ceil(ih/2)*2", path.suffix.lower() != ".avi"
        if named:
            even += ",scale=out_color_matrix=bt709:out_range=tv,setparams=" + ":".join(f"{one}=bt709" for one in COLORS)
        form = ["-vf", even, "-pix_fmt", "yuv420p"]
        form += [word for one in COLORS for word in (f"-{one}", "bt709")] if named else []
        if path.suffix.lower() in (".mp4", ".mov", ".mkv"):
            form += ["-c:v", "libx264", "-crf", "16"]
        read = ["-f", "image2pipe", "-c:v", "png", "-framerate", f"{rate:.6f}", "-i", "-"]
        words = [_ffmpeg_path(printable(path)), "-hide_banner", "-loglevel", "error", *read, *form, str(made)]
        said = Path(folder, "said")
        with open(said, "wb") as errors, subprocess.Popen(words, stdin=subprocess.PIPE, stderr=errors) as running:
            assert running.stdin is not None
            with suppress(BrokenPipeError), running.stdin as pipe:  # if ffmpeg ends early, it says why
                for picture in pictures:
                    read_frame(picture).convert("RGB").save(pipe, "PNG", compress_level=1)
        if running.returncode or not made.exists():
            why = _last_line(said.read_text(errors="replace"))
            raise HandstyleError(f"{printable(path)}: ffmpeg cannot write it: {why}")
        return made.read_bytes()
