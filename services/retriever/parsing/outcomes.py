"""What parsing a file gives: its text, or the reason why not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """Why a file was refused; listed in docs/errors.md."""

    EMPTY = "file_empty"
    ENCRYPTED = "file_encrypted"
    UNREADABLE = "file_unreadable"
    UNSUPPORTED = "file_type_unsupported"
    TOO_LARGE = "file_too_large"
    TIMEOUT = "file_timeout"
    NAME_INVALID = "file_name_invalid"
    NAME_REPEATED = "file_name_repeated"


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

    code: Code
    message: str


class RefusedError(Exception):
    """Raised while a file is read; ends up as `Refused`."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.refusal = Refused(code, message)
