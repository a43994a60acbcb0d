"""Getting one ACI, from a file, a URL or by its name, into a private copy, and having its signature checked.

It is copied first: what is verified is then what is used, whoever can write to the original. The copy has no
name, so that nothing is left of it however this process ends.
"""

from __future__ import annotations

import os

from carob.errors import CarobError, CorruptData, NotFound, Rejected, TimedOut, Unavailable, Unsupported
from carob.image.aci.archive import is_image_id, scan
from carob.image.aci.discover import find_endpoints
from carob.image.aci.http import Web
from carob.image.aci.limits import AciLimits
from carob.image.aci.web_address import parse_url
from carob.image.archives.input import open_input
from carob.image.files.durable import write_all
from carob.image.limits import limit_hint
from carob.image.store.blobs import create_layout
from carob.image.store.layout import TEMPORARY, Layout, read_whole
from carob.image.trust.insecure import Insecure
from carob.image.trust.keystore import KeyStore
from carob.image.trust.openpgp_packets import SIGNATURE_BYTES
from carob.spec.appc.platform import labels_of_platform
from carob.spec.discovery import AppcName, Endpoint
from carob.spec.oci.descriptor import platform_of_machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from carob.image.aci.archive import Archive
    from carob.image.trust.openpgp import Key
    from carob.spec.appc.image import Dependency

_PIECE_BYTES = 1 << 20
_UNSIGNED = "--insecure-options=image takes it unsigned"


class AciSettings:
    """What getting appc images depends on.

    - ``data_dir``: whose store is looked into, and where temporary files are.
    - ``keys``: who may sign; ``insecure``: what is not checked; ``limits``.
    - ``ca_file``: certificates beside the system's; ``port``: asked for discovery pages instead of 443.
    - ``told``: called with the bytes of a download that are there, and how many there will be.
    """

    __slots__ = ("ca_file", "data_dir", "insecure", "keys", "limits", "port", "told")

    def __init__(
        self,
        data_dir: str,
        *,
        keys: KeyStore | None = None,
        insecure: Insecure | None = None,
        limits: AciLimits | None = None,
        ca_file: str = "",
        port: int = 0,
        told: Callable[[int, int], object] | None = None,
    ) -> None:
        self.data_dir = os.path.abspath(data_dir)
        self.keys = keys or KeyStore()
        self.insecure = insecure or Insecure()
        self.limits = limits or AciLimits()
        self.ca_file = ca_file
        self.port = port
        self.told = told

    def web(self) -> Web:
        """What images and their signatures are got with."""
        return Web(allow_http=self.insecure.http, verify_tls=not self.insecure.tls, ca_file=self.ca_file)


class FoundAci:
    """One ACI: ``archive``, the fingerprints of its trusted ``signers`` (none where nobody asked), and
    ``what`` it is, for messages.
    """

    __slots__ = ("archive", "signers", "what")

    def __init__(self, archive: Archive, signers: tuple[str, ...], what: str) -> None:
        self.archive = archive
        self.signers = signers
        self.what = what


