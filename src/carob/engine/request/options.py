"""What may be said of a pod beside its apps: the keywords of ``Engine.run`` and ``prepare``, said once.

For type checkers, and for who passes them on: ``def my_run(**options: Unpack[PodOptions])``. Nothing of
carob loads this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Literal

    from carob.engine.request.log_limits import LogLimits
    from carob.engine.request.pod import Hosts, Network, Pull
    from carob.engine.request.resources import Resources


class PodOptions(TypedDict, total=False):
    """The keywords of ``PodRequest``, which says what they mean, checks them, and has their defaults."""

    name: str
    network: Network | None
    ports: Sequence[str]
    dns: Sequence[str]
    dns_search: Sequence[str]
    dns_domain: str
    dns_options: Sequence[str]
    hosts: Hosts
    hostname: str | None
    grace_s: float
    runtime: str
    overlay: bool
    annotations: Mapping[str, str] | None
    pull: Pull
    insecure: str
    log_driver: Literal["k8s-file", "journald"]
    log_limits: LogLimits | None
    resources: Resources | None
    cgroup_parent: str
    cgroups: Literal["enabled", "split"]
    sysctls: Mapping[str, str] | None
    pid: Literal["private", "pod", "host"]
    ipc: Literal["private", "pod", "host"]
    uts: Literal["pod", "host"]
    userns: str
    uidmap: Sequence[str]
    gidmap: Sequence[str]
    isolation: Literal["default", "none"]
    labels: Mapping[str, str] | None
    user_annotations: Mapping[str, str] | None


class AddOptions(TypedDict, total=False):
    """The keywords of ``PodHandle.add``; ``carob.engine.sandbox.addition.Addition`` says what they mean."""

    pid: str | None
    log_path: str | None
    labels: Mapping[str, str] | None
    user_annotations: Mapping[str, str] | None
    pull: Pull
    insecure: str
