"""The monitor: the pod's keeper on the host's side.

It takes the pod's lock and renames it to ``run/`` (that is the start), makes init, and waits. When
init is gone, which is when its PID namespace is empty, it removes the cgroup and lets go of the
lock (that is the end). It lives in the host's namespaces and owns nothing that needs it to die well.
"""

from __future__ import annotations

import os
import select
import time
from _signal import SIG_IGN, SIGHUP, SIGINT, SIGTERM, set_wakeup_fd, signal
from _socket import socket
from fcntl import LOCK_EX, LOCK_NB, flock

from carob.linux import cgroup, freezer
from carob.linux.files import fsync_directory, move_noreplace, read_file, replace_file
from carob.protocol import plan as plans
from carob.supervisor import channel as channels
from carob.supervisor import early_words, identity, inheritance, removal, rest
from carob.supervisor.journal import note, note_failure, told

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from carob.supervisor.attaching import Attacher

_LOCK_TRIES = 50
_CGROUP_TRIES = 200


class LostRace(Exception):
    """Another process moved the pod first."""


class Init:
    """The pod's init as its monitor holds it: pid, pidfd and the link to talk over."""

    __slots__ = ("link", "pid", "pidfd")

    def __init__(self, pid: int, pidfd: int, link: socket) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.link = link


class Watch:
    """What a monitor that waits knows of its pod, and what it will do at its end.

    ``pod`` is the descriptor that holds the lock; ``of_host`` says that the pod is among the host's
    processes, so that init's end is not that of the others. ``remover`` is what takes the pod away if init
    says ``remove``; ``paused``, that apps were paused, ``resumer`` what becomes of a monitor that rests.
    """

    __slots__ = (
        "attacher", "group", "init", "of_host", "paused", "pod", "remove", "remover", "resumer", "target",
    )  # fmt: skip

    def __init__(
        self, pod: int, target: str, group: str, init: Init, attacher: Attacher | None, *, of_host: bool
    ) -> None:
        self.pod = pod
        self.of_host = of_host
        self.target = target
        self.group = group
        self.init = init
        self.attacher = attacher
        self.remover = removal.command(target)
        self.resumer = rest.command()
        self.remove = False
        self.paused = False

    def take_in(self, said: str) -> None:
        """Something that init said, by its first letter."""
        self.remove = self.remove or said == "r"
        self.paused = self.paused or said == "p"

    def rest(self) -> None:
        """Becomes something smaller that waits as well; returns where that cannot be."""
        kept = {"pod": [self.pod], "ports": self.attacher.ports if self.attacher is not None else []}
        known = {
            "init": self.init.pid,
            "target": self.target,
            "group": self.group,
            "of_host": self.of_host,
            "said": "r" * self.remove + "p" * self.paused,
            "places": self.attacher.places if self.attacher is not None else None,
        }
        rest.rest(self.resumer, self.init.link.fileno(), kept, known)


def resume(document: str, said: str = "") -> NoReturn:
    """Is the monitor again that rested; never returns."""
    status = 1
    try:
        wakeup = _catch_signals()
        known = rest.wake(document)
        pid = known["init"]
        init = Init(pid, os.pidfd_open(pid), socket(fileno=rest.LINK))
        attacher = None
        if known["places"] is not None:
            from carob.supervisor.attaching import Attacher

            attacher = Attacher.attached(known["target"], known["places"], known["kept"]["ports"])
        pod, group, of_host = known["kept"]["pod"][0], known["group"], bool(known.get("of_host"))
        watch = Watch(pod, known["target"], group, init, attacher, of_host=of_host)
        for letter in known["said"] + said:
            watch.take_in(letter)
        if said == rest.TERMINATE:
            _ask_to_stop(init.link)
        status = _stay(watch, wakeup)
    except BaseException as error:  # noqa: BLE001 - it ends, and says why
        note_failure("monitor, after a rest", error)
    finally:
        os._exit(status)


