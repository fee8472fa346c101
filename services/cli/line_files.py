"""Files of JSON lines that commands are given: their text, and the cases of an evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.cli.failures import CommandError
from services.contracts.evaluation_cases import EvaluationCase
from services.domain.evaluation.cases import CasesError, read_cases

MOST_CASES = 100_000
"""Cases of one file."""


def text_of(file: Path) -> str:
    """Read a file of JSON lines as text.

    Raises:
        CommandError: it cannot be read, or is no UTF-8.
    """
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise CommandError(
            f"{file} is no text in UTF-8; save it as JSON lines in UTF-8."
        ) from error


@contextmanager
def naming(file: Path) -> Iterator[None]:
    """Name the file of which a line is refused."""
    try:
        yield
    except CasesError as error:
        raise CommandError(f"{file}, {error}.") from error


def cases_of(file: Path, *, most: int = MOST_CASES) -> list[EvaluationCase]:
    """Read the cases of an evaluation.

    Raises:
        CommandError: the file cannot be read, a line is no case, or there are more than `most`.
    """
    with naming(file):
        return read_cases(text_of(file), most=most)
