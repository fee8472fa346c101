"""The order of training: every row, like lengths together, the same for the same seed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.tuner.datasets.batching import training_order


@given(
    lengths=st.lists(st.integers(1, 500), min_size=1, max_size=200),
    batch=st.integers(1, 9),
    seed=st.integers(0, 5),
)
def test_an_epoch_takes_every_row_once(lengths: list[int], batch: int, seed: int) -> None:
    order = training_order(lengths, batch=batch, epochs=1, seed=seed)
    assert sorted(order) == list(range(len(lengths)))
    assert order == training_order(lengths, batch=batch, epochs=1, seed=seed)


def test_every_epoch_has_an_order_of_its_own() -> None:
    order = training_order(list(range(64)), batch=4, epochs=2, seed=1)
    assert sorted(order[:64]) == sorted(order[64:])
    assert order[:64] != order[64:]


def test_a_fraction_of_an_epoch_takes_that_share() -> None:
    assert len(training_order([5] * 30, batch=4, epochs=1.5, seed=1)) == 45


def test_a_batch_holds_like_lengths() -> None:
    lengths = [length for length in (10, 20, 30, 40) for _ in range(8)]
    order = training_order(lengths, batch=4, epochs=1, seed=3)
    batches = [order[at : at + 4] for at in range(0, 32, 4)]
    assert all(len({lengths[row] for row in batch}) == 1 for batch in batches)
