"""The file of answers on its way: a line for each, so that a run that was cut off goes on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from services.cli.failures import CommandError
from services.cli.journal import append, whole_lines
from services.contracts.evaluations import AnswerResult, Arm
from services.contracts.wire import Wire


class Heading(Wire):
    """The first line: what the answers are to."""

    dataset_hash: str
    baseline: str
    candidate: str | None
    repeats: int


class Line(Wire):
    """Every further line."""

    arm: Arm
    answer: AnswerResult


@dataclass(frozen=True, slots=True)
class ResultsFile:
    """Answers in a file of JSON lines."""

    path: Path
    heading: Heading

    def settled(self) -> list[Line]:
        """Read the answers so far that need not be asked again: those that did not fail."""
        return [line for line in self.read() if line.answer.error is None]

    def read(self) -> list[Line]:
        """Read the answers so far, oldest first.

        Raises:
            CommandError: the file holds the answers of another evaluation.
        """
        lines = whole_lines(self.path)
        if not lines:
            return []
        try:
            heading = Heading.model_validate_json(lines[0])
            found = [Line.model_validate_json(line) for line in lines[1:]]
        except ValidationError as error:
            raise CommandError(f"{self.path} holds no answers; choose another --out.") from error
        if heading != self.heading:
            raise CommandError(
                f"{self.path} holds the answers of another evaluation ({heading.baseline}, cases "
                f"{heading.dataset_hash}); choose another --out, or begin anew with --fresh."
            )
        return found

    def open(self) -> IO[str]:
        """Open the file for more answers."""
        file = self.path.open("a", encoding="utf-8")
        if file.tell() == 0:
            append(file, self.heading.model_dump(mode="json"))
        return file


def add(file: IO[str], arm: Arm, answer: AnswerResult) -> None:
    """Write one answer; it is on the disk when this returns."""
    append(file, Line(arm=arm, answer=answer).model_dump(mode="json"))
