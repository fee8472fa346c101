"""From an engine's answer to the reply: citations checked, in the assistant's name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal
from urllib.parse import quote

import orjson

from services.contracts.assistants import Abstention
from services.contracts.chat import Citation
from services.contracts.knowledge import Passage
from services.domain.citations import CitationFilter, find_markers
from services.domain.passages import source_of
from services.domain.reasoning import ReasoningFilter
from services.domain.support import Support, support
from services.gateway.accounts import Usage

CITATIONS_FIELD = "citations"
"""Where an answer in JSON names the passages that it rests on: a list of their numbers."""

_ENVELOPE = ("id", "object", "created", "system_fingerprint")
"""What is kept of an engine's envelope; the rest is the engine's own affair."""


Steps = Literal["none", "hidden", "shown"]
"""Whether the model thinks aloud before its answer, and whether the app is told what."""

_ENGINES_STEPS = ("reasoning", "reasoning_content")
"""Where an engine that takes a model's steps apart by itself puts them."""


class Marking(Enum):
    """How an answer points to passages."""

    NONE = "none"
    """Not at all: nothing was retrieved, and `[1]` is just text."""
    MARKERS = "markers"
    """By `[n]` in the text; markers of passages that were not given are cut out."""
    FIELD = "field"
    """By a field of its JSON, whose text is left alone."""


@dataclass(slots=True)
class Choice:
    """The text of one choice on its way to the app."""

    passages: int
    marking: Marking
    steps: ReasoningFilter | None = None
    completion_tokens: int = 0
    cited: list[int] = field(default_factory=list)
    invalid: int = 0
    _pieces: list[str] = field(default_factory=list)
    _filter: CitationFilter | None = None
    _started: bool = False

    def __post_init__(self) -> None:
        if self.marking is Marking.MARKERS:
            self._filter = CitationFilter(self.passages)

    def push(self, text: str) -> str:
        """Take more of the engine's text and return what can be shown."""
        answer = self.steps.push(text) if self.steps else text
        return self._shown(self._filter.push(answer) if self._filter else answer)

    def close(self) -> str:
        """Return what was held back, and settle what the text cites."""
        rest = self.steps.close() if self.steps else ""
        shown = self._shown(
            self._filter.push(rest) + self._filter.close() if self._filter else rest
        )
        if self._filter:
            self.cited, self.invalid = self._filter.cited, self._filter.invalid
        elif self.marking is Marking.FIELD:
            self._read_field()
        return shown

    @property
    def text(self) -> str:
        """What was shown so far."""
        return "".join(self._pieces)

    def _shown(self, text: str) -> str:
        if not self._started:
            text = text.lstrip()
            self._started = bool(text)
        if text:
            self._pieces.append(text)
        return text

    def _read_field(self) -> None:
        try:
            answer = orjson.loads(self.text)
        except ValueError:
            return
        named = answer.get(CITATIONS_FIELD) if isinstance(answer, dict) else None
        numbers = [n for n in named if type(n) is int] if isinstance(named, list) else []
        self.cited = list(dict.fromkeys(n for n in numbers if 1 <= n <= self.passages))
        self.invalid = sum(not 1 <= n <= self.passages for n in numbers)


