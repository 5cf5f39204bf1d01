"""A download that goes on where it stopped, in the same run or in a later one: RFC 9110's ranges, for pooch."""

import hashlib
import os
from pathlib import Path
from typing import Any, Protocol

CHUNK = 1 << 16  # bytes


class Bar(Protocol):
    """What shows how far it is."""

    total: int

    def update(self, count: int) -> None:
        """Count bytes."""


class ResumingDownloader:
    """Fetches a URL into a part file that survives a failure, and asks the server for what lacks.

    The rest is asked for under the condition that the server's file is still the one that was begun (``If-Range``), by
    its ETag, or else its date. A server that gives neither, or knows no ranges, sends all of it again.

    Parameters
    ----------
    folder : Path
        Where the part is kept until it is whole.
    bar : Bar
        Told the size, and each chunk.
    timeout : float
        Seconds without a byte after which the connection is given up.
    """

    def __init__(self, folder: Path, bar: Bar, timeout: float) -> None:
        self.folder, self.bar, self.timeout = folder, bar, timeout

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        """Fetch; pooch's protocol.

        Parameters
        ----------
        url : str
            What to fetch.
        output_file : str
            Where it goes when it is whole.
        pooch : Pooch
            Not used.

        Raises
        ------
        requests.RequestException
            If it cannot be had, or not whole; the part stays.
        """
        import requests

        part, note = part_files(self.folder, url)
        begun = part.stat().st_size if part.is_file() and note.is_file() else 0
        headers = {"Accept-Encoding": "identity"}  # a range is of the bytes as they lie there
        if begun:
            headers |= {"Range": f"bytes={begun}-", "If-Range": note.read_text("ascii")}
        with requests.get(url, headers=headers, stream=True, timeout=self.timeout) as answer:
            if answer.status_code == requests.codes.requested_range_not_satisfiable:
                part.unlink()  # the next attempt begins anew
            answer.raise_for_status()
            if not answer.headers.get("Content-Range", "").startswith(f"bytes {begun}-"):
                begun = 0
                _keep_mark(note, answer.headers)
            elif _mark(answer.headers) not in ("", headers["If-Range"]):
                part.unlink()  # the rest of another file
                raise requests.ConnectionError("Connection broken: the file changed on the server")
            length = int(answer.headers.get("Content-Length", 0))
            self.bar.total = begun + length if length else 0
            self.bar.update(begun)
            try:
                with part.open("ab" if begun else "wb") as file:
                    for chunk in answer.iter_content(CHUNK):
                        file.write(chunk)
                        self.bar.update(len(chunk))
            except BaseException:
                if not note.is_file():  # nothing could be added to it
                    part.unlink(missing_ok=True)
                raise
        if length and part.stat().st_size != begun + length:
            raise requests.ConnectionError("Connection broken: fewer bytes than announced")
        os.replace(part, output_file)
        note.unlink(missing_ok=True)


def part_files(folder: Path, url: str) -> tuple[Path, Path]:
    """Return where the part of a download is kept, and the mark by which its server will know it again."""
    name = hashlib.sha256(url.encode()).hexdigest()[:16]
    return folder / f"{name}.part", folder / f"{name}.mark"


def _keep_mark(note: Path, headers: Any) -> None:
    if mark := _mark(headers):
        note.write_text(mark, "ascii")
    else:
        note.unlink(missing_ok=True)


def _mark(headers: Any) -> str:
    # A weak ETag does not vouch for single bytes (RFC 9110, 8.8.1).
    tag = headers.get("ETag", "")
    mark: str = tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")
    return mark if mark.isascii() else ""
