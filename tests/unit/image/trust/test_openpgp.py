"""Detached signatures, made by GnuPG, checked by carob; and what its keys may not do any more."""

from __future__ import annotations

import bz2
import os
import tempfile
import zlib
from collections.abc import Iterator

import pytest

from carob.errors import CorruptData, InvalidInput, Rejected
from carob.image.trust.openpgp import Key, read_keys, verify_detached, verify_message
from carob.image.trust.openpgp_packets import SIGNATURE_BYTES
from tests.unit.image.trust.gpg import LONG_AGO, Gpg

DATA = b"an image\n" * 1000


@pytest.fixture
def fd() -> Iterator[int]:
    with tempfile.TemporaryFile() as file:
        file.write(DATA)
        file.flush()
        yield file.fileno()


@pytest.fixture(scope="module")
def good(gpg: Gpg) -> str:
    return gpg.key("Good <good@example.com>", at=LONG_AGO)


def keys(gpg: Gpg, *names: str) -> list[Key]:
    return read_keys(gpg.public(*names), "keys")


@pytest.mark.parametrize("armor", [True, False])
def test_a_good_signature_names_its_key(gpg: Gpg, good: str, fd: int, armor: bool) -> None:
    signers = verify_detached(fd, gpg.sign(DATA, good, armor=armor), keys(gpg, good), "x")
    assert [(key.fingerprint, key.user_ids) for key in signers] == [(good, ("Good <good@example.com>",))]


def test_the_position_in_the_file_does_not_matter(gpg: Gpg, good: str, fd: int) -> None:
    os.lseek(fd, 100, os.SEEK_SET)
    assert verify_detached(fd, gpg.sign(DATA, good), keys(gpg, good), "x")


@pytest.mark.parametrize("algorithm", ["rsa2048", "nistp256", "ed25519"])
def test_keys_of_every_kind_in_use_sign(gpg: Gpg, fd: int, algorithm: str) -> None:
    made = gpg.key(f"Kind {algorithm}", algorithm=algorithm)
    assert verify_detached(fd, gpg.sign(DATA, made), keys(gpg, made), "x")


def test_a_subkey_signs_for_its_key(gpg: Gpg, fd: int) -> None:
    primary = gpg.key("Subkey")
    gpg.subkey(primary)
    signature = gpg.sign(DATA, primary)  # gpg takes the newest subkey
    (key,) = keys(gpg, primary)
    assert len(key.subkeys) == 1
    assert [signer.fingerprint for signer in verify_detached(fd, signature, [key], "x")] == [primary]


def test_one_good_signature_of_several_is_enough(gpg: Gpg, good: str, fd: int) -> None:
    other = gpg.key("Another of several")
    both = gpg.sign(DATA, other) + gpg.sign(DATA, good)
    assert [key.fingerprint for key in verify_detached(fd, both, keys(gpg, good), "x")] == [good]
    trusted = keys(gpg, good, other)
    assert {key.fingerprint for key in verify_detached(fd, both, trusted, "x")} == {good, other}


def test_signatures_by_unknown_keys_do_not_use_up_the_patience(gpg: Gpg, good: str, fd: int) -> None:
    """Each signature that is checked reads the whole file, so only eight by known keys are."""
    bad = gpg.sign(b"something else", good, armor=False)
    fine = gpg.sign(DATA, good, armor=False)
    foreign = gpg.sign(DATA, gpg.key("Nobody knows"), armor=False)
    assert verify_detached(fd, foreign * 20 + bad * 7 + fine, keys(gpg, good), "x")
    with pytest.raises(Rejected):
        verify_detached(fd, bad * 8 + fine, keys(gpg, good), "x")
    with pytest.raises(CorruptData, match="more than 32"):
        verify_detached(fd, foreign * 32 + fine, keys(gpg, good), "x")


def test_an_altered_file_is_rejected(gpg: Gpg, good: str, fd: int) -> None:
    signature = gpg.sign(DATA[:-1] + b"!", good)
    with pytest.raises(Rejected, match=f"not a good one by {good}"):
        verify_detached(fd, signature, keys(gpg, good), "x")


def test_an_unknown_key_is_rejected_by_name(gpg: Gpg, good: str, fd: int) -> None:
    other = gpg.key("Unknown")
    with pytest.raises(Rejected, match=f"made by {other}, which is not trusted"):
        verify_detached(fd, gpg.sign(DATA, other), keys(gpg, good), "x")
    with pytest.raises(Rejected):
        verify_detached(fd, gpg.sign(DATA, other), [], "x")


