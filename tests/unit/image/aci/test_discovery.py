"""From names to images, by pages of a real server."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from carob.errors import CarobError, NotFound, Rejected, Unavailable, Unsupported
from carob.image.aci.pubkeys import offered_keys
from carob.spec.oci.descriptor import platform_of_machine
from tests.parts.certificates import Authority
from tests.parts.forward_proxy import ForwardProxy
from tests.unit.image.aci.made import aci, manifest
from tests.unit.image.aci.place import NAME, Place, Publish
from tests.unit.image.aci.server import AciServer


def test_pages_are_asked_upwards_past_errors_and_pages_without_tags(place: Place, publish: Publish) -> None:
    name = "localhost/a/b/c"
    publish(name)
    place.server.files["/a/b/c?ac-discovery=1"] = (403, {}, b"")
    place.server.page("a/b", ("ac-discovery-pubkeys", "localhost", place.server.url + "/k"))
    place.server.page("a", ("ac-discovery", "localhost/else", place.server.template))
    assert place.fetch(f"appc:{name}:1.0.0", "image").name == f"{name}:1.0.0"
    assert place.server.requests[:4] == [f"/{path}?ac-discovery=1" for path in ("a/b/c", "a/b", "a", "")]


def test_a_server_that_fails_is_no_page_that_is_missing(place: Place) -> None:
    place.server.files["/app?ac-discovery=1"] = (500, {}, b"")
    with pytest.raises(Unavailable, match="500"):
        place.fetch(f"appc:{NAME}:1.0.0", "image")


def test_the_next_place_is_tried_where_one_has_not_got_it(place: Place, publish: Publish) -> None:
    publish(NAME)
    place.server.page(
        "app",
        ("ac-discovery", "localhost", "hdfs://localhost/{name}.{ext}"),
        ("ac-discovery", "localhost", place.server.url + "/nowhere/{name}-{version}.{ext}"),
        ("ac-discovery", "localhost", place.server.template),
    )
    assert place.fetch(f"appc:{NAME}:1.0.0", "image").name == "localhost/app:1.0.0"


def test_without_any_page_the_simple_place_is_tried(place: Place) -> None:
    del place.server.files["/?ac-discovery=1"]
    data = aci(manifest(NAME))
    arch = {"amd64": "amd64", "arm64": "aarch64"}[platform_of_machine(os.uname().machine).architecture]
    place.server.files[f"/app-1.0.0-linux-{arch}.aci"] = data
    assert place.fetch(f"appc:{NAME}:1.0.0", "image").name == "localhost/app:1.0.0"


def test_an_image_that_is_nowhere_is_not_found(place: Place) -> None:
    with pytest.raises(NotFound, match=r"404"):
        place.fetch(f"appc:{NAME}:1.0.0", "image")
    del place.server.files["/?ac-discovery=1"]
    with pytest.raises(NotFound, match="no page of localhost"):
        place.fetch("appc:localhost:1.0.0", "image")


def test_plain_http_is_tried_on_loopback_after_https(
    place: Place, plain_server: AciServer, publish: Publish
) -> None:
    plain_server.publish(NAME, "1.0.0", aci(manifest(NAME)))
    place.server = plain_server
    assert place.fetch(f"appc:{NAME}:1.0.0", "image").name == "localhost/app:1.0.0"


def test_a_hostile_page_leads_nowhere(place: Place) -> None:
    for template in (
        "file:///etc/passwd",
        "https://localhost:1/{name}.aci",
        "//x",
        "{ext}",
        "http://[/{ext}",
    ):
        place.server.page("app", ("ac-discovery", "localhost", template))
        with pytest.raises(CarobError):
            place.fetch(f"appc:{NAME}:1.0.0", "image")
    assert place.store.list() == []


def test_an_image_for_another_machine_is_taken_only_if_it_is_asked_for(
    place: Place, publish: Publish
) -> None:
    publish(NAME, labels={"os": "linux", "arch": "s390x"})
    with pytest.raises(Unsupported, match="arch=s390x, not for this host's") as caught:
        place.fetch(f"appc:{NAME}:1.0.0", "image")
    assert caught.value.hint.endswith("localhost/app:1.0.0,arch=s390x")
    image = place.fetch(f"appc:{NAME}:1.0.0,os=linux,arch=s390x", "image")
    assert image.architecture == "s390x"


AWAY = "away.example"


@pytest.fixture
def away(
    _no_proxies: None, authority: Authority, forward_proxy: Callable[..., ForwardProxy], place: Place,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[AciServer]:  # fmt: skip
    """The web server of another machine, by the name of it: a proxy leads there."""
    with AciServer(authority.issue(AWAY)) as server:
        proxy = forward_proxy(routes={f"{AWAY}:443": server.host})
        monkeypatch.setenv("https_proxy", proxy.base_url)
        place.server.port = 443
        yield server


def test_a_page_of_another_machine_leads_to_its_images(place: Place, away: AciServer) -> None:
    away.page("app", ("ac-discovery", AWAY, f"https://{AWAY}/images/{{name}}.{{ext}}"))
    away.files[f"/images/{AWAY}/app.aci"] = aci(manifest(f"{AWAY}/app", labels={"version": "1"}))
    assert place.fetch(f"appc:{AWAY}/app:1", "image").name == f"{AWAY}/app:1"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_page_of_another_machine_does_not_lead_to_this_one(
    place: Place, away: AciServer, plain_server: AciServer, host: str
) -> None:
    """Else anybody's page could have something asked of what listens on the loopback interface."""
    inside = f"http://{host}:{plain_server.port}/secret?{{ext}}"
    away.page("app", ("ac-discovery", AWAY, inside), ("ac-discovery-pubkeys", AWAY, inside))
    with pytest.raises(NotFound):
        place.fetch(f"appc:{AWAY}/app:1", "image")
    with pytest.raises(NotFound):
        offered_keys(place.settings(), prefix=f"{AWAY}/app")
    away.files["/x.aci"] = (302, {"Location": inside.replace("http:", "https:")}, b"")
    with pytest.raises(Rejected, match="this machine itself"):
        place.fetch(f"aci:https://{AWAY}/x.aci", "image")
    assert plain_server.requests == []
