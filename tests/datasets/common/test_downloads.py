"""What a person is promised of a download: it survives a poor line, is checked, and comes once."""

import hashlib
import io
import re
import socket
import ssl
import subprocess
import zipfile
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from stages.datasets import folder
from stages.datasets.common import downloads
from stages.datasets.common.archives import Limits
from stages.datasets.common.downloads import CHUNK, Checksum, Url, download, file_name
from stages.datasets.common.selection import Selection
from stages.runtime.errors import UserError
from tests.datasets.conftest import files_below
from tests.servers import Cut, Stall, Status, Trickle, serving

BODY = bytes(range(256)) * (5 * CHUNK // 256)  # five chunks
MD5 = f"md5:{hashlib.md5(BODY, usedforsecurity=False).hexdigest()}"
SHA256 = f"sha256:{hashlib.sha256(BODY).hexdigest()}"
FILE = Path("data/downloads/birds.tgz")
SECTION = "dataset.birds"


@pytest.fixture(autouse=True)
def quick(tmp_path, monkeypatch):
    """Work in an empty project, without a proxy, and without waiting."""
    monkeypatch.chdir(tmp_path)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(downloads, "FIRST_WAIT", 0.001)


@pytest.fixture
def server():
    """A server that has birds.tgz."""
    with serving({"birds.tgz": BODY}) as server:
        yield server


@pytest.fixture
def waits(monkeypatch):
    """The seconds that would have been slept."""
    seconds = []
    monkeypatch.setattr(downloads.time, "sleep", seconds.append)
    return seconds


def files():
    """The names of all that is in data/downloads."""
    return sorted(path.name for path in FILE.parent.iterdir())


def closed_port():
    """An address at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize("checksum", ["none", MD5, SHA256])
def test_a_file_comes_whole_under_its_own_name(server, checksum):
    """What is behind the URL is in data/downloads, under the last part of the URL's path."""
    assert download(server.url("birds.tgz?download=1"), checksum, SECTION) == FILE
    assert FILE.read_bytes() == BODY
    assert files() == ["birds.tgz", "birds.tgz.origin"]


@pytest.mark.parametrize("checksum", ["none", MD5])
def test_a_second_fetch_needs_no_network(server, checksum):
    """What was downloaded once is not asked for again."""
    url = server.url("birds.tgz")
    download(url, checksum, SECTION)
    download(url, checksum, SECTION)
    assert len(server.requests) == 1


@pytest.mark.parametrize("checksum", ["none", MD5])
def test_a_file_placed_by_hand_is_used(checksum):
    """Whoever brings the file on a stick needs no network."""
    FILE.parent.mkdir(parents=True)
    FILE.write_bytes(BODY)
    assert download(f"{closed_port()}/birds.tgz", checksum, SECTION) == FILE


def test_a_file_of_the_same_name_from_elsewhere_is_not_mistaken_for_it(server):
    """Without a checksum, another URL means another file, whatever its name."""
    download(server.url("birds.tgz"), "none", SECTION)
    with serving({"birds.tgz": b"others"}) as other:
        download(other.url("birds.tgz"), "none", SECTION)
    assert FILE.read_bytes() == b"others"


def test_a_kept_file_with_another_checksum_is_replaced(server):
    """A file that is not the one asked for gives way once the right one is there."""
    FILE.parent.mkdir(parents=True)
    FILE.write_bytes(b"older")
    download(server.url("birds.tgz"), MD5, SECTION)
    assert FILE.read_bytes() == BODY


@pytest.mark.parametrize("headers", [{"ETag": '"one"'}, {"Last-Modified": "Mon, 03 Aug 2026 10:00:00 GMT"}])
def test_a_cut_download_goes_on_where_it_stopped(server, headers):
    """After a cut only what is missing comes, and only if the file is still the same version."""
    server.headers, server.faults = headers, [Cut(after=3 * CHUNK)]
    download(server.url("birds.tgz"), MD5, SECTION)
    assert FILE.read_bytes() == BODY
    first, second = server.requests
    assert "Range" not in first.headers
    assert second.headers["Range"] == f"bytes={3 * CHUNK}-"
    assert second.headers["If-Range"] == next(iter(headers.values()))
    assert server.bytes_sent == len(BODY)


def test_a_killed_download_goes_on_in_the_next_run(server, monkeypatch):
    """What a run that gave up has received serves the next one."""
    monkeypatch.setattr(downloads, "MAX_TRIES", 1)
    server.faults = [Cut(after=2 * CHUNK), Status(503)]
    for _ in server.faults.copy():
        with pytest.raises(UserError, match="goes on from there"):
            download(server.url("birds.tgz"), MD5, SECTION)
        assert files() == ["birds.tgz.unfinished", "birds.tgz.unfinished.origin"]
    download(server.url("birds.tgz"), MD5, SECTION)
    assert FILE.read_bytes() == BODY
    assert server.bytes_sent == len(BODY)


def test_many_cuts_do_not_end_a_download_that_gets_on(server):
    """Only tries that bring nothing new count against a poor line."""
    server.faults = [Cut(after=CHUNK // 2) for _ in range(9)]
    download(server.url("birds.tgz"), MD5, SECTION)
    assert FILE.read_bytes() == BODY
    assert len(server.requests) == 10


def test_a_server_without_ranges_sends_all_again_and_is_given_up_where_it_always_cuts(server):
    """Where the server cannot go on, the download starts again cleanly; starting again for ever is no progress."""
    server.ranges, server.faults = False, [Cut(after=3 * CHUNK)]
    download(server.url("birds.tgz"), MD5, SECTION)
    assert FILE.read_bytes() == BODY
    assert server.bytes_sent == 3 * CHUNK + len(BODY)
    FILE.unlink()
    server.faults = [Cut(after=CHUNK)] * 99
    with pytest.raises(UserError, match="the connection was cut"):
        download(server.url("birds.tgz"), MD5, SECTION)
    assert len(server.requests) == 2 + downloads.MAX_TRIES


def test_a_file_that_changed_meanwhile_is_not_glued_together(server, monkeypatch):
    """Half of an old version and half of a new one never make a file, with a checksum or without."""
    monkeypatch.setattr(downloads, "MAX_TRIES", 1)
    server.faults = [Cut(after=3 * CHUNK)]
    with pytest.raises(UserError):
        download(server.url("birds.tgz"), "none", SECTION)
    server.headers, server.files["birds.tgz"] = {"ETag": '"second"'}, BODY[::-1]
    download(server.url("birds.tgz"), "none", SECTION)
    assert FILE.read_bytes() == BODY[::-1]


@pytest.mark.parametrize("headers", [{}, {"ETag": 'W/"weak"'}])
def test_without_a_version_nothing_is_resumed(server, headers):
    """A server that does not say which version it sends is asked for all of it."""
    server.headers, server.faults = headers, [Cut(after=3 * CHUNK)]
    download(server.url("birds.tgz"), "none", SECTION)
    assert FILE.read_bytes() == BODY
    assert "Range" not in server.requests[1].headers


def test_more_than_the_server_has_is_thrown_away(server):
    """What is longer than the file cannot be its beginning."""
    FILE.parent.mkdir(parents=True)
    FILE.with_name("birds.tgz.unfinished").write_bytes(BODY + b"more")
    downloads.write_json(
        FILE.with_name("birds.tgz.unfinished.origin"), {"url": server.url("birds.tgz"), "version": '"first"'}
    )
    download(server.url("birds.tgz"), "none", SECTION)
    assert FILE.read_bytes() == BODY


def test_a_wrong_checksum_is_refused_and_removed(server):
    """A file that is not what was promised does not stay; the message has both checksums."""
    promised = "md5:" + "0" * 32
    with pytest.raises(UserError) as problem:
        download(server.url("birds.tgz"), promised, SECTION)
    assert problem.value.lines == (
        f"params.yaml: dataset.birds.checksum = {promised}, but {server.url('birds.tgz')} has {MD5}; it was removed:"
        " run again, or correct the checksum if you trust what the server has now",
    )
    assert files() == []


def test_a_missing_file_is_not_asked_for_twice(server):
    """A 404 is said at once, with the URL and where else the file may come from."""
    with pytest.raises(UserError) as problem:
        download(server.url("bird.tgz"), MD5, SECTION)
    assert problem.value.lines == (
        f"params.yaml: dataset.birds.url = {server.url('bird.tgz')} cannot be downloaded:"
        " the server says 404 Not Found",
        f"offline? bring the file from elsewhere (its md5 is {MD5[4:]}), place it as data/downloads/bird.tgz,"
        " and run again",
    )
    assert len(server.requests) == 1
    assert files() == []


def test_a_busy_server_is_asked_again(server, waits):
    """After a 503 the file comes, and pauses grow."""
    server.faults = [Status(503), Status(503), Status(429)]
    download(server.url("birds.tgz"), MD5, SECTION)
    assert FILE.read_bytes() == BODY
    assert waits == [0.001, 0.002, 0.004]


def test_a_server_that_asks_for_patience_gets_it(server, waits):
    """Retry-After is honoured, as seconds and as a date."""
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    server.faults = [Status(503, (("Retry-After", "7"),)), Status(429, (("Retry-After", date),))]
    download(server.url("birds.tgz"), MD5, SECTION)
    assert waits[0] == 7
    assert 20 < waits[1] <= 30


def test_a_server_that_asks_for_an_hour_is_left_alone(server, waits):
    """Nobody waits an hour in front of a still terminal: the message says when to come back."""
    server.faults = [Status(503, (("Retry-After", "3600"),))]
    with pytest.raises(UserError, match="try again in 3600 s"):
        download(server.url("birds.tgz"), MD5, SECTION)
    assert waits == []


@pytest.mark.parametrize("after", [0, 3 * CHUNK])
def test_a_server_that_stalls_is_asked_again_and_then_given_up(server, monkeypatch, after):
    """A server that falls silent does not hold the study for ever, and the message says that it did."""
    monkeypatch.setattr(downloads, "READ_TIMEOUT", 0.1)
    server.faults = [Stall(after)]
    download(server.url("birds.tgz"), MD5, SECTION)
    assert FILE.read_bytes() == BODY
    FILE.unlink()
    monkeypatch.setattr(downloads, "MAX_TRIES", 2)
    server.faults = [Stall(0), Stall(0)]
    with pytest.raises(UserError, match="the server stopped sending"):
        download(server.url("birds.tgz"), MD5, SECTION)


def test_a_server_that_sends_a_byte_now_and_then_is_given_up(server, monkeypatch):
    """Each byte is progress, but the file would come in a hundred years: the line says how slow is too slow."""
    monkeypatch.setattr(downloads, "PATIENCE", 0.1)
    server.faults = [Trickle(0.01)]
    with pytest.raises(UserError, match=r"less than 1000 bytes a second came for 0 seconds; what has come is kept"):
        download(server.url("birds.tgz"), MD5, SECTION)
    assert len(server.requests) == 1


@pytest.mark.parametrize("length", [True, False], ids=["said", "not said"])
def test_a_download_beyond_the_limit_is_stopped(server, length):
    """A server without end fills no disk, whether or not it says how much will come."""
    server.headers = {"ETag": '"first"'} | ({} if length else {"Content-Length": ""})
    limits = Limits(unpacked_gigabytes=2 * CHUNK / 1e9)
    with pytest.raises(UserError, match=r"it is larger than dataset\.limits\.unpacked_gigabytes = 0\.000131072"):
        download(server.url("birds.tgz"), MD5, SECTION, limits)
    assert files() == []
    assert len(server.requests) == 1


@pytest.mark.parametrize("start", [b"<!DOCTYPE html>\n<title>Log in", b"\xef\xbb\xbf\n <HTML lang=en>"])
@pytest.mark.parametrize("checksum", ["none", MD5])
def test_a_web_page_in_place_of_the_file_is_not_kept(server, start, checksum):
    """A server that wants a login first answers 200 with a page: it is said, and the next run asks again."""
    server.files["birds.tgz"] = start
    with pytest.raises(UserError, match=r"birds\.tgz: a web page came instead of the file; open it in a browser"):
        download(server.url("birds.tgz"), checksum, SECTION)
    assert files() == []
    server.files["birds.tgz"] = BODY
    assert download(server.url("birds.tgz"), checksum, SECTION).read_bytes() == BODY


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("{own}/birds.tgz", "its redirects lead round in a circle"),
        ("file:///etc/passwd", "it leads to an address that is not of the web"),
    ],
)
def test_a_redirect_that_leads_nowhere_is_not_tried_again(server, waits, place, reason):
    """What a server says for good is said at once."""
    server.faults = [Status(302, (("Location", place.format(own=server.address)),))] * 99
    with pytest.raises(UserError, match=reason):
        download(server.url("birds.tgz"), MD5, SECTION)
    assert waits == []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of this machine that nobody but itself has signed, with its key."""
    folder = tmp_path_factory.mktemp("tls")
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    files = ["-keyout", folder / "key.pem", "-out", folder / "certificate.pem"]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *names, *files], check=True)
    return folder


def tls(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "certificate.pem", certificate / "key.pem")
    return context


def test_a_certificate_that_cannot_be_trusted_is_not_tried_again(certificate, waits):
    """It will be no better in a minute."""
    with serving({"birds.tgz": BODY}, tls(certificate)) as secure:
        with pytest.raises(UserError, match="its certificate cannot be trusted"):
            download(secure.url("birds.tgz"), MD5, SECTION)
        assert (waits, secure.requests) == ([], [])


def test_https_never_becomes_http_in_silence(server, certificate, monkeypatch, waits):
    """Who wrote https wants what nobody on the way has changed."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate / "certificate.pem"))
    with serving({"birds.tgz": BODY}, tls(certificate)) as secure:
        assert download(secure.url("birds.tgz"), MD5, SECTION).read_bytes() == BODY
        FILE.unlink()
        secure.faults = [Status(302, (("Location", server.url("birds.tgz")),))]
        with pytest.raises(UserError, match="it leads from https to http, on which anybody on the way can change"):
            download(secure.url("birds.tgz"), MD5, SECTION)
    assert waits == []


def test_without_a_network_the_message_says_what_to_place_where():
    """Offline, a person learns the URL, the file, its place and its checksum."""
    url = f"{closed_port()}/files/birds.tgz?download=1"
    with pytest.raises(UserError) as problem:
        download(url, SHA256, SECTION)
    assert problem.value.lines == (
        f"params.yaml: dataset.birds.url = {url} cannot be downloaded: no connection",
        f"offline? bring the file from elsewhere (its sha256 is {SHA256[7:]}), place it as data/downloads/birds.tgz,"
        " and run again",
    )


def test_a_file_placed_by_hand_that_is_another_is_said_to_be():
    """Who brought the wrong file learns that it was looked at."""
    downloads.DOWNLOADS.mkdir(parents=True)
    (downloads.DOWNLOADS / "birds.tgz").write_bytes(b"others")
    with pytest.raises(UserError) as problem:
        download(f"{closed_port()}/birds.tgz", SHA256, SECTION)
    digest = hashlib.sha256(b"others").hexdigest()
    assert problem.value.lines[-1].endswith(f"and run again; what is there now has sha256:{digest}")


def test_a_proxy_is_honoured(server, monkeypatch):
    """Behind a proxy, that is who is asked."""
    monkeypatch.setenv("http_proxy", server.address)
    download("http://images.invalid/birds.tgz", MD5, SECTION)
    assert FILE.read_bytes() == BODY
    assert [request.target for request in server.requests] == ["http://images.invalid/birds.tgz"]


def test_a_proxy_that_does_not_answer_is_named(monkeypatch):
    """A wrong proxy is not mistaken for a wrong URL."""
    monkeypatch.setenv("http_proxy", closed_port())
    with pytest.raises(UserError, match="the proxy does not answer; check http_proxy"):
        download("http://images.invalid/birds.tgz", MD5, SECTION)


def test_a_place_that_cannot_be_written_is_named(server):
    """A file where the folder should be is a message, not a traceback."""
    Path("data").mkdir()
    FILE.parent.write_bytes(b"")
    with pytest.raises(UserError, match=r"data/downloads: cannot be written: "):
        download(server.url("birds.tgz"), MD5, SECTION)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://host/a/birds.tgz?download=1#top", "birds.tgz"),
        ("http://host/my%20birds.zip", "my birds.zip"),
        ("http://host/..%2f..%2fpasswd.zip", "passwd.zip"),
    ],
)
def test_a_download_is_named_after_the_last_part_of_the_path(url, name):
    """The name is never a path, whatever the URL hides in it."""
    assert TypeAdapter(Url).validate_python(url) == url
    assert file_name(url) == name


