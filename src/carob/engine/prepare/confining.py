"""From what was asked to what confines an app: the host's devices, capabilities and limits are looked up."""

from __future__ import annotations

import os
import stat

from carob.engine.failures import about
from carob.engine.request.security import UNLIMITED
from carob.errors import InvalidInput, NotFound, PermissionDenied, Unsupported
from carob.linux.files import read_file
from carob.runtime import capabilities
from carob.runtime.confinement import MASKED, READ_ONLY, Confinement, Node
from carob.runtime.seccomp import default
from carob.runtime.seccomp.default import Filter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from carob.engine.request.security import Device, Security

_LONGEST_PROFILE_BYTES = 1 << 20
# The runtime makes the default ones itself; terminals and shared memory are the app's own.
# What a user's runtime finds to bind (``carob.supervisor.root``).
_NODES_OF_INIT = {f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty")}
_NOT_OF_THE_HOST = frozenset(
    ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "console", "pts", "shm", "mqueue", "fd")
)


def settle(security: Security, runtime: str) -> Confinement:
    """All that was asked settled for an app on this host under ``runtime`` (crun or runc).

    Raises ``PermissionDenied`` for what this process cannot give, ``NotFound`` for a device or profile,
    ``Unsupported`` for a label that this host has no use for, ``InvalidInput`` for a profile.
    """
    own = _own_capabilities()
    bounding = _bounding(security, own if os.geteuid() == 0 else _all_capabilities())
    granted = bounding if capabilities.ALL in security.cap_add else security.cap_add
    privileged = security.privileged
    nodes = [node for device in security.devices for node in _nodes(device)]
    if os.geteuid() != 0:
        _check_users_nodes(nodes)
    elif privileged:
        taken = {node.path for node in nodes}
        nodes += [node for node in _nodes_of_the_host() if node.path not in taken]
    return Confinement(
        _filter(security, bounding, runtime),
        bounding=bounding,
        granted=granted,
        no_new_privileges=not privileged
        if security.no_new_privileges is None
        else security.no_new_privileges,
        read_only_rootfs=security.read_only_rootfs,
        masked=[*_shown(() if privileged else MASKED, security.unmask), *security.mask],
        read_only=[*_shown(() if privileged else READ_ONLY, security.unmask), *security.read_only_paths],
        writable_sys=privileged,
        nodes=nodes,
        every_device=privileged,
        limits=[_limit(name, *pair, own) for name, pair in security.ulimits.items()],
        umask=security.umask,
        oom_score_adj=_oom_score_adj(security.oom_score_adj, own),
        apparmor=_apparmor(security.apparmor),
        selinux=_selinux(security.selinux),
    )


# --- capabilities -----------------------------------------------------------------------------------


def _own_capabilities() -> tuple[str, ...]:
    """What this process, and so the supervisor that it starts, can hand on."""
    mask = -1
    for line in read_file("/proc/self/status").splitlines():
        if line.startswith((b"CapPrm:", b"CapBnd:")):
            mask &= int(line.split()[1], 16)
    return capabilities.of_mask(mask)


def _all_capabilities() -> tuple[str, ...]:
    """Those of a user namespace, which the apps of a plain user are in: all, but there only."""
    return capabilities.NAMES[: int(read_file("/proc/sys/kernel/cap_last_cap")) + 1]


def _bounding(security: Security, own: tuple[str, ...]) -> tuple[str, ...]:
    wanted = security.cap_add if security.cap_retain is None else security.cap_retain
    for name in wanted:
        if name != capabilities.ALL and name not in own:
            raise PermissionDenied(
                f"no app can have {name}: this process has not got it",
                hint="as root of the host a process has all; in a container, what that was given",
            )
    if security.cap_retain is not None:
        return capabilities.chosen((), add=security.cap_retain, every=own)
    base = own if security.privileged else capabilities.DEFAULT
    return capabilities.chosen(base, add=security.cap_add, drop=security.cap_drop, every=own)


# --- system calls -----------------------------------------------------------------------------------


def _filter(security: Security, bounding: Sequence[str], runtime: str) -> Filter | None:
    wanted = security.seccomp or ("unconfined" if security.privileged else "default")
    machine = os.uname().machine
    if wanted == "unconfined":
        return None
    if wanted == "default":
        return default.for_capabilities(machine, bounding)
    from carob.protocol.compact_json import dumps

    if isinstance(wanted, str):
        from carob.runtime.seccomp import profile

        host = profile.Host(machine, os.uname().release, bounding)
        try:
            return Filter(dumps(profile.read(_profile(wanted), host)))
        except (InvalidInput, Unsupported) as error:
            raise about(wanted, error) from None
    from carob.runtime.seccomp import call_set, rules

    found = call_set.document(wanted, machine, rules.lifted(bounding), runtime)
    return None if found is None else Filter(dumps(found))


