"""Rollouts: how an assistant comes from one release to the next, and what is seen on the way."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from services.contracts.assistants import AssistantName, AssistantWrite
from services.contracts.evaluations import SetName
from services.contracts.wire import Wire

RolloutState = Literal[
    "pending",
    "warming",
    "gating",
    "shadowing",
    "canary",
    "paused",
    "inconclusive",
    "promoted",
    "rolled_back",
    "aborted",
    "failed",
    "superseded",
]

Strategy = Literal["immediate", "canary", "shadow_canary"]
"""`immediate` has no steps, `shadow_canary` answers unseen before the first one."""

ARM_HEADER = "X-Inkstone-Arm"
"""Where a tester asks for one arm of a rollout: `stable` or `candidate`."""


DEFAULT_WEIGHTS = (5.0, 25.0, 50.0)
"""Percent of the callers at each step of a canary, unless it says otherwise."""


class Step(Wire):
    """One step of a canary."""

    weight: Annotated[float, Field(gt=0, le=100)]
    """Percent of the callers that the candidate answers."""
    hold_seconds: Annotated[float, Field(ge=0, le=30 * 86_400)] = 300.0
    """How long at least."""


class Gate(Wire):
    """An evaluation that the candidate must pass before anybody meets it.

    Both releases answer the same cases over the same passages. A margin is a difference of the
    shares of cases passed, 0 to 1.
    """

    cases: SetName
    """The name of the evaluation set."""
    repeats: Annotated[int, Field(ge=1, le=20)] = 1
    """How often each case is asked."""
    margin: Annotated[float, Field(ge=0, le=1)] = 0.0
    """How much lower its share of passed cases may be than the stable release's; 0 asks that the
    candidate is better."""
    guard_margin: Annotated[float, Field(ge=0, le=1)] = 0.05
    """The same for guard cases, which hold what must not be forgotten."""
    max_duration_seconds: Annotated[float, Field(gt=0, le=7 * 86_400)] = 3600.0
    """An evaluation that takes longer makes the rollout inconclusive."""


class Shadow(Wire):
    """How the candidate answers copies of requests, unseen, before anybody meets it."""

    percent: Annotated[float, Field(gt=0, le=100)] = 10.0
    """Of the requests that the stable release answers."""
    max_tokens_per_hour: Annotated[int, Field(ge=1, le=10**12)] = 500_000
    """Prompt and answer tokens that copies may use; each gateway has this budget of its own."""
    min_samples: Annotated[int, Field(ge=1, le=1_000_000)] = 50
    """Pairs of answers that are enough to compare."""
    max_duration_seconds: Annotated[float, Field(gt=0, le=90 * 86_400)] = 86_400.0
    """With too few pairs after so long the rollout is inconclusive."""


class Replay(Wire):
    """Cases that are asked of both arms of a canary, where callers are few."""

    cases: SetName
    """An evaluation set. Its answers count like those of callers; their texts are not judged."""
    per_minute: Annotated[float, Field(gt=0, le=600)] = 6.0
    """How many cases at most; they give way to callers."""


class QueryCheck(Wire):
    """A query to a Prometheus, and what its value may be; beyond that, the candidate is taken back.

    What it asks is set with the installation, by name, so that no tenant asks for others' figures.
    """

    query: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
    """Its name in the gateway's settings."""
    at_least: Annotated[float | None, Field(allow_inf_nan=False)] = None
    at_most: Annotated[float | None, Field(allow_inf_nan=False)] = None

    @model_validator(mode="after")
    def _has_a_threshold(self) -> QueryCheck:
        if self.at_least is None and self.at_most is None:
            raise ValueError("a query has a threshold; give `at_most`, `at_least` or both")
        return self


