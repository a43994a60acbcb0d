"""Mappings of mappings of words, as YAML has them in blocks: enough for registries.d. Pure.

What is beyond that (lists, several documents, anchors, tags, text of several lines) is refused and not
guessed at: so whatever is read means here what it means to other readers.
"""

from __future__ import annotations

from carob.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    Block: TypeAlias = "dict[str, str | Block | None]"

_INDICATORS = frozenset("[]{}&*!|>%@`,?")


def parse_block(text: str, what: str) -> Block:
    """The outermost mapping. Values are texts, as they stand there, ``None`` for nothing, or mappings.

    ``InvalidInput`` names ``what`` it is, and the line.
    """
    top: Block = {}
    # Of each mapping that is open: how far its keys are indented, itself, and its last key.
    opened: list[tuple[int, Block, str]] = []
    is_begun = False
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        place = f"{what}, line {number}"
        content = line.strip(" ")
        is_comment = content.startswith("#")
        if not (content.replace("\t", " ") if is_comment else content).isprintable():
            raise InvalidInput(f"{place}: a tab, or another control character")
        if not content or is_comment:
            continue
        if line.startswith("---") and content == "---" and not is_begun:
            is_begun = True
            continue
        is_begun = True
        key, value = _key_and_value(content, place)
        indent = len(line) - len(line.lstrip(" "))
        while opened and indent < opened[-1][0]:
            opened.pop()
        if not opened and not top:
            mapping = top
        elif opened and indent == opened[-1][0]:
            mapping = opened.pop()[1]
        elif opened and opened[-1][1][opened[-1][2]] is None:
            mapping = opened[-1][1][opened[-1][2]] = {}
        else:
            raise InvalidInput(f"{place}: indented like nothing before it")
        if key in mapping:
            raise InvalidInput(f"{place}: the key {key!r} is there twice")
        mapping[key] = value
        opened.append((indent, mapping, key))
    return top


def _key_and_value(content: str, place: str) -> tuple[str, str | Block | None]:
    key, rest = _scalar(content, place, is_key=True)
    rest = rest.lstrip(" ")
    if rest == "{}" or rest.startswith("{} #"):
        return key, {}
    value, after = _scalar(rest, place, is_key=False)
    after = after.strip()
    if after and not after.startswith("#"):
        raise InvalidInput(f"{place}: {after[:50]!r} follows where the line should end")
    is_plain = not rest.startswith(("'", '"'))
    return key, None if is_plain and not value else value


def _scalar(text: str, place: str, *, is_key: bool) -> tuple[str, str]:
    """The word at the beginning of ``text``, and what follows it; after a key also its colon is passed."""
    if text[:1] in ("'", '"'):
        word, rest = _quoted(text, place)
        if is_key:
            if not rest.startswith(":") or rest[1:2] not in ("", " "):
                raise InvalidInput(f"{place}: no 'key: value'")
            rest = rest[1:]
        return word, rest
    if text[:1] in _INDICATORS or text.startswith(("- ", ": ", "---", "...")) or text.strip() == "-":
        raise InvalidInput(f"{place}: {text[:50]!r} is more than carob reads of YAML")
    if not is_key:
        if text.startswith("#"):
            return "", text
        word, mark, comment = text.partition(" #")
        if ": " in word or word.rstrip().endswith(":"):
            raise InvalidInput(f"{place}: two keys in one line")
        return word.rstrip(), mark + comment
    word, colon, rest = (text + " ").partition(": ")
    if not colon or " #" in word or not word.strip():
        raise InvalidInput(f"{place}: no 'key: value'")
    return word.rstrip(), rest.rstrip()


def _quoted(text: str, place: str) -> tuple[str, str]:
    mark = text[0]
    word, position = "", 1
    while position < len(text):
        letter = text[position]
        if letter == mark:
            if mark == "'" and text[position + 1 : position + 2] == "'":
                position += 1
            else:
                return word, text[position + 1 :]
        elif letter == "\\" and mark == '"':
            position += 1
            letter = text[position : position + 1]
            if letter not in ("\\", '"', "/"):
                raise InvalidInput(f"{place}: an escape that carob does not read: \\{letter}")
        word += letter
        position += 1
    raise InvalidInput(f"{place}: a quotation that does not end in its line")
