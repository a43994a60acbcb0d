"""OpenPGP signatures, checked by Sequoia (the package ``pysequoia``) and, where that is mild, more strictly.

Sequoia judges a signature by the time it says it was made at. So what was signed before a key expired, or
before it was retired, stays good for it; whoever got hold of such a key could write any date. Here a key that
is expired or revoked now makes no signature good. Sequoia itself refuses SHA-1 and MD5, RSA and DSA of 1024
bits, signatures that expired or are of the future, and keys that may not sign.

The library maps a file that it verifies, and keeps the interpreter's lock meanwhile: a second or two a
gigabyte.
"""

from __future__ import annotations

from carob.errors import CorruptData, Rejected, Unsupported
from carob.image.trust.openpgp_packets import public_keys, signature_packets, signed_message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeAlias

    Store: TypeAlias = Callable[[list[str]], list["Key"]]

_READINGS = 8
"""So many signatures that say they are by a key that is known are checked; each reads the whole file."""

_CAUSES = "what it signs was changed, it is not of now, or its algorithms are too weak"


class Key:
    """One public key, with its subkeys.

    - ``fingerprint``: of the primary key, 40 (or 64) lower-case hexadecimal digits; ``subkeys``: those of the
      subkeys.
    - ``user_ids``: whom it says it is of; nobody checked that.
    - ``problem``: why it makes no signature good now (expired, revoked, too weak), or ``""``.
    - ``armored``: the key as text.
    """

    __slots__ = ("armored", "certificate", "fingerprint", "problem", "subkeys", "user_ids")

    def __init__(self, certificate: Any) -> None:
        self.certificate = certificate
        self.fingerprint = str(certificate.fingerprint)
        self.subkeys = _subkeys(certificate)
        self.armored = str(certificate)
        self.problem = _problem(certificate)
        self.user_ids = _user_ids(certificate)

    def __repr__(self) -> str:
        return f"Key({self.fingerprint!r}, {self.user_ids!r}, {self.problem!r})"

    def is_known_as(self, issuer: str) -> bool:
        """Whether a signature's issuer, a fingerprint or the end of one, is this key or a subkey of it."""
        return any(mine.endswith(issuer) for mine in (self.fingerprint, *self.subkeys))


def read_keys(data: bytes, what: str) -> list[Key]:
    """The public keys in ``data``, armored or binary; ``CorruptData`` or ``InvalidInput`` name ``what``."""
    sequoia = _sequoia()

    def read(packets: bytes) -> Key:
        return Key(sequoia.Cert.from_bytes(packets))

    return [_guarded(read, packets, what) for packets in public_keys(data, what)]


def verify_detached(fd: int, signature: bytes, keys: Sequence[Key], what: str) -> list[Key]:
    """The keys of ``keys`` that made a good signature of the file ``fd``, whatever its position.

    ``signature`` may hold several, of which one good one is enough. ``Rejected`` says why none is good,
    ``CorruptData`` that it is no signature.
    """
    sequoia = _sequoia()
    packets = signature_packets(signature, f"the signature of {what}")
    good: dict[str, Key] = {}
    reasons: list[str] = []
    read = 0

    def verify(packet: bytes, store: Store) -> Any:
        nonlocal read
        made = sequoia.Sig.from_bytes(packet)
        issuer = made.issuer_fingerprint or made.issuer_key_id
        if issuer and not any(key.is_known_as(issuer) for key in store([issuer])):
            raise RuntimeError("nobody's whom we know")
        if read == _READINGS:
            raise RuntimeError("too many signatures")
        read += 1
        return sequoia.verify(file=f"/proc/self/fd/{fd}", store=_certificates(store), signature=made)

    for packet in packets:
        check = _Check(keys)
        result = check.run(verify, packet)
        good.update((key.fingerprint, key) for key in check.signers(result))
        reasons += check.reasons
    return _some(good, reasons, what)


def verify_message(message: bytes, keys: Sequence[Key], what: str) -> tuple[bytes, list[Key]]:
    """What a signed message says, and the keys of ``keys`` that signed it. Errors as above."""
    sequoia = _sequoia()
    plain = signed_message(message, what)
    check = _Check(keys)
    result = check.run(
        lambda message, store: sequoia.verify(bytes=message, store=_certificates(store)), plain
    )
    signers = _some({key.fingerprint: key for key in check.signers(result)}, check.reasons, what)
    return bytes(result.bytes), signers


def _some(good: dict[str, Key], reasons: list[str], what: str) -> list[Key]:
    if not good:
        said = "; ".join(dict.fromkeys(reasons)) or "there is none"
        raise Rejected(f"{what}: no good signature by a trusted key: {said}")
    return list(good.values())


def _certificates(store: Store) -> Callable[[list[str]], list[Any]]:
    return lambda wanted: [key.certificate for key in store(wanted)]


