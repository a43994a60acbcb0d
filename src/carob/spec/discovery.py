"""Finding appc images by their names: what is asked for, and where (appc specification, discovery.md). Pure.

A name is a URL without its scheme, ``example.com/reduce-worker``. The page ``https://<name>?ac-discovery=1``,
or one of a shorter path, holds templates of the image's and signature's URLs and URLs of keys, as ``meta``
tags. Where no page does, carob makes a guess, as the specification once had it ("simple discovery"):
``https://{name}-{version}-{os}-{arch}.{ext}``.
"""

from __future__ import annotations

from carob.errors import InvalidInput
from carob.spec.appc.names import ACIdentifier
from carob.spec.reference import TAG_LENGTH, parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from carob.spec.discovery_page import Meta

DEFAULT_VERSION = "latest"
SIMPLE_TEMPLATE = "https://{name}-{version}-{os}-{arch}.{ext}"

_TAG_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
_HINT = "an appc image is named NAME[:VERSION][,LABEL=VALUE...], such as example.com/worker:1.0.0,os=linux"


class AppcName:
    """A name and the labels that narrow it down. Immutable; ``str()`` gives it back.

    ``labels`` are those that were given and no others, sorted by their names.
    """

    __slots__ = ("labels", "name")

    name: str
    labels: tuple[tuple[str, str], ...]

    def __init__(self, name: str, labels: Mapping[str, str]) -> None:
        object.__setattr__(self, "name", str(ACIdentifier(name)))
        object.__setattr__(self, "labels", tuple(sorted(labels.items())))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"an AppcName does not change: {name}")

    def __reduce__(self) -> tuple[object, ...]:
        return AppcName, (self.name, dict(self.labels))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AppcName):
            return NotImplemented
        return (self.name, self.labels) == (other.name, other.labels)

    def __hash__(self) -> int:
        return hash((self.name, self.labels))

    def __str__(self) -> str:
        labels = dict(self.labels)
        version = labels.pop("version", None)
        text = self.name if version is None else f"{self.name}:{version}"
        return ",".join((text, *(f"{name}={value}" for name, value in labels.items())))

    def __repr__(self) -> str:
        return f"AppcName({str(self)!r})"

    @property
    def host(self) -> str:
        """The machine that is asked."""
        return self.name.partition("/")[0]


def parse_appc_name(text: str) -> AppcName:
    """Parses ``NAME[:VERSION][,LABEL=VALUE...]``; ``InvalidInput`` says what is wrong with it.

    One colon, right after the name, and no label twice. A value may hold any character but a comma.
    """
    first, *rest = text.split(",")
    name, colon, version = first.partition(":")
    labels: dict[str, str] = {"version": version} if colon else {}
    if ":" in version or any(":" in part.partition("=")[0] for part in rest):
        raise InvalidInput(f"appc name {text!r}: a colon belongs between name and version only", hint=_HINT)
    if colon and not version:
        raise InvalidInput(f"appc name {text!r}: the version is empty", hint=_HINT)
    for part in rest:
        label, equals, value = part.partition("=")
        if not equals:
            raise InvalidInput(f"appc name {text!r}: {part!r} is not LABEL=VALUE", hint=_HINT)
        if label in labels or label == "name":
            raise InvalidInput(f"appc name {text!r}: the label {label!r} is given twice", hint=_HINT)
        labels[str(_identifier(label, text))] = value
    if not "".join(labels.values()).isprintable():
        raise InvalidInput(f"appc name {text!r}: a control character", hint=_HINT)
    return AppcName(_identifier(name, text), labels)


def _identifier(word: str, text: str) -> ACIdentifier:
    try:
        return ACIdentifier(word)
    except InvalidInput as error:
        raise InvalidInput(f"appc name {text!r}: {error.message}", hint=_HINT) from error


