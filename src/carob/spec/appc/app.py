"""What an image runs: the app section of image and pod manifests.

Source: appc specification 0.8.11, "Image Manifest Schema", key ``app``.
"""

from __future__ import annotations

from carob.spec.appc.array import Array
from carob.spec.appc.codec import INT, STRING
from carob.spec.appc.compound import STRING_MAP, ArrayOf, CheckedObjectOf, MergedObjectOf
from carob.spec.appc.fault import FieldError
from carob.spec.appc.isolator import ISOLATORS
from carob.spec.appc.named import ENVIRONMENT
from carob.spec.appc.port import PORT
from carob.spec.appc.record import Field, Record
from carob.spec.appc.volume import MOUNT_POINT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from carob.spec.appc.array import StringMap
    from carob.spec.appc.isolator import Isolator, Isolators
    from carob.spec.appc.named import Environment, EnvironmentVariable
    from carob.spec.appc.port import Port
    from carob.spec.appc.volume import MountPoint

_ARGUMENTS = ArrayOf(STRING)


class EventHandler(Record):
    """A command for a moment in an app's life: ``name`` is ``"pre-start"`` or ``"post-stop"``."""

    __slots__ = ("exec", "name")
    FIELDS = (Field("name", "name", STRING), Field("exec", "exec", _ARGUMENTS))
    name: str
    exec: Array[str]

    def __init__(
        self,
        name: str,
        exec: Iterable[str],  # noqa: A002
        *,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        self._fill(extra, name=name, exec=exec)

    def check(self) -> None:
        if self.name not in ("pre-start", "post-stop"):
            raise FieldError(f"must be 'pre-start' or 'post-stop', not {self.name!r}", path="name")


class App(Record):
    """How to run an app.

    ``exec`` is the command with its arguments; ``user`` and ``group`` are names, numbers, or paths in the
    image whose owner counts; ``working_directory`` is an absolute path or ``""``.
    """

    __slots__ = (
        "environment",
        "event_handlers",
        "exec",
        "group",
        "isolators",
        "mount_points",
        "ports",
        "supplementary_gids",
        "user",
        "user_annotations",
        "user_labels",
        "working_directory",
    )
    FIELDS = (
        Field("exec", "exec", _ARGUMENTS),
        Field("event_handlers", "eventHandlers", ArrayOf(CheckedObjectOf(EventHandler)), omit_empty=True),
        Field("user", "user", STRING),
        Field("group", "group", STRING),
        Field("supplementary_gids", "supplementaryGIDs", ArrayOf(INT), omit_empty=True),
        Field("working_directory", "workingDirectory", STRING, omit_empty=True),
        Field("environment", "environment", ENVIRONMENT, omit_empty=True),
        Field("mount_points", "mountPoints", ArrayOf(MOUNT_POINT), omit_empty=True),
        Field("ports", "ports", ArrayOf(PORT), omit_empty=True),
        Field("isolators", "isolators", ISOLATORS, omit_empty=True),
        Field("user_annotations", "userAnnotations", STRING_MAP, omit_empty=True),
        Field("user_labels", "userLabels", STRING_MAP, omit_empty=True),
    )
    exec: Array[str]
    event_handlers: Array[EventHandler]
    user: str
    group: str
    supplementary_gids: Array[int]
    working_directory: str
    environment: Environment
    mount_points: Array[MountPoint]
    ports: Array[Port]
    isolators: Isolators
    user_annotations: StringMap
    user_labels: StringMap

    def __init__(
        self,
        exec: Iterable[str] | None = None,  # noqa: A002
        *,
        user: str = "0",
        group: str = "0",
        event_handlers: Iterable[EventHandler] | None = None,
        supplementary_gids: Iterable[int] | None = None,
        working_directory: str = "",
        environment: Mapping[str, str] | Iterable[EnvironmentVariable] | None = None,
        mount_points: Iterable[MountPoint] | None = None,
        ports: Iterable[Port] | None = None,
        isolators: Iterable[Isolator] | None = None,
        user_annotations: Mapping[str, str] | None = None,
        user_labels: Mapping[str, str] | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        self._fill(
            extra,
            exec=exec,
            event_handlers=event_handlers,
            user=user,
            group=group,
            supplementary_gids=supplementary_gids,
            working_directory=working_directory,
            environment=environment,
            mount_points=mount_points,
            ports=ports,
            isolators=isolators,
            user_annotations=user_annotations,
            user_labels=user_labels,
        )

    def check(self) -> None:
        if not self.user:
            raise FieldError("must be set", path="user")
        if not self.group:
            raise FieldError("must be set", path="group")
        if self.working_directory and not self.working_directory.startswith("/"):
            raise FieldError("must be an absolute path", path="workingDirectory")
        names = [handler.name for handler in self.event_handlers]
        if len(set(names)) < len(names):
            raise FieldError("there may be one handler for each event", path="eventHandlers")
        self.isolators.check_set()


APP = MergedObjectOf(App)
