"""A journal file being written: objects appended one after the other, and the links between them.

What an object points to is there before it is pointed to, and the header tells of an entry last: a reader
beside the writer, or after a crash, sees whole entries only.
"""

from __future__ import annotations

import os
from struct import Struct

from carob.logs.journal.hashing import hash64

_HEADER = Struct("<8sIIB7x16s16s16s16s19Q")
_OBJECT = Struct("<B7xQ")
_DATA = Struct("<6Q")
_FIELD = Struct("<3Q")
_ENTRY = Struct("<3Q16sQ")
_PAIR = Struct("<2Q")
_WORD = Struct("<Q")
_DATA_TYPE, _FIELD_TYPE, _ENTRY_TYPE, _DATA_TABLE, _FIELD_TABLE, _ARRAY = 1, 2, 3, 4, 5, 6
_OFFLINE, _ONLINE = 0, 1
_DATA_BUCKETS = 65_521
_FIELD_BUCKETS = 333
_STEP_BYTES = 1 << 20
_FIRST_ITEMS = 4
_MOST_ITEMS = 1 << 16
_REMEMBERED = 4096
_NEXT_HASH_AT = 24  # of data and fields alike
_HEAD_DATA_AT = 32
_FIRST_ENTRY_AT, _DATA_ARRAY_AT, _COUNT_AT, _DATA_PAYLOAD_AT = 40, 48, 56, 64
_FIELD_PAYLOAD_AT = 40


class _Array:
    """A list of entries in pieces, each with a pointer to the next: where it begins, and its last piece."""

    __slots__ = ("items", "last", "pointer_at", "used")

    def __init__(self, pointer_at: int) -> None:
        self.pointer_at = pointer_at
        self.last = 0
        self.items = 0
        self.used = 0


class _Data:
    """One ``FIELD=value``: where it is, its hash, how many entries have it, and their list."""

    __slots__ = ("array", "count", "hash", "offset")

    def __init__(self, offset: int, hashed: int, count: int) -> None:
        self.offset = offset
        self.hash = hashed
        self.count = count
        self.array = _Array(offset + _DATA_ARRAY_AT)


