"""The held-out cases: questions on the sample corpus, as `inkstone eval run` asks them."""

from __future__ import annotations

from pathlib import Path

from services.contracts.evaluation_cases import Cites, Contains, EvaluationCase
from services.domain.language import Language

CASES_FILE = Path(__file__).parent / "cases.jsonl"
"""One case a line."""


class Case(EvaluationCase):
    """One question with its checks."""

    @property
    def lang(self) -> Language:
        """The language that it is asked in."""
        return "ko" if "ko" in self.tags else "en"

    @property
    def accepted(self) -> list[str]:
        """Every wording of the answer that counts."""
        return [
            text for check in self.checks if isinstance(check, Contains) for text in check.any_of
        ]

    @property
    def documents(self) -> list[str]:
        """The documents that answer it."""
        return [name for check in self.checks if isinstance(check, Cites) for name in check.any_of]


def read_cases(path: Path = CASES_FILE) -> list[Case]:
    """Read every case."""
    lines = path.read_text("utf-8").splitlines()
    return [Case.model_validate_json(line) for line in lines if line.strip()]