class Finder:
    """Gets ACIs for one image. The copies are closed with ``close``."""

    def __init__(self, settings: AciSettings) -> None:
        self.settings = settings
        self._web = settings.web()
        self._layout = Layout(settings.data_dir + "/images")
        self._copies: set[int] = set()
        self._is_interrupted = False
        self._platform = labels_of_platform(platform_of_machine(os.uname().machine))

    def interrupt(self) -> None:
        """Ends what is under way, from any thread: it raises ``Unavailable``."""
        self._is_interrupted = True
        self._web.close()

    def close(self) -> None:
        """Lets go of connections and copies."""
        self._web.close()
        while self._copies:
            os.close(self._copies.pop())

    def temporary(self) -> int:
        """A file without a name beside the store; ``close`` closes it."""
        create_layout(self._layout)
        fd = nameless_file(f"{self._layout.path}/{TEMPORARY}")
        self._copies.add(fd)
        return fd

    def write(self, fd: int, piece: bytes | memoryview) -> None:
        """Appends to a temporary file."""
        if self._is_interrupted:
            raise Unavailable("getting an appc image was called off")
        write_all(fd, piece)

    def release(self, fd: int) -> None:
        """Closes a temporary file before the others."""
        if fd in self._copies:
            self._copies.remove(fd)
            os.close(fd)

    def by_path(self, path: str) -> FoundAci:
        """The ACI in a file, with its signature in ``<path>.asc`` beside it."""

        def signature() -> bytes:
            return read_whole(open_input(_signature_of(path)), _signature_of(path), SIGNATURE_BYTES)

        fd = self.temporary()
        self._copy(open_input(path), fd, path)
        return self._admitted(fd, path, signature)

    def _copy(self, source: int, target: int, what: str) -> None:
        limit_bytes = self.settings.limits.archive_bytes
        try:
            size = 0
            while piece := os.read(source, _PIECE_BYTES):
                size += len(piece)
                if size > limit_bytes:
                    raise CorruptData(
                        f"{what}: larger than {limit_bytes} bytes", hint=limit_hint("aci_bytes")
                    )
                self.write(target, piece)
        finally:
            os.close(source)

    def by_url(self, url: str) -> FoundAci:
        """The ACI at a URL, with its signature at ``<url>.asc``."""
        address = parse_url(url)
        path, mark, query = address.target.partition("?")
        beside = address.changed(target=_signature_of(path) + mark + query)
        return self._downloaded(Endpoint(address.url, beside.url), None)

    def by_name(self, wanted: AppcName) -> FoundAci:
        """The ACI of a name, found by discovery. It is held to the name and the labels that were given."""
        failures: list[CarobError] = []
        for endpoint in find_endpoints(self._web, wanted, self._platform, port=self.settings.port):
            try:
                return self._downloaded(endpoint, wanted)
            except (NotFound, Unavailable, TimedOut, _NoSignature) as error:
                failures.append(error)
        raise failures[0]

    def by_dependency(self, wanted: AppcName, dependency: Dependency, what: str) -> FoundAci:
        """The ACI of a dependency of ``what``, held to the image id and the size that it says."""
        needs = f"{what} depends on {_printable(str(wanted))}"
        try:
            found = self.by_name(wanted)
        except CarobError as error:
            raise type(error)(f"{needs}: {error.message}", hint=error.hint) from error
        archive, there = found.archive, f"the one at {found.what} has"
        image_id = str(dependency.image_id or "")
        if image_id and not is_image_id(archive.image_id, image_id):
            raise CorruptData(f"{needs} with the id {_printable(image_id)}; {there} {archive.image_id}")
        if dependency.size and dependency.size not in (archive.size_bytes, archive.plain_bytes):
            raise CorruptData(f"{needs} of {dependency.size} bytes; {there} {archive.size_bytes}")
        return found

    def _downloaded(self, endpoint: Endpoint, wanted: AppcName | None) -> FoundAci:
        what = str(parse_url(endpoint.image))

        def fetched() -> bytes:
            return self._web.get(endpoint.signature, limit_bytes=SIGNATURE_BYTES)

        # First the signature: without one there is no need of the image.
        data = None if self.settings.insecure.image else _signature(fetched, what)
        fd = self.temporary()
        limits = self.settings.limits
        try:
            self._web.download(endpoint.image, fd, limit_bytes=limits.archive_bytes, told=self.settings.told)
        except CorruptData as error:  # it is too large
            error.hint = error.hint or limit_hint("aci_bytes")
            raise
        return self._admitted(fd, what, lambda: data or b"", wanted)

    def _admitted(
        self, fd: int, what: str, signature: Callable[[], bytes], wanted: AppcName | None = None
    ) -> FoundAci:
        """Checks signature, contents and name, in that order: what nobody signed is not looked into."""
        keys = self.settings.keys
        signers: list[Key] = []
        is_checked = not self.settings.insecure.image
        data = _signature(signature, what) if is_checked else b""
        if is_checked and wanted is not None:
            signers = keys.check_signature(wanted.name, fd, data, what)
        elif is_checked:
            signers = keys.check_any_signature(fd, data, what)
        archive = scan(fd, what, self.settings.limits)
        if wanted is not None:
            _check_identity(archive, wanted, self._platform, what)
        elif is_checked:
            signers = keys.check_named(signers, str(archive.manifest.name), fd, data, what)
        return FoundAci(archive, tuple(key.fingerprint for key in signers), what)


class _NoSignature(Rejected):
    """There is no signature where it should be."""


def _signature(fetched: Callable[[], bytes], what: str) -> bytes:
    try:
        return fetched()
    except NotFound as error:
        raise _NoSignature(f"{what} is not signed: {error.message}", hint=_UNSIGNED) from error


def _signature_of(path: str) -> str:
    return path + ".asc"


def _check_identity(archive: Archive, wanted: AppcName, platform: dict[str, str], what: str) -> None:
    """The image must be the one that was asked for (discovery.md, "Validation"), and for ``platform`` where
    nobody asked for another.
    """
    if str(archive.manifest.name) != wanted.name:
        raise CorruptData(f"{what}: asked for {wanted.name}, got {archive.manifest.name}")
    labels = archive.manifest.labels.to_map()
    for label, value in wanted.labels:
        if labels.get(label) != value:
            said = repr(labels[label]) if label in labels else "nothing"
            raise CorruptData(f"{what}: asked for {label}={value}, and the image says {said}")
    for label, value in platform.items():
        if label not in dict(wanted.labels) and labels.get(label, value) != value:
            raise Unsupported(
                f"{what}: an image for {label}={labels[label]}, not for this host's {value}",
                hint=f"to have it all the same: {wanted},{label}={labels[label]}",
            )


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "\ufffd" for char in text[:300])


def nameless_file(directory: str) -> int:
    """A new file, open for reading and writing, that no directory names."""
    flags = os.O_RDWR | os.O_CLOEXEC
    try:
        return os.open(directory, flags | os.O_TMPFILE, 0o600)
    except OSError:  # not every file system can do that
        path = f"{directory}/aci-{os.getpid()}-{os.urandom(6).hex()}"
        fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
        os.unlink(path)
        return fd
