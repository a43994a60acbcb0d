"""Files and directories by descriptor: reading whole, writing durably, listing fast, opening safely."""

from __future__ import annotations

import errno
import os

from carob.linux.syscall import (
    SYS_FSTATFS,
    SYS_GETDENTS64,
    SYS_OPENAT2,
    address_of,
    pointer_struct,
    rename_noreplace,
    syscall,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08

_LISTING_BYTES = 1 << 16
_STATFS_BYTES = 128
_MOST_LINKS = 40
_temporary_count = 0


def read_file(name: str, *, dir_fd: int | None = None, limit_bytes: int = 64 << 20) -> bytes:
    """The whole content of the file ``name``, relative to ``dir_fd``.

    Never waits for a FIFO's writer. Raises ``OSError`` as open(2) and read(2) do, with EFBIG for more
    than ``limit_bytes``.
    """
    fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=dir_fd)
    try:
        parts = []
        left = limit_bytes
        while part := os.read(fd, 1 << 16):
            left -= len(part)
            if left < 0:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), name)
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(fd)


def write_once(path: str, data: bytes) -> None:
    """Writes to a file of the kernel's, which takes what it is given in one call or not at all."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)


def write_all(fd: int, data: bytes) -> None:
    """Writes all of ``data``."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def write_file_durably(name: str, data: bytes, *, dir_fd: int, mode: int = 0o640) -> None:
    """Puts ``data`` into the file ``name`` so that a reader, or the next boot, sees all or nothing.

    Temporary file beside it, fsync, rename, fsync of its directory. ``mode`` is exact: the umask does not
    apply. ``name`` is relative to ``dir_fd``. Raises ``OSError``, with the old file in place.
    """
    for _ in write_durably_in_steps(name, data, dir_fd=dir_fd, mode=mode):
        continue


def write_durably_in_steps(name: str, data: bytes, *, dir_fd: int, mode: int = 0o640) -> Iterator[None]:
    """``write_file_durably`` for who has more to do: it stops before each wait for the disk."""
    temporary, fd = _write_temporary(name, data, dir_fd, mode)
    try:
        try:
            yield
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    except BaseException:
        os.unlink(temporary, dir_fd=dir_fd)
        raise
    yield
    fsync_directory(os.path.dirname(name) or ".", dir_fd=dir_fd)


def replace_file(name: str, data: bytes, *, dir_fd: int, mode: int = 0o640) -> None:
    """``write_file_durably`` without the durability: whole for every reader, of no use after a power loss."""
    temporary, fd = _write_temporary(name, data, dir_fd, mode)
    os.close(fd)
    try:
        os.rename(temporary, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    except BaseException:
        os.unlink(temporary, dir_fd=dir_fd)
        raise


def _write_temporary(name: str, data: bytes, dir_fd: int, mode: int) -> tuple[str, int]:
    """Makes the file that is to become ``name``; returns its name and its open descriptor."""
    global _temporary_count
    _temporary_count += 1
    directory, slash, plain = name.rpartition("/")
    temporary = f"{directory}{slash}.{plain}.{os.getpid()}.{_temporary_count}.{os.urandom(4).hex()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(temporary, flags, 0o600, dir_fd=dir_fd)
    try:
        os.fchmod(fd, mode)
        write_all(fd, data)
    except BaseException:
        os.close(fd)
        os.unlink(temporary, dir_fd=dir_fd)
        raise
    return temporary, fd


def fsync_directory(path: str, *, dir_fd: int | None = None) -> None:
    """Makes the entries of the directory ``path`` durable."""
    fd = os.open(path, OPEN_DIRECTORY, dir_fd=dir_fd)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_directory_durably(path: str, mode: int) -> None:
    """Makes ``path`` and what is missing above it, each entry durable; nothing where it is there."""
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        return
    except FileNotFoundError:
        make_directory_durably(os.path.dirname(path), mode)
        make_directory_durably(path, mode)
        return
    fsync_directory(os.path.dirname(path))


def move_noreplace(source: str, target: str) -> None:
    """Renames and never replaces; ``FileExistsError`` where ``target`` is there.

    Where the file system cannot (EINVAL: NFS, some FUSE), the target is looked for first: rename(2)
    replaces a directory only by an empty one, so a pod is safe there as well.
    """
    try:
        rename_noreplace(source, target)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from None
        os.rename(source, target)


def open_directory_beneath(name: str, dir_fd: int) -> int:
    """Opens the directory ``name`` in ``dir_fd``: no symbolic link is followed, no mount is crossed.

    Raises ``OSError``: EXDEV for a mount point, ENOTDIR or ELOOP for a link (openat2(2)).
    """
    resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_BENEATH
    how = pointer_struct((OPEN_DIRECTORY | os.O_NOFOLLOW, 0, resolve))
    return syscall(SYS_OPENAT2, dir_fd, name, how, len(how), path=name)


def open_beneath(name: str, dir_fd: int) -> int:
    """What is at ``name`` below the open directory, as a path descriptor: no symbolic link is followed.

    Raises ``OSError``: ELOOP for a link anywhere on the way or at its end (openat2(2)).
    """
    resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_BENEATH
    how = pointer_struct((os.O_PATH | os.O_CLOEXEC, 0, resolve))
    return syscall(SYS_OPENAT2, dir_fd, name, how, len(how), path=name)


def without_links(path: str) -> str:
    """Where an absolute path leads, with no symbolic link and no ``..`` left in it.

    Raises ``OSError``: EBADF for a link in /proc, which leads elsewhere in another process; ELOOP; ENOENT.
    """
    waiting = path.split("/")[::-1]
    found = ""
    links = 0
    while waiting:
        name = waiting.pop()
        if name in ("", "."):
            continue
        if name == "..":
            found = found.rpartition("/")[0]
            continue
        inner = f"{found}/{name}"
        try:
            target = os.readlink(inner)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            found = inner
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        if inner.startswith("/proc/"):
            raise OSError(errno.EBADF, "it leads through a link of /proc, which is another in the pod", path)
        if target.startswith("/"):
            found = ""
        waiting += target.split("/")[::-1]
    return found or "/"


def file_system_type(fd: int) -> int:
    """The magic number of the file system that ``fd`` is on (``f_type`` of statfs(2))."""
    raw = bytearray(_STATFS_BYTES)
    syscall(SYS_FSTATFS, fd, address_of(raw))
    return int.from_bytes(raw[:4], "little")


def read_entries(fd: int) -> Iterator[bytes]:
    """The entries of the open directory, as whole ``linux_dirent64`` records (getdents64(2)), in pieces.

    An ``os.scandir`` of ten thousand entries spends more time on making objects than the kernel does on
    reading; whoever lists thousands of pods parses these records in bulk. Pieces are small enough to
    stay in the processor's cache.
    """
    buffer = bytearray(_LISTING_BYTES)
    address = address_of(buffer)
    while count := syscall(SYS_GETDENTS64, fd, address, _LISTING_BYTES):
        yield bytes(buffer[:count])
