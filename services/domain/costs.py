"""What answering costs by the month, and from when on one way is cheaper than another."""

from __future__ import annotations

import math
from dataclasses import dataclass

from services.contracts.costs import CostOption, TrainingCost

HOURS_A_MONTH = 730.0
"""A twelfth of a year."""

SECONDS_A_MONTH = HOURS_A_MONTH * 3600

PER_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Bill:
    """What one option costs."""

    monthly: float
    """US dollars."""
    once: float
    """US dollars before the first answer."""
    machines: int
    """Of one's own; 0 when tokens are paid for."""
    tokens_per_request: int

    def for_requests(self, count: int, requests_per_month: int) -> float:
        """What so many requests cost at this month's volume, in US dollars."""
        return self.monthly * count / requests_per_month


def bill_of(option: CostOption, requests_per_month: int) -> Bill:
    """Work out what an option costs at a volume.

    By tokens: (uncached x prompt price + cached x cached price + completion x completion price) x
    requests. By the hour: machines x 730 h x price, as many machines as the month's tokens need
    at the measured throughput and the allowed utilisation, and no fewer than are kept.
    """
    once = training_cost(option.training)
    tokens = option.prompt_tokens + option.completion_tokens
    if option.price is not None:
        return Bill(_by_tokens(option) * requests_per_month, once, 0, tokens)
    hardware = option.hardware
    assert hardware is not None
    needed = tokens * requests_per_month / SECONDS_A_MONTH
    room = hardware.tokens_per_second * hardware.utilisation
    machines = max(hardware.machines, math.ceil(needed / room))
    return Bill(machines * HOURS_A_MONTH * hardware.usd_per_hour, once, machines, tokens)


def training_cost(training: TrainingCost) -> float:
    """Work out what making an adapter costs, in US dollars."""
    tokens = training.rows * training.tokens_per_row * training.epochs
    return tokens * training.usd_per_million / PER_MILLION + training.other_usd


def months_to_pay_back(first: Bill, other: Bill) -> float | None:
    """Tell after how many months the other has paid for what it costs once; None for never."""
    saved = first.monthly - other.monthly
    if saved <= 0:
        return None
    return max(other.once - first.once, 0.0) / saved


def volume_to_break_even(first: CostOption, other: CostOption) -> int | None:
    """Tell from how many requests a month on the other costs less by the month; None for never.

    Machines are paid for whether or not they are busy, so few requests are cheaper by the token.
    Two ways that are both paid by the token, or both by the hour, have no such point.
    """
    if first.price is None or other.hardware is None:
        return None
    each, count = _by_tokens(first), 1
    # Costs rise by whole machines; the first volume that pays for the next number of them is it.
    for machines in range(other.hardware.machines, other.hardware.machines + 10_000):
        monthly = machines * HOURS_A_MONTH * other.hardware.usd_per_hour
        count = math.floor(monthly / each) + 1 if each else 0
        if count == 0:
            return None
        if bill_of(other, count).machines <= machines:
            return count
    return None


def _by_tokens(option: CostOption) -> float:
    """Price one request in US dollars."""
    price = option.price
    assert price is not None
    cached = price.prompt if price.cached is None else price.cached
    total = (option.prompt_tokens - option.cached_tokens) * price.prompt
    total += option.cached_tokens * cached + option.completion_tokens * price.completion
    return total / PER_MILLION
