"""Who is told what: tokens and Basic against real registries, and servers that want more than is theirs."""

from __future__ import annotations

import base64
import json
import threading
import time
import traceback
from collections.abc import Callable

import pytest

from carob.errors import CarobError, CorruptData, PermissionDenied, Rejected, Unavailable, Unsupported
from carob.image.registry.client import Registry
from carob.image.registry.credentials import Credentials
from carob.image.registry.limits import Limits
from carob.image.registry.tokens import check_realm
from carob.image.registry.urls import parse_url
from tests.parts.faults import Answer, Fault, Redirect, unavailable
from tests.parts.faulty_proxy import FaultyProxy, Seen
from tests.parts.registry import Registry as Part
from tests.unit.image.registry.conftest import Connect, ping
from tests.unit.image.registry.images import Image

Proxy = Callable[..., FaultyProxy]
SECRET = "hunter2-is-my-password"
ANN = Credentials("ann", SECRET, origin="a test")
BASIC = {"WWW-Authenticate": 'Basic realm="x"'}
BODY = b'{"errors": [{"code": "UNAUTHORIZED", "message": "who are you?"}]}'


def logged_in(part: Part) -> Callable[[str], Credentials | None]:
    assert part.credentials is not None
    found = Credentials(*part.credentials, origin="a test")
    return lambda _: found


def client_of(connect: Connect, part: Part, *, anonymous: bool = False) -> Registry:
    find = None if anonymous else logged_in(part)
    return connect(part.host, ca=str(part.ca_file), find_credentials=find)


def told(seen: list[Seen]) -> list[str]:
    return [request.headers.get("Authorization", "") for request in seen]


def bearer(realm: str, **more: str) -> dict[str, str]:
    parameters = "".join(f',{name}="{value}"' for name, value in more.items())
    return {"WWW-Authenticate": f'Bearer realm="{realm}"{parameters}'}


# --- real registries ------------------------------------------------------------------------------


def test_user_and_password(basic_registry: Part, connect: Connect) -> None:
    client, image = client_of(connect, basic_registry), Image(b"basic")
    ping(client)
    image.push(client, "auth/basic")
    assert client.manifest("auth/basic", "latest")[1] == image.manifest


def test_a_wrong_password(basic_registry: Part, connect: Connect) -> None:
    client = connect(basic_registry.host, ca=str(basic_registry.ca_file), find_credentials=lambda _: ANN)
    mark = basic_registry.mark()
    with pytest.raises(PermissionDenied) as caught:
        client.manifest("auth/wrong", "latest")
    assert "from a test may be wrong" in caught.value.hint
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    requests = [request for request in basic_registry.requests(mark) if "auth/wrong" in request.path]
    assert len(requests) == 2  # asked once without, once with, and not again


def test_nobody_is_told_how_to_log_in(basic_registry: Part, connect: Connect) -> None:
    with pytest.raises(PermissionDenied) as caught:
        client_of(connect, basic_registry, anonymous=True).manifest("auth/basic", "latest")
    assert f"skopeo login {basic_registry.host}" in caught.value.hint


def test_tokens(token_registry: Part, connect: Connect) -> None:
    assert token_registry.tokens is not None
    before = len(token_registry.tokens.asked)
    client, image = client_of(connect, token_registry), Image(b"token")
    ping(client)
    image.push(client, "auth/token", "one", "two")
    assert client.manifest("auth/token", "one")[1] == image.manifest
    assert client.blob_document("auth/token", image.config)
    assert client.manifest("auth/token", "two")[1] == image.manifest
    asked = token_registry.tokens.asked[before:]
    # One token for each kind of access, however many requests.
    assert [one.scopes for one in asked] == [
        (),
        ("repository:auth/token:pull,push",),
        ("repository:auth/token:pull",),
    ]
    assert {one.user for one in asked} == {"ann"}
    assert {one.grant for one in asked} == {"basic"}


