"""The page that shows a run: what it refuses, and in a browser that pause pauses and stop keeps the picture."""

import http.client
import json
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "docs"))
from browser import Browser, find_chromium

import handstyle
from handstyle.foundations.image import resize
from handstyle.painting.preview import Preview
from handstyle.painting.result import jpeg

SMALL = {"network": "random", "size": 48, "style_layers": "relu1_1,relu2_1", "pyramid_min_size": 24}


def ask(preview, path, method="GET", **headers):
    """Return status, headers and body of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", preview.port, timeout=10)
    connection.putrequest(method, path, skip_host=True)
    for name, value in {"Host": f"127.0.0.1:{preview.port}", **headers}.items():
        if value is not None:
            connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return found


@pytest.fixture
def pictures():
    return np.random.default_rng(0).uniform(0, 255, (2, 48, 36, 3))


def test_the_page_is_refused_without_its_token_or_to_another_host():
    with Preview("title") as preview:
        right = f"/{preview.token}/"
        assert ask(preview, right)[0] == 200
        assert ask(preview, right, Host=f"localhost:{preview.port}")[0] == 200
        for path in ("/", "/state", f"/{preview.token[:-1]}/state", f"/x{preview.token}/", "*"):
            status, _, body = ask(preview, path)
            assert (status, body) == (403, b"Forbidden\n"), path
        for host in (None, "127.0.0.1", "evil.example", f"evil.example:{preview.port}", ""):
            assert ask(preview, right, Host=host)[0] == 403, host
        assert ask(preview, f"{right}stop", "POST", Origin="http://evil.example")[0] == 403
        assert not preview.stopping
        assert ask(preview, f"{right}nothing")[0] == 404
        assert ask(preview, f"{right}stop")[0] == 404, "a picture of another page must not stop a run"
        assert ask(preview, f"{right}picture")[0] == 404
        assert ask(preview, f"/{preview.token}")[0] == 404
        headers = ask(preview, right)[1]
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert preview.server.server_address[0] == "127.0.0.1"


def test_two_pages_have_two_tokens_and_nothing_listens_afterwards():
    with Preview("one") as one, Preview("two") as two:
        assert one.token != two.token
        assert len(one.token) >= 20
        port = one.port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_the_state_goes_on_from_the_row_that_is_asked_for(pictures):
    with Preview("title", pictures[0]) as preview:
        handstyle.stylize(*pictures, iterations=2, callback=preview, **SMALL)
        state = json.loads(ask(preview, f"/{preview.token}/state")[2])
        assert (state["iteration"], state["iterations"], state["scale"], state["scales"]) == (4, 4, 2, 2)
        assert (state["width"], state["height"], state["size"]) == (36, 48, [36, 48])
        assert [row["scale"] for row in state["rows"]] == [0, 0, 1, 1]
        assert state["rows"][-1]["values"][0] == pytest.approx(sum(state["rows"][-1]["values"][1:]))
        assert len(state["names"]) == len(state["rows"][0]["values"])
        assert len(json.loads(ask(preview, f"/{preview.token}/state?since=3")[2])["rows"]) == 1
        assert len(json.loads(ask(preview, f"/{preview.token}/state?since=-1")[2])["rows"]) == 4
        for name in ("picture", "before"):
            status, headers, body = ask(preview, f"/{preview.token}/{name}")
            assert (status, headers["Content-Type"], body[:3]) == (200, "image/jpeg", b"\xff\xd8\xff")


def test_the_page_shows_what_the_run_would_give_with_its_regions_and_colors(pictures, tmp_path):
    photograph, painting = pictures
    mask = np.zeros(photograph.shape[:2], bool)
    mask[:, : mask.shape[1] // 2] = True
    shown = []

    def look(progress):
        preview(progress)
        shown.append((ask(preview, f"/{preview.token}/picture")[2], progress.result().array))

    with Preview("title", photograph) as preview:
        options = {"mask": [mask], "color": "luminance", "init": "noise"}
        handstyle.stylize(photograph, painting, iterations=2, callback=look, **{**SMALL, **options})
    picture, result = shown[-1]
    kept = np.s_[:, -8:]
    photograph = resize(photograph, result.shape[:2])
    assert np.abs(result[kept] - photograph[kept]).max() < 1e-3  # what no region claims
    assert picture == jpeg(result)


def test_an_interruption_ends_a_pause(pictures):
    def check():
        raise KeyboardInterrupt

    with Preview("title", check=check) as preview:
        preview.paused = True
        with pytest.raises(handstyle.PaintingInterrupted):
            handstyle.stylize(*pictures, iterations=9, callback=preview, **SMALL)


def test_a_browser_that_goes_away_in_the_middle_is_not_reported(pictures, capfd):
    with Preview("title", np.zeros((600, 600, 3))) as preview:
        connection = socket.create_connection(("127.0.0.1", preview.port))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closed with a reset
        connection.sendall(f"GET /{preview.token}/before HTTP/1.0\r\nHost: 127.0.0.1:{preview.port}\r\n\r\n".encode())
        connection.close()
        time.sleep(0.3)
        assert ask(preview, f"/{preview.token}/state")[0] == 200
    assert capfd.readouterr() == ("", "")


def wait_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.skipif(find_chromium() is None, reason="no Chromium: apt install chromium")
def test_in_a_browser_pause_pauses_and_stop_keeps_the_picture(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("photo.png", "art.png"):
        Image.fromarray(rng.integers(0, 256, (48, 36, 3), np.uint8)).save(tmp_path / name)
    flags = ["--weights", "random", "--size", "48", "--style-layers", "relu1_1,relu2_1", "--pyramid-min-size", "24"]
    process = subprocess.Popen(
        [sys.executable, "-m", "handstyle", "stylize", "photo.png", "art.png", "-o", "out.png", *flags]
        + ["--iterations", "100000", "--preview"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    said = []
    reader = threading.Thread(target=lambda: said.extend(process.stdout), daemon=True)
    reader.start()
    wait_for(lambda: any("preview: " in line for line in said))
    address = re.search(r"preview: (http\S+)", "".join(said))[1]
    shown = "Number(document.getElementById('iteration').textContent.split(' ')[0])"
    try:
        with Browser() as browser:
            browser.open(address)
            wait_for(lambda: browser.run(shown) > 2)
            assert browser.run("document.title") == "photo.png in the style of art.png, strength 0.5 (style weight 10)"
            wait_for(lambda: browser.run("document.getElementById('after').naturalWidth") == 18)
            assert browser.run("document.getElementById('size').textContent") == "18 x 24 px"
            wait_for(lambda: browser.run("document.querySelectorAll('#chart path').length") == 5)
            assert browser.run("document.getElementById('legend').textContent") == (
                "lossstyle relu1_1style relu2_1content relu4_2total variation"
            )
            clip = "getComputedStyle(document.getElementById('after')).clipPath"
            assert browser.run(clip) == "inset(0px 0px 0px 0%)"
            browser.run(
                "split_ = document.getElementById('split'), split_.value = 30, split_.dispatchEvent(new Event('input'))"
            )
            assert browser.run(clip) == "inset(0px 0px 0px 30%)"

            browser.run("document.getElementById('pause').click()")
            wait_for(lambda: browser.run("document.getElementById('said').textContent") == "paused")
            time.sleep(1.5)  # the iteration that was under way has been shown
            then = browser.run(shown)
            time.sleep(1.5)
            assert browser.run(shown) == then
            browser.run("document.getElementById('pause').click()")
            wait_for(lambda: browser.run(shown) > then)
            assert [one for one in browser.troubles() if address not in one] == []
        assert process.poll() is None, "a closed browser does not end the run"
        with Browser() as browser:
            browser.open(address)
            wait_for(lambda: browser.run(shown) > then)
            browser.run("document.getElementById('stop').click()")
            process.wait(30)
            wait_for(lambda: "the picture is in out.png" in browser.run("document.getElementById('said').textContent"))
            wait_for(lambda: browser.run("document.getElementById('after').naturalWidth") == 36)
            assert browser.run("document.getElementById('stop').disabled")
            assert browser.run("document.getElementById('size').textContent") == "36 x 48 px"
            assert browser.run("document.getElementById('left').textContent") == "none, stopped"
            assert browser.run("document.getElementById('bar').value") < 1
    finally:
        process.kill()
        process.wait()
        reader.join(10)
        process.stdout.close()
    assert process.returncode == 0
    text = "".join(said)
    assert "stopped: in the preview at 18 x 24 px, enlarged from there" in text
    with Image.open(tmp_path / "out.png") as out:
        assert out.size == (36, 48)
