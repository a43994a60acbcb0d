"""What apps may do, on the command line: docker's and podman's words, and rkt's."""

from __future__ import annotations

from carob.cli.options import Option, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from carob.cli.options import Arguments
    from carob.engine.request.security import CallSet, Device, Security

FOR_APPS = (
    Option("--cap-add", "add capabilities (ALL: every one there is)", "CAP[,CAP…]", many=True),
    Option("--cap-drop", "take capabilities away (ALL: all but those added)", "CAP[,CAP…]", many=True),
    Option("--caps-remove", "rkt's word for --cap-drop", "CAP[,CAP…]", many=True),
    Option("--caps-retain", "have these capabilities and no others", "CAP[,CAP…]", many=True),
    Option(
        "--seccomp",
        "filter system calls: default, unconfined, a profile's path, or mode=retain|remove[,errno=E],CALL,…",
        "FILTER",
    ),
    Option(
        "--security-opt",
        "docker's words: no-new-privileges[=BOOL], seccomp=, apparmor=, label=, mask=, unmask=",
        "WORD",
        many=True,
    ),
    Option("--no-new-privileges", "whether set-user-ID programs are without effect", "BOOL", optional=True),
    Option("--readonly-rootfs", "the app's root file system cannot be written", "BOOL", optional=True),
    Option("--read-only", "docker's word for --readonly-rootfs", "BOOL", optional=True),
    Option("--privileged", "take all of this protection away, and give all devices"),
    Option("--device", "give a device of the host, or a directory of them", "HOST[:APP][:rwm]", many=True),
    Option("--ulimit", "set a limit of setrlimit(2); -1 is none", "NAME=SOFT[:HARD]", many=True),
    Option("--group-add", "add groups of the image, by name or number", "GROUP[,GROUP…]", many=True),
    Option("--supplementary-gids", "rkt's word for --group-add", "GID[,GID…]", many=True),
    Option("--umask", "the mask of new files' modes (default: 022)", "OCTAL"),
    Option("--oom-score-adj", "the higher, the sooner it is killed for want of memory", "NUMBER"),
)
_ACCESS = frozenset("rwm")


class _Given:
    """What stands before the first image, for every app, and after this app's image."""

    __slots__ = ("_own", "_pod")

    def __init__(self, pod: Arguments, own: Arguments) -> None:
        self._pod = pod
        self._own = own

    def texts(self, *names: str) -> list[str]:
        return [text for given in (self._pod, self._own) for name in names for text in given.texts(name)]

    def words(self, *names: str) -> list[str]:
        """The words of lists with commas."""
        return [word for text in self.texts(*names) for word in text.split(",")]

    def text(self, name: str) -> str:
        return self._own.text(name) or self._pod.text(name)

    def flag(self, *names: str) -> bool | None:
        """The last that was said; ``None`` for nothing. The word alone is true."""
        said = None
        for given in (self._pod, self._own):
            for name in names:
                if given.has(name):
                    said = _flag(given.text(name) or "true", name)
        return said


def security(pod: Arguments, own: Arguments) -> Security | None:
    """What an app was given, or ``None`` for nothing. Raises ``UsageError`` and what ``Security`` raises."""
    if not any(one.has(option.name) for option in FOR_APPS for one in (pod, own)):
        return None
    from carob.engine.request.security import Security

    given = _Given(pod, own)
    words: dict[str, Any] = {
        "cap_add": given.words("--cap-add"),
        "cap_drop": given.words("--cap-drop", "--caps-remove"),
        "devices": [_device(text) for text in given.texts("--device")],
        "ulimits": dict(_limit(text) for text in given.texts("--ulimit")),
        "groups": given.words("--group-add", "--supplementary-gids"),
        "privileged": bool(given.flag("--privileged")),
        "read_only_rootfs": bool(given.flag("--readonly-rootfs", "--read-only")),
        "no_new_privileges": given.flag("--no-new-privileges"),
    }
    if retained := given.words("--caps-retain"):
        words["cap_retain"] = retained
    if wanted := given.text("--seccomp"):
        words["seccomp"] = _filter(wanted)
    if mask := given.text("--umask"):
        words["umask"] = _octal(mask)
    if adjustment := given.text("--oom-score-adj"):
        words["oom_score_adj"] = _whole(adjustment, "--oom-score-adj")
    for text in given.texts("--security-opt"):
        _take_docker_word(text, words)
    return Security(**words)


