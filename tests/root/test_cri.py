"""CRI by a client of its own: what calls leave, told twice, called off, raced, and cut short by SIGKILL."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from carob import App, Engine
from carob.service.cri import api_pb2 as api
from tests.needs import require_command, require_root
from tests.parts.api_service import ApiService
from tests.parts.cri_client import CriClient, container_config, sandbox_config
from tests.root import host_view
from tests.root.conftest import make_engine
from tests.root.host_view import eventually


class World:
    """An engine, and services of CRI on its data directory: one for the module, and those of tests."""

    def __init__(self, engine: Engine, directory: Path) -> None:
        self.engine = engine
        self.directory = directory
        self._count = 0

    def begin(self) -> tuple[ApiService, Path]:
        """Begin one more service; return it and its socket."""
        self._count += 1
        listen, path = (self.directory / f"{kind}{self._count}.sock" for kind in ("api", "cri"))
        return ApiService(self.engine.data_dir, f"--listen=unix:{listen}", f"--cri=unix:{path}"), path

    @contextmanager
    def serving(self) -> Iterator[tuple[CriClient, ApiService]]:
        """One more service and a client of it, for a block."""
        service, path = self.begin()
        try:
            with CriClient(path) as client:
                yield client, service
        finally:
            service.end()

    def sandboxes(self, name: str) -> list[api.PodSandbox]:
        """Return the sandboxes of this name, as the first service has them."""
        with CriClient(self.directory / "cri1.sock") as client:
            found = client.call(api.ListPodSandboxRequest()).items
        return [one for one in found if one.metadata.name == name]


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory, rootfs: Path, supervisor_launcher: tuple[str, ...]
) -> Iterator[World]:
    require_root()
    require_command("crun")
    directory = tmp_path_factory.mktemp("cri")
    made = World(make_engine(directory / "data", rootfs, supervisor_launcher), directory)
    try:
        with made.serving():
            yield made
    finally:
        host_view.end_all(made.engine.data_dir)


@pytest.fixture
def client(world: World) -> Iterator[CriClient]:
    with CriClient(world.directory / "cri1.sock") as made:
        yield made


def run(client: CriClient, config: api.PodSandboxConfig) -> str:
    return str(client.call(api.RunPodSandboxRequest(config=config)).pod_sandbox_id)


def create(client: CriClient, sandbox: str, config: api.ContainerConfig) -> str:
    request = api.CreateContainerRequest(pod_sandbox_id=sandbox, config=config)
    return str(client.call(request).container_id)


def remove(client: CriClient, sandbox: str) -> None:
    client.call(api.StopPodSandboxRequest(pod_sandbox_id=sandbox))
    client.call(api.RemovePodSandboxRequest(pod_sandbox_id=sandbox))


def ended(client: CriClient, container: str) -> Any:
    def look() -> Any:
        status = client.call(api.ContainerStatusRequest(container_id=container)).status
        return status if status.state == api.CONTAINER_EXITED else None

    return eventually("the container has ended", look)


# --- what is told ---------------------------------------------------------------------------------


def test_a_sandbox_from_its_start_to_its_end(world: World, client: CriClient) -> None:
    config = sandbox_config("whole", labels={"App": "x_y"}, annotations={"A/b": "c" * 5000})
    sandbox = run(client, config)
    status = client.call(api.PodSandboxStatusRequest(pod_sandbox_id=sandbox, verbose=True)).status
    assert (status.metadata, status.state) == (config.metadata, api.SANDBOX_READY)
    assert (dict(status.labels), dict(status.annotations)) == ({"App": "x_y"}, {"A/b": "c" * 5000})
    assert status.linux.namespaces.options.network == api.NODE
    assert status.created_at > 0
    (listed,) = world.sandboxes("whole")
    assert listed.id == sandbox
    (pod,) = [one for one in world.engine.list() if one.uuid.replace("-", "") == sandbox]
    assert (pod.name, str(pod.state), pod.labels) == ("whole", "running", {"App": "x_y"})

    client.call(api.StopPodSandboxRequest(pod_sandbox_id=sandbox))
    (listed,) = world.sandboxes("whole")
    assert listed.state == api.SANDBOX_NOTREADY
    client.call(api.RemovePodSandboxRequest(pod_sandbox_id=sandbox))
    assert world.sandboxes("whole") == []
    host_view.nothing_left(world.engine.data_dir, pod.uuid)
    assert client.status(api.PodSandboxStatusRequest(pod_sandbox_id=sandbox)) == "NOT_FOUND"


def test_a_container_from_its_start_to_its_end(world: World, client: CriClient, tmp_path: Path) -> None:
    sandbox = run(client, sandbox_config("one", log_directory=str(tmp_path)))
    config = container_config("web", "sh", "-c", "echo out; exit 3", log_path="web.log", labels={"L": "1"})
    container = create(client, sandbox, config)
    status = client.call(api.ContainerStatusRequest(container_id=container)).status
    assert (status.state, status.metadata.name, status.image.image) == (
        api.CONTAINER_CREATED,
        "web",
        "busybox",
    )
    client.call(api.StartContainerRequest(container_id=container))
    status = ended(client, container)
    assert (status.exit_code, status.reason, status.log_path) == (3, "Error", f"{tmp_path}/web.log")
    assert 0 < status.created_at <= status.started_at <= status.finished_at
    assert (tmp_path / "web.log").read_text().endswith(" stdout F out\n")
    assert status.image_id == client.call(api.ImageStatusRequest(image=config.image)).image.id

    for wanted, expected in (
        (api.ContainerFilter(id=container[:13]), [container]),
        (api.ContainerFilter(pod_sandbox_id=sandbox, label_selector={"L": "1"}), [container]),
        (api.ContainerFilter(state=api.ContainerStateValue(state=api.CONTAINER_RUNNING), id=container), []),
    ):
        found = client.call(api.ListContainersRequest(filter=wanted)).containers
        assert [one.id for one in found] == expected
    assert client.status(api.StartContainerRequest(container_id=container)) == "FAILED_PRECONDITION"
    client.call(api.RemoveContainerRequest(container_id=container))
    assert client.status(api.ContainerStatusRequest(container_id=container)) == "NOT_FOUND"
    remove(client, sandbox)


def test_a_sandbox_that_the_library_made_is_shown(world: World, client: CriClient) -> None:
    with world.engine.sandbox(name="ours") as pod:
        pod.add(App("busybox", ["sleep", "100"], name="inside"))
        (listed,) = world.sandboxes("ours")
        assert listed.id == pod.uuid.replace("-", "")
        found = client.call(api.ListContainersRequest(filter=api.ContainerFilter(pod_sandbox_id=listed.id)))
        assert [one.metadata.name for one in found.containers] == ["inside"]
        client.call(api.StartContainerRequest(container_id=found.containers[0].id))
        assert pod.status().app("inside").state == "running"


def test_pods_that_are_no_sandboxes_are_not(world: World, client: CriClient) -> None:
    with world.engine.run(App("busybox", ["sleep", "100"])) as pod:
        identifier = pod.uuid.replace("-", "")
        assert client.status(api.PodSandboxStatusRequest(pod_sandbox_id=identifier)) == "NOT_FOUND"
        client.call(api.StopPodSandboxRequest(pod_sandbox_id=identifier))
        client.call(api.RemovePodSandboxRequest(pod_sandbox_id=identifier))
        assert str(pod.status().state) == "running"


def test_events(world: World, client: CriClient) -> None:
    stream: Any = client.stream(api.GetEventsRequest())
    stream.initial_metadata()
    time.sleep(0.3)  # all is watched from its first look on, of which it does not tell
    sandbox = run(client, sandbox_config("events"))
    container = create(client, sandbox, container_config("c", "true"))
    client.call(api.StartContainerRequest(container_id=container))
    ended(client, container)
    client.call(api.RemoveContainerRequest(container_id=container))
    remove(client, sandbox)
    seen: list[tuple[str, int]] = []
    for event in stream:
        seen.append((event.container_id, event.container_event_type))
        if seen[-1] == (sandbox, api.CONTAINER_DELETED_EVENT):
            break
    stream.cancel()
    of_container = [kind for identifier, kind in seen if identifier == container]
    assert of_container == [
        api.CONTAINER_CREATED_EVENT,
        api.CONTAINER_STARTED_EVENT,
        api.CONTAINER_STOPPED_EVENT,
        api.CONTAINER_DELETED_EVENT,
    ]
    assert [kind for identifier, kind in seen if identifier == sandbox][:2] == [
        api.CONTAINER_CREATED_EVENT,
        api.CONTAINER_STARTED_EVENT,
    ]


def test_figures(world: World, client: CriClient) -> None:
    sandbox = run(client, sandbox_config("figures"))
    container = create(client, sandbox, container_config("c", "sh", "-c", "echo x > /file; sleep 100"))
    client.call(api.StartContainerRequest(container_id=container))

    def written() -> Any:
        stats = client.call(api.ContainerStatsRequest(container_id=container)).stats
        return stats if stats.writable_layer.used_bytes.value else None

    stats = eventually("the container has written", written)
    assert stats.memory.working_set_bytes.value > 0
    assert stats.cpu.usage_core_nano_seconds.value > 0
    of_sandbox = client.call(api.PodSandboxStatsRequest(pod_sandbox_id=sandbox)).stats
    assert [one.attributes.id for one in of_sandbox.linux.containers] == [container]
    described = {
        one.name: len(one.label_keys) for one in client.call(api.ListMetricDescriptorsRequest()).descriptors
    }
    (metrics,) = [
        one
        for one in client.call(api.ListPodSandboxMetricsRequest()).pod_metrics
        if one.pod_sandbox_id == sandbox
    ]
    told = {one.name: len(one.label_values) for one in metrics.container_metrics[0].metrics}
    assert told.items() <= described.items()
    assert {"container_threads", "container_memory_rss", "container_fs_usage_bytes"} <= told.keys()
    remove(client, sandbox)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (api.RunPodSandboxRequest(), "INVALID_ARGUMENT"),
        (api.RunPodSandboxRequest(config=sandbox_config("x"), runtime_handler="what"), "INVALID_ARGUMENT"),
        (api.PodSandboxStatusRequest(pod_sandbox_id="../../etc"), "NOT_FOUND"),
        (api.PodSandboxStatusRequest(), "INVALID_ARGUMENT"),
        (api.CreateContainerRequest(pod_sandbox_id="0" * 32), "NOT_FOUND"),
        (api.StartContainerRequest(container_id="0" * 64), "NOT_FOUND"),
        (api.StopContainerRequest(container_id="0" * 64), "OK"),
        (api.RemovePodSandboxRequest(pod_sandbox_id="0" * 32), "OK"),
        (api.ExecSyncRequest(container_id="0" * 64, cmd=["true"]), "NOT_FOUND"),
        (api.ExecSyncRequest(container_id="0" * 64), "INVALID_ARGUMENT"),
        (api.CheckpointContainerRequest(container_id="0" * 64), "UNIMPLEMENTED"),
        (api.PullImageRequest(), "INVALID_ARGUMENT"),
        (api.PullImageRequest(image=api.ImageSpec(image="sha256:" + "0" * 64)), "NOT_FOUND"),
    ],
)
def test_what_cannot_be_has_its_status(client: CriClient, request_: Any, status: str) -> None:
    assert client.status(request_) == status


# --- told twice, called off, raced ----------------------------------------------------------------


def test_what_is_asked_twice_is_made_once(world: World, client: CriClient) -> None:
    config = sandbox_config("twice")
    sandbox = run(client, config)
    assert run(client, config) == sandbox
    other = sandbox_config("twice", hostname="other")
    assert client.status(api.RunPodSandboxRequest(config=other)) == "FAILED_PRECONDITION"
    container = create(client, sandbox, container_config("c", "sleep", "100"))
    assert create(client, sandbox, container_config("c", "sleep", "100")) == container
    unlike = api.CreateContainerRequest(pod_sandbox_id=sandbox, config=container_config("c", "sleep", "1"))
    assert client.status(unlike) == "FAILED_PRECONDITION"
    client.call(api.StartContainerRequest(container_id=container))
    client.call(api.StartContainerRequest(container_id=container))
    remove(client, sandbox)
    remove(client, sandbox)
    assert run(client, config) != sandbox
    assert len(world.sandboxes("twice")) == 1
    remove(client, world.sandboxes("twice")[0].id)


def test_a_sandbox_that_ended_without_containers_makes_room(world: World, client: CriClient) -> None:
    config = sandbox_config("room")
    first = run(client, config)
    client.call(api.StopPodSandboxRequest(pod_sandbox_id=first))
    second = run(client, config)
    assert second != first
    assert [one.id for one in world.sandboxes("room")] == [second]
    remove(client, second)


def test_a_call_that_is_called_off_leaves_all_or_nothing(world: World, client: CriClient) -> None:
    config = sandbox_config("called-off")
    for timeout_s in (0.001, 0.005, 0.01, 0.02, 0.04, 0.06):
        client.status(api.RunPodSandboxRequest(config=config), timeout_s=timeout_s)
    sandbox = run(client, config)
    assert [one.id for one in world.sandboxes("called-off")] == [sandbox]
    request = api.CreateContainerRequest(pod_sandbox_id=sandbox, config=container_config("c", "sleep", "100"))
    for timeout_s in (0.001, 0.005, 0.01, 0.02, 0.03):
        client.status(request, timeout_s=timeout_s)
    container = client.call(request).container_id
    wanted = api.ContainerFilter(pod_sandbox_id=sandbox)
    found = client.call(api.ListContainersRequest(filter=wanted)).containers
    assert [one.id for one in found] == [container]
    client.call(api.StartContainerRequest(container_id=container))
    remove(client, sandbox)


def test_racing_callers_of_two_services_make_one_of_each(world: World, client: CriClient) -> None:
    with world.serving() as (other, _), ThreadPoolExecutor(16) as callers:
        both = [client, other] * 8
        sandboxes = set(callers.map(lambda one: run(one, sandbox_config("raced")), both))
        assert len(sandboxes) == 1
        assert len(world.sandboxes("raced")) == 1
        (sandbox,) = sandboxes
        config = container_config("c", "sleep", "100")
        containers = set(callers.map(lambda one: create(one, sandbox, config), both))
        assert len(containers) == 1
        different = [sandbox_config(f"raced-{number}") for number in range(8)]
        made = list(callers.map(lambda pair: run(*pair), zip(both, different, strict=False)))
        assert len(set(made)) == 8
        list(callers.map(lambda one: remove(other, one), [sandbox, *made]))
    assert not [one for one in client.call(api.ListPodSandboxRequest()).items if "raced" in one.metadata.name]


def test_stops_that_take_long_keep_nobody_waiting(world: World, client: CriClient) -> None:
    sandbox = run(client, sandbox_config("patient"))
    stubborn = "trap '' TERM; sleep 1000 & wait; wait"
    containers = [create(client, sandbox, container_config(f"c{n}", "sh", "-c", stubborn)) for n in range(12)]
    for container in containers:
        client.call(api.StartContainerRequest(container_id=container))
    time.sleep(0.3)  # for the traps
    with ThreadPoolExecutor(12) as callers:
        stops = [
            callers.submit(client.call, api.StopContainerRequest(container_id=one, timeout=6))
            for one in containers
        ]
        time.sleep(0.2)
        client.call(api.ListContainersRequest())
        client.call(api.ExecSyncRequest(container_id=containers[0], cmd=["true"]))
        other = run(client, sandbox_config("meanwhile"))
        remove(client, other)
        assert not any(stop.done() for stop in stops)
        remove(client, sandbox)
    assert [stop.exception() for stop in stops] == [None] * len(stops)


def test_an_update_is_told(client: CriClient) -> None:
    sandbox = run(client, sandbox_config("updated"))
    config = container_config("c", "sleep", "100")
    config.linux.resources.memory_limit_in_bytes = 64 << 20
    container = create(client, sandbox, config)
    client.call(api.StartContainerRequest(container_id=container))
    wanted = api.LinuxContainerResources(memory_limit_in_bytes=32 << 20)
    client.call(api.UpdateContainerResourcesRequest(container_id=container, linux=wanted))
    status = client.call(api.ContainerStatusRequest(container_id=container)).status
    assert status.resources.linux.memory_limit_in_bytes == 32 << 20
    assert (status.user.linux.uid, status.user.linux.gid) == (0, 0)
    remove(client, sandbox)


# --- cut short ------------------------------------------------------------------------------------


class Killed:
    """What a service that is killed works on: a sandbox with two containers, of which one runs; what is asked
    of it; and what must hold when that was asked again.
    """

    def __init__(self, client: CriClient, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.sandbox = run(client, sandbox_config(name))
        self.running = create(client, self.sandbox, container_config("running", "sleep", "100"))
        client.call(api.StartContainerRequest(container_id=self.running))
        self.created = create(client, self.sandbox, container_config("created", "sleep", "100"))
        sandbox, running, created = self.sandbox, self.running, self.created
        config = container_config("new", "sleep", "100")
        self.requests: dict[str, Any] = {
            "run": api.RunPodSandboxRequest(config=sandbox_config(f"{name}-new")),
            "create": api.CreateContainerRequest(pod_sandbox_id=sandbox, config=config),
            "start": api.StartContainerRequest(container_id=created),
            "stop": api.StopContainerRequest(container_id=running),
            "remove": api.RemoveContainerRequest(container_id=running),
            "stop sandbox": api.StopPodSandboxRequest(pod_sandbox_id=sandbox),
            "remove sandbox": api.RemovePodSandboxRequest(pod_sandbox_id=sandbox),
        }

    def containers(self, client: CriClient) -> dict[str, int]:
        """Return the containers' states by their names."""
        wanted = api.ContainerFilter(pod_sandbox_id=self.sandbox)
        found = client.call(api.ListContainersRequest(filter=wanted)).containers
        return {one.metadata.name: one.state for one in found}

    def check(self, client: CriClient, call: str, made: Any) -> None:
        """Fail unless the call that was told a second time has led to what it should."""
        before = {"running": api.CONTAINER_RUNNING, "created": api.CONTAINER_CREATED}
        states = [one.state for one in self.world.sandboxes(self.name)]
        assert states == {
            "stop sandbox": [api.SANDBOX_NOTREADY],
            "remove sandbox": [],
        }.get(call, [api.SANDBOX_READY])
        now = self.containers(client)
        match call:
            case "run":
                assert [one.id for one in self.world.sandboxes(f"{self.name}-new")] == [made.pod_sandbox_id]
                remove(client, made.pod_sandbox_id)
            case "create":
                assert now == {**before, "new": api.CONTAINER_CREATED}
                client.call(api.StartContainerRequest(container_id=made.container_id))
            case "start":
                assert now == {**before, "created": api.CONTAINER_RUNNING}
            case "stop":
                assert now == {**before, "running": api.CONTAINER_EXITED}
            case "remove":
                assert now == {"created": api.CONTAINER_CREATED}
            case "stop sandbox":
                assert set(now.values()) == {api.CONTAINER_EXITED}
            case "remove sandbox":
                assert now == {}


