"""Checks of an answer's words: exact, normalised, contains, regex, label, numeric."""

from __future__ import annotations

from collections.abc import Callable

import regex

from services.contracts.evaluation_cases import (
    Contains,
    Exact,
    Label,
    Normalised,
    Numeric,
    Regex,
)
from services.contracts.evaluations import CheckResult, Method
from services.domain.evaluation.answers import Answer
from services.domain.evaluation.texts import (
    folded,
    normalised,
    numbers,
    trimmed,
    without_markers,
    worded,
)

REGEX_SECONDS = 1.0
"""How long one regular expression may look; a pattern can take for ever on an unlucky text."""

SHOWN_CHARACTERS = 80
"""How much of a text a reason shows."""

_AROUND = regex.escape(".,!?:;…。、\"'`*()[]{}“”‘’")
"""Punctuation that may stand beside a label."""


def exact(check: Exact, expected: str | None, answer: Answer) -> CheckResult:
    """Compare letter for letter."""
    wanted = check.any_of or [expected or ""]
    passed = answer.text.strip() in {text.strip() for text in wanted}
    return told(check.kind, passed=passed, why=f"{short(answer.text)} against {one_of(wanted)}")


def normal(check: Normalised, expected: str | None, answer: Answer) -> CheckResult:
    """Compare words and numbers, whatever their case, punctuation and markers."""
    wanted = check.any_of or [expected or ""]
    said = normalised(answer.text)
    passed = said in {normalised(text) for text in wanted}
    return told(check.kind, passed=passed, why=f"{short(said)} against {one_of(wanted)}")


def contains(check: Contains, expected: str | None, answer: Answer) -> CheckResult:
    """Look for words."""
    named = check.any_of or check.all_of or check.none_of
    any_of = check.any_of if named else [expected or ""]
    text = folded(without_markers(answer.text))

    def holds(wanted: str) -> bool:
        return folded(wanted) in text

    missing = [wanted for wanted in check.all_of if not holds(wanted)]
    if any_of and not any(map(holds, any_of)):
        missing.append(one_of(any_of))
    unwanted = list(filter(holds, check.none_of))
    passed = not missing and not unwanted
    reasons = [f"lacks {short(words)}" for words in missing]
    reasons += [f"holds {short(words)}" for words in unwanted]
    return told(check.kind, passed=passed, why=", ".join(reasons) or "holds what it should")


def pattern(check: Regex, answer: Answer) -> CheckResult:
    """Look for a regular expression."""
    try:
        found = regex.search(check.pattern, answer.text, timeout=REGEX_SECONDS) is not None
    except TimeoutError:
        return told(
            check.kind, passed=False, why=f"the pattern took longer than {REGEX_SECONDS:g} s"
        )
    except regex.error as error:
        return told(check.kind, passed=False, why=f"the pattern is none: {error}")
    return told(
        check.kind, passed=found, why="found" if found else f"{short(check.pattern)} is not found"
    )


def pattern_fault(text: str) -> str | None:
    """Say why a regular expression is none; None when it is one."""
    try:
        regex.compile(text)
    except regex.error as error:
        return str(error)
    return None


def label(check: Label, expected: str | None, answer: Answer) -> CheckResult:
    """Find the one label that an answer names, and compare it."""
    wanted = check.expected or expected or ""
    read = _reading(check.labels)
    named = _named(set(map(read, check.labels)), read(answer.text))
    passed = [read(wanted)] == named
    said = " and ".join(named) or f"no label in {short(answer.text)}"
    return told(check.kind, passed=passed, why=f"{said} against {wanted}")


def numeric(check: Numeric, answer: Answer) -> CheckResult:
    """Look for a number."""
    stated = numbers(without_markers(answer.text))
    # Decimal fractions such as 0.3 are seldom what they seem in binary.
    slack = check.tolerance + 1e-9 * max(1.0, abs(check.value))
    passed = any(abs(value - check.value) <= slack for value in stated)
    said = ", ".join(f"{value:g}" for value in stated[:5]) or "no number"
    return told(check.kind, passed=passed, why=f"{said} against {check.value:g}")


def told(check: str, *, passed: bool, why: str) -> CheckResult:
    """Write the outcome of a check that is passed or not."""
    return CheckResult(check=check, passed=passed, score=float(passed), why=why)


def scored(check: str, score: float, least: float, method: Method = "exact") -> CheckResult:
    """Write the outcome of a check whose score must reach a threshold."""
    return CheckResult(
        check=check,
        passed=score >= least,
        score=score,
        why=f"{score:.2f}, {least:g} wanted",
        method=method,
    )


def short(text: str) -> str:
    """Quote the beginning of a text."""
    line = " ".join(text.split())
    return repr(line if len(line) <= SHOWN_CHARACTERS else line[:SHOWN_CHARACTERS] + "...")


def one_of(texts: list[str]) -> str:
    """Name the texts of which one was wanted."""
    return " or ".join(map(short, texts[:3])) + (", ..." if len(texts) > 3 else "")


def label_fault(check: Label, expected: str | None) -> str | None:
    """Say why no answer can name the expected label; None when one can."""
    wanted = check.expected or expected or ""
    if wanted not in check.labels:
        return f"{wanted!r} is none of the labels {', '.join(check.labels)}"
    if not trimmed(wanted):
        return f"the label {wanted!r} is blank or a citation, which no answer can be read to name"
    return None


def _reading(labels: list[str]) -> Callable[[str], str]:
    """Choose how labels are read: by their words, unless one has none or two have the same."""
    words = set(map(worded, labels))
    if "" not in words and len(words) == len(set(map(trimmed, labels))):
        return normalised
    return trimmed


def _named(labels: set[str], text: str) -> list[str]:
    """List the labels that stand in a text as words; a label within a longer one does not count."""
    found, rest = [], f" {text} "
    for name in sorted(labels, key=lambda one: (-len(one), one)):
        # Korean particles follow a label without a space; 5 does not stand in 1.5.
        place = regex.compile(
            rf"(?<=[\s{_AROUND}])(?<!\d[.,]){regex.escape(name)}"
            rf"(?=[\s{_AROUND}은는이가을를의로입이다요]|$)(?![.,]\d)"
        )
        if name and place.search(rest):
            found.append(name)
            rest = place.sub(" ", rest)
    return found
