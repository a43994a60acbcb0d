"""Init: PID 1 of the pod. It makes the pod's inside, starts the apps, and sees all of them end.

One thread, one poll. What wakes it: a child that ended, output of an app, a request on the control
socket, a word from the monitor. When init ends the kernel ends everything else in the pod, so the
way out is always short: write down what is known, and go.
"""

from __future__ import annotations

import os
import select
import time
from _signal import SIG_DFL, SIGCHLD, SIGHUP, SIGINT, SIGTERM, set_wakeup_fd, signal
from _socket import socket

from carob.linux import cgroup, freezer, namespaces
from carob.linux.files import read_file
from carob.protocol import plan as plans
from carob.protocol.compact_json import loads
from carob.protocol.pod_network import CNI
from carob.supervisor import beginnings, early_words, identity, inheritance, policy, root
from carob.supervisor import channel as channels
from carob.supervisor.apps import App
from carob.supervisor.boot import OWNED
from carob.supervisor.control import Control
from carob.supervisor.course import Course
from carob.supervisor.followers import Followers
from carob.supervisor.journal import note, note_failure, told
from carob.supervisor.recording import Recorder
from carob.supervisor.runtime_program import Runtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from carob.linux.idmap import Mapping
    from carob.supervisor.adding import Adding
    from carob.supervisor.gate import Gate
    from carob.supervisor.journal_helper import JournalHelper
    from carob.supervisor.probes.course import Probes
    from carob.supervisor.user_namespace import UserNamespace


_LONGEST_SLEEP_S = 3600.0


def main(
    channel_fd: int, link: socket, network: str, runtime: str, kind: str, *, has_owners: bool
) -> NoReturn:
    """Runs the pod that the monitor sends over ``link``; never returns. ``kind`` is as in ``boot``.

    A user's pod ``has_owners`` of its own: init is root in its user namespace as soon as they are mapped.
    """
    channel = socket(fileno=channel_fd)
    status = 1
    try:
        inheritance.leave()
        if has_owners and link.recv(16) != b"mapped":
            os._exit(status)  # the monitor has said why
        init = Init(channel, link, network, runtime, kind, has_owners=has_owners)
        message, descriptors = channels.receive(link)
        if message is not None:
            contents = descriptors.pop() if message["contents"] else -1
            init.enter(message["path"], descriptors.pop(0), contents)
            for caller in descriptors:
                init.tie(caller)
            init.run()
        status = 0
    except BaseException as error:  # noqa: BLE001 - PID 1 ends, whatever it was
        note_failure("init", error)
        _try_to_tell(channel, told(error))
    finally:
        os._exit(status)


def _try_to_tell(channel: socket, message: dict[str, Any]) -> None:
    try:
        channels.send(channel, message)
    except OSError:
        return


