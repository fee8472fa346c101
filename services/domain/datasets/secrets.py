"""Secrets and personal numbers: whatever is trained can be asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from services.contracts.datasets import Finding
from services.domain.datasets.examples import Example
from services.domain.datasets.findings import Kind, share

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

_SECRETS = re.compile(
    r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----"
    r"|\b(?:sk|rk|pk)-[A-Za-z0-9_-]{20,}"
    r"|\b(?:sk|rk)_live_[A-Za-z0-9]{16,}"
    r"|\bAKIA[0-9A-Z]{16}\b"
    r"|\bgh[pousr]_[A-Za-z0-9]{30,}"
    r"|\bgithub_pat_[A-Za-z0-9_]{40,}"
    r"|\bxox[abprs]-[A-Za-z0-9-]{10,}"
    r"|\bAIza[0-9A-Za-z_-]{35}"
    r"|\bhf_[A-Za-z0-9]{30,}"
    r"|\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"
    r"|\b[a-z][a-z0-9+]{2,}://[^\s:/@]{1,64}:[^\s:/@]{3,}@"
)
_PASSWORDS = re.compile(
    r"\b(?:password|passwd|api[_-]?key|secret[_-]?key|비밀번호)\s*[:=]\s*[\"']?(?=\S*\d)[^\s\"']{6,}",
    re.IGNORECASE,
)
_RESIDENT = re.compile(r"(?<!\d)(\d{6})[- ]?([1-8]\d{6})(?!\d)")
_CARD = re.compile(r"(?<![\d-])(?:\d{4}[ -]?){3}\d{4}(?![\d-])")
_CONTACTS = re.compile(
    r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}"
    r"|(?<!\d)01[016789][- .]?\d{3,4}[- .]?\d{4}(?!\d)"
)
_RESIDENT_WEIGHTS = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
"""Of the check digit of a Korean resident registration number."""
_YEAR_WITHOUT_CHECK = 20
"""Who was born in 2020 or later may have a number whose last digits are random."""


def secrets(examples: Sequence[Example]) -> Iterator[Finding]:
    """Look for what must not be learned; the findings name lines and never what stands there."""
    kinds: list[tuple[Kind, str, Callable[[str], bool]]] = [
        (SECRET, "a key or a token", lambda text: bool(_SECRETS.search(text))),
        (PASSWORD, "what looks like a password", lambda text: bool(_PASSWORDS.search(text))),
        (PERSONAL, "a resident registration or card number", _has_personal_number),
        (CONTACT, "an e-mail address or a phone number", lambda text: bool(_CONTACTS.search(text))),
    ]
    whole = [
        (example.line, "\n".join(turn.content for turn in example.turns)) for example in examples
    ]
    for kind, said, test in kinds:
        if rows := [line for line, text in whole if test(text)]:
            yield kind.found(f"{share(len(rows), len(whole))} hold {said}", rows)


def _has_personal_number(text: str) -> bool:
    return any(_is_resident(*found.groups()) for found in _RESIDENT.finditer(text)) or any(
        _is_card(found.group()) for found in _CARD.finditer(text)
    )


def _is_resident(born: str, rest: str) -> bool:
    """Check the date and the check digit, which numbers given since October 2020 do not have."""
    month, day = int(born[2:4]), int(born[4:6])
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return False
    if int(born[:2]) >= _YEAR_WITHOUT_CHECK and rest[0] in "3478":
        return True
    digits = [int(digit) for digit in born + rest]
    total = sum(w * d for w, d in zip(_RESIDENT_WEIGHTS, digits, strict=False))
    return (11 - total % 11) % 10 == digits[-1]


def _is_card(number: str) -> bool:
    """Check the Luhn digit (ISO/IEC 7812-1)."""
    digits = [int(digit) for digit in number if digit.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return digits[0] in (3, 4, 5, 6, 9) and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
