"""The launch plan: all that monitor and init need to know of a pod, written when it is prepared.

It is ``carob/plan.json`` in the pod's directory, version 1, and never changes. Paths are relative to
the pod's directory unless they start with ``/``. Keys:

- ``at_once``: whether the pod was made to be run by its maker, at once, and was never synced
- ``version``, ``uuid``, ``hostname``, ``network`` (``none``, ``host`` or ``cni``; the last with
  ``networks``: ``carob.protocol.pod_network``), ``grace_s``, ``status_dir``
- ``runtime``: ``name`` and ``path``
- where it asks for them: ``log`` (``max_bytes`` of a log file, ``max_files`` of an app), ``journal`` (true)
- ``user_namespace``: whether init is in one, as those of other users than root are
- ``owners``, where only the apps are in one, which init keeps at ``USER_NAMESPACE_AT``: ``uids`` and
  ``gids``, for each range the first inside, the first outside, and how many; ``allotted`` where carob has
  chosen them
- ``cgroup``: the pod's group, such as ``/carob/<uuid>``, or ``""`` where it has none
- where it asks for them: ``limits`` of the whole pod (``carob.runtime.resources``), ``hierarchies`` of
  control groups beside the usual ones, ``sysctls`` by path below ``/proc/sys``, ``host_namespaces`` (``pid``,
  ``ipc``, ``uts``)
- ``apps``: for each its ``name``, ``stop_signal``, where they are not the defaults ``role`` (``init`` or
  ``sidecar``), ``restart`` (``when`` and ``most``), ``grace_s`` and ``streams`` (``stdin``, ``stdout``,
  ``stderr``), and ``rootfs`` and ``volumes``; ``rootfs`` has either ``lower`` (layers, top first),
  ``upper`` and ``work``, or ``directory``
- ``mutable``, where it is true: apps come and go, and ``apps`` is empty. Each that is there has its part of
  the plan, in the same form and version, in ``carob/apps/<app>/plan.json``, and in that perhaps
  ``files``, those of this app, ``log``, the name of its log file in the directory that is mounted for it at
  ``LOGS_AT``, and ``pid_of``, the app whose processes it is among, or ``ALL_APPS``
- ``files``, where there are any: for each its ``name`` in ``FILES_AT``, ``mode``, ``uid``, ``gid``, and
  ``source``, a path on the host, or null where the content came with the word to run. Contents are nowhere
  on disk: ``carob.protocol.contents``
- ``unit``, where the pod stays in its caller's control group: that ``group``, and the ``hierarchies`` in
  which the caller was in it
- ``handed``, where it is not 0: how many volumes the monitor opens, those with a ``propagation``

A volume has a ``target`` in init's root, ``options`` (``ro``, or ``ro-top`` where what is mounted
below stays writable, ``nosuid``, ``nodev``, ``noexec``), a ``subpath`` (``""`` for the whole), and by
``kind``:

- ``host``: ``source``, ``recursive``; ``was``, device and inode when the pod was prepared; perhaps
  ``propagation`` (``slave`` or ``shared``); ``idmap``, where it is true: its owners are the pod's own
- ``pod``: ``source``, a directory of the pod
- ``memory``: ``name`` (volumes of one name are one; ``""`` is none), ``size_bytes``, ``mode``, ``uid``,
  ``gid``
- ``image``: ``rootfs``, as of an app
"""

from __future__ import annotations

from carob.protocol.compact_json import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSION = 1
DIRECTORY = "carob"
PLAN = "carob/plan.json"
IDENTITY = "carob/supervisor.json"
CONTROL_SOCKET = "carob/control.sock"
SUPERVISOR_LOG = "carob/supervisor.log"
LOG_DIRECTORY = "carob/logs"
END = "carob/end.json"

# Where things stand in init's own small root.
POD_AT = "/pod"
ROOTFS_AT = "/apps"
VOLUMES_AT = "/volumes"
FILES_AT = "/files"
LOGS_AT = "/logs"
USER_NAMESPACE_AT = "/run/user_namespace"

OWNERS = "/var/lib/carob/owners"
"""Which pod of this machine has which range of owners: ``carob.engine.prepare.ranges``."""


def bundle_directory(app: str) -> str:
    """The app's OCI bundle, runtime log and exit record."""
    return f"carob/apps/{app}"


ALL_APPS = "*"
"""The PID namespace that the apps of a mutable pod share, in the place of an app's name."""


def app_plan(app: str) -> str:
    """The launch plan's part of an app of a mutable pod."""
    return f"carob/apps/{app}/plan.json"


def pid_namespace(app: str) -> str:
    """A link in init's root to the PID namespace of another app, for an app that is among its processes."""
    return f"/run/pid_{app}"


def exit_record(app: str) -> str:
    """The app's exit record."""
    return f"carob/apps/{app}/exit.json"


def life_note(app: str) -> str:
    """Where the app is that was started again, or is paused; not there for one that simply runs."""
    return f"carob/apps/{app}/life.json"


def start_mark(app: str) -> str:
    """A symbolic link that leads to the time when the app was started, in nanoseconds since 1970."""
    return f"carob/apps/{app}/started"


def log_file(app: str) -> str:
    """What the app wrote to its standard output and error."""
    return f"{LOG_DIRECTORY}/{app}.log"


def write(document: dict[str, Any]) -> bytes:
    """The plan as it stands in its file."""
    return (dumps({"version": VERSION, **document}) + "\n").encode()


def read(raw: bytes) -> dict[str, Any]:
    """Reads a plan; ``ValueError`` for one that is none or of a version yet to come."""
    document = loads(raw)
    if not isinstance(document, dict) or not isinstance(document.get("version"), int):
        raise ValueError("the launch plan is not a plan")
    if document["version"] > VERSION:
        raise ValueError(
            f"the launch plan has version {document['version']}; this carob knows up to {VERSION}"
        )
    return document
