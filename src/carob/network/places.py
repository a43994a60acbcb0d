"""Where things are: configurations, plugins, and what carob knows of this boot's networks."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

STATE_DIRECTORY = "/run/carob/networks"
SYSTEM_CONFIGURATIONS = ("/etc/carob/net.d", "/etc/rkt/net.d")
PLUGIN_DIRECTORIES = (
    "/usr/lib/cni",  # Debian, Ubuntu
    "/opt/cni/bin",  # the plugins' own releases
    "/usr/libexec/cni",  # Fedora, openSUSE
    "/usr/lib/rkt/plugins/net",
)


class Places:
    """Directories, each an absolute path.

    - ``configurations``: where networks are looked for; of two with one name the first counts.
    - ``plugins``: where plugins are looked for, in this order.
    - ``state``: what belongs to this boot: leases of carob's own networks, chosen subnets, who is attached.
      It is to be in memory, so that it goes when the interfaces and rules go that it tells of.
    """

    __slots__ = ("configurations", "plugins", "state")

    def __init__(
        self,
        *,
        configurations: tuple[str, ...] = SYSTEM_CONFIGURATIONS,
        plugins: tuple[str, ...] = PLUGIN_DIRECTORIES,
        state: str = STATE_DIRECTORY,
    ) -> None:
        self.configurations = configurations
        self.plugins = plugins
        self.state = state

    def document(self) -> dict[str, Any]:
        """What ``places_of`` takes: for messages to a process that attaches."""
        return {"plugins": list(self.plugins), "state": self.state}

    def pod_state(self, uuid: str) -> str:
        """What is known of a pod while it is attached."""
        return f"{self.state}/pods/{uuid}"

    def leases(self) -> str:
        """The leases of carob's own networks, by network (the ``dataDir`` of host-local)."""
        return f"{self.state}/leases"

    def lock(self, network: str) -> str:
        """Held shared while a pod is attached to the network or detached, exclusively to clean it up."""
        return f"{self.state}/locks/{network}"

    def filter_lock(self) -> str:
        """Held shared while a pod's rules are made, exclusively to take away what they stand in."""
        return f"{self.state}/locks/.filter"

    def filter_setup_lock(self) -> str:
        """Held exclusively while rules are made that several pods share."""
        return f"{self.state}/locks/.filter-setup"


def make_private(path: str) -> None:
    """Makes a directory of this boot's state where it is missing, and those above it, each for its owner
    alone; but for ``carob`` and what is above, where others have theirs. Raises ``OSError``.
    """
    above, name = os.path.split(path)
    if name == "carob":
        os.makedirs(path, 0o755, exist_ok=True)
        return
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return
    except FileNotFoundError:
        make_private(above)
        make_private(path)


def places_of(document: dict[str, Any]) -> Places:
    """The places that a document of ``Places.document`` names."""
    return Places(plugins=tuple(document["plugins"]), state=document["state"])


def users_places() -> Places:
    """The places for whoever runs this process.

    The user's own configurations come first, then the system's, then those in the directory ``NETCONFPATH``,
    where other runtimes may have theirs. Plugins are looked for in the directories of ``CNI_PATH`` first.
    Both variables are those of CNI's own tools.
    """
    own_plugins = [path for path in os.environ.get("CNI_PATH", "").split(":") if path.startswith("/")]
    plugins = (*own_plugins, *PLUGIN_DIRECTORIES)
    base = os.environ.get("XDG_CONFIG_HOME", "")
    if not base.startswith("/"):
        base = os.path.join(os.path.expanduser("~"), ".config")
    found: tuple[str, ...] = (f"{base}/carob/net.d", *SYSTEM_CONFIGURATIONS)
    others = os.environ.get("NETCONFPATH", "")
    if others.startswith("/"):
        found = (*found, others)
    if os.geteuid() == 0:
        return Places(configurations=found, plugins=plugins)
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if not runtime.startswith("/"):
        runtime = f"/run/user/{os.geteuid()}"
    return Places(configurations=found, plugins=plugins, state=f"{runtime}/carob/networks")
