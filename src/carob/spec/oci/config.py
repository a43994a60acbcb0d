"""The image configuration (image-spec, config.md): checks, and chain ids."""

from __future__ import annotations

import sys

from carob.errors import CorruptData
from carob.spec.oci.document import (
    map_field,
    parse_document,
    text_field,
    text_list_field,
    text_map_field,
)
from carob.spec.reference import is_digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_TEXTS = ("User", "WorkingDir", "StopSignal")
_TEXT_LISTS = ("Env", "Entrypoint", "Cmd")
_MAPS = ("ExposedPorts", "Volumes")


def parse_config(data: bytes, what: str) -> dict[str, Any]:
    """Parses and checks an image configuration; unknown keys stay in it."""
    document = parse_document(data, what)
    check_config(document, what)
    return document


def check_config(document: dict[str, Any], what: str) -> None:
    """Raises ``CorruptData`` unless every field that carob uses has the type of the specification.

    Null stands for missing, as several builders write it.
    """
    text_field(document, "architecture", what)
    text_field(document, "os", what)
    for key in ("variant", "created", "author"):
        text_field(document, key, what, default="")
    diff_ids(document, what)
    inner = map_field(document, "config", what)
    for key in _TEXTS:
        text_field(inner, key, what, default="")
    for key in _TEXT_LISTS:
        text_list_field(inner, key, what)
    for key in _MAPS:
        map_field(inner, key, what)
    text_map_field(inner, "Labels", what)
    for variable in inner.get("Env") or ():
        if variable.partition("=")[0] == "":
            raise CorruptData(f"{what}: the environment variable {variable[:100]!r} has no name")


def diff_ids(document: dict[str, Any], what: str) -> tuple[str, ...]:
    """The digests of the uncompressed layers, bottom first."""
    rootfs = map_field(document, "rootfs", what)
    if text_field(rootfs, "type", what, default="layers") != "layers":
        raise CorruptData(f"{what}: the root file system is not of type 'layers'")
    identifiers = text_list_field(rootfs, "diff_ids", what)
    for identifier in identifiers:
        if not is_digest(identifier):
            raise CorruptData(f"{what}: the diff id {identifier[:100]!r} is not a sha256 digest")
    return tuple(identifiers)


def chain_ids(identifiers: Sequence[str]) -> tuple[str, ...]:
    """The chain id of each layer, bottom first (config.md, "Layer ChainID")."""
    chain: list[str] = []
    for identifier in identifiers:
        if chain:
            chain.append("sha256:" + sha256_hex(f"{chain[-1]} {identifier}".encode()))
        else:
            chain.append(identifier)
    return tuple(chain)


def sha256_hex(data: bytes) -> str:
    """The SHA-256 of a short text in hexadecimal.

    ``hashlib`` takes three milliseconds to load OpenSSL, which is faster only for much data; CPython's
    own module takes none.
    """
    return _sha256(data).hexdigest()  # type: ignore[no-any-return]


def _load_sha256() -> Any:
    try:
        return __import__("_sha2" if sys.version_info >= (3, 12) else "_sha256").sha256
    except ImportError:
        import hashlib

        return hashlib.sha256


_sha256 = _load_sha256()


def rootfs_config(
    *,
    architecture: str,
    variant: str,
    created: str,
    created_by: str,
    layer_diff_id: str,
    command: Sequence[str],
    overrides: Mapping[str, Any],
) -> dict[str, Any]:
    """The configuration of an image made from a bare root file system.

    ``overrides`` are keys of the inner object (``Env``, ``Entrypoint``, ``Cmd``, ``User`` ...). Who sets
    ``Entrypoint`` gets no default ``Cmd``: it would be appended as an argument.
    """
    inner: dict[str, Any] = {"Env": [f"PATH={DEFAULT_PATH}"]}
    if command and "Entrypoint" not in overrides:
        inner["Cmd"] = list(command)
    inner.update(overrides)
    document: dict[str, Any] = {"created": created, "architecture": architecture, "os": "linux"}
    if variant:
        document["variant"] = variant
    document["config"] = inner
    document["rootfs"] = {"type": "layers", "diff_ids": [layer_diff_id]}
    document["history"] = [{"created": created, "created_by": created_by}]
    return document
