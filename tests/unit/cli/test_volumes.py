"""What is mounted, in the words of rkt, docker and podman."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from carob.cli.options import Arguments, UsageError, by_name
from carob.cli.volumes import FOR_APPS, files, mounts, named_volumes
from carob.engine.request.mounts import EmptyVolume, ImageVolume, MemoryVolume, Mount, NamedVolume
from carob.errors import CarobError, Unsupported

OPTIONS = by_name(FOR_APPS)


def given(*words: str) -> Arguments:
    arguments = Arguments()
    for word in words:
        name, _, value = word.partition("=")
        arguments.put(OPTIONS[name], value)
    return arguments


def mounted(*words: str) -> list[Mount]:
    arguments = given(*words)
    named = named_volumes(arguments.texts("--volume"))
    found = mounts([arguments], named)
    named.refuse_unused()
    return found


def said(mount: Mount) -> dict[str, Any]:
    """What is not as usual of a mount."""
    usual = Mount("/x", "/x")
    in_memory = isinstance(mount.source, MemoryVolume)
    return {
        slot: getattr(mount, slot)
        for slot in Mount.__slots__
        if getattr(mount, slot) != (in_memory if slot == "noexec" else getattr(usual, slot))
    }


BIND = "--mount=type=bind,source=/a,target=/b"
TMPFS = "--mount=type=tmpfs,target=/b"


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("--volume=/a:/b", {"source": "/a"}),
        ("--volume=/a:/b:ro", {"source": "/a", "read_only": True}),
        ("--volume=/a:/b:rslave,noexec,suid", {"propagation": "slave", "noexec": True, "nosuid": False}),
        ("--volume=/a:/b:shared,bind,dev", {"propagation": "shared", "recursive": False, "nodev": False}),
        ("--volume=name:/b", {"source": NamedVolume("name")}),
        ("--volume=name:/b:nocopy,ro", {"source": NamedVolume("name", copy=False), "read_only": True}),
        ("--volume=/b", {"source": EmptyVolume()}),
        (BIND, {}),
        (f"{BIND},readonly", {"read_only": True}),
        (f"{BIND},ro=true,bind-propagation=rslave", {"read_only": True, "propagation": "slave"}),
        (f"{BIND},rw,bind-recursive=disabled", {"recursive": False}),
        (f"{BIND},ro,bind-recursive=writable", {"read_only": True, "read_only_below": False}),
        (f"{BIND},readonly=false,bind-nonrecursive", {"recursive": False}),
        ('--mount=type=bind,"source=/a,a",dst=/b', {"source": "/a,a"}),
        (f"{BIND},subpath=c/d,noexec,dev", {"subpath": "c/d", "noexec": True, "nodev": False}),
        ("--mount=source=name,destination=/b", {"source": NamedVolume("name")}),
        ("--mount=type=volume,src=n,dst=/b,volume-nocopy", {"source": NamedVolume("n", copy=False)}),
        ("--mount=type=volume,src=n,dst=/b,volume-subpath=s", {"source": NamedVolume("n"), "subpath": "s"}),
        ("--mount=type=volume,dst=/b", {"source": EmptyVolume()}),
        (TMPFS, {"source": MemoryVolume()}),
        (f"{TMPFS},tmpfs-size=64m,tmpfs-mode=700", {"source": MemoryVolume(size_bytes=64 << 20, mode=0o700)}),
        (f"{TMPFS},name=shared,uid=5,exec", {"source": MemoryVolume("shared", uid=5), "noexec": False}),
        ("--mount=type=empty,source=s,target=/b,mode=1777", {"source": EmptyVolume("s", mode=0o1777)}),
        ("--mount=type=image,source=i:1,target=/b", {"source": ImageVolume("i:1")}),
        ("--mount=type=image,source=i,target=/b,rw", {"source": ImageVolume("i", writable=True)}),
        ("--mount=type=image,source=i,target=/b,rw=true", {"source": ImageVolume("i", writable=True)}),
        ("--mount=type=image,source=i,target=/b,ro", {"source": ImageVolume("i")}),
        ("--tmpfs=/b", {"source": MemoryVolume()}),
        (
            "--tmpfs=/b:size=1k,mode=755,exec",
            {"source": MemoryVolume(size_bytes=1024, mode=0o755), "noexec": False},
        ),
        ("--tmpfs=/b:rw,noexec,nosuid,size=65536k", {"source": MemoryVolume(size_bytes=64 << 20)}),
    ],
)
def test_mounts(word: str, expected: dict[str, Any]) -> None:
    (found,) = mounted(word)
    assert said(found) == {"source": "/a", "target": "/b"} | expected


def test_rkts_named_volumes() -> None:
    found = mounted(
        "--volume=v,kind=host,source=/e,readOnly=true,recursive=false",
        "--volume=w,kind=empty,mode=1777,uid=5,gid=6",
        "--mount=volume=v,target=/f",
        "--mount=volume=w,target=/g",
        "--mount=volume=w,target=/h",
    )
    empty = {"source": EmptyVolume("w", mode=0o1777, uid=5, gid=6)}
    assert [said(one) for one in found] == [
        {"source": "/e", "target": "/f", "read_only": True, "recursive": False},
        empty | {"target": "/g"},
        empty | {"target": "/h"},
    ]


@pytest.mark.parametrize(
    "words",
    [
        ["--volume=/a:/b:rx"],
        ["--volume=/a:/b:z"],
        ["--volume=a/b:/b"],
        ["--volume=:/b"],
        ["--volume=/a:"],
        ["--volume=/a:/b:ro:rw"],
        ["--volume=v,kind=host"],
        ["--volume=v,kind=host,source=/a,size=1", "--mount=volume=v,target=/b"],
        ["--volume=v,kind=empty,source=/a", "--mount=volume=v,target=/b"],
        ["--volume=v,kind=empty,mode=9", "--mount=volume=v,target=/b"],
        ["--volume=V,kind=empty", "--mount=volume=V,target=/b"],
        ["--volume=v,kind=other"],
        ["--volume=v,kind=host,source=/a,readOnly=perhaps", "--mount=volume=v,target=/b"],
        ["--volume=v,kind=host,source=/a", "--mount=volume=w,target=/b"],
        ["--volume=v,kind=host,source=/a", "--mount=volume=v"],
        ["--volume=v,kind=host,source=/a"],
        ["--volume=v,kind=host,source=/a", "--volume=v,kind=host,source=/a"],
        ["--mount=target=/c,type=bind"],
        ["--mount=type=bind,source=/a"],
        ["--mount=type=bind,source=a,target=/b"],
        ["--mount=type=bind,source=/a,src=/a,target=/b"],
        ["--mount=type=bind,source=/a,target=/b,target=/c"],
        ["--mount=type=bind,source=/a,target=/b,tmpfs-size=5m"],
        ["--mount=type=bind,source=/a,target=/b,bind-recursive=what"],
        ["--mount=type=bind,source=/a,target=/b,subpath=../c"],
        ["--mount=type=tmpfs,target=/b,tmpfs-size=big"],
        ["--mount=type=image,target=/b"],
        ["--mount=type=cluster,target=/b"],
        ['--mount=type=bind,"source=/a'],
        ["--tmpfs=/b:size=-5"],
        ["--tmpfs=b"],
        ["--tmpfs=/"],
    ],
)
def test_what_is_no_mount(words: list[str]) -> None:
    with pytest.raises(CarobError):
        mounted(*words)


def test_a_relative_source_is_told_how_to_be_written() -> None:
    with pytest.raises(UsageError) as caught:
        mounted("--volume=data/x:/b")
    assert (caught.value.message, caught.value.hint) == (
        "--volume: 'data/x' is no absolute path",
        "./data/x for one below this directory",
    )


def test_volumes_that_are_not_supported_are_named() -> None:
    with pytest.raises(Unsupported, match="kind nfs"):
        mounted("--volume=v,kind=nfs")


def test_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("x")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    found = files(
        [given("--secret=/etc/key", "--secret=token"), given("--secret=./a,target=/b,mode=0440,uid=5,gid=6")]
    )
    assert [(one.source, one.target, one.mode, one.uid, one.gid) for one in found] == [
        ("/etc/key", "/run/secrets/key", 0o400, None, None),
        (str(tmp_path / "token"), "/run/secrets/token", 0o400, None, None),
        (str(tmp_path / "a"), "/b", 0o440, 5, 6),
    ]
    for wrong in ("gone", "id=x", "/a,target=", "/a,mode=x", "/a,size=5"):
        with pytest.raises(CarobError):
            files([given(f"--secret={wrong}")])
