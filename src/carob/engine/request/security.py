"""What an app may do and see, as a caller asks for it: safe where nothing is said, loosened by name."""

from __future__ import annotations

import os

from carob.engine.request import inputs
from carob.errors import InvalidInput
from carob.runtime import capabilities
from carob.runtime.seccomp.call_set import CallSet as CallSet  # noqa: PLC0414 - shown by carob.cli

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any


LIMITS = (
    "as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss",
    "rtprio", "rttime", "sigpending", "stack",
)  # fmt: skip
"""The names of setrlimit(2), without RLIMIT_ and in lower case."""
UNLIMITED = (1 << 64) - 1
_NONE_BY_DEFAULT = frozenset(("cap_retain", "image_groups", "no_new_privileges", "oom_score_adj", "umask"))
_SECCOMP_WORDS = ("default", "unconfined")


class Device:
    """A device of the host that an app sees: ``source`` is its node, or a directory of nodes, on the host.

    ``target`` is its place below ``/dev`` in the app, by default the same; ``access`` is made of ``r``
    (read), ``w`` (write) and ``m`` (make nodes).
    """

    __slots__ = ("access", "source", "target")

    def __init__(
        self, source: str | os.PathLike[str], target: str | None = None, *, access: str = "rwm"
    ) -> None:
        self.source = inputs.absolute_path(source, "the source of a device")
        self.target = os.path.normpath(inputs.absolute_path(target or self.source, "the target of a device"))
        self.access = inputs.text(access, "the access to a device")
        if not access or len(set(access)) != len(access) or not set("rwm").issuperset(access):
            raise InvalidInput(f"{access!r} is no access to a device", hint="r, w, m, or several of them")
        if not self.target.startswith("/dev/"):
            raise InvalidInput(
                f"the device {self.source} cannot be at {self.target}", hint="devices work below /dev only"
            )

    def __setattr__(self, name: str, value: object) -> None:
        if hasattr(self, name):
            raise AttributeError(f"a Device does not change: {name}")
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"Device({self.source!r}, {self.target!r}, access={self.access!r})"


class Security:
    """What an app may do and see. Without arguments: what is safe for any app.

    - ``cap_add``, ``cap_drop``: capabilities beside or without the default ones; ``ALL`` is every one that
      this process has. ``cap_retain``: these and no others. Names are with or without ``CAP_``. A user that
      is not root holds what ``cap_add`` names. The default ones: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL,
      NET_BIND_SERVICE, SETFCAP, SETGID, SETPCAP, SETUID, SYS_CHROOT.
    - ``seccomp``: ``"default"``, ``"unconfined"``, the path of a profile (docker's format, or
      ``linux.seccomp`` of OCI), or a ``CallSet``.
    - ``no_new_privileges``: set-user-ID programs and file capabilities have no effect. By default so, unless
      ``privileged``.
    - ``read_only_rootfs``: the app cannot write but to volumes, ``/dev`` and ``/dev/shm``.
    - ``privileged``: all capabilities and devices of the host, ``/sys`` writable, nothing masked, no filter.
      What else is given goes over that.
    - ``devices``: ``Device``, or a path. By default an app has none of the host's but those that every
      process needs (null, zero, full, random, urandom, tty).
    - ``ulimits``: by the names of setrlimit(2) in lower case (``nofile``), a number for both or a pair of
      soft and hard; -1 is no limit.
    - ``mask``, ``unmask``: paths to hide beside the usual ones (``carob.runtime.confinement``), or to show
      as they are: shell patterns, or ``ALL``. ``read_only_paths``: more that cannot be written.
    - ``groups``: more groups of the app's user, by name in the image or by number. ``image_groups``: whether
      those count besides that the image has for the user; by default where the user has no group.
    - ``umask``: by default 0o022. ``oom_score_adj``: -1000 to 1000, by default 0; the higher, the sooner the
      kernel kills the app for want of memory.
    - ``apparmor``: a profile that the host has loaded, or ``unconfined``. ``selinux``: a label
      (``user:role:type:level``), or ``disable``. Where the host has no such thing, ``Unsupported`` is raised
      when the pod is prepared.
    """

    __slots__ = (
        "apparmor", "cap_add", "cap_drop", "cap_retain", "devices", "groups", "image_groups", "mask",
        "no_new_privileges", "oom_score_adj", "privileged", "read_only_paths", "read_only_rootfs", "seccomp",
        "selinux", "ulimits", "umask", "unmask",
    )  # fmt: skip

    def __init__(
        self,
        *,
        cap_add: Sequence[str] = (),
        cap_drop: Sequence[str] = (),
        cap_retain: Sequence[str] | None = None,
        seccomp: str | os.PathLike[str] | CallSet | None = None,
        no_new_privileges: bool | None = None,
        read_only_rootfs: bool = False,
        privileged: bool = False,
        devices: Sequence[Device | str] = (),
        ulimits: Mapping[str, int | tuple[int, int]] | None = None,
        mask: Sequence[str] = (),
        unmask: Sequence[str] = (),
        read_only_paths: Sequence[str] = (),
        groups: Sequence[str | int] = (),
        image_groups: bool | None = None,
        umask: int | None = None,
        oom_score_adj: int | None = None,
        apparmor: str = "",
        selinux: str = "",
    ) -> None:
        self.cap_add = _capabilities(cap_add, "cap_add")
        self.cap_drop = _capabilities(cap_drop, "cap_drop")
        self.cap_retain = None if cap_retain is None else _capabilities(cap_retain, "cap_retain")
        if self.cap_retain is not None and (self.cap_add or self.cap_drop):
            raise InvalidInput("cap_retain names all capabilities: nothing is added to it or dropped")
        capabilities.chosen((), add=self.cap_add, drop=self.cap_drop)
        self.seccomp = _seccomp(seccomp)
        self.no_new_privileges = (
            None if no_new_privileges is None else inputs.flag(no_new_privileges, "no_new_privileges")
        )
        self.read_only_rootfs = inputs.flag(read_only_rootfs, "read_only_rootfs")
        self.privileged = inputs.flag(privileged, "privileged")
        self.devices = tuple([_device(one) for one in inputs.items(devices, "devices")])
        self.ulimits = _limits(ulimits)
        self.mask = tuple([inputs.absolute_path(one, "a path to mask") for one in _words(mask, "mask")])
        self.unmask = tuple([_pattern(one) for one in _words(unmask, "unmask")])
        self.read_only_paths = tuple(
            [
                inputs.absolute_path(one, "a read-only path")
                for one in _words(read_only_paths, "read_only_paths")
            ]
        )
        self.image_groups = None if image_groups is None else inputs.flag(image_groups, "image_groups")
        self.groups = _words([str(one) for one in inputs.items(groups, "groups")], "groups")
        self.umask = None if umask is None else inputs.whole(umask, "a umask", 0, 0o777)
        self.oom_score_adj = (
            None if oom_score_adj is None else inputs.whole(oom_score_adj, "oom_score_adj", -1000, 1000)
        )
        self.apparmor = inputs.text(apparmor, "apparmor")
        self.selinux = _label(inputs.text(selinux, "selinux"))

    def __setattr__(self, name: str, value: object) -> None:
        if hasattr(self, name):
            raise AttributeError(f"a Security does not change: {name}")
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"Security({', '.join(f'{name}={value!r}' for name, value in self.given().items())})"

    def given(self) -> dict[str, Any]:
        """What is asked for, by argument."""
        found = {}
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None if name in _NONE_BY_DEFAULT else value:
                found[name] = value
        return found


