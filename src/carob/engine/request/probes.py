"""Probes of apps, as a caller asks for them: what is tried, and how often. Values; checked when made."""

from __future__ import annotations

from _socket import AF_INET, AF_INET6, inet_pton

from carob.engine.request import inputs
from carob.errors import InvalidInput
from carob.protocol import life, probing
from carob.protocol.compact_json import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Literal

    Headers = Mapping[str, str] | Sequence[tuple[str, str]]

LOOPBACK = "127.0.0.1"
_SCHEMES = (probing.HTTP, probing.HTTPS)
_SHORTEST_S = 0.1
_LONGEST_S = 86400.0
_MOST_TIMES = 1_000_000
_MOST_HEADER_BYTES = 8192
_LONGEST_PATH = 4096
_PORT_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._")
_TOKEN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~")
_NOTATION = "such as Probe(http=8080, path='/healthz'), Probe(tcp=5432) or Probe(exec=['test', '-e', '/ok'])"


class Probe:
    """What is tried to see whether an app has started, lives, or is ready. One of:

    - ``exec``: a program and its arguments, run in the app as the app itself is; exit code 0 is well.
    - ``http``: a port; a GET of ``path`` is well with 200 to 399. ``scheme`` is ``http`` or ``https``, with
      any certificate; ``headers`` are sent along. Redirects are followed on the same host.
    - ``tcp``: a port; a connection is well.
    - ``grpc``: a port; ``service`` is asked for by ``grpc.health.v1.Health/Check``, without TLS.
    - ``image=True``: what the image's ``HEALTHCHECK`` says, with its numbers where none are given here.

    Ports are numbers, or names of ports of the image (``"80-tcp"``), at ``address``, an IP address in the
    pod's network. It is first tried ``delay_s`` after the app's start, then every ``period_s``, and fails
    where there is no answer within ``timeout_s``. ``successes`` or ``failures`` in a row change what it says.
    An app whose start-up or liveness probe fails is ended, with ``grace_s`` instead of its own where that is
    given.

    The defaults are Kubernetes': 0, 10 and 1 s; 1 and 3. Raises ``InvalidInput``.
    """

    __slots__ = ("given", "plan")

    def __init__(
        self,
        *,
        exec: Sequence[str] | None = None,  # noqa: A002 - Kubernetes' word
        http: int | str | None = None,
        tcp: int | str | None = None,
        grpc: int | str | None = None,
        image: bool = False,
        path: str = "/",
        scheme: Literal["http", "https"] = "http",
        headers: Headers = (),
        service: str = "",
        address: str = LOOPBACK,
        delay_s: float | None = None,
        period_s: float | None = None,
        timeout_s: float | None = None,
        successes: int | None = None,
        failures: int | None = None,
        grace_s: float | None = None,
    ) -> None:
        ways: dict[str, Any] = {probing.EXEC: exec, probing.HTTP: http, probing.TCP: tcp, probing.GRPC: grpc}
        chosen = [kind for kind, value in ways.items() if value is not None]
        if len(chosen) + bool(inputs.flag(image, "image")) != 1:
            raise InvalidInput("a probe tries one thing", hint=_NOTATION)
        kind = chosen[0] if chosen else ""
        what: dict[str, Any] = {}
        if kind == probing.EXEC:
            what["argv"] = _program(exec)
        elif kind:
            what["address"] = _address(address)
            what["port"] = _port(ways[kind])
        own = {"path": path, "scheme": scheme, "headers": headers, "service": service, "address": address}
        _refuse_others(kind, own)
        if kind == probing.HTTP:
            what |= {"scheme": _scheme(scheme), "path": _path(path), "headers": _headers(headers)}
        if kind == probing.GRPC:
            what["service"] = inputs.text(service, "a service")
        numbers = {
            "delay_s": _seconds(delay_s, "delay_s", 0.0),
            "period_s": _seconds(period_s, "period_s", _SHORTEST_S),
            "timeout_s": _seconds(timeout_s, "timeout_s", _SHORTEST_S),
            "successes": _times(successes, "successes"),
            "failures": _times(failures, "failures"),
            "grace_s": _seconds(grace_s, "grace_s", 0.0),
        }
        said = {name: value for name, value in numbers.items() if value is not None}
        self.plan: dict[str, Any] = {"kind": kind, **what, **said}
        """As in the launch plan, but for defaults, a port's number and what the image says."""
        self.given: dict[str, Any] = {**_asked(kind, what), **said}
        """The arguments that make it again."""

    def __setattr__(self, name: str, value: object) -> None:
        if hasattr(self, name):
            raise AttributeError(f"a Probe does not change: {name}")
        object.__setattr__(self, name, value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Probe) and other.plan == self.plan

    def __hash__(self) -> int:
        return hash(repr(self.plan))

    def __repr__(self) -> str:
        return f"Probe({', '.join(f'{name}={value!r}' for name, value in self.given.items())})"


