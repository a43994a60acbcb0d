"""The command lines of OCI runtimes, and what their failures mean.

Lean, because the pod's init loads it. Both crun and runc take their global flags first; a failed
create writes its cause to the file of ``--log`` and, without that, into the app's own output.
"""

from __future__ import annotations

from carob.protocol.compact_json import loads

STATE_DIR = "/run/runtime"
NOT_FOUND = 127
NOT_EXECUTABLE = 126
FAILED = 125
_NOT_EXECUTABLE = ("permission denied", "operation not permitted", "exec format", "is a directory")


def run(
    name: str,
    *,
    app: str,
    bundle: str,
    pid_file: str,
    log: str,
    console: str = "",
    cgroups: bool = True,
    create_only: bool = False,
) -> list[str]:
    """Creates and starts an app, detached: it outlives the runtime, as a child of init.

    With ``create_only`` its own program is not begun: `start` does that.
    """
    verb = ["create"] if create_only else ["run", "--detach"]
    options = [*verb, f"--pid-file={pid_file}", f"--bundle={bundle}"]
    if console:
        options.append(f"--console-socket={console}")
    return [*_global(name, log, cgroups=cgroups), *options, app]


def start(name: str, *, app: str, log: str, cgroups: bool = True) -> list[str]:
    """Begins the program of an app that was created."""
    return [*_global(name, log, cgroups=cgroups), "start", app]


def delete(name: str, *, app: str, log: str, cgroups: bool = True) -> list[str]:
    """Deletes what the runtime has of an app that has ended, its cgroup included."""
    return [*_global(name, log, cgroups=cgroups), "delete", "--force", app]


def execute(
    name: str,
    *,
    app: str,
    process: str,
    pid_file: str,
    log: str,
    console: str = "",
    cgroups: bool = True,
) -> list[str]:
    """Starts one more process in a running app, described by an OCI process file."""
    options = ["exec", "--detach", f"--process={process}", f"--pid-file={pid_file}"]
    if console:
        options.append(f"--console-socket={console}")
    return [*_global(name, log, cgroups=cgroups), *options, app]


def _global(name: str, log: str, *, cgroups: bool) -> list[str]:
    flags = [name, f"--log={log}", "--log-format=json", f"--root={STATE_DIR}"]
    if name == "crun":
        flags.append(f"--cgroup-manager={'cgroupfs' if cgroups else 'disabled'}")
    return flags


def left_out(error: Exception) -> tuple[int, str]:
    """The same for one that failed, and did not know it: there is no process, or no terminal."""
    why = error.strerror if isinstance(error, OSError) and error.strerror else error
    return FAILED, f"the runtime left something out, and does not say why ({why})"


def failure(log_text: str) -> tuple[int, str]:
    """What a runtime's log says of its failure: (exit code in the shell's sense, one line).

    127: there is no such program; 126: it is there and cannot be run; 125: all else.
    """
    message = ""
    for line in log_text.splitlines():
        try:
            entry = loads(line)
            if entry.get("level", "error") in ("error", "fatal"):
                message = entry.get("msg", "") or message
        except (ValueError, AttributeError):
            message = line or message
    lowered = message.lower()
    if "exec" in lowered:
        if "not found" in lowered or "no such file" in lowered:
            return NOT_FOUND, message
        if any(reason in lowered for reason in _NOT_EXECUTABLE):
            return NOT_EXECUTABLE, message
    return FAILED, message or "the runtime said nothing"
