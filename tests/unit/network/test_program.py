from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from _socket import socket as raw_socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from carob import errors
from carob.network import messages
from carob.network.program import serve
from carob.network.record import make_record
from tests.architecture.test_hot_imports import loaded_by
from tests.unit.network.made_plugins import GOOD_RESULT, Workshop

SRC = str(Path(__file__).resolve().parents[3] / "src")
ALLOWED = {
    *(
        "__future__",
        "_collections_abc",
        "_ctypes",
        "_json",
        "_signal",
        "_socket",
        "_stat",
        "_thread",
        "_weakref",
    ),
    *("binascii", "errno", "fcntl", "genericpath", "os", "os.path", "posixpath", "select", "stat", "time"),
}


@pytest.fixture
def link() -> Iterator[raw_socket]:
    """The caller's end of a link to a process that is made as a supervisor would make it."""
    ours, theirs = messages.pair()
    program = f"from carob.network.program import main; main({theirs.fileno()})"
    script = f"import sys; sys.path.append({SRC!r}); {program}"
    child = subprocess.Popen([sys.executable, "-I", "-S", "-c", script], pass_fds=(theirs.fileno(),))
    theirs.close()
    yield ours
    ours.close()
    assert child.wait(10) == 0


def ask(link: raw_socket, workshop: Workshop, op: str, **more: Any) -> tuple[list[dict[str, Any]], list[int]]:
    """Every answer to one message, and the descriptors with them."""
    messages.send(link, {"op": op, "places": workshop.places.document(), **more}, (workshop.pod,))
    answers, descriptors = [], []
    while True:
        message, found = messages.receive(link)
        assert message is not None
        descriptors += found
        answers.append(message)
        if message["event"] != "ports":
            return answers, descriptors


def test_a_process_of_its_own_attaches_and_detaches(link: raw_socket, workshop: Workshop) -> None:
    mappings = [{"hostPort": 0, "containerPort": port, "protocol": "tcp"} for port in range(1, 18)]
    workshop.plugin("first")
    workshop.plan(["first"], capabilities={"portMappings": mappings})
    answers, sockets = ask(link, workshop, "attach", namespace="/proc/1/ns/net", data_dir="/d")
    try:
        assert [answer["event"] for answer in answers] == ["ports"] * 3 + ["attached"]
        assert len(sockets) == 17
        with make_record(workshop.pod) as record:
            published = record.published("eth0") or []
        for descriptor, mapping in zip(sockets, published, strict=True):
            with socket.socket(fileno=os.dup(descriptor)) as held:
                assert held.getsockname()[1] == mapping["hostPort"]
    finally:
        messages.close_all(sockets)
    answers, _ = ask(link, workshop, "detach", budget_s=5)
    assert answers == [{"v": 1, "event": "detached", "owed": {}}]
    assert workshop.asked("DEL", "first")["prevResult"] == GOOD_RESULT


@pytest.mark.parametrize("resolver", [True, False])
def test_it_completes_the_files_that_the_apps_see(
    link: raw_socket, workshop: Workshop, resolver: bool
) -> None:
    etc = Path(f"/proc/self/fd/{workshop.pod}/carob/etc")
    etc.mkdir(parents=True)
    (etc / "hosts").write_text("127.0.0.1 localhost\n")
    (etc / "resolv.conf").write_text("nameserver 192.0.2.1\n" * 9)
    workshop.plugin("first")
    workshop.plan(["first"])
    words = {"namespace": "/proc/1/ns/net", "data_dir": "/d", "hostname": "me", "resolver": resolver}
    answers, _ = ask(link, workshop, "attach", **words)
    assert [answer["event"] for answer in answers] == ["attached"]
    assert (etc / "hosts").read_text() == "127.0.0.1 localhost\n10.9.0.2 me\n"
    given = "nameserver 192.0.2.1\n" * 9
    assert (etc / "resolv.conf").read_text() == ("nameserver 10.9.0.1\n" if resolver else given)


def test_what_goes_wrong_is_told_as_the_error_that_it_is(link: raw_socket, workshop: Workshop) -> None:
    answers, _ = ask(link, workshop, "attach", namespace="/x", data_dir="/d")
    error = messages.error_of(answers[0])
    assert type(error) is errors.NotFound
    workshop.plan([workshop.plugin("bad", """ADD) echo '{"code": 11, "msg": "later"}'; exit 1 ;;""")])
    answers, _ = ask(link, workshop, "attach", namespace="/x", data_dir="/d")
    error = messages.error_of(answers[0])
    assert type(error) is errors.Unavailable
    assert "later" in error.message
    assert error.hint == "try again later"


@pytest.mark.parametrize(
    "kind",
    [
        errors.InvalidInput,
        errors.NotFound,
        errors.Conflict,
        errors.Unsupported,
        errors.TimedOut,
        errors.CommandFailed,
    ],
)
def test_every_kind_of_error_gets_through(kind: type[errors.CarobError]) -> None:
    made = messages.error_of(messages.failure(kind("what", hint="do")))
    assert (type(made), made.message, made.hint) == (kind, "what", "do")
    assert type(messages.error_of({})) is errors.CarobError


def test_what_is_no_message_is_refused_and_its_descriptors_closed() -> None:
    ours, theirs = messages.pair()
    try:
        for text in ("", "x", "[]", "{}", '{"v": 2}'):
            before = set(os.listdir("/proc/self/fd"))
            ours.sendmsg(
                [text.encode() or b" "],
                [(messages.SOL_SOCKET, messages.SCM_RIGHTS, (0).to_bytes(4, "little"))],
            )
            with pytest.raises(ValueError, match=r".") as caught:
                messages.receive(theirs)
            assert caught.value is not None
            assert set(os.listdir("/proc/self/fd")) == before
    finally:
        ours.close()
        theirs.close()


def test_it_ends_with_its_link() -> None:
    ours, theirs = messages.pair()
    thread = threading.Thread(target=serve, args=(theirs,))
    thread.start()
    ours.close()
    thread.join(5)
    assert not thread.is_alive()
    theirs.close()


def test_it_loads_no_more_than_a_supervisor_may() -> None:
    loaded = loaded_by("import carob.network.program")
    foreign = {name for name in loaded if name.split(".")[0] != "carob"}
    assert sorted(foreign - ALLOWED) == []
    assert not [name for name in loaded if name.startswith(("carob.image", "carob.pod", "carob.spec.oci"))]


def test_planning_a_pod_loads_nothing_heavy() -> None:
    loaded = loaded_by("import carob.network.planning")
    assert (
        sorted(loaded & {"json", "re", "ipaddress", "subprocess", "typing", "enum", "dataclasses", "socket"})
        == []
    )


def test_a_detached_pod_without_a_plan(link: raw_socket, workshop: Workshop) -> None:
    make_record(workshop.pod).close()
    answers, _ = ask(link, workshop, "detach")
    assert answers[0]["owed"] == {}
