"""From judged answers to the rows that are kept, and the reasons why others are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.contracts.datasets import DatasetPolicy
from services.contracts.distillation import (
    AskedPrompt,
    DistilPrompt,
    DroppedPrompt,
    RowOrigin,
)
from services.domain.distillation.choosing import Judged, best_of, fault_of
from services.domain.distillation.rows import prompt_hash, repeats, training_row

REASONS = {
    "nothing_found": "the assistant answers it without its model, for nothing was found",
    "failed": "no answer came; it is asked again when the command is given again",
    "not_asked": "the budget was spent before it was asked",
    "leaked": "an evaluation case asks the same",
    "refused": "the teacher declined",
    "cut_off": "the answer was longer than it may be",
    "empty": "the answer was empty",
    "no_final_answer": "the profile asks for steps and a final answer, and none was marked",
    "citation_invalid": "it cites a passage that it was not given",
    "citation_recall": "what it cites, if anything, does not hold what it says",
    "language": "it is in another language than the question",
    "json_schema": "it is not what the profile's output schema asks for",
    "abstains": "it abstains where there is an answer, or answers where there is none",
    "too_many_abstentions": "enough rows say that the documents do not tell",
    "duplicate": "an earlier row says the same",
    "near_duplicate": "an earlier row says nearly the same",
}
"""What a reason means; every other one is the kind of a check that failed."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt with the answers to it."""

    prompt: DistilPrompt
    served: AskedPrompt | None
    """None where it could not be composed."""
    answers: Sequence[Judged]
    missing: str = "failed"
    """The reason where there is no answer."""


@dataclass(frozen=True, slots=True)
class Harvest:
    """What a distillation gave."""

    rows: list[dict[str, Any]]
    origins: list[RowOrigin]
    dropped: list[DroppedPrompt]
    """Prompts that gave no row, in their order but for rows that say the same."""


def harvest(asked: Sequence[Asked], policy: DatasetPolicy, *, most_abstentions: float) -> Harvest:
    """Keep the best answer to each prompt, and of alike rows the first.

    Args:
        most_abstentions: the greatest share of the rows that may say that nothing tells.
    """
    dropped = list[DroppedPrompt]()
    chosen = list[tuple[Asked, Judged]]()
    for one in asked:
        best = best_of(one.answers)
        if best is not None and one.served is not None:
            chosen.append((one, best))
        else:
            dropped.append(_unanswered(one))
    written = [training_row(_served(one).messages, best.read.trained) for one, best in chosen]
    needless = repeats(written, policy)
    dropped += [_dropped(*chosen[n], reason) for n, reason in sorted(needless.items())]
    kept = [n for n in range(len(chosen)) if n not in needless]
    surplus = _surplus([chosen[n] for n in kept], most_abstentions)
    dropped += [_dropped(*chosen[kept[place]], "too_many_abstentions") for place in surplus]
    kept = [n for place, n in enumerate(kept) if place not in surplus]
    return Harvest(
        rows=[written[n] for n in kept],
        origins=[_origin(line, *chosen[n]) for line, n in enumerate(kept, start=1)],
        dropped=dropped,
    )


def _surplus(chosen: Sequence[tuple[Asked, Judged]], most: float) -> list[int]:
    """Find the abstentions beyond their share; the first ones stay, and those that were wanted."""
    abstaining = [
        n
        for n, (one, best) in enumerate(chosen)
        if best.read.answer.abstained and one.prompt.answerable is not False
    ]
    answering = len(chosen) - len(abstaining)
    allowed = len(abstaining) if most >= 1 else round(answering * most / (1 - most))
    return abstaining[allowed:]


def _unanswered(one: Asked) -> DroppedPrompt:
    """Say why no answer to a prompt is any good, by the first answer that has the usual fault."""
    if one.served is not None and one.served.abstention is not None:
        return DroppedPrompt(prompt=one.prompt.id or "", reason="nothing_found")
    reason = fault_of(one.answers)
    worst = next((each for each in one.answers if each.fault == reason), None)
    if reason is None or worst is None:
        return DroppedPrompt(prompt=one.prompt.id or "", reason=one.missing)
    return _dropped(one, worst, reason)


def _dropped(one: Asked, answer: Judged, reason: str) -> DroppedPrompt:
    return DroppedPrompt(
        prompt=one.prompt.id or "",
        reason=reason,
        why=answer.judgement.complaints if answer.judgement else "",
        answer=answer.given.refusal or answer.given.text,
    )


def _served(one: Asked) -> AskedPrompt:
    assert one.served is not None
    return one.served


def _origin(line: int, one: Asked, best: Judged) -> RowOrigin:
    served = _served(one)
    documents = [f"{passage.collection}/{passage.document_id}" for passage in served.passages]
    return RowOrigin(
        line=line,
        prompt=one.prompt.id or "",
        prompt_hash=prompt_hash(served.messages),
        model=best.given.model,
        sample=best.given.sample,
        at=best.given.at,
        documents=list(dict.fromkeys(documents)),
        scores={kind: round(score, 4) for kind, score in best.scores.items()},
    )
