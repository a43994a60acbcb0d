"""Credentials: which file and entry counts, helpers as processes, and that nothing of them is ever shown."""

from __future__ import annotations

import base64
import json
import os
import pickle
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from carob.errors import CarobError, CommandFailed, CorruptData, InvalidInput, NotFound
from carob.image.registry.credentials import Credentials, Keyring, auth_files
from carob.image.registry.limits import Limits

MakeHelper = Callable[[str, str], None]


def entry(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def write(path: Path, document: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def user_of(ring: Keyring, path: str) -> str | None:
    found = ring.find(path)
    return None if found is None else found.username


def test_files_in_their_order(home: Path) -> None:
    environment = {"HOME": str(home), "XDG_RUNTIME_DIR": str(home / "run")}
    docker = write(home / ".docker/config.json", {"auths": {"a.example": entry("docker", "x")}})
    assert user_of(Keyring(environment), "a.example/app") == "docker"
    write(home / ".config/containers/auth.json", {"auths": {"a.example": entry("config", "x")}})
    assert user_of(Keyring(environment), "a.example/app") == "config"
    write(home / "run/containers/auth.json", {"auths": {"a.example": entry("runtime", "x")}})
    assert user_of(Keyring(environment), "a.example/app") == "runtime"
    explicit = write(home / "mine.json", {"auths": {"b.example": entry("explicit", "x")}})
    environment["REGISTRY_AUTH_FILE"] = str(explicit)
    assert user_of(Keyring(environment), "b.example/app") == "explicit"
    assert user_of(Keyring(environment), "a.example/app") is None  # a file that is named is the only one
    del environment["REGISTRY_AUTH_FILE"]
    write(home / "elsewhere/config.json", {"auths": {"c.example": entry("moved", "x")}})
    environment["DOCKER_CONFIG"] = str(home / "elsewhere")
    assert user_of(Keyring(environment), "c.example/app") == "moved"
    assert str(docker) not in auth_files(environment)


def test_without_a_runtime_directory_it_is_the_containers_tools_own(home: Path) -> None:
    assert auth_files({"HOME": str(home)})[0] == f"/run/containers/{os.geteuid()}/auth.json"


def test_the_longest_path_counts(home: Path) -> None:
    auths = {
        "a.example/team/app": entry("app", "x"),
        "a.example/team": entry("team", "x"),
        "a.example": entry("host", "x"),
        "a.example:5000": entry("port", "x"),
    }
    write(home / ".docker/config.json", {"auths": auths})
    ring = Keyring({"HOME": str(home)})
    assert user_of(ring, "a.example/team/app") == "app"
    assert user_of(ring, "a.example/team/other") == "team"
    assert user_of(ring, "a.example/teams") == "host"
    assert user_of(ring, "a.example") == "host"
    assert user_of(ring, "a.example:5000/team/app") == "port"
    assert user_of(ring, "b.a.example/team") is None


@pytest.mark.parametrize(
    "key",
    [
        "a.example",
        "https://a.example",
        "https://a.example/v1/",
        "http://a.example/v2",
        "a.example/",
        "A.Example:443",
    ],
)
def test_keys_in_all_the_forms_that_tools_write(home: Path, key: str) -> None:
    write(home / ".docker/config.json", {"auths": {key: entry("ann", "x")}})
    assert user_of(Keyring({"HOME": str(home)}), "a.example/app") == "ann"


@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "docker.io", "index.docker.io"])
def test_dockers_hub_under_its_names(home: Path, key: str) -> None:
    write(home / ".docker/config.json", {"auths": {key: entry("ann", "x")}})
    assert user_of(Keyring({"HOME": str(home)}), "docker.io/library/busybox") == "ann"


def test_what_an_entry_can_hold(home: Path) -> None:
    auths = {
        "colon.example": entry("ann", "a:b:c"),
        "plain.example": {"username": "bob", "password": "p"},
        "identity.example": {**entry("ann", ""), "identitytoken": "refresh-me"},
        "token.example": entry("<token>", "refresh-me-too"),
        "registry.example": {"registrytoken": "bearer-me"},
        "padded.example": entry("ann", "x\0\0\0"),
        "empty.example": {},
    }
    write(home / ".docker/config.json", {"auths": auths})
    ring = Keyring({"HOME": str(home)})
    found = ring.find("colon.example")
    assert found is not None
    assert (found.username, found.password) == ("ann", "a:b:c")
    assert found.basic == "Basic " + base64.b64encode(b"ann:a:b:c").decode()
    assert user_of(ring, "plain.example") == "bob"
    for name, token in (("identity.example", "refresh-me"), ("token.example", "refresh-me-too")):
        found = ring.find(name)
        assert found is not None
        assert found.identity_token == token
    found = ring.find("registry.example")
    assert found is not None
    assert found.registry_token == "bearer-me"
    found = ring.find("padded.example")
    assert found is not None
    assert found.password == "x"
    assert ring.find("empty.example") is None


