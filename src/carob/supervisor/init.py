"""Init: PID 1 of the pod. It makes the pod's inside, starts the apps, and sees all of them end.

One thread, one poll. What wakes it: a child that ended, output of an app, a request on the control
socket, a word from the monitor. When init ends the kernel ends everything else in the pod, so the
way out is always short: write down what is known, and go.
"""

from __future__ import annotations

import os
import select
import time
from _signal import SIG_DFL, SIGCHLD, SIGHUP, SIGINT, SIGKILL, SIGTERM, set_wakeup_fd, signal  # type: ignore[import-not-found]
from _socket import socket

from carob.linux import cgroup, namespaces
from carob.protocol import plan as plans
from carob.supervisor import channel as channels
from carob.supervisor import identity, policy, root
from carob.supervisor.apps import App, read_file
from carob.supervisor.control import Control
from carob.supervisor.journal import note, note_failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn


def main(
    pod: int,
    plan: dict[str, Any],
    channel: socket,
    link: socket,
    hierarchies: list[str],
    path: str,
    callers: list[int],
) -> NoReturn:
    """Runs the pod behind descriptor ``pod``, at ``path``; never returns.

    ``callers`` are pidfds of processes that the pod's life is tied to.
    """
    status = 1
    try:
        init = Init(pod, plan, channel, link)
        init.enter(path, hierarchies)
        for caller in callers:
            init.tie(caller)
        init.run()
        status = 0
    except BaseException as error:  # noqa: BLE001 - PID 1 ends, whatever it was
        note_failure("init", error)
        _try_to_tell(channel, {"event": "failed", "message": f"{type(error).__name__}: {error}"})
    finally:
        os._exit(status)


def _try_to_tell(channel: socket, message: dict[str, Any]) -> None:
    try:
        channels.send(channel, message)
    except OSError:
        return


