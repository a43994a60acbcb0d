"""Asking plugins how things are: CHECK of a pod's attachments, STATUS of a network."""

from __future__ import annotations

from carob.errors import CarobError
from carob.network import chain, plugins
from carob.network.attachment import NAT
from carob.network.detach import plugin_directories
from carob.network.record import open_record
from carob.network.tasks import Runner
from carob.spec.cni import request, versions
from carob.spec.cni.result import parse_result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.network.places import Places
    from carob.network.tasks import Steps
    from carob.spec.cni.configuration import NetworkList

PLUGIN_S = 10.0
TOTAL_S = 30.0


def check(pod: int, places: Places, *, namespace: str, total_s: float = TOTAL_S) -> dict[str, CarobError]:
    """Whether the attachments of a running pod are as ADD made them: what is wrong, by interface.

    ``pod`` is a descriptor of its directory; ``namespace`` is what ``attach`` was given. Networks whose
    configuration is older than CHECK, or forbids it, and those that were not attached, are passed over.
    """
    record = open_record(pod)
    if record is None:
        return {}
    with record:
        plan = record.plan()
        work = chain.Work(
            plan.uuid,
            places,
            directories=plugin_directories(plan, places),
            namespace=namespace,
            total_s=total_s,
            plugin_s=PLUGIN_S,
        )
        runner = Runner()
        found = {}
        for attachment in plan.attachments:
            document = record.result(attachment.interface)
            if document is None or record.is_released(attachment.interface):
                continue
            result = parse_result(document, attachment.version, "the pod's directory")
            mappings = record.published(attachment.interface) or []
            task = runner.start(chain.check(work, attachment, mappings, result))
            runner.run(task)  # in turn, as SPEC.md wants it: nobody waits for a check
            if isinstance(task.error, CarobError):
                found[attachment.interface] = task.error
            else:
                task.outcome()
        return found


def status(network: NetworkList, places: Places) -> None:
    """Whether a network's plugins are ready to attach pods, as far as they can tell (from CNI 1.1 on).

    Raises ``Unavailable`` and its like with what the first plugin says that is not.
    """
    version = versions.choose(network.versions, f"network {network.name}")
    if versions.has_gc(version):
        runner = Runner()
        task = runner.start(_status(network, version, places))
        runner.run(task)
        task.outcome()


def _status(network: NetworkList, version: str, places: Places) -> Steps:
    call = plugins.Call(f"network {network.name}", directories=places.plugins, limit_s=PLUGIN_S)
    for plugin in network.plugins:
        if plugin.type != NAT:
            asked = request.configuration(plugin.document, name=network.name, version=version)
            yield from plugins.run(call, request.STATUS, plugin.type, asked)
