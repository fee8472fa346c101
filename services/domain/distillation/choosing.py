"""Choosing among a teacher's answers to one prompt: those that pass, and of them the best."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from services.contracts.distillation import TeacherAnswer
from services.domain.distillation.answers import Read
from services.domain.evaluation.answers import Judgement
from services.domain.evaluation.texts import normalised


@dataclass(frozen=True, slots=True)
class Judged:
    """One answer and what the checks say of it."""

    given: TeacherAnswer
    read: Read
    judgement: Judgement | None
    """None where it has a fault that needs no check."""

    @property
    def fault(self) -> str | None:
        """The first reason against it: a fault, or the kind of a check; None when it passes."""
        if self.read.fault is not None or self.judgement is None:
            return self.read.fault or "empty"
        failed = [one.check for one in self.judgement.checks if one.required and not one.passed]
        return failed[0] if failed else None

    @property
    def scores(self) -> dict[str, float]:
        """The mean score of each kind of check."""
        checks = self.judgement.checks if self.judgement else []
        kinds = dict.fromkeys(one.check for one in checks)
        return {k: fmean(one.score for one in checks if one.check == k) for k in kinds}


def best_of(answers: Sequence[Judged]) -> Judged | None:
    """Choose the answer that the checks like best; None when none passes.

    Among equals it is what the teacher says most often, then what it said first.
    """
    passing = [one for one in answers if one.fault is None]
    if not passing:
        return None
    said = Counter(normalised(one.read.answer.text) for one in passing)
    return max(
        passing,
        key=lambda one: (
            fmean(one.scores.values()),
            said[normalised(one.read.answer.text)],
            -one.given.sample,
        ),
    )


def fault_of(answers: Sequence[Judged]) -> str | None:
    """Tell why no answer passes: what most of them lack; None where there is none."""
    faults = Counter(fault for one in answers if (fault := one.fault) is not None)
    return faults.most_common(1)[0][0] if faults else None
