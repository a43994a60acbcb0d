"""CRI's images: credentials of the kubelet, names that stay, and disk that is given back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from carob.service.cri import api_pb2 as api
from tests.needs import require_root
from tests.parts.api_service import ApiService
from tests.parts.big_image import BigImages
from tests.parts.cri_client import CriClient
from tests.parts.registry import Registry
from tests.root.host_view import eventually

PREFIX = "registry.example/team"


@pytest.fixture
def client(tmp_path: Path, basic_registry: Registry) -> Iterator[CriClient]:
    """Of a service to which PREFIX is at the registry, and ``tools`` an image of it."""
    require_root()
    configuration = tmp_path / "config/carob/registries.toml"
    configuration.parent.mkdir(parents=True)
    place = f'location = "{basic_registry.host}/team"\nca = "{basic_registry.ca_file}"'
    configuration.write_text(
        f'[aliases]\ntools = "{PREFIX}/app"\n\n[[registry]]\nprefix = "{PREFIX}"\n{place}\n'
    )
    service = ApiService(
        tmp_path / "data",
        f"--cri=unix:{tmp_path}/cri.sock",
        env={"XDG_CONFIG_HOME": str(tmp_path / "config"), "HOME": str(tmp_path)},
    )
    try:
        with CriClient(tmp_path / "cri.sock") as made:
            yield made
    finally:
        service.end()


def pull(name: str, registry: Registry) -> api.PullImageRequest:
    assert registry.credentials is not None
    user, password = registry.credentials
    auth = api.AuthConfig(username=user, password=password)
    return api.PullImageRequest(image=api.ImageSpec(image=name), auth=auth)


def used_bytes(client: CriClient) -> int:
    (found,) = client.call(api.ImageFsInfoRequest()).image_filesystems
    return int(found.used_bytes.value)


def test_images_from_their_pull_to_their_end(
    client: CriClient, basic_registry: Registry, big_images: BigImages
) -> None:
    digest = basic_registry.push(big_images.family[0].oci, "team/app", "1")
    name = f"{PREFIX}/app:1"
    assert client.status(api.PullImageRequest(image=api.ImageSpec(image=name))) != "OK"
    image_id = client.call(pull(name, basic_registry)).image_ref
    assert client.call(pull(f"{PREFIX}/app@{digest}", basic_registry)).image_ref == image_id
    assert client.call(pull("tools:1", basic_registry)).image_ref == image_id
    expected = api.Image(id=image_id, repo_tags=[name], repo_digests=[f"{PREFIX}/app@{digest}"])
    for asked in (name, f"{PREFIX}/app@{digest}", image_id, "tools:1"):
        found = client.call(api.ImageStatusRequest(image=api.ImageSpec(image=asked))).image
        assert (found.id, list(found.repo_tags), list(found.repo_digests)) == (
            expected.id, list(expected.repo_tags), list(expected.repo_digests),
        )  # fmt: skip
        assert found.size > 0
    (streamed,) = client.stream(api.StreamImagesRequest())
    assert [one.id for one in streamed.images] == [image_id]
    wanted = api.ImageFilter(image=api.ImageSpec(image="other.example/none"))
    assert list(client.call(api.ListImagesRequest(filter=wanted)).images) == []

    before = used_bytes(client)
    client.call(api.RemoveImageRequest(image=api.ImageSpec(image=name)))
    assert list(client.call(api.ListImagesRequest()).images) == []
    assert not client.call(api.ImageStatusRequest(image=api.ImageSpec(image=image_id))).HasField("image")
    eventually("the disk is given back", lambda: used_bytes(client) < before / 10)
    client.call(api.RemoveImageRequest(image=api.ImageSpec(image=name)))


def test_what_cannot_be_pulled_says_so_in_the_kubelets_words(
    client: CriClient, basic_registry: Registry
) -> None:
    assert client.status(pull(f"{PREFIX}/nothing:1", basic_registry)) == "NOT_FOUND"
    odd = pull(f"{PREFIX}/app:1", basic_registry)
    odd.image.runtime_handler = "unheard-of"
    assert client.status(odd) == "INVALID_ARGUMENT"
    assert client.status(pull(f"{PREFIX}/app:no tag", basic_registry)) == "INVALID_ARGUMENT"
    assert client.status(pull("127.0.0.1:1/none:1", basic_registry)) == "UNAVAILABLE"
