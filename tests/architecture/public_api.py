"""The public names of carob with their signatures, as text.

    python -m tests.architecture.public_api            prints them
    python -m tests.architecture.public_api --write    makes them the snapshot that the suite compares with

The text is the same on every supported Python: annotations are taken as they are written, and only
what carob's own code defines is listed, not what a base class of Python's brings along.
"""

from __future__ import annotations

import enum
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import is_typeddict

SNAPSHOT = Path(__file__).with_name("public_api.txt")
_STARS = {"VAR_POSITIONAL": "*", "VAR_KEYWORD": "**"}
MODULES = ("carob", "carob.errors", "carob.pod", "carob.aio")


def describe() -> str:
    """Return one line for each public name, sorted by module and name."""
    lines: list[str] = []
    seen: dict[int, str] = {}
    for module_name in MODULES:
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name != module_name:
                raise
            continue
        for name in sorted(_public_names(module)):
            lines += _describe(f"{module_name}.{name}", getattr(module, name), seen)
    return "\n".join(lines) + "\n"


def _public_names(module: ModuleType) -> list[str]:
    declared = getattr(module, "__all__", None)
    if declared is not None:
        return list(declared)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]


def _describe(path: str, value: object, seen: dict[int, str]) -> Iterator[str]:
    if isinstance(value, ModuleType):
        yield f"{path}: module"
    elif not isinstance(value, type | FunctionType):
        yield f"{path} = {_constant(value)}"
    elif id(value) in seen:
        yield f"{path} = {seen[id(value)]}"
    else:
        seen[id(value)] = path
        yield from _describe_class(path, value) if isinstance(value, type) else [_function(path, value)]


def _describe_class(path: str, cls: type) -> Iterator[str]:
    bases = [base.__name__ for base in cls.__bases__ if base is not object]
    yield f"class {path}" + (f"({', '.join(bases)})" if bases else "")
    if issubclass(cls, enum.Enum):
        for member in cls:
            yield f"{path}.{member.name} = {member.value!r}"
    members: dict[str, object] = {}
    fields: set[str] = set()
    for owner in reversed([owner for owner in cls.__mro__ if owner.__module__.split(".")[0] == "carob"]):
        members |= vars(owner)
        fields |= set(vars(owner).get("__annotations__", ()))
        slots = vars(owner).get("__slots__", ())
        fields |= {slots} if isinstance(slots, str) else set(slots)
        fields |= set(vars(owner).get("_fields", ()))
    for name in sorted(members.keys() | fields):
        shown = name in ("__init__", "__enter__", "__aenter__", "__iter__", "__await__")
        if name.startswith("_") and not shown:
            continue
        yield from _describe_member(f"{path}.{name}", members.get(name), cls)


def _describe_member(path: str, value: object, cls: type) -> Iterator[str]:
    if not is_typeddict(cls) and isinstance(value, cls):  # an enum's member, already told with its value
        return
    if isinstance(value, staticmethod | classmethod):
        kind = type(value).__name__
        yield f"{kind} {_function(path, value.__func__)}"
    elif isinstance(value, property):
        returned = _annotation(inspect.signature(value.fget).return_annotation) if value.fget else ""
        yield f"property {path}{returned}"
    elif isinstance(value, FunctionType):
        if value.__module__.split(".")[0] == "carob":
            yield _function(path, value)
    elif value is None or inspect.isdatadescriptor(value) or type(value).__name__ == "_tuplegetter":
        yield f"field {path}"
    else:
        yield f"{path} = {_constant(value)}"


def _constant(value: object) -> str:
    simple = isinstance(value, str | int | float | bytes | bool | tuple | frozenset)
    if isinstance(value, frozenset):
        return f"frozenset({sorted(map(str, value))})"
    if isinstance(value, enum.Enum):
        return str(value)
    return repr(value) if simple else type(value).__name__


def _function(path: str, function: Callable[..., object]) -> str:
    kind = "async def " if inspect.iscoroutinefunction(function) else "def "
    signature = inspect.signature(function)
    words: list[str] = []
    keyword_only = False
    positional_only = False
    for parameter in signature.parameters.values():
        if positional_only and parameter.kind is not parameter.POSITIONAL_ONLY:
            words.append("/")
        positional_only = parameter.kind is parameter.POSITIONAL_ONLY
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
            words.append("*")
        keyword_only |= parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        word = _STARS.get(parameter.kind.name, "")
        word += parameter.name + _annotation(parameter.annotation, ": ")
        if parameter.default is not parameter.empty:
            word += " = " + _constant(parameter.default) if parameter.default is not None else " = None"
        words.append(word)
    if positional_only:
        words.append("/")
    return f"{kind}{path}({', '.join(words)}){_annotation(signature.return_annotation)}"


def _annotation(annotation: object, before: str = " -> ") -> str:
    if annotation is inspect.Signature.empty:
        return ""
    return before + (
        annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    )


def main() -> int:
    if sys.argv[1:] == ["--write"]:
        SNAPSHOT.write_text(describe(), encoding="utf-8")
    else:
        sys.stdout.write(describe())
    return 0


if __name__ == "__main__":
    sys.exit(main())
