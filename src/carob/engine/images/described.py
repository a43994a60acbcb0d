"""Images with all that they can be named by, and what they run as: what a list for other programs needs."""

from __future__ import annotations

from carob.engine.failures import Attempt, is_shortage
from carob.errors import CarobError, InvalidInput, NotFound
from carob.image.store.layout import Layout
from carob.image.store.resolve import (
    ORIGINAL,
    ROOT,
    entry_name,
    find_image,
    index_entries,
    load_image,
    manifest_for_host,
)
from carob.image.store.store import Store
from carob.spec.oci.descriptor import parse_descriptor
from carob.spec.reference import parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.image.store.resolved import ResolvedImage
    from carob.spec.oci.descriptor import Descriptor


class DescribedImage:
    """One image: its id ``sha256:<hex>``, its names with a tag (``tags``), and those with a digest
    (``digests``), sorted; what its blobs take (``size_bytes``), and its configuration's ``User``.
    """

    __slots__ = ("digests", "image_id", "size_bytes", "tags", "user")

    def __init__(self, image: ResolvedImage, manifest: Descriptor) -> None:
        inner = image.config.get("config")
        sizes = {one.digest: one.size_bytes for one in (manifest, *image.layers)}
        self.image_id = image.image_id
        self.size_bytes = sum(sizes.values())
        self.user = str(inner.get("User") or "") if isinstance(inner, dict) else ""
        self.tags: tuple[str, ...] = ()
        self.digests: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"DescribedImage({self.image_id!r}, {list(self.tags)!r})"


def described(data_dir: str) -> list[DescribedImage]:
    """Every image, in order of ids. One that cannot be read is left out."""
    layout = Layout(f"{data_dir}/images")
    found: dict[str, DescribedImage] = {}
    with Attempt("the images cannot be listed"):
        entries = _by_manifest(layout)
        for digest, named in entries.items():
            try:
                found[digest] = _describe(layout, named)
            except (CarobError, OSError) as error:
                if is_shortage(error):
                    raise
                continue  # damaged, or removed since it was listed: an image's trouble stays with it
    return [found[digest] for digest in sorted(found)]


def describe(data_dir: str, name_or_id: str) -> DescribedImage:
    """The image of a name or id. Raises ``NotFound``, ``InvalidInput``, ``CorruptData``."""
    layout = Layout(f"{data_dir}/images")
    with Attempt(f"image {name_or_id} cannot be looked up"):
        _, descriptor = find_image(layout, name_or_id)
        named = _by_manifest(layout).get(descriptor.digest)
        if named is None:
            raise NotFound(f"there is no image {name_or_id!r} any more")
        return _describe(layout, named)


def remove_with_all_names(data_dir: str, name_or_id: str) -> None:
    """Takes an image away, whatever else it is called. One that is not here is fine.

    Raises ``Conflict`` where a pod uses it.
    """
    from carob.engine.images.use import in_use

    store = Store(data_dir)
    with Attempt(f"image {name_or_id} cannot be removed"):
        try:
            found = find_image(store.layout, name_or_id)[1].digest
        except NotFound:
            return
        except CarobError:
            found = name_or_id  # a name that leads nowhere goes by itself
        try:
            store.remove(found, in_use=in_use(data_dir))
        except NotFound:
            return  # another was quicker


def _by_manifest(layout: Layout) -> dict[str, list[tuple[str, Descriptor, Descriptor]]]:
    """For each manifest for this host: name, descriptor in the index, and descriptor of the manifest of each
    entry that leads to it.
    """
    found: dict[str, list[tuple[str, Descriptor, Descriptor]]] = {}
    for entry in index_entries(layout):
        try:
            outer = parse_descriptor(entry, f"{layout.path}/index.json")
            manifest = manifest_for_host(layout, outer)
        except CarobError:
            continue
        found.setdefault(manifest.digest, []).append((entry_name(entry), outer, manifest))
    return found


def _describe(layout: Layout, named: list[tuple[str, Descriptor, Descriptor]]) -> DescribedImage:
    manifest = named[0][2]
    image = DescribedImage(load_image(layout, "", manifest), manifest)
    tags, digests = set(), set()
    for name, outer, _ in named:
        try:
            reference = parse_reference(name)
        except InvalidInput:
            continue
        annotations = outer.annotations
        if reference.tag:
            tags.add(f"{reference.repository}:{reference.tag}")
        # What the registry was asked for by, where it is known: an image that was made here has its own id.
        known = reference.digest or annotations.get(ROOT) or annotations.get(ORIGINAL) or outer.digest
        digests.add(f"{reference.repository}@{known}")
    image.tags, image.digests = tuple(sorted(tags)), tuple(sorted(digests))
    return image
