"""Replace the content of a file atomically: the new content is complete, or the old file is as it was."""

import errno
import hashlib
import os
import re
import secrets
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from handstyle.foundations.errors import HandstyleError, printable

STALE = 3600.0  # seconds after which a temporary file was left by a killed run
MAX_STEM_BYTES = 100  # bytes of the file's name that a temporary name keeps; eCryptfs allows 143 in all


def replace_file(path: Path, data: bytes | Callable[[BinaryIO], object], *, overwrite: bool = True) -> None:
    """Replace the content of a file atomically: write a temporary file beside it, flush it, rename it.

    Parameters
    ----------
    path : Path
        The file; a symbolic link is followed, not replaced.
    data : bytes or callable
        Its new content, or a function that writes it into an open file.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    HandstyleError
        If the file cannot be written; the old one is then as it was.

    Notes
    -----
    The temporary file and the folder are flushed to the disk (fsync). Temporary files that killed runs left in
    the folder are removed: those of the same file whose process has ended, and all that are older than an hour.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     replace_file(Path(folder, "a"), b"new")
    ...     Path(folder, "a").read_bytes()
    b'new'
    """
    target = Path(os.path.realpath(path))
    prefix = _temporary_prefix(target.name)
    temporary = target.with_name(f"{prefix}{os.getpid()}-{secrets.token_hex(4)}.part")
    _remove_orphans(target.parent, prefix)
    try:
        try:
            with open(temporary, "xb") as file:  # not mkstemp: its file would be private to the owner
                if isinstance(data, bytes):
                    file.write(data)
                else:
                    data(file)
                file.flush()
                os.fsync(file.fileno())
            if not overwrite and os.path.lexists(path):
                raise FileExistsError(errno.EEXIST, "it exists, and is not to be replaced (overwrite=False)")
            os.replace(temporary, target)
        finally:
            with suppress(OSError):  # the error of writing is the one to report
                temporary.unlink(missing_ok=True)
    except FileExistsError as error:
        raise _Exists(f"{printable(path)} cannot be written: {error.strerror}") from error
    except OSError as error:
        raise HandstyleError(f"{printable(path)} cannot be written: {error.strerror or error}") from error
    _flush_folder(target.parent)


class _Exists(HandstyleError, FileExistsError):
    pass


def _temporary_prefix(name: str) -> str:
    """Return the prefix of an output's temporary files on this machine; the process id and a number follow it.

    The output's name is cut by `cut_bytes`, because file systems limit the bytes of a name.
    """
    host = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
    return f".{cut_bytes(name)}.{host}-"


def cut_bytes(name: str) -> str:
    """Return a file name, cut to `MAX_STEM_BYTES` if it is longer, so that a suffix fits; no character is cut in two.

    Examples
    --------
    >>> cut_bytes("out.png"), len(cut_bytes(300 * "a")) < 255
    ('out.png', True)
    """
    return os.fsencode(name)[:MAX_STEM_BYTES].decode("utf-8", "ignore")


def _remove_orphans(folder: Path, prefix: str) -> None:
    """Remove an output's temporary files left by ended processes, and any that are older than an hour."""
    # Of another machine, whose processes are not known here, only the age is.
    base, _, host = prefix.rpartition(".")
    pattern = re.compile(r"(\..*)\.([0-9a-f]{8}-)([0-9]+)-[0-9a-f]{8}\.part")
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = pattern.fullmatch(entry.name)
            if found is None:
                continue
            with suppress(OSError):
                gone = (found[1], found[2]) == (base, host) and not _is_alive(int(found[3]))
                if gone or time.time() - entry.stat(follow_symlinks=False).st_mtime > STALE:
                    Path(entry.path).unlink()


def _is_alive(process: int) -> bool:
    if os.name == "nt":  # there, os.kill ends the process
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it belongs to another user
        return True
    return True


def _flush_folder(folder: Path) -> None:
    """Flush a folder to the disk, so that the new name survives a power failure; some systems cannot."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
