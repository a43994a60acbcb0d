"""rkt's clients are answered, by a client made from rkt's own definition, about real pods."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from carob import App, Engine
from tests.parts.api_service import ApiService
from tests.parts.rkt_client import RktClient
from tests.root import host_view
from tests.root.conftest import make_engine
from tests.root.host_view import eventually

_SCRIPT = (
    "echo one; echo two >&2; printf part; sleep 0.1; echo ' of three'; trap 'exit 0' TERM; sleep 1000 & wait"
)


class World:
    """An engine with pods in several states, and a service on its data directory."""

    def __init__(self, engine: Engine, directory: Path) -> None:
        self.engine = engine
        engine.images.tag("busybox", "example.org/team/tools:1.2")
        self.running = engine.run(
            App("busybox", ["sh", "-c", _SCRIPT], name="talker"),
            App("busybox", ["sleep", "1000"], name="sleeper"),
            name="first",
            annotations={"team": "blue"},
        )
        self.exited = engine.run(App("busybox", ["sh", "-c", "exit 3"], name="bad"))
        self.exited.wait()
        self.prepared = engine.prepare(App("example.org/team/tools:1.2", ["true"], name="later"))
        self.socket = directory / "api.sock"
        self.service = ApiService(
            engine.data_dir, f"--listen=unix:{self.socket}", "--metrics=127.0.0.1:0", "--max-streams=6"
        )

    @property
    def target(self) -> str:
        return self.service.target


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory, rootfs: Path, supervisor_launcher: tuple[str, ...]
) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("api")
    engine = make_engine(directory / "data", rootfs, supervisor_launcher)
    found = None
    try:
        found = World(engine, directory)
        yield found
    finally:
        if found is not None:
            found.service.end()
        host_view.end_all(engine.data_dir)


@pytest.fixture(scope="module")
def one_client() -> Iterator[RktClient]:
    made = RktClient()
    yield made
    made.close()


@pytest.fixture
def client(one_client: RktClient) -> Iterator[RktClient]:
    yield one_client
    one_client.cancel_all()


@pytest.fixture
def services() -> Iterator[Callable[..., ApiService]]:
    """Hands out services of a test's own."""
    made: list[ApiService] = []

    def start(*arguments: Any, **options: Any) -> ApiService:
        made.append(ApiService(*arguments, **options))
        return made[-1]

    yield start
    for service in made:
        service.end()


def ids(response: dict[str, Any]) -> list[str]:
    return [pod["id"] for pod in response.get("pods", [])]


# --- the calls ------------------------------------------------------------------------------------


def test_get_info(world: World, client: RktClient) -> None:
    info = client.call(world.target, "GetInfo")["info"]
    assert info["api_version"] == "1.0.0-alpha"
    assert info["appc_version"] == "0.8.11"
    assert info["global_flags"]["dir"] == world.engine.data_dir


def test_list_pods_tells_of_every_state(world: World, client: RktClient) -> None:
    pods = {pod["id"]: pod for pod in client.call(world.target, "ListPods")["pods"]}
    running = pods[world.running.uuid]
    directory = host_view.pod_directory(world.engine.data_dir, world.running.uuid)
    assert running["state"] == "POD_STATE_RUNNING"
    assert running["pid"] == host_view.keeper(directory, "init")
    assert running["cgroup"] == f"/carob/{world.running.uuid}"
    assert {"Key": "team", "value": "blue"} in running["annotations"]
    assert [(app["name"], app["state"]) for app in running["apps"]] == [
        ("talker", "APP_STATE_RUNNING"),
        ("sleeper", "APP_STATE_RUNNING"),
    ]
    image = running["apps"][0]["image"]
    assert (image["name"], image["version"]) == ("busybox", "latest")
    assert image["id"].startswith("sha512-")
    assert image["base_format"]["type"] == "IMAGE_TYPE_OCI"
    assert int(running["created_at"]) == os.stat(directory / "pod-created").st_mtime_ns
    assert int(running["started_at"]) == os.stat(directory / "pid").st_mtime_ns
    assert "manifest" not in running

    exited = pods[world.exited.uuid]
    assert exited["state"] == "POD_STATE_EXITED"
    assert [(app["state"], app["exit_code"]) for app in exited["apps"]] == [("APP_STATE_EXITED", 3)]
    assert "cgroup" not in exited

    prepared = pods[world.prepared.uuid]
    assert prepared["state"] == "POD_STATE_PREPARED"
    assert prepared["pid"] == -1
    assert prepared["apps"][0]["exit_code"] == -1
    assert prepared["apps"][0]["image"]["name"] == "example.org/team/tools"
    assert "started_at" not in prepared


