"""The options of ``run`` and ``prepare``, and the request that they make."""

from __future__ import annotations

from carob.cli import life_options, resource_options, security_options, volumes
from carob.cli.app_grammar import AppWords, PodArguments, forgotten_dashes
from carob.cli.log_options import LOG_DRIVER, LOG_OPT, log_limits
from carob.cli.network_options import FOR_NETWORKS, networks
from carob.cli.options import Arguments, Option, UsageError
from carob.cli.user_namespace_options import FOR_USER_NAMESPACE, user_namespace
from carob.cli.values import duration_s, variable
from carob.engine.request.pod import App, PodRequest
from carob.errors import InvalidInput, NotFound, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from carob.cli.context import Context
    from carob.engine.engine import Engine
    from carob.engine.request.options import PodOptions

_LONGEST_MANIFEST_BYTES = 8 << 20

FOR_APPS = (
    Option(
        "--env", "set a variable; NAME alone takes the caller's value", "NAME=VALUE", short="-e", many=True
    ),
    Option("--user", "run as this user (name or number), perhaps with :GROUP", "USER"),
    Option("--group", "run with this group (name or number); goes with --user", "GROUP"),
    Option("--workdir", "run in this directory of the app", "PATH", short="-w"),
    *volumes.FOR_APPS,
    *life_options.FOR_APPS,
    *security_options.FOR_APPS,
    *resource_options.RESOURCES,
)
"""Before the first image for every app, after an image for its app."""

FOR_ONE_APP = (
    Option("--name", "the app's name (default: from the image's name)", "NAME"),
    Option("--exec", "run this program instead of the image's", "PROGRAM"),
    *life_options.FOR_ONE_APP,
    *FOR_APPS,
)

FOR_POD = (
    Option("--name", "the pod's name, for people", "NAME"),
    *FOR_APPS,
    *FOR_NETWORKS,
    Option("--hostname", "the pod's host name (default: carob-UUID)", "NAME"),
    resource_options.POD_LIMITS,
    Option("--cgroup-parent", "make the pod's control group below this one, or slice", "PATH"),
    Option(
        "--cgroups",
        "split: stay in the control group of the caller's systemd unit",
        "WHERE",
        choices=("enabled", "split"),
    ),
    Option("--sysctl", "set a kernel parameter of the pod's own namespaces", "NAME=VALUE", many=True),
    Option(
        "--pid", "whose processes an app sees (default: private)", "WHOSE", choices=("private", "pod", "host")
    ),
    Option(
        "--ipc", "whose shared memory, queues (default: pod)", "WHOSE", choices=("private", "pod", "host")
    ),
    Option("--uts", "whose host name (default: pod)", "WHOSE", choices=("pod", "host")),
    *FOR_USER_NAMESPACE,
    Option(
        "--isolation",
        "none: one app on the host itself, in a root of its own (rkt's fly)",
        "KIND",
        choices=("default", "none"),
    ),
    Option("--grace", "time between the stop signal and SIGKILL", "DURATION"),
    Option("--runtime", "the OCI runtime, by name or path", "RUNTIME"),
    Option(
        "--pull",
        "when to ask where an image comes from (default: missing)",
        "WHEN",
        choices=("new", "missing", "never", "always"),
    ),
    Option("--insecure-options", "what not to check when fetching: image, tls, http, pubkey", "WORDS"),
    LOG_DRIVER,
    LOG_OPT,
    Option("--no-overlay", "copy the images instead of mounting overlays on them"),
    Option(
        "--pod-manifest", "make the pod that an appc pod manifest describes (- is standard input)", "FILE"
    ),
    Option("--uuid-file-save", "write the pod's uuid to this file", "FILE"),
)

DETAILS = """\
Options before the first image are for the whole pod: there --name is the pod's name, and what an app can
have too, such as --env, --user, --volume, --cap-drop or --memory, is for every app. After an image they are
for that app, as is --exec. All other options may stand before or after images. -- begins an app's arguments,
--- ends them."""


def request(arguments: Arguments, context: Context) -> PodRequest:
    """The pod that was asked for. Raises ``UsageError`` and what a request raises."""
    assert isinstance(arguments, PodArguments)
    options = keywords(arguments, context)
    if arguments.has("--pod-manifest"):
        return _from_manifest(arguments, context, options)
    if not arguments.apps:
        raise UsageError("no image was given", hint="such as: carob run busybox -- echo hi")
    return PodRequest(apps(arguments, arguments.apps), **options)


def apps(pod: Arguments, wanted: Sequence[AppWords]) -> list[App]:
    """The apps, each with what is said for all of them. Raises as ``request`` does."""
    everywhere = [pod, *(app.options for app in wanted)]
    named = volumes.named_volumes([text for given in everywhere for text in given.texts("--volume")])
    found = [_app(app, pod, named) for app in wanted]
    named.refuse_unused()
    return found


