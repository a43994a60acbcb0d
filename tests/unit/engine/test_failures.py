"""Failed system calls become carob's errors, with what could not be done and with the pod."""

from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path

import pytest

from carob.engine.failures import Attempt, is_shortage
from carob.errors import AppStartFailed, CarobError, NotFound, OutOfResources, TimedOut


def test_a_failed_system_call_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught, Attempt("pod x cannot be read", "x"):
        os.open(tmp_path / "missing", os.O_RDONLY)
    assert (caught.value.message, caught.value.uuid) == (
        "pod x cannot be read: No such file or directory",
        "x",
    )
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_carobs_own_errors_get_the_pod_and_stay_what_they_are() -> None:
    first = TimedOut("late")  # an ``OSError`` as well
    with pytest.raises(TimedOut) as caught, Attempt("nothing", "x"):
        raise first
    assert caught.value is first
    assert first.uuid == "x"
    with pytest.raises(TimedOut), Attempt("nothing", "y"):
        raise first
    assert first.uuid == "x"


@pytest.mark.parametrize("error", [TimeoutError("of the caller's alarm"), KeyboardInterrupt(), KeyError("x")])
def test_what_is_no_failed_system_call_passes(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, Attempt("nothing", "x"):
        raise error
    assert caught.value is error


def test_the_uuid_of_an_error_outlives_pickling() -> None:
    error = AppStartFailed("m", app="a", code=127)
    assert error.uuid == ""
    error.uuid = "x"
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.uuid, copy.code, CarobError("m").uuid) == ("x", 127, "")


def test_what_counts_as_a_shortage() -> None:
    told = OutOfResources("no")
    told.__cause__ = OSError(errno.EMFILE, "too many")
    late = TimedOut("late")
    late.__cause__ = OSError(errno.ENOMEM, "none")
    assert all(map(is_shortage, [OSError(errno.EMFILE, "x"), OSError(errno.ENFILE, "x"), told, late]))
    others = [OSError(errno.ENOENT, "x"), OSError("x"), OutOfResources("x"), ValueError("x")]
    assert not any(map(is_shortage, others))
