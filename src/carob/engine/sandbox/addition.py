"""What a caller asks for with an app that is added to a pod: a value, checked when made."""

from __future__ import annotations

from carob.engine.request import inputs
from carob.engine.request.life import LOG_PATH
from carob.engine.request.pod import App, check_app_name
from carob.errors import InvalidInput, Unsupported
from carob.protocol import life

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from carob.engine.request.pod import Pull

PRIVATE, POD, HOST, CONTAINER, OF_APP = "private", "pod", "host", "container", "app:"
PID = "carob/pid"
"""An annotation of the app in the manifest."""


class Addition:
    """An app and what goes with its being added.

    - ``pid``: whose processes it sees: ``private`` (``container``) its own, ``pod``, ``host``, or
      ``app:NAME`` those of another app; by default what the pod was made with.
    - ``log_path``: its log's absolute path, in a directory that is there; by default the pod's own.
    - ``labels`` and ``user_annotations``: words of the caller's own, of any form.
    - ``pull`` and ``insecure`` as for a pod.
    """

    __slots__ = ("app", "insecure", "labels", "log_path", "pid", "pid_of", "pull", "user_annotations")

    def __init__(
        self,
        app: App,
        *,
        pid: str | None = None,
        log_path: str | None = None,
        labels: Mapping[str, str] | None = None,
        user_annotations: Mapping[str, str] | None = None,
        pull: Pull = "missing",
        insecure: str = "none",
    ) -> None:
        if not isinstance(app, App):
            raise InvalidInput(f"an app is made with App, not {app!r}", hint='App("image", ["command"])')
        if app.life.role == life.INIT:
            raise InvalidInput("an app that is added is no init app", hint="nothing waits for its end")
        if app.life.probes:
            raise Unsupported("an app that is added has no probes", hint="carob run has them for its apps")
        self.app = app
        self.pid, self.pid_of = _pid(pid)
        self.log_path = None if log_path is None else _log_path(log_path)
        self.labels = inputs.texts(labels, "labels")
        self.user_annotations = inputs.texts(user_annotations, "user_annotations")
        self.pull: Pull = pull
        self.insecure = inputs.text(insecure, "insecure")

    def noted(self) -> dict[str, str]:
        """The annotations that the manifest has of it."""
        found = {} if self.log_path is None else {LOG_PATH: self.log_path}
        if self.pid is not None:
            found[PID] = f"{OF_APP}{self.pid_of}" if self.pid_of else self.pid
        return found

    def words(self) -> dict[str, dict[str, str]]:
        """What the manifest's ``app`` has of the caller's own words."""
        both = (("userAnnotations", self.user_annotations), ("userLabels", self.labels))
        return {key: words for key, words in both if words}


def _pid(word: str | None) -> tuple[str | None, str]:
    if word is None:
        return None, ""
    inputs.text(word, "pid")
    if word.startswith(OF_APP):
        return PRIVATE, check_app_name(word.removeprefix(OF_APP))
    if word == CONTAINER:
        return PRIVATE, ""
    if word not in (PRIVATE, POD, HOST):
        raise InvalidInput(f"pid is not {word!r}", hint="private, pod, host or app:NAME")
    return word, ""


def _log_path(path: str) -> str:
    found = inputs.absolute_path(path, "log_path")
    if found.rpartition("/")[2] in ("", ".", ".."):
        raise InvalidInput(f"log_path is the path of a file, not {path!r}")
    return found
