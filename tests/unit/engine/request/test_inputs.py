"""What a library's caller may give, and that everything else is refused by name, as ``InvalidInput``."""

from __future__ import annotations

import inspect
import signal
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from carob import App, Engine, Mount
from carob.engine.request import inputs
from carob.engine.request.options import PodOptions
from carob.engine.request.pod import PodRequest
from carob.errors import InvalidInput

# Types as a program without a checker has them.
AnyApp: Any = App
AnyEngine: Any = Engine
AnyMount: Any = Mount
AnyRequest: Any = PodRequest
NUL, LONE, HUGE = "a\0b", "\udcff", "x" * 131072


def app(**options: Any) -> object:
    return AnyApp("image", **options)


def pod(**options: Any) -> PodRequest:
    return PodRequest([App("image")], **options)


WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "no image": (lambda: AnyApp(None), "an image's name is a string, not None"),
    "bytes for an image": (lambda: AnyApp(b"x"), "an image's name is a string, not bytes b'x'"),
    "NUL in an image": (lambda: App(NUL), "an image's name has a NUL in it"),
    "no args": (lambda: app(args=None), "args is a sequence, not None"),
    "a string for args": (lambda: app(args="sh -c x"), "args is a sequence of words, not one string"),
    "bytes for args": (lambda: app(args=b"x"), "args is a sequence of words, not one string"),
    "a number in args": (lambda: app(args=["sleep", 5]), "an argument is a string, not int 5"),
    "NUL in args": (lambda: app(args=[NUL]), "an argument has a NUL in it"),
    "no Unicode in args": (lambda: app(args=[LONE]), "an argument is not Unicode"),
    "a long word in args": (lambda: app(args=[HUGE]), "an argument is too long: 131072 bytes"),
    "a long word of many bytes": (lambda: app(args=["é" * 70_000]), "an argument is too long: 140000 bytes"),
    "a number for a name": (lambda: app(name=5), "an app's name is a string, not int 5"),
    "a list for env": (lambda: app(env=["a=b"]), "env is a mapping, not list"),
    "a number in env": (lambda: app(env={"A": 5}), "A in env is a string, not int 5"),
    "None in env": (lambda: app(env={"A": None}), "A in env is a string, not None"),
    "a number as a variable": (lambda: app(env={5: "a"}), "a name in env is a string, not int 5"),
    "= in a variable": (lambda: app(env={"A=": "a"}), "not an environment variable: 'A='='a'"),
    "an empty variable": (lambda: app(env={"": "a"}), "not an environment variable: ''='a'"),
    "NUL in env": (lambda: app(env={"A": NUL}), "A in env has a NUL in it"),
    "a list for exec": (lambda: app(exec=["sh"]), "exec is a string, not list ['sh']"),
    "an empty exec": (lambda: app(exec=""), "exec is a program, not an empty string"),
    "NUL in exec": (lambda: app(exec=NUL), "exec has a NUL in it"),
    "a number for user": (lambda: app(user=5), "user is a string, not int 5"),
    "an empty user": (lambda: app(user=""), "'' is no user"),
    "half a user": (lambda: app(user="5:"), "'5:' is no user"),
    "a relative workdir": (lambda: app(workdir="x"), "a working directory is an absolute path, not 'x'"),
    "NUL in workdir": (lambda: app(workdir="/" + NUL), "a working directory has a NUL in it"),
    "no mounts": (lambda: app(mounts=None), "mounts is a sequence, not None"),
    "a string in mounts": (lambda: app(mounts=["/a:/b"]), "mounts are made with Mount, not '/a:/b'"),
    "no source": (lambda: AnyMount(None, "/b"), "the source of a mount is a path, not None"),
    "bytes for a source": (lambda: AnyMount(b"/a", "/b"), "the source of a mount is a path as a string"),
    "a relative source": (lambda: AnyMount("a", "/b"), "the source of a mount is an absolute path, not 'a'"),
    "a number for a target": (lambda: AnyMount("/a", 5), "the target of a mount is a path, not int 5"),
    "a target that is the root": (
        lambda: AnyMount("/a", "/b/.."),
        "nothing can be mounted over an app's root",
    ),
    "a string for a flag": (
        lambda: AnyMount("/a", "/b", read_only="no"),
        "read_only of a mount is True or False",
    ),
    "no apps": (lambda: AnyRequest([]), "a pod needs at least one app"),
    "one app for apps": (lambda: AnyRequest(App("x")), "apps is a sequence, not App"),
    "a string in apps": (lambda: AnyRequest(["x"]), "apps are made with App, not 'x'"),
    "no name": (lambda: pod(name=None), "a pod's name is a string, not None"),
    "no Unicode in a name": (lambda: pod(name=LONE), "a pod's name is not Unicode"),
    "a number for a network": (lambda: pod(network=5), "network is a sequence, not int 5"),
    "a network that is none": (lambda: pod(network=["a/b"]), "the network's name 'a/b'"),
    "a network named twice": (lambda: pod(network="default,default"), "the network 'default' is named twice"),
    "none with another": (lambda: pod(network=["none", "web"]), "the network 'none' goes with no other"),
    "one string for ports": (lambda: pod(ports="80:80"), "ports is a sequence of words, not one string"),
    "a port that is none": (lambda: pod(ports=["80:x:80"]), "'80:x:80' is no port mapping"),
    "a port twice": (lambda: pod(ports=["1:1", "1:2"]), "want the same port of the host"),
    "ports without a network": (lambda: pod(network="none", ports=["80:80"]), "ports cannot be published"),
    "ports on the host's": (lambda: pod(network="host", ports=["80:80"]), "ports cannot be published"),
    "a name for a server": (lambda: pod(dns=["dns.example"]), "'dns.example' is no address of a name server"),
    "host and another": (lambda: pod(dns=["host", "192.0.2.1"]), "--dns=host goes with nothing else"),
    "a host without address": (lambda: pod(hosts=["db"]), "'db' is no entry of hosts"),
    "a host with no address": (lambda: pod(hosts={"db": "nowhere"}), "'nowhere' is no IP address"),
    "two words for a host": (lambda: pod(hosts={"d b": "192.0.2.1"}), "'d b' is no name of a host"),
    "a string for grace": (lambda: pod(grace_s="1"), "a grace period is a number of seconds, not str '1'"),
    "True for grace": (lambda: pod(grace_s=True), "a grace period is a number of seconds, not bool True"),
    "NaN for grace": (lambda: pod(grace_s=float("nan")), "a grace period is from 0 to 31536000 seconds"),
    "a grace before now": (lambda: pod(grace_s=-1), "a grace period is from 0 to 31536000 seconds, not -1"),
    "no runtime": (lambda: pod(runtime=None), "runtime is a string, not None"),
    "a string for overlay": (lambda: pod(overlay="no"), "overlay is True or False, not str 'no'"),
    "a list for annotations": (lambda: pod(annotations=["a"]), "annotations is a mapping, not list"),
    "a number in annotations": (lambda: pod(annotations={"a": 1}), "a in annotations is a string, not int 1"),
    "an annotation of carob's": (
        lambda: pod(annotations={"carob/network": "host"}),
        "the annotation 'carob/network' is for carob to write",
    ),
    "bytes for a directory": (lambda: AnyEngine(b"/x"), "data_dir is a path as a string, not bytes b'/x'"),
    "a number for a directory": (lambda: AnyEngine(5), "data_dir is a path, not int 5"),
    "an empty directory": (lambda: AnyEngine(""), "data_dir is empty"),
    "NUL in a directory": (lambda: AnyEngine(NUL), "data_dir has a NUL in it"),
    "an empty interpreter": (lambda: AnyEngine("/x", python=""), "python is empty"),
    "a string for launcher": (lambda: AnyEngine("/x", launcher="y"), "launcher is a sequence of words"),
    "None to run": (lambda: AnyEngine("/x").run(None), "apps are made with App, not None"),
    "None to prepare": (lambda: AnyEngine("/x").prepare(None), "apps are made with App, not None"),
    "no request": (lambda: AnyEngine("/x").run_request(5), "a request is made with PodRequest, not 5"),
    "a string for timeout": (
        lambda: AnyEngine("/x").run(App("x"), timeout_s="1"),
        "a timeout is a number of seconds or None, not str '1'",
    ),
    "a number for tied": (lambda: AnyEngine("/x").run(App("x"), tied=1), "tied is True or False, not int 1"),
    "bytes to get": (lambda: AnyEngine("/x").get(b"x"), "a pod's uuid is a string, not bytes b'x'"),
    "None for a handle": (lambda: AnyEngine("/x").handle(None), "a pod's uuid is a string, not None"),
    "half a uuid": (lambda: AnyEngine("/x").handle("6f2d7f3e"), "'6f2d7f3e' is no pod's uuid"),
    "NaN to gc": (
        lambda: AnyEngine("/x").gc(grace_s=float("nan")),
        "grace_s is from 0 to inf seconds, not nan",
    ),
    "None to gc": (
        lambda: AnyEngine("/x").gc(expire_prepared_s=None),
        "expire_prepared_s is a number of seconds",
    ),
    "no path": (
        lambda: AnyEngine("/x").images.import_path(None, name="x"),
        "the path of an image is a path",
    ),
    "no image name": (
        lambda: AnyEngine("/x").images.import_path("/y", name=None),
        "an image's name is a string, not None",
    ),
    "bytes to resolve": (
        lambda: AnyEngine("/x").images.resolve(b"x"),
        "an image's name is a string, not bytes",
    ),
    "a number for uidmap": (lambda: AnyEngine("/x").sandbox(uidmap=1), "uidmap is a sequence, not int 1"),
    "a long name": (lambda: AnyEngine("/x").sandbox(name="x" * 254), "a pod's name has 254 characters"),
    "None to remove": (lambda: AnyEngine("/x").images.remove(None), "an image's name or id is a string"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_refused_by_name(case: str) -> None:
    do, words = WRONG[case]
    with pytest.raises(InvalidInput) as caught:
        do()
    assert words in caught.value.message


def test_a_deleted_working_directory_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "here").rmdir()
    with pytest.raises(Exception, match="the data directory 'relative' cannot be found") as caught:
        Engine("relative")
    assert not isinstance(caught.value, OSError)


