"""A probe's conversation over TLS. Any certificate will do, as in Kubernetes."""

from __future__ import annotations

import ssl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.supervisor.probes.dial import Talk

_READ_BYTES = 1 << 14

_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_context.check_hostname = False
_context.verify_mode = ssl.CERT_NONE


class Tls:
    """TLS around another conversation."""

    __slots__ = ("_incoming", "_inner", "_outgoing", "_shaken", "_tls")

    def __init__(self, inner: Talk) -> None:
        self._inner = inner
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = _context.wrap_bio(self._incoming, self._outgoing)
        self._shaken = False

    def begin(self) -> bytes:
        """The first words of the handshake."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return self._outgoing.read()

    def hear(self, data: bytes) -> tuple[bytes, str | None]:
        """What that comes to in the conversation inside."""
        self._incoming.write(data)
        verdict = None
        try:
            verdict = self._go_on()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            verdict = self.over()
        except ssl.SSLError as error:
            verdict = f"TLS failed: {(error.reason or 'error').lower().replace('_', ' ')}"
        return self._outgoing.read(), verdict

    def _go_on(self) -> str:
        if not self._shaken:
            self._tls.do_handshake()
            self._shaken = True
            self._tls.write(self._inner.begin())
        while plain := self._tls.read(_READ_BYTES):
            answer, verdict = self._inner.hear(plain)
            if verdict is not None:
                return verdict
            if answer:
                self._tls.write(answer)
        return self.over()

    def over(self) -> str:
        """The other side has closed."""
        return self._inner.over() if self._shaken else "it closed the connection in the TLS handshake"
