"""Ports of apps, and ports of the host that lead to them."""

from __future__ import annotations

from carob.spec.appc.codec import ADDRESS, BOOL, STRING, UINT, TextOf
from carob.spec.appc.compound import CheckedObjectOf, ObjectOf, Optional
from carob.spec.appc.fault import FieldError, located
from carob.spec.appc.names import ACName
from carob.spec.appc.parameters import read_bool, read_parameters, read_uint16
from carob.spec.appc.record import Field, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Port(Record):
    """A port that an app listens on, or ``count`` ports from ``port`` on.

    ``protocol`` is free text for appc; ``"tcp"`` and ``"udp"`` are in use.
    """

    __slots__ = ("count", "name", "port", "protocol", "socket_activated")
    FIELDS = (
        Field("name", "name", TextOf(ACName)),
        Field("protocol", "protocol", STRING),
        Field("port", "port", UINT),
        Field("count", "count", UINT),
        Field("socket_activated", "socketActivated", BOOL),
    )
    name: ACName
    protocol: str
    port: int
    count: int
    socket_activated: bool

    def __init__(
        self,
        name: str,
        port: int,
        *,
        protocol: str = "tcp",
        count: int = 1,
        socket_activated: bool = False,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        self._fill(
            extra,
            name=name,
            protocol=protocol,
            port=port,
            count=count,
            socket_activated=socket_activated,
        )

    @classmethod
    def from_string(cls, text: str) -> Port:
        """The port in ``text``, such as ``query,protocol=tcp,port=8080,count=2,socketActivated=true``.

        The protocol stays empty when it is not given. Raises `FieldError`.
        """
        found = read_parameters(text, tuple(field.key for field in cls.FIELDS))
        numbers = {}
        for key in ("port", "count"):
            try:
                numbers[key] = read_uint16(found.get(key, "0"))
            except FieldError as error:
                raise located(error, key) from None
        return cls(
            found["name"],
            numbers["port"],
            protocol=found.get("protocol", ""),
            count=numbers["count"],
            socket_activated=read_bool(found.get("socketActivated", "false")),
        )

    def _complete(self) -> None:
        if self.count == 0 and 1 <= self.port <= 65535:
            object.__setattr__(self, "count", 1)

    def check(self) -> None:
        if not 1 <= self.port <= 65535:
            raise FieldError("must be within 1 to 65535", path="port")
        if (self.port + self.count) % 2**64 > 65536:  # Go's sum of two 64-bit numbers wraps round
            raise FieldError("the last port must be within 1 to 65535", path="count")


class ExposedPort(Record):
    """A port of the host that leads to a port of the pod.

    The port of the pod is ``pod_port``, or else that of the app's port named ``name``. ``host_ip`` is
    the address to listen at, ``None`` for all.
    """

    __slots__ = ("host_ip", "host_port", "name", "pod_port")
    FIELDS = (
        Field("name", "name", TextOf(ACName)),
        Field("host_port", "hostPort", UINT),
        Field("host_ip", "hostIP", ADDRESS, omit_empty=True),
        Field("pod_port", "podPort", Optional(CheckedObjectOf(Port)), omit_empty=True),
    )
    name: ACName
    host_port: int
    host_ip: str | None
    pod_port: Port | None

    def __init__(
        self,
        name: str,
        host_port: int,
        *,
        host_ip: str | None = None,
        pod_port: Port | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        self._fill(extra, name=name, host_port=host_port, host_ip=host_ip, pod_port=pod_port)


PORT = CheckedObjectOf(Port)
EXPOSED_PORT = ObjectOf(ExposedPort)
