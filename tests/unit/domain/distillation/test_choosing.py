"""Choosing among a teacher's answers."""

from __future__ import annotations

from services.contracts.distillation import TeacherAnswer
from services.domain.distillation.answers import Read
from services.domain.distillation.choosing import Judged, best_of
from services.domain.evaluation.answers import Answer, Judgement
from services.domain.evaluation.matching import told


def judged(sample: int, text: str) -> Judged:
    given = TeacherAnswer(
        sample=sample, text=text, refusal=None, finish_reason="stop", model="m",
        prompt_tokens=1, cached_tokens=0, completion_tokens=1, at=0.0,
    )  # fmt: skip
    outcome = told("length", passed=True, why="")
    return Judged(given, Read(text, Answer(text)), Judgement(True, [outcome]))


def test_among_equals_the_usual_answer_is_chosen_and_of_those_the_first() -> None:
    best = best_of([judged(0, "부정"), judged(1, "긍정"), judged(2, "긍정!")])
    assert best is not None
    assert best.given.sample == 1
