from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from carob.errors import (
    CarobError,
    CommandFailed,
    Conflict,
    CorruptData,
    NotFound,
    TimedOut,
    Unavailable,
    Unsupported,
)
from carob.network.attach import attach
from carob.network.detach import detach
from carob.network.record import make_record, open_record
from carob.pod import netinfo
from tests.unit.network.made_plugins import GOOD_RESULT, Workshop

NAMESPACE = "/proc/1/ns/net"


def go(workshop: Workshop, **more: float) -> None:
    attach(
        workshop.pod, workshop.places, namespace=NAMESPACE, data_dir=str(workshop.directory), **more
    ).ports.close()


def test_plugins_are_called_in_order_and_each_gets_the_result_of_the_one_before(workshop: Workshop) -> None:
    second = {**GOOD_RESULT, "changed": True}
    workshop.plan([workshop.plugin("first"), workshop.plugin("second", result=second)])
    go(workshop)
    assert workshop.calls() == ["ADD first eth0", "ADD second eth0"]
    assert workshop.asked("ADD", "first") == {
        "cniVersion": "1.0.0",
        "name": "net0",
        "type": "first",
        "key": "value",
    }
    assert workshop.asked("ADD", "second")["prevResult"] == GOOD_RESULT
    environment = workshop.environment("ADD", "first")
    assert environment["CNI_CONTAINERID"] == workshop.uuid
    assert environment["CNI_NETNS"] == NAMESPACE
    assert set(environment) - {"PWD", "SHLVL", "_", "OLDPWD"} == {
        *(
            "PATH",
            "LC_ALL",
            "CNI_COMMAND",
            "CNI_PATH",
            "CNI_CONTAINERID",
            "CNI_NETNS",
            "CNI_IFNAME",
            "CNI_ARGS",
        )
    }
    assert detach(workshop.pod, workshop.places) == {}
    assert workshop.calls() == ["DEL second eth0", "DEL first eth0"]
    for plugin in ("first", "second"):
        assert workshop.asked("DEL", plugin)["prevResult"] == second
        assert workshop.environment("DEL", plugin)["CNI_NETNS"] == ""
    assert workshop.state() == []


def test_the_result_is_kept_in_rkts_file_too(workshop: Workshop) -> None:
    workshop.plan([workshop.plugin("first")])
    go(workshop)
    (found,) = netinfo.parse((workshop.pod_path / "net-info.json").read_bytes())
    assert (found.net_name, found.if_name, str(found.ip), str(found.mask)) == (
        "net0",
        "eth0",
        "10.9.0.2",
        "255.255.0.0",
    )
    assert found.plugin_path == str(workshop.plugins / "first")
    record = open_record(workshop.pod)
    assert record is not None
    with record:
        assert record.result("eth0") == GOOD_RESULT


def test_detaching_twice_calls_no_plugin_twice(workshop: Workshop) -> None:
    workshop.plan([workshop.plugin("first")])
    go(workshop)
    detach(workshop.pod, workshop.places)
    workshop.calls()
    assert detach(workshop.pod, workshop.places) == {}
    assert workshop.calls() == []
    assert workshop.state() == []


def test_a_pod_that_is_attached_is_not_attached_again(workshop: Workshop) -> None:
    workshop.plan([workshop.plugin("first")])
    go(workshop)
    workshop.calls()
    with pytest.raises(Conflict):
        go(workshop)
    assert workshop.calls() == []
    assert detach(workshop.pod, workshop.places) == {}
    go(workshop)
    assert workshop.calls() == ["DEL first eth0", "ADD first eth0"]
    assert detach(workshop.pod, workshop.places) == {}
    assert workshop.calls() == ["DEL first eth0"], "an earlier detachment does not count"


def test_an_answer_nested_so_deep_that_it_could_not_be_handed_on_is_refused(workshop: Workshop) -> None:
    deep = '{"x":' * 300 + "1" + "}" * 300
    workshop.plan([workshop.plugin("first", f"ADD) printf '%s' '{deep}' ;;"), workshop.plugin("second")])
    with pytest.raises(CorruptData) as caught:
        go(workshop)
    assert "nested too deeply" in caught.value.message
    assert workshop.calls() == ["ADD first eth0", "DEL second eth0", "DEL first eth0"]


