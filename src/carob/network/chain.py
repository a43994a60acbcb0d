"""One attachment: its plugins one after the other, for ADD, DEL and CHECK (SPEC.md, section 3)."""

from __future__ import annotations

from time import monotonic

from carob.errors import CarobError, CommandFailed, CorruptData, TimedOut, Unavailable
from carob.network import nat, plugins
from carob.network.attachment import NAT
from carob.spec.cni import request, versions
from carob.spec.cni.result import parse_result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.linux.flock import FileLock
    from carob.network.attachment import Attachment
    from carob.network.places import Places
    from carob.network.tasks import Steps, Task
    from carob.spec.cni.result import Result

POD_LOCK_FD = 3
NETWORK_LOCK_FD = 4
_PORTMAP = "portmap"
_NO_IP6_MESSAGE = "could not check ipv6 dnat"


class GivenUp(Unavailable):
    """One network was not attached because another failed."""


class Work:
    """What all attachments of a pod have in common while they are worked on.

    ``deadline`` (monotonic seconds) ends it all, ``plugin_s`` one call. ``descriptors`` are held by plugins;
    the task ``filter`` brings ``nat.prepare``'s result. ``stopped`` keeps those that have not failed from
    going on.
    """

    __slots__ = (
        "deadline",
        "directories",
        "filter",
        "locks",
        "namespace",
        "places",
        "plugin_s",
        "stopped",
        "uuid",
    )

    def __init__(
        self,
        uuid: str,
        places: Places,
        *,
        directories: tuple[str, ...],
        namespace: str,
        total_s: float,
        plugin_s: float,
    ) -> None:
        self.uuid = uuid
        self.places = places
        self.directories = directories
        self.namespace = namespace
        self.deadline = monotonic() + total_s
        self.plugin_s = plugin_s
        self.locks: dict[str, FileLock] = {}
        self.filter: Task | None = None
        self.stopped = False

    def call(self, attachment: Attachment) -> plugins.Call:
        """A call about an attachment. Raises ``TimedOut`` where no time is left for one."""
        what = f"network {attachment.network}"
        limit_s = self.limit_s(what)
        return plugins.Call(
            what,
            directories=self.directories,
            limit_s=limit_s,
            container_id=self.uuid,
            namespace=self.namespace,
            interface=attachment.interface,
            arguments=attachment.arguments,
            descriptors=self._descriptors(attachment),
        )

    def limit_s(self, what: str) -> float:
        """The time for one program. Raises ``TimedOut`` where none is left."""
        left_s = self.deadline - monotonic()
        if left_s <= 0:
            raise TimedOut(f"{what}: no time is left for its plugins")
        return min(self.plugin_s, left_s)

    def _descriptors(self, attachment: Attachment) -> tuple[tuple[int, int], ...]:
        pairs = (("", POD_LOCK_FD), (attachment.network, NETWORK_LOCK_FD))
        return tuple((self.locks[name].fd(), number) for name, number in pairs if name in self.locks)

    def close(self) -> None:
        """Lets go of the locks."""
        while self.locks:
            self.locks.popitem()[1].close()


def is_idle(plugin: dict[str, Any], mappings: list[dict[str, Any]]) -> bool:
    """Whether the plugin, which others wrote, would do nothing: portmap without ports to map."""
    return plugin["type"] == _PORTMAP and not mappings


def add(work: Work, attachment: Attachment, mappings: list[dict[str, Any]]) -> Steps:
    """Steps of ADD; their result is the ``Result``.

    ``mappings`` are the ports to publish, none of them free ones.
    """
    previous: Result | None = None
    arguments = _arguments(attachment, mappings)
    for plugin in attachment.plugins:
        if work.stopped:
            raise GivenUp(f"network {attachment.network}: given up, for another network failed")
        if plugin["type"] == NAT:
            yield from _add_nat(work, attachment, mappings, previous)
        elif not is_idle(plugin, mappings):
            call = work.call(attachment)
            asked = request.configuration(
                plugin,
                name=attachment.network,
                version=attachment.version,
                previous=previous.document if previous is not None else None,
                arguments=arguments,
            )
            answer = yield from plugins.run(call, request.ADD, plugin["type"], asked)
            previous = parse_result(answer, attachment.version, f"{call.what}: plugin {plugin['type']}")
    if previous is None:
        raise CorruptData(f"network {attachment.network}: none of its plugins makes an interface")
    return previous


