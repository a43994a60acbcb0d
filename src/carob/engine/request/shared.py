"""What the apps of a pod have in common beside its network: the place of its group, namespaces, sysctls."""

from __future__ import annotations

from carob.engine.request import inputs
from carob.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from carob.engine.request.log_limits import LogLimits
    from carob.engine.request.pod import PodRequest
    from carob.engine.request.resources import Resources
    from carob.engine.request.security import Security

_LOG_DRIVERS = ("k8s-file", "journald")
_ISOLATIONS = ("default", "none")
_WORDS = {"pid": ("private", "pod", "host"), "ipc": ("private", "pod", "host"), "uts": ("pod", "host")}


def security(value: object) -> Security | None:
    """What an app is given, or ``None``."""
    if value is None:
        return None
    from carob.engine.request.security import Security

    if not isinstance(value, Security):
        raise InvalidInput(
            f"security is made with Security, not {value!r}", hint='Security(cap_drop=["ALL"])'
        )
    return value


def resources(value: object) -> Resources | None:
    """What an app or a pod is given, or ``None``."""
    if value is None:
        return None
    from carob.engine.request.resources import Resources

    if not isinstance(value, Resources):
        raise InvalidInput(f"resources are made with Resources, not {value!r}", hint="Resources(cpus=1.5)")
    return value


def logs(driver: str, limits: object) -> tuple[str, LogLimits | None]:
    """What the apps' output goes to, and how much is kept of it (``None``: all). Raises ``InvalidInput``."""
    if driver not in _LOG_DRIVERS:
        raise InvalidInput(f"there is no log driver {driver!r}", hint=f"one of {', '.join(_LOG_DRIVERS)}")
    if limits is None:
        return driver, None
    from carob.engine.request.log_limits import LogLimits

    if not isinstance(limits, LogLimits):
        raise InvalidInput(f"log_limits are made with LogLimits, not {limits!r}", hint="LogLimits(10 << 20)")
    if driver != _LOG_DRIVERS[0]:
        raise InvalidInput("a journal has no bounds, so logs with log_limits have none", hint="leave one out")
    return driver, limits


def namespaces(pid: str, ipc: str, uts: str) -> tuple[str, str, str]:
    """The three words. Raises ``InvalidInput`` for another."""
    for kind, word in (("pid", pid), ("ipc", ipc), ("uts", uts)):
        if word not in _WORDS[kind]:
            raise InvalidInput(f"{kind} is not {word!r}", hint=f"one of {', '.join(_WORDS[kind])}")
    return pid, ipc, uts


def isolation(word: str) -> str:
    """``default`` or ``none``. Raises ``InvalidInput`` for another."""
    if word not in _ISOLATIONS:
        raise InvalidInput(f"isolation is not {word!r}", hint=f"one of {', '.join(_ISOLATIONS)}")
    return word


def is_usual(request: PodRequest) -> bool:
    """Whether nothing of this, and no limit of the whole pod, is asked for."""
    asked = request.resources or request.cgroup_parent or request.sysctls or request.user_namespace
    words = (request.pid, request.ipc, request.uts, request.cgroups)
    return not asked and words == ("private", "pod", "pod", "enabled")


def cgroup_parent(value: object) -> str:
    """A group as an absolute path without the last slash; ``""`` is the root."""
    group = inputs.text(value, "cgroup_parent")
    if not group:
        return ""
    from carob.engine.request import control_groups

    return control_groups.parent(group)


def cgroups(value: object, cgroup_parent: str) -> str:
    """``enabled``, or ``split``: see ``carob.engine.request.control_groups``."""
    if value == "enabled":
        return "enabled"
    from carob.engine.request import control_groups

    return control_groups.mode(inputs.text(value, "cgroups"), cgroup_parent)


def sysctls(value: Mapping[str, str] | None, *, network: str, ipc: str, uts: str) -> dict[str, str]:
    """Values by path; see `carob.runtime.sysctls.checked`."""
    if not value:
        return {}
    from carob.runtime.sysctls import checked

    return checked(inputs.texts(value, "sysctls"), network=network, ipc=ipc, uts=uts)
