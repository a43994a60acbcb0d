"""What a caller asks for: an app, its mounts, and the pod around them. Values; checked when made."""

from __future__ import annotations

from carob.engine.request import inputs, shared
from carob.engine.request.life import Life
from carob.engine.request.mounts import check_shared, checked
from carob.errors import InvalidInput
from carob.pod.layout import MUTABLE_ANNOTATION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Literal, Unpack

    from carob.engine.request.life import LifeOptions
    from carob.engine.request.log_limits import LogLimits
    from carob.engine.request.mounts import File, Mount
    from carob.engine.request.networking import Networking
    from carob.engine.request.resources import Resources
    from carob.engine.request.security import Security
    from carob.engine.request.user_namespace import UserNamespace

    Pull = Literal["new", "missing", "never", "always"]
    Network = str | Sequence[str]
    Hosts = Mapping[str, str] | Sequence[str]

_PULLS = ("new", "missing", "never", "always")
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_LONGEST_NAME = 253
_OWN_ANNOTATIONS = "carob/"


class App:
    """One app: an image and what to run in it.

    - ``image``: a name or id of the local store.
    - ``args``: replaces the image's default arguments (its ``Cmd``); ``exec`` replaces its entry point.
    - ``name``: unique in the pod, made of ``a-z0-9-``; by default the last part of the image's name.
    - ``env``: added to the image's environment. ``user``: ``name|uid[:group|gid]``. ``workdir``: absolute.
    - ``mounts`` and ``files``: what it sees beside its image (``carob.engine.request.mounts``).
    - ``security``: what it may do; ``resources``: what it may take. With ``image_isolators`` what an ACI asks
      for of the kind holds, where nothing else is said.
    - ``role``, ``restart``, ``stop_signal``, ``stop_timeout_s``, ``stdin``, ``stdout``, ``stderr``: those of
      ``carob.engine.request.life.Life``.
    """

    __slots__ = (
        "args", "env", "exec", "files", "image", "image_isolators", "life", "mounts", "name", "resources",
        "security", "user", "workdir",
    )  # fmt: skip

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
        files: Sequence[File] = (),
        security: Security | None = None,
        resources: Resources | None = None,
        image_isolators: bool = True,
        **life: Unpack[LifeOptions],
    ) -> None:
        self.life = Life(**life)
        self.image = inputs.text(image, "an image's name")
        if not image:
            raise InvalidInput("an app needs an image")
        self.args = inputs.words(args, "args", one="an argument")
        self.name = None if name is None else check_app_name(name)
        self.env = inputs.environment(env, "env")
        self.exec = None if exec is None else inputs.word(exec, "exec")
        self.user = None if user is None else _checked_user(user)
        self.workdir = None if workdir is None else inputs.absolute_path(workdir, "a working directory")
        self.mounts, self.files = checked(mounts, files)
        self.security = shared.security(security)
        self.resources = shared.resources(resources)
        self.image_isolators = inputs.flag(image_isolators, "image_isolators")
        if exec == "":
            raise InvalidInput("exec is a program, not an empty string")

    def __repr__(self) -> str:
        return f"App({self.image!r}, {list(self.args)!r}, name={self.name!r})"


def _checked_user(user: str) -> str:
    name, colon, group = inputs.text(user, "user").partition(":")
    if not name or (colon and not group):
        raise InvalidInput(f"{user!r} is no user", hint="a name or number, perhaps with :GROUP")
    return user


