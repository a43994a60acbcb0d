"""From CRI's security contexts to ``Security``. Pure."""

from __future__ import annotations

from carob.engine.request.security import Device, Security
from carob.errors import InvalidInput
from carob.service.cri import api_pb2 as api

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_LOCALHOST = "localhost/"
_UNCONFINED = "unconfined"
_SECCOMP_WORDS = {
    "": _UNCONFINED,
    _UNCONFINED: _UNCONFINED,
    "runtime/default": "default",
    "docker/default": "default",
}
_APPARMOR_WORDS = {"": "", _UNCONFINED: _UNCONFINED, "runtime/default": ""}


class HostFacts:
    """What of the host decides: whether it has AppArmor and SELinux, and the lowest ``oom_score_adj`` that
    this process may give.
    """

    __slots__ = ("apparmor", "least_oom_score_adj", "selinux")

    def __init__(self, *, apparmor: bool, selinux: bool, least_oom_score_adj: int) -> None:
        self.apparmor = apparmor
        self.selinux = selinux
        self.least_oom_score_adj = least_oom_score_adj


def security(config: api.ContainerConfig, *, host: HostFacts, sandbox_is_privileged: bool) -> Security:
    """What a container may do. Raises ``InvalidInput``, ``Unsupported``."""
    context = config.linux.security_context
    if context.privileged and not sandbox_is_privileged:
        raise InvalidInput("a privileged container needs a privileged sandbox")
    words: dict[str, Any] = {
        "cap_add": list(context.capabilities.add_capabilities),
        "cap_drop": list(context.capabilities.drop_capabilities),
        "seccomp": _UNCONFINED if context.privileged else _seccomp(context),
        "no_new_privileges": context.no_new_privs,
        "read_only_rootfs": context.readonly_rootfs,
        "privileged": context.privileged,
        "devices": _devices(config.devices),
        "groups": list(context.supplemental_groups),
        "image_groups": context.supplemental_groups_policy == api.Merge,
        "oom_score_adj": max(config.linux.resources.oom_score_adj, host.least_oom_score_adj),
    }
    if not context.privileged:
        # The kubelet says which paths, and by none at all that all are to be seen.
        words |= {
            "unmask": ["ALL"],
            "mask": list(context.masked_paths),
            "read_only_paths": list(context.readonly_paths),
        }
        if host.apparmor or _wants_apparmor(context):
            words["apparmor"] = _apparmor(context)
        if host.selinux:
            words["selinux"] = _selinux(context.selinux_options)
    return Security(**words)


def user(context: api.LinuxContainerSecurityContext) -> str | None:
    """Who a container runs as; ``None`` for the image's user.

    Raises ``InvalidInput`` for a group without a user.
    """
    found = None
    if context.HasField("run_as_user"):
        found = _identifier(context.run_as_user.value, "user")
    elif context.run_as_username:
        found = context.run_as_username
    if context.HasField("run_as_group"):
        if found is None:
            raise InvalidInput("run_as_group needs run_as_user or run_as_username")
        found += f":{_identifier(context.run_as_group.value, 'group')}"
    return found


def _identifier(number: int, what: str) -> str:
    if number < 0:
        raise InvalidInput(f"{number} is no {what}")
    return str(number)


def _seccomp(context: api.LinuxContainerSecurityContext) -> str:
    if context.HasField("seccomp"):
        return _profile(
            context.seccomp, of_runtime="default", unconfined=_UNCONFINED, what="a seccomp profile"
        )
    return _word(context.seccomp_profile_path, _SECCOMP_WORDS, "a seccomp profile")


def _wants_apparmor(context: api.LinuxContainerSecurityContext) -> bool:
    if context.HasField("apparmor"):
        return bool(context.apparmor.profile_type == api.SecurityProfile.Localhost)
    return context.apparmor_profile.startswith(_LOCALHOST)


def _apparmor(context: api.LinuxContainerSecurityContext) -> str:
    if context.HasField("apparmor"):
        return _profile(context.apparmor, of_runtime="", unconfined=_UNCONFINED, what="an AppArmor profile")
    return _word(context.apparmor_profile, _APPARMOR_WORDS, "an AppArmor profile")


def _profile(profile: api.SecurityProfile, *, of_runtime: str, unconfined: str, what: str) -> str:
    match profile.profile_type:
        case api.SecurityProfile.RuntimeDefault:
            return of_runtime
        case api.SecurityProfile.Unconfined:
            return unconfined
        case api.SecurityProfile.Localhost if profile.localhost_ref:
            return profile.localhost_ref.removeprefix(_LOCALHOST)
    raise InvalidInput(f"{what} is the runtime's, of the host with its name, or none: {profile.profile_type}")


def _word(text: str, known: dict[str, str], what: str) -> str:
    """The forms of before Kubernetes 1.19."""
    if text in known:
        return known[text]
    if not text.startswith(_LOCALHOST):
        raise InvalidInput(f"{text!r} is no name of {what}")
    return text.removeprefix(_LOCALHOST)


def _selinux(options: api.SELinuxOption) -> str:
    if not options.type:
        return ""
    defaults = (options.user or "system_u", options.role or "system_r", options.type, options.level or "s0")
    return ":".join(defaults)


def _devices(devices: Sequence[api.Device]) -> list[Device]:
    return [
        Device(one.host_path, one.container_path or None, access=one.permissions or "rwm") for one in devices
    ]
