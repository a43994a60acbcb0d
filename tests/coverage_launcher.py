"""Runs a program under coverage: python -I -S coverage_launcher.py DIRECTORY SITE PROGRAM [ARGUMENT…]

For the supervisor in tests (see `tests.coverage_children`). It forks in ways of its own, ends by
`os._exit` and changes its root, so figures are kept in memory and written at the end of each
process below a descriptor of DIRECTORY that is open from the beginning, has a high number, and is
spared when the supervisor closes what it inherited. A process that is killed leaves no figures.
"""

from __future__ import annotations

import builtins
import fcntl
import os
import sys
from collections.abc import Callable
from typing import Any

_LOWEST = 900  # above every descriptor that a supervisor opens itself


def main() -> None:
    directory, site, program, *arguments = sys.argv[1:]
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    keep = fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, _LOWEST)
    os.close(opened)
    sys.path.insert(0, site)
    import coverage

    sys.path.remove(site)
    config = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "pyproject.toml")
    started: list[coverage.Coverage] = []

    def start() -> None:
        # No data file: a new root may not hold one. No patches: the environment is not ours to change.
        measure = coverage.Coverage(data_file=None, config_file=config, branch=True, source_pkgs=["carob"])
        measure.set_option("run:patch", [])
        measure.set_option("run:parallel", False)
        measure.start()
        started.append(measure)

    def save() -> None:
        while started:
            measure = started.pop()
            measure.stop()
            figures = measure.get_data().dumps()
            name = f"{os.getpid()}-{os.urandom(6).hex()}"
            fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=keep)
            os.write(fd, figures)
            os.close(fd)

    def start_in_child() -> None:
        while started:
            started.pop().stop()  # the parent's figures are the parent's to write
        start()

    leave = os._exit

    def exit_saving(status: int) -> None:
        save()
        leave(status)

    os._exit = exit_saving  # type: ignore[assignment]
    os.register_at_fork(after_in_child=start_in_child)
    _spare(keep)
    start()
    sys.argv = ["-c", *arguments]
    try:
        exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})
    finally:
        save()


def _spare(keep: int) -> None:
    """Let closing a range of descriptors pass over `keep`, in Python's way and in carob's own."""

    def around(close: Callable[[int, int], None], above: int) -> Callable[[int, int], None]:
        def close_but_one(first: int, last: int) -> None:
            if first <= keep < last + above:
                if first < keep:
                    close(first, keep - above)
                close(keep + 1, last)
            else:
                close(first, last)

        return close_but_one

    os.closerange = around(os.closerange, 0)
    load = builtins.__import__

    def load_and_wrap(*arguments: Any, **options: Any) -> Any:
        loaded = load(*arguments, **options)
        layer: Any = sys.modules.get("carob.linux.syscall")
        if hasattr(layer, "close_range"):
            builtins.__import__ = load
            layer.close_range = around(layer.close_range, 1)
        return loaded

    builtins.__import__ = load_and_wrap


if __name__ == "__main__":
    main()
