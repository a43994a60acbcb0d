"""The definition has the methods of CRI v1, each answered, and the numbers that others were built with."""

from __future__ import annotations

from typing import Any

from carob.service.cri import api_pb2 as api


def test_some_numbers_are_those_that_were_published() -> None:
    config = api.ContainerConfig.DESCRIPTOR.fields_by_name
    assert (config["stop_signal"].number, config["linux"].number, config["tty"].number) == (18, 15, 14)
    security = api.LinuxContainerSecurityContext.DESCRIPTOR.fields_by_name
    assert (security["supplemental_groups_policy"].number, security["run_as_group"].number) == (17, 12)
    assert api.ContainerStatus.DESCRIPTOR.fields_by_name["user"].number == 18
    assert api.DESCRIPTOR.package == "runtime.v1"


def test_a_message_is_read_as_go_writes_it() -> None:
    # Config{Metadata{Name "a", Uid "b", Namespace "c", Attempt 1}, Labels{"k": "v"}}, RuntimeHandler "x"
    raw = bytes.fromhex("0a150a0b0a01611201621a01632001 32060a016b120176 120178".replace(" ", ""))
    found = api.RunPodSandboxRequest.FromString(raw)
    assert (found.config.metadata.name, found.config.metadata.attempt) == ("a", 1)
    assert (dict(found.config.labels), found.runtime_handler) == ({"k": "v"}, "x")


def test_windows_parts_are_passed_over() -> None:
    raw = api.PodSandboxConfig(hostname="x").SerializeToString() + bytes.fromhex("4a020a00")
    assert api.PodSandboxConfig.FromString(raw).hostname == "x"


def test_every_method_has_an_answer() -> None:
    from carob.service.cri.runtime import RuntimeService

    class Part:
        def __getattr__(self, name: str) -> Any:
            return name

    class Calls:
        def unary(self, method: str, request_type: Any, answer: Any) -> Any:
            return "unary"

        def stream(self, method: str, request_type: Any, answer: Any) -> Any:
            return "stream"

    part: Any = Part()
    calls: Any = Calls()
    found = RuntimeService(part, part, part, part, part, part).handlers(calls)
    methods = api.DESCRIPTOR.services_by_name["RuntimeService"].methods
    assert set(found) == {method.name for method in methods}
    kinds: dict[str, Any] = dict(found)
    assert {name for name, kind in kinds.items() if kind == "stream"} == {
        method.name for method in methods if method.server_streaming
    }
