"""What a ladder has come to, line by line in a file, so that a run that was cut off goes on."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from services.cli.failures import CommandError
from services.cli.journal import append, opened, whole_lines
from services.contracts.evaluations import AnswerResult
from services.contracts.ladder import RungTraining
from services.contracts.wire import Wire


class Heading(Wire):
    """The first line: what the answers are to."""

    run: str
    """Names what the run puts up at the gateway."""
    inputs: dict[str, str]
    """Everything that an answer depends on, by what it is called in a sentence."""


class Line(Wire):
    """Every further line: an answer, a training that was begun, or one that is over."""

    rung: str
    answer: AnswerResult | None = None
    job: str | None = None
    trained: RungTraining | None = None


@dataclass(slots=True)
class Record:
    """The file, open for more lines."""

    file: IO[str]
    heading: Heading
    lines: list[Line] = field(default_factory=list)

    def add(self, line: Line) -> None:
        """Write a line; it is on the disk when this returns."""
        append(self.file, line.model_dump(mode="json", exclude_none=True))
        self.lines.append(line)

    def answers(self, rung: str) -> Mapping[tuple[str, int], AnswerResult]:
        """Read the latest answer to each case and repeat of a rung."""
        return {
            (line.answer.case, line.answer.repeat): line.answer
            for line in self.lines
            if line.rung == rung and line.answer is not None
        }

    def jobs(self, rung: str) -> list[str]:
        """List the trainings that a rung has begun, oldest first."""
        return [line.job for line in self.lines if line.rung == rung and line.job is not None]

    def trained(self, rung: str) -> RungTraining | None:
        """Read what a rung's training came to, where it is over."""
        found = [line.trained for line in self.lines if line.rung == rung and line.trained]
        return found[-1] if found else None


@contextmanager
def recorded(path: Path, inputs: Mapping[str, str], *, fresh: bool) -> Iterator[Record]:
    """Open the file of a run for one process at a time.

    Args:
        fresh: begin anew, whatever it holds.

    Raises:
        CommandError: it is another process's, or holds the answers of a run with other inputs.
    """
    with opened(path) as file:
        if fresh:
            file.truncate(0)
        lines = whole_lines(path)
        if not lines:
            heading = Heading(run=secrets.token_hex(4), inputs=dict(inputs))
            append(file, heading.model_dump(mode="json"))
            yield Record(file, heading)
            return
        yield _read(path, file, lines, inputs)


def _read(path: Path, file: IO[str], lines: list[str], inputs: Mapping[str, str]) -> Record:
    try:
        heading = Heading.model_validate_json(lines[0])
        read = [Line.model_validate_json(line) for line in lines[1:]]
    except ValidationError as error:
        raise CommandError(f"{path} holds no ladder; choose another --out.") from error
    if changed := [name for name, value in inputs.items() if heading.inputs.get(name, "") != value]:
        raise CommandError(
            f"{path} holds the answers of another ladder: {', '.join(changed)} changed since; "
            "choose another --out, or begin anew with --fresh."
        )
    return Record(file, heading, read)
