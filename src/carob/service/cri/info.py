"""What CRI asks of the runtime itself: versions, conditions, handlers, configuration."""

from __future__ import annotations

import json
import os

from carob._version import __version__
from carob.engine.doctor import readiness
from carob.engine.networks import networks
from carob.errors import InvalidInput
from carob.service.cri import api_pb2 as api

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.aio.steps import Steps

RUNTIME_NAME = "carob"
API_VERSION = "v1"
KUBELET_API_VERSION = "0.1.0"
"""The kubelet's own name for what it speaks; it takes no other."""
DEFAULT_HANDLER = ""


class RuntimeInfo:
    """The host's and carob's own facts. ``network`` is the one of pods; ``""`` is the first that is
    configured, or carob's own.
    """

    def __init__(self, data_dir: str, steps: Steps, *, network: str = "") -> None:
        self._data_dir = data_dir
        self._steps = steps
        self._network = network

    def network(self) -> str:
        """The name of the network that pods are on."""
        return self._network or networks(None)[0].name

    async def version(self, request: api.VersionRequest) -> api.VersionResponse:
        """Version."""
        return api.VersionResponse(
            version=KUBELET_API_VERSION,
            runtime_name=RUNTIME_NAME,
            runtime_version=__version__,
            runtime_api_version=API_VERSION,
        )

    async def status(self, request: api.StatusRequest) -> api.StatusResponse:
        """Status."""
        return await self._steps.run(self._status, verbose=request.verbose)

    def _status(self, *, verbose: bool) -> api.StatusResponse:
        runtimes = readiness.runtimes()
        conditions = [
            _condition("RuntimeReady", "NoRuntime", "" if runtimes else "neither crun nor runc is installed"),
            _condition("NetworkReady", "NetworkNotReady", self._network_fault()),
        ]
        response = api.StatusResponse(
            status=api.RuntimeStatus(conditions=conditions),
            runtime_handlers=[_handler(name) for name in (DEFAULT_HANDLER, *runtimes) if runtimes],
            features=api.RuntimeFeatures(supplemental_groups_policy=True, mount_options=True),
        )
        if verbose:
            told = {"dataDir": self._data_dir, "network": self._network, "runtimes": runtimes}
            response.info["config"] = json.dumps(told)
        return response

    def _network_fault(self) -> str:
        problems: list[str] = []
        found = networks(problems.append)
        wanted = self._network or found[0].name
        for one in found:
            if one.name == wanted:
                missing = readiness.missing_plugins(one.plugins)
                return f"the network {wanted} lacks the plugins {', '.join(missing)}" if missing else ""
        return "; ".join([f"there is no network {wanted}", *problems[:3]])

    async def runtime_config(self, request: api.RuntimeConfigRequest) -> api.RuntimeConfigResponse:
        """RuntimeConfig."""
        driver = api.SYSTEMD if os.path.isdir("/run/systemd/system") else api.CGROUPFS
        return api.RuntimeConfigResponse(linux=api.LinuxRuntimeConfiguration(cgroup_driver=driver))

    async def update_runtime_config(
        self, request: api.UpdateRuntimeConfigRequest
    ) -> api.UpdateRuntimeConfigResponse:
        """UpdateRuntimeConfig: the range of pods' addresses is the network configuration's affair."""
        return api.UpdateRuntimeConfigResponse()


def check_handler(handler: str) -> str:
    """The runtime that a handler stands for; ``""`` for the usual one. Raises ``InvalidInput``."""
    if handler == DEFAULT_HANDLER:
        return ""
    known = readiness.runtimes()
    if handler not in known:
        raise InvalidInput(
            f"there is no runtime handler {handler!r}",
            hint=f"one of {', '.join(known) or 'none'}, or none named",
        )
    return handler


def _condition(kind: str, reason: str, fault: str) -> api.RuntimeCondition:
    if not fault:
        return api.RuntimeCondition(type=kind, status=True)
    return api.RuntimeCondition(type=kind, status=False, reason=reason, message=fault)


def _handler(name: str) -> api.RuntimeHandler:
    features = api.RuntimeHandlerFeatures(recursive_read_only_mounts=True, user_namespaces=True)
    return api.RuntimeHandler(name=name, features=features)
