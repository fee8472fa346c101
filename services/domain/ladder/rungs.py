"""Rungs by their names: `zero-shot`, `few-shot`, `cot`, `structured`, `rag`, `lora-N`, and sums."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

EXAMPLES = 8
"""What `few-shot` shows when it does not say how many."""

MOST_EXAMPLES = 32
"""What a profile holds."""

_EXAMPLES = re.compile(r"few-shot(?:-(\d{1,4}))?")
_ROWS = re.compile(r"lora-(\d{1,7})")
_KNOWN = "zero-shot, few-shot, few-shot-N, cot, structured, rag, lora-N, or several joined by +"


class RungError(ValueError):
    """A name that is no rung; the text says why, with the mend."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One way to answer."""

    examples: int = 0
    """How many worked examples the prompt shows."""
    steps: bool = False
    """Whether it reasons in steps before it answers."""
    schema: bool = False
    """Whether the engine holds the answer to a schema."""
    retrieval: bool = False
    rows: int | None = None
    """How many rows an adapter is trained on; none for the base."""
    target: str | None = None
    """A hosted model that answers in place of the base."""

    @property
    def name(self) -> str:
        """How it is written: `rag+lora-1000`, `gpt-x:few-shot`."""
        few = "few-shot" if self.examples == EXAMPLES else f"few-shot-{self.examples}"
        parts = [
            *(["rag"] if self.retrieval else []),
            *([few] if self.examples else []),
            *(["structured"] if self.schema else []),
            *(["cot"] if self.steps else []),
            *([f"lora-{self.rows}"] if self.rows is not None else []),
        ]
        name = "+".join(parts) or "zero-shot"
        return f"{self.target}:{name}" if self.target else name

    @property
    def effort(self) -> tuple[int, ...]:
        """Order rungs: what only a prompt needs, then documents, then training; hosted ones last.

        Within each, what costs fewer tokens comes first.
        """
        trained, hosted = self.rows is not None, self.target is not None
        return (
            hosted,
            trained,
            self.retrieval,
            self.rows or 0,
            self.steps,
            self.schema,
            self.examples,
        )

    @property
    def is_prompt(self) -> bool:
        """Whether nothing but a prompt is needed."""
        return self.rows is None and not self.retrieval

    def on(self, target: str) -> Rung:
        """The same rung answered by a hosted model."""
        return replace(self, target=target)


def rungs_of(text: str) -> list[Rung]:
    """Read a list of rungs, parted by commas, into the order of the ladder.

    Raises:
        RungError: a name that is none, a sum that makes no sense, or no rung at all.
    """
    named = [part.strip() for part in text.split(",") if part.strip()]
    if not named:
        raise RungError(f"no rung is named; name some of {_KNOWN}")
    return sorted(set(map(_rung, named)), key=lambda one: one.effort)


def _rung(name: str) -> Rung:
    rung = Rung()
    for part in name.split("+"):
        rung = _with(rung, part.strip(), name)
    if rung.rows is not None and (rung.examples or rung.steps):
        raise RungError(
            f"{name!r} cannot be: an adapter is served with the prompt that it was trained with, "
            "which has no examples and no steps; name them as rungs of their own"
        )
    if rung.schema and rung.steps:
        raise RungError(
            f"{name!r} cannot be: a schema leaves no room for steps; name them as rungs of their "
            "own"
        )
    return rung


def _with(rung: Rung, part: str, name: str) -> Rung:
    if part == "zero-shot":
        return rung
    if part == "cot":
        return replace(rung, steps=True)
    if part == "structured":
        return replace(rung, schema=True)
    if part == "rag":
        return replace(rung, retrieval=True)
    if found := _EXAMPLES.fullmatch(part):
        count = int(found[1]) if found[1] else EXAMPLES
        if not 1 <= count <= MOST_EXAMPLES:
            raise RungError(f"{name!r} shows {count} examples; 1 to {MOST_EXAMPLES} are possible")
        return replace(rung, examples=count)
    if found := _ROWS.fullmatch(part):
        return replace(rung, rows=int(found[1]))
    raise RungError(f"{name!r} is no rung; name {_KNOWN}")
