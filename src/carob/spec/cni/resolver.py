"""``resolv.conf``: what a pod's apps are told of name servers (resolv.conf(5))."""

from __future__ import annotations

from carob.errors import InvalidInput
from carob.spec.cni.addresses import parse_ip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Literal

    Origin = Literal["networks", "host", "none", "given"]

FROM_NETWORKS: Origin = "networks"
FROM_HOST: Origin = "host"
FROM_IMAGE: Origin = "none"
GIVEN: Origin = "given"


class Resolver:
    """Name servers by address, domains to ``search``, the ``domain``, ``options`` such as ``ndots:2``."""

    __slots__ = ("domain", "options", "search", "servers")

    def __init__(
        self,
        servers: Sequence[str] = (),
        *,
        search: Sequence[str] = (),
        domain: str = "",
        options: Sequence[str] = (),
    ) -> None:
        """Raises ``InvalidInput`` for a server that is no address, and for what is more than a word."""
        self.servers = tuple(servers)
        self.search = tuple(search)
        self.domain = domain
        self.options = tuple(options)
        for server in self.servers:
            if parse_ip(server.partition("%")[0]) is None or not _is_word(server):
                raise InvalidInput(f"{server!r} is no address of a name server")
        for word in (*self.search, *self.options, *([domain] if domain else [])):
            if not _is_word(word):
                raise InvalidInput(f"{word!r} cannot stand in resolv.conf")

    def __bool__(self) -> bool:
        return bool(self.servers or self.search or self.domain or self.options)

    def text(self) -> str:
        """The file."""
        lines = [f"search {' '.join(self.search)}"] if self.search else []
        lines += [f"domain {self.domain}"] if self.domain else []
        lines += [f"nameserver {server}" for server in self.servers]
        lines += [f"options {' '.join(self.options)}"] if self.options else []
        return "".join([line + "\n" for line in lines])

    def document(self) -> dict[str, Any]:
        """The capability ``dns`` (CONVENTIONS.md)."""
        return {"servers": list(self.servers), "searches": list(self.search), "options": list(self.options)}


def _is_word(text: str) -> bool:
    return bool(text) and text.isprintable() and not any(letter.isspace() for letter in text)


class WantedResolver:
    """rkt's ``--dns`` and its companions: where a pod's ``resolv.conf`` comes from, and what is given of it.

    ``FROM_NETWORKS``: what plugins say, else the host's. ``FROM_HOST``: the host's file. ``FROM_IMAGE``:
    whatever is in the image. ``GIVEN``: ``resolver``.
    """

    __slots__ = ("origin", "resolver")

    def __init__(self, origin: Origin, resolver: Resolver) -> None:
        self.origin = origin
        self.resolver = resolver


def wanted_resolver(
    servers: Sequence[str],
    *,
    search: Sequence[str] = (),
    domain: str = "",
    options: Sequence[str] = (),
) -> WantedResolver:
    """What all ``--dns``, ``--dns-search``, ``--dns-domain`` and ``--dns-opt`` of a command say together.

    Raises ``InvalidInput``, for ``host`` and ``none`` together with anything else as well.
    """
    for word in (FROM_HOST, FROM_IMAGE):
        if word in servers:
            if len(servers) > 1 or search or domain or options:
                raise InvalidInput(f"--dns={word} goes with nothing else of the kind")
            return WantedResolver(word, Resolver())
    given = Resolver(servers, search=search, domain=domain, options=options)
    return WantedResolver(GIVEN if given else FROM_NETWORKS, given)


def parse_resolver(text: str) -> Resolver:
    """Reads a ``resolv.conf``; what is wrong in it is passed over, as the C library does."""
    servers: list[str] = []
    search: list[str] = []
    options: list[str] = []
    domain = ""
    for line in text.splitlines():
        words = line.split()
        if len(words) < 2 or line.lstrip()[:1] in ("#", ";"):
            continue
        match words[0]:
            case "nameserver" if parse_ip(words[1].partition("%")[0]) is not None:
                servers.append(words[1])
            case "search":
                search, domain = [word for word in words[1:] if _is_word(word)], ""
            case "domain" if _is_word(words[1]):
                search, domain = [], words[1]
            case "options":
                options += [word for word in words[1:] if _is_word(word)]
    return Resolver(servers, search=search, domain=domain, options=options)


def resolver_of_result(dns: dict[str, Any]) -> Resolver:
    """The part ``dns`` of a plugin's result; entries that are none are passed over."""
    words = {}
    for key in ("nameservers", "search", "options"):
        value = dns.get(key)
        items = value if isinstance(value, list) else []
        words[key] = [item for item in items if isinstance(item, str) and _is_word(item)]
    servers = [server for server in words["nameservers"] if parse_ip(server.partition("%")[0]) is not None]
    domain = dns.get("domain")
    domain = domain if isinstance(domain, str) and _is_word(domain) else ""
    return Resolver(servers, search=words["search"], domain=domain, options=words["options"])


def is_local(server: str) -> bool:
    """Whether a name server is on the host's loopback, where a pod cannot reach it."""
    found = parse_ip(server.partition("%")[0])
    return found is not None and (found == (6, 1) or (found[0] == 4 and found[1] >> 24 == 127))
