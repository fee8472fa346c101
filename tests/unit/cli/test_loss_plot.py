"""Losses as a picture of characters."""

from __future__ import annotations

from services.cli.loss_plot import COLUMNS, MEASURED, ROWS, TRAINED, plot


def rows_of(picture: str) -> list[str]:
    return [line.partition("┤")[2] for line in picture.splitlines()[:ROWS]]


def test_a_loss_that_falls_falls_in_the_picture() -> None:
    rows = rows_of(plot({step: 10.0 - step for step in range(1, 10)}, {}))
    marked = ((c, r) for r in range(ROWS) for c, sign in enumerate(rows[r]) if sign == TRAINED)
    places = [row for _, row in sorted(marked)]
    assert places == sorted(places)
    assert places[0] == 0
    assert len(places) == 9


def test_many_steps_share_a_column_and_both_losses_are_told_apart() -> None:
    picture = plot(dict.fromkeys(range(1, 1001), 1.0), {1000: 0.5})
    assert max(map(len, rows_of(picture))) <= COLUMNS
    assert f"{MEASURED} loss of held-out rows" in picture
    assert sum(row.count(MEASURED) for row in rows_of(picture)) == 1


def test_nothing_measured_is_no_picture() -> None:
    assert plot({}, {}) == ""
    assert TRAINED in plot({1: 0.0}, {})