def main(channel_fd: int, caller: int, init: Init, attacher: Attacher | None = None) -> None:
    """Runs one pod from ``prepared`` to the end; never returns.

    Init prepares meanwhile what does not depend on the pod. Until the word to go both end with the
    caller, by the channel's end or by that of the process behind the pidfd ``caller`` (a forked child of the
    caller may keep the channel open).
    """
    channel = socket(fileno=channel_fd)
    status = 1
    try:
        inheritance.leave()
        cgroup.leave_to_root(os.getpid(), init.pid)
        message, callers = _first_message(channel, caller, init.pidfd)
        if message is not None and message.get("op") == "go":
            status = _keep(channel, init, attacher, message, callers)
    except LostRace:
        _tell(channel, {"event": "lost"})
    except BaseException as error:  # noqa: BLE001 - it ends, and says why
        note_failure("monitor", error)
        _tell(channel, told(error))
    finally:
        os._exit(status)


def _first_message(channel: socket, caller: int, init: int) -> tuple[dict[str, Any] | None, list[int]]:
    """The word to go, with its descriptors; nothing where the caller ends or lets go instead, or init ends.

    A caller whose pod is still to be prepared says ``soon``.
    """
    poll = select.poll()
    poll.register(channel.fileno(), select.POLLIN)
    poll.register(caller, select.POLLIN)
    poll.register(init, select.POLLIN)
    while True:
        ready = [descriptor for descriptor, _ in poll.poll()]
        if channel.fileno() not in ready or init in ready:
            return None, []
        message, descriptors = channels.receive(channel)
        if message is None or message.get("op") != "soon":
            os.close(caller)
            return message, descriptors
        _pay_for_cgroups()


def _pay_for_cgroups() -> None:
    """Makes the slow first write to a cgroup in a process of its own, as ``boot`` does."""
    child = os.fork()
    if child == 0:
        try:
            if os.fork() == 0:
                cgroup.leave_to_root(os.getpid())
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def _tell(channel: socket, message: dict[str, Any]) -> None:
    try:
        channels.send(channel, message)
    except OSError:
        return


def _keep(
    channel: socket, init: Init, attacher: Attacher | None, message: dict[str, Any], callers: list[int]
) -> int:
    """Takes the pod, sends init on its way, and stays to the end; returns the exit status."""
    target = message["target"]
    wakeup = _catch_signals()
    pod = _take(message["source"], target)
    early_words.hand_over(pod)
    plan = plans.read(read_file(plans.PLAN, dir_fd=pod))
    of_host = "pid" in plan.get("host_namespaces", ())
    watch = Watch(pod, target, plan["cgroup"], init, attacher, of_host=of_host)
    if attacher is not None and "owners" not in plan:
        attacher.attach(target, plan, init.pid)
    replace_file("ppid", b"%d" % os.getpid(), dir_fd=pod)
    group = plan["cgroup"]
    if group:
        cgroup.create(group, plan.get("hierarchies", ()))
    if "limits" in plan:
        from carob.linux import limits

        limits.apply(group, plan["limits"])
    if "unit" in plan:
        from carob.supervisor import unit

        unit.stay(plan["unit"], monitor=os.getpid(), init=init.pid)
    if of_host:
        cgroup.place_init(group, init.pid)  # before it makes anything: only the group holds them together
    replace_file("pid", b"%d" % init.pid, dir_fd=pod)
    identity.write(pod, init=init.pid, monitor=os.getpid())
    try:
        go = {"op": "go", "path": target, "contents": message["contents"]}
        channels.send(init.link, go, (pod, *callers))
        if "handed" in plan:
            from carob.supervisor import host_paths

            host_paths.hand_over(init.link, plan)
        if attacher is not None and "owners" in plan:
            _hear(init.link)  # that it is in its own network by now
            attacher.attach(target, plan, init.pid)
    except OSError:
        note("init ended before the pod was on its way")
    # Beside what init does now; the apps' own groups are the runtime's to enter.
    try:
        if group and not of_host:
            cgroup.place_init(group, init.pid)
    except OSError as error:
        note_failure("putting init into the pod's cgroup", error)
    channel.close()
    channels.close_all(callers)
    return _stay(watch, wakeup)


