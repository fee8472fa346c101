"""A workbook as lines: each sheet a section, each row a line that names its columns.

Hidden sheets are left out. A cell that is merged over several rows stands in each of them.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from services.retriever.parsing.outcomes import FileCode, RefusedError
from services.retriever.parsing.package import Package, damaged
from services.retriever.parsing.sheet_values import Formats
from services.retriever.parsing.tables import rows_as_lines

MOST_CELLS = 2_000_000
"""Cells of a workbook that are read; they come to some ten times the longest document."""

_S = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_LINK = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_PLACE = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")
_CODED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_LAST_COLUMN = 16_384
_LETTERS = 26
_CORNERS = 2

Rows = dict[int, dict[int, str]]
"""Texts by row and column, both from 1."""


def read_sheets(content: bytes, most_cells: int = MOST_CELLS) -> tuple[str, str]:
    """Read a workbook.

    Returns:
        Its text and its title, which may be empty.

    Raises:
        RefusedError: it is damaged, hostile, or holds too many cells.
    """
    package = Package(content)
    workbook, name = package.main_part(), package.main_name()
    parts = {relation.id: relation.part for relation in package.relations(name)}
    cells = _Cells(package, name, _counts_from_1904(workbook), most_cells)
    sections = []
    for sheet in workbook.iter(f"{_S}sheet"):
        part = parts.get(sheet.get(_LINK, ""))
        if part is not None and sheet.get("state", "visible") == "visible":
            lines = rows_as_lines(cells.rows(part))
            title = " ".join(sheet.get("name", "").split())
            sections.append(f"## {title}\n\n{lines}" if lines else "")
    return "\n\n".join(filter(None, sections)), package.title()


class _Cells:
    """Reads sheet after sheet, and counts what was read of all of them."""

    def __init__(self, package: Package, workbook: str, from_1904: bool, most_cells: int) -> None:
        self._package = package
        self._shared = _shared_texts(package, workbook)
        styles = [package.tree(found.part) for found in package.relations(workbook, "styles")]
        self._formats = Formats(*styles, from_1904=from_1904)
        self._left = self._most = most_cells

    def rows(self, part: str) -> list[list[str]]:
        """Read a sheet's rows, without the empty columns on their right."""
        rows: Rows = {}
        number = 0
        for element in self._package.elements(part, f"{_S}row", f"{_S}mergeCell"):
            if element.tag == f"{_S}mergeCell":
                self._fill_merged(element.get("ref", ""), rows)
            else:
                given = element.get("r", "")
                number = int(given) if given.isdigit() else number + 1
                if row := self._row(element):
                    rows[number] = row
        used = sorted({column for row in rows.values() for column in row})
        return [[row.get(column, "") for column in used] for _, row in sorted(rows.items())]

    def _row(self, row: ET.Element) -> dict[int, str]:
        texts = {}
        column = 0
        for cell in row.iter(f"{_S}c"):
            column = _column(cell.get("r", "")) or column + 1
            if text := self._text(cell):
                texts[column] = text
        self._count(len(texts))
        return texts

    def _count(self, cells: int) -> None:
        self._left -= cells
        if self._left < 0:
            raise RefusedError(
                FileCode.TOO_COMPLEX, f"The file has more than {self._most} cells; split it."
            )

    def _text(self, cell: ET.Element) -> str:
        kind = cell.get("t", "n")
        if kind == "inlineStr":
            return _rich_text(cell.find(f"{_S}is"))
        value = cell.findtext(f"{_S}v") or ""
        if kind == "s":
            at = int(value) if value.isdigit() else -1
            return self._shared[at] if 0 <= at < len(self._shared) else ""
        if kind == "b":
            return {"1": "TRUE", "0": "FALSE"}.get(value, value)
        return self._formats.shown(value, cell.get("s", "0")) if kind == "n" else _decoded(value)

    def _fill_merged(self, place: str, rows: Rows) -> None:
        """Write what a merged cell holds in each of its rows; only rows with other cells count."""
        corners = _PLACE.findall(place.upper())
        if len(corners) != _CORNERS:
            return
        (letters, top), (_, bottom) = corners
        column, first = _column(letters + top), int(top)
        text = rows.get(first, {}).get(column)
        below = range(first + 1, min(int(bottom), max(rows, default=0)) + 1)
        for number in below if text else ():
            self._count(1)
            if number in rows:
                rows[number].setdefault(column, text or "")


def _shared_texts(package: Package, workbook: str) -> list[str]:
    return [
        _rich_text(item)
        for relation in package.relations(workbook, "sharedStrings")
        for item in package.elements(relation.part, f"{_S}si")
    ]


def _rich_text(item: ET.Element | None) -> str:
    """Join a text's runs, without the readings that stand above characters."""
    if item is None:
        return ""
    parts = [part for part in item if part.tag in (f"{_S}t", f"{_S}r")]
    texts = (part.text if part.tag == f"{_S}t" else part.findtext(f"{_S}t") for part in parts)
    return _decoded("".join(text or "" for text in texts))


def _decoded(text: str) -> str:
    return _CODED.sub(lambda code: chr(int(code.group(1), 16)), text) if "_x" in text else text


def _column(place: str) -> int:
    """Number a cell's column, from 1; 0 when the place is none."""
    found = _PLACE.fullmatch(place)
    number = 0
    for letter in found.group(1) if found else "":
        number = number * _LETTERS + ord(letter) - ord("A") + 1
    if number > _LAST_COLUMN:
        raise damaged()
    return number


def _counts_from_1904(workbook: ET.Element) -> bool:
    settings = workbook.find(f"{_S}workbookPr")
    return settings is not None and settings.get("date1904", "0") in ("1", "true")
