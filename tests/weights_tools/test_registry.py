"""Names, places and digests; downloads from a server on the loopback that cuts connections and sends wrong bytes."""

import hashlib
import sys

import pytest
from support.faulty_server import Server
from support.published_formats import slim, write_keras_h5

from handstyle.foundations.errors import HandstyleError
from handstyle.network import weights as native
from handstyle.network.weights import EMBEDDED_FILE, cache_folder, read_weights
from weights_tools.download import get
from weights_tools.known import KNOWN
from weights_tools.registry import ENTRIES, Entry, check_digest, find, locate
from weights_tools.resume import part_files

pytest.importorskip("requests")


CHUNK = 512  # bytes; the last one before a cut is lost, so fewer of the small file


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HANDSTYLE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("weights_tools.download.PAUSE", 0)
    monkeypatch.setattr("weights_tools.resume.CHUNK", CHUNK)
    return tmp_path / "cache"


@pytest.fixture
def server(tmp_path):
    write_keras_h5(tmp_path / "slim.h5", slim())
    started = Server((tmp_path / "slim.h5").read_bytes())
    yield started
    started.close()


def entry_for(server, **options):
    digest = "sha256:" + hashlib.sha256(server.data).hexdigest()
    settings = {"name": "slim", "network": "slim", "convention": "caffe", "license": "MIT", "digest": digest}
    return Entry(**{**settings, "urls": (server.url,), **options})


def nothing_left(cache):
    return not [path for path in cache.rglob("*") if path.is_file()]


def test_a_network_is_downloaded_converted_verified_and_found_again(server, cache):
    path, findings = get(entry_for(server))
    assert path == cache / "slim.h5"
    weights = read_weights(path)
    assert weights.provenance["license"] == "MIT"
    assert list(weights.layers) == list(slim().layers)
    assert any("downloaded from" in finding for finding in findings)
    assert [p.name for p in cache.rglob("*") if p.is_file()] == ["slim.h5"]
    assert get(entry_for(server)) == (path, ["here already"])
    assert server.requests == 1


def test_the_published_file_is_kept_when_asked(server, cache):
    get(entry_for(server), keep_source=True)
    assert (cache / "downloads" / "slim.h5").read_bytes() == server.data


def test_a_connection_that_is_cut_is_tried_again(server):
    server.faults = ["cut", "cut"]
    get(entry_for(server))
    assert server.requests == 3


def test_a_connection_that_stays_cut_leaves_nothing_and_tells_the_way_by_hand(server, cache):
    server.faults = ["cut"] * 9
    with pytest.raises(HandstyleError, match=r"get the file by other means, put it at .*slim\.h5") as caught:
        get(entry_for(server))
    assert server.requests == 3
    assert "the connection was cut" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert nothing_left(cache)


MARKS = (("ETag", '"abc"'), ("Last-Modified", "Sun, 01 Nov 2026 10:00:00 GMT"))


@pytest.mark.parametrize("mark", MARKS, ids=lambda mark: mark[0])
def test_a_connection_that_is_cut_goes_on_where_it_was(mark, server, cache):
    server.mark, server.faults = mark, ["cut", "cut"]
    get(entry_for(server), keep_source=True)
    assert server.requests == 3
    assert server.sent <= len(server.data) + 2 * CHUNK, "no more is sent twice than the chunks that were cut"
    assert (cache / "downloads" / "slim.h5").read_bytes() == server.data
    assert [path.name for path in (cache / "downloads").iterdir()] == ["slim.h5"]


def test_what_has_arrived_is_kept_for_the_next_run(server, cache):
    server.mark, server.faults = MARKS[0], ["cut"] * 3
    with pytest.raises(HandstyleError, match="what has arrived is kept"):
        get(entry_for(server))
    assert not list(cache.glob("downloads/slim*"))
    get(entry_for(server))
    assert server.sent <= len(server.data) + 3 * CHUNK
    assert [path.name for path in cache.rglob("*") if path.is_file()] == ["slim.h5"]


@pytest.mark.parametrize("mark", [None, ("ETag", 'W/"abc"'), ("ETag", '"another"')], ids=["none", "weak", "another"])
def test_a_part_that_the_server_does_not_vouch_for_is_fetched_again(mark, server, cache):
    # The same part under another mark would be the head of one file and the tail of another.
    first = mark if mark is None or mark[1].startswith("W/") else ("ETag", '"abc"')
    server.mark, server.faults = first, ["cut"] * 3
    with pytest.raises(HandstyleError):
        get(entry_for(server))
    if first is None or first[1].startswith("W/"):
        assert nothing_left(cache)
    server.mark, server.sent = mark, 0
    get(entry_for(server))
    assert server.sent == len(server.data)


def test_the_rest_of_another_file_is_not_added(server):
    server.mark, server.faults, server.careless = MARKS[0], ["cut"] * 3, True
    with pytest.raises(HandstyleError):
        get(entry_for(server))
    server.mark = ("ETag", '"another"')
    get(entry_for(server, digest=None))
    assert server.requests == 5, "three that were cut, one for the rest, one for the whole"


def test_a_part_that_was_whole_already_is_fetched_again(server, cache):
    server.mark = MARKS[0]
    folder = cache / "downloads"
    folder.mkdir(parents=True)
    part, mark = part_files(folder, server.url)
    part.write_bytes(server.data)
    mark.write_text(MARKS[0][1])
    get(entry_for(server))
    assert server.requests == 2
    assert [path.name for path in cache.rglob("*") if path.is_file()] == ["slim.h5"]


def test_a_second_address_is_tried(server):
    gone = server.url.replace("slim.h5", "gone.h5")
    server.faults = ["404"] * 3
    _, findings = get(entry_for(server, urls=(gone, server.url)))
    assert f"downloaded from {server.url}" in findings


