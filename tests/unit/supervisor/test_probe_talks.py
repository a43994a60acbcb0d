"""What probes say and hear in HTTP and gRPC, without a network: any bytes, in any pieces."""

from __future__ import annotations

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from hypothesis import given
from hypothesis import strategies as st

from carob.supervisor.probes.grpc import Check
from carob.supervisor.probes.http import Get, Target


def get(target: Target | None = None, headers: list[list[str]] | None = None) -> Get:
    return Get(target or Target("http", "127.0.0.1", 8080, "/a/b?x=1"), headers or [])


def verdict_of(answer: bytes, pieces: list[int], talk: Get | Check) -> str | None:
    """The verdict on an answer that comes in pieces of these sizes; that of its end where it has none."""
    talk.begin()
    while answer:
        size = pieces.pop(0) if pieces else len(answer)
        piece, answer = answer[:size], answer[size:]
        _, verdict = talk.hear(piece)
        if verdict is not None:
            return verdict
    return talk.over()


PIECES = st.lists(st.integers(1, 20), max_size=50)


@given(PIECES, st.integers(200, 399), st.sampled_from([b"\r\n", b"\n"]))
def test_an_answer_is_understood_in_any_pieces(pieces: list[int], status: int, end: bytes) -> None:
    answer = b"HTTP/1.1 100 Continue" + end + end + b"HTTP/1.1 %d Some" % status + end + b"A: b" + end + end
    assert verdict_of(answer, pieces, get()) == ""


@given(st.binary(max_size=400), PIECES)
def test_no_bytes_are_too_strange(answer: bytes, pieces: list[int]) -> None:
    assert verdict_of(b"HTTP/1.1 " + answer, list(pieces), get()) is not None
    assert verdict_of(answer, list(pieces), get()) is not None
    assert verdict_of(answer, list(pieces), Check("127.0.0.1:1", "")) != ""


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        ("HTTP/1.0 200 OK", ""),
        ("HTTP/1.1 200", ""),
        ("HTTP/1.1 400 Bad", "HTTP 400"),
        ("HTTP/1.1 101 Switching", "HTTP 101"),
        ("HTTP/2 200 OK", "its answer is not HTTP"),
        ("HTTP/1.1 2000 OK", "its answer is not HTTP"),
        ("HTTP/1.1 099 OK", "its answer is not HTTP"),
        ("HTTP/1.1 2x0 OK", "its answer is not HTTP"),
        ("hello", "its answer is not HTTP"),
    ],
)
def test_status_lines(line: str, verdict: str) -> None:
    assert verdict_of(line.encode() + b"\r\n\r\n", [], get()) == verdict


def test_what_is_asked() -> None:
    assert get(headers=[["X-A", "b"]]).begin().decode().split("\r\n") == [
        "GET /a/b?x=1 HTTP/1.1",
        "Host: 127.0.0.1:8080",
        "X-A: b",
        "User-Agent: carob-probe",
        "Accept: */*",
        "Connection: close",
        "",
        "",
    ]
    lines = get(Target("https", "::1", 443, "/"), [["host", "h"], ["accept", ""]]).begin().decode()
    assert "Host: [::1]" not in lines
    assert "Accept: */*" not in lines
    assert "Host: [::1]\r\n" in get(Target("https", "::1", 443, "/")).begin().decode()


@pytest.mark.parametrize(
    ("location", "leads_to"),
    [
        ("/c", ("http", 8080, "/c")),
        ("c?y#z", ("http", 8080, "/a/c?y")),
        ("?y", ("http", 8080, "/a/b?y")),
        ("", None),
        ("http://127.0.0.1/c", ("http", 80, "/c")),
        ("HTTP://127.0.0.1:9?q", ("http", 9, "/?q")),
        ("//127.0.0.1:9", ("http", 9, "/")),
        ("http://user@127.0.0.1:9/", ("http", 9, "/")),
        ("https://127.0.0.1/c", None),
        ("http://127.0.0.1:0/", None),
        ("http://127.0.0.1:x/", None),
        ("http://[::1]/", None),
        ("http://other/", None),
        ("ftp://127.0.0.1/", None),
        ("/a b", None),
        ("/ä", None),
        ("/a\x0bb", None),
    ],
)
def test_redirects_lead_on_only_on_this_host(location: str, leads_to: tuple[str, int, str] | None) -> None:
    talk = get()
    assert verdict_of(f"HTTP/1.1 307 There\r\nLOCATION: {location}\r\n\r\n".encode(), [], talk) == ""
    found = talk.next and (talk.next.scheme, talk.next.port, talk.next.path)
    assert found == leads_to


def test_one_from_https_may_lead_to_http() -> None:
    talk = get(Target("https", "::1", 443, "/"))
    assert verdict_of(b"HTTP/1.1 301 There\r\nLocation: http://[::1]:80/x\r\n\r\n", [], talk) == ""
    assert talk.next is not None
    assert (talk.next.scheme, talk.next.port, talk.next.authority) == ("http", 80, "[::1]")


@pytest.mark.parametrize("word", [b"\xff" * 40000, b"1\x1b[2J", b"-1", b"1000", b"0x0", b""])
def test_words_of_a_server_s_do_not_get_into_the_verdict(word: bytes) -> None:
    """A long one would not fit into the packet that has the verdict, nor would its control characters."""
    server = H2Connection(
        H2Configuration(client_side=False, validate_outbound_headers=False, normalize_outbound_headers=False)
    )
    talk = Check("127.0.0.1:1", "")
    server.initiate_connection()
    server.receive_data(talk.begin())
    server.send_headers(1, [(b":status", b"200"), (b"grpc-status", word)], end_stream=True)
    answer = bytes(server.data_to_send())
    assert verdict_of(answer, [1 << 14] * 20, Check("127.0.0.1:1", "")) == "its answer is not gRPC"
