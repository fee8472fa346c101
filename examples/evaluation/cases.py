"""The held-out cases: questions on the sample corpus, with what a right answer must show."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from services.domain.language import Language

CASES_FILE = Path(__file__).parent / "cases.jsonl"
"""One case a line."""


class Check(BaseModel):
    """One thing that an answer must show."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["contains", "cites", "abstains"]
    any_of: list[str] = []
    """For `contains`: one of these must occur, whatever its case."""
    document: str | None = None
    """For `cites`: the document that a citation must point to."""


class Case(BaseModel):
    """One question with its checks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    question: str
    expected: str | None
    checks: list[Check]
    tags: list[str]
    lang: Language
    document: str
    """The document that answers it, or that it is about."""

    @property
    def answerable(self) -> bool:
        """Whether the corpus holds the answer."""
        return self.expected is not None

    @property
    def accepted(self) -> list[str]:
        """Every wording of the answer that counts."""
        return [span for check in self.checks for span in check.any_of]


def read_cases(path: Path = CASES_FILE) -> list[Case]:
    """Read every case."""
    lines = path.read_text("utf-8").splitlines()
    return [Case.model_validate_json(line) for line in lines if line.strip()]
