"""Training rows as they lie in a file: checked by the gate, then a prompt and its answer each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.contracts.datasets import Message
from services.domain.datasets.examples import Example, sequences
from services.domain.datasets.reading import read_examples


class RowError(ValueError):
    """A training file that cannot be used, with the line at fault and the mend."""

    def __init__(self, code: str, message: str, line: int | None = None) -> None:
        super().__init__(message if line is None else f"Line {line}: {message}")
        self.code = code
        self.line = line


@dataclass(frozen=True, slots=True)
class Row:
    """A prompt as the engine would see it and the answer that it should give."""

    line: int
    """Its line in the file; a conversation of several answers is several rows of one line."""
    prompt: Sequence[Message]
    answer: str


def rows_of(examples: Iterable[Example]) -> list[Row]:
    """Split conversations into what is trained."""
    return [row for example in examples for row in _rows_of(example)]


def read_file(path: Path) -> list[Example]:
    """Read the conversations of a whole training file.

    Raises:
        RowError: the code of the first finding of the gate that keeps a line from being read, or
            `file_empty`.
    """
    with path.open("rb") as lines:
        reading = read_examples(lines)
    for finding in reading.findings:
        if finding.severity == "error":
            raise RowError(finding.code, f"{finding.message}. {finding.mend}", finding.rows[0])
    if not reading.examples:
        raise RowError("file_empty", f"{path.name} holds no rows; write one JSON object a line.")
    return reading.examples


def dataset_hash(path: Path) -> str:
    """Name a training file by its bytes: 12 hex of sha256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def _rows_of(example: Example) -> Iterator[Row]:
    for prompt, answer in sequences(example):
        yield Row(example.line, prompt, answer)
