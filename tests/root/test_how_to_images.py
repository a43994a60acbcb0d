"""The commands of docs/how-to/images.md do what the page says, one section after the other.

Each section is one shell script with a data directory and a home of its own. It runs in a mount namespace in
which ``/etc`` and ``/var/lib`` are overlays, so that the page can name the system's own places.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from carob.spec.address import parse_address
from tests.architecture.sources import ROOT
from tests.needs import require_command, require_root
from tests.parts.certificates import Authority
from tests.parts.forward_proxy import ForwardProxy
from tests.parts.oci_layout import LAYER, LayoutWriter
from tests.parts.registry import Registry
from tests.root import host_view
from tests.unit.image.aci.made import aci, app, file, folder, manifest
from tests.unit.image.aci.server import AciServer
from tests.unit.image.trust.gpg import Gpg
from tests.unit.image.trust.gpg import gpg as gpg  # noqa: PLC0414 - a fixture, by its name

PAGE = ROOT / "docs/how-to/images.md"
PASSWORD = "pä:ss wörd"
MAKER = "Maker <maker@apps.example>"

_SECTION = re.compile(r"^## (.*)$", re.MULTILINE)
_BLOCK = re.compile(r"^```sh\n(.*?)^```$(?:\n\n^```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)
_MARK = "----8<----"

# In private mounts, which end with the script.
_OWN_SYSTEM = """\
set -e
mount -t tmpfs tmpfs "$OVERLAYS"
for place in etc var/lib; do
    over=$OVERLAYS/$place
    mkdir -p "$over/upper" "$over/work"
    mount -t overlay -o "lowerdir=/$place,upperdir=$over/upper,workdir=$over/work" overlay "/$place"
done
rm -rf /etc/carob /var/lib/containers/sigstore
cd "$HERE"
exec bash -euo pipefail script
"""


def sections() -> dict[str, list[tuple[str, str]]]:
    """Return, for each section with commands, its blocks: (commands, what they print)."""
    titles_and_texts = _SECTION.split(PAGE.read_text(encoding="utf-8"))[1:]
    found = {}
    for title, text in zip(titles_and_texts[::2], titles_and_texts[1::2], strict=True):
        blocks = [(match[1], match[2] or "") for match in _BLOCK.finditer(text)]
        assert len(blocks) == text.count("```sh\n")
        if blocks:
            found[title] = blocks
    return found


class Place:
    """The directory in which a section's commands run, and what their names stand for."""

    def __init__(self, top: Path, names: dict[str, str], environment: dict[str, str]) -> None:
        self.top = top
        self.names = names
        self.data_dir = top / "data"
        self.here = top / "here"
        for name in ("here", "home", "overlays"):
            (top / name).mkdir()
        self.environment = os.environ | environment
        self.environment |= {
            "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin",
            "HOME": str(top / "home"),
            "HERE": str(self.here),
            "OVERLAYS": str(top / "overlays"),
            "CAROB_DIR": str(self.data_dir),
            "PASSWORD": PASSWORD,
            "CONTAINERS_STORAGE_CONF": str(top / "storage.conf"),
            "LC_ALL": "C.UTF-8",
        }
        self.environment.pop("XDG_CONFIG_HOME", None)
        self.environment.pop("XDG_RUNTIME_DIR", None)
        (top / "storage.conf").write_text(
            f'[storage]\ndriver = "vfs"\ngraphroot = "{top}/root"\nrunroot = "{top}/run"\n'
        )

    def said(self, text: str) -> str:
        """Return what the page says with the names of this place."""
        for name, real in self.names.items():
            text = text.replace(name, real)
        return text

    def run(self, commands: list[str]) -> list[str]:
        """Run the blocks of commands, all in one shell; return what each printed."""
        script = f"\necho '{_MARK}'\n".join(map(self.said, commands))
        (self.here / "script").write_text(script, encoding="utf-8")
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", _OWN_SYSTEM],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout.split(_MARK + "\n")