def test_list_pods_in_detail_and_inspect_pod_have_the_manifest(world: World, client: RktClient) -> None:
    listed = client.call(world.target, "ListPods", detail=True, filters=[{"ids": [world.running.uuid]}])
    inspected = client.call(world.target, "InspectPod", id=world.running.uuid[:13])["pod"]
    assert listed["pods"] == [inspected]
    assert base64.b64decode(inspected["manifest"]) == world.running.manifest()


def test_filters_of_pods(world: World, client: RktClient) -> None:
    image_id = client.call(world.target, "InspectPod", id=world.exited.uuid)["pod"]["apps"][0]["image"]["id"]
    cgroup = f"/carob/{world.running.uuid}"
    running, exited, prepared = world.running.uuid, world.exited.uuid, world.prepared.uuid

    def found(*filters: dict[str, Any]) -> set[str]:
        return set(ids(client.call(world.target, "ListPods", filters=filters)))

    assert found({"states": ["POD_STATE_EXITED", "POD_STATE_PREPARED"]}) == {exited, prepared}
    assert found({"app_names": ["talker", "sleeper"]}) == {running}
    assert found({"app_names": ["talker", "bad"]}) == set()
    assert found({"image_ids": [image_id]}) == {running, exited, prepared}
    assert found({"annotations": [{"Key": "team", "value": "blue"}]}) == {running}
    assert found({"annotations": [{"Key": "team", "value": "red"}]}) == set()
    assert found({"cgroups": [cgroup]}) == {running}
    assert found({"pod_sub_cgroups": [f"{cgroup}/talker"]}) == {running}
    assert found({"network_names": ["nowhere"]}) == set()
    assert found({"ids": [exited]}, {"ids": [prepared]}) == {exited, prepared}
    assert found({"ids": [exited], "states": ["POD_STATE_RUNNING"]}) == set()
    assert found({}) == {running, exited, prepared}


def test_images(world: World, client: RktClient) -> None:
    images = client.call(world.target, "ListImages")["images"]
    assert [(image["name"], image["version"]) for image in images] == [
        ("busybox", "latest"),
        ("example.org/team/tools", "1.2"),
    ]
    assert len({image["id"] for image in images}) == 1
    assert all("manifest" not in image for image in images)
    assert int(images[0]["size"]) > 0
    assert abs(int(images[0]["import_timestamp"]) - time.time()) < 3600
    one = client.call(world.target, "InspectImage", id=images[0]["id"])["image"]
    assert (one.pop("base_format"), one.pop("name")) == (images[0]["base_format"], "busybox")
    assert json.loads(base64.b64decode(one["manifest"]))["acKind"] == "ImageManifest"

    def found(**wanted: Any) -> list[str]:
        listed = client.call(world.target, "ListImages", filters=[wanted])
        return [image["name"] for image in listed.get("images", [])]

    assert found(base_names=["tools"]) == ["example.org/team/tools"]
    assert found(prefixes=["example.org/"]) == ["example.org/team/tools"]
    assert found(keywords=["box"]) == ["busybox"]
    assert found(full_names=["busybox", "nothing"]) == ["busybox"]
    assert found(labels=[{"Key": "version", "value": "1.2"}]) == ["example.org/team/tools"]
    assert found(imported_before=1000) == []
    assert client.call(world.target, "InspectImage", id="sha512-" + "0" * 64)["status"] == "NOT_FOUND"


def texts(response: dict[str, Any]) -> list[str]:
    return [line.split(" ", 4)[4] for line in response.get("lines", [])]