def test_whatever_goes_wrong_all_is_undone(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    workshop.plan([workshop.plugin("first")])
    monkeypatch.setattr("carob.network.record.Record.write_result", fail)
    with pytest.raises(ZeroDivisionError):
        go(workshop)
    assert workshop.calls() == ["ADD first eth0", "DEL first eth0"]
    assert workshop.state() == []


def test_a_pod_that_was_never_attached_is_detached_all_the_same(workshop: Workshop) -> None:
    workshop.plan([workshop.plugin("first")])
    assert detach(workshop.pod, workshop.places) == {}
    assert workshop.calls() == ["DEL first eth0"]
    assert "prevResult" not in workshop.asked("DEL", "first")


def test_a_pod_without_networks(workshop: Workshop) -> None:
    assert detach(workshop.pod, workshop.places) == {}
    with pytest.raises(NotFound):
        go(workshop)
    with make_record(workshop.pod):
        assert detach(workshop.pod, workshop.places) == {}
        with pytest.raises(NotFound):
            go(workshop)


@pytest.mark.parametrize(
    "text", ["", "x", "[]", "{}", '{"version": 1}', '{"version": 9, "uuid": "a"}', '{"version": "1"}']
)
def test_a_plan_that_cannot_be_read_is_corrupt_data(workshop: Workshop, text: str) -> None:
    make_record(workshop.pod).close()
    (workshop.pod_path / "carob/network/plan.json").write_text(text)
    with pytest.raises(CorruptData):
        go(workshop)
    with pytest.raises(CorruptData):
        detach(workshop.pod, workshop.places)


SAY = "ADD) echo '%s'; exit 1 ;;"
ANSWER = "ADD) %s; exit 0 ;;"
FAILURES = [
    (
        "says_why",
        SAY % '{"code": 100, "msg": "no luck", "details": "at all"}',
        CommandFailed,
        "no luck; at all",
    ),
    ("is_not_ready", SAY % '{"code": 11, "msg": "later"}', Unavailable, "later"),
    ("other_version", SAY % '{"code": 1, "msg": "incompatible"}', Unsupported, "incompatible"),
    ("says_in_red", SAY % r'{"msg": "\\u001b[31mred\\nnext"}', CommandFailed, "red next"),
    ("says_nothing", "ADD) exit 3 ;;", CommandFailed, "status 3 and said nothing"),
    ("complains", "ADD) echo help >&2; exit 3 ;;", CommandFailed, "status 3: help"),
    ("is_killed", "ADD) kill -9 $$ ;;", CommandFailed, "signal 9"),
    ("answers_rubbish", ANSWER % "echo '{]'", CorruptData, "something else than JSON"),
    ("answers_nothing", ANSWER % "true", CorruptData, "something else than a JSON object"),
    ("answers_a_list", ANSWER % "echo '[]'", CorruptData, "something else than a JSON object"),
    ("answers_deeply", ANSWER % "yes [ | head -n 300000", CorruptData, "something else than JSON"),
    ("answers_binary", ANSWER % "head -c 1000 /dev/urandom", CorruptData, "something else than JSON"),
    ("answers_the_future", ANSWER % """echo '{"cniVersion": "7.0.0"}'""", CorruptData, "version '7.0.0'"),
    ("answers_no_address", ANSWER % """echo '{"ips": [{"address": "x"}]}'""", CorruptData, "'x'"),
    ("floods", "ADD) exec cat /dev/zero ;;", CommandFailed, "said too much"),
    ("hangs", "ADD) sleep 1000 ;;", TimedOut, "did not end within 0.6 s and was killed"),
]


@pytest.mark.parametrize(("name", "cases", "kind", "words"), FAILURES, ids=[one[0] for one in FAILURES])
def test_a_plugin_that_misbehaves_is_named_and_all_is_undone(
    workshop: Workshop, name: str, cases: str, kind: type[CarobError], words: str
) -> None:
    bad = workshop.plugin(name, cases)
    workshop.plan([workshop.plugin("good"), bad, workshop.plugin("never")])
    with pytest.raises(CarobError) as caught:
        go(workshop, plugin_s=0.6)
    assert type(caught.value) is kind
    assert caught.value.message.startswith(f"network net0: plugin {name}")
    assert words in caught.value.message
    assert caught.value.message.isprintable()
    assert workshop.calls() == [f"ADD {one} eth0" for one in ("good", name)] + [
        f"DEL {one} eth0" for one in ("never", name, "good")
    ]
    assert workshop.state() == []
    assert detach(workshop.pod, workshop.places) == {}
    assert workshop.calls() == []


def test_what_a_hanging_plugin_said_last_is_in_the_hint(workshop: Workshop) -> None:
    workshop.plan([workshop.plugin("hangs", "ADD) echo 'waiting for godot' >&2; sleep 1000 ;;")])
    with pytest.raises(TimedOut) as caught:
        go(workshop, plugin_s=0.3)
    assert caught.value.hint == "it said: waiting for godot"


def test_a_plugin_that_is_missing_or_no_program(workshop: Workshop) -> None:
    workshop.plan(["missing"])
    with pytest.raises(Unsupported) as caught:
        go(workshop)
    assert "no CNI plugin 'missing'" in caught.value.message
    assert "containernetworking-plugins" in caught.value.hint
    path = workshop.plugins / "missing"
    path.write_bytes(b"\x7fELF rubbish")
    path.chmod(0o755)
    with pytest.raises(Unsupported) as caught:
        go(workshop)
    assert "cannot be run" in caught.value.message
    path.chmod(0o644)
    with pytest.raises(Unsupported):
        go(workshop)


def test_the_time_for_all_plugins_together_is_limited(workshop: Workshop) -> None:
    slow = [
        workshop.plugin(f"slow{number}", "ADD) sleep 0.4; printf '%s' \"$result\" ;;") for number in range(5)
    ]
    workshop.plan(slow)
    with pytest.raises(TimedOut):
        go(workshop, total_s=0.9)
    assert "ADD slow4 eth0" not in workshop.calls()


def test_networks_of_plugins_that_nobody_knows_are_attached_in_turn(workshop: Workshop) -> None:
    workshop.plan(
        [workshop.plugin("one", "ADD) sleep 0.2; printf '%s' \"$result\" ;;")], [workshop.plugin("two")]
    )
    go(workshop)
    assert workshop.calls() == ["ADD one eth0", "ADD two eth1"]
    assert len(netinfo.parse((workshop.pod_path / "net-info.json").read_bytes())) == 2


def test_networks_of_known_plugins_are_attached_side_by_side(workshop: Workshop) -> None:
    slow = "ADD) sleep 0.5; printf '%s' \"$result\" ;;"
    workshop.plan(
        [workshop.plugin("bridge", slow)], [workshop.plugin("ptp", slow)], [workshop.plugin("macvlan", slow)]
    )
    began = time.monotonic()
    go(workshop)
    assert time.monotonic() - began < 1.4
    assert len(workshop.calls()) == 3


def test_if_one_network_fails_all_are_undone_and_its_error_is_raised(workshop: Workshop) -> None:
    workshop.plan(
        [
            workshop.plugin("bridge", "ADD) sleep 0.3; printf '%s' \"$result\" ;;"),
            workshop.plugin("firewall"),
        ],
        [workshop.plugin("ptp", """ADD) echo '{"msg": "mine"}'; exit 1 ;;""")],
    )
    with pytest.raises(CommandFailed) as caught:
        go(workshop)
    assert "network net1" in caught.value.message
    assert "mine" in caught.value.message
    calls = workshop.calls()
    assert "ADD firewall eth0" not in calls
    assert {"DEL bridge eth0", "DEL ptp eth1", "DEL firewall eth0"} <= set(calls)
    assert workshop.state() == []


def test_what_cannot_be_undone_is_a_debt_that_is_paid_later(workshop: Workshop) -> None:
    workshop.plan(
        [workshop.plugin("first"), workshop.plugin("stubborn", "ADD) exit 1 ;;\nDEL) echo no >&2; exit 1 ;;")]
    )
    with pytest.raises(CommandFailed) as caught:
        go(workshop)
    assert "left for carob gc" in caught.value.hint
    assert workshop.state() == [workshop.uuid]
    record = open_record(workshop.pod)
    assert record is not None
    with record:
        assert "no" in record.debts()["eth0"]
        workshop.calls()
        owed = detach(workshop.pod, workshop.places)
        assert "plugin stubborn (DEL) ended with status 1: no" in owed["eth0"]
        assert workshop.calls() == ["DEL stubborn eth0"], (
            "an address must not be given back while rules lead to it"
        )
        workshop.plugin("stubborn")
        assert detach(workshop.pod, workshop.places) == {}
        assert workshop.calls() == ["DEL stubborn eth0", "DEL first eth0"]
        assert record.debts() == {}
    assert workshop.state() == []


def test_force_goes_on_after_a_failure_and_owes_nothing(workshop: Workshop) -> None:
    workshop.plan([workshop.plugin("first"), workshop.plugin("stubborn", "DEL) exit 1 ;;"), "missing"])
    owed = detach(workshop.pod, workshop.places, force=True)
    assert "missing" in owed["eth0"]
    assert workshop.calls() == ["DEL stubborn eth0", "DEL first eth0"]
    assert workshop.state() == []
    assert detach(workshop.pod, workshop.places) == {}


def test_a_plugin_that_says_that_it_knows_no_such_container_has_detached_it(workshop: Workshop) -> None:
    workshop.plan([workshop.plugin("first", """DEL) echo '{"code": 3, "msg": "unknown"}'; exit 1 ;;""")])
    assert detach(workshop.pod, workshop.places) == {}


def test_detaching_keeps_to_its_budget_and_goes_on_later(workshop: Workshop) -> None:
    workshop.plan([workshop.plugin("hangs", "DEL) sleep 1000 ;;")], [workshop.plugin("quick")])
    go(workshop)
    workshop.calls()
    began = time.monotonic()
    owed = detach(workshop.pod, workshop.places, budget_s=0.5)
    assert time.monotonic() - began < 2.5
    assert list(owed) == ["eth0"]
    assert "killed" in owed["eth0"]
    assert workshop.calls() == ["DEL quick eth1", "DEL hangs eth0"]
    workshop.plugin("hangs")
    assert detach(workshop.pod, workshop.places) == {}
    assert workshop.calls() == ["DEL hangs eth0"]


def test_the_configuration_is_that_of_the_time_of_the_plan(workshop: Workshop) -> None:
    workshop.plan([workshop.plugin("first")], arguments=(("A", "1"), ("IgnoreUnknown", "1")))
    go(workshop)
    moved = workshop.directory / "elsewhere"
    workshop.plugins.rename(moved)
    owed = detach(workshop.pod, workshop.places)
    assert "no CNI plugin 'first'" in owed["eth0"]
    moved.rename(workshop.plugins)
    assert detach(workshop.pod, workshop.places) == {}
    assert workshop.environment("DEL", "first")["CNI_ARGS"] == "A=1;IgnoreUnknown=1"


def test_a_record_cut_short_by_a_power_loss_detaches_without_a_result(workshop: Workshop) -> None:
    workshop.plan([workshop.plugin("first")])
    go(workshop)
    for directory in (workshop.pod_path / "carob/network", Path(workshop.places.pod_state(workshop.uuid))):
        (directory / "eth0.json").write_bytes(b"\0" * 100)
    assert detach(workshop.pod, workshop.places) == {}
    assert "prevResult" not in workshop.asked("DEL", "first")


def test_a_result_of_which_the_pods_own_copy_is_gone_is_found_among_the_boots_state(
    workshop: Workshop,
) -> None:
    workshop.plan([workshop.plugin("first")])
    go(workshop)
    (workshop.pod_path / "carob/network/eth0.json").unlink()
    assert detach(workshop.pod, workshop.places) == {}
    assert workshop.asked("DEL", "first")["prevResult"] == GOOD_RESULT


def test_only_what_a_plugin_asks_for_is_told_to_it(workshop: Workshop) -> None:
    workshop.plugin("first")
    workshop.plan(["first"], capabilities={"mac": "02:00:00:00:00:09", "ips": ["10.0.0.1"]})
    go(workshop)
    assert "runtimeConfig" not in workshop.asked("ADD", "first")


def test_portmap_without_ports_is_not_run(workshop: Workshop) -> None:
    workshop.plan([workshop.plugin("bridge"), workshop.plugin("portmap"), workshop.plugin("tuning")])
    go(workshop)
    detach(workshop.pod, workshop.places)
    assert not [call for call in workshop.calls() if "portmap" in call]


def test_a_port_of_the_host_that_is_in_use_is_a_conflict_and_nothing_is_begun(workshop: Workshop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        mapping = {"hostPort": port, "containerPort": 80, "protocol": "tcp"}
        workshop.plan([workshop.plugin("portmap")], capabilities={"portMappings": [mapping]})
        with pytest.raises(Conflict) as caught:
            go(workshop)
        assert str(port) in caught.value.message
    assert workshop.calls() == []
    assert workshop.state() == []


def test_a_free_port_is_chosen_told_to_plugins_and_held(workshop: Workshop) -> None:
    mapping = {"hostPort": 0, "containerPort": 80, "protocol": "tcp", "hostIP": "127.0.0.1"}
    workshop.plugin("first")
    workshop.plan(["first"], capabilities={"portMappings": [mapping, {**mapping, "protocol": "udp"}]})
    plan_path = workshop.pod_path / "carob/network/plan.json"
    document = json.loads(plan_path.read_text())
    document["attachments"][0]["plugins"][0]["capabilities"] = {"portMappings": True}
    plan_path.write_text(json.dumps(document))
    attached = attach(workshop.pod, workshop.places, namespace=NAMESPACE, data_dir="/d")
    told = workshop.asked("ADD", "first")["runtimeConfig"]["portMappings"]
    assert told == attached.networks[0][2]
    assert all(1024 <= entry["hostPort"] <= 65535 for entry in told)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", told[0]["hostPort"]))
    attached.ports.close()
    socket.create_server(("127.0.0.1", told[0]["hostPort"])).close()
    assert detach(workshop.pod, workshop.places) == {}
    assert workshop.asked("DEL", "first")["runtimeConfig"]["portMappings"] == told


def test_plugins_hold_the_lock_so_a_later_detach_waits_for_those_left_behind(workshop: Workshop) -> None:
    marker = workshop.directory / "went-on"
    workshop.plan([workshop.plugin("slow", f"ADD) sleep 0.7; touch '{marker}'; printf '%s' \"$result\" ;;")])
    script = (
        "import sys\n"
        "from carob.network.attach import attach\n"
        "from carob.network.places import Places\n"
        "import os\n"
        "pod = os.open(sys.argv[1], os.O_RDONLY)\n"
        "attach(pod, Places(plugins=(sys.argv[2],), state=sys.argv[3]), namespace='/x', data_dir='/d')\n"
    )
    executor = subprocess.Popen(
        [sys.executable, "-c", script, workshop.pod_path, workshop.plugins, workshop.places.state],
        env={**os.environ, "PYTHONPATH": "src"},
    )
    while not workshop.calls():
        time.sleep(0.005)
    executor.kill()
    executor.wait()
    assert not marker.exists()
    assert detach(workshop.pod, workshop.places) == {}
    assert marker.exists(), "detached while the plugin was still attaching"
    assert workshop.state() == []


def test_a_plugin_left_behind_that_hangs_is_found_and_killed(workshop: Workshop) -> None:
    workshop.plan([workshop.plugin("hangs", "ADD) setsid sleep 1000 ;;")])
    pid = os.fork()
    if pid == 0:
        try:
            go(workshop)
        finally:
            os._exit(0)
    while not workshop.calls():
        time.sleep(0.005)
    time.sleep(0.1)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    lock = os.open(f"{workshop.places.pod_state(workshop.uuid)}/lock", os.O_RDONLY)
    try:
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(lock)
    assert detach(workshop.pod, workshop.places, budget_s=3) == {}
    assert workshop.state() == []


def test_what_a_killed_plugin_started_does_not_go_on_behind_the_undoing(workshop: Workshop) -> None:
    marker = workshop.directory / "went-on"
    workshop.plan(
        [workshop.plugin("leaves", f"ADD) setsid sh -c 'sleep 1; touch {marker}' & exec cat /dev/zero ;;")]
    )
    with pytest.raises(CommandFailed):
        go(workshop)
    time.sleep(1.3)
    assert not marker.exists()


def test_a_stopped_plugin_is_killed_in_time(workshop: Workshop) -> None:
    workshop.plan([workshop.plugin("stopped", "ADD) kill -STOP $$ ;;")])
    with pytest.raises(TimedOut):
        go(workshop, plugin_s=0.3)
    assert workshop.state() == []


def test_whoever_is_not_allowed_is_told_so(workshop: Workshop) -> None:
    workshop.plan([workshop.plugin("first")])
    (workshop.directory / "state").write_text("in the way")
    with pytest.raises(CarobError) as caught:
        go(workshop)
    assert "state" in caught.value.message
    assert workshop.calls() == []


def test_where_nothing_can_be_written_down_detaching_goes_on(workshop: Workshop) -> None:
    workshop.plan([workshop.plugin("stubborn", "DEL) exit 1 ;;")], [workshop.plugin("good")])
    go(workshop)
    workshop.calls()
    (workshop.pod_path / "carob/network/debts.json").mkdir()
    for _ in range(2):
        assert list(detach(workshop.pod, workshop.places)) == ["eth0"]
    workshop.plugin("stubborn")
    assert detach(workshop.pod, workshop.places) == {}
    assert workshop.calls()[-1] == "DEL stubborn eth0"


def test_a_full_disk_after_add_undoes_it(workshop: Workshop) -> None:
    in_the_way = workshop.pod_path / "carob/network/eth0.json"  # a rename over a directory fails
    workshop.plan([workshop.plugin("first", f"ADD) mkdir '{in_the_way}'; printf '%s' \"$result\" ;;")])
    with pytest.raises(CarobError):
        go(workshop)
    assert workshop.calls() == ["ADD first eth0", "DEL first eth0"]