CALLS = ("run", "create", "start", "stop", "remove", "stop sandbox", "remove sandbox")


@pytest.mark.slow
@pytest.mark.parametrize("call", CALLS)
def test_a_service_that_is_killed_in_a_call_is_followed_by_one_that_carries_it_through(
    world: World, call: str
) -> None:
    choice = random.Random(call)
    for turn in range(3):
        with world.serving() as (client, service):
            killed = Killed(client, world, f"killed-{call}-{turn}")
            thread = threading.Thread(target=_quietly, args=(client, killed.requests[call]))
            thread.start()
            time.sleep(choice.uniform(0.0, 0.05))
            service.end()
            thread.join()
        with world.serving() as (again, _):
            made = again.call(killed.requests[call])
            killed.check(again, call, made)
            remove(again, killed.sandbox)


def _quietly(client: CriClient, request: Any) -> None:
    try:
        client.call(request)
    except grpc.RpcError:
        return


# --- streams and hostile output -------------------------------------------------------------------


def test_output_without_end_is_cut_off(client: CriClient) -> None:
    sandbox = run(client, sandbox_config("flood"))
    container = create(client, sandbox, container_config("c", "sleep", "100"))
    client.call(api.StartContainerRequest(container_id=container))
    flood = api.ExecSyncRequest(container_id=container, cmd=["head", "-c", "20000000", "/dev/zero"])
    found = client.call(flood)
    assert (found.exit_code, len(found.stdout)) == (0, 7 << 20)
    endless = api.ExecSyncRequest(container_id=container, cmd=["cat", "/dev/zero"], timeout=1)
    assert client.status(endless) == "DEADLINE_EXCEEDED"
    remove(client, sandbox)


