"""What root's pods do, done by a plain user's: their life, streams, files, volumes, switches and deaths."""

from __future__ import annotations

import json
from typing import Any

from tests.root.test_rootless import START
from tests.root.test_rootless import root_tar as root_tar  # noqa: PLC0414 - a fixture
from tests.root.test_unpack_userns import Account
from tests.root.test_unpack_userns import user as user  # noqa: PLC0414 - a fixture

MORE = (
    START
    + """
import socket, subprocess
from carob import CallSet, EmptyVolume, File, ImageVolume, MemoryVolume, NamedVolume, Security
from carob.engine.request.log_limits import LogLimits
here = os.path.dirname(sys.argv[2])

def until(look):
    end = time.monotonic() + 30
    while not (found := look()):
        assert time.monotonic() < end
        time.sleep(0.005)
    return found

def words(pod, script, app=None):
    return pod.exec(["sh", "-c", "exec 2>&1;" + script], app=app, text=True).stdout.split()
"""
)

LIFE = (
    MORE
    + """
polite = "trap 'echo c; exit 0' TERM; echo b; while :; do sleep 0.05; done"
with engine.run(sh("echo a", name="first", role="init"), sh(polite, name="side", role="sidecar"),
                sh("test -e /x && exit 0; touch /x; exit 4", name="main", restart="on-failure")) as pod:
    told["ends"] = {name: str(one) for name, one in pod.wait(timeout_s=60).apps.items()}
    told["restarts"] = pod.status().app("main").restarts
    told["said"] = pod.logs("first").text() + pod.logs("side").text()
    told["timeline"] = [event.kind for event in pod.timeline() if event.app in ("", "first")]

prepared = engine.prepare(sh("exec sleep 1000"))
told["prepared"] = str(prepared.status().state)
prepared.run()
prepared.kill()
told["killed"] = prepared.status().outcome
prepared.remove()
for victims in (["init"], ["monitor"], ["init", "monitor"], ["monitor", "init"]):
    pod = engine.run(sh("setsid sleep 1000 & exec sleep 1000"))
    status = pod.status()
    for which in victims:
        os.kill(status.pid if which == "init" else status.monitor_pid, 9)
    if victims == ["monitor"]:
        told["alone"] = [str(pod.status().state), *words(pod, "echo fine")]
        pod.remove(force=True)
    else:
        pod.wait(timeout_s=60)
told["gc"] = [len(engine.gc(grace_s=0).deleted), [str(one.state) for one in engine.list()]]
print(json.dumps(told))
"""
)

DAY = (
    MORE
    + """
apps = [
    sh("trap 'echo got' USR1; echo up; while :; do sleep 0.01; done", name="x"),
    App("busybox", ["cat"], name="in", stdin="stream"),
    App("busybox", ["cat"], name="terminal", stdin="tty"),
    sh("mkdir /www; echo hi >/www/index.html; exec httpd -f -h /www -p 8080", name="web"),
]

def answer(place):
    try:
        with socket.create_connection(place) as one:
            one.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
            said = b""
            while part := one.recv(1000):
                said += part
            return said.decode().split()[-1:]
    except OSError:
        return ""

with engine.run(*apps, log_limits=LogLimits(20000, 2)) as pod:
    until(lambda: "up" in pod.logs("x").text())
    pod.signal(10, app="x")
    until(lambda: "got" in pod.logs("x").text())
    pod.restart(app="x", grace_s=0)
    told["again"] = pod.status().app("x").restarts
    for name in ("in", "terminal"):
        with pod.attach(app=name) as attached:
            attached.write(b"hello\\n")
        until(lambda: "hello" in pod.logs(name).text())
    with pod.start(["sh", "-c", "stty size; exit 3"], app="x", tty=True, size=(11, 77)) as execution:
        told["size"] = [str(execution.wait()), *os.read(execution.stdout, 100).decode().split()]
    with pod.port_forward("127.0.0.1:0:8080") as forward:
        told["forwarded"] = until(lambda: answer(forward.ports[0]))
    os.makedirs(here + "/tree/inner")
    with open(here + "/tree/inner/file", "w") as file:
        file.write("content")
    pod.copy_in(here + "/tree", "/tmp", app="x")
    pod.copy_out("/tmp/tree/inner/file", here + "/back", app="x")
    with open(here + "/back") as file:
        told["copied"] = file.read()
    following = pod.follow_logs()
    told["followed"] = next(following)[0] in {app.name for app in apps}
    following.close()
    pod.stop(grace_s=0)
    pod.export(here + "/x.tar", app="x")
    told["exported"] = subprocess.run(
        ["tar", "-xOf", here + "/x.tar", "tmp/tree/inner/file"], capture_output=True, text=True).stdout
    pod.commit("made", app="x")
    told["committed"] = said(App("made", ["cat", "/tmp/tree/inner/file"]))
with engine.run(sh("echo written"), log_driver="journald") as pod:
    pod.wait(timeout_s=60)
    found = [top for top, _, names in os.walk(engine.data_dir + "/pods") if "system.journal" in names]
    told["journals"] = len(found)
told["stood by"] = []
with Engine(sys.argv[2], standby=1) as ready:
    for _ in range(2):
        with ready.run(sh("exit 6")) as pod:
            told["stood by"].append(str(pod.wait(timeout_s=60).apps["busybox"]))
print(json.dumps(told))
"""
)

