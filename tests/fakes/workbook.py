"""Workbooks of any content, written by hand."""

from __future__ import annotations

from collections.abc import Mapping
from xml.sax.saxutils import escape

from tests.fakes.office import archive

_S = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_KIND = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"

Cell = str | float | tuple[float, int]
"""A text, a number, or a number with the number of its style."""


def rows(*lines: list[Cell], merged: tuple[str, ...] = ()) -> str:
    """Write a sheet's data; an empty text is no cell."""
    data = "".join(
        f'<row r="{number}">'
        + "".join(_cell(f"{chr(64 + at)}{number}", cell) for at, cell in enumerate(line, 1))
        + "</row>"
        for number, line in enumerate(lines, 1)
    )
    cells = "".join(f'<mergeCell ref="{place}"/>' for place in merged)
    return f"<sheetData>{data}</sheetData><mergeCells>{cells}</mergeCells>"


def workbook(
    sheets: Mapping[str, str],
    *,
    formats: tuple[str, ...] = (),
    shared: tuple[str, ...] = (),
    hidden: tuple[str, ...] = (),
    settings: str = "",
) -> bytes:
    """Write a workbook.

    Args:
        sheets: the inner XML of each sheet by its name.
        formats: the number formats of styles 1, 2 and so on.
        shared: the inner XML of each shared text.
        hidden: the names of sheets that nobody sees.
    """
    numbered = [*enumerate(sheets.items(), 1)]
    unseen = dict.fromkeys(hidden, ' state="hidden"')
    listed = "".join(
        f'<sheet name="{escape(name)}" sheetId="{n}" r:id="s{n}"{unseen.get(name, "")}/>'
        for n, (name, _) in numbered
    )
    related = "".join(
        f'<Relationship Id="s{n}" Type="{_KIND}/worksheet" Target="worksheets/sheet{n}.xml"/>'
        for n, _ in numbered
    )
    codes = "".join(
        f'<numFmt numFmtId="{200 + n}" formatCode="{escape(code, {chr(34): "&quot;"})}"/>'
        for n, code in enumerate(formats)
    )
    used = "".join(f'<xf numFmtId="{200 + n}"/>' for n in range(len(formats)))
    return archive(
        {
            "_rels/.rels": f'<Relationships xmlns="{_RELATIONS}"><Relationship Id="r1" '
            f'Type="{_KIND}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
            "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_RELATIONS}">{related}'
            f'<Relationship Id="t" Type="{_KIND}/sharedStrings" Target="sharedStrings.xml"/>'
            f'<Relationship Id="y" Type="{_KIND}/styles" Target="styles.xml"/></Relationships>',
            "xl/workbook.xml": f'<workbook xmlns="{_S}" xmlns:r="{_KIND}">{settings}'
            f"<sheets>{listed}</sheets></workbook>",
            "xl/sharedStrings.xml": f'<sst xmlns="{_S}">'
            f"{''.join(f'<si>{text}</si>' for text in shared)}</sst>",
            "xl/styles.xml": f'<styleSheet xmlns="{_S}"><numFmts>{codes}</numFmts>'
            f'<cellXfs><xf numFmtId="0"/>{used}</cellXfs></styleSheet>',
            **{
                f"xl/worksheets/sheet{n}.xml": f'<worksheet xmlns="{_S}">{inside}</worksheet>'
                for n, (_, inside) in numbered
            },
        }
    )


def _cell(place: str, cell: Cell) -> str:
    if isinstance(cell, str):
        inside = f'<c r="{place}" t="inlineStr"><is><t>{escape(cell)}</t></is></c>'
        return inside if cell else ""
    value, style = cell if isinstance(cell, tuple) else (cell, 0)
    return f'<c r="{place}" s="{style}"><v>{value!r}</v></c>'
