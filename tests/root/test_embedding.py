"""carob inside other programs: what it leaves alone, and the ways in which it may be installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipapp
from pathlib import Path

import pytest

from carob import App, Engine, Exited, State
from carob.errors import Unsupported
from tests.needs import require_command
from tests.root import host_view, interpreters

SOON_S = 60

# --- nothing of the process is changed ------------------------------------------------------------

_HOST = """
import asyncio, json, os, resource, signal, sys, threading, time
from carob import App, Engine

chld = 0


def count(*_):
    global chld
    chld += 1


os.umask(0o027)
signal.signal(signal.SIGCHLD, count)
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
os.environ["HOSTS_OWN"] = "1"
one = threading.Thread(target=int)  # the C library catches a signal of its own from the first thread on
one.start()
one.join()
while len(os.listdir("/proc/self/task")) > 1:  # it is joined a moment before the kernel has forgotten it
    time.sleep(0.001)


def own():
    # /proc/self/status: mask, caught and ignored signals, ids, capabilities, no_new_privs, seccomp, umask
    lines = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
    changing = ("Vm", "Rss", "Hugetlb", "voluntary", "nonvoluntary", "State", "Threads", "SigQ")
    seen = {name: lines[name] for name in lines if not name.startswith(changing)}
    seen["cwd"] = os.getcwd()
    seen["environment"] = sorted(os.environ.items())
    seen["handlers"] = [repr(signal.getsignal(number)) for number in range(1, 65)]
    seen["limits"] = [resource.getrlimit(number) for number in range(16)]
    seen["ids"] = [os.getsid(0), os.getpgid(0), os.getpriority(os.PRIO_PROCESS, 0)]
    names = sorted(os.listdir("/proc/self/ns"))
    seen["namespaces"] = [os.readlink(f"/proc/self/ns/{name}") for name in names]
    for name in ("cgroup", "mountinfo", "oom_score_adj", "timerslack_ns", "coredump_filter", "personality"):
        seen[name] = open(f"/proc/self/{name}").read()
    seen["interpreter"] = [sys.getswitchinterval(), sys.getrecursionlimit(), repr(sys.excepthook), sys.path]
    seen["wakeup"] = signal.set_wakeup_fd(-1)
    return seen


def settled():
    # What may last a moment, looked at until it is as few as it was.
    descriptors = os.listdir("/proc/self/fd")
    return {
        "descriptors": sorted(fd for fd in descriptors if os.path.exists(f"/proc/self/fd/{fd}")),
        "threads": len(os.listdir("/proc/self/task")),
        "python threads": [thread.name for thread in threading.enumerate()],
        "children": open("/proc/self/task/%d/children" % os.getpid()).read(),
    }


def use(engine):
    with engine.run(App("busybox", ["sleep", "1000"])) as pod:
        assert pod.exec(["cat"], input=b"x" * 100_000).stdout == b"x" * 100_000
        pod.stop(grace_s=0.1)
    prepared = engine.prepare(App("busybox", ["sh", "-c", "echo hi"]))
    prepared.run()
    assert list(prepared.follow_logs())[0][1].data == b"hi"
    prepared.wait(timeout_s=60)
    engine.list()
    prepared.remove()
    children = chld
    engine.gc(grace_s=0)
    return children


engine = Engine(sys.argv[1], launcher=sys.argv[2:])
before, before_settled = own(), settled()
children = use(engine)
deadline = time.monotonic() + 20
while settled() != before_settled and time.monotonic() < deadline:
    time.sleep(0.01)
