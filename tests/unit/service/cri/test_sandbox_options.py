from __future__ import annotations

import pytest

from carob.engine.request.pod import App, PodRequest
from carob.errors import InvalidInput, Unsupported
from carob.service.cri import api_pb2 as api
from carob.service.cri.sandbox_options import cgroup_parent, sandbox_options, user_mapping


def config(**fields: object) -> api.PodSandboxConfig:
    metadata = api.PodSandboxMetadata(name="web-0", namespace="shop", uid="u-1", attempt=2)
    return api.PodSandboxConfig(metadata=metadata, **fields)  # type: ignore[arg-type]


def request_of(made: api.PodSandboxConfig) -> PodRequest:
    """What carob makes of it: everything that is asked is checked there, too."""
    return PodRequest([App("image", ["x"])], **sandbox_options(made, network="default"))


def test_a_sandbox_is_on_its_network_and_tells_the_plugins_who_it_is() -> None:
    request = request_of(config(hostname="web-0"))
    assert request.network == "default:K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_UID=u-1"
    assert request.hostname == "web-0"
    assert request.name == "web-0"


def test_what_plugins_could_misread_they_are_not_told() -> None:
    made = config()
    made.metadata.name = "a;IP=10.0.0.1"
    assert "IP=" not in request_of(made).network


def test_name_servers_are_those_given_or_the_hosts() -> None:
    given = api.DNSConfig(servers=["10.10.10.10"], searches=["example.org"], options=["ndots:8"])
    options = sandbox_options(config(dns_config=given), network="default")
    assert (options["dns"], options["dns_search"], options["dns_options"]) == (
        ["10.10.10.10"], ["example.org"], ["ndots:8"],
    )  # fmt: skip
    assert sandbox_options(config(dns_config=api.DNSConfig()), network="default")["dns"] == ["host"]


def test_only_ports_of_the_host_are_published() -> None:
    mappings = [
        api.PortMapping(container_port=80, host_port=12000),
        api.PortMapping(container_port=53, host_port=53, protocol=api.UDP, host_ip="127.0.0.1"),
        api.PortMapping(container_port=8, host_port=8, host_ip="::1"),
        api.PortMapping(container_port=9090),
    ]
    networking = request_of(config(port_mappings=mappings)).networking
    assert networking is not None
    assert [str(port) for port in networking.ports] == [
        "12000:80/tcp",
        "127.0.0.1:53:53/udp",
        "[::1]:8:8/tcp",
    ]


def test_on_the_hosts_network_the_name_is_the_hosts_and_no_port_is_published() -> None:
    made = config(hostname="web-0", port_mappings=[api.PortMapping(container_port=80, host_port=80)])
    made.linux.security_context.namespace_options.network = api.NODE
    request = request_of(made)
    assert (request.network, request.uts, request.hostname) == ("host", "host", None)


def test_ipc_sysctls_and_group() -> None:
    made = config()
    made.linux.cgroup_parent = "/kubepods/burstable/podu-1"
    made.linux.sysctls["kernel.shm_rmid_forced"] = "1"
    request = request_of(made)
    assert request.cgroup_parent == "/kubepods/burstable/podu-1"
    assert request.sysctls == {"kernel/shm_rmid_forced": "1"}
    made.linux.ClearField("sysctls")
    made.linux.security_context.namespace_options.ipc = api.NODE
    assert request_of(made).ipc == "host"


@pytest.mark.parametrize(
    ("parent", "path"),
    [
        ("", ""),
        ("/kubepods/besteffort", "/kubepods/besteffort"),
        ("system.slice", "/system.slice"),
        (
            "kubepods-burstable-pod1.slice",
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice",
        ),
    ],
)
def test_slices_are_paths(parent: str, path: str) -> None:
    assert cgroup_parent(parent) == path


def test_a_slice_without_a_name_is_refused() -> None:
    with pytest.raises(InvalidInput):
        cgroup_parent("a--b.slice")


@pytest.mark.parametrize("field", ["name", "namespace", "uid"])
def test_a_sandbox_needs_metadata(field: str) -> None:
    made = config()
    made.metadata.ClearField(field)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="metadata"):
        sandbox_options(made, network="default")


def mapping(*ranges: tuple[int, int, int], mode: int = api.POD) -> api.NamespaceOption:
    ids = [
        api.IDMapping(container_id=inside, host_id=outside, length=many) for inside, outside, many in ranges
    ]
    return api.NamespaceOption(userns_options=api.UserNamespace(mode=mode, uids=ids, gids=ids))  # type: ignore[arg-type]


def test_a_user_namespace_has_one_range_from_0_on() -> None:
    assert user_mapping(mapping((0, 65536, 65536))) == "0:65536:65536"
    assert user_mapping(mapping(mode=api.NODE)) is None
    assert user_mapping(api.NamespaceOption()) is None


@pytest.mark.parametrize("ranges", [(), ((1, 1000, 100),), ((0, 1000, 100), (0, 2000, 100)), ((0, 1000, 0),)])
def test_other_ranges_are_refused(ranges: tuple[tuple[int, int, int], ...]) -> None:
    with pytest.raises(InvalidInput):
        user_mapping(mapping(*ranges))


@pytest.mark.parametrize("mode", [api.CONTAINER, api.TARGET])
def test_a_user_namespace_is_of_the_pod(mode: int) -> None:
    with pytest.raises(Unsupported):
        user_mapping(mapping((0, 1000, 100), mode=mode))
