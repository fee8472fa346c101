"""What a ladder is to do, read from files and the gateway and checked before anything is asked."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from services.cli.failures import CommandError
from services.cli.gateway import Gateway
from services.cli.line_files import cases_of
from services.contracts.adapters import Replica, ReplicaPage
from services.contracts.assistants import Assistant, Profile, RetrievalPolicy
from services.contracts.datasets import DatasetPolicy, DatasetReport
from services.contracts.evaluation_cases import EvaluationCase
from services.contracts.ladder import RungLeftOut
from services.domain.datasets.examples import Example
from services.domain.datasets.findings import told
from services.domain.datasets.gate import Surroundings, checked
from services.domain.datasets.prompts import system_of
from services.domain.datasets.reading import UNREADABLE, read_examples
from services.domain.evaluation.cases import dataset_hash
from services.domain.ladder.examples import are_brief, labels_of, shuffled
from services.domain.ladder.prompts import PLAIN_TEMPLATES, Task, left_out, profile_of, schema_of
from services.domain.ladder.rows import training_row
from services.domain.ladder.rungs import Rung

MOST_CASES = 10_000
"""Cases of one ladder: every rung asks them all."""

LIVE_SECONDS = 30.0
"""How long a replica is waited for."""

_POLL_SECONDS = 0.2

BaseStyle = Literal["auto", "chat", "text"]

_ALWAYS = frozenset({*UNREADABLE, "leaked_rows", "file_empty"})
"""What stops a ladder even where no rung trains: examples would be of no worth."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line says."""

    assistant: str
    cases: Path
    train: Path | None
    rungs: Sequence[Rung]
    base_style: BaseStyle
    reasoning_tokens: int
    repeats: int
    concurrent: int
    seed: int
    recipe: Mapping[str, str]
    accepted: Sequence[str]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured, on what."""

    assistant: str
    base: str
    task: Task
    policy: RetrievalPolicy | None
    cases: Sequence[EvaluationCase]
    rows: Sequence[Example]
    """Training rows in the order in which they are taken."""
    rungs: Sequence[Rung]
    left_out: Sequence[RungLeftOut]
    inputs: Mapping[str, str]
    """What the answers depend on, by its name in a sentence."""
    train_hash: str | None
    cautions: Sequence[str]


async def plan_of(gateway: Gateway, wishes: Wishes) -> Plan:
    """Read everything and make sure that it can be done.

    Raises:
        CommandError: a file that cannot be used, or no rung that can be measured.
        ServiceError: there is no such assistant, or the key may not see it.
    """
    cases = cases_of(wishes.cases, most=MOST_CASES)
    found = await gateway.to_follow(wishes.assistant)
    base = await _base(gateway)
    task = _task(wishes, cases, found.stable.profile, base)
    policy = DatasetPolicy(accepted=list(wishes.accepted))
    rows, report = _rows(wishes.train, cases, task, policy)
    rungs, without = _parted(wishes.rungs, task, found, len(rows), policy)
    _check_rows(wishes.train, report, trains=any(rung.rows is not None for rung in rungs))
    return Plan(
        assistant=found.id,
        base=base.base_model,
        task=task,
        policy=found.stable.retrieval,
        cases=cases,
        rows=shuffled(rows, wishes.seed),
        rungs=rungs,
        left_out=without,
        inputs=_inputs(wishes, found, cases, base.base_fingerprint, plain=task.plain),
        train_hash=_digest(wishes.train.read_bytes()) if wishes.train else None,
        cautions=_cautions(found, task, report),
    )


async def _base(gateway: Gateway) -> Replica:
    """Find a replica whose base answers; one that is silent for a moment is waited for."""
    deadline = time.monotonic() + LIVE_SECONDS
    while True:
        replicas = await gateway.read("/admin/replicas", ReplicaPage)
        for one in replicas.data:
            if one.live:
                return one
        if time.monotonic() > deadline:
            raise CommandError(
                f"No replica was live for {LIVE_SECONDS:.0f} s, so nothing can answer; start the "
                "stack."
            )
        await asyncio.sleep(_POLL_SECONDS)


def _task(wishes: Wishes, cases: Sequence[EvaluationCase], profile: Profile, base: Replica) -> Task:
    style = wishes.base_style
    return Task(
        profile=profile,
        labels=labels_of(cases),
        reasoning_tokens=wishes.reasoning_tokens,
        brief=are_brief(cases),
        schema=schema_of(profile, cases),
        plain=base.chat_template_hash in PLAIN_TEMPLATES if style == "auto" else style == "text",
    )


def _parted(
    wanted: Sequence[Rung], task: Task, found: Assistant, rows: int, policy: DatasetPolicy
) -> tuple[list[Rung], list[RungLeftOut]]:
    """Part the rungs that can be measured from those that cannot, which say why."""
    rungs, without = [], []
    for rung in wanted:
        retrieves = found.stable.retrieval is not None
        why = left_out(rung, task, retrieves=retrieves, rows=rows, fewest=policy.rows_at_least)
        if why is None:
            rungs.append(rung)
        else:
            without.append(RungLeftOut(name=rung.name, reason=why))
    if not any(rung.target is None for rung in rungs):
        told = "; ".join(f"{one.name}: {one.reason}" for one in without)
        raise CommandError(f"No rung of your own can be measured. {told}.")
    return rungs, without


def _rows(
    file: Path | None, cases: Sequence[EvaluationCase], task: Task, policy: DatasetPolicy
) -> tuple[list[Example], DatasetReport | None]:
    """Read the training rows, and have the gate look at them as they would be trained."""
    if file is None:
        return [], None
    with file.open("rb") as lines:
        reading = read_examples(lines)
    if broken := [found for found in reading.findings if found.severity == "error"]:
        first = broken[0]
        raise CommandError(f"{file}, line {first.rows[0]}: {first.message}. {first.mend}")
    trained = profile_of(Rung(rows=len(reading.examples)), task, [])
    written = (
        json.dumps(training_row(one, trained, [], grounded=False), ensure_ascii=False).encode()
        for one in reading.examples
    )
    around = Surroundings(
        judged=[case.asked for case in cases],
        system=system_of(trained),
        question_label=trained.context.question_label,
    )
    return reading.examples, checked(written, around, policy)


def _check_rows(file: Path | None, report: DatasetReport | None, *, trains: bool) -> None:
    errors = report.errors if report else []
    stopping = [found for found in errors if trains or found.code in _ALWAYS]
    if stopping:
        raise CommandError(
            f"{file} must not be learnt from: {told(stopping)} `inkstone data check` shows the "
            "lines."
        )


def _inputs(
    wishes: Wishes,
    found: Assistant,
    cases: Sequence[EvaluationCase],
    fingerprint: str,
    *,
    plain: bool,
) -> dict[str, str]:
    release = found.stable
    served = [release.profile.model_dump(mode="json"), None]
    if release.retrieval is not None:
        served[1] = release.retrieval.model_dump(mode="json")
    return {
        "the cases": dataset_hash(cases),
        "the training rows": _digest(wishes.train.read_bytes()) if wishes.train else "",
        "the assistant": found.id,
        "what the assistant serves": _digest(_canonical(served)),
        "the base": fingerprint,
        "--base-style": "text" if plain else "chat",
        "--reasoning-tokens": str(wishes.reasoning_tokens),
        "--repeats": str(wishes.repeats),
        "--concurrent": str(wishes.concurrent),
        "--seed": str(wishes.seed),
        "--knob": _canonical(dict(wishes.recipe)).decode(),
    }


def _cautions(found: Assistant, task: Task, report: DatasetReport | None) -> list[str]:
    told = []
    if found.stable.adapter is not None:
        told.append(
            f"{found.id} serves the adapter {found.stable.adapter}; every rung begins from the "
            "base without it."
        )
    if task.plain:
        told.append(
            "The base was never taught to follow instructions; prompts are written as texts that "
            "it can go on with, which is the best that they can be for it."
        )
    told += [
        f"{finding.message} ({finding.code}): a gain may be remembered words."
        for finding in (report.findings if report else [])
        if finding.code == "nearly_leaked_rows"
    ]
    return told


def _canonical(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True).encode()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