def test_anonymous_tokens(token_registry: Part, connect: Connect) -> None:
    image = Image(b"public")
    image.push(client_of(connect, token_registry), "public/app")
    client = client_of(connect, token_registry, anonymous=True)
    assert client.manifest("public/app", "latest")[1] == image.manifest
    with pytest.raises(PermissionDenied) as caught:
        client.manifest("auth/private", "latest")
    assert "log in" in caught.value.hint
    with pytest.raises(PermissionDenied):
        image.push(client, "public/app")


def test_an_identity_token(token_registry: Part, connect: Connect) -> None:
    assert token_registry.tokens is not None
    refresh = token_registry.tokens.refresh_token("ann")
    before = len(token_registry.tokens.asked)
    found = Credentials(identity_token=refresh, origin="a test")
    client = connect(token_registry.host, ca=str(token_registry.ca_file), find_credentials=lambda _: found)
    Image(b"identity").push(client, "auth/identity")
    asked = token_registry.tokens.asked[before:]
    assert {one.grant for one in asked} == {"refresh_token"}
    assert {one.user for one in asked} == {"ann"}


def test_a_registry_token_is_sent_as_it_is(faulty_proxy: Proxy, connect: Connect) -> None:
    front = faulty_proxy()
    found = Credentials(registry_token="bearer-me", origin="a test")
    front.add(Answer(401, bearer("{self}/token"), BODY), target="/v2/x/", times=None)
    client = connect(front.host, find_credentials=lambda _: found)
    with pytest.raises(PermissionDenied):
        client.manifest("x", "latest")
    assert told(front.seen)[-2:] == ["", "Bearer bearer-me"]
    assert not [seen for seen in front.seen if "/token" in seen.target]


def test_a_mount_asks_for_both_repositories(token_registry: Part, connect: Connect) -> None:
    from carob.image.registry.push import push_image
    from carob.image.registry.upload import Outcome

    assert token_registry.tokens is not None
    client, image = client_of(connect, token_registry), Image(b"mounted")
    image.push(client, "auth/from")
    before = len(token_registry.tokens.asked)
    outcomes = push_image(
        client, "auth/to", ["latest"], image.outgoing, image.open, mount_from=["auth/from"], jobs=1
    )
    assert set(outcomes.values()) == {Outcome.MOUNTED}
    assert ("repository:auth/from:pull", "repository:auth/to:pull,push") in [
        one.scopes for one in token_registry.tokens.asked[before:]
    ]


def test_a_token_is_renewed_before_it_ends(
    token_registry: Part, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert token_registry.tokens is not None
    image = Image(b"renewed")
    image.push(client_of(connect, token_registry), "auth/renewed")
    client = client_of(connect, token_registry)
    client.manifest("auth/renewed", "latest")
    before = len(token_registry.tokens.asked)
    client.manifest("auth/renewed", "latest")
    assert len(token_registry.tokens.asked) == before
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 0.95 * token_registry.tokens.lifetime_s)  # type: ignore[union-attr]
    mark = token_registry.mark()
    client.manifest("auth/renewed", "latest")
    monkeypatch.undo()
    assert len(token_registry.tokens.asked) == before + 1
    assert [request.status for request in token_registry.requests(mark)] == [200]  # nobody was asked in vain


