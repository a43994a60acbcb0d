"""Trust: authorities from registries.toml and certs.d, client certificates, plain HTTP, IPv6, and proxies."""

from __future__ import annotations

import socket
import ssl
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from carob.errors import InvalidInput, Rejected, Unavailable
from carob.image.registry.certificates import host_files
from carob.image.registry.credentials import Credentials
from carob.image.registry.proxies import Proxies
from carob.image.registry.urls import parse_url
from tests.parts.certificates import Authority, Certificate
from tests.parts.faults import Answer
from tests.parts.faulty_proxy import FaultyProxy
from tests.parts.forward_proxy import ForwardProxy
from tests.parts.registry import Registry as Part
from tests.unit.image.registry.conftest import Connect, ping
from tests.unit.image.registry.images import Image

Proxy = Callable[..., FaultyProxy]


def trust(home: Path, host: str, authority: Authority) -> Path:
    directory = home / ".config/containers/certs.d" / host
    directory.mkdir(parents=True)
    (directory / "ca.crt").write_bytes(authority.ca_file.read_bytes())
    return directory


# --- TLS ------------------------------------------------------------------------------------------


def test_a_registry_that_nobody_vouches_for_is_refused(tls_registry: Part, connect: Connect) -> None:
    with pytest.raises(Rejected, match="its certificate is not trusted") as caught:
        ping(connect(tls_registry.host))
    assert f"/etc/containers/certs.d/{tls_registry.host}/ca.crt" in caught.value.hint
    assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)


def test_an_authority_named_for_the_registry(tls_registry: Part, connect: Connect) -> None:
    client, image = connect(tls_registry.host, ca=str(tls_registry.ca_file)), Image(b"tls")
    image.push(client, "tls/app")
    assert client.manifest("tls/app", "latest")[1] == image.manifest


def test_an_authority_in_certs_d(
    tls_registry: Part, connect: Connect, home: Path, authority: Authority
) -> None:
    trust(home, tls_registry.host, authority)
    ping(connect(tls_registry.host))


def test_an_authority_in_certs_d_is_for_its_host_only(
    tls_registry: Part, connect: Connect, home: Path, authority: Authority
) -> None:
    trust(home, "127.0.0.1:1", authority)
    trust(home, "127.0.0.1", authority)
    with pytest.raises(Rejected):
        ping(connect(tls_registry.host))


def test_an_authority_in_certs_d_is_for_the_token_server_too(
    token_registry: Part, connect: Connect, home: Path, authority: Authority
) -> None:
    """As with Docker and skopeo: the registry names its token server, and nobody else knows of it."""
    trust(home, token_registry.host, authority)
    assert token_registry.credentials is not None
    found = Credentials(*token_registry.credentials)
    ping(connect(token_registry.host, find_credentials=lambda _: found))


def test_the_host_has_to_be_the_one_in_the_certificate(
    faulty_proxy: Proxy, connect: Connect, authority: Authority
) -> None:
    front = faulty_proxy(certificate=authority.issue("other.example"))
    with pytest.raises(Rejected, match="127\\.0\\.0\\.1"):
        ping(connect(front.host, ca=str(authority.ca_file)))


