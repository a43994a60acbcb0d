"""What a policy may require of an image, as values. Source: containers-policy.json(5)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from carob.image.trust.identity import IdentityRule

    Requirement: TypeAlias = "AcceptAnything | Reject | SignedBy | SigstoreSigned | NotSupported"


class AcceptAnything:
    """``insecureAcceptAnything``: every image will do."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "AcceptAnything()"


class Reject:
    """``reject``: no image will do."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Reject()"


class KeySource:
    """Where keys are: ``path``, a file, or ``data`` in the policy itself; ``what`` names it in messages."""

    __slots__ = ("data", "path", "what")

    def __init__(self, what: str, *, path: str = "", data: bytes = b"") -> None:
        self.what = what
        self.path = path
        self.data = data

    def __repr__(self) -> str:
        return f"KeySource({self.what!r})"


class _Signed:
    __slots__ = ("identity", "keys")

    def __init__(self, keys: tuple[KeySource, ...], identity: IdentityRule) -> None:
        self.keys = keys
        self.identity = identity

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.keys!r}, {self.identity!r})"


class SignedBy(_Signed):
    """``signedBy``: a simple signature by one of the OpenPGP ``keys``, under a name for ``identity``."""

    __slots__ = ()


class SigstoreSigned(_Signed):
    """``sigstoreSigned`` with keys: a signature as cosign makes it, by one of them."""

    __slots__ = ()


class NotSupported:
    """A requirement of the format that carob cannot check, so that no image meets it; ``reason`` names it."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __repr__(self) -> str:
        return f"NotSupported({self.reason!r})"


class Requirements:
    """All that is required of an image, every one of ``items``; ``what`` names the place in the policy."""

    __slots__ = ("items", "what")

    def __init__(self, what: str, items: tuple[Requirement, ...]) -> None:
        self.what = what
        self.items = items

    def __repr__(self) -> str:
        return f"Requirements({self.what!r}, {self.items!r})"

    def without_signatures(self) -> Requirements:
        """What is left where nobody asks for signatures: what is rejected stays so."""
        kept = tuple(item for item in self.items if isinstance(item, AcceptAnything | Reject))
        return Requirements(self.what, kept or (AcceptAnything(),))

    @property
    def wants_signatures(self) -> bool:
        """Whether signatures have to be looked for."""
        return any(isinstance(item, _Signed) for item in self.items)