class _Check:
    """One signature, or one message, against some keys; ``reasons`` says why it is not good."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self._keys = {key.fingerprint: key for key in keys}
        self._wanted: list[str] = []
        self.reasons: list[str] = []

    def _store(self, wanted: list[str]) -> list[Key]:
        """Notes whose keys are wanted; gives all there are, for the library picks by itself."""
        self._wanted += wanted
        return list(self._keys.values())

    def run(self, verify: Callable[[bytes, Store], Any], data: bytes) -> Any:
        """What ``verify`` makes of ``data``; ``None`` where it is not good."""
        try:
            return _guarded(lambda data: verify(data, self._store), data, "it")
        except CorruptData as error:
            known = [key for key in self._keys.values() if any(map(key.is_known_as, self._wanted))]
            if not known and self._wanted:
                self.reasons.append(f"it was made by {self._wanted[0]}, which is not trusted here")
            elif known:
                self.reasons.append(f"it is not a good one by {known[0].fingerprint} ({_CAUSES})")
                self.reasons += [f"that key is {key.problem}" for key in known[:1] if key.problem]
            else:
                self.reasons.append(error.message)
            return None

    def signers(self, result: Any) -> list[Key]:
        """The keys whose signature is good, and that are good themselves."""
        found = []
        for made in () if result is None else result.valid_sigs:
            key = self._keys.get(str(made.certificate))
            if key is None:
                continue
            problem = key.problem or _subkey_problem(key, str(made.signing_key))
            if problem:
                self.reasons.append(f"key {key.fingerprint} is {problem}")
            else:
                found.append(key)
        return found


def _sequoia() -> Any:
    try:
        import pysequoia
    except ImportError as error:
        raise Unsupported(
            "OpenPGP signatures need the package 'pysequoia'", hint="pip install 'carob[trust]'"
        ) from error
    return pysequoia


def _guarded(call: Callable[[bytes], Any], data: bytes, what: str) -> Any:
    """Gives the library ``data``; whatever it raises becomes ``CorruptData``, without its traces."""
    try:
        return call(data)
    except RuntimeError as error:
        raise CorruptData(f"{what}: {_said(error)}") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise CorruptData(f"{what}: OpenPGP data that its library cannot take") from error


def _said(error: Exception) -> str:
    lines = str(error).partition("Stack backtrace:")[0].splitlines()
    words = [line.strip() for line in lines if line.strip() and line.strip() != "Caused by:"]
    return ": ".join(words)[:300] or "no valid OpenPGP data"


def _problem(certificate: Any) -> str:
    from datetime import UTC, datetime

    if certificate.is_revoked:
        return "revoked"
    try:
        expires = certificate.expiration
    except RuntimeError as error:
        return f"not usable: {_said(error)}"
    return "expired" if expires is not None and expires <= datetime.now(UTC) else ""


def _user_ids(certificate: Any) -> tuple[str, ...]:
    try:
        names = [str(user_id) for user_id in certificate.user_ids]
    except RuntimeError:
        return ()
    # Shown to people who have to decide by them.
    return tuple("".join(char if char.isprintable() else "\ufffd" for char in name) for name in names)


def _subkeys(certificate: Any) -> tuple[str, ...]:
    from pysequoia.packet import PacketPile, Tag

    pile = PacketPile.from_bytes(bytes(certificate))
    return tuple(str(packet.fingerprint) for packet in pile if packet.tag == Tag.PublicSubkey)


def _subkey_problem(key: Key, fingerprint: str) -> str:
    """Why a subkey that made a signature is no good now.

    The library tells neither for a subkey, so its packets are looked at: the newest binding says how long it
    lives, and a revocation of any kind ends that.
    """
    from datetime import UTC, datetime

    from pysequoia.packet import PacketPile, SignatureType, Tag

    if fingerprint == key.fingerprint:
        return ""
    created = newest = lifetime = None
    is_it = False
    for packet in PacketPile.from_bytes(bytes(key.certificate)):
        if packet.tag in (Tag.PublicKey, Tag.PublicSubkey, Tag.UserID, Tag.UserAttribute):
            is_it = packet.tag == Tag.PublicSubkey and packet.fingerprint == fingerprint
            created = packet.key_created if is_it else created
        elif is_it and packet.signature_type == SignatureType.SubkeyRevocation:
            return f"not good: its subkey {fingerprint} is revoked"
        elif is_it and packet.signature_type == SignatureType.SubkeyBinding:
            made = packet.signature_created
            if made is not None and (newest is None or made >= newest):
                newest, lifetime = made, packet.key_validity_period
    if created is None or newest is None:
        return f"not good: its subkey {fingerprint} is not bound to it"
    if lifetime and created + lifetime <= datetime.now(UTC):
        return f"not good: its subkey {fingerprint} is expired"
    return ""
