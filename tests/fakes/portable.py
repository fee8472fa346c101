"""PDF files with text in any script, and some without text, written by hand."""

from __future__ import annotations

from collections.abc import Sequence

_FONT = """<< /Type /Font /Subtype /Type0 /BaseFont /Any /Encoding /Identity-H
/DescendantFonts [4 0 R] /ToUnicode 5 0 R >>"""
_LETTERS = """<< /Type /Font /Subtype /CIDFontType2 /BaseFont /Any /DW 1000
/CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >>
/FontDescriptor << /Type /FontDescriptor /FontName /Any /Flags 4 /FontBBox [0 0 1000 1000]
/ItalicAngle 0 /Ascent 800 /Descent -200 /CapHeight 700 /StemV 80 >> >>"""
_MAP = """/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /Any def
/CMapType 2 def 1 begincodespacerange <0000> <FFFF> endcodespacerange
{ranges}
endcmap end end"""
_LOCK = "<< /Filter /Standard /V 1 /R 2 /O <{zeros}> /U <{zeros}> /P -4 >>"


def korean_pdf(pages: Sequence[Sequence[str]], *, title: str = "", locked: bool = False) -> bytes:
    """Write the lines of each page, each letter under its own number."""
    places = [6 + 2 * at for at in range(len(pages))]
    kids = " ".join(f"{place} 0 R" for place in places)
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        _FONT,
        _LETTERS,
        _stream(_MAP.format(ranges=_ranges({char for page in pages for char in "".join(page)}))),
    ]
    for place, lines in zip(places, pages, strict=True):
        drawn = "".join(
            f"BT /F1 10 Tf 40 {780 - 14 * at} Td <{line.encode('utf-16-be').hex()}> Tj ET\n"
            for at, line in enumerate(lines)
        )
        objects += [
            (
                "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 2000 842] "
                f"/Resources << /Font << /F1 3 0 R >> >> /Contents {place + 1} 0 R >>"
            ),
            _stream(drawn),
        ]
    objects.append(f"<< /Title <feff{title.encode('utf-16-be').hex()}> >>")
    more = f"/Info {len(objects)} 0 R"
    if locked:
        objects.append(_LOCK.format(zeros="00" * 32))
        more += f" /Encrypt {len(objects)} 0 R /ID [<00> <00>]"
    return _file(objects, more)


def _ranges(chars: set[str]) -> str:
    """Map each number to its letter, at most a hundred at a time as the format asks."""
    codes = sorted(char.encode("utf-16-be").hex() for char in chars)
    blocks = [codes[at : at + 100] for at in range(0, len(codes), 100)]
    return "\n".join(
        f"{len(block)} beginbfchar "
        + " ".join(f"<{code}> <{code}>" for code in block)
        + " endbfchar"
        for block in blocks
    )


def _stream(inside: str) -> str:
    return f"<< /Length {len(inside)} >>\nstream\n{inside}\nendstream"


def _file(objects: Sequence[str], more: str) -> bytes:
    written, offsets = b"%PDF-1.5\n", []
    for number, inside in enumerate(objects, 1):
        offsets.append(len(written))
        written += f"{number} 0 obj\n{inside}\nendobj\n".encode()
    places = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    tail = (
        f"xref\n0 {size}\n0000000000 65535 f \n{places}"
        f"trailer\n<< /Size {size} /Root 1 0 R {more} >>"
        f"\nstartxref\n{len(written)}\n%%EOF\n"
    )
    return written + tail.encode()
