from __future__ import annotations

from typing import Any

import pytest

from carob import App
from carob.engine.sandbox.addition import Addition
from carob.errors import InvalidInput

APP = App("busybox")


@pytest.mark.parametrize(
    ("word", "pid", "pid_of", "noted"),
    [
        (None, None, "", {}),
        ("private", "private", "", {"carob/pid": "private"}),
        ("container", "private", "", {"carob/pid": "private"}),
        ("pod", "pod", "", {"carob/pid": "pod"}),
        ("host", "host", "", {"carob/pid": "host"}),
        ("app:web-1", "private", "web-1", {"carob/pid": "app:web-1"}),
    ],
)
def test_whose_processes(word: str | None, pid: str | None, pid_of: str, noted: dict[str, str]) -> None:
    made = Addition(APP, pid=word)
    assert (made.pid, made.pid_of, made.noted()) == (pid, pid_of, noted)


def test_words_of_any_form_are_kept_apart() -> None:
    made = Addition(APP, labels={"A/b_C": "ä"}, user_annotations={"": "x" * 1000})
    assert made.words() == {"userAnnotations": {"": "x" * 1000}, "userLabels": {"A/b_C": "ä"}}
    assert Addition(APP).words() == {}


def test_a_log_path_is_noted() -> None:
    assert Addition(APP, log_path="/a/b.log").noted() == {"carob/log-path": "/a/b.log"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"app": "busybox"},
        {"app": App("busybox", role="init")},
        {"pid": "nobody"},
        {"pid": "app:"},
        {"pid": "app:A/b"},
        {"pid": 1},
        {"log_path": "relative.log"},
        {"log_path": "/var/log/"},
        {"log_path": "/var/log/.."},
        {"log_path": ""},
        {"labels": {"a": 1}},
        {"labels": ["a"]},
        {"user_annotations": {"a\0": "b"}},
        {"insecure": None},
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        Addition(**{"app": APP, **wrong})