def test_get_logs(world: World, client: RktClient) -> None:
    eventually("the app has spoken", lambda: "three" in world.running.logs("talker").text())
    stream = client.open(world.target, "GetLogs", pod_id=world.running.uuid)
    response = client.read(stream)
    assert sorted(texts(response)) == ["one", "part of three", "two"]
    assert response["lines"][0].split(" ")[2:4] == ["+0000", "UTC"]
    assert client.read(stream) == {"status": "OK"}
    last = client.open(world.target, "GetLogs", pod_id=world.running.uuid, app_name="talker", lines=1)
    assert texts(client.read(last)) == ["part of three"]
    nobody = client.open(world.target, "GetLogs", pod_id=world.running.uuid, app_name="nobody")
    assert client.read(nobody)["status"] == "NOT_FOUND"


def test_logs_are_followed_to_the_end_of_the_pod(world: World, client: RktClient) -> None:
    pod = world.engine.run(App("busybox", ["sh", "-c", "echo first; sleep 0.5; echo last"], name="app"))
    stream = client.open(world.target, "GetLogs", pod_id=pod.uuid, follow=True)
    assert texts(client.read(stream)) == ["first"]
    pod.wait()
    assert texts(client.read(stream)) == ["last"]
    assert client.read(stream) == {"status": "OK"}
    pod.remove()


def until(client: RktClient, stream: int, kind: str, subject: str) -> list[tuple[str, str]]:
    """Return (type, id) of all events up to one of this kind and subject."""
    seen = []
    while True:
        response = client.read(stream)
        assert "status" not in response, response
        for event in response.get("events", []):
            seen.append((event["type"].removeprefix("EVENT_TYPE_"), event["id"]))
            if seen[-1] == (kind, subject):
                return seen


def test_no_event_is_lost_after_the_first_response(world: World, client: RktClient) -> None:
    stream = client.open(world.target, "ListenEvents")
    assert client.read(stream).get("events", []) == []  # from here on all is told
    pod = world.engine.run(App("busybox", ["true"], name="app"))
    pod.wait()
    pod.remove()
    told = [
        kind for kind, uuid in until(client, stream, "POD_GARBAGE_COLLECTED", pod.uuid) if uuid == pod.uuid
    ]
    assert told == [
        "POD_PREPARED",
        "POD_STARTED",
        "APP_STARTED",
        "APP_EXITED",
        "POD_EXITED",
        "POD_GARBAGE_COLLECTED",
    ]
    client.cancel(stream)
    eventually("the stream is counted out", lambda: "carob_api_open_streams 0\n" in metrics(world.service))


def test_events_of_the_past_are_told_and_end_at_a_time(world: World, client: RktClient) -> None:
    pod = world.exited.uuid
    wanted = {"ids": [pod], "since_time": 1, "until_time": int(time.time()) + 3600}
    stream = client.open(world.target, "ListenEvents", filter=wanted)
    events = client.read(stream)["events"]
    assert [event["type"] for event in events] == [
        f"EVENT_TYPE_{kind}"
        for kind in ("POD_PREPARED", "POD_STARTED", "APP_STARTED", "APP_EXITED", "POD_EXITED")
    ]
    assert {"Key": "code", "value": "3"} in events[3]["data"]
    assert events[3]["from"] == "bad"
    past = client.open(
        world.target, "ListenEvents", filter={"until_time": 5, "types": ["EVENT_TYPE_POD_EXITED"]}
    )
    assert client.read(past) == {}
    assert client.read(past) == {"status": "OK"}


def test_images_that_come_and_go_are_events(world: World, client: RktClient, tmp_path: Path) -> None:
    types = ["EVENT_TYPE_IMAGE_IMPORTED", "EVENT_TYPE_IMAGE_REMOVED"]
    stream = client.open(world.target, "ListenEvents", filter={"types": types, "names": ["passing"]})
    assert client.read(stream) == {}
    (tmp_path / "root").mkdir()
    (tmp_path / "root/file").write_text("content")
    world.engine.images.import_path(tmp_path / "root", name="passing")
    came = client.read(stream)["events"]
    world.engine.images.remove("passing")
    went = client.read(stream)["events"]
    assert [event["type"] for event in came + went] == types
    assert came[0]["id"] == went[0]["id"]
    client.cancel(stream)


