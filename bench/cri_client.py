"""Kubernetes' CRI as the kubelet calls it: one client for all who serve it, with carob's stubs."""

from __future__ import annotations

import os
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

import grpc

from bench.cri_images import REFERENCE
from bench.figure import Unmeasurable
from bench.memory import pss_mb
from carob.service.cri import api_pb2 as api

_TIMEOUT_S = 120
_READY_S = 30
_PEER_CREDENTIALS = struct.Struct("3i")  # struct ucred, unix(7)
_HANDS = 4
_SLEEP = ("sleep", "3600")


class CriClient:
    """Pods' logs go below ``directory``, their cgroups below ``group``, which is there."""

    def __init__(self, socket_path: str, *, directory: str, group: str) -> None:
        self._socket_path = socket_path
        self._directory = directory
        self._group = group
        self._channel = grpc.insecure_channel(
            f"unix:{socket_path}", options=[("grpc.max_receive_message_length", -1)]
        )
        self._stubs: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    def call(self, method: str, **fields: Any) -> Any:
        """Calls a method, of RuntimeService where nothing else is said, and returns its response.

        Raises ``Unmeasurable`` with what the service said where it refuses.
        """
        service, _, name = method.rpartition("/")
        stub = self._stubs.get(method)
        if stub is None:
            stub = self._channel.unary_unary(
                f"/runtime.v1.{service or 'RuntimeService'}/{name}",
                request_serializer=getattr(api, f"{name}Request").SerializeToString,
                response_deserializer=getattr(api, f"{name}Response").FromString,
            )
            self._stubs[method] = stub
        try:
            return stub(getattr(api, f"{name}Request")(**fields), timeout=_TIMEOUT_S)
        except grpc.RpcError as error:
            raise Unmeasurable(f"{name}: {error.details()}") from error

    def await_ready(self) -> None:
        """Returns once the service answers and its network is there."""
        end = time.monotonic() + _READY_S
        while True:
            try:
                conditions = self.call("Status").status.conditions
                lacking = [one.message or one.type for one in conditions if not one.status]
            except Unmeasurable as error:
                lacking = [str(error)]
            if not lacking:
                return
            if time.monotonic() > end:
                raise Unmeasurable(f"not ready after {_READY_S} s: {'; '.join(lacking)}")
            time.sleep(0.05)

    def memory_mb(self) -> float:
        """The proportional set size of the process that listens."""
        with socket.socket(socket.AF_UNIX) as asked:
            asked.connect(self._socket_path)
            credentials = asked.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER_CREDENTIALS.size)
        return pss_mb(_PEER_CREDENTIALS.unpack(credentials)[0])

    # Pods, as the kubelet asks for them: a PID namespace a container, a log file, a cgroup above

    def run_sandbox(self, config: api.PodSandboxConfig) -> str:
        """RunPodSandbox; its id."""
        return str(self.call("RunPodSandbox", config=config).pod_sandbox_id)

    def start_container(self, sandbox: str, config: api.PodSandboxConfig) -> str:
        """CreateContainer and StartContainer of one that sleeps; its id."""
        container = api.ContainerConfig(
            metadata=api.ContainerMetadata(name="app"),
            image=api.ImageSpec(image=REFERENCE),
            command=_SLEEP,
            log_path="app.log",
            linux=api.LinuxContainerConfig(
                security_context=api.LinuxContainerSecurityContext(
                    namespace_options=config.linux.security_context.namespace_options
                )
            ),
        )
        asked = {"pod_sandbox_id": sandbox, "config": container, "sandbox_config": config}
        identifier = str(self.call("CreateContainer", **asked).container_id)
        self.call("StartContainer", container_id=identifier)
        return identifier

    def run_pod(self) -> tuple[str, str]:
        """A pod on the host's network with a container that runs; the ids of both."""
        config = self.config(on_network=False)
        sandbox = self.run_sandbox(config)
        return sandbox, self.start_container(sandbox, config)

    def run_pods(self, count: int) -> None:
        """Runs that many pods, some at a time."""
        with ThreadPoolExecutor(_HANDS) as hands:
            list(hands.map(lambda _: self.run_pod(), range(count)))

    def execute(self, container: str) -> None:
        """ExecSync of true."""
        answer = self.call("ExecSync", container_id=container, cmd=["true"])
        if answer.exit_code:
            raise Unmeasurable(f"true ended with {answer.exit_code}: {answer.stderr!r}")

    def remove_sandbox(self, sandbox: str) -> None:
        """StopPodSandbox and RemovePodSandbox, with all containers."""
        self.call("StopPodSandbox", pod_sandbox_id=sandbox)
        self.call("RemovePodSandbox", pod_sandbox_id=sandbox)

    def remove_all(self) -> None:
        """Removes every sandbox that there is, some at a time."""
        found = [sandbox.id for sandbox in self.call("ListPodSandbox").items]
        with ThreadPoolExecutor(_HANDS) as hands:
            list(hands.map(self.remove_sandbox, found))

    def config(self, *, on_network: bool = True) -> api.PodSandboxConfig:
        """A sandbox that there has not been before; on the host's network, if not on one of its own."""
        name = f"bench-{os.urandom(5).hex()}"
        logs = os.path.join(self._directory, name)
        os.makedirs(logs)  # the kubelet's part, as the cgroup is
        options = api.NamespaceOption(network=api.POD if on_network else api.NODE, pid=api.CONTAINER)
        return api.PodSandboxConfig(
            metadata=api.PodSandboxMetadata(name=name, namespace="bench", uid=name),
            hostname=name if on_network else "",
            log_directory=logs,
            linux=api.LinuxPodSandboxConfig(
                cgroup_parent=self._group,
                security_context=api.LinuxSandboxSecurityContext(namespace_options=options),
            ),
        )
