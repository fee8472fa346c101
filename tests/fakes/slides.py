"""Decks of any content, written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from tests.fakes.office import archive

_P = "http://schemas.openxmlformats.org/presentationml/2006/main"
_A = "http://schemas.openxmlformats.org/drawingml/2006/main"
_KIND = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_SPACE = f'xmlns:p="{_P}" xmlns:a="{_A}" xmlns:r="{_KIND}"'
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"


def shape(text: str, fills: str = "") -> str:
    """Write a shape of one paragraph; `fills` names the placeholder that it fills."""
    place = f'<p:ph type="{fills}"/>' if fills else ""
    inside = f"<a:p><a:r><a:t>{escape(text)}</a:t></a:r></a:p>"
    return (
        f"<p:sp><p:nvSpPr><p:nvPr>{place}</p:nvPr></p:nvSpPr><p:txBody>{inside}</p:txBody></p:sp>"
    )


def slide(*shapes: str, hidden: bool = False) -> str:
    """Write a slide."""
    show = ' show="0"' if hidden else ""
    return f"<p:sld {_SPACE}{show}><p:cSld><p:spTree>{''.join(shapes)}</p:spTree></p:cSld></p:sld>"


def deck(
    slides: Sequence[str], *, order: Sequence[int] = (), notes: Mapping[int, str] | None = None
) -> bytes:
    """Write a deck; `order` are the slides' numbers as they are shown."""
    numbers = range(1, len(slides) + 1)
    shown = "".join(f'<p:sldId r:id="s{n}"/>' for n in order or numbers)
    parts = {
        "_rels/.rels": _related([("r1", "officeDocument", "ppt/presentation.xml")]),
        "ppt/_rels/presentation.xml.rels": _related(
            [(f"s{n}", "slide", f"slides/slide{n}.xml") for n in numbers]
        ),
        "ppt/presentation.xml": f"<p:presentation {_SPACE}><p:sldIdLst>{shown}</p:sldIdLst>"
        "</p:presentation>",
    }
    for number, inside in zip(numbers, slides, strict=True):
        parts[f"ppt/slides/slide{number}.xml"] = inside
    for number, inside in (notes or {}).items():
        parts[f"ppt/notesSlides/notes{number}.xml"] = inside
        parts[f"ppt/slides/_rels/slide{number}.xml.rels"] = _related(
            [("n", "notesSlide", f"../notesSlides/notes{number}.xml")]
        )
    return archive(parts)


def _related(targets: Sequence[tuple[str, str, str]]) -> str:
    inside = "".join(
        f'<Relationship Id="{id_}" Type="{_KIND}/{kind}" Target="{target}"/>'
        for id_, kind, target in targets
    )
    return f'<Relationships xmlns="{_RELATIONS}">{inside}</Relationships>'
