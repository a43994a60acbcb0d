"""How a service is run: what it listens on, who may call, and how much of it."""

from __future__ import annotations

import os

from carob.errors import InvalidInput
from carob.service.addresses import TcpAddress, UnixAddress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Address = UnixAddress | TcpAddress


class Tls:
    """Files in PEM: the service's ``certificate`` chain and ``key``, and ``client_ca``, whose clients may
    call.
    """

    __slots__ = ("certificate", "client_ca", "key")

    def __init__(self, certificate: str, key: str, client_ca: str) -> None:
        self.certificate = certificate
        self.key = key
        self.client_ca = client_ca


class Limits:
    """What the service lets its clients have.

    - ``calls``: at one time, streams included; one more is refused.
    - ``streams``: ListenEvents and GetLogs at one time.
    - ``request_bytes``: of one request.
    - ``threads``: that look at pods and images.
    - ``stall_s``: how long the reader of a stream may leave it full.
    - ``grace_s``: what calls have left to end when the service is stopped.
    """

    __slots__ = ("calls", "grace_s", "request_bytes", "stall_s", "streams", "threads")

    def __init__(
        self,
        *,
        calls: int = 200,
        streams: int = 100,
        request_bytes: int = 1 << 20,
        threads: int = 8,
        stall_s: float = 60.0,
        grace_s: float = 5.0,
    ) -> None:
        for name, value, least in (
            ("calls", calls, 1),
            ("streams", streams, 1),
            ("request bytes", request_bytes, 1024),
            ("threads", threads, 1),
        ):
            if not least <= value < 1 << 31:
                raise InvalidInput(f"the limit of {name} must be {least} or more, not {value}")
        if stall_s <= 0:
            raise InvalidInput("the time for which a reader may stall must be more than 0")
        self.calls = calls
        self.streams = streams
        self.request_bytes = request_bytes
        self.threads = threads
        self.stall_s = stall_s
        self.grace_s = grace_s


class CriSettings:
    """Where Kubernetes' CRI is served, and the ``network`` of its pods; ``""`` is the first that is
    configured, or carob's own.
    """

    __slots__ = ("address", "network")

    def __init__(self, address: Address, *, network: str = "") -> None:
        """Raises ``InvalidInput`` for what others than this user might reach."""
        if not isinstance(address, UnixAddress):
            raise InvalidInput(
                f"CRI is served on a unix socket, not on {address}: who reaches it has the machine",
                hint="such as unix:/run/carob/cri.sock",
            )
        self.address = address
        self.network = network


class ServiceSettings:
    """``listen`` may be empty where systemd hands sockets in, and where there is ``cri``, Kubernetes' part.
    ``socket_mode`` and ``socket_gid`` (-1: as it comes) are of sockets in the file system; ``metrics`` is
    where Prometheus asks. ``log_calls``: each call is told of in the log, not only what fails.

    Raises ``InvalidInput`` for what other machines could reach without a certificate.
    """

    __slots__ = ("cri", "limits", "listen", "log_calls", "metrics", "socket_gid", "socket_mode", "tls")

    def __init__(
        self,
        listen: Sequence[Address],
        *,
        limits: Limits | None = None,
        socket_mode: int = 0o600,
        socket_gid: int = -1,
        tls: Tls | None = None,
        cri: CriSettings | None = None,
        metrics: Address | None = None,
        log_calls: bool = False,
    ) -> None:
        for address in listen:
            if isinstance(address, TcpAddress) and not address.is_loopback and tls is None:
                raise InvalidInput(
                    f"{address} can be reached from elsewhere, and anybody could read what pods there are",
                    hint="give --tls-cert, --tls-key and --tls-client-ca, or a loopback address",
                )
        if isinstance(metrics, TcpAddress) and not metrics.is_loopback:
            raise InvalidInput(f"metrics are told on a loopback address or a unix socket, not on {metrics}")
        self.listen = tuple(listen)
        self.limits = limits or Limits()
        self.socket_mode = socket_mode
        self.socket_gid = socket_gid
        self.tls = tls
        self.cri = cri
        self.metrics = metrics
        self.log_calls = log_calls


def run_directory() -> str:
    """Where sockets are by default: ``/run/carob`` for root, ``$XDG_RUNTIME_DIR/carob`` for anybody else."""
    if os.geteuid() == 0:
        return "/run/carob"
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if not base.startswith("/"):
        raise InvalidInput(
            "there is no directory for the service's socket: XDG_RUNTIME_DIR is not set",
            hint="give --listen unix:/PATH",
        )
    return os.path.join(base, "carob")


def default_address() -> UnixAddress:
    """Where a service listens that is told nothing else."""
    return UnixAddress(os.path.join(run_directory(), "api.sock"))