def _stay(watch: Watch, wakeup: int) -> int:
    """Waits for the pod's end, and does what is to be done then; returns the exit status."""
    _wait(watch, wakeup)
    detacher = watch.attacher.succeed() if watch.attacher is not None else None
    _end(watch.pod, watch.group, watch.init.pid, of_host=watch.of_host)
    if detacher is not None:
        detacher.wait()
    if watch.remove:
        removal.become_remover(watch.pod, watch.remover)
    return identity.exit_status(watch.pod)


def _take(source: str, target: str) -> int:
    """Locks the prepared pod and renames it to run; returns the descriptor that holds the lock.

    A probe of another process holds a shared lock for an instant, so a refused lock is tried again
    for as long as the pod is still there.
    """
    for attempt in range(_LOCK_TRIES):
        try:
            pod = os.open(source, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise LostRace from None
        try:
            flock(pod, LOCK_EX | LOCK_NB)
            # Another monitor may have moved it between opening and locking.
            if not os.path.samestat(os.stat(source), os.fstat(pod)):
                raise LostRace
            move_noreplace(source, target)
            fsync_directory(os.path.dirname(target))
        except BlockingIOError:
            os.close(pod)
            time.sleep(0.0002 * (attempt + 1))
        except (FileNotFoundError, LostRace):
            os.close(pod)
            raise LostRace from None
        else:
            return pod
    raise LostRace


def _catch_signals() -> int:
    """SIGTERM becomes a byte to poll for (a unit being stopped); what a terminal sends is ignored."""
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal(SIGTERM, lambda *_: None)
    signal(SIGINT, SIG_IGN)
    signal(SIGHUP, SIG_IGN)
    return reading


def _wait(watch: Watch, wakeup: int) -> None:
    """Waits for init's end, as somebody else after a while.

    A dying init closes the link before it waits for its children to die, and paused ones do not on v1.
    """
    pidfd, link, attacher = watch.init.pidfd, watch.init.link, watch.attacher
    poll = select.poll()
    for descriptor in (pidfd, wakeup, link.fileno()):
        poll.register(descriptor, select.POLLIN)
    attaching = attacher.fileno() if attacher is not None else -1
    if attaching >= 0:
        poll.register(attaching, select.POLLIN)
    may_rest = True
    while True:
        ready = [descriptor for descriptor, _ in poll.poll(int(rest.AFTER_S * 1000) if may_rest else None)]
        if not ready and attaching < 0:
            watch.rest()
            may_rest = False
        if link.fileno() in ready:
            said = _hear(link)
            watch.take_in(said[:1].decode())
            if not said:
                poll.unregister(link.fileno())
                may_rest = False
                if attacher is not None:
                    attacher.expect_end()
                if watch.paused and watch.group:
                    freezer.thaw_all(watch.group)
        if attacher is not None and attaching in ready:
            word = attacher.hear()
            if word is not None:
                poll.unregister(attaching)
                attaching = -1
                attacher.share_ports(link)
                _tell(link, word)
        if wakeup in ready:
            os.read(wakeup, 64)
            _ask_to_stop(link)
        if pidfd in ready and link.fileno() not in ready:
            return


def _hear(link: socket) -> bytes:
    try:
        return link.recv(16)
    except ConnectionResetError:  # init is dead, and had not read all that it was sent
        return b""


def _ask_to_stop(link: socket) -> None:
    try:
        link.send(b"stop")
    except OSError:
        return


def _end(pod: int, group: str, pid: int, *, of_host: bool) -> None:
    _, status = os.waitpid(pid, 0)
    if of_host:
        freezer.kill_all(group)
    try:
        identity.write_end_if_missing(pod, status)
    except OSError as error:
        note_failure("writing the pod's end", error)
    for attempt in range(_CGROUP_TRIES):
        busy = cgroup.remove(group) if group else []
        if not busy:
            return
        if of_host:
            freezer.kill_all(group)
        time.sleep(0.0005 if attempt < 20 else 0.01)
    note(f"these cgroups are still in use: {', '.join(busy)}")