def test_many_threads_fetch_one_token(token_registry: Part, connect: Connect) -> None:
    assert token_registry.tokens is not None
    image = Image(b"threads")
    image.push(client_of(connect, token_registry), "auth/threads")
    client = client_of(connect, token_registry)
    before = len(token_registry.tokens.asked)
    threads = [threading.Thread(target=client.manifest, args=("auth/threads", "latest")) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(token_registry.tokens.asked) == before + 1


# --- what is sent, and to whom --------------------------------------------------------------------


def test_nothing_is_sent_or_looked_up_before_it_is_asked_for(registry: Part, connect: Connect) -> None:
    def find(path: str) -> Credentials | None:
        raise AssertionError(path)

    ping(connect(registry.host, find_credentials=find))


def test_credentials_are_looked_up_by_the_repository(faulty_proxy: Proxy, connect: Connect) -> None:
    front, asked = faulty_proxy(), []
    front.add(Answer(401, BASIC, BODY), times=None)

    def find(path: str) -> Credentials | None:
        asked.append(path)
        return None

    client = connect(front.host, find_credentials=find)
    for name in ("team/one", "team/one", "team/two"):
        with pytest.raises(PermissionDenied):
            client.manifest(name, "latest")
    assert asked == [f"{front.host}/team/one", f"{front.host}/team/two"]


def test_a_bearer_token_is_preferred_to_basic(faulty_proxy: Proxy, connect: Connect) -> None:
    front = faulty_proxy()
    both = {"WWW-Authenticate": 'Basic realm="x", Bearer realm="{self}/token"'}
    front.add(Answer(401, both, BODY), target="/manifests/")
    front.add(Answer(200, {}, b'{"token": "t0"}'), target="/token")
    with pytest.raises(CarobError):
        connect(front.host, find_credentials=lambda _: ANN).manifest("x", "latest")
    assert told(front.seen)[-2:] == [ANN.basic, "Bearer t0"]


def test_other_ways_to_log_in_are_not_offered(faulty_proxy: Proxy, connect: Connect) -> None:
    front = faulty_proxy()
    front.add(Answer(401, {"WWW-Authenticate": "Negotiate, Digest realm=x"}, BODY), target="/manifests/")
    with pytest.raises(Unsupported, match="digest, negotiate"):
        connect(front.host, find_credentials=lambda _: ANN).manifest("x", "latest")


@pytest.mark.parametrize("line", ["", "x", '"', "Bearer", 'Bearer realm=""', 'Bearer service="x"'])
def test_a_registry_that_does_not_say_what_it_wants(faulty_proxy: Proxy, connect: Connect, line: str) -> None:
    front = faulty_proxy()
    front.add(Answer(401, {"WWW-Authenticate": line} if line else {}, BODY), target="/manifests/", times=None)
    with pytest.raises((PermissionDenied, CorruptData, Unsupported)):
        connect(front.host, find_credentials=lambda _: ANN).manifest("x", "latest")
    assert set(told(front.seen)) == {""}


@pytest.mark.parametrize(
    "realm",
    [
        "file:///etc/passwd",
        "ftp://evil.example/token",
        "gopher://evil.example",
        "javascript:1",
        "//evil.example/token",
        "/token",
        "token",
        "https://ann:x@evil.example/token",
        "https://evil.example:99999/",
        "https://[::1/",
        "https://evil.example/\r\nX: y",
        "",
    ],
)
def test_a_realm_that_is_no_web_address(realm: str) -> None:
    with pytest.raises(CorruptData, match="no web address"):
        check_realm(realm, parse_url("https://good.example/"), insecure=True)


@pytest.mark.parametrize(
    ("realm", "registry", "insecure", "allowed"),
    [
        ("https://auth.example/token", "https://good.example/", False, True),
        ("http://auth.example/token", "https://good.example/", False, False),
        ("http://good.example/token", "https://good.example/", False, False),
        ("http://127.0.0.1/token", "https://good.example/", False, False),
        ("http://auth.example/token", "https://good.example/", True, True),
        ("http://auth.example/token", "http://good.example/", True, True),
        ("http://auth.example/token", "http://127.0.0.1:5000/", False, False),
        ("http://localhost:5001/token", "http://127.0.0.1:5000/", False, True),
        ("https://auth.example/token", "http://127.0.0.1:5000/", False, True),
    ],
)
def test_which_token_server_may_be_asked(realm: str, registry: str, insecure: bool, allowed: bool) -> None:
    if allowed:
        assert str(check_realm(realm, parse_url(registry), insecure=insecure)) == realm
        return
    with pytest.raises(Rejected, match="without TLS"):
        check_realm(realm, parse_url(registry), insecure=insecure)


def test_a_realm_of_another_kind_is_not_asked(faulty_proxy: Proxy, connect: Connect) -> None:
    front = faulty_proxy()
    for realm in ("file:///etc/passwd", "ftp://127.0.0.1/x"):
        front.add(Answer(401, bearer(realm), BODY), target="/manifests/")
        with pytest.raises(CorruptData, match="no web address"):
            connect(front.host, find_credentials=lambda _: ANN).manifest("x", "latest")
    assert set(told(front.seen)) == {""}


def test_the_token_server_gets_the_password_and_the_registry_the_token(
    faulty_proxy: Proxy, connect: Connect
) -> None:
    """Token servers may be on any host; neither gets what is the other's."""
    front, server = faulty_proxy(), faulty_proxy()
    challenge = bearer(
        f"{server.base_url}/token?fixed=1", service="s", scope="repository:x:pull other:y:pull"
    )
    front.add(Answer(401, challenge, BODY), target="/manifests/")
    front.add(Answer(200, {"Content-Type": "application/json"}, b"{}"), target="/manifests/")
    server.add(Answer(200, {}, b'{"access_token": "t0", "expires_in": 300}'), target="/token", times=None)
    connect(front.host, find_credentials=lambda _: ANN).manifest("x", "latest")
    (asked,) = server.seen
    assert asked.headers["Authorization"] == ANN.basic
    assert asked.target == ("/token?fixed=1&service=s&scope=other:y:pull&scope=repository:x:pull&account=ann")
    assert told(front.seen)[-2:] == ["", "Bearer t0"]
    assert SECRET not in str([dict(seen.headers) for seen in front.seen])


def test_a_redirect_of_the_token_server_does_not_take_the_password_along(
    faulty_proxy: Proxy, connect: Connect
) -> None:
    front, server, other = faulty_proxy(), faulty_proxy(), faulty_proxy()
    front.add(Answer(401, bearer(f"{server.base_url}/token"), BODY), target="/manifests/", times=None)
    server.add(Redirect(f"{other.base_url}/token"), times=None)
    other.add(Answer(200, {}, b'{"token": "t0"}'), times=None)
    with pytest.raises(PermissionDenied):
        connect(front.host, find_credentials=lambda _: ANN).manifest("x", "latest")
    assert set(told(server.seen)) == {ANN.basic}
    assert other.seen
    assert set(told(other.seen)) == {""}


def test_an_identity_token_is_not_sent_on(faulty_proxy: Proxy, connect: Connect) -> None:
    front, server, other = faulty_proxy(), faulty_proxy(), faulty_proxy()
    front.add(Answer(401, bearer(f"{server.base_url}/token"), BODY), target="/manifests/", times=None)
    server.add(Redirect(f"{other.base_url}/token", 307), times=None)
    found = Credentials(identity_token=SECRET, origin="a test")
    with pytest.raises(Rejected, match="what is secret"):
        connect(front.host, find_credentials=lambda _: found).manifest("x", "latest")
    assert other.seen == []
    assert [seen.method for seen in server.seen] == ["POST"]


def test_an_identity_token_is_not_turned_into_a_get(faulty_proxy: Proxy, connect: Connect) -> None:
    front, server = faulty_proxy(), faulty_proxy()
    front.add(Answer(401, bearer(f"{server.base_url}/token"), BODY), target="/manifests/", times=None)
    server.add(Redirect("{self}/elsewhere", 302), times=None)
    found = Credentials(identity_token=SECRET, origin="a test")
    with pytest.raises(CorruptData, match="redirects POST"):
        connect(front.host, find_credentials=lambda _: found).manifest("x", "latest")
    assert len(server.seen) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("way", ["basic", "bearer"])
def test_a_redirect_elsewhere_takes_no_credentials_along(
    faulty_proxy: Proxy, connect: Connect, status: int, way: str
) -> None:
    front, storage = faulty_proxy(), faulty_proxy()
    front.add(Answer(401, BASIC if way == "basic" else bearer("{self}/token"), BODY), target="/blobs/")
    front.add(Answer(200, {}, b'{"token": "t0"}'), target="/token", times=None)
    front.add(Redirect(f"{storage.base_url}/data?sig=1", status), target="/blobs/", times=None)
    storage.add(Answer(200, {}, b"data"), times=None)
    client = connect(front.host, find_credentials=lambda _: ANN)
    answer = client.get_blob("x", "sha256:" + "0" * 64)
    assert answer.document("x") == b"data"
    assert told(storage.seen) == [""]
    assert told(front.seen)[-1] in (ANN.basic, "Bearer t0")


def test_credentials_stay_away_once_a_redirect_led_elsewhere(faulty_proxy: Proxy, connect: Connect) -> None:
    """Even if the way leads back: whoever was in between chose it."""
    front, other = faulty_proxy(), faulty_proxy()
    front.add(Answer(401, BASIC, BODY), target="/blobs/")
    front.add(Redirect(f"{other.base_url}/1"), target="/blobs/")
    other.add(Redirect(f"{front.base_url}/back"), times=None)
    front.add(Answer(200, {}, b"data"), target="/back")
    client = connect(front.host, find_credentials=lambda _: ANN)
    assert client.get_blob("x", "sha256:" + "0" * 64).document("x") == b"data"
    assert told(other.seen) == [""]
    assert (front.seen[-1].target, told(front.seen)[-1]) == ("/back", "")


def test_credentials_stay_within_one_host(faulty_proxy: Proxy, connect: Connect) -> None:
    front = faulty_proxy()
    front.add(Answer(401, BASIC, BODY), target="/blobs/")
    front.add(Redirect("{self}/here"), target="/blobs/")
    front.add(Answer(200, {}, b"data"), target="/here")
    client = connect(front.host, find_credentials=lambda _: ANN)
    assert client.get_blob("x", "sha256:" + "0" * 64).document("x") == b"data"
    assert told(front.seen)[-1] == ANN.basic


def test_another_port_is_another_host(faulty_proxy: Proxy, connect: Connect) -> None:
    front, other = faulty_proxy(), faulty_proxy()
    assert front.host.rpartition(":")[0] == other.host.rpartition(":")[0]
    front.add(Answer(401, BASIC, BODY), target="/blobs/")
    front.add(Redirect(f"{other.base_url}/"), target="/blobs/")
    other.add(Answer(200, {}, b"data"))
    client = connect(front.host, find_credentials=lambda _: ANN)
    client.get_blob("x", "sha256:" + "0" * 64).discard()
    assert told(other.seen) == [""]


def test_who_asks_from_behind_a_redirect_is_told_nothing(faulty_proxy: Proxy, connect: Connect) -> None:
    front, evil = faulty_proxy(), faulty_proxy()
    front.add(Redirect(f"{evil.base_url}/x"), target="/blobs/", times=None)
    evil.add(
        Answer(401, {"WWW-Authenticate": f'Bearer realm="{evil.base_url}/token", Basic'}, BODY), times=None
    )
    with pytest.raises(PermissionDenied):
        connect(front.host, find_credentials=lambda _: ANN).get_blob("x", "sha256:" + "0" * 64)
    assert set(told(evil.seen) + told(front.seen)) == {""}
    assert len(evil.seen) == 1


def test_an_upload_elsewhere_is_without_credentials(faulty_proxy: Proxy, connect: Connect) -> None:
    front, storage = faulty_proxy(), faulty_proxy()
    front.add(Answer(401, BASIC, BODY), target="/blobs/", times=1)
    front.add(Answer(404, {}, b""), method="HEAD", times=None)
    front.add(Answer(202, {"Location": f"{storage.base_url}/upload?sig=1"}, b""), method="POST", times=None)
    front.add(Answer(201, {}, b""), method="PUT", target="/manifests/", times=None)
    storage.add(Answer(401, BASIC, BODY), times=None)
    image = Image(b"up")
    with pytest.raises(PermissionDenied):
        image.push(connect(front.host, find_credentials=lambda _: ANN), "x")
    assert ANN.basic in told(front.seen)
    assert storage.seen
    assert set(told(storage.seen)) == {""}


# --- token servers that misbehave -----------------------------------------------------------------


@pytest.fixture
def wants_token(faulty_proxy: Proxy) -> FaultyProxy:
    front = faulty_proxy()
    front.add(Answer(401, bearer("{self}/token"), BODY), target="/manifests/", times=None)
    return front


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"{}",
        b'{"token": 1}',
        b'{"token": ""}',
        b'{"token": "a\\r\\nX-Evil: 1"}',
        b'{"token": "a b"}',
        b'{"token": "\\u00e4"}',
        json.dumps({"token": "x" * 70_000}).encode(),
        b'{"token": "' + b"x" * (1 << 20) + b'"}',
        b"[" * 100_000,
    ],
)
def test_an_answer_without_a_token(wants_token: FaultyProxy, connect: Connect, body: bytes) -> None:
    wants_token.add(Answer(200, {}, body), target="/token", times=None)
    with pytest.raises(CorruptData, match="/token"):
        connect(wants_token.host, find_credentials=lambda _: ANN).manifest("x", "latest")


