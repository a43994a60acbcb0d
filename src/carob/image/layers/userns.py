"""Workers in a user namespace, which handle layers for who is not root: the parent's side.

A worker is a Python that makes a user namespace for itself; the caller's ranges of owners (subuid(5)) are
mapped into it by newuidmap(1) and newgidmap(1): 0 in there is the caller, 1 and so on are the ranges. Where
there are none only the caller is mapped, and all files become the caller's.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading

from carob import errors
from carob.errors import CarobError, Unavailable, Unsupported
from carob.image.layers.channel import Channel, Closed
from carob.image.layers.mode import UnpackMode
from carob.image.layers.unsettled import Unsettled
from carob.image.layers.user_ranges import newidmap, subordinate_ranges

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from carob.image.layers.maker import Making
    from carob.image.layers.workplace import Workplace

_BOOT = "import sys; sys.path.append({root!r}); from carob.image.layers.worker import main; main({fd})"
_SAID_BYTES = 2000
_open_channels: set[Channel] = set()


def _close_in_child() -> None:
    """Else a child that the caller forks would keep workers alive that wait for their parent's end."""
    for channel in _open_channels:
        channel.close()
    _open_channels.clear()


os.register_at_fork(after_in_child=_close_in_child)


class WorkerHands:
    """Workers, as many as are busy at one time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle = [_Worker()]
        self.mode = self._idle[0].mode

    def make(self, making: Making, workplace: Workplace) -> _ProcessMaker:
        """Begins to make the files of one layer, in a worker."""
        return _ProcessMaker(self, self._take(), making, workplace)

    def settle(self, workplace: Workplace, unsettled: Unsettled, parents: Sequence[str], what: str) -> None:
        """Settles a layer on those below it and finishes its record."""
        self._ask(
            {
                "op": "settle",
                "tree": workplace.tree,
                "record": workplace.record,
                "unsettled": unsettled.document(),
                "parents": list(parents),
                "what": what,
            },
            (workplace.lock_fd,),
        )

    def move(self, source: str, target: str) -> None:
        """Renames a layer; never replaces another."""
        self._ask({"op": "move", "source": source, "target": target})

    def remove(self, path: str) -> None:
        """Removes a file, or a directory with all that is in it; what is not there is fine."""
        self._ask({"op": "remove", "path": path})

    def check(self, layer: str, record: str) -> list[str]:
        """Compares a layer with its record: what is wrong, a line each."""
        problems: list[str] = self._ask({"op": "check", "layer": layer, "record": record})["problems"]
        return problems

    def copy(self, layers: Sequence[str], target: str) -> None:
        """Copies what overlayfs would show of layers, top first."""
        self._ask({"op": "copy", "layers": list(layers), "target": target})

    def pack(self, layers: Sequence[str], fd: int) -> None:
        """Writes the tar of what overlayfs would show of layers, top first, to an open file or pipe."""
        named: list[str | int] = []
        handed = [fd]
        try:
            for layer in layers:
                if layer.startswith("/proc/self/fd/"):  # it leads there in this process alone
                    named.append(len(handed))
                    handed.append(os.open(layer, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
                else:
                    named.append(layer)
            self._ask({"op": "pack", "layers": named}, handed)
        finally:
            for descriptor in handed[1:]:
                os.close(descriptor)

    def disk_bytes(self, path: str) -> int:
        """What a tree takes on disk, hard links once."""
        count: int = self._ask({"op": "disk_bytes", "path": path})["bytes"]
        return count

    def open_directory(self, path: str) -> int:
        """A descriptor of the directory at ``path``, which is the caller's."""
        worker = self._take()
        try:
            worker.send({"op": "open", "path": path})
            answer, descriptors = worker.receive_with_descriptors()
        except BaseException:
            worker.close()
            raise
        self.give_back(worker)
        checked(answer)
        return descriptors[0]

    def close(self) -> None:
        """Ends the workers, of which none is busy."""
        while self._idle:
            self._idle.pop().close()

    def _ask(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> dict[str, Any]:
        worker = self._take()
        try:
            worker.send(message, descriptors)
            answer = worker.receive()
        except BaseException:
            worker.close()
            raise
        self.give_back(worker)
        return checked(answer)

    def _take(self) -> _Worker:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return _Worker()

    def give_back(self, worker: _Worker) -> None:
        """A worker waits for its next task."""
        with self._lock:
            self._idle.append(worker)


class _ProcessMaker:
    """A worker that makes the files of one layer."""

    def __init__(self, hands: WorkerHands, worker: _Worker, making: Making, workplace: Workplace) -> None:
        self._hands = hands
        self._worker = worker
        self._allowance = making.allowance
        self._is_over = False
        limits = making.allowance.limits
        try:
            worker.send(
                {
                    "op": "make",
                    "what": making.what,
                    "target": making.target,
                    "record": making.record,
                    "limits": {name: getattr(limits, name) for name in limits.__slots__},
                },
                (workplace.lock_fd,),
            )
        except BaseException:
            worker.close()
            raise

    def take(self, piece: bytes) -> bool:
        """Hands a piece over; false where no more is wanted."""
        if self._worker.channel.has_something():
            return False
        self._worker.send_piece(piece, self._allowance.compressed_bytes)
        return True

    def finish(self) -> Unsettled:
        """Waits for the files, after the last piece; raises what went wrong."""
        try:
            self._worker.send_piece(b"", 0)
            answer = self._worker.receive()
            if "early" in answer:  # it had said that it wants no more
                answer = self._worker.receive()
        except BaseException:
            self._worker.close()
            raise
        self._is_over = True
        self._hands.give_back(self._worker)
        return Unsettled.of(checked(answer)["unsettled"])

    def stop(self) -> None:
        """Ends the worker where it is, if it has not done its work."""
        if not self._is_over:
            self._worker.close()


class _Worker:
    """One process, used by one thread at a time."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self._words = os.memfd_create("carob-unpack", os.MFD_CLOEXEC)
        self.channel = Channel(ours)
        _open_channels.add(self.channel)
        try:
            self._process = subprocess.Popen(
                [_interpreter(), "-I", "-S", "-c", _BOOT.format(root=_package_root(), fd=theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._words,
                start_new_session=True,  # a signal from the terminal is the caller's to handle
            )
        except BaseException:
            _open_channels.discard(self.channel)
            self.channel.close()
            os.close(self._words)
            raise
        finally:
            theirs.close()
        try:
            self.mode = self._map_owners()
        except BaseException:
            self.close()
            raise

    def _map_owners(self) -> UnpackMode:
        """Maps the owners, now that the worker has its namespace."""
        checked(self.receive())
        user, group = os.geteuid(), os.getegid()
        uids, gids = subordinate_ranges("/etc/subuid", user), subordinate_ranges("/etc/subgid", user)
        mode = UnpackMode.MAPPED if uids and gids else UnpackMode.SINGLE
        if mode is UnpackMode.MAPPED:
            newidmap("newuidmap", self._process.pid, [(0, user, 1), *uids])
            newidmap("newgidmap", self._process.pid, [(0, group, 1), *gids])
        self.send({"mode": mode.value, "user": user, "group": group})
        checked(self.receive())
        return mode

    def send(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        """Sends a message; a lock that goes with it lasts until the worker is done, too."""
        try:
            self.channel.send(message, descriptors)
        except Closed as error:
            raise self._died() from error

    def send_piece(self, piece: bytes, compressed_bytes: int) -> None:
        """Sends a piece of a tar."""
        try:
            self.channel.send_piece(piece, compressed_bytes)
        except Closed as error:
            raise self._died() from error

    def receive(self) -> dict[str, Any]:
        """Waits for an answer."""
        return self.receive_with_descriptors()[0]

    def receive_with_descriptors(self) -> tuple[dict[str, Any], list[int]]:
        """Waits for an answer that descriptors may come with, which are the caller's."""
        try:
            return self.channel.receive()
        except Closed as error:
            raise self._died() from error

    def _died(self) -> CarobError:
        status = self._process.wait()
        end = os.fstat(self._words).st_size
        words = (
            os.pread(self._words, _SAID_BYTES, max(0, end - _SAID_BYTES)).decode("utf-8", "replace").strip()
        )
        return Unavailable(f"the process that unpacks ended with status {status}: {words or 'no word'}")

    def close(self) -> None:
        """Ends the process; a second call does nothing."""
        _open_channels.discard(self.channel)
        self.channel.close()
        if self._words >= 0:
            self._process.kill()
            self._process.wait()
            os.close(self._words)
            self._words = -1


def checked(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer that is none of failure; else the error is raised that it tells of."""
    if "error" not in answer:
        return answer
    kind = getattr(errors, str(answer["error"]), None)
    if not isinstance(kind, type) or not issubclass(kind, CarobError):
        kind = Unavailable
    raise kind(str(answer["message"]), hint=str(answer["hint"]))


def _package_root() -> str:
    """What has to be on ``sys.path`` for this package."""
    path = os.path.abspath(__file__)
    for _ in __name__.split("."):
        path = os.path.dirname(path)
    return path


def _interpreter() -> str:
    path = getattr(sys, "_base_executable", "") or sys.executable
    if not path:
        raise Unsupported(
            "no Python interpreter to unpack with", hint="run as root, or with an ordinary Python"
        )
    return path