@pytest.mark.parametrize(
    "document",
    [
        "{",
        "[]",
        '{"auths": 1}',
        '{"auths": {"a.example": "x"}}',
        '{"auths": {"a.example": {"auth": 1}}}',
        '{"auths": {"a.example": {"auth": "hunter2"}}}',
        '{"auths": {"a.example": {"auth": "aHVudGVyMg=="}}}',
        '{"auths": {"a.example": {"auth": "////"}}}',
        '{"credHelpers": {"a.example": 1}}',
        '{"credsStore": 1}',
    ],
)
def test_a_broken_file_is_named_and_not_repeated(home: Path, document: str) -> None:
    path = write(home / ".docker/config.json", document)
    with pytest.raises(CorruptData) as caught:
        Keyring({"HOME": str(home)}).find("a.example/app")
    assert str(path) in caught.value.message
    assert "hunter2" not in caught.value.message + caught.value.hint


def test_a_broken_entry_of_another_registry_is_no_ones_business(home: Path) -> None:
    write(
        home / ".docker/config.json", {"auths": {"b.example": {"auth": "!"}, "a.example": entry("ann", "x")}}
    )
    assert user_of(Keyring({"HOME": str(home)}), "a.example") == "ann"


def test_a_named_file_has_to_be_there(home: Path) -> None:
    with pytest.raises(NotFound, match="REGISTRY_AUTH_FILE"):
        Keyring({"HOME": str(home), "REGISTRY_AUTH_FILE": str(home / "none.json")}).find("a.example")


def test_a_pipe_is_read_and_not_waited_for(home: Path) -> None:
    pipe = home / "pipe"
    os.mkfifo(pipe)
    environment = {"REGISTRY_AUTH_FILE": str(pipe)}
    assert user_of(Keyring(environment), "a.example/app") is None  # nobody writes to it
    reader, writer = os.pipe()
    try:
        os.write(writer, json.dumps({"auths": {"a.example": entry("piped", "x")}}).encode())
        os.close(writer)
        environment = {"REGISTRY_AUTH_FILE": f"/dev/fd/{reader}"}  # as <(...) of a shell
        assert user_of(Keyring(environment), "a.example/app") == "piped"
    finally:
        os.close(reader)


def test_an_unreadable_file_is_an_error(home: Path) -> None:
    (home / ".docker/config.json").mkdir(parents=True)
    with pytest.raises(CarobError, match=r"config\.json cannot be read"):
        Keyring({"HOME": str(home)}).find("a.example")


def test_nothing_of_them_is_shown() -> None:
    made = Credentials("ann", "hunter2", identity_token="hunter3", registry_token="hunter4", origin="a file")
    for shown in (repr(made), str(made), f"{made}", repr([made]), repr(Keyring({}))):
        assert "hunter" not in shown
        assert made.basic not in shown
    assert "a file" in repr(made)
    with pytest.raises(TypeError):
        pickle.dumps(made)
    assert set(made.secrets) == {"hunter2", "hunter3", "hunter4", made.basic.removeprefix("Basic ")}


