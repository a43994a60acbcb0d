"""Attaching a plain user's pod: a program is started that keeps its network, and ends with it.

Nothing of it is left on the host then, so there is nothing to detach and nothing known outside of the pod.
"""

from __future__ import annotations

import os
from functools import partial

from carob.errors import CommandFailed, Conflict, NotFound, PermissionDenied
from carob.linux.files import read_file
from carob.network import host_ports
from carob.network.attach import Attached, write_net_info
from carob.network.host_resolver import host_resolver
from carob.network.record import open_record
from carob.network.tap import inside, programs
from carob.network.tap.planning import HOST_LOOPBACK
from carob.network.tap.slirp import begin_slirp
from carob.spec.cni.addresses import format_ip
from carob.spec.cni.result import parse_result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.network.attachment import Attachment
    from carob.network.record import Record
    from carob.spec.cni.result import Result

PROGRAM_S = 20.0
_PLACE = "namespace"


def attach(pod: int, *, namespace: str) -> Attached:
    """Attaches the pod, whose directory the descriptor ``pod`` is, as ``carob.network.attach.attach`` does.

    The descriptor's process may be any of the user's; ``namespace`` is ``/proc/<init>/ns/net``.
    """
    record = open_record(pod)
    if record is None:
        raise NotFound("the pod has no plan of networks")
    with record:
        (attachment,) = record.plan().attachments
        record.begin(attachment.interface)
        ports = _choose(attachment.published())
        init = int(namespace.split("/")[2])
        _start(attachment, record, init, ports)
        result = _result(attachment, init, namespace)
        record.write_result(attachment.interface, result.document, ports)
    attached = Attached(host_ports.Held())
    attached.networks.append((attachment, result, ports))
    write_net_info(pod, attached, lambda one: str(one.plugins[0]["path"]))
    return attached


def _choose(mappings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The mappings with every port known, none of which is taken."""
    try:
        held = host_ports.hold(mappings)
    except PermissionDenied as error:
        error.hint = "ports from 1024 on are free to all: sysctl net.ipv4.ip_unprivileged_port_start"
        raise
    held.close()
    return held.mappings


def _start(attachment: Attachment, record: Record, init: int, ports: list[dict[str, Any]]) -> None:
    plugin = attachment.plugins[0]
    name, path = str(plugin["program"]), str(plugin["path"])
    loopback = plugin[HOST_LOOPBACK] is True
    directory = os.readlink(f"/proc/self/fd/{record.fd}")
    place = f"{directory}/{_PLACE}"
    os.close(os.open(place, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    if name == programs.PASTA:
        argv = programs.pasta(path, place, attachment.interface, ports, host_loopback=loopback)
        work = partial(_begin_pasta, argv)
    else:
        line = partial(programs.slirp, path, place, attachment.interface, host_loopback=loopback)
        work = partial(begin_slirp, line, directory, ports, PROGRAM_S)
    try:
        inside.run(init, place, work)
    except CommandFailed as error:
        text = f"network {attachment.network}: {name}: {error.message}"
        if "bind" in error.message or "hostfwd" in error.message:
            raise Conflict(text, hint="another has this port of the host by now; choose another") from error
        raise CommandFailed(text, hint="carob doctor tells what it needs; --net=host does without") from error


def _begin_pasta(argv: list[str]) -> str:
    """It is its first process that ends when all is there; the one that stays is made by that."""
    program = inside.Program(argv)
    status = program.status(PROGRAM_S)
    return (program.said() or f"it ended with status {status}") if status else ""


def _result(attachment: Attachment, init: int, namespace: str) -> Result:
    """As a plugin's: the interface with the addresses that it has got."""
    name = attachment.interface
    ips: list[dict[str, Any]] = []
    if _has_ipv4(init, name):
        ips.append(
            {"address": f"{programs.ADDRESS}/{programs.PREFIX}", "gateway": programs.GATEWAY, "interface": 0}
        )
    ips += [{"address": address, "interface": 0} for address in _addresses_6(init, name)]
    if not ips:
        raise CommandFailed(
            f"network {attachment.network}: it has no address", hint="the host has no default route: ip route"
        )
    document = {
        "cniVersion": attachment.version,
        "interfaces": [{"name": name, "sandbox": namespace}],
        "ips": ips,
        "dns": _dns(),
    }
    return parse_result(document, attachment.version, attachment.source)


def _has_ipv4(init: int, interface: str) -> bool:
    """Whether a route leads out by it (proc_pid_net(5), route)."""
    lines = read_file(f"/proc/{init}/net/route").decode("ascii", "replace").splitlines()[1:]
    return any(line.split()[0] == interface for line in lines if line)


def _addresses_6(init: int, interface: str) -> list[str]:
    """Those of global scope, with their prefixes (proc_pid_net(5), if_inet6)."""
    try:
        lines = read_file(f"/proc/{init}/net/if_inet6").decode("ascii", "replace").splitlines()
    except OSError:
        return []  # a kernel without IPv6
    rows = [line.split() for line in lines]
    return [
        f"{format_ip(6, int(row[0], 16))}/{int(row[2], 16)}"
        for row in rows
        if len(row) == 6 and row[5] == interface and row[3] == "00"
    ]


def _dns() -> dict[str, Any]:
    """Nothing where the pod reaches the host's name servers; else the address that leads to them."""
    host = host_resolver()
    if host.servers:
        return {}
    found = {"search": list(host.search), "options": list(host.options), "domain": host.domain}
    return {"nameservers": [programs.NAME_SERVER], **{key: value for key, value in found.items() if value}}
