"""The decision tree: every way in which three rungs may turn out, and each sentence once."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import product
from statistics import fmean

import pytest

from services.contracts.ladder import LadderAdvice
from services.domain.evaluation.pairs import difference_of, pairs_of
from services.domain.ladder.advice import advise
from services.domain.ladder.rungs import Rung, rungs_of
from services.domain.ladder.steps import Step

CASES = 100


def rung(name: str) -> Rung:
    (found,) = rungs_of(name)
    return found


def step(name: str, passed: int, *, of: int = CASES, first: int = 0, **fields: object) -> Step:
    """A rung that passes `passed` of its cases, beginning at the case `first`."""
    passes = [(place - first) % of < passed for place in range(of)]
    return Step(rung(name), passes, **fields)  # type: ignore[arg-type]  # the fields of Step


def advised(*steps: Step, retrieves: bool = True, enough: float = 0.85) -> LadderAdvice:
    return advise(steps, retrieves=retrieves, enough=enough)


SHARES = (0, 30, 50, 60, 65, 80, 95)
SHIFTS = (0, 40)


@pytest.mark.parametrize("first", SHARES)
def test_nothing_is_taken_that_is_not_surely_better_and_nothing_that_is_not_needed(
    first: int,
) -> None:
    for second, third, *shifts in product(SHARES, SHARES, SHIFTS, SHIFTS):
        steps = [
            step("zero-shot", first),
            step("few-shot", second, first=shifts[0]),
            step("lora-100", third, first=shifts[1]),
        ]
        found = advised(*steps)
        check_what_is_taken(steps, found)
        assert len(found.reasons) == 3
        assert found.rung in found.headline
        told = [found.headline, *found.reasons, *found.next_steps]
        assert all(one.endswith(".") and "  " not in one for one in told)


def check_what_is_taken(steps: Sequence[Step], found: LadderAdvice) -> None:
    taken = next(one for one in steps if one.name == found.rung)
    below = steps[: list(steps).index(taken)]
    differences = [difference_of(pairs_of(steps[0].passes, one.passes)) for one in steps]
    surely = [one.name for one, d in zip(steps, differences, strict=True)
              if d.p < 0.025 and d.value > 0]  # fmt: skip
    if below:
        assert found.verdict == "adopt"
        assert all(one.share < 0.85 for one in below)
        assert taken.name in surely
    elif steps[0].share >= 0.85:
        assert found.verdict == "adopt"
    else:
        assert surely == []
        assert found.verdict == ("insufficient" if found.more_cases else "reject")


def test_a_first_rung_that_is_enough_is_the_end_of_it() -> None:
    found = advised(step("zero-shot", 90), step("lora-1000", 100))
    assert (found.verdict, found.rung) == ("adopt", "zero-shot")
    assert "is better still than zero-shot, which is enough already" in found.reasons[1]
    assert found.next_steps == []


def test_the_cheapest_rung_that_is_enough_is_taken() -> None:
    found = advised(step("zero-shot", 50), step("few-shot", 88), step("lora-1000", 99))
    assert (found.rung, found.verdict) == ("few-shot", "adopt")
    assert "which is enough, and no cheaper rung does" in found.headline
    assert "pays for the examples" in found.next_steps[0]


def test_without_an_improvement_nothing_is_adopted() -> None:
    found = advised(step("zero-shot", 50), step("few-shot", 50), step("lora-100", 20))
    assert found.verdict == "insufficient" if found.more_cases else "reject"
    assert "worse than zero-shot" in found.reasons[2]
    many = advised(step("zero-shot", 500, of=1000), step("few-shot", 500, of=1000))
    assert (many.verdict, many.rung) == ("reject", "zero-shot")
    assert "nothing is adopted without an improvement" in many.headline
    assert "no improvement over zero-shot" in many.reasons[1]


def test_cases_that_are_too_few_are_said_with_their_number() -> None:
    found = advised(step("zero-shot", 50), step("few-shot", 58, first=5))
    assert found.verdict == "insufficient"
    assert found.more_cases > 0
    assert f"about {found.more_cases} more" in found.headline
    few = advised(step("zero-shot", 0, of=8), step("lora-100", 8, of=8))
    assert (few.verdict, few.more_cases) == ("insufficient", 12)


@pytest.mark.parametrize(
    ("before", "after", "because"),
    [
        ("zero-shot", "rag", "facts belong there"),
        ("zero-shot", "structured", "a schema can say the form"),
        ("zero-shot", "cot", "needs steps"),
        ("zero-shot", "few-shot", "can show what it could not say"),
        ("few-shot", "lora-100", "no prompt conveys"),
        ("lora-100", "lora-1000", "more rows taught it more"),
        ("lora-1000", "rag+lora-1000", "facts belong there"),
        ("rag", "rag+lora-100", "no prompt conveys"),
    ],
)
def test_a_gain_says_what_it_tells_of_the_task(before: str, after: str, because: str) -> None:
    found = advised(step(before, 40), step(after, 80))
    assert because in found.reasons[1]


def test_what_breaks_a_guard_is_not_taken() -> None:
    guards = [True] * 40
    found = advised(
        step("zero-shot", 50, guards=guards),
        step("lora-100", 95, guards=[False] * 20 + [True] * 20),
        step("lora-1000", 90, guards=guards),
    )
    assert found.rung == "lora-1000"
    assert "fails guard cases" in found.reasons[1]


def test_a_cheaper_way_that_is_as_good_is_named_with_its_volume() -> None:
    found = advised(
        step("zero-shot", 50, usd_per_100k=2.0),
        step("few-shot", 90, usd_per_100k=10.0),
        step("lora-100", 91, usd_per_100k=2.0, usd_once=4.0),
    )
    assert found.rung == "few-shot"
    assert "costs $2.00 for 100,000 requests instead of $10.00: from 50,001" in found.next_steps[0]


def test_a_hosted_model_is_compared_but_never_taken() -> None:
    hosted = Step(rung("zero-shot").on("gpt-x"), [True] * CASES, usd_per_100k=300.0)
    found = advised(
        step("zero-shot", 50, usd_per_100k=1.0),
        step("lora-100", 80, usd_per_100k=1.0, usd_once=2.99),
        hosted,
    )
    assert found.rung == "lora-100"
    assert "gpt-x:zero-shot is better than lora-100" in found.reasons[2]
    assert "$300 against $1.00 for 100,000 requests" in found.reasons[2]
    assert "pays off from 1,001 requests on" in found.reasons[2]
    assert any("let it write rows" in one for one in found.next_steps)
    with pytest.raises(ValueError, match="alone is no ladder"):
        advised(hosted)


def test_what_to_try_next_depends_on_what_was_tried() -> None:
    bare = advised(step("zero-shot", 10), retrieves=False)
    assert "bind a collection" in bare.next_steps[0]
    assert "measure lora-100" in bare.next_steps[1]
    some = advised(step("zero-shot", 10), step("lora-100", 50))
    assert "500 to 1,000 clean rows" in some.next_steps[0]
    many = advised(step("zero-shot", 10), step("lora-1000", 50))
    assert "More than 1,000 rows" in many.next_steps[0]


def test_rungs_that_are_all_alike_are_seldom_told_apart() -> None:
    """Of 400 ladders of eight rungs with the same true share no more than 5 in 100 err."""
    chance, names = random.Random(5), ["zero-shot", *(f"few-shot-{n}" for n in range(1, 8))]

    def passes() -> Sequence[bool]:
        return [chance.random() < 0.5 for _ in range(60)]

    errors = [
        advise([Step(rung(name), passes()) for name in names], retrieves=False).rung != "zero-shot"
        for _ in range(400)
    ]
    assert fmean(errors) <= 0.05
