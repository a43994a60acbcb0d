"""What no pod's own clean-up sees to: pods whose directory is gone, leases that nobody has, networks without
pods.

Every step looks at what is there and may be done again, by any number at once. A pod's own networks are
detached by ``detach`` before its directory is deleted; this comes after all of them.
"""

from __future__ import annotations

import os

from carob.errors import CarobError, NotFound, TimedOut
from carob.network import builtin, iptables, leases, locks, nat_rules, netlink, plugins
from carob.network.attachment import NAT
from carob.network.detach import BUDGET_S, detach_recorded, forget
from carob.network.record import open_state_record
from carob.network.tasks import Runner
from carob.spec.cni import request, versions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from carob.network.attachment import Attachment, Plan
    from carob.network.places import Places
    from carob.network.tasks import Steps

_AT_ONCE_S = 0.0
_GC_S = 10.0


class Collection:
    """What one pass did: uuids of pods ``detached``, addresses ``released``, networks ``removed`` from the
    host, and ``problems``, one line each.
    """

    __slots__ = ("detached", "problems", "released", "removed")

    def __init__(self) -> None:
        self.detached: list[str] = []
        self.released: list[str] = []
        self.removed: list[str] = []
        self.problems: list[str] = []


def collect(
    places: Places, data_dir: str, is_there: Callable[[str], bool], *, budget_s: float = BUDGET_S
) -> Collection:
    """One pass. ``is_there`` says whether a pod's directory is still in ``data_dir``, whatever its state.

    Pods of other data directories are left alone. Each pod that is gone takes up to ``budget_s`` seconds.
    """
    collection = Collection()
    _forget_empty(places)
    known = _attached(places)
    for uuid in list(known):
        try:
            owner, _ = known[uuid]
            if owner == data_dir and not is_there(uuid):
                _detach_gone(uuid, places, budget_s, collection)
                del known[uuid]
        except (CarobError, OSError) as error:
            collection.problems.append(f"pod {uuid}: {error}")
    try:
        _release_orphans(places, collection)
    except (CarobError, OSError) as error:
        collection.problems.append(f"leases: {error}")
    for name in _networks_of_carob(places):
        try:
            if _remove_unused(name, places):
                collection.removed.append(name)
        except (CarobError, OSError) as error:
            collection.problems.append(f"network {name}: {error}")
    return collection


def _attached(places: Places) -> dict[str, tuple[str, Plan | None]]:
    """All pods that this boot knows of: their data directory and their plan."""
    found: dict[str, tuple[str, Plan | None]] = {}
    for uuid in _names(f"{places.state}/pods"):
        record = open_state_record(places.pod_state(uuid))
        if record is None:
            continue
        with record:
            try:
                found[uuid] = (record.owner(), record.plan())
            except NotFound:
                continue  # nothing was begun yet, or all is undone
            except CarobError:
                found[uuid] = (record.owner(), None)
    return found


def _forget_empty(places: Places) -> None:
    """Takes away what is left of pods that are not attached: a killed process' unfinished work."""
    for uuid in _names(f"{places.state}/pods"):
        path = places.pod_state(uuid)
        if os.path.exists(f"{path}/plan.json"):
            continue
        try:
            lock = locks.take_pods(places, uuid, wait_s=_AT_ONCE_S)
        except TimedOut:
            continue
        try:
            if not os.path.exists(f"{path}/plan.json"):
                forget(path)
        finally:
            lock.close()


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []


def _detach_gone(uuid: str, places: Places, budget_s: float, collection: Collection) -> None:
    record = open_state_record(places.pod_state(uuid))
    if record is None:
        return
    with record:
        owed = detach_recorded(record, places, budget_s=budget_s, thorough=True)
    if owed:
        collection.problems += [f"pod {uuid}: {interface}: {why}" for interface, why in owed.items()]
    else:
        collection.detached.append(uuid)


def _release_orphans(places: Places, collection: Collection) -> None:
    """Gives back addresses of carob's own networks that are leased to nobody.

    Whoever is attached is known among the state before the first address is asked for, and until after the
    last one was given back, so a lease of somebody unknown is nobody's.
    """
    for network in _names(places.leases()):
        found = leases.release(
            f"{places.leases()}/{network}",
            lambda lease: not os.path.isdir(places.pod_state(lease.container)),
        )
        collection.released += [lease.ip for lease in found]


