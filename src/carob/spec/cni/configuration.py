"""Network configurations: lists of plugins, and the single plugins of older days (SPEC.md, section 1).

A plugin's own keys are kept as they are, known or not: they are for the plugin.
"""

from __future__ import annotations

from carob.errors import CorruptData
from carob.spec.cni import versions
from carob.spec.cni.depth import is_too_deep
from carob.spec.cni.names import network_name_fault, plugin_type_fault
from carob.spec.oci.document import list_field, map_field, text_field, text_list_field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_MOST_PLUGINS = 64


class PluginConfiguration:
    """One plugin of a list.

    ``type`` is the name of its file, ``capabilities`` what it wants to be told at run time, ``document`` the
    whole of its configuration as it was read.
    """

    __slots__ = ("capabilities", "document", "type")

    def __init__(self, document: dict[str, Any], what: str) -> None:
        """Checks and takes a plugin's configuration. Raises ``CorruptData`` naming ``what``."""
        if is_too_deep(document):
            raise CorruptData(f"{what}: nested too deeply")
        self.type = text_field(document, "type", what)
        if fault := plugin_type_fault(self.type):
            raise CorruptData(f"{what}: the plugin's type {self.type!r} {fault}")
        self.capabilities = _capabilities(document, what)
        ipam = map_field(document, "ipam", what)
        ipam_type = text_field(ipam, "type", f"{what}, ipam", default="")
        if ipam_type and (fault := plugin_type_fault(ipam_type)):
            raise CorruptData(f"{what}: the type of ipam {ipam_type!r} {fault}")
        self.document = document

    def __repr__(self) -> str:
        return f"PluginConfiguration({self.type!r})"


class NetworkList:
    """A network: its ``name`` and the ``plugins`` that make an attachment to it, in the order of ADD.

    ``versions`` are those of CNI that the configuration offers. ``only_inlined`` says that no plugins from
    the folder with the network's name are to be added. ``source`` is where it was read.
    """

    __slots__ = ("disable_check", "disable_gc", "name", "only_inlined", "plugins", "source", "versions")

    def __init__(
        self,
        name: str,
        plugins: Sequence[PluginConfiguration],
        *,
        versions: Sequence[str],
        source: str,
        disable_check: bool = False,
        disable_gc: bool = False,
        only_inlined: bool = False,
    ) -> None:
        self.name = name
        self.plugins = tuple(plugins)
        self.versions = tuple(versions)
        self.source = source
        self.disable_check = disable_check
        self.disable_gc = disable_gc
        self.only_inlined = only_inlined

    def __repr__(self) -> str:
        return f"NetworkList({self.name!r}, {[plugin.type for plugin in self.plugins]})"

    def capabilities(self) -> frozenset[str]:
        """What any of its plugins wants to be told at run time."""
        return frozenset(name for plugin in self.plugins for name in plugin.capabilities)

    def with_plugins(self, more: Sequence[PluginConfiguration]) -> NetworkList:
        """The same network with more plugins after its own.

        Raises ``CorruptData`` where there is none at all.
        """
        plugins = (*self.plugins, *more)
        if not plugins:
            raise CorruptData(f"{self.source}: network {self.name!r} has no plugins")
        if len(plugins) > _MOST_PLUGINS:
            raise CorruptData(f"{self.source}: network {self.name!r} has more than {_MOST_PLUGINS} plugins")
        return NetworkList(
            self.name,
            plugins,
            versions=self.versions,
            source=self.source,
            disable_check=self.disable_check,
            disable_gc=self.disable_gc,
            only_inlined=self.only_inlined,
        )


def parse_network(document: dict[str, Any], source: str) -> NetworkList:
    """A network as a list of plugins or as a single one. Raises ``CorruptData``.

    ``source`` names the document in errors. A list without ``plugins`` has none yet: they are in files of
    their own.
    """
    if is_too_deep(document):
        raise CorruptData(f"{source}: nested too deeply")
    name = text_field(document, "name", source)
    if fault := network_name_fault(name):
        raise CorruptData(f"{source}: the network's name {name!r} {fault}")
    offered = _versions(document, source)
    if "plugins" not in document and "type" in document:
        return NetworkList(
            name, [PluginConfiguration(document, source)], versions=offered, source=source, only_inlined=True
        )
    only_inlined = _flag(document, "loadOnlyInlinedPlugins", source)
    if only_inlined and "plugins" not in document:
        raise CorruptData(f"{source}: loadOnlyInlinedPlugins is true, and there are no plugins")
    return NetworkList(
        name,
        _plugins(document, source),
        versions=offered,
        source=source,
        disable_check=_flag(document, "disableCheck", source),
        disable_gc=_flag(document, "disableGC", source),
        only_inlined=only_inlined,
    )


def _plugins(document: dict[str, Any], source: str) -> list[PluginConfiguration]:
    if "plugins" in document and not document["plugins"]:
        raise CorruptData(f"{source}: the list of plugins is empty")
    plugins = []
    for number, item in enumerate(list_field(document, "plugins", source), 1):
        if not isinstance(item, dict):
            raise CorruptData(f"{source}: plugin {number} is not an object")
        plugins.append(PluginConfiguration(item, f"{source}, plugin {number}"))
    if len(plugins) > _MOST_PLUGINS:
        raise CorruptData(f"{source}: more than {_MOST_PLUGINS} plugins")
    return plugins


def _versions(document: dict[str, Any], source: str) -> list[str]:
    """All versions that the configuration offers: ``cniVersions`` and ``cniVersion``."""
    offered = text_list_field(document, "cniVersions", source)
    one = text_field(document, "cniVersion", source, default="")
    if one or not offered:
        offered = [*offered, one or versions.UNSAID]
    for version in offered:
        if not versions.is_version(version):
            raise CorruptData(f"{source}: {version!r} is no version")
    return list(dict.fromkeys(offered))


def _capabilities(document: dict[str, Any], what: str) -> tuple[str, ...]:
    found = map_field(document, "capabilities", what)
    for name, wanted in found.items():
        if not isinstance(wanted, bool):
            raise CorruptData(f"{what}: the capability {name!r} is neither true nor false")
    return tuple(name for name, wanted in found.items() if wanted)


def _flag(document: dict[str, Any], key: str, what: str) -> bool:
    """A boolean, which libcni takes as a string, too."""
    value = document.get(key, False)
    if isinstance(value, str):
        value = {"true": True, "false": False}.get(value.lower(), value)
    if not isinstance(value, bool):
        raise CorruptData(f"{what}: {key!r} is neither true nor false")
    return value
