"""An appc image, with all that it depends on, as an OCI image: a ``carob.image.sources.source.Source``.

Each ACI becomes a layer, or several where it was rendered before; see ``config`` for the rest. The work is
done at the first question, once: download, signatures, dependencies, rendering.
"""

from __future__ import annotations

import os
import threading
from functools import partial

from carob.errors import CarobError, CorruptData, InvalidInput, NotFound, Unsupported
from carob.image.aci.config import asked_paths, left_out, oci_annotations, oci_config, user_of
from carob.image.aci.dependencies import Step, laid_out
from carob.image.aci.finder import AciSettings, Finder, FoundAci
from carob.image.aci.records import Record, write_record
from carob.image.aci.render import find_owners, render_archive, render_layer
from carob.image.aci.stored import StoredImage, find_stored
from carob.image.failures import translate
from carob.image.sources.files import FileReader
from carob.image.store.layout import Layout
from carob.spec.address import shown
from carob.spec.discovery import AppcName, oci_reference, parse_appc_name
from carob.spec.oci.config import sha256_hex
from carob.spec.oci.descriptor import CONFIG, LAYER, MANIFEST, Descriptor, platform_of_machine
from carob.spec.oci.document import DOCUMENT_BYTES, encode_document
from carob.spec.oci.manifest import Manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from carob.image.aci.whitelist import Whitelist
    from carob.image.sources.source import BlobReader
    from carob.spec.address import ImageAddress
    from carob.spec.appc.image import Dependency, ImageManifest


def open_appc(address: ImageAddress, settings: AciSettings) -> AciSource:
    """The source for an ``aci:`` or ``appc:`` address. Nothing is asked for yet."""
    if address.transport == "appc":
        wanted = parse_appc_name(address.location)
        reference = oci_reference(wanted.name, dict(wanted.labels).get("version", ""))
        return AciSource(address, str(address), settings, lambda finder: finder.by_name(wanted), reference)
    location = address.location
    if location.startswith(("https://", "http://")):
        from carob.image.aci.web_address import parse_url

        name = f"aci:{parse_url(location)}"
        return AciSource(address, name, settings, lambda finder: finder.by_url(location))
    return AciSource(address, shown(address), settings, lambda finder: finder.by_path(location))


class AciSource:
    """One appc image. ``address``, ``name`` and the methods as in ``Source``."""

    def __init__(
        self,
        address: ImageAddress,
        name: str,
        settings: AciSettings,
        get: Callable[[Finder], FoundAci],
        reference: str = "",
    ) -> None:
        self.address = address
        self.name = name
        self._settings = settings
        self._get = get
        self._reference = reference
        self._lock = threading.Lock()
        self._finder = Finder(settings)
        self._made: _Made | None = None
        self._is_closed = False

    @property
    def reference(self) -> str:
        """The name and version: those asked for, else those in the image, which is got for it."""
        if self._reference:
            return self._reference
        manifest = self._image().top.archive.manifest
        return oci_reference(str(manifest.name), manifest.labels.get("version", "") or "")

    @property
    def signers(self) -> tuple[str, ...]:
        """The fingerprints of the trusted keys that signed the image."""
        return self._image().top.signers

    @property
    def left_out(self) -> list[str]:
        """What the image's app section asks for that carob does not do, by its keys."""
        return left_out(self._image().top.archive.manifest)

    def root(self) -> tuple[Descriptor, bytes]:
        """The manifest that was made."""
        image = self._image()
        return image.descriptor, image.manifest

    def document(self, descriptor: Descriptor) -> bytes:
        """The configuration that was made."""
        image = self._image()
        if descriptor.digest != image.config_digest:
            raise NotFound(f"{self.name} has no document {descriptor.digest}")
        return image.config

    def open_blob(self, descriptor: Descriptor, offset: int = 0) -> BlobReader:
        """One of the layers."""
        fd = self._image().fds.get(descriptor.digest)
        if fd is None:
            raise NotFound(f"{self.name} has no layer {descriptor.digest}")
        end = os.fstat(fd).st_size
        return FileReader(fd, 0, end, f"{self.name}, layer {descriptor.digest}", offset=offset)

    def close(self) -> None:
        """Ends what is under way; readers that are open go on."""
        self._is_closed = True
        self._finder.interrupt()
        with self._lock:
            if self._made is not None:
                self._made.close()
            self._finder.close()

    def _image(self) -> _Made:
        with self._lock:
            if self._is_closed:
                raise InvalidInput(f"{self.name} was closed")
            if self._made is None:
                try:
                    self._made = _Maker(self._settings, self._finder).make(self._get(self._finder))
                except CarobError:
                    raise  # TimedOut is an OSError as well
                except OSError as error:
                    raise translate(error, f"getting {self.name}") from error
            return self._made


def _check_system(found: FoundAci) -> None:
    system = found.archive.manifest.labels.get("os", "linux")
    if system != "linux":
        raise Unsupported(f"{found.what} is an image for {system}")


class _Layer:
    """A layer that was made, or is the store's: where it is, and what the history says of it."""

    __slots__ = ("descriptor", "diff_id", "fd", "made_of")

    def __init__(self, descriptor: Descriptor, diff_id: str, fd: int, made_of: str) -> None:
        self.descriptor = descriptor
        self.diff_id = diff_id
        self.fd = fd
        self.made_of = made_of


