"""What names of images and of volumes are: each leads to one thing, or to none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.racing.checker import BEGUN, DONE
from tests.racing.history import Call

Names = frozenset[tuple[str, str]]


class ImageNames:
    """All names together: a tag is about two. What an image holds is its id, so ids tell all."""

    looks = frozenset({"image resolve", "image run", "image list"})

    def initial(self) -> Names:
        return frozenset()

    def alone(self, names: Names) -> Iterator[Names]:
        yield from ()

    def steps(self, call: Call, phase: str, names: Names) -> Iterator[tuple[str, Names]]:
        known = dict(names)
        source = call.given[0] if call.given else ""
        match call.verb, call.outcome:
            case "image import" | "image tag" | "image rm", "ok" | "killed":
                if (changed := _changed(call, known)) is not None:
                    yield DONE, changed
            case "image rm", "Conflict" if source in known:
                yield DONE, names
            case "image resolve" | "image run", "ok" if known.get(source) == call.value:
                yield DONE, names
            case "image list", "ok" if known == call.value:
                yield DONE, names
            case "image tag" | "image rm" | "image resolve" | "image run", "NotFound" if source not in known:
                yield DONE, names
            case "image run", "of its pod":
                yield DONE, names

    def abandoned(self, call: Call, phase: str, names: Names) -> Iterator[Names]:
        yield names


def _changed(call: Call, known: dict[str, str]) -> Names | None:
    """The names after a change that was made, or may have been; ``None`` where it could not be."""
    source, *more = call.given
    match call.verb:
        case "image import":
            known[source] = more[0]
        case "image tag" if call.value in (None, known.get(source)) and source in known:
            known[more[0]] = known[source]
        case "image rm" if source in known:
            del known[source]
        case _:
            return None
    return frozenset(known.items())


class Volume(NamedTuple):
    """``held``: somebody is removing it, and holds its lock."""

    there: bool = False
    held: bool = False


class VolumeName:
    """Whether a volume of this name is there."""

    looks = frozenset({"volume get"})

    def initial(self) -> Volume:
        return Volume()

    def alone(self, volume: Volume) -> Iterator[Volume]:
        yield from ()

    def steps(self, call: Call, phase: str, volume: Volume) -> Iterator[tuple[str, Volume]]:
        match call.verb, call.outcome:
            case "volume create", "ok" | "killed" if not volume.there:
                yield DONE, Volume(there=True)
            case "volume create", "Conflict" if volume.there:
                yield DONE, volume
            case "volume rm", "ok" | "killed" if phase == BEGUN and volume == (True, False):
                yield "holds", Volume(there=True, held=True)
            case "volume rm", "ok" | "killed" if phase == "holds":
                yield DONE, Volume()
            case "volume rm", "Conflict" if volume.held:
                yield DONE, volume
            case "volume get", "ok" if volume.there:
                yield DONE, volume
            case (("volume rm" | "volume get"), "NotFound") if not volume.there:
                yield DONE, volume

    def abandoned(self, call: Call, phase: str, volume: Volume) -> Iterator[Volume]:
        yield volume._replace(held=False) if phase == "holds" else volume
