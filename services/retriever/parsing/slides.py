"""The text of slides straight from their XML, for decks that the parser gives up on."""

from __future__ import annotations

import io
import re
import zipfile
from html import unescape

from services.retriever.parsing.outcomes import FileCode, RefusedError

_SLIDE = re.compile(r"^ppt/slides/slide(\d+)\.xml$")
_PARAGRAPH = re.compile(r"<a:p\b[^>]*>(.*?)</a:p>", re.DOTALL)
_RUN = re.compile(r"<a:t\b[^>]*>([^<]*)</a:t>")


def slides_text(content: bytes) -> str:
    """Join the paragraphs of every slide, in the slides' order.

    Raises:
        RefusedError: the archive cannot be read.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            numbered = [
                (match, match.group(1)) for match in map(_SLIDE.match, archive.namelist()) if match
            ]
            ordered = sorted((int(number), match.string) for match, number in numbered)
            slides = [archive.read(name).decode("utf-8", "replace") for _, name in ordered]
    except (zipfile.BadZipFile, zipfile.LargeZipFile, OSError, ValueError, EOFError) as error:
        raise RefusedError(
            FileCode.UNREADABLE, "The file is damaged or cut off; save it again and send that."
        ) from error
    return "\n\n".join(_slide_text(slide) for slide in slides)


def _slide_text(xml: str) -> str:
    paragraphs = ("".join(_RUN.findall(inside)) for inside in _PARAGRAPH.findall(xml))
    return "\n".join(unescape(paragraph) for paragraph in paragraphs if paragraph.strip())
