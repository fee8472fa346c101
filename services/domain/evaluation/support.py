"""Whether what an answer says is in what it cites.

Citation recall and precision as ALCE defines them (T. Gao et al., "Enabling Large Language Models
to Generate Text with Citations", EMNLP 2023): a sentence is recalled when the passages that it
cites entail it together; a citation is precise when its sentence is recalled and either its passage
alone entails the sentence, or the others without it do not. Entailment is a function that is given;
`held_in` compares words instead and is named `lexical` wherever it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from services.contracts.evaluation_cases import CitationPrecision, CitationRecall, Grounded
from services.contracts.evaluations import CheckResult
from services.domain.citations import find_markers
from services.domain.evaluation.answers import Answer
from services.domain.evaluation.matching import scored
from services.domain.evaluation.texts import sentences, without_markers
from services.domain.support import held_in

Entails = Callable[[str, str], bool]
"""Tells whether a text (first) entails a claim (second)."""


def citation_recall(
    check: CitationRecall, answer: Answer, entails: Entails = held_in
) -> CheckResult:
    """Tell the share of sentences that their citations support."""
    recall, _ = citation_scores(answer, entails)
    return _scored(check.kind, recall, check.at_least, entails)


def citation_precision(
    check: CitationPrecision, answer: Answer, entails: Entails = held_in
) -> CheckResult:
    """Tell the share of citations that are right and needed."""
    _, precision = citation_scores(answer, entails)
    return _scored(check.kind, precision, check.at_least, entails)


def grounded(check: Grounded, answer: Answer, entails: Entails = held_in) -> CheckResult:
    """Tell the share of sentences that everything cited supports together."""
    evidence = "\n".join(passage.text for passage in answer.citations.values())
    claims = [without_markers(sentence) for sentence in sentences(answer.text)]
    supported = sum(bool(evidence) and entails(evidence, claim) for claim in claims)
    score = supported / len(claims) if claims else 0.0
    return _scored(check.kind, score, check.at_least, entails)


def citation_scores(answer: Answer, entails: Entails = held_in) -> tuple[float, float]:
    """Compute ALCE's citation recall and precision of one answer, 0 to 1 each."""
    recalled = cited = precise = 0
    found = sentences(answer.text)
    for sentence in found:
        numbers_ = list(dict.fromkeys(n for m in find_markers(sentence) for n in m.numbers))
        claim = without_markers(sentence)
        known = all(number in answer.citations for number in numbers_)
        texts = [answer.citations[number].text for number in numbers_] if known else []
        together = bool(texts) and entails("\n".join(texts), claim)
        recalled += together
        cited += len(numbers_)
        precise += _precise(texts, claim, entails) if together else 0
    return recalled / len(found) if found else 0.0, precise / cited if cited else 0.0


def _precise(texts: Sequence[str], claim: str, entails: Entails) -> int:
    """Count the citations of a recalled sentence that it needs."""
    if len(texts) == 1:
        return 1
    count = 0
    for place, text in enumerate(texts):
        rest = "\n".join([*texts[:place], *texts[place + 1 :]])
        count += entails(text, claim) or not entails(rest, claim)
    return count


def _scored(kind: str, score: float, least: float, entails: Entails) -> CheckResult:
    return scored(kind, score, least, "lexical" if entails is held_in else "entailment")