class Init:
    """The pod's one loop and what it knows."""

    def __init__(self, pod: int, plan: dict[str, Any], channel: socket, link: socket) -> None:
        self.pod = pod
        self.plan = plan
        self.channel: socket | None = channel
        self.link = link
        self.apps: dict[str, App] = {}
        self.unclaimed: dict[int, int] = {}
        self.handlers: dict[int, Callable[[], None]] = {}
        self.poll = select.poll()
        self.ties: list[int] = []
        self.stopping = ""
        self.reason = ""
        self.kill_at: float | None = None
        self.runtime_fd = os.open(plan["runtime"]["path"], os.O_RDONLY | os.O_CLOEXEC)
        self.control = Control(self)

    # -- getting there

    def enter(self, path: str, hierarchies: list[str]) -> None:
        """Makes the namespaces the pod's own: cgroup, names, network, root."""
        for hierarchy in hierarchies:
            group = self.plan["cgroup"] + ("/init" if hierarchy == cgroup.V2 else "")
            if hierarchy == cgroup.V2:
                os.makedirs(cgroup.directory(hierarchy, group), 0o755, exist_ok=True)
            cgroup.enter(hierarchy, group)
        namespaces.set_process_name("carob-init")
        namespaces.set_hostname(self.plan["hostname"])
        if self.plan["network"] != "host":
            namespaces.bring_loopback_up()
        for spec in self.plan["apps"]:
            self.apps[spec["name"]] = App(spec, self.plan["cgroup"], self.pod)
        root.build(path, self.plan, hierarchies)
        self.control.listen()
        self._catch_signals()
        if self.link.recv(16) != b"proceed":
            raise RuntimeError("the monitor ended before the pod was on its way")
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
        for app in self.apps.values():
            app.create(self.plan["runtime"]["name"], self.runtime_fd)
            for descriptor in app.outputs:
                self.watch(descriptor, self._output_handler(app, descriptor))
        while not self._is_over():
            for descriptor, _ in self.poll.poll(self._poll_ms()):
                handler = self.handlers.get(descriptor)
                if handler is not None:
                    handler()
            self._kill_when_due()
        self._finish()

    def _is_over(self) -> bool:
        return all(app.over for app in self.apps.values()) and not any(
            app.runtime_pid for app in self.apps.values()
        )

    def _output_handler(self, app: App, descriptor: int) -> Callable[[], None]:
        def handle() -> None:
            if descriptor in app.outputs and not app.drain(descriptor):
                self.forget(descriptor)

        return handle

    def _woken(self, reading: int) -> None:
        os.read(reading, 512)
        self._reap()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            self._ended(pid, status)
        if not self._runtime_busy():
            self.unclaimed.clear()

    def _ended(self, pid: int, status: int) -> None:
        for app in self.apps.values():
            if pid == app.runtime_pid:
                self._created(app, status)
                return
            if pid == app.pid:
                self._app_ended(app, status)
                return
        if not self.control.ended(pid, status):
            self.unclaimed[pid] = status

    def _runtime_busy(self) -> bool:
        return self.control.busy() or any(app.runtime_pid for app in self.apps.values())

    def claim_early_end(self, pid: int) -> int | None:
        """The status of a process that was reaped before the runtime had told its pid."""
        return self.unclaimed.pop(pid, None)

    def _created(self, app: App, status: int) -> None:
        app.claim(status)
        if app.failure is not None:
            code, message = app.failure
            note(f"app {app.name}: {message}")
            self._tell({"event": "failed", "app": app.name, "code": code, "message": message})
            self.stop("failed to start", f"app {app.name} could not be started: {message}")
            return
        early = self.claim_early_end(app.pid)
        if all(other.started_ns is not None for other in self.apps.values()):
            self._ready()
        if early is not None:
            self._app_ended(app, early)
        elif self.stopping:
            self._ask_to_end(app)

    def _ready(self) -> None:
        try:
            os.symlink("ready", f"{self.plan['status_dir']}/../supervisor-status", dir_fd=self.pod)
        except FileExistsError:
            return
        self._tell({"event": "ready"})
        if self.channel is not None:
            self.channel.close()
            self.channel = None

    def _tell(self, message: dict[str, Any]) -> None:
        if self.channel is not None:
            _try_to_tell(self.channel, message)

    def _app_ended(self, app: App, status: int) -> None:
        app.reap(status)
        for descriptor in list(app.outputs):
            self.forget(descriptor)
        app.drain_all()
        app.record(self.pod, self.plan["status_dir"])
        match policy.after_end([one.end for one in self.apps.values() if one.failure is None]):
            case policy.STOP:
                self.stop("app failed", f"app {app.name} failed")
            case _:
                pass

    # -- stopping

    def _hear_monitor(self) -> None:
        word = self.link.recv(16)
        if word == b"stop":
            self.stop("stopped", "the monitor was asked to stop")
        elif not word:
            self.forget(self.link.fileno())
            note("the monitor is gone; the pod goes on without it")

    def tie(self, pidfd: int) -> None:
        """Ends the pod as soon as the process behind ``pidfd`` is gone, and has it removed."""

        def caller_died() -> None:
            self._remember_end("killed", "the caller that the pod was tied to is gone")
            try:
                self.link.send(b"remove")
            finally:
                os._exit(0)

        self.watch(pidfd, caller_died)
        self.ties.append(pidfd)

    def untie(self) -> None:
        """Lets the pod outlive its callers again."""
        while self.ties:
            pidfd = self.ties.pop()
            self.forget(pidfd)
            os.close(pidfd)

    def stop(self, outcome: str, reason: str, *, grace_s: float | None = None) -> None:
        """Asks all apps to end, and sees to it after the grace."""
        grace = self.plan["grace_s"] if grace_s is None else grace_s
        deadline = time.monotonic() + grace
        if self.kill_at is None or deadline < self.kill_at:
            self.kill_at = deadline
        if not self.stopping:
            self.stopping, self.reason = outcome, reason
            for app in self.apps.values():
                self._ask_to_end(app)

    def _ask_to_end(self, app: App) -> None:
        if not app.pid:
            return
        number = app.stop_signal
        if policy.signal_would_be_lost(read_file(f"/proc/{app.pid}/status"), number):
            number = SIGKILL
        app.signal(number)

    def _poll_ms(self) -> int | None:
        if self.kill_at is None:
            return None
        return max(0, int((self.kill_at - time.monotonic()) * 1000) + 1)

    def _kill_when_due(self) -> None:
        if self.kill_at is not None and time.monotonic() >= self.kill_at:
            self.kill_at = None
            for app in self.apps.values():
                app.signal(SIGKILL)

    def _finish(self) -> None:
        for app in self.apps.values():
            app.drain_all()
        self._remember_end(self.stopping or "finished", self.reason)
        self.control.finish()

    def _remember_end(self, outcome: str, reason: str) -> None:
        text = identity.end_document(outcome, reason)
        identity.replace(self.pod, plans.END, text, durable=False)
