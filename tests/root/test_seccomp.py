"""System calls as the kernel answers them in a pod: the default filter, and those that users give."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from carob import App, CallSet, Engine, Exited, Mount, Security, Signaled
from carob.runtime.seccomp.numbers import numbers
from tests.needs import require, require_command

SOON_S = 60
RUNTIMES = ("crun", "runc")
EPERM, ENOSYS = 1, 38

# Makes each call of its argument, a list of [number, arguments …], and prints a list of error numbers.
PROBE = """\
import ctypes, json, sys
libc = ctypes.CDLL(None, use_errno=True)
said = []
for number, *arguments in json.loads(sys.argv[1]):
    ctypes.set_errno(0)
    failed = libc.syscall(*map(ctypes.c_long, [number, *arguments])) == -1
    said.append(ctypes.get_errno() if failed else 0)
print(json.dumps(said))
"""
# The same by the old way into the kernel, which 32-bit programs use.
PROBE_OF_32_BITS = """\
import ctypes, json, mmap, struct, sys
said = []
for number, argument in json.loads(sys.argv[1]):
    words = struct.pack("<BBIBI", 0x53, 0xB8, number, 0xBB, argument)  # push %rbx; eax, ebx = ...
    code = words + bytes.fromhex("cd805bc3")  # int $0x80; pop %rbx; ret
    memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(code)
    call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))
    answer = call()
    said.append(-answer if -4096 < answer < 0 else 0)
print(json.dumps(said))
"""


def python_mounts() -> list[Mount]:
    """What this interpreter's program and library need, where they are here."""
    places = {sys.base_prefix, "/usr/lib", "/lib", "/lib64"}
    found = [place for place in sorted(places) if os.path.isdir(place)]
    return [
        Mount(place, place, read_only=True)
        for place in found
        if not any(place.startswith(f"{other}/") for other in found)
    ]


def probing(probe: str, calls: list[list[int]], **options: object) -> App:
    program = os.path.realpath(sys.executable)
    words = [program, "-I", "-S", "-c", probe, json.dumps(calls)]
    return App("busybox", words, mounts=python_mounts(), **options)  # type: ignore[arg-type]


def answers(engine: Engine, app: App, runtime: str) -> list[int]:
    with engine.run(app, runtime=runtime) as pod:
        end = pod.wait(timeout_s=SOON_S)
        said = pod.logs().text()
    assert said.startswith("["), (end, said)
    return [int(one) for one in json.loads(said)]


def own(name: str) -> int:
    return numbers(os.uname().machine)[name]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_default_filter(engine: Engine, runtime: str) -> None:
    require_command(runtime)
    require(os.uname().machine in ("x86_64", "aarch64"), "carob has no numbers of calls for others")
    expected = {
        "getpid": (0, []),
        "statx": (14, [0, 0, 0, 0, 0]),  # let through: the kernel itself says EFAULT
        "keyctl": (EPERM, [0]),
        "io_uring_setup": (EPERM, [1, 0]),
        "unshare": (EPERM, [0x10000000]),
        "mount": (EPERM, [0, 0, 0, 0, 0]),
        "bpf": (EPERM, [0, 0, 0]),
        "userfaultfd": (EPERM, [1]),
        "perf_event_open": (EPERM, [0, 0, 0, 0, 0]),
        "open_by_handle_at": (EPERM, [0, 0, 0]),
        "clone": (EPERM, [0x10000011, 0, 0, 0, 0]),
        "clone3": (ENOSYS, [0, 0]),
        "personality": (EPERM, [0x0040000]),
    }
    calls = [[own(name), *arguments] for name, (_, arguments) in expected.items()]
    sockets = {38: EPERM, 40: EPERM, 1: 0}
    calls += [[own("socket"), family, 1, 0] for family in sockets]
    calls.append([600])
    found = answers(engine, probing(PROBE, calls), runtime)
    said = dict(zip([*expected, *sockets, "not yet there"], found, strict=True))
    assert said == {name: number for name, (number, _) in expected.items()} | sockets | {
        "not yet there": ENOSYS
    }


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_default_filter_is_for_32_bit_programs_too(engine: Engine, runtime: str) -> None:
    require_command(runtime)
    require(os.uname().machine == "x86_64", "the probe is of x86")
    names = {"getpid": 0, "unshare": EPERM, "keyctl": EPERM, "clone3": ENOSYS}
    calls = [[numbers("i386")[name], 0x10000000] for name in names]
    assert answers(engine, probing(PROBE_OF_32_BITS, calls), runtime) == list(names.values())


def test_who_may_mount_may_make_the_calls_for_it(engine: Engine) -> None:
    app = probing(PROBE, [[own("unshare"), 0x20000]], security=Security(cap_add=["SYS_ADMIN"]))
    assert answers(engine, app, "crun") == [0]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_filters_that_users_give(engine: Engine, tmp_path: Path, runtime: str) -> None:
    require_command(runtime)
    profile = tmp_path / "profile.json"
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 36}
    lifted = {**rule, "errnoRet": 35, "excludes": {"caps": ["CAP_KILL"]}}
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [lifted, rule]}))
    made = "mkdir /made; echo $?; grep Seccomp: /proc/self/status"
    removed = CallSet("remove", ["mkdir", "mkdirat"], "ENOSYS")
    given: dict[str, tuple[str | CallSet, tuple[str, ...]]] = {
        "file": (str(profile), ("File name too long", "Seccomp:\t2")),
        "removed": (removed, ("Function not implemented", "Seccomp:\t2")),
        "retained": (CallSet("retain", ["@rkt/default-whitelist"], "EPERM"), ("0", "Seccomp:\t2")),
        "everything": (CallSet("retain", ["@appc.io/all"]), ("0", "Seccomp:\t0")),
        "unconfined": ("unconfined", ("0", "Seccomp:\t0")),
    }
    apps = [
        App("busybox", ["sh", "-c", f"({made}) 2>&1"], name=name, security=Security(seccomp=wanted))
        for name, (wanted, _) in given.items()
    ]
    with engine.run(*apps, runtime=runtime) as pod:
        pod.wait(timeout_s=SOON_S)
        for name, (_, expected) in given.items():
            said = pod.logs(name).text()
            assert all(words in said for words in expected), (name, said)


def test_who_makes_a_call_that_is_not_retained_is_killed(engine: Engine) -> None:
    names = ["@rkt/default-whitelist"]
    allowed = App("busybox", ["true"], security=Security(seccomp=CallSet("retain", names)))
    killed = App("busybox", ["unshare", "-m", "true"], security=Security(seccomp=CallSet("retain", names)))
    with engine.run(allowed) as pod:
        assert pod.wait(timeout_s=SOON_S).apps == {"busybox": Exited(0)}
    with engine.run(killed) as pod:
        assert pod.wait(timeout_s=SOON_S).apps == {"busybox": Signaled(signal.SIGSYS)}
