"""What is judged, and what a judgement is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.contracts.evaluations import CheckResult

Vector = Sequence[float]
"""An embedding."""

LEXICAL = "lexical"
"""The method of checks that compare words because no model of entailment was given."""


@dataclass(frozen=True, slots=True)
class CitedPassage:
    """A passage that an answer points to."""

    document_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as it was given."""

    text: str
    abstained: bool = False
    """Whether the assistant says that the documents do not tell."""
    citations: Mapping[int, CitedPassage] = field(default_factory=dict)
    """The passages that it cites, by the numbers of its markers."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What all checks say of one answer."""

    passed: bool
    """Whether every required check passed."""
    checks: list[CheckResult]

    @property
    def complaints(self) -> str:
        """Why it did not pass."""
        return "; ".join(
            f"{one.check}: {one.why}" for one in self.checks if one.required and not one.passed
        )
