"""Debian's docker-registry as a process of its own on the loopback interface, with a storage of its own."""

from __future__ import annotations

import base64
import contextlib
import ctypes
import hashlib
import json
import os
import re
import secrets
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.parts import skopeo
from tests.parts.certificates import Authority, Certificate
from tests.parts.lacking import command
from tests.parts.request_log import PATIENCE_S, Request, RequestLog
from tests.parts.token_server import ISSUER, SERVICE, TokenServer

_LISTENING = re.compile(rb"listening on (?:127\.0\.0\.1):(\d+)")
_ROUNDS = 4  # of bcrypt: the fewest, for a check at each request


class Basic:
    """User and password, checked by the registry itself."""

    def __init__(self, user: str = "ann", password: str = "pä:ss wörd") -> None:
        self.user, self.password = user, password


class Tokens(Basic):
    """User and password for a token server, whose tokens the registry checks."""


class Registry:
    """A registry that takes pushes and deletions. ``start`` and ``stop`` keep its port and its storage.

    - ``host``: ``127.0.0.1:PORT``; ``base_url``: what stands before ``/v2/``.
    - ``ca_file``, ``cert_dir``: the authority to trust, for carob and for skopeo; None for plain HTTP.
    - ``credentials``: user and password; None where none are asked for.
    - ``tokens``: the token server, where there is one.
    """

    def __init__(
        self,
        directory: Path,
        *,
        authority: Authority | None = None,
        auth: Basic | None = None,
        tokens: TokenServer | None = None,
    ) -> None:
        self.directory = directory
        self.storage = directory / "storage"
        self.ca_file = authority.ca_file if authority else None
        self.cert_dir = authority.cert_dir if authority else None
        self.credentials = (auth.user, auth.password) if auth else None
        self.tokens = tokens
        self.port = 0
        self._certificate: Certificate | None = authority.issue() if authority else None
        command("skopeo")  # pushes and pulls need it: say so at once
        self._program = [command("setpriv"), "--pdeathsig=KILL", command("docker-registry"), "serve"]
        self._auth: dict[str, Any] = {}
        if tokens is not None:
            self._auth["token"] = {
                "realm": tokens.url,
                "service": SERVICE,
                "issuer": ISSUER,
                "rootcertbundle": str(tokens.root_file),
            }
        elif auth is not None:
            self._auth["htpasswd"] = {"realm": "loopback", "path": str(directory / "htpasswd")}
        self.storage.mkdir(parents=True)
        if auth is not None:
            (directory / "htpasswd").write_text(f"{auth.user}:{_bcrypt(auth.password)}\n")
        self._log_file = directory / "log"
        self._log_file.touch()
        self._log = RequestLog(self._log_file)
        self._process: subprocess.Popen[bytes] | None = None

    # --- the process ---

    def start(self) -> None:
        """Start it and wait until it listens."""
        configuration = self.directory / "config.yml"
        configuration.write_text(json.dumps(self._configuration()))  # JSON is YAML
        begin = self._log_file.stat().st_size
        with open(self._log_file, "ab") as log:
            self._process = subprocess.Popen(
                [*self._program, str(configuration)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
            )
        deadline = time.monotonic() + PATIENCE_S
        while not (found := _LISTENING.search(self._log_file.read_bytes()[begin:])):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"the registry did not start: {self._log_file.read_bytes()[begin:]!r}")
            time.sleep(0.005)
        self.port = int(found[1])

    def stop(self) -> None:
        """Kill it; its connections break."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    @property
    def pid(self) -> int:
        """The process, while it runs."""
        assert self._process is not None
        return self._process.pid

    def _configuration(self) -> dict[str, Any]:
        http: dict[str, Any] = {"addr": f"127.0.0.1:{self.port}", "secret": secrets.token_hex(16)}
        if self._certificate is not None:
            http["tls"] = {
                "certificate": str(self._certificate.chain_file),
                "key": str(self._certificate.key_file),
            }
        return {
            "version": "0.1",
            "log": {"level": "debug", "formatter": "json", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(self.storage), "maxthreads": 100},
                "delete": {"enabled": True},
                "maintenance": {"uploadpurging": {"enabled": False}},
            },
            "auth": self._auth,
            "http": http,
        }

    # --- where it is ---

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        return f"{'http' if self.ca_file is None else 'https'}://{self.host}"

    def reference(self, repository: str, tag: str = "latest") -> str:
        """``docker://HOST/repository:tag``, or ``…@digest`` where ``tag`` is a digest."""
        return f"docker://{self.host}/{repository}{'@' if ':' in tag else ':'}{tag}"

    def authorization(self) -> str:
        """The value of the header ``Authorization`` for basic auth."""
        assert self.credentials is not None
        return "Basic " + base64.b64encode(":".join(self.credentials).encode()).decode()

    # --- what it holds ---

    def push(
        self,
        source: str,
        repository: str,
        tag: str = "latest",
        *,
        all_platforms: bool = False,
        exact: bool = True,
    ) -> str:
        """Push an image as skopeo names it (``oci:PATH:TAG``); the digest of what the registry then has.

        If not ``exact``, skopeo may compress layers and convert documents.
        """
        more = ["--all"] * all_platforms + ["--preserve-digests"] * exact
        skopeo.copy(source, self.reference(repository, tag), *more, *self._skopeo("dest-"))
        return self.digest(repository, tag)

    def pull(
        self, repository: str, tag: str, destination: str, *, all_platforms: bool = False, exact: bool = True
    ) -> None:
        """Pull with skopeo into what it names so; if not ``exact``, it may compress and convert."""
        more = ["--all"] * all_platforms + ["--preserve-digests"] * exact
        skopeo.copy(self.reference(repository, tag), destination, *more, *self._skopeo("src-"))

    def inspect(self, repository: str, tag: str = "latest") -> dict[str, Any]:
        """The topmost document, a manifest or an index."""
        document = json.loads(self._raw(repository, tag))
        assert isinstance(document, dict)
        return document

    def digest(self, repository: str, tag: str = "latest") -> str:
        """The digest of the topmost document."""
        return "sha256:" + hashlib.sha256(self._raw(repository, tag)).hexdigest()

    def blob_file(self, digest: str) -> Path:
        """The file that the blob or document of this digest is in, so that it can be damaged."""
        hexadecimal = digest.removeprefix("sha256:")
        return self.storage / "docker/registry/v2/blobs/sha256" / hexadecimal[:2] / hexadecimal / "data"

    def _raw(self, repository: str, tag: str) -> bytes:
        return skopeo.run("inspect", "--raw", *self._skopeo(""), self.reference(repository, tag))

    def _skopeo(self, side: str) -> list[str]:
        options = [f"--{side}tls-verify={'false' if self.cert_dir is None else 'true'}"]
        if self.cert_dir is not None:
            options.append(f"--{side}cert-dir={self.cert_dir}")
        if self.credentials is not None:
            options.append(f"--{side}creds={':'.join(self.credentials)}")
        return options

    # --- what it was asked ---

    def mark(self) -> int:
        """A number for ``since``: what comes after now."""
        return len(self.requests())

    def requests(self, since: int = 0, *, patience_s: float = PATIENCE_S) -> list[Request]:
        """All that was served, in the order of the ends; waits for what has begun (`RequestLog.served`)."""
        return self._log.served(patience_s=patience_s)[since:]

    def blob_downloads(self, since: int = 0) -> Counter[str]:
        """How often each blob was downloaded, whole or in part, by its digest."""
        found = (request.downloaded_blob for request in self.requests(since))
        return Counter(digest for digest in found if digest is not None)

    def bytes_sent(self, since: int = 0) -> int:
        """How many bytes of bodies it sent."""
        return sum(request.size for request in self.requests(since) if request.method == "GET")