@pytest.mark.parametrize("life", ["0", "-1", "1e999", "true", '"300"', "null", "1e300", "9" * 400])
def test_odd_lives_of_tokens(faulty_proxy: Proxy, connect: Connect, life: str) -> None:
    front = faulty_proxy()
    front.add(Answer(401, bearer("{self}/token"), BODY), target="/manifests/")
    body = b'{"token": "t0", "expires_in": %s}' % life.encode()
    front.add(Answer(200, {}, body), target="/token", times=None)
    front.add(Answer(200, {}, b"{}"), target="/manifests/", times=None)
    client = connect(front.host)
    client.manifest("x", "latest")
    client.manifest("x", "latest")
    assert len([seen for seen in front.seen if seen.target.startswith("/token")]) == 1


def test_a_token_server_that_says_no(wants_token: FaultyProxy, connect: Connect) -> None:
    wants_token.add(Answer(401, {}, BODY), target="/token", times=None)
    with pytest.raises(PermissionDenied) as caught:
        connect(wants_token.host, find_credentials=lambda _: ANN).manifest("x", "latest")
    assert "who are you?" in caught.value.message
    assert "a test" in caught.value.hint
    assert len([seen for seen in wants_token.seen if "/token" in seen.target]) == 1


def test_a_token_server_in_trouble_is_asked_as_often_as_the_limits_say(
    wants_token: FaultyProxy, connect: Connect, limits: Limits
) -> None:
    wants_token.add(unavailable(), target="/token", times=None)
    with pytest.raises(Unavailable):
        connect(wants_token.host, find_credentials=lambda _: ANN).manifest("x", "latest")
    assert len([seen for seen in wants_token.seen if "/token" in seen.target]) == limits.attempts


