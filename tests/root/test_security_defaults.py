"""What apps and executions may do by default, tried from inside, in pods of root and of a plain user."""

from __future__ import annotations

import json

import pytest

from carob import App, Engine
from tests.needs import require_command
from tests.root import host_view
from tests.root.test_rootless import START
from tests.root.test_rootless import root_tar as root_tar  # noqa: PLC0414 - a fixture
from tests.root.test_unpack_userns import Account
from tests.root.test_unpack_userns import user as user  # noqa: PLC0414 - a fixture

KEPT = (0, 1, 3, 4, 5, 6, 7, 8, 10, 18, 31)  # capabilities(7), as numbered in linux/capability.h
ALL_KEPT = f"{sum(1 << number for number in KEPT):016x}"
NONE = "0" * 16

MASKED = """\
/proc/acpi /proc/asound /proc/interrupts /proc/kcore /proc/keys /proc/latency_stats /proc/sched_debug
/proc/scsi /proc/timer_list /proc/timer_stats /sys/dev/block /sys/devices/virtual/powercap /sys/firmware
/sys/fs/selinux"""
SETTINGS = """\
/proc/sys/kernel/core_pattern /proc/sys/kernel/hostname /proc/sys/net/ipv4/ip_forward /proc/sys/vm/swappiness
/proc/irq/default_smp_affinity /proc/sysrq-trigger /sys/power/state /sys/kernel/mm/ksm/run
/sys/module/*/parameters/* /sys/block/*/queue/scheduler"""

# Each line tries something; where an app can do it that says so by a word of its own.
ATTEMPTS = rf"""
exec 2>/dev/null
masked="{MASKED}"
settings="{SETTINGS}"
for path in $masked; do
    if [ -d $path ]; then found=$(ls -A $path); else found=$(head -c 100 $path); fi
    [ -z "$found" ] || echo shows $path
done
for path in $settings; do
    [ ! -f $path ] || (: >>$path) && [ -f $path ] && echo writable $path
done
echo -999 >/proc/self/oom_score_adj && echo safe from the kernel
for path in /sys /sys/kernel /sys/fs/cgroup /sys/fs/cgroup/* /proc/sys /proc/irq /proc/bus /proc/fs; do
    mkdir $path/made && echo made $path/made
    mount -o remount,rw,bind $path && echo remounted $path
done
umount /proc/kcore && echo unmasked
mount -t tmpfs none /tmp && echo mounted
mount -t proc none /tmp && echo mounted proc
for kind in b c; do mknod /tmp/node $kind 1 1 && echo made a device; done
for path in /dev/mem /dev/kmem /dev/kvm /dev/fuse /dev/net/tun /dev/loop-control /dev/vda /dev/sda; do
    [ ! -e $path ] || echo has $path
done
find /dev -type b | sed 's/^/has /'
hostname other && echo renamed
for what in -n -m -p -U -i -u; do unshare $what true && echo unshare $what; done
nsenter -t 1 -n true && echo entered
ip link set lo down && echo network changed
ip link add x type dummy && echo interface made
arping -c 1 -w 1 -I lo 127.0.0.1 && echo raw packets
nice -n -5 true 2>&1 | grep -q . || echo nicer
ulimit -Hn 2000000 && echo more files than allowed
dmesg | head -n 1
rm -f /tmp/other; cp /bin/busybox /tmp/other; chmod 4755 /tmp/other
su worker -c '/tmp/other id -u' | grep -x 0 && echo gained
head -c 1 /proc/1/mem && echo read
"""
STATUS = "grep -E '^(Cap(Prm|Eff|Bnd|Amb)|NoNewPrivs|Seccomp):' /proc/self/status"
SEEN = f"{STATUS}; ({ATTEMPTS}); echo tried"
HELD = {"root": ALL_KEPT, "worker": NONE}


def check(said: str, user: str) -> None:
    lines = said.splitlines()
    assert dict(line.split(":\t") for line in lines[:6]) == {
        "CapPrm": HELD[user],
        "CapEff": HELD[user],
        "CapBnd": ALL_KEPT,
        "CapAmb": NONE,
        "NoNewPrivs": "1",
        "Seccomp": "2",
    }
    assert lines[6:] == ["tried"]


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_of_roots_pods(engine: Engine, runtime: str) -> None:
    require_command(runtime)
    apps = [App("busybox", ["sh", "-c", f"{SEEN}; exec sleep 1000"], name=user, user=user) for user in HELD]
    with engine.run(*apps, runtime=runtime) as pod:
        for name in HELD:
            host_view.eventually("it has tried all", lambda name=name: "tried\n" in pod.logs(name).text())
            check(pod.logs(name).text(), name)
            check(pod.exec(["sh", "-c", SEEN], app=name, text=True).stdout, name)


PLAIN = (
    START
    + """
apps = [sh(sys.argv[4] + "; exec sleep 1000", name=user, user=user) for user in ("root", "worker")]
with engine.run(*apps) as pod:
    for name in ("root", "worker"):
        while not (said := pod.logs(name).text()).endswith("tried\\n"):
            time.sleep(0.01)
        told[name] = [said, pod.exec(["sh", "-c", sys.argv[4]], app=name, text=True).stdout]
print(json.dumps(told))
"""
)


def test_of_a_users_pods(user: Account, root_tar: str) -> None:
    run = user.run(PLAIN, root_tar, SEEN, check=False)
    assert run.returncode == 0, run.stderr
    for name, said in json.loads(run.stdout).items():
        for one in said:
            check(one, name)