def test_what_is_right_is_taken_as_it_is(tmp_path: Path) -> None:
    made = App(
        "image",
        ("sh", "", "ä\n"),
        env=MappingProxyType(OrderedDict(A="", Ü="=")),
        user="worker:5",
        workdir="/w",
        mounts=(Mount(tmp_path, "/a", read_only=True),),
    )
    assert (made.args, made.env) == (("sh", "", "ä\n"), {"A": "", "Ü": "="})
    assert (made.mounts[0].source, made.mounts[0].read_only) == (str(tmp_path), True)
    request = PodRequest([made], grace_s=0, annotations={"a/b": "c"}, hostname="A.b-c.9")
    assert (request.grace_s, request.hostname, request.annotations) == (0.0, "A.b-c.9", {"a/b": "c"})
    assert Engine(tmp_path).data_dir == str(tmp_path)


@pytest.mark.parametrize(
    "name", ["", "a b", "-a", "a-", "a..b", ".a", "a.", "a_b", "münchen", "a\n", "a" * 65, "a" * 64 + ".b"]
)
def test_what_is_no_host_name(name: str) -> None:
    with pytest.raises(InvalidInput, match="host name"):
        pod(hostname=name)


@pytest.mark.parametrize("name", ["a", "9", "a-b.c", "A" * 63, "a" * 62 + ".b"])
def test_host_names(name: str) -> None:
    assert pod(hostname=name).hostname == name


