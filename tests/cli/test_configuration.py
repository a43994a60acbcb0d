"""The configuration: places, their order, and what is wrong in them."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from carob.engine import settings
from carob.errors import InvalidInput
from tests.cli.conftest import Command
from tests.needs import ROOT

PAGE = ROOT / "docs/reference/configuration.md"


def test_later_places_win_key_by_key(tmp_path: Path) -> None:
    system, user = tmp_path / "system.toml", tmp_path / "user.toml"
    system.write_text('runtime = "runc"\ngrace_s = 3\n[gc]\ngrace_s = 60\n')
    user.write_text("grace_s = 4.5\n[gc]\nexpire_prepared_s = 7\n")
    loaded = settings.load({"CAROB_GC_GRACE_S": "90", "CAROB_RUNTIME": ""}, (str(system), str(user)))
    values = {name: loaded.value(name) for name in loaded.sources}
    assert {name: value for name, value in values.items() if not name.startswith("images.limits.")} == {
        "dir": "",
        "runtime": "runc",
        "network": "none",
        "pull": "missing",
        "overlay": True,
        "grace_s": 4.5,
        "supervisor.python": "",
        "logs.max_bytes": 0,
        "logs.max_files": 5,
        "gc.grace_s": 90.0,
        "gc.expire_prepared_s": 7.0,
    }
    assert loaded.sources["runtime"] == str(system)
    assert loaded.sources["grace_s"] == str(user)
    assert loaded.sources["gc.grace_s"] == "CAROB_GC_GRACE_S"
    assert loaded.sources["dir"] == "default"


def test_only_the_limits_that_were_set_are_handed_on(tmp_path: Path) -> None:
    path = tmp_path / "carob.toml"
    path.write_text("[images.limits]\nlayer_bytes = 1000\nstall_s = 2\n")
    loaded = settings.load({"CAROB_IMAGES_LIMITS_ATTEMPTS": "7"}, (str(path),))
    assert loaded.changed("images.limits") == {"layer_bytes": 1000, "stall_s": 2.0, "attempts": 7}
    assert settings.load({}, ()).changed("images.limits") == {}


def test_a_limit_of_the_configuration_reaches_the_fetch(bare: Command, tmp_path: Path) -> None:
    (tmp_path / "rootfs").mkdir()
    with tarfile.open(tmp_path / "rootfs.tar", "w") as archive:
        archive.add(tmp_path / "rootfs", "etc")
        archive.add(tmp_path / "rootfs", "usr")
    result = bare(
        *("image", "import", f"{tmp_path}/rootfs.tar", "--name", "x"),
        env={"CAROB_IMAGES_LIMITS_ENTRIES": "1"},
    )
    assert result.returncode == 125
    assert "images.limits.entries" in result.stderr


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("colour = 1", "unknown key 'colour'"),
        ("[gc]\ngrace = 1", "unknown key 'gc.grace'"),
        ("[network]\nx = 1", "network must be a string"),
        ("grace_s = -1", "grace_s must be a number of seconds"),
        ("grace_s = true", "grace_s must be a number of seconds"),
        ("grace_s = nan", "grace_s must be a number of seconds"),
        ('overlay = "yes"', "overlay must be true or false"),
        ('dir = "relative"', "dir must be an absolute path"),
        ("network = 1", "network must be a string"),
        ("dir =", "is not TOML"),
        ("[images.limits]\nentries = -1", "images.limits.entries must be a whole number"),
        ("[images.limits]\nentries = 1.5", "images.limits.entries must be a whole number"),
        ("[images.limits]\nlayers = 1", "unknown key 'images.limits.layers'"),
    ],
)
def test_a_mistake_is_named_with_its_file(bare: Command, tmp_path: Path, text: str, key: str) -> None:
    path = tmp_path / ".config/carob/carob.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    result = bare("list")
    assert result.returncode == 125
    assert result.stderr.startswith(f"carob: {path}")
    assert key in result.stderr


def test_config_shows_values_and_sources(bare: Command, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere/carob/carob.toml"
    other.parent.mkdir(parents=True)
    other.write_text('[supervisor]\npython = "/usr/bin/python3"\n')
    result = bare(
        "--dir=x",
        "config",
        cwd=tmp_path,
        env={"XDG_CONFIG_HOME": str(tmp_path / "elsewhere"), "CAROB_TYPO": "1"},
    )
    rows = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines()}
    assert rows["dir"] == [str(tmp_path / "x"), "flag"]
    assert rows["supervisor.python"] == ["/usr/bin/python3", str(other)]
    assert "CAROB_TYPO is set" in result.stderr
    assert bare.json("config")["dir"] == {"value": str(bare.data_dir), "source": "CAROB_DIR"}


def test_a_variable_that_makes_no_sense_is_named() -> None:
    with pytest.raises(InvalidInput, match="CAROB_OVERLAY: overlay must be true or false"):
        settings.load({"CAROB_OVERLAY": "maybe"}, ())


def test_the_reference_page_has_every_key_and_default() -> None:
    rows = [
        line.split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")
    ]
    documented = {row[0].strip("| `"): (row[1].strip("`"), row[3].strip("`")) for row in rows}
    shown = {True: "true"}
    assert documented == {
        key.name: (
            key.variable,
            shown.get(key.default, f'"{key.default}"' if isinstance(key.default, str) else str(key.default)),
        )
        for key in settings.KEYS
    }
