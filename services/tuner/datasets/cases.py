"""Training rows as cases of an evaluation: the same question, and a check against the row's answer.

What checks an answer follows from all answers of the file. A few short ones that recur are labels.
JSON objects must have the same fields of the same kinds, and the row's own value in fields that
take few values. Other short answers must be equal but for case, space and punctuation. A long one
must share half of its words with the row's (ROUGE-L, F 0.5).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from services.contracts.datasets import Message
from services.contracts.evaluation_cases import (
    Check,
    EvaluationCase,
    JsonSchema,
    Label,
    Normalised,
    RougeL,
    Turn,
)
from services.domain.datasets.examples import INSTRUCTING, Example, plain

MOST_LABELS = 20
"""More different answers than this are no labels."""

SHORT_CHARACTERS = 40
"""A longer answer is compared by its words."""

RECURS = 5
"""How often a label stands in a file, on average, at least."""

MOST_CHARACTERS, MOST_TURNS = 8192, 64
"""A row with a longer text, or more turns, makes no case."""

HELD_OUT = "held-out"
"""The tag of cases that were rows of a training file."""

_JSON_TYPES = {bool: "boolean", int: "number", float: "number", str: "string", list: "array"}

Judging = Callable[[str], Check]
"""Makes the check of a case from the row's answer."""


def cases_of(
    examples: Sequence[Example], judging: Judging, *, instructed: bool, asked_after: str | None
) -> Iterator[EvaluationCase]:
    """Make the cases of rows; a row that cannot be asked makes none.

    Args:
        instructed: whether what is evaluated brings its own system text.
        asked_after: the label that its questions stand behind, where it retrieves by itself; then
            a row's passages are left out.
    """
    for example in examples:
        before = list(_before(example, instructed))
        if not _can_be_asked(before) or not 0 < len(example.answer.strip()) <= MOST_CHARACTERS:
            continue
        turns = [_turn(turn.role, turn.content) for turn in before]
        if asked_after is not None:
            turns[-1] = _turn("user", turns[-1].content.rpartition(f"{asked_after} ")[2])
        yield EvaluationCase(
            id=f"line-{example.line}",
            messages=turns,
            expected=example.answer,
            checks=[judging(example.answer)],
            tags=[HELD_OUT],
        )


def judging_by(answers: Sequence[str]) -> Judging:
    """Choose how answers are judged, from all answers of the file."""
    spelled = {plain(answer): answer.strip() for answer in answers}
    short = all(len(answer) <= SHORT_CHARACTERS for answer in spelled.values())
    if short and 2 <= len(spelled) <= MOST_LABELS and len(answers) >= RECURS * len(spelled):
        labels = sorted(spelled.values())
        return lambda answer: Label(kind="label", labels=labels, expected=spelled[plain(answer)])
    objects = [_object(answer) for answer in answers]
    if objects and all(one is not None for one in objects):
        return _by_fields([one for one in objects if one is not None])
    return _by_text


def _by_text(answer: str) -> Check:
    if len(answer.strip()) <= SHORT_CHARACTERS:
        return Normalised(kind="normalised", any_of=[answer])
    return RougeL(kind="rouge_l")


def _by_fields(objects: Sequence[dict[str, Any]]) -> Judging:
    shared = sorted(set.intersection(*(set(one) for one in objects)))
    values = {name: {json.dumps(one[name]) for one in objects} for name in shared}
    few = {name for name in shared if RECURS * len(values[name]) <= len(objects)}

    def judged(answer: str) -> Check:
        given = _object(answer) or {}
        fields = {
            name: {"const": given[name]} if name in few else _typed(given[name])
            for name in shared
            if name in given
        }
        schema = {"type": "object", "required": shared, "properties": fields}
        return JsonSchema(kind="json_schema", json_schema=schema)

    return judged


def _typed(value: Any) -> dict[str, str]:
    name = _JSON_TYPES.get(type(value))
    return {} if name is None else {"type": name}


def _object(answer: str) -> dict[str, Any] | None:
    try:
        read = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    return read if isinstance(read, dict) else None


def _can_be_asked(turns: Sequence[Message]) -> bool:
    if not turns or len(turns) > MOST_TURNS or turns[-1].role != "user":
        return False
    return all(0 < len(turn.content) <= MOST_CHARACTERS for turn in turns)


def _before(example: Example, instructed: bool) -> Iterator[Message]:
    """Read the turns before the last trained answer."""
    for turn in example.turns[: example.answers[-1][0] if example.answers else 0]:
        if not (instructed and turn.role in INSTRUCTING):
            yield turn


def _turn(role: str, content: str) -> Turn:
    known = {"developer": "system"}.get(role, role)
    return Turn.model_validate({"role": known, "content": content})
