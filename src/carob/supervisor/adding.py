"""Apps that come and go: what init does of it in a mutable pod.

Requests: ``hand`` brings detached mounts (``carob.supervisor.handing``), which are kept for the same client;
``add-app`` with ``app``, whose plan is in the pod's directory, and perhaps an open file in memory with the
contents of its files, is answered once the app is created, or could not be; ``start-app`` once it runs;
``stop-app`` with ``grace_s`` once its end is on disk; ``remove-app`` once nothing of it is left here;
``reopen-log`` at once. All but ``hand`` name an ``app``. One that is not known is fine to remove.

Whether an app is a part of the pod is said by the pod's manifest, which is for callers to change.
"""

from __future__ import annotations

import os
from _signal import SIGKILL
from fcntl import F_GETFL, fcntl

from carob.linux import mount
from carob.linux.files import read_file, replace_file
from carob.logs.writer import load_rotation
from carob.protocol import life
from carob.protocol import plan as plans
from carob.supervisor import channel as channels
from carob.supervisor import volumes
from carob.supervisor.app_requests import grace_s, named
from carob.supervisor.apps import BEGIN, DELETE, App
from carob.supervisor.course import Refused
from carob.supervisor.handing import is_handed
from carob.supervisor.journal import note_failure
from carob.supervisor.pid_sharing import PidSharing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from typing import Any

    from carob.supervisor.init import Init

_MOST_HANDED = 4096


