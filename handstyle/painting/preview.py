"""Show the progress of a run on a local web page, with buttons to pause and stop it.

The server is that of the standard library, on 127.0.0.1 and a free port. It answers only requests that have the secret
token in their address and the right Host header, so that other users of the machine and other web pages have no access.
"""

import json
import secrets
import threading
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs, urlsplit

from handstyle.foundations.backend import Array
from handstyle.foundations.image import resize
from handstyle.painting.progress import fraction_done
from handstyle.painting.result import Progress, Result, jpeg

FETCH_SECONDS = 3.0  # seconds at the end of a run in which an open page can fetch the picture


class Preview:
    """A local web page that shows a run: a context manager and a callback of `stylize`.

    Parameters
    ----------
    title : str
        The heading of the page.
    before : (H, W, 3) array, optional
        The photograph, for comparison.
    check : callable, optional
        Called repeatedly while the run is paused; it may raise an exception to end the run.

    Attributes
    ----------
    address : str
        The address of the page, with its token.

    Examples
    --------
    >>> from urllib.request import urlopen
    >>> with Preview("a town at night") as preview:
    ...     with urlopen(preview.address + "state") as answer:
    ...         print(json.load(answer)["title"])
    a town at night
    """

    def __init__(self, title: str, before: Array | None = None, check: Callable[[], None] | None = None) -> None:
        self.title, self.before, self.check = title, before, check
        self.token, self.lock = secrets.token_urlsafe(16), threading.Lock()
        self.progress: Progress | None = None
        self.rows: list[dict[str, Any]] = []
        self.paused = self.stopping = False
        self.over, self.last = "", b""  # when the run has ended: a sentence, and the result as JPEG
        self.asked = -FETCH_SECONDS  # when a page last asked for the state
        self.fetched = threading.Event()  # a page has fetched the result
        self.drawn: tuple[int, bytes] = (0, b"")  # an iteration, and its picture as JPEG

    def __enter__(self) -> "Preview":
        """Start the server, and return this object."""
        self.server = _Server(("127.0.0.1", 0), partial(_Handler, self))
        self.port = self.server.server_address[1]
        self.address = f"http://127.0.0.1:{self.port}/{self.token}/"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.1,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the server; a page that is open in a browser stays as it is."""
        self.server.shutdown()
        self.server.server_close()

    def __call__(self, progress: Progress) -> None:
        """Show an iteration, and wait as long as the run is paused by the page's button.

        Raises
        ------
        StopIteration
            If the run was stopped by the page's button.
        """
        values = [progress.value, *progress.terms.values()]
        self.progress = progress
        self.rows.append({"iteration": progress.iteration, "scale": progress.scale, "values": values})
        while self.paused and not self.stopping:
            if self.check is not None:
                self.check()
            time.sleep(0.05)
        if self.stopping:
            raise StopIteration("in the preview")

    def finish(self, result: Result, words: str) -> None:
        """Show the result of a run with a sentence, and give an open page up to `FETCH_SECONDS` seconds to fetch it.

        Examples
        --------
        >>> import numpy as np
        >>> from urllib.request import urlopen
        >>> result = Result(np.zeros((16, 16, 3)), None, "done", "all 9 iterations done", [], 9, False, metadata={})
        >>> with Preview("a town at night") as preview:
        ...     preview.finish(result, "all 9 iterations done; the picture is in out.png")
        ...     with urlopen(preview.address + "state") as answer:
        ...         print(json.load(answer)["over"])
        all 9 iterations done; the picture is in out.png
        """
        self.last = jpeg(result.array)
        self.over = words
        if time.monotonic() - self.asked < FETCH_SECONDS:
            self.fetched.wait(FETCH_SECONDS)

    def _state(self, since: int) -> dict[str, Any]:
        """Return the data that the page shows, with the rows of the trace from row `since` on."""
        self.asked = time.monotonic()
        state: dict[str, Any] = {"title": self.title, "paused": self.paused, "stopping": self.stopping}
        state |= {"over": self.over, "iteration": 0, "size": None}
        if (now := self.progress) is not None:
            (height, width), (tall, wide) = now.array.shape[:2], now.sizes[-1]
            state |= {"iteration": now.iteration, "iterations": now.iterations, "size": [wide, tall]}
            state |= {"scale": now.scale + 1, "scales": len(now.sizes), "width": width, "height": height}
            state |= {"loss": now.value, "seconds_left": now.seconds_left, "fraction": fraction_done(now)}
            state |= {"names": ["loss", *now.terms], "rows": self.rows[since:]}
        return state

    def _picture(self, last: bool) -> bytes | None:
        """Return the current picture as JPEG; with `last` the result of the run, if it has ended; None before both."""
        if last and self.last:
            return self.last
        if (now := self.progress) is None:
            return None
        with self.lock:  # one request draws; the others take what it drew
            if self.drawn[0] != now.iteration:
                self.drawn = now.iteration, jpeg(now.picture())
            return self.drawn[1]

    def _photograph(self) -> bytes | None:
        """Return the photograph as JPEG, at the size of the output once that is known."""
        if self.before is None:
            return None
        with self.lock:
            return jpeg(self.before if self.progress is None else resize(self.before, self.progress.sizes[-1]))


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Print nothing: browsers close connections, and after other errors the page sends its request again."""


