"""Write review sentiment in Korean and English as a ladder's files, and say what to run.

    python -m benchmarks.ladder --data ../shared/data --to /tmp/ladder

The reviews are NSMC (e9t/nsmc, CC0) and SST-2 (Socher et al., 2013), one JSON object a line with
`text` and `label`; where they are not there, nothing is written. The cases are drawn from the test
split, balanced; the training rows from the training split, without any text that is a case.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROWS = 1200
"""Training rows; the dearest rung learns from the first 1,000 of a shuffle of them."""

RUNGS = "zero-shot,few-shot,cot,structured,lora-100,lora-1000"


@dataclass(frozen=True, slots=True)
class Task:
    """One data set as a task."""

    name: str
    labels: tuple[str, str]
    """Of the values 0 and 1."""
    system: str


TASKS = (
    Task("nsmc", ("부정", "긍정"), "영화평이 긍정인지 부정인지 한 단어로 답하세요."),
    Task(
        "sst2",
        ("negative", "positive"),
        "Say in one word whether the film review is positive or negative.",
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--to", type=Path, default=Path("ladder-files"))
    parser.add_argument("--cases", type=int, default=150)
    parser.add_argument("--rungs", default=RUNGS)
    arguments = parser.parse_args()
    arguments.to.mkdir(parents=True, exist_ok=True)
    for task in TASKS:
        write(task, arguments.data, arguments.to, arguments.cases, arguments.rungs)


def write(task: Task, data: Path, folder: Path, count: int, rungs: str) -> None:
    """Write the files of one task and print its commands."""
    sources = [data / f"{task.name}_{part}.jsonl" for part in ("test", "train")]
    if absent := [str(one) for one in sources if not one.exists()]:
        print(f"# {task.name} is skipped: {', '.join(absent)} is not there")
        return
    test, train = (list(texts(one)) for one in sources)
    cases = balanced(test, count)
    asked = {text for text, _ in cases}
    rows = balanced([one for one in train if one[0] not in asked], ROWS)
    at = folder / task.name
    lines(at.with_suffix(".cases.jsonl"), (case(task, n, *one) for n, one in enumerate(cases)))
    lines(at.with_suffix(".train.jsonl"), (row(task, *one) for one in rows))
    profile = {"system": task.system, "sampling": {"temperature": 0, "max_tokens": 32}}
    at.with_suffix(".profile.json").write_text(json.dumps(profile, ensure_ascii=False))
    print(f"inkstone assistants set {task.name} --profile {at}.profile.json")
    print(
        f"inkstone ladder run --assistant {task.name} --cases {at}.cases.jsonl "
        f"--train {at}.train.jsonl --rungs {rungs} --knob rank=8 --out {at}.json"
    )


def texts(file: Path) -> Iterator[tuple[str, int]]:
    """Read each text once, the first time that it stands there."""
    seen = set()
    for line in file.read_text(encoding="utf-8").split("\n"):
        if line.strip():
            one = json.loads(line)
            text = " ".join(one["text"].split())
            if text and text not in seen:
                seen.add(text)
                yield text, one["label"]


def balanced(found: Sequence[tuple[str, int]], count: int) -> list[tuple[str, int]]:
    """Draw as many of each label, by a fixed seed."""
    chance = random.Random(1)
    groups = [[one for one in found if one[1] == label] for label in (0, 1)]
    drawn = [one for group in groups for one in chance.sample(group, count // 2)]
    chance.shuffle(drawn)
    return drawn


def case(task: Task, number: int, text: str, label: int) -> dict[str, Any]:
    check = {"kind": "label", "labels": list(task.labels), "expected": task.labels[label]}
    return {"id": f"{task.name}-{number}", "question": text, "checks": [check]}


def row(task: Task, text: str, label: int) -> dict[str, Any]:
    turns = [("user", text), ("assistant", task.labels[label])]
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


def lines(file: Path, objects: Iterable[Any]) -> None:
    written = (json.dumps(one, ensure_ascii=False) for one in objects)
    file.write_text("\n".join(written) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
