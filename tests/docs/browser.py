"""A headless Chromium on a leash: the DevTools protocol through two pipes, with the standard library alone.

Debian's package is all it needs; no port is opened. What a page logs, throws, or asks of the network is recorded.
"""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str | None:
    """Return the path of a Chromium, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One tab. Use as a context manager."""

    patience = 180.0  # seconds to wait for an answer: axe takes a minute on a long page and a busy machine

    def __enter__(self) -> "Browser":
        """Start the browser and watch its only tab."""
        program = find_chromium()
        assert program, "no Chromium"
        self.profile = tempfile.mkdtemp(prefix="chromium-")
        read_end, self.write_to = os.pipe()
        self.read_from, write_end = os.pipe()

        def place() -> None:  # the protocol's pipes are file descriptors 3 and 4, by definition
            a, b = os.dup(read_end), os.dup(write_end)
            os.dup2(a, 3)
            os.dup2(b, 4)

        self.process = subprocess.Popen(
            [
                program,
                "--headless=new",
                "--no-sandbox",  # in containers there is no other way, and the pages are our own
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--no-first-run",
                "--hide-scrollbars",
                "--remote-debugging-pipe",
                f"--user-data-dir={self.profile}",
                "about:blank",
            ],
            preexec_fn=place,
            pass_fds=(3, 4),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(read_end)
        os.close(write_end)
        os.set_blocking(self.read_from, False)
        self.buffer, self.count, self.events = b"", 0, []
        self.session = None
        targets = self.call("Target.getTargets")["targetInfos"]
        target = next(t["targetId"] for t in targets if t["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *_: object) -> None:
        """End the browser that was started here."""
        self.process.terminate()
        self.process.wait(self.patience)
        os.close(self.write_to)
        os.close(self.read_from)
        shutil.rmtree(self.profile, ignore_errors=True)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and return its answer; events on the way are kept."""
        self.count += 1
        message: dict[str, Any] = {"id": self.count, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.write_to, data) :]
        number = self.count
        while True:
            answer = self.next_message(self.patience)
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return dict(answer["result"])
            self.events.append(answer)

    def next_message(self, seconds: float) -> dict[str, Any]:
        """Return the next message of the browser."""
        end = time.monotonic() + seconds
        while b"\0" not in self.buffer:
            try:
                chunk = os.read(self.read_from, 1 << 20)
                if not chunk:
                    raise RuntimeError("the browser has gone")
                self.buffer += chunk
            except BlockingIOError:
                if time.monotonic() > end:
                    raise TimeoutError("the browser does not answer") from None
                time.sleep(0.002)
        message, self.buffer = self.buffer.split(b"\0", 1)
        return dict(json.loads(message))

    def run(self, expression: str) -> Any:
        """Evaluate JavaScript in the page, waiting for a promise, and return its value."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"].get("exception", {}).get("description", expression))
        return answer["result"].get("value")

    def open(self, url: str, width: int = 1280, height: int = 900, phone: bool = False) -> None:
        """Load a page and wait until it has loaded and its equations are set."""
        self.events.clear()
        scale = 2 if phone else 1
        self.view = width, scale, phone
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=phone
        )
        self.call("Page.navigate", url=url)
        end = time.monotonic() + 60
        while not any(e.get("method") == "Page.loadEventFired" for e in self.events):
            if time.monotonic() > end:
                raise TimeoutError(f"{url} does not load")
            self.run("0")
            time.sleep(0.01)
        self.run("window.MathJax?.startup?.promise?.then(() => 0)")

    def resize(self, width: int, height: int = 900) -> None:
        """Give the page in view another width, that of a phone if it is below 500 px."""
        self.view = width, 1, width < 500
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def troubles(self) -> list[str]:
        """Return what went wrong on the page: console errors, exceptions, failed requests, requests to other hosts."""
        found = []
        for event in self.events:
            method, params = event.get("method"), event.get("params", {})
            if method == "Runtime.exceptionThrown":
                details = params["exceptionDetails"]
                found.append("exception: " + details.get("exception", {}).get("description", details["text"]))
            elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
                found.append("console: " + " ".join(str(a.get("value", a)) for a in params["args"]))
            elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
                found.append("log: " + params["entry"]["text"] + " " + params["entry"].get("url", ""))
            elif method == "Network.loadingFailed" and not params.get("canceled"):
                found.append("failed request: " + params["errorText"])
            elif method == "Network.requestWillBeSent":
                url = params["request"]["url"]
                if not url.startswith(("file:", "data:", "blob:", "about:")):
                    found.append("outside request: " + url)
        return found

    def screenshot(self, path: Path) -> None:
        """Write the whole page as PNG, by a window as tall as the page."""
        width, scale, phone = self.view
        height = min(int(self.call("Page.getLayoutMetrics")["cssContentSize"]["height"]) + 1, 16000)
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=phone
        )
        answer = self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(answer["data"]))
