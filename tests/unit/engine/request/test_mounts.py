"""What may be mounted, checked when it is said; and what is written of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from carob.engine.appc import mounts as mount_documents
from carob.engine.request.mounts import EmptyVolume, File, ImageVolume, MemoryVolume, Mount, NamedVolume
from carob.engine.request.pod import App, PodRequest
from carob.errors import InvalidInput

AnyMount: Any = Mount
AnyFile: Any = File

WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "a relative source": (lambda: Mount("a", "/b"), "the source of a mount is an absolute path, not 'a'"),
    "a relative target": (lambda: Mount("/a", "b"), "the target of a mount is an absolute path, not 'b'"),
    "the root": (lambda: Mount("/a", "//"), "nothing can be mounted over an app's root directory"),
    "a way up": (lambda: Mount("/a", "/b/../c"), "the target of a mount has no .. in it"),
    "a subpath up": (lambda: Mount("/a", "/b", subpath="c/../d"), "a subpath is relative and has no .."),
    "an absolute subpath": (lambda: Mount("/a", "/b", subpath="/c"), "a subpath is relative and has no .."),
    "a number as a subpath": (lambda: AnyMount("/a", "/b", subpath=5), "a subpath is a path, not int 5"),
    "a propagation": (lambda: AnyMount("/a", "/b", propagation="up"), "there is no propagation 'up'"),
    "a shared volume": (
        lambda: Mount(EmptyVolume(), "/b", propagation="shared"),
        "only paths of the host have propagation shared",
    ),
    "no flag": (lambda: AnyMount("/a", "/b", nodev=1), "nodev of a mount is True or False, not int 1"),
    "a volume's mode": (lambda: EmptyVolume(mode=0o10000), "the mode of a volume is from 0 to 4095"),
    "a volume's user": (lambda: MemoryVolume(uid=-1), "the user of a volume is from 0 to"),
    "a volume's size": (lambda: MemoryVolume(size_bytes=0), "the size of a volume is from 1 to"),
    "a pod's volume's name": (lambda: EmptyVolume("A b"), "'A b' is no name of a pod's volume"),
    "a volume's name": (lambda: NamedVolume("../x"), "'../x' is no name of a volume"),
    "no image": (lambda: ImageVolume(""), "a volume of an image needs the image's name"),
    "no content": (lambda: File("/x"), "the file /x needs a content or a source, one of both"),
    "two contents": (lambda: File("/x", "a", source="/a"), "the file /x needs a content or a source"),
    "a number as a content": (lambda: AnyFile("/x", 5), "the content of a file is bytes or a string"),
    "a long content": (lambda: File("/x", bytes((8 << 20) + 1)), "the file /x is too long: 8388609 bytes"),
    "a file's mode": (lambda: File("/x", "", mode=0o4755), "the mode of a file is from 0 to 511, not 2541"),
    "one target": (
        lambda: App("i", mounts=[Mount("/a", "/x"), Mount("/b", "/x/")]),
        "two things are mounted at /x",
    ),
    "a file's target": (
        lambda: App("i", mounts=[Mount("/a", "/x")], files=[File("/x", "")]),
        "two things are mounted at /x",
    ),
    "one name": (
        lambda: PodRequest(
            [
                App("i", mounts=[Mount(EmptyVolume("v"), "/x")]),
                App("i", mounts=[Mount(EmptyVolume("v", mode=0), "/x")]),
            ]
        ),
        "the volume v is said in two ways",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_mounted(case: str) -> None:
    make, words = WRONG[case]
    with pytest.raises(InvalidInput) as caught:
        make()
    assert caught.value.message.startswith(words)


def test_a_files_content_is_never_shown() -> None:
    file = File("/x", "secret")
    assert "secret" not in repr(file) + repr(App("i", files=[file]))
    assert "secret" not in str(mount_documents.app_annotations((), [file]))


@pytest.mark.parametrize(
    "mount",
    [
        Mount(Path("/a"), "/b"),
        Mount("/a", "/b", read_only=True, read_only_below=False),
        Mount("/a", "/b", read_only=True, recursive=False, subpath="c//d/", propagation="slave"),
        Mount(EmptyVolume("e", mode=0o1777, uid=5, gid=6), "/b", nosuid=False),
        Mount(MemoryVolume(size_bytes=5), "/b", noexec=False),
        Mount(NamedVolume("N", copy=False), "/b", nodev=False),
        Mount(ImageVolume("i:1", writable=True), "/b", noexec=True),
    ],
)
def test_a_document_says_all_of_a_mount(mount: Mount) -> None:
    found = mount_documents.mount(mount_documents.document(mount))
    for slot in Mount.__slots__:
        assert getattr(found, slot) == getattr(mount, slot)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"kind": "disk", "target": "/x"},
        {"kind": "host", "target": "/x"},
        {"kind": "named", "target": "/x"},
        {"kind": "empty", "name": "e"},
        {"kind": "host", "source": "/a", "target": "/x", "nodev": "yes"},
    ],
)
def test_documents_of_no_mounts(document: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        mount_documents.mount(document)
    with pytest.raises(InvalidInput):
        mount_documents.read("{")
