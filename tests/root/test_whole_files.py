"""What others read while a pod starts is whole from the first moment."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from carob import App, Engine
from tests.root import host_view

_IN_CREATE, _IN_MOVED_TO, _IN_CLOEXEC = 0x100, 0x80, 0o2000000


def test_pid_files_come_with_their_content(engine: Engine) -> None:
    """rkt's readers take an empty file for a broken one."""
    pod = engine.prepare(App("busybox", ["true"]))
    libc = ctypes.CDLL(None, use_errno=True)
    events = libc.inotify_init1(_IN_CLOEXEC)
    try:
        path = str(Path(engine.data_dir, "pods/prepared", pod.uuid)).encode()
        assert libc.inotify_add_watch(events, path, _IN_CREATE | _IN_MOVED_TO) >= 0
        pod.run()
        pod.wait()
        raw = os.read(events, 1 << 16)
    finally:
        os.close(events)
    ways, at = {}, 0
    while at < len(raw):
        mask, size = (int.from_bytes(raw[at + place : at + place + 4], "little") for place in (4, 12))
        ways[raw[at + 16 : at + 16 + size].rstrip(b"\0").decode()] = mask
        at += 16 + size
    assert {name: ways[name] for name in ("pid", "ppid")} == dict.fromkeys(("pid", "ppid"), _IN_MOVED_TO)
    directory = host_view.pod_directory(engine.data_dir, pod.uuid)
    assert (directory / "pid").stat().st_mode & 0o777 == 0o640
