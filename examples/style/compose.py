"""Composes training rows from the passage templates: `python -m examples.style.compose --help`.

A row's prompt is rendered by the same code as a served prompt. Several rows in a row ask different
questions of the same passages. The same seed gives the same file.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples.style.templates import Fact, Language, Passage, read_templates
from examples.style.voices import VOICES, Finding, Voice
from services.contracts.assistants import Profile
from services.domain.language import language_of
from services.domain.passages import Source
from services.domain.rendering import compose

_AND = {"en": "Also, ", "ko": "그리고 "}
_GENERAL = {"en": "Terms and notes", "ko": "안내와 규정"}
_HEADINGS = {
    "en": ("Details", "Good to know", "In short", "Rules", "At a glance", "Notes", "Please note"),
    "ko": ("자세한 안내", "알아 두실 점", "한눈에 보기", "규정", "참고", "이용 안내", "요약"),
}
_LEAD_INS = {
    "en": ("Hi,", "Quick question:", "Please tell me:", "Hello there.", "One more thing:"),
    "ko": ("안녕하세요,", "궁금한 게 있어요.", "혹시", "질문 있습니다.", "하나만 여쭐게요."),
}
_SENTENCE_END = re.compile(r"(?<=[^\d\W]\.)\s+(?=\S)")


@dataclass(frozen=True, slots=True)
class Mix:
    """What share of the rows, contexts or passages is of which kind."""

    korean: float = 0.5
    questions: int = 4
    """How many rows ask about the same passages."""
    abstained: float = 0.17
    """Of the rows: their passages hold no answer."""
    two_facts: float = 0.06
    """Of the rows: they ask for two facts of different passages."""
    without_passages: float = 0.02
    """Of the contexts: a bare question, which is to be abstained from."""
    continued: float = 0.06
    """Of the contexts: with an earlier exchange before the question."""
    sibling: float = 0.5
    """Of the contexts about a company or a product: several passages about the same one."""
    twin: float = 0.15
    """Of the contexts: with the first passage once more, about something else."""
    merged: float = 0.07
    """Of the passages: two under headings in one, which makes a longer chunk."""
    headed: float = 0.5
    """Of the passages: with a section heading of their own, as a chunk of a document has."""
    listed: float = 0.08
    """Of the passages: with their sentences as a list."""
    led_in: float = 0.08
    """Of the questions: with a few words before."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question, the sources to answer it from, and what there is to find."""

    question: str
    sources: list[Source]
    findings: list[Finding]
    """Empty when the sources hold no answer."""


@dataclass(frozen=True, slots=True)
class Context:
    """Drawn passages in their order, and how they are shown."""

    language: Language
    passages: list[Passage]
    sources: list[Source]


