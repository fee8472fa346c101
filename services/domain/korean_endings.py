"""What Korean words end in: particles and endings of verbs; voices differ in them, facts do not.

`2,500원입니다`, `2,500원이에요` and `2,500원은` say the same of a price.
"""

from __future__ import annotations

_LISTED = """
은 는 이 가 을 를 의 에 도 로 와 과 만 나 며 고 요 에서 에게 께서 으로 까지 부터 에는 에도 이나
이란 이라 이라는 라는 라고 처럼 보다 마다 이며 이고 에서는 에게는 으로는 까지는 부터는 니다 입니다
습니다 답니다 랍니다 십니다 이다 예요 에요 이에요 네요 군요 지요 죠 이죠 어요 아요 여요 해요 세요
으세요 합니다 하세요 하십시오 하십니다 시오 십시오 주세요 주십시오 드려요 드립니다 돼요 됩니다
되세요 했어요 했습니다 하다 하는 하고 하며 해서 하여 하면 한다 했다 되다 되는 되고 된다 있다
있어요 있습니다 있으세요
"""

ENDINGS = frozenset(_LISTED.split())

_LENGTHS = tuple(sorted({len(ending) for ending in ENDINGS}, reverse=True))
"""Longest first."""

_MOST = 2
"""How many endings a word may lose: `때부터예요`."""


def stem(word: str) -> str:
    """Take the endings off a word of Hangul; one syllable at least is left.

    A word that only looks as if it had one loses it too: for comparing texts that are cut alike.
    """
    for _ in range(_MOST):
        length = next((n for n in _LENGTHS if n < len(word) and word[-n:] in ENDINGS), 0)
        if not length:
            break
        word = word[:-length]
    return word
