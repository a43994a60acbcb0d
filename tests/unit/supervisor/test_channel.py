"""Messages over a real socket pair: whole, with their descriptors; hostile ones refused without a leak."""

from __future__ import annotations

import os
import socket

import pytest

from carob.supervisor import channel


def test_a_message_arrives_with_its_descriptors() -> None:
    ours, theirs = channel.pair()
    reading, writing = os.pipe()
    channel.send(ours, {"op": "go", "n": 1}, (writing,))
    message, descriptors = channel.receive(theirs)
    assert message == {"v": 1, "op": "go", "n": 1}
    os.write(descriptors[0], b"x")
    assert os.read(reading, 1) == b"x"
    assert not os.get_inheritable(descriptors[0])
    for descriptor in (reading, writing, *descriptors):
        os.close(descriptor)
    ours.close()
    theirs.close()


def test_the_end_is_none() -> None:
    ours, theirs = channel.pair()
    ours.close()
    assert channel.receive(theirs) == (None, [])
    theirs.close()


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"{", "."),
        (b"[]", "not a message"),
        (b'{"op":"go"}', "not a message"),
        (b'{"v":2}', "version 2; this carob knows up to 1"),
        (b'{"v":1,"x":"' + b"a" * 150_000 + b'"}', "too long"),
    ],
)
def test_what_is_no_message_is_refused_and_its_descriptors_closed(raw: bytes, said: str) -> None:
    ours, theirs = channel.pair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    reading, writing = os.pipe()
    ours.sendmsg([raw], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, writing.to_bytes(4, "little"))])
    os.close(writing)
    with pytest.raises(ValueError, match=said):
        channel.receive(theirs)
    assert os.read(reading, 1) == b""  # nobody holds the writing end any more
    os.close(reading)
    ours.close()
    theirs.close()
