from __future__ import annotations

import pytest

from carob.errors import CorruptData
from carob.service.cri import api_pb2 as api
from carob.service.cri.records import (
    container_text,
    foreign_sandbox,
    read_container,
    read_sandbox,
    sandbox_text,
)


def test_a_sandbox_is_read_back_whole() -> None:
    config = api.PodSandboxConfig(
        metadata=api.PodSandboxMetadata(name="n", uid="u", namespace="s", attempt=3),
        labels={"A/b_c": "ü\n"},
        annotations={"x": "y" * 100_000},
    )
    config.linux.security_context.run_as_user.value = 0
    found = read_sandbox(sandbox_text(config, "crun"))
    assert found.config() == config
    assert (found.handler, found.labels, found.metadata["attempt"]) == ("crun", {"A/b_c": "ü\n"}, 3)


def test_a_container_is_read_back_but_for_its_environment() -> None:
    config = api.ContainerConfig(
        metadata=api.ContainerMetadata(name="n"),
        image=api.ImageSpec(image="sha256:1", user_specified_image="web"),
        envs=[api.KeyValue(key="PASSWORD", value=b"secret")],
    )
    text = container_text(config)
    assert "secret" not in text
    assert "c2VjcmV0" not in text
    found = read_container(text)
    assert (found.image, len(found.config().envs)) == ("web", 0)
    assert len(config.envs) == 1


def test_what_a_later_cri_adds_is_passed_over() -> None:
    text = '{"version": 1, "config": {"metadata": {"name": "n"}, "new": {"a": 1}}, "handler": ""}'
    assert read_sandbox(text).config().metadata.name == "n"


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"version": 2, "config": {}}', '{"version": 1, "config": 3}']
)
def test_what_is_no_record_is_told(text: str) -> None:
    with pytest.raises(CorruptData):
        read_sandbox(text)


@pytest.mark.parametrize(
    "config",
    [
        '{"metadata": []}',
        '{"metadata": {"name": 3}}',
        '{"metadata": {"attempt": "x"}}',
        '{"metadata": {"attempt": -1}}',
        '{"labels": []}',
        '{"annotations": {"a": null}}',
    ],
)
def test_what_somebody_else_wrote_is_told_before_it_spoils_a_list(config: str) -> None:
    with pytest.raises(CorruptData):
        read_sandbox(f'{{"version": 1, "config": {config}}}')


def test_half_a_letter_is_replaced() -> None:
    found = read_sandbox(
        '{"version": 1, "config": {"metadata": {"name": "a\\ud800"}, "labels": {"b": "\\udfff"}}}'
    )
    assert api.PodSandboxMetadata(**found.metadata).name == "a?"
    assert api.PodSandbox(labels=found.labels).labels["b"] == "?"


def test_a_sandbox_of_others_has_a_name() -> None:
    assert foreign_sandbox("1234", "").metadata["name"] == "1234"
    assert foreign_sandbox("1234", "web").config().metadata.name == "web"
