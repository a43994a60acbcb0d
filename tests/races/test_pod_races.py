"""Real processes race for pods: one wins, the others lose by name, and nobody sees what never was."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from carob.pod import Outcome, Pod, Policy, collect_garbage, open_pod, pods, scan
from carob.pod.directory import make_directories
from carob.pod.state import Directory, State, states_after
from tests.unit.pod.made import MANIFEST, UUID, make, uuid_of

RACERS = 64

# Each racer opens the pod, says so, waits for the start, does its part and tells what became of it.
RACER = """
import os, sys, time
data_dir, uuid, verb, *path = sys.argv[1:]
sys.path[:0] = path
from carob.errors import Conflict, LostRace
from carob.pod import collect_garbage, open_pod, remove_pod
from carob.pod.collect import Outcome, Policy
pod = open_pod(data_dir, uuid)
print("ready", flush=True)
sys.stdin.readline()
began = time.monotonic()
try:
    if verb == "run":
        pod.to_run()
        print("won", flush=True)
        sys.stdin.readline()
    elif verb == "rm":
        remove_pod(pod, alive=lambda pod: False, clean_up=lambda pod: None)
        print("won", flush=True)
    elif verb == "gc":
        patience = Policy(grace_s=0, expire_prepared_s=0)
        done = collect_garbage(data_dir, patience, alive=lambda pod: False, clean_up=lambda pod: None)
        failed = [one for one in done if one.outcome is Outcome.FAILED]
        deleted = any(one.outcome is Outcome.DELETED for one in done)
        print(f"failed {failed}" if failed else "won" if deleted else "nothing", flush=True)
except LostRace as lost:
    print(f"lost {lost.state} {time.monotonic() - began < 5}", flush=True)
except Conflict as refused:
    print(f"refused {refused.message}", flush=True)
"""


def start(data_dir: str, uuid: str, verb: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RACER, data_dir, uuid, verb, *sys.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def race(racers: list[subprocess.Popen[str]]) -> list[str]:
    """Starts all at once; what each said first."""
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    return [racer.stdout.readline().strip() for racer in racers if racer.stdout is not None]


def finish(racers: list[subprocess.Popen[str]]) -> None:
    for racer in racers:
        racer.communicate("end\n")
        assert racer.returncode == 0


def test_one_of_many_runs_the_pod_and_the_others_lose_by_name(data_dir: str) -> None:
    make(data_dir, Directory.PREPARED, pod=MANIFEST)
    racers = [start(data_dir, UUID, "run") for _ in range(RACERS)]
    said = Counter(race(racers))
    with open_pod(data_dir, UUID) as pod:
        assert pod.state() is State.RUNNING
    finish(racers)
    assert said == {"won": 1, "lost running True": RACERS - 1}
    with open_pod(data_dir, UUID) as pod:
        assert pod.state() is State.EXITED


@pytest.mark.parametrize("attempt", range(4))
def test_removing_collecting_and_running_one_pod(data_dir: str, attempt: int) -> None:
    """Either somebody runs it, and then it is there still, or it is gone."""
    make(data_dir, Directory.PREPARED, pod=MANIFEST)
    verbs = ["run", "rm", "gc"] * 4
    racers = [start(data_dir, UUID, verb) for verb in verbs]
    said = race(racers)
    ran = [verb for verb, words in zip(verbs, said, strict=True) if words == "won" and verb == "run"]
    deleted = [verb for verb, words in zip(verbs, said, strict=True) if words == "won" and verb != "run"]
    assert len(ran) <= 1
    found = dict(scan(data_dir))
    if ran:
        assert found == {UUID: State.RUNNING}
        assert deleted == []
    else:
        assert found == {}
        assert len(deleted) == 1
    assert [words for words in said if words.startswith("failed")] == []
    for words in said:
        if words.startswith("lost"):
            assert State(words.removeprefix("lost ").rsplit(" ", 1)[0]) in states_after(State.PREPARED)
    finish(racers)


CHURN = """
import os, random, sys
data_dir, seed, *path = sys.argv[1:]
sys.path[:0] = path
from carob.pod import delete, new_pod
chance = random.Random(int(seed))
print("ready", flush=True)
while True:
    with new_pod(data_dir) as pod:
        if chance.random() < 0.2:
            pod.unlock()
            pod.to_garbage()
            delete(pod)
            continue
        if chance.random() < 0.5:
            pod.to_prepared()
        pod.to_run()
        pod.unlock()
        pod.to_exited_garbage()
        delete(pod)