def _networks_of_carob(places: Places) -> list[str]:
    """The networks that may have left rules or a bridge."""
    names = set(_names(places.leases())) & set(builtin.BRIDGES)
    if iptables.is_there(4):
        runner = Runner()
        task = runner.start(iptables.save(4))
        runner.run(task)
        for _, _, rule in task.outcome().with_words("carob network="):
            names.add(rule.partition("carob network=")[2].partition(" ")[0])
    return sorted(names)


def _remove_unused(name: str, places: Places) -> bool:
    """Takes away what pods of a network shared, if there is none; whether it did."""
    held = []
    try:
        held.append(locks.take(places.lock(name), wait_s=_AT_ONCE_S))
        held.append(locks.take(places.filter_lock(), wait_s=_AT_ONCE_S))
    except TimedOut:  # somebody is being attached or detached: the network is in use
        for lock in held:
            lock.close()
        return False
    try:
        if any(_uses(plan, name) for _, plan in _attached(places).values()):
            return False
        runner = Runner()
        task = runner.start(_remove_rules(name))
        runner.run(task)
        removed = bool(task.outcome())
        if name in builtin.BRIDGES:
            removed = _remove_bridge(builtin.BRIDGES[name]) or removed
        return removed
    finally:
        for lock in reversed(held):
            lock.close()


def _uses(plan: Plan | None, name: str) -> bool:
    """Whether a pod is on the network; a pod whose plan cannot be read may be on any."""
    return plan is None or any(attachment.network == name for attachment in plan.attachments)


def _remove_rules(name: str) -> Steps:
    removed = False
    for family in (4, 6):
        if iptables.is_there(family):
            found = yield from iptables.change(family, lambda rules: nat_rules.network_removal(rules, name))
            removed = removed or found
    return removed


def _remove_bridge(bridge: str) -> bool:
    """Deletes a bridge of carob's that has no ports; whether it did.

    The ports of pods that have just ended go a little later than their processes: the next pass finds it
    empty.
    """
    found = netlink.links()
    for link in found:
        in_use = any(other.master == link.index for other in found)
        if link.name == bridge and link.kind == "bridge" and not in_use:
            netlink.delete_link(link.index)
            return True
    return False


def garbage_collect(network: str, places: Places) -> None:
    """CNI's own GC (from 1.1 on): tells a network's plugins who is attached, so that they give back the rest.

    For a network that nobody but carob attaches to: what other runtimes have there, the plugins would take
    away. The configuration is that of a pod that is attached; without one there is nobody to ask. Raises
    ``TimedOut`` where pods are being attached or detached, and what plugins fail with.
    """
    lock = locks.take(places.lock(network), wait_s=_GC_S)
    try:
        attached = [
            (uuid, attachment)
            for uuid, (_, plan) in _attached(places).items()
            for attachment in (plan.attachments if plan is not None else ())
            if attachment.network == network
        ]
        if attached and versions.has_gc(attached[0][1].version) and not attached[0][1].disable_gc:
            valid = [{"containerID": uuid, "ifname": one.interface} for uuid, one in attached]
            runner = Runner()
            task = runner.start(_gc(attached[0][1], valid, places))
            runner.run(task)
            task.outcome()
    finally:
        lock.close()


def _gc(attachment: Attachment, valid: list[dict[str, Any]], places: Places) -> Steps:
    call = plugins.Call(f"network {attachment.network}", directories=places.plugins, limit_s=_GC_S)
    failure: CarobError | None = None
    for plugin in attachment.plugins:
        if plugin["type"] == NAT:
            continue
        # libcni says "attachments" as well, which the specification once called it.
        asked = request.configuration(
            plugin,
            name=attachment.network,
            version=attachment.version,
            own={"valid-attachments": valid, "attachments": valid},
        )
        try:
            yield from plugins.run(call, request.GC, plugin["type"], asked)
        except CarobError as error:
            failure = failure or error
    if failure is not None:
        raise failure
