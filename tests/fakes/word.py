"""Word documents of any content, written by hand."""

from __future__ import annotations

from xml.sax.saxutils import escape

from tests.fakes.office import archive

_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_KIND = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"
_CORE = "http://schemas.openxmlformats.org/package/2006/relationships/metadata/core-properties"
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"


def paragraph(text: str, settings: str = "") -> str:
    """Write a paragraph; `settings` are what stands in its `w:pPr`."""
    inside = f'<w:r><w:t xml:space="preserve">{escape(text)}</w:t></w:r>'
    return f"<w:p><w:pPr>{settings}</w:pPr>{inside}</w:p>"


def styled(text: str, style: str) -> str:
    """Write a paragraph of a style."""
    return paragraph(text, f'<w:pStyle w:val="{style}"/>')


def listed(text: str, list_id: int = 1, level: int = 0) -> str:
    """Write a paragraph of a list."""
    numbering = f'<w:ilvl w:val="{level}"/><w:numId w:val="{list_id}"/>'
    return paragraph(text, f"<w:numPr>{numbering}</w:numPr>")


def table(rows: list[list[str]]) -> str:
    """Write a table of plain cells."""
    cells = ("".join(cell(text) for text in row) for row in rows)
    return f"<w:tbl>{''.join(f'<w:tr>{row}</w:tr>' for row in cells)}</w:tbl>"


def cell(text: str, settings: str = "") -> str:
    """Write a cell; `settings` are what stands in its `w:tcPr`."""
    return f"<w:tc><w:tcPr>{settings}</w:tcPr>{paragraph(text)}</w:tc>"


def word(body: str, *, title: str = "", prolog: str = "", **parts: str) -> bytes:
    """Write a document; `parts` are `styles`, `numbering` or `footnotes`, their inner XML."""
    space = f'xmlns:w="{_W}" xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    related = "".join(
        f'<Relationship Id="r{name}" Type="{_KIND}{name}" Target="{name}.xml"/>' for name in parts
    )
    core = '<c xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{}</dc:title></c>'
    return archive(
        {
            "_rels/.rels": f'<Relationships xmlns="{_RELATIONS}"><Relationship Id="r1" '
            f'Type="{_KIND}officeDocument" Target="word/document.xml"/><Relationship Id="r2" '
            f'Type="{_CORE}" Target="/docProps/core.xml"/></Relationships>',
            "docProps/core.xml": core.format(escape(title)),
            "word/_rels/document.xml.rels": (
                f'<Relationships xmlns="{_RELATIONS}">{related}</Relationships>'
            ),
            "word/document.xml": (
                f"{prolog}<w:document {space}><w:body>{body}</w:body></w:document>"
            ),
            **{
                f"word/{name}.xml": f"<w:{name} {space}>{xml}</w:{name}>"
                for name, xml in parts.items()
            },
        }
    )