def test_a_record_that_somebody_else_wrote_spoils_no_list(world: World, client: CriClient) -> None:
    odd = '{"version": 1, "config": {"metadata": {"name": 3, "attempt": "x"}}}'
    with world.engine.sandbox(name="odd", user_annotations={"carob.cri/record": odd}) as pod:
        pod.add(App("busybox", ["true"], name="a"), user_annotations={"carob.cri/record": odd})
        (listed,) = world.sandboxes("odd")
        wanted = api.ContainerFilter(pod_sandbox_id=listed.id)
        (found,) = client.call(api.ListContainersRequest(filter=wanted)).containers
        assert found.metadata.name == "a"
        client.call(api.PodSandboxStatusRequest(pod_sandbox_id=listed.id))
        client.call(api.ContainerStatusRequest(container_id=found.id, verbose=True))


def test_what_the_kubelet_mounts_in_every_container(client: CriClient, tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("10.0.0.1 of-the-kubelet\n")
    (tmp_path / "end").touch()
    config = container_config(
        "c",
        *("sh", "-c", "cat /etc/hosts; echo last words > /dev/termination-log"),
        log_path="c.log",
        mounts=[
            api.Mount(container_path="/etc/hosts", host_path=str(tmp_path / "hosts")),
            api.Mount(container_path="/dev/termination-log", host_path=str(tmp_path / "end")),
            api.Mount(container_path="/new", host_path=str(tmp_path / "not/there/yet")),
        ],
    )
    sandbox = run(client, sandbox_config("kubelets", log_directory=str(tmp_path)))
    container = create(client, sandbox, config)
    client.call(api.StartContainerRequest(container_id=container))
    assert ended(client, container).exit_code == 0
    assert (tmp_path / "c.log").read_text().endswith("stdout F 10.0.0.1 of-the-kubelet\n")
    assert (tmp_path / "end").read_text() == "last words\n"
    assert (tmp_path / "not/there/yet").is_dir()
    remove(client, sandbox)
