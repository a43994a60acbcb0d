"""A certificate authority made for the occasion, in which nobody else has any trust."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import NamedTuple

import trustme

HERE = ("localhost", "127.0.0.1", "::1")


class Certificate(NamedTuple):
    """Two PEM files: the certificate with what leads up to the authority, and its private key."""

    chain_file: Path
    key_file: Path

    def server_context(self) -> ssl.SSLContext:
        """What a TLS server serves it with."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain_file, self.key_file)
        return context


class Authority:
    """``ca_file`` is its own certificate; ``cert_dir`` the same as skopeo, podman and buildah look for it."""

    def __init__(self, directory: Path) -> None:
        self._ca = trustme.CA()
        self._issued = 0
        self.directory = directory
        self.cert_dir = directory / "trusted"
        self.cert_dir.mkdir(parents=True)
        self.ca_file = self.cert_dir / "ca.crt"
        self._ca.cert_pem.write_to_path(self.ca_file)

    def issue(self, *names: str) -> Certificate:
        """A certificate for these host names and addresses; without any, for the loopback's own."""
        self._issued += 1
        leaf = self._ca.issue_cert(*(names or HERE))
        made = Certificate(
            self.directory / f"server-{self._issued}.pem", self.directory / f"server-{self._issued}.key"
        )
        made.chain_file.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        made.key_file.touch(0o600)
        leaf.private_key_pem.write_to_path(made.key_file)
        return made

    def client_context(self) -> ssl.SSLContext:
        """What a client trusts that trusts this authority and no other."""
        return ssl.create_default_context(cafile=self.ca_file)
