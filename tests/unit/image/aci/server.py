"""A web server on the loopback interface that has appc images, signatures and discovery pages."""

from __future__ import annotations

from typing import Any

from tests.parts.certificates import Certificate
from tests.parts.loopback import Handler, LoopbackServer


class _Files(Handler):
    def do_GET(self) -> None:
        owner: Any = self.server.owner  # type: ignore[attr-defined]
        owner.requests.append(self.path)
        answer = owner.files.get(self.path)
        if answer is None:
            answer = (404, {}, b"not here")
        elif isinstance(answer, bytes):
            answer = (200, {}, answer)
        status, headers, body = answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers and "Transfer-Encoding" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class AciServer(LoopbackServer):
    """``files`` are bodies by their paths, or (status, headers, body); ``requests`` the paths asked for."""

    handler = _Files

    def __init__(self, certificate: Certificate | None = None) -> None:
        self.files: dict[str, Any] = {}
        self.requests: list[str] = []
        super().__init__(certificate=certificate)

    @property
    def url(self) -> str:
        """What stands before paths, by the name that certificates and appc names have."""
        return self.base_url.replace("127.0.0.1", "localhost")

    def page(self, path: str, *tags: tuple[str, str, str]) -> None:
        """A discovery page at ``/<path>`` with tags: kind, prefix, template or URL."""
        metas = "".join(f'<meta name="{kind}" content="{prefix} {text}">' for kind, prefix, text in tags)
        self.files[f"/{path}?ac-discovery=1"] = f"<html><head>{metas}</head></html>".encode()

    def publish(self, name: str, version: str, data: bytes, signature: bytes = b"") -> None:
        """An image where the template of ``template`` leads."""
        self.files[f"/images/{name}-{version}.aci"] = data
        if signature:
            self.files[f"/images/{name}-{version}.aci.asc"] = signature

    @property
    def template(self) -> str:
        return self.url + "/images/{name}-{version}.{ext}"
