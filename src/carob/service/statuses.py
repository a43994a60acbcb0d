"""gRPC's statuses for carob's errors: one table over their kinds.

Source: the meanings in gRPC's ``doc/statuscodes.md``.
"""

from __future__ import annotations

from grpc import StatusCode

from carob import errors
from carob.errors import CarobError

_MOST_LETTERS = 500
"""A caller's own words may be in an error, and a caller takes 8 KiB of headers, escaped."""

# The first class that an error is of counts: what is special stands before what it is a kind of.
STATUSES: tuple[tuple[type[CarobError], StatusCode], ...] = (
    (errors.InvalidInput, StatusCode.INVALID_ARGUMENT),
    (errors.NotFound, StatusCode.NOT_FOUND),
    (errors.LostRace, StatusCode.ABORTED),
    (errors.Conflict, StatusCode.FAILED_PRECONDITION),
    (errors.Rejected, StatusCode.PERMISSION_DENIED),
    (errors.PermissionDenied, StatusCode.PERMISSION_DENIED),
    (errors.Unsupported, StatusCode.UNIMPLEMENTED),
    (errors.Unavailable, StatusCode.UNAVAILABLE),
    (errors.OutOfResources, StatusCode.RESOURCE_EXHAUSTED),
    (errors.TimedOut, StatusCode.DEADLINE_EXCEEDED),
    (errors.Cancelled, StatusCode.CANCELLED),
    (errors.CorruptData, StatusCode.DATA_LOSS),
    (errors.CommandFailed, StatusCode.INTERNAL),
    (CarobError, StatusCode.UNKNOWN),
)


def status_of(error: CarobError) -> StatusCode:
    """The status for an error."""
    return next(status for kind, status in STATUSES if isinstance(error, kind))


def details_of(error: CarobError) -> str:
    """The words that go with it: what happened, what to do. They travel as a header, so they are short."""
    found = f"{error.message} ({error.hint})" if error.hint else error.message
    return found if len(found) <= _MOST_LETTERS else f"{found[:_MOST_LETTERS]}…"
