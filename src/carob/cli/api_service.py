"""``carob api-service``."""

from __future__ import annotations

from carob.cli.options import Arguments, Command, Option, UsageError
from carob.cli.values import count, duration_s

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context
    from carob.service.settings import Limits, Tls

COMMAND = Command(
    "api-service",
    "answer other programs over gRPC: rkt's v1alpha API, and Kubernetes' CRI",
    options=(
        Option(
            "--listen",
            "unix:/PATH, or HOST:PORT on a loopback address or with TLS; may be given several times"
            " (default: unix:/run/carob/api.sock)",
            "ADDRESS",
            many=True,
        ),
        Option("--socket-mode", "the file mode of sockets in the file system (default: 0600)", "MODE"),
        Option("--socket-group", "the group that these belong to, by name or number", "GROUP"),
        Option(
            "--tls-cert", "the certificate for HOST:PORT, in PEM, with those that lead to its root", "FILE"
        ),
        Option("--tls-key", "its key, in PEM", "FILE"),
        Option("--tls-client-ca", "whose certificates callers must show, in PEM", "FILE"),
        Option(
            "--cri",
            "serve Kubernetes' container runtime interface there, to this user alone; and nothing else where"
            " --listen is not given",
            "unix:/PATH",
        ),
        Option("--cri-network", "the network of Kubernetes' pods (default: the first configured)", "NAME"),
        Option(
            "--metrics", "tell Prometheus there, at /metrics; a loopback address or unix:/PATH", "ADDRESS"
        ),
        Option("--max-calls", "calls at one time; more are refused (default: 200)", "COUNT"),
        Option("--max-streams", "of these, events and logs being followed (default: 100)", "COUNT"),
        Option("--max-request-bytes", "bytes of one request (default: 1048576)", "COUNT"),
        Option("--threads", "threads that look at pods and images (default: 8)", "COUNT"),
        Option("--stall-timeout", "how long a reader may leave a stream full (default: 60s)", "DURATION"),
        Option(
            "--grace-period", "what calls have left when the service is stopped (default: 5s)", "DURATION"
        ),
        Option("--log-calls", "tell of each call, and not only of those that fail"),
    ),
    details="""\
It keeps nothing: it may be killed at any time, and any number may run at once. SIGTERM and SIGINT stop it.
Its log is one JSON object a line, on standard error. Who may open the socket may call; the pods' processes
are not reached by it. It takes sockets from systemd, and tells it when it is ready. Needs carob[service].""",
)


def run(arguments: Arguments, context: Context) -> int:
    """Serves until it is told to stop."""
    from carob.service.addresses import parse_address
    from carob.service.main import serve
    from carob.service.settings import CriSettings, ServiceSettings

    cri = arguments.text("--cri")
    metrics = arguments.text("--metrics")
    settings = ServiceSettings(
        [parse_address(text) for text in arguments.texts("--listen")],
        limits=_limits(arguments),
        socket_mode=_mode(arguments.text("--socket-mode")),
        socket_gid=_gid(arguments.text("--socket-group")),
        tls=_tls(arguments),
        cri=CriSettings(parse_address(cri), network=arguments.text("--cri-network")) if cri else None,
        metrics=parse_address(metrics) if metrics else None,
        log_calls=arguments.has("--log-calls"),
    )
    serve(context.engine, settings)
    return 0


def _limits(arguments: Arguments) -> Limits:
    from carob.service.settings import Limits

    counts = {
        name: count(arguments.text(option), option)
        for name, option in (
            ("calls", "--max-calls"),
            ("streams", "--max-streams"),
            ("request_bytes", "--max-request-bytes"),
            ("threads", "--threads"),
        )
        if arguments.has(option)
    }
    times = {
        name: duration_s(arguments.text(option), option)
        for name, option in (("stall_s", "--stall-timeout"), ("grace_s", "--grace-period"))
        if arguments.has(option)
    }
    return Limits(**counts, **times)  # type: ignore[arg-type] # each under its own name


def _mode(text: str) -> int:
    if not text:
        return 0o600
    if len(text) > 4 or not text or set(text) - set("01234567"):
        raise UsageError(f"--socket-mode: {text!r} is no file mode", hint="such as --socket-mode=0660")
    return int(text, 8) & 0o777


def _gid(text: str) -> int:
    if not text:
        return -1
    if text.isascii() and text.isdecimal():
        return int(text)
    import grp

    try:
        return grp.getgrnam(text).gr_gid
    except KeyError:
        raise UsageError(f"--socket-group: there is no group {text!r}") from None


def _tls(arguments: Arguments) -> Tls | None:
    from carob.service.settings import Tls

    names = ("--tls-cert", "--tls-key", "--tls-client-ca")
    given = [arguments.text(name) for name in names]
    if not any(given):
        return None
    if not all(given):
        raise UsageError("TLS needs all of --tls-cert, --tls-key and --tls-client-ca")
    return Tls(*given)
