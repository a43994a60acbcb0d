"""Programs of others that carob runs: the OCI runtime, network plugins, iptables."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from carob.engine.doctor.check import FAILED, OK, Check, needed, wanted
from carob.errors import CarobError
from carob.network.places import PLUGIN_DIRECTORIES
from carob.network.tap import programs as tap
from carob.runtime import driver

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_PLUGINS = ("bridge", "host-local", "loopback", "portmap", "firewall")
_VERSION_S = 10
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def checks(runtime: str) -> Iterable[Check]:
    """All about programs."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield needed(
        "python", "version", there=sys.version_info >= (3, 11), found=f"{version}, {sys.executable}",
        mend="Python 3.11 or newer",
    )  # fmt: skip
    yield _runtime(runtime)
    if os.geteuid():
        yield _user_network()
        return
    yield _plugins()
    has_iptables = shutil.which("iptables", path=_PATH) is not None
    yield wanted(
        "network", "iptables", there=has_iptables, found="there" if has_iptables else "not there",
        mend="apt-get install iptables: port mappings and masquerading need it",
    )  # fmt: skip


def _runtime(wanted_name: str) -> Check:
    try:
        found = driver.find(wanted_name)
    except CarobError as error:
        return Check("runtime", "OCI runtime", FAILED, error.message, error.hint or "apt-get install crun")
    try:
        done = subprocess.run(
            [found.path, "--version"], capture_output=True, text=True, timeout=_VERSION_S, check=False
        )
        said = done.stdout.strip().splitlines()
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check("runtime", "OCI runtime", FAILED, f"{found.path}: {error}", "install it anew")
    if done.returncode or not said:
        return Check(
            "runtime", "OCI runtime", FAILED, f"{found.path} fails: {done.stderr[-200:]}", "install it anew"
        )
    return Check("runtime", "OCI runtime", OK, f"{said[0]}, {found.path}")


def _plugins() -> Check:
    missing = [
        name
        for name in _PLUGINS
        if not any(os.access(f"{directory}/{name}", os.X_OK) for directory in PLUGIN_DIRECTORIES)
    ]
    return wanted(
        "network", "CNI plugins", there=not missing,
        found=f"{', '.join(missing)} missing" if missing else ", ".join(_PLUGINS),
        mend="apt-get install containernetworking-plugins; pods have the networks none and host without",
    )  # fmt: skip


def _user_network() -> Check:
    tools = [name for name in tap.KNOWN if tap.path_of(name)]
    if not tools:
        found, mend = f"neither {' nor '.join(tap.KNOWN)}", f"apt-get install {tap.PACKAGES[tap.PASTA]}"
    else:
        found, mend = f"{tools[0]}, but {tap.TUN} cannot be opened", f"chmod 0666 {tap.TUN}, as root"
    there = bool(tools) and tap.tun_opens()
    return wanted(
        "network", "networks without root", there=there, found=tools[0] if there else found, mend=mend
    )
