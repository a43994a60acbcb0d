"""Names that CNI gives rules for: networks, containers, plugins, interfaces (SPEC.md, sections 1 to 3).

Each function returns what is wrong with a name, as the end of a sentence, or ``""``.
"""

from __future__ import annotations

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_FIRST = frozenset(_LETTERS)
_LATER = frozenset(_LETTERS + "_.-")
_INTERFACE_BYTES = 15
_NAME_LENGTH = 200  # a name is part of a file's name


def network_name_fault(name: str) -> str:
    """What is wrong with the name of a network; ``""`` for a good one."""
    if not name:
        return "is empty"
    if name[0] not in _FIRST:
        return "does not begin with a letter or digit"
    if not _LATER.issuperset(name):
        return "has characters other than letters, digits and _.-"
    if len(name) > _NAME_LENGTH:
        return f"is longer than {_NAME_LENGTH} characters"
    return ""


container_id_fault = network_name_fault
"""What is wrong with a container's id: the rule is that of networks."""


def plugin_type_fault(name: str) -> str:
    """What is wrong with a plugin's type, which is the name of its file; ``""`` for a good one."""
    if not name:
        return "is empty"
    if name in (".", "..") or "/" in name or "\\" in name:
        return "is no file name"
    if not name.isprintable() or len(name.encode("utf-8", "replace")) > _NAME_LENGTH:
        return "is no file name"
    return ""


def interface_name_fault(name: str) -> str:
    """What is wrong with an interface's name for the kernel or libcni; ``""`` for a good one."""
    if not name:
        return "is empty"
    if len(name.encode("utf-8", "replace")) > _INTERFACE_BYTES:
        return f"is longer than {_INTERFACE_BYTES} bytes"
    if name in (".", ".."):
        return "is . or .."
    if not name.isprintable() or any(letter in "/:%" or letter.isspace() for letter in name):
        return "has white space, control characters, or one of / : %"
    return ""
