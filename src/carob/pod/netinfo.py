"""``net-info.json``: the networks that a pod is in, as rkt's ``networking/netinfo`` keeps them.

Read by the rules of Go's ``encoding/json``: the case of keys does not matter, of equal keys the last
counts, ``null`` leaves a field empty, unknown keys are passed over, whatever follows the first value is
not looked at.
"""

from __future__ import annotations

import json
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Any, NamedTuple

from carob.errors import CorruptData, NotFound
from carob.linux.files import write_file_durably
from carob.pod.failure import failed
from carob.pod.layout import FILE_MODE, NET_INFO
from carob.pod.state import State, is_after_run
from carob.pod.tree import read_pod_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from carob.pod.pod import Pod

    Address: TypeAlias = IPv4Address | IPv6Address


class NetInfo(NamedTuple):
    """One network of a running pod; ``""`` and ``None`` where nothing is known."""

    net_name: str = ""
    conf_path: str = ""
    plugin_path: str = ""
    if_name: str = ""
    ip: IPv4Address | IPv6Address | None = None
    args: str = ""
    mask: IPv4Address | IPv6Address | None = None


# rkt's keys, in the order in which it writes them
_KEYS = {
    "netName": "net_name",
    "netConf": "conf_path",
    "pluginPath": "plugin_path",
    "ifName": "if_name",
    "ip": "ip",
    "args": "args",
    "mask": "mask",
}
_FIELDS = {key.lower(): field for key, field in _KEYS.items()}
_ADDRESSES = ("ip", "mask")


def nets_of(pod: Pod) -> tuple[NetInfo, ...]:
    """The networks of a pod that runs or has run; none where there is no file, as in host networking."""
    state = pod.state()
    ran = state is State.RUNNING or (is_after_run(state) and state not in (State.GARBAGE, State.DELETING))
    if not ran:
        return ()
    try:
        raw = read_pod_file(pod, NET_INFO)
    except NotFound:
        return ()
    try:
        return parse(raw)
    except CorruptData as error:
        raise CorruptData(f"{NET_INFO} of pod {pod.uuid}: {error.message}") from error


def parse(raw: bytes) -> tuple[NetInfo, ...]:
    """The networks in the text of ``net-info.json``. Raises ``CorruptData``."""
    text = raw.decode("utf-8", "replace").lstrip(" \t\r\n")
    decoder = json.JSONDecoder(object_pairs_hook=_Members, parse_constant=_not_json)
    try:
        value, _ = decoder.raw_decode(text)
    except (ValueError, RecursionError) as error:
        raise CorruptData(f"not JSON: {error}") from error
    if value is None:
        return ()
    if not isinstance(value, list) or isinstance(value, _Members):
        raise CorruptData("not a list of networks")
    return tuple(_network(item) for item in value)


def save(infos: tuple[NetInfo, ...], dir_fd: int) -> None:
    """Writes ``net-info.json`` into the pod directory ``dir_fd``, durably, as rkt writes it."""
    try:
        write_file_durably(NET_INFO, render(infos), dir_fd=dir_fd, mode=FILE_MODE)
    except OSError as error:
        raise failed(error, f"cannot write {NET_INFO}") from error


def render(infos: tuple[NetInfo, ...]) -> bytes:
    """The text of ``net-info.json`` for these networks."""
    documents = []
    for info in infos:
        values = info._asdict()
        documents.append({key: str(values[field] or "") for key, field in _KEYS.items()})
    return json.dumps(documents, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


class _Members(list[Any]):
    """A JSON object as its pairs of key and value."""


def _not_json(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _network(item: Any) -> NetInfo:
    if item is None:
        return NetInfo()
    if not isinstance(item, _Members):
        raise CorruptData("a network is not an object")
    values: dict[str, Any] = {}
    for key, value in item:
        field = _FIELDS.get(_folded(key))
        if field is None or value is None:
            continue
        if not isinstance(value, str):
            raise CorruptData(f"{key} is not a string")
        values[field] = _address(value, key) if field in _ADDRESSES else _well_formed(value)
    return NetInfo(**values)


def _folded(key: str) -> str:
    """``key`` as Go compares keys: the long s and the Kelvin sign are letters of ASCII to it."""
    return key.replace("\u017f", "s").replace("\u212a", "k").lower()


def _well_formed(text: str) -> str:
    """``text`` with U+FFFD for each half of a surrogate pair that JSON spelled alone."""
    return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)


def _address(text: str, key: str) -> Address | None:
    if not text:
        return None
    try:
        if "." in text and ":" not in text:
            return IPv4Address(text)
        if "%" in text:
            raise AddressValueError("a zone is not part of an address")
        address = IPv6Address(text)
    except AddressValueError as error:
        raise CorruptData(f"{key} is not an IP address: {error}") from error
    return address.ipv4_mapped or address
