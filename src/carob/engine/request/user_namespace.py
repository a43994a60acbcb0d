"""A user namespace of a pod's own, as a caller asks for it: podman's words, checked."""

from __future__ import annotations

from carob.engine.request import inputs
from carob.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from carob.linux.idmap import Range

HOST = "host"
AUTO = "auto"
USUAL_SIZE = 65536
"""How many users and groups a pod gets where nobody says: those that images can be expected to have."""
_LARGEST_SIZE = 1 << 31
_HIGHEST = (1 << 32) - 2  # the last one is nobody's: -1
_MOST_RANGES = 340  # user_namespaces(7)


class UserNamespace:
    """Either ``size`` users and groups from 0 on, whose place on the host carob finds (``size`` is 0
    otherwise), or the mappings ``uids`` and ``gids``.
    """

    __slots__ = ("gids", "size", "uids")

    def __init__(self, size: int, uids: Sequence[Range] = (), gids: Sequence[Range] = ()) -> None:
        self.size = size
        self.uids = tuple(uids)
        self.gids = tuple(gids)


def user_namespace(
    userns: object, uidmap: object, gidmap: object, kinds: Mapping[str, str]
) -> UserNamespace | None:
    """What is asked for by ``userns`` (``host``, ``auto``, ``auto:size=N``) or mappings; ``None`` for the
    host's.

    A mapping is ``POD:HOST:COUNT``; where only users or groups have any, they are the others' too. ``kinds``
    are the words of the pod's other namespaces. Raises ``InvalidInput``.
    """
    word = inputs.text(userns, "userns")
    uids, gids = _mappings(uidmap, "uidmap"), _mappings(gidmap, "gidmap")
    if uids or gids:
        if word != HOST:
            raise InvalidInput(f"userns={word} and mappings do not go together", hint="leave one out")
        found = UserNamespace(0, uids or gids, gids or uids)
    elif word == HOST:
        return None
    else:
        found = UserNamespace(_size(word))
    for kind in ("pid", "ipc", "isolation"):
        if kinds[kind] in ("host", "none"):
            raise InvalidInput(
                f"a pod with {kind}={kinds[kind]} cannot have a user namespace: it has no rights there",
                hint=f"leave {kind} or userns out",
            )
    return found


def _size(word: str) -> int:
    if word == AUTO:
        return USUAL_SIZE
    kind, _, option = word.partition(":")
    name, _, number = option.partition("=")
    if kind != AUTO or name != "size":
        raise InvalidInput(f"there is no user namespace {word!r}", hint="host, auto or auto:size=65536")
    return _whole(number, "the size of a user namespace", 1, _LARGEST_SIZE)


def _mappings(given: object, what: str) -> list[Range]:
    found = [_mapping(text, what) for text in inputs.words(given, what, one=f"a mapping of {what}")]
    if len(found) > _MOST_RANGES:
        raise InvalidInput(f"{what} has {len(found)} mappings", hint=f"the kernel takes {_MOST_RANGES}")
    for side in (0, 1):
        from itertools import pairwise

        ordered = sorted(found, key=lambda one: one[side])
        for one, after in pairwise(ordered):
            if one[side] + one[2] > after[side]:
                raise InvalidInput(f"{what}: {_text(one)} and {_text(after)} overlap")
    if found and not any(inside == 0 for inside, _, _ in found):
        raise InvalidInput(f"{what}: 0 is not mapped, and every app is made as root of the pod")
    return found


def _mapping(text: str, what: str) -> Range:
    parts = text.split(":")
    if len(parts) == 2:
        parts.append("1")
    if len(parts) != 3:
        raise InvalidInput(f"{what}: {text!r} is no mapping", hint="POD:HOST:COUNT, such as 0:100000:65536")
    inside, outside, count = (_whole(part, f"{what}: a number of {text!r}", 0, _HIGHEST) for part in parts)
    if not count or max(inside, outside) + count - 1 > _HIGHEST:
        raise InvalidInput(f"{what}: {text!r} maps nobody, or more than there are")
    return inside, outside, count


def _whole(text: str, what: str, least: int, most: int) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 10:
        raise InvalidInput(f"{what} is not {text!r}", hint="a whole number")
    return inputs.whole(int(text), what, least, most)


def _text(one: Range) -> str:
    return ":".join(map(str, one))