def test_numbers() -> None:
    assert inputs.whole(signal.SIGTERM, "a signal", 1, 64) == 15
    assert inputs.timeout(None) is inputs.timeout(float("inf")) is inputs.timeout(1e300) is None
    assert (inputs.timeout(-5), inputs.timeout(2)) == (0.0, 2.0)
    assert inputs.start_timeout(0) == 0.001
    assert inputs.start_timeout(30 * 86400) is None
    assert inputs.account_number("٣", "user") is inputs.account_number("-1", "user") is None
    assert inputs.account_number("4294967294", "user") == 4294967294
    for digits in ("4294967295", "9" * 5000):
        with pytest.raises(InvalidInput, match="is too high"):
            inputs.account_number(digits, "user")


@pytest.mark.parametrize(
    "value", [5, "root", b"ab", (0,), (0, 0, 0), ("0", "0"), (-1, 0), (0, 2**32 - 1), {0, 1}]
)
def test_what_is_no_pair_of_accounts(value: object) -> None:
    with pytest.raises(InvalidInput, match=r"user|group"):
        inputs.accounts(value)


def test_the_options_are_those_of_a_request() -> None:
    """They are said in two places, for checkers and for the interpreter: these must agree."""
    parameters = inspect.signature(PodRequest.__init__).parameters
    options = {name for name, one in parameters.items() if one.kind is one.KEYWORD_ONLY}
    assert PodOptions.__annotations__.keys() == options
    assert all(parameters[name].default is not inspect.Parameter.empty for name in options)
    written = {name: one.__forward_arg__ for name, one in PodOptions.__annotations__.items()}
    assert written == {name: parameters[name].annotation for name in options}
    assert not PodOptions.__required_keys__
