"""Attaching a pod to its networks: ADD of all of them, or of none.

Before the first plugin runs, the pod is known among this boot's state (``<state>/pods/<uuid>``) with all that
detaching needs. Whoever attaches may be killed at any instruction: what it did is undone by ``detach``, which
waits for plugins that go on without it, for they hold the pod's lock as well.
"""

from __future__ import annotations

from carob.errors import CarobError, Conflict, NotFound
from carob.network import chain, host_ports, locks, nat, strays
from carob.network.attachment import NAT
from carob.network.detach import forget, plugin_directories, undo
from carob.network.overlap import may_overlap
from carob.network.plugins import find
from carob.network.record import NET_INFO, make_state_record, open_record, replace_file
from carob.network.tasks import Runner
from carob.protocol.compact_json import dumps
from carob.spec.cni.resolver import Resolver, resolver_of_result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from carob.network.attachment import Attachment, Plan
    from carob.network.places import Places
    from carob.network.record import Record
    from carob.network.tasks import Steps
    from carob.spec.cni.result import Result

PLUGIN_S = 30.0
TOTAL_S = 60.0
UNDO_S = 20.0
_LOCK_WAIT_S = 10.0
_AFTER_FAILURE_S = 3.0


class Attached:
    """What came of it: each attachment with its result and its ports, and the sockets that hold the ports."""

    __slots__ = ("networks", "ports")

    def __init__(self, ports: host_ports.Held) -> None:
        self.networks: list[tuple[Attachment, Result, list[dict[str, Any]]]] = []
        self.ports = ports

    def resolver(self) -> Resolver:
        """What the networks say of name servers: the first one that says anything."""
        for _, result, _ in self.networks:
            found = resolver_of_result(result.dns)
            if found:
                return found
        return Resolver()


def attach(
    pod: int,
    places: Places,
    *,
    namespace: str,
    data_dir: str,
    plugin_s: float = PLUGIN_S,
    total_s: float = TOTAL_S,
) -> Attached:
    """Attaches the pod, whose directory the descriptor ``pod`` is, to the networks of its plan.

    ``namespace`` is the path of its network namespace, good until this returns, and for CHECK later.
    ``data_dir`` is the pod's data directory. One plugin may take ``plugin_s`` seconds, all of them
    ``total_s``. Where one fails all that was done is undone, and its error raised; what cannot be undone is
    noted as a debt, for ``detach``. The sockets of ``Attached.ports`` are to be kept open for as long as the
    pod runs.
    """
    record = open_record(pod)
    if record is None:
        raise NotFound("the pod has no plan of networks")
    with record:
        plan = record.plan()
        wanted = [mapping for attachment in plan.attachments for mapping in attachment.published()]
        attached = Attached(host_ports.hold(wanted))
        work = chain.Work(
            plan.uuid,
            places,
            directories=plugin_directories(plan, places),
            namespace=namespace,
            total_s=total_s,
            plugin_s=plugin_s,
        )
        try:
            _lock(work, plan)
            with make_state_record(places.pod_state(plan.uuid)) as state:
                _begin(plan, record, state, data_dir)
                _attach(work, plan, (record, state), attached)
            write_net_info(pod, attached, lambda one: find(one.types()[0], work.directories))
        except BaseException:
            attached.ports.close()
            raise
        finally:
            work.close()
    return attached


def _lock(work: chain.Work, plan: Plan) -> None:
    work.locks[""] = locks.take_pods(work.places, plan.uuid, wait_s=_LOCK_WAIT_S)
    for name in sorted({attachment.network for attachment in plan.attachments}):
        work.locks[name] = locks.take(work.places.lock(name), shared=True, wait_s=_LOCK_WAIT_S)
    if any(NAT in attachment.types() for attachment in plan.attachments):
        path = work.places.filter_lock()
        work.locks["/"] = locks.take(path, shared=True, wait_s=_LOCK_WAIT_S)


