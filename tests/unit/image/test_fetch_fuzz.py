"""Documents of any shape, as a registry or an archive may send them: an image, or a clear error; no hang."""

from __future__ import annotations

import json
import tempfile
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carob.errors import CarobError
from carob.image import ResolvedImage, Store
from carob.image.fetch.fetch import fetch
from carob.spec.oci.descriptor import CONFIG, INDEX, MANIFEST
from tests.unit.image.archives import digest, member, tar
from tests.unit.image.memory_source import MemorySource

LAYER = tar(member("file", b"x"))

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 70), 1 << 70)
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.sampled_from(
        [digest(LAYER), digest(b""), "sha256:../../x", MANIFEST, INDEX, CONFIG, "linux", "amd64"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from(
    [
        *("schemaVersion", "mediaType", "config", "layers", "manifests", "annotations", "digest", "size"),
        *(
            "platform",
            "os",
            "architecture",
            "rootfs",
            "type",
            "diff_ids",
            "history",
            "Env",
            "created",
            "subject",
        ),
    ]
)
CHANGES = st.lists(st.tuples(st.integers(0, 40), KEYS, VALUES), min_size=1, max_size=3)


def changed(document: Any, changes: list[tuple[int, str, Any]]) -> Any:
    """A copy with some values, anywhere in it, replaced or added."""
    document = json.loads(json.dumps(document))
    for place, key, value in changes:
        objects = list(_objects(document))
        objects[place % len(objects)][key] = value
    return document


def _objects(value: Any) -> Any:
    if isinstance(value, dict):
        yield value
        for inner in list(value.values()):
            yield from _objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _objects(inner)


def fetched(store: Store, source: MemorySource) -> tuple[ResolvedImage | None, str]:
    """The image, or what the error says."""
    try:
        return fetch(store, None, source), ""
    except CarobError as error:
        return None, error.message


@given(st.sampled_from(["config", "manifest", "index"]), CHANGES)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_changed_documents(which: str, changes: list[tuple[int, str, Any]]) -> None:
    source = MemorySource(reference="app")
    source.put_image(LAYER)
    manifest = json.loads(source.root()[1])
    config = json.loads(source.blobs[manifest["config"]["digest"]])
    if which == "config":
        config = changed(config, changes)
    stored = source.put(json.dumps(config).encode(), CONFIG)
    manifest["config"] = stored.document()
    if which == "manifest":
        manifest = changed(manifest, changes)
    data = json.dumps(manifest).encode()
    source.top = source.put(data, MANIFEST), data
    if which == "index":
        index = {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [{**source.top[0].document(), "platform": {"os": "linux", "architecture": "amd64"}}],
        }
        data = json.dumps(changed(index, changes)).encode()
        source.top = source.put(data, INDEX), data
    with tempfile.TemporaryDirectory() as directory:
        store = Store(directory)
        image, message = fetched(store, source)
        if image is None:
            assert "\n" not in message
            assert len(message) < 1000
            assert store.list() == []
            return
        assert store.resolve("app").image_id == image.image_id
        assert [summary.problem for summary in store.list()] == [""]
        json.dumps(store.inspect("app"))
        assert len(store.history("app")) >= len(image.layers)
        store.usage()


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_for_a_document(data: bytes) -> None:
    source = MemorySource(reference="app")
    source.top = source.put(data, MANIFEST), data
    with tempfile.TemporaryDirectory() as directory:
        image, message = fetched(Store(directory), source)
        assert image is None
        assert "memory:source" in message
