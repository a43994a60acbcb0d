"""Security and resources in appc's words: isolators of apps and pods, written and read. Pure.

appc has no word for some of it, so all of it stands in the annotation ``carob/isolation`` besides, as JSON by
the arguments of ``Security``, ``Resources`` and ``PodRequest``. Where both are there they must say the same.
"""

from __future__ import annotations

from carob.engine.request.resources import Resources
from carob.engine.request.security import Device, Security
from carob.errors import InvalidInput, Unsupported
from carob.protocol.compact_json import dumps, loads
from carob.runtime import capabilities
from carob.runtime.seccomp.call_set import CallSet, within_default

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from carob.engine.request.pod import App, PodRequest
    from carob.spec.appc.isolator import Isolator

ANNOTATION = "carob/isolation"
_EVERY_CALL = "@appc.io/all"
_SHARED = (
    "cgroup_parent", "cgroups", "gidmap", "ipc", "isolation", "pid", "sysctls", "uidmap", "userns", "uts",
)  # fmt: skip


_USUAL = {"pid": "private", "ipc": "pod", "uts": "pod", "userns": "host", "isolation": "default",
          "cgroups": "enabled"}  # fmt: skip


def tell_app(entry: dict[str, Any], app: App) -> None:
    """Adds what an app asks for to its entry of a pod manifest."""
    told: dict[str, Any] = {}
    if app.security is not None and (given := app.security.given()):
        told["security"] = _plain(given)
        if app.security.read_only_rootfs:
            entry["readOnlyRootFS"] = True
    if app.resources is not None and (given := app.resources.given()):
        told["resources"] = given
    if not told:
        return
    if found := of_app(app.security, app.resources):
        entry["app"]["isolators"] = found
    entry["annotations"].append({"name": ANNOTATION, "value": dumps(told)})


def of_app(security: Security | None, resources: Resources | None) -> list[dict[str, Any]]:
    """Isolators, as plain values."""
    found: list[dict[str, Any]] = [] if security is None else list(_of_security(security))
    return found + ([] if resources is None else _of_resources(resources))


def tell_pod(request: PodRequest, annotations: dict[str, str]) -> list[dict[str, Any]]:
    """Adds what a pod asks for to its annotations; returns its isolators."""
    told = {name: value for name in _SHARED if not _is_usual(name, value := getattr(request, name))}
    found: list[dict[str, Any]] = []
    if request.resources is not None and (given := request.resources.given()):
        told["resources"] = given
        found += _of_resources(request.resources)
    if request.sysctls:
        found.append(_sysctl(request.sysctls))
    if told:
        annotations[ANNOTATION] = dumps(told)
    return found


def _sysctl(values: dict[str, str]) -> dict[str, Any]:
    """With names as sysctl(8) has them; here they are paths."""
    swapped = {ord("."): "/", ord("/"): "."}
    return {"name": "os/unix/sysctl", "value": {path.translate(swapped): values[path] for path in values}}


def _is_usual(name: str, value: Any) -> bool:
    return value == _USUAL.get(name, "") or not value


def _of_security(security: Security) -> list[dict[str, Any]]:
    found: list[tuple[str, Any]] = []
    if security.cap_retain is not None or security.cap_add or security.cap_drop or security.privileged:
        kept = _capabilities(security)
        if kept:
            found.append(("os/linux/capabilities-retain-set", {"set": list(kept)}))
        else:
            found.append(("os/linux/capabilities-remove-set", {"set": list(capabilities.NAMES)}))
    if isinstance(security.seccomp, CallSet):
        calls = security.seccomp
        value = {"set": list(calls.names), **({"errno": calls.errno} if calls.errno else {})}
        found.append((f"os/linux/seccomp-{calls.mode}-set", value))
    elif security.seccomp == "unconfined" or (security.privileged and not security.seccomp):
        found.append(("os/linux/seccomp-retain-set", {"set": [_EVERY_CALL]}))
    if security.no_new_privileges is not None or security.privileged:
        found.append(("os/linux/no-new-privileges", bool(security.no_new_privileges)))
    if security.oom_score_adj is not None:
        found.append(("os/linux/oom-score-adj", security.oom_score_adj))
    if ":" in security.selinux:
        parts = zip(("user", "role", "type", "level"), security.selinux.split(":", 3), strict=True)
        found.append(("os/linux/selinux-context", dict(parts)))
    return [{"name": name, "value": value} for name, value in found]


