"""A ladder as it lies in its file."""

from __future__ import annotations

from services.contracts.assistants import Profile
from services.contracts.evaluation_cases import EvaluationCase
from services.contracts.evaluations import AnswerResult
from services.contracts.ladder import LadderReport
from services.contracts.wire import Wire


class SavedLadder(Wire):
    """The report, and everything that it rests on."""

    report: LadderReport
    cases: list[EvaluationCase]
    profiles: dict[str, Profile]
    """What each rung was told."""
    answers: dict[str, list[AnswerResult]]
    """By rung."""
