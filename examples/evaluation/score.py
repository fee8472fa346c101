"""Scores the base or an adapter on held-out cases: `python -m examples.evaluation.score --help`.

Passages come from a lexical search over the sample corpus, so no service has to run.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from examples.evaluation.answering import Answerer
from examples.evaluation.cases import read_cases
from examples.evaluation.grading import Grade, grade, summarise
from examples.evaluation.picking import LexicalIndex, read_chunks
from examples.style.voices import VOICES
from services.contracts.assistants import Profile
from services.domain.passages import Source
from services.domain.rendering import compose

TOP_K = 3
"""Passages in a prompt, as the demo's assistants have."""


def run(
    base: Path, adapter: Path | None, profile: Profile, voice: str | None, *, retrieval: bool
) -> list[Grade]:
    """Answer and judge every case."""
    cases = read_cases()
    index = LexicalIndex(read_chunks())
    picked = [index.best(case.asked, TOP_K) if retrieval else [] for case in cases]
    prompts = [
        compose(
            profile,
            [{"role": "user", "content": case.asked}],
            [Source(chunk.title, chunk.text) for chunk in chunks],
            grounded=retrieval,
        )
        for case, chunks in zip(cases, picked, strict=True)
    ]
    answers = Answerer(base, adapter).answer(prompts, profile.sampling)
    spoken = VOICES[voice] if voice else None
    return [
        grade(case, answer, chunks, profile.abstention, spoken)
        for case, answer, chunks in zip(cases, answers, picked, strict=True)
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Score one condition and print it as JSON."""
    parser = argparse.ArgumentParser("examples.evaluation.score", description=__doc__)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--adapter", type=Path)
    parser.add_argument("--profile", type=Path, required=True)
    parser.add_argument("--voice", choices=sorted(VOICES))
    parser.add_argument("--no-retrieval", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--answers", type=Path, help="write every answer there, as JSON lines")
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    profile = Profile.model_validate_json(options.profile.read_text("utf-8"))
    retrieval = not options.no_retrieval
    grades = run(options.base, options.adapter, profile, options.voice, retrieval=retrieval)
    if options.answers:
        lines = [json.dumps(_shown(given), ensure_ascii=False) for given in grades]
        options.answers.write_text("\n".join(lines) + "\n", "utf-8")
    print(json.dumps(asdict(summarise(grades)), indent=2))
    return 0


def _shown(given: Grade) -> dict[str, object]:
    return {**asdict(given), "case": given.case.id, "question": given.case.asked}


if __name__ == "__main__":
    raise SystemExit(main())
