"""A client of CRI, as blocking calls: ``client.call(api.VersionRequest())``."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any

import grpc

from carob.service.cri import api_pb2 as api

_PATIENCE_S = 60.0
_METHODS = {
    method.input_type.name: (f"/{service.full_name}/{method.name}", getattr(api, method.output_type.name))
    for service in api.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}


class CriClient:
    """Calls on one channel; for any number of threads."""

    def __init__(self, socket_path: Any) -> None:
        most = ("grpc.max_receive_message_length", 16 << 20)  # the kubelet's
        self._channel = grpc.insecure_channel(f"unix:{socket_path}", options=[most])

    def __enter__(self) -> CriClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the channel."""
        self._channel.close()

    def call(self, request: Any, *, timeout_s: float = _PATIENCE_S) -> Any:
        """Return the response; ``grpc.RpcError`` for any status but OK."""
        path, response = _METHODS[type(request).__name__]
        method = self._channel.unary_unary(
            path,
            request_serializer=type(request).SerializeToString,
            response_deserializer=response.FromString,
        )
        return method(request, timeout=timeout_s)

    def stream(self, request: Any) -> Iterator[Any]:
        """Yield the responses of a stream; cancel what is returned to end it."""
        path, response = _METHODS[type(request).__name__]
        method = self._channel.unary_stream(
            path,
            request_serializer=type(request).SerializeToString,
            response_deserializer=response.FromString,
        )
        found: Iterator[Any] = method(request)
        return found

    def status(self, request: Any, *, timeout_s: float = _PATIENCE_S) -> str:
        """Return the status that a call ends with, by name."""
        try:
            self.call(request, timeout_s=timeout_s)
        except grpc.RpcError as error:
            return str(error.code().name)  # type: ignore[attr-defined]
        return "OK"


def sandbox_config(name: str, **fields: Any) -> api.PodSandboxConfig:
    """Return the configuration of a sandbox without a network of its own, which takes least time."""
    metadata = api.PodSandboxMetadata(name=name, namespace="tests", uid=f"uid-{name}")
    config = api.PodSandboxConfig(metadata=metadata, **fields)
    config.linux.security_context.namespace_options.network = api.NODE
    return config


def container_config(name: str, *command: str, **fields: Any) -> api.ContainerConfig:
    """Return the configuration of a container of the image ``busybox``."""
    metadata = api.ContainerMetadata(name=name)
    config = api.ContainerConfig(
        metadata=metadata, image=api.ImageSpec(image="busybox"), command=list(command), **fields
    )
    config.linux.security_context.namespace_options.pid = api.CONTAINER
    return config
