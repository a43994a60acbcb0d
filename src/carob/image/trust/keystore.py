"""The keys that are trusted to sign appc images, and for which names (rkt's key store).

Three directories are looked at, the later over the earlier: the distribution's ``/usr/lib/carob``, the
administrator's ``/etc/carob``, and the user's ``$XDG_CONFIG_HOME/carob`` (``~/.config/carob``).
"""

from __future__ import annotations

import os

from carob.errors import CarobError, Conflict, CorruptData, InvalidInput, NotFound, Rejected
from carob.image.trust.key_files import (
    PREFIX,
    ROOT,
    is_fingerprint,
    read_scope,
    remove_key,
    scope_of,
    scopes,
    write_key,
)
from carob.image.trust.openpgp import Key, read_keys, verify_detached
from carob.spec.appc.names import ACIdentifier
from carob.spec.discovery import path_parts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    _File: TypeAlias = tuple[str, bytes, str]  # fingerprint, contents, path

SYSTEM_DIRECTORIES = ("/usr/lib/carob", "/etc/carob")


class TrustedKey:
    """One file of the key store.

    ``prefix`` is the name (or its beginning, by whole parts) that it is trusted for, ``""`` every name;
    ``is_disabled`` that a file takes the key away; ``problem`` why it makes no signature good, or ``""``.
    """

    __slots__ = ("fingerprint", "is_disabled", "path", "prefix", "problem", "user_ids")

    def __init__(
        self,
        prefix: str,
        fingerprint: str,
        path: str,
        *,
        user_ids: tuple[str, ...] = (),
        is_disabled: bool = False,
        problem: str = "",
    ) -> None:
        self.prefix = prefix
        self.fingerprint = fingerprint
        self.path = path
        self.user_ids = user_ids
        self.is_disabled = is_disabled
        self.problem = problem

    def __repr__(self) -> str:
        return f"TrustedKey({self.prefix!r}, {self.fingerprint!r}, {self.path!r})"


