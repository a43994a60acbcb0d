"""The host's packet filter, read and changed as a whole: iptables-save(8) and iptables-restore(8).

One transaction does what a plugin does with a dozen calls of iptables, each of which waits for the kernel
where something is deleted. Rules are found by what is in their comments, and deleted by the text that they
are listed with.
"""

from __future__ import annotations

import os

from carob.errors import CommandFailed, TimedOut, Unsupported
from carob.network.process import Command
from carob.spec.cni.failure import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from carob.network.process import Finished
    from carob.network.tasks import Steps

LIMIT_S = 20.0
_TRIES = 4
_MOST_BYTES = 256 << 20  # hosts with some hundred thousand rules exist
_DIRECTORIES = ("/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin", "/bin")
_ENVIRONMENT = {"PATH": ":".join(_DIRECTORIES), "LC_ALL": "C"}
_PREFIX = {4: "iptables", 6: "ip6tables"}


class Rules:
    """All rules of one family: for each table its chains, each with the arguments of its rules as listed."""

    __slots__ = ("chains", "family")

    def __init__(self, family: int, chains: dict[tuple[str, str], list[str]]) -> None:
        self.family = family
        self.chains = chains

    def with_words(self, *words: str) -> list[tuple[str, str, str]]:
        """The rules that hold all of the words somewhere: (table, chain, arguments)."""
        return [
            (table, chain, rule)
            for (table, chain), rules in self.chains.items()
            for rule in rules
            if all(word in rule for word in words)
        ]


class Change:
    """A transaction to be: lines for each table."""

    __slots__ = ("lines",)

    def __init__(self) -> None:
        self.lines: dict[str, list[str]] = {}

    def add(self, table: str, line: str) -> None:
        """A line such as ``-N CHAIN``, ``-A CHAIN ...`` or ``-D CHAIN ...``."""
        self.lines.setdefault(table, []).append(line)

    def delete(self, rules: Iterable[tuple[str, str, str]]) -> None:
        """Deletes rules that ``Rules.with_words`` found."""
        for table, chain, rule in rules:
            self.add(table, f"-D {chain} {rule}")

    def text(self) -> bytes:
        """What iptables-restore reads."""
        parts = []
        for table, lines in self.lines.items():
            parts += [f"*{table}", *lines, "COMMIT", ""]
        return "\n".join(parts).encode()


def is_there(family: int) -> bool:
    """Whether this host has the programs for the family, 4 or 6."""
    return all(_find(f"{_PREFIX[family]}-{verb}") for verb in ("save", "restore"))


def require(family: int) -> None:
    """Raises ``Unsupported`` where the programs for the family are missing."""
    if not is_there(family):
        raise Unsupported(f"{_PREFIX[family]}-save is not on this host", hint="install it (Debian: iptables)")


def save(family: int, *, limit_s: float = LIMIT_S) -> Steps:
    """Steps that read all rules; their result is a ``Rules``."""
    finished: Finished = yield _command(family, "save", (), b"", limit_s)
    _require_success(finished, f"{_PREFIX[family]}-save")
    return parse(family, finished.stdout.decode("utf-8", "replace"))


def change(
    family: int,
    wanted: Callable[[Rules], Change],
    *,
    known: Rules | None = None,
    limit_s: float = LIMIT_S,
) -> Steps:
    """Steps that make the change ``wanted`` in view of all rules; their result is whether there was any.

    Each table is changed at once or not at all. Where somebody else was quicker, so that a rule to delete is
    gone or a chain to make is there, the rules are read and looked at again. ``known`` saves the first
    reading.
    """
    for attempt in range(_TRIES):
        rules = known if known is not None else (yield from save(family, limit_s=limit_s))
        known = None
        change = wanted(rules)
        if not change.lines:
            return attempt > 0
        words = ("--noflush", "--wait")
        finished: Finished = yield _command(family, "restore", words, change.text(), limit_s)
        if finished.succeeded:
            return True
    return _require_success(finished, f"{_PREFIX[family]}-restore")


def parse(family: int, text: str) -> Rules:
    """Reads what iptables-save wrote."""
    chains: dict[tuple[str, str], list[str]] = {}
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith(":"):
            chains.setdefault((table, line[1:].partition(" ")[0]), [])
        elif line.startswith("-A "):
            chain, _, rule = line[3:].partition(" ")
            chains.setdefault((table, chain), []).append(rule)
    return Rules(family, chains)


def _command(family: int, verb: str, arguments: tuple[str, ...], stdin: bytes, limit_s: float) -> Command:
    require(family)
    return Command(
        (_find(f"{_PREFIX[family]}-{verb}"), *arguments),
        environment=_ENVIRONMENT,
        stdin=stdin,
        limit_s=limit_s,
        stdout_bytes=_MOST_BYTES,
    )


def _find(name: str) -> str:
    for directory in _DIRECTORIES:
        path = f"{directory}/{name}"
        if os.access(path, os.X_OK):
            return path
    return ""


def _require_success(finished: Finished, name: str) -> None:
    if finished.succeeded:
        return
    words = finished.last_words()
    if finished.cut_off:
        raise TimedOut(
            f"{name}: {finished.cut_off}", hint="somebody holds the lock of iptables, or the host is slow"
        )
    raise CommandFailed(
        f"{name} failed: {one_line(words) or f'status {finished.status}'}",
        argv=(name,),
        status=finished.status,
        stderr=words,
    )
