"""A file that grows line by line while work goes on, so that work that was cut off goes on.

A line counts once it ends with a newline; what a killed process left of its last line is cut off
before anything is added.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from services.cli.failures import CommandError


def whole_lines(path: Path) -> list[str]:
    """Read the lines that count, and cut off what follows them; none where there is no file."""
    if not path.exists():
        return []
    content = path.read_bytes()
    kept = content[: content.rfind(b"\n") + 1]
    if kept != content:
        with path.open("r+b") as file:
            file.truncate(len(kept))
    return kept.decode().split("\n")[:-1]


def append(file: IO[str], line: object) -> None:
    """Write one line; it is on the disk when this returns."""
    file.write(json.dumps(line, ensure_ascii=False) + "\n")
    file.flush()
    os.fsync(file.fileno())


HeadingT = TypeVar("HeadingT", bound=BaseModel)
LineT = TypeVar("LineT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Journal(Generic[HeadingT, LineT]):
    """JSON lines: a heading that says what they belong to, then one line for each thing done."""

    path: Path
    heading: HeadingT
    shape: type[LineT]

    def read(self) -> tuple[HeadingT | None, list[LineT]]:
        """Read the heading and the lines so far, oldest first; no heading where nothing was done.

        Raises:
            CommandError: the file is no such journal.
        """
        lines = _complete(self.path)
        if not lines:
            return None, []
        try:
            heading = type(self.heading).model_validate_json(lines[0])
            return heading, [self.shape.model_validate_json(line) for line in lines[1:]]
        except ValidationError as error:
            raise CommandError(f"{self.path} holds no answers; choose another --out.") from error

    @contextlib.contextmanager
    def open(self) -> Iterator[IO[str]]:
        """Open the file for more lines, for this process alone.

        Raises:
            CommandError: another process writes to it.
        """
        with self.path.open("a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise CommandError(
                    f"{self.path} is being written by another command; wait for it, or choose "
                    "another --out."
                ) from error
            if not whole_lines(self.path):
                append(file, self.heading.model_dump(mode="json"))
            yield file

    def add(self, file: IO[str], line: LineT) -> None:
        """Write one line; it is on the disk when this returns."""
        append(file, line.model_dump(mode="json"))


def _complete(path: Path) -> list[bytes]:
    """Read the lines that count and leave the file alone: another process may be writing."""
    content = path.read_bytes() if path.exists() else b""
    return content[: content.rfind(b"\n") + 1].split(b"\n")[:-1]