# --- requests that are none -----------------------------------------------------------------------


def test_wrong_requests_get_proper_statuses(world: World, client: RktClient) -> None:
    target = world.target
    assert client.raw(target, "ListPods", b"\xff\xff\xff")["status"] == "INVALID_ARGUMENT"
    assert client.raw(target, "InspectPod", b"\n\x02\xff\xfe")["status"] == "INVALID_ARGUMENT"  # not UTF-8
    assert client.raw(target, "ListPods", b"\0" * (2 << 20))["status"] == "RESOURCE_EXHAUSTED"
    assert len(ids(client.raw(target, "ListPods", b"\xd2\x0f\x03new"))) == 3  # a field of a later version
    assert client.call(target, "InspectPod", id="../../etc")["status"] == "NOT_FOUND"
    assert client.call(target, "InspectPod", id="")["status"] == "INVALID_ARGUMENT"
    assert client.call(target, "InspectPod", id="0" * 8)["status"] == "NOT_FOUND"
    assert client.call(target, "InspectImage", id="a" * 100_000)["status"] == "INVALID_ARGUMENT"
    for stream in (
        client.open(target, "ListenEvents", filter={"since_time": -1}),
        client.open(target, "GetLogs", pod_id=world.running.uuid, lines=-1),
        client.open(target, "GetLogs", pod_id=world.running.uuid, until_time=1 << 62),
    ):
        assert client.read(stream)["status"] == "INVALID_ARGUMENT"


def test_connections_that_say_nothing_or_nonsense_hold_up_nobody(world: World, client: RktClient) -> None:
    connections = [socket.socket(socket.AF_UNIX) for _ in range(60)]
    try:
        for number, one in enumerate(connections):
            one.connect(str(world.socket))
            if number % 3:
                one.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" if number % 3 == 1 else os.urandom(4096))
        assert len(ids(client.call(world.target, "ListPods"))) == 3
    finally:
        for one in connections:
            one.close()


def test_more_streams_than_allowed_are_refused_and_the_rest_goes_on(world: World, client: RktClient) -> None:
    streams = [client.open(world.target, "ListenEvents") for _ in range(6)]
    for stream in streams:
        assert client.read(stream) == {}
    assert client.read(client.open(world.target, "ListenEvents"))["status"] == "RESOURCE_EXHAUSTED"
    assert len(ids(client.call(world.target, "ListPods"))) == 3
    for stream in streams:
        client.cancel(stream)
    eventually("there is room again", lambda: client.read(client.open(world.target, "ListenEvents")) == {})


# --- several, stopped and killed ------------------------------------------------------------------


def test_a_reader_that_stalls_blocks_nobody_and_is_let_go(
    world: World, client: RktClient, services: Callable[..., ApiService], tmp_path: Path
) -> None:
    service = services(
        world.engine.data_dir,
        f"--listen={tmp_path}/s",
        "--stall-timeout=1s",
        "--grace-period=200ms",
        "--threads=1",
        f"--metrics=unix:{tmp_path}/m",
    )
    pod = world.engine.run(
        App("busybox", ["sh", "-c", "yes 0123456789abcdef | head -c 30000000"], name="app")
    )
    pod.wait()
    stalled = [client.open(service.target, "GetLogs", pod_id=pod.uuid) for _ in range(3)]
    for stream in stalled:
        assert client.read(stream)["lines"]
    assert ids(client.call(service.target, "ListPods"))
    assert "carob_api_open_streams 3\n" in metrics(service)
    eventually("they are let go", lambda: "carob_api_open_streams 0\n" in metrics(service))
    service.stop()
    ended = [line for line in service.log if line["event"] == "call" and line["method"].endswith("/GetLogs")]
    assert [line["status"] for line in ended] == ["DEADLINE_EXCEEDED"] * 3
    pod.remove()


