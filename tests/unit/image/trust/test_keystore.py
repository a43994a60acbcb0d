"""Which keys may sign which names: rkt's layout, and what may not slip into it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from carob.errors import Conflict, CorruptData, InvalidInput, NotFound, PermissionDenied, Rejected
from carob.image.trust.keystore import KeyStore, default_directories
from tests.needs import require
from tests.unit.image.trust.gpg import LONG_AGO, Gpg

DATA = b"an image"


@pytest.fixture(scope="module")
def first(gpg: Gpg) -> str:
    return gpg.key("First <first@example.com>")


@pytest.fixture(scope="module")
def second(gpg: Gpg) -> str:
    return gpg.key("Second <second@example.com>")


@pytest.fixture
def system(tmp_path: Path) -> Path:
    return tmp_path / "usr"


@pytest.fixture
def local(tmp_path: Path) -> Path:
    return tmp_path / "etc"


@pytest.fixture
def store(system: Path, local: Path) -> KeyStore:
    return KeyStore([str(system), str(local)])


def put(directory: Path, scope: str, fingerprint: str, data: bytes) -> Path:
    path = directory / "trustedkeys" / scope / fingerprint
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def fingerprints(store: KeyStore, name: str) -> set[str]:
    return {key.fingerprint for key in store.keys_for(name)}


def check(store: KeyStore, name: str, signature: bytes) -> set[str]:
    with tempfile.TemporaryFile() as file:
        file.write(DATA)
        file.flush()
        return {key.fingerprint for key in store.check_signature(name, file.fileno(), signature, "x")}


def test_a_key_is_put_where_rkt_looks_for_it(gpg: Gpg, first: str, store: KeyStore, local: Path) -> None:
    (added,) = store.add(gpg.public(first), "example.com/app", "pubkeys.gpg")
    path = local / "trustedkeys/prefix.d/example.com/app" / first
    assert added.path == str(path)
    assert added.user_ids == ("First <first@example.com>",)
    assert b"PUBLIC KEY BLOCK" in path.read_bytes()
    (root,) = store.add(gpg.public(first, armor=False), "", "pubkeys.gpg")
    assert root.path == str(local / "trustedkeys/root.d" / first)
    assert os.listdir(path.parent) == [first]  # nothing temporary is left


@pytest.mark.parametrize(
    ("prefix", "name", "expected"),
    [
        ("", "anything.org/at/all", True),
        ("example.com", "example.com/app", True),
        ("example.com", "example.com", True),
        ("example.com/app", "example.com/app/deeper", True),
        ("example.com", "example.comx/app", False),
        ("example.com", "example.co/app", False),
        ("example.com/app", "example.com/application", False),
        ("example.com/app", "example.com", False),
        ("example.com", "sub.example.com/app", False),
    ],
)
def test_a_prefix_counts_by_whole_parts(
    gpg: Gpg, first: str, store: KeyStore, prefix: str, name: str, expected: bool
) -> None:
    store.add(gpg.public(first), prefix, "k")
    assert fingerprints(store, name) == ({first} if expected else set())
    signature = gpg.sign(DATA, first)
    if expected:
        assert check(store, name, signature) == {first}
    else:
        with pytest.raises(Rejected, match="no key is trusted for"):
            check(store, name, signature)


def test_a_signature_by_a_key_for_another_prefix_is_rejected(
    gpg: Gpg, first: str, second: str, store: KeyStore
) -> None:
    store.add(gpg.public(first), "example.com", "k")
    store.add(gpg.public(second), "example.org", "k")
    with pytest.raises(Rejected, match=f"made by {first}") as caught:
        check(store, "example.org/app", gpg.sign(DATA, first))
    assert "carob trust add --prefix=example.org/app" in caught.value.hint


def test_an_empty_file_takes_a_key_of_the_distribution_away(
    gpg: Gpg, first: str, second: str, store: KeyStore, system: Path, local: Path
) -> None:
    for scope in ("root.d", "prefix.d/example.com"):
        put(system, scope, first, gpg.public(first))
    put(system, "root.d", second, gpg.public(second))
    put(local, "prefix.d/example.com", first, b"")
    assert fingerprints(store, "example.com/app") == {second}
    assert fingerprints(store, "example.org/app") == {first, second}
    put(local, "root.d", second, b"")
    assert fingerprints(store, "example.org/app") == {first}


def test_a_removed_key_is_removed_or_taken_away(
    gpg: Gpg, first: str, store: KeyStore, system: Path, local: Path
) -> None:
    store.add(gpg.public(first), "example.com", "k")
    (removed,) = store.remove(first.upper(), "example.com")
    assert fingerprints(store, "example.com/app") == set()
    assert not os.path.exists(removed)
    with pytest.raises(NotFound, match=f"{first} is not trusted for example.com"):
        store.remove(first, "example.com")
    put(system, "root.d", first, gpg.public(first))
    (made,) = store.remove(first, "")
    assert made == str(local / "trustedkeys/root.d" / first)
    assert fingerprints(store, "example.com/app") == set()
    store.add(gpg.public(first), "", "k")
    assert fingerprints(store, "example.com/app") == {first}


def test_a_key_that_a_stronger_directory_has_is_not_said_to_be_gone(
    gpg: Gpg, first: str, system: Path, local: Path
) -> None:
    put(local, "root.d", first, gpg.public(first))
    weaker = KeyStore([str(system), str(local)], writes_to=str(system))
    with pytest.raises(Conflict, match="still trusted"):
        weaker.remove(first, "")


def test_a_file_of_several_keys_is_added_one_by_one(
    gpg: Gpg, first: str, second: str, store: KeyStore
) -> None:
    store.add(gpg.public(first) + gpg.public(second), "example.com", "k")
    assert fingerprints(store, "example.com/a") == {first, second}
    store.remove(second, "example.com")
    assert fingerprints(store, "example.com/a") == {first}


def test_only_the_key_that_a_file_is_named_after_counts(
    gpg: Gpg, first: str, second: str, store: KeyStore, local: Path
) -> None:
    put(local, "root.d", first, gpg.public(second) + gpg.public(first))
    assert fingerprints(store, "a/b") == {first}
    path = put(local, "root.d", first, gpg.public(second))
    with pytest.raises(CorruptData, match=str(path)):
        store.keys_for("a/b")


def test_expired_and_secret_keys_are_not_added(gpg: Gpg, store: KeyStore, local: Path) -> None:
    old = gpg.key("Long expired", expires="1y", at=LONG_AGO)
    with pytest.raises(Rejected, match="expired"):
        store.add(gpg.public(old), "example.com", "k")
    with pytest.raises(InvalidInput, match="secret"):
        store.add(gpg.secret(old), "example.com", "k")
    assert not local.exists()


@pytest.mark.parametrize(
    "prefix",
    ["../../etc", "example.com/../other", "a//b", "/abs", "A.com", "a/", "a\0b", "..", "a/./b", "a b"],
)
def test_a_prefix_that_is_no_name_is_refused(gpg: Gpg, first: str, store: KeyStore, prefix: str) -> None:
    with pytest.raises(InvalidInput):
        store.add(gpg.public(first), prefix, "k")
    with pytest.raises(InvalidInput):
        store.remove(first, prefix)
    with pytest.raises(InvalidInput):
        store.keys_for(prefix or "..")


@pytest.mark.parametrize("fingerprint", ["", "..", "../../x", "abc", "g" * 40, "a" * 39])
def test_what_is_no_fingerprint_removes_nothing(store: KeyStore, fingerprint: str) -> None:
    with pytest.raises(InvalidInput):
        store.remove(fingerprint, "")


# --- links, foreign files, rubbish --------------------------------------------------------------------


def test_a_linked_key_file_is_refused_by_name(
    gpg: Gpg, first: str, store: KeyStore, local: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(gpg.public(first))
    path = local / "trustedkeys/root.d" / first
    path.parent.mkdir(parents=True)
    path.symlink_to(outside)
    with pytest.raises(CorruptData, match=str(path)):
        store.keys_for("example.com/app")


def test_a_linked_prefix_is_refused_by_name(gpg: Gpg, first: str, store: KeyStore, local: Path) -> None:
    store.add(gpg.public(first), "example.com", "k")
    link = local / "trustedkeys/prefix.d/example.org"
    link.symlink_to("example.com")
    with pytest.raises(CorruptData, match=r"example\.org"):
        store.keys_for("example.org/app")
    with pytest.raises(CorruptData, match=r"example\.org"):
        store.add(gpg.public(first), "example.org", "k")
    assert fingerprints(store, "example.com/app") == {first}


def test_adding_replaces_a_link_and_does_not_write_through_it(
    gpg: Gpg, first: str, store: KeyStore, local: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine")
    path = local / "trustedkeys/root.d" / first
    path.parent.mkdir(parents=True)
    path.symlink_to(outside)
    store.add(gpg.public(first), "", "k")
    assert outside.read_text() == "mine"
    assert not path.is_symlink()
    assert fingerprints(store, "a") == {first}


def test_a_key_file_that_others_may_write_is_refused(
    gpg: Gpg, first: str, store: KeyStore, local: Path
) -> None:
    path = put(local, "root.d", first, gpg.public(first))
    path.chmod(0o666)
    with pytest.raises(CorruptData, match="others may write"):
        store.keys_for("a")
    path.chmod(0o644)
    assert fingerprints(store, "a") == {first}


def test_a_key_file_of_another_user_is_refused(gpg: Gpg, first: str, store: KeyStore, local: Path) -> None:
    require(os.geteuid() == 0, "needs root to give a file away")
    path = put(local, "root.d", first, gpg.public(first))
    os.chown(path, 65534, 65534)
    with pytest.raises(CorruptData, match="others may write"):
        store.keys_for("a")


@pytest.mark.parametrize("name", ["key.asc", "A" * 40, "readme"])
def test_a_file_that_no_key_is_named_like_is_refused_by_name(
    gpg: Gpg, first: str, store: KeyStore, local: Path, name: str
) -> None:
    path = put(local, "root.d", name, gpg.public(first))
    with pytest.raises(CorruptData, match=str(path)):
        store.keys_for("a")


def test_a_fifo_in_the_store_does_not_hang(store: KeyStore, local: Path) -> None:
    path = put(local, "root.d", "a" * 40, b"")
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(CorruptData, match=str(path)):
        store.keys_for("a")


def test_a_huge_key_file_is_refused(store: KeyStore, local: Path) -> None:
    put(local, "root.d", "a" * 40, bytes(2 << 20))
    with pytest.raises(CorruptData, match="larger"):
        store.keys_for("a")


def test_one_bad_file_stops_its_own_names_only_and_shows_in_the_list(
    gpg: Gpg, first: str, store: KeyStore, local: Path
) -> None:
    store.add(gpg.public(first), "example.com", "k")
    put(local, "prefix.d/example.org", "a" * 40, b"rubbish")
    assert fingerprints(store, "example.com/app") == {first}
    with pytest.raises(CorruptData):
        store.keys_for("example.org/app")
    listed = {(one.prefix, one.fingerprint): one for one in store.trusted()}
    assert listed["example.com", first].problem == ""
    assert "unreadable" in listed["example.org", "a" * 40].problem
    signature = gpg.sign(DATA, first)
    with tempfile.TemporaryFile() as file:
        file.write(DATA)
        file.flush()
        assert store.check_any_signature(file.fileno(), signature, "x")


def test_the_version_of_a_key_counts_that_is_trusted_for_the_name(
    gpg: Gpg, store: KeyStore, local: Path
) -> None:
    """One file has the key as it was, another as it is revoked."""
    made = gpg.key("Two versions", at=LONG_AGO)
    put(local, "root.d", made, gpg.public(made))
    signature = gpg.sign(DATA, made)
    gpg.revoke(made, 1)
    put(local, "prefix.d/example.com", made, gpg.public(made))
    with tempfile.TemporaryFile() as file:
        file.write(DATA)
        file.flush()
        fd = file.fileno()
        for name, is_good in (("example.org/app", True), ("example.com/app", False)):
            good_once = [key for key in store.keys_for("example.org/app") if not key.problem]
            if is_good:
                assert store.check_named(good_once, name, fd, signature, "x")
            else:
                with pytest.raises(Rejected, match="revoked"):
                    store.check_named(good_once, name, fd, signature, "x")


def test_the_list_shows_every_file(
    gpg: Gpg, first: str, second: str, store: KeyStore, system: Path, local: Path
) -> None:
    put(system, "root.d", first, gpg.public(first))
    put(local, "root.d", first, b"")
    store.add(gpg.public(second), "example.com/deep/er", "k")
    assert [(one.prefix, one.fingerprint, one.is_disabled) for one in store.trusted()] == [
        ("", first, False),
        ("", first, True),
        ("example.com/deep/er", second, False),
    ]


def test_a_store_that_is_not_there_trusts_nobody(store: KeyStore) -> None:
    assert store.keys_for("example.com/app") == []
    assert store.trusted() == []


def test_a_key_needs_a_writable_directory(gpg: Gpg, first: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("no directory")
    with pytest.raises((PermissionDenied, CorruptData)):
        KeyStore([str(path)]).add(gpg.public(first), "", "k")


def test_the_users_directory_is_the_strongest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/somewhere")
    assert default_directories() == ("/usr/lib/carob", "/etc/carob", "/somewhere/carob")
    expected = "/etc/carob" if os.geteuid() == 0 else "/somewhere/carob"
    assert KeyStore().writes_to == expected
