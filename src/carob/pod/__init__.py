"""carob.pod: pods as directories whose state is where they are and whether they are locked.

Every name of rkt's Go package ``pod`` is here under its Python name; docs/reference/seed-symbols.md
lists them side by side. Names are imported when they are first used.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.pod.collect import (
        Collected,
        Outcome,
        PodAlive,
        Policy,
        Step,
        collect_garbage,
        collect_pod,
        decide,
        remove_pod,
    )
    from carob.pod.directory import new_pod, open_pod, pod_from_uuid_string
    from carob.pod.failure import ChildNotReady, ImmutablePod, PodLocked
    from carob.pod.listing import BrokenPod
    from carob.pod.netinfo import NetInfo
    from carob.pod.pod import Pod
    from carob.pod.remove import delete
    from carob.pod.state import (
        INCLUDE_ALL_DIRS,
        INCLUDE_EMBRYO_DIR,
        INCLUDE_EXITED_GARBAGE_DIR,
        INCLUDE_GARBAGE_DIR,
        INCLUDE_MOST_DIRS,
        INCLUDE_PREPARE_DIR,
        INCLUDE_PREPARED_DIR,
        INCLUDE_RUN_DIR,
        Directory,
        IncludeMask,
        State,
    )
    from carob.pod.uuid_file import read_uuid_from_file, write_uuid_to_file
    from carob.pod.walk import pods, scan, walk_pods

__all__ = [
    "INCLUDE_ALL_DIRS",
    "INCLUDE_EMBRYO_DIR",
    "INCLUDE_EXITED_GARBAGE_DIR",
    "INCLUDE_GARBAGE_DIR",
    "INCLUDE_MOST_DIRS",
    "INCLUDE_PREPARED_DIR",
    "INCLUDE_PREPARE_DIR",
    "INCLUDE_RUN_DIR",
    "BrokenPod",
    "ChildNotReady",
    "Collected",
    "Directory",
    "ImmutablePod",
    "IncludeMask",
    "NetInfo",
    "Outcome",
    "Pod",
    "PodAlive",
    "PodLocked",
    "Policy",
    "State",
    "Step",
    "collect_garbage",
    "collect_pod",
    "decide",
    "delete",
    "new_pod",
    "open_pod",
    "pod_from_uuid_string",
    "pods",
    "read_uuid_from_file",
    "remove_pod",
    "scan",
    "walk_pods",
    "write_uuid_to_file",
]

_MODULES = {
    "collect": (
        "Collected",
        "Outcome",
        "PodAlive",
        "Policy",
        "Step",
        "collect_garbage",
        "collect_pod",
        "decide",
        "remove_pod",
    ),
    "directory": ("new_pod", "open_pod", "pod_from_uuid_string"),
    "failure": ("ChildNotReady", "ImmutablePod", "PodLocked"),
    "listing": ("BrokenPod",),
    "netinfo": ("NetInfo",),
    "pod": ("Pod",),
    "remove": ("delete",),
    "uuid_file": ("read_uuid_from_file", "write_uuid_to_file"),
    "walk": ("pods", "scan", "walk_pods"),
}
_WHERE = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = __import__(f"{__name__}.{_WHERE.get(name, 'state')}", fromlist=[name])
    value: object = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
