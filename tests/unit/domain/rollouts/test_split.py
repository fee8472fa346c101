"""Who is on which arm: sticky, monotone, even, and each key's own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.domain.rollouts.split import chosen, position, subject_of

SUBJECTS = 20_000


@given(st.text(max_size=40), st.floats(0, 100), st.floats(0, 100))
def test_whoever_is_chosen_stays_chosen_as_the_weight_grows(
    subject: str, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    assert chosen("ro_1", subject, high) or not chosen("ro_1", subject, low)
    assert chosen("ro_1", subject, 100)
    assert not chosen("ro_1", subject, 0)


def test_positions_are_spread_evenly() -> None:
    tenths = [0] * 10
    for number in range(SUBJECTS):
        tenths[int(position("ro_1", f"chat {number}") * 10)] += 1
    # Four standard deviations of a tenth of that many: sqrt(n * 0.1 * 0.9) = 42.
    assert all(abs(count - SUBJECTS / 10) < 4 * 42.5 for count in tenths)


def test_another_rollout_chooses_anew() -> None:
    both = sum(
        chosen("ro_1", f"chat {n}", 50) and chosen("ro_2", f"chat {n}", 50) for n in range(SUBJECTS)
    )
    # A quarter, within four standard deviations.
    assert abs(both - SUBJECTS / 4) < 4 * 61.3


def test_a_conversation_counts_before_an_end_user_and_both_before_the_first_words() -> None:
    def subject(conversation: str | None, end_user: str | None, words: str = "안녕") -> str:
        return subject_of(
            conversation=conversation, end_user=end_user, key="key-1", first_words=words
        )

    assert subject("c", "u") == subject("c", "v", "bye")
    assert subject(None, "u") == subject(None, "u", "bye")
    assert subject(None, None) != subject(None, None, "bye")
    # A conversation and an end user of the same name are two subjects, as are those of two keys.
    assert subject("same", None) != subject(None, "same") != subject(None, None, "same")
    other = subject_of(conversation="c", end_user=None, key="key-2", first_words="")
    assert other != subject("c", None)
