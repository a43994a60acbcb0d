"""From an app and its image to the process that will run: pure but for one look into the image's files."""

from __future__ import annotations

import os

from carob.engine.request import signals
from carob.engine.request.inputs import HIGHEST_ID, account_number
from carob.errors import InvalidInput
from carob.runtime.bundle import Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from carob.engine.request.pod import App

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ACCOUNT_FILE_LIMIT = 1 << 20
_STACK_BYTES = 8 << 20  # what an app has without a limit of its own (``carob.supervisor.inheritance``)
_LARGEST_STACK_BYTES = 24 << 20
_LEAST_BYTES = 128 << 10
_LONGEST_WORD_BYTES = 128 << 10
_POINTER_BYTES = 8
_MOST_VARIABLES = 16384  # crun compares each with all others


def arguments(app: App, image: Mapping[str, Any]) -> list[str]:
    """The command: the image's entry point (or ``exec``) and its default arguments (or ``args``).

    As in OCI images, a replaced entry point drops the image's default arguments.
    """
    config = image.get("config") or {}
    if app.exec is not None:
        return [app.exec, *app.args]
    entrypoint = list(config.get("Entrypoint") or ())
    words = entrypoint + list(app.args or config.get("Cmd") or ())
    if not words:
        raise InvalidInput(
            f"image {app.image} says nothing about what to run",
            hint=f"say it: carob run {app.image} -- COMMAND",
        )
    if not words[0]:
        raise InvalidInput(f"the command for image {app.image} is an empty string")
    return words


def stop_signal(image: Mapping[str, Any]) -> int:
    """The signal that asks the app to end: the image's ``StopSignal``, SIGTERM by default."""
    said = str((image.get("config") or {}).get("StopSignal") or "TERM")
    return signals.number(said) or signals.NAMES["TERM"]


def _number(digits: str) -> int | None:
    """The number that an image's file or configuration has; ``None`` for what is none, or is no id."""
    if not digits.isdecimal() or not digits.isascii() or len(digits) > 10:
        return None
    number = int(digits)
    return number if number <= HIGHEST_ID else None


def process(app: App, image: Mapping[str, Any], lower_dirs: Sequence[str], hostname: str) -> Process:
    """The process of an app, its user looked up in the image's own files."""
    config = image.get("config") or {}
    wanted = app.user if app.user is not None else str(config.get("User") or "")
    accounts = Accounts(lower_dirs)
    account = accounts.find(wanted, image=app.image)
    environment = dict(entry.partition("=")[::2] for entry in config.get("Env") or ())
    environment.setdefault("PATH", DEFAULT_PATH)
    environment.setdefault("HOME", account.home)
    environment.setdefault("HOSTNAME", hostname)
    environment.update(app.env)
    groups = account.groups
    if app.security is not None:
        groups = accounts.with_groups(
            account, app.security.groups, of_image=app.security.image_groups, image=app.image
        )
    args, variables = arguments(app, image), [f"{key}={value}" for key, value in environment.items()]
    _check_size(args, variables, app)
    return Process(
        args=args,
        env=variables,
        cwd=os.path.join("/", app.workdir or str(config.get("WorkingDir") or "")),
        uid=account.uid,
        gid=account.gid,
        groups=groups,
    )


