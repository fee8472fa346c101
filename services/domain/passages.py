"""Retrieved passages as they stand in a prompt: numbered blocks that cannot end themselves."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from services.contracts.assistants import PLACEHOLDER, ContextTemplate

_TURN_MARKERS = re.compile(
    r"<(?=(?:start_of_\w+|end_of_\w+|unused\d+|bos|eos|pad|unk|mask)>|\||/?s>)", re.IGNORECASE
)
_FORGED_NUMBER = re.compile(r"^(\s*)\[(\d{1,3})\]")
_LABELS = ("Passages:", "Question:", "Answer:")
"""Lines of a document that open like these are defused under every template."""

_BETWEEN_HEADINGS = " > "


@dataclass(frozen=True, slots=True)
class Source:
    """What rendering needs to know of one passage."""

    title: str
    text: str
    headings: Sequence[str] = ()
    """From the document's outermost to the passage's own."""
    uri: str = ""
    page: int | None = None


def grounded_turn(
    question: str, sources: Sequence[Source], template: ContextTemplate | None = None
) -> str:
    """Wrap a question in numbered passages; without passages only the label is added."""
    shape = template or ContextTemplate()
    asked = f"{shape.question_label} {question}"
    if not sources:
        return asked
    numbered = (_numbered(number, source, shape) for number, source in enumerate(sources, start=1))
    return "\n".join((shape.passages_label, *numbered)) + f"\n\n{asked}"


def inert(text: str, labels: tuple[str, ...] = ()) -> str:
    """Make retrieved text unable to end its block or to pass for another part of the prompt.

    No blank lines, no chat-template tokens, no line that opens like a numbered passage or a label.

    Args:
        labels: those of the template, beside the ones that are defused always.
    """
    forged = _forged(labels)
    lines = (_inert_line(line, forged) for line in text.splitlines() if line.strip())
    return _TURN_MARKERS.sub("< ", "\n".join(lines)).strip()


def _numbered(number: int, source: Source, template: ContextTemplate) -> str:
    """Fill the template line by line; a line that nothing fills is left out."""
    labels = (template.passages_label, template.question_label)
    first, *others = template.passage.split("\n")
    values = {
        "number": str(number),
        "title": _flat(source.title),
        "headings": _BETWEEN_HEADINGS.join(
            _flat(heading) for heading in source.headings if heading != source.title
        ),
        "uri": _flat(source.uri),
        "page": "" if source.page is None else str(source.page),
    }
    lines = [_filled(first, values)]
    for line in others:
        if line == "{text}":
            lines.append(inert(source.text, labels))
        elif any(values[name] for name in PLACEHOLDER.findall(line)):
            lines.append(_inert_line(_filled(line, values), _forged(labels)))
    return "\n".join(line for line in lines if line)


def _filled(line: str, values: dict[str, str]) -> str:
    return PLACEHOLDER.sub(lambda found: values[found[1]], line).rstrip()


def _flat(value: str) -> str:
    """Put a value of the document's into one line."""
    return _TURN_MARKERS.sub("< ", " ".join(value.split()))


def _inert_line(line: str, forged: re.Pattern[str]) -> str:
    """Defuse a line's start: `[2]` becomes `(2)`, a label becomes a list item."""
    if forged.match(line):
        return f"- {line.strip()}"
    return _FORGED_NUMBER.sub(r"\1(\2)", line.rstrip())


@lru_cache(maxsize=64)
def _forged(labels: tuple[str, ...]) -> re.Pattern[str]:
    """Match a line that opens like a label, whatever stands before its colon."""
    return re.compile(
        rf"^\s*(?:{'|'.join(_opening(label) for label in (*_LABELS, *labels))})", re.IGNORECASE
    )


def _opening(label: str) -> str:
    stem = label.rstrip(":：").rstrip()
    return re.escape(stem) + (r"\s*[:：]" if stem != label else "")
