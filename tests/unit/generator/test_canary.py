"""How the shift from the base is measured."""

import pytest

from services.generator.adapters.canary import mean_shift


def test_the_same_log_probabilities_are_no_shift() -> None:
    place = {"yes": -0.1, "no": -2.0}
    assert mean_shift([place], [dict(place)]) == 0.0


def test_differences_are_averaged_over_tokens_and_questions() -> None:
    base = [{"a": -1.0, "b": -2.0}, {"c": -1.0}]
    adapted = [{"a": -1.5, "b": -2.0}, {"c": -2.0}]
    assert mean_shift(base, adapted) == pytest.approx((0.5 + 0.0 + 1.0) / 3)


def test_a_token_that_one_side_does_not_name_counts_as_its_least_likely() -> None:
    assert mean_shift([{"a": -1.0, "b": -4.0}], [{"a": -1.0, "c": -3.0}]) == pytest.approx(
        (0.0 + abs(-4.0 - -3.0) + abs(-4.0 - -3.0)) / 3
    )
