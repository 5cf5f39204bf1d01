"""Download files over HTTP, and resume interrupted downloads by range requests (RFC 9110)."""

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any
from urllib.parse import urljoin

from handstyle.foundations.errors import HandstyleError, one_line

CHUNK = 1 << 16  # bytes
MAX_BYTES = 1 << 30  # bytes; the largest published VGG has 575 MB
TIMEOUT = 30.0  # s without a byte
MIN_RATE = 1000  # bytes a second, over `TIMEOUT`

Progress = Callable[[int, int], None]  # bytes received, bytes in all (0 if the server does not specify it)


class DownloadError(HandstyleError):
    """Raised when a download fails; the message is the reason in a few words."""


def download(url: str, target: Path, progress: Progress) -> None:
    """Download a file; after a failure the received part is kept, and a later call continues from there.

    The rest is requested on the condition that the file on the server has not changed (``If-Range``, by its ETag or
    else its date). A server that gives neither, or does not support ranges, sends the whole file again.

    Parameters
    ----------
    url : str
        The URL; redirections from https to http are refused.
    target : Path
        The file to write; the received part is kept in the same folder.
    progress : callable
        Called with the number of bytes received, and the number in all.

    Raises
    ------
    DownloadError
        If the file cannot be downloaded completely. The received part is kept if the server gives an ETag or a date, by
        which a later call can check that the file has not changed.

    Examples
    --------
    >>> def report(received, total):
    ...     print(f"{received} of {total} bytes")
    >>> download("ftp://example.org/vgg19.h5", Path("vgg19.h5"), report)  # not HTTP
    Traceback (most recent call last):
        ...
    weights_tools.resume.DownloadError: no connection
    """
    try:
        import requests
        import urllib3
    except ImportError:
        raise HandstyleError("downloads need requests: pip install requests") from None
    part, note = part_files(target.parent, url)
    try:
        _fetch(url, part, note, progress)
        os.replace(part, target)
        note.unlink(missing_ok=True)
    except requests.exceptions.SSLError as error:
        raise DownloadError(f"no secure connection ({one_line(error)})") from None
    except requests.exceptions.TooManyRedirects:
        raise DownloadError("it redirects without end") from None
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
        if "timed out" in str(error):
            raise DownloadError(f"no answer for {TIMEOUT:g} s") from None
        cut = "broken" in str(error) or "IncompleteRead" in str(error)
        raise DownloadError("the connection was cut" if cut else "no connection") from None
    except OSError as error:
        raise DownloadError(one_line(error)) from None
    finally:
        if not note.is_file():  # without a validator the part cannot be resumed
            part.unlink(missing_ok=True)


def _fetch(url: str, part: Path, note: Path, progress: Progress) -> None:
    import requests

    begun = part.stat().st_size if part.is_file() and note.is_file() else 0
    headers = {"Accept-Encoding": "identity"}  # ranges count bytes of the uncompressed file
    if begun:
        headers |= {"Range": f"bytes={begun}-", "If-Range": note.read_text("ascii")}
    options: dict[str, Any] = {"stream": True, "timeout": TIMEOUT, "hooks": {"response": _check_https}}
    with _within(2 * TIMEOUT, lambda: requests.get(url, headers=headers, **options)) as answer:
        if answer.status_code == 416:  # nothing is left to send: the next attempt downloads the whole file
            note.unlink(missing_ok=True)
        if answer.status_code not in (200, 206):
            raise DownloadError(f"the server answers {answer.status_code}")
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise DownloadError("the server sends it compressed, which was not asked for")
        if not answer.headers.get("Content-Range", "").startswith(f"bytes {begun}-"):
            begun = 0
            note.unlink(missing_ok=True)
            if mark := _version_tag(answer.headers):
                note.write_text(mark, "ascii")
        elif _version_tag(answer.headers) not in ("", headers["If-Range"]):
            note.unlink()
            raise DownloadError("the file changed on the server")
        length = int(answer.headers.get("Content-Length", 0))
        with part.open("ab" if begun else "wb") as file:
            arrived = _receive(answer.raw, file, begun, begun + length if length else 0, progress)
        if length and arrived != begun + length:
            raise DownloadError("the connection was cut")


def _within(seconds: float, ask: Callable[[], Any]) -> Any:
    """Return what `ask` returns, or raise `DownloadError` after a number of seconds.

    The timeout of a socket is no such limit, since it begins anew with every byte that the server sends.
    """
    answers: SimpleQueue[Any] = SimpleQueue()

    def work() -> None:
        try:
            answers.put(ask())
        except BaseException as error:
            answers.put(error)

    Thread(target=work, daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except Empty:
        raise DownloadError(f"no answer for {seconds:g} s") from None
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _receive(source: Any, file: Any, arrived: int, total: int, progress: Progress) -> int:
    since, before = time.monotonic(), arrived
    while chunk := source.read1(CHUNK):
        arrived += file.write(chunk)
        if max(arrived, total) > MAX_BYTES:
            raise DownloadError(f"larger than {MAX_BYTES >> 20} MiB, which no VGG is")
        if (now := time.monotonic()) - since > TIMEOUT:
            if arrived - before < MIN_RATE * TIMEOUT:
                raise DownloadError(f"fewer than {MIN_RATE} bytes a second for {TIMEOUT:g} s")
            since, before = now, arrived
        progress(arrived, total)
    return arrived


def _check_https(answer: Any, *_: Any, **__: Any) -> None:
    secure = answer.url.startswith("https:")
    if answer.is_redirect and secure and not urljoin(answer.url, answer.headers["Location"]).startswith("https:"):
        raise DownloadError(f"it redirects from https to {answer.headers['Location'][:100]}")


def part_files(folder: Path, url: str) -> tuple[Path, Path]:
    """Return the paths of a download's received part, and of the file with the ETag or date of the server's file.

    Examples
    --------
    >>> part, mark = part_files(Path("downloads"), "https://example.org/vgg19.h5")
    >>> part.suffix, mark.suffix, part.stem == mark.stem
    ('.part', '.mark', True)
    """
    name = hashlib.sha256(url.encode()).hexdigest()[:16]
    return folder / f"{name}.part", folder / f"{name}.mark"


def _version_tag(headers: Any) -> str:
    # A weak ETag does not guarantee equal bytes (RFC 9110, 8.8.1).
    tag = headers.get("ETag", "")
    mark: str = tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")
    return mark if mark.isascii() else ""
