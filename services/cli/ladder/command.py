"""`inkstone ladder run`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from services.chassis.http import Deadlines, Peer, open_session
from services.cli.answer_evaluation import (
    EntailmentModel,
    JudgeExtra,
    JudgeKey,
    JudgeModel,
    JudgeUrl,
    StyleFile,
)
from services.cli.answer_judging import JudgingOptions, open_judging
from services.cli.connection import Connection, connected
from services.cli.failures import CommandError
from services.cli.ladder.hosted import Target, key_in, target_of
from services.cli.ladder.plan import BaseStyle, Wishes
from services.cli.ladder.running import Run
from services.contracts.ladder import LadderPrices
from services.domain.ladder.advice import ENOUGH
from services.domain.ladder.prompts import REASONING_TOKENS
from services.domain.ladder.rungs import Rung, RungError, rungs_of

RUNGS = "zero-shot,few-shot,cot,structured,rag,rag+few-shot,lora-100,lora-1000,rag+lora-1000"

TARGET_SECONDS = 300.0
"""How long one answer of a hosted model may take."""

ladder = typer.Typer(help="Measure ways to answer, from the cheapest up.", no_args_is_help=True)


@ladder.callback()
def _ladder() -> None:
    """Measure ways to answer, from the cheapest up."""


@ladder.command("run")
@connected
async def run(
    connection: Connection,
    assistant: Annotated[str, typer.Option(help="Whose prompt and documents are measured.")],
    cases: Annotated[Path, typer.Option(help="JSON lines: id, question, expected, checks, tags.")],
    train: Annotated[
        Path | None, typer.Option(help="Training rows; examples are picked from them too.")
    ] = None,
    rungs: Annotated[str, typer.Option(help="Which rungs; parts are joined by +.")] = RUNGS,
    target: Annotated[
        list[str] | None,
        typer.Option(help="A hosted model beside: URL,model; may be given often."),
    ] = None,
    target_key: Annotated[
        str, typer.Option(help="The environment variable that holds the targets' key.")
    ] = "OPENAI_API_KEY",
    prices: Annotated[
        Path | None, typer.Option(help="JSON: own, training_usd_per_hour, hosted.")
    ] = None,
    enough: Annotated[
        float, typer.Option(min=0, max=1, help="The share of cases that is good enough.")
    ] = ENOUGH,
    repeats: Annotated[int, typer.Option(min=1, max=20, help="How often each is asked.")] = 1,
    concurrent: Annotated[int, typer.Option(min=1, max=64, help="Asked at once.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Of the rows' order and of trainings.")] = 1,
    knob: Annotated[
        list[str] | None, typer.Option(help="A recipe knob of trainings, `name=value`.")
    ] = None,
    accept: Annotated[
        list[str] | None,
        typer.Option(help="An error of `inkstone data check` that you have looked at."),
    ] = None,
    base_style: Annotated[
        BaseStyle, typer.Option(help="Whether the base goes on with a text, or chats.")
    ] = "auto",
    reasoning_tokens: Annotated[
        int, typer.Option(min=1, max=8192, help="What the steps of cot may take.")
    ] = REASONING_TOKENS,
    judge: JudgeUrl = None,
    judge_model: JudgeModel = None,
    judge_key_env: JudgeKey = None,
    judge_extra: JudgeExtra = "{}",
    style: StyleFile = None,
    entailment: EntailmentModel = None,
    out: Annotated[Path, typer.Option(help="The report as JSON; the others beside it.")] = Path(
        "ladder.json"
    ),
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what was measured.")] = False,
) -> None:
    """Ask the same cases of every rung, and say which one to take.

    A run that was cut off goes on where it stood when the command is given again.
    """
    if not out.parent.is_dir():
        raise CommandError(f"{out.parent} is no folder; choose another place with --out.")
    targets = [target_of(one) for one in target or []]
    wishes = Wishes(
        assistant=assistant,
        cases=cases,
        train=train,
        rungs=_rungs(rungs, targets),
        base_style=base_style,
        reasoning_tokens=reasoning_tokens,
        repeats=repeats,
        concurrent=concurrent,
        seed=seed,
        recipe=_recipe(knob or []),
        accepted=accept or [],
    )
    run = Run(wishes, _prices(prices), enough, out, fresh)
    key = key_in(target_key) if targets else ""
    options = JudgingOptions(
        judge, judge_model, judge_key_env, judge_extra, style, entailment, concurrent
    )
    async with (
        connection.gateway() as gateway,
        _peers(targets, key) as peers,
        open_judging(options, gateway.peer) as judging,
    ):
        await run.climb(gateway, peers, judging)


@asynccontextmanager
async def _peers(targets: Sequence[Target], key: str) -> AsyncIterator[Mapping[str, Peer]]:
    """Open the hosted models, by their names."""
    deadlines = Deadlines(connect=10.0, read=TARGET_SECONDS, total=TARGET_SECONDS)
    async with open_session(connections=64) as session:
        yield {one.model: Peer("target", one.url, session, key, deadlines) for one in targets}


def _rungs(text: str, targets: Sequence[Target]) -> list[Rung]:
    """Read the rungs; each target climbs those that only need a prompt."""
    if len({one.model for one in targets}) < len(targets):
        raise CommandError("Two targets have the same model; measure them one after the other.")
    try:
        own = rungs_of(text)
    except RungError as error:
        raise CommandError(f"--rungs: {error}.") from error
    hosted = [rung.on(one.model) for one in targets for rung in own if rung.is_prompt]
    if targets and not hosted:
        raise CommandError("A target needs a rung that is only a prompt; add zero-shot to --rungs.")
    return [*own, *hosted]


def _recipe(knobs: Sequence[str]) -> dict[str, str]:
    if wrong := [one for one in knobs if "=" not in one]:
        raise CommandError(f"--knob {wrong[0]} sets nothing; write it like epochs=1.")
    return dict(one.split("=", 1) for one in knobs)


def _prices(file: Path | None) -> LadderPrices:
    if file is None:
        return LadderPrices()
    try:
        return LadderPrices.model_validate_json(file.read_bytes())
    except ValidationError as error:
        told = error.errors(include_url=False)[0]
        where = ".".join(map(str, told["loc"]))
        raise CommandError(f"{file}: {where}: {told['msg']}.") from error