class _Made:
    """The OCI image: its documents, and its layers' files by their digests."""

    def __init__(
        self, top: FoundAci, layers: Sequence[_Layer], stored: Sequence[StoredImage], user: str
    ) -> None:
        self.top = top
        self.fds = {layer.descriptor.digest: layer.fd for layer in layers}
        self._stored = stored
        appc = top.archive.manifest
        config = oci_config(
            appc,
            diff_ids=[layer.diff_id for layer in layers],
            history=[layer.made_of for layer in layers],
            host=platform_of_machine(os.uname().machine),
            user=user,
        )
        self.config = encode_document(config)
        self.config_digest = "sha256:" + sha256_hex(self.config)
        manifest = Manifest(
            Descriptor(CONFIG, self.config_digest, len(self.config)),
            tuple(layer.descriptor for layer in layers),
            oci_annotations(appc, top.archive.manifest_bytes, top.archive.image_id),
        )
        self.manifest = encode_document(manifest.document())
        self.descriptor = Descriptor(MANIFEST, "sha256:" + sha256_hex(self.manifest), len(self.manifest))
        if max(len(self.manifest), len(self.config)) > DOCUMENT_BYTES:
            raise CorruptData(f"{top.what}: its manifest is too large to be kept")

    def close(self) -> None:
        """Lets go of the store's blobs; the others are the finder's."""
        for image in self._stored:
            image.close()


class _Fetched:
    """An ACI that was got, in the terms of ``dependencies``."""

    layers = 1

    def __init__(self, found: FoundAci) -> None:
        self.found = found
        self.what = found.what
        self.image_id = found.archive.image_id
        manifest: ImageManifest = found.archive.manifest
        self.dependencies: Sequence[Dependency] = manifest.dependencies
        self.path_whitelist: Sequence[str] = manifest.path_whitelist


class _Maker:
    """Makes one image; every dependency is got once, every layer rendered once."""

    def __init__(self, settings: AciSettings, finder: Finder) -> None:
        self._settings = settings
        self._finder = finder
        self._layout = Layout(settings.data_dir + "/images")
        self._found: dict[str, _Fetched | StoredImage] = {}
        self._rendered: dict[tuple[str, tuple[str, ...]], list[_Layer]] = {}

    def make(self, top: FoundAci) -> _Made:
        """The image with ``top`` at its top."""
        try:
            return self._make(top)
        except BaseException:
            for image in self._stored():
                image.close()
            raise

    def _stored(self) -> list[StoredImage]:
        return [image for image in self._found.values() if isinstance(image, StoredImage)]

    def _make(self, top: FoundAci) -> _Made:
        _check_system(top)
        layers: list[_Layer] = []
        for step in laid_out(_Fetched(top), self._find, self._settings.limits):
            layers += self._layers(step)
        app = top.archive.manifest.app
        asked = asked_paths(app)
        owners = find_owners([layer.fd for layer in reversed(layers)], asked, top.what, self._settings.limits)
        try:
            user = user_of(app, owners)
        except NotFound as error:
            raise CorruptData(f"{top.what}: {error.message}") from error
        made = _Made(top, layers, self._stored(), user)
        for found in (top, *(image.found for image in self._found.values() if isinstance(image, _Fetched))):
            self._finder.release(found.archive.fd)
        manifest = top.archive.manifest
        write_record(
            self._settings.data_dir,
            Record(
                made.descriptor.digest,
                top.archive.image_id,
                str(manifest.name),
                manifest.labels.to_map(),
                top.signers,
            ),
        )
        return made

    def _find(self, dependency: Dependency, what: str) -> _Fetched | StoredImage:
        """The image of a dependency: in the store, else by discovery."""
        wanted = AppcName(dependency.image_name, dependency.labels.to_map())
        key = f"{wanted} {dependency.image_id or ''}"
        found = self._found.get(key)
        if found is None:
            found = find_stored(self._settings, self._layout, dependency)
            if found is None:
                found = _Fetched(self._finder.by_dependency(wanted, dependency, what))
            self._found[key] = found
        return found

    def _layers(self, step: Step) -> list[_Layer]:
        key = (step.image.image_id, step.listed_by)
        layers = self._rendered.get(key)
        if layers is None:
            image = step.image
            if isinstance(image, StoredImage):
                layers = self._of_store(image, step.whitelists)
            else:
                assert isinstance(image, _Fetched)
                layers = [self._of_archive(image.found, step.whitelists)]
            self._rendered[key] = layers
        return layers

    def _of_archive(self, found: FoundAci, whitelists: Sequence[Whitelist]) -> _Layer:
        copy = self._finder.temporary()
        sink = partial(self._finder.write, copy)
        made = render_archive(found.archive, whitelists, sink, found.what, self._settings.limits)
        made_of = f"{found.archive.manifest.name} {found.archive.image_id}"
        return _Layer(Descriptor(LAYER, made.digest, made.size_bytes), made.digest, copy, made_of)

    def _of_store(self, image: StoredImage, whitelists: Sequence[Whitelist]) -> list[_Layer]:
        made_of = f"{image.what} {image.image_id}"
        layers = []
        for descriptor, diff_id, fd in zip(image.descriptors, image.diff_ids, image.fds, strict=True):
            if not whitelists:
                layers.append(_Layer(descriptor, diff_id, fd, made_of))
                continue
            copy = self._finder.temporary()
            sink = partial(self._finder.write, copy)
            what = f"{image.what}, layer {descriptor.digest}"
            made = render_layer(fd, descriptor.digest, whitelists, sink, what, self._settings.limits)
            layers.append(_Layer(Descriptor(LAYER, made.digest, made.size_bytes), made.digest, copy, made_of))
        return layers
