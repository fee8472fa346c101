"""One distillation from its first prompt to its files."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from services.chassis.completions import Endpoint
from services.cli.answer_judging import Judging
from services.cli.distil_asking import Asking, Compose, Known, known_of
from services.cli.distil_report import next_commands, table_of
from services.cli.failures import CommandError
from services.cli.journal import Journal
from services.cli.line_files import cases_of
from services.contracts.assistants import Profile, Release
from services.contracts.datasets import DatasetPolicy
from services.contracts.distillation import (
    DistilLine,
    DistilManifest,
    DistilPrompt,
    DroppedPrompt,
    TeacherAnswer,
    Teaching,
)
from services.domain.datasets.examples import plain
from services.domain.distillation.answers import read_answer
from services.domain.distillation.budget import Budget
from services.domain.distillation.choosing import Judged
from services.domain.distillation.harvest import Asked, Harvest, harvest
from services.domain.distillation.prompts import Prompts, Standard, case_of
from services.domain.evaluation.answers import Answer
from services.domain.rendering import profile_hash

LICENCE_NOTE = (
    "Many vendors forbid training other models on what theirs answer: read the teacher's terms "
    "before you train on this, and note with --licence what they allow."
)


@dataclass(frozen=True, slots=True)
class Source:
    """Whose prompts the teacher gets."""

    compose: Compose
    profile: Profile
    answer_tokens: int
    """How long an answer may be unless the command says otherwise."""
    assistant: str | None = None
    release: Release | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is asked, and how."""

    samples: int
    concurrent: int
    seed: int | None
    abstentions: float
    """The greatest share of rows that abstain."""