def check(probes: Mapping[str, Probe], role: str) -> None:
    """Whether an app of this role can have these, by their roles."""
    for of, probe in probes.items():
        if not isinstance(probe, Probe):
            raise InvalidInput(f"{of} is made with Probe, not {probe!r}", hint=_NOTATION)
        if role == life.INIT:
            raise InvalidInput("an init app runs to its end, so it has no probes", hint="make it a sidecar")
        if of != probing.READINESS and probe.plan.get("successes", 1) != 1:
            raise InvalidInput(f"a {of} probe has passed with one success", hint="leave successes out")
        if of == probing.READINESS and "grace_s" in probe.plan:
            raise InvalidInput("a readiness probe ends nothing, so it has no grace_s")


def annotation(probes: Mapping[str, Probe]) -> str:
    """How a manifest tells them: an object of objects, the arguments of each ``Probe`` by its role."""
    return dumps({role: probe.given for role, probe in probes.items()})


def from_annotation(text: str, name: str) -> dict[str, Probe]:
    """Reads that; ``name`` is the annotation's. Raises ``InvalidInput``."""
    try:
        document = loads(text)
    except ValueError as error:
        raise InvalidInput(f"{name} is not JSON: {error}") from None
    if not isinstance(document, dict) or not all(isinstance(one, dict) for one in document.values()):
        raise InvalidInput(f"{name} is an object of probes by their roles", hint='{"readiness": {"tcp": 80}}')
    for role in document:
        if role not in probing.ROLES:
            raise InvalidInput(f"{name}: there is no probe {role!r}", hint=f"{', '.join(probing.ROLES)}")
    try:
        return {role: Probe(**one) for role, one in document.items()}
    except TypeError as error:
        raise InvalidInput(f"{name}: {error}".replace("Probe.__init__() ", "")) from None


def _program(value: Any) -> list[str]:
    argv = [*inputs.words(value, "exec", one="a word of exec")]
    if not argv or not argv[0]:
        raise InvalidInput("exec is a program and its arguments, and here is none")
    return argv


def _refuse_others(kind: str, own: Mapping[str, Any]) -> None:
    """What belongs to another kind of probe is a mistake."""
    usual = {"path": "/", "scheme": "http", "headers": (), "service": "", "address": LOOPBACK}
    allowed = {
        probing.HTTP: ("path", "scheme", "headers", "address"),
        probing.TCP: ("address",),
        probing.GRPC: ("service", "address"),
    }.get(kind, ())
    for name, value in own.items():
        if name not in allowed and value != usual[name]:
            raise InvalidInput(f"{name} does not go with a probe by {kind or 'the image'}")


def _asked(kind: str, what: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that a target was made of."""
    if not kind:
        return {"image": True}
    first = what["argv"] if kind == probing.EXEC else what["port"]
    usual = {"address": LOOPBACK, "scheme": "http", "path": "/", "headers": [], "service": ""}
    return {kind: first, **{name: what[name] for name in usual if name in what and what[name] != usual[name]}}


def _port(value: Any) -> int | str:
    if isinstance(value, str) and not value.isdecimal():
        if not value or not _PORT_NAME.issuperset(value):
            raise InvalidInput(f"{value!r} is no port", hint="a number, or the name of a port of the image")
        return value
    number = int(value) if isinstance(value, str) and value.isascii() and len(value) < 6 else value
    return inputs.whole(number, "a port", 1, 65535)


def _address(value: Any) -> str:
    text = inputs.text(value, "the address of a probe")
    if text == "localhost":
        return LOOPBACK
    try:
        inet_pton(AF_INET6 if ":" in text else AF_INET, text)
    except OSError:
        raise InvalidInput(
            f"{text!r} is no IP address", hint="names are not looked up; in HTTP give a Host in headers"
        ) from None
    return text


def _scheme(value: Any) -> str:
    if value not in _SCHEMES:
        raise InvalidInput(f"scheme is {' or '.join(_SCHEMES)}, not {value!r}")
    return str(value)


def _path(value: Any) -> str:
    text = inputs.text(value, "the path of a probe")
    if not text.isascii() or not text.isprintable() or " " in text or len(text) > _LONGEST_PATH:
        raise InvalidInput(f"{text!r} is no path of a URL", hint="other characters are written as %XX")
    return text if text.startswith("/") else f"/{text}"


def _headers(value: Any) -> list[list[str]]:
    pairs = value.items() if hasattr(value, "items") else inputs.items(value, "headers")
    found = []
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise InvalidInput(f"headers are pairs of name and value, not {pair!r}")
        name, content = (inputs.text(one, "a header") for one in pair)
        if not name or not _TOKEN.issuperset(name):
            raise InvalidInput(f"{name!r} is no name of a header")
        if not content.isprintable():
            raise InvalidInput(f"the header {name} cannot be {content!r}")
        found.append([name, content.strip()])
    if sum(len(name) + len(content.encode()) for name, content in found) > _MOST_HEADER_BYTES:
        raise InvalidInput(f"the headers of a probe have more than {_MOST_HEADER_BYTES} bytes")
    return found


def _seconds(value: Any, what: str, least: float) -> float | None:
    if value is None:
        return None
    found = inputs.seconds(value, what, _LONGEST_S)
    if found < least:
        raise InvalidInput(f"{what} is at least {least} seconds, not {value!r}")
    return found


def _times(value: Any, what: str) -> int | None:
    return None if value is None else inputs.whole(value, what, 1, _MOST_TIMES)
