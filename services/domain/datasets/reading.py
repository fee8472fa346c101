"""Reading a training file: every line that cannot be used is a finding, none ends the reading."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from pydantic import ValidationError

from services.contracts.datasets import Finding, Message, TrainingRow
from services.contracts.wire import said_of
from services.domain.datasets.examples import INSTRUCTING, Example
from services.domain.datasets.findings import Kind

BROKEN = Kind("row_not_json", "error", "Write one JSON object a line, in UTF-8.")
SHAPE = Kind(
    "row_shape",
    "error",
    'Write {"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": '
    '"…"}]}.',
)
ROLES = Kind(
    "row_roles",
    "error",
    "Begin with at most one system message, then a user message, and answer every question once.",
)
NO_ANSWER = Kind(
    "row_without_answer", "error", "End each row with an assistant message whose weight is not 0."
)
TRAILING = Kind(
    "row_ends_unanswered", "warning", "Remove what follows the last answer; it is never trained."
)

UNREADABLE = frozenset(kind.code for kind in (BROKEN, SHAPE, ROLES, NO_ANSWER))
"""What no one can accept: these rows would be lost."""

TOLD = 3
"""How many different faults of a kind a finding tells."""


@dataclass(slots=True)
class Reading:
    """What a file holds."""

    examples: list[Example] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def read_examples(lines: Iterable[bytes]) -> Reading:
    """Read the lines of a training file; empty ones are skipped."""
    reading, refused = Reading(), defaultdict[Kind, _Refused](_Refused)
    for number, line in enumerate(lines, start=1):
        text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if not text.strip():
            continue
        try:
            example = _example(number, text)
        except _RefusedError as refusal:
            refused[refusal.kind].add(number, str(refusal))
            continue
        if example.turns[-1].role != "assistant":
            refused[TRAILING].add(number, "the row goes on after its last answer")
        reading.examples.append(example)
    reading.findings = [kind.found(lines.told, lines.rows) for kind, lines in refused.items()]
    return reading


@dataclass(slots=True)
class _Refused:
    """The lines that have faults of one kind."""

    rows: list[int] = field(default_factory=list)
    first: dict[str, int] = field(default_factory=dict)
    """The first different faults, each with the first line that has it."""
    others: bool = False
    """Whether there are more different faults than those."""

    def add(self, number: int, said: str) -> None:
        self.rows.append(number)
        if said not in self.first and len(self.first) == TOLD:
            self.others = True
        else:
            self.first.setdefault(said, number)

    @property
    def told(self) -> str:
        if len(self.first) == 1:
            return next(iter(self.first))
        faults = [f"line {line}, {said}" for said, line in self.first.items()]
        return "; ".join([*faults, "and others"] if self.others else faults)


class _RefusedError(Exception):
    def __init__(self, kind: Kind, said: str) -> None:
        super().__init__(said)
        self.kind = kind


def _example(number: int, line: bytes) -> Example:
    try:
        written = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise _RefusedError(BROKEN, f"byte {error.start + 1} of the line is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise _RefusedError(BROKEN, f"column {error.colno}: {error.msg}") from error
    except ValueError as error:
        raise _RefusedError(BROKEN, "a number has too many digits") from error
    except RecursionError as error:
        raise _RefusedError(BROKEN, "the line is nested too deeply") from error
    try:
        row = TrainingRow.model_validate(written)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        said = said_of(first)
        raise _RefusedError(SHAPE, f"{place}: {said}" if place else said) from error
    if complaint := _disorder(row.turns):
        raise _RefusedError(ROLES, complaint)
    example = Example(number, row.turns)
    if not example.answers:
        raise _RefusedError(NO_ANSWER, "no answer of the row would be trained")
    return example


def _disorder(turns: list[Message]) -> str | None:
    """Say what is wrong with the order of a conversation."""
    roles = [turn.role for turn in turns]
    talk = [role for place, role in enumerate(roles) if place or role not in INSTRUCTING]
    if any(role in INSTRUCTING for role in talk):
        return "a system message stands after the first message"
    if not talk or talk[0] != "user":
        return "the conversation does not begin with a user message"
    for before, role in pairwise(talk):
        if before == role:
            return f"two {role} messages follow one another"
    return None