def test_services_may_be_many_and_be_killed_in_the_middle_of_calls(
    world: World, client: RktClient, services: Callable[..., ApiService], tmp_path: Path
) -> None:
    other = services(world.engine.data_dir, f"--listen={tmp_path}/s")
    here, there = (sorted(ids(client.call(target, "ListPods"))) for target in (world.target, other.target))
    assert here == there != []
    streams = [
        client.open(other.target, "ListenEvents"),
        client.open(other.target, "GetLogs", pod_id=world.running.uuid, app_name="sleeper", follow=True),
    ]
    assert client.read(streams[0]) == {}
    other.stop(signal.SIGKILL)
    for stream in streams:
        assert client.read(stream)["status"] == "UNAVAILABLE"
    assert world.running.status().state == "running"
    again = services(world.engine.data_dir, f"--listen={tmp_path}/s")
    eventually("the client is through", lambda: sorted(ids(client.call(again.target, "ListPods"))) == here)
    with pytest.raises(AssertionError, match="another service listens"):
        services(world.engine.data_dir, f"--listen={tmp_path}/s")
    stream = client.open(again.target, "ListenEvents")
    assert client.read(stream) == {}
    assert again.stop() == 0
    assert client.read(stream)["status"] == "UNAVAILABLE"
    assert not (tmp_path / "s").exists()
    said = [line["event"] for line in again.log]
    assert (said[-1], "stopping" in said, "library" in said) == ("stopped", True, False), again.log


def test_callers_come_through_a_service_that_is_killed_again_and_again(
    world: World, services: Callable[..., ApiService], tmp_path: Path
) -> None:
    wanted = sorted([world.running.uuid, world.exited.uuid, world.prepared.uuid])
    over = threading.Event()
    answers: list[list[dict[str, Any]]] = [[], []]

    def ask(mine: list[dict[str, Any]]) -> None:
        asking = RktClient()
        while not over.is_set():
            mine.append(asking.call(f"unix:{tmp_path}/s", "ListPods", detail=True))
        asking.close()

    def lists() -> int:
        return sum("pods" in answer for mine in answers for answer in mine)

    callers = [threading.Thread(target=ask, args=(mine,)) for mine in answers]
    service = services(world.engine.data_dir, f"--listen={tmp_path}/s")
    for caller in callers:
        caller.start()
    try:
        for _ in range(3):
            before = lists()
            eventually("calls go through", lambda before=before: lists() > before + 5)
            service.stop(signal.SIGKILL)
            service = services(world.engine.data_dir, f"--listen={tmp_path}/s")
    finally:
        over.set()
        for caller in callers:
            caller.join()
    for answer in [answer for mine in answers for answer in mine]:
        assert answer.get("status") == "UNAVAILABLE" or sorted(ids(answer)) == wanted
    assert world.running.status().state == "running"


def test_tls_asks_callers_for_certificates(
    world: World, client: RktClient, services: Callable[..., ApiService], tmp_path: Path
) -> None:
    ours, strangers = trustme.CA(), trustme.CA()
    paths = {
        name: str(tmp_path / name)
        for name in ("ca", "cert", "key", "known", "known-key", "other", "other-key")
    }
    ours.cert_pem.write_to_path(paths["ca"])
    for ca, certificate, key in (
        (ours, "cert", "key"),
        (ours, "known", "known-key"),
        (strangers, "other", "other-key"),
    ):
        issued = ca.issue_cert("127.0.0.1")
        issued.cert_chain_pems[0].write_to_path(paths[certificate])
        issued.private_key_pem.write_to_path(paths[key])
    with pytest.raises(AssertionError, match="cannot be read"):
        services(
            world.engine.data_dir,
            "--listen=127.0.0.1:0",
            "--tls-cert=/none",
            "--tls-key=/none",
            "--tls-client-ca=/none",
        )
    service = services(
        world.engine.data_dir,
        "--listen=127.0.0.1:0",
        f"--tls-cert={paths['cert']}",
        f"--tls-key={paths['key']}",
        f"--tls-client-ca={paths['ca']}",
    )
    target = service.target
    assert client.call(target, "GetInfo")["status"] == "UNAVAILABLE"  # in the clear
    client.trust(target, paths["ca"])
    assert client.call(target, "GetInfo")["status"] == "UNAVAILABLE"
    client.trust(target, paths["ca"], paths["other"], paths["other-key"])
    assert client.call(target, "GetInfo")["status"] == "UNAVAILABLE"
    client.trust(target, paths["ca"], paths["known"], paths["known-key"])
    assert "info" in client.call(target, "GetInfo")


