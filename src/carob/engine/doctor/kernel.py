"""The kernel: its calls, namespaces, seccomp, and mounts with mapped owners."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

from carob.engine.doctor.check import FAILED, Check, needed, wanted
from carob.linux import syscall as _sys
from carob.linux.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_TOPIC = "kernel"
_OLDEST = (5, 12)
_NEWER = "a newer kernel: Linux 5.12 or later"
# The calls that every pod takes, and what each is for; each is made with arguments that cannot be right.
_CALLS = (
    ("clone3", _sys.SYS_CLONE3, "namespaces"),
    ("openat2", _sys.SYS_OPENAT2, "paths below a root"),
    ("fsopen", _sys.SYS_FSOPEN, "mounts by descriptor"),
    ("open_tree", _sys.SYS_OPEN_TREE, "mounts by descriptor"),
    ("mount_setattr", _sys.SYS_MOUNT_SETATTR, "read-only mounts"),
)
_NAMESPACES = ("mnt", "pid", "net", "ipc", "uts", "cgroup")
_PROBE_S = 30
_IDMAP = """
import os, sys
sys.path.insert(0, sys.argv[1])
from carob.linux import idmap
one = [(0, 100000, 65536)]
space = idmap.new_user_namespace(one, one)
idmap.Mapping(space, one, one).clone(sys.argv[2])
"""
_USER_NAMESPACE = """
import sys
sys.path.insert(0, sys.argv[1])
from carob.linux import namespaces
import os
pid, pidfd = namespaces.fork_into(namespaces.CLONE_NEWUSER)
if pid == 0:
    os._exit(0)
os.waitpid(pid, 0)
"""


def checks() -> Iterable[Check]:
    """All about the kernel."""
    yield _version()
    yield from _calls()
    there = [name for name in _NAMESPACES if os.path.exists(f"/proc/self/ns/{name}")]
    missing = [name for name in _NAMESPACES if name not in there]
    yield needed(
        _TOPIC, "namespaces", there=not missing, found=", ".join(there),
        mend=f"a kernel with namespaces: {', '.join(missing)} missing",
    )  # fmt: skip
    seccomp = os.path.exists("/proc/sys/kernel/seccomp/actions_avail")
    yield wanted(
        _TOPIC, "seccomp", there=seccomp, found="filters" if seccomp else "none",
        mend="a kernel with CONFIG_SECCOMP_FILTER: without it apps are run with --seccomp=unconfined alone",
    )  # fmt: skip
    if os.geteuid() == 0:
        failure = probe(_IDMAP, "/usr")
        yield wanted(
            _TOPIC, "mounts with mapped owners", there=not failure, found=failure or "they work",
            mend="Linux 5.12 for ext4, 5.19 for overlays: without it no pod has a user namespace",
        )  # fmt: skip
    failure = probe(_USER_NAMESPACE)
    yield (wanted if os.geteuid() == 0 else needed)(
        _TOPIC, "user namespaces", there=not failure, found=failure or "this user may make them",
        mend=_how_to_allow_user_namespaces(),
    )  # fmt: skip


def _version() -> Check:
    release = os.uname().release
    numbers = tuple(int(part) for part in release.partition("-")[0].split(".")[:2] if part.isdigit())
    return needed(_TOPIC, "version", there=numbers >= _OLDEST, found=release, mend=_NEWER)


def _calls() -> Iterable[Check]:
    for name, number, use in _CALLS:
        try:
            _sys.syscall(number, -1, None, -1, 0, 0)
            failure = 0
        except OSError as error:
            failure = error.errno or 0
        # Without root EPERM says nothing: in a user namespace of its own it may be allowed.
        if failure == errno.ENOSYS or (failure == errno.EPERM and os.geteuid() == 0):
            mend = f"{_NEWER}; in a container, CAP_SYS_ADMIN and a seccomp filter that lets {name} pass"
            yield Check(_TOPIC, f"{name} ({use})", FAILED, os.strerror(failure), mend)


def probe(code: str, *arguments: str) -> str:
    """What goes wrong with a few lines in a process of their own; ``""`` where nothing does."""
    path = os.path.dirname(os.path.abspath(sys.modules["carob"].__path__[0]))
    command = [sys.executable, "-I", "-S", "-c", code, path, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PROBE_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    lines = done.stderr.strip().splitlines()
    return "" if done.returncode == 0 else (lines[-1] if lines else f"status {done.returncode}")


def _how_to_allow_user_namespaces() -> str:
    for path, wrong in (
        ("/proc/sys/kernel/unprivileged_userns_clone", b"0"),
        ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", b"1"),
        ("/proc/sys/user/max_user_namespaces", b"0"),
    ):
        try:
            value = read_file(path).strip()
        except OSError:
            continue
        if value == wrong:
            name = path.removeprefix("/proc/sys/").replace("/", ".")
            right = {b"0": "1", b"1": "0"}[wrong] if "max_" not in name else "15000"
            return f"sysctl -w {name}={right}"
    return "a kernel with CONFIG_USER_NS; in a container, one that may make them"
