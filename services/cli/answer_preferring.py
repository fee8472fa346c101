"""Having a judge compare the answers of two arms, case by case and in both orders."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.cli.answer_judging import Judge
from services.cli.journal import Journal
from services.contracts.evaluation_cases import EvaluationCase
from services.contracts.evaluations import AnswerResult, Judges
from services.contracts.wire import Wire
from services.domain.evaluation.rubrics import Preference, Side, comparing_messages


class PreferenceHeading(Wire):
    """The first line: who judged."""

    judges: Judges


class PreferenceLine(Wire):
    """Every further line: what was said of one pair."""

    key: str
    """Names the question and both answers by their content."""
    case: str
    forward: Side | None
    backward: Side | None


@dataclass(frozen=True, slots=True)
class Preferring:
    """Compares pairs of answers; a pair that was compared is not compared again."""

    judge: Judge
    judges: Judges
    path: Path
    concurrent: int

    async def compare(
        self,
        cases: Sequence[EvaluationCase],
        baseline: Mapping[str, AnswerResult],
        candidate: Mapping[str, AnswerResult],
    ) -> list[Preference]:
        """Compare the first answers of both arms wherever both have one, by the cases' order."""
        journal = Journal(self.path, PreferenceHeading(judges=self.judges), PreferenceLine)
        heading, lines = journal.read()
        if heading is not None and heading != journal.heading:
            self.path.unlink()
            lines = []
        known = {line.key: line for line in lines}
        turns = asyncio.Semaphore(self.concurrent)
        pairs = [
            (case, baseline[case.id].text, candidate[case.id].text)
            for case in cases
            if baseline[case.id].error is None and candidate[case.id].error is None
        ]

        async def compared(case: EvaluationCase, first: str, other: str) -> Preference:
            key = _key(case, first, other)
            if key not in known:
                async with turns:
                    found = await self._asked(key, case, first, other)
                journal.add(file, found)
                known[key] = found
            return Preference(known[key].forward, known[key].backward)

        with journal.open() as file:
            return list(await asyncio.gather(*(compared(*pair) for pair in pairs)))

    async def _asked(
        self, key: str, case: EvaluationCase, first: str, other: str
    ) -> PreferenceLine:
        if first.strip() == other.strip():
            # Nothing is to be told apart, and nothing is to be paid.
            return PreferenceLine(key=key, case=case.id, forward="tie", backward="tie")
        forward = await self.judge.side(comparing_messages(case, first, other))
        backward = await self.judge.side(comparing_messages(case, other, first))
        return PreferenceLine(key=key, case=case.id, forward=forward, backward=backward)


def _key(case: EvaluationCase, first: str, other: str) -> str:
    parts = [case.model_dump_json(exclude_defaults=True), first, other]
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:24]
