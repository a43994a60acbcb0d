"""The two programs that give a plain user's pod a network: pasta(1), and slirp4netns(1) without it.

Each makes an interface in the pod with /dev/net/tun, and makes on the host, with the rights of the user and
no more, the connections that come out of it. Both are told the same addresses, so that pods are alike.
"""

from __future__ import annotations

import os

from carob.errors import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PASTA = "pasta"
SLIRP = "slirp4netns"
KNOWN = (PASTA, SLIRP)
PACKAGES = {PASTA: "passt", SLIRP: "slirp4netns"}
TUN = "/dev/net/tun"

ADDRESS = "10.0.2.100"
PREFIX = 24
GATEWAY = "10.0.2.2"
NAME_SERVER = "10.0.2.3"
"""The host's name servers under an address of the pod's network: for those that only the host reaches."""
ADDRESS_6 = "fd63:6172:6f62::100"
PREFIX_6 = 64
GATEWAY_6 = "fe80::2"

_SEARCH = ("/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin")


def path_of(name: str) -> str:
    """Where the program is; ``""`` where it is not."""
    for directory in _SEARCH:
        if os.access(f"{directory}/{name}", os.X_OK):
            return f"{directory}/{name}"
    return ""


def find(wanted: str = "") -> tuple[str, str]:
    """The name and path of the program that is asked for, else of the first that is there.

    Raises ``Unsupported`` where there is none, and where it could do nothing.
    """
    names = (wanted,) if wanted else KNOWN
    found = next(((name, path) for name in names if (path := path_of(name))), None)
    if found is None:
        raise Unsupported(
            f"a plain user's pod has networks by {' or '.join(names)}, which is not installed",
            hint=f"apt-get install {PACKAGES[names[0]]}; without, --net=none and --net=host; "
            "carob doctor tells more",
        )
    if not tun_opens():
        raise Unsupported(
            f"a plain user's pod has networks by {found[0]}, which cannot open {TUN}",
            hint=f"chmod 0666 {TUN}, as root; without, --net=none and --net=host; carob doctor tells more",
        )
    return found


def tun_opens() -> bool:
    """Whether this user may make interfaces, in a network of their own."""
    try:
        os.close(os.open(TUN, os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def pasta(
    path: str, namespace: str, interface: str, mappings: list[dict[str, Any]], *, host_loopback: bool
) -> list[str]:
    """Its command line for a network namespace by path; it is root in the owning user namespace already.

    It goes to the background when all is there. The ports are named one by one: of a list with some that are
    taken it would publish the others. What the pod opens on its own loopback is left alone.
    """
    words = [path, "--quiet", "--config-net", "--netns-only", "--no-netns-quit", "--netns", namespace]
    words += ["--ns-ifname", interface, "--dns-forward", NAME_SERVER]
    words += ["--address", ADDRESS, "--netmask", str(PREFIX), "--gateway", GATEWAY]
    words += ["--address", ADDRESS_6, "--gateway", GATEWAY_6]
    if not host_loopback:
        words.append("--no-map-gw")
    for option, protocol in (("--tcp-ports", "tcp"), ("--udp-ports", "udp")):
        ports = [_port(one) for one in mappings if one["protocol"] == protocol]
        words += [word for port in ports or ["none"] for word in (option, port)]
    return [*words, "--tcp-ns", "none", "--udp-ns", "none"]


def _port(mapping: dict[str, Any]) -> str:
    return f"{mapping.get('hostIP') or '0.0.0.0'}/{mapping['hostPort']}:{mapping['containerPort']}"


def slirp(
    path: str, namespace: str, interface: str, *, host_loopback: bool, ready_fd: int, api: str
) -> list[str]:
    """Its command line; it stays in the foreground, and writes to ``ready_fd`` when all is there."""
    words = [path, "--configure", "--mtu=65520", "--enable-sandbox", "--enable-seccomp"]
    if not host_loopback:
        words.append("--disable-host-loopback")
    return [
        *words,
        f"--ready-fd={ready_fd}",
        f"--api-socket={api}",
        "--netns-type=path",
        namespace,
        interface,
    ]