def _profile(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            raw = file.read(_LONGEST_PROFILE_BYTES + 1)
    except OSError as error:
        raise NotFound(f"the seccomp profile {path} cannot be read: {error.strerror}") from error
    if len(raw) > _LONGEST_PROFILE_BYTES:
        raise InvalidInput(f"the seccomp profile {path} is longer than {_LONGEST_PROFILE_BYTES} bytes")
    return raw


# --- devices and paths ------------------------------------------------------------------------------


def _nodes(device: Device) -> Iterator[Node]:
    try:
        found = os.stat(device.source)
    except OSError as error:
        raise NotFound(f"the device {device.source} is not there: {error.strerror}") from error
    if not stat.S_ISDIR(found.st_mode):
        if (node := _node(device.target, found, device.access)) is None:
            raise InvalidInput(f"{device.source} is no device", hint="volumes bring files and directories")
        yield node
        return
    below = list(_walk(device.source, device.target, device.access))
    if not below:
        raise InvalidInput(f"there is no device in {device.source}")
    yield from below


def _check_users_nodes(nodes: Iterable[Node]) -> None:
    """A user's runtime makes no nodes; it binds the host's, of which the pod's init has a few."""
    for node in nodes:
        if node.path not in _NODES_OF_INIT:
            raise Unsupported(
                f"making the device {node.path} needs root",
                hint=f"a volume brings the host's as it is: --volume {node.path}:{node.path}:dev",
            )


def _nodes_of_the_host() -> Iterator[Node]:
    return _walk("/dev", "/dev", "rwm", _NOT_OF_THE_HOST)


def _walk(source: str, target: str, access: str, without: frozenset[str] = frozenset()) -> Iterator[Node]:
    """The nodes below a directory, no links followed; what cannot be looked at is left out."""
    try:
        entries = sorted(os.scandir(source), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.name in without:
            continue
        try:
            found = entry.stat(follow_symlinks=False)
        except OSError:
            continue
        place = f"{target}/{entry.name}"
        if stat.S_ISDIR(found.st_mode):
            yield from _walk(entry.path, place, access)
        elif node := _node(place, found, access):
            yield node


def _node(path: str, found: os.stat_result, access: str) -> Node | None:
    if stat.S_ISCHR(found.st_mode):
        kind = "c"
    elif stat.S_ISBLK(found.st_mode):
        kind = "b"
    else:
        return None
    return Node(
        path,
        kind,
        os.major(found.st_rdev),
        os.minor(found.st_rdev),
        access=access,
        mode=stat.S_IMODE(found.st_mode),
        uid=found.st_uid,
        gid=found.st_gid,
    )


def _shown(paths: Sequence[str], unmasked: Sequence[str]) -> list[str]:
    if not unmasked:
        return list(paths)
    if capabilities.ALL in unmasked:
        return []
    from fnmatch import fnmatchcase

    return [path for path in paths if not any(fnmatchcase(path, one) for one in unmasked)]


# --- limits and labels ------------------------------------------------------------------------------


def _limit(name: str, soft: int, hard: int, own: tuple[str, ...]) -> tuple[str, int, int]:
    """Raises ``PermissionDenied`` for one that cannot be had: the runtime would fail late, and for all."""
    import resource

    which = f"RLIMIT_{name.upper()}"
    most = UNLIMITED
    if name == "nofile":
        most = int(read_file("/proc/sys/fs/nr_open"))
    if "CAP_SYS_RESOURCE" not in own:
        number = _NUMBERS[name] if name in _NUMBERS else getattr(resource, which)
        now = resource.getrlimit(number)[1]
        most = min(most, UNLIMITED if now == resource.RLIM_INFINITY else now)
    if hard > most:
        raise PermissionDenied(
            f"the limit {name} cannot be {_shown_limit(hard)} here: {_shown_limit(most)} is the highest",
            hint="higher than its own takes CAP_SYS_RESOURCE, and nofile ends at fs.nr_open",
        )
    return which, soft, hard


_NUMBERS = {"locks": 10}  # the one that Python's module leaves out (asm-generic/resource.h)


def _shown_limit(value: int) -> str:
    return "unlimited" if value == UNLIMITED else str(value)


def _oom_score_adj(wanted: int | None, own: tuple[str, ...]) -> int | None:
    """A pod begins at 0, and nothing goes below its start but with CAP_SYS_RESOURCE (proc(5))."""
    if wanted is not None and wanted < 0 and "CAP_SYS_RESOURCE" not in own:
        raise PermissionDenied(
            f"oom_score_adj cannot be {wanted} here", hint="below 0 it takes CAP_SYS_RESOURCE"
        )
    return wanted


def _apparmor(profile: str) -> str:
    if profile in ("", "unconfined"):
        return ""
    try:
        enabled = read_file("/sys/module/apparmor/parameters/enabled").startswith(b"Y")
    except OSError:
        enabled = False
    if not enabled:
        raise Unsupported(
            f"this host has no AppArmor, so no app can have the profile {profile}", hint="leave apparmor out"
        )
    try:
        loaded = read_file("/sys/kernel/security/apparmor/profiles").decode("utf-8", "replace").splitlines()
    except OSError:
        return profile  # only root may look; the runtime will say
    if profile not in [line.rpartition(" (")[0] for line in loaded]:
        raise NotFound(f"AppArmor has no profile {profile} loaded", hint="apparmor_parser(8) loads profiles")
    return profile


def _selinux(label: str) -> str:
    if label in ("", "disable"):
        return ""
    if not os.path.exists("/sys/fs/selinux/enforce"):
        raise Unsupported(
            f"this host has no SELinux, so no app can have the label {label}", hint="leave selinux out"
        )
    return label