def _capabilities(security: Security) -> tuple[str, ...]:
    if security.cap_retain is not None:
        return capabilities.chosen((), add=security.cap_retain)
    base = capabilities.NAMES if security.privileged else capabilities.DEFAULT
    return capabilities.chosen(base, add=security.cap_add, drop=security.cap_drop)


def _of_resources(resources: Resources) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if resources.cpus is not None:
        found.append({"name": "resource/cpu", "value": {"limit": f"{round(resources.cpus * 1000)}m"}})
    memory = {
        key: str(value)
        for key, value in (
            ("request", resources.memory_reservation_bytes),
            ("limit", resources.memory_bytes),
        )
        if value is not None and value >= 0
    }
    if memory:
        found.append({"name": "resource/memory", "value": memory})
    if resources.cpu_shares is not None:
        found.append({"name": "os/linux/cpu-shares", "value": resources.cpu_shares})
    return found


# --- reading ----------------------------------------------------------------------------------------


def read_app(
    path: str,
    isolators: Iterable[Isolator],
    annotation: str | None,
    *,
    read_only: bool,
    groups: Iterable[int],
) -> tuple[Security | None, Resources | None]:
    """What an entry of a pod manifest asks for.

    ``groups`` are its supplementary ones. Raises ``InvalidInput`` and ``Unsupported``, with the path.
    """
    listed = list(isolators)
    if annotation is None:
        words, limits = _words(path, listed)
        if read_only:
            words["read_only_rootfs"] = True
    else:
        told = _told(path, annotation, ("security", "resources"))
        words, limits = _arguments(told.get("security", {})), told.get("resources", {})
        _check_words(limits, Resources.__slots__)
        if read_only != bool(words.get("read_only_rootfs")):
            raise InvalidInput(f"{path}: readOnlyRootFS and the annotation {ANNOTATION} do not say the same")
    if more := list(groups):  # by number: those of the user in the image, and those that were added
        words["groups"] = more
    security = Security(**words) if words else None
    resources = Resources(**limits) if limits else None
    if annotation is not None:
        _check_same(path, listed, of_app(security, resources))
    return security, resources


def read_pod(path: str, isolators: Iterable[Isolator], annotation: str | None) -> dict[str, Any]:
    """Arguments of ``PodRequest``."""
    listed = list(isolators)
    if annotation is None:
        words, limits = _words(path, [one for one in listed if one.name != "os/unix/sysctl"])
        if words:
            raise Unsupported(f"{path}: carob takes what is about processes from apps, not from the pod")
        found: dict[str, Any] = {"resources": Resources(**limits)} if limits else {}
        for one in listed:
            if one.name == "os/unix/sysctl":
                found["sysctls"] = dict(one.value)  # type: ignore[arg-type]
        return found
    told = _told(path, annotation, (*_SHARED, "resources"))
    found = {name: told[name] for name in _SHARED if name in told}
    expected: list[dict[str, Any]] = []
    if "resources" in told:
        _check_words(told["resources"], Resources.__slots__)
        found["resources"] = Resources(**told["resources"])
        expected += _of_resources(found["resources"])
    if found.get("sysctls"):
        expected.append(_sysctl(found["sysctls"]))
    _check_same(path, listed, expected)
    return found


