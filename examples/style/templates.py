"""Passage templates: a title, a text with slots, and questions with their answers.

The files `passages.<language>.txt` hold one block per passage: `== title`, the text, then a line
`? question | another wording => The answer with <its span>.` per fact, and `! question` for one
that the passage does not answer.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from examples.style.slots import Pools, draw_values, fill, read_pools

Language = Literal["en", "ko"]

FOLDER = Path(__file__).parent
"""Where the passage files lie."""

SUBJECT_SLOTS = ("company", "product")
"""The slots by which several passages can speak of one thing, as sections of one document do."""

_SPAN = re.compile(r"<(.+)>")


@dataclass(frozen=True, slots=True)
class Fact:
    """One question and its answer, with or without drawn values."""

    wordings: tuple[str, ...]
    sentence: str
    """The full sentence; the span stands between `<` and `>`."""

    @property
    def span(self) -> str:
        """The bare answer."""
        found = _SPAN.search(self.sentence)
        if found is None:
            raise ValueError(f"no <span> in {self.sentence!r}")
        return found[1]

    @property
    def statement(self) -> str:
        """The full sentence without the span's marks."""
        return self.sentence.replace("<", "").replace(">", "")


@dataclass(frozen=True, slots=True)
class Passage:
    """A template, or one drawing of it."""

    language: Language
    title: str
    text: str
    facts: tuple[Fact, ...]
    unanswered: tuple[str, ...]
    template: int
    """The template's place in its file."""
    pools: Pools = field(repr=False)
    """What its slots are drawn from."""
    subject: Mapping[str, str] = field(default_factory=dict)
    """What a drawn passage speaks of: its company and product."""

    def drawn(self, rng: random.Random, subject: Mapping[str, str] | None = None) -> Passage:
        """Put fresh values into every slot, or those of a subject where it has them."""
        asked = [part for fact in self.facts for part in (*fact.wordings, fact.sentence)]
        whole = "\n".join((self.title, self.text, *asked, *self.unanswered))
        values = draw_values(whole, self.language, self.pools, rng, subject)

        def filled(text: str) -> str:
            return fill(text, values, self.language)

        facts = tuple(
            Fact(tuple(map(filled, fact.wordings)), filled(fact.sentence)) for fact in self.facts
        )
        return Passage(
            self.language,
            filled(self.title),
            filled(self.text),
            facts,
            tuple(map(filled, self.unanswered)),
            self.template,
            self.pools,
            {name: values[name] for name in SUBJECT_SLOTS if name in values},
        )

    @property
    def shares_subjects(self) -> bool:
        """Whether the template can speak of any company or product."""
        return any(f"{{{name}}}" in self.title + self.text for name in SUBJECT_SLOTS)


def read_templates(language: Language, folder: Path = FOLDER) -> list[Passage]:
    """Read every template of a language."""
    source = (folder / f"passages.{language}.txt").read_text("utf-8")
    blocks = [block for block in re.split(r"^== ", source, flags=re.MULTILINE) if block.strip()]
    pools = read_pools(language, folder)
    return [_parse(language, number, block, pools) for number, block in enumerate(blocks)]


def _parse(language: Language, number: int, block: str, pools: Pools) -> Passage:
    title, *lines = block.strip().splitlines()
    facts, unanswered, text = [], [], []
    for line in lines:
        if line.startswith("? "):
            asked, _, sentence = line[2:].partition(" => ")
            facts.append(Fact(tuple(part.strip() for part in asked.split(" | ")), sentence))
        elif line.startswith("! "):
            unanswered.append(line[2:])
        elif line:
            text.append(line)
    return Passage(
        language, title.strip(), "\n".join(text), tuple(facts), tuple(unanswered), number, pools
    )
