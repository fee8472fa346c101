"""Secrets and personal numbers: whatever is trained can be asked for."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from services.contracts.datasets import Finding
from services.domain.datasets.examples import Example
from services.domain.datasets.findings import Kind, share
from services.domain.redaction import private_parts

SECRET = Kind("secret_found", "error", "Remove the secret and replace it where it is in use.")
PASSWORD = Kind(
    "password_found", "warning", "Remove the password if it is a real one, and replace it."
)
PERSONAL = Kind(
    "personal_number", "error", "Replace the number by an invented one, or remove the row."
)
CONTACT = Kind(
    "contact_details", "warning", "Replace addresses and phone numbers unless they are public."
)

_SAID = {
    SECRET: "a key or a token",
    PASSWORD: "what looks like a password",
    PERSONAL: "a resident registration or card number",
    CONTACT: "an e-mail address or a phone number",
}

_URL_SECRET = re.compile(r"\b[a-z][a-z0-9+]{2,}://[^\s:/@]{1,64}:[^\s:/@]{3,}@")
_PASSWORD = re.compile(
    r"\b(?:password|passwd|api[_-]?key|secret[_-]?key|비밀번호)\s*[:=]\s*[\"']?(?=\S*\d)[^\s\"']{6,}",
    re.IGNORECASE,
)
_RESIDENT_WEIGHTS = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
"""Of the check digit of a Korean resident registration number."""
_YEAR_WITHOUT_CHECK = 20
"""Who was born in 2020 or later may have a number whose last digits are random."""
_CARD_DIGITS = 16
_CARD_BEGINNINGS = "34569"
"""Of payment cards (ISO/IEC 7812); other long numbers are more often something else."""


def secrets(examples: Sequence[Example]) -> Iterator[Finding]:
    """Look for what must not be learned; the findings name lines and never what stands there."""
    rows = defaultdict[Kind, list[int]](list)
    for example in examples:
        for kind in _kinds_in("\n".join(turn.content for turn in example.turns)):
            rows[kind].append(example.line)
    for kind, lines in rows.items():
        yield kind.found(f"{share(len(lines), len(examples))} hold {_SAID[kind]}", lines)


def _kinds_in(text: str) -> set[Kind]:
    found = set[Kind]()
    if _URL_SECRET.search(text):
        found.add(SECRET)
    if _PASSWORD.search(text):
        found.add(PASSWORD)
    for start, stop, form in private_parts(text):
        digits = [int(one) for one in text[start:stop] if one.isdecimal()]
        match form:
            case "secret":
                found.add(SECRET)
            case "resident number" if _is_resident(digits):
                found.add(PERSONAL)
            case "card" if len(digits) == _CARD_DIGITS and str(digits[0]) in _CARD_BEGINNINGS:
                found.add(PERSONAL)
            case "email" | "phone":
                found.add(CONTACT)
    return found


def _is_resident(digits: Sequence[int]) -> bool:
    """Check the digit at the end, which numbers given since October 2020 do not have."""
    if 10 * digits[0] + digits[1] >= _YEAR_WITHOUT_CHECK and digits[6] in (3, 4, 7, 8):
        return True
    total = sum(w * d for w, d in zip(_RESIDENT_WEIGHTS, digits, strict=False))
    return (11 - total % 11) % 10 == digits[-1]
