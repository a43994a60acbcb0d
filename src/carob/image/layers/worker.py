"""A worker in a user namespace, which handles layers for who is not root: its own side.

It does what its parent says, one thing after the other, and ends when the parent does.
"""

from __future__ import annotations

import os
import socket

from carob.errors import CarobError, Unsupported
from carob.image.failures import translate
from carob.image.layers.channel import Channel, Closed
from carob.image.layers.hands import OwnHands
from carob.image.layers.maker import Making, make_files
from carob.image.layers.mode import UnpackMode
from carob.image.layers.settle import settle_tree
from carob.image.layers.unsettled import Unsettled
from carob.image.tar.limits import Allowance, UnpackLimits
from carob.linux.idmap import map_lines
from carob.linux.namespaces import CLONE_NEWUSER
from carob.linux.syscall import SYS_UNSHARE, syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Message = dict[str, Any]


def main(fd: int) -> None:
    """Serves the parent at the other end of the socket ``fd``."""
    channel = Channel(socket.socket(fileno=fd))
    try:
        mode = _enter(channel)
        if mode is not None:
            _serve(channel, OwnHands(mode))
    except Closed:
        pass


def _enter(channel: Channel) -> UnpackMode | None:
    """Makes a user namespace, with the parent's help; ``None`` where that is not allowed."""
    try:
        syscall(SYS_UNSHARE, CLONE_NEWUSER)
        channel.send({})
        message = channel.receive()[0]
        mode = UnpackMode(message["mode"])
        if mode is UnpackMode.SINGLE:
            _map_alone(message["user"], message["group"])
    except OSError as error:
        refused = Unsupported(
            f"no user namespace to unpack in: {error.strerror}",
            hint="they must be allowed, see user_namespaces(7); or run as root",
        )
        channel.send(_failure(refused))
        return None
    os.umask(0)
    channel.send({})
    return mode


def _map_alone(user: int, group: int) -> None:
    """Maps one owner, which needs nobody's help (user_namespaces(7))."""
    for name, data in (
        ("setgroups", b"deny"),
        ("uid_map", map_lines([(0, user, 1)])),
        ("gid_map", map_lines([(0, group, 1)])),
    ):
        with open(f"/proc/self/{name}", "wb", buffering=0) as file:
            file.write(data)


def _serve(channel: Channel, hands: OwnHands) -> None:
    while True:
        message, descriptors = channel.receive()
        handed: list[int] = []
        try:
            if message["op"] == "open":
                handed.append(hands.open_directory(message["path"]))
                answer: Message = {}
            elif message["op"] == "make":
                answer = _make(channel, message, hands)
            else:
                answer = _do(message, descriptors, hands)
        except CarobError as error:
            answer = _failure(error)
        except OSError as error:
            answer = _failure(translate(error, f"unpacking {error.filename or ''}".strip()))
        finally:
            # Those of locks were to last as long as this task does.
            for descriptor in descriptors:
                os.close(descriptor)
        channel.send(answer, handed)
        for descriptor in handed:
            os.close(descriptor)


def _do(message: Message, descriptors: Sequence[int], hands: OwnHands) -> Message:
    match message:
        case {"op": "settle"}:
            settle_tree(
                message["tree"],
                message["record"],
                Unsettled.of(message["unsettled"]),
                message["parents"],
                hands.mode.form,
                message["what"],
            )
        case {"op": "move"}:
            hands.move(message["source"], message["target"])
        case {"op": "remove"}:
            hands.remove(message["path"])
        case {"op": "check"}:
            return {"problems": hands.check(message["layer"], message["record"])}
        case {"op": "copy"}:
            hands.copy(message["layers"], message["target"])
        case {"op": "pack"}:
            layers = [
                one if isinstance(one, str) else f"/proc/self/fd/{descriptors[one]}"
                for one in message["layers"]
            ]
            hands.pack(layers, descriptors[0])
        case {"op": "disk_bytes"}:
            return {"bytes": hands.disk_bytes(message["path"])}
    return {}


def _make(channel: Channel, message: Message, hands: OwnHands) -> Message:
    """Makes files of the pieces that follow the message, and takes them all, whatever happens."""
    allowance = Allowance(UnpackLimits(**message["limits"]), message["what"])
    making = Making(message["what"], message["target"], message["record"], allowance)
    is_over = False

    def next_piece() -> bytes:
        nonlocal is_over
        if is_over:
            return b""
        piece, allowance.compressed_bytes = channel.receive_piece()
        is_over = not piece
        allowance.take_plain(len(piece))
        return piece

    try:
        answer: Message = {
            "unsettled": make_files(making, next_piece, hands.mode, has_no_umask=True).document()
        }
    except CarobError as error:
        answer = _failure(error)
    except OSError as error:
        answer = _failure(translate(error, message["what"]))
    if not is_over:
        channel.send({"early": True})
        while channel.receive_piece()[0]:
            pass
    return answer


def _failure(error: CarobError) -> Message:
    return {"error": type(error).__name__, "message": error.message, "hint": error.hint}
