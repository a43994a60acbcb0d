from __future__ import annotations

import pytest

from carob import Probe
from carob.cli.options import Arguments, UsageError, by_name
from carob.cli.probe_options import FOR_APPS, probe, probes
from carob.errors import CarobError


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("http:8080", Probe(http=8080)),
        ("http:8080/healthz,period=1s,failures=3", Probe(http=8080, path="/healthz", period_s=1, failures=3)),
        ("https://[::1]:8443/a?b=c", Probe(http=8443, scheme="https", address="::1", path="/a?b=c")),
        ("http:10.0.0.1:web/x", Probe(http="web", address="10.0.0.1", path="/x")),
        ("http:80,header=Host: a.b,header=X-C:d", Probe(http=80, headers={"Host": "a.b", "X-C": "d"})),
        ('http:80,"header=Accept: a,b"', Probe(http=80, headers=[("Accept", "a,b")])),
        ("tcp:5432,timeout=250ms,delay=1m", Probe(tcp=5432, timeout_s=0.25, delay_s=60)),
        ("tcp:[::1]:80", Probe(tcp=80, address="::1")),
        ("grpc:50051/my.Service,grace=2s", Probe(grpc=50051, service="my.Service", grace_s=2)),
        ("exec:cat '/tmp/o k'", Probe(exec=["cat", "/tmp/o k"])),
        ("\"exec:sh -c 'a,b'\",successes=2", Probe(exec=["sh", "-c", "a,b"], successes=2)),
        ("image,period=5", Probe(image=True, period_s=5)),
    ],
)
def test_the_grammar(text: str, made: Probe) -> None:
    assert probe(text, "--readiness-probe") == made


@pytest.mark.parametrize(
    "text",
    [
        "", ",", "8080", "http", "http:", "http:/x", "http:[::1]", "tcp:", "udp:53", "exec:", "exec:'",
        "image:x",
        "tcp:80,", "tcp:80,period", "tcp:80,period=", "tcp:80,period=1s,period=2s", "tcp:80,colour=red",
        "tcp:80,period=soon", "tcp:80,failures=-1", "tcp:80,failures=0", "tcp:80/x", "http:80,header=x",
        "exec:a,b", "tcp:host.example:80", '"tcp:80',
    ],
)  # fmt: skip
def test_mistakes_are_told(text: str) -> None:
    with pytest.raises(CarobError) as caught:
        probe(text, "--readiness-probe")
    assert caught.value.message


def given(**words: str) -> Arguments:
    arguments, known = Arguments(), by_name(FOR_APPS)
    for name, text in words.items():
        arguments.put(known[f"--{name.replace('_', '-')}"], text)
    return arguments


def test_an_app_s_own_go_over_the_pod_s() -> None:
    pod = given(liveness_probe="tcp:1", readiness_probe="tcp:2")
    assert probes(pod, given(readiness_probe="tcp:3")) == {
        "liveness": Probe(tcp=1), "readiness": Probe(tcp=3),
    }  # fmt: skip
    assert probes(given(), given()) == {}


def test_docker_s_words_make_a_readiness_probe() -> None:
    shell = ["/bin/sh", "-c"]
    assert probes(given(), given(health_cmd="curl -f x || exit 1")) == {
        "readiness": Probe(exec=[*shell, "curl -f x || exit 1"], period_s=30, timeout_s=30, failures=3)
    }
    words = given(
        health_cmd='["CMD", "check", "a b"]',
        health_interval="5s",
        health_timeout="2s",
        health_retries="1",
        health_start_period="1m",
    )
    assert probes(given(), words) == {
        "readiness": Probe(exec=["check", "a b"], period_s=5, timeout_s=2, failures=1)
    }
    assert probes(given(), given(health_cmd='["CMD-SHELL", "x"]'))["readiness"].plan["argv"] == [*shell, "x"]
    assert probes(given(), given(health_cmd="[ -e /ok ]"))["readiness"].plan["argv"] == [*shell, "[ -e /ok ]"]
    for mistake in (given(health_retries="3"), given(health_cmd="x", readiness_probe="tcp:1"),
                    given(health_cmd="x", health_start_period="soon")):  # fmt: skip
        with pytest.raises(UsageError):
            probes(given(), mistake)
