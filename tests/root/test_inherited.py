"""A pod runs alike, whoever starts it: nothing of a caller's limits and priorities is in its apps."""

from __future__ import annotations

import ctypes
import os
import resource
from collections.abc import Callable

import pytest

from carob import App, Engine, Exited
from tests.needs import require_command
from tests.root import host_view

SOON_S = 60
_SYS_IOPRIO_SET = {"x86_64": 251}.get(os.uname().machine, 30)
_IDLE = 3 << 13
_NO_RANDOM_ADDRESSES = 0x0040000

SEEN = (
    "cat /proc/self/limits /proc/self/oom_score_adj /proc/self/personality;"
    " grep -E '^(Umask|Cpus_allowed|THP_enabled)' /proc/self/status;"
    " cut -d' ' -f18,19,40,41 /proc/self/stat; cat /proc/self/timerslack_ns; ionice"
)


def spoil() -> None:
    """Takes on what a caller may have: all that passes through fork and exec, each as odd as it may be."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall(_SYS_IOPRIO_SET, 1, 0, _IDLE)
    libc.prctl(29, 7_000_000, 0, 0, 0)  # PR_SET_TIMERSLACK, ns
    libc.prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE
    libc.personality(_NO_RANDOM_ADDRESSES)
    os.umask(0o077)
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    os.nice(7)
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("321")
    for name, soft in (
        ("NOFILE", 300),
        ("FSIZE", 1 << 30),
        ("CPU", 3600),
        ("STACK", 4 << 20),
        ("NPROC", 900),
    ):
        number = getattr(resource, f"RLIMIT_{name}")
        resource.setrlimit(number, (soft, resource.getrlimit(number)[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def in_child(work: Callable[[], None]) -> None:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def seen_by_an_app(engine: Engine, runtime: str, before: Callable[[], None]) -> tuple[list[str], list[str]]:
    """What an app and what an exec in it sees, in a pod that is run by a process which did ``before``."""
    app = App("busybox", ["sh", "-c", f"{SEEN}; echo over; exec sleep 1000"])

    def run() -> None:
        before()
        engine.run(app, runtime=runtime)

    in_child(run)
    (status,) = engine.list()
    pod = engine.handle(status.uuid)
    host_view.eventually("the app has said all", lambda: pod.logs().text().endswith("over\n"))
    said = pod.logs().text().splitlines()[:-1]
    done = pod.exec(["sh", "-c", SEEN], text=True)
    assert done.end == Exited(0)
    pod.remove(force=True)
    return said, done.stdout.splitlines()


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_who_starts_a_pod_makes_no_difference_to_its_apps(engine: Engine, runtime: str) -> None:
    require_command(runtime)
    plain = seen_by_an_app(engine, runtime, lambda: None)
    spoiled = seen_by_an_app(engine, runtime, spoil)
    assert spoiled == plain
    for said in plain:
        assert len(said) > 20, said
        limits = {line[:26].strip(): line[26:].split()[:2] for line in said if line.startswith("Max ")}
        soft, hard = limits["Max open files"]
        assert soft in (("1024",) if runtime == "crun" else ("1024", hard))  # runc of Go 1.19 raises its own
        assert limits["Max core file size"][0] == "0"
        assert limits["Max file size"] == ["unlimited", "unlimited"]
        assert said[17] == "0", "oom_score_adj"


def test_a_caller_with_few_descriptors_left_starts_pods(engine: Engine) -> None:
    """A hard limit that may not be raised is kept to: the pod runs with less."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))

    said, _ = seen_by_an_app(engine, "crun", limit)
    (open_files,) = [line.split()[3:5] for line in said if line.startswith("Max open files")]
    assert open_files in (["200", "200"], ["1024", "524288"])


def test_a_supervisor_is_as_quick_and_as_safe_whoever_starts_it(engine: Engine) -> None:
    def run() -> None:
        spoil()
        engine.run(App("busybox", ["sleep", "1000"]))

    in_child(run)
    (status,) = engine.list()
    for pid in (status.pid, status.monitor_pid):
        assert pid is not None
        assert os.getpriority(os.PRIO_PROCESS, pid) == 0
        assert os.sched_getscheduler(pid) == os.SCHED_OTHER
        assert host_view.read(f"/proc/{pid}/oom_score_adj") == "0\n"
        assert resource.prlimit(pid, resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_init_may_open_more_than_its_apps(engine: Engine) -> None:
    with engine.run(App("busybox", ["sleep", "1000"])) as pod:
        init = host_view.keeper(host_view.pod_directory(engine.data_dir, pod.uuid), "init")
        soft, hard = resource.prlimit(init, resource.RLIMIT_NOFILE)
        assert soft == hard >= 1024