class Analysis(Wire):
    """What the candidate must not be worse at than the stable release, and how it is told.

    A margin is a difference of rates, 0 to 1; a check without one is not made.
    """

    min_samples: Annotated[int, Field(ge=1, le=1_000_000)] = 50
    """Answers of the candidate that a step must have before the next one begins."""
    max_duration_seconds: Annotated[float, Field(gt=0, le=90 * 86_400)] = 86_400.0
    """A step that has too few samples after so long makes the rollout inconclusive."""
    false_rollback_rate: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """The probability at most that a candidate which is not worse is ever rolled back."""
    errors: Annotated[float | None, Field(ge=0, le=1)] = 0.0
    """Answers that failed, also in mid-stream."""
    abstentions: Annotated[float | None, Field(ge=0, le=1)] = None
    """Answers that say that the documents do not tell."""
    invalid_citations: Annotated[float | None, Field(ge=0, le=1)] = 0.05
    """Answers that cited a passage which they were not given."""
    uncited_answers: Annotated[float | None, Field(ge=0, le=1)] = 0.05
    """Answers that were given passages and cite none of them; those that say that the documents do
    not tell are not among them."""
    unsupported_answers: Annotated[float | None, Field(ge=0, le=1)] = 0.05
    """Answers whose support is less than `unsupported_below`, of those that cite something."""
    unsupported_below: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Support is the share of a sentence's words that stands in what it cites, on average over an
    answer's sentences with citations; 0 for one with a number that does not stand there."""
    slow_answers: Annotated[float | None, Field(ge=0, le=1)] = 0.05
    """Answers whose first token took longer than `slow_after_ms`."""
    slow_after_ms: Annotated[float, Field(gt=0)] = 5_000.0
    slow_streams: Annotated[float | None, Field(ge=0, le=1)] = 0.05
    """Streamed answers whose engine took more than `slow_stream_after_ms` from one token to the
    next, on average over the answer's tokens after the first."""
    slow_stream_after_ms: Annotated[float, Field(gt=0)] = 200.0
    long_answers: Annotated[float | None, Field(ge=0, le=1)] = None
    """Answers of more than `long_after_tokens` tokens."""
    long_after_tokens: Annotated[int, Field(ge=1)] = 1_000
    costly_answers: Annotated[float | None, Field(ge=0, le=1)] = None
    """Answers that cost more than `costly_after_usd`, the rewriting of their question included."""
    costly_after_usd: Annotated[float | None, Field(gt=0)] = None
    """US dollars for one answer; what one may cost, only its operator knows."""
    bad_feedback: Annotated[float | None, Field(ge=0, le=1)] = 0.05
    """Answers that a reader scored below 0.5, of those that were scored."""
    queries: Annotated[list[QueryCheck], Field(max_length=8)] = Field(default_factory=list)
    """What a Prometheus must say as well; a step waits for the answers to all of them."""
    replay: Replay | None = None
    """Traffic beside that of callers; None for none."""

    @model_validator(mode="after")
    def _costly_is_said(self) -> Analysis:
        if self.costly_answers is not None and self.costly_after_usd is None:
            raise ValueError(
                "`costly_answers` counts answers above `costly_after_usd`; name the dollars there"
            )
        return self


