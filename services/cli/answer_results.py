"""The file of answers on its way: a line for each, so that a run that was cut off goes on."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from services.cli.failures import CommandError
from services.cli.journal import Journal
from services.contracts.evaluations import AnswerResult, Arm, Judges
from services.contracts.wire import Wire


class Heading(Wire):
    """The first line: what the answers are to."""

    dataset_hash: str
    baseline: str
    candidate: str | None
    repeats: int
    judges: Judges = Judges()
    """What judged the answers beside the rules."""


class Line(Wire):
    """Every further line."""

    arm: Arm
    answer: AnswerResult


@dataclass(frozen=True, slots=True)
class ResultsFile:
    """The answers of one evaluation."""

    path: Path
    heading: Heading

    @property
    def journal(self) -> Journal[Heading, Line]:
        """The file behind it."""
        return Journal(self.path, self.heading, Line)

    def settled(self) -> list[Line]:
        """Read the answers so far that need not be asked again: those that did not fail."""
        return [line for line in self.read() if line.answer.error is None]

    def read(self) -> list[Line]:
        """Read the answers so far, oldest first.

        Raises:
            CommandError: the file holds the answers of another evaluation.
        """
        heading, lines = self.journal.read()
        if heading is None or heading == self.heading:
            return lines
        if heading.model_copy(update={"judges": self.heading.judges}) == self.heading:
            raise CommandError(
                f"{self.path} was judged by something else; choose another --out, or begin anew "
                "with --fresh."
            )
        raise CommandError(
            f"{self.path} holds the answers of another evaluation ({heading.baseline}, cases "
            f"{heading.dataset_hash}); choose another --out, or begin anew with --fresh."
        )

    def open(self) -> AbstractContextManager[IO[str]]:
        """Open the file for more answers."""
        return self.journal.open()

    def add(self, file: IO[str], arm: Arm, answer: AnswerResult) -> None:
        """Write one answer; it is on the disk when this returns."""
        self.journal.add(file, Line(arm=arm, answer=answer))
