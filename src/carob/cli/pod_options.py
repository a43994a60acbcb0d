"""The options of ``run`` and ``prepare``, and the request that they make."""

from __future__ import annotations

import os

from carob.cli.app_grammar import AppWords, PodArguments, forgotten_dashes
from carob.cli.options import Arguments, Option, UsageError
from carob.cli.values import duration_s
from carob.cli.volumes import mounts, named_volumes
from carob.engine.request import App, PodRequest
from carob.errors import InvalidInput, NotFound, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.cli.context import Context
    from carob.engine.engine import Engine

FOR_APPS = (
    Option(
        "--env", "set a variable; NAME alone takes the caller's value", "NAME=VALUE", short="-e", many=True
    ),
    Option("--user", "run as this user (name or number), perhaps with :GROUP", "USER"),
    Option("--group", "run with this group (name or number); goes with --user", "GROUP"),
    Option("--workdir", "run in this directory of the app", "PATH", short="-w"),
    Option(
        "--volume",
        "SOURCE:TARGET[:ro] mounts a path of the host; NAME,kind=host,source=PATH[,readOnly=true] names one",
        "VOLUME",
        short="-v",
        many=True,
    ),
    Option("--mount", "mount a named volume", "volume=NAME,target=PATH", many=True),
)
"""Before the first image for every app, after an image for its app."""

FOR_ONE_APP = (
    Option("--name", "the app's name (default: from the image's name)", "NAME"),
    Option("--exec", "run this program instead of the image's", "PROGRAM"),
    *FOR_APPS,
)

FOR_POD = (
    Option("--name", "the pod's name, for people", "NAME"),
    *FOR_APPS,
    Option("--net", "the pod's network", "NETWORK", choices=("none", "host")),
    Option("--hostname", "the pod's host name (default: carob-UUID)", "NAME"),
    Option("--grace", "time between the stop signal and SIGKILL", "DURATION"),
    Option("--runtime", "the OCI runtime, by name or path", "RUNTIME"),
    Option("--no-overlay", "copy the images instead of mounting overlays on them"),
    Option(
        "--pod-manifest", "make the pod that an appc pod manifest describes (- is standard input)", "FILE"
    ),
    Option("--uuid-file-save", "write the pod's uuid to this file", "FILE"),
)

DETAILS = """\
Options before the first image are for the whole pod: there --name is the pod's name, and --env, --user,
--group, --workdir, --volume and --mount are for every app. After an image they are for that app, as is
--exec. All other options may stand before or after images. -- begins an app's arguments, --- ends them."""


def request(arguments: Arguments, context: Context) -> PodRequest:
    """The pod that was asked for. Raises ``UsageError`` and what a request raises."""
    assert isinstance(arguments, PodArguments)
    settings = context.settings
    common: dict[str, Any] = {
        "name": arguments.text("--name"),
        "hostname": arguments.text("--hostname") or None,
        "grace_s": settings.seconds("grace_s"),
        "runtime": arguments.text("--runtime") or settings.text("runtime"),
        "overlay": settings.flag("overlay") and not arguments.has("--no-overlay"),
    }
    if arguments.has("--grace"):
        common["grace_s"] = duration_s(arguments.text("--grace"), "--grace")
    if arguments.has("--pod-manifest"):
        return _from_manifest(arguments, context, common)
    if not arguments.apps:
        raise UsageError("no image was given", hint="such as: carob run busybox -- echo hi")
    network: Any = arguments.text("--net") or settings.text("network")
    everywhere = [arguments, *(app.options for app in arguments.apps)]
    volumes = named_volumes([text for options in everywhere for text in options.texts("--volume")])
    apps = [_app(app, arguments, volumes) for app in arguments.apps]
    volumes.refuse_unused()
    return PodRequest(apps, network=network, **common)


def _from_manifest(arguments: PodArguments, context: Context, common: dict[str, Any]) -> PodRequest:
    given = [option.name for option in FOR_APPS if arguments.has(option.name)]
    if arguments.apps or given:
        what = given[0] if given else f"the image {arguments.apps[0].image}"
        raise UsageError(f"--pod-manifest and {what} do not go together", hint="the manifest says it all")
    from carob.engine import pod_manifest

    path = arguments.text("--pod-manifest")
    try:
        return pod_manifest.request(
            _read(path),
            context.engine.images,
            network=arguments.text("--net"),
            default_network=context.settings.text("network"),
            **common,
        )
    except (InvalidInput, Unsupported, NotFound) as error:
        error.message = f"{path}: {error.message}"
        raise


def _read(path: str) -> bytes:
    try:
        with open(0 if path == "-" else path, "rb", closefd=path != "-") as file:
            return file.read()
    except OSError as error:
        raise NotFound(f"the pod manifest cannot be read: {error.strerror}") from error


def _app(words: AppWords, pod: Arguments, volumes: Any) -> App:
    own = words.options
    environment = dict(_variable(text) for text in (*pod.texts("--env"), *own.texts("--env")))
    user, group = (own.text(name) or pod.text(name) for name in ("--user", "--group"))
    if group and not user:
        raise UsageError("--group goes with --user", hint="such as --user=0 --group=GROUP")
    if group and ":" in user:
        raise UsageError(f"the group is given twice: --user={user} --group={group}")
    return App(
        words.image,
        words.arguments or (),
        name=own.text("--name") or None,
        env=environment,
        exec=own.text("--exec") or None,
        user=f"{user}:{group}" if group else user or None,
        workdir=own.text("--workdir") or pod.text("--workdir") or None,
        mounts=mounts([*pod.texts("--volume"), *own.texts("--volume")],
                      [*pod.texts("--mount"), *own.texts("--mount")], volumes),
    )  # fmt: skip


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name:
        raise UsageError(f"--env: {text!r} has no name", hint="such as --env=NAME=VALUE")
    if not equals:
        found = os.environ.get(name)
        if found is None:
            raise UsageError(f"--env: {name} is not set here", hint=f"such as --env={name}=VALUE")
        return name, found
    return name, value


def docker_hint(arguments: Arguments, engine: Engine) -> str:
    """After an image was not found: a hint where it was a command, because its image is there."""
    assert isinstance(arguments, PodArguments)
    hint = forgotten_dashes(arguments.apps)
    if hint:
        try:
            engine.images.resolve(arguments.apps[0].image)
        except NotFound:
            return ""
    return hint
