"""Evaluations: what two arms answered to the same cases, the figures, and the verdict."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from services.contracts.evaluation_cases import Share
from services.contracts.wire import Wire

Verdict = Literal["adopt", "reject", "insufficient"]

Arm = Literal["baseline", "candidate"]
"""Which of the two was asked."""


class CheckResult(Wire):
    """What one check said of one answer."""

    check: str
    """Its kind."""
    passed: bool
    score: float
    why: str
    required: bool = True
    method: Literal["exact", "lexical", "embedding"] = "exact"
    """`lexical` compares words in place of entailment."""


class AnswerResult(Wire):
    """One answer of one arm to one case, judged."""

    case: str
    """The case's id."""
    repeat: int = 0
    """Which of several answers to the same case, from 0."""
    passed: bool
    checks: list[CheckResult] = Field(default_factory=list)
    text: str = ""
    abstained: bool = False
    error: str | None = None
    """Why there was no answer; it counts as not passed."""
    release: str | None = None
    adapter: str | None = None
    milliseconds: float = 0.0
    """Until the whole answer was there."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0


class Bounds(Wire):
    """A measured value and the interval that holds the true one 95 times of 100."""

    value: float
    low: float
    high: float
    count: int
    """How many cases it rests on."""


class ArmFigures(Wire):
    """What one arm showed."""

    name: str
    """What was asked: an assistant, a release, an adapter version."""
    release: str | None = None
    adapter: str | None = None
    pass_rate: Bounds
    measures: dict[str, Bounds]
    """The mean score of each check, by its kind."""
    by_tag: dict[str, Bounds]
    """The pass rate of the cases of each tag."""
    consistency: float | None = None
    """How often repeats of a case say the same, 0 to 1; none without repeats."""
    errors: int = 0
    """Answers that failed."""
    median_ms: float = 0.0
    prompt_tokens: float = 0.0
    """Of an answer, on average."""
    completion_tokens: float = 0.0
    cost_usd: float = 0.0
    """Of all answers."""
    lexical: list[str] = Field(default_factory=list)
    """Measures that compare words in place of entailment."""


class PairFigures(Wire):
    """How two arms did on the same cases."""

    both: int
    gained: int
    """Cases that only the candidate passed."""
    lost: int
    """Cases that only the baseline passed."""
    neither: int
    difference: Bounds
    """Of the pass rates."""
    p: float
    """McNemar's exact test, two-sided."""


class ComparisonFigures(Wire):
    """What the candidate showed beside the baseline."""

    main: PairFigures
    """The cases that it should be better at."""
    guards: PairFigures
    """The cases with the tag `guard`, which it must not be worse at."""
    measures: dict[str, Bounds]
    """The difference of the mean score of each check, case by case."""
    by_tag: dict[str, PairFigures]
    gained: list[str]
    """Ids of the cases that only the candidate passed."""
    lost: list[str]
    verdict: Verdict
    reason: str
    more_cases: int = 0


class EvaluationRules(Wire):
    """What a verdict goes by."""

    margin: Share = 0.0
    """How much lower the pass rate may be; 0 asks that it is higher."""
    least_gain: Share = 0.02
    """The least gain of the pass rate that is worth a change."""
    guard_margin: Share = 0.05
    """How much lower the pass rate of the guard cases may be."""


class EvaluationReport(Wire):
    """Everything that an evaluation found; the same from the gateway and the command line."""

    dataset_hash: str
    """12 hex of the sha256 of the cases."""
    cases: int
    repeats: int = 1
    rules: EvaluationRules = EvaluationRules()
    baseline: ArmFigures
    candidate: ArmFigures | None = None
    comparison: ComparisonFigures | None = None