def _begin(plan: Plan, record: Record, state: Record, data_dir: str) -> None:
    """Makes the pod known. Raises ``Conflict`` for one that is attached already."""
    if any(state.result(attachment.interface) is not None for attachment in plan.attachments):
        raise Conflict(f"pod {plan.uuid} is attached to its networks already")
    for attachment in plan.attachments:
        record.begin(attachment.interface)
        state.begin(attachment.interface)
    state.write_owner(data_dir)
    state.write_plan(plan)


def _attach(work: chain.Work, plan: Plan, records: tuple[Record, Record], attached: Attached) -> None:
    known = iter(attached.ports.mappings)
    ports = {one.interface: [next(known) for _ in one.published()] for one in plan.attachments}
    try:
        results = _add_all(work, plan, ports, records)
    except Exception as error:
        _roll_back(work, plan, records, error)
        raise
    for attachment, result in zip(plan.attachments, results, strict=True):
        attached.networks.append((attachment, result, ports[attachment.interface]))


def _add_all(
    work: chain.Work, plan: Plan, ports: dict[str, list[dict[str, Any]]], records: tuple[Record, Record]
) -> list[Result]:
    runner = Runner()
    networks = [nat.network_of(attachment) for attachment in plan.attachments]
    steps = [_add(work, attachment, ports[attachment.interface], records) for attachment in plan.attachments]
    if not may_overlap(plan.attachments):
        steps = [_in_turn(steps)]
    tasks = [runner.start(each) for each in steps]
    # After the plugins that everything else waits for.
    work.filter = runner.start(nat.prepare([one for one in networks if one is not None], work.places))
    runner.run(*tasks, work.filter, after_failure_s=_AFTER_FAILURE_S)
    for task in sorted(tasks, key=lambda task: isinstance(task.error, chain.GivenUp)):
        task.outcome()  # what failed first, not what was given up for it
    results: list[Result] = [result for task in tasks for result in task.outcome()]
    return results


def _in_turn(steps: list[Steps]) -> Steps:
    results = []
    for each in steps:
        results += yield from each
    return results


def _add(
    work: chain.Work, attachment: Attachment, ports: list[dict[str, Any]], records: tuple[Record, Record]
) -> Steps:
    """ADD of one network, with its result kept; the steps' own result is a list of that one."""
    try:
        result = yield from chain.add(work, attachment, ports)
    except BaseException:
        work.stopped = True
        raise
    for record in records:
        record.write_result(attachment.interface, result.document, ports)
    return [result]


def _roll_back(work: chain.Work, plan: Plan, records: tuple[Record, Record], error: Exception) -> None:
    again = chain.Work(
        work.uuid,
        work.places,
        directories=work.directories,
        namespace=work.namespace,
        total_s=UNDO_S,
        plugin_s=work.plugin_s,
    )
    again.locks = work.locks
    strays.kill(work.uuid)  # children of plugins that were cut off
    if not undo(again, plan, records):
        forget(work.places.pod_state(work.uuid))
    elif isinstance(error, CarobError):
        error.hint = f"{error.hint}; what was done is left for carob gc to undo".removeprefix("; ")


def write_net_info(pod: int, attached: Attached, program_of: Callable[[Attachment], str]) -> None:
    """``net-info.json``, as ``carob.pod.netinfo`` reads it, with the path of what made each interface."""
    documents = []
    for attachment, result, _ in attached.networks:
        addresses = sorted(result.pod_addresses(), key=lambda address: address.cidr.version)
        cidr = addresses[0].cidr if addresses else None
        documents.append(
            {
                "netName": attachment.network,
                "netConf": "carob/network/plan.json",
                "pluginPath": program_of(attachment),
                "ifName": attachment.interface,
                "ip": cidr.ip if cidr is not None else "",
                "args": ";".join([f"{key}={value}" for key, value in attachment.arguments]),
                "mask": cidr.mask if cidr is not None else "",
            }
        )
    replace_file(pod, NET_INFO, (dumps(documents) + "\n").encode())