INSIDE = (
    MORE
    + """
one = sh(
    "exec sleep 1000", name="one", files=[File("/run/secret", "hush", mode=0o400)],
    mounts=[Mount(EmptyVolume("shared"), "/e"), Mount(MemoryVolume(size_bytes=1 << 20), "/m"),
            Mount(NamedVolume("kept"), "/n"), Mount(ImageVolume("busybox"), "/i")],
    security=Security(read_only_rootfs=True, ulimits={"nofile": 77}, cap_drop=["ALL"], umask=0o77,
                      seccomp=CallSet("remove", ["mkdir"], "ENOSYS")),
)
two = sh("exec sleep 1000", name="two", mounts=[Mount(EmptyVolume("shared"), "/e")])
switches = {"sysctls": {"net.core.somaxconn": "77"}, "hosts": {"db": "10.9.9.9"}, "ipc": "private"}
with engine.run(one, two, hostname="mine", **switches) as pod:
    told["volumes"] = words(pod, "touch /e/x /n/x /m/y && echo made; cat /dev/zero 2>&- >/m/z || echo full;"
                                 " ls /i/bin/busybox; touch /no 2>&- || echo sealed", "one")
    told["secret"] = words(pod, "cat /run/secret; echo; stat -c %a /run/secret", "one")
    told["shared"] = words(pod, "ls /e", "two")
    told["switches"] = words(pod, "ulimit -n; umask; mkdir /m/q 2>&- || echo filtered;"
                                  " cat /proc/sys/net/core/somaxconn; grep CapBnd /proc/self/status", "one")
    told["names"] = words(pod, "hostname; grep -c db /etc/hosts", "one")
    ipc = [words(pod, "readlink /proc/self/ns/ipc", name) for name in ("one", "two")]
    told["private"] = ipc[0] != ipc[1]
told["kept"] = [volume.name for volume in engine.volumes.list()]
engine.volumes.remove("kept")
with engine.run(sh("exec sleep 1001", name="one"), sh("exec sleep 1000", name="two"), pid="pod") as pod:
    told["processes"] = "1001" in words(pod, "cat /proc/[0-9]*/cmdline | tr '\\\\0' ' '", "two")
print(json.dumps(told))
"""
)


def told(user: Account, program: str, root_tar: str) -> dict[str, Any]:
    run = user.run(program, root_tar, check=False)
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def test_they_live_and_die_as_roots_do(user: Account, root_tar: str) -> None:
    assert told(user, LIFE, root_tar) == {
        "ends": {"first": "Exited(code=0)", "side": "Exited(code=0)", "main": "Exited(code=0)"},
        "restarts": 1,
        "said": "a\nb\nc\n",
        "timeline": ["prepared", "started", "app-started", "app-ended", "ended"],
        "prepared": "prepared",
        "killed": "killed",
        "alone": ["running", "fine"],
        "gc": [3, []],
    }


def test_a_days_work(user: Account, root_tar: str) -> None:
    assert told(user, DAY, root_tar) == {
        "again": 1,
        "size": ["Exited(code=3)", "11", "77"],
        "forwarded": ["hi"],
        "copied": "content",
        "followed": True,
        "exported": "content",
        "committed": {"made": ["Exited(code=0)", "content"]},
        "journals": 1,
        "stood by": ["Exited(code=6)"] * 2,
    }


def test_volumes_files_switches_and_names(user: Account, root_tar: str) -> None:
    assert told(user, INSIDE, root_tar) == {
        "volumes": ["made", "full", "/i/bin/busybox", "sealed"],
        "secret": ["hush", "400"],
        "shared": ["x"],
        "switches": ["77", "0077", "filtered", "77", "CapBnd:", "0" * 16],
        "names": ["mine", "1"],
        "private": True,
        "kept": ["kept"],
        "processes": True,
    }
