"""A second image that shares all layers but one with the first, which is there: only that one costs."""

from __future__ import annotations

from collections.abc import Iterator

from bench.figure import Figure, Sample, Skipped, Target, Unmeasurable
from bench.image_stores import ImageStore
from bench.pairs import in_turn
from bench.places import write_back
from bench.pull import carob_store
from bench.registry import ALONE, FIRST, SECOND
from bench.setting import Setting

_ROUNDS = 5
_TARGET = Target(ratio=1.3)


def second_image(setting: Setting) -> Iterator[Figure | Skipped]:
    """The second of two images as a part of the first, beside podman, and beside its own layer alone."""
    ours = _Two(setting, carob_store(setting))
    two = [ours]
    try:
        two.append(_Two(setting, setting.podman_store))
        two[-1].first()
        two[-1].second()
    except Unmeasurable as error:
        yield Skipped("second image, beside podman", str(error))
        two = [ours]
    takes = [take for one in two for take in (one.first, one.second)]
    samples = in_turn([ours.alone, *takes], setting.pairs(_ROUNDS))
    alone, first, second = samples[:3]
    note = _sizes(setting)
    what = "second image, all layers but one shared"
    yield Figure(
        what, second, peer="that one layer as an image, cold", theirs=alone, target=_TARGET, note=note
    )
    yield Figure(what, second, peer="the first image, cold", theirs=first)
    if len(two) > 1:
        yield from _beside(second, samples[3], samples[4], what, two[1].name)


def _beside(
    ours: Sample, their_first: Sample, their_second: Sample, what: str, name: str
) -> Iterator[Figure]:
    yield Figure(what, ours, peer=name, theirs=their_second)
    yield Figure(
        f"({name}: its second image)", their_second, peer="its own first image, cold", theirs=their_first
    )


class _Two:
    """The two images in one store: ``first``, then ``second``; milliseconds."""

    def __init__(self, setting: Setting, store: ImageStore) -> None:
        self.name = store.name
        self._registry = setting.registry
        self._store = store

    def first(self) -> float:
        self._store.renew()
        return self._store.fetch(self._registry.address(FIRST))

    def second(self) -> float:
        write_back(self._store.path)  # what another one left to write is not to be waited for
        try:
            return self._store.fetch(self._registry.address(SECOND))
        finally:
            self._store.drop()

    def alone(self) -> float:
        """The layer that the second image does not share, as an image of its own in an empty store."""
        self._store.renew()
        try:
            return self._store.fetch(self._registry.address(ALONE))
        finally:
            self._store.drop()


def _sizes(setting: Setting) -> str:
    sizes = [layer["size"] / 1e6 for layer in setting.registry.images.family[1].layers()]
    return f"the second image's own layer: {sizes[-1]:.1f} of {sum(sizes):.0f} MB"
