"""Lists of a registry, page by page: the tags of a repository, and what refers to a manifest."""

from __future__ import annotations

from carob.errors import CorruptData, NotFound, Rejected
from carob.image.registry.client import pull_scope
from carob.image.registry.endpoint import check_tag
from carob.image.registry.requester import Request
from carob.image.registry.urls import resolve_url
from carob.spec.oci.descriptor import INDEX, Descriptor, parse_descriptor
from carob.spec.oci.document import list_field, text_field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from carob.image.registry.answer import Answer
    from carob.image.registry.client import Registry
    from carob.image.registry.urls import Url

_PAGE = 1000
_PAGES = 1000
ENTRIES = 1_000_000
"""Longer lists are refused."""


def tags(registry: Registry, repository: str) -> list[str]:
    """All tags, in the registry's order. ``NotFound`` for no such repository."""
    what = f"the tags of {registry.name(repository)}"
    path = registry.path(repository, "tags", "list")
    found: list[str] = []
    for _, document in _pages(registry, repository, registry.url(path, ("n", str(_PAGE)), pulls=True), what):
        for tag in list_field(document, "tags", what):
            try:
                check_tag(tag if isinstance(tag, str) else "")
            except ValueError as error:
                raise CorruptData(f"{what}: {error}") from None
            found.append(tag)
        if len(found) > ENTRIES:
            raise CorruptData(f"{what}: more than {ENTRIES}")
    return found


def referrers(
    registry: Registry, repository: str, digest: str, *, artifact_type: str = ""
) -> list[Descriptor]:
    """What names a manifest as its subject, of one artifact type or of all. A registry without that endpoint
    is asked for the tag that stands in for it.
    """
    what = f"what refers to {registry.name(repository, digest)}"
    query = [("artifactType", artifact_type)] if artifact_type else []
    url = registry.url(registry.path(repository, "referrers", digest), *query, pulls=True)
    found: list[Any] = []
    try:
        for _, document in _pages(registry, repository, url, what, accept=INDEX):
            found += list_field(document, "manifests", what)
            if len(found) > ENTRIES:
                raise CorruptData(f"{what}: more than {ENTRIES}")
    except NotFound:
        found = _by_tag(registry, repository, digest, what)
    descriptors = []
    for entry in found:
        descriptor = parse_descriptor(entry, what)
        if not artifact_type or text_field(entry, "artifactType", what, default="") == artifact_type:
            descriptors.append(descriptor)
    return descriptors


def _by_tag(registry: Registry, repository: str, digest: str, what: str) -> list[Any]:
    from carob.spec.oci.document import parse_document

    try:
        descriptor, data = registry.manifest(repository, digest.replace(":", "-"))
    except NotFound:
        return []
    if descriptor.media_type != INDEX:
        return []
    return list_field(parse_document(data, what), "manifests", what)


def _pages(
    registry: Registry, repository: str, url: Url, what: str, *, accept: str = "application/json"
) -> Iterator[tuple[Url, dict[str, Any]]]:
    seen: set[str] = set()
    following: Url | None = url
    while following is not None:
        if following.whole in seen or len(seen) >= _PAGES:
            raise CorruptData(f"{what}: the pages of the list lead in a circle, or have no end")
        seen.add(following.whole)
        request = Request("GET", following, what, headers={"Accept": accept}, scopes=pull_scope(repository))
        answer = registry.send(request, repository)
        asked = following
        following = _next(answer, asked, what)
        yield asked, answer.json(what)


def _next(answer: Answer, asked: Url, what: str) -> Url | None:
    """The next page by ``Link: <url>; rel="next"`` (RFC 8288), on the same origin: credentials go along."""
    for target, relations in _links(",".join(answer.header_lines("Link"))):
        if "next" not in relations:
            continue
        try:
            url = resolve_url(asked, target)
        except ValueError as error:
            answer.close()
            raise CorruptData(f"{what}: the next page is at no web address: {error}") from None
        if url.origin != asked.origin:
            answer.close()
            raise Rejected(f"{what}: the next page is elsewhere, at {url}")
        return url
    return None


def _links(header: str) -> Iterator[tuple[str, list[str]]]:
    """Each target of a ``Link`` header with its relations."""
    while True:
        before, _, rest = header.partition("<")
        target, closed, rest = rest.partition(">")
        if before.strip(", \t") or not closed:
            return
        parameters, _, following = rest.partition("<")
        for parameter in parameters.rstrip(", \t").split(";"):
            name, _, value = parameter.partition("=")
            if name.strip().lower() == "rel":
                yield target, value.strip().strip('"').lower().split()
        header = "<" + following if following else ""
