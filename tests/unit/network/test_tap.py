"""Plain users' networks: what can be asked for, and the command lines of pasta and slirp4netns."""

from __future__ import annotations

from itertools import pairwise

import pytest

from carob.errors import CarobError, InvalidInput, Unsupported
from carob.network.attachment import parse_plan
from carob.network.tap import planning, programs
from carob.spec.cni.network_option import parse_networks
from carob.spec.cni.port_mappings import PortMapping, parse_ports

UUID = "2c4d7a1e-93c1-4ea2-a2d7-a5b0f3b7b0a1"


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The programs that this host is taken to have; every one may make interfaces."""
    names = {"pasta", "slirp4netns"}
    monkeypatch.setattr(programs, "path_of", lambda name: f"/usr/bin/{name}" if name in names else "")
    monkeypatch.setattr(programs, "tun_opens", lambda: True)
    return names


def mappings(*texts: str) -> list[PortMapping]:
    return [mapping for text in texts for mapping in parse_ports(text)]


def test_a_plan_is_one_network_and_is_read_back(there: set[str]) -> None:
    wanted = parse_networks(["default:allow_host_loopback=true"])
    plan = planning.make_plan(UUID, wanted, mappings("8080:80", "53:53/udp"))
    again = parse_plan(plan.text(), "the plan")
    (attachment,) = again.attachments
    assert again.ends_with_pod()
    assert (attachment.network, attachment.interface) == ("default", "eth0")
    assert attachment.plugins[0]["program"] == "pasta"
    assert attachment.plugins[0]["allow_host_loopback"] is True
    assert [one["hostPort"] for one in attachment.published()] == [8080, 53]


def test_the_first_program_that_is_there(there: set[str]) -> None:
    there.remove("pasta")
    (attachment,) = planning.make_plan(UUID, parse_networks(["default"]), []).attachments
    assert attachment.plugins[0]["path"] == "/usr/bin/slirp4netns"
    with pytest.raises(Unsupported, match="pasta") as caught:
        planning.make_plan(UUID, parse_networks(["pasta"]), [])
    assert "apt-get install passt" in caught.value.hint


@pytest.mark.parametrize(
    ("network", "ports", "error", "word"),
    [
        ("web", [], Unsupported, "needs root"),
        ("default-restricted", [], Unsupported, "needs root"),
        ("default,pasta", [], Unsupported, "needs root"),
        ("default:IP=10.1.2.3", [], InvalidInput, "argument"),
        ("default:allow_host_loopback=yes", [], InvalidInput, "argument"),
        ("default", ["5000:80/sctp"], Unsupported, "tcp and udp"),
        ("pasta", ["127.0.0.1:5000:80", "[::1]:5000:80"], Unsupported, "one address"),
        ("slirp4netns", ["[::1]:5000:80"], Unsupported, "IPv4"),
    ],
)
def test_what_cannot_be_had(
    there: set[str], network: str, ports: list[str], error: type[CarobError], word: str
) -> None:
    with pytest.raises(error, match=word):
        planning.make_plan(UUID, parse_networks([network]), mappings(*ports))


def test_pasta_is_told_of_each_port_and_keeps_the_loopback_closed() -> None:
    documents = [one.document() for one in mappings("127.0.0.1:8080:80", "8081:81", "[::1]:53:53/udp")]
    words = programs.pasta("/usr/bin/pasta", "/pod/namespace", "eth0", documents, host_loopback=False)
    pairs = list(pairwise(words))
    tcp = [value for option, value in pairs if option == "--tcp-ports"]
    assert tcp == ["127.0.0.1/8080:80", "0.0.0.0/8081:81"]
    assert [value for option, value in pairs if option == "--udp-ports"] == ["::1/53:53"]
    assert [value for option, value in pairs if option in ("--tcp-ns", "--udp-ns")] == ["none", "none"]
    assert "--no-map-gw" in words
    opened = programs.pasta("/usr/bin/pasta", "/pod/namespace", "eth0", [], host_loopback=True)
    assert "--no-map-gw" not in opened
    assert [value for option, value in pairwise(opened) if option.endswith("-ports")] == ["none", "none"]


def test_slirp4netns_keeps_the_loopback_closed() -> None:
    words = programs.slirp("/bin/slirp4netns", "/pod/n", "eth0", host_loopback=False, ready_fd=3, api="/api")
    assert "--disable-host-loopback" in words
    assert words[-3:] == ["--netns-type=path", "/pod/n", "eth0"]
