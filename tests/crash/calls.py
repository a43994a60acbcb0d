"""Which system calls are crash points: those before which the world looks different from after them."""

from __future__ import annotations

import os
import platform
from fcntl import F_SETLK, F_SETLKW

from carob.runtime.seccomp import numbers

_READS = "only reads"
_OWN = "changes only the process, which dies"
_WAITS = "waits"

_READING = """
access faccessat faccessat2 fgetxattr fstat fstatfs getcwd getdents getdents64 getegid geteuid getgid
getgroups getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresuid getrlimit
getrusage getsid getsockname getsockopt gettid gettimeofday getuid getxattr ioprio_get lgetxattr listxattr
llistxattr flistxattr lseek lstat name_to_handle_at newfstatat pread64 preadv preadv2 read readlink
readlinkat readv recvfrom recvmmsg recvmsg sched_getaffinity sched_getattr sched_getparam sched_getscheduler
stat statfs statx sysinfo time times uname get_mempolicy clock_gettime clock_getres capget get_robust_list
getcpu sched_get_priority_max kcmp process_vm_readv inotify_add_watch inotify_rm_watch pidfd_open
"""
_OF_THE_PROCESS = """
alarm arch_prctl brk capset close close_range chdir chroot dup dup2 dup3 epoll_create epoll_create1
epoll_ctl eventfd eventfd2 fadvise64 fchdir inotify_init inotify_init1 ioprio_set madvise membarrier
memfd_create mlock mmap mprotect mremap munmap munlock personality pipe pipe2 prctl prlimit64 rseq
rt_sigaction rt_sigprocmask rt_sigreturn sched_setaffinity sched_setattr sched_setparam sched_setscheduler
seccomp set_mempolicy set_robust_list set_tid_address setfsgid setfsuid setgid setgroups setitimer setpgid
setpriority setregid setresgid setresuid setreuid setrlimit setsid setsockopt setuid shutdown sigaltstack
signalfd signalfd4 socket socketpair timerfd_create timerfd_settime timer_create timer_settime timer_delete
umask landlock_create_ruleset fsopen fsconfig open_tree pidfd_getfd restart_syscall
"""
_WAITING = """
accept accept4 clock_nanosleep epoll_pwait epoll_pwait2 epoll_wait futex futex_wait futex_waitv nanosleep
pause poll ppoll pselect6 rt_sigsuspend rt_sigtimedwait sched_yield select wait4 waitid
"""
PASSED_OVER = {
    **dict.fromkeys(_READING.split(), _READS),
    **dict.fromkeys(_OF_THE_PROCESS.split(), _OWN),
    **dict.fromkeys(_WAITING.split(), _WAITS),
}
_OPENED_TO_READ = "an open that makes and empties nothing"
_ASKS = (0x5401, 0x5413, 0x5450, 0x5451, 0x541B)  # TCGETS, TIOCGWINSZ, FIONCLEX, FIOCLEX, FIONREAD
_NO_CHANGE = "an ioctl that asks, or is about the descriptor"
_NO_LOCK = "fcntl(2) about descriptors"

NAMES = {number: name for name, number in numbers.numbers(platform.machine()).items()}


def passed_over(number: int, arguments: tuple[int, ...]) -> str:
    """Why the call is no crash point; ``""`` where it is one, as is any call that is not known here."""
    name = NAMES.get(number, "")
    if name in ("open", "openat"):
        flags = arguments[1] if name == "open" else arguments[2]
        return "" if flags & (os.O_CREAT | os.O_TRUNC) else _OPENED_TO_READ
    if name == "fcntl":
        return "" if arguments[1] in (F_SETLK, F_SETLKW, 37, 38) else _NO_LOCK
    if name == "ioctl" and arguments[1] in _ASKS:
        return _NO_CHANGE
    return PASSED_OVER.get(name, "")
