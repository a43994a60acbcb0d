"""The faulty front: each fault as a client meets it, and what the front notes of its requests."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.parts import faults, skopeo
from tests.parts.certificates import Authority
from tests.parts.faulty_proxy import FaultyProxy
from tests.parts.oci_layout import LayoutImage
from tests.parts.registry import Registry

Make = Callable[..., FaultyProxy]


class Front:
    """A front before a registry with the small image, and the path of its larger layer."""

    def __init__(self, proxy: FaultyProxy, image: LayoutImage) -> None:
        self.proxy = proxy
        self.layer = max(image.layers(), key=lambda layer: layer["size"])
        self.whole = image.blob(self.layer["digest"]).read_bytes()
        self.path = f"/v2/parts/faulty/blobs/{self.layer['digest']}"

    @contextlib.contextmanager
    def get(
        self, path: str = "", headers: dict[str, str] | None = None, timeout: float = 5
    ) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection(self.proxy.host, timeout=timeout)
        try:
            connection.request("GET", path or self.path, headers=headers or {})
            with connection.getresponse() as answer:
                yield answer
        finally:
            connection.close()

    def read(self, **headers: str) -> tuple[int, bytes]:
        with self.get(headers=headers) as answer:
            return answer.status, answer.read()


@pytest.fixture
def front(registry: Registry, faulty_proxy: Make, small: LayoutImage) -> Front:
    registry.push(small.oci, "parts/faulty")
    return Front(faulty_proxy(registry), small)


def test_without_faults_a_push_and_a_pull_go_through(
    registry: Registry, faulty_proxy: Make, small: LayoutImage, tmp_path: Path
) -> None:
    proxy = faulty_proxy(registry)
    away = f"docker://{proxy.host}/parts/through:1"
    skopeo.copy(small.oci, away, "--preserve-digests", "--dest-tls-verify=false")
    skopeo.copy(away, f"oci:{tmp_path}/back:1", "--preserve-digests", "--src-tls-verify=false")
    assert LayoutImage(tmp_path / "back", "1").layers() == small.layers()
    assert {"HEAD", "POST", "PATCH", "PUT", "GET"} == {seen.method for seen in proxy.seen}


def test_tls_before_a_registry_that_speaks_tls_itself(
    basic_registry: Registry, authority: Authority, faulty_proxy: Make, small: LayoutImage
) -> None:
    proxy = faulty_proxy(basic_registry, certificate=authority.issue())
    assert basic_registry.credentials is not None
    skopeo.copy(
        small.oci,
        f"docker://{proxy.host}/parts/through:1",
        f"--dest-cert-dir={authority.cert_dir}",
        f"--dest-creds={':'.join(basic_registry.credentials)}",
    )
    assert basic_registry.authorization() in {seen.headers["Authorization"] for seen in proxy.seen}


def test_what_was_asked_is_noted_with_its_headers(front: Front) -> None:
    assert front.read(Range="bytes=1-3", Authorization="Bearer x") == (206, front.whole[1:4])
    (seen,) = front.proxy.seen
    assert (seen.method, seen.target, seen.status, seen.body_sent) == ("GET", front.path, 206, 3)
    assert (seen.headers["range"], seen.headers["Authorization"]) == ("bytes=1-3", "Bearer x")


def test_a_rule_holds_for_its_requests_and_for_so_many_of_them(front: Front) -> None:
    rule = front.proxy.add(faults.unavailable("7"), target="/blobs/", method="GET", times=2)
    with front.get("/v2/") as answer:
        assert answer.status == 200
    statuses = [front.read()[0] for _ in range(3)]
    assert statuses == [503, 503, 200]
    assert rule.used == 2
    front.proxy.clear()
    assert front.proxy.seen == []


def test_stall_sends_so_much_and_then_nothing(front: Front) -> None:
    front.proxy.add(faults.Stall(after=1000))
    with front.get(timeout=0.3) as answer:
        assert answer.read(1000) == front.whole[:1000]
        with pytest.raises(TimeoutError):
            answer.read(1)
    front.proxy.add(faults.Stall(after=None))
    with pytest.raises(TimeoutError), front.get(timeout=0.3):
        pass
    front.proxy.add(faults.Stall(after=10, seconds=0.05))
    assert front.read() == (200, front.whole)


def test_drop_ends_the_connection_early(front: Front) -> None:
    front.proxy.add(faults.Drop(after=1000))
    with front.get() as answer, pytest.raises(http.client.IncompleteRead) as cut:
        answer.read()
    assert cut.value.partial == front.whole[:1000]
    front.proxy.add(faults.Drop(after=None))
    with pytest.raises(http.client.RemoteDisconnected), front.get():
        pass
    front.proxy.add(faults.Drop(after=None, reset=True))
    with pytest.raises(ConnectionResetError), front.get():
        pass


def test_cuts_are_at_other_points_each_time(front: Front) -> None:
    front.proxy.add(faults.CutRandomly(seed=1), times=None)
    lengths = set()
    for _ in range(5):
        with front.get() as answer:
            try:
                answer.read()
            except (http.client.IncompleteRead, ConnectionResetError):
                lengths.add(front.proxy.seen[-1].body_sent)
    assert len(lengths) == 5
    assert max(lengths) < len(front.whole)


@pytest.mark.parametrize("delta", [-1, 1])
def test_length_lies(front: Front, delta: int) -> None:
    front.proxy.add(faults.Length(delta))
    with front.get() as answer:
        assert answer.headers["Content-Length"] == str(len(front.whole) + delta)
        if delta > 0:
            with pytest.raises(http.client.IncompleteRead):
                answer.read()
        else:
            assert answer.read() == front.whole[:-1]


def test_rate_limit_and_redirect_say_what_they_are_told(front: Front) -> None:
    front.proxy.add(faults.too_many("3"))
    with front.get() as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "3")
        assert b"TOOMANYREQUESTS" in answer.read()
    for location in ("{self}{target}", "file:///etc/passwd", "//127.0.0.2:1/x"):
        front.proxy.add(faults.Redirect(location))
    found = []
    for _ in range(3):
        with front.get() as answer:
            found.append((answer.status, answer.headers["Location"]))
    circle = front.proxy.base_url + front.path
    assert found == [(307, circle), (307, "file:///etc/passwd"), (307, "//127.0.0.2:1/x")]


def test_ranges_refused_and_lied_about(front: Front) -> None:
    front.proxy.add(faults.RefuseRange())
    assert front.read(Range="bytes=5-") == (200, front.whole)
    assert front.proxy.seen[-1].headers["Range"] == "bytes=5-"
    front.proxy.add(faults.ContentRange("bytes 0-1/2"))
    with front.get(headers={"Range": "bytes=5-9"}) as answer:
        assert (answer.status, answer.headers["Content-Range"]) == (206, "bytes 0-1/2")
        assert answer.read() == front.whole[5:10]


def test_flip_gets_one_byte_wrong(front: Front) -> None:
    front.proxy.add(faults.Flip(70_000))
    _, body = front.read()
    assert [i for i, (a, b) in enumerate(zip(body, front.whole, strict=True)) if a != b] == [70_000]
    assert hashlib.sha256(body).hexdigest() not in front.layer["digest"]


def test_headers_are_set_and_taken_away(front: Front) -> None:
    front.proxy.add(faults.Headers({"docker-content-digest": None, "Content-Type": "text/plain"}))
    with front.get() as answer:
        assert answer.headers["Docker-Content-Digest"] is None
        assert answer.headers.get_all("Content-Type") == ["text/plain"]


def test_chunked_and_endless_bodies_say_no_length(front: Front) -> None:
    front.proxy.add(faults.Chunked())
    with front.get() as answer:
        assert answer.headers["Content-Length"] is None
        assert answer.read() == front.whole
    front.proxy.add(faults.Endless(b"{", b" " * 1000))
    with front.get() as answer:
        assert answer.headers["Content-Length"] is None
        assert answer.read(100_000) == b"{" + b" " * 99_999


def test_trickle_and_delay_take_their_time(front: Front) -> None:
    rate = len(front.whole) * 2
    front.proxy.add(faults.Trickle(rate))
    front.proxy.add(faults.Delay(0.3))
    for _ in range(2):
        begin = time.monotonic()
        assert front.read() == (200, front.whole)
        assert time.monotonic() - begin >= 0.3


def test_hold_keeps_requests_back_until_they_are_released(front: Front) -> None:
    hold = faults.Hold()
    front.proxy.add(hold, times=None)
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(front.read()[0])) for _ in range(2)]
    for thread in threads:
        thread.start()
    hold.await_arrival()
    hold.await_arrival()
    assert answers == []
    hold.release()
    for thread in threads:
        thread.join()
    assert answers == [200, 200]


def test_closing_ends_stalled_and_idle_connections_at_once(registry: Registry) -> None:
    with FaultyProxy(registry) as proxy:
        proxy.add(faults.Stall(after=None))
        with (
            socket.create_connection(("127.0.0.1", proxy.port)) as idle,
            socket.create_connection(("127.0.0.1", proxy.port)) as stalled,
        ):
            stalled.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
            while not proxy.seen:
                time.sleep(0.01)
            begin = time.monotonic()
            proxy.close()
            assert time.monotonic() - begin < 5
            assert idle.recv(1) == stalled.recv(1) == b""


def test_without_a_registry_behind_it_only_canned_answers_are_given(faulty_proxy: Make) -> None:
    proxy = faulty_proxy(address="127.0.0.2")
    assert proxy.host.startswith("127.0.0.2:")
    proxy.add(faults.Answer(200, {"X-From": "{self}"}, b"canned"), target="/canned")
    for path, expected in (("/canned", (200, b"canned")), ("/else", (404, b"{}"))):
        connection = http.client.HTTPConnection(proxy.host, timeout=5)
        connection.request("GET", path)
        with connection.getresponse() as answer:
            assert (answer.status, answer.read()) == expected
        connection.close()


def test_a_client_that_trusts_nobody_leaves_no_mark(authority: Authority, faulty_proxy: Make) -> None:
    proxy = faulty_proxy(certificate=authority.issue("registry.example"))
    connection = http.client.HTTPSConnection(proxy.host, timeout=5)
    with pytest.raises(ssl.SSLCertVerificationError):
        connection.request("GET", "/")
    connection.close()
    assert proxy.seen == []