@pytest.fixture(scope="session")
def filled(
    registry: Registry, basic_registry: Registry, rootfs: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """The images that the page finds in registries; what the names of those stand for."""
    require_root()
    top = tmp_path_factory.mktemp("filled")
    writer = LayoutWriter(top / "layout")
    layer = writer.blob(_tar(rootfs), LAYER)
    writer.image([layer], tag="app")
    platforms = [{"os": "linux", "architecture": name} for name in ("amd64", "arm64")]
    images = [{**writer.image([layer], platform=platform), "platform": platform} for platform in platforms]
    writer.index(images, tag="multi")
    writer.save()
    for place, repository in ((registry, "app"), (registry, "multi"), (basic_registry, "app")):
        place.push(f"oci:{writer.path}:{repository}", f"team/{repository}", "1", all_platforms=True)
    return {
        "registry.example": registry.host,
        "mirror.example": registry.host,
        "private.example": basic_registry.host,
    }


def _tar(directory: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(directory, ".")
    return buffer.getvalue()


@pytest.fixture
def place(
    tmp_path: Path, filled: dict[str, str], rootfs: Path, authority: Authority, gpg: Gpg
) -> Iterator[Place]:
    require_command("crun")
    made = Place(tmp_path, filled, {"GNUPGHOME": str(gpg.home)})
    shutil.copytree(rootfs, made.here / "rootfs", symlinks=True)
    shutil.copy(authority.ca_file, made.here / "team-ca.crt")
    try:
        yield made
    finally:
        host_view.end_all(str(made.data_dir))


@pytest.fixture(scope="session")
def maker(gpg: Gpg) -> str:
    """The key of the maker of images; its fingerprint."""
    return gpg.key(MAKER)


@pytest.fixture
def site(authority: Authority, gpg: Gpg, maker: str, rootfs: Path) -> Iterator[dict[str, str]]:
    """A web site with a signed ACI and its maker's key, behind a proxy; the variables that lead there."""
    document = manifest("apps.example/worker", app=app("/bin/echo", "from an ACI"))
    busybox = (rootfs / "bin/busybox").read_bytes()
    image = gzip.compress(
        aci(document, folder("bin"), file("bin/echo", busybox, mode=0o755)), compresslevel=1
    )
    with (
        AciServer(authority.issue("apps.example")) as server,
        ForwardProxy(routes={"apps.example:443": server.host}) as proxy,
    ):
        page = "apps.example https://apps.example"
        tags = (("ac-discovery", "/{name}-{version}.{ext}"), ("ac-discovery-pubkeys", "/maker.asc"))
        metas = "".join(f'<meta name="{name}" content="{page}{path}">' for name, path in tags)
        server.files |= {
            "/?ac-discovery=1": metas.encode(),
            "/maker.asc": gpg.public(maker),
            "/apps.example/worker-1.0.0.aci": image,
            "/apps.example/worker-1.0.0.aci.asc": gpg.sign(image, maker),
        }
        yield {"https_proxy": proxy.base_url, "SSL_CERT_FILE": str(authority.ca_file)}


def printed_as(expected: str) -> re.Pattern[str]:
    """Return what matches output that the page shows: ``…`` is anything, and runs of spaces are one."""
    words = [re.escape(part) for part in re.sub(" +", " ", expected).split("…")]
    return re.compile(".*".join(words))


@pytest.mark.parametrize("title", sections())
@pytest.mark.usefixtures("maker")
def test_commands_print_what_the_page_says(place: Place, title: str, site: dict[str, str]) -> None:
    blocks = sections()[title]
    everything = "".join(commands for commands, _ in blocks)
    for program in ("buildah", "skopeo", "umoci"):
        if program in everything:
            require_command(program)
    if "appc:" in everything:
        place.environment |= site
    for (commands, expected), printed in zip(
        blocks, place.run([commands for commands, _ in blocks]), strict=True
    ):
        spaced = "".join(re.sub(" +", " ", line).strip() + "\n" for line in printed.splitlines())
        assert printed_as(place.said(expected)).fullmatch(spaced), f"{commands}\n{printed}"


def test_every_address_of_the_page_is_one() -> None:
    """What stands in tables and sentences too."""
    text = PAGE.read_text(encoding="utf-8")
    found = re.findall(
        r"`((?:docker://|oci:|oci-archive:|docker-archive:|dir:|tar:|aci:|appc:)[\w./:@-]+)`", text
    )
    assert found
    for address in found:
        parse_address(address.lower())