class Composer:
    """Draws exchanges and says them in a voice."""

    def __init__(self, voice: Voice, profile: Profile, seed: int, mix: Mix | None = None) -> None:
        self._voice = voice
        self._profile = profile
        self._mix = mix or Mix()
        self._rng = random.Random(seed)
        self._templates: dict[Language, list[Passage]] = {
            "en": read_templates("en"),
            "ko": read_templates("ko"),
        }
        self._decks: dict[Language, list[Passage]] = {"en": [], "ko": []}

    def rows(self, count: int) -> Iterator[dict[str, Any]]:
        """Compose rows; those about the same passages are neighbours."""
        made = 0
        while made < count:
            language: Language = "ko" if self._chance(self._mix.korean) else "en"
            rows = list(self._rows_of_context(language))[: count - made]
            made += len(rows)
            yield from rows

    def exchanges(self, language: Language) -> list[Exchange]:
        """Draw a context and several questions about it."""
        context = self._context(language)
        answerable = [
            (place, fact)
            for place, passage in enumerate(context.passages)
            for fact in passage.facts
            if self._is_clear(context, place, fact)
        ]
        self._rng.shuffle(answerable)
        return [self._exchange(context, answerable) for _ in range(self._mix.questions)]

    def _rows_of_context(self, language: Language) -> Iterator[dict[str, Any]]:
        if self._chance(self._mix.without_passages):
            turns = [{"role": "user", "content": self._other_question(language, set())}]
            yield self._row(compose(self._profile, turns, [], grounded=False), [], language)
            return
        earlier = self._earlier(language) if self._chance(self._mix.continued) else []
        for exchange in self.exchanges(language):
            turns = [*earlier, {"role": "user", "content": exchange.question}]
            prompt = compose(self._profile, turns, exchange.sources, grounded=True)
            yield self._row(prompt, exchange.findings, language)

    def _row(
        self, prompt: list[dict[str, Any]], findings: list[Finding], language: Language
    ) -> dict[str, Any]:
        answer = self._answer(findings, language)
        return {"prompt": prompt, "completion": [{"role": "assistant", "content": answer}]}

    def _answer(self, findings: list[Finding], language: Language) -> str:
        if not findings:
            return self._voice.abstain(self._profile.abstention, language)
        return self._voice.say(findings, language)

    def _context(self, language: Language) -> Context:
        first = self._next_passage(language)
        count = self._rng.choices((0, 1, 2, 3), weights=(8, 24, 60, 8))[0]
        others = [*self._siblings(first), *self._twins(first)]
        others += self._others(language, {first.template, *(o.template for o in others)}, 3)
        passages = [first, *others[:count]]
        self._rng.shuffle(passages)
        return Context(language, passages, [self._source(passage) for passage in passages])

    def _exchange(self, context: Context, answerable: list[tuple[int, Fact]]) -> Exchange:
        """Take the next questions of a context, or one that it does not answer."""
        if not answerable or self._chance(self._mix.abstained):
            return Exchange(self._unanswerable(context), context.sources, [])
        place, fact = answerable.pop()
        question, findings = self._worded(fact), [Finding(fact.statement, fact.span, place + 1)]
        apart = [entry for entry in answerable if entry[0] != place]
        if apart and self._chance(self._mix.two_facts):
            answerable.remove(apart[0])
            place, fact = apart[0]
            findings.append(Finding(fact.statement, fact.span, place + 1))
            question = f"{question} {_AND[context.language]}{_lowered(self._worded(fact))}"
        return Exchange(question, context.sources, findings)

    def _unanswerable(self, context: Context) -> str:
        """Ask what the passages' own subject leaves open, or something of another subject."""
        open_questions = [q for passage in context.passages for q in passage.unanswered]
        if open_questions and self._chance(0.6):
            return self._rng.choice(open_questions)
        return self._other_question(context.language, {p.template for p in context.passages})

    def _other_question(self, language: Language, taken: set[int]) -> str:
        [passage] = self._others(language, taken, 1)
        return self._worded(self._rng.choice(passage.facts))

    def _earlier(self, language: Language) -> list[dict[str, Any]]:
        """Draw a finished exchange; its passages are gone from the prompt, as when serving."""
        [passage] = self._others(language, set(), 1)
        fact = self._rng.choice(passage.facts)
        finding = Finding(fact.statement, fact.span, self._rng.randint(1, 3))
        return [
            {"role": "user", "content": self._worded(fact)},
            {"role": "assistant", "content": self._answer([finding], language)},
        ]

    def _is_clear(self, context: Context, place: int, fact: Fact) -> bool:
        """Say whether no other passage of the context answers the same words."""
        others = [p for at, p in enumerate(context.passages) if at != place]
        taken = {wording for p in others for other in p.facts for wording in other.wordings}
        return not taken & set(fact.wordings)

    def _next_passage(self, language: Language) -> Passage:
        """Take the next template of a shuffled deck, so that all come up equally often."""
        deck = self._decks[language]
        if not deck:
            deck.extend(self._templates[language])
            self._rng.shuffle(deck)
        return deck.pop().drawn(self._rng)

    def _others(self, language: Language, taken: set[int], count: int) -> list[Passage]:
        free = [p for p in self._templates[language] if p.template not in taken]
        return [p.drawn(self._rng) for p in self._rng.sample(free, count)]

    def _siblings(self, passage: Passage) -> list[Passage]:
        """Draw other passages about the same company or product."""
        if not passage.subject or not self._chance(self._mix.sibling):
            return []
        near = [
            template
            for template in self._templates[passage.language]
            if template.shares_subjects and template.template != passage.template
        ]
        return [p.drawn(self._rng, passage.subject) for p in self._rng.sample(near, 2)]

    def _twins(self, passage: Passage) -> list[Passage]:
        """Draw the same template with other values."""
        if not self._chance(self._mix.twin):
            return []
        return [self._templates[passage.language][passage.template].drawn(self._rng)]

    def _source(self, passage: Passage) -> Source:
        """Show a passage as a chunk may look: bare, under a heading, or beside a neighbour."""
        if self._chance(self._mix.merged):
            [near] = self._others(passage.language, {passage.template}, 1)
            parts = [passage, near]
            self._rng.shuffle(parts)
            text = "\n".join(f"## {part.title}\n{part.text}" for part in parts)
            return Source(_GENERAL[passage.language], text)
        text = _as_list(passage.text) if self._chance(self._mix.listed) else passage.text
        if not self._chance(self._mix.headed):
            return Source(passage.title, text)
        if self._chance(0.3):
            return Source(_GENERAL[passage.language], f"## {passage.title}\n{text}")
        heading = self._rng.choice(_HEADINGS[passage.language])
        return Source(passage.title, f"## {heading}\n{text}")

    def _worded(self, fact: Fact) -> str:
        question = self._rng.choice(fact.wordings)
        if self._chance(self._mix.led_in):
            question = f"{self._rng.choice(_LEAD_INS[language_of(question)])} {question}"
        if self._chance(0.08):
            question = _lowered(question)
        return question.rstrip("?") if self._chance(0.08) else question

    def _chance(self, share: float) -> bool:
        return self._rng.random() < share


def _as_list(text: str) -> str:
    return "\n".join(f"- {sentence}" for sentence in _SENTENCE_END.split(text))


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]


def write_rows(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    """Write rows as JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Compose a training file from the command line."""
    parser = argparse.ArgumentParser("examples.style.compose", description=__doc__)
    parser.add_argument("--voice", choices=sorted(VOICES), required=True)
    parser.add_argument("--profile", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=1600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(argv)
    profile = Profile.model_validate_json(options.profile.read_text("utf-8"))
    composer = Composer(VOICES[options.voice], profile, options.seed)
    write_rows(options.out, composer.rows(options.rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