@pytest.mark.parametrize("when", ["20200201T000000", "20210601T000000"])
def test_an_expired_key_is_rejected_whenever_it_signed(gpg: Gpg, fd: int, when: str) -> None:
    """Whoever has an old key can write any date into a signature."""
    made = gpg.key(f"Expired {when}", expires="2y", at=LONG_AGO)
    signature = gpg.sign(DATA, made, at=when)
    (key,) = keys(gpg, made)
    assert key.problem == "expired"
    with pytest.raises(Rejected, match="expired"):
        verify_detached(fd, signature, [key], "x")


@pytest.mark.parametrize("reason", [0, 1, 3])
def test_a_revoked_key_is_rejected_whatever_the_reason(gpg: Gpg, fd: int, reason: int) -> None:
    made = gpg.key(f"Revoked {reason}", at=LONG_AGO)
    signature = gpg.sign(DATA, made, at="20200601T000000")
    assert verify_detached(fd, signature, keys(gpg, made), "x")
    gpg.revoke(made, reason)
    with pytest.raises(Rejected, match="revoked"):
        verify_detached(fd, signature, keys(gpg, made), "x")


def test_an_expired_subkey_is_rejected(gpg: Gpg, fd: int) -> None:
    primary = gpg.key("Old subkey", at=LONG_AGO)
    gpg.subkey(primary, expires="1y", at=LONG_AGO)
    signature = gpg.sign(DATA, primary, at="20200601T000000")
    with pytest.raises(Rejected, match=r"subkey [0-9a-f]{40} is expired"):
        verify_detached(fd, signature, keys(gpg, primary), "x")


def test_an_expired_signature_is_rejected(gpg: Gpg, good: str, fd: int) -> None:
    signature = gpg.sign(DATA, good, "--default-sig-expire=1d", at="20240101T000000")
    with pytest.raises(Rejected):
        verify_detached(fd, signature, keys(gpg, good), "x")


def test_a_signature_of_the_future_is_rejected(gpg: Gpg, good: str, fd: int) -> None:
    signature = gpg.sign(DATA, good, at="20600101T000000")
    with pytest.raises(Rejected):
        verify_detached(fd, signature, keys(gpg, good), "x")


@pytest.mark.parametrize("algorithm", ["SHA1", "MD5", "RIPEMD160"])
def test_weak_hashes_are_rejected(gpg: Gpg, fd: int, algorithm: str) -> None:
    made = gpg.key(f"Weak {algorithm}", algorithm="rsa2048")
    options = ("--digest-algo", algorithm, "--allow-weak-digest-algos")
    signature = gpg.sign(DATA, made, *options)
    with pytest.raises(Rejected):
        verify_detached(fd, signature, keys(gpg, made), "x")


def test_weak_keys_are_rejected(gpg: Gpg, fd: int) -> None:
    made = gpg.key("Small", algorithm="rsa1024")
    (key,) = keys(gpg, made)
    assert "RSA1024" in key.problem
    with pytest.raises(Rejected, match="RSA1024"):
        verify_detached(fd, gpg.sign(DATA, made), [key], "x")


# --- what is no signature, and no key ---------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"\x00\x01",
        b"\xff" * 100,
        b"\x88\xff\xff",
        b"-----BEGIN PGP SIGNATURE-----\n\nAAAA\n",
        b"-----BEGIN PGP SIGNATURE-----\n\n!!!!\n-----END PGP SIGNATURE-----\n",
        b"-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----\n",
        b"-----BEGIN PGP SIGNATURE-----\n-----END PGP SIGNATURE-----\n",
        b"\xc2\xff\xff\xff\xff\xff",
        b"\xc2\xe0" * 1000,
        b"\x88" * (SIGNATURE_BYTES + 1),
    ],
)
def test_rubbish_is_no_signature(gpg: Gpg, good: str, fd: int, data: bytes) -> None:
    with pytest.raises((CorruptData, Rejected)):
        verify_detached(fd, data, keys(gpg, good), "x")


def test_a_signature_damaged_anywhere_is_not_good_and_does_no_harm(gpg: Gpg, good: str, fd: int) -> None:
    signature = gpg.sign(DATA, good, armor=False)
    trusted = keys(gpg, good)
    unprotected = 0
    for position in range(len(signature)):
        damaged = bytearray(signature)
        damaged[position] ^= 0x41
        try:
            verify_detached(fd, bytes(damaged), trusted, "x")
        except (CorruptData, Rejected):
            continue
        unprotected += 1  # the issuer's key id stands in a part that is not signed: RFC 9580, 5.2.3.7
    assert unprotected <= 12


