"""How long to train where nobody says."""

from __future__ import annotations

import pytest

from services.tuner.recipe import Recipe


@pytest.mark.parametrize(
    ("sequences", "batch", "epochs"),
    [(10, 2, 5), (80, 2, 5), (150, 2, 4), (500, 2, 2), (501, 4, 2), (900, 4, 1), (9000, 8, 1)],
)
def test_few_rows_are_seen_in_small_steps_and_more_often(
    sequences: int, batch: int, epochs: float
) -> None:
    settled = Recipe().settled(sequences)
    assert (settled.batch, settled.epochs) == (batch, epochs)


def test_what_somebody_said_stays() -> None:
    settled = Recipe(batch=8).settled(100)
    assert (settled.batch, settled.epochs) == (8, 5)
    settled = Recipe(epochs=0.5, rank=4).settled(100)
    assert (settled.batch, settled.epochs, settled.rank) == (2, 0.5, 4)


def test_a_recipe_that_went_over_the_command_line_still_knows_what_was_said() -> None:
    sent = Recipe.model_validate_json(Recipe(epochs=3).model_dump_json(exclude_unset=True))
    assert sent.settled(100).epochs == 3
    assert sent.settled(100).batch == 2