class Init:
    """The pod's one loop and what it knows."""

    def __init__(
        self, channel: socket, link: socket, network: str, runtime: str, kind: str, *, has_owners: bool
    ) -> None:
        """Makes what does not depend on the pod: the network and the common part of the root."""
        self.channel: socket | None = channel
        self.link = link
        self.pod = -1
        self.plan: dict[str, Any] = {}
        self.apps: dict[str, App] = {}
        self.unclaimed: dict[int, int] = {}
        self.beginnings = beginnings.Beginnings()
        self.ports: list[int] = []
        self.handlers: dict[int, Callable[[], None]] = {}
        self.poll = select.poll()
        self.course = Course(self)
        self.followers = Followers(self)
        self.adding: Adding | None = None
        self.journal: JournalHelper | None = None
        self.probes: Probes | None = None
        self.control = Control(self)
        namespaces.set_process_name("carob-init")
        self.user_namespace: UserNamespace | None = None
        self.owners: Mapping | None = None
        if kind == OWNED:
            from carob.supervisor.user_namespace import UserNamespace

            self.user_namespace = UserNamespace(shares_network=network == "host")
        if network != "host":
            namespaces.bring_loopback_up()
            namespaces.open_network_to_all_users()
        # What is below a user's own groups, if there are any, is not for us yet.
        found = [] if has_owners else cgroup.hierarchies()
        self.hierarchies = [name for name in found if cgroup.holds_pods(name)]
        self.gate: Gate | None = None
        if network == CNI:
            from carob.supervisor.gate import Gate

            self.gate = Gate()
        self.root = root.Root(runtime, self.hierarchies, shares_network=network == "host")
        self.runtime = Runtime(runtime)

    # -- getting there

    def enter(self, path: str, pod: int, contents: int) -> None:
        """Takes on the pod behind descriptor ``pod``, at ``path``: its cgroup, names and root.

        ``contents`` is an open file with those of the pod's files, -1 for none.
        """
        self.pod = pod
        early_words.follow(pod)
        self.plan = plans.read(read_file(plans.PLAN, dir_fd=pod))
        group = self.plan["cgroup"]
        if self.user_namespace is not None:
            self.owners = self.user_namespace.map_owners(self.plan["owners"], self.root.top, pod)
            self.runtime.root = self.owners.outside(0, 0)
            self.tell_monitor(b"owned")
        if "host_namespaces" in self.plan or "sysctls" in self.plan:
            from carob.supervisor import kernel_settings

            kernel_settings.take_on(self.plan, pod)
        if "uts" not in self.plan.get("host_namespaces", ()):
            namespaces.set_hostname(self.plan["hostname"])
        for spec in self.plan["apps"]:
            self.apps[spec["name"]] = App(spec, group, pod, self.plan.get("log"))
        self.recorder = Recorder(pod, self.plan["status_dir"])
        if self.plan.get("journal"):
            from carob.supervisor.journal_helper import JournalHelper

            self.journal = JournalHelper(self.plan)
        if self.plan.get("mutable"):
            from carob.supervisor.adding import Adding

            self.adding = Adding(self)
        if any("probes" in app for app in self.plan["apps"]):
            from carob.supervisor.probes.course import Probes

            self.probes = Probes(self)
        self.root.enter(path, self.plan, self.link, contents, self.owners)
        if self.journal is not None:
            self.journal.start(self.followers)
        if self.gate is not None:
            self.gate.shut()
        self.control.listen()
        self._catch_signals()
        self.watch(self.link.fileno(), self._hear_monitor)

    def _catch_signals(self) -> None:
        reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        set_wakeup_fd(writing, warn_on_full_buffer=False)
        signal(SIGCHLD, lambda *_: None)
        signal(SIGTERM, SIG_DFL)
        signal(SIGINT, SIG_DFL)
        signal(SIGHUP, SIG_DFL)
        self.watch(reading, lambda: self._woken(reading))

    def watch(self, descriptor: int, handler: Callable[[], None]) -> None:
        """Calls ``handler`` whenever there is something to read."""
        self.handlers[descriptor] = handler
        self.poll.register(descriptor, select.POLLIN)

    def forget(self, descriptor: int) -> None:
        """The end of ``watch``, before the descriptor is closed."""
        if self.handlers.pop(descriptor, None) is not None:
            self.poll.unregister(descriptor)

    # -- living

    def run(self) -> None:
        """Starts the apps and stays until the pod is over."""
        self.course.advance()
        self.ready_if_all_started()
        while not self.course.is_over():
            due = [(ready, self.handlers.get(ready)) for ready, _ in self.poll.poll(self._poll_ms())]
            for descriptor, handler in due:
                # One handler may close what another's event was for, and its number be in use again.
                if handler is not None and self.handlers.get(descriptor) is handler:
                    handler()
            if self.recorder.step():
                self.followers.wake()  # who is attached waits for its end
            if self.adding is not None:
                self.adding.tell_of_ends()
            self._act_when_due()
        self._finish()

    def _output_handler(self, app: App, descriptor: int) -> Callable[[], None]:
        def handle() -> None:
            if descriptor in app.streams.outputs and not app.streams.drain(descriptor):
                self.forget(descriptor)
            self.followers.wake()

        return handle

    def _woken(self, reading: int) -> None:
        os.read(reading, 512)
        self._reap()

    def _reap(self) -> None:
        while True:
            try:
                ended = beginnings.reap()
            except ChildProcessError:
                break
            if ended is None:
                break
            self.beginnings.ended(ended[0])
            self._ended(*ended)
        if not self._runtime_busy():
            self.unclaimed.clear()

    def _ended(self, pid: int, status: int) -> None:
        for app in self.apps.values():
            if pid == app.runtime_pid:
                self.course.runtime_ended(app, status)
                return
            if pid == app.pid:
                self.course.ended(app, status)
                return
        if not self.control.executions.ended(pid, status):
            self.unclaimed[pid] = status

    def _runtime_busy(self) -> bool:
        return self.control.executions.busy() or any(app.runtime_pid for app in self.apps.values())

    def claim_early_end(self, pid: int) -> int | None:
        """The status of a process that was reaped before the runtime had told its pid."""
        status = self.unclaimed.pop(pid, None)
        if status is not None and os.path.exists(f"/proc/{pid}"):
            return None  # its number is another's by now
        return status

    def listen_to(self, app: App) -> None:
        """The app's output goes to its log from now on."""
        for descriptor in app.streams.outputs:
            self.watch(descriptor, self._output_handler(app, descriptor))

    def drain(self, app: App) -> None:
        """Takes the rest of the app's output: it has ended."""
        for descriptor in app.streams.outputs:
            self.forget(descriptor)
        app.streams.drain_all()
        self.followers.wake()

    def ready_if_all_started(self) -> None:
        """The pod is ready as soon as every app has been started once; one without, when it is attached."""
        is_shut = self.gate is not None and self.gate.is_shut
        started = all(app.started_ns is not None for app in self.apps.values())
        if self.channel is not None and started and not is_shut:
            self._ready()

    def _ready(self) -> None:
        try:
            os.symlink("ready", f"{self.plan['status_dir']}/../supervisor-status", dir_fd=self.pod)
        except FileExistsError:
            return
        except OSError as error:
            note_failure("writing that the pod is ready", error)
        if self.adding is None:
            self.runtime.settle()
        self.tell({"event": "ready"})
        if self.channel is not None:
            self.channel.close()
            self.channel = None

    def tell(self, message: dict[str, Any]) -> None:
        """A word to who started the pod, as long as that waits."""
        if self.channel is not None:
            _try_to_tell(self.channel, message)

    def tell_monitor(self, word: bytes) -> None:
        """A word to the monitor, where there is one."""
        try:
            self.link.send(word)
        except OSError:
            return

    # -- stopping

    def _hear_monitor(self) -> None:
        try:
            word, _, descriptors = channels.hear(self.link)
        except ConnectionResetError:
            word, descriptors = b"", []
        self.ports += descriptors
        if word == b"stop":
            self.course.stop("stopped", "the monitor was asked to stop")
        elif word.startswith(b"{"):
            self._hear_of_networks(loads(word))
        elif not word:
            self.forget(self.link.fileno())
            note("the monitor is gone; the pod goes on without it")
            if self.gate is not None and self.gate.is_shut:
                reason = "the pod's monitor was gone before its networks were there"
                self.course.stop("failed to start", reason, grace_s=0)

    def _hear_of_networks(self, message: dict[str, Any]) -> None:
        """The pod is attached, so its apps may begin; or it is not, so none of them ever does.

        Before that come the sockets that hold its ports of the host, which it keeps for as long as it lives.
        """
        assert self.gate is not None
        if message["op"] == "ports":
            return
        failure = message.get("failure")
        if failure is None:
            self.gate.open()
            self.ready_if_all_started()
            return
        self.tell({"event": "failed", **failure})
        self.course.stop("failed to start", failure["message"], grace_s=0)

    def tie(self, pidfd: int) -> None:
        """Ends the pod as soon as the process behind ``pidfd`` is gone, and has it removed."""

        def caller_died() -> None:
            try:
                self._end_what_is_left()
                self.recorder.finish(())
                self._remember_end("killed", "the caller that the pod was tied to is gone")
                self.tell_monitor(b"remove")
            finally:
                os._exit(0)

        self.watch(pidfd, caller_died)

    def _poll_ms(self) -> int | None:
        if self.recorder.busy:
            return 0
        probes_at = None if self.probes is None else self.probes.due_at()
        moments = (self.course.due_at(), self.control.listen_at, probes_at, self.beginnings.look_at)
        due = [at for at in moments if at is not None]
        if not due:
            return None
        left_s = min(min(due) - time.monotonic(), _LONGEST_SLEEP_S)  # poll(2) takes 24 days at most
        return max(0, int(left_s * 1000) + 1)

    def _act_when_due(self) -> None:
        now = time.monotonic()
        self.control.listen_when_due(now)
        self.beginnings.look_when_due(now)
        self.course.act(now)
        if self.probes is not None:
            self.probes.look(now)

    def _finish(self) -> None:
        for app in self.apps.values():
            app.streams.drain_all()
        self._end_what_is_left()
        self.recorder.finish(self.apps.values())
        outcome, reason = self.course.stopping or "finished", self.course.reason
        if not self.course.stopping and (failed := policy.failure(self.apps.values())):
            outcome, reason = "app failed", f"app {failed} failed"
        self._remember_end(outcome, reason)
        if self.journal is not None:
            self.journal.finish(self.followers)
        self.control.finish()

    def _end_what_is_left(self) -> None:
        """Among the host's processes init's end is not that of the others; and the monitor may be dead."""
        if "pid" in self.plan.get("host_namespaces", ()):
            for app in self.apps.values():
                freezer.kill_all(app.group)

    def _remember_end(self, outcome: str, reason: str) -> None:
        try:
            identity.write_end(self.pod, outcome, reason)
        except OSError as error:
            note_failure("writing the pod's end", error)