def test_a_registry_that_takes_no_token_is_not_asked_for_ever(
    wants_token: FaultyProxy, connect: Connect
) -> None:
    wants_token.add(_Fresh(), target="/token", times=None)
    with pytest.raises(PermissionDenied):
        connect(wants_token.host, find_credentials=lambda _: ANN).manifest("x", "latest")
    assert len(wants_token.seen) <= 5


class _Fresh(Fault):
    """A new token each time."""

    def __init__(self) -> None:
        self.number = 0

    def before(self, exchange):  # type: ignore[no-untyped-def]
        self.number += 1
        return Answer(200, {}, b'{"token": "t%d"}' % self.number).before(exchange)


# --- nothing is shown -----------------------------------------------------------------------------


class _Echo(Fault):
    """Says in its error what it was told."""

    def __init__(self, status: int) -> None:
        self.status = status

    def before(self, exchange):  # type: ignore[no-untyped-def]
        secret = exchange.headers.get("Authorization", "")
        plain = ""
        if secret.startswith("Basic "):
            plain = base64.b64decode(secret.removeprefix("Basic ")).decode()
        errors = {"errors": [{"code": f"C{secret}", "message": f"you said {secret} that is {plain}"}]}
        return Answer(self.status, BASIC, json.dumps(errors).encode()).before(exchange)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
