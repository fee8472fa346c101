"""From judged answers to figures: of one arm, and of two that were asked the same."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from services.contracts.evaluation_cases import EvaluationCase
from services.contracts.evaluations import (
    AnswerResult,
    ArmFigures,
    Bounds,
    ComparisonFigures,
    EvaluationReport,
    EvaluationRules,
    PairFigures,
)
from services.domain.evaluation.answers import LEXICAL
from services.domain.evaluation.cases import dataset_hash
from services.domain.evaluation.pairs import difference_of, pairs_of
from services.domain.evaluation.texts import normalised
from services.domain.evaluation.verdicts import majority, rule
from services.domain.statistics import Estimate, compare, estimate, proportion

ByCase = Mapping[str, Sequence[AnswerResult]]
"""The answers of one arm, by case."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one arm answered."""

    name: str
    answers: Sequence[AnswerResult]

    @property
    def by_case(self) -> ByCase:
        """The answers by case, in the order of their repeats."""
        grouped: dict[str, list[AnswerResult]] = defaultdict(list)
        for answer in sorted(self.answers, key=lambda one: one.repeat):
            grouped[answer.case].append(answer)
        return dict(grouped)


def report_of(
    cases: Sequence[EvaluationCase],
    baseline: Run,
    candidate: Run | None = None,
    rules: EvaluationRules | None = None,
) -> EvaluationReport:
    """Report on one arm, or on two that answered every case.

    Raises:
        KeyError: an arm has no answer to a case.
    """
    rules = rules or EvaluationRules()
    return EvaluationReport(
        dataset_hash=dataset_hash(cases),
        cases=len(cases),
        repeats=max(len(answers) for answers in baseline.by_case.values()),
        rules=rules,
        baseline=arm_figures(cases, baseline),
        candidate=arm_figures(cases, candidate) if candidate else None,
        comparison=comparison(cases, baseline, candidate, rules) if candidate else None,
    )


def arm_figures(cases: Sequence[EvaluationCase], run: Run) -> ArmFigures:
    """Work out the figures of one arm."""
    by_case, answers = run.by_case, run.answers
    passed = _passes(cases, by_case)
    repeated = max(len(each) for each in by_case.values()) > 1
    return ArmFigures(
        name=run.name,
        release=_only(one.release for one in answers),
        adapter=_only(one.adapter for one in answers),
        pass_rate=_share(list(passed.values())),
        measures={name: _bounds(estimate(list(v.values()))) for name, v in _scores(run).items()},
        by_tag={tag: _share([passed[id_] for id_ in ids]) for tag, ids in _tags(cases).items()},
        consistency=fmean(map(_agreement, by_case.values())) if repeated else None,
        errors=sum(one.error is not None for one in answers),
        median_ms=median(one.milliseconds for one in answers),
        prompt_tokens=fmean(one.prompt_tokens for one in answers),
        completion_tokens=fmean(one.completion_tokens for one in answers),
        cost_usd=sum(one.cost_usd for one in answers),
        lexical=sorted({c.check for one in answers for c in one.checks if c.method == LEXICAL}),
        unreadable=sum(c.unreadable for one in answers for c in one.checks),
    )


def comparison(
    cases: Sequence[EvaluationCase], baseline: Run, candidate: Run, rules: EvaluationRules
) -> ComparisonFigures:
    """Compare two arms case by case, and rule on the candidate."""
    first = _passes(cases, baseline.by_case)
    other = _passes(cases, candidate.by_case)

    def pairs(chosen: Callable[[EvaluationCase], bool]) -> tuple[list[bool], list[bool]]:
        ids = [case.id for case in cases if chosen(case)]
        return [first[id_] for id_ in ids], [other[id_] for id_ in ids]

    main, guards = pairs(lambda case: not case.guards), pairs(lambda case: case.guards)
    ruling = rule(pairs_of(*main), pairs_of(*guards), rules)
    return ComparisonFigures(
        main=pair_figures(*main),
        guards=pair_figures(*guards),
        measures=_differences(baseline, candidate),
        by_tag={
            tag: pair_figures([first[id_] for id_ in ids], [other[id_] for id_ in ids])
            for tag, ids in _tags(cases).items()
        },
        gained=[case.id for case in cases if other[case.id] and not first[case.id]],
        lost=[case.id for case in cases if first[case.id] and not other[case.id]],
        verdict=ruling.verdict,
        reason=ruling.reason,
        more_cases=ruling.more_cases,
    )


def pair_figures(baseline: Sequence[bool], candidate: Sequence[bool]) -> PairFigures:
    """Work out the figures of some pairs."""
    pairs = pairs_of(baseline, candidate)
    found = difference_of(pairs)
    return PairFigures(
        both=pairs.both,
        gained=pairs.gained,
        lost=pairs.lost,
        neither=pairs.neither,
        difference=Bounds(value=found.value, low=found.low, high=found.high, count=pairs.count),
        p=found.p,
    )


def _passes(cases: Sequence[EvaluationCase], by_case: ByCase) -> dict[str, bool]:
    return {case.id: majority([one.passed for one in by_case[case.id]]) for case in cases}


def _scores(run: Run) -> dict[str, dict[str, float]]:
    """Average each check's score over a case's checks and repeats: by kind, then by case."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for answer in run.answers:
        for check in answer.checks:
            found[check.check][answer.case].append(check.score)
    return {
        kind: {case: fmean(scores) for case, scores in by_case.items()}
        for kind, by_case in sorted(found.items())
    }


def _differences(baseline: Run, candidate: Run) -> dict[str, Bounds]:
    first, other = _scores(baseline), _scores(candidate)
    found = {}
    for kind in first.keys() & other.keys():
        ids = sorted(first[kind].keys() & other[kind].keys())
        if ids:
            pairs = [first[kind][id_] for id_ in ids], [other[kind][id_] for id_ in ids]
            found[kind] = _bounds(compare(*pairs).difference)
    return dict(sorted(found.items()))


def _tags(cases: Sequence[EvaluationCase]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = defaultdict(list)
    for case in cases:
        for tag in dict.fromkeys(case.tags):
            grouped[tag].append(case.id)
    return dict(sorted(grouped.items()))


def _agreement(answers: Sequence[AnswerResult]) -> float:
    """Tell how often the most frequent answer was given."""
    said = Counter(normalised(one.text) for one in answers)
    return said.most_common(1)[0][1] / len(answers)


def _share(passed: Sequence[bool]) -> Bounds:
    return _bounds(proportion(sum(passed), len(passed)))


def _bounds(found: Estimate) -> Bounds:
    return Bounds(value=found.mean, low=found.low, high=found.high, count=found.count)


def _only(values: Iterable[str | None]) -> str | None:
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else None
