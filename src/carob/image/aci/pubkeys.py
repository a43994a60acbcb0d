"""Where public keys come from: a file, a URL, or what the makers of a name say themselves (discovery.md).

Nothing is trusted here: who gets keys shows their fingerprints to somebody who knows better, and then gives
them to ``KeyStore.add``.
"""

from __future__ import annotations

from carob.errors import InvalidInput
from carob.image.aci.discover import find_key_urls
from carob.image.aci.http import Web
from carob.image.archives.input import open_input
from carob.image.store.layout import read_whole
from carob.image.trust.openpgp import Key, read_keys
from carob.image.trust.openpgp_packets import KEY_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.image.aci.finder import AciSettings


class OfferedKeys:
    """Keys from one place: ``location`` (a path or URL), ``data`` (for ``KeyStore.add``) and the ``keys``."""

    __slots__ = ("data", "keys", "location")

    def __init__(self, location: str, data: bytes, keys: list[Key]) -> None:
        self.location = location
        self.data = data
        self.keys = keys


def offered_keys(settings: AciSettings, *, location: str = "", prefix: str = "") -> list[OfferedKeys]:
    """The keys in a file or at a URL; without ``location``, those that are published for the names below
    ``prefix``.

    An unproved server, or an unencrypted way, is taken only with ``pubkey`` among the insecure options beside
    ``tls`` or ``http``. Raises as ``Web.get``, and ``InvalidInput`` or ``CorruptData`` for what are no keys.
    """
    if location and "://" not in location:
        return [_offered(location, read_whole(open_input(location), location, KEY_BYTES))]
    insecure = settings.insecure
    web = Web(
        allow_http=insecure.http and insecure.pubkey,
        verify_tls=not (insecure.tls and insecure.pubkey),
        ca_file=settings.ca_file,
    )
    try:
        if location:
            urls = [location]
        elif prefix:
            urls = find_key_urls(web, prefix, port=settings.port)
        else:
            raise InvalidInput(
                "keys for every image are not looked for", hint="give a file: carob trust add --root FILE"
            )
        return [_offered(url, web.get(url, limit_bytes=KEY_BYTES)) for url in urls]
    finally:
        web.close()


def _offered(location: str, data: bytes) -> OfferedKeys:
    return OfferedKeys(location, data, read_keys(data, location))
