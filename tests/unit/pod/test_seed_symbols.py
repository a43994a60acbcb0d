"""docs/reference/seed-symbols.md against the code and the tests."""

from __future__ import annotations

import ast
import inspect
from functools import cache
from pathlib import Path

import pytest

import carob.pod
from carob.pod import Pod, State

ROOT = Path(__file__).parents[3]
TABLE = ROOT / "docs/reference/seed-symbols.md"

# Every exported symbol of rkt's package pod, v1.30.0
SYMBOLS = [
    "Embryo",
    "Preparing",
    "AbortedPrepare",
    "Prepared",
    "Running",
    "Deleting",
    "ExitedDeleting",
    "Exited",
    "ExitedGarbage",
    "Garbage",
    "ErrImmutable",
    "ReadUUIDFromFile",
    "WalkPods",
    "WriteUUIDToFile",
    "ErrChildNotReady",
    "ErrChildNotReady.Error",
    "IncludeMask",
    "IncludeEmbryoDir",
    "IncludePrepareDir",
    "IncludePreparedDir",
    "IncludeRunDir",
    "IncludeExitedGarbageDir",
    "IncludeGarbageDir",
    "IncludeMostDirs",
    "IncludeAllDirs",
    "Pod",
    "NewPod",
    "PodFromUUIDString",
]
OF_POD = [
    "UUID",
    "Nets",
    "MountLabel",
    "FileLock.TryExclusiveLock",
    "FileLock.ExclusiveLock",
    "FileLock.TrySharedLock",
    "FileLock.SharedLock",
    "FileLock.Unlock",
    "FileLock.Fd",
    "FileLock.Close",
    "AppExitCode",
    "AppImageManifest",
    "ContainerPid1",
    "CreationTime",
    "ExclusiveLockManifest",
    "GCMarkedTime",
    "GetAppTreeStoreID",
    "GetAppsTreeStoreIDs",
    "GetStage1TreeStoreID",
    "IsAfterRun",
    "IsFinished",
    "IsMutable",
    "IsSupervisorReady",
    "JournalLogPath",
    "Path",
    "Pid",
    "PodManifest",
    "PodManifestAvailable",
    "SandboxManifest",
    "Stage1RootfsPath",
    "StartTime",
    "State",
    "Sync",
    "ToExitedGarbage",
    "ToGarbage",
    "ToPrepared",
    "ToPreparing",
    "ToRun",
    "UnlockManifest",
    "UpdateManifest",
    "UsesOverlay",
    "WaitFinished",
    "WaitReady",
]
FIELDS = {"UUID": "uuid", "Nets": "nets", "MountLabel": "mount_label"}


def rows() -> list[list[str]]:
    lines = [line for line in TABLE.read_text().splitlines() if line.startswith("| `")]
    return [[cell.strip().strip("`") for cell in line.split("|")[1:4]] for line in lines]


@cache
def functions_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def test_every_symbol_has_one_row() -> None:
    symbols = [*SYMBOLS, *(f"Pod.{name}" for name in OF_POD)]
    assert sorted(row[0] for row in rows()) == sorted(symbols)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_the_equivalent_and_its_test_are_there(row: list[str]) -> None:
    seed, name, test = row
    found: object = carob.pod
    for part in name.split("."):
        if found is Pod and part in FIELDS.values():
            assert part in Pod.__slots__ or isinstance(inspect.getattr_static(Pod, part), property)
            break
        found = getattr(found, part)
    else:
        if seed.startswith("Pod.") or seed[0].islower():
            assert inspect.isfunction(found), "a method, as in rkt"
            assert inspect.getdoc(found), name
    path, _, function = test.partition("::")
    assert function in functions_in(path)


def test_equivalents_are_all_different() -> None:
    names = [row[1] for row in rows()]
    assert len(names) == len(set(names))


def test_every_exported_name_is_in_the_document() -> None:
    text = TABLE.read_text()
    assert [name for name in carob.pod.__all__ if f"`{name}`" not in text and name != "State"] == []
    assert all(state.name in text for state in State)


def test_names_are_exported_lazily_and_only_those() -> None:
    assert dir(carob.pod) == sorted(carob.pod.__all__)
    for name in carob.pod.__all__:
        assert getattr(carob.pod, name) is not None
    with pytest.raises(AttributeError):
        _ = carob.pod.Pods  # type: ignore[attr-defined]
