"""The launch plan: all that monitor and init need to know of a pod, written when it is prepared.

It is ``carob/plan.json`` in the pod's directory, version 1, and never changes. Paths are relative to
the pod's directory unless they start with ``/``. Keys:

- ``at_once``: whether the pod was made to be run by its maker, at once, and was never synced
- ``version``, ``uuid``, ``hostname``, ``network`` (``none`` or ``host``), ``grace_s``, ``status_dir``
- ``runtime``: ``name`` and ``path``
- ``cgroup``: the pod's group, such as ``/carob/<uuid>``
- ``apps``: for each its ``name``, ``stop_signal``, ``rootfs`` and ``volumes`` (``source``, ``target`` in
  init's root, ``kind``, ``read_only``, ``recursive``); ``rootfs`` has either ``lower`` (layers, top first),
  ``upper`` and ``work``, or ``directory``
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


def bundle_directory(app: str) -> str:
    """The app's OCI bundle, runtime log and exit record."""
    return f"carob/apps/{app}"


def exit_record(app: str) -> str:
    """The app's exit record."""
    return f"carob/apps/{app}/exit.json"


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