class RolloutWrite(Wire):
    """The body of `POST /admin/assistants/{name}/rollouts`."""

    bundle: AssistantWrite
    """What the candidate release is made of."""
    strategy: Strategy = "canary"
    """`immediate` promotes as soon as every live replica has proven the adapter."""
    gate: Gate | None = None
    """None begins without an evaluation."""
    allow_without_evidence: bool = False
    """Bring an adapter that no evaluation has adopted, without a gate; kept in the audit log."""
    shadow: Shadow | None = None
    """Of a `shadow_canary`; its defaults when left out."""
    steps: Annotated[list[Step], Field(max_length=32)] = Field(
        default_factory=lambda: [Step(weight=weight) for weight in DEFAULT_WEIGHTS]
    )
    """The steps of a canary, with rising weights; after the last one it is promoted."""
    analysis: Analysis | None = Analysis()
    """None goes by time alone."""

    @property
    def shadowing(self) -> Shadow | None:
        """How the candidate answers unseen; None when it does not."""
        return (self.shadow or Shadow()) if self.strategy == "shadow_canary" else None

    @model_validator(mode="after")
    def _shadow_is_compared(self) -> RolloutWrite:
        if self.shadow is not None and self.strategy != "shadow_canary":
            raise ValueError("a shadow belongs to the strategy `shadow_canary`; name that one")
        if self.shadowing is not None and self.analysis is None:
            raise ValueError("a shadow is compared by an analysis; leave `analysis` at its default")
        return self

    @model_validator(mode="after")
    def _weights_rise(self) -> RolloutWrite:
        if self.strategy == "immediate":
            return self
        weights = [step.weight for step in self.steps]
        if not weights or any(b <= a for a, b in pairwise(weights)):
            raise ValueError(
                "a canary has steps whose weights rise, such as 5, 25, 50; it is promoted after "
                "the last one"
            )
        return self


class RateSeen(Wire):
    """How often something happened on one arm."""

    events: int
    trials: int


class CheckSeen(Wire):
    """What one check of the analysis says at the moment."""

    check: Literal[
        "errors",
        "abstentions",
        "invalid_citations",
        "uncited_answers",
        "unsupported_answers",
        "slow_answers",
        "slow_streams",
        "long_answers",
        "costly_answers",
        "bad_feedback",
    ]
    margin: float
    stable: RateSeen
    candidate: RateSeen
    worse: bool
    """Whether the candidate is certainly worse by more than the margin."""


ArmName = Literal["stable", "candidate"]
"""One of the two releases that answer callers."""


class ArmSeen(Wire):
    """What the answers of one arm took, on average; none where nothing was measured."""

    answers: int
    first_token_ms: float | None
    """From the request's arrival."""
    inter_token_ms: float | None
    """From one token of a stream to the next, at the engine."""
    prompt_tokens: float | None
    completion_tokens: float | None
    support: float | None = None
    """How well answers with citations are supported by what they cite."""
    cost_usd: float | None


class QuerySeen(Wire):
    """What a Prometheus says to one query at the moment."""

    query: str
    at_least: float | None
    at_most: float | None
    value: float | None
    why: str | None
    """Why there is no value."""
    broken: bool
    """Whether the value is beyond a threshold."""


class Rollout(Wire):
    """A rollout and where it stands."""

    id: str
    object: Literal["rollout"] = "rollout"
    assistant: AssistantName
    state: RolloutState
    strategy: Strategy
    gate: Gate | None
    shadow: Shadow | None
    stable: str
    """The release that the assistant served when it began, `<assistant>/<number>`."""
    candidate: str
    """The release that it brings."""
    steps: list[Step]
    step: int
    """The present step, counted from 0; -1 before the first."""
    weight: float
    """Percent of the callers that the candidate answers now."""
    analysis: Analysis | None
    reason: str | None
    """Why it stands where it stands."""
    created_at: int
    created_by: str
    """The id of the key that began it."""
    entered_at: float
    """When it came to the present state and step, in seconds since the epoch."""
    version: int
    """Grows with every change."""
    answers: int = 0
    """Answers of the candidate in the present step, or unseen ones; only when one rollout is
    read."""
    checks: list[CheckSeen] = Field(default_factory=list)
    """What the analysis sees now; only when one rollout is read, and it serves."""
    queries: list[QuerySeen] = Field(default_factory=list)
    """The same of its queries, as the gateway that is asked last heard it."""
    arms: dict[ArmName, ArmSeen] = Field(default_factory=dict)
    """What answers took while both arms answered; only when one rollout is read."""


class RolloutPage(Wire):
    """An assistant's rollouts, newest first."""

    object: Literal["list"] = "list"
    data: list[Rollout]
    has_more: bool
