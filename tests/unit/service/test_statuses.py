from __future__ import annotations

from grpc import StatusCode

from carob import errors
from carob.errors import CarobError, LostRace, NotFound
from carob.service.statuses import STATUSES, details_of, status_of


def kinds(of: type[CarobError] = CarobError) -> set[type[CarobError]]:
    below = {kind for kind in of.__subclasses__() if kind.__module__ == errors.__name__}
    return below.union(*(kinds(kind) for kind in below))


def test_every_kind_of_error_has_a_status_of_its_own_or_its_parents() -> None:
    told = [kind for kind, _ in STATUSES]
    direct = {kind for kind in kinds() if kind.__base__ is CarobError or CarobError in kind.__bases__}
    assert direct <= set(told)
    for number, kind in enumerate(told):
        assert not any(issubclass(later, kind) for later in told[number + 1 :]), "is never reached"
    assert status_of(LostRace("x")) is StatusCode.ABORTED
    assert status_of(CarobError("x")) is StatusCode.UNKNOWN


def test_details_are_short_whatever_a_caller_gave() -> None:
    assert details_of(NotFound("no pod", hint="look")) == "no pod (look)"
    assert len(details_of(NotFound("x" * 100_000))) < 1000
