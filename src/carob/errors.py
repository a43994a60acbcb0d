"""The errors of carob: one small tree, sorted by what the caller can do about them.

Every error says in one line what happened to what, may carry a hint that says what to do, and the uuid of
the pod that it is about. A failed system call is kept as ``__cause__``. All of them pickle.
"""

from __future__ import annotations


class CarobError(Exception):
    """The root of every error that carob raises on purpose.

    ``message`` is one line: what happened, to what. ``hint`` is one line on what to do, or ``""``. ``uuid``
    is that of the pod that it is about, or ``""``; after a start that failed it leads to what is left.
    """

    kind = "error"
    uuid = ""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self.__dict__.copy())


def _rebuild(cls: type[CarobError], message: str, state: dict[str, object]) -> CarobError:
    error = cls.__new__(cls)
    Exception.__init__(error, message)
    error.__dict__.update(state)
    return error


class InvalidInput(CarobError, ValueError):
    """What the caller gave cannot be right, now or later: mend the call."""

    kind = "invalid input"


class NotFound(CarobError, LookupError):
    """The named pod, app, image or file does not exist."""

    kind = "not found"


class Conflict(CarobError):
    """The thing is in a state that does not allow this, often because another was quicker."""

    kind = "conflict"


class LostRace(Conflict):
    """Another process made the transition first: a normal outcome, nothing was changed.

    ``state`` is where the pod was seen afterwards, one of the values of ``carob.pod.State``.
    """

    kind = "lost race"

    def __init__(self, message: str, *, state: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.state = state


class Rejected(CarobError):
    """A policy says no."""

    kind = "rejected by policy"


class PermissionDenied(CarobError):
    """The operating system says no to this user."""

    kind = "permission denied"


class Unsupported(CarobError):
    """This host or this version cannot do it."""

    kind = "unsupported here"


class Unavailable(CarobError):
    """Something that is needed did not answer; the same call may succeed later."""

    kind = "unavailable"


class OutOfResources(CarobError):
    """No space, memory, descriptors or processes are left."""

    kind = "out of resources"


class TimedOut(CarobError, TimeoutError):
    """The caller's time ran out; what was asked for may still come."""

    kind = "timed out"


class Cancelled(CarobError):
    """The caller called it off; nothing half-done shows, and the same call goes on where it was."""

    kind = "cancelled"


class CorruptData(CarobError):
    """Something on disk is not what its format says. The object is named; others are not affected."""

    kind = "corrupt data"


class CommandFailed(CarobError):
    """A program that carob ran failed.

    ``argv`` is what was run, ``status`` its exit status (negative: the signal), ``stderr`` the end of
    what it said.
    """

    kind = "failed command"

    def __init__(
        self,
        message: str,
        *,
        argv: tuple[str, ...] = (),
        status: int | None = None,
        stderr: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.argv = argv
        self.status = status
        self.stderr = stderr


class AppStartFailed(CommandFailed):
    """An app could not be started; ``code`` is what a shell would say: 127, 126, or 125 for the rest."""

    kind = "app not started"

    def __init__(self, message: str, *, app: str, code: int, hint: str = "") -> None:
        super().__init__(message, status=code, hint=hint)
        self.app = app
        self.code = code
