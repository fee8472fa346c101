"""The smallest files that are what their names say, written by hand."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

_TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships'
    '+xml"/><Default Extension="xml" ContentType="application/xml"/>{overrides}</Types>'
)
_OVERRIDE = (
    '<Override PartName="/{part}" ContentType="application/vnd.openxmlformats-officedocument.'
    '{kind}+xml"/>'
)
_RELATIONS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{inside}'
    "</Relationships>"
)
_RELATION = (
    '<Relationship Id="{id}" Type="http://schemas.openxmlformats.org/officeDocument/2006/'
    'relationships/{kind}" Target="{target}"/>'
)
_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_SLIDES = "http://schemas.openxmlformats.org/presentationml/2006/main"
_DRAWING = "http://schemas.openxmlformats.org/drawingml/2006/main"
_LINKS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def archive(parts: Mapping[str, str | bytes]) -> bytes:
    """Pack parts into a zip archive."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in parts.items():
            file.writestr(name, content)
    return packed.getvalue()


def docx(paragraphs: Sequence[str]) -> bytes:
    """Write a Word document; a paragraph that begins with `# ` is a heading."""
    body = "".join(_paragraph(text) for text in paragraphs)
    return archive(
        {
            "[Content_Types].xml": _types(
                "word/document.xml",
                "wordprocessingml.document.main",
                ("word/styles.xml", "wordprocessingml.styles"),
            ),
            "_rels/.rels": _relations([("officeDocument", "word/document.xml")]),
            "word/_rels/document.xml.rels": _relations([("styles", "styles.xml")]),
            "word/styles.xml": (
                f'<w:styles xmlns:w="{_WORD}"><w:style w:type="paragraph" w:styleId="Heading1">'
                '<w:name w:val="heading 1"/></w:style></w:styles>'
            ),
            "word/document.xml": (
                f'<w:document xmlns:w="{_WORD}"><w:body>{body}</w:body></w:document>'
            ),
        }
    )


def xlsx(rows: Sequence[Sequence[str]]) -> bytes:
    """Write a workbook of one sheet."""
    cells = "".join(
        f'<row r="{r}">'
        + "".join(
            f'<c r="{chr(64 + c)}{r}" t="inlineStr"><is><t>{escape(cell)}</t></is></c>'
            for c, cell in enumerate(row, 1)
        )
        + "</row>"
        for r, row in enumerate(rows, 1)
    )
    return archive(
        {
            "[Content_Types].xml": _types(
                "xl/workbook.xml",
                "spreadsheetml.sheet.main",
                ("xl/worksheets/sheet1.xml", "spreadsheetml.worksheet"),
            ),
            "_rels/.rels": _relations([("officeDocument", "xl/workbook.xml")]),
            "xl/_rels/workbook.xml.rels": _relations([("worksheet", "worksheets/sheet1.xml")]),
            "xl/workbook.xml": f'<workbook xmlns="{_SHEET}" xmlns:r="{_LINKS}"><sheets>'
            '<sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>',
            "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{_SHEET}"><sheetData>{cells}'
            "</sheetData></worksheet>",
        }
    )


def pptx(slides: Sequence[Sequence[str]]) -> bytes:
    """Write a deck."""
    numbers = range(1, len(slides) + 1)
    ids = "".join(f'<p:sldId id="{255 + n}" r:id="rId{n}"/>' for n in numbers)
    targets = [("slide", f"slides/slide{n}.xml") for n in numbers]
    parts = {
        "[Content_Types].xml": _types("ppt/presentation.xml", "presentationml.presentation.main"),
        "_rels/.rels": _relations([("officeDocument", "ppt/presentation.xml")]),
        "ppt/_rels/presentation.xml.rels": _relations(targets),
        "ppt/presentation.xml": f'<p:presentation xmlns:p="{_SLIDES}" xmlns:r="{_LINKS}">'
        f"<p:sldIdLst>{ids}</p:sldIdLst></p:presentation>",
    }
    for number, paragraphs in zip(numbers, slides, strict=True):
        inside = "".join(f"<a:p><a:r><a:t>{escape(t)}</a:t></a:r></a:p>" for t in paragraphs)
        parts[f"ppt/slides/slide{number}.xml"] = (
            f'<p:sld xmlns:p="{_SLIDES}" xmlns:a="{_DRAWING}"><p:cSld><p:spTree><p:sp><p:txBody>'
            f"{inside}</p:txBody></p:sp></p:spTree></p:cSld></p:sld>"
        )
    return archive(parts)


def pdf(pages: Sequence[str]) -> bytes:
    """Write a PDF of Latin text, one line a page."""
    kids = " ".join(f"{4 + 2 * at} 0 R" for at in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for at, text in enumerate(pages):
        drawn = f"BT /F1 12 Tf 72 700 Td ({text}) Tj ET" if text else ""
        objects += [
            (
                "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] "
                f"/Resources << /Font << /F1 3 0 R >> >> /Contents {5 + 2 * at} 0 R >>"
            ),
            f"<< /Length {len(drawn)} >>\nstream\n{drawn}\nendstream",
        ]
    return _pdf_file(objects)


def _pdf_file(objects: Sequence[str]) -> bytes:
    written, offsets = b"%PDF-1.4\n", []
    for number, inside in enumerate(objects, 1):
        offsets.append(len(written))
        written += f"{number} 0 obj\n{inside}\nendobj\n".encode()
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    return (
        written
        + (
            f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
            f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\n"
            f"startxref\n{len(written)}\n%%EOF\n"
        ).encode()
    )


def _paragraph(text: str) -> str:
    style = '<w:pPr><w:pStyle w:val="Heading1"/></w:pPr>' if text.startswith("# ") else ""
    inside = escape(text.removeprefix("# "))
    return f'<w:p>{style}<w:r><w:t xml:space="preserve">{inside}</w:t></w:r></w:p>'


def _types(part: str, kind: str, *more: tuple[str, str]) -> str:
    overrides = "".join(_OVERRIDE.format(part=p, kind=k) for p, k in ((part, kind), *more))
    return _TYPES.format(overrides=overrides)


def _relations(targets: Sequence[tuple[str, str]]) -> str:
    inside = "".join(
        _RELATION.format(id=f"rId{at}", kind=kind, target=target)
        for at, (kind, target) in enumerate(targets, 1)
    )
    return _RELATIONS.format(inside=inside)
