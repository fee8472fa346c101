"""Taking out of a text what names or opens something private, by its form.

Found are e-mail addresses, telephone numbers (Korean ones, North American ones with separators, any
with a country's code), Korean resident registration numbers, payment cards, and secrets of known
forms. Names and street addresses have no form and stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Literal

Kind = Literal["secret", "email", "resident number", "card", "phone"]
"""What makes a part of a text private."""

_NARROW = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)} | dict.fromkeys(
    [*range(0x2010, 0x2016), 0x2212, 0x00B7], ord("-")
)
"""Full-width letters and digits, and the many hyphens: each stands for one plain character."""

_SECRETS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\bink_[A-Za-z0-9]{8}_[A-Za-z0-9_-]{20,}"
    r"|\b(?:sk|pk|rk)[-_][A-Za-z0-9_-]{16,}"
    r"|\bAKIA[0-9A-Z]{16}\b"
    r"|\bAIza[A-Za-z0-9_-]{30,}"
    r"|\b(?:gh[pousr]|github_pat)_[A-Za-z0-9_]{30,}"
    r"|\bxox[a-z]-[A-Za-z0-9-]{10,}"
    r"|\beyJ[A-Za-z0-9_-]{8,2000}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"
    r"|(?<=[Bb]earer )[A-Za-z0-9._~+/=-]{16,}",
    re.DOTALL | re.ASCII,
)
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}")
_RESIDENT = re.compile(
    r"(?<!\d)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])[-\s]?[1-8]\d{6}(?!\d)", re.ASCII
)
_CARD = re.compile(r"(?<!\d)\d(?:[-\s]?\d){12,18}(?!\d)", re.ASCII)
_KOREAN = r"0(?:1[016789]|2|[3-6][1-5]|[78]0|50\d)"
_PHONE = re.compile(
    rf"(?<!\d)(?:\({_KOREAN}\)|{_KOREAN}\)?|\+?82[-.\s]?(?:\(0\)|0)?{_KOREAN[1:]})[-.\s]{{0,2}}"
    r"\d{3,4}[-.\s]?\d{4}(?!\d)"
    r"|(?<![\d+])\+\d(?:[-.\s()]{0,2}\d){7,14}(?!\d)"
    r"|(?<!\d)(?:\([2-9]\d\d\)|[2-9]\d\d)[-.\s]\s?\d{3}[-.\s]\d{4}(?!\d)",
    re.ASCII,
)


def redacted(text: str) -> str:
    """Replace what is private by `[email]`, `[phone]`, `[resident number]`, `[card]`, `[secret]`.

    A text that was redacted before stays as it is.
    """
    kept, end = list[str](), 0
    for start, stop, kind in private_parts(text):
        kept += (text[end:start], f"[{kind}]")
        end = stop
    return "".join((*kept, text[end:]))


def private_parts(text: str) -> Iterator[tuple[int, int, Kind]]:
    """Find what is private, with its place, in order; of what overlaps, the first and longest."""
    plain = text.translate(_NARROW)
    kinds: tuple[tuple[Kind, re.Pattern[str], Callable[[str], bool]], ...] = (
        ("secret", _SECRETS, bool),
        ("email", _EMAIL, bool),
        ("resident number", _RESIDENT, bool),
        ("card", _CARD, _has_check_digit),
        ("phone", _PHONE, bool),
    )
    found = chain.from_iterable(
        ((m.start(), -m.end(), kind) for m in pattern.finditer(plain) if accepts(m[0]))
        for kind, pattern, accepts in kinds
    )
    end = 0
    for start, stop, kind in sorted(found):
        if start >= end:
            end = -stop
            yield start, end, kind


def _has_check_digit(number: str) -> bool:
    """Tell a card's number by its check digit (ISO/IEC 7812-1, Luhn's formula)."""
    digits = [int(one) for one in number if one.isdigit()][::-1]
    doubled = (sum(divmod(2 * one, 10)) for one in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0
