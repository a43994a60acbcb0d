"""Getting files from web servers that are good, slow, lying or hostile."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from urllib3.connection import HTTPConnection

from carob.errors import (
    CarobError,
    CorruptData,
    InvalidInput,
    NotFound,
    PermissionDenied,
    Rejected,
    TimedOut,
    Unavailable,
)
from carob.image.aci.http import Web
from carob.image.aci.web_address import parse_url
from tests.parts.certificates import Authority
from tests.unit.image.aci.server import AciServer
from tests.unit.image.registry.raw_server import Conversation, RawServer

LIMIT = 1 << 20


@pytest.fixture
def web(authority: Authority) -> Iterator[Web]:
    made = Web(ca_file=str(authority.ca_file))
    yield made
    made.close()


def test_a_file_comes_whole(server: AciServer, web: Web) -> None:
    body = os.urandom(300_000)
    server.files["/a b?x=1"] = server.files["/a%20b?x=1"] = body
    assert web.get(f"{server.url}/a b?x=1#fragment", limit_bytes=LIMIT) == body


def test_a_download_tells_how_far_it_is(server: AciServer, web: Web) -> None:
    body = os.urandom(900_000)
    server.files["/f"] = body
    told: list[tuple[int, int]] = []
    with tempfile.TemporaryFile() as file:
        web.download(f"{server.url}/f", file.fileno(), limit_bytes=LIMIT, told=lambda *at: told.append(at))
        assert os.pread(file.fileno(), LIMIT, 0) == body
    assert told[-1] == (900_000, 900_000)
    assert [done for done, _ in told] == sorted({done for done, _ in told})


def test_an_unknown_authority_is_refused(server: AciServer) -> None:
    with pytest.raises(Unavailable, match="certificate is not good"):
        Web().get(f"{server.url}/x", limit_bytes=LIMIT)
    server.files["/x"] = b"1"
    assert Web(verify_tls=False).get(f"{server.url}/x", limit_bytes=LIMIT) == b"1"


def test_a_certificate_of_another_name_is_refused(authority: Authority, web: Web) -> None:
    with (
        AciServer(authority.issue("elsewhere.example")) as server,
        pytest.raises(Unavailable, match="certificate"),
    ):
        web.get(f"{server.url}/x", limit_bytes=LIMIT)


def test_plain_http_is_for_loopback_or_on_request(plain_server: AciServer) -> None:
    plain_server.files["/x"] = b"1"
    assert Web().get(f"{plain_server.url}/x", limit_bytes=LIMIT) == b"1"
    assert Web().get(f"{plain_server.base_url}/x", limit_bytes=LIMIT) == b"1"
    with pytest.raises(Rejected, match="not encrypted"):
        Web().get("http://192.0.2.1/x", limit_bytes=LIMIT)  # an address for documentation, never asked


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, NotFound),
        (410, NotFound),
        (400, NotFound),
        (401, PermissionDenied),
        (403, PermissionDenied),
        (429, Unavailable),
        (500, Unavailable),
        (503, Unavailable),
        (204, Unavailable),
        (206, Unavailable),
        (304, Unavailable),
    ],
)
def test_a_status_says_what_is_wrong(
    server: AciServer, web: Web, status: int, error: type[CarobError]
) -> None:
    server.files["/x?secret=1"] = (status, {}, b"")
    with pytest.raises(error, match=str(status)) as caught:
        web.get(f"{server.url}/x?secret=1", limit_bytes=LIMIT)
    assert "secret" not in caught.value.message


# --- redirects --------------------------------------------------------------------------------------------


def moved(location: str, status: int = 302) -> tuple[int, dict[str, str], bytes]:
    return status, {"Location": location}, b"body of a redirect"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(server: AciServer, web: Web, status: int) -> None:
    server.files |= {"/a/b": moved("../c?d", status), "/c?d": moved(f"{server.url}/e"), "/e": b"there"}
    assert web.get(f"{server.url}/a/b", limit_bytes=LIMIT) == b"there"


def test_redirects_in_a_circle_end(server: AciServer, web: Web) -> None:
    server.files |= {"/a": moved("/b"), "/b": moved("/a")}
    with pytest.raises(Unavailable, match="more than 10 redirects"):
        web.get(f"{server.url}/a", limit_bytes=LIMIT)
    assert len(server.requests) == 11


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "ftp://localhost/x",
        "https://user:secret@localhost/x",
        "https://",
        "https://[bad",
        "data:text/plain,x",
        "https://host:99999/",
        "javascript:1",
        "//",
    ],
)
def test_redirects_elsewhere_than_the_web_are_not_followed(
    server: AciServer, web: Web, location: str
) -> None:
    server.files["/a"] = moved(location)
    with pytest.raises(Unavailable, match="redirect") as caught:
        web.get(f"{server.url}/a", limit_bytes=LIMIT)
    assert "secret" not in caught.value.message


def test_a_redirect_without_a_location_leads_in_circles(server: AciServer, web: Web) -> None:
    server.files["/a"] = (302, {}, b"")
    with pytest.raises(Unavailable):
        web.get(f"{server.url}/a", limit_bytes=LIMIT)


def test_a_redirect_from_https_to_http_is_refused_even_on_loopback(
    server: AciServer, plain_server: AciServer, web: Web, authority: Authority
) -> None:
    server.files["/a"] = moved(f"{plain_server.url}/x")
    plain_server.files["/x"] = b"1"
    with pytest.raises(Rejected, match="not encrypted"):
        web.get(f"{server.url}/a", limit_bytes=LIMIT)
    assert plain_server.requests == []
    lax = Web(allow_http=True, ca_file=str(authority.ca_file))
    assert lax.get(f"{server.url}/a", limit_bytes=LIMIT) == b"1"


# --- sizes and times --------------------------------------------------------------------------------------


def test_more_than_the_limit_is_refused_before_it_comes(server: AciServer, web: Web) -> None:
    server.files["/x"] = bytes(2000)
    with pytest.raises(CorruptData, match="2000 bytes; at most 1000"):
        web.get(f"{server.url}/x", limit_bytes=1000)


Speak = Callable[[Conversation], None]


@pytest.fixture
def raw() -> Iterator[Callable[[Speak], str]]:
    """Makes servers of raw bytes; their URLs."""
    made: list[RawServer] = []

    def make(speak: Speak) -> str:
        made.append(RawServer(speak))
        return f"http://{made[-1].host}/x"

    yield make
    for server in made:
        server.close()


@pytest.fixture
def quick() -> Iterator[Web]:
    """One that is not patient."""
    made = Web(timeout_s=0.5, headers_s=1, pace_s=0.5)
    yield made
    made.close()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"


def test_more_than_the_limit_is_refused_while_it_comes(raw: Callable[[Speak], str], quick: Web) -> None:
    def endless(talk: Conversation) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not talk.closing.is_set():
            talk.send(b"1000\r\n" + bytes(0x1000) + b"\r\n")

    with pytest.raises(CorruptData, match="more than 100000 bytes"):
        quick.get(raw(endless), limit_bytes=100_000)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"rubbish\r\n\r\n",
        b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\n12",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 999 OK\r\n\r\n",
        b"HTTP/1.1 -1 OK\r\n\r\n",
    ],
)
def test_answers_that_break_off_or_are_none_are_told(
    raw: Callable[[Speak], str], quick: Web, text: bytes
) -> None:
    with pytest.raises(Unavailable):
        quick.get(raw(lambda talk: talk.send(text)), limit_bytes=LIMIT)


@pytest.mark.parametrize("length", [b"-1", b"x", b"9" * 30, b"5, 5"])
def test_a_length_that_is_none_does_no_harm(raw: Callable[[Speak], str], quick: Web, length: bytes) -> None:
    text = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " + length + b"\r\n\r\n12345"
    try:
        assert quick.get(raw(lambda talk: talk.send(text)), limit_bytes=LIMIT) in (b"12345", b"")
    except (Unavailable, CorruptData):
        pass


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\n", HEAD, HEAD + b"some"])
def test_a_server_that_says_no_more_is_given_up(raw: Callable[[Speak], str], quick: Web, head: bytes) -> None:
    def silent(talk: Conversation) -> None:
        talk.send(head)
        talk.closing.wait(30)

    with pytest.raises(TimedOut, match="no answer within"):
        quick.get(raw(silent), limit_bytes=LIMIT)


def test_a_server_that_doles_out_its_headers_is_given_up(raw: Callable[[Speak], str], quick: Web) -> None:
    url = raw(lambda talk: talk.trickle(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000, 0.05))
    with pytest.raises(TimedOut, match="no answer within 1 second"):
        quick.get(url, limit_bytes=LIMIT)


def test_time_that_is_up_before_the_connection_is_made_counts(
    raw: Callable[[Speak], str], quick: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a name with a first address where nobody answers: there was nothing yet to cut."""
    connect = HTTPConnection.connect

    def slowly(connection: HTTPConnection) -> None:
        time.sleep(1.2)
        connect(connection)

    monkeypatch.setattr(HTTPConnection, "connect", slowly)
    url = raw(lambda talk: talk.trickle(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000, 0.05))
    begun = time.monotonic()
    with pytest.raises(TimedOut, match="no answer within 1 second"):
        quick.get(url, limit_bytes=LIMIT)
    assert time.monotonic() - begun < 20  # and not the five minutes of these headers


