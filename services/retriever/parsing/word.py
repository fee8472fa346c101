"""A Word document as Markdown: headings, numbered lists, tables, footnotes, text boxes.

What Word does not show is left out: hidden runs and deleted ones. So are headers and footers, which
would repeat on every page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from services.retriever.parsing.package import Package
from services.retriever.parsing.pipes import piped
from services.retriever.parsing.word_numbers import Numbering
from services.retriever.parsing.word_styles import Styles, W, is_on, value_of

_MATH = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_CHOICES = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"

_UNSEEN = frozenset(
    (
        *(f"{W}del", f"{W}moveFrom", f"{W}pPr", f"{W}rPr", f"{W}tblPr", f"{W}sdtPr"),
        # A text box is written twice, the second time for old programs.
        *(f"{_CHOICES}Fallback", f"{W}instrText", f"{W}delText"),
    )
)
_SIGNS = {f"{W}tab": "\t", f"{W}br": "\n", f"{W}cr": "\n", f"{W}noBreakHyphen": "-"}
_NOTES = {f"{W}footnoteReference": "", f"{W}endnoteReference": "e"}
_LOOKS_LIKE_MARKUP = re.compile(r"^(?=#{1,6}[ \t]|`{3}|~{3})", re.MULTILINE)
_DEEPEST_HEADING = 6


def read_word(content: bytes) -> tuple[str, str]:
    """Read a document.

    Returns:
        Its text and its title, which may be empty.

    Raises:
        RefusedError: it is damaged or hostile.
    """
    package = Package(content)
    name = package.main_name()
    reader = _Reader(_styles(package, name), _numbering(package, name))
    body = [reader.block(block) for block in _blocks(package.main_part())]
    notes = [
        f"[^{prefix}{note.get(f'{W}id')}]: {reader.cell(note)}"
        for kind, prefix in (("footnotes", ""), ("endnotes", "e"))
        for note in _notes(package, name, kind)
    ]
    return _joined([*body, *notes]), package.title()


class _Reader:
    """Writes paragraphs and tables; counts the numbers of lists on its way."""

    def __init__(self, styles: Styles, numbering: Numbering) -> None:
        self._styles = styles
        self._numbering = numbering

    def block(self, block: ET.Element) -> str:
        """Write a paragraph, with the text boxes that hang on it, or a table."""
        if block.tag == f"{W}tbl":
            return piped([*self._rows(block)])
        text, boxes = _inline(block)
        inside = (self.block(inner) for box in boxes for inner in _blocks(box))
        return _joined([self._paragraph(block, text), *inside])

    def cell(self, cell: ET.Element) -> str:
        """Write everything in a cell or a note as one line, tables in it too."""
        paragraphs = (_inline(paragraph)[0] for paragraph in cell.iter(f"{W}p"))
        return " ".join(text for text in map(str.strip, paragraphs) if text)

    def _paragraph(self, paragraph: ET.Element, text: str) -> str:
        if not text.strip():
            return ""
        style = self._styles.of(paragraph)
        label, depth = self._numbering.label(style.list_id, style.list_level)
        if style.level is not None:
            marks = "#" * min(style.level, _DEEPEST_HEADING)
            return " ".join([marks, *label.split(), *text.split()])
        shown = _LOOKS_LIKE_MARKUP.sub(r"\\", text.strip())
        return f"{'  ' * depth}{label} {shown}" if label else shown

    def _rows(self, table: ET.Element) -> Iterator[list[str]]:
        above: dict[int, str] = {}
        for row in _children(table, f"{W}tr"):
            cells: list[str] = []
            for cell in _children(row, f"{W}tc"):
                merged = cell.find(f"{W}tcPr/{W}vMerge")
                goes_on = merged is not None and value_of(merged, "continue") == "continue"
                text = above.get(len(cells), "") if goes_on else self.cell(cell)
                above[len(cells)] = text
                width = value_of(cell.find(f"{W}tcPr/{W}gridSpan"), "1")
                cells += [text, *[""] * (min(int(width), 64) - 1 if width.isdigit() else 0)]
            yield cells


def _joined(blocks: list[str]) -> str:
    """Put blank lines between blocks, and none between the items of a list."""
    text = ""
    for block in filter(None, blocks):
        listed = text and _is_item(block) and _is_item(text[text.rfind("\n") + 1 :])
        text += ("\n" if listed else "\n\n") * bool(text) + block
    return text


def _is_item(block: str) -> bool:
    return block.lstrip().startswith("- ")


def _blocks(within: ET.Element) -> Iterator[ET.Element]:
    """Find paragraphs and tables in reading order, whatever they are wrapped in."""
    waiting = [within]
    while waiting:
        element = waiting.pop()
        if element is not within and element.tag in (f"{W}p", f"{W}tbl"):
            yield element
        elif element.tag not in _UNSEEN:
            waiting.extend(reversed(element))


def _children(within: ET.Element, tag: str) -> Iterator[ET.Element]:
    """Find a table's rows or a row's cells, not those of tables inside."""
    waiting = [*reversed(within)]
    while waiting:
        element = waiting.pop()
        if element.tag == tag:
            yield element
        elif element.tag not in _UNSEEN and element.tag not in (f"{W}tc", f"{W}tbl", f"{W}p"):
            waiting.extend(reversed(element))


def _inline(paragraph: ET.Element) -> tuple[str, list[ET.Element]]:
    """Give a paragraph's visible text and the text boxes that hang on it."""
    parts: list[str] = []
    boxes: list[ET.Element] = []
    waiting = [*reversed(paragraph)]
    while waiting:
        element = waiting.pop()
        tag = element.tag
        if tag in (f"{W}t", f"{_MATH}t"):
            parts.append(element.text or "")
        elif tag in _SIGNS:
            parts.append(_SIGNS[tag])
        elif tag in _NOTES:
            parts.append(f"[^{_NOTES[tag]}{element.get(f'{W}id')}]")
        elif tag == f"{W}txbxContent":
            boxes.append(element)
        elif tag not in _UNSEEN and not _is_hidden(element):
            waiting.extend(reversed(element))
    return "".join(parts), boxes


def _is_hidden(element: ET.Element) -> bool:
    return element.tag == f"{W}r" and is_on(element.find(f"{W}rPr/{W}vanish"))


def _styles(package: Package, name: str) -> Styles:
    return Styles(*(package.tree(found.part) for found in package.relations(name, "styles")))


def _numbering(package: Package, name: str) -> Numbering:
    return Numbering(*(package.tree(found.part) for found in package.relations(name, "numbering")))


def _notes(package: Package, name: str, kind: str) -> Iterator[ET.Element]:
    for relation in package.relations(name, kind):
        tree = package.tree(relation.part)
        # A note with a type is the line above the notes.
        yield from (note for note in (() if tree is None else tree) if not note.get(f"{W}type"))
