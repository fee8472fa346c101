"""What parsing a file gives: its text, or the reason why not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

READER = 2
"""Goes up when files are read otherwise, so that a sync or an upload reads them anew."""


class FileCode(StrEnum):
    """Why a file was refused; listed in docs/errors.md."""

    EMPTY = "file_empty"
    "It holds no text."
    NO_TEXT_LAYER = "file_no_text_layer"
    "Its pages are pictures of text; they need OCR first."
    ENCRYPTED = "file_encrypted"
    "It is locked with a password."
    UNREADABLE = "file_unreadable"
    "It is damaged, cut off, or not what its name says."
    UNSUPPORTED = "file_type_unsupported"
    "It is of a kind that is not read."
    TOO_LARGE = "file_too_large"
    "It, or what it unpacks to, is larger than allowed."
    TIMEOUT = "file_timeout"
    "Reading it took longer than allowed."
    TOO_COMPLEX = "file_too_complex"
    "It has too many cells, is nested too deeply, or reading it takes more memory than allowed."
    CRASHED = "file_crashed_reader"
    "The process that read it ended in the middle of it."
    NAME_INVALID = "file_name_invalid"
    "Its name cannot be a document's id."
    NAME_REPEATED = "file_name_repeated"
    "Another file of the same upload has its name."
    GONE = "file_gone"
    "Its bytes were not kept that long; send it again."
    NEVER_SENT = "file_never_sent"
    "A sync named it and its bytes did not come in time."


@dataclass(frozen=True, slots=True)
class Parsed:
    """A file's text."""

    text: str
    title: str
    pages: tuple[tuple[int, int], ...] = ()
    """Page number and the character of `text` where it starts."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that gives no text."""

    code: FileCode
    message: str


class RefusedError(Exception):
    """Raised while a file is read; ends up as `Refused`."""

    def __init__(self, code: FileCode, message: str) -> None:
        super().__init__(message)
        self.refusal = Refused(code, message)
