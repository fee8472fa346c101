"""What one answer shows: the span, a right citation, an abstention, the voice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from examples.evaluation.cases import Case
from examples.evaluation.picking import Chunk
from examples.style.voices import Voice
from services.contracts.assistants import Abstention
from services.domain.citations import check_citations


@dataclass(frozen=True, slots=True)
class Grade:
    """The verdict on one answer."""

    case: Case
    retrieved: bool
    """Whether a passage in the prompt held the answer."""
    contains: bool
    cited: bool
    """Whether it carries a citation of a passage that was given."""
    cited_right: bool
    """Whether a cited passage holds the answer."""
    abstained: bool
    voiced: bool
    """Whether it opens in the voice."""
    answer: str


@dataclass(frozen=True, slots=True)
class Scores:
    """Shares over all cases of a run, from 0 to 1."""

    answerable: int
    retrieved: float
    contains: float
    contains_en: float
    contains_ko: float
    contains_when_retrieved: float
    cited: float
    """Of the answers that do not abstain."""
    cited_right: float
    abstained_wrongly: float
    """Of the answerable cases whose passages held the answer."""
    unanswerable: int
    abstained_rightly: float
    voiced: float


def grade(
    case: Case, answer: str, chunks: Sequence[Chunk], abstention: Abstention, voice: Voice | None
) -> Grade:
    """Judge one answer."""
    cleaned, numbers, _ = check_citations(answer, len(chunks))
    held = [_holds(chunk.text, case) for chunk in chunks]
    return Grade(
        case=case,
        retrieved=any(held),
        contains=case.answerable is True and _holds(cleaned, case),
        cited=bool(numbers),
        cited_right=any(held[number - 1] for number in numbers),
        abstained=any(text in answer for text in (abstention.en, abstention.ko)),
        voiced=voice is not None and answer.startswith(tuple(voice.openings.values())),
        answer=answer,
    )


def summarise(grades: Sequence[Grade]) -> Scores:
    """Turn verdicts into shares."""
    answerable = [g for g in grades if g.case.answerable]
    found = [g for g in answerable if g.retrieved]
    spoken = [g for g in answerable if not g.abstained]
    unanswerable = [g for g in grades if not g.case.answerable]
    return Scores(
        answerable=len(answerable),
        retrieved=_share([g.retrieved for g in answerable]),
        contains=_share([g.contains for g in answerable]),
        contains_en=_share([g.contains for g in answerable if g.case.lang == "en"]),
        contains_ko=_share([g.contains for g in answerable if g.case.lang == "ko"]),
        contains_when_retrieved=_share([g.contains for g in found]),
        cited=_share([g.cited for g in spoken]),
        cited_right=_share([g.cited_right for g in spoken if g.retrieved]),
        abstained_wrongly=_share([g.abstained for g in found]),
        unanswerable=len(unanswerable),
        abstained_rightly=_share([g.abstained for g in unanswerable]),
        voiced=_share([g.voiced for g in grades]),
    )


def _holds(text: str, case: Case) -> bool:
    return any(span.lower() in text.lower() for span in case.accepted)


def _share(claims: Sequence[bool]) -> float:
    return round(sum(claims) / len(claims), 3) if claims else 0.0
