"""What CRI wants to be told again of a sandbox or a container, as a pod's manifest keeps it: JSON. Pure.

The names in it are those of CRI's messages, the values what the kubelet gave.
"""

from __future__ import annotations

import json

from google.protobuf import json_format

from carob.errors import CorruptData
from carob.service.cri import api_pb2 as api

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from google.protobuf.message import Message

RECORD = "carob.cri/record"
"""The annotation of pods and of apps that holds it, beside those that the kubelet gives."""
_VERSION = 1


class SandboxRecord:
    """A sandbox as it was asked for: all as a plain ``document``, of it ``metadata``, ``labels`` and
    ``annotations``, and the runtime ``handler``.
    """

    __slots__ = ("annotations", "document", "handler", "labels", "metadata")

    def __init__(self, config: dict[str, Any], handler: str) -> None:
        self.document = config
        self.metadata = _metadata(config, ("name", "uid", "namespace"))
        self.labels = _words(config, "labels")
        self.annotations = _words(config, "annotations")
        self.handler = handler

    def config(self) -> api.PodSandboxConfig:
        """The whole configuration."""
        return json_format.ParseDict(self.document, api.PodSandboxConfig(), ignore_unknown_fields=True)


class ContainerRecord:
    """A container as it was asked for; ``image`` is its image as it was named to CRI."""

    __slots__ = ("annotations", "document", "image", "labels", "metadata")

    def __init__(self, config: dict[str, Any]) -> None:
        self.document = config
        self.metadata = _metadata(config, ("name",))
        self.labels = _words(config, "labels")
        self.annotations = _words(config, "annotations")
        image = _words(config, "image", but_for="annotations")
        self.image = image.get("user_specified_image") or image.get("image") or ""

    def config(self) -> api.ContainerConfig:
        """The whole configuration, but for the environment."""
        return json_format.ParseDict(self.document, api.ContainerConfig(), ignore_unknown_fields=True)


def sandbox_text(config: api.PodSandboxConfig, handler: str) -> str:
    """A sandbox's record."""
    return json.dumps({"version": _VERSION, "config": _plain(config), "handler": handler})


def container_text(config: api.ContainerConfig) -> str:
    """A container's record. Its environment, which may hold secrets, is not in it a second time."""
    kept = api.ContainerConfig()
    kept.CopyFrom(config)
    kept.ClearField("envs")
    return json.dumps({"version": _VERSION, "config": _plain(kept)})


def read_sandbox(text: str) -> SandboxRecord:
    """Raises ``CorruptData`` for what no ``sandbox_text`` wrote."""
    found = _read(text, "sandbox")
    return SandboxRecord(found["config"], str(found.get("handler", "")))


def read_container(text: str) -> ContainerRecord:
    """Raises ``CorruptData`` for what no ``container_text`` wrote."""
    return ContainerRecord(_read(text, "container")["config"])


def foreign_sandbox(uuid: str, name: str) -> SandboxRecord:
    """What CRI is told of a sandbox that somebody else has made."""
    metadata = {"name": name or uuid, "uid": uuid}
    return SandboxRecord({"metadata": metadata}, "")


def foreign_container(name: str, image: str) -> ContainerRecord:
    """The same of an app."""
    return ContainerRecord({"metadata": {"name": name}, "image": {"image": image}})


def _plain(message: Message) -> dict[str, Any]:
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def _read(text: str, what: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
        version, config = found["version"], found["config"]
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptData(f"the record of a {what} makes no sense: {error!r}") from None
    if version != _VERSION or not isinstance(config, dict):
        raise CorruptData(f"the record of a {what} has version {version!r}, and this carob reads {_VERSION}")
    return dict(found)


# Anybody who makes pods may write into their manifests, and no pod may spoil a list.


def _metadata(config: dict[str, Any], texts: Iterable[str]) -> dict[str, Any]:
    found = config.get("metadata", {})
    if not isinstance(found, dict):
        raise CorruptData("the record's metadata are no object")
    attempt = found.get("attempt", 0)
    if not isinstance(attempt, int) or not 0 <= attempt < 1 << 32:
        raise CorruptData(f"the record's attempt is {attempt!r}")
    return {name: _text(found.get(name, "")) for name in texts} | {"attempt": attempt}


def _words(config: dict[str, Any], key: str, *, but_for: str = "") -> dict[str, str]:
    found = config.get(key, {})
    if not isinstance(found, dict):
        raise CorruptData(f"the record's {key} are no object")
    return {_text(name): _text(value) for name, value in found.items() if name != but_for}


def _text(value: object) -> str:
    """A text that a message may hold: JSON may have halves of surrogate pairs."""
    if not isinstance(value, str):
        raise CorruptData(f"the record has {value!r} for a text")
    return value if value.isascii() else value.encode("utf-8", "replace").decode()
