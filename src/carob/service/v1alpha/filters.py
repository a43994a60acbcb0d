"""rkt's filters of pods, images and events, as ``rkt/api_service.go`` applies them. Pure.

What a filter sets must hold all together; of several filters, one must. A filter that sets nothing holds.
"""

from __future__ import annotations

import posixpath

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from carob.service.v1alpha.api_pb2 import (
        Event,
        EventFilter,
        Image,
        ImageFilter,
        KeyValue,
        Pod,
        PodFilter,
    )


def pod_satisfies(pod: Pod, filters: Sequence[PodFilter]) -> bool:
    """Whether any of the filters holds of the pod, or there is none."""
    return not filters or any(_pod_satisfies(pod, one) for one in filters)


def image_satisfies(image: Image, filters: Sequence[ImageFilter]) -> bool:
    """Whether any of the filters holds of the image, or there is none."""
    return not filters or any(_image_satisfies(image, one) for one in filters)


def event_satisfies(event: Event, wanted: EventFilter) -> bool:
    """Whether the filter holds of the event, but for its times."""
    return (
        _is_one_of(event.type, wanted.types)
        and _is_one_of(event.id, wanted.ids)
        and _is_one_of(getattr(event, "from"), wanted.names)
    )


def _pod_satisfies(pod: Pod, wanted: PodFilter) -> bool:
    return (
        _is_one_of(pod.id, wanted.ids)
        and _is_one_of(pod.state, wanted.states)
        and _has_all(wanted.app_names, (app.name for app in pod.apps))
        and _has_all(wanted.image_ids, (app.image.id for app in pod.apps))
        and _has_all(wanted.network_names, (network.name for network in pod.networks))
        and _has_pairs(pod.annotations, wanted.annotations)
        and _is_one_of(pod.cgroup, wanted.cgroups)
        and (not wanted.pod_sub_cgroups or _is_above(pod.cgroup, wanted.pod_sub_cgroups))
    )


def _image_satisfies(image: Image, wanted: ImageFilter) -> bool:
    return (
        _is_one_of(image.id, wanted.ids)
        and _is_one_of(image.name, wanted.full_names)
        and (not wanted.prefixes or image.name.startswith(tuple(wanted.prefixes)))
        and _is_one_of(base_name(image.name), wanted.base_names)
        and (not wanted.keywords or any(keyword in image.name for keyword in wanted.keywords))
        and (wanted.imported_after <= 0 or image.import_timestamp > wanted.imported_after)
        and (wanted.imported_before <= 0 or image.import_timestamp < wanted.imported_before)
        and _has_pairs(image.labels, wanted.labels)
        and _has_pairs(image.annotations, wanted.annotations)
    )


def base_name(name: str) -> str:
    """The last part of a name, as Go's ``path.Base`` has it: ``.`` for no name, ``/`` for slashes alone."""
    if not name:
        return "."
    return posixpath.basename(name.rstrip("/")) or "/"


def _is_one_of(value: object, wanted: Sequence[object]) -> bool:
    return not wanted or value in wanted


def _has_all(wanted: Iterable[str], there: Iterable[str]) -> bool:
    names = set(wanted)
    return not names or names.issubset(there)


def _has_pairs(there: Iterable[KeyValue], wanted: Iterable[KeyValue]) -> bool:
    """Of several values of one key, the first counts."""
    wanted = list(wanted)
    if not wanted:
        return True
    first: dict[str, str] = {}
    for pair in there:
        first.setdefault(pair.Key, pair.value)
    return all(first.get(pair.Key) == pair.value for pair in wanted)


def _is_above(cgroup: str, groups: Iterable[str]) -> bool:
    """Whether one of the groups begins as the pod's does: by letters, not by parts, as in rkt."""
    return bool(cgroup) and any(group.startswith(cgroup) for group in groups)
