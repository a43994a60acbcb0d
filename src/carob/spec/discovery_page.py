"""The discovery tags of a web page (appc specification, discovery.md, "Discovery URL"). Pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE_BYTES = 1 << 20
"""The largest discovery page that is read."""

_META_CHARACTERS = 2048
_METAS = 100
_RAW_TEXT = ("script", "style", "textarea", "title")


class Meta:
    """One tag of a page: ``kind`` (``ac-discovery`` or ``ac-discovery-pubkeys``), the ``prefix`` of the names
    that it is about, and a ``template`` or URL.
    """

    __slots__ = ("kind", "prefix", "template")

    def __init__(self, kind: str, prefix: str, template: str) -> None:
        self.kind = kind
        self.prefix = prefix
        self.template = template

    def __repr__(self) -> str:
        return f"Meta({self.kind!r}, {self.prefix!r}, {self.template!r})"


def parse_page(page: bytes) -> list[Meta]:
    """The discovery tags of an HTML page, at most a hundred.

    ``html.parser`` gets one ``meta`` tag at a time: a whole page that is made for it keeps it busy for hours.
    """
    found: list[Meta] = []
    for tag in _meta_tags(page.decode("utf-8", "replace")):
        attributes = _attributes(tag)
        kind = attributes.get("name", "")
        prefix, _, template = attributes.get("content", "").strip().partition(" ")
        template = template.strip()
        if kind in ("ac-discovery", "ac-discovery-pubkeys") and prefix and template:
            found.append(Meta(kind, prefix, template))
        if len(found) == _METAS:
            break
    return found


def _attributes(tag: str) -> dict[str, str]:
    from html.parser import HTMLParser

    found: dict[str, str] = {}

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag == "meta":
                for name, value in reversed(attrs):  # of two alike the first counts
                    found[name] = value or ""

    parser = Parser()
    parser.feed(tag)
    parser.close()
    return found


def _meta_tags(text: str) -> Iterator[str]:
    """The text of each ``meta`` tag that may matter, outside comments and raw text, in linear time."""
    lowered = text.lower() if text.isascii() else "".join(_lower(char) for char in text)
    position = 0
    while (position := lowered.find("<", position)) >= 0:
        if lowered.startswith("<!--", position):
            position = _after(lowered, "-->", position + 4)
        elif raw := next((name for name in _RAW_TEXT if _opens(lowered, name, position)), ""):
            position = _after(lowered, f"</{raw}", position + 1)
        elif _opens(lowered, "meta", position) and (end := _tag_end(text, position)):
            if "ac-discovery" in lowered[position:end]:
                yield text[position:end]
            position = end
        else:
            position += 1


def _lower(char: str) -> str:
    return char.lower() if char.isascii() else char  # as long as before: positions stay


def _opens(lowered: str, name: str, position: int) -> bool:
    end = position + 1 + len(name)
    return lowered.startswith(name, position + 1) and lowered[end : end + 1] in tuple(" \t\r\n\f/>")


def _after(text: str, mark: str, position: int) -> int:
    found = text.find(mark, position)
    return len(text) if found < 0 else found + len(mark)


def _tag_end(text: str, position: int) -> int:
    """Where the tag at ``position`` ends; 0 where it does not, or is too long."""
    quote = ""
    for index in range(position + 1, min(position + _META_CHARACTERS, len(text))):
        char = text[index]
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char == "<":
            return 0
        elif char == ">":
            return index + 1
    return 0
