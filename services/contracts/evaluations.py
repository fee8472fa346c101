"""Evaluations: what two arms answered to the same cases, the figures, and the verdict."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from services.contracts.assistants import AssistantName, AssistantWrite
from services.contracts.evaluation_cases import Share
from services.contracts.wire import Wire

Verdict = Literal["adopt", "reject", "insufficient"]

Arm = Literal["baseline", "candidate"]
"""Which of the two was asked."""


Method = Literal["exact", "lexical", "entailment", "embedding", "classifier", "judge"]
"""How a check compares; `lexical` compares words in place of entailment."""


class Judges(Wire):
    """What judged answers beside rules; reports by other ones are not comparable."""

    judge: str | None = None
    """The judge's model and the version of its prompts."""
    judge_url: str | None = None
    styles: str | None = None
    """12 hex of the style classifier's sha256."""
    entailment: str | None = None
    """The model of entailment; words are compared without one."""


class CheckResult(Wire):
    """What one check said of one answer."""

    check: str
    """Its kind."""
    passed: bool
    score: float
    why: str
    required: bool = True
    method: Method = "exact"
    unreadable: bool = False
    """Whether the judge said nothing that is a verdict; it counts as not passed."""


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
    cached_tokens: int = 0
    """Of the prompt tokens."""
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
    unreadable: int = 0
    """Verdicts of the judge that were none."""


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


class PreferenceFigures(Wire):
    """Which of two answers the judge prefers, asked in both orders."""

    candidate: int
    """Cases whose answer by the candidate is preferred in both orders."""
    baseline: int
    ties: int
    """Neither, or another one in the other order."""
    swayed: int
    """Ties where the order decided."""
    unreadable: int
    """Cases without two verdicts; they count nowhere else."""
    difference: Bounds
    """The candidate's share less the baseline's."""
    p: float
    """The exact sign test, two-sided."""


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
    judges: Judges = Judges()
    preferences: PreferenceFigures | None = None
    """Where a judge compared the answers of both arms; the verdict does not go by it."""


SetName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
"""The name of a set of cases that the gateway keeps."""

EvaluationState = Literal["running", "done", "failed", "cancelled"]


class EvaluationSet(Wire):
    """A set of cases that the gateway keeps."""

    id: SetName
    object: Literal["evaluation_set"] = "evaluation_set"
    dataset_hash: str
    """12 hex of the sha256 of the cases."""
    cases: int
    guards: int
    """How many of them bear the tag `guard`."""
    created_at: int
    created_by: str
    """The id of the key that brought these cases."""


class EvaluationSetPage(Wire):
    """The tenant's sets, by name."""

    object: Literal["list"] = "list"
    data: list[EvaluationSet]
    has_more: bool = False


class EvaluationWrite(Wire):
    """The body of `POST /admin/evaluations`."""

    cases: SetName
    """The set."""
    assistant: AssistantName
    bundle: AssistantWrite | None = None
    """What the candidate is made of."""
    candidate: Annotated[str | None, Field(max_length=80)] = None
    """In place of a bundle: a release of the assistant, `<assistant>/<number>`."""
    baseline: Annotated[str | None, Field(max_length=80)] = None
    """The release to compare with; the one that the assistant serves when unset."""
    repeats: Annotated[int, Field(ge=1, le=20)] = 1
    """How often each case is asked."""
    rules: EvaluationRules = EvaluationRules()

    @model_validator(mode="after")
    def _names_one_candidate(self) -> EvaluationWrite:
        if (self.bundle is None) == (self.candidate is None):
            raise ValueError("name the candidate by either `bundle` or `candidate`")
        return self


class Evaluation(Wire):
    """A candidate release evaluated beside a baseline, by the gateway itself."""

    id: str
    object: Literal["evaluation"] = "evaluation"
    cases: SetName
    """The set."""
    dataset_hash: str
    assistant: AssistantName
    baseline: str
    candidate: str
    """Releases, `<assistant>/<number>`."""
    adapter: str | None
    """The candidate's."""
    rollout: str | None
    """The rollout whose gate this is."""
    repeats: int
    rules: EvaluationRules
    state: EvaluationState
    answered: int
    """Cases that both arms have answered, repeats counted."""
    total: int
    verdict: Verdict | None
    reason: str | None
    """In plain words."""
    created_at: int
    created_by: str
    finished_at: int | None
    report: EvaluationReport | None = None
    """Only when one evaluation is read, and it is done."""


class EvaluationPage(Wire):
    """The tenant's evaluations, newest first."""

    object: Literal["list"] = "list"
    data: list[Evaluation]
    has_more: bool


class EvaluationAnswer(Wire):
    """What both arms answered to a case, judged."""

    id: str
    """The case's id and the repeat, `<case>#<repeat>`."""
    baseline: AnswerResult
    candidate: AnswerResult


class EvaluationAnswerPage(Wire):
    """The answers of an evaluation, by case."""

    object: Literal["list"] = "list"
    data: list[EvaluationAnswer]
    has_more: bool
