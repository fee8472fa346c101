"""An Office file as what it is: a zip archive of XML parts that point at each other."""

from __future__ import annotations

import io
import posixpath
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO
from urllib.parse import unquote
from xml.etree import ElementTree as ET

from services.retriever.parsing.outcomes import FileCode, RefusedError

_RELATIONS = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"
_TITLE = "{http://purl.org/dc/elements/1.1/}title"
_FORMATS = b"http://schemas.openxmlformats.org/"
_STRICT = (
    (b"http://purl.oclc.org/ooxml/officeDocument/", _FORMATS + b"officeDocument/2006/"),
    (b"http://purl.oclc.org/ooxml/wordprocessingml/", _FORMATS + b"wordprocessingml/2006/"),
    (b"http://purl.oclc.org/ooxml/spreadsheetml/", _FORMATS + b"spreadsheetml/2006/"),
    (b"http://purl.oclc.org/ooxml/presentationml/", _FORMATS + b"presentationml/2006/"),
    (b"http://purl.oclc.org/ooxml/drawingml/", _FORMATS + b"drawingml/2006/"),
)
"""The names of a file saved as "Strict Open XML", and those of every other file."""

_DOCTYPES = tuple("<!DOCTYPE".encode(name) for name in ("utf-8", "utf-16-le", "utf-16-be"))
"""No part has one; a hostile part declares entities there that unfold to gigabytes."""

_DAMAGES = (
    *(zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError),
    *(ET.ParseError, ValueError, LookupError),
)
"""What reading a damaged archive or part raises."""


@dataclass(frozen=True, slots=True)
class Relation:
    """One part's pointer to another."""

    id: str
    kind: str
    """The last word of its type: `slide`, `worksheet`, `styles`."""
    part: str


class Package:
    """Reads parts by name; a name that is written in other letters is found too."""

    def __init__(self, content: bytes) -> None:
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(content))
        except (zipfile.BadZipFile, OSError, ValueError) as error:
            raise damaged() from error
        self._names = {_folded(name): name for name in self._archive.namelist()}

    def open(self, part: str) -> IO[bytes] | None:
        """Open a part; None when there is none of that name."""
        name = self._names.get(_folded(part))
        return None if name is None else self._archive.open(name)

    def tree(self, part: str) -> ET.Element | None:
        """Parse a part; None when there is none of that name.

        Raises:
            RefusedError: it is damaged or hostile.
        """
        try:
            opened = self.open(part)
            if opened is None:
                return None
            with opened:
                return ET.fromstring(_harmless(opened.read()))  # noqa: S314 - has no DTD
        except _DAMAGES as error:
            raise damaged() from error

    def elements(self, part: str, *tags: str) -> Iterator[ET.Element]:
        """Parse a part element by element, so that a long one is never held whole.

        Raises:
            RefusedError: it is damaged or hostile.
        """
        try:
            opened = self.open(part)
            if opened is None:
                return
            with opened:
                content = io.BytesIO(_harmless(opened.read()))
            for _, element in ET.iterparse(content):  # noqa: S314 - has no DTD
                if element.tag in tags:
                    yield element
                    element.clear()
        except _DAMAGES as error:
            raise damaged() from error

    def main_part(self) -> ET.Element:
        """Parse the part that the package is about.

        Raises:
            RefusedError: there is none.
        """
        tree = self.tree(self.main_name())
        if tree is None:
            raise damaged()
        return tree

    def main_name(self) -> str:
        """Name the part that the package is about."""
        found = [relation.part for relation in self.relations("", "officeDocument")]
        return found[0] if found else ""

    def relations(self, part: str, kind: str = "") -> list[Relation]:
        """List what a part points at inside the package, of one kind or of every kind."""
        folder, name = posixpath.split(part)
        tree = self.tree(posixpath.join(folder, "_rels", f"{name}.rels"))
        found = [] if tree is None else [*_relations(tree, folder)]
        return [relation for relation in found if kind in ("", relation.kind)]

    def title(self) -> str:
        """Read what the file's properties call it."""
        for relation in self.relations("", "core-properties"):
            tree = self.tree(relation.part)
            found = None if tree is None else tree.findtext(_TITLE)
            if found:
                return found
        return ""


def damaged() -> RefusedError:
    """Say that a file cannot be read as what it is."""
    return RefusedError(
        FileCode.UNREADABLE, "The file is damaged or cut off; save it again and send that."
    )


def _relations(tree: ET.Element, folder: str) -> Iterator[Relation]:
    for found in tree.iter(_RELATIONS):
        if found.get("TargetMode") == "External":
            continue
        target = unquote(found.get("Target", ""))
        part = target.lstrip("/") if target.startswith("/") else posixpath.join(folder, target)
        kind = found.get("Type", "").rpartition("/")[2]
        yield Relation(found.get("Id", ""), kind, posixpath.normpath(part))


def _harmless(xml: bytes) -> bytes:
    if any(doctype in xml for doctype in _DOCTYPES):
        raise damaged()
    if b"http://purl.oclc.org/ooxml/" in xml:
        for strict, usual in _STRICT:
            xml = xml.replace(strict, usual)
    return xml


def _folded(name: str) -> str:
    return name.replace("\\", "/").lstrip("/").casefold()
