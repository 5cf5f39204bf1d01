"""Lock a file, so that one process at a time writes it; the error of another process says which one that is."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from handstyle.foundations.errors import HandstyleError, printable

MAX_HOLDER_BYTES = 200  # bytes that are read of a lock's text


@contextmanager
def locked(path: Path, what: str) -> Iterator[bool]:
    """Lock a file for this process during a ``with`` block.

    Parameters
    ----------
    path : Path
        The file. The lock is on a hidden file beside it, ``.NAME.lock``, which is removed at the end.
    what : str
        The word for the file in the error, such as "the checkpoint".

    Yields
    ------
    bool
        Whether there is a lock: False where the system or the file system has none.

    Raises
    ------
    HandstyleError
        If another process holds the lock; the message says which one, on which machine, and since when.

    Notes
    -----
    The lock is the operating system's (flock), which releases it when the process ends, even if it is killed; the
    hidden file that is then left locks nothing. Without flock, on Windows and on some network file systems, nothing is
    locked.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, locked(Path(folder, "run"), "the run") as held:
    ...     print(held, os.listdir(folder))
    True ['.run.lock']
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield False
        return
    lock = path.with_name(f".{path.name}.lock")
    while True:
        try:
            handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise HandstyleError(f"{printable(lock)} cannot be made: {error.strerror}") from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = True
        except BlockingIOError:
            holder = os.read(handle, MAX_HOLDER_BYTES).decode("utf-8", "replace")
            os.close(handle)
            raise HandstyleError(
                f"{what} {printable(path)} is another run's: {printable(holder) or 'a process'}; "
                "wait for it, end it, or name another file"
            ) from None
        except OSError:  # a file system without locks
            held = False
        with suppress(OSError):
            if os.path.samestat(os.fstat(handle), lock.stat()):
                break
        os.close(handle)  # the last holder removed it between opening and locking
    try:
        with suppress(OSError):  # a full disk
            os.truncate(handle, 0)
            now = datetime.now().strftime("%Y-%m-%d %H:%M:%S")
            os.write(handle, f"process {os.getpid()} on {socket.gethostname()}, since {now}".encode())
        yield held
    finally:
        with suppress(OSError):
            lock.unlink()
        os.close(handle)
