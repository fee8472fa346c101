"""What a teacher's answer is as a whole: refused, cut off, or one that the checks can judge."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from services.contracts.assistants import Abstention
from services.contracts.distillation import TeacherAnswer
from services.contracts.prompts import PromptPassage
from services.domain.citations import check_citations
from services.domain.distillation.refusals import declines
from services.domain.evaluation.answers import Answer, CitedPassage
from services.domain.reasoning import ReasoningFilter

CITATIONS_FIELD = "citations"
"""Where an answer in JSON names its passages."""

_THOUGHTS = re.compile(r"\A\s*<think(?:ing)?>.*?</think(?:ing)?>\s*", re.DOTALL)
"""Steps that a server did not take out of a reasoning model's answer."""


@dataclass(frozen=True, slots=True)
class Read:
    """An answer as it would be served, or why it is none."""

    trained: str
    """What a row would hold, a model's own steps before the answer included."""
    answer: Answer
    fault: str | None = None
    """Why no check needs to look at it."""
    cited: Sequence[int] = field(default_factory=tuple)


def read_answer(
    given: TeacherAnswer,
    passages: Sequence[PromptPassage],
    abstention: Abstention,
    *,
    grounded: bool,
    structured: bool,
    in_steps: bool,
) -> Read:
    """Read an answer as the gateway would read its engine's.

    Args:
        structured: whether the profile asks for JSON.
        in_steps: whether the profile asks for steps before a final answer.
    """
    text = _THOUGHTS.sub("", given.text).strip()
    shown = text
    if in_steps and not structured:
        steps = ReasoningFilter()
        shown = (steps.push(text) + steps.close()).strip()
        if text and not steps.reasoning:
            return Read(text, Answer(text), "no_final_answer")
    sentences = [one.strip() for one in (abstention.en, abstention.ko) if one.strip()]
    abstained = grounded and any(one in shown for one in sentences)
    if given.refusal or given.finish_reason == "content_filter":
        return Read(text, Answer(shown), "refused")
    if given.finish_reason == "length":
        return Read(text, Answer(shown), "cut_off")
    if not shown:
        return Read(text, Answer(shown), "empty")
    if not abstained and declines(shown):
        return Read(text, Answer(shown), "refused")
    if not grounded:
        return Read(text, Answer(shown))
    cited, invalid = _cited(shown, len(passages), structured=structured)
    held = {n: CitedPassage(passages[n - 1].document_id, passages[n - 1].text) for n in cited}
    fault = "citation_invalid" if invalid else None
    return Read(text, Answer(shown, abstained, held), fault, cited)


def _cited(text: str, passages: int, *, structured: bool) -> tuple[list[int], int]:
    if not structured:
        _, cited, invalid = check_citations(text, passages)
        return cited, invalid
    try:
        answer = json.loads(text)
    except ValueError:
        return [], 0
    named = answer.get(CITATIONS_FIELD) if isinstance(answer, dict) else None
    numbers = [n for n in named if type(n) is int] if isinstance(named, list) else []
    valid = [n for n in dict.fromkeys(numbers) if 1 <= n <= passages]
    return valid, sum(not 1 <= n <= passages for n in numbers)
