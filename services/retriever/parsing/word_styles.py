"""What a Word document's styles say of its paragraphs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.etree import ElementTree as ET

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"

_HEADING = re.compile(r"(?:heading|제목|개요)\s*([1-9])", re.IGNORECASE)
_TITLES = frozenset(("title", "제목"))
_BODY_LEVEL = 9
_LONGEST_CHAIN = 32


@dataclass(frozen=True, slots=True)
class ParagraphStyle:
    """What concerns reading."""

    level: int | None = None
    """A heading's level, from 1."""
    list_id: str | None = None
    list_level: int = 0


class Styles:
    """The styles by their ids; a style says what it does not say itself as its parent does."""

    def __init__(self, *parts: ET.Element | None) -> None:
        found = (style for part in parts if part is not None for style in part.iter(f"{W}style"))
        self._by_id = {style.get(f"{W}styleId", ""): style for style in found}
        self._read: dict[str, ParagraphStyle] = {}

    def of(self, paragraph: ET.Element) -> ParagraphStyle:
        """Say what a paragraph is, by its own settings first."""
        settings = paragraph.find(f"{W}pPr")
        if settings is None:
            return ParagraphStyle()
        named = self._named(value_of(settings.find(f"{W}pStyle"), ""))
        level = _outline_level(settings)
        list_id, list_level = _list(settings)
        return ParagraphStyle(
            named.level if level is None else level or None,
            named.list_id if list_id is None else list_id,
            named.list_level if list_level is None else list_level,
        )

    def _named(self, style_id: str) -> ParagraphStyle:
        if style_id not in self._read:
            self._read[style_id] = self._resolve(style_id)
        return self._read[style_id]

    def _resolve(self, style_id: str) -> ParagraphStyle:
        level: int | None = None
        list_id: str | None = None
        list_level: int | None = None
        # Counted, because a damaged file may have styles that descend from each other.
        for _ in range(_LONGEST_CHAIN):
            style = self._by_id.get(style_id)
            if style is None:
                break
            settings = style.find(f"{W}pPr")
            own_id, own_level = (None, None) if settings is None else _list(settings)
            level = _style_level(style, settings) if level is None else level
            list_id = own_id if list_id is None else list_id
            list_level = own_level if list_level is None else list_level
            style_id = value_of(style.find(f"{W}basedOn"), "")
        return ParagraphStyle(level or None, list_id, list_level or 0)


def _style_level(style: ET.Element, settings: ET.Element | None) -> int | None:
    """A heading's level; 0 for what is expressly none, None where the style says nothing."""
    name = value_of(style.find(f"{W}name"), "").strip()
    if found := _HEADING.fullmatch(name):
        return int(found.group(1))
    if name.lower() in _TITLES:
        return 1
    return None if settings is None else _outline_level(settings)


def _outline_level(settings: ET.Element) -> int | None:
    outline = value_of(settings.find(f"{W}outlineLvl"), "")
    if not outline.isdigit():
        return None
    return 0 if int(outline) >= _BODY_LEVEL else int(outline) + 1


def _list(settings: ET.Element) -> tuple[str | None, int | None]:
    found = settings.find(f"{W}numPr")
    if found is None:
        return None, None
    list_id = found.find(f"{W}numId")
    level = value_of(found.find(f"{W}ilvl"), "")
    return (
        None if list_id is None else value_of(list_id, ""),
        int(level) if level.isdigit() else None,
    )


def value_of(element: ET.Element | None, otherwise: str) -> str:
    """Read an element's `val`."""
    return otherwise if element is None else element.get(f"{W}val", otherwise)


def is_on(element: ET.Element | None) -> bool:
    """Read a switch, which is on when it is there and does not say otherwise."""
    return element is not None and value_of(element, "1") not in ("0", "false", "off")
