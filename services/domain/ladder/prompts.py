"""What a rung is told: the assistant's own profile, and what the rung adds to it or leaves out.

An adapter is served with the assistant's system text and nothing else, as it is trained. A prompt
rung gets what makes it as good as a prompt can be: the labels by name where answers are labels, and
a form that the base understands. A base that was never taught to chat goes on with a text, so it
gets its examples as text of that kind, in the form of its plain template, and ends at a line break
where answers are labels; one that was taught gets them as turns of a conversation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.contracts.assistants import ExampleTurn, Profile
from services.contracts.evaluation_cases import EvaluationCase, JsonSchema
from services.domain.evaluation.texts import normalised
from services.domain.ladder.rungs import Rung

ANSWER_FIELD = "answer"
"""Where an answer stands that a schema of ours holds to the labels."""

REASONING_TOKENS = 96
"""What reasoning in steps may take beside the answer, unless one says otherwise."""

SCHEMA_TOKENS = 32
"""What the braces and names of a schema may take beside the answer."""

PLAIN_TEMPLATES = frozenset({"c1e4934ac3e0"})
"""Hashes of chat templates for a base that goes on with a text; a conversation is plain text."""

_ANSWER = "Answer:"
"""What the plain template writes before an answer."""


@dataclass(frozen=True, slots=True)
class Task:
    """What all rungs have in common."""

    profile: Profile
    """The assistant's own."""
    labels: Sequence[str] = ()
    """What every answer is one of, guards aside; empty where answers are free."""
    reasoning_tokens: int = REASONING_TOKENS
    """What reasoning in steps may take beside the answer."""
    brief: bool = False
    """Whether no case, guards included, needs more than a label."""
    schema: Mapping[str, Any] | None = None
    """What the answers are to look like, where the profile or the cases say so."""
    plain: bool = False
    """Whether the base goes on with a text and was never taught to follow instructions."""

    def schema_on(self, target: str | None) -> dict[str, Any] | None:
        """The schema that holds answers: the given one, or one of the labels.

        A label alone leaves a small base no room to write white space without end; hosted models
        take objects only.
        """
        if self.schema is not None:
            return dict(self.schema)
        if not self.labels:
            return None
        label = {"type": "string", "enum": list(self.labels)}
        if target is None:
            return label
        return {
            "type": "object",
            "properties": {ANSWER_FIELD: label},
            "required": [ANSWER_FIELD],
            "additionalProperties": False,
        }

    @property
    def is_wrapped(self) -> bool:
        """Whether a structured answer is a label as JSON, which is judged without its frame."""
        return self.schema is None and bool(self.labels)

    @property
    def answer_tokens(self) -> int:
        """How long an answer may be; a label needs three tokens a character at the very most."""
        most = self.profile.sampling.max_tokens
        if not self.brief:
            return most
        return min(most, 3 * max(map(len, self.labels)) + 4)


def schema_of(profile: Profile, cases: Sequence[EvaluationCase]) -> dict[str, Any] | None:
    """Find the schema that answers are to meet: the profile's, or the one of every case."""
    if profile.output_schema is not None:
        return profile.output_schema
    found: list[dict[str, Any]] = []
    for case in cases:
        given = [one.json_schema for one in case.checks if isinstance(one, JsonSchema)]
        if not given and not case.guards:
            return None
        found += [one for one in given if one not in found]
    return found[0] if len(found) == 1 else None


def profile_of(rung: Rung, task: Task, examples: Sequence[ExampleTurn]) -> Profile:
    """Write the profile of a rung.

    Args:
        examples: those that it shows.
    """
    plain = task.plain and rung.target is None
    system = task.profile.system if rung.rows is not None else _instructed(task)
    shown = list(examples[: rung.examples])
    if plain and shown:
        system, shown = _as_text(system, shown), []
    return task.profile.model_copy(
        update={
            "system": system,
            "few_shot": shown,
            "reasoning": "cot" if rung.steps else "direct",
            "output_schema": task.schema_on(rung.target) if rung.schema else None,
            "sampling": task.profile.sampling.model_copy(
                update={"max_tokens": _budget(rung, task), "stop": _stops(rung, task, plain=plain)}
            ),
        }
    )


def left_out(rung: Rung, task: Task, *, retrieves: bool, rows: int, fewest: int) -> str | None:
    """Say why a rung cannot be measured; None when it can.

    Args:
        retrieves: whether the assistant has documents.
        rows: training rows that there are.
        fewest: rows that a training takes at least.
    """
    if rung.retrieval and not retrieves:
        return "the assistant retrieves nothing; bind it to a collection to measure this rung"
    if rung.schema and task.schema_on(rung.target) is None:
        return (
            "there is no schema: give the assistant's profile an output_schema, or each case a "
            "`label` or a `json_schema` check"
        )
    if rung.examples and not rows:
        return "examples are picked from training rows; give some with --train"
    if rung.rows is None:
        return None
    if not rows:
        return "an adapter learns from training rows; give some with --train"
    if rung.rows < fewest:
        return f"{rung.rows} rows are too few to train on; the least is {fewest}"
    if rung.rows > rows:
        return f"the training file has {rows} rows; add rows, or name lora-{rows}"
    return None


def _instructed(task: Task) -> str:
    """Name the labels where the assistant's own text does not."""
    system = task.profile.system
    told = normalised(system)
    if all(normalised(name) in told for name in task.labels):
        return system
    named = f"Answer with one of these and nothing else: {', '.join(task.labels)}"
    return f"{system}\n\n{named}" if system else named


def _as_text(system: str, examples: Sequence[ExampleTurn]) -> str:
    """Write examples as the plain template writes turns, but for the token that ends a turn."""
    shown = [f"{one.user}\n\n{_ANSWER}\n{one.assistant}" for one in examples]
    return "\n\n".join([*([system] if system else []), *shown])


def _budget(rung: Rung, task: Task) -> int:
    extra = task.reasoning_tokens if rung.steps else SCHEMA_TOKENS if rung.schema else 0
    if rung.schema and not task.is_wrapped:
        return task.profile.sampling.max_tokens
    return task.answer_tokens + extra


def _stops(rung: Rung, task: Task, *, plain: bool) -> list[str]:
    """Keep the assistant's stop strings, but those that would cut steps or a schema short."""
    own = list(task.profile.sampling.stop)
    if rung.schema:
        return []
    if rung.steps:
        return [text for text in own if text.strip()]
    if plain and rung.rows is None:
        own.append("\n" if task.brief else "\n\n")
    return list(dict.fromkeys(own))
