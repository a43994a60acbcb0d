"""What a user needs who is not root, and what root lacks in a container."""

from __future__ import annotations

import os
import shutil
from stat import S_ISUID

from carob.engine.doctor.check import LACKING, OK, Check, needed, wanted
from carob.image.layers.user_ranges import subordinate_ranges
from carob.linux.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_TOPIC = "without root"
_ENOUGH = 65536
_PATH = "/usr/local/bin:/usr/bin:/bin"
# capabilities(7): what carob itself does as root.
_CAPABILITIES = {0: "CHOWN", 1: "DAC_OVERRIDE", 5: "KILL", 12: "NET_ADMIN", 18: "SYS_CHROOT", 21: "SYS_ADMIN",
    27: "MKNOD"}  # fmt: skip


def checks() -> Iterable[Check]:
    """All about this user."""
    uid = os.geteuid()
    if uid == 0:
        yield _capabilities()
        return
    for program in ("newuidmap", "newgidmap"):
        yield _mapper(program)
    for path in ("/etc/subuid", "/etc/subgid"):
        yield _ranges(path, uid)
    runtime_dir = os.environ.get("XDG_RUNTIME_DIR", "")
    yield wanted(
        _TOPIC, "XDG_RUNTIME_DIR", there=bool(runtime_dir) and os.access(runtime_dir, os.W_OK),
        found=runtime_dir or "not set",
        mend="log in by way of systemd (pam_systemd), or set it to /run/user/UID",
    )  # fmt: skip
    yield _lingering(uid)


def _capabilities() -> Check:
    mask = 0
    for line in read_file("/proc/self/status").splitlines():
        if line.startswith(b"CapEff:"):
            mask = int(line.split()[1], 16)
    missing = [name for number, name in _CAPABILITIES.items() if not mask >> number & 1]
    return needed(
        "root", "capabilities", there=not missing,
        found=f"without {', '.join(missing)}" if missing else "all that carob uses",
        mend="run outside of the container, or give it these capabilities",
    )  # fmt: skip


def _mapper(program: str) -> Check:
    path = shutil.which(program, path=_PATH)
    if path is None:
        return Check(_TOPIC, program, LACKING, "not there", "apt-get install uidmap")
    may = os.stat(path).st_mode & S_ISUID or "security.capability" in os.listxattr(path)
    mend = f"chmod u+s {path}, or install uidmap anew"
    return wanted(
        _TOPIC, program, there=bool(may), found=path if may else f"{path} may map nothing", mend=mend
    )


def _ranges(path: str, uid: int) -> Check:
    ranges = subordinate_ranges(path, uid)
    count = max((number for _, _, number in ranges), default=0)
    option = "--add-subuids" if path.endswith("subuid") else "--add-subgids"
    return wanted(
        _TOPIC, path, there=count >= _ENOUGH, found=f"{count} ids" if count else "nothing for this user",
        mend=f"usermod {option} 100000-165535 {_name(uid) or 'USER'}, as root: images have many owners",
    )  # fmt: skip


def _name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


def _lingering(uid: int) -> Check:
    name = _name(uid)
    if not name:
        return Check(
            _TOPIC, "lingering", LACKING, f"user {uid} has no name", "give the user one in /etc/passwd"
        )
    if not os.path.isdir("/run/systemd/system"):
        return Check(_TOPIC, "lingering", OK, "no systemd here that would end pods at logout")
    there = os.path.exists(f"/var/lib/systemd/linger/{name}")
    return wanted(
        _TOPIC, "lingering", there=there, found="on" if there else "off: pods end when the user logs out",
        mend=f"loginctl enable-linger {name}",
    )  # fmt: skip
