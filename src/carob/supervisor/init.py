"""Init: PID 1 of the pod. It makes the pod's inside, starts the apps, and sees all of them end.

One thread, one poll. What wakes it: a child that ended, output of an app, a request on the control
socket, a word from the monitor. When init ends the kernel ends everything else in the pod, so the
way out is always short: write down what is known, and go.
"""

from __future__ import annotations

import os
import select
import time
from _signal import SIG_DFL, SIGCHLD, SIGHUP, SIGINT, SIGKILL, SIGTERM, set_wakeup_fd, signal
from _socket import socket

from carob.linux import cgroup, namespaces
from carob.linux.files import read_file
from carob.protocol import plan as plans
from carob.supervisor import channel as channels
from carob.supervisor import early_words, identity, inheritance, policy, root
from carob.supervisor.apps import App
from carob.supervisor.control import Control
from carob.supervisor.followers import Followers
from carob.supervisor.journal import note, note_failure
from carob.supervisor.recording import Recorder
from carob.supervisor.runtime_program import Runtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn


_LONGEST_SLEEP_S = 3600.0


def main(channel_fd: int, link: socket, network: str, runtime: str) -> NoReturn:
    """Runs the pod that the monitor sends over ``link``; never returns."""
    channel = socket(fileno=channel_fd)
    status = 1
    try:
        inheritance.leave()
        init = Init(channel, link, network, runtime)
        message, descriptors = channels.receive(link)
        if message is not None:
            init.enter(message["path"], descriptors.pop(0))
            for caller in descriptors:
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

    def __init__(self, channel: socket, link: socket, network: str, runtime: str) -> None:
        """Makes what does not depend on the pod: the network and the common part of the root."""
        self.channel: socket | None = channel
        self.link = link
        self.pod = -1
        self.plan: dict[str, Any] = {}
        self.apps: dict[str, App] = {}
        self.unclaimed: dict[int, int] = {}
        self.handlers: dict[int, Callable[[], None]] = {}
        self.poll = select.poll()
        self.stopping = ""
        self.reason = ""
        self.kill_at: float | None = None
        self.followers = Followers(self)
        self.control = Control(self)
        namespaces.set_process_name("carob-init")
        if network != "host":
            namespaces.bring_loopback_up()
        self.hierarchies = [name for name in cgroup.hierarchies() if cgroup.holds_pods(name)]
        self.root = root.Root(runtime, self.hierarchies)
        self.runtime = Runtime(runtime)

    # -- getting there

    def enter(self, path: str, pod: int) -> None:
        """Takes on the pod behind descriptor ``pod``, at ``path``: its cgroup, names and root."""
        self.pod = pod
        early_words.follow(pod)
        self.plan = plans.read(read_file(plans.PLAN, dir_fd=pod))
        group = self.plan["cgroup"]
        namespaces.set_hostname(self.plan["hostname"])
        for spec in self.plan["apps"]:
            self.apps[spec["name"]] = App(spec, group, pod)
        self.recorder = Recorder(pod, self.plan["status_dir"])
        self.root.enter(path, self.plan)
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
        for app in self.apps.values():
            app.create(self.runtime)
        while not self._is_over():
            due = [(ready, self.handlers.get(ready)) for ready, _ in self.poll.poll(self._poll_ms())]
            for descriptor, handler in due:
                # One handler may close what another's event was for, and its number be in use again.
                if handler is not None and self.handlers.get(descriptor) is handler:
                    handler()
            self.recorder.step()
            self._act_when_due()
        self._finish()

    def _is_over(self) -> bool:
        return all(app.over for app in self.apps.values()) and not any(
            app.runtime_pid for app in self.apps.values()
        )

    def _output_handler(self, app: App, descriptor: int) -> Callable[[], None]:
        def handle() -> None:
            if descriptor in app.outputs and not app.drain(descriptor):
                self.forget(descriptor)
            self.followers.wake()

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
        if not self.control.executions.ended(pid, status):
            self.unclaimed[pid] = status

    def _runtime_busy(self) -> bool:
        return self.control.executions.busy() or any(app.runtime_pid for app in self.apps.values())

    def claim_early_end(self, pid: int) -> int | None:
        """The status of a process that was reaped before the runtime had told its pid."""
        return self.unclaimed.pop(pid, None)

    def _created(self, app: App, status: int) -> None:
        app.claim(status)
        if app.failure is not None:
            code, message = app.failure
            app.discard_outputs()
            note(f"app {app.name}: {message}")
            self.recorder.add(app)
            self._tell({"event": "failed", "app": app.name, "code": code, "message": message})
            self.stop("failed to start", f"app {app.name} could not be started: {message}")
            return
        for descriptor in app.outputs:
            self.watch(descriptor, self._output_handler(app, descriptor))
        early = self.claim_early_end(app.pid)
        if all(other.started_ns is not None for other in self.apps.values()):
            self._ready()
        if early is not None:
            self._app_ended(app, early)
        elif self.stopping and self.kill_at is None:
            app.signal(SIGKILL)  # the grace was over before the runtime was ready
        elif self.stopping:
            self._ask_to_end(app)

    def _ready(self) -> None:
        try:
            os.symlink("ready", f"{self.plan['status_dir']}/../supervisor-status", dir_fd=self.pod)
        except FileExistsError:
            return
        except OSError as error:
            note_failure("writing that the pod is ready", error)
        self.runtime.settle()
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
        self.followers.wake()
        self.recorder.add(app)
        if policy.must_stop(one.end for one in self.apps.values() if one.failure is None):
            self.stop("app failed", f"app {app.name} failed")

    # -- stopping

    def _hear_monitor(self) -> None:
        try:
            word = self.link.recv(16)
        except ConnectionResetError:
            word = b""
        if word == b"stop":
            self.stop("stopped", "the monitor was asked to stop")
        elif not word:
            self.forget(self.link.fileno())
            note("the monitor is gone; the pod goes on without it")

    def tie(self, pidfd: int) -> None:
        """Ends the pod as soon as the process behind ``pidfd`` is gone, and has it removed."""

        def caller_died() -> None:
            try:
                self.recorder.finish(())
                self._remember_end("killed", "the caller that the pod was tied to is gone")
                self.link.send(b"remove")
            finally:
                os._exit(0)

        self.watch(pidfd, caller_died)

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
        if self.recorder.busy:
            return 0
        due = [at for at in (self.kill_at, self.control.listen_at) if at is not None]
        if not due:
            return None
        left_s = min(min(due) - time.monotonic(), _LONGEST_SLEEP_S)  # poll(2) takes 24 days at most
        return max(0, int(left_s * 1000) + 1)

    def _act_when_due(self) -> None:
        now = time.monotonic()
        self.control.listen_when_due(now)
        if self.kill_at is not None and now >= self.kill_at:
            self.kill_at = None
            for app in self.apps.values():
                app.signal(SIGKILL)
                if app.runtime_pid:
                    os.kill(app.runtime_pid, SIGKILL)

    def _finish(self) -> None:
        for app in self.apps.values():
            app.drain_all()
        self.recorder.finish(self.apps.values())
        failed = [app.name for app in self.apps.values() if app.end is not None and policy.failed(app.end)]
        if not self.stopping and failed:
            self.stopping, self.reason = "app failed", f"app {failed[0]} failed"
        self._remember_end(self.stopping or "finished", self.reason)
        self.control.finish()

    def _remember_end(self, outcome: str, reason: str) -> None:
        try:
            identity.write_end(self.pod, outcome, reason)
        except OSError as error:
            note_failure("writing the pod's end", error)
