"""registries.toml: aliases, and for each registry its mirrors, location and trust.

The files are, the weakest first, ``/usr/lib/carob/registries.toml``, ``/etc/carob/registries.toml`` and
``$XDG_CONFIG_HOME/carob/registries.toml`` (``~/.config/carob/registries.toml``). A later one replaces what an
earlier one says of the same prefix or alias. ::

    [aliases]
    busybox = "docker.example/library/busybox"

    [[registry]]
    prefix = "example.org/team"            # or "*.example.org", or "*" for every host
    location = "registry.internal/team"    # where it really is
    insecure = false                       # true: plain HTTP, and TLS without verification
    ca = "/etc/carob/team-ca.pem"          # trusted beside the system's authorities
    blocked = false
    mirrors = [{ location = "mirror.internal/team", insecure = false, ca = "", pull = "digest-only" }]
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import Enum

from carob.errors import Rejected
from carob.image.registry.endpoint import Endpoint, canonical, check_repository, split_repository
from carob.spec.reference import Reference, parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

EVERY_HOST = "*"
FILE_NAME = "registries.toml"
SYSTEM_FILES = (f"/usr/lib/carob/{FILE_NAME}", f"/etc/carob/{FILE_NAME}")


class Pull(Enum):
    """Which pulls a mirror is used for."""

    ALL = "all"
    DIGEST_ONLY = "digest-only"
    TAG_ONLY = "tag-only"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """One mirror: ``location`` stands for the rule's prefix. In a rule for every host a component ``*`` of
    it stands for the host; where there is none, the mirror is told the host by the parameter ``ns``.
    """

    location: str
    insecure: bool = False
    ca: str = ""
    pull: Pull = Pull.ALL


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What one ``[[registry]]`` says; ``file`` is where."""

    prefix: str
    location: str = ""
    insecure: bool = False
    ca: str = ""
    mirrors: tuple[Mirror, ...] = ()
    blocked: bool = False
    file: str = ""


class Configuration:
    """All that the files say."""

    __slots__ = ("aliases", "rules")

    aliases: Mapping[str, str]
    rules: Mapping[str, Rule]

    def __init__(
        self, aliases: Mapping[str, str] | None = None, rules: Mapping[str, Rule] | None = None
    ) -> None:
        self.aliases = aliases or {}
        self.rules = rules or {}

    def expand(self, reference: Reference) -> Reference | None:
        """What the alias of a bare name stands for, with the tag and digest given; ``None`` for no alias."""
        full = self.aliases.get(reference.repository)
        if not full:
            return None
        parsed = parse_reference(full)
        return Reference(parsed.repository, reference.tag, reference.digest)

    def endpoints(self, reference: Reference) -> tuple[Endpoint, ...]:
        """Where to look for an image, in order: the mirrors, then the registry itself.

        ``Rejected`` where the registry is blocked, ``InvalidInput`` for a name without a domain.
        """
        rule, host, path = self._rule(reference.repository)
        places = []
        for mirror in rule.mirrors if rule else ():
            place = _mirror(rule.prefix, mirror, host, path) if rule and _serves(mirror, reference) else None
            if place is not None:
                places.append(place)
        return *places, self.origin(reference.repository)

    def origin(self, repository: str) -> Endpoint:
        """The registry itself, for pushes; raises as `endpoints`."""
        rule, host, path = self._rule(repository)
        if rule is None:
            return Endpoint(host=host, repository=path)
        if rule.location:
            host, path = _replace(rule.prefix, rule.location, host, path)
        return Endpoint(host=host, repository=path, insecure=rule.insecure, ca=rule.ca)

    def _rule(self, repository: str) -> tuple[Rule | None, str, str]:
        host, path = split_repository(repository)
        rule = self._match(host, f"{host}/{path}")
        if rule is not None and rule.blocked:
            raise Rejected(
                f"{host}/{path}: the registry is blocked",
                hint=f"{rule.file} says so, for the prefix {rule.prefix!r}",
            )
        return rule, host, path

    def _match(self, host: str, name: str) -> Rule | None:
        """The rule with the longest matching prefix; a wildcard is weaker than any name."""
        while name:
            if name in self.rules:
                return self.rules[name]
            name = name.rpartition("/")[0]
        domain = host.partition(":")[0]
        while domain:
            domain = domain.partition(".")[2]
            if f"*.{domain}" in self.rules:
                return self.rules[f"*.{domain}"]
        return self.rules.get(EVERY_HOST)


def _serves(mirror: Mirror, reference: Reference) -> bool:
    if mirror.pull is Pull.ALL:
        return True
    return (mirror.pull is Pull.DIGEST_ONLY) is bool(reference.digest)


def _mirror(prefix: str, mirror: Mirror, host: str, path: str) -> Endpoint | None:
    """Where the mirror has it; ``None`` where its paths cannot name the host, which has a port."""
    where, inside = _replace(prefix, mirror.location, host, path)
    try:
        check_repository(inside)
    except ValueError:
        return None
    tells_host = prefix.startswith(EVERY_HOST) and "*" not in mirror.location
    return Endpoint(
        host=where,
        repository=inside,
        insecure=mirror.insecure,
        ca=mirror.ca,
        namespace=host if tells_host else "",
        is_mirror=True,
    )


def _replace(prefix: str, location: str, host: str, path: str) -> tuple[str, str]:
    if prefix.startswith(EVERY_HOST):
        name = f"{location.replace('*', host)}/{path}"
    else:
        name = location + f"{host}/{path}".removeprefix(prefix)
    where, _, inside = name.partition("/")
    return canonical(where, inside)


def files(environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The files that are looked for, the weakest first."""
    environment = os.environ if environment is None else environment
    base = environment.get("XDG_CONFIG_HOME", "")
    if not base.startswith("/"):
        base = os.path.join(os.path.expanduser("~"), ".config")
    return *SYSTEM_FILES, os.path.join(base, "carob", FILE_NAME)


def load(paths: tuple[str, ...] | None = None) -> Configuration:
    """Reads the files that are there. ``InvalidInput`` names the file and the key at fault."""
    from carob.image.registry.configuration_file import read

    aliases: dict[str, str] = {}
    rules: dict[str, Rule] = {}
    for path in files() if paths is None else paths:
        found = read(path)
        aliases |= found.aliases
        rules |= found.rules
    return Configuration({name: full for name, full in aliases.items() if full}, rules)
