"""Asking web servers where an appc image, or the keys of its makers, are (discovery.md)."""

from __future__ import annotations

from carob.errors import InvalidInput, NotFound, PermissionDenied, TimedOut, Unavailable
from carob.image.aci.web_address import parse_url
from carob.spec.discovery import discovery_pages, endpoints, key_urls, simple_endpoints
from carob.spec.discovery_page import PAGE_BYTES, parse_page

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeVar

    from carob.image.aci.http import Web
    from carob.spec.discovery import AppcName, Endpoint
    from carob.spec.discovery_page import Meta

    Found = TypeVar("Found")


def find_endpoints(
    web: Web, wanted: AppcName, platform: Mapping[str, str], *, port: int = 0
) -> list[Endpoint]:
    """Where the image may be, the best first; where no page says it, one guess.

    ``platform`` has the labels ``os`` and ``arch`` of this host; ``port`` is asked for pages instead of 443.
    ``NotFound`` where there is not even a guess; ``Unavailable`` and the like where the host does not answer.
    """
    name = wanted.name

    def look(tags: list[Meta]) -> list[Endpoint]:
        found = endpoints(wanted, tags, platform)
        return [one for one in found if _may_lead_to(web, name, one.image, one.signature)]

    found = _walk(web, name, port, look)
    if found:
        return found
    guesses = [_with_port(guess, port) for guess in simple_endpoints(wanted, platform)]
    if not guesses:
        raise NotFound(
            f"no page of {wanted.host} says where the image {wanted} is", hint="its maker knows: aci:URL"
        )
    return guesses


def find_key_urls(web: Web, name: str, *, port: int = 0) -> list[str]:
    """Where the keys for images of this name are. ``NotFound`` where no page says it."""
    found = _walk(
        web, name, port, lambda tags: [url for url in key_urls(name, tags) if _may_lead_to(web, name, url)]
    )
    if not found:
        raise NotFound(f"no page of {name.partition('/')[0]} says where the keys for {name} are")
    return found


def _walk(web: Web, name: str, port: int, look: Callable[[list[Meta]], list[Found]]) -> list[Found]:
    """What ``look`` finds on the first page that has it, from the name itself upwards.

    A page that is not there (any 4xx), or has nothing, leads to the one above it.
    """
    for url in discovery_pages(name):
        try:
            page = _page(web, url, port)
        except (NotFound, PermissionDenied):
            continue
        found = look(parse_page(page))
        if found:
            return found
    return []


def _may_lead_to(web: Web, name: str, *urls: str) -> bool:
    """Whether the page of a name may lead there: not to what is no URL, and not from another machine to this
    machine's own servers, which may be asked without encryption.
    """
    try:
        here = [parse_url(url).is_loopback for url in urls]
        return not any(here) or web.allow_http or parse_url(f"https://{name}").is_loopback
    except InvalidInput:
        return False


def _page(web: Web, url: str, port: int) -> bytes:
    """The page; by http only if https does not answer, and where that is allowed."""
    address = parse_url(url).changed(port=port)
    try:
        return web.get(address.url, limit_bytes=PAGE_BYTES)
    except (Unavailable, TimedOut) as error:
        if not (web.allow_http or address.is_loopback):
            raise
        try:
            return web.get(address.changed(scheme="http").url, limit_bytes=PAGE_BYTES)
        except (Unavailable, TimedOut):
            raise error from None


def _with_port(guess: Endpoint, port: int) -> Endpoint:
    from carob.spec.discovery import Endpoint

    if not port:
        return guess
    image, signature = (parse_url(url).changed(port=port).url for url in (guess.image, guess.signature))
    return Endpoint(image, signature)