def test_wrong_bytes_are_deleted_and_both_digests_told(server, cache):
    server.faults = ["wrong"] * 9
    with pytest.raises(HandstyleError, match="it was deleted") as caught:
        get(entry_for(server))
    wrong = hashlib.sha256(b"<html>" + server.data[6:]).hexdigest()
    assert wrong in str(caught.value)
    assert hashlib.sha256(server.data).hexdigest() in str(caught.value)
    assert nothing_left(cache)


def test_no_network_tells_the_way_by_hand(cache):
    wanted = Entry("slim", "slim", "caffe", "MIT", ("http://127.0.0.1:9/slim.h5",))
    with pytest.raises(HandstyleError, match="run handstyle weights get slim again") as caught:
        get(wanted, retries=0)
    assert "no connection" in str(caught.value)
    assert str(cache / "downloads" / "slim.h5") in str(caught.value)
    assert nothing_left(cache)


def test_a_file_put_there_by_hand_is_used_and_checked(server, cache):
    place = cache / "downloads" / "slim.h5"
    place.parent.mkdir(parents=True)
    place.write_bytes(server.data)
    _, findings = get(entry_for(server))
    assert any("was here already" in finding for finding in findings)
    assert server.requests == 0


def test_without_a_digest_the_self_test_alone_judges_and_that_is_said(server, cache):
    _, findings = get(entry_for(server, digest=None))
    assert any("no digest is certain" in finding for finding in findings)
    (cache / "slim.h5").unlink()
    with pytest.raises(HandstyleError, match="it is not VGG-19 of the Visual Geometry Group"):
        get(entry_for(server, digest=None, title=KNOWN[0].title))
    assert not (cache / "slim.h5").exists()


def test_the_first_digits_of_a_digest_are_enough_to_refuse(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    check_digest(tmp_path / "a", "sha256:ba7816bf")
    check_digest(tmp_path / "a", "md5:900150983cd24fb0d6963f7d28e17f72")
    check_digest(tmp_path / "a", None)
    with pytest.raises(HandstyleError, match=r"sha256 is ba7816bf.*begins with ba7816b0"):
        check_digest(tmp_path / "a", "sha256:ba7816b0")


def test_requests_is_named_where_it_is_missing(server, monkeypatch):
    monkeypatch.setitem(sys.modules, "requests", None)
    with pytest.raises(HandstyleError, match="pip install requests"):
        get(entry_for(server))


def test_a_cache_that_cannot_be_made_is_named(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("HANDSTYLE_CACHE", str(tmp_path / "file"))
    with pytest.raises(HandstyleError, match="set HANDSTYLE_CACHE"):
        get(entry_for(server))


# Names and places


def test_locate_tells_what_is_here(cache):
    assert locate("vgg19") is None
    cache.mkdir()
    (cache / "vgg19.h5").write_bytes(b"")
    assert locate("vgg19") == cache / "vgg19.h5"
    with pytest.raises(HandstyleError, match="unknown network 'vgg20'"):
        locate("vgg20")


def test_a_user_names_a_network_or_a_file(cache, tmp_path, monkeypatch):
    assert find("vgg19-slim") == EMBEDDED_FILE
    with pytest.raises(HandstyleError, match="vgg19 is not on this machine: handstyle weights get vgg19"):
        find("vgg19")
    cache.mkdir()
    (cache / "vgg19.h5").write_bytes(b"")
    assert find("vgg19") == cache / "vgg19.h5"
    for name, expected in (
        ("vgg20", "no network of that name; did you mean vgg1[69].* use vgg19-slim, vgg16"),
        ("a.h5", "no such weight file"),
    ):
        with pytest.raises(HandstyleError, match=expected):
            find(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vgg16").write_bytes(b"")  # a file of that name goes first
    assert find("vgg16").samefile(tmp_path / "vgg16")


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x/handstyle"),
        ("linux", {"HOME": "/home/a"}, "/home/a/.cache/handstyle"),
        ("darwin", {"HOME": "/home/a"}, "/home/a/Library/Caches/handstyle"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="paths of the other systems")
def test_the_cache_is_where_the_system_keeps_caches(platform, variables, expected, monkeypatch):
    for name in ("HANDSTYLE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(native.sys, "platform", platform)
    assert str(cache_folder()) == expected


def test_every_entry_is_whole_and_no_digest_is_of_impossible_length():
    titles = {known.title for known in KNOWN}
    for name, entry in ENTRIES.items():
        assert entry.name == name
        assert entry.license
        assert entry.urls
        assert all(url.startswith(("https://", "http://")) for url in entry.urls)
        assert entry.title in titles | {None}
        if entry.digest is not None:
            algorithm, _, digits = entry.digest.partition(":")
            assert len(digits) in {"md5": (32,), "sha256": (8, 64)}[algorithm]
            assert set(digits) <= set("0123456789abcdef")
    assert len({entry.file for entry in ENTRIES.values()}) == len(ENTRIES)


def test_a_published_file_that_is_no_vgg_is_refused_and_kept_for_a_look(server, cache):
    server.data = b"<html>moved</html>"
    place = cache / "downloads" / "slim.h5"
    with pytest.raises(HandstyleError, match="delete it before the next attempt") as caught:
        get(entry_for(server, digest=None))
    assert str(caught.value).startswith(f"{place}: a text or web page, not weights: the download went wrong")
    assert "\n" not in str(caught.value)
    assert place.read_bytes() == server.data
    assert not (cache / "slim.h5").exists()


def test_what_a_server_refuses_is_told_with_the_way_by_hand(server, cache):
    server.faults = ["404"] * 9
    with pytest.raises(HandstyleError, match=r"the server answers 404\); get the file by other means"):
        get(entry_for(server))
    assert nothing_left(cache)