class _Handler(BaseHTTPRequestHandler):
    """The handler of the requests from the page."""

    timeout = 10  # seconds for a request to arrive

    def __init__(self, preview: Preview, *arguments: Any) -> None:
        self.preview = preview
        super().__init__(*arguments)

    def do_GET(self) -> None:
        """Answer a GET request with the page, the state or a picture."""
        where, query = self._where()
        if where is None:
            return
        if where == "" and self.path.endswith("/"):
            nonce = secrets.token_urlsafe(16)
            page = (files("handstyle") / "data" / "preview.html").read_text(encoding="utf-8")
            self._answer("text/html; charset=utf-8", page.replace("{{nonce}}", nonce).encode(), nonce)
        elif where == "state":
            self._state(query)
        elif where == "picture" and (image := self.preview._picture(query == "last")):
            self._answer("image/jpeg", image)
            if query == "last" and self.preview.last:
                self.preview.fetched.set()
        elif where == "before" and (image := self.preview._photograph()):
            self._answer("image/jpeg", image)
        else:
            self._refuse(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        """Answer a POST request: pause, continue, or stop the run."""
        where, query = self._where()
        if where is None:
            return
        if where not in ("pause", "continue", "stop"):
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        if where == "stop":
            self.preview.stopping = True
        else:
            self.preview.paused = where == "pause"
        self._state(query)

    def _where(self) -> tuple[str | None, str]:
        """Return the path after the token, and the query; the path is None if the request was refused."""
        hosts = [f"{name}:{self.preview.port}" for name in ("127.0.0.1", "localhost")]
        origin = self.headers.get("Origin")
        parts = urlsplit(self.path)
        given, _, where = parts.path.lstrip("/").partition("/")
        right = secrets.compare_digest(given.encode("utf-8", "replace"), self.preview.token.encode())
        if self.headers.get("Host") not in hosts or not right or origin not in (None, *(f"http://{h}" for h in hosts)):
            self._refuse(HTTPStatus.FORBIDDEN)
            return None, ""
        return where, parts.query

    def _state(self, query: str) -> None:
        since = parse_qs(query).get("since", ["0"])[0]
        state = self.preview._state(int(since) if since.isdecimal() and len(since) < 10 else 0)
        self._answer("application/json", json.dumps(state).encode())

    def _answer(self, kind: str, body: bytes, nonce: str = "", status: HTTPStatus = HTTPStatus.OK) -> None:
        policy = "default-src 'none'; connect-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'"
        if nonce:
            policy += f"; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'"
        self.send_response(status)
        headers = {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "Content-Security-Policy": policy,
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, status: HTTPStatus) -> None:
        self._answer("text/plain", f"{status.phrase}\n".encode(), status=status)

    def version_string(self) -> str:
        """Return the text of the Server header."""
        return "handstyle"

    def log_message(self, *_: Any) -> None:
        """Log nothing, because addresses contain the token."""
