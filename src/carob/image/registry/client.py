"""One registry: the endpoints of the OCI distribution specification that carob reads and writes by."""

from __future__ import annotations

import hashlib
import random
import threading

from carob.errors import CorruptData, InvalidInput, TimedOut, Unavailable
from carob.image.registry.auth import Authorizer
from carob.image.registry.endpoint import check_repository, check_tag
from carob.image.registry.limits import DEFAULT_LIMITS
from carob.image.registry.media_type import ACCEPT, media_type_of
from carob.image.registry.requester import Request, Requester
from carob.image.registry.retries import back_off_s
from carob.image.registry.transport import Transport
from carob.image.registry.urls import Url, split_port
from carob.spec.oci.descriptor import Descriptor
from carob.spec.oci.document import DOCUMENT_BYTES
from carob.spec.reference import is_digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from carob.image.registry.answer import Answer
    from carob.image.registry.credentials import Credentials
    from carob.image.registry.endpoint import Endpoint
    from carob.image.registry.limits import Limits
    from carob.image.registry.proxies import Proxies

DIGEST_HEADER = "Docker-Content-Digest"
_HEAD_ANSWERS = (200, 400, 403, 404, 405, 501)


def pull_scope(repository: str) -> tuple[str, ...]:
    """The scope of a token to read a repository."""
    return (f"repository:{repository}:pull",)


def push_scope(repository: str) -> tuple[str, ...]:
    """The scope of a token to write to a repository."""
    return (f"repository:{repository}:pull,push",)


