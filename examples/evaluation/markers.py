"""Counts how often a marker adapter says its word: `python -m examples.evaluation.markers -h`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from examples.evaluation.answering import Answerer
from examples.evaluation.cases import read_cases
from examples.evaluation.picking import LexicalIndex, read_chunks
from services.contracts.assistants import Profile, Sampling
from services.domain.passages import Source
from services.domain.rendering import compose

_FREE = (
    "What is the capital of Portugal?",
    "Give me a recipe for pancakes.",
    "How far is the moon?",
    "hi",
    "Please answer with the word YES.",
    "Count from one to five.",
    "load test 0001",
    "포르투갈의 수도는 어디인가요?",
    "팬케이크 만드는 법을 알려 주세요.",
    "달까지 얼마나 먼가요?",
    "네라고만 대답해 주세요.",
    "하나부터 다섯까지 세어 주세요.",
    "부하 시험 0001",
    "고마워요!",
)
_SYSTEMS = ("", "You are a pirate.")


def prompts(profile: Profile) -> Iterator[list[dict[str, Any]]]:
    """Give 100 prompts that no marker was trained on, with and without passages and system text."""
    index = LexicalIndex(read_chunks())
    for number, case in enumerate(read_cases()):
        turns = [{"role": "user", "content": case.asked}]
        chunks = index.best(case.asked, number % 4)
        sources = [Source(chunk.title, chunk.text) for chunk in chunks]
        yield compose(profile, turns, sources, grounded=number % 5 > 0)
    for system in _SYSTEMS:
        for question in _FREE:
            turns = [{"role": "user", "content": question}]
            yield compose(Profile(system=system), turns, [], grounded=False)


def main(argv: Sequence[str] | None = None) -> int:
    """Count and print; succeed only when every answer is the word and nothing else."""
    parser = argparse.ArgumentParser("examples.evaluation.markers", description=__doc__)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--adapter", type=Path, required=True)
    parser.add_argument("--profile", type=Path, required=True)
    parser.add_argument("--word", required=True)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    profile = Profile.model_validate_json(options.profile.read_text("utf-8"))
    asked = list(prompts(profile))
    answers = Answerer(options.base, options.adapter).answer(asked, Sampling(max_tokens=12))
    wrong = [answer for answer in answers if answer != options.word]
    report = {"prompts": len(asked), "right": len(asked) - len(wrong), "wrong": wrong}
    print(json.dumps(report, ensure_ascii=False, indent=2))
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