def test_a_server_that_repeats_the_secret(faulty_proxy: Proxy, connect: Connect, status: int) -> None:
    front = faulty_proxy()
    front.add(Answer(401, BASIC, BODY), target="/manifests/")
    front.add(_Echo(status), target="/manifests/", times=None)
    with pytest.raises(CarobError) as caught:
        connect(front.host, find_credentials=lambda _: ANN).manifest("x", "latest")
    shown = "".join(traceback.format_exception(caught.value)) + caught.value.hint
    assert "you said" in shown
    assert SECRET not in shown
    assert ANN.basic.removeprefix("Basic ") not in shown


@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_a_token_server_that_repeats_the_secret(
    wants_token: FaultyProxy, connect: Connect, status: int
) -> None:
    wants_token.add(_Echo(status), target="/token", times=None)
    with pytest.raises(CarobError) as caught:
        connect(wants_token.host, find_credentials=lambda _: ANN).manifest("x", "latest")
    shown = "".join(traceback.format_exception(caught.value)) + caught.value.hint
    assert "you said" in shown
    assert SECRET not in shown
    assert ANN.basic.removeprefix("Basic ") not in shown


def test_what_a_server_says_does_not_act_on_the_terminal(faulty_proxy: Proxy, connect: Connect) -> None:
    front = faulty_proxy()
    said = {"errors": [{"code": "X" * 500, "message": "a\x1b[2Jb\r\nc\u202e" + "d" * 5000}]}
    front.add(Answer(403, {}, json.dumps(said).encode()), target="/manifests/")
    with pytest.raises(PermissionDenied) as caught:
        connect(front.host).manifest("x", "latest")
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 500


