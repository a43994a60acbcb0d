"""What follows for an app from what happens to it, whatever the order."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from carob.protocol import life
from carob.protocol import plan as plans
from carob.supervisor.apps import BEGIN, App
from carob.supervisor.course import Course


def test_an_app_that_has_ended_before_the_runtime_is_signaled_no_more(
    tmp_path: Path, kill_at_end: Callable[[int], None]
) -> None:
    """Its number may be another process's by then."""
    (tmp_path / plans.LOG_DIRECTORY).mkdir(parents=True)
    pod = os.open(tmp_path, os.O_RDONLY)
    app = App({"name": "web", "stop_signal": 15}, "", pod)
    init = SimpleNamespace(apps={"web": app}, adding=object(), plan={"grace_s": 10})
    course = Course(init)  # type: ignore[arg-type]
    app.state, app.doing = life.STARTING, BEGIN
    app.runtime_pid = os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "1000")
    kill_at_end(app.runtime_pid)
    app.pid = os.spawnlp(os.P_NOWAIT, "true", "true")
    _, status = os.waitpid(app.pid, 0)
    course.ended(app, status)
    course.stop("stopped", "asked to", grace_s=0.0)
    course.act(time.monotonic() + 1)
    assert os.waitpid(app.runtime_pid, 0) == (app.runtime_pid, 9), (
        "what is at work for it is ended all the same"
    )
    assert app.early_status == status
    os.close(app.log.fd)
    os.close(pod)