class Registry:
    """One registry, or mirror. For any number of threads.

    ``endpoint`` says where it is and how it is to be spoken to; which repository is said with each call.
    ``find_credentials`` is given ``host/repository``; without it nobody is logged in.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        find_credentials: Callable[[str], Credentials | None] | None = None,
        limits: Limits = DEFAULT_LIMITS,
        proxies: Proxies | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.limits = limits
        self._find_credentials = find_credentials or (lambda _: None)
        self.transport = Transport(
            limits=limits, host=endpoint.host, insecure=endpoint.insecure, ca=endpoint.ca, proxies=proxies
        )
        self._lock = threading.Lock()
        self._base_lock = threading.Lock()
        self._base: Url | None = None
        self._requesters: dict[str, Requester] = {}

    def __repr__(self) -> str:
        return f"Registry({self.endpoint.host!r})"

    def close(self) -> None:
        """Ends what is under way, and lets go of the connections."""
        self.transport.close()

    def manifest(self, repository: str, reference: str) -> tuple[Descriptor, bytes]:
        """A manifest or an index by tag or digest, and its exact bytes, of at most ``DOCUMENT_BYTES``.

        ``CorruptData`` where the bytes are not what the digest, asked for or told, says.
        """
        what = self.name(repository, reference)
        answer = self._get_manifest("GET", repository, reference, what)
        told, content_type = answer.header(DIGEST_HEADER), answer.header("Content-Type")
        data = answer.document(what, limit=DOCUMENT_BYTES)
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        for expected in (reference, told):
            if is_digest(expected) and expected != digest:
                raise CorruptData(f"{what}: the registry sent bytes with the digest {digest}, not {expected}")
        return Descriptor(media_type_of(content_type, data, what), digest, len(data)), data

    def head_manifest(self, repository: str, reference: str) -> Descriptor:
        """What a tag or digest stands for, without its bytes where the registry tells it that way.

        A registry that has no answer to ``HEAD`` is asked by ``GET``, which says why as well.
        """
        what = self.name(repository, reference)
        answer = self._get_manifest("HEAD", repository, reference, what, success=_HEAD_ANSWERS)
        told, size = answer.header(DIGEST_HEADER), answer.length()
        content_type = answer.header("Content-Type").partition(";")[0].strip().lower()
        answer.discard()
        if answer.status != 200 or not is_digest(told) or size is None or content_type not in ACCEPT:
            return self.manifest(repository, reference)[0]
        if is_digest(reference) and told != reference:
            raise CorruptData(f"{what}: the registry says that its digest is {told}")
        return Descriptor(content_type, told, size)

    def has_blob(self, repository: str, digest: str, *, to_push: bool = False) -> bool:
        """Whether a blob is there; ``to_push`` asks with the token that the upload will need anyway."""
        what = self.name(repository, digest)
        url = self.url(self.path(repository, "blobs", digest))
        scopes = push_scope(repository) if to_push else pull_scope(repository)
        request = Request("HEAD", url, what, scopes=scopes, success=(200, 404))
        answer = self.send(request, repository)
        answer.discard()
        return answer.status == 200

    def get_blob(self, repository: str, digest: str, offset: int = 0, *, is_document: bool = False) -> Answer:
        """Begins to read a blob; status 200, or, if ``offset`` is not 0, perhaps 206 or 416."""
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        url = self.url(self.path(repository, "blobs", digest), pulls=True)
        success = (200, 206, 416) if offset else (200,)
        return self.send(
            Request(
                "GET",
                url,
                self.name(repository, digest),
                headers=headers,
                scopes=pull_scope(repository),
                success=success,
                is_document=is_document,
            ),
            repository,
        )

    def blob_document(self, repository: str, descriptor: Descriptor) -> bytes:
        """A small blob as a whole, such as a configuration; checked by digest and size."""
        what = self.name(repository, descriptor.digest)
        if descriptor.size_bytes > DOCUMENT_BYTES:
            raise CorruptData(f"{what}: larger than {DOCUMENT_BYTES} bytes")
        data = self.get_blob(repository, descriptor.digest, is_document=True).document(
            what, limit=max(descriptor.size_bytes, 1)
        )
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        if (digest, len(data)) != (descriptor.digest, descriptor.size_bytes):
            raise CorruptData(f"{what}: the registry sent {len(data)} bytes with the digest {digest}")
        return data

    def put_manifest(self, repository: str, reference: str, media_type: str, data: bytes) -> None:
        """Stores a manifest or an index under a tag or its digest."""
        what = self.name(repository, reference)
        if not media_type.isascii() or not media_type.isprintable() or " " in media_type:
            raise InvalidInput(f"{what}: {media_type[:100]!r} is no media type")
        request = Request(
            "PUT",
            self.url(self.path(repository, "manifests", reference)),
            what,
            headers={"Content-Type": media_type},
            scopes=push_scope(repository),
            success=(201, 200, 202, 204),
            body=lambda: data,
            length=len(data),
            is_commit=True,
        )
        answer = self.send(request, repository)
        told = answer.header(DIGEST_HEADER)
        answer.discard()
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        if is_digest(told) and told != digest:
            raise CorruptData(f"{what}: the registry stored it as {told}, but it is {digest}")

    # --- what the modules beside this one build on ---

    def name(self, repository: str, reference: str = "") -> str:
        """What messages call it."""
        mark = "" if not reference else "@" if is_digest(reference) else ":"
        return f"docker://{self.endpoint.host}/{repository}{mark}{reference}"

    def path(self, repository: str, kind: str, reference: str) -> str:
        """The path of a thing in a repository. ``InvalidInput`` for names that are none: what stands in a
        path is of the grammar, and of nothing else.
        """
        try:
            check_repository(repository)
            if ":" not in reference:
                check_tag(reference)
            elif not is_digest(reference):
                raise ValueError(f"{reference[:100]!r} is no sha256 digest")
        except ValueError as error:
            raise InvalidInput(f"registry {self.endpoint.host}: {error}") from None
        return f"/v2/{repository}/{kind}/{reference}"

    def url(self, path: str, *query: tuple[str, str], pulls: bool = False) -> Url:
        """The URL of a path; for ``pulls`` from a mirror of several registries with the one that is meant."""
        base = self._find_base()
        if pulls and self.endpoint.namespace:
            query = (*query, ("ns", self.endpoint.namespace))
        return Url(base.scheme, base.host, base.port, path).with_query(*query)

    def send(self, request: Request, repository: str = "") -> Answer:
        """Sends with the credentials for a repository."""
        return self.requester(repository).send(request)

    def requester(self, repository: str) -> Requester:
        """What sends with the credentials for a repository."""
        origin = self._find_base().origin
        with self._lock:
            if repository not in self._requesters:
                insecure = self.endpoint.insecure
                path = f"{self.endpoint.host}/{repository}" if repository else self.endpoint.host
                authorizer = Authorizer(
                    self.endpoint.host,
                    lambda: self._find_credentials(path),
                    self.transport,
                    self.limits,
                    insecure=insecure,
                )
                self._requesters[repository] = Requester(
                    self.transport, self.limits, insecure=insecure, authorizer=authorizer, origin=origin
                )
            return self._requesters[repository]

    def _get_manifest(
        self, method: str, repository: str, reference: str, what: str, success: tuple[int, ...] = (200,)
    ) -> Answer:
        request = Request(
            method,
            self.url(self.path(repository, "manifests", reference), pulls=True),
            what,
            headers={"Accept": ", ".join(ACCEPT)},
            scopes=pull_scope(repository),
            success=success,
        )
        return self.send(request, repository)

    def _find_base(self) -> Url:
        """Scheme, host and port. Where plain HTTP will do, whether TLS is spoken is tried out, once."""
        with self._base_lock:
            if self._base is None:
                self._base = self._try_schemes()
            return self._base

    def _try_schemes(self) -> Url:
        host, port = split_port(self.endpoint.api_host)
        secure = Url("https", host, port or 443, "/v2/")
        if not (self.endpoint.insecure or self.endpoint.is_loopback):
            return secure
        plain = Url("http", host, port or 80, "/v2/")
        failures = 0
        while True:
            try:
                self._look(secure)
                return secure
            except (Unavailable, TimedOut) as error:
                trouble = error
            try:
                # 400 is how a server of TLS answers to plain HTTP.
                if self._look(plain) != 400:
                    return plain
            except (Unavailable, TimedOut) as error:
                trouble = error if port else trouble
            failures += 1
            if failures >= self.limits.attempts:
                raise trouble
            self.transport.wait(back_off_s(failures, self.limits, random.random))

    def _look(self, url: Url) -> int:
        answer = self.transport.exchange("GET", url, {}, total_s=self.limits.document_s)
        answer.discard()
        return answer.status
