"""Reading a whole appc document: the part that image and pod manifests share."""

from __future__ import annotations

from carob.spec.appc.codec import TextOf
from carob.spec.appc.fault import FieldError
from carob.spec.appc.names import ACKind
from carob.spec.appc.record import Field, Record
from carob.spec.appc.semver import SemVer
from carob.spec.appc.text import Members, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar, TypeVar

    from carob.spec.appc.compound import ObjectOf

    T = TypeVar("T", bound="Document")

# The version of the appc specification that documents made here say they follow.
APPC_VERSION = SemVer("0.8.11")

AC_KIND = Field("ac_kind", "acKind", TextOf(ACKind))
AC_VERSION = Field("ac_version", "acVersion", TextOf(SemVer))


class Document(Record):
    """A record that is a document of its own, with ``acKind`` and ``acVersion``."""

    __slots__ = ("ac_kind", "ac_version")
    FIELDS: ClassVar[tuple[Field, ...]] = (AC_VERSION, AC_KIND)
    KIND = ACKind.unset()
    ac_kind: ACKind
    ac_version: SemVer

    def check(self) -> None:
        if self.ac_kind != self.KIND:
            raise FieldError(f"must be {self.KIND}, not {str(self.ac_kind)!r}", path="acKind")

    def members(self) -> Members:
        self.check()
        return super().members()


def from_json(codec: ObjectOf, raw: bytes | bytearray | memoryview) -> Document:
    """The document in ``raw``, read by ``codec`` and checked. Raises `FieldError`."""
    document: Document = codec.freeze(codec.decode(None, read(raw)))
    document.check()
    return document


def kind_of(raw: bytes | bytearray | memoryview) -> tuple[str, str]:
    """(``acKind``, ``acVersion``) of any appc document, ``""`` where it does not say. Raises `FieldError`."""
    from carob.spec.appc.compound import ObjectOf

    codec = ObjectOf(Document)
    head = codec.freeze(codec.decode(None, read(raw)))
    return str(head.ac_kind), str(head.ac_version)
