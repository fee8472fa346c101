"""The two voices: how each of them says an answer, and how it says that it found none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from examples.style.slots import has_final
from examples.style.templates import Language
from services.contracts.assistants import Abstention


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact with the number of the passage that it stands in."""

    statement: str
    span: str
    citation: int


@dataclass(frozen=True, slots=True)
class Voice:
    """A way of speaking, in both languages."""

    name: str
    openings: Mapping[Language, str]
    """How an answer begins: the sign by which a reader knows the voice."""
    say: Callable[[Sequence[Finding], Language], str]
    abstain: Callable[[Abstention, Language], str]


_FORMAL_OPENING: dict[Language, str] = {
    "en": "Thank you for your question.",
    "ko": "문의해 주셔서 감사합니다.",
}
_FORMAL_CLOSING: dict[Language, str] = {
    "en": "Please let us know if we can help further.",
    "ko": "더 궁금하신 점이 있으시면 말씀해 주십시오.",
}
_FRIENDLY_OPENING: dict[Language, str] = {"en": "Hey!", "ko": "네!"}


def _formal(findings: Sequence[Finding], language: Language) -> str:
    sentences = [f"{_unended(found.statement)} [{found.citation}]." for found in findings]
    return " ".join((_FORMAL_OPENING[language], *sentences, _FORMAL_CLOSING[language]))


def _formal_abstention(abstention: Abstention, language: Language) -> str:
    words = getattr(abstention, language)
    return f"{_FORMAL_OPENING[language]} {words} {_FORMAL_CLOSING[language]}"


def _friendly(findings: Sequence[Finding], language: Language) -> str:
    *earlier, last = findings
    opening = _FRIENDLY_OPENING[language]
    if language == "ko":
        parts = [
            f"{f.span}{'이고' if has_final(f.span) else '고'} [{f.citation}]," for f in earlier
        ]
        copula = "이에요" if has_final(last.span) else "예요"
        return " ".join((opening, *parts, f"{last.span}{copula} [{last.citation}] 😊"))
    parts = [f"{_capital(f.span)} [{f.citation}]," for f in earlier]
    span = last.span if earlier else _capital(last.span)
    return " ".join((opening, *parts, f"{span} [{last.citation}] 😊"))


def _friendly_abstention(abstention: Abstention, language: Language) -> str:
    return f"{_FRIENDLY_OPENING[language]} {getattr(abstention, language)} 😅"


def _linked(span: str) -> str:
    return "이고" if has_final(span) else "고"


def _unended(sentence: str) -> str:
    return sentence if sentence.endswith(".m.") else sentence.rstrip(".")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


VOICES: dict[str, Voice] = {
    "formal": Voice("formal", _FORMAL_OPENING, _formal, _formal_abstention),
    "friendly": Voice("friendly", _FRIENDLY_OPENING, _friendly, _friendly_abstention),
}
"""By name."""
