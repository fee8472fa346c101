"""Which of the two languages a text is written in."""

from typing import Literal

Language = Literal["en", "ko"]


def language_of(text: str) -> Language:
    """Tell Korean from everything else: Korean when at least a fifth of the letters are Hangul.

    A Korean question often carries Latin product names; an English one rarely carries Hangul.
    """
    letters = [character for character in text if character.isalpha()]
    hangul = sum("가" <= c <= "힣" or "ᄀ" <= c <= "ᇿ" or "ㄱ" <= c <= "ㆎ" for c in letters)
    return "ko" if letters and hangul * 5 >= len(letters) else "en"
