"""Ranges of owners for pods' user namespaces: no two pods of this machine have one that overlaps.

A range that somebody has is a link in one directory, of all data directories alike: its name is the range,
``<first>-<count>``, and it leads to the pod, ``<data directory>/<uuid>``. It is made in one step, under a
lock, while the pod is being prepared, and counts for as long as that pod is there and has not ended: so who
is killed at any moment holds nothing for long.

Ranges are from those that subuid(5) and subgid(5) both give to ``carob``, or else to ``containers``; where
neither is named there, from numbers that neither Debian's tools, nor systemd, nor podman hand out.
"""

from __future__ import annotations

import os
from fcntl import LOCK_EX, flock

from carob.errors import CarobError, InvalidInput, NotFound, OutOfResources
from carob.linux.failure import failed
from carob.protocol.plan import OWNERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    Span = tuple[int, int]
    """The first, and how many."""

USERS = ("carob", "containers")
DEFAULT: Span = (0x70000000, 0x0FFE0000)
"""systemd's ranges for containers end below, and the numbers from 2^31 on are negative to some programs."""


class Ranges:
    """The ranges that there are, ``spans``, and ``directory``, where it stands who has which."""

    __slots__ = ("directory", "spans")

    def __init__(self, spans: Sequence[Span], directory: str = OWNERS) -> None:
        self.spans = tuple(spans)
        self.directory = directory

    def claim(self, data_dir: str, uuid: str, count: int) -> int:
        """Gives a pod that is being prepared ``count`` owners; returns the first.

        Raises ``OutOfResources`` where no such range is left.
        """
        try:
            os.makedirs(self.directory, 0o700, exist_ok=True)
            lock = self._lock()
            try:
                first = self._gap(count)
                if first is None:
                    self._sweep()
                    first = self._gap(count)
                if first is not None:
                    os.symlink(f"{data_dir}/{uuid}", f"{self.directory}/{first}-{count}")
                    return first
            finally:
                os.close(lock)
        except OSError as error:
            raise failed(error, f"cannot allot owners in {self.directory}") from error
        raise OutOfResources(
            f"no {count} owners are left for a user namespace: {self._taken_text()}",
            hint="remove pods, or give the user carob more in /etc/subuid and /etc/subgid",
        )

    def _taken_text(self) -> str:
        whole = sum(count for _, count in self.spans)
        return f"pods have {sum(count for _, count, _ in self._taken())} of {whole}"

    def renew(self, data_dir: str, uuid: str, first: int, count: int) -> bool:
        """Whether a prepared pod that is about to run has its range still, or can have it again."""
        try:
            os.makedirs(self.directory, 0o700, exist_ok=True)
            lock = self._lock()
            try:
                for other, length, name in self._taken():
                    if other < first + count and first < other + length:
                        holder = os.readlink(f"{self.directory}/{name}")
                        if holder == f"{data_dir}/{uuid}":
                            return True
                        if not self._is_stale(name):
                            return False
                        os.unlink(f"{self.directory}/{name}")
                os.symlink(f"{data_dir}/{uuid}", f"{self.directory}/{first}-{count}")
                return True
            finally:
                os.close(lock)
        except OSError as error:
            raise failed(error, f"cannot allot owners in {self.directory}") from error

    def release(self, data_dir: str, uuid: str) -> None:
        """Takes back what a pod has, which is being removed."""
        try:
            taken = self._taken()
        except FileNotFoundError:
            return
        for _, _, name in taken:
            path = f"{self.directory}/{name}"
            try:
                if os.readlink(path) == f"{data_dir}/{uuid}":
                    os.unlink(path)
            except FileNotFoundError:  # another's, which is being removed as well
                continue

    def sweep(self) -> None:
        """Takes back what pods have that are over, or gone."""
        try:
            lock = self._lock()
        except (FileNotFoundError, PermissionError):  # root's alone
            return
        try:
            self._sweep()
        finally:
            os.close(lock)

    def _lock(self) -> int:
        """Waits for the directory's lock; it ends with the descriptor."""
        lock = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            flock(lock, LOCK_EX)
        except BaseException:
            os.close(lock)
            raise
        return lock

    def _sweep(self) -> None:
        for _, _, name in self._taken():
            if self._is_stale(name):
                os.unlink(f"{self.directory}/{name}")

    def _is_stale(self, name: str) -> bool:
        data_dir, _, uuid = os.readlink(f"{self.directory}/{name}").rpartition("/")
        return _is_over(data_dir, uuid)

    def _gap(self, count: int) -> int | None:
        """The first of so many numbers that nobody has."""
        taken = sorted((first, first + length) for first, length, _ in self._taken())
        for start, length in self.spans:
            at = start
            for begin, end in taken:
                if begin >= at + count or at + count > start + length:
                    break
                at = max(at, end)
            if at + count <= start + length:
                return at
        return None

    def _taken(self) -> list[tuple[int, int, str]]:
        """The ranges that pods have, with the names of their links; what else is there is passed over."""
        found = []
        for name in os.listdir(self.directory):
            first, dash, count = name.partition("-")
            if dash and first.isdecimal() and count.isdecimal():
                found.append((int(first), int(count), name))
        return found


def _is_over(data_dir: str, uuid: str) -> bool:
    """Whether a pod is gone, or has ended with all that it had; where that cannot be told it is not."""
    from carob.engine.observe.keeper import init_is_alive
    from carob.pod import State, open_pod

    try:
        with open_pod(data_dir, uuid) as pod:
            if pod.state() in (State.EMBRYO, State.PREPARING, State.PREPARED, State.RUNNING):
                return False
            return not init_is_alive(pod)
    except NotFound:
        return True
    except CarobError:
        return False


def of_this_host(etc: str = "/etc") -> Ranges:
    """As ``/etc/subuid`` and ``/etc/subgid`` say. Raises ``InvalidInput`` where only one of them does."""
    from carob.image.layers.user_ranges import ranges_of

    for user in USERS:
        uids, gids = (
            [(first, count) for _, first, count in ranges_of(f"{etc}/{file}", {user})]
            for file in ("subuid", "subgid")
        )
        if both := list(_common(uids, gids)):
            return Ranges(both)
        if uids or gids:
            raise InvalidInput(
                f"{etc}/subuid and {etc}/subgid give the user {user} no numbers in common",
                hint=f"have the same line in both, such as {user}:{DEFAULT[0]}:{DEFAULT[1]}",
            )
    return Ranges([DEFAULT])


def _common(some: Iterable[Span], others: Sequence[Span]) -> Iterator[Span]:
    for first, count in sorted(some):
        for other, length in sorted(others):
            start, end = max(first, other), min(first + count, other + length)
            if start < end:
                yield start, end - start
