"""Detaching a pod from its networks: DEL of all of them, and a look for what plugins leave behind.

It can be done again, at any time, by anybody, with no namespace left: what it needs was written down before
the pod was attached. What fails, or does not fit into the time, is noted as a debt and done by whoever comes
next.
"""

from __future__ import annotations

import os
from time import monotonic

from carob.errors import CarobError, CorruptData, NotFound, TimedOut
from carob.network import chain, leftovers, locks, strays
from carob.network.overlap import may_overlap
from carob.network.record import make_state_record, open_record
from carob.network.tasks import Runner
from carob.spec.cni.result import parse_result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from carob.network.attachment import Attachment, Plan
    from carob.network.places import Places
    from carob.network.record import Record
    from carob.network.tasks import Steps
    from carob.spec.cni.result import Result

PLUGIN_S = 10.0
BUDGET_S = 10.0
_PATIENCE_WITH_PLUGINS_S = 2.0
_LOCK_WAIT_S = 5.0


def detach(
    pod: int,
    places: Places,
    *,
    namespace: str = "",
    budget_s: float = BUDGET_S,
    plugin_s: float = PLUGIN_S,
    force: bool = False,
    thorough: bool = False,
) -> dict[str, str]:
    """Detaches the pod, whose directory the descriptor ``pod`` is; returns what is still owed, by interface.

    An empty dictionary means that nothing is left. ``namespace`` is the path of the pod's network namespace
    where it is still there. It takes ``budget_s`` seconds, and hardly more. ``force`` goes on after a
    plugin's failure, takes back by hand what the plugins of CNI's reference set would have, and owes nothing
    any more; what failed is returned all the same. ``thorough`` looks for interfaces that outlived the
    namespace as well. Raises nothing for what a plugin does; ``CorruptData`` for a plan that cannot be read.
    """
    record = open_record(pod)
    if record is None:
        return {}
    with record:
        return detach_recorded(
            record,
            places,
            namespace=namespace,
            budget_s=budget_s,
            plugin_s=plugin_s,
            force=force,
            thorough=thorough,
        )


def detach_recorded(
    record: Record,
    places: Places,
    *,
    namespace: str = "",
    budget_s: float = BUDGET_S,
    plugin_s: float = PLUGIN_S,
    force: bool = False,
    thorough: bool = False,
) -> dict[str, str]:
    """``detach`` for a record that is open already, in a pod's directory or among this boot's state."""
    try:
        plan = record.plan()
    except NotFound:
        return {}
    if plan.ends_with_pod():
        return {}
    path = places.pod_state(plan.uuid)
    if all(record.is_released(attachment.interface) for attachment in plan.attachments):
        forget(path)
        return {}
    work = chain.Work(
        plan.uuid,
        places,
        directories=plugin_directories(plan, places),
        namespace=namespace,
        total_s=budget_s,
        plugin_s=plugin_s,
    )
    try:
        _lock(work, plan)
        with make_state_record(path) as state:
            debts = undo(work, plan, (record, state), force=force, thorough=thorough)
        if force or not debts:
            forget(path)
    except TimedOut as error:
        debts = {attachment.interface: error.message for attachment in plan.attachments}
        _note((record,), (), debts)
    finally:
        work.close()
    return debts


def plugin_directories(plan: Plan, places: Places) -> tuple[str, ...]:
    """Where to look for plugins: where they were when the pod was prepared, then where they are now."""
    return tuple(dict.fromkeys((*plan.plugin_directories, *places.plugins)))


def _lock(work: chain.Work, plan: Plan) -> None:
    """Takes the pod's lock and those of its networks.

    A plugin that outlived whoever called it may end by itself, and is killed if it does not: what it does is
    about to be undone.
    """
    left_s = max(0.0, work.deadline - monotonic())
    try:
        work.locks[""] = locks.take_pods(
            work.places, plan.uuid, wait_s=min(_PATIENCE_WITH_PLUGINS_S, left_s / 2)
        )
    except TimedOut:
        strays.kill(plan.uuid)
        work.locks[""] = locks.take_pods(work.places, plan.uuid, wait_s=_PATIENCE_WITH_PLUGINS_S)
    for name in sorted({attachment.network for attachment in plan.attachments}):
        left_s = max(0.0, work.deadline - monotonic())
        work.locks[name] = locks.take(work.places.lock(name), shared=True, wait_s=min(_LOCK_WAIT_S, left_s))


class _Known:
    """What is known of an attachment: ADD's ``result``, or ``None``, and the ports that it was told."""

    __slots__ = ("mappings", "result")

    def __init__(self, attachment: Attachment, records: tuple[Record, Record]) -> None:
        interface = attachment.interface
        self.result: Result | None = None
        self.mappings: list[dict[str, Any]] = attachment.published()
        for record in reversed(records):
            document, mappings = record.result(interface), record.published(interface)
            try:
                if document is not None:
                    self.result = parse_result(document, attachment.version, "the pod's directory")
            except CorruptData:
                continue
            if mappings is not None:
                self.mappings = mappings