def _checked_name(name: object) -> str:
    """A pod's name: any text, but no longer than Kubernetes has them and a list can show."""
    found = inputs.text(name, "a pod's name")
    if len(found) > _LONGEST_NAME:
        raise InvalidInput(f"a pod's name has {len(found)} characters; {_LONGEST_NAME} are the most")
    return found


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
    if name.startswith(_OWN_ANNOTATIONS) or name == MUTABLE_ANNOTATION:
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

    ``network`` is ``"none"`` (loopback alone), ``"host"``, or names networks as ``carob run --net`` does
    (``"default"``, ``"web:IP=10.1.2.3"``), several with commas between or in a sequence. It is ``"none"``
    where it is not given, and ``"default"`` where there are ``ports``: ports of the host that lead to the
    pod, such as ``"8080:80"``, ``"127.0.0.1:53:53/udp"``, or ``"http:8080"`` for one that an image names.
    ``dns`` and its like make the pod's ``resolv.conf``; ``dns=["host"]`` is the host's, ``dns=["none"]`` the
    image's own. ``hosts`` are more names for its ``/etc/hosts``, each with its address.

    ``resources`` are those of all apps together, and ``cgroup_parent`` the control group, such as
    ``/machine.slice`` or ``machine.slice``, below which the pod's is made; with ``cgroups`` ``split`` it is
    made below the caller's own, a systemd unit's with Delegate=yes, and all of the pod stays there.
    ``sysctls`` are kernel parameters of its own namespaces (``net.*``, ``fs.mqueue.*``, ``kernel.msg*``,
    ``sem``, ``shm*``). ``pid``: each app sees its own processes (``private``), those of the whole ``pod``, or
    the ``host``'s; ``ipc``: System V's and message queues of the ``pod``, of each app, or of the ``host``;
    ``uts``: the host name, the pod's or the ``host``'s.
    ``userns`` ``auto`` gives it users and groups of its own, 65536 unless it is ``auto:size=N``: root in it
    is a user of the host that can do nothing there. ``uidmap`` and ``gidmap`` say who is who,
    ``POD:HOST:COUNT``.
    ``isolation`` ``none`` runs one app with a root of its own and nothing else: on the host's network, among
    its processes, with its ``/dev``, ``/proc`` and ``/sys``, and all that the caller may do.
    ``log_limits`` bound the log of each app; ``log_driver`` ``journald`` has a journal beside the logs, which
    ``journalctl -D`` reads (``carob.pod.Pod.journal_log_path``).

    ``labels`` and ``user_annotations`` are words of the caller's own, of any form, that are kept and shown.
    A ``mutable`` pod begins without apps, which come and go while it runs (``carob.engine.sandbox``).
    """

    __slots__ = (
        "annotations", "apps", "cgroup_parent", "cgroups", "gidmap", "grace_s", "hostname", "insecure", "ipc",
        "isolation", "labels", "log_driver", "log_limits", "mutable", "name", "networking", "overlay", "pid",
        "pull", "resources", "runtime", "sysctls", "uidmap", "user_annotations", "user_namespace", "userns",
        "uts",
    )  # fmt: skip

    def __init__(
        self,
        apps: Sequence[App],
        mutable: bool = False,
        *,
        name: str = "",
        network: Network | None = None,
        ports: Sequence[str] = (),
        dns: Sequence[str] = (),
        dns_search: Sequence[str] = (),
        dns_domain: str = "",
        dns_options: Sequence[str] = (),
        hosts: Hosts = (),
        hostname: str | None = None,
        grace_s: float = 10.0,
        runtime: str = "",
        overlay: bool = True,
        annotations: Mapping[str, str] | None = None,
        pull: Pull = "missing",
        insecure: str = "none",
        log_driver: Literal["k8s-file", "journald"] = "k8s-file",
        log_limits: LogLimits | None = None,
        resources: Resources | None = None,
        cgroup_parent: str = "",
        cgroups: Literal["enabled", "split"] = "enabled",
        sysctls: Mapping[str, str] | None = None,
        pid: Literal["private", "pod", "host"] = "private",
        ipc: Literal["private", "pod", "host"] = "pod",
        uts: Literal["pod", "host"] = "pod",
        userns: str = "host",
        uidmap: Sequence[str] = (),
        gidmap: Sequence[str] = (),
        isolation: Literal["default", "none"] = "default",
        labels: Mapping[str, str] | None = None,
        user_annotations: Mapping[str, str] | None = None,
    ) -> None:
        self.mutable = inputs.flag(mutable, "mutable")
        self.apps = _checked_apps(apps) if not mutable else _no_apps(apps, isolation)
        self.labels = inputs.texts(labels, "labels")
        self.user_annotations = inputs.texts(user_annotations, "user_annotations")
        self.isolation = shared.isolation(isolation)
        if isolation == "none":
            from carob.engine.request import bare

            of_host: Any = bare.of_the_host(self.apps, network, {"pid": pid, "ipc": ipc, "uts": uts})
            network, pid, ipc, uts = (of_host[kind] for kind in ("network", "pid", "ipc", "uts"))
        self.name = _checked_name(name)
        self.networking: Networking | None = None
        if network not in (None, "none") or ports or dns or dns_search or dns_domain or dns_options or hosts:
            from carob.engine.request.networking import networking

            self.networking = networking(
                network, ports=ports, dns=dns, dns_search=dns_search, dns_domain=dns_domain,
                dns_options=dns_options, hosts=hosts,
            )  # fmt: skip
        self.hostname = None if hostname is None else inputs.host_name(hostname)
        self.grace_s = inputs.seconds(grace_s, "a grace period", inputs.LONGEST_GRACE_S)
        self.runtime = inputs.text(runtime, "runtime")
        self.overlay = inputs.flag(overlay, "overlay")
        if pull not in _PULLS:
            raise InvalidInput(f"there is no pull policy {pull!r}", hint=f"one of {', '.join(_PULLS)}")
        self.pull = pull
        self.insecure = inputs.text(insecure, "insecure")
        self.log_driver, self.log_limits = shared.logs(log_driver, log_limits)
        self.annotations = inputs.texts(annotations, "annotations")
        for key in self.annotations:
            _check_annotation(key)
        self.resources = shared.resources(resources)
        self.cgroup_parent = shared.cgroup_parent(cgroup_parent)
        self.cgroups = shared.cgroups(cgroups, self.cgroup_parent)
        self.pid, self.ipc, self.uts = shared.namespaces(pid, ipc, uts)
        self.userns = userns
        self.uidmap, self.gidmap = inputs.items(uidmap, "uidmap"), inputs.items(gidmap, "gidmap")
        self.user_namespace: UserNamespace | None = None
        if userns != "host" or uidmap or gidmap:
            from carob.engine.request.user_namespace import user_namespace

            kinds = {"pid": pid, "ipc": ipc, "isolation": isolation}
            self.user_namespace = user_namespace(userns, uidmap, gidmap, kinds)
        self.sysctls = shared.sysctls(sysctls, network=self.network_kind, ipc=ipc, uts=uts)
        if uts == "host" and hostname is not None:
            raise InvalidInput("a pod with the host's name cannot be given another")

    def notes(self) -> dict[str, dict[str, str]]:
        """What the manifest has of users' own words."""
        return {
            key: words
            for key, words in (("userAnnotations", self.user_annotations), ("userLabels", self.labels))
            if words
        }

    @property
    def network(self) -> str:
        """The networks as ``--net`` takes them."""
        return "none" if self.networking is None else str(self.networking.wanted)

    @property
    def network_kind(self) -> str:
        """What a supervisor is started for: ``none``, ``host``, or ``cni`` for all others."""
        return "none" if self.networking is None else self.networking.kind


def _no_apps(apps: Sequence[App], isolation: str) -> tuple[App, ...]:
    if inputs.items(apps, "apps"):
        raise InvalidInput("a mutable pod begins without apps", hint="add them once it runs: PodHandle.add")
    if isolation == "none":
        raise InvalidInput("a mutable pod has isolation", hint="without, a pod has one app, from the start")
    return ()


def _checked_apps(apps: Sequence[App]) -> tuple[App, ...]:
    found = inputs.items(apps, "apps")
    for app in found:
        if not isinstance(app, App):
            raise InvalidInput(
                f"apps are made with App, not {app!r}", hint='App("image", ["command", "argument"])'
            )
    if not found:
        raise InvalidInput("a pod needs at least one app")
    check_shared(found)
    if all(app.life.role != "main" for app in found):
        raise InvalidInput("a pod needs at least one main app", hint="init apps and sidecars go with others")
    return found
