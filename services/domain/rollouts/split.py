"""Which callers the candidate answers: sticky, and monotone as the share grows."""

from __future__ import annotations

import hashlib

_WHOLE = 2**64


def position(rollout: str, subject: str) -> float:
    """Place a subject in [0, 1), the same for every process and every turn of a chat.

    Another rollout places it anew, so that nobody is always among the first.

    Args:
        rollout: the rollout's id.
        subject: the conversation, the end user, or the beginning of the chat.
    """
    digest = hashlib.sha256(f"{rollout}\n{subject}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / _WHOLE


def chosen(rollout: str, subject: str, percent: float) -> bool:
    """Tell whether the candidate answers a subject at a weight of 0 to 100 percent.

    Whoever is chosen at a weight is chosen at every greater one.
    """
    return position(rollout, subject) * 100 < percent


def subject_of(
    *, conversation: str | None, end_user: str | None, key: str, first_words: str
) -> str:
    """Name what stays on one arm: the conversation, else the end user, else how the chat began.

    Each is the key's own: two apps whose conversations bear the same id are two subjects.
    """
    if conversation:
        return f"{key}\nconversation\n{conversation}"
    if end_user:
        return f"{key}\nuser\n{end_user}"
    return f"{key}\nwords\n{first_words}"
