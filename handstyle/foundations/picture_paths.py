"""Paths of pictures: the home folder, the pictures of a folder, and what is a file that can be read or replaced."""

import errno
import os
import re
import stat
from pathlib import Path

from handstyle.foundations.errors import HandstyleError, one_line, printable
from handstyle.foundations.picture_formats import ENDINGS


def expand_path(path: str | os.PathLike[str]) -> Path:
    """Return a path with ``~`` and ``~name`` replaced by the home folder, if there is one.

    Examples
    --------
    >>> expand_path("pictures/~.png").as_posix()
    'pictures/~.png'
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:  # no home folder, or no user of that name: a file may be called so
        return Path(path)


def pictures_in(folder: str | os.PathLike[str]) -> list[Path]:
    """List the picture files of a folder, without the files that operating systems leave in it.

    Parameters
    ----------
    folder : path
        Its own files are listed, not those of its subfolders.

    Returns
    -------
    list of Path
        The regular files with the ending of a picture whose names do not begin with a dot, in the order of their
        names. ``._a.png`` (macOS), ``.DS_Store``, ``Thumbs.db`` and ``desktop.ini`` are not among them.

    Raises
    ------
    HandstyleError
        If there is no such folder, or no picture in it.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("b.png", "a.jpg", "._a.jpg", "Thumbs.db"):
    ...         _ = Path(folder, name).write_bytes(b"x")
    ...     [path.name for path in pictures_in(folder)]
    ['a.jpg', 'b.png']
    """
    folder = expand_path(folder)
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS)
        found = [path for path in files if not path.name.startswith(".") and path.is_file()]
    except OSError as error:
        raise HandstyleError(f"the folder {printable(folder)} cannot be read: {error.strerror or error}") from error
    if not found:
        raise HandstyleError(f"the folder {printable(folder)} holds no picture: give one with {', '.join(ENDINGS)}")
    return found


def check_input(path: Path, source: str) -> None:
    """Raise `HandstyleError` unless a path is that of a regular file that is not empty.

    Examples
    --------
    >>> try:
    ...     check_input(Path("no-such.jpg"), "no-such.jpg")
    ... except HandstyleError as error:
    ...     print(error)
    no-such.jpg does not exist: check the path of the picture
    """
    name = printable(path)
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        if re.match(r"(https?|ftps?|s3|gs|data|file):", source, re.IGNORECASE):
            url = re.sub(r"^(\w+:/)(?=[^/])", r"\1/", source)  # a path has lost one of its two
            raise HandstyleError(
                f"{printable(url)} is a URL, not a file: download the picture and give its path"
            ) from error
        if path.is_symlink():
            raise HandstyleError(f"{name} is a link to {printable(path.readlink())}, which does not exist") from error
        hint = "check the path of the picture" + "; several are separated by spaces" * ("," in name)
        raise HandstyleError(f"{name} does not exist: {hint}") from error
    if stat.S_ISDIR(status.st_mode):
        raise HandstyleError(f"{name} is a folder: name a picture in it; handstyle batch paints a folder")
    if not stat.S_ISREG(status.st_mode):
        raise HandstyleError(f"{name} is a pipe or a device, not a file: save the picture to a file first")
    if status.st_size == 0:
        raise HandstyleError(f"{name} is empty (0 bytes): fetch or save the picture again")


def check_output(path: Path) -> None:
    """Raise `HandstyleError` if a path is a folder, a pipe, a device, or a broken or circular link.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     check_output(Path(folder, "out.png"))
    ...     try:
    ...         check_output(Path(folder))
    ...     except HandstyleError as error:
    ...         print(str(error).split(": ")[0].endswith("is a folder"))
    True
    """
    name = printable(path)
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            goal = printable(os.path.realpath(path))
            raise HandstyleError(
                f"the output {name} is a link to {goal}, which does not exist: name that path, or remove the link"
            ) from None
        return
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.ELOOP:
            raise HandstyleError(f"the output {name} is a link that leads in a circle: remove it") from error
        reason = error.strerror if isinstance(error, OSError) else one_line(error)
        raise HandstyleError(f"the output {name} cannot be written: {reason}") from error
    if stat.S_ISDIR(mode):
        example = printable(path / "out.png")
        raise HandstyleError(f"the output {name} is a folder: add the name of a picture, such as {example}")
    if not stat.S_ISREG(mode):
        what = "pipe" if stat.S_ISFIFO(mode) else "device or socket"
        raise HandstyleError(f"the output {name} is a {what}, not a file: choose another name")
