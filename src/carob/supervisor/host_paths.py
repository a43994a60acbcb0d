"""Paths of the host as detached mounts, opened by init or, for those that mounts are to go through, by the
monitor.

Init's copy of the host's mounts hands nothing on to the host's own, nor they to it: only a mount made in the
host's namespace does. So the monitor opens those and sends them after the word to go.
"""

from __future__ import annotations

import os

from carob.linux import mount
from carob.linux.files import open_beneath, without_links
from carob.supervisor import channel as channels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Iterator
    from typing import Any


def open_tree(source: str, subpath: str, *, recursive: bool) -> int:
    """A detached copy of the mount that shows ``source``, or what is at ``subpath`` of that.

    ``source`` may lead through symbolic links, ``subpath`` not: who can write below ``source`` may be another
    app. Once it is open nobody can put something else in its place.
    """
    found = _found(source)
    try:
        if subpath:
            top, found = found, -1
            try:
                found = open_beneath(subpath, top)
            finally:
                os.close(top)
        return mount.clone_tree("", recursive=recursive, dir_fd=found)
    finally:
        if found >= 0:
            os.close(found)


def _found(source: str) -> int:
    """What a path of the host leads to. Init's new root covers the host's, and the kernel would go there from
    ``..`` of the host's; so links are followed here, and then neither a link nor ``..`` is on the way.
    """
    path = without_links(source)
    root = os.open("/", os.O_PATH | os.O_CLOEXEC)
    try:
        return open_beneath(path[1:] or ".", root)
    finally:
        os.close(root)


def handed(plan: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The volumes of a plan that the monitor opens, each with its app's name, in order."""
    for app in plan["apps"]:
        for volume in app["volumes"]:
            if "propagation" in volume:
                yield app["name"], volume


def hand_over(link: socket, plan: dict[str, Any]) -> None:
    """Opens those volumes and sends them to init; where that fails, the reason."""
    opened: list[int] = []
    failure = ""
    try:
        for app, volume in handed(plan):
            try:
                opened.append(open_tree(volume["source"], volume["subpath"], recursive=volume["recursive"]))
            except OSError as error:
                failure = f"{error.strerror}: the volume of app {app}: {volume['source']}"
                break
        for at in range(0, len(opened), channels.MAX_DESCRIPTORS):
            batch = tuple(opened[at : at + channels.MAX_DESCRIPTORS])
            channels.send(link, {"op": "volumes"}, batch)
        if failure:
            channels.send(link, {"op": "volumes", "failure": failure})
    finally:
        channels.close_all(opened)


def receive(link: socket, count: int) -> list[int]:
    """The descriptors of ``count`` volumes from the monitor; ``OSError`` with its reason for none."""
    found: list[int] = []
    while len(found) < count:
        message, descriptors = channels.receive(link)
        found += descriptors
        if message is None or "failure" in message:
            channels.close_all(found)
            raise OSError(message["failure"] if message else "the monitor is gone")
    return found
