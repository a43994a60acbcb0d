"""How deep a JSON document may be nested: what is read in one piece must also be written and compared."""

from __future__ import annotations

DEEPEST = 64


def is_too_deep(value: object, limit: int = DEEPEST) -> bool:
    """Whether lists and objects are nested deeper than ``limit``."""
    if isinstance(value, dict):
        return limit == 0 or any(is_too_deep(item, limit - 1) for item in value.values())
    if isinstance(value, list):
        return limit == 0 or any(is_too_deep(item, limit - 1) for item in value)
    return False
