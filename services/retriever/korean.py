"""Particles of Korean words: glued to the noun before them, they say nothing about the subject.

A pair of characters that reaches from a noun into its particle (`청은` of `신청은`) is rare among
passages by accident, and would count more than the noun itself.
"""

from __future__ import annotations

import re

_LISTED = """
은 는 이 가 을 를 의 에 도 로 와 과 만 에서 에게 으로 까지 부터 에는 에도 이나 이란 이라는 라는 처럼
보다 마다 이며 이고 에서는 에게는 으로는 에서의 까지는 부터는
"""

PARTICLES = tuple(sorted(_LISTED.split(), key=len, reverse=True))
"""Endings that are taken for particles, longest first."""

SHORTEST_STEM = 2
"""Characters that must be left, because short words end like particles (`나이`, `회의`)."""

_WORD = re.compile("[가-힣]+")


def bare(text: str) -> str:
    """Take the particle off every Hangul word.

    A word that only looks as if it had one loses it too, so this is for weighing what a question
    asks, not for what a passage holds.
    """
    return _WORD.sub(lambda found: _stem(found.group()), text)


def _stem(word: str) -> str:
    for particle in PARTICLES:
        if word.endswith(particle) and len(word) - len(particle) >= SHORTEST_STEM:
            return word[: -len(particle)]
    return word