def test_a_key_or_a_message_is_no_detached_signature(gpg: Gpg, good: str, fd: int) -> None:
    for data in (gpg.public(good, armor=False), gpg.message(DATA, good), gpg.public(good)):
        with pytest.raises(CorruptData):
            verify_detached(fd, data, keys(gpg, good), "x")


def test_a_secret_key_is_refused_by_name(gpg: Gpg, good: str) -> None:
    with pytest.raises(InvalidInput, match="secret key"):
        read_keys(gpg.secret(good), "my.asc")


@pytest.mark.parametrize("data", [b"", b"x", b"\x99\x00\x01x", b"\xff" * 64])
def test_rubbish_is_no_key(data: bytes) -> None:
    with pytest.raises(CorruptData, match=r"my\.asc"):
        read_keys(data, "my.asc")


def test_a_key_damaged_anywhere_is_refused_or_another_or_harmless(gpg: Gpg, good: str, fd: int) -> None:
    public = gpg.public(good, armor=False)
    signature = gpg.sign(DATA, good)
    for position in range(len(public)):
        damaged = bytearray(public)
        damaged[position] ^= 0x41
        try:
            verify_detached(fd, signature, read_keys(bytes(damaged), "k"), "x")
        except (CorruptData, InvalidInput, Rejected):
            continue


def test_names_of_keys_cannot_play_with_a_terminal(gpg: Gpg) -> None:
    made = gpg.key("Evil \u202e <e@example.com>")
    assert keys(gpg, made)[0].user_ids == ("Evil \ufffd <e@example.com>",)


def test_several_keys_come_out_of_one_file(gpg: Gpg, good: str) -> None:
    other = gpg.key("Second of a file")
    armored = gpg.public(good) + gpg.public(other)
    assert [key.fingerprint for key in read_keys(armored, "k")] == [good, other]
    binary = gpg.public(good, other, armor=False)
    assert {key.fingerprint for key in read_keys(binary, "k")} == {good, other}


# --- signed messages -----------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", ["uncompressed", "zip", "zlib", "bzip2"])
def test_a_signed_message_says_what_was_signed(gpg: Gpg, good: str, compression: str) -> None:
    message = gpg.message(DATA, good, f"--compress-algo={compression}")
    contents, signers = verify_message(message, keys(gpg, good), "x")
    assert contents == DATA
    assert [key.fingerprint for key in signers] == [good]


def test_unsigned_and_cleartext_messages_are_refused(gpg: Gpg, good: str) -> None:
    stored = gpg.run("--store", data=DATA)
    clear = gpg.run("--local-user", good, "--clear-sign", data=DATA)
    for message in (stored, clear, gpg.sign(DATA, good), gpg.sign(DATA, good, armor=False)):
        with pytest.raises(CorruptData):
            verify_message(message, keys(gpg, good), "x")


def compressed(data: bytes) -> bytes:
    """A compressed packet of the old format, of indeterminate length."""
    deflate = zlib.compressobj(wbits=-15)
    return b"\xa3\x01" + deflate.compress(data) + deflate.flush()


@pytest.mark.parametrize("layers", [1, 2])
def test_a_compression_bomb_is_refused(gpg: Gpg, good: str, layers: int) -> None:
    message = gpg.message(bytes(50 << 20), good, "--compress-algo=uncompressed")
    for _ in range(layers):
        message = compressed(message)
    assert len(message) < SIGNATURE_BYTES
    with pytest.raises(CorruptData):
        verify_message(message, keys(gpg, good), "x")


def test_a_message_compressed_twice_is_refused(gpg: Gpg, good: str) -> None:
    message = compressed(gpg.message(b"small", good, "--compress-algo=zip"))
    with pytest.raises(CorruptData):
        verify_message(message, keys(gpg, good), "x")


@pytest.mark.parametrize("body", [b"", b"\x09x", b"\x01\xff\xff", b"\x02zz", b"\x03zz", bz2.compress(b"x")])
def test_broken_compression_is_refused(gpg: Gpg, good: str, body: bytes) -> None:
    with pytest.raises(CorruptData):
        verify_message(b"\xa3" + body, keys(gpg, good), "x")
