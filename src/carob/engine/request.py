"""What a caller asks for: an app, its mounts, and the pod around them. Values; checked when made."""

from __future__ import annotations

import os

from carob.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Literal

    Network = Literal["none", "host"]

LONGEST_GRACE_S = 365 * 86400
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


class Mount:
    """A directory or file of the host, seen by an app.

    ``source`` is an absolute path on the host that exists when the pod starts, ``target`` an absolute path in
    the app. ``recursive`` brings along what is mounted below the source.
    """

    __slots__ = ("read_only", "recursive", "source", "target")

    def __init__(
        self, source: str | os.PathLike[str], target: str, *, read_only: bool = False, recursive: bool = True
    ) -> None:
        self.source = os.fspath(source)
        self.target = target
        self.read_only = read_only
        self.recursive = recursive
        for path in (self.source, target):
            if not path.startswith("/") or "\0" in path:
                raise InvalidInput(f"a mount needs absolute paths, not {path!r}")
        if os.path.normpath(target) == "/":
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
        if isinstance(args, str):
            raise InvalidInput(
                "args is a sequence of words, not one string", hint='App(image, ["sh", "-c", "…"])'
            )
        self.image = image
        self.args = tuple(args)
        self.name = name
        self.env = dict(env or {})
        self.exec = exec
        self.user = user
        self.workdir = workdir
        self.mounts = tuple(mounts)
        if not image:
            raise InvalidInput("an app needs an image")
        if name is not None:
            check_app_name(name)
        _check_words(self.args, self.env, workdir)

    def __repr__(self) -> str:
        return f"App({self.image!r}, {list(self.args)!r}, name={self.name!r})"


def _check_words(args: tuple[object, ...], env: dict[str, str], workdir: str | None) -> None:
    for word in args:
        if not isinstance(word, str) or "\0" in word:
            raise InvalidInput(f"an argument is a string without NUL, not {word!r}")
    for key, value in env.items():
        if not key or "=" in key or "\0" in key + value:
            raise InvalidInput(f"not an environment variable: {key!r}={value!r}")
    if workdir is not None and not workdir.startswith("/"):
        raise InvalidInput(f"a working directory is an absolute path, not {workdir!r}")


def check_app_name(name: str) -> None:
    """Raises ``InvalidInput`` for what is no AC Name (appc, types.md)."""
    if not name or not _NAME_CHARACTERS.issuperset(name) or not all(name.split("-")):
        raise InvalidInput(
            f"{name!r} is no app name", hint="use lower-case letters, digits, and single - between them"
        )
    if len(name) > 200:
        raise InvalidInput("an app name has at most 200 characters")


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


def app_name_from(image_name: str) -> str:
    """The name of an app that got none: the last part of its image's name, in the letters allowed."""
    last = image_name.rsplit("/", 1)[-1].partition("@")[0].partition(":")[0].lower()
    name = "".join([letter if letter in _NAME_CHARACTERS else "-" for letter in last])[:200]
    return "-".join([part for part in name.split("-") if part]) or "app"


class PodRequest:
    """A whole pod: its apps (at least one, names unique) and what they share.

    ``hostname`` is by default ``carob-<uuid>``; ``name`` is a label for people and need not be unique;
    ``grace_s`` is the time between the stop signal and SIGKILL.
    """

    __slots__ = ("annotations", "apps", "grace_s", "hostname", "name", "network", "overlay", "runtime")

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
    ) -> None:
        if not apps:
            raise InvalidInput("a pod needs at least one app")
        if network not in ("none", "host"):
            raise InvalidInput(f"unknown network {network!r}", hint="use none or host")
        if not 0 <= grace_s <= LONGEST_GRACE_S:
            raise InvalidInput(f"a grace period is from 0 to {LONGEST_GRACE_S} seconds, not {grace_s!r}")
        if hostname is not None and not 0 < len(hostname) <= 64:
            raise InvalidInput(f"a host name has 1 to 64 characters: {hostname!r}")
        self.apps = tuple(apps)
        self.name = name
        self.network = network
        self.hostname = hostname
        self.grace_s = grace_s
        self.runtime = runtime
        self.overlay = overlay
        self.annotations = dict(annotations or {})
        for key in self.annotations:
            _check_annotation(key)