@pytest.mark.parametrize("url", ["http://ann:pw@host/birds.zip", "https://pw@host/birds.zip"])
def test_a_password_in_a_url_is_refused_and_not_shown(url):
    """It would stand in dvc.lock; the line names the file for it."""
    with pytest.raises(UserError, match=r"write `machine host login \.\.\. password \.\.\.` into ~/\.netrc") as raised:
        folder.Settings(url=url)
    assert "pw" not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["ftp://host/a.zip", "a.zip", "http:///a.zip", "http://host", "http://host/..", "http://host/%1b.zip"]
)
def test_what_is_no_web_address_of_a_file_is_refused(url):
    """A mistyped URL is found before any stage begins."""
    with pytest.raises(ValidationError, match="must "):
        TypeAdapter(Url).validate_python(url)


@pytest.mark.parametrize("checksum", ["", "97eceeb196236b17998738112f37df78", "md5:12", "sha1:" + "0" * 40])
def test_what_is_no_checksum_is_refused(checksum):
    """A mistyped checksum is found before a gigabyte has come; some tools print checksums in capitals."""
    with pytest.raises(ValidationError, match="must be none, md5: and 32, or sha256: and 64 hexadecimal digits"):
        TypeAdapter(Checksum).validate_python(checksum)
    assert TypeAdapter(Checksum).validate_python(MD5.upper()) == MD5


