"""From a follow-up question to one that can be searched for by itself, without a model.

`And in Korea?` is searched for together with what the questions before it were about: first the
question as it was asked, then the telling words of those that it leans on. A question that stands
alone stays alone, so that a new subject is not mixed with the old one. Measured by
`benchmarks/follow_up.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.domain import follow_up_english, follow_up_korean

MAX_CHAIN = 4
"""How many earlier questions a follow-up of follow-ups may reach back."""

LONGEST_FOLLOW_UP = 300
"""Characters; a longer question is taken to say what it is about."""

LONGEST_SUBJECT = 200
"""Characters that one earlier question adds at most, from its end."""

_LAST_LATIN = "\u024f"


def standalone(questions: Sequence[str], *, limit: int) -> str:
    """Make the last question one that can be searched for.

    Args:
        questions: what the user asked so far, oldest first; at least one.
        limit: characters of the result at most; the subject of earlier questions is cut, never the
            question itself.
    """
    last = len(questions) - 1
    begin = last
    while begin > 0 and last - begin < MAX_CHAIN and leans(questions[begin]):
        begin -= 1
    question = questions[last].strip()
    subject = dict.fromkeys(w for earlier in questions[begin:last] for w in _subject(earlier))
    joined = " ".join((question, *subject))
    return joined[: max(limit, len(question))]


def leans(question: str) -> bool:
    """Tell whether a question leans on earlier ones; in a script that is neither, it never does."""
    if len(question) > LONGEST_FOLLOW_UP:
        return False
    if _holds_hangul(question):
        return follow_up_korean.leans(question)
    foreign = any(character > _LAST_LATIN and character.isalpha() for character in question)
    return not foreign and follow_up_english.leans(question)


def _subject(question: str) -> list[str]:
    """List the last telling words of a question."""
    end = question[-LONGEST_SUBJECT:]
    if _holds_hangul(end):
        return follow_up_korean.subject_words(end)
    return follow_up_english.subject_words(end)


def _holds_hangul(text: str) -> bool:
    return any("가" <= character <= "힣" for character in text)
