"""A request seen through to its answer: credentials, redirects, and repetition after trouble that passes.

The rules for credentials, in one place:

- The header ``Authorization`` goes to the registry's origin (scheme, host and port), or that of the token
  server asked, and is gone for the rest of a chain of redirects once that leads elsewhere, even if it comes
  back. A body that holds a secret is not sent elsewhere at all.
- Only an answer of that origin itself is asked what it wants (401); one from behind a redirect is an error.
- A request to another origin than the registry's, such as an upload that it sends elsewhere, gets none.
- What is sent to a token server is decided in ``carob.image.registry.auth``.

The rules for redirects: only to http and https, to https alone from https unless the registry is insecure,
never to the same address twice, never with a user name in it.
"""

from __future__ import annotations

import contextlib
import random
import time

from carob.errors import CarobError, CorruptData, Rejected, TimedOut, Unavailable
from carob.image.registry.refusal import refusal
from carob.image.registry.retries import AGAIN, back_off_s, retry_after_s
from carob.image.registry.urls import resolve_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from carob.image.registry.answer import Answer
    from carob.image.registry.auth import Authorizer
    from carob.image.registry.limits import Limits
    from carob.image.registry.transport import Transport
    from carob.image.registry.urls import Url

_SAFE_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_KEEPING_REDIRECTS = frozenset((307, 308))
_AUTHORIZATION = "Authorization"


class Request:
    """One request.

    - ``what``: what is asked for, in messages. ``success``: the statuses that the caller can deal with.
    - ``scopes``: what a bearer token has to allow (``repository:team/app:pull``).
    - ``body``: makes the body anew, for each time it is sent; ``length`` is its size in bytes.
    - ``is_document``: whether the answer is small and has to be there in ``Limits.document_s``.
    - ``is_commit``: whether the answer may take ``Limits.commit_s`` to begin.
    - ``once``: not to be repeated after trouble; what was turned away for its number (429) is.
    - ``is_secret``: whether the body holds a secret.
    """

    __slots__ = (
        "body",
        "headers",
        "is_commit",
        "is_document",
        "is_secret",
        "length",
        "method",
        "once",
        "scopes",
        "success",
        "url",
        "what",
    )

    def __init__(
        self,
        method: str,
        url: Url,
        what: str,
        *,
        headers: Mapping[str, str] | None = None,
        scopes: tuple[str, ...] = (),
        success: Collection[int] = (200,),
        body: Callable[[], bytes | Iterable[bytes]] | None = None,
        length: int = 0,
        is_document: bool = True,
        is_commit: bool = False,
        once: bool = False,
        is_secret: bool = False,
    ) -> None:
        self.method = method
        self.url = url
        self.what = what
        self.headers = dict(headers or {})
        self.scopes = scopes
        self.success = success
        self.body = body
        self.length = length
        self.is_document = is_document
        self.is_commit = is_commit
        self.once = once
        self.is_secret = is_secret


class _NoToken(Exception):
    """A token server is in trouble. It was asked as often as the limits allow, and is not asked again."""

    def __init__(self, trouble: CarobError) -> None:
        super().__init__(trouble.message)
        self.trouble = trouble


@contextlib.contextmanager
def _asking_for_tokens() -> Iterator[None]:
    try:
        yield
    except (Unavailable, TimedOut) as error:
        raise _NoToken(error) from None


