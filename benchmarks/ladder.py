"""Write real tasks as a ladder's files, and say what to run.

    python benchmarks/ladder.py --data ../shared/data --to /tmp/ladder [--only nsmc form voice]

`nsmc` and `sst2` name the sentiment of a film review, in Korean and English; `form` gives that of
Korean ones as JSON; `voice` says a casual Korean sentence politely. Where a set is not there,
nothing is written of it. No training row has a text that is a case.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ladder_tasks import Task, form, sentiment, voice

TASKS: dict[str, tuple[Callable[[Path, int], Task], tuple[str, ...]]] = {
    "nsmc": (
        lambda data, count: sentiment(
            "nsmc", ("부정", "긍정"), "영화평이 긍정인지 부정인지 한 단어로 답하세요.", data, count
        ),
        ("nsmc_test.jsonl", "nsmc_train.jsonl"),
    ),
    "sst2": (
        lambda data, count: sentiment(
            "sst2",
            ("negative", "positive"),
            "Say in one word whether the film review is positive or negative.",
            data,
            count,
        ),
        ("sst2_test.jsonl", "sst2_train.jsonl"),
    ),
    "form": (form, ("nsmc_test.jsonl", "nsmc_train.jsonl")),
    "voice": (voice, ("korean_smile_style.jsonl",)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--to", type=Path, default=Path("ladder-files"))
    parser.add_argument("--cases", type=int, default=150)
    parser.add_argument("--only", nargs="*", choices=TASKS, default=list(TASKS))
    arguments = parser.parse_args()
    arguments.to.mkdir(parents=True, exist_ok=True)
    for name in arguments.only:
        made, sources = TASKS[name]
        if absent := [one for one in sources if not (arguments.data / one).exists()]:
            print(f"# {name} is skipped: {', '.join(absent)} is not there")
            continue
        write(made(arguments.data, arguments.cases), arguments.to)


def write(task: Task, folder: Path) -> None:
    """Write the files of one task and print its commands."""
    at = folder / task.name
    lines(at.with_suffix(".cases.jsonl"), task.cases)
    lines(at.with_suffix(".train.jsonl"), task.rows)
    at.with_suffix(".profile.json").write_text(json.dumps(task.profile, ensure_ascii=False))
    if task.styles:
        lines(at.with_suffix(".styles.jsonl"), task.styles)
        print(f"inkstone eval style train {at}.styles.jsonl --out {at}.style.json")
    style = f" --style {at}.style.json" if task.styles else ""
    print(f"inkstone assistants set {task.name} --profile {at}.profile.json")
    print(
        f"inkstone ladder run --assistant {task.name} --cases {at}.cases.jsonl "
        f"--train {at}.train.jsonl --rungs {task.rungs}{style} --out {at}.json"
    )


def lines(file: Path, objects: Iterable[Any]) -> None:
    written = (json.dumps(one, ensure_ascii=False) for one in objects)
    file.write_text("\n".join(written) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