class Adding:
    """Of one pod."""

    __slots__ = ("_handed", "_init", "_mourned", "_pids")

    def __init__(self, init: Init) -> None:
        self._init = init
        if init.plan.get("log") is not None:
            load_rotation()
        self._pids = PidSharing(init.owners.descriptor if init.owners is not None else -1)
        self._handed: dict[socket, list[int]] = {}
        self._mourned: list[App] = []

    def hung_up(self, client: socket) -> None:
        """Lets go of what a client handed over and never used."""
        channels.close_all(self._handed.pop(client, []))

    def answer(
        self, client: socket, message: dict[str, Any], descriptors: list[int]
    ) -> dict[str, Any] | None:
        """Does what is asked; ``None`` where the answer comes later."""
        if message["op"] == "hand":
            self._take(client, descriptors)
            return None
        if message["op"] == "add-app":
            self._add(client, message, descriptors)
            return None
        if message["op"] == "remove-app" and message["app"] not in self._init.apps:
            return {"event": "removed"}
        app = named(self._init, message["app"])
        if app.removers:
            raise Refused(f"app {app.name!r} is being removed")
        match message["op"]:
            case "start-app":
                return self._start(client, app)
            case "stop-app":
                self._init.course.end(app, grace_s(message))
                app.mourners.append(client)
                if app not in self._mourned:
                    self._mourned.append(app)
            case "remove-app":
                app.removers.append(client)
                self._answer(app.mourners, {"event": "stopped"})
                self._remove(app)
            case "reopen-log":
                app.reopen_log(self._init.pod, self._init.plan.get("log"))
                return {"event": "reopened"}
        return None

    def _take(self, client: socket, descriptors: list[int]) -> None:
        kept = self._handed.setdefault(client, [])
        if len(kept) + len(descriptors) > _MOST_HANDED:
            raise Refused(f"more than {_MOST_HANDED} mounts are handed over")
        for one in descriptors:
            # The kernel sees to the rest: it attaches nothing but detached mounts.
            if not fcntl(one, F_GETFL) & os.O_PATH:
                raise Refused("only mounts may be handed over")
        kept += descriptors
        descriptors.clear()

    # -- adding

    def _add(self, client: socket, message: dict[str, Any], descriptors: list[int]) -> None:
        name = str(message["app"])
        handed = self._handed.pop(client, [])
        try:
            if self._init.course.stopping:
                raise Refused("it is being ended")
            if name in self._init.apps:
                raise Refused(f"it has an app {name!r} already")
            spec = plans.read(read_file(plans.app_plan(name), dir_fd=self._init.pod))
            app = self._make(spec, handed, descriptors)
        finally:
            channels.close_all(handed)
        app.waiters.append(client)

    def _make(self, spec: dict[str, Any], handed: list[int], contents: list[int]) -> App:
        """Puts the app's mounts and has it created; leaves nothing of it where that cannot be begun."""
        name = spec["name"]
        try:
            self._put(spec, handed, contents)
            app = App(spec, self._init.plan["cgroup"], self._init.pod, self._init.plan.get("log"))
        except BaseException:
            self._take_off(spec)
            raise
        self._init.apps[name] = app
        try:
            self.make_way(app)
            app.create(self._init.runtime)
        except BaseException:
            self._forget(app)
            raise
        return app

    def _put(self, spec: dict[str, Any], handed: list[int], contents: list[int]) -> None:
        if len(handed) != 1 + sum(map(is_handed, spec["volumes"])) + ("log" in spec):
            raise Refused(f"app {spec['name']!r} comes without all of its mounts")
        top = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            volumes.put(top, f"{plans.ROOTFS_AT}/{spec['name']}"[1:], handed.pop(0))
            for volume in spec["volumes"]:
                opened = handed.pop(0) if is_handed(volume) else -1
                volumes.put_volume(
                    top,
                    plans.POD_AT,
                    spec["name"],
                    volume,
                    opened,
                    user_xattrs=self._init.plan["user_namespace"],
                    owners=self._init.owners,
                )
            if "log" in spec:
                volumes.put(top, f"{plans.LOGS_AT}/{spec['name']}"[1:], handed.pop(0))
            if spec.get("files"):
                at = f"{plans.FILES_AT}/{spec['name']}"
                owners = self._init.owners
                volumes.put_files(top, spec, contents.pop() if contents else -1, at, owners=owners)
        finally:
            os.close(top)

    def created(self, app: App, status: int) -> None:
        """The runtime has created an app, or could not: then nothing of it is left."""
        app.claim(status)
        if app.failure is not None:
            app.made = bool(status & 0x7F)  # a runtime that was killed has not tidied up
            code, message = app.failure
            self._answer(app.waiters, {"event": "failed", "app": app.name, "code": code, "message": message})
            self._remove(app)
            return
        self._answer(app.waiters, {"event": "added"})
        early = self._init.claim_early_end(app.pid)
        if early is not None:
            self._init.course.ended(app, early)

    def make_way(self, app: App) -> None:
        """What is to be done before each run of an app. Raises ``OSError``."""
        self._pids.lead(self._init.apps, app)

    # -- starting and stopping

    def _start(self, client: socket, app: App) -> dict[str, Any] | None:
        if self._init.course.stopping:
            raise Refused("it is being ended")
        if app.asked and not app.over:
            raise Refused(f"app {app.name!r} is being ended")
        if app.runs:
            return {"event": "started"}
        if app.state == life.CREATED:
            app.begin(self._init.runtime)
        elif app.state != life.STARTING and not self._init.course.start_anew(app):
            raise Refused(f"app {app.name!r} is {app.state}")
        app.waiters.append(client)
        return None

    def mark_start(self, app: App) -> None:
        """Leaves rkt's mark of an app that runs, which is as old as the run."""
        try:
            name = f"{self._init.plan['status_dir']}/{app.name}-started"
            replace_file(name, b"", dir_fd=self._init.pod)
        except OSError as error:
            note_failure(f"noting the start of app {app.name}", error)

    def mourn_no_more(self, app: App) -> None:
        """An app that has ended is started again: who waits for its end would now wait for the next."""
        self._answer(app.mourners, {"event": "stopped"})

    def tell_of_ends(self) -> None:
        """Answers who waits for the end of an app that has ended, and its end is written down."""
        for app in [one for one in self._mourned if _has_ended(one) and self._init.recorder.is_written(one)]:
            self._mourned.remove(app)
            self._answer(app.mourners, {"event": "stopped"})

    def _answer(self, clients: list[socket], answer: dict[str, Any]) -> None:
        for client in clients:
            self._init.control.say(client, answer)
        clients.clear()

    # -- removing

    def go_on_removing(self, app: App, status: int | None = None) -> None:
        """An app that is being removed has ended, or (``status``) the runtime that was at work for it has."""
        if status is not None:
            if app.doing == DELETE:
                app.deleted()
            elif app.doing == BEGIN:
                app.begun(status)
                if app.early_status is not None:
                    app.reap(app.early_status)
            else:
                app.claim(status)
                early = self._init.claim_early_end(app.pid)
                if early is not None:
                    app.reap(early)
        self._remove(app)

    def _remove(self, app: App) -> None:
        """Takes the next step towards the app's being gone."""
        app.start_at = app.kill_at = None
        if app.runtime_pid:
            return
        if app.pid:
            app.signal(SIGKILL)
            self._init.course.resume(app)
        elif app.made:
            try:
                app.delete(self._init.runtime)
            except OSError as error:  # no process can be made just now; it can be removed later
                app.state = life.ENDED
                message = f"app {app.name!r} has ended, and cannot be removed: {error.strerror}"
                self._answer([*app.waiters, *app.removers], {"event": "refused", "message": message})
                app.waiters.clear()
                app.removers.clear()
        else:
            self._forget(app)

    def _forget(self, app: App) -> None:
        del self._init.apps[app.name]
        if app in self._mourned:
            self._mourned.remove(app)
        self._init.drain(app)
        self._init.recorder.retract(app)
        os.close(app.log.fd)
        self._take_off(app.spec)
        self._pids.let_go(app)
        self._answer(app.waiters, {"event": "refused", "message": f"app {app.name!r} was removed"})
        self._answer(app.removers, {"event": "removed"})

    def _take_off(self, spec: dict[str, Any]) -> None:
        """Takes the app's mounts off, as far as they are there, and what they stood on."""
        name = spec["name"]
        targets = [volume["target"] for volume in spec["volumes"]]
        places = [*targets, *[f"/{volumes.WHOLE_AT}{target}" for target in targets]]
        places += [f"{top}/{name}" for top in (plans.FILES_AT, plans.LOGS_AT, plans.ROOTFS_AT)]
        for place in places:
            try:
                # Else what is mounted below would be unmounted in the host, too.
                mount.set_propagation(place, mount.MS_PRIVATE)
                mount.detach(place)
            except FileNotFoundError:
                continue
            except OSError as error:  # nothing was mounted there yet
                note_failure(f"taking {place} off", error)
            try:
                os.rmdir(place)
            except NotADirectoryError:
                os.unlink(place)
            except OSError:
                continue


def _has_ended(app: App) -> bool:
    return app.over or app.state == life.CREATED
