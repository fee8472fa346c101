"""What answering costs: a scenario to compare, and what was spent."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from services.contracts.wire import Wire

Dollars = Annotated[float, Field(ge=0, le=1e9)]


class TokenPrice(Wire):
    """What a hosted model charges, in US dollars per million tokens."""

    prompt: Dollars
    completion: Dollars
    cached: Dollars | None = None
    """Of prompt tokens that were cached; as any other prompt token if unset."""


class Hardware(Wire):
    """Machines of one's own that run all month, busy or not."""

    usd_per_hour: Dollars
    tokens_per_second: Annotated[float, Field(gt=0)]
    """Prompt and completion tokens that one machine was measured to get through."""
    machines: Annotated[int, Field(ge=1, le=100_000)] = 1
    utilisation: Annotated[float, Field(gt=0, le=1)] = 0.5
    """How busy a machine may be on average, so that peaks find room."""


class TrainingCost(Wire):
    """What it takes once to make an adapter."""

    rows: Annotated[int, Field(ge=0)] = 0
    tokens_per_row: Annotated[int, Field(ge=0)] = 0
    epochs: Annotated[float, Field(gt=0)] = 1.0
    usd_per_million: Dollars = 0.0
    other_usd: Dollars = 0.0
    """Making the rows, say by a teacher."""


class CostOption(Wire):
    """One way to answer."""

    name: Annotated[str, Field(min_length=1, max_length=80)]
    prompt_tokens: Annotated[int, Field(ge=0)]
    """Of one request."""
    completion_tokens: Annotated[int, Field(ge=0)]
    cached_tokens: Annotated[int, Field(ge=0)] = 0
    """Of the prompt tokens."""
    price: TokenPrice | None = None
    hardware: Hardware | None = None
    training: TrainingCost = TrainingCost()

    @model_validator(mode="after")
    def _one_way_to_pay(self) -> CostOption:
        if (self.price is None) is (self.hardware is None):
            raise ValueError("an option has a `price` by the token, or `hardware` by the hour")
        if self.cached_tokens > self.prompt_tokens:
            raise ValueError("`cached_tokens` are part of `prompt_tokens`")
        return self


class CostScenario(Wire):
    """Ways to answer the same requests; the first one is what the others are compared with."""

    requests_per_month: Annotated[int, Field(ge=1)]
    options: Annotated[list[CostOption], Field(min_length=1, max_length=32)]


class Spent(Wire):
    """What the answers of one release cost in a stretch of time."""

    assistant: str | None
    """None for direct calls of a base or an adapter version."""
    release: str | None
    arm: str
    requests: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    cost_usd: float


class SpentPage(Wire):
    """The tenant's costs, the largest first."""

    object: Literal["list"] = "list"
    since: float
    until: float
    """Seconds since the epoch; the end is left out."""
    data: list[Spent]
    has_more: bool = False
