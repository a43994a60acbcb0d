"""What a caller asks for: an app, its mounts, and the pod around them. Values; checked when made."""

from __future__ import annotations

import os

from carob.engine import inputs
from carob.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Literal

    from carob.engine.images import Pull

    Network = Literal["none", "host"]

_PULLS = ("new", "missing", "never", "always")
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_OWN_ANNOTATIONS = "carob/"


class Mount:
    """A directory or file of the host, seen by an app.

    ``source`` is an absolute path on the host that is there when the pod is prepared, ``target`` an absolute
    path in the app. ``recursive`` brings along what is mounted below the source.
    """

    __slots__ = ("read_only", "recursive", "source", "target")

    def __init__(
        self, source: str | os.PathLike[str], target: str, *, read_only: bool = False, recursive: bool = True
    ) -> None:
        self.source = inputs.absolute_path(source, "the source of a mount")
        self.target = inputs.absolute_path(target, "the target of a mount")
        self.read_only = inputs.flag(read_only, "read_only of a mount")
        self.recursive = inputs.flag(recursive, "recursive of a mount")
        if os.path.normpath(self.target) == "/":
            raise InvalidInput("nothing can be mounted over an app's root directory")

    def __repr__(self) -> str:
        return f"Mount({self.source!r}, {self.target!r}, read_only={self.read_only})"


class App:
    """One app: an image and what to run in it.

    - ``image``: a name or id of the local store.
    - ``args``: replaces the image's default arguments (its ``Cmd``); ``exec`` replaces its entry point.
    - ``name``: unique in the pod, made of ``a-z0-9-``; by default the last part of the image's name.
    - ``env``: added to the image's environment. ``user``: ``name|uid[:group|gid]``. ``workdir``: absolute.
    """

    __slots__ = ("args", "env", "exec", "image", "mounts", "name", "user", "workdir")

    def __init__(
        self,
        image: str,
        args: Sequence[str] = (),
        *,
        name: str | None = None,
        env: Mapping[str, str] | None = None,
        exec: str | None = None,  # noqa: A002 - rkt's and appc's word
        user: str | None = None,
        workdir: str | None = None,
        mounts: Sequence[Mount] = (),
    ) -> None:
        self.image = inputs.text(image, "an image's name")
        if not image:
            raise InvalidInput("an app needs an image")
        self.args = inputs.words(args, "args", one="an argument")
        self.name = None if name is None else check_app_name(name)
        self.env = inputs.environment(env, "env")
        self.exec = None if exec is None else inputs.word(exec, "exec")
        self.user = None if user is None else _checked_user(user)
        self.workdir = None if workdir is None else inputs.absolute_path(workdir, "a working directory")
        self.mounts = inputs.items(mounts, "mounts")
        if exec == "":
            raise InvalidInput("exec is a program, not an empty string")
        for mount in self.mounts:
            if not isinstance(mount, Mount):
                raise InvalidInput(
                    f"mounts are made with Mount, not {mount!r}", hint='Mount("/source", "/target")'
                )

    def __repr__(self) -> str:
        return f"App({self.image!r}, {list(self.args)!r}, name={self.name!r})"


def _checked_user(user: str) -> str:
    name, colon, group = inputs.text(user, "user").partition(":")
    if not name or (colon and not group):
        raise InvalidInput(f"{user!r} is no user", hint="a name or number, perhaps with :GROUP")
    return user


def check_app_name(name: str) -> str:
    """The name. Raises ``InvalidInput`` for what is no AC Name (appc, types.md)."""
    inputs.text(name, "an app's name")
    if not name or not _NAME_CHARACTERS.issuperset(name) or not all(name.split("-")):
        raise InvalidInput(
            f"{name!r} is no app name", hint="use lower-case letters, digits, and single - between them"
        )
    if len(name) > 200:
        raise InvalidInput("an app name has at most 200 characters")
    return name


def _check_annotation(name: str) -> None:
    """Raises ``InvalidInput`` for what is no AC Identifier (appc, types.md)."""
    plain = name
    for separator in "._~/":
        plain = plain.replace(separator, "-")
    if not name or not _NAME_CHARACTERS.issuperset(plain) or not all(plain.split("-")):
        raise InvalidInput(
            f"{name!r} is no name of an annotation",
            hint="use lower-case letters and digits, and single ._~/- between",
        )
    if name.startswith(_OWN_ANNOTATIONS):
        raise InvalidInput(f"the annotation {name!r} is for carob to write", hint="use a name of your own")


def app_name_from(image_name: str) -> str:
    """The name of an app that got none: the last part of its image's name, in the letters allowed."""
    last = image_name.rsplit("/", 1)[-1].partition("@")[0].partition(":")[0].lower()
    name = "".join([letter if letter in _NAME_CHARACTERS else "-" for letter in last])[:200]
    return "-".join([part for part in name.split("-") if part]) or "app"


class PodRequest:
    """A whole pod: its apps (at least one, names unique) and what they share.

    ``hostname`` is by default ``carob-<uuid>``; ``name`` is a label for people and need not be unique;
    ``grace_s`` is the time between the stop signal and SIGKILL. ``pull`` and ``insecure`` are those of
    ``Images.fetch``, for images that are not in the store.
    """

    __slots__ = (
        "annotations", "apps", "grace_s", "hostname", "insecure", "name", "network", "overlay", "pull",
        "runtime",
    )  # fmt: skip

    def __init__(
        self,
        apps: Sequence[App],
        *,
        name: str = "",
        network: Network = "none",
        hostname: str | None = None,
        grace_s: float = 10.0,
        runtime: str = "",
        overlay: bool = True,
        annotations: Mapping[str, str] | None = None,
        pull: Pull = "missing",
        insecure: str = "none",
    ) -> None:
        self.apps = _checked_apps(apps)
        self.name = inputs.text(name, "a pod's name")
        if network not in ("none", "host"):
            raise InvalidInput(f"unknown network {network!r}", hint="use none or host")
        self.network = network
        self.hostname = None if hostname is None else inputs.host_name(hostname)
        self.grace_s = inputs.seconds(grace_s, "a grace period", inputs.LONGEST_GRACE_S)
        self.runtime = inputs.text(runtime, "runtime")
        self.overlay = inputs.flag(overlay, "overlay")
        if pull not in _PULLS:
            raise InvalidInput(f"there is no pull policy {pull!r}", hint=f"one of {', '.join(_PULLS)}")
        self.pull = pull
        self.insecure = inputs.text(insecure, "insecure")
        self.annotations = inputs.texts(annotations, "annotations")
        for key in self.annotations:
            _check_annotation(key)


def _checked_apps(apps: Sequence[App]) -> tuple[App, ...]:
    found = inputs.items(apps, "apps")
    for app in found:
        if not isinstance(app, App):
            raise InvalidInput(
                f"apps are made with App, not {app!r}", hint='App("image", ["command", "argument"])'
            )
    if not found:
        raise InvalidInput("a pod needs at least one app")
    return found
