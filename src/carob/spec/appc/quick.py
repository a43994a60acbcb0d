"""The names of a pod's apps, for lists of many pods: read without checking the rest."""

from __future__ import annotations

from carob.spec.appc.fault import FieldError, wrong_type
from carob.spec.appc.text import Members, decode, fold, plain_scanner, read, scan, well_formed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.spec.appc.text import Node


def app_names(raw: bytes) -> list[str]:
    """The names of the apps in the pod manifest ``raw``, in its order.

    For a valid manifest these are the names that `carob.spec.appc.pod.PodManifest` gives. Raises
    `FieldError` when ``raw`` is not JSON, or apps and names are not where they belong.
    """
    try:
        document = scan(decode(raw), plain_scanner())
        if type(document) is dict and not _has_variant(document, "apps"):
            apps = document.get("apps")
            if apps is None:
                return []
            if type(apps) is list and not any(_has_variant(app, "name") for app in apps):
                return [_checked(app.get("name", "")) for app in apps]
    except (FieldError, AttributeError, TypeError):
        pass  # the exact reader says what is wrong
    return _exact_names(raw)


def _has_variant(members: dict[str, Node], key: str) -> bool:
    return any(other != key and fold(other) == key for other in members)


def _exact_names(raw: bytes) -> list[str]:
    apps = _last(read(raw), "apps", None)
    if apps is None:
        return []
    if not isinstance(apps, list):
        raise FieldError("must be an array", path="apps")
    return [_checked("" if app is None else _last(app, "name", "")) for app in apps]


def _last(members: Node, key: str, default: Node) -> Node:
    if not isinstance(members, Members):
        raise wrong_type("an object", members)
    found = default
    for name, value in members:
        if fold(name) == key:
            found = value
    return found


def _checked(name: Node) -> str:
    if type(name) is not str:
        raise FieldError("the name of an app must be a string", path="apps")
    return well_formed(name)