after = own()
print(json.dumps({
    "changed": {name: [before[name], after[name]] for name in before if before[name] != after[name]},
    "left": None if settled() == before_settled else [before_settled, settled()],
    "sigchld": children,
}))
"""


def test_nothing_of_the_process_is_changed(
    engine: Engine, tmp_path: Path, supervisor_launcher: tuple[str, ...]
) -> None:
    said = json.loads(
        interpreters.run(
            [sys.executable, "-c", _HOST, engine.data_dir, *supervisor_launcher],
            cwd=tmp_path,
        )
    )
    assert said["changed"] == {}
    assert said["left"] is None
    # The starter of a supervisor is a child for a moment, and is reaped before the call returns. So are those
    # whom gc asks for the host's rules; how many depends on what networks were used since boot.
    assert said["sigchld"] <= 2


_REAPING = (
    "def reap(*_):\n"
    "    try:\n"
    "        while os.waitpid(-1, os.WNOHANG)[0]: pass\n"
    "    except ChildProcessError: pass\n"
    "signal.signal(signal.SIGCHLD, reap)\n"
)
_HOSTS = {
    "ignores SIGCHLD": "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
    "reaps every child": _REAPING,
    # It gets every orphan below it, supervisors too, and has to reap them: PR_SET_CHILD_SUBREAPER.
    "is a subreaper": _REAPING + "import ctypes; assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0",
    "is interrupted all the time": (
        "signal.signal(signal.SIGALRM, lambda *_: None)\nsignal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)"
    ),
    "uses few descriptors below 1024": "import resource; [os.open('/', os.O_RDONLY) for _ in range(1100)]",
    "has no standard streams": "[os.close(number) for number in (0, 1, 2)]",
    "has lost its working directory": "os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')",
    "has a strict umask": "os.umask(0o777)",
    "uses asyncio's thread for signals": "import asyncio; asyncio.new_event_loop().close()",
}


@pytest.mark.parametrize("host", _HOSTS)
def test_host_that(engine: Engine, tmp_path: Path, supervisor_launcher: tuple[str, ...], host: str) -> None:
    script = (
        "import os, signal, sys\n"
        "from carob import App, Engine\n"
        f"{_HOSTS[host]}\n"
        "engine = Engine(sys.argv[1], launcher=sys.argv[3:])\n"
        "with engine.run(App('busybox', ['sh', '-c', 'echo hi; sleep 1000'])) as pod:\n"
        "    done = pod.exec(['sh', '-c', 'cat; exit 4'], input='in', text=True)\n"
        "    pod.stop(grace_s=0)\n"
        "    end = pod.wait(timeout_s=60)\n"
        "    fine = (done.stdout, done.returncode, pod.logs().text()) == ('in', 4, 'hi\\n')\n"
        "    os.umask(0o022)\n"
        "    open(sys.argv[2], 'w').write('fine' if fine else repr((done, end)))\n"
        "assert engine.list() == []\n"
        "import time; deadline = time.monotonic() + 20\n"
        "while open('/proc/thread-self/children').read():\n"
        "    if time.monotonic() > deadline: os._exit(3)\n"
        "    time.sleep(0.01)\n"
        "os._exit(0)\n"
    )
    result = tmp_path / "result"
    child = subprocess.run(
        [sys.executable, "-c", script, engine.data_dir, str(result), *supervisor_launcher],
        env=interpreters.environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert (child.returncode, child.stderr) == (0, "")
    assert result.read_text() == "fine"


# --- ways to be installed -------------------------------------------------------------------------

_PROGRAM = """
import os, sys
import carob
from carob import App, Engine, Exited

with Engine(sys.argv[1]).run(App("busybox", ["sh", "-c", "echo hi; sleep 1000"])) as pod:
    monitor = pod.status().monitor_pid
    print(os.readlink(f"/proc/{monitor}/exe"))
    assert pod.exec(["sh", "-c", "exit 4"]).returncode == 4
    pod.stop(grace_s=0)
    assert pod.logs().text() == "hi\\n"
