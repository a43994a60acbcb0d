"""Many exited pods, quickly: one that really ran, copied under new identifiers.

A copy leaves out the overlay's own directories, which only its removal would look at.
"""

from __future__ import annotations

import os
import uuid

from bench.figure import Unmeasurable
from bench.setting import Setting
from carob import Engine
from carob.pod import Directory
from carob.pod.directory import directory_path


def exited_pods(setting: Setting, count: int) -> Engine:
    """An engine on a data directory of its own with that many pods, all exited.

    The directory is kept, and grows, for as long as the setting: ten thousand pods take a while to make.
    """
    data = os.path.join(setting.directory, "exited")
    runs = directory_path(data, Directory.RUN)
    os.makedirs(runs, exist_ok=True)
    present = len(os.listdir(runs))
    if present > count:
        raise Unmeasurable(f"there are more than {count} exited pods: measure `states` before `list`")
    pod = setting.engine.run(setting.app("true"))
    pod.wait()
    entries = _entries(os.path.join(directory_path(setting.engine.data_dir, Directory.RUN), pod.uuid))
    for _ in range(count - present):
        _copy(entries, os.path.join(runs, str(uuid.uuid4())))
    pod.remove()
    # What the kernel has not written back yet would be written while the clock runs.
    os.sync()
    return Engine(data)


def _entries(original: str) -> list[tuple[str, int, bytes | str | None]]:
    """(name, mode, content): content is ``None`` for a directory, text for a link's target."""
    found: list[tuple[str, int, bytes | str | None]] = []
    for directory, names, files in os.walk(original):
        short = os.path.relpath(directory, original)
        names[:] = [name for name in names if not (short == "overlay" and name.startswith("sha256-"))]
        found.append((short, 0o750, None))
        for name in (*files, *names):
            path = os.path.join(directory, name)
            if os.path.islink(path):
                found.append((os.path.join(short, name), 0, os.readlink(path)))
            elif name in files:
                with open(path, "rb") as file:
                    found.append((os.path.join(short, name), os.stat(path).st_mode & 0o777, file.read()))
    return found


def _copy(entries: list[tuple[str, int, bytes | str | None]], target: str) -> None:
    os.mkdir(target)
    top = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for name, mode, content in entries:
            if content is None:
                if name != ".":
                    os.mkdir(name, mode, dir_fd=top)
            elif isinstance(content, str):
                os.symlink(content, name, dir_fd=top)
            else:
                descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode, dir_fd=top)
                os.write(descriptor, content)
                os.close(descriptor)
    finally:
        os.close(top)
