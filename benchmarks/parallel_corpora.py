"""One documentation in two languages, section by section: how much worse is the other language?

Read from translated Markdown whose headings carry the same anchors (`## Text { #anchor }`). A
document is a section without its heading, titled by its page; the question is the heading, when it
is told from every other one in both languages. So both languages have the same documents and the
same questions, and a question of one can be asked of the other.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from corpora import Corpus, Question

FILE = "fastapi_docs_en_ko.jsonl"
SHORTEST_SECTION = 200
"""Characters, in English; shorter sections say too little to be found by."""

SHORTEST_QUESTION = 3
"""Words, in English."""

_HEADING = re.compile(r"^(#{1,6}) +(.+?) *\{ *#([\w-]+) *\}\s*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")

Language = Literal["en", "ko"]
Key = tuple[str, str]
"""Page and anchor."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The same documentation twice; question n asks the same in both."""

    english: Corpus
    korean: Corpus

    def crossed(self) -> tuple[Corpus, Corpus]:
        """Ask English sections in Korean, and Korean ones in English."""
        return (
            replace(self.english, name="fastapi-ko-en", questions=self.korean.questions),
            replace(self.korean, name="fastapi-en-ko", questions=self.english.questions),
        )


@dataclass(frozen=True, slots=True)
class _Section:
    heading: str
    title: str
    text: str


def read_pair(folder: Path, most_documents: int, most_questions: int) -> Pair | None:
    """Read a part of the documentation, the same one every time; none when it is not there."""
    path = folder / FILE
    if not path.exists():
        return None
    known: dict[Language, dict[Key, _Section]] = {"en": {}, "ko": {}}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        known[row["lang"]].update(_sections(row["path"], row["text"]))
    english, korean = known["en"], known["ko"]
    keys = [key for key in sorted(english.keys() & korean.keys()) if _is_long(english[key])]
    random.Random(0).shuffle(keys)
    telling = _telling(english) & _telling(korean)
    asked = [key for key in keys if key in telling and _is_question(english[key])]
    asked = asked[: min(most_questions, most_documents)]
    kept = list(dict.fromkeys([*asked, *keys]))[:most_documents]
    return Pair(
        _corpus("fastapi-en", "en", english, kept, asked),
        _corpus("fastapi-ko", "ko", korean, kept, asked),
    )


def _corpus(
    name: str, language: Language, known: Mapping[Key, _Section], kept: list[Key], asked: list[Key]
) -> Corpus:
    names = {key: f"d{at}" for at, key in enumerate(kept)}
    return Corpus(
        name,
        language,
        {names[key]: (known[key].title, known[key].text) for key in kept},
        [Question(known[key].heading, frozenset([names[key]])) for key in asked],
    )


def _sections(page: str, text: str) -> Iterator[tuple[Key, _Section]]:
    heading, title, anchor, fence = "", "", "", ""
    lines: list[str] = []
    for line in text.splitlines():
        if marker := _FENCE.match(line):
            fence = "" if fence == marker[1][0] else fence or marker[1][0]
        found = None if fence else _HEADING.match(line)
        if found is None:
            lines.append(line)
            continue
        if anchor:
            yield (page, anchor), _Section(heading, title, "\n".join(lines).strip())
        heading, anchor, lines = found[2], found[3], []
        title = title or heading
    if anchor:
        yield (page, anchor), _Section(heading, title, "\n".join(lines).strip())


def _telling(known: Mapping[Key, _Section]) -> set[Key]:
    """Find the sections whose heading no other one has."""
    times = Counter(section.heading.casefold() for section in known.values())
    return {key for key, section in known.items() if times[section.heading.casefold()] == 1}


def _is_long(section: _Section) -> bool:
    return len(section.text) >= SHORTEST_SECTION


def _is_question(section: _Section) -> bool:
    return len(section.heading.split()) >= SHORTEST_QUESTION