def test_a_server_that_doles_out_its_body_is_given_up(raw: Callable[[Speak], str], quick: Web) -> None:
    def slow(talk: Conversation) -> None:
        talk.send(HEAD)
        talk.trickle(bytes(10_000), 0.05)

    with pytest.raises(TimedOut, match="bytes in"):
        quick.get(raw(slow), limit_bytes=LIMIT)


def test_nobody_listening_is_told(quick: Web) -> None:
    with pytest.raises(Unavailable, match="refused"):
        quick.get("http://127.0.0.1:1/x", limit_bytes=LIMIT)


def test_closing_ends_what_is_under_way(raw: Callable[[Speak], str]) -> None:
    started = threading.Event()

    def silent(talk: Conversation) -> None:
        talk.send(HEAD + b"some")
        started.set()
        talk.closing.wait(30)

    web = Web()
    caught: list[CarobError] = []

    def get() -> None:
        try:
            web.get(raw_url, limit_bytes=LIMIT)
        except CarobError as error:
            caught.append(error)

    raw_url = raw(silent)
    thread = threading.Thread(target=get)
    thread.start()
    assert started.wait(10)
    web.close()
    thread.join(10)
    assert not thread.is_alive()
    assert [type(error) for error in caught] == [Unavailable]


# --- URLs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/etc/passwd",
        "file:///etc/passwd",
        "ftp://x/y",
        "https://",
        "https:///x",
        "https://user@host/x",
        "https://user:secret@host/x",
        "https://ho st/x",
        "https://h\u00f6st/x",
        "https://host:0/x",
        "https://host:99999/x",
        "https://host:x/",
        "https://host\\@evil/x",
        "https://[::1/x",
    ],
)
def test_what_is_no_web_address_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_url(url)
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("url", "shown", "target"),
    [
        ("https://host", "https://host/", "/"),
        ("https://host:443/a", "https://host/a", "/a"),
        ("http://host:443/a", "http://host:443/a", "/a"),
        ("https://[::1]:8/a?b=c#d", "https://[::1]:8/a", "/a?b=c"),
        ("https://HOST/a b\u00e9", "https://host/a%20b%C3%A9", "/a%20b%C3%A9"),
        ("https://host/a%20b", "https://host/a%20b", "/a%20b"),
        ("https://host/a\r\nX: y", "https://host/aX:%20y", "/aX:%20y"),
    ],
)
def test_addresses_are_shown_without_their_query(url: str, shown: str, target: str) -> None:
    address = parse_url(url)
    assert (str(address), address.target) == (shown, target)
    assert parse_url(address.url).url == address.url


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        *(("localhost", True), ("127.0.0.1", True), ("127.9.9.9", True), ("[::1]", True)),
        *(("localhost.example", False), ("127.0.0.1.example", False), ("10.0.0.1", False), ("[::2]", False)),
    ],
)
def test_loopback_is_told_by_its_addresses(host: str, expected: bool) -> None:
    assert parse_url(f"http://{host}/").is_loopback is expected


# --- proxies ----------------------------------------------------------------------------------------------


def test_a_proxy_of_the_environment_is_asked_instead(
    plain_server: AciServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://user:pass@127.0.0.1:{plain_server.port}")
    plain_server.files["http://images.invalid/x"] = b"by proxy"
    assert Web(allow_http=True).get("http://images.invalid/x", limit_bytes=LIMIT) == b"by proxy"
    assert parse_url("http://images.invalid/x").proxy() is not None
    monkeypatch.setenv("no_proxy", "images.invalid")
    assert parse_url("http://images.invalid/x").proxy() is None


def test_loopback_needs_no_proxy(plain_server: AciServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    plain_server.files["/x"] = b"1"
    assert Web().get(f"{plain_server.url}/x", limit_bytes=LIMIT) == b"1"


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "https://127.0.0.1:1", "http://", "http://h:x"])
def test_a_proxy_that_carob_cannot_use_is_told(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(InvalidInput, match="proxy"):
        Web(allow_http=True).get("http://images.invalid/x", limit_bytes=LIMIT)