@pytest.mark.parametrize(
    "given", [("an\nn", "hunter2"), ("ann", "hunter2\r\nX: y"), ("ann", "hunter2\0"), ("an:n", "hunter2")]
)
def test_what_no_header_can_hold_is_refused_and_not_repeated(given: tuple[str, str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        Credentials(*given)
    assert "hunter2" not in caught.value.message


# --- helpers --------------------------------------------------------------------------------------


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeHelper:
    """Makes a helper out of a shell script, by name."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")

    def make(name: str, script: str) -> None:
        path = directory / f"docker-credential-{name}"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return make


def ring_with(home: Path, document: object, helper_s: float = 10) -> Keyring:
    write(home / ".docker/config.json", document)
    return Keyring({"HOME": str(home)}, limits=Limits(helper_s=helper_s))


ANSWER = """read -r server || true
echo '{"ServerURL":"'"$server"'","Username":"'"$1-$server"'","Secret":"hunter2"}'"""


def test_a_helper_is_asked_for_the_host(home: Path, helper: MakeHelper) -> None:
    helper("mine", ANSWER)
    ring = ring_with(home, {"credHelpers": {"a.example": "mine"}, "auths": {"b.example": entry("bob", "x")}})
    assert user_of(ring, "a.example/team/app") == "get-a.example"
    assert user_of(ring, "b.example/team/app") == "bob"
    assert ring.find("c.example/team/app") is None


def test_dockers_hub_is_asked_for_by_its_old_address(home: Path, helper: MakeHelper) -> None:
    helper("mine", """read -r server; echo '{"Username":"ann","Secret":"'"$server"'"}'""")
    found = ring_with(home, {"credsStore": "mine"}).find("docker.io/library/busybox")
    assert found is not None
    assert found.password == "https://index.docker.io/v1/"


def test_a_store_is_asked_for_what_nobody_else_has(home: Path, helper: MakeHelper) -> None:
    helper("store", ANSWER)
    helper("mine", 'echo "credentials not found in native keychain"; exit 1')
    ring = ring_with(
        home,
        {
            "credHelpers": {"a.example": "mine"},
            "credsStore": "store",
            "auths": {"a.example": {}, "b.example": entry("bob", "x")},
        },
    )
    assert user_of(ring, "a.example") == "get-a.example"
    assert user_of(ring, "b.example") == "bob"


def test_a_helper_is_asked_once(home: Path, helper: MakeHelper, tmp_path: Path) -> None:
    helper("mine", f"echo x >> {tmp_path}/asked\n{ANSWER}")
    ring = ring_with(home, {"credsStore": "mine"})
    for _ in range(3):
        assert user_of(ring, "a.example") == "get-a.example"
    assert (tmp_path / "asked").read_text() == "x\n"


def test_an_identity_token_from_a_helper(home: Path, helper: MakeHelper) -> None:
    helper("mine", """echo '{"ServerURL":"a.example","Username":"<token>","Secret":"hunter2"}'""")
    found = ring_with(home, {"credsStore": "mine"}).find("a.example")
    assert found is not None
    assert found.identity_token == "hunter2"
    assert not found.username


def test_a_helper_that_is_not_there(home: Path) -> None:
    with pytest.raises(NotFound) as caught:
        ring_with(home, {"credsStore": "no-such"}).find("a.example")
    assert "docker-credential-no-such" in caught.value.message
    assert "config.json" in caught.value.hint


@pytest.mark.parametrize("name", ["", "../x", "a b", "x/y", "x\n", "-rf;id", "$(id)"])
def test_a_helper_has_to_have_a_plain_name(home: Path, name: str) -> None:
    ring = ring_with(home, {"credHelpers": {"a.example": name}})
    with pytest.raises(InvalidInput, match="no name of a credential helper"):
        ring.find("a.example")


def test_a_helper_that_fails_is_named_and_what_it_said_is_not(home: Path, helper: MakeHelper) -> None:
    helper("mine", "echo hunter2; echo hunter2 >&2; exit 3")
    with pytest.raises(CommandFailed) as caught:
        ring_with(home, {"credsStore": "mine"}).find("a.example")
    assert caught.value.status == 3
    assert "docker-credential-mine" in caught.value.message
    assert "hunter2" not in repr(vars(caught.value)) + str(caught.value)


@pytest.mark.parametrize(
    "script",
    [
        "echo hunter2",
        "true",
        "echo '[]'",
        """echo '{"Username": 1, "Secret": "hunter2"}'""",
        "printf '\\377'",
    ],
)
def test_an_answer_that_is_none_is_not_repeated(home: Path, helper: MakeHelper, script: str) -> None:
    helper("mine", script)
    with pytest.raises(CorruptData) as caught:
        ring_with(home, {"credsStore": "mine"}).find("a.example")
    assert "docker-credential-mine" in caught.value.message
    assert "hunter2" not in caught.value.message + caught.value.hint


def test_a_helper_that_does_not_answer_is_killed_with_its_children(
    home: Path,
    helper: MakeHelper,
    tmp_path: Path,
) -> None:
    helper("mine", f"sleep 300 & echo $! > {tmp_path}/child; echo $$ > {tmp_path}/self; wait")
    ring = ring_with(home, {"credsStore": "mine"}, helper_s=0.5)
    begun = time.monotonic()
    with pytest.raises(CommandFailed, match="docker-credential-mine does not answer"):
        ring.find("a.example")
    assert time.monotonic() - begun < 10
    for name in ("child", "self"):
        assert _is_gone(int((tmp_path / name).read_text()))


def _is_gone(pid: int) -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":  # somebody else's to reap
            return True
        time.sleep(0.01)
    return False


def test_a_helper_that_answers_but_does_not_end_is_killed(home: Path, helper: MakeHelper) -> None:
    helper("mine", "echo '{}'; exec >&-; exec sleep 300")
    with pytest.raises(CommandFailed):
        ring_with(home, {"credsStore": "mine"}, helper_s=0.5).find("a.example")


def test_a_helper_that_never_stops_talking(home: Path, helper: MakeHelper) -> None:
    helper("mine", "exec cat /dev/zero")
    with pytest.raises(CorruptData, match="says too much"):
        ring_with(home, {"credsStore": "mine"}).find("a.example")


def test_a_helper_that_does_not_listen(home: Path, helper: MakeHelper) -> None:
    helper("mine", """exec <&-; echo '{"Username": "ann", "Secret": "x"}'""")
    assert user_of(ring_with(home, {"credsStore": "mine"}), "a.example") == "ann"
