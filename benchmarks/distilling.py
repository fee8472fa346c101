"""Write a task on which a shown base teaches an untold one, and print the commands.

    python benchmarks/distilling.py --data ../shared/data --to /tmp/distilling

Casual Korean is to be said politely. The teacher is the base itself, told eight examples that the
student is not told, and manages a third of the sentences. What it says is kept where a style
classifier takes it for polite and where it still says what was asked; neither needs a wanted
answer. No prompt is an example, or a case.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import Any

from ladder import lines
from ladder_tasks import KEPT, voice

SHOWN = 8

SOURCE = "korean_smile_style.jsonl"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--to", type=Path, default=Path("distilling-files"))
    parser.add_argument("--cases", type=int, default=150)
    arguments = parser.parse_args()
    if not (arguments.data / SOURCE).exists():
        print(f"# skipped: {SOURCE} is not there")
        return
    arguments.to.mkdir(parents=True, exist_ok=True)
    task = voice(arguments.data, arguments.cases)
    rows = [[turn["content"] for turn in row["messages"]] for row in task.rows]
    random.Random(1).shuffle(rows)
    shown, asked = rows[:SHOWN], rows[SHOWN:]
    at = arguments.to / "distilled"
    written(at.with_suffix(".profile.json"), task.profile)
    # As a base that goes on with a text reads them (docs/ladder.md).
    told = "\n\n".join(f"{question}\n\nAnswer:\n{answer}" for question, answer in shown)
    at.with_suffix(".shown.txt").write_text(told, encoding="utf-8")
    lines(at.with_suffix(".cases.jsonl"), task.cases)
    lines(at.with_suffix(".styles.jsonl"), task.styles)
    lines(at.with_suffix(".prompts.jsonl"), (prompt(question) for question, _ in asked))
    print(f"inkstone eval style train {at}.styles.jsonl --out {at}.style.json")
    print(f"inkstone assistants set voice --profile {at}.profile.json")
    print("# The engine's own address: its port stands in .inkstone/logs/generator.log.")
    print(
        'INKSTONE_TEACHER_KEY="$(cat .inkstone/secrets/engine)" inkstone distil '
        "--teacher http://127.0.0.1:PORT/v1 --model gemma-3-270m --assistant voice "
        f'--instructions {at}.shown.txt --extra \'{{"stop": ["\\n\\n"]}}\' '
        f"--prompts {at}.prompts.jsonl --style {at}.style.json --eval {at}.cases.jsonl "
        f"--out {at}.train.jsonl"
    )
    print(
        f"inkstone ladder run --assistant voice --cases {at}.cases.jsonl --train "
        f"{at}.train.jsonl --rungs zero-shot,few-shot,lora-200 --style {at}.style.json "
        f"--out {at}.json"
    )


def prompt(question: str) -> dict[str, Any]:
    """Ask for politeness, and that enough of the sentence itself still stands in the answer."""
    return {
        "question": question,
        "checks": [
            {"kind": "style", "style": "formal"},
            {"kind": "rouge_l", "reference": question, "at_least": KEPT},
        ],
    }


def written(file: Path, profile: Any) -> None:
    file.write_text(json.dumps(profile, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