ZIPPED = {"birds/raven/1.jpg": b"raven", "birds/wren/1.jpg": b"wren", "birds/owl/1.jpg": b"owl"}


class TestFolderFromUrl:
    """The source `folder` with a URL."""

    @pytest.fixture
    def archive(self):
        """A zip of three classes in one more folder."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as zipped:
            for name, content in ZIPPED.items():
                zipped.writestr(name, content)
        return packed.getvalue()

    def fetched(self, classes="all", **settings):
        """The files that the source writes, by name."""
        raw = Path("raw")
        raw.mkdir(exist_ok=True)
        folder.fetch(folder.Settings(path="data/pictures", **settings), Selection(classes), 1, raw)
        return files_below(raw)

    def test_an_archive_behind_a_url_is_like_one_on_disk(self, archive):
        """Its classes become the study's, and another choice of classes does not download again."""
        checksum = f"sha256:{hashlib.sha256(archive).hexdigest()}"
        with serving({"birds.zip": archive}) as server:
            settings = {"url": server.url("birds.zip"), "checksum": checksum}
            assert self.fetched(["owl", "wren"], **settings) == {"owl/1.jpg": b"owl", "wren/1.jpg": b"wren"}
            assert len(self.fetched(**settings)) == 3
            assert len(server.requests) == 1

    def test_without_a_url_the_path_counts(self):
        """`url: none` leaves the source as it is."""
        for name, content in ZIPPED.items():
            file = Path("data/pictures") / name
            file.parent.mkdir(parents=True)
            file.write_bytes(content)
        expected = {name.removeprefix("birds/"): content for name, content in ZIPPED.items()}
        assert self.fetched(url="none", checksum="none") == expected

    def test_a_wrong_checksum_names_the_key(self, archive):
        """The message leads to the line of params.yaml."""
        promised = "md5:" + "0" * 32
        with serving({"birds.zip": archive}) as server, pytest.raises(UserError, match=r"dataset\.folder\.checksum = "):
            self.fetched(url=server.url("birds.zip"), checksum=promised)

    def test_what_cannot_be_unpacked_is_not_taken_for_the_archive_for_ever(self, archive):
        """Without a checksum a damaged file is dropped, and the next run downloads it again."""
        with serving({"birds.zip": archive[:-30]}) as server:
            with pytest.raises(UserError, match=r"birds\.zip: damaged, incomplete or no \.zip archive"):
                self.fetched(url=server.url("birds.zip"))
            assert files() == []
            server.files["birds.zip"] = archive
            assert len(self.fetched(url=server.url("birds.zip"))) == 3

    def test_a_url_of_no_archive_is_refused_before_it_is_fetched(self):
        """A page or an image is no set of images."""
        with pytest.raises(ValidationError, match=re.escape("must end in .tar")):
            folder.Settings(path="data/pictures", url="https://host/index.html", checksum="none")
