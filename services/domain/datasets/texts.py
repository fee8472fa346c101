"""Answers that teach nothing or the wrong thing, as far as the text alone tells."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from services.contracts.datasets import Finding
from services.domain.datasets.examples import Example, plain
from services.domain.datasets.findings import Kind, share
from services.domain.language import language_of

EMPTY = Kind("answer_empty", "error", "Write the answer, or remove the row.")
PLACEHOLDER = Kind("answer_placeholder", "error", "Write the answer, or remove the row.")
LEFTOVER = Kind("template_leftover", "warning", "Fill the slot in, or remove the row.")
BROKEN = Kind(
    "broken_text",
    "error",
    "Export the file again in UTF-8; these characters were lost when it was read in another "
    "encoding.",
)
COPY = Kind("answer_repeats_question", "warning", "Remove rows that answer with the question.")
LANGUAGE = Kind(
    "language_mix",
    "warning",
    "Answer in the language of the question, unless translating is what is taught.",
)
PADDED = Kind(
    "answer_padded", "warning", "Strip white space around answers; the model would learn it."
)
UNSUPPORTED = Kind(
    "numbers_not_in_passages",
    "warning",
    "Correct the answer or the passages; rows that state what no passage says teach to invent.",
)

_PLACEHOLDERS = re.compile(
    r"(?:todo|tbd|tba|fixme|n/?a|none|null|nan|undefined|lorem ipsum.*|placeholder|test|xxx+|"
    r"(?:insert|your|write|enter)\b.{0,30}\b(?:answer|response|text)(?: here)?|answer|response|"
    r"추후\s*(?:작성|입력|보완).*|작성\s*(?:예정|필요|중).*|내용\s*없음|미정|미작성|답변|답변\s*입력.*|"
    r"(?:여기에|이곳에).{0,20}(?:입력|작성).*|[.…\-_?\s]+)"
)
_LEFTOVERS = re.compile(
    r"\{\{[^{}]{0,60}\}\}|\$\{[^{}]{0,60}\}|<(?:insert|your|name|answer|company|placeholder)\b[^<>]{0,40}>|"
    r"\[(?:insert|your|name|company|date|answer)\b[^\[\]]{0,40}\]|<\|[a-z_]{2,30}\|>|"
    r"<(?:start|end)_of_turn>",
    re.IGNORECASE,
)
_MOJIBAKE = re.compile(
    r"\ufffd|占쏙옙|Ã[\u0080-\u00bf]|â€[\u0080-\u00bf™œž]|ì[\u0080-\u00bf]|ë[\u0080-\u00bf][\u0080-\u00bf]"
)
_PASSAGE = re.compile(r"^\s*\[\d+\]", re.MULTILINE)
_NUMBER = re.compile(r"\d[\d,.]*\d|\d")
_CITATION = re.compile(r"\[\d+(?:\s*,\s*\d+)*\]")
_MOST_OTHER_LANGUAGE = 0.5


def texts(examples: Sequence[Example]) -> Iterator[Finding]:
    """Look at every answer by itself."""
    yield from _where(examples, EMPTY, "the answer is empty", _is_empty)
    yield from _where(examples, PLACEHOLDER, "the answer is a placeholder", _is_placeholder)
    yield from _where(examples, LEFTOVER, "the answer has an unfilled slot", _has_leftover)
    yield from _where(examples, BROKEN, "characters are lost", _is_broken)
    yield from _where(examples, COPY, "the answer is the question", _is_copy)
    yield from _where(examples, PADDED, "white space surrounds the answer", _is_padded)
    yield from _where(
        examples, UNSUPPORTED, "the answer states a number that no passage has", _invents
    )
    other = [example.line for example in examples if _is_in_other_language(example)]
    # Where most rows change the language, translating is what they teach.
    if other and len(other) <= _MOST_OTHER_LANGUAGE * len(examples):
        told = f"{share(len(other), len(examples))} are answered in another language"
        yield LANGUAGE.found(told, other)


def _where(
    examples: Sequence[Example], kind: Kind, said: str, test: Callable[[Example], bool]
) -> Iterator[Finding]:
    if rows := [example.line for example in examples if test(example)]:
        yield kind.found(f"{said}: {share(len(rows), len(examples))}", rows)


def _is_empty(example: Example) -> bool:
    return any(not answer.strip() for _, answer in example.answers)


def _is_placeholder(example: Example) -> bool:
    # A word that many rows share is a label.
    return any(_PLACEHOLDERS.fullmatch(plain(answer)) for _, answer in example.answers)


def _has_leftover(example: Example) -> bool:
    return any(
        leftover.group() not in example.asked
        for _, answer in example.answers
        for leftover in _LEFTOVERS.finditer(answer)
    )


def _is_broken(example: Example) -> bool:
    return any(_MOJIBAKE.search(turn.content) for turn in example.turns)


def _is_copy(example: Example) -> bool:
    return len(example.question) > 1 and plain(example.answer) == plain(example.question)


def _is_padded(example: Example) -> bool:
    return any(answer != answer.strip() for _, answer in example.answers if answer.strip())


def _is_in_other_language(example: Example) -> bool:
    letters = sum(character.isalpha() for character in example.answer)
    return letters >= 8 and language_of(example.answer) != language_of(example.question)


def _invents(example: Example) -> bool:
    """Tell whether an answer to shown passages has a number of two digits or more from nowhere."""
    if not _PASSAGE.search(example.asked):
        return False
    known = {_digits(number) for number in _NUMBER.findall(example.asked + example.system)}
    said = _NUMBER.findall(_CITATION.sub(" ", example.answer))
    return any(len(_digits(number)) > 1 and _digits(number) not in known for number in said)


def _digits(number: str) -> str:
    return re.sub(r"[,.]", "", number)
