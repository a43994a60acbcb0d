"""From CRI's configuration of a container to an ``App``. Pure."""

from __future__ import annotations

from hashlib import sha256

from carob.engine.request.pod import App
from carob.engine.request.resources import UNLIMITED
from carob.errors import InvalidInput, Unsupported
from carob.service.cri import api_pb2 as api
from carob.service.cri.container_mounts import mounts
from carob.service.cri.container_resources import resources
from carob.service.cri.container_security import security, user

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.service.cri.container_security import HostFacts

_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_LONGEST_NAME = 150
_MARK_LETTERS = 12


def app_name(metadata: api.ContainerMetadata) -> str:
    """What a container is called in its pod: its name and attempt, which no other has. Where the name has
    letters that an app's has not, it is told apart by a part of its digest.
    """
    name = metadata.name
    plain = "".join([letter if letter in _LETTERS else "-" for letter in name.lower()])
    plain = "-".join([part for part in plain.split("-") if part])[:_LONGEST_NAME].strip("-")
    if plain != name:
        mark = sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:_MARK_LETTERS]
        plain = f"{plain}-{mark}" if plain else mark
    return f"{plain}-{metadata.attempt}"


def container_app(
    config: api.ContainerConfig, *, image: str, host: HostFacts, sandbox: api.PodSandboxConfig
) -> App:
    """The container as an app of the image with this id. Raises ``InvalidInput``, ``Unsupported``."""
    if not config.metadata.name:
        raise InvalidInput("a container needs metadata: a name")
    if config.CDI_devices:
        raise Unsupported("CDI devices are not known to carob", hint="name the devices themselves")
    context = config.linux.security_context
    ipc = sandbox.linux.security_context.namespace_options.ipc
    return App(
        image,
        [*config.command[1:], *config.args],
        name=app_name(config.metadata),
        exec=config.command[0] if config.command else None,
        env=_environment(config),
        user=user(context),
        workdir=_absolute(config.working_dir),
        mounts=mounts(config.mounts, ipc=ipc),
        security=security(config, host=host, sandbox_is_privileged=sandbox.linux.security_context.privileged),
        resources=resources(config.linux.resources, pids=UNLIMITED),  # the pod's own limit counts
        **_streams(config),
    )


def process_namespace(options: api.NamespaceOption, target: str) -> str:
    """Whose processes a container sees: the app's own, the pod's, the host's, or those of the app
    ``target``.
    """
    match options.pid:
        case api.POD:
            return "pod"
        case api.CONTAINER:
            return "container"
        case api.NODE:
            return "host"
        case api.TARGET if target:
            return f"app:{target}"
    raise InvalidInput(f"there is no process namespace {options.pid}")


def stop_signal(config: api.ContainerConfig) -> str | None:
    """The signal's name as carob writes it; ``None`` for the image's own."""
    if config.stop_signal == api.SIGNAL_RUNTIME_DEFAULT:
        return None
    try:
        name = api.Signal.Name(config.stop_signal).removeprefix("SIGNAL_SIG")
    except ValueError:
        raise InvalidInput(f"there is no signal {config.stop_signal}") from None
    if name.startswith("RT"):
        return _real_time(name)
    return {"CLD": "CHLD", "IOT": "ABRT", "POLL": "IO"}.get(name, name)


def _real_time(name: str) -> str:
    """``RTMAXMINUS2`` and ``RTMINPLUS3``, from the lowest: there are 31 between."""
    if name.startswith("RTMAX"):
        return f"RTMIN+{30 - int(name.removeprefix('RTMAX').removeprefix('MINUS') or 0)}"
    return f"RTMIN+{int(name.removeprefix('RTMIN').removeprefix('PLUS') or 0)}"


def _environment(config: api.ContainerConfig) -> dict[str, str]:
    try:
        return {one.key: one.value.decode() for one in config.envs}
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the environment holds what is no text: {error}") from None


def _absolute(directory: str) -> str | None:
    if not directory:
        return None
    return directory if directory.startswith("/") else f"/{directory}"


def _streams(config: api.ContainerConfig) -> dict[str, Any]:
    streams: dict[str, Any] = {"stop_signal": stop_signal(config)}
    if config.tty:
        streams["stdin"] = "tty"
    elif config.stdin:
        streams["stdin"] = "stream"
    return streams
