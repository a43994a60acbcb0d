"""Mutable pods as CRI's sandboxes. Pure."""

from __future__ import annotations

import json

from carob.engine.sandbox import views
from carob.errors import CorruptData
from carob.service.cri import api_pb2 as api
from carob.service.cri.ids import is_beginning, sandbox_id
from carob.service.cri.records import RECORD, foreign_sandbox, read_sandbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.engine.observe.status import PodStatus
    from carob.service.cri.records import SandboxRecord


def record_of(view: PodStatus) -> SandboxRecord:
    """What CRI noted of it, or what can be said of one that somebody else has made."""
    text = view.annotations.get(RECORD)
    if text is not None:
        try:
            return read_sandbox(text)
        except CorruptData:
            pass  # the sandbox is there all the same, and can be stopped and removed
    return foreign_sandbox(view.uuid, view.name)


def sandbox(view: PodStatus) -> api.PodSandbox:
    """An entry of a list."""
    record = record_of(view)
    return api.PodSandbox(
        id=sandbox_id(view.uuid),
        metadata=api.PodSandboxMetadata(**record.metadata),
        state=_state(view),
        created_at=view.created_ns or 0,
        labels=record.labels,
        annotations=record.annotations,
        runtime_handler=record.handler,
    )


def sandbox_status(view: PodStatus) -> api.PodSandboxStatus:
    """All that is told of one."""
    record = record_of(view)
    options = record.config().linux.security_context.namespace_options
    return api.PodSandboxStatus(
        id=sandbox_id(view.uuid),
        metadata=api.PodSandboxMetadata(**record.metadata),
        state=_state(view),
        created_at=view.created_ns or 0,
        network=_network(view),
        linux=api.LinuxPodSandboxStatus(namespaces=api.Namespace(options=options)),
        labels=record.labels,
        annotations=record.annotations,
        runtime_handler=record.handler,
    )


def sandbox_info(view: PodStatus) -> str:
    """What goes with a status that is to be verbose."""
    told: dict[str, Any] = {
        "uuid": view.uuid,
        "pid": view.pid or 0,
        "state": str(view.state),
        "networks": [
            {"name": one.name, "interface": one.interface, "addresses": one.addresses, "ports": one.ports}
            for one in view.networks
        ],
        "config": record_of(view).document,
    }
    return json.dumps(told)


def satisfies(view: PodStatus, wanted: api.PodSandboxFilter) -> bool:
    """Whether all that a filter sets holds."""
    if wanted.id and not is_beginning(wanted.id, sandbox_id(view.uuid)):
        return False
    if wanted.HasField("state") and wanted.state.state != _state(view):
        return False
    return has_labels(record_of(view).labels, wanted.label_selector)


def has_labels(labels: dict[str, str], wanted: Any) -> bool:
    """Whether these are among the labels."""
    return all(labels.get(key) == value for key, value in wanted.items())


def attributes(view: PodStatus) -> api.PodSandboxAttributes:
    """What tells a sandbox from others, for figures."""
    record = record_of(view)
    return api.PodSandboxAttributes(
        id=sandbox_id(view.uuid),
        metadata=api.PodSandboxMetadata(**record.metadata),
        labels=record.labels,
        annotations=record.annotations,
    )


def _state(view: PodStatus) -> api.PodSandboxState.ValueType:
    return api.SANDBOX_READY if views.is_running(view) else api.SANDBOX_NOTREADY


def _network(view: PodStatus) -> api.PodSandboxNetworkStatus:
    """The addresses on the first network."""
    if not view.networks:
        return api.PodSandboxNetworkStatus()
    first, *more = [address.partition("/")[0] for address in view.networks[0].addresses] or [""]
    return api.PodSandboxNetworkStatus(ip=first, additional_ips=[api.PodIP(ip=one) for one in more])
