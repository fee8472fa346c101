"""A deck of slides as Markdown: each slide a page and, where it has a title, a section.

Hidden slides are left out. The order is the deck's, not that of the parts' names.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree as ET

from services.retriever.parsing.package import Package
from services.retriever.parsing.pipes import piped

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_LINK = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"

_TITLES = ("title", "ctrTitle")
_FURNITURE = ("dt", "ftr", "sldNum", "hdr", "sldImg")
"""Placeholders for the date, the footer and the slide's number."""

_SIGNS = {f"{_A}br": "\n", f"{_A}tab": "\t"}


def read_slides(content: bytes) -> tuple[list[tuple[int, str]], str]:
    """Read a deck.

    Returns:
        The text of each slide after its number, and the deck's title, which may be empty.

    Raises:
        RefusedError: it is damaged or hostile.
    """
    package = Package(content)
    deck = package.main_name()
    parts = {relation.id: relation.part for relation in package.relations(deck, "slide")}
    listed = package.main_part().iter(f"{_P}sldId")
    names = [parts[found.get(_LINK, "")] for found in listed if found.get(_LINK) in parts]
    slides = [(number, _slide(package, name)) for number, name in enumerate(names, 1)]
    return slides, package.title()


def _slide(package: Package, name: str) -> str:
    tree = package.tree(name)
    if tree is None or tree.get("show") in ("0", "false"):
        return ""
    blocks = [*_blocks(tree)]
    for relation in package.relations(name, "diagramData"):
        diagram = package.tree(relation.part)
        blocks.append("" if diagram is None else _paragraphs(diagram))
    for relation in package.relations(name, "notesSlide"):
        notes = package.tree(relation.part)
        blocks += () if notes is None else _blocks(notes)
    return "\n\n".join(filter(None, blocks))


def _blocks(tree: ET.Element) -> Iterator[str]:
    """Find what stands on a slide, the title first."""
    shapes = [*tree.iter(f"{_P}sp")]
    for shape in shapes:
        title = " ".join(_paragraphs(shape).split())
        if _kind(shape) in _TITLES and title:
            yield f"## {title}"
    for shape in tree.iter():
        if shape.tag == f"{_A}tbl":
            yield piped([[*map(_one_line, _cells(row))] for row in shape.iter(f"{_A}tr")])
        elif shape.tag == f"{_P}sp" and _kind(shape) not in (*_TITLES, *_FURNITURE):
            yield _paragraphs(shape)


def _kind(shape: ET.Element) -> str:
    """Name the placeholder that a shape fills; empty when it fills none."""
    found = shape.find(f"{_P}nvSpPr/{_P}nvPr/{_P}ph")
    return "" if found is None else found.get("type", "body")


def _cells(row: ET.Element) -> Iterator[ET.Element]:
    return row.iter(f"{_A}tc")


def _one_line(cell: ET.Element) -> str:
    return " ".join(_paragraphs(cell).split())


def _paragraphs(within: ET.Element) -> str:
    texts = ("".join(_runs(paragraph)) for paragraph in within.iter(f"{_A}p"))
    return "\n".join(text.strip() for text in texts if text.strip())


def _runs(paragraph: ET.Element) -> Iterator[str]:
    for element in paragraph.iter():
        if element.tag == f"{_A}t":
            yield element.text or ""
        elif element.tag in _SIGNS:
            yield _SIGNS[element.tag]
