"""What apps and pods may take, on the command line: docker's and podman's words, and rkt's."""

from __future__ import annotations

from carob.cli.options import Arguments, Option, UsageError, by_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.engine.request.resources import Resources

RESOURCES = (
    Option("--cpus", "limit processor time", "NUMBER"),
    Option("--cpu", "rkt's word for --cpus; 500m is half a processor", "NUMBER"),
    Option("--cpu-shares", "its part of busy processors, 2 to 262144 (usual: 1024)", "NUMBER"),
    Option("--cpu-quota", "microseconds of processor time in each period", "NUMBER"),
    Option("--cpu-period", "that period in microseconds (default: 100000)", "NUMBER"),
    Option("--cpuset-cpus", "use these processors only", "LIST"),
    Option("--cpuset-mems", "use these memory nodes only", "LIST"),
    Option("--memory", "limit memory", "SIZE", short="-m"),
    Option("--memory-swap", "limit memory and swap together (default: twice --memory; -1: none)", "SIZE"),
    Option("--memory-reservation", "what it is left with where memory is short", "SIZE"),
    Option("--pids-limit", "limit processes and threads (2048; -1: none)", "NUMBER"),
    Option("--io-weight", "its part of busy disks, 10 to 1000", "NUMBER"),
    Option("--blkio-weight", "docker's word for --io-weight", "NUMBER"),
    Option("--device-read-bps", "limit reading from a disk, a second", "PATH:SIZE", many=True),
    Option("--device-write-bps", "limit writing to a disk, a second", "PATH:SIZE", many=True),
    Option("--device-read-iops", "limit reads from a disk, a second", "PATH:NUMBER", many=True),
    Option("--device-write-iops", "limit writes to a disk, a second", "PATH:NUMBER", many=True),
    Option("--hugepages", "limit huge pages of a size", "2MB=SIZE", many=True),
)
POD_LIMITS = Option(
    "--pod-limits",
    "limits of all apps together, by the names of these options: cpus=2,memory=1g,pids-limit=200",
    "NAME=VALUE[,…]",
    many=True,
)
_NUMBERS = {
    "--cpu-shares": "cpu_shares",
    "--cpu-quota": "cpu_quota_us",
    "--cpu-period": "cpu_period_us",
    "--pids-limit": "pids",
    "--blkio-weight": "io_weight",
    "--io-weight": "io_weight",
}
_SIZES = {
    "--memory": "memory_bytes",
    "--memory-swap": "memory_swap_bytes",
    "--memory-reservation": "memory_reservation_bytes",
}
_RATES = {
    "--device-read-bps": "rbps",
    "--device-write-bps": "wbps",
    "--device-read-iops": "riops",
    "--device-write-iops": "wiops",
}
_UNITS = {"": 0, "b": 0, "k": 10, "m": 20, "g": 30, "t": 40}


def resources(pod: Arguments, own: Arguments) -> Resources | None:
    """What an app was given after its image or, of each kind, before the first; ``None`` for nothing."""
    given = {}
    for option in RESOURCES:
        texts = own.texts(option.name) or pod.texts(option.name)
        if texts:
            given[option.name] = texts
    return _made(given) if given else None


def pod_limits(arguments: Arguments) -> Resources | None:
    """What ``--pod-limits`` says; ``None`` where it is not given."""
    known = by_name(RESOURCES)
    given: dict[str, list[str]] = {}
    for text in arguments.texts(POD_LIMITS.name):
        for name, value in _pairs(text):
            if name not in known:
                from carob.cli.suggestions import nearest

                raise UsageError(
                    f"{POD_LIMITS.name}: there is no limit {name[2:]!r}", hint=nearest(name, known)
                )
            given.setdefault(name, []).append(value)
    return _made(given) if given else None


def _pairs(text: str) -> list[tuple[str, str]]:
    """Options and values; a list such as ``cpuset-cpus=0,2`` may have commas of its own."""
    found: list[tuple[str, str]] = []
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if equals:
            found.append((f"--{name}", value))
        elif found:
            found[-1] = (found[-1][0], f"{found[-1][1]},{part}")
        else:
            raise UsageError(f"{POD_LIMITS.name}: {part!r} has no value", hint="such as memory=1g,cpus=2")
    return found


def _made(given: dict[str, list[str]]) -> Resources:
    from carob.engine.request.resources import Resources

    words: dict[str, Any] = {}
    for name, texts in given.items():
        text = texts[-1]
        if name in ("--cpus", "--cpu"):
            words["cpus"] = _processors(text, name)
        elif name in _NUMBERS:
            words[_NUMBERS[name]] = _whole(text, name)
        elif name in _SIZES:
            words[_SIZES[name]] = -1 if text == "-1" else size_bytes(text, name)
        elif name in ("--cpuset-cpus", "--cpuset-mems"):
            words[name[2:].replace("-", "_")] = text
        elif name == "--hugepages":
            words["hugepages"] = dict(_huge(one) for one in texts)
        else:
            for one in texts:
                device, rate = _rate(one, name)
                words.setdefault("io_max", {}).setdefault(device, {})[_RATES[name]] = rate
    return Resources(**words)


def size_bytes(text: str, name: str) -> int:
    """Bytes from ``512m``, ``1.5g``, ``64Mi``, ``1000``: units of 1024, however they are written."""
    number = text.rstrip("bBiIkKmMgGtT")
    unit = text[len(number) :].lower().removesuffix("b").removesuffix("i")
    try:
        if unit not in _UNITS or not number or not set("0123456789.").issuperset(number) or len(number) > 18:
            raise ValueError
        return int(float(number) * (1 << _UNITS[unit]))
    except ValueError:
        raise UsageError(f"{name}: {text!r} is no size", hint="such as 512m or 1.5g") from None


def _processors(text: str, name: str) -> float:
    digits = text.removesuffix("m")
    try:
        if not set("0123456789.").issuperset(digits) or len(digits) > 18:
            raise ValueError
        return float(digits) / (1000 if text.endswith("m") else 1)
    except ValueError:
        if text == "-1":
            return -1
        raise UsageError(f"{name}: {text!r} is no number of processors", hint="such as 1.5") from None


def _whole(text: str, name: str) -> int:
    digits = text.removeprefix("-")
    if not digits.isdecimal() or not digits.isascii() or len(digits) > 18:
        raise UsageError(f"{name}: {text!r} is no whole number")
    return int(text)


def _rate(text: str, name: str) -> tuple[str, int]:
    device, colon, rate = text.rpartition(":")
    if not colon or not device:
        raise UsageError(f"{name}: {text!r} has no rate", hint=f"such as {name}=/dev/sda:10")
    return device, size_bytes(rate, name) if name.endswith("-bps") else _whole(rate, name)


def _huge(text: str) -> tuple[str, int]:
    size, equals, limit = text.partition("=")
    if not equals:
        raise UsageError(f"--hugepages: {text!r} has no limit", hint="such as --hugepages=2MB=64m")
    return size, size_bytes(limit, "--hugepages")
