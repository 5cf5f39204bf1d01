"""`handstyle weights get` and `add`: what servers, networks, two processes and users do to them."""

import gzip
import hashlib
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from support.published_formats import slim, write_keras_h5, write_torch

from handstyle.cli.weights import weights_app
from handstyle.foundations.errors import HandstyleError
from handstyle.network.weights import read_weights
from weights_tools.download import add, get
from weights_tools.known import KNOWN
from weights_tools.registry import ENTRIES, Entry

pytest.importorskip("requests")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HANDSTYLE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("weights_tools.download.PAUSE", 0)
    return tmp_path / "cache"


@pytest.fixture
def published(tmp_path):
    write_keras_h5(tmp_path / "published.h5", slim())
    return (tmp_path / "published.h5").read_bytes()


@pytest.fixture
def serve():
    """Start a server that gives each request to a function of (handler)."""
    started = []

    def start(answer):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                answer(self)

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started.append(server)
        return f"http://127.0.0.1:{server.server_port}/slim.h5"

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


def send(handler, body, headers=(), status=200):
    handler.send_response(status)
    for header in headers:
        handler.send_header(*header)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def trickle(handler, data):
    """Send the first 200 bytes, ten a second, until nobody listens."""
    for i in range(200):
        try:
            handler.wfile.write(data[i : i + 1])
            handler.wfile.flush()
        except OSError:
            return
        time.sleep(0.1)


def entry_for(url, data, **options):
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    settings = {"name": "slim", "network": "slim", "convention": "caffe", "license": "MIT", "digest": digest}
    return Entry(**{**settings, "urls": (url,), **options})


GET = """
import sys
from weights_tools.download import get
from weights_tools.registry import Entry
print(get(Entry("slim", "slim", "caffe", "MIT", (sys.argv[1],), sys.argv[2]))[1][0])
"""


def test_two_at_once_both_succeed(serve, published, cache):
    asked = []

    def slowly(handler):
        asked.append(time.monotonic())
        time.sleep(1)
        send(handler, published)

    wanted = entry_for(serve(slowly), published)
    both = [
        subprocess.Popen(
            [sys.executable, "-c", GET, wanted.urls[0], wanted.digest], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env={**os.environ, "HANDSTYLE_CACHE": str(cache)},
        )
        for _ in range(2)
    ]  # fmt: skip
    ends = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    assert len(asked) == 1, "the second waits for the first"
    assert sorted(out.split()[0] for out, _ in ends) == ["downloaded", "here"]
    assert [path.name for path in cache.rglob("*") if path.is_file()] == ["slim.h5"]


def test_a_redirection_from_https_to_http_is_refused(published, monkeypatch):
    import requests

    asked = []

    def answer(self, request, **_):
        asked.append(request.url)
        response = requests.Response()
        response.url, response.request = request.url, request
        response.status_code, response.headers = (
            302,
            requests.structures.CaseInsensitiveDict(Location="http://elsewhere.example/slim.h5"),
        )
        return response

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", answer)
    with pytest.raises(HandstyleError, match="redirects from https to http://elsewhere"):
        get(entry_for("https://here.example/slim.h5", published, digest=None), retries=0)
    assert asked == ["https://here.example/slim.h5"]


def test_a_compressed_body_is_not_unpacked(serve, published, cache):
    bomb = gzip.compress(bytes(1 << 24))
    url = serve(lambda handler: send(handler, bomb, [("Content-Encoding", "gzip")]))
    with pytest.raises(HandstyleError, match="the server sends it compressed"):
        get(entry_for(url, published), retries=0)
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_a_body_without_end_is_given_up(serve, published, cache, monkeypatch):
    monkeypatch.setattr("weights_tools.resume.MAX_BYTES", 1 << 20)

    def endless(handler):
        handler.send_response(200)
        handler.end_headers()
        for _ in range(1 << 14):
            handler.wfile.write(bytes(1 << 16))

    with pytest.raises(HandstyleError, match="larger than 1 MiB, which no VGG is"):
        get(entry_for(serve(endless), published), retries=0)
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_a_byte_now_and_then_is_given_up(serve, published, monkeypatch):
    monkeypatch.setattr("weights_tools.resume.TIMEOUT", 1.0)

    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(published)))
        handler.end_headers()
        trickle(handler, published)

    begun = time.monotonic()
    with pytest.raises(HandstyleError, match="fewer than 1000 bytes a second for 1 s"):
        get(entry_for(serve(answer), published), retries=0)
    assert time.monotonic() - begun < 10


