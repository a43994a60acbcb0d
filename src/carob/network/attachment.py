"""What a pod is to be attached to, and how: written down when it is prepared, read by whoever attaches or
cleans up.

It is ``carob/network/plan.json`` in the pod's directory, version 1. It holds the networks' configurations as
they were then, so that detaching does not depend on what becomes of them.
"""

from __future__ import annotations

from carob.errors import CorruptData
from carob.protocol.compact_json import dumps, loads
from carob.spec.cni.names import interface_name_fault, network_name_fault, plugin_type_fault
from carob.spec.cni.versions import KNOWN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSION = 1

NAT = "carob-nat"
"""The type of the plugin that carob itself is: ``carob.network.nat``."""
TAP = "carob-tap"
"""The type of what stands for a plugin in a plain user's plan: ``carob.network.tap``."""


class Attachment:
    """One network of one pod.

    ``interface`` is its name in the pod, ``version`` that of CNI to speak, ``plugins`` the configurations of
    the list's plugins, ``arguments`` go into ``CNI_ARGS``, ``capabilities`` are the values for what plugins
    ask for, ``source`` is where the network was configured.
    """

    __slots__ = (
        "arguments",
        "capabilities",
        "disable_check",
        "disable_gc",
        "interface",
        "network",
        "plugins",
        "source",
        "version",
    )

    def __init__(
        self,
        network: str,
        interface: str,
        *,
        version: str,
        plugins: tuple[dict[str, Any], ...],
        arguments: tuple[tuple[str, str], ...] = (),
        capabilities: dict[str, Any] | None = None,
        disable_check: bool = False,
        disable_gc: bool = False,
        source: str = "",
    ) -> None:
        self.network = network
        self.interface = interface
        self.version = version
        self.plugins = plugins
        self.arguments = arguments
        self.capabilities = capabilities or {}
        self.disable_check = disable_check
        self.disable_gc = disable_gc
        self.source = source

    def __repr__(self) -> str:
        return f"Attachment({self.network!r}, {self.interface!r})"

    def types(self) -> tuple[str, ...]:
        """The types of its plugins, in the order of ADD."""
        return tuple(plugin["type"] for plugin in self.plugins)

    def published(self) -> list[dict[str, Any]]:
        """The port mappings, as the capability ``portMappings`` has them."""
        found = self.capabilities.get("portMappings")
        return found if isinstance(found, list) else []

    def document(self) -> dict[str, Any]:
        """As it stands in the plan."""
        return {
            "network": self.network,
            "interface": self.interface,
            "version": self.version,
            "plugins": list(self.plugins),
            "arguments": [list(pair) for pair in self.arguments],
            "capabilities": self.capabilities,
            "disable_check": self.disable_check,
            "disable_gc": self.disable_gc,
            "source": self.source,
        }


class Plan:
    """All networks of the pod ``uuid``, and where plugins were when it was prepared."""

    __slots__ = ("attachments", "plugin_directories", "uuid")

    def __init__(
        self, uuid: str, attachments: tuple[Attachment, ...], plugin_directories: tuple[str, ...]
    ) -> None:
        self.uuid = uuid
        self.attachments = attachments
        self.plugin_directories = plugin_directories

    def ends_with_pod(self) -> bool:
        """Whether the kernel takes all of it away with the pod's last process: nothing is to be detached."""
        return all(TAP in attachment.types() for attachment in self.attachments)

    def text(self) -> bytes:
        """As it stands in its file."""
        document: dict[str, Any] = {
            "version": VERSION,
            "uuid": self.uuid,
            "plugin_directories": list(self.plugin_directories),
            "attachments": [attachment.document() for attachment in self.attachments],
        }
        return (dumps(document) + "\n").encode()


def parse_plan(raw: bytes, what: str) -> Plan:
    """Reads a plan. Raises ``CorruptData`` naming ``what``, for one of a version yet to come as well."""
    try:
        document = loads(raw)
        if document["version"] > VERSION:
            raise CorruptData(f"{what} has version {document['version']}; this carob knows up to {VERSION}")
        return Plan(
            _checked(document["uuid"], network_name_fault),
            tuple(_attachment(item) for item in document["attachments"]),
            tuple(str(path) for path in document["plugin_directories"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptData(f"{what} is no plan of networks: {error}") from error


def _attachment(item: dict[str, Any]) -> Attachment:
    if item["version"] not in KNOWN:
        raise ValueError(f"CNI version {item['version']!r}")
    plugins = tuple(item["plugins"])
    for plugin in plugins:
        _checked(plugin["type"], plugin_type_fault)
    return Attachment(
        _checked(item["network"], network_name_fault),
        _checked(item["interface"], interface_name_fault),
        version=item["version"],
        plugins=plugins,
        arguments=tuple((str(key), str(value)) for key, value in item["arguments"]),
        capabilities=dict(item["capabilities"]),
        disable_check=bool(item["disable_check"]),
        disable_gc=bool(item["disable_gc"]),
        source=str(item["source"]),
    )


def _checked(name: str, fault_of: Any) -> str:
    if fault := fault_of(name):
        raise ValueError(f"the name {name!r} {fault}")
    return name