class JournalFile:
    """Writes one new file. ``fd`` is open for reading and writing, empty, and stays the caller's.

    Identifiers have 16 bytes. Raises ``OSError`` where it cannot be written.
    """

    def __init__(self, fd: int, *, machine_id: bytes, boot_id: bytes) -> None:
        self._fd = fd
        self._ids = (os.urandom(16), machine_id, boot_id, os.urandom(16))
        self._end = _HEADER.size
        self._size = 0
        self._tail = 0
        self._counts = dict.fromkeys((_DATA_TYPE, _FIELD_TYPE, _ENTRY_TYPE, _ARRAY), 0)
        self._objects = 0
        self._first_us = self._last_us = self._last_monotonic_us = 0
        self._entries = _Array(0)
        self._entries_at = 0
        self._fields: dict[bytes, int] = {}
        self._known: dict[bytes, _Data] = {}
        self._field_table = self._append(_FIELD_TABLE, bytes(16 * _FIELD_BUCKETS)) + _OBJECT.size
        self._data_table = self._append(_DATA_TABLE, bytes(16 * _DATA_BUCKETS)) + _OBJECT.size
        self._write_header(_ONLINE)

    def append(self, fields: list[bytes], realtime_us: int, monotonic_us: int) -> None:
        """Adds an entry of these ``FIELD=value`` payloads; ``flush`` makes it known to readers.

        The times do not go back from entry to entry.
        """
        found = sorted((self._data(payload) for payload in fields), key=lambda one: one.offset)
        number = self._counts[_ENTRY_TYPE] + 1
        both = 0
        for data in found:
            both ^= data.hash
        raw = _ENTRY.pack(number, realtime_us, monotonic_us, self._ids[2], both)
        offset = self._append(
            _ENTRY_TYPE, raw + b"".join([_PAIR.pack(one.offset, one.hash) for one in found])
        )
        self._link(self._entries, offset)
        for data in found:
            if data.count == 0:
                self._put(data.offset + _FIRST_ENTRY_AT, offset)
            else:
                self._link(data.array, offset)
            data.count += 1
            self._put(data.offset + _COUNT_AT, data.count)
        self._first_us = self._first_us or realtime_us
        self._last_us, self._last_monotonic_us = realtime_us, monotonic_us

    def flush(self) -> None:
        """Makes known what was added."""
        self._write_header(_ONLINE)

    def finish(self) -> None:
        """Marks the file as one that nobody writes to any more."""
        os.ftruncate(self._fd, self._end)
        self._size = self._end
        self._write_header(_OFFLINE)

    # -- data and fields

    def _data(self, payload: bytes) -> _Data:
        data = self._known.pop(payload, None) or self._find(payload)
        if data is None:
            data = self._new(payload)
        self._known[payload] = data  # the one used last is forgotten last
        if len(self._known) > _REMEMBERED:
            del self._known[next(iter(self._known))]
        return data

    def _find(self, payload: bytes) -> _Data | None:
        """The object of a payload that is in the file and was forgotten."""
        hashed = hash64(payload)
        offset = self._get(self._data_table + 16 * (hashed % _DATA_BUCKETS))
        size = _DATA_PAYLOAD_AT + len(payload)
        while offset:
            raw = os.pread(self._fd, size, offset)
            _, length = _OBJECT.unpack_from(raw)
            fields = _DATA.unpack_from(raw, _OBJECT.size)
            if fields[0] == hashed and length == size and raw[_DATA_PAYLOAD_AT:] == payload:
                found = _Data(offset, hashed, fields[5])
                self._walk(found.array, fields[4], fields[5] - 1)
                return found
            offset = fields[1]
        return None

    def _walk(self, array: _Array, offset: int, count: int) -> None:
        """Finds the last piece of a list with so many entries."""
        while offset:
            _, length = _OBJECT.unpack(os.pread(self._fd, _OBJECT.size, offset))
            array.last, array.items = offset, (length - _OBJECT.size - 8) // 8
            array.used = min(count, array.items)
            count -= array.used
            offset = self._get(offset + _OBJECT.size)

    def _new(self, payload: bytes) -> _Data:
        hashed = hash64(payload)
        name = payload.partition(b"=")[0]
        field = self._fields.get(name)
        if field is None:
            field_hash = hash64(name)
            field = self._append(_FIELD_TYPE, _FIELD.pack(field_hash, 0, 0) + name)
            self._insert(self._field_table + 16 * (field_hash % _FIELD_BUCKETS), field)
            self._fields[name] = field
        before = self._get(field + _HEAD_DATA_AT)
        offset = self._append(_DATA_TYPE, _DATA.pack(hashed, 0, before, 0, 0, 0) + payload)
        self._put(field + _HEAD_DATA_AT, offset)
        self._insert(self._data_table + 16 * (hashed % _DATA_BUCKETS), offset)
        return _Data(offset, hashed, 0)

    def _insert(self, bucket: int, offset: int) -> None:
        """Puts an object at the end of a bucket's chain."""
        head, tail = _PAIR.unpack(os.pread(self._fd, _PAIR.size, bucket))
        if tail:
            self._put(tail + _NEXT_HASH_AT, offset)
        os.pwrite(self._fd, _PAIR.pack(head or offset, offset), bucket)

    # -- lists of entries

    def _link(self, array: _Array, entry: int) -> None:
        if array.used == array.items:
            items = min(array.items * 2, _MOST_ITEMS) or _FIRST_ITEMS
            made = self._append(_ARRAY, bytes(8 + 8 * items))
            # The header's own pointer is written with the header.
            if array.last:
                self._put(array.last + _OBJECT.size, made)
            elif array is not self._entries:
                self._put(array.pointer_at, made)
            else:
                self._entries_at = made
            array.last, array.items, array.used = made, items, 0
        self._put(array.last + _OBJECT.size + 8 + 8 * array.used, entry)
        array.used += 1

    # -- bytes

    def _append(self, kind: int, body: bytes) -> int:
        offset = self._end
        size = _OBJECT.size + len(body)
        self._end = offset + (size + 7 & ~7)
        if self._end > self._size:
            self._size = (self._end + _STEP_BYTES) // _STEP_BYTES * _STEP_BYTES
            os.ftruncate(self._fd, self._size)
        written = os.pwrite(self._fd, _OBJECT.pack(kind, size) + body, offset)
        if written < size:
            raise OSError(28, os.strerror(28))  # ENOSPC: the disk took a part of it
        self._tail = offset
        self._objects += 1
        if kind in self._counts:
            self._counts[kind] += 1
        return offset

    def _put(self, at: int, value: int) -> None:
        os.pwrite(self._fd, _WORD.pack(value), at)

    def _get(self, at: int) -> int:
        found: int = _WORD.unpack(os.pread(self._fd, 8, at))[0]
        return found

    def _write_header(self, state: int) -> None:
        count = self._counts[_ENTRY_TYPE]
        raw = _HEADER.pack(
            b"LPKSHHRH", 0, 0, state, *self._ids,
            _HEADER.size, self._size - _HEADER.size,
            self._data_table, 16 * _DATA_BUCKETS, self._field_table, 16 * _FIELD_BUCKETS,
            self._tail, self._objects, count, count, 1 if count else 0, self._entries_at,
            self._first_us, self._last_us, self._last_monotonic_us,
            self._counts[_DATA_TYPE], self._counts[_FIELD_TYPE], 0, self._counts[_ARRAY],
        )  # fmt: skip
        os.pwrite(self._fd, raw, 0)