def default_directories() -> tuple[str, ...]:
    """The directories of this user, the weakest first; the last is the user's own."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    if not base.startswith("/"):
        base = os.path.join(os.path.expanduser("~"), ".config")
    return *SYSTEM_DIRECTORIES, os.path.join(base, "carob")


class KeyStore:
    """The keys below ``directories`` (the weakest first). Opening costs nothing.

    Keys are added to ``writes_to``: by default ``/etc/carob`` for root, the user's directory for others.
    """

    def __init__(self, directories: Sequence[str] | None = None, *, writes_to: str = "") -> None:
        own = default_directories()
        self.directories = tuple(own if directories is None else directories)
        if not writes_to and directories is None and os.geteuid() == 0:
            writes_to = SYSTEM_DIRECTORIES[-1]
        self.writes_to = writes_to or self.directories[-1]

    def keys_for(self, name: str) -> list[Key]:
        """The keys trusted for images of this name: the root keys, and those of each prefix of it.

        As in rkt, an empty file takes its key away from all that was found before it, and every root key is
        found before every key of a prefix. ``CorruptData`` names a file that is no key.
        """
        parts = path_parts(ACIdentifier(name))
        prefixes = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        found: dict[str, _File] = {}
        for directory in self.directories:
            _overlay(found, directory, ROOT)
        for directory in self.directories:
            for prefix in prefixes:
                _overlay(found, directory, scope_of(prefix))
        return [_one_key(file) for file in found.values()]

    def check_signature(self, name: str, fd: int, signature: bytes, what: str) -> list[Key]:
        """The trusted keys that signed the file ``fd``; ``Rejected`` where none of them may sign ``name``."""
        keys = self.keys_for(name)
        if not keys:
            raise Rejected(f"{what}: no key is trusted for {name}", hint=_hint(name))
        try:
            return verify_detached(fd, signature, keys, f"{what} ({name})")
        except Rejected as error:
            raise Rejected(error.message, hint=_hint(name)) from error

    def check_any_signature(self, fd: int, signature: bytes, what: str) -> list[Key]:
        """The keys of the store that signed the file ``fd``, whatever they are trusted for.

        So a file is known to be somebody's before its name is read from it; then ask ``check_named``.
        """
        try:
            return verify_detached(fd, signature, self._every_key(), what)
        except Rejected as error:
            raise Rejected(error.message, hint=_hint("NAME")) from error

    def check_named(
        self, signers: Sequence[Key], name: str, fd: int, signature: bytes, what: str
    ) -> list[Key]:
        """Of the signers that ``check_any_signature`` found, those that may sign ``name``; else ``Rejected``.

        Where another version of a key is trusted for that name, it is asked whether the signature is good.
        """
        trusted = {key.fingerprint: key.armored for key in self.keys_for(name)}
        found = [key for key in signers if trusted.get(key.fingerprint) == key.armored]
        return found or self.check_signature(name, fd, signature, what)

    def _every_key(self) -> list[Key]:
        found: dict[str, Key] = {}
        for directory in self.directories:
            for scope in scopes(directory):
                files: dict[str, _File] = {}
                try:
                    _overlay(files, directory, scope)
                    found.update((name, _one_key(file)) for name, file in files.items() if name not in found)
                except CarobError:
                    continue  # what is broken there counts when it is asked for by name
        return list(found.values())

    def trusted(self) -> list[TrustedKey]:
        """Every file of the store, also those that are masked or no good; one bad file stops nothing."""
        found = []
        for directory in self.directories:
            for scope in scopes(directory):
                prefix = scope.removeprefix(PREFIX + "/") if scope != ROOT else ""
                base = f"{directory}/trustedkeys/{scope}"
                try:
                    files = read_scope(directory, scope)
                except CarobError as error:
                    found.append(TrustedKey(prefix, "", base, problem=f"unreadable: {error.message}"))
                    continue
                found += [_listed(prefix, fingerprint, data, base) for fingerprint, data in files.items()]
        return found

    def add(self, data: bytes, prefix: str, what: str) -> list[TrustedKey]:
        """Trusts every key in ``data`` for ``prefix`` (``""``: for every image).

        ``InvalidInput`` for a prefix that is no name, or a secret key; ``Rejected`` for a key that makes no
        signature good: expired, revoked or too weak. Then nothing is added.
        """
        scope = scope_of(prefix)
        keys = read_keys(data, what)
        for key in keys:
            if key.problem:
                raise Rejected(f"{what}: key {key.fingerprint} is {key.problem}", hint="ask for a newer key")
        added = []
        for key in keys:
            path = write_key(self.writes_to, scope, key.fingerprint, key.armored.encode())
            added.append(TrustedKey(prefix, key.fingerprint, path, user_ids=key.user_ids))
        return added

    def remove(self, fingerprint: str, prefix: str) -> list[str]:
        """Trusts a key for ``prefix`` no more; the paths that were removed or made.

        Where another directory has it, an empty file takes it away. ``NotFound`` where it was not trusted.
        """
        fingerprint = fingerprint.replace(" ", "").lower()
        if not is_fingerprint(fingerprint):
            raise InvalidInput(f"{fingerprint!r} is not a fingerprint", hint="carob trust list shows them")
        scope = scope_of(prefix)
        changed = []
        if remove_key(self.writes_to, scope, fingerprint):
            changed.append(f"{self.writes_to}/trustedkeys/{scope}/{fingerprint}")
        if self._holder(scope, fingerprint):
            changed.append(write_key(self.writes_to, scope, fingerprint, b""))
        where = f"for {prefix}" if prefix else "for every image"
        if holder := self._holder(scope, fingerprint):
            raise Conflict(f"key {fingerprint} is still trusted {where}", hint=f"remove {holder}")
        if not changed:
            raise NotFound(
                f"key {fingerprint} is not trusted {where}", hint="carob trust list shows the keys"
            )
        return changed

    def _holder(self, scope: str, fingerprint: str) -> str:
        """The file by which a key is trusted in a scope, or ``""``."""
        found: dict[str, _File] = {}
        for directory in self.directories:
            _overlay(found, directory, scope)
        file = found.get(fingerprint)
        return file[2] if file else ""


def _hint(name: str) -> str:
    return f"if you know its maker's key: carob trust add --prefix={name} KEY"


def _overlay(found: dict[str, _File], directory: str, scope: str) -> None:
    for fingerprint, data in read_scope(directory, scope).items():
        if data:
            found[fingerprint] = (fingerprint, data, f"{directory}/trustedkeys/{scope}/{fingerprint}")
        else:
            found.pop(fingerprint, None)


def _one_key(file: _File) -> Key:
    """The key that the file is named after; what else it holds is nobody's decision."""
    fingerprint, data, path = file
    for key in read_keys(data, path):
        if key.fingerprint == fingerprint:
            return key
    raise CorruptData(f"{path}: the key in it has another fingerprint", hint="remove it, or name it rightly")


def _listed(prefix: str, fingerprint: str, data: bytes, base: str) -> TrustedKey:
    path = f"{base}/{fingerprint}"
    if not data:
        return TrustedKey(prefix, fingerprint, path, is_disabled=True)
    try:
        key = _one_key((fingerprint, data, path))
    except CarobError as error:
        return TrustedKey(prefix, fingerprint, path, problem=f"unreadable: {error.message}")
    return TrustedKey(prefix, fingerprint, path, user_ids=key.user_ids, problem=key.problem)
