"""The options that say how it is seen whether apps have started, live, and are ready.

``--health-cmd`` and its like are docker's and podman's, and make a readiness probe: there, too, an app that
is not healthy is told of and goes on. ``--health-start-period`` has nothing to change, as no app is ready
before its probe has passed once.
"""

from __future__ import annotations

from carob.cli.mount_fields import parts
from carob.cli.options import Arguments, Option, UsageError
from carob.cli.values import count, duration_s
from carob.protocol import probing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.engine.request.probes import Probe

_VALUE = "PROBE"
FOR_APPS = (
    Option("--startup-probe", "whether an app has started: the other probes wait for it", _VALUE),
    Option(
        "--liveness-probe", "whether it lives: http:PORT/PATH, tcp:PORT, grpc:PORT, exec:WORDS[,…]", _VALUE
    ),
    Option("--readiness-probe", "whether it is ready: status and --wait-ready tell", _VALUE),
    Option("--health-cmd", "a readiness probe: this command line, run by sh in the app", "COMMAND"),
    Option("--health-interval", "how often (default: 30s)", "DURATION"),
    Option("--health-timeout", "how long it may take (default: 30s)", "DURATION"),
    Option("--health-retries", "failures in a row until the app is not ready (default: 3)", "COUNT"),
    Option("--health-start-period", "accepted: an app is not ready before it was once", "DURATION"),
)
"""Before the first image for every app, after an image for its app."""

_KNOWN = "delay, period, timeout, grace, successes, failures, header"
_FORMS = "http:PORT[/PATH], https:…, tcp:PORT, grpc:PORT[/SERVICE], exec:WORDS or image, then ,KEY=VALUE"
_DURATIONS = {"delay": "delay_s", "period": "period_s", "timeout": "timeout_s", "grace": "grace_s"}
_COUNTS = ("successes", "failures")
_HEALTH = ("--health-interval", "--health-timeout", "--health-retries", "--health-start-period")
_HEALTH_S = 30.0


def probes(pod: Arguments, own: Arguments) -> dict[str, Probe]:
    """What was asked for one app, by role, its own options over those of the pod. Raises ``UsageError``."""
    found = {}
    for role in probing.ROLES:
        name = f"--{role}-probe"
        if text := own.text(name) or pod.text(name):
            found[role] = probe(text, name)
    if health := _health(pod, own):
        if probing.READINESS in found:
            raise UsageError("--health-cmd and --readiness-probe do not go together", hint="they are one")
        found[probing.READINESS] = health
    return found


def probe(text: str, name: str) -> Probe:
    """A probe as the option ``name`` has it. Raises ``UsageError``, ``InvalidInput``."""
    from carob.engine.request.probes import Probe

    first, *rest = parts(name, text) or [""]
    kind, _, target = first.partition(":")
    found: dict[str, Any]
    match kind:
        case "http" | "https":
            where, slash, path = target.removeprefix("//").partition("/")
            found = {**_port("http", where, name), "scheme": kind, "path": slash + path or "/"}
        case "tcp":
            found = _port(kind, target, name)
        case "grpc":
            where, _, service = target.partition("/")
            found = {**_port(kind, where, name), "service": service}
        case "exec":
            found = {"exec": _words(target, name)}
        case "image" if not target:
            found = {"image": True}
        case _:
            raise UsageError(f"{name}: {first!r} is no probe", hint=_FORMS)
    return Probe(**{**found, **_options(rest, name)})


def _port(kind: str, where: str, name: str) -> dict[str, Any]:
    """``[ADDRESS:]PORT``; an IPv6 address stands in ``[]``."""
    address, _, port = where.rpartition(":")
    if not port or port.endswith("]"):
        raise UsageError(f"{name}: {where!r} has no port", hint=_FORMS)
    return {kind: port, **({"address": address.strip("[]")} if address else {})}


def _words(text: str, name: str) -> list[str]:
    from shlex import split

    try:
        words = split(text)
    except ValueError as error:
        raise UsageError(f"{name}: {text!r}: {str(error).lower()}") from None
    if not words:
        raise UsageError(f"{name}: exec: has no command", hint="such as exec:cat /tmp/ok")
    return words


def _options(rest: list[str], name: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    headers = []
    for part in rest:
        key, equals, value = part.partition("=")
        if not equals or not value:
            hint = 'what has a comma in it stands in "": "exec:a,b",period=1s'
            raise UsageError(f"{name}: cannot take {part!r}", hint=hint)
        if key == "header":
            header, colon, content = value.partition(":")
            if not colon:
                raise UsageError(f"{name}: {value!r} is no header", hint="header=NAME: VALUE")
            headers.append((header.strip(), content.strip()))
            continue
        keyword = _DURATIONS.get(key, key)
        if keyword in found:
            raise UsageError(f"{name}: {key} is given twice")
        if key in _DURATIONS:
            found[keyword] = duration_s(value, f"{name}: {key}")
        elif key in _COUNTS:
            found[keyword] = count(value, f"{name}: {key}")
        else:
            raise UsageError(f"{name}: cannot take {key!r}", hint=f"it knows {_KNOWN}")
    return {**found, "headers": headers} if headers else found


def _health(pod: Arguments, own: Arguments) -> Probe | None:
    def text(name: str) -> str:
        return own.text(name) or pod.text(name)

    command = text("--health-cmd")
    if not command:
        for name in _HEALTH:
            if text(name):
                raise UsageError(f"{name} goes with --health-cmd", hint="or --readiness-probe=image,period=…")
        return None
    from carob.engine.request.probes import Probe

    given = [name for name in _HEALTH if text(name) and name != "--health-retries"]
    times = {name: duration_s(text(name), name) for name in given}
    retries = text("--health-retries")
    return Probe(
        exec=_command(command),
        period_s=times.get("--health-interval", _HEALTH_S),
        timeout_s=times.get("--health-timeout", _HEALTH_S),
        failures=count(retries, "--health-retries") if retries else 3,
    )


def _command(text: str) -> list[str]:
    """A line for a shell, or as podman takes it an array: ``["CMD", …]``, ``["CMD-SHELL", LINE]``."""
    if text.startswith("["):
        from carob.protocol.compact_json import loads

        try:
            given = loads(text)
        except ValueError:
            given = None  # it may be the shell's own [
        match given:
            case ["CMD", *words] if words and all(isinstance(word, str) for word in words):
                return [str(word) for word in words]
            case ["CMD-SHELL", str(line)]:
                text = line
    return ["/bin/sh", "-c", text]