def of_image(isolators: Iterable[Isolator], *, trusted: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """What an ACI asks for, as arguments of ``Security`` and ``Resources``; what carob has none for is left.

    An image of which no signature was checked is not ``trusted``: it may ask for less than an app has, and
    gets no more.
    """
    from carob.image.aci.config import APPLIED_ISOLATORS

    known = [one for one in isolators if one.name in APPLIED_ISOLATORS]
    words, limits = _words("isolators", known)
    if trusted:
        return words, limits
    if "cap_retain" in words:
        wanted = capabilities.checked(words["cap_retain"], "isolators")
        words["cap_retain"] = [name for name in wanted if name in capabilities.DEFAULT]
    if "seccomp" in words:
        words["seccomp"] = within_default(words["seccomp"])
    if not words.get("no_new_privileges", True):
        del words["no_new_privileges"]
    if words.get("oom_score_adj", 0) < 0:
        del words["oom_score_adj"]
    words.pop("selinux", None)
    return words, limits


def _words(path: str, isolators: list[Isolator]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arguments of ``Security`` and of ``Resources``."""
    words: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    for one in isolators:
        value: Any = one.value
        match str(one.name):
            case "os/linux/capabilities-retain-set":
                words["cap_retain"] = list(value.set)
            case "os/linux/capabilities-remove-set":
                words["cap_drop"] = list(value.set)
            case "os/linux/seccomp-retain-set" | "os/linux/seccomp-remove-set":
                mode: Any = "retain" if "retain" in one.name else "remove"
                words["seccomp"] = CallSet(mode, [str(name) for name in value.set], str(value.errno))
            case "os/linux/no-new-privileges":
                words["no_new_privileges"] = bool(value)
            case "os/linux/oom-score-adj":
                words["oom_score_adj"] = int(value)
            case "os/linux/selinux-context":
                words["selinux"] = f"{value.user}:{value.role}:{value.type}:{value.level}"
            case "os/linux/cpu-shares":
                limits["cpu_shares"] = int(value)
            case "resource/cpu":
                _take_cpu(value, limits)
            case "resource/memory":
                if value.limit is not None:
                    limits["memory_bytes"] = value.limit.units
                if value.request is not None:
                    limits["memory_reservation_bytes"] = value.request.units
            case name:
                raise Unsupported(
                    f"{path}: carob does not support the isolator {name}",
                    hint="leave it out of the pod manifest",
                )
    return words, limits


def _take_cpu(value: Any, limits: dict[str, Any]) -> None:
    """A request is a part of busy processors: 1024 shares are one, as in Kubernetes."""
    if value.limit is not None:
        limits["cpus"] = value.limit.milli_units / 1000
    if value.request is not None:
        limits.setdefault("cpu_shares", max(2, value.request.milli_units * 1024 // 1000))


def _check_same(path: str, listed: list[Isolator], expected: list[dict[str, Any]]) -> None:
    shown: list[Any] = [{"name": str(one.name), "value": one.plain} for one in listed]
    if sorted(dumps(one) for one in shown) != sorted(dumps(one) for one in expected):
        raise InvalidInput(
            f"{path}: the isolators and the annotation {ANNOTATION} do not say the same",
            hint="leave the annotation out: then the isolators count",
        )


def _check_words(told: dict[str, Any], known: Iterable[str]) -> None:
    if unknown := sorted(set(told).difference(known)):
        raise InvalidInput(f"the annotation {ANNOTATION} has a word that carob does not know: {unknown[0]}")


def _told(path: str, annotation: str, known: Iterable[str]) -> dict[str, Any]:
    try:
        told = loads(annotation)
        parts = [told, told.get("security", {}), told.get("resources", {})]
    except (ValueError, AttributeError):
        parts = [None]
    if not all(isinstance(part, dict) for part in parts):
        raise InvalidInput(f"{path}: the annotation {ANNOTATION} is not one of carob's")
    _check_words(parts[0], known)
    return dict(parts[0])


def _plain(given: dict[str, Any]) -> dict[str, Any]:
    """Values of JSON."""
    found = dict(given)
    if "devices" in found:
        found["devices"] = [[one.source, one.target, one.access] for one in found["devices"]]
    if isinstance(calls := found.get("seccomp"), CallSet):
        found["seccomp"] = {"mode": calls.mode, "names": list(calls.names), "errno": calls.errno}
    return found


def _arguments(told: dict[str, Any]) -> dict[str, Any]:
    """The reverse of `_plain`. Raises ``InvalidInput`` for what it never makes."""
    _check_words(told, Security.__slots__)
    found = dict(told)
    try:
        if "devices" in found:
            found["devices"] = [Device(*place, access=access) for *place, access in found["devices"]]
        if isinstance(calls := found.get("seccomp"), dict):
            found["seccomp"] = CallSet(calls["mode"], calls["names"], calls["errno"])
    except (TypeError, ValueError, KeyError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(f"the annotation {ANNOTATION} is not one of carob's: {error}") from None
    return found
