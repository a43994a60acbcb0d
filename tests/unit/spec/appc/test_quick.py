"""The names of apps without reading the rest, and what reading costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from carob.errors import InvalidInput
from carob.spec.appc import app_names
from tests.unit.spec.appc.documents import pod, pod_with


@pytest.mark.parametrize(
    ("raw", "names"),
    [
        (pod(), []),
        (pod(apps=None), []),
        (pod(apps=[]), []),
        (pod(apps=[{"name": "b", "image": {}}, {"name": "a"}]), ["b", "a"]),
        (pod(APPS=[{"NAME": "a"}]), ["a"]),
        (pod_with('"apps":[{"name":"a"}],"Apps":[{"name":"b"}]'), ["b"]),
        (pod_with('"apps":[{"name":"a"}],"Apps":[{"name":"b"}],"apps":[{"name":"c"}]'), ["c"]),
        (pod_with('"apps":[{"name":"a","Name":"b","name":"c"}]'), ["c"]),
        (pod_with('"app\u017f":[{"name":"a"}]'), ["a"]),
        (pod_with('"apps":[null]'), [""]),
        (pod_with('"apps":[{"name":"a"}],"x":1e999,"y":' + "9" * 5000), ["a"]),
    ],
)
def test_names(raw: bytes, names: list[str]) -> None:
    assert app_names(raw) == names


@pytest.mark.parametrize(
    "text", ['"apps":{}', '"apps":"a"', '"apps":[1]', '"apps":[{"name":1}]', '"x":NaN', "x"]
)
def test_what_has_no_names(text: str) -> None:
    with pytest.raises(InvalidInput):
        app_names(pod_with(text))


def test_a_document_that_is_no_object_has_no_names() -> None:
    with pytest.raises(InvalidInput):
        app_names(b"[]")


def test_reading_and_writing_load_nothing_heavy() -> None:
    code = (
        "import sys; before = set(sys.modules)\n"
        "from carob.spec.appc import PodManifest, app_names\n"
        f"raw = {pod(apps=[{'name': 'a', 'image': {'id': 'sha512-1'}}])!r}\n"
        "PodManifest.from_json(raw).to_json(); app_names(raw)\n"
        "print(*sorted(m for m in set(sys.modules) - before if not m.startswith('carob')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= {"__future__", "_json"}