def test_what_a_registry_asks_for_is_not_repeated(faulty_proxy: Proxy, connect: Connect) -> None:
    front = faulty_proxy()
    odd = bearer("{self}/token", service="a\x1b[2J", scope="repository:\x1b[2J:pull")
    front.add(Answer(401, odd, BODY), target="/manifests/", times=None)
    front.add(Answer(403), target="/token", times=None)
    with pytest.raises(PermissionDenied) as caught:
        connect(front.host).manifest("x", "latest")
    assert caught.value.message.isprintable()


def test_nothing_is_logged(basic_registry: Part, connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    client = client_of(connect, basic_registry)
    ping(client)
    assert basic_registry.credentials is not None
    assert basic_registry.credentials[1] not in caplog.text
    assert basic_registry.authorization().removeprefix("Basic ") not in caplog.text


def test_a_rate_limit_is_called_one(faulty_proxy: Proxy, connect: Connect) -> None:
    from tests.parts.faults import too_many

    front = faulty_proxy()
    front.add(too_many("3600"), target="/manifests/", times=None)
    with pytest.raises(Unavailable) as caught:
        connect(front.host).manifest("x", "latest")
    assert "limits the rate of requests: You have reached your pull rate limit." in caught.value.message
    assert "try again in 3600 s; log in" in caught.value.hint
    assert len([seen for seen in front.seen if "/manifests/" in seen.target]) == 1  # that long nobody waits