def keywords(arguments: Arguments, context: Context) -> PodOptions:
    """What was asked for beside the apps. Raises ``UsageError``."""
    settings = context.settings
    options: PodOptions = {
        "hostname": arguments.text("--hostname") or None,
        "grace_s": settings.seconds("grace_s"),
        "runtime": arguments.text("--runtime") or settings.text("runtime"),
        "overlay": settings.flag("overlay") and not arguments.has("--no-overlay"),
    }
    pull: Any = arguments.text("--pull") or settings.text("pull")
    options["pull"] = pull
    options["insecure"] = arguments.text("--insecure-options") or "none"
    options["log_limits"] = log_limits(arguments, settings)
    driver: Any = arguments.text("--log-driver") or "k8s-file"
    options["log_driver"] = driver
    _take_shared(arguments, options)
    if arguments.has("--name"):
        options["name"] = arguments.text("--name")
    if arguments.has("--grace"):
        options["grace_s"] = duration_s(arguments.text("--grace"), "--grace")
    has_own = arguments.has("--pod-manifest") or arguments.text("--isolation") == "none"
    options.update(networks(arguments, None if has_own else settings))
    return options


def _take_shared(arguments: Arguments, options: PodOptions) -> None:
    """What all apps have in common beside the network, where it is asked for."""
    if (limits := resource_options.pod_limits(arguments)) is not None:
        options["resources"] = limits
    if arguments.has("--cgroup-parent"):
        options["cgroup_parent"] = arguments.text("--cgroup-parent")
    if arguments.has("--sysctl"):
        options["sysctls"] = security_options.sysctls(arguments.texts("--sysctl"))
    options.update(user_namespace(arguments))
    kinds = ("pid", "ipc", "uts", "isolation", "cgroups")
    words: Any = {kind: word for kind in kinds if (word := arguments.text(f"--{kind}"))}
    if words.get("isolation") == "none":
        for kind in ("pid", "ipc", "uts"):
            if words.get(kind, "host") != "host":
                raise UsageError(f"--isolation=none and --{kind}={words[kind]} do not go together")
    options.update(words)


def _from_manifest(arguments: PodArguments, context: Context, options: PodOptions) -> PodRequest:
    given = [option.name for option in FOR_APPS if arguments.has(option.name)]
    if arguments.apps or given:
        what = given[0] if given else f"the image {arguments.apps[0].image}"
        raise UsageError(f"--pod-manifest and {what} do not go together", hint="the manifest says it all")
    from carob.engine.rkt import manifest as pod_manifest

    path = arguments.text("--pod-manifest")
    try:
        return pod_manifest.request(
            _read(path),
            context.engine.images,
            default_network=context.settings.text("network"),
            **options,
        )
    except (InvalidInput, Unsupported, NotFound) as error:
        error.message = f"{path}: {error.message}"
        raise


def _read(path: str) -> bytes:
    try:
        with open(0 if path == "-" else path, "rb", closefd=path != "-") as file:
            raw = file.read(_LONGEST_MANIFEST_BYTES + 1)
    except OSError as error:
        raise NotFound(f"the pod manifest cannot be read: {error.strerror}") from error
    if len(raw) > _LONGEST_MANIFEST_BYTES:
        raise InvalidInput(f"the pod manifest is longer than {_LONGEST_MANIFEST_BYTES} bytes")
    return raw


def _app(words: AppWords, pod: Arguments, named: volumes.NamedVolumes) -> App:
    own = words.options
    environment = dict(variable(text, "--env") for text in (*pod.texts("--env"), *own.texts("--env")))
    user, group = (own.text(name) or pod.text(name) for name in ("--user", "--group"))
    if group and not user:
        raise UsageError("--group goes with --user", hint="such as --user=0 --group=GROUP")
    if group and ":" in user:
        raise UsageError(f"the group is given twice: --user={user} --group={group}")
    mounts = volumes.mounts([pod, own], named)
    if pod.has("--sdnotify"):
        from carob.cli import sdnotify

        variables, more = sdnotify.for_app(pod)
        environment |= variables
        mounts = [*mounts, *more]
    return App(
        words.image,
        words.arguments or (),
        name=own.text("--name") or None,
        env=environment,
        exec=own.text("--exec") or None,
        user=f"{user}:{group}" if group else user or None,
        workdir=own.text("--workdir") or pod.text("--workdir") or None,
        mounts=mounts,
        files=volumes.files([pod, own]),
        security=security_options.security(pod, own),
        resources=resource_options.resources(pod, own),
        **life_options.life(pod, own),
    )  # fmt: skip


def docker_hint(arguments: Arguments, engine: Engine) -> str:
    """After an image was not found: a hint where it was a command, because its image is there."""
    assert isinstance(arguments, PodArguments)
    hint = forgotten_dashes(arguments)
    if hint:
        try:
            engine.images.resolve(arguments.apps[0].image)
        except NotFound:
            return ""
    return hint
