"""What a plugin is told: its configuration with what the runtime adds, and its environment (SPEC.md, 3)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

ADD = "ADD"
DEL = "DEL"
CHECK = "CHECK"
GC = "GC"
STATUS = "STATUS"
VERSION = "VERSION"

_OWN_PREFIX = "cni.dev/"
_WRITTEN_HERE = frozenset(("capabilities", "runtimeConfig", "prevResult", "name", "cniVersion"))
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def configuration(
    plugin: Mapping[str, Any],
    *,
    name: str,
    version: str,
    previous: Mapping[str, Any] | None = None,
    arguments: Mapping[str, Any] | None = None,
    own: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The request's configuration: that of the plugin with ``cniVersion`` and ``name``.

    ``arguments`` are the runtime's, by capability, of which the plugin gets those that it asks for;
    ``previous`` is a result's document; ``own`` holds values for keys with the prefix ``cni.dev/``.
    """
    made: dict[str, Any] = {"cniVersion": version, "name": name}
    for key, value in plugin.items():
        if key not in _WRITTEN_HERE and not key.startswith(_OWN_PREFIX):
            made[key] = value
    told = runtime_arguments(plugin, arguments or {})
    if told:
        made["runtimeConfig"] = told
    if previous is not None:
        made["prevResult"] = previous
    for key, value in (own or {}).items():
        made[_OWN_PREFIX + key] = value
    return made


def runtime_arguments(plugin: Mapping[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the runtime's arguments that the plugin has a capability for."""
    wanted = plugin.get("capabilities")
    if not isinstance(wanted, dict):
        return {}
    return {name: arguments[name] for name, yes in wanted.items() if yes is True and name in arguments}


def environment(
    command: str,
    *,
    plugin_directories: Iterable[str],
    container_id: str = "",
    namespace: str = "",
    interface: str = "",
    arguments: Iterable[tuple[str, str]] = (),
) -> dict[str, str]:
    """All of a plugin's environment: CNI's variables and where to find programs.

    Nothing of the caller's is in it.
    """
    made = {
        "PATH": _PATH,
        "LC_ALL": "C",
        "CNI_COMMAND": command,
        "CNI_PATH": ":".join(plugin_directories),
    }
    if container_id:
        made["CNI_CONTAINERID"] = container_id
        made["CNI_NETNS"] = namespace
        made["CNI_IFNAME"] = interface
        made["CNI_ARGS"] = ";".join([f"{key}={value}" for key, value in arguments])
    return made
