"""Probes in the command line: asked for before and after images, shown by status, events and the timeline."""

from __future__ import annotations

import json

from tests.cli.conftest import Command, eventually


def noted(manifest: str) -> list[str]:
    annotations = [one for app in json.loads(manifest)["apps"] for one in app["annotations"]]
    return [one["value"] for one in annotations if one["name"] == "carob/probes"]


def test_a_probe_is_asked_for_waited_for_and_told_of(carob: Command) -> None:
    uuid = carob.detached(
        "--liveness-probe=exec:busybox test ! -e /ill,period=200ms,failures=1,grace=0s",
        "--restart=always",
        *("busybox", "--name=web", "--readiness-probe=http:8080/x,period=200ms,failures=1", "--"),
        *("busybox", "httpd", "-f", "-p", "8080", "-h", "/tmp", "---"),
        *("busybox", "--name=db", "--health-cmd=[ -e /bin ]", "--", "sleep", "1000"),
    )
    late = carob("status", "--wait-ready=0.5s", uuid)
    assert late.returncode != 0
    assert "the readiness of app web (readiness: HTTP 404) was waited for in vain" in late.stderr
    text = carob.ok("status", uuid)
    assert "ready-web=no (readiness: HTTP 404)\n" in text
    carob.ok("enter", "--app=web", uuid, "--", "busybox", "touch", "/tmp/x")
    text = carob.ok("status", "--wait-ready=20s", uuid)
    assert "ready-web=yes\n" in text
    assert "ready-db=yes\n" in text
    carob.ok("enter", "--app=db", uuid, "--", "busybox", "touch", "/ill")
    eventually(lambda: carob.json("status", uuid)["apps"][1]["restarts"])
    told = [event["event"] for event in carob.json("timeline", uuid) if event.get("app") == "db"]
    assert {"app-ready", "probe-failed", "app-unready"} <= set(told)
    lines = carob.ok("events", "--no-stream", "--since=1h", "--format=json", uuid).splitlines()
    failed, *_ = [
        one for one in map(json.loads, lines) if one["event"] == "probe-failed" and one["app"] == "db"
    ]
    assert (failed["probe"], failed["reason"]) == ("liveness", "exit code 1")
    again = carob.ok("cat-manifest", uuid)
    carob.ok("rm", "--force", uuid)
    copy = carob.ok("prepare", "--pod-manifest=-", input=again).strip()
    probes = {app["name"]: set(app["probes"]) for app in carob.json("status", copy)["apps"]}
    assert probes == {"web": {"liveness", "readiness"}, "db": {"liveness", "readiness"}}
    assert noted(carob.ok("cat-manifest", copy)) == noted(again) != []


def test_mistakes_are_told_before_anything_is_made(carob: Command) -> None:
    for word, said in (
        ("--readiness-probe=ftp:21", "is no probe"),
        ("--liveness-probe=tcp:1,period=0", "period_s is at least"),
        ("--startup-probe=image", "has no HEALTHCHECK"),
        ("--health-interval=5s", "--health-interval goes with --health-cmd"),
    ):
        wrong = carob("run", word, "busybox", "--", "true")
        assert (wrong.returncode, said in wrong.stderr) == (125, True), wrong.stderr
    assert carob.json("list") == []
