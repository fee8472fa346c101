"""What a rung costs by the request, and from how many requests on it is the cheaper way."""

from __future__ import annotations

import math
from collections.abc import Sequence

from services.contracts.costs import TokenPrice
from services.contracts.evaluations import AnswerResult
from services.contracts.ladder import LadderPrices, OwnHardware
from services.domain.ladder.rungs import Rung
from services.domain.pricing import Prices

PRICED_REQUESTS = 100_000

_SECONDS_AN_HOUR = 3600


def usd_per_100k(
    rung: Rung, answers: Sequence[AnswerResult], prices: LadderPrices, concurrent: int
) -> float | None:
    """Price 100,000 requests, in US dollars; None where no price is known.

    A hosted model is paid by its tokens. A machine of one's own is paid by the hours that it is
    busy with the rung's requests, at the load of the run; without its price, the gateway's own
    prices by the token count, where it has any.
    """
    good = [one for one in answers if one.error is None]
    if not good:
        return None
    if rung.target is not None:
        price = prices.hosted.get(rung.target)
        each = _by_tokens(good, price) if price else None
    elif prices.own is not None:
        each = _by_the_hour(good, prices.own, concurrent)
    else:
        each = sum(one.cost_usd for one in good) / len(good) or None
    return None if each is None else each * PRICED_REQUESTS


def training_usd(seconds: float, prices: LadderPrices) -> float | None:
    """Price a training, in US dollars; None where no price is known."""
    hourly = prices.training_usd_per_hour
    if hourly is None and prices.own is not None:
        hourly = prices.own.usd_per_hour
    return None if hourly is None else seconds / _SECONDS_AN_HOUR * hourly


def break_even(
    first_per_100k: float, first_once: float, other_per_100k: float, other_once: float
) -> int | None:
    """Tell from how many requests on the other costs less in all; None for never."""
    saved = (first_per_100k - other_per_100k) / PRICED_REQUESTS
    if saved <= 0:
        return None
    # Amounts of dollars are seldom what they seem in binary.
    return max(math.floor(round((other_once - first_once) / saved, 6)) + 1, 1)


def _by_tokens(answers: Sequence[AnswerResult], price: TokenPrice) -> float:
    cached = price.prompt if price.cached is None else price.cached
    total = Prices(price.prompt, cached, price.completion).cost(
        prompt=sum(one.prompt_tokens for one in answers),
        cached=sum(one.cached_tokens for one in answers),
        completion=sum(one.completion_tokens for one in answers),
    )
    return total / len(answers)


def _by_the_hour(answers: Sequence[AnswerResult], own: OwnHardware, concurrent: int) -> float:
    seconds = sum(one.milliseconds for one in answers) / 1000 / len(answers) / concurrent
    return seconds / _SECONDS_AN_HOUR * own.usd_per_hour / own.utilisation
