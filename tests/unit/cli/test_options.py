"""The option parser, and rkt's grammar for apps."""

from __future__ import annotations

import pytest

from carob.cli.app_grammar import parse as parse_apps
from carob.cli.options import Command, Option, UsageError, parse
from carob.cli.values import count, duration_s, moment_ns, variable

COMMAND = Command(
    "verb",
    "for tests",
    options=(
        Option("--follow", "switch", short="-f"),
        Option("--quiet", "switch", short="-q"),
        Option("--tail", "value", "N", short="-n"),
        Option("--env", "many", "E", short="-e", many=True),
        Option("--wait", "optional", "D", optional=True),
    ),
    most=None,
)


@pytest.mark.parametrize(
    ("words", "expected", "rest"),
    [
        (["-fq", "a", "b"], {"--follow": [""], "--quiet": [""]}, ["a", "b"]),
        (["--tail=5", "a"], {"--tail": ["5"]}, ["a"]),
        (["a", "--tail", "5"], {"--tail": ["5"]}, ["a"]),
        (["-n5"], {"--tail": ["5"]}, []),
        (["-n=5"], {"--tail": ["5"]}, []),
        (["-fn", "5"], {"--follow": [""], "--tail": ["5"]}, []),
        (["--tail", "-1"], {"--tail": ["-1"]}, []),
        (["--tail=1", "--tail=2"], {"--tail": ["2"]}, []),
        (["-e", "a=b", "--env=c="], {"--env": ["a=b", "c="]}, []),
        (["--wait", "a"], {"--wait": [""]}, ["a"]),
        (["--wait=5s", "a"], {"--wait": ["5s"]}, ["a"]),
        (["--", "--tail", "-"], {}, ["--tail", "-"]),
        (["-"], {}, ["-"]),
    ],
)
def test_options(words: list[str], expected: dict[str, list[str]], rest: list[str]) -> None:
    arguments = parse(COMMAND, words)
    assert {name: arguments.texts(name) for name in expected} == expected
    assert [option.name for option in COMMAND.options if arguments.has(option.name)] == [
        option.name for option in COMMAND.options if option.name in expected
    ]
    assert arguments.words == rest


@pytest.mark.parametrize(
    "words",
    [
        ["--nope"],
        ["-x"],
        ["--tail"],
        ["--follow=1"],
        ["-n"],
        ["-xf"],
        ["--tail="],
        ["--tail", ""],
        ["--wait="],
    ],
)
def test_wrong_options(words: list[str]) -> None:
    with pytest.raises(UsageError):
        parse(COMMAND, words)


def test_words_after_the_first_may_be_verbatim() -> None:
    command = Command("verb", "", options=COMMAND.options, most=None, verbatim_after=1)
    assert parse(command, ["-f", "uuid", "ls", "-f", "--", "x"]).words == ["uuid", "ls", "-f", "--", "x"]
    assert parse(command, ["uuid", "--", "-f"]).words == ["uuid", "-f"]


APPS = Command(
    "run",
    "",
    options=(Option("--name", "", "N"), Option("--env", "", "E", many=True), Option("--rm", "")),
    apps=(Option("--name", "", "N"), Option("--env", "", "E", many=True), Option("--exec", "", "P")),
)


def test_apps_with_options_and_arguments() -> None:
    line = "--name pod --env A=1 one --name first -- sh -c --rm -- x --- two --env B=2 --rm --- three"
    arguments = parse_apps(APPS, line.split())
    assert arguments.text("--name") == "pod"
    assert arguments.texts("--env") == ["A=1"]
    assert arguments.has("--rm")
    assert [
        (app.image, app.options.text("--name"), app.options.texts("--env"), app.arguments)
        for app in arguments.apps
    ] == [
        ("one", "first", [], ["sh", "-c", "--rm", "--", "x"]),
        ("two", "", ["B=2"], None),
        ("three", "", [], None),
    ]


@pytest.mark.parametrize(
    "line",
    ["-- x", "--- x", "a --- --- b", "a -- x --- -- y", "a -- x --- --exec=y b", "--exec=x a", "a --oops"],
)
def test_wrong_lines_of_apps(line: str) -> None:
    with pytest.raises(UsageError):
        parse_apps(APPS, line.split())


def test_an_option_of_an_app_before_its_image_is_told_where_it_goes() -> None:
    with pytest.raises(UsageError) as caught:
        parse_apps(APPS, ["--exec=y", "a"])
    assert (caught.value.message, caught.value.hint) == (
        "--exec is for one app",
        "put it after the app's image",
    )


def test_arguments_may_be_none_or_empty() -> None:
    assert [app.arguments for app in parse_apps(APPS, ["a", "b", "--"]).apps] == [None, []]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1.5s", 1.5), ("1h30m", 5400), ("250ms", 0.25), ("2d", 172800), ("0", 0), ("30m0s", 1800)],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration_s(text, "--x") == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "-1",
        "1x",
        "1h30",
        "h",
        "nan",
        "inf",
        "1..2s",
        "5 s",
        " 5",
        "٣",
        "٣s",
        "1e3",
        "1_0",
        "9" * 400,
        ".",
    ],
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(UsageError, match="--x"):
        duration_s(text, "--x")


def test_numbers_and_moments() -> None:
    assert count("12", "--x") == 12
    assert moment_ns("@1.5", "--x") == 1_500_000_000
    assert moment_ns("1970-01-01T00:00:02Z", "--x") == 2_000_000_000
    assert moment_ns("999999999999d", "--x") == 0
    assert moment_ns("@999999999999999999", "--x") == 2**63 - 1
    for wrong in ("-1", "1.0", "", "٣", "9" * 5000):
        with pytest.raises(UsageError):
            count(wrong, "--x")
    for wrong in ("@x", "@nan", "@", "@٣", "@1e3", "yesterday", "2024-13-01", "0001-01-01", "9999-12-31T99"):
        with pytest.raises(UsageError):
            moment_ns(wrong, "--x")


def test_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE", "value")
    assert [variable(text, "--x") for text in ("A=", "A=b=c", "HERE")] == [
        ("A", ""),
        ("A", "b=c"),
        ("HERE", "value"),
    ]
    for wrong in ("", "=x", "NOT_SET_HERE"):
        with pytest.raises(UsageError, match="--x"):
            variable(wrong, "--x")