def test_insecure_does_without_verification_and_without_warnings(
    tls_registry: Part, connect: Connect
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ping(connect(tls_registry.host, insecure=True))


def test_insecure_speaks_tls_where_there_is_tls(
    faulty_proxy: Proxy, connect: Connect, authority: Authority
) -> None:
    front = faulty_proxy(certificate=authority.issue())
    front.add(Answer(200), times=None)
    ping(connect(front.host, insecure=True))
    assert len(front.seen) == 2  # looked, and asked; nothing came in the clear


def test_plain_http_on_this_machine(registry: Part, connect: Connect) -> None:
    ping(connect(registry.host))
    ping(connect(registry.host.replace("127.0.0.1", "localhost")))


def test_no_plain_http_elsewhere(
    connect: Connect, forward_proxy: Callable[..., ForwardProxy], registry: Part
) -> None:
    """By a proxy that calls a registry of this machine by another name."""
    way = forward_proxy(routes={"registry.example:443": registry.host, "registry.example:80": registry.host})
    proxies = Proxies({"HTTPS_PROXY": way.base_url, "HTTP_PROXY": way.base_url})
    with pytest.raises(Unavailable, match="no TLS connection") as caught:
        ping(connect("registry.example", proxies=proxies))
    assert "insecure = true" in caught.value.hint
    assert {seen.method for seen in way.seen} == {"CONNECT"}
    ping(connect("registry.example", proxies=proxies, insecure=True))


def test_a_broken_certificate_is_no_reason_for_plain_http(
    faulty_proxy: Proxy, connect: Connect, authority: Authority
) -> None:
    front = faulty_proxy(certificate=authority.issue())
    with pytest.raises(Rejected):
        ping(connect(front.host))  # on this machine, where plain HTTP would do
    assert front.seen == []


def test_a_client_certificate(connect: Connect, home: Path, tmp_path: Path) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    server, client = ca.issue_cert("127.0.0.1"), ca.issue_cert("ann@example.org")
    chain, key = tmp_path / "server.pem", tmp_path / "server.key"
    server.private_key_and_cert_chain_pem.write_to_path(chain)
    server.private_key_pem.write_to_path(key)

    class Demanding(Certificate):
        def server_context(self) -> ssl.SSLContext:
            context = super().server_context()
            context.load_verify_locations(tmp_path / "ca.pem")
            context.verify_mode = ssl.CERT_REQUIRED
            return context

    with FaultyProxy(certificate=Demanding(chain, key)) as front:
        front.add(Answer(200), times=None)
        directory = home / ".config/containers/certs.d" / front.host
        directory.mkdir(parents=True)
        ca.cert_pem.write_to_path(directory / "ca.crt")
        with pytest.raises(Unavailable):
            ping(connect(front.host))
        client.cert_chain_pems[0].write_to_path(directory / "client.cert")
        client.private_key_pem.write_to_path(directory / "client.key")
        ping(connect(front.host))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("ca.crt", "nonsense", "ca.crt: no certificates of an authority"),
        ("client.cert", "nonsense", "client.cert has no key"),
    ],
)
def test_broken_files_in_certs_d_are_named(
    tls_registry: Part,
    connect: Connect,
    home: Path,
    authority: Authority,
    name: str,
    content: str,
    words: str,
) -> None:
    directory = trust(home, tls_registry.host, authority)
    (directory / name).write_text(content)
    with pytest.raises(InvalidInput) as caught:
        ping(connect(tls_registry.host))
    assert words in caught.value.message


def test_a_key_under_a_pass_phrase_is_not_asked_for(
    tls_registry: Part, connect: Connect, home: Path, authority: Authority
) -> None:
    from cryptography.hazmat.primitives import serialization

    directory = trust(home, tls_registry.host, authority)
    issued = authority.issue()
    key = serialization.load_pem_private_key(issued.key_file.read_bytes(), None)
    (directory / "client.cert").write_bytes(issued.chain_file.read_bytes())
    (directory / "client.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"x"),
        )
    )
    with pytest.raises(InvalidInput, match="pass phrase"):
        ping(connect(tls_registry.host))


def test_a_named_authority_that_is_not_there(tls_registry: Part, connect: Connect) -> None:
    with pytest.raises(InvalidInput, match=r"/nonexistent\.pem"):
        ping(connect(tls_registry.host, ca="/nonexistent.pem"))


def test_files_of_several_directories_count(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "a.example:5000").mkdir(parents=True)
        (tmp_path / name / "a.example:5000" / f"{name}.crt").write_text("")
        (tmp_path / name / "a.example:5000" / "README").write_text("")
    found = host_files("a.example:5000", (str(tmp_path / "one"), str(tmp_path / "two"), "/nonexistent"))
    assert [Path(path).name for path in found.authorities] == ["one.crt", "two.crt"]
    assert found.pairs == ()