def test_416_without_a_part_is_one_line(serve, published):
    url = serve(lambda handler: send(handler, b"", status=416))
    with pytest.raises(HandstyleError, match="the server answers 416") as caught:
        get(entry_for(url, published))
    assert "No such file" not in str(caught.value)


def test_a_file_laid_by_hand_is_never_deleted(serve, published, cache):
    url = serve(lambda handler: send(handler, published))
    place = cache / "downloads" / "slim.h5"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"another copy of the network")
    with pytest.raises(HandstyleError, match=r"put there by hand, and is kept.*handstyle weights add FILE --as slim"):
        get(entry_for(url, published))
    assert place.read_bytes() == b"another copy of the network"


# --- weights add ------------------------------------------------------------------------------------------------


def stamped(known):
    """A slim network whose first kernel is that of a published one."""
    weights = slim(known.architecture, (8, 9, 10, 11, 12))
    weights.layers["conv1_1"][0][..., 0] = np.nan_to_num(known.landmark, nan=0.1)
    return weights


def run(*words):
    return weights_app([*map(str, words)], result_action="return_value", exit_on_error=False, print_error=False)


def test_a_file_that_is_recognized_is_added(tmp_path, cache, capsys):
    torchvision = next(known for known in KNOWN if known.title == "VGG-19 of torchvision")
    write_torch(tmp_path / "mine.pth", stamped(torchvision))
    before = (tmp_path / "mine.pth").read_bytes()
    assert run("add", tmp_path / "mine.pth", "--as", "vgg19-torchvision") == 0
    assert "use it: --weights vgg19-torchvision" in capsys.readouterr().out
    installed = read_weights(cache / "vgg19-torchvision.h5")
    assert installed.convention == "torchvision"
    assert "published" not in installed.provenance, "its digest is not the published one's"
    assert (tmp_path / "mine.pth").read_bytes() == before
    with pytest.raises(HandstyleError, match="is installed already"):
        run("add", tmp_path / "mine.pth", "--as", "vgg19-torchvision")
    assert run("add", tmp_path / "mine.pth", "--as", "vgg19-torchvision", "--overwrite") == 0


def test_a_file_with_the_published_digest_is_added(tmp_path, cache, published):
    path, _ = add(entry_for("http://nowhere/slim.h5", published), tmp_path / "published.h5")
    assert path == cache / "slim.h5"
    assert "as published" in read_weights(path).provenance["published"]


@pytest.mark.parametrize("name", ["vgg19", "vgg19-normalized"])
def test_a_file_that_is_another_network_is_not_added(name, tmp_path, cache):
    write_torch(tmp_path / "mine.pth", slim())
    with pytest.raises(HandstyleError, match=r"it is not .*, by its first kernel"):
        add(ENTRIES[name], tmp_path / "mine.pth")
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_a_recognized_file_that_fails_the_self_test_is_not_added(tmp_path, cache):
    write_torch(tmp_path / "mine.pth", stamped(KNOWN[0]))  # VGG-19's first kernel, and nothing else of it
    with pytest.raises(HandstyleError, match="fails the self-test, fingerprint"):
        add(ENTRIES["vgg19"], tmp_path / "mine.pth")
    assert not [path for path in cache.rglob("*") if path.is_file()]


@pytest.mark.weights
def test_the_real_network_in_a_file_of_another_digest_is_added_as_vgg19(vgg19_weights, tmp_path, cache):
    write_torch(tmp_path / "mine.pth", vgg19_weights, keys="gatys")
    path, findings = add(ENTRIES["vgg19"], tmp_path / "mine.pth")
    assert path == cache / "vgg19.h5"
    assert "0 failed" in findings[-1]


def test_redirections_without_end_are_called_so(serve, published):
    url = serve(lambda handler: send(handler, b"", [("Location", handler.path)], status=302))
    with pytest.raises(HandstyleError, match="it redirects without end"):
        get(entry_for(url, published), retries=0)


def test_a_head_that_comes_a_byte_at_a_time_is_given_up(serve, published, monkeypatch):
    monkeypatch.setattr("weights_tools.resume.TIMEOUT", 1.0)

    url = serve(lambda handler: trickle(handler, b"HTTP/1.0 200 OK".ljust(200, b"x")))
    begun = time.monotonic()
    with pytest.raises(HandstyleError, match="no answer for 2 s"):
        get(entry_for(url, published), retries=0)
    assert time.monotonic() - begun < 10