def _bcrypt(password: str) -> str:
    """The hash that an htpasswd file holds, by crypt(3) and crypt_gensalt(3) of Debian's libcrypt."""
    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt.restype = library.crypt_gensalt.restype = ctypes.c_char_p
    salt = library.crypt_gensalt(b"$2b$", ctypes.c_ulong(_ROUNDS), os.urandom(16), 16)
    hashed = library.crypt(password.encode(), salt)
    assert isinstance(hashed, bytes)
    return hashed.decode()


@contextlib.contextmanager
def running_registry(
    directory: Path, *, authority: Authority | None = None, auth: Basic | None = None
) -> Iterator[Registry]:
    """A registry in a new directory, killed at the end; the directory stays. `Lacking` where there is none.

    With an authority it speaks TLS. ``auth`` is ``Basic()``, ``Tokens()`` (which needs an authority, for its
    signatures) or nothing.
    """
    with contextlib.ExitStack() as stack:
        tokens = None
        if isinstance(auth, Tokens):
            assert authority is not None, "tokens are signed"
            tokens = stack.enter_context(TokenServer(authority, user=auth.user, password=auth.password))
        registry = Registry(directory, authority=authority, auth=auth, tokens=tokens)
        stack.callback(registry.stop)
        registry.start()
        yield registry
