"""Training rows as they lie in a file: one JSON object a line, a prompt and its completion."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class RowError(ValueError):
    """A training file that cannot be used, with the line at fault and the mend."""

    def __init__(self, code: str, message: str, line: int | None = None) -> None:
        super().__init__(message if line is None else f"Line {line}: {message}")
        self.code = code
        self.line = line


class Turn(BaseModel):
    """One turn of a prompt or a completion."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Literal["system", "user", "assistant"]
    content: Annotated[str, Field(min_length=1)]


class Row(BaseModel):
    """A prompt as the engine would see it and the answer that it should give."""

    model_config = ConfigDict(frozen=True, extra="allow")

    prompt: Annotated[list[Turn], Field(min_length=1)]
    completion: Annotated[list[Turn], Field(min_length=1, max_length=1)]

    @property
    def answer(self) -> str:
        """The text that is trained."""
        return self.completion[0].content


def read_rows(path: Path) -> list[Row]:
    """Read a whole training file.

    Raises:
        RowError: `row_malformed`, `row_roles` or `rows_empty`, naming the line.
    """
    with path.open("rb") as lines:
        rows = list(_parse(lines))
    if not rows:
        raise RowError("rows_empty", f"{path.name} holds no rows; write one JSON object a line.")
    return rows


def dataset_hash(path: Path) -> str:
    """Name a training file by its bytes: 12 hex of sha256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def _parse(lines: Iterable[bytes]) -> Iterator[Row]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = Row.model_validate_json(line)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(part) for part in first["loc"]) or "the line"
            raise RowError(
                "row_malformed",
                f"{place}: {first['msg']}; a row has a `prompt` and a `completion`, both lists "
                "of messages.",
                number,
            ) from error
        if row.completion[0].role != "assistant" or row.prompt[-1].role != "user":
            raise RowError(
                "row_roles",
                "the prompt must end with a user turn and the completion must be an assistant "
                "turn; swap or add the missing turn.",
                number,
            )
        yield row
