"""A client of rkt's API made from rkt's own definition (``rkt_api.txt``), as a process of its own.

gRPC's threads and descriptors do not belong into a process that runs tests, and forks. It reads commands as
JSON lines, and answers each with one: ``{"do": "call" | "raw" | "open" | "read" | "cancel", ...}``.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from pathlib import Path
from typing import Any

DEFINITION = Path(__file__).with_name("rkt_api.txt")
PACKAGE = "v1alpha"
_TIMEOUT_S = 30.0


class RktClient:
    """The process, for tests. Any number of services may be called, each by its gRPC target."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.parts.rkt_client"],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()

    def _do(self, **command: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def trust(self, target: str, ca: str, certificate: str = "", key: str = "") -> None:
        """Speak TLS to a target, with a certificate perhaps; all are paths of files in PEM."""
        self._do(do="trust", target=target, ca=ca, certificate=certificate, key=key)

    def call(self, target: str, method: str, **request: Any) -> dict[str, Any]:
        """Return the response, or ``{"status": …, "details": …}``. Fields have the definition's names."""
        found: dict[str, Any] = self._do(do="call", target=target, method=method, request=request)
        return found

    def raw(self, target: str, method: str, request: bytes) -> dict[str, Any]:
        """``call`` with whatever bytes."""
        encoded = base64.b64encode(request).decode()
        found: dict[str, Any] = self._do(do="raw", target=target, method=method, request=encoded)
        return found

    def open(self, target: str, method: str, **request: Any) -> int:
        """Begin a stream of responses; return its number."""
        return int(self._do(do="open", target=target, method=method, request=request))

    def read(self, stream: int, *, timeout_s: float = _TIMEOUT_S) -> dict[str, Any]:
        """Return the next response, a status, or ``{"status": "PENDING"}`` where none came in time."""
        found: dict[str, Any] = self._do(do="read", stream=stream, timeout_s=timeout_s)
        return found

    def cancel(self, stream: int) -> None:
        """Break the stream off."""
        self._do(do="cancel", stream=stream)

    def cancel_all(self) -> None:
        """Break all streams off."""
        self._do(do="cancel_all")


def build_file() -> Any:
    """Return the definition as protobuf describes files."""
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
    from google.protobuf.descriptor_pb2 import FileDescriptorProto

    file = FileDescriptorProto(name="rkt/api.proto", package=PACKAGE, syntax="proto3")
    lines = [line.split() for line in DEFINITION.read_text().splitlines() if not line.startswith("#")]
    enums = {words[1] for words in lines if words[0] == "enum"}
    current: Any = None
    for words in lines:
        if words[0] in ("enum", "message", "service"):
            current = getattr(file, f"{words[0]}_type" if words[0] != "service" else "service").add(
                name=words[1]
            )
        elif current.DESCRIPTOR.name == "EnumDescriptorProto":
            current.value.add(number=int(words[0]), name=words[1])
        elif current.DESCRIPTOR.name == "ServiceDescriptorProto":
            method = current.method.add(name=words[0])
            method.input_type, method.output_type = f".{PACKAGE}.{words[1]}", f".{PACKAGE}.{words[-1]}"
            if "stream" in words:
                method.server_streaming = True
        else:
            field = current.field.add(number=int(words[0]), name=words[1])
            field.label = Field.LABEL_REPEATED if "repeated" in words else Field.LABEL_OPTIONAL
            kind = words[-1]
            if f"TYPE_{kind.upper()}" in Field.Type.keys():  # noqa: SIM118 - no dictionary
                field.type = Field.Type.Value(f"TYPE_{kind.upper()}")
            else:
                field.type = Field.TYPE_ENUM if kind in enums else Field.TYPE_MESSAGE
                field.type_name = f".{PACKAGE}.{kind}"
    return file


class _Client:
    def __init__(self) -> None:
        import grpc
        from google.protobuf import descriptor_pool, json_format, message_factory

        self._grpc, self._json = grpc, json_format
        pool = descriptor_pool.DescriptorPool()
        pool.Add(build_file())
        service = pool.FindServiceByName(f"{PACKAGE}.PublicAPI")
        self._methods = {method.name: method for method in service.methods}
        self._class_of = message_factory.GetMessageClass
        self._channels: dict[str, Any] = {}
        self._streams: list[Any] = []
        self._reading: dict[int, Future[Any]] = {}
        self._threads = ThreadPoolExecutor(16)

    def do(self, command: dict[str, Any]) -> Any:
        try:
            return getattr(self, "_" + command.pop("do"))(**command)
        except self._grpc.RpcError as error:
            return {"status": error.code().name, "details": error.details()}

    def _callable(self, target: str, method: str) -> Any:
        if target not in self._channels:
            self._channels[target] = self._grpc.insecure_channel(target)
        described = self._methods[method]
        shape = "unary_stream" if described.server_streaming else "unary_unary"
        return getattr(self._channels[target], shape)(
            f"/{PACKAGE}.PublicAPI/{method}",
            response_deserializer=self._class_of(described.output_type).FromString,
        )

    def _trust(self, target: str, ca: str, certificate: str, key: str) -> None:
        read = [Path(path).read_bytes() if path else None for path in (ca, key, certificate)]
        credentials = self._grpc.ssl_channel_credentials(*read)
        self._channels[target] = self._grpc.secure_channel(target, credentials)

    def _request(self, method: str, fields: dict[str, Any]) -> bytes:
        message = self._class_of(self._methods[method].input_type)()
        self._json.ParseDict(fields, message)
        raw: bytes = message.SerializeToString()
        return raw

    def _told(self, message: Any) -> Any:
        return self._json.MessageToDict(message, preserving_proto_field_name=True)

    def _call(self, target: str, method: str, request: dict[str, Any]) -> Any:
        called = self._callable(target, method)
        return self._told(called(self._request(method, request), timeout=_TIMEOUT_S))

    def _raw(self, target: str, method: str, request: str) -> Any:
        called = self._callable(target, method)
        return self._told(called(base64.b64decode(request), timeout=_TIMEOUT_S))

    def _open(self, target: str, method: str, request: dict[str, Any]) -> int:
        self._streams.append(self._callable(target, method)(self._request(method, request)))
        return len(self._streams) - 1

    def _read(self, stream: int, timeout_s: float) -> Any:
        reading = self._reading.get(stream) or self._threads.submit(next, self._streams[stream])
        try:
            message = reading.result(timeout_s)
        except NotYet:
            self._reading[stream] = reading
            return {"status": "PENDING"}
        except StopIteration:
            return {"status": "OK"}
        self._reading.pop(stream, None)
        return self._told(message)

    def _cancel(self, stream: int) -> None:
        self._streams[stream].cancel()

    def _cancel_all(self) -> None:
        for stream in self._streams:
            stream.cancel()


if __name__ == "__main__":
    client = _Client()
    for line in sys.stdin:
        print(json.dumps(client.do(json.loads(line))), flush=True)
