"""Writing blobs into a layout: whole, verified and on disk before they have their name.

A blob that no index names yet is protected by a shared lock on the file, taken before its first byte is
written and kept, through the rename, until the index is written: garbage collection takes an exclusive
one, without waiting, before it removes anything. A lock dies with its holder, so nothing has to be
cleaned up after a crash but files that nobody locks.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat

from carob.errors import CorruptData
from carob.image.files.durable import make_directory, replace_file, sync_directory, write_all
from carob.image.files.locks import Lock, create_shared, lock
from carob.image.store.layout import LAYOUT_FILE, TEMPORARY, Layout, open_regular
from carob.linux.syscall import rename_noreplace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.spec.oci.descriptor import Descriptor

PARTIAL = ".partial"
TURN = ".turn"

_LAYOUT_VERSION = b'{"imageLayoutVersion":"1.0.0"}'


def create_layout(layout: Layout) -> None:
    """Makes the directories of an empty layout, where they are missing. Private to its owner: layers
    hold files such as ``/etc/shadow``.
    """
    make_directory(layout.path, mode=0o700)
    make_directory(f"{layout.path}/{TEMPORARY}", mode=0o700)
    make_directory(f"{layout.path}/blobs/sha256", mode=0o755)
    version_file = f"{layout.path}/{LAYOUT_FILE}"
    if os.path.lexists(version_file):
        return
    held = lock(layout.path, exclusive=True)
    assert held is not None
    with held:
        replace_file(version_file, _LAYOUT_VERSION, temporary=f"{layout.path}/{TEMPORARY}/{LAYOUT_FILE}")


def temporary_path(layout: Layout, purpose: str) -> str:
    """A new name in the layout's directory for temporary files."""
    return f"{layout.path}/{TEMPORARY}/{purpose}-{os.getpid()}-{os.urandom(6).hex()}"


def partial_path(layout: Layout, digest: str) -> str:
    """Where the part of a blob is that was downloaded so far."""
    return f"{layout.path}/{TEMPORARY}/{digest.partition(':')[2]}{PARTIAL}"


def turn_path(layout: Layout, digest: str) -> str:
    """The fifo of whoever downloads a blob, see ``carob.image.fetch.turn``."""
    return f"{layout.path}/{TEMPORARY}/{digest.partition(':')[2]}{TURN}"


class HeldBlobs:
    """The blobs that one writer put into a layout, or found there, and that no index names yet.

    Use it with ``with``; leave the block when the index is written. Shared by threads freely.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._locks: list[Lock] = []

    def __enter__(self) -> HeldBlobs:
        create_layout(self.layout)
        return self

    def __exit__(self, *_: object) -> None:
        while self._locks:
            self._locks.pop().close()

    def put(self, data: bytes) -> str:
        """Stores one small blob and returns its digest."""
        with self.new() as writer:
            writer.write(data)
            return writer.commit()

    def new(self) -> BlobWriter:
        """A writer for one blob."""
        return BlobWriter(self)

    def flush(self) -> None:
        """Writes the names of all blobs back; to be called before an index names them."""
        sync_directory(f"{self.layout.path}/blobs/sha256")

    def hold(self, held: Lock) -> None:
        """Keeps a lock until the end of the block."""
        self._locks.append(held)

    def hold_present(self, descriptor: Descriptor) -> bool:
        """Whether the blob is there by now, as long as it should be; then it is held. Its bytes are not
        read: what has the name of a digest had that digest (``image verify`` looks again).
        """
        try:
            held = lock(self.layout.blob_path(descriptor.digest), exclusive=False)
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO):
                return False  # a link or a socket, which is no blob and will be replaced
            raise
        assert held is not None
        status = os.fstat(held.fd)
        if stat.S_ISREG(status.st_mode) and status.st_size == descriptor.size_bytes:
            self.hold(held)
            return True
        held.close()
        return False


class BlobWriter:
    """Writes one blob; leaving its ``with`` block without ``commit`` leaves nothing."""

    def __init__(self, blobs: HeldBlobs) -> None:
        self._blobs = blobs
        self._hash = hashlib.sha256()
        self.size_bytes = 0
        held = None
        while held is None:
            self._temporary = temporary_path(blobs.layout, "blob")
            held = create_shared(self._temporary)
        self._lock: Lock | None = held

    def __enter__(self) -> BlobWriter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is None:
            return
        try:
            os.unlink(self._temporary)
        except FileNotFoundError:
            pass
        self._lock.close()
        self._lock = None

    def write(self, data: bytes | memoryview) -> None:
        """Appends ``data``."""
        assert self._lock is not None
        self._hash.update(data)
        self.size_bytes += len(data)
        write_all(self._lock.fd, data)

    @property
    def digest(self) -> str:
        """``sha256:<hex>`` of what was written so far."""
        return "sha256:" + self._hash.hexdigest()

    def commit(self, *, digest: str = "") -> str:
        """Makes the blob durable and gives it its name; returns its digest.

        ``CorruptData`` where ``digest`` is given and is another; then nothing is kept. A blob of this
        name that is there already is kept if it is whole, else replaced.
        """
        assert self._lock is not None
        actual = self.digest
        if digest and digest != actual:
            raise CorruptData(f"blob {digest} has the digest {actual}")
        path = self._blobs.layout.blob_path(actual)
        if os.path.lexists(path) and self._hold_existing(path, actual):
            return actual
        os.fchmod(self._lock.fd, 0o644)
        os.fsync(self._lock.fd)
        try:
            rename_noreplace(self._temporary, path)
        except FileExistsError:
            if self._hold_existing(path, actual):
                return actual
            os.rename(self._temporary, path)
        self._blobs.hold(self._lock)
        self._lock = None
        return actual

    def _hold_existing(self, path: str, digest: str) -> bool:
        """Whether a whole blob is there already; then it is held instead of ours."""
        try:
            held = lock(path, exclusive=False)
        except OSError:
            return False
        if held is not None and _file_digest(path) == digest:
            self._blobs.hold(held)
            return True
        if held is not None:
            held.close()
        return False


def _file_digest(path: str) -> str:
    try:
        fd = open_regular(path)
    except (OSError, CorruptData):
        return ""
    with open(fd, "rb", buffering=0) as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
