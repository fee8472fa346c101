"""Training files as they are written, and what the data set gate finds in them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.contracts.wire import Wire

Role = Literal["system", "developer", "user", "assistant"]
"""Tool calls are not trained."""

Severity = Literal["error", "warning"]
"""An error stops a training; a warning is kept in the adapter's manifest."""


class Message(BaseModel):
    """One message of a training row."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    role: Role
    content: str
    weight: Literal[0, 1] | None = None
    """0 keeps an assistant's message out of the loss."""


class TrainingRow(BaseModel):
    """One line of a training file: OpenAI's chat shape, or a prompt with its completion."""

    model_config = ConfigDict(frozen=True, extra="allow")

    messages: Annotated[list[Message], Field(min_length=1)] | None = None
    prompt: Annotated[list[Message], Field(min_length=1)] | None = None
    completion: Annotated[list[Message], Field(min_length=1, max_length=1)] | None = None

    @model_validator(mode="after")
    def _one_shape(self) -> TrainingRow:
        pair = self.prompt is not None and self.completion is not None
        if pair is (self.messages is not None):
            raise ValueError("a row has `messages`, or a `prompt` and a `completion`")
        return self

    @property
    def turns(self) -> list[Message]:
        """The whole conversation; of a prompt and its completion only that one is trained."""
        if self.messages is not None:
            return self.messages
        shown = [
            turn.model_copy(update={"weight": 0}) if turn.role == "assistant" else turn
            for turn in self.prompt or []
        ]
        return [*shown, *(self.completion or [])]


Share = Annotated[float, Field(ge=0, le=1)]


class DatasetPolicy(Wire):
    """What the gate is strict about, with defaults for a LoRA of a small or middle-sized base."""

    rows_at_least: Annotated[int, Field(ge=1)] = 50
    """Fewer rows are refused: improvements begin at 50 to 100 (OpenAI's fine-tuning guide)."""
    rows_advised: Annotated[int, Field(ge=1)] = 500
    duplicates_at_most: Share = 0.2
    """A greater share of repeated rows is an error."""
    conflicts_at_most: Share = 0.1
    """A greater share of rows that ask the same and are answered differently is an error."""
    alike_from: Share = 0.8
    """Two texts whose sets of 5 neighbouring characters overlap so far (Jaccard) are alike."""
    max_tokens: Annotated[int, Field(ge=16)] | None = None
    """A longer row is an error, because it would be cut; None leaves it to the recipe."""
    accepted: list[str] = Field(default_factory=list, max_length=64)
    """Codes of errors that somebody has looked at; they are warnings then."""


class Finding(Wire):
    """One thing that the gate found, wherever it occurs."""

    code: str
    severity: Severity
    message: str
    """What was found, in one sentence."""
    mend: str
    """What to do about it, in one sentence."""
    count: int
    """How many rows it concerns; 0 when it concerns the file."""
    rows: list[int] = Field(default_factory=list)
    """The line numbers of the first of them, counted from 1."""


class DatasetReport(Wire):
    """What the gate says of a training file."""

    object: Literal["dataset.report"] = "dataset.report"
    rows: int
    """Rows that could be read."""
    trained_answers: int
    """Answers that would carry loss; a conversation may have several."""
    tokens: int | None = None
    """Of all training sequences, when a tokenizer counted them."""
    longest: int | None = None
    """The tokens of the longest one."""
    findings: list[Finding]

    @property
    def errors(self) -> list[Finding]:
        """The findings that stop a training."""
        return [finding for finding in self.findings if finding.severity == "error"]
