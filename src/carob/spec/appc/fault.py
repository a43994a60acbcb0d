"""The error of a document or value that is not valid appc, with the path of the field at fault."""

from __future__ import annotations

from carob.errors import InvalidInput


class FieldError(InvalidInput):
    """A field holds what the appc schema does not allow.

    ``path`` names the field in the document's own keys (``apps[1].app.exec``; ``""`` for the whole
    document), ``reason`` says what is wrong with it.
    """

    def __init__(self, reason: str, *, path: str = "", hint: str = "") -> None:
        super().__init__(f"{path}: {reason}" if path else reason, hint=hint)
        self.reason = reason
        self.path = path


def located(error: InvalidInput, step: str) -> FieldError:
    """The same error, seen from one level further out.

    ``step`` is a key (``exec``) or an index (``[1]``).
    """
    if not isinstance(error, FieldError):
        return FieldError(error.message, path=step, hint=error.hint)
    inner = error.path
    joint = "." if inner and not inner.startswith("[") else ""
    return FieldError(error.reason, path=step + joint + inner, hint=error.hint)


def wrong_type(wanted: str, got: object) -> FieldError:
    """The error for a JSON value of the wrong kind; ``got`` is a node of `carob.spec.appc.text`."""
    return FieldError(f"must be {wanted}, not {_kind_of(got)}")


def _kind_of(node: object) -> str:
    from carob.spec.appc.text import Members, Number

    if node is None:
        return "null"
    if isinstance(node, bool):
        return "a boolean"
    if isinstance(node, Number):
        return f"the number {node[:40]}"
    if isinstance(node, str):
        return "a string"
    if isinstance(node, Members):
        return "an object"
    if isinstance(node, list | tuple):
        return "an array"
    return f"a {type(node).__name__}"
