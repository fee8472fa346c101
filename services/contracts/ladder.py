"""The ladder: ways to answer from the cheapest up, measured on the same cases, and the advice."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.contracts.costs import Dollars, TokenPrice
from services.contracts.evaluations import ArmFigures, Judges, PairFigures, Verdict
from services.contracts.wire import Wire


class OwnHardware(Wire):
    """A machine of one's own, priced by the hour; its throughput is what the run measures."""

    usd_per_hour: Dollars
    utilisation: Annotated[float, Field(gt=0, le=1)] = 0.5
    """How busy a machine may be on average, so that peaks find room."""


class LadderPrices(Wire):
    """What answering and training cost; none are built in."""

    own: OwnHardware | None = None
    """What the engines run on; without it the gateway's own token prices count."""
    training_usd_per_hour: Dollars | None = None
    """Of the machine that trains; as `own` when unset."""
    hosted: dict[str, TokenPrice] = Field(default_factory=dict)
    """By the name of a target's model."""


class RungTraining(Wire):
    """What it took once to get to a rung."""

    job: str
    adapter: str
    rows: int
    trained_tokens: int
    seconds: float
    """From the moment a worker had the job until the adapter was there."""
    usd: float | None = None


class RungComparison(Wire):
    """A rung beside another one, on the same cases."""

    rung: str
    """The other one."""
    pairs: PairFigures
    """`gained` are cases that only the rung itself passed."""


class RungFigures(Wire):
    """What one rung showed."""

    name: str
    figures: ArmFigures
    p50_ms: float
    p95_ms: float
    cached_tokens: float
    """Of the prompt tokens of a request, on average."""
    usd_per_100k: float | None
    """Of 100,000 requests; none where no price is known."""
    training: RungTraining | None = None
    below: RungComparison | None = None
    """Beside the rung before it."""
    first: RungComparison | None = None
    """Beside the first rung."""
    advised: RungComparison | None = None
    """The advised rung beside this one: `gained` are cases that only the advised one passed."""
    break_even_requests: int | None = None
    """From so many requests on it costs less than the cheapest rung that is good enough, what is
    spent once included; none for never, and for that rung itself."""


class RungLeftOut(Wire):
    """A rung that was asked for and not measured."""

    name: str
    reason: str


class LadderAdvice(Wire):
    """What the decision tree says."""

    verdict: Verdict
    """`adopt` the rung, `reject` every change, or `insufficient` cases to tell."""
    rung: str
    """The rung to answer with; with `reject` and `insufficient`, the one to stay at."""
    headline: str
    reasons: list[str]
    """One sentence for each rung, in the order of the ladder."""
    next_steps: list[str]
    more_cases: int = 0


class LadderReport(Wire):
    """Everything that a ladder found."""

    assistant: str
    base: str
    dataset_hash: str
    """12 hex of the sha256 of the cases."""
    train_hash: str | None
    """12 hex of the sha256 of the training file."""
    cases: int
    repeats: int
    concurrent: int
    """Requests at a time; latencies and machine hours are at this load."""
    seed: int
    enough: float
    """The share of cases from which a rung is good enough."""
    prices: LadderPrices
    judges: Judges = Judges()
    rungs: list[RungFigures]
    left_out: list[RungLeftOut]
    advice: LadderAdvice
    cautions: list[str]