def test_the_socket_is_for_whom_it_should_be(
    world: World, services: Callable[..., ApiService], tmp_path: Path
) -> None:
    assert stat.S_IMODE(os.stat(world.socket).st_mode) == 0o600
    services(world.engine.data_dir, f"--listen={tmp_path}/s", "--socket-mode=0660", "--socket-group=12345")
    found = os.stat(tmp_path / "s")
    assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o660, 12345)
    with pytest.raises(AssertionError, match="can be reached from elsewhere"):
        services(world.engine.data_dir, "--listen=0.0.0.0:0")


def metrics(service: ApiService) -> str:
    where = str(service.serving["metrics"])
    is_unix = where.startswith("unix:")
    with socket.socket(socket.AF_UNIX if is_unix else socket.AF_INET) as caller:
        caller.settimeout(20)
        host, _, port = where.rpartition(":")
        caller.connect(port if is_unix else (host, int(port)))
        caller.sendall(b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n")
        with caller.makefile("rb") as answer:
            head, _, text = answer.read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n"), head
    return text.decode()


def test_metrics(world: World, client: RktClient) -> None:
    client.call(world.target, "GetInfo")
    told = metrics(world.service)
    assert 'carob_pods{state="running"} 1\n' in told
    assert 'carob_pods{state="exited"} 1\n' in told
    assert "carob_images 1\n" in told
    assert 'carob_images_disk_bytes{kind="layers"}' in told
    assert 'carob_api_calls_total{method="v1alpha.PublicAPI/GetInfo",status="OK"}' in told
    assert 'carob_api_call_seconds_bucket{method="v1alpha.PublicAPI/GetInfo",le="+Inf"}' in told


def test_systemd_hands_in_the_socket_and_is_told(
    world: World, client: RktClient, services: Callable[..., ApiService], tmp_path: Path
) -> None:
    with (
        socket.socket(socket.AF_UNIX) as listener,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
    ):
        listener.bind(f"{tmp_path}/handed")
        listener.listen()
        manager.bind(f"{tmp_path}/notify")
        manager.settimeout(20)
        environment = {
            "LISTEN_FDS": "1", "NOTIFY_SOCKET": f"{tmp_path}/notify", "RUNTIME_DIRECTORY": str(tmp_path),
        }  # fmt: skip
        script = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ['LISTEN_PID'] = str(os.getpid())\n"
        script += "sys.argv = ['carob', *sys.argv[2:]]; from carob.cli.main import main; sys.exit(main())"
        service = services(
            world.engine.data_dir,
            env=environment,
            pass_fds=(listener.fileno(),),
            python=("-c", script, str(listener.fileno())),
        )
        assert manager.recv(100) == b"READY=1"
        assert service.target == f"unix:{tmp_path}/handed"
        assert len(ids(client.call(service.target, "ListPods"))) == 3
        stream = client.open(service.target, "ListenEvents")
        assert client.read(stream) == {}
        service.stop()
        assert manager.recv(100) == b"STOPPING=1"
        assert client.read(stream)["status"] == "UNAVAILABLE"
        assert (tmp_path / "handed").exists()


# --- memory ---------------------------------------------------------------------------------------


def test_memory_does_not_grow_with_calls(
    world: World, client: RktClient, services: Callable[..., ApiService], tmp_path: Path
) -> None:
    service = services(world.engine.data_dir, f"--listen={tmp_path}/s")

    def some(count: int) -> int:
        for _ in range(count):
            client.call(service.target, "ListPods", detail=True)
            client.call(service.target, "GetInfo")
        return service.rss_kib()

    some(300)
    before_kib = service.rss_kib()
    assert some(600) - before_kib < 2048
    assert service.rss_kib("VmHWM") < 80 * 1024