@dataclass(slots=True)
class Reply:
    """One reply in the making.

    Args:
        passages: those in the prompt, in the order of their numbers.
    """

    model: str
    passages: Sequence[Passage]
    marking: Marking
    usage: Usage
    steps: Steps = "none"
    choices: dict[int, Choice] = field(default_factory=dict)
    envelope: dict[str, Any] = field(default_factory=dict)
    support: Support | None = None
    """Of the complete answer; None until `weigh`, and where its text has no markers."""

    def chunk(self, event: dict[str, Any]) -> dict[str, Any] | None:
        """Turn an engine's event into the app's; None when there is nothing to say yet."""
        self._note_usage(event)
        choices = [c for choice in event.get("choices") or () if (c := self._delta(choice))]
        if not self.envelope:
            self.envelope = self._envelope_of(event)
        return {**self.envelope, "choices": choices} if choices else None

    def last_chunk(self, block: dict[str, Any]) -> dict[str, Any]:
        """Make the chunk that closes a stream."""
        return {**self.envelope, "choices": [], **self._extras(block)}

    def read(self, payload: dict[str, Any]) -> None:
        """Take over a whole answer."""
        self.usage.read(payload.get("usage") or {})
        self.envelope = self._envelope_of(payload)
        self.envelope["choices"] = [self._whole(choice) for choice in payload.get("choices") or ()]

    def body(self, block: dict[str, Any]) -> dict[str, Any]:
        """Make the body of a whole answer."""
        return {**self.envelope, **self._extras(block)}

    @property
    def cited(self) -> list[int]:
        """The passages that any choice points to, in order of first use."""
        return list(dict.fromkeys(n for choice in self.choices.values() for n in choice.cited))

    @property
    def invalid(self) -> int:
        """How many invalid citations were met."""
        return sum(choice.invalid for choice in self.choices.values())

    def weigh(self) -> None:
        """Compare the complete answer with what it cites."""
        if self.marking is Marking.MARKERS and (cited := self.cited):
            shown = {n: source_of(self.passages[n - 1]) for n in cited}
            texts = {
                n: "\n".join((source.title, *source.headings, source.text))
                for n, source in shown.items()
            }
            self.support = support("\n".join(self.texts()), texts)

    def texts(self) -> list[str]:
        """Read what was shown of each choice so far."""
        return [choice.text for choice in self.choices.values()]

    def abstains(self, abstention: Abstention) -> bool:
        """Tell whether every choice says that the documents hold no answer."""
        texts = self.texts()
        sentences = [s for s in (abstention.en.strip(), abstention.ko.strip()) if s]
        return bool(texts) and all(any(s in text for s in sentences) for text in texts)

    def _choice(self, index: int) -> Choice:
        if index not in self.choices:
            steps = ReasoningFilter() if self.steps != "none" else None
            self.choices[index] = Choice(len(self.passages), self.marking, steps)
        return self.choices[index]

    def _delta(self, choice: dict[str, Any]) -> dict[str, Any] | None:
        """Check a piece of one choice; a piece that is all held back is no piece."""
        state, delta = self._choice(choice.get("index", 0)), choice.get("delta") or {}
        told_before = state.steps.reasoning if state.steps else ""
        choice["delta"] = delta
        content, finished = delta.get("content"), choice.get("finish_reason") is not None
        shown = state.push(content) if content else ""
        if finished:
            shown += state.close()
            delta["annotations"] = self._annotations(state)
        if content or shown:
            delta["content"] = shown
        self._tell_steps(choice, delta, state, told_before)
        silent = not shown and bool(content) and not finished and not choice.get("logprobs")
        return None if silent and set(delta) <= {"content"} else choice

    def _whole(self, choice: dict[str, Any]) -> dict[str, Any]:
        state, message = self._choice(choice.get("index", 0)), choice.get("message") or {}
        choice["message"] = message
        if message.get("content"):
            shown = state.push(message["content"])
            message["content"] = shown + state.close()
        self._tell_steps(choice, message, state, "")
        message["annotations"] = self._annotations(state)
        return choice

    def _tell_steps(
        self, choice: dict[str, Any], message: dict[str, Any], state: Choice, told: str
    ) -> None:
        """Add the steps once they are known, where the app asked; else leave no trace of them."""
        if state.steps is None:
            return
        if self.steps == "hidden":
            for name in _ENGINES_STEPS:
                message.pop(name, None)
            # The tokens' probabilities would spell out what was thought.
            choice["logprobs"] = None
        elif state.steps.reasoning and not told:
            message["reasoning"] = state.steps.reasoning

    def _note_usage(self, event: dict[str, Any]) -> None:
        """Keep the usage so far: of one choice in its chunks, of all of them in the last."""
        reported = event.pop("usage", None)
        if not reported:
            return
        self.usage.read(reported)
        choices = event.get("choices")
        if choices:
            self._choice(choices[0].get("index", 0)).completion_tokens = self.usage.completion
            self.usage.completion = sum(c.completion_tokens for c in self.choices.values())

    def _envelope_of(self, payload: dict[str, Any]) -> dict[str, Any]:
        kept = {name: payload[name] for name in _ENVELOPE if payload.get(name) is not None}
        return {**kept, "model": self.model}

    def _extras(self, block: dict[str, Any]) -> dict[str, Any]:
        return {
            "usage": self.usage.as_openai(),
            "citations": [self._citation(n).model_dump() for n in self.cited],
            "inkstone": block,
        }

    def _citation(self, n: int) -> Citation:
        passage = self.passages[n - 1]
        return Citation(
            n=n,
            collection=passage.collection,
            document_id=passage.document_id,
            title=passage.title,
            uri=passage.uri,
            span=passage.span,
            page=passage.page,
            score=passage.score,
            support=self.support.of_passages.get(n) if self.support else None,
            text=passage.text,
        )

    def _annotations(self, state: Choice) -> list[dict[str, Any]]:
        """Say where in the text the markers stand, in OpenAI's shape."""
        if self.marking is not Marking.MARKERS or not state.cited:
            return []
        return [
            self._annotation(self.passages[number - 1], marker.start, marker.end)
            for marker in find_markers(state.text)
            for number in marker.numbers
            if 1 <= number <= len(self.passages)
        ]

    @staticmethod
    def _annotation(passage: Passage, start: int, end: int) -> dict[str, Any]:
        place = f"{passage.collection}/{quote(passage.document_id, safe='')}"
        cited = {
            "start_index": start,
            "end_index": end,
            "title": passage.title,
            "url": passage.uri or f"inkstone:{place}",
        }
        return {"type": "url_citation", "url_citation": cited}
