"""The keys that may sign appc images, in rkt's key store."""

from __future__ import annotations

from carob.engine.failures import Attempt
from carob.engine.request import inputs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from carob.image.aci.pubkeys import OfferedKeys as OfferedKeys  # noqa: PLC0414 - what is returned
    from carob.image.trust.keystore import TrustedKey as TrustedKey  # noqa: PLC0414 - what is returned


class Trust:
    """Who may sign which images. It is of this host and user, not of a data directory."""

    __slots__ = ()

    def offered(
        self, keys: Sequence[str] = (), *, prefix: str = "", insecure: str | Iterable[str] = "none"
    ) -> list[OfferedKeys]:
        """Reads keys from files and URLs; without any, those that the site of ``prefix`` names.

        Raises ``NotFound``, ``InvalidInput`` for what is no key, ``Unavailable``.
        """
        from carob.image.aci.finder import AciSettings
        from carob.image.aci.pubkeys import offered_keys
        from carob.image.trust.insecure import parse_insecure

        words = inputs.words(keys, "keys", one="a key's path or URL")
        settings = AciSettings("/", insecure=parse_insecure(insecure))
        with Attempt("the keys cannot be read"):
            if not words:
                return offered_keys(settings, prefix=prefix)
            return [found for word in words for found in offered_keys(settings, location=word)]

    def add(self, key: OfferedKeys, *, prefix: str = "") -> list[TrustedKey]:
        """Trusts the keys for images of the name ``prefix`` and below it; without a prefix, for every image.

        ``Rejected`` for a key that is expired, revoked or weak.
        """
        from carob.image.trust.keystore import KeyStore

        with Attempt(f"the keys of {key.location} cannot be trusted"):
            return KeyStore().add(key.data, prefix, key.location)

    def keys(self) -> list[TrustedKey]:
        """Every key, also one that is taken away again or is no good, with its problem."""
        from carob.image.trust.keystore import KeyStore

        with Attempt("the trusted keys cannot be listed"):
            return KeyStore().trusted()

    def remove(self, fingerprint: str, *, prefix: str = "") -> list[str]:
        """Trusts a key no more; returns the files that were removed, or made to take it away."""
        from carob.image.trust.keystore import KeyStore

        with Attempt(f"key {fingerprint} cannot be removed"):
            return KeyStore().remove(inputs.text(fingerprint, "a fingerprint"), prefix)