def _check_size(args: Sequence[str], variables: Sequence[str], app: App) -> None:
    """Refuses what execve(2) would ("Limits on size of arguments and environment"), or takes crun minutes."""
    stack = _STACK_BYTES if app.security is None else app.security.ulimits.get("stack", (_STACK_BYTES,))[0]
    most = max(min(stack, _LARGEST_STACK_BYTES) // 4, _LEAST_BYTES)
    total = 0
    for word in (*args, *variables):
        size = len(word.encode("utf-8", "surrogateescape")) + 1
        if size > _LONGEST_WORD_BYTES:
            raise InvalidInput(
                f"a part of what image {app.image} is run with has {size - 1} bytes, beginning {word[:40]!r}",
                hint=f"the kernel takes {_LONGEST_WORD_BYTES - 1} bytes in one",
            )
        total += size + _POINTER_BYTES
    if total > most:
        raise InvalidInput(
            f"the command and the variables for image {app.image} take {total} bytes",
            hint=f"the kernel takes {most} bytes, a quarter of the stack's limit",
        )
    if len(variables) > _MOST_VARIABLES:
        raise InvalidInput(
            f"there are {len(variables)} variables for image {app.image}", hint=f"{_MOST_VARIABLES} at most"
        )


class Account:
    """Numeric ids and the home directory of a user of an image."""

    __slots__ = ("gid", "groups", "home", "uid")

    def __init__(self, uid: int, gid: int, home: str, groups: tuple[int, ...]) -> None:
        self.uid = uid
        self.gid = gid
        self.home = home
        self.groups = groups


class Accounts:
    """The users and groups of an image, read from its layers without following any link."""

    def __init__(self, lower_dirs: Sequence[str]) -> None:
        self._lower_dirs = lower_dirs

    def find(self, wanted: str, *, image: str) -> Account:
        """The account for ``user[:group]``, names or numbers; ``""`` is root.

        Raises ``InvalidInput`` for a name that the image does not have.
        """
        user, _, group = wanted.partition(":")
        uid, gid, home, name = self._user(user or "0", image)
        if group:
            return Account(uid, self._group(group, image), home, ())
        return Account(uid, gid, home, self._supplementary(name, gid))

    def with_groups(
        self, account: Account, more: Sequence[str], *, of_image: bool | None = None, image: str
    ) -> tuple[int, ...]:
        """The account's supplementary groups and these, names or numbers.

        ``of_image``: those that the image has for the user count in any case, or not at all.
        """
        own: Sequence[int] = account.groups
        if of_image is not None:
            own = self._supplementary(self._user_name(account.uid), account.gid) if of_image else ()
        return tuple(dict.fromkeys([*own, *(self._group(one, image) for one in more)]))

    def _user(self, user: str, image: str) -> tuple[int, int, str, str]:
        for fields in self._lines("etc/passwd", 7):
            uid, gid = _number(fields[2]), _number(fields[3])
            if user in (fields[0], fields[2]) and uid is not None and gid is not None:
                return uid, gid, fields[5] or "/", fields[0]
        number = account_number(user, "user")
        if number is None:
            raise InvalidInput(f"image {image} has no user {user!r}", hint="give a number: --user=UID:GID")
        return number, 0, "/root" if number == 0 else "/", ""

    def _user_name(self, uid: int) -> str:
        """The first name that the image has for it, or ``""``."""
        return next((fields[0] for fields in self._lines("etc/passwd", 7) if _number(fields[2]) == uid), "")

    def _group(self, group: str, image: str) -> int:
        for fields in self._lines("etc/group", 4):
            gid = _number(fields[2])
            if group in (fields[0], fields[2]) and gid is not None:
                return gid
        number = account_number(group, "group")
        if number is None:
            raise InvalidInput(f"image {image} has no group {group!r}", hint="give a number: --user=UID:GID")
        return number

    def _supplementary(self, name: str, primary: int) -> tuple[int, ...]:
        if not name:
            return ()
        members = [fields for fields in self._lines("etc/group", 4) if name in fields[3].split(",")]
        return tuple(
            sorted({gid for fields in members if (gid := _number(fields[2])) is not None} - {primary})
        )

    def _lines(self, name: str, count: int) -> list[list[str]]:
        return [fields for line in self._text(name).splitlines() if len(fields := line.split(":")) == count]

    def _text(self, name: str) -> str:
        """The file in the topmost layer that has it; what is not a plain file there counts as empty."""
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        for layer in self._lower_dirs:
            directory = os.path.join(layer, os.path.dirname(name))
            if os.path.islink(directory):
                return ""
            try:
                descriptor = os.open(os.path.join(layer, name), flags)
            except FileNotFoundError:
                continue
            except OSError:
                return ""
            with os.fdopen(descriptor, "rb") as file:
                try:
                    return file.read(_ACCOUNT_FILE_LIMIT).decode("utf-8", "replace")
                except OSError:
                    return ""
        return ""