# --- addresses ------------------------------------------------------------------------------------


def test_an_ipv6_literal(connect: Connect, authority: Authority) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    for certificate in (None, authority.issue()):
        with FaultyProxy(address="::1", certificate=certificate) as front:
            assert front.host.startswith("[::1]:")
            front.add(Answer(200, {}, b"{}"), times=None)
            client = connect(front.host, ca=str(authority.ca_file))
            client.manifest("x", "latest")
            assert front.seen[-1].headers["Host"] == front.host


# --- proxies --------------------------------------------------------------------------------------


@pytest.mark.parametrize("credentials", [None, ("ann", "h\u00fcnter2:x")])
def test_through_a_proxy_by_tls(
    tls_registry: Part,
    connect: Connect,
    forward_proxy: Callable[..., ForwardProxy],
    authority: Authority,
    credentials: tuple[str, str] | None,
) -> None:
    from urllib.parse import quote

    way = forward_proxy(
        credentials=None if credentials is None else (credentials[0], credentials[1]),
        routes={"localhost.example:443": tls_registry.host},
    )
    user = "" if credentials is None else f"{credentials[0]}:{quote(credentials[1])}@"
    proxies = Proxies({"HTTPS_PROXY": f"http://{user}{way.host}"})
    client = connect("localhost.example", proxies=proxies, insecure=True)
    ping(client)
    assert [seen.target for seen in way.seen] == ["localhost.example:443"]


def test_through_a_proxy_in_the_clear(
    registry: Part, connect: Connect, forward_proxy: Callable[..., ForwardProxy]
) -> None:
    way = forward_proxy(credentials=("ann", "hunter2"), routes={"plain.example:80": registry.host})
    image = Image(b"proxied")
    image.push(connect(registry.host), "tls/proxied")
    proxies = Proxies({"HTTP_PROXY": f"ann:hunter2@{way.host}"})
    client = connect("plain.example", proxies=proxies, insecure=True, limits=_impatient())
    assert client.manifest("tls/proxied", "latest")[1] == image.manifest
    assert way.seen[-1].target == "http://plain.example/v2/tls/proxied/manifests/latest"


def test_many_hosts_through_one_proxy(
    registry: Part,
    connect: Connect,
    forward_proxy: Callable[..., ForwardProxy],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("carob.image.registry.transport._POOLS", 1)
    names = ("a.example", "b.example")
    way = forward_proxy(routes={f"{name}:80": registry.host for name in names})
    client = connect("a.example", proxies=Proxies({"HTTP_PROXY": way.base_url}), insecure=True)
    for name in names * 2:
        client.transport.exchange("GET", parse_url(f"http://{name}/v2/"), {}).discard()
    assert [seen.status for seen in way.seen] == [200] * 4


def _impatient():  # type: ignore[no-untyped-def]
    from carob.image.registry.limits import Limits

    return Limits(attempts=1, connect_s=2)


def test_a_proxy_that_says_no(connect: Connect, forward_proxy: Callable[..., ForwardProxy]) -> None:
    way = forward_proxy(credentials=("ann", "hunter2"))
    proxies = Proxies({"HTTPS_PROXY": f"http://ann:wrong-hunter3@{way.host}"})
    with pytest.raises(Unavailable, match=r"the proxy on the way to a\.example") as caught:
        ping(connect("a.example", proxies=proxies, limits=_impatient()))
    assert "407" in caught.value.message
    assert "hunter3" not in caught.value.message + caught.value.hint


def test_a_proxy_that_is_not_there(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    proxies = Proxies({"HTTPS_PROXY": f"http://ann:hunter2@127.0.0.1:{port}"})
    with pytest.raises(
        Unavailable, match=r"the proxy on the way to a\.example: Connection refused"
    ) as caught:
        ping(connect("a.example", proxies=proxies, limits=_impatient()))
    assert "hunter2" not in caught.value.message + caught.value.hint