def _add_nat(
    work: Work, attachment: Attachment, mappings: list[dict[str, Any]], previous: Result | None
) -> Steps:
    network = nat.network_of(attachment)
    assert network is not None
    assert work.filter is not None
    if previous is None:
        raise CorruptData(f"network {attachment.network}: {NAT} cannot be the first plugin of a list")
    yield work.filter
    known = work.filter.outcome()
    if mappings:
        yield from nat.publish(work.uuid, attachment, network, mappings, previous, known, work.places)


def _arguments(attachment: Attachment, mappings: list[dict[str, Any]]) -> dict[str, Any]:
    if not mappings:
        return attachment.capabilities
    return {**attachment.capabilities, "portMappings": mappings}


def delete(
    work: Work,
    attachment: Attachment,
    mappings: list[dict[str, Any]],
    result: Result | None,
    *,
    force: bool = False,
) -> Steps:
    """Steps of DEL, in the reverse order. A plugin that fails ends it: an address must not go to the next pod
    while rules lead to it. With ``force`` the others come nevertheless, and the first failure is raised at
    the end.
    """
    arguments = _arguments(attachment, mappings)
    previous = result.document if result is not None and versions.has_check(attachment.version) else None
    families = {address.cidr.version for address in result.pod_addresses()} if result is not None else (4, 6)
    failure: CarobError | None = None
    for plugin in reversed(attachment.plugins):
        if is_idle(plugin, mappings):
            continue
        try:
            if plugin["type"] == NAT:
                if mappings:
                    limit_s = work.limit_s(f"network {attachment.network}")
                    yield from nat.withdraw(work.uuid, attachment.interface, families, limit_s=limit_s)
                continue
            asked = request.configuration(
                plugin,
                name=attachment.network,
                version=attachment.version,
                previous=previous,
                arguments=arguments,
            )
            yield from plugins.run(work.call(attachment), request.DEL, plugin["type"], asked)
        except CarobError as error:
            if not force:
                raise
            failure = failure or error
    if failure is not None:
        raise failure


def check(work: Work, attachment: Attachment, mappings: list[dict[str, Any]], result: Result) -> Steps:
    """Steps of CHECK, where the list's version has it and its configuration does not forbid it."""
    if attachment.disable_check or not versions.has_check(attachment.version):
        return
    arguments = _arguments(attachment, mappings)
    for plugin in attachment.plugins:
        if plugin["type"] == NAT:
            network = nat.network_of(attachment)
            assert network is not None
            yield from nat.check(work.uuid, attachment, network, mappings, result)
            continue
        if is_idle(plugin, mappings):
            continue
        asked = request.configuration(
            plugin,
            name=attachment.network,
            version=attachment.version,
            previous=result.document,
            arguments=arguments,
        )
        try:
            yield from plugins.run(work.call(attachment), request.CHECK, plugin["type"], asked)
        except CommandFailed as error:
            if not _is_unfounded(plugin, result, error):
                raise


def _is_unfounded(plugin: dict[str, Any], result: Result, error: CommandFailed) -> bool:
    """portmap looks for rules of IPv6 in pods that have no such address (as of its release 1.1)."""
    has_ip6 = any(address.cidr.version == 6 for address in result.pod_addresses())
    return plugin["type"] == _PORTMAP and not has_ip6 and _NO_IP6_MESSAGE in error.message