def _words(value: object, what: str) -> tuple[str, ...]:
    return inputs.words(value, what, one=f"a word of {what}")


def _capabilities(value: object, what: str) -> tuple[str, ...]:
    return capabilities.checked(_words(value, what), what)


def _seccomp(value: str | os.PathLike[str] | CallSet | None) -> str | CallSet:
    """``""`` for none given, a word, an absolute path, or a set of calls."""
    if value is None or value in _SECCOMP_WORDS:
        return str(value or "")
    if isinstance(value, str) and "/" not in value:
        raise InvalidInput(
            f"seccomp is default, unconfined or the path of a profile, not {value!r}",
            hint="CallSet makes a filter of calls to retain or to remove",
        )
    if isinstance(value, (str, os.PathLike)):
        return inputs.absolute_path(value, "a seccomp profile")
    if not isinstance(value, CallSet):
        raise InvalidInput(f"seccomp is a word, a path or a CallSet, not {value!r}")
    return value


def _device(value: object) -> Device:
    if isinstance(value, Device):
        return value
    return Device(inputs.path(value, "a device"))


def _limits(value: Mapping[str, int | tuple[int, int]] | None) -> dict[str, tuple[int, int]]:
    given = {} if value is None else value
    if not hasattr(given, "items"):
        raise InvalidInput(f"ulimits is a mapping, not {value!r}", hint='{"nofile": (1024, 4096)}')
    found = {}
    for name, pair in given.items():
        if name not in LIMITS:
            raise InvalidInput(f"there is no limit {name!r}", hint=f"one of {', '.join(LIMITS)}")
        both = tuple(pair) if isinstance(pair, (tuple, list)) else (pair, pair)
        if len(both) != 2:
            raise InvalidInput(f"the limit {name} is one number, or soft and hard, not {pair!r}")
        soft, hard = (_limit(one, name) for one in both)
        if soft > hard:
            raise InvalidInput(f"the limit {name}: the soft one, {soft}, is above the hard one, {hard}")
        found[name] = (soft, hard)
    return found


def _limit(value: object, name: str) -> int:
    number = inputs.whole(value, f"the limit {name}", -1, UNLIMITED)
    return UNLIMITED if number == -1 else number


def _pattern(value: str) -> str:
    return value if value == capabilities.ALL else inputs.absolute_path(value, "a path to unmask")


def _label(value: str) -> str:
    if value in ("", "disable") or (value.count(":") >= 3 and all(value.split(":", 3))):
        return value
    raise InvalidInput(f"{value!r} is no SELinux label", hint="user:role:type:level, or disable")
