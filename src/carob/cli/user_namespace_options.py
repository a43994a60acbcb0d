"""The options for a pod's own users and groups: podman's words, and rkt's."""

from __future__ import annotations

from carob.cli.options import Arguments, Option, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.engine.request.options import PodOptions

USERNS, PRIVATE_USERS = "--userns", "--private-users"
UIDMAP, GIDMAP = "--uidmap", "--gidmap"

FOR_USER_NAMESPACE = (
    Option(USERNS, "whose users: host, or auto[:size=N] for its own (default: host)", "WHOSE"),
    Option(PRIVATE_USERS, "the same as --userns=auto"),
    Option(UIDMAP, "who the pod's users are on the host", "POD:HOST[:COUNT]", many=True),
    Option(GIDMAP, "who its groups are (default: as its users)", "POD:HOST[:COUNT]", many=True),
)


def user_namespace(arguments: Arguments) -> PodOptions:
    """What was asked for. Raises ``UsageError`` for what contradicts."""
    found: PodOptions = {}
    if arguments.has(USERNS):
        found["userns"] = arguments.text(USERNS)
    if arguments.has(PRIVATE_USERS):
        if found.get("userns", "auto") == "host":
            raise UsageError(f"{PRIVATE_USERS} and {USERNS}=host do not go together")
        found.setdefault("userns", "auto")
    if arguments.has(UIDMAP):
        found["uidmap"] = arguments.texts(UIDMAP)
    if arguments.has(GIDMAP):
        found["gidmap"] = arguments.texts(GIDMAP)
    return found
