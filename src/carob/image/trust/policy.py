"""Which images may be taken in: a policy file in the format of containers-policy.json(5).

It is looked for in this order, and the first that is there counts alone: the user's
``$XDG_CONFIG_HOME/carob/policy.json`` (``~/.config``), ``/etc/carob/policy.json``,
``/usr/lib/carob/policy.json``; then those that podman, skopeo and buildah use,
``~/.config/containers/policy.json`` and ``/etc/containers/policy.json``. Where there is none, every OCI image
will do. Appc images are not for this file: their signatures are asked for always (``keystore``).
"""

from __future__ import annotations

import os

from carob.errors import InvalidInput
from carob.image.trust.policy_document import POLICY_BYTES, parse_policy_document
from carob.image.trust.requirements import AcceptAnything, Requirements
from carob.image.trust.scopes import scopes_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NO_POLICY = "no policy"


class Policy:
    """A checked policy; ``path`` is its file, ``""`` where there is none. It does not change."""

    __slots__ = ("_default", "_transports", "path")

    def __init__(
        self, path: str, default: Requirements, transports: Mapping[str, Mapping[str, Requirements]]
    ) -> None:
        self.path = path
        self._default = default
        self._transports = transports

    def __repr__(self) -> str:
        return f"Policy({self.path!r})"

    def requirement(self, transport: str, scope: str) -> Requirements:
        """What is required of an image: of the most precise scope that the policy has, and of no wider one.

        ``transport`` is a word such as ``docker`` or ``oci``; ``scope`` is the image's name in full
        (``example.org/app:1``), or the absolute path, without links, of a layout, archive or directory.
        """
        scopes = self._transports.get(transport)
        if scopes is not None:
            for candidate in (*scopes_of(transport, scope), ""):
                if candidate in scopes:
                    return scopes[candidate]
        return self._default


ACCEPT_ANYTHING = Policy("", Requirements(NO_POLICY, (AcceptAnything(),)), {})


def parse_policy(data: bytes, path: str) -> Policy:
    """A policy from its text; ``InvalidInput`` names ``path`` and the key at fault."""
    return Policy(path, *parse_policy_document(data, path))


def policy_paths() -> tuple[str, ...]:
    """Where a policy is looked for, the first that is there."""
    home = os.path.expanduser("~")
    configuration = os.environ.get("XDG_CONFIG_HOME", "")
    if not configuration.startswith("/"):
        configuration = f"{home}/.config"
    return (
        f"{configuration}/carob/policy.json",
        "/etc/carob/policy.json",
        "/usr/lib/carob/policy.json",
        f"{home}/.config/containers/policy.json",
        "/etc/containers/policy.json",
    )


def load_policy(path: str = "", *, paths: Sequence[str] | None = None) -> Policy:
    """The policy in ``path``; without one, the first there is of ``paths`` (``policy_paths()``).

    ``InvalidInput`` for a file that is named and not there, cannot be read, or is no policy: a policy that is
    not understood lets nothing in.
    """
    for candidate in (path,) if path else (policy_paths() if paths is None else paths):
        try:
            with open(candidate, "rb") as file:
                data = file.read(POLICY_BYTES + 1)
        except (FileNotFoundError, NotADirectoryError) as error:
            if path:
                raise InvalidInput(f"there is no policy {path}") from error
            continue
        except OSError as error:
            raise InvalidInput(f"the policy {candidate} cannot be read: {error.strerror}") from error
        return parse_policy(data, candidate)
    return ACCEPT_ANYTHING
