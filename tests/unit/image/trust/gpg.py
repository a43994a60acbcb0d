"""GnuPG in a home of its own: makes keys, signs, and lets time pass."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.needs import require_command

LONG_AGO = "20200101T000000"


class Gpg:
    """One GNUPGHOME. Keys are Ed25519, which take no time to make."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.program = require_command("gpg")
        self.environment = {**os.environ, "GNUPGHOME": str(home), "LC_ALL": "C.UTF-8"}

    def run(self, *arguments: str, data: bytes = b"", at: str = "") -> bytes:
        command = [self.program, "--batch", "--quiet", "--no-tty", "--yes", "--pinentry-mode=loopback"]
        command += ["--passphrase", "", "--no-auto-check-trustdb"]
        if at:
            command.append(f"--faked-system-time={at}")
        done = subprocess.run(
            [*command, *arguments], input=data, capture_output=True, check=False, env=self.environment
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def key(self, name: str, *, algorithm: str = "ed25519", expires: str = "never", at: str = "") -> str:
        """Makes a key that signs; its fingerprint."""
        self.run("--quick-gen-key", name, algorithm, "cert,sign", expires, at=at)
        return self.fingerprint(name)

    def fingerprint(self, name: str) -> str:
        listed = self.run("--list-keys", "--with-colons", f"={name}").decode()
        return next(line.split(":")[9].lower() for line in listed.splitlines() if line.startswith("fpr"))

    def subkey(self, fingerprint: str, *, expires: str = "never", at: str = "") -> None:
        self.run("--quick-add-key", fingerprint, "ed25519", "sign", expires, at=at)

    def public(self, *names: str, armor: bool = True) -> bytes:
        return self.run(*(["--armor"] if armor else []), "--export", *names)

    def secret(self, name: str) -> bytes:
        return self.run("--armor", "--export-secret-keys", name)

    def sign(self, data: bytes, key: str, *options: str, armor: bool = True, at: str = "") -> bytes:
        """A detached signature."""
        return self.run(
            *(["--armor"] if armor else []), "--local-user", key, *options, "--detach-sign", data=data, at=at
        )

    def message(self, data: bytes, key: str, *options: str, at: str = "") -> bytes:
        """A signed message, the form of simple signing."""
        return self.run("--local-user", key, *options, "--sign", data=data, at=at)

    def revoke(self, fingerprint: str, reason: int) -> None:
        """Revokes a key; 0 no reason, 1 compromised, 3 no longer used (gpg's menu)."""
        made = subprocess.run(
            [self.program, "--no-tty", "--command-fd=0", "--yes", "--gen-revoke", fingerprint],
            input=f"y\n{reason}\n\ny\n".encode(),
            capture_output=True,
            check=True,
            env=self.environment,
        ).stdout
        self.run("--import", data=made)

    def close(self) -> None:
        subprocess.run(
            ["gpgconf", "--kill", "all"], env=self.environment, check=False, stderr=subprocess.DEVNULL
        )
        shutil.rmtree(self.home, ignore_errors=True)


@pytest.fixture(scope="session")
def gpg() -> Iterator[Gpg]:
    """A home for the whole session; its sockets need a short path."""
    home = Path(tempfile.mkdtemp(prefix="carob-gpg-"))
    made = Gpg(home)
    yield made
    made.close()