def undo(
    work: chain.Work,
    plan: Plan,
    records: tuple[Record, Record],
    *,
    force: bool = False,
    thorough: bool = False,
) -> dict[str, str]:
    """Detaches from all networks of the plan that are not released yet, the pod's lock being held.

    Returns what is still owed, and notes it in the records. Rules go before DEL, which gives to others the
    addresses that they lead to. Only where the namespace is still there do the plugins come first, for some
    miss their rules if those are gone; the ones that fail come again, as if there were no namespace.
    """
    pending = tuple(one for one in plan.attachments if not records[0].is_released(one.interface))
    known = {one.interface: _Known(one, records) for one in pending}
    incomplete = tuple(one for one in pending if known[one.interface].result is None)
    try:
        ips = leftovers.held_ips(work.uuid, pending if force else incomplete)
    except CarobError as error:
        debts = {one.interface: _reason(error) for one in pending}
        _note(records, (), debts)
        return debts
    if work.namespace:
        failed = _delete_all(work, pending, known, force=force)
        left = tuple(one for one in pending if one.interface in failed)
        suspect = tuple(one for one in pending if one in left or one in incomplete)
        work.namespace = ""
    else:
        left = pending
        suspect = tuple(
            one for one in pending if force or leftovers.can_be(one, complete=one not in incomplete)
        )
    debts = {}
    trouble = _clear(work, suspect, ips)
    if trouble:
        debts = {one.interface: trouble for one in suspect}
        left = left if force else tuple(one for one in left if one not in suspect)
    debts.update(_delete_all(work, left, known, force=force))
    if thorough:
        debts.update(_remove_links(known))
    owed = {} if force else debts
    _note(records, tuple(one for one in pending if one.interface not in owed), owed)
    return debts


def _note(records: Iterable[Record], released: tuple[Attachment, ...], debts: dict[str, str]) -> None:
    """Writes down what was done and what was not.

    A full disk stops nobody: what is not known to be done is done again, and that does no harm.
    """
    for record in records:
        try:
            for one in released:
                record.mark_released(one.interface)
            record.write_debts(debts)
        except (CarobError, OSError):
            continue


def _clear(work: chain.Work, suspect: tuple[Attachment, ...], ips: list[str]) -> str:
    """Takes away rules that DEL would leave, or has left; what went wrong, or nothing."""
    if not suspect:
        return ""
    try:
        limit_s = work.limit_s("the rules that plugins leave")
        own = leftovers.not_others(work.uuid, suspect, ips)
    except CarobError as error:
        return _reason(error)
    runner = Runner()
    task = runner.start(leftovers.remove_rules(work.uuid, suspect, own, limit_s=limit_s))
    runner.run(task)
    return _reason(task.error) if task.error is not None else ""


def _remove_links(known: dict[str, _Known]) -> dict[str, str]:
    """Deletes interfaces that outlived the namespace; what went wrong, by interface."""
    debts = {}
    for interface, found in known.items():
        try:
            if found.result is not None:
                leftovers.remove_links(found.result.host_interfaces())
        except OSError as error:
            debts[interface] = f"cannot delete its interface on the host: {error.strerror}"
    return debts


def _delete_all(
    work: chain.Work, attachments: tuple[Attachment, ...], known: dict[str, _Known], *, force: bool
) -> dict[str, str]:
    """DEL of these attachments, the last one first; what failed, by interface."""
    runner = Runner()
    steps = [_delete(work, one, known[one.interface], force=force) for one in reversed(attachments)]
    if not may_overlap(attachments):
        steps = [_in_turn(steps)]
    tasks = [runner.start(each) for each in steps]
    runner.run(*tasks)
    return {name: why for task in tasks for name, why in task.outcome().items()}


def _in_turn(steps: list[Steps]) -> Steps:
    debts: dict[str, str] = {}
    for each in steps:
        debts.update((yield from each))
    return debts


def _delete(work: chain.Work, one: Attachment, known: _Known, *, force: bool) -> Steps:
    """DEL of one attachment; the result is empty, or has the reason by interface."""
    debts = {}
    try:
        yield from chain.delete(work, one, known.mappings, known.result, force=force)
    except (CarobError, OSError) as error:
        debts = {one.interface: _reason(error)}
        if not force:
            return debts
    try:
        if force or known.result is None:
            leftovers.release_leases(work.uuid, (one,))
    except (CarobError, OSError) as error:
        debts = {one.interface: _reason(error)}
    return debts


def _reason(error: Exception) -> str:
    if isinstance(error, CarobError):
        return f"{error.message} ({error.hint})" if error.hint else error.message
    return str(error)


def forget(path: str) -> None:
    """Takes away a pod's part of this boot's state: first what says that it is attached, last its lock."""
    order = {"plan.json": 0, "lock": 2}
    try:
        for name in sorted(os.listdir(path), key=lambda name: order.get(name, 1)):
            os.unlink(f"{path}/{name}")
        os.rmdir(path)
    except OSError:
        return  # another does the same, or has come to need it
