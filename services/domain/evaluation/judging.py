"""All checks of one case on one answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never

from services.contracts.evaluation_cases import (
    Abstains,
    ByRubric,
    Check,
    CitationPrecision,
    CitationRecall,
    Cites,
    Contains,
    EvaluationCase,
    Exact,
    Grounded,
    InLanguage,
    InStyle,
    JsonSchema,
    Label,
    Length,
    Normalised,
    Numeric,
    Regex,
    RougeL,
    Similar,
)
from services.contracts.evaluations import CheckResult
from services.contracts.styles import StyleModel
from services.domain.evaluation import closeness, matching, rubrics, shape, styles, support
from services.domain.evaluation.answers import Answer, Judgement, Vector
from services.domain.evaluation.matching import told
from services.domain.evaluation.rubrics import Opinion
from services.domain.evaluation.support import Entails
from services.domain.rendering import Message
from services.domain.support import held_in

JUDGED_CHARACTERS = 50_000
"""How much of an answer is judged."""


@dataclass(frozen=True, slots=True)
class Instruments:
    """What checks need beside the answer itself."""

    vectors: Mapping[str, Vector] = field(default_factory=dict)
    """Embeddings of `texts_to_embed`, by text."""
    opinions: Mapping[str, Opinion] = field(default_factory=dict)
    """The judge's, by the key of `questions_to_judge`."""
    styles: StyleModel | None = None
    """Tells styles apart."""
    entails: Entails = held_in
    """Tells whether a text entails a claim."""


def judge(
    case: EvaluationCase, answer: Answer, instruments: Instruments | None = None
) -> Judgement:
    """Judge one answer by every check of its case."""
    answer = _bounded(answer)
    given = instruments or Instruments()
    found = [
        _result(check, case, answer, given).model_copy(update={"required": check.required})
        for check in checks_of(case)
    ]
    return Judgement(all(one.passed for one in found if one.required), found)


def checks_of(case: EvaluationCase) -> list[Check]:
    """List a case's checks, those that it has without naming them included."""
    checks = list(case.checks)
    if not checks and case.expected is not None:
        checks.append(Contains(kind="contains"))
    named = any(isinstance(check, Abstains) for check in checks)
    if case.answerable is not None and not named:
        checks.append(Abstains(kind="abstains", wanted=not case.answerable))
    return checks


def texts_to_embed(case: EvaluationCase, answer: Answer) -> list[str]:
    """List the texts whose embeddings the case's checks compare."""
    texts: list[str] = []
    for check in checks_of(case):
        if isinstance(check, Similar):
            texts += closeness.embedded_texts(check, case.expected, _bounded(answer))
    return list(dict.fromkeys(texts))


def questions_to_judge(case: EvaluationCase, answer: Answer) -> dict[str, list[Message]]:
    """List what a judge must be asked about an answer, by the key of its opinion."""
    bounded = _bounded(answer)
    return {
        rubrics.opinion_key(check, case, bounded): rubrics.scoring_messages(check, case, bounded)
        for check in checks_of(case)
        if isinstance(check, ByRubric)
    }


def lacking(cases: Sequence[EvaluationCase], *, judged: bool, model: StyleModel | None) -> str:
    """Say what is missing to judge these cases; empty when nothing is.

    Args:
        judged: whether there is a judge.
        model: the style classifier, if there is one.
    """
    for case in cases:
        for check in case.checks:
            if isinstance(check, ByRubric) and not judged:
                return f"the case {case.id!r} has the check `judge`, and no judge is named"
            if isinstance(check, InStyle) and model is None:
                return f"the case {case.id!r} has the check `style`, and no classifier is named"
            if isinstance(check, InStyle) and model and check.style not in model.labels:
                known = ", ".join(model.labels)
                return (
                    f"the case {case.id!r} wants the style {check.style!r}, and the classifier "
                    f"tells {known}"
                )
    return ""


def faults(case: EvaluationCase) -> Iterator[str]:
    """Say what makes a case one that no answer can pass."""
    for check in case.checks:
        if isinstance(check, Regex) and (fault := matching.pattern_fault(check.pattern)):
            yield f"the pattern {check.pattern!r} is none: {fault}"
        if isinstance(check, JsonSchema) and (fault := shape.schema_fault(check.json_schema)):
            yield f"the schema is none: {fault}"
        if isinstance(check, Label) and (fault := matching.label_fault(check, case.expected)):
            yield fault
        if (
            isinstance(check, Length)
            and check.at_most is not None
            and (check.at_most < check.at_least)
        ):
            yield f"no length is at least {check.at_least} and at most {check.at_most}"


def _bounded(answer: Answer) -> Answer:
    return replace(answer, text=answer.text[:JUDGED_CHARACTERS])


def _result(check: Check, case: EvaluationCase, answer: Answer, given: Instruments) -> CheckResult:
    match check:
        case Exact():
            return matching.exact(check, case.expected, answer)
        case Normalised():
            return matching.normal(check, case.expected, answer)
        case Contains():
            return matching.contains(check, case.expected, answer)
        case Regex():
            return matching.pattern(check, answer)
        case Label():
            return matching.label(check, case.expected, answer)
        case Numeric():
            return matching.numeric(check, answer)
        case JsonSchema():
            return shape.json_schema(check, answer)
        case RougeL():
            return closeness.rouge_l(check, case.expected, answer)
        case Similar():
            return closeness.similar(check, case.expected, answer, given.vectors)
        case CitationRecall():
            return support.citation_recall(check, answer, given.entails)
        case CitationPrecision():
            return support.citation_precision(check, answer, given.entails)
        case Grounded():
            return support.grounded(check, answer, given.entails)
        case Cites():
            return _cites(check, answer)
        case Abstains():
            return _abstains(check, answer)
        case InLanguage():
            return shape.language(check, case.asked, answer)
        case Length():
            return shape.length(check, answer)
        case InStyle():
            return styles.style(check, answer, given.styles)
        case ByRubric():
            key = rubrics.opinion_key(check, case, answer)
            return rubrics.rubric(check, given.opinions.get(key))
    assert_never(check)


def _cites(check: Cites, answer: Answer) -> CheckResult:
    cited = [passage.document_id for passage in answer.citations.values()]
    passed = not set(cited).isdisjoint(check.any_of)
    said = ", ".join(dict.fromkeys(cited)) or "nothing"
    return told(check.kind, passed=passed, why=f"cites {said}")


def _abstains(check: Abstains, answer: Answer) -> CheckResult:
    said = "abstained" if answer.abstained else "answered"
    wanted = "to abstain" if check.wanted else "to answer"
    return told(check.kind, passed=answer.abstained == check.wanted, why=f"{said}; it was {wanted}")
