"""What a pod's own hosts and resolv.conf say once it is attached.

They were made with the pod (``carob.engine.prepare.files``) and are bound into its apps, which are about to
begin: so they are written in place.
"""

from __future__ import annotations

import os

from carob.linux.files import write_all
from carob.network.failure import failed
from carob.network.host_resolver import host_resolver
from carob.protocol.pod_network import HOSTS, RESOLV_CONF

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.network.attach import Attached


def complete(pod: int, attached: Attached, *, hostname: str, resolver: bool) -> None:
    """Adds the pod's addresses to its hosts and, with ``resolver``, writes resolv.conf anew.

    ``pod`` is a descriptor of its directory. Raises ``OutOfResources`` and its like.
    """
    lines = [
        f"{address.cidr.ip} {hostname}\n"
        for _, result, _ in attached.networks
        for address in result.pod_addresses()
    ]
    _write(pod, HOSTS, "".join(lines), os.O_APPEND)
    if resolver:
        _write(pod, RESOLV_CONF, (attached.resolver() or host_resolver()).text(), os.O_TRUNC)


def _write(pod: int, name: str, text: str, how: int) -> None:
    try:
        fd = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | how, dir_fd=pod)
        try:
            write_all(fd, text.encode())
        finally:
            os.close(fd)
    except OSError as error:
        raise failed(error, f"cannot write {name} of the pod") from error
