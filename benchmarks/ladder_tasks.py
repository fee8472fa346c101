"""Tasks of real data: reviews to label or to put into a form, sentences to say in another voice.

The reviews are NSMC (e9t/nsmc, CC0) and SST-2 (Socher et al., 2013), the sentences SmileStyle
(smilegate-ai/korean_smile_style_dataset, CC BY-NC 4.0); JSON lines, as read here.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROWS = 1200
"""Training rows; the dearest rung learns from the first 1,000 of a shuffle of them."""

QUOTED = 24
"""Characters of a review that stand as the reason."""

KEPT = 0.5
"""The share of the wanted sentence that must stand in a restyled one, as ROUGE-L's F."""

_VOICES = ("formal", "informal")


@dataclass(frozen=True, slots=True)
class Task:
    """What a ladder is given."""

    name: str
    profile: Mapping[str, Any]
    cases: Sequence[Mapping[str, Any]]
    rows: Sequence[Mapping[str, Any]]
    rungs: str
    styles: Sequence[Mapping[str, str]] = ()
    """What a style classifier learns from; none of it is a case or a training row."""


@dataclass(frozen=True, slots=True)
class Review:
    text: str
    label: int
    """1 when it is positive."""
    rating: float
    """From 1 to 10; at the end of its label's side where the set has none."""


def sentiment(name: str, labels: tuple[str, str], system: str, data: Path, count: int) -> Task:
    """Name the sentiment; `labels` are those of 0 and 1."""
    cases, rows = _parted(name, data, count)
    label = {"kind": "label", "labels": list(labels)}
    return Task(
        name,
        _profile(system, 32),
        [
            _case(f"{name}-{n}", one.text, [{**label, "expected": labels[one.label]}])
            for n, one in enumerate(cases)
        ],
        [_row(one.text, labels[one.label]) for one in rows],
        "zero-shot,few-shot,cot,structured,lora-100,lora-1000 --reasoning-tokens 48",
    )


def form(data: Path, count: int) -> Task:
    """Name the sentiment, how sure it is, and why, as JSON; a case passes when the form is right.

    Whether the sentiment is right only scores. How sure follows from the rating that the review
    gave, and the reason is what it begins with.
    """
    labels = ("부정", "긍정")
    schema = {
        "type": "object",
        "properties": {
            "sentiment": {"type": "string", "enum": list(labels)},
            "confidence": {"type": "number", "minimum": 0, "maximum": 1},
            "reason": {"type": "string", "minLength": 1, "maxLength": 80},
        },
        "required": ["sentiment", "confidence", "reason"],
        "additionalProperties": False,
    }
    cases, rows = _parted("nsmc", data, count)
    system = (
        "영화평을 읽고 JSON으로만 답하세요. sentiment는 긍정 또는 부정, "
        "confidence는 0과 1 사이의 수, reason은 근거가 되는 짧은 말입니다."
    )
    return Task(
        "form",
        _profile(system, 96),
        [
            _case(
                f"form-{n}",
                one.text,
                [
                    {"kind": "json_schema", "json_schema": schema},
                    {
                        "kind": "regex",
                        "pattern": f'"sentiment"\\s*:\\s*"{labels[one.label]}"',
                        "required": False,
                    },
                ],
            )
            for n, one in enumerate(cases)
        ],
        [_row(one.text, _formed(one, labels)) for one in rows],
        "zero-shot,few-shot,structured,few-shot+structured,lora-300,structured+lora-300",
    )


def voice(data: Path, count: int) -> Task:
    """Say a casual sentence politely without changing what it says.

    A case passes when the style classifier takes the answer for polite and enough of what was
    meant still stands in it. Dialogues are parted: a third each for cases, rows and classifier.
    """
    pairs = [one for one in _objects(data / "korean_smile_style.jsonl") if _differs(one)]
    cases, rows, styled = (
        list({one["informal"]: one for one in pairs if one["dialogue"] % 3 == part}.values())
        for part in range(3)
    )
    drawn = random.Random(1).sample(cases, min(count, len(cases)))
    # Greetings recur from dialogue to dialogue.
    rows = _without(rows, drawn)
    styled = _without(styled, [*drawn, *rows])
    return Task(
        "voice",
        _profile("다음 반말 문장을 뜻은 그대로 두고 정중한 존댓말로 바꿔 쓰세요.", 64),
        [
            _case(
                f"voice-{n}",
                one["informal"],
                [
                    {"kind": "style", "style": "formal"},
                    {"kind": "rouge_l", "reference": one["formal"], "at_least": KEPT},
                ],
            )
            for n, one in enumerate(drawn)
        ],
        [_row(one["informal"], one["formal"]) for one in rows],
        "zero-shot,few-shot,lora-100,lora-500",
        [{"text": one[kind], "label": kind} for one in styled for kind in _VOICES],
    )


def _without(
    pairs: Sequence[dict[str, Any]], drawn: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Leave out pairs that say what a drawn one says, in either voice."""
    said = {one[kind] for one in drawn for kind in _VOICES}
    return [one for one in pairs if not said & {one[kind] for kind in _VOICES}]


def _differs(one: Mapping[str, Any]) -> bool:
    both = [one.get(kind) for kind in _VOICES]
    return all(both) and both[0] != both[1]


def _formed(review: Review, labels: tuple[str, str]) -> str:
    sure = round(abs(review.rating - 5.5) / 4.5, 1)
    said = {
        "sentiment": labels[review.label],
        "confidence": sure,
        "reason": review.text[:QUOTED].strip(),
    }
    return json.dumps(said, ensure_ascii=False)


def _parted(name: str, data: Path, count: int) -> tuple[list[Review], list[Review]]:
    """Draw cases from the test split and rows from the training split, as many of each label."""
    test, train = (list(_reviews(data / f"{name}_{part}.jsonl")) for part in ("test", "train"))
    cases = _balanced(test, count)
    asked = {one.text for one in cases}
    return cases, _balanced([one for one in train if one.text not in asked], ROWS)


def _reviews(file: Path) -> Iterator[Review]:
    """Read each text once, the first time that it stands there."""
    seen = set()
    for one in _objects(file):
        text = " ".join(one["text"].split())
        if text and text not in seen:
            seen.add(text)
            yield Review(text, one["label"], one.get("rating", 10 if one["label"] else 1))


def _balanced(found: Sequence[Review], count: int) -> list[Review]:
    """Draw as many of each label, by a fixed seed."""
    chance = random.Random(1)
    groups = [[one for one in found if one.label == label] for label in (0, 1)]
    drawn = [one for group in groups for one in chance.sample(group, count // 2)]
    chance.shuffle(drawn)
    return drawn


def _objects(file: Path) -> Iterator[dict[str, Any]]:
    for line in file.read_text(encoding="utf-8").split("\n"):
        if line.strip():
            yield json.loads(line)


def _profile(system: str, max_tokens: int) -> dict[str, Any]:
    return {"system": system, "sampling": {"temperature": 0, "max_tokens": max_tokens}}


def _case(name: str, question: str, checks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"id": name, "question": question, "checks": list(checks)}


def _row(question: str, answer: str) -> dict[str, Any]:
    turns = [("user", question), ("assistant", answer)]
    return {"messages": [{"role": role, "content": content} for role, content in turns]}