def oci_reference(name: str, version: str) -> str:
    """The name under which an appc image is stored, ``<name>:<version>`` in normal form; ``latest`` without a
    version. What a tag cannot hold becomes ``_``; ``""`` for a name that OCI has not.
    """
    tag = (
        "".join(char if char in _TAG_CHARACTERS else "_" for char in version[:TAG_LENGTH]) or DEFAULT_VERSION
    )
    try:
        return str(parse_reference(f"{name}:{'_' + tag[1:] if tag[0] in '.-' else tag}"))
    except InvalidInput:
        return ""


def path_parts(name: str) -> list[str]:
    """The parts of a name between its slashes.

    ``InvalidInput`` for a part that is empty, ``.`` or ``..``: appc's own grammar lets these through, and
    they would lead elsewhere in a URL or a directory of keys.
    """
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise InvalidInput(f"appc name {name!r}: a part of it is empty, '.' or '..'", hint=_HINT)
    return parts


def discovery_pages(name: str) -> list[str]:
    """The URLs of the pages to ask, the most precise first: of the name itself and of each path above it."""
    parts = path_parts(name)
    return [f"https://{'/'.join(parts[:count])}?ac-discovery=1" for count in range(len(parts), 0, -1)]


class Endpoint:
    """Where an image is: ``image`` and ``signature``, two URLs."""

    __slots__ = ("image", "signature")

    def __init__(self, image: str, signature: str) -> None:
        self.image = image
        self.signature = signature

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Endpoint):
            return NotImplemented
        return (self.image, self.signature) == (other.image, other.signature)

    def __hash__(self) -> int:
        return hash((self.image, self.signature))

    def __repr__(self) -> str:
        return f"Endpoint({self.image!r}, {self.signature!r})"


def endpoints(wanted: AppcName, tags: Sequence[Meta], platform: Mapping[str, str]) -> list[Endpoint]:
    """The places that a page names for an image, in the page's order.

    ``platform`` gives the labels ``os`` and ``arch`` where ``wanted`` does not; a missing version is
    ``latest``. Templates of which a variable stays open are passed over, and those of other schemes than
    http and https.
    """
    found = []
    for tag in tags:
        if tag.kind == "ac-discovery" and has_prefix(wanted.name, tag.prefix):
            found += _rendered(wanted, tag.template, platform)
    return found


def simple_endpoints(wanted: AppcName, platform: Mapping[str, str]) -> list[Endpoint]:
    """The place that simple discovery guesses; none for a bare host, whose name the guess would change."""
    if len(path_parts(wanted.name)) == 1:
        return []
    return _rendered(wanted, SIMPLE_TEMPLATE, platform)


def key_urls(name: str, tags: Sequence[Meta]) -> list[str]:
    """Where a page says the keys for a name are."""
    return [
        tag.template
        for tag in tags
        if tag.kind == "ac-discovery-pubkeys" and has_prefix(name, tag.prefix) and _is_web(tag.template)
    ]


def has_prefix(name: str, prefix: str) -> bool:
    """Whether ``name`` is ``prefix`` or below it, by whole parts: ``a.com/x`` is no prefix of ``a.com/xy``,
    which may be another's.
    """
    prefix = prefix.rstrip("/")
    return name == prefix or name.startswith(prefix + "/")


def _rendered(wanted: AppcName, template: str, platform: Mapping[str, str]) -> list[Endpoint]:
    from urllib.parse import quote

    variables = {"version": DEFAULT_VERSION, **platform, **dict(wanted.labels)}
    url = template.replace("{name}", wanted.name)
    for label, value in variables.items():
        if "{" + label + "}" in url and value in ("", ".", ".."):
            raise InvalidInput(f"appc name {str(wanted)!r}: the label {label} leads nowhere", hint=_HINT)
        url = url.replace("{" + label + "}", quote(value, safe=""))
    image, signature = (url.replace("{ext}", extension) for extension in ("aci", "aci.asc"))
    if image == signature or "{" in image or not _is_web(image):
        return []
    return [Endpoint(image, signature)]


def _is_web(url: str) -> bool:
    return url.startswith(("https://", "http://"))