print(carob.__file__)
"""


def check(said: str, *, package: Path) -> str:
    """Look at what the program said; return the interpreter of its supervisor."""
    interpreter, file = said.splitlines()
    assert Path(file).is_relative_to(package)
    return interpreter


def test_zipapp(engine: Engine, tmp_path: Path) -> None:
    tree = interpreters.copy_package(tmp_path / "tree")
    (tree / "__main__.py").write_text(_PROGRAM)
    archive = tmp_path / "program.pyz"
    zipapp.create_archive(tree, archive, compressed=True)
    shutil.rmtree(tree)
    said = interpreters.run([sys.executable, archive, engine.data_dir], with_sources=False)
    assert check(said, package=archive) == os.path.realpath(sys.executable)


def test_install_that_nobody_can_write_to_and_without_compiled_files(engine: Engine, tmp_path: Path) -> None:
    unshare = require_command("unshare")
    package = interpreters.copy_package(tmp_path / "install")
    # Root may write to anything but what is mounted read-only; in a namespace of its own, to leave nothing.
    script = (
        'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" &&'
        ' ! touch "$1/x" 2>/dev/null && shift && exec "$@"'
    )
    program = f"import sys; sys.path.insert(0, {str(package)!r})\n{_PROGRAM}"
    command: list[str | Path] = [
        unshare,
        "--mount",
        "sh",
        "-c",
        script,
        "sh",
        package,
        sys.executable,
        "-c",
        program,
    ]
    said = interpreters.run([*command, engine.data_dir], with_sources=False)
    check(said, package=package)
    assert list(package.rglob("__pycache__")) == []


@pytest.mark.parametrize("options", [[], ["--copies"]], ids=["links", "copies"])
@pytest.mark.parametrize("which", ["this Python", "newest Python"])
def test_virtual_environment(engine: Engine, tmp_path: Path, which: str, options: list[str]) -> None:
    base = sys.executable if which == "this Python" else interpreters.newest()
    python = make_venv(base, tmp_path / "venv", *options)
    said = interpreters.run([python, "-c", _PROGRAM, engine.data_dir], with_sources=False)
    interpreter = check(said, package=tmp_path / "venv")
    assert interpreter == interpreters.run(
        [base, "-I", "-c", "import os, sys; print(os.path.realpath(sys._base_executable), end='')"]
    )


def make_venv(base: str, directory: Path, *options: str) -> Path:
    """Make a virtual environment with a copy of carob in it; return its Python."""
    interpreters.run([base, "-m", "venv", "--without-pip", *options, directory], with_sources=False)
    (site,) = directory.glob("lib/python3.*/site-packages")
    interpreters.copy_package(site)
    return directory / "bin/python"


def test_live_pod_goes_on_and_is_collected_after_its_environment_was_deleted(
    engine: Engine, tmp_path: Path
) -> None:
    python = make_venv(sys.executable, tmp_path / "venv", "--copies")
    program = (
        "import sys; from carob import App, Engine\n"
        "loop = 'trap \"exit 5\" TERM; while :; do echo tick; sleep 0.02; done'\n"
        "for end in ('stop', 'end', 'kill'):\n"
        "    print(Engine(sys.argv[1]).run(App('busybox', ['sh', '-c', loop]), name=end).uuid)\n"
    )
    said = interpreters.run([python, "-c", program, engine.data_dir], with_sources=False)
    shutil.rmtree(tmp_path / "venv")
    stopped, ended, killed = pods = [engine.get(uuid) for uuid in said.split()]
    for pod in pods:
        status = pod.status()
        assert (status.state, status.ready, status.warnings) == (State.RUNNING, True, ())
        assert pod.exec(["sh", "-c", "cat; exit 4"], input="in", text=True).stdout == "in"
        before = len(pod.logs().bytes())
        host_view.eventually("it writes on", lambda pod=pod, before=before: len(pod.logs().bytes()) > before)
    stopped.stop()
    ended.signal(15)
    killed.kill()
    assert stopped.wait(timeout_s=0).apps == {"busybox": Exited(5)}
    assert (stopped.status().outcome, stopped.status().state) == ("stopped", State.EXITED)
    assert ended.wait(timeout_s=SOON_S).apps == {"busybox": Exited(5)}
    assert killed.status().outcome == "killed"
    collected = engine.gc(grace_s=0)
    assert sorted(collected.deleted) == sorted(pod.uuid for pod in pods)
    assert collected.problems == []
    for pod in pods:
        host_view.nothing_left(engine.data_dir, pod.uuid)


# --- the interpreter ------------------------------------------------------------------------------


def test_interpreter_can_be_chosen(engine: Engine, rootfs: Path) -> None:
    wanted = interpreters.newest()
    mine = Engine(engine.data_dir, python=wanted)
    with mine.run(App("busybox", ["sleep", "1000"])) as pod:
        monitor = host_view.keeper(host_view.pod_directory(engine.data_dir, pod.uuid), "monitor")
        assert os.path.realpath(f"/proc/{monitor}/exe") == os.path.realpath(wanted)
        assert pod.exec(["true"]).returncode == 0


@pytest.mark.parametrize("kind", ["nothing", "shim", "directory", "not Python"])
def test_wrong_interpreter_is_named_and_leaves_nothing(engine: Engine, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "python3"
    if kind == "shim":
        path.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        path.chmod(0o755)
    elif kind == "directory":
        path.mkdir()
    elif kind == "not Python":
        path = Path("/bin/true")
    mine = Engine(engine.data_dir, python=str(path))
    with pytest.raises(Unsupported) as failed:
        mine.run(App("busybox", ["true"]))
    assert str(path) in failed.value.message
    assert "Engine(python=" in failed.value.hint
    assert host_view.pod_directories(engine.data_dir) == []


def test_interpreter_that_is_too_old_says_so(engine: Engine) -> None:
    old = interpreters.older_than_supported()
    mine = Engine(engine.data_dir, python=old)
    with pytest.raises(Exception, match=r"3\.11") as failed:
        mine.run(App("busybox", ["true"]))
    assert old in str(failed.value)
    assert host_view.pod_directories(engine.data_dir) == []