class Requester:
    """Sends requests for one registry. ``insecure`` as in `Endpoint`; ``mask`` takes secrets out of what
    servers say, which the ``authorizer`` does where there is one; what it says goes to ``origin`` only.
    """

    __slots__ = ("_authorizer", "_insecure", "_limits", "_mask", "_origin", "_transport")

    def __init__(
        self,
        transport: Transport,
        limits: Limits,
        *,
        insecure: bool = False,
        authorizer: Authorizer | None = None,
        origin: tuple[str, str, int] | None = None,
        mask: Callable[[str], str] | None = None,
    ) -> None:
        self._transport = transport
        self._limits = limits
        self._insecure = insecure
        self._authorizer = authorizer
        self._origin = origin
        self._mask = authorizer.mask if authorizer else mask or str

    def send(self, request: Request) -> Answer:
        """The answer, whose status is one of ``request.success``; the caller closes it.

        Everything else is raised, after as many attempts as the limits allow where it is trouble that passes.
        """
        attempts = self._limits.attempts
        deadline = time.monotonic() + self._limits.request_s
        failures = 0
        while True:
            try:
                answer = self._authorized(request, deadline)
            except _NoToken as error:
                raise error.trouble from error.trouble.__cause__
            except (Unavailable, TimedOut) as error:
                failures += 1
                if failures >= attempts or request.once:
                    raise
                trouble: CarobError = error
                wait_s = back_off_s(failures, self._limits, random.random)
            else:
                if answer.status in request.success:
                    return answer
                failures += 1
                asked_s = retry_after_s(answer.header("Retry-After"), time.time())
                trouble = self._refusal(answer, request, asked_s)
                wait_s = max(asked_s or 0.0, back_off_s(failures, self._limits, random.random))
                is_final = answer.status not in AGAIN or (request.once and answer.status != 429)
                if is_final or failures >= attempts or (asked_s or 0) > self._limits.longest_wait_s:
                    raise trouble
            if time.monotonic() + wait_s > deadline:
                raise trouble
            self._transport.wait(wait_s)

    def _refusal(self, answer: Answer, request: Request, wait_s: float | None) -> CarobError:
        hint = self._authorizer.hint() if self._authorizer else ""
        return refusal(answer, request.what, mask=self._mask, wait_s=wait_s, hint=hint)

    def _authorized(self, request: Request, deadline: float) -> Answer:
        """The answer after at most two rounds of asking the registry what credentials it wants."""
        if self._authorizer is None or request.url.origin != self._origin:
            return self._follow(request, "", deadline)
        with _asking_for_tokens():
            header = self._authorizer.header(request.scopes)
        answer = self._follow(request, header, deadline)
        if answer.status != 401 or answer.is_elsewhere:
            return answer
        challenges = answer.header_lines("WWW-Authenticate")
        try:
            with _asking_for_tokens():
                renewed = self._authorizer.answer(challenges, request.url, request.scopes, refused=header)
        except BaseException:
            answer.close()
            raise
        if not renewed:
            return answer
        answer.discard()
        return self._follow(request, renewed, deadline)

    def _follow(self, request: Request, authorization: str, deadline: float) -> Answer:
        """The answer after all redirects."""
        url = request.url
        seen = {url.whole}
        is_elsewhere = False
        while True:
            headers = dict(request.headers)
            if authorization and not is_elsewhere:
                headers[_AUTHORIZATION] = authorization
            elif is_elsewhere:
                headers.pop(_AUTHORIZATION, None)
            answer = self._exchange(request, url, headers)
            answer.is_elsewhere = is_elsewhere
            if answer.status not in _SAFE_REDIRECTS or answer.status in request.success:
                return answer
            target = self._redirected(answer, request)
            answer.discard()
            if target.whole in seen:
                raise CorruptData(f"{request.what}: {url} redirects in a circle, to {target}")
            if len(seen) > self._limits.redirects:
                raise CorruptData(f"{request.what}: too many redirects, the last to {target}")
            if time.monotonic() > deadline:
                raise TimedOut(f"{request.what}: the way by redirects took too long, at last to {target}")
            seen.add(target.whole)
            is_elsewhere = is_elsewhere or target.origin != request.url.origin
            if is_elsewhere and request.is_secret:
                raise Rejected(f"{request.what}: {url} sends on what is secret, to {target}")
            url = target

    def _exchange(self, request: Request, url: Url, headers: dict[str, str]) -> Answer:
        if request.method in ("POST", "PUT", "PATCH"):
            headers["Content-Length"] = str(request.length)
        return self._transport.exchange(
            request.method,
            url,
            headers,
            body=request.body() if request.body else None,
            headers_s=self._limits.commit_s if request.is_commit else 0.0,
            total_s=self._limits.document_s if request.is_document else 0.0,
        )

    def _redirected(self, answer: Answer, request: Request) -> Url:
        """Where a redirect leads; raises where that must not be followed."""
        if request.method not in ("GET", "HEAD") and answer.status not in _KEEPING_REDIRECTS:
            answer.close()
            raise CorruptData(f"{request.what}: {answer.url} redirects {request.method} by {answer.status}")
        return self.resolve(answer, "Location", request.what)

    def resolve(self, answer: Answer, header: str, what: str) -> Url:
        """The URL in a header of an answer, if it may be followed; else closes the answer and raises."""
        location = answer.header(header)
        try:
            if not location:
                raise ValueError("it is empty")
            target = resolve_url(answer.url, location)
        except ValueError as error:
            answer.close()
            raise CorruptData(f"{what}: {answer.url} sends on to no web address: {error}") from None
        if answer.url.scheme == "https" and target.scheme == "http" and not self._insecure:
            answer.close()
            raise Rejected(
                f"{what}: {answer.url} sends on to {target}, away from TLS",
                hint="insecure = true in registries.toml would allow it for this registry",
            )
        return target