@dataclass(frozen=True, slots=True)
class Distillation:
    """Everything that one distillation works with."""

    console: Console
    prompts: Prompts
    prompts_file: Path
    out: Path
    teacher: Endpoint
    model: str
    parameters: dict[str, Any]
    instructions: str
    source: Source
    judging: Judging
    standard: Standard
    bounds: Bounds
    budget: Budget
    priced: bool
    judged: Sequence[Path]
    """Files of cases that must not be trained on."""
    licence: str | None

    async def run(self, *, fresh: bool) -> None:
        """Ask what is missing, judge all answers, write the files and say what became of it.

        Raises:
            CommandError: it cannot begin, or not go on.
            ServiceError: the same, as the teacher or the gateway says it.
        """
        leaked = self._leaked()
        prompts = {key: one for key, one in self.prompts.asked.items() if key not in leaked}
        self.judging.check(
            [case_of(one, self.standard, Answer(""), grounded=False) for one in prompts.values()]
        )
        journal = self._journal(fresh=fresh)
        known = known_of(self._lines(journal))
        if not known:
            self.console.print(LICENCE_NOTE, style="yellow", soft_wrap=True)
        self._count(known)
        asking = await self._ask(prompts, known, journal)
        asked = [await self._judged(one, known.get(key), asking) for key, one in prompts.items()]
        got = harvest(asked, DatasetPolicy(), most_abstentions=self.bounds.abstentions)
        unasked = [self.prompts.asked[key].id or "" for key in sorted(leaked)]
        dropped = [
            *got.dropped,
            *(DroppedPrompt(prompt=name, reason="leaked") for name in unasked),
        ]
        rows = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in got.rows)
        self._write(rows, got, dropped)
        self._tell(got, dropped, asking)

    def _leaked(self) -> set[str]:
        """Find the prompts that a case of an evaluation asks as well."""
        cases = {plain(case.asked) for file in self.judged for case in cases_of(file)}
        return {key for key, one in self.prompts.asked.items() if plain(one.asked) in cases}

    def _journal(self, *, fresh: bool) -> Journal[Teaching, DistilLine]:
        release = self.source.release
        teaching = Teaching(
            url=self.teacher.base_url,
            model=self.model,
            parameters=self.parameters,
            instructions=self.instructions,
            assistant=self.source.assistant,
            release=release.id if release else None,
            profile_hash=profile_hash(self.source.profile),
        )
        path = self._beside("answers.jsonl")
        if fresh:
            path.unlink(missing_ok=True)
        return Journal(path, teaching, DistilLine)

    def _lines(self, journal: Journal[Teaching, DistilLine]) -> list[DistilLine]:
        heading, lines = journal.read()
        if heading is None or heading == journal.heading:
            return lines
        before, now = heading.model_dump(), journal.heading.model_dump()
        other = ", ".join(name.replace("_", " ") for name in now if now[name] != before[name])
        raise CommandError(
            f"{journal.path} holds the answers of another distillation (other: {other}); choose "
            "another --out, or begin anew with --fresh."
        )

    def _count(self, known: dict[str, Known]) -> None:
        """Count what was spent before."""
        for one in (answer for each in known.values() for answer in each.answers.values()):
            self.budget.spend(
                prompt=one.prompt_tokens,
                cached=one.cached_tokens,
                completion=one.completion_tokens,
            )

    async def _ask(
        self,
        prompts: dict[str, DistilPrompt],
        known: dict[str, Known],
        journal: Journal[Teaching, DistilLine],
    ) -> Asking:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(
            *columns,
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        ) as progress:
            bar = progress.add_task(escape(self.model), total=len(prompts))
            asking = Asking(
                self.teacher,
                journal.heading,
                self.source.compose,
                self.budget,
                journal,
                self.bounds.samples,
                self.bounds.concurrent,
                self.bounds.seed,
                answered=lambda: progress.advance(bar),
            )
            await asking.ask(prompts, known)
        return asking

    async def _judged(self, prompt: DistilPrompt, known: Known | None, asking: Asking) -> Asked:
        served = known.prompt if known else None
        missing = "failed"
        if asking.over_budget and not (known and known.answers):
            missing = "not_asked"
        if known is None or served is None:
            return Asked(prompt, None, (), missing)
        answers = sorted(known.answers.values(), key=lambda one: one.sample)
        found = [await self._one(prompt, known, one) for one in answers[: self.bounds.samples]]
        return Asked(prompt, served, found, missing)

    async def _one(self, prompt: DistilPrompt, known: Known, given: TeacherAnswer) -> Judged:
        assert known.prompt is not None
        profile, served = self.source.profile, known.prompt
        read = read_answer(
            given,
            served.passages,
            profile.abstention,
            grounded=served.grounded,
            structured=profile.output_schema is not None,
            in_steps=profile.reasoning == "cot",
        )
        if read.fault is not None:
            return Judged(given, read, None)
        case = case_of(prompt, self.standard, read.answer, grounded=bool(served.passages))
        return Judged(given, read, await self.judging.judged(case, read.answer))

    def _write(self, rows: str, got: Harvest, dropped: Sequence[DroppedPrompt]) -> None:
        manifest = DistilManifest(
            made_at=round(time.time(), 3),
            inkstone=version("inkstone"),
            teaching=self._journal(fresh=False).heading,
            licence=self.licence,
            prompts_sha256=hashlib.sha256(self.prompts_file.read_bytes()).hexdigest(),
            rows_sha256=hashlib.sha256(rows.encode()).hexdigest(),
            samples=self.bounds.samples,
            lexical=self.judging.entailment is None,
            prompts=len(self.prompts.asked),
            kept=len(got.rows),
            dropped=_counted(dropped),
            prompt_tokens=self.budget.prompt,
            completion_tokens=self.budget.completion,
            cost_usd=round(self.budget.cost, 6) if self.priced else None,
            rows=got.origins,
        )
        _replace(self.out, rows)
        _replace(self._beside("manifest.json"), manifest.model_dump_json(indent=1) + "\n")
        profile = self.source.profile.model_dump_json(indent=1)
        _replace(self._beside("profile.json"), profile + "\n")
        lines = [json.dumps(one.model_dump(), ensure_ascii=False) + "\n" for one in dropped]
        _replace(self._beside("dropped.jsonl"), "".join(lines))

    def _beside(self, ending: str) -> Path:
        return self.out.with_suffix(f".{ending}")

    def _tell(self, got: Harvest, dropped: Sequence[DroppedPrompt], asking: Asking) -> None:
        console, spent = self.console, self.budget
        console.print(
            f"{len(got.rows)} rows of {len(self.prompts.asked)} prompts"
            + (f" ({self.prompts.repeated} more repeat one)" if self.prompts.repeated else "")
            + f"; {spent.prompt:,} prompt and {spent.completion:,} answer tokens"
            + (f", ${spent.cost:,.4f}" if self.priced else ""),
            highlight=False,
            soft_wrap=True,
        )
        if dropped:
            console.print(table_of(_counted(dropped)))
            console.print(f"[dim]{self._beside('dropped.jsonl')}[/dim]", soft_wrap=True)
        for message in list(dict.fromkeys(asking.failures.values()))[:3]:
            console.print(f"[yellow]{escape(message)}[/yellow]", soft_wrap=True)
        if asking.over_budget:
            console.print(
                "[yellow]The budget is spent; raise it and give the command again to ask the "
                "rest.[/yellow]",
                soft_wrap=True,
            )
        if any("citation_recall" in origin.scores for origin in got.origins) and (
            self.judging.entailment is None
        ):
            console.print(
                "Support by passages was told by words; --entailment names a model.",
                soft_wrap=True,
            )
        if got.rows:
            for line in next_commands(self.out, self.source.assistant, self.judged, self._grounded):
                console.print(line, highlight=False, soft_wrap=True, markup=False)

    @property
    def _grounded(self) -> bool:
        release = self.source.release
        return release is not None and release.retrieval is not None


def _counted(dropped: Sequence[DroppedPrompt]) -> dict[str, int]:
    """Count the reasons, the most frequent first."""
    return dict(Counter(one.reason for one in dropped).most_common())


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    beside = path.with_name(f".{path.name}.part")
    with beside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
