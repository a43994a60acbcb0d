"""What the default profile lets through, as data. Pure.

It is a list of what is allowed: every call that `numbers` knows and that no rule here takes out. What is
taken out fails with EPERM; what nobody has judged yet, and what `numbers` does not know, does not exist
(ENOSYS), so that programs fall back as on an older kernel. The choice is that of docker's and podman's
profiles, the narrower where they differ; `docs/reference/isolation.md` says where it is another.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

REFUSED = frozenset(
    (
        # A second way to most calls, and one that no filter sees.
        *("io_uring_setup", "io_uring_enter", "io_uring_register"),
        # Keyrings belong to users, whatever namespace they are in.
        *("add_key", "keyctl", "request_key"),
        # For the whole machine.
        *("kexec_load", "kexec_file_load", "swapon", "swapoff", "pciconfig_iobase", "pciconfig_read"),
        *("pciconfig_write", "rtas", "s390_sthyi", "sysfs", "ustat"),
        # Helps to win races against the kernel.
        "userfaultfd",
        # Moves pages of others.
        *("migrate_pages", "move_pages"),
        # What no C library has used for decades.
        *("nice", "oldfstat", "oldlstat", "oldolduname", "oldstat", "olduname", "readdir", "sgetmask"),
        *("sigaction", "signal", "sigpending", "sigsuspend", "ssetmask", "uselib", "vm86", "vm86old"),
        *("get_tls", "s390_guarded_storage", "spu_create", "spu_run", "subpage_prot", "switch_endian"),
        *("sys_debug_setcontext", "usr26", "usr32"),
    )
)
"""Whatever the app's capabilities are."""

UNKNOWN = frozenset(("file_getattr", "file_setattr", "rseq_slice_yield"))
"""Newer than what the field has judged: they answer as on a kernel that has not got them."""

LIFTED_BY: dict[str, tuple[str, ...]] = {
    "CAP_BPF": ("bpf",),
    "CAP_DAC_READ_SEARCH": ("open_by_handle_at",),
    "CAP_PERFMON": ("perf_event_open",),
    "CAP_SYS_ADMIN": (
        "bpf", "clone3", "fanotify_init", "fsconfig", "fsmount", "fsopen", "fspick", "listns",
        "lookup_dcookie", "lsm_get_self_attr", "lsm_list_modules", "lsm_set_self_attr", "mount",
        "mount_setattr", "move_mount", "open_tree", "open_tree_attr", "perf_event_open", "pivot_root",
        "quotactl", "quotactl_fd", "setdomainname", "sethostname", "setns", "syslog", "umount", "umount2",
        "unshare",
    ),
    "CAP_SYS_BOOT": ("reboot",),
    "CAP_SYS_CHROOT": ("chroot",),
    "CAP_SYS_MODULE": ("delete_module", "finit_module", "init_module"),
    "CAP_SYS_NICE": ("get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"),
    "CAP_SYS_PACCT": ("acct",),
    "CAP_SYS_PTRACE": ("kcmp", "pidfd_getfd", "process_madvise"),
    "CAP_SYS_RAWIO": ("ioperm", "iopl"),
    "CAP_SYS_TIME": ("clock_settime", "clock_settime64", "settimeofday", "stime"),
    "CAP_SYS_TTY_CONFIG": ("vhangup",),
    "CAP_SYSLOG": ("syslog",),
}  # fmt: skip
"""Calls that an app may make only if it has the capability that they need."""

# clone3 has its flags in memory, where no filter looks; told that it is not there, C libraries take clone.
_ENOSYS_UNLESS_LIFTED = ("clone3", "listns", "open_tree_attr")

# Masks of the lower 32 bits of an argument: (mask, value) passes what has this value under the mask. The
# kernel looks at 32 bits of these arguments, so a comparison of 64 would be one to get around.
_ALL_BITS = 0xFFFFFFFF
_CLONE_NAMESPACES = 0x7E020000  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET} (linux/sched.h)
_PERSONALITIES = (0, 0x0008, 0x20000, 0x20008, 0xFFFFFFFF)  # Linux, 32 bits, release 2.6, both, asking
# All families (linux/socket.h) up to 47 but AF_ALG (38), the kernel's ciphers, and AF_VSOCK (40), the
# hypervisor.
_FAMILIES = (
    (0xFFFFFFE0, 0),
    (0xFFFFFFFC, 32),
    (0xFFFFFFFE, 36),
    (_ALL_BITS, 39),
    (_ALL_BITS, 41),
    (0xFFFFFFFE, 42),
    (0xFFFFFFFC, 44),
)


class Rules:
    """The default profile for an app whose capabilities lift ``lifted``.

    ``allowed``, ``refused`` (EPERM) and ``unknown`` (ENOSYS) are names. ``checked`` are calls of which one
    argument decides: by name the number of the argument and pairs of mask and value; who fits one passes.
    """

    __slots__ = ("allowed", "checked", "refused", "unknown")

    def __init__(self, known: Collection[str], lifted: frozenset[str], *, clone_flags_at: int = 0) -> None:
        """``known`` are all calls of the architectures at hand; s390 has clone's flags in argument 1."""
        held_back = frozenset[str]().union(*LIFTED_BY.values()) - lifted
        self.checked: dict[str, tuple[int, tuple[tuple[int, int], ...]]] = {
            "personality": (0, tuple((_ALL_BITS, value) for value in _PERSONALITIES)),
            "socket": (0, _FAMILIES),
        }
        if "clone3" not in lifted:
            self.checked["clone"] = (clone_flags_at, ((_CLONE_NAMESPACES, 0),))
        every = frozenset(known)
        self.unknown = every & (UNKNOWN | held_back.intersection(_ENOSYS_UNLESS_LIFTED))
        self.refused = every & (REFUSED | held_back) - self.unknown
        self.allowed = every - self.refused - self.unknown - frozenset(self.checked)


def lifted(capabilities: Collection[str]) -> frozenset[str]:
    """What these capabilities lift."""
    return frozenset[str]().union(*(LIFTED_BY.get(one, ()) for one in capabilities))
