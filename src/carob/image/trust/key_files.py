"""The files of a key store: found, read and written so that nobody slips in a key by a link or a name.

::

    <directory>/trustedkeys/root.d/<fingerprint>               trusted for every image
    <directory>/trustedkeys/prefix.d/<prefix>/<fingerprint>    for images of that name, or below it

That is rkt's layout. A file holds one public key, armored or not; an empty one takes a key away that a
directory before it trusts. Below ``trustedkeys`` no symbolic link is followed.
"""

from __future__ import annotations

import errno
import os
import stat

from carob.errors import CarobError, CorruptData, NotFound, PermissionDenied, Unavailable
from carob.image.files.durable import make_directory, replace_file, sync_directory
from carob.image.files.rooted import DIRECTORY, open_without_links
from carob.image.trust.openpgp_packets import KEY_BYTES
from carob.spec.appc.names import ACIdentifier
from carob.spec.discovery import path_parts
from carob.spec.reference import is_hex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = "root.d"
PREFIX = "prefix.d"

_FINGERPRINTS = (40, 64)
_DEPTH = 32


def scope_of(prefix: str) -> str:
    """Where the keys of a prefix are, below ``trustedkeys``; ``""`` is every image.

    ``InvalidInput`` for what is no appc name, or would lead elsewhere.
    """
    return "/".join((PREFIX, *path_parts(ACIdentifier(prefix)))) if prefix else ROOT


def is_fingerprint(text: str) -> bool:
    """Whether a name is one that the file of a key may have."""
    return len(text) in _FINGERPRINTS and is_hex(text)


def read_scope(directory: str, scope: str) -> dict[str, bytes]:
    """The files of one scope by their fingerprints; ``b""`` for one that takes a key away.

    ``CorruptData`` names a file that is a link, no key's name, or another's to write.
    """
    path = f"{directory}/trustedkeys/{scope}"
    base = _open_base(directory)
    if base is None:
        return {}
    try:
        fd = _open_below(base, scope, path)
    finally:
        os.close(base)
    if fd is None:
        return {}
    try:
        return {
            name: _read(fd, name, f"{path}/{name}")
            for name in sorted(os.listdir(fd))
            if not name.startswith(".") and not _is_directory(fd, name)
        }
    finally:
        os.close(fd)


def scopes(directory: str) -> Iterator[str]:
    """Every scope that a directory has, keys in it or not."""
    base = _open_base(directory)
    if base is None:
        return
    try:
        waiting = [PREFIX, ROOT]
        while waiting:
            scope = waiting.pop()
            fd = _open_below(base, scope, f"{directory}/trustedkeys/{scope}")
            if fd is None:
                continue
            try:
                if scope != PREFIX:
                    yield scope
                if scope != ROOT and scope.count("/") < _DEPTH:
                    waiting += sorted(
                        (f"{scope}/{name}" for name in os.listdir(fd) if _is_directory(fd, name)),
                        reverse=True,
                    )
            finally:
                os.close(fd)
    finally:
        os.close(base)


def write_key(directory: str, scope: str, fingerprint: str, data: bytes) -> str:
    """Puts a key, or ``b""``, in its place, durably; the path."""
    path = f"{directory}/trustedkeys/{scope}"
    try:
        make_directory(path)
        base = _open_base(directory)
        assert base is not None
        try:
            fd = _open_below(base, scope, path)
            assert fd is not None
            os.close(fd)
        finally:
            os.close(base)
        temporary = f"{path}/.{fingerprint}.{os.urandom(6).hex()}"
        replace_file(f"{path}/{fingerprint}", data, temporary=temporary)
    except OSError as error:
        raise _translated(error, path) from error
    return f"{path}/{fingerprint}"


def remove_key(directory: str, scope: str, fingerprint: str) -> bool:
    """Removes a key's file; whether there was one."""
    path = f"{directory}/trustedkeys/{scope}"
    try:
        os.unlink(f"{path}/{fingerprint}")
        sync_directory(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _translated(error, path) from error
    return True


def _open_base(directory: str) -> int | None:
    try:
        return os.open(f"{directory}/trustedkeys", DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _translated(error, f"{directory}/trustedkeys") from error


def _open_below(base: int, scope: str, path: str) -> int | None:
    try:
        return open_without_links(base, os.fsencode(scope))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _translated(error, path) from error


def _is_directory(fd: int, name: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _read(dir_fd: int, name: str, path: str) -> bytes:
    if not is_fingerprint(name):
        raise CorruptData(
            f"{path}: not the name of a key's file", hint="it is the fingerprint, in lower case; or remove it"
        )
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=dir_fd)
    except FileNotFoundError:
        return b""  # it was removed meanwhile
    except OSError as error:
        raise _translated(error, path) from error
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise CorruptData(f"{path}: not a regular file")
        if status.st_uid not in (0, os.geteuid()) or status.st_mode & stat.S_IWOTH:
            raise CorruptData(
                f"{path}: others may write to it", hint=f"chown and chmod it, after a look: less {path}"
            )
        data = file.read(KEY_BYTES + 1)
    if len(data) > KEY_BYTES:
        raise CorruptData(f"{path}: larger than {KEY_BYTES} bytes")
    return data


def _translated(error: OSError, path: str) -> CarobError:
    message = f"{path}: {error.strerror}"
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return CorruptData(f"{message}; keys are not read or written through symbolic links")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return PermissionDenied(message)
    return NotFound(message) if error.errno == errno.ENOENT else Unavailable(message)
