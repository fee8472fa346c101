"""Distillation: prompts for a teacher, its answers, and where a training row is from."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, TypeAdapter

from services.contracts.evaluation_cases import Check, Question
from services.contracts.prompts import PromptPassage
from services.contracts.wire import Wire

CHECKS: TypeAdapter[list[Check]] = TypeAdapter(list[Check])
"""Checks that every answer of a distillation must pass, as a file holds them."""


class DistilPrompt(Question):
    """One line of the prompts: a case of an evaluation of which nothing needs to be known.

    Its id is the line's number when unset.
    """


class Teaching(Wire):
    """What makes two distillations the same: their answers may stand in one file."""

    url: str
    model: str
    parameters: dict[str, Any]
    """Everything of a request but its messages: temperature, length, and what was added."""
    instructions: str = ""
    """What the teacher was told beside the assistant's own system text; no row holds it."""
    assistant: str | None = None
    release: str | None = None
    """`<assistant>/<number>`, whose prompts the rows hold."""
    profile_hash: str | None = None
    """12 hex of the profile's sha256."""


class TeacherAnswer(Wire):
    """One answer of the teacher."""

    sample: int
    """Which of several, from 0."""
    text: str
    refusal: str | None
    finish_reason: str
    model: str
    """As the teacher named itself."""
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    at: float
    """When it came, in seconds since the epoch."""


class AskedPrompt(Wire):
    """A prompt as the student will be served it."""

    messages: list[dict[str, Any]]
    grounded: bool
    """Whether the assistant retrieves."""
    passages: list[PromptPassage] = Field(default_factory=list)
    abstention: str | None = None
    """What the assistant answers without its model; then the teacher is not asked."""


class DistilLine(Wire):
    """One line of the file of answers: the prompt as it was composed, or an answer to it."""

    key: str
    """Names the prompt by its content."""
    prompt: AskedPrompt | None = None
    answer: TeacherAnswer | None = None


class RowOrigin(Wire):
    """Where one row of the training file is from."""

    line: int
    """In the training file, counted from 1."""
    prompt: str
    """The prompt's id."""
    prompt_hash: str
    """sha256 of the messages before the answer, as JSON."""
    model: str
    sample: int
    at: float
    documents: list[str]
    """What the passages of the prompt are from, `<collection>/<document>`."""
    scores: dict[str, float]
    """What the checks gave, by their kind."""


class DroppedPrompt(Wire):
    """A prompt that gave no row."""

    prompt: str
    """Its id."""
    reason: str
    why: str = ""
    """What the checks say."""
    answer: str = ""
    """What the teacher said."""


class DistilManifest(Wire):
    """What stands beside a training file that a teacher wrote."""

    object: Literal["distillation.manifest"] = "distillation.manifest"
    made_at: float
    inkstone: str
    """The version that wrote it."""
    teaching: Teaching
    licence: str | None
    """What the teacher's terms allow, as whoever ran it wrote it down."""
    prompts_sha256: str
    rows_sha256: str
    """Of the training file."""
    samples: int
    """Answers that were asked for each prompt."""
    lexical: bool
    """Whether support by the passages was told by words alone."""
    prompts: int
    kept: int
    dropped: dict[str, int]
    """Prompts that gave no row, by the reason."""
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None
    """None where no price was given."""
    rows: list[RowOrigin]
