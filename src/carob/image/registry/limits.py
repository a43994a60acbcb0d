"""How long a registry may take, and how often it is asked again."""

from __future__ import annotations

from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.image.limits import ImageLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Times are in seconds.

    - ``connect_s``: for a connection, its TLS handshake, and for a piece of 64 KiB that is sent.
    - ``headers_s``: from the end of a request to the end of the answer's headers; ``commit_s`` is the same
      for the last request of an upload, where registries copy the blob.
    - ``stall_s``: without a byte of a body. ``least_bytes_s``: a body slower than that, over ``stall_s``,
      counts as stalled too; 0 for any pace.
    - ``document_s``: for all of a manifest or a token, as long as bytes come.
    - ``attempts``: of one request. Between them passes ``first_wait_s``, doubled each time, less a random
      part, at most ``longest_wait_s``; a ``Retry-After`` beyond that is an error at once.
    - ``request_s``: for all attempts and redirects of one request, until an answer begins; what is under
      way then may still come.
    - ``redirects``: that are followed for one request.
    - ``helper_s``: for a credential helper.
    """

    connect_s: float = 15.0
    headers_s: float = 60.0
    commit_s: float = 600.0
    stall_s: float = 30.0
    least_bytes_s: int = 256
    document_s: float = 120.0
    attempts: int = 5
    first_wait_s: float = 0.5
    longest_wait_s: float = 30.0
    request_s: float = 300.0
    redirects: int = 10
    helper_s: float = 30.0


DEFAULT_LIMITS = Limits()


def registry_limits(limits: ImageLimits | None) -> Limits:
    """The patience with registries where a user has set it."""
    if limits is None:
        return DEFAULT_LIMITS
    return Limits(
        connect_s=limits.connect_s,
        headers_s=limits.headers_s,
        stall_s=limits.stall_s,
        request_s=limits.request_s,
        attempts=limits.attempts,
    )