"""

HOLDER = """
import fcntl, os, sys
held = []
for path in sys.stdin.read().split():
    fd = os.open(path, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    held.append(fd)
print("held", flush=True)
while True:
    import signal
    signal.pause()
"""

# Takes and drops locks of its own as fast as it can: in the lock table they come before those of others,
# and each one dropped can hide another at a seam of a read.
SHAKER = """
import fcntl, os, sys
fds = [os.open(path, os.O_RDONLY) for path in sys.argv[1:]]
print("ready", flush=True)
while True:
    for fd in fds:
        fcntl.flock(fd, fcntl.LOCK_EX)
    for fd in fds:
        fcntl.flock(fd, fcntl.LOCK_UN)
"""


def test_a_thousand_live_pods_are_listed_right_under_churn(data_dir: str, tmp_path: Path) -> None:
    """Steady pods are told right every time, none is lost or doubled, and nothing is broken."""
    make_directories(data_dir)
    steady = {}
    paths = []
    for number in range(1000):
        paths.append(make(data_dir, Directory.RUN, uuid_of(number)))
        steady[uuid_of(number)] = State.RUNNING
    for number, directory in enumerate((Directory.PREPARE, Directory.PREPARED, Directory.RUN) * 20, 2000):
        make(data_dir, directory, uuid_of(number))
        steady[uuid_of(number)] = {
            Directory.PREPARE: State.ABORTED_PREPARE,
            Directory.PREPARED: State.PREPARED,
            Directory.RUN: State.EXITED,
        }[directory]
    others = []
    for number in range(20):
        (tmp_path / f"other{number}").mkdir()
        others.append(str(tmp_path / f"other{number}"))
    commands = [[sys.executable, "-c", CHURN, data_dir, str(seed), *sys.path] for seed in range(2)]
    commands.append([sys.executable, "-S", "-c", SHAKER, *others])
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    holder = subprocess.Popen(
        [sys.executable, "-S", "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdin is not None
        holder.stdin.write("\n".join(paths))
        holder.stdin.close()
        for process in [holder, *processes]:
            assert process.stdout is not None
            process.stdout.readline()
        deadline = time.monotonic() + 6
        rounds = 0
        while time.monotonic() < deadline:
            broken: list[object] = []
            found = scan(data_dir, broken=broken.append)
            assert broken == []
            assert len(dict(found)) == len(found)
            states = dict(found)
            assert {uuid: states.get(uuid) for uuid in steady} == steady
            rounds += 1
        assert rounds > 5
        walked = [pod for pod in pods(data_dir) if isinstance(pod, Pod)]
        assert {pod.uuid: pod.state() for pod in walked if pod.uuid in steady} == steady
    finally:
        for process in [holder, *processes]:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


ALWAYS_PREPARED = """
import sys
data_dir, *path = sys.argv[1:]
sys.path[:0] = path
from carob.pod import delete, new_pod
print("ready", flush=True)
while True:
    with new_pod(data_dir) as pod:
        pod.to_prepared()
        pod.to_garbage()
        delete(pod)
"""


def test_no_state_is_seen_that_never_was(data_dir: str) -> None:
    """Pods that are prepared and thrown away: never is one aborted, running or exited."""
    make_directories(data_dir)
    churning = [
        subprocess.Popen(
            [sys.executable, "-c", ALWAYS_PREPARED, data_dir, *sys.path], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    seen: Counter[State] = Counter()
    try:
        for process in churning:
            assert process.stdout is not None
            process.stdout.readline()
        deadline = time.monotonic() + 4
        while time.monotonic() < deadline:
            seen.update(state for _, state in scan(data_dir))
            for uuid, _ in scan(data_dir):
                pod = Pod(data_dir, uuid, State.EMBRYO)
                seen[pod.refresh()] += 1
    finally:
        for process in churning:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
    never = {State.ABORTED_PREPARE, State.RUNNING, State.EXITED, State.EXITED_GARBAGE, State.EXITED_DELETING}
    assert not never & set(seen)
    assert seen[State.PREPARING] + seen[State.PREPARED] > 0


def test_many_collectors_at_once_and_some_are_killed(data_dir: str) -> None:
    for number in range(120):
        directory = (Directory.RUN, Directory.PREPARE, Directory.EXITED_GARBAGE)[number % 3]
        make(data_dir, directory, uuid_of(number), pod=MANIFEST, stage1__rootfs__a__b=b"x", carob__end=b"{}")
    make(data_dir, Directory.EMBRYO, UUID)
    collectors = [start(data_dir, UUID, "gc") for _ in range(6)]
    for racer in collectors:
        assert racer.stdout is not None
        racer.stdout.readline()
    for racer in collectors:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    for racer in collectors[:3]:
        time.sleep(0.01)
        racer.kill()
    said = [racer.communicate("end\n")[0] for racer in collectors]
    assert [words for words in said if "failed" in words] == []
    for uuid, state in scan(data_dir):
        # Whatever is left still says what it was: the manifest goes last.
        if state is State.EXITED_GARBAGE:
            left = os.listdir(f"{data_dir}/pods/exited-garbage/{uuid}")
            assert "pod" in left or left == []
    last = collect_garbage(data_dir, Policy(grace_s=0), alive=lambda pod: False, clean_up=lambda pod: None)
    assert {one.outcome for one in last} <= {Outcome.DELETED}
    assert scan(data_dir) == []
