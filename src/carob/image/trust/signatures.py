"""Where signatures of OCI images are: in a lookaside place, beside an image, in its repository.

A lookaside place, a directory or a web site, is laid out as podman and skopeo have it
(containers-registries.d(5))::

    <place>/<path of the repository, without its host>@sha256=<hex>/signature-1, signature-2, ...
"""

from __future__ import annotations

import os
from urllib.parse import unquote

from carob.errors import CorruptData, NotFound, Unsupported
from carob.image.store.layout import open_regular, read_whole
from carob.image.trust.openpgp_packets import SIGNATURE_BYTES
from carob.image.trust.registries_d import lookaside_places
from carob.image.trust.scopes import scopes_of
from carob.image.trust.sigstore import MEDIA_TYPE, SIGNATURE, SigstoreSignature, attachment_tag
from carob.spec.oci.manifest import parse_manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from carob.image.sources.source import Source
    from carob.image.trust.docker_reference import DockerReference
    from carob.spec.oci.descriptor import Descriptor

_SIGNATURES = 64
_SIGSTORE_FORMAT = b"\0sigstore-json\n"
_SIMPLE_FORMAT = b"\0simple-signing\n"


class Lookaside:
    """Which place has the signatures of which images.

    ``places`` are URLs by scopes, as ``lookaside_places`` gives them, which is asked where there are none:
    the most precise is taken, ``""`` is for all others, and where that is missing too, the directory of
    podman and skopeo. ``get`` gets a small file of a URL, or raises ``NotFound``.
    """

    def __init__(
        self, places: Mapping[str, str] | None = None, *, get: Callable[[str], bytes] | None = None
    ) -> None:
        self._places = places
        self._get = get

    def signatures(self, image: DockerReference, digest: str) -> list[bytes]:
        """The simple signatures of one manifest of an image."""
        if self._places is None:
            self._places = lookaside_places()
        scopes = (*scopes_of("docker", str(image)), "")
        base = next((self._places[scope] for scope in scopes if scope in self._places), "")
        url, mark, query = (base or f"file://{default_lookaside()}").partition("?")
        place = f"{url}/{image.path}@{digest.replace(':', '=', 1)}/"
        if url.startswith("file://"):
            return _simple(_numbered(_in_directory(unquote(place.removeprefix("file://")))))
        get = self._get
        if get is None:
            raise Unsupported(f"the signatures at {url} cannot be got from here")
        return _simple(_numbered(lambda name: get(place + name + mark + query)))


def default_lookaside() -> str:
    """``/var/lib/containers/sigstore`` for root, ``~/.local/share/containers/sigstore`` for others."""
    if os.geteuid() == 0:
        return "/var/lib/containers/sigstore"
    return os.path.join(os.path.expanduser("~"), ".local/share/containers/sigstore")


def directory_signatures(path: str) -> tuple[list[bytes], list[SigstoreSignature]]:
    """The signatures that skopeo writes beside an image in a directory (``dir:``): simple, and cosign's."""
    found = _numbered(_in_directory(path + "/"))
    return (
        _simple(found),
        [one for one in found if isinstance(one, SigstoreSignature)],
    )


def attached_signatures(open_tag: Callable[[str], Source], digest: str) -> list[SigstoreSignature]:
    """The signatures in the repository of an image, under the tag ``sha256-<hex>.sig``; none without one.

    ``open_tag`` gives a source for a tag of that repository. What comes is checked against its digest.
    """
    source = open_tag(attachment_tag(digest))
    try:
        try:
            _, data = source.root()
        except NotFound:
            return []
        what = f"the signatures in {source.name}"
        found = []
        for layer in parse_manifest(data, what).layers[:_SIGNATURES]:
            signature = layer.annotations.get(SIGNATURE)
            if layer.media_type == MEDIA_TYPE and signature:
                found.append(SigstoreSignature(_blob(source, layer, what), signature))
        return found
    finally:
        source.close()


def _blob(source: Source, descriptor: Descriptor, what: str) -> bytes:
    import hashlib

    if descriptor.size_bytes > SIGNATURE_BYTES:
        raise CorruptData(f"{what}: one of {descriptor.size_bytes} bytes")
    reader = source.open_blob(descriptor)
    try:
        data = b""
        while len(data) <= descriptor.size_bytes and (piece := reader.read(SIGNATURE_BYTES)):
            data += piece
    finally:
        reader.close()
    if "sha256:" + hashlib.sha256(data).hexdigest() != descriptor.digest:
        raise CorruptData(f"{what}: {descriptor.digest} does not have its digest")
    return data


def _numbered(get: Callable[[str], bytes]) -> list[bytes | SigstoreSignature]:
    """The files ``signature-1`` and on, up to the first that is not there."""
    found: list[bytes | SigstoreSignature] = []
    for number in range(1, _SIGNATURES + 1):
        name = f"signature-{number}"
        try:
            found.append(_parsed(get(name), name))
        except (FileNotFoundError, NotADirectoryError, NotFound):
            break
    return found


def _in_directory(prefix: str) -> Callable[[str], bytes]:
    return lambda name: read_whole(open_regular(prefix + name), prefix + name, SIGNATURE_BYTES)


def _simple(found: Sequence[bytes | SigstoreSignature]) -> list[bytes]:
    return [one for one in found if isinstance(one, bytes)]


def _parsed(blob: bytes, path: str) -> bytes | SigstoreSignature:
    """A signature as containers tools store it: OpenPGP as it is, others after a line that says what."""
    if blob.startswith(_SIGSTORE_FORMAT):
        return _sigstore(blob[len(_SIGSTORE_FORMAT) :], path)
    return blob.removeprefix(_SIMPLE_FORMAT)


def _sigstore(data: bytes, path: str) -> SigstoreSignature:
    import base64

    from carob.spec.oci.document import parse_document, text_field, text_map_field

    document = parse_document(data, path, limit=SIGNATURE_BYTES)
    if text_field(document, "mimeType", path) != MEDIA_TYPE:
        return SigstoreSignature(b"", "")
    try:
        payload = base64.b64decode(text_field(document, "payload", path), validate=True)
    except ValueError as error:
        raise CorruptData(f"{path}: not base64") from error
    return SigstoreSignature(payload, text_map_field(document, "annotations", path).get(SIGNATURE, ""))
