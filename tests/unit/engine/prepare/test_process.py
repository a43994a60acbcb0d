"""From image and app to the process: commands, users and environment as OCI images mean them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from carob.engine.prepare.process import Accounts, arguments, process, stop_signal
from carob.engine.request.pod import App
from carob.engine.request.security import Security
from carob.errors import InvalidInput

IMAGE = {
    "config": {"Entrypoint": ["/entry"], "Cmd": ["default"], "Env": ["A=1", "PATH=/p"], "User": "web:www"}
}


@pytest.mark.parametrize(
    ("app", "image", "expected"),
    [
        (App("i"), IMAGE, ["/entry", "default"]),
        (App("i", ["x"]), IMAGE, ["/entry", "x"]),
        (App("i", exec="/other"), IMAGE, ["/other"]),
        (App("i", ["x"], exec="/other"), IMAGE, ["/other", "x"]),
        (App("i", ["x"]), {}, ["x"]),
        (App("i"), {"config": {"Cmd": ["sh"]}}, ["sh"]),
    ],
)
def test_entry_point_and_arguments(app: App, image: dict[str, object], expected: list[str]) -> None:
    assert arguments(app, image) == expected


def test_an_image_that_says_nothing_needs_a_command() -> None:
    with pytest.raises(InvalidInput, match="nothing about what to run"):
        arguments(App("i"), {})


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("SIGQUIT", 2 + 1),
        ("QUIT", 3),
        ("15", 15),
        ("sigusr1", 10),
        ("SIGRTMIN+3", 37),
        ("", 15),
        ("bogus", 15),
        ("0", 15),
        ("65", 15),
        ("²", 15),
        ("SIGRTMIN+99", 15),
        ("SIGRTMIN+²", 34),
    ],
)
def test_stop_signals(said: str, number: int) -> None:
    assert stop_signal({"config": {"StopSignal": said}}) == number


@pytest.fixture
def layers(tmp_path: Path) -> list[str]:
    for name in ("top", "bottom"):
        (tmp_path / name / "etc").mkdir(parents=True)
    (tmp_path / "bottom/etc/passwd").write_text(
        "root:x:0:0::/root:/bin/sh\nweb:x:33:34::/srv:/bin/false\nbroken\n"
    )
    (tmp_path / "bottom/etc/group").write_text("root:x:0:\nwww:x:80:web\nextra:x:81:other,web\n")
    return [str(tmp_path / "top"), str(tmp_path / "bottom")]


def test_the_user_of_the_image_is_looked_up(layers: list[str]) -> None:
    run = process(App("i"), IMAGE, layers, "host")
    assert (run.uid, run.gid, run.cwd) == (33, 80, "/")
    assert dict(entry.split("=", 1) for entry in run.env) == {
        "A": "1", "PATH": "/p", "HOME": "/srv", "HOSTNAME": "host",
    }  # fmt: skip


def test_a_user_without_a_group_has_its_own_groups(layers: list[str]) -> None:
    account = Accounts(layers).find("web", image="i")
    assert (account.uid, account.gid, account.groups) == (33, 34, (80, 81))


def test_numbers_need_no_account(layers: list[str]) -> None:
    account = Accounts(layers).find("1000:1001", image="i")
    assert (account.uid, account.gid, account.home) == (1000, 1001, "/")


@pytest.mark.parametrize(
    ("user", "of_image", "groups"),
    [
        ("web", None, (80, 81, 7)),
        ("web", True, (80, 81, 7)),
        ("web", False, (7,)),
        ("33:90", None, (7,)),
        ("33:90", True, (80, 81, 7)),
        ("44", True, (7,)),
    ],
)
def test_the_images_groups_count_as_it_is_said(
    layers: list[str], user: str, of_image: bool | None, groups: tuple[int, ...]
) -> None:
    run = process(
        App("i", user=user, security=Security(groups=["7"], image_groups=of_image)), IMAGE, layers, "h"
    )
    assert run.groups == groups


def test_a_command_that_is_empty_is_none() -> None:
    with pytest.raises(InvalidInput, match="is an empty string"):
        arguments(App("i", [""]), {})


def test_accounts_of_an_image_with_numbers_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(
        "high:x:4294967295:0::/:\nsup:x:²:0::/:\narab:x:٣:0::/:\nend:x:4294967294:1::/e:\n"
    )
    (tmp_path / "etc/group").write_text("high:x:99999999999:end\nsup:x:²:end\nfine:x:7:end\n")
    accounts = Accounts([str(tmp_path)])
    found = accounts.find("end", image="i")
    assert (found.uid, found.gid, found.groups) == (4294967294, 1, (7,))
    for name in ("high", "sup", "arab", "²", "٣", "end:high", "end:sup"):
        with pytest.raises(InvalidInput, match=r"no (user|group)"):
            accounts.find(name, image="i")


@pytest.mark.parametrize("wanted", ["4294967295", "web:4294967295", "9" * 5000])
def test_numbers_that_are_too_high_are_refused(layers: list[str], wanted: str) -> None:
    with pytest.raises(InvalidInput, match="is too high"):
        Accounts(layers).find(wanted, image="i")


@pytest.mark.parametrize("wanted", ["nobody-here", "web:nobody-here", "-1", "²", "web:٣"])
def test_names_that_the_image_has_not_are_refused(layers: list[str], wanted: str) -> None:
    with pytest.raises(InvalidInput, match=r"no (user|group)"):
        Accounts(layers).find(wanted, image="i")


def test_the_topmost_layer_counts_and_links_out_of_it_do_not(layers: list[str], tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("evil:x:0:0::/:/bin/sh\n")
    os.symlink(tmp_path / "outside", f"{layers[0]}/etc/passwd")
    with pytest.raises(InvalidInput, match="no user 'evil'"):
        Accounts(layers).find("evil", image="i")
    with pytest.raises(InvalidInput, match="no user 'web'"):
        Accounts(layers).find("web", image="i")


def test_a_fifo_in_its_place_does_not_hang(layers: list[str]) -> None:
    os.mkfifo(f"{layers[0]}/etc/passwd")
    assert Accounts(layers).find("5", image="i").uid == 5


NULL = 1
POINTER = 8
USUAL = sum(len(one) + NULL + POINTER for one in ("true", "PATH=/p", "HOME=/root", "HOSTNAME=here"))
MOST = 2 << 20


def made(words: list[str], env: dict[str, str], **ulimits: int) -> None:
    app = App("i", words, env={"PATH": "/p", **env}, security=Security(ulimits=ulimits) if ulimits else None)
    process(app, {}, [], "here")


def test_no_more_is_given_than_a_process_can_be_given() -> None:
    """execve(2), "Limits on size of arguments and environment"."""
    longest = (128 << 10) - NULL
    words = ["x" * longest] * 15
    left = MOST - USUAL - 15 * (longest + NULL + POINTER) - NULL - POINTER
    made(["true", *words, "y" * left], {})
    with pytest.raises(InvalidInput, match="take 2097153 bytes"):
        made(["true", *words, "y" * (left + 1)], {})
    with pytest.raises(InvalidInput, match="has 131072 bytes, beginning 'A=xxx"):
        made(["true"], {"A": "x" * (longest - 1)})
    with pytest.raises(InvalidInput, match="has 131073 bytes, beginning 'xää"):
        process(App("i"), {"config": {"Cmd": ["true", "x" + "ä" * 65536]}}, [], "here")
    with pytest.raises(InvalidInput, match="take 16"):
        made(["true", "x" * 100000, "x" * 62000], {}, stack=1)
    made(["true", "x" * 100000, "x" * 30000], {}, stack=1)


def test_crun_is_spared_many_variables() -> None:
    made(["true"], {f"A{number}": "" for number in range(16384 - 3)})
    with pytest.raises(InvalidInput, match="there are 16385 variables for image i"):
        made(["true"], {f"A{number}": "" for number in range(16384 - 2)})