def _take_docker_word(text: str, words: dict[str, Any]) -> None:
    name, value = _split_docker_word(text)
    match name:
        case "no-new-privileges":
            words["no_new_privileges"] = _flag(value or "true", "--security-opt=no-new-privileges")
        case "seccomp" if value:
            words["seccomp"] = _filter(value)
        case "apparmor" if value:
            words["apparmor"] = value
        case "label" if value:
            words["selinux"] = value
        case "mask" | "unmask" if value:
            words.setdefault(name, []).extend(value.split(":"))
        case "systempaths" if value == "unconfined":
            words.setdefault("unmask", []).append("ALL")
        case _:
            raise UsageError(
                f"--security-opt: carob does not know {text!r}",
                hint="it knows no-new-privileges, seccomp=, apparmor=, label=, mask=, unmask=",
            )


def _split_docker_word(text: str) -> tuple[str, str]:
    """Name and value; docker once had a colon between them."""
    ends = [at for at in (text.find("="), text.find(":")) if at >= 0]
    at = min(ends, default=len(text))
    return text[:at], text[at + 1 :]


def _filter(text: str) -> str | CallSet:
    import os

    if text in ("default", "unconfined"):
        return text
    if text.startswith("mode="):
        return _call_set(text)
    return os.path.abspath(text)


def _call_set(text: str) -> CallSet:
    """rkt's ``mode=retain|remove[,errno=NAME],CALL[,CALL…]``."""
    from carob.engine.request.security import CallSet

    mode: Any = ""
    errno, calls = "", []
    for word in text.split(","):
        name, equals, value = word.partition("=")
        match name if equals else "":
            case "mode":
                mode = value
            case "errno":
                errno = value
            case "syscalls":
                calls.append(value)
            case "":
                calls.append(word)
            case _:
                raise UsageError(f"--seccomp: {word!r} is neither mode=, errno= nor the name of a call")
    return CallSet(mode, calls, errno)


def _device(text: str) -> Device:
    from carob.engine.request.security import Device

    parts = text.split(":")
    access = "rwm"
    if len(parts) > 1 and parts[-1] and _ACCESS.issuperset(parts[-1]):
        access = parts.pop()
    if len(parts) > 2:
        raise UsageError(f"--device: {text!r} is no device", hint="such as /dev/fuse or /dev/sdb:/dev/disk:r")
    return Device(parts[0], parts[1] if len(parts) == 2 else None, access=access)


def _limit(text: str) -> tuple[str, tuple[int, int]]:
    name, equals, value = text.partition("=")
    soft, colon, hard = value.partition(":")
    if not equals or not soft or (colon and not hard):
        raise UsageError(f"--ulimit: {text!r} is no limit", hint="such as --ulimit=nofile=1024:4096")
    both = [-1 if one == "unlimited" else _whole(one, "--ulimit") for one in (soft, hard or soft)]
    return name, (both[0], both[1])


def _whole(text: str, name: str) -> int:
    digits = text.removeprefix("-")
    if not digits.isdecimal() or not digits.isascii() or len(digits) > 20:
        raise UsageError(f"{name}: {text!r} is no whole number")
    return int(text)


def _octal(text: str) -> int:
    if not text or len(text) > 4 or not set("01234567").issuperset(text):
        raise UsageError(f"--umask: {text!r} is no mask", hint="such as --umask=027")
    return int(text, 8)


def _flag(text: str, name: str) -> bool:
    if text not in ("true", "false"):
        raise UsageError(f"{name} is true or false, not {text!r}")
    return text == "true"


def sysctls(texts: Sequence[str]) -> dict[str, str]:
    """``NAME=VALUE`` each."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise UsageError(
                f"--sysctl: {text!r} sets nothing", hint="such as --sysctl=net.core.somaxconn=1024"
            )
        found[name] = value
    return found
