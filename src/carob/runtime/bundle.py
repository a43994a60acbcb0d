"""The OCI runtime configuration of one app, as a value: pure, runtime-spec 1.0.

It holds no process id and no path of the host: the root file system and the volumes stand in
init's own root, and the namespaces that the apps of a pod share (network, IPC, host name) are not
listed, so that the runtime takes init's.
"""

from __future__ import annotations

from carob.protocol.compact_json import dumps
from carob.runtime import capabilities
from carob.runtime.confinement import Confinement

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from carob.runtime.confinement import Node
    from carob.runtime.seccomp.default import Filter

OCI_VERSION = "1.0.0"

# crun's word for a filter that is compiled already (crun(1)); other runtimes pass over it.
_PROGRAM = "run.oci.seccomp_bpf_data"
TTY_GROUP = 5
_TTY_GROUP_OPTION = f"gid={TTY_GROUP}"
_MOUNTS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("/proc", "proc", "proc", ("nosuid", "noexec", "nodev")),
    ("/dev", "tmpfs", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k")),
    ("/dev/pts", "devpts", "devpts",
     ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", _TTY_GROUP_OPTION)),
    ("/dev/mqueue", "mqueue", "mqueue", ("nosuid", "noexec", "nodev")),
    ("/dev/shm", "tmpfs", "shm", ("nosuid", "noexec", "nodev", "mode=1777", "size=65536k")),
)  # fmt: skip
NAMESPACES = ("pid", "mount")
"""What an app has of its own where nothing else is said; network, IPC and host name are the pod's."""
_SYS = ("nosuid", "noexec", "nodev")


class Volume:
    """A mount of the app: ``source`` in init's root, ``target`` in the app.

    ``options`` are more of the runtime's (``nosuid``); ``propagation`` is ``private``, ``slave`` or
    ``shared``.
    """

    __slots__ = ("options", "propagation", "read_only", "recursive", "source", "target")

    def __init__(
        self,
        source: str,
        target: str,
        *,
        read_only: bool,
        recursive: bool = False,
        options: Sequence[str] = (),
        propagation: str = "private",
    ) -> None:
        self.source = source
        self.target = target
        self.read_only = read_only
        self.recursive = recursive
        self.options = tuple(options)
        self.propagation = propagation


class Process:
    """What to run: ``args`` (not empty), ``env`` as ``KEY=value``, ``cwd``, and numeric ids."""

    __slots__ = ("args", "cwd", "env", "gid", "groups", "uid")

    def __init__(
        self,
        args: Sequence[str],
        env: Sequence[str],
        cwd: str,
        uid: int,
        gid: int,
        groups: Sequence[int] = (),
    ) -> None:
        self.args = tuple(args)
        self.env = tuple(env)
        self.cwd = cwd
        self.uid = uid
        self.gid = gid
        self.groups = tuple(groups)


def text(document: dict[str, Any], found: Filter | None) -> str:
    """The whole ``config.json`` of an app: `config` with its filter of system calls."""
    if found is None:
        return dumps(document)
    first = {"annotations": {_PROGRAM: found.program}} if found.program else {}
    rest = {key: value for key, value in document.items() if key != "linux"}
    # The filter is text already, as long as all the rest, and goes in at the end of ``linux``.
    return f'{dumps({**first, **rest, "linux": document["linux"]})[:-2]},"seccomp":{found.section}}}}}'


def config(
    process: Process,
    confinement: Confinement | None = None,
    *,
    rootfs: str,
    cgroup: str,
    volumes: Sequence[Volume] = (),
    filter_devices: bool = True,
    namespaces: Sequence[str] = NAMESPACES,
    resources: Mapping[str, Any] | None = None,
    hooks: Mapping[str, Any] | None = None,
    has_tty_group: bool = True,
    own_mounts: bool = True,
) -> dict[str, Any]:
    """The configuration without the filter of system calls, which `text` adds.

    ``confinement`` is the usual one if not given. ``filter_devices`` limits devices by cgroup, besides: an
    app has no way to make device nodes. ``namespaces`` are the app's own, by their names there, or with ``=``
    and a path that of somebody else; ``resources`` are keys of ``linux.resources``
    (`carob.runtime.resources`), ``hooks`` as there. Without a ``cgroup`` there are no limits. Where the
    group of terminals is nobody (``has_tty_group``) they are of their users' groups. ``own_mounts`` are
    ``/proc``, ``/dev``, ``/sys`` and what is below; else ``volumes`` have them.
    """
    confinement = confinement or Confinement(None)
    grouped: dict[str, Any] = {}
    if cgroup:
        devices = {"devices": _device_rules(confinement)} if filter_devices else {}
        grouped = {"cgroupsPath": cgroup, "resources": {**devices, **(resources or {})}}
    mounts: list[dict[str, Any]] = []
    if own_mounts:
        mounts = [_mount(*(one if has_tty_group else _without_tty_group(*one))) for one in _MOUNTS]
        mounts.append(_mount("/sys", "sysfs", "sysfs", _SYS if confinement.writable_sys else (*_SYS, "ro")))
    return {
        "ociVersion": OCI_VERSION,
        "process": _process(process, confinement),
        "root": {"path": rootfs, "readonly": confinement.read_only_rootfs},
        "mounts": [*mounts, *[_bind(volume) for volume in volumes]],
        **({"hooks": hooks} if hooks else {}),
        "linux": {
            **grouped,
            **_propagation(volumes),
            "namespaces": [_namespace(name) for name in namespaces],
            "devices": [_node(node) for node in confinement.nodes],
            "maskedPaths": list(confinement.masked),
            "readonlyPaths": list(confinement.read_only),
        },
    }


def _namespace(name: str) -> dict[str, str]:
    kind, shared, path = name.partition("=")
    return {"type": kind, "path": path} if shared else {"type": kind}


def _process(process: Process, confinement: Confinement) -> dict[str, Any]:
    user: dict[str, Any] = {"uid": process.uid, "gid": process.gid}
    if process.groups:
        user["additionalGids"] = list(process.groups)
    document: dict[str, Any] = {
        "terminal": False,
        "user": user,
        "args": list(process.args),
        "env": list(process.env),
        "cwd": process.cwd,
        "capabilities": capabilities.held(confinement.bounding, confinement.granted, process.uid),
        "noNewPrivileges": confinement.no_new_privileges,
    }
    if confinement.limits:
        document["rlimits"] = [
            {"type": name, "soft": soft, "hard": hard} for name, soft, hard in confinement.limits
        ]
    if confinement.umask is not None:
        user["umask"] = confinement.umask
    if confinement.oom_score_adj is not None:
        document["oomScoreAdj"] = confinement.oom_score_adj
    if confinement.apparmor:
        document["apparmorProfile"] = confinement.apparmor
    if confinement.selinux:
        document["selinuxLabel"] = confinement.selinux
    return document


def _node(node: Node) -> dict[str, Any]:
    return {
        "path": node.path,
        "type": node.kind,
        "major": node.major,
        "minor": node.minor,
        "fileMode": node.mode,
        "uid": node.uid,
        "gid": node.gid,
    }


def _device_rules(confinement: Confinement) -> list[dict[str, Any]]:
    """None but the runtime's default ones, and those of the app."""
    rules: list[dict[str, Any]] = [{"allow": confinement.every_device, "access": "rwm"}]
    for node in confinement.nodes:
        numbers = {"type": node.kind, "major": node.major, "minor": node.minor}
        rules.append({"allow": True, **numbers, "access": node.access})
    return rules


def _without_tty_group(
    target: str, kind: str, source: str, options: tuple[str, ...]
) -> tuple[str, str, str, tuple[str, ...]]:
    return target, kind, source, tuple([option for option in options if option != _TTY_GROUP_OPTION])


def _mount(target: str, kind: str, source: str, options: tuple[str, ...]) -> dict[str, Any]:
    return {"destination": target, "type": kind, "source": source, "options": list(options)}


def _bind(volume: Volume) -> dict[str, Any]:
    bind, access = "rbind" if volume.recursive else "bind", "ro" if volume.read_only else "rw"
    options = (bind, f"r{volume.propagation}", access, *volume.options)
    return _mount(volume.target, "bind", volume.source, options)


def _propagation(volumes: Sequence[Volume]) -> dict[str, Any]:
    """A runtime cuts all that it shows off from the outside first, unless it is told to keep so much."""
    kinds = {volume.propagation for volume in volumes}
    for kind in ("shared", "slave"):
        if kind in kinds:
            return {"rootfsPropagation": f"r{kind}"}
    return {}
