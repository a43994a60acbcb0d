"""What somebody types wrong, or types to learn: answers, exit statuses, where the words go."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from carob import __version__
from carob.cli.commands import VERBS, Verb
from carob.cli.options import GLOBAL
from tests.cli import reference
from tests.cli.conftest import Command

WRONG = {
    "unknown verb": (["lst"], "unknown verb 'lst' (did you mean list?)"),
    "docker's verb": (["ps"], "unknown verb 'ps' (carob's word for that is: carob list)"),
    "half a verb": (["image"], "carob image needs a second word (one of: image list,"),
    "unknown option": (["run", "--detatch", "x"], "unknown option --detatch (did you mean --detach?)"),
    "value missing": (["run", "--name"], "--name needs a value: --name NAME"),
    "value too much": (["list", "--full=yes"], "--full takes no value"),
    "not a choice": (["list", "--format=xml"], "--format is json or json-pretty, not 'xml'"),
    "word missing": (["status"], "carob status needs UUID (usage: carob status UUID)"),
    "word too much": (["version", "x"], "carob version: unexpected 'x'"),
    "no image": (["run"], "no image was given"),
    "no image before --": (["run", "--", "x"], "-- begins the arguments of an app"),
    "--- alone": (["run", "---", "x"], "--- ends the arguments of an app"),
    "between two apps": (["run", "a", "--", "x", "---", "--exec=y", "b"], "--exec stands between two apps"),
    "contradiction": (["run", "--rm", "-d", "x"], "--detach and --rm do not go together"),
    "no duration": (["stop", "--grace=soon", "x"], "--grace: 'soon' is no duration"),
    "volume nowhere": (["run", "-v", "a,kind=host,source=/", "x"], "--volume: a is mounted nowhere"),
    "no volume": (["run", "-v", ":/x", "x"], "--volume: ':/x' is no volume (SOURCE:TARGET[:ro])"),
    "volume both ways": (["run", "-v", "/a:/b:ro,rw", "x"], "--volume: rw is the opposite of another of its"),
    "volume with a colon": (
        ["run", "-v", "./a:b:/c", "x"],
        "--volume: there is no option '/c' (a source with a : in it goes with --mount",
    ),
    "no pause": (["stats", "--interval=0"], "--interval is 0.01 s at least"),
    "unset variable": (["run", "-e", "NOT_SET", "x"], "--env: NOT_SET is not set here"),
    "no pod": (["status", "x"], "no pod's identifier begins with 'x' (carob list shows the pods)"),
    "no pods": (["rm"], "no pod was named"),
    "odd digits": (["run", "--grace=٣", "x"], "--grace: '٣' is no duration"),
    "no host name": (["run", "--hostname=a_b", "x"], "'a_b' is no host name"),
    "empty value": (["run", "--user=", "x"], "--user is given an empty value (leave --user out, or"),
    "empty word": (["--dir", "", "list"], "--dir is given an empty value"),
    "app's option": (["run", "--exec=y", "x"], "--exec is for one app (put it after the app's image)"),
    "relative volume": (["run", "-v", "d/e:/d", "x"], "--volume: 'd/e' is no absolute path (./d/e for one"),
    "no credential": (
        ["run", "--secret=token", "x"],
        "--secret: there is no credential 'token' (./token for",
    ),
    "no mount": (
        ["run", "--mount=type=bind,target=/x", "x"],
        "--mount: type=bind needs a source (source=PATH)",
    ),
    "no such mount": (
        ["run", "--mount=type=disk,target=/x", "x"],
        "--mount: there is no type 'disk' (use bind",
    ),
    "label alone": (["volume", "gc", "--label=a=b"], "--label goes with --unused"),
    "no name of a volume": (["volume", "create", "a/b"], "'a/b' is no name of a volume"),
    "no Unicode": (["run", "x", "--", "\udcff"], "an argument is not Unicode"),
    "wrong tail first": (["logs", "--tail=x", "y"], "--tail: 'x' is no number (such as --tail=10)"),
    "wrong wait first": (["status", "--wait=x", "y"], "--wait: 'x' is no duration"),
    "endless manifest": (["run", "--pod-manifest=/dev/zero"], "/dev/zero: the pod manifest is longer than"),
    "no shell": (["completion", "tcsh"], "no completion for 'tcsh'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_usage_is_told_in_one_line(bare: Command, case: str) -> None:
    words, expected = WRONG[case]
    result = bare(*words)
    assert (result.returncode, result.stdout) == (125, "")
    assert result.stderr.startswith(f"carob: {expected}")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("words", [["echo", "hi"], ["sh", "-c", "echo hi"]])
def test_who_forgets_the_dashes_is_told(carob: Command, words: list[str]) -> None:
    result = carob("run", "busybox", *words)
    assert result.returncode == 125
    joined = "echo hi" if words[0] == "echo" else "sh -c 'echo hi'"
    assert f"(an app's arguments go after --: carob run busybox -- {joined})" in result.stderr


def test_version(bare: Command) -> None:
    assert bare.ok("version") == bare.ok("--version") == f"carob {__version__}\n"
    assert bare.json("version")["version"] == __version__


@pytest.mark.parametrize("name", VERBS)
def test_help_of_every_verb_names_its_options(bare: Command, name: str) -> None:
    text = bare.ok(*name.split(), "--help")
    command = Verb(name).command
    for option in (*command.options, *command.apps, *GLOBAL):
        assert option.name in text
    assert max(map(len, text.splitlines())) <= 110


def test_help_lists_every_verb(bare: Command) -> None:
    listed = {line.strip().partition("  ")[0] for line in bare.ok("help").splitlines()}
    assert set(VERBS) <= listed
    assert bare.ok() == bare.ok("help") == bare.ok("--help")


def test_the_reference_page_is_up_to_date() -> None:
    written = reference.PAGE.read_text(encoding="utf-8")
    assert written == reference.page(), "python -m tests.cli.reference --write"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_every_verb(bare: Command, shell: str) -> None:
    script = bare.ok("completion", shell)
    assert all(word in script for name in VERBS for word in name.split())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (["carob", "li"], "list"),
        (["carob", "list", "--ful"], "--full"),
        (["carob", "image", "im"], "import"),
        (["carob", "image", "list", "--no"], "--no-legend"),
    ],
)
def test_bash_completes(bare: Command, line: list[str], expected: str) -> None:
    words = " ".join(f"'{word}'" for word in line)
    script = (
        bare.ok("completion", "bash")
        + f'COMP_WORDS=({words}); COMP_CWORD={len(line) - 1}; _carob; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    result = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.split() == [expected]


def test_a_full_disk_is_told_and_a_closed_output_too(bare: Command) -> None:
    with open("/dev/full", "wb") as full, bare.start("list", stdout=full) as process:
        _, err = process.communicate()
    assert (process.returncode, err) == (
        125,
        b"carob: standard output cannot be written: No space left on device\n",
    )
    closed = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *bare.argv, "list"],
        env=bare.environment,
        capture_output=True,
        check=False,
    )
    assert closed.returncode == 125


def test_a_reader_that_went_away_is_no_error(bare: Command) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with bare.start("list", stdout=writing) as process:
        os.close(writing)
        _, err = process.communicate()
    assert (process.returncode, err) == (141, b"")


def test_looking_makes_no_data_directory(bare: Command, tmp_path: Path) -> None:
    assert bare.json("list") == []
    assert bare.json("image", "list") == []
    assert bare.ok("list", "--no-legend") == ""
    assert not bare.data_dir.exists()


def test_names_cannot_command_the_terminal(bare: Command) -> None:
    uuid = "6f2d7f3e-6f0e-4d1e-9d55-6b8a4c6f0a11"
    directory = bare.data_dir / "pods/prepared" / uuid
    directory.mkdir(parents=True)
    note = {"name": "carob/name", "value": "\x1b[31mred\n"}
    (directory / "pod").write_text(json.dumps({"apps": [], "annotations": [note]}))
    assert "\x1b" not in bare.ok("list") + bare.ok("status", uuid)
    assert bare.json("list")[0]["name"] == "\x1b[31mred\n"
