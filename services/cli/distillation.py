"""`inkstone distil`: a larger model answers, checks filter, and what is left is a training file."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console

from services.chassis.completions import Endpoint, endpoint_url
from services.chassis.http import Peer, open_session
from services.cli.answer_evaluation import (
    EntailmentModel,
    JudgeExtra,
    JudgeKey,
    JudgeModel,
    JudgeUrl,
)
from services.cli.answer_evaluation import StyleFile as StyleOption
from services.cli.answer_judging import JudgingOptions, json_object, key_from, open_judging
from services.cli.connection import Connection, connected
from services.cli.distil_asking import FromAssistant, FromProfile
from services.cli.distil_work import Bounds, Distillation, Source
from services.cli.failures import CommandError
from services.cli.gateway import Gateway
from services.cli.line_files import naming, text_of
from services.contracts.assistants import Profile
from services.contracts.distillation import CHECKS
from services.contracts.evaluation_cases import Check
from services.domain.distillation.budget import Budget
from services.domain.distillation.prompts import Prompts, Standard, read_prompts
from services.domain.pricing import Prices

KEY_VARIABLE = "INKSTONE_TEACHER_KEY"
"""Where the teacher's key is looked for unless another variable is named."""

MOST_PROMPTS = 100_000
"""Prompts of one file."""

ANSWER_TOKENS = 1024
"""How long an answer may be where no assistant says it."""

VARIED = 0.7
"""The temperature at which several samples differ."""


@connected
async def distil(
    connection: Connection,
    teacher: Annotated[str, typer.Option(help="An OpenAI-compatible URL: https://host/v1.")],
    model: Annotated[str, typer.Option(help="The teacher's model.")],
    prompts: Annotated[Path, typer.Option(help="JSON lines: question or messages, checks, id.")],
    out: Annotated[Path, typer.Option(help="The training file; what belongs to it beside it.")],
    assistant: Annotated[
        str | None, typer.Option(help="Whose prompts the teacher gets, passages included.")
    ] = None,
    profile: Annotated[
        Path | None, typer.Option(help="In place of an assistant: a profile without retrieval.")
    ] = None,
    key_env: Annotated[
        str | None,
        typer.Option(help="The environment variable that holds the key; INKSTONE_TEACHER_KEY."),
    ] = None,
    instructions: Annotated[
        Path | None, typer.Option(help="Text that the teacher is told and the rows do not hold.")
    ] = None,
    checks: Annotated[
        Path | None, typer.Option(help="A JSON list of checks that every answer must pass.")
    ] = None,
    judged: Annotated[
        list[Path] | None,
        typer.Option("--eval", help="Cases of an evaluation, none of which is asked."),
    ] = None,
    samples: Annotated[int, typer.Option(min=1, max=16, help="Answers to each prompt.")] = 1,
    temperature: Annotated[
        float | None, typer.Option(min=0, max=2, help="The assistant's; 0.7 for several samples.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Longest answer; the assistant's own bound.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of the first sample; the next count on.")
    ] = None,
    extra: Annotated[
        str, typer.Option(help="JSON: further fields of each request; null leaves one out.")
    ] = "{}",
    concurrent: Annotated[int, typer.Option(min=1, max=256, help="Asked at once.")] = 4,
    timeout_seconds: Annotated[
        float, typer.Option("--timeout", min=1, help="Seconds for one answer.")
    ] = 120.0,
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds to try again while the teacher has no room.")
    ] = 600.0,
    budget_tokens: Annotated[int | None, typer.Option(min=1, help="Stop at so many.")] = None,
    budget_usd: Annotated[float | None, typer.Option(min=0, help="Stop at so much.")] = None,
    price_in: Annotated[
        float | None, typer.Option(min=0, help="US dollars per million prompt tokens.")
    ] = None,
    price_out: Annotated[
        float | None, typer.Option(min=0, help="US dollars per million completion tokens.")
    ] = None,
    cite: Annotated[bool, typer.Option(help="Whether answers to passages must cite them.")] = True,
    support: Annotated[
        float, typer.Option(min=0, max=1, help="Share of sentences that their citations support.")
    ] = 0.5,
    abstentions: Annotated[
        float, typer.Option(min=0, max=1, help="Greatest share of rows that abstain.")
    ] = 0.2,
    any_language: Annotated[
        bool, typer.Option("--any-language", help="Answers need not be in the question's.")
    ] = False,
    judge: JudgeUrl = None,
    judge_model: JudgeModel = None,
    judge_key_env: JudgeKey = None,
    judge_extra: JudgeExtra = "{}",
    style: StyleOption = None,
    entailment: EntailmentModel = None,
    licence: Annotated[
        str | None, typer.Option(help="What the teacher's terms allow, for the manifest.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget the answers so far.")] = False,
) -> None:
    """Have a larger model answer prompts as an assistant is served, and keep what passes.

    A run that was cut off goes on where it stood when the command is given again.
    """
    if not out.parent.is_dir():
        raise CommandError(f"{out.parent} is no folder; choose another place with --out.")
    if assistant is not None and profile is not None:
        raise CommandError("--assistant brings its own profile; leave --profile out.")
    read, added = _prompts(prompts), json_object(extra, "--extra")
    prices = _prices(price_in, price_out, budget_usd)
    judging = JudgingOptions(
        judge, judge_model, judge_key_env, judge_extra, style, entailment, concurrent
    )
    async with AsyncExitStack() as stack:
        peer = None
        if assistant is not None:
            peer = (await stack.enter_async_context(connection.gateway())).peer
            source = await _of_assistant(peer, assistant)
        else:
            source = _of_profile(profile)
        session = await stack.enter_async_context(open_session(connections=concurrent + 4))
        work = Distillation(
            console=Console(),
            prompts=read,
            prompts_file=prompts,
            out=out,
            teacher=Endpoint(
                "teacher",
                endpoint_url(teacher),
                session,
                key_from(key_env, KEY_VARIABLE),
                timeout_seconds=timeout_seconds,
                patience_seconds=patience,
            ),
            model=model,
            parameters={**_parameters(source, samples, temperature, max_tokens), **added},
            instructions=instructions.read_text("utf-8").strip() if instructions else "",
            source=source,
            judging=await stack.enter_async_context(open_judging(judging, peer)),
            standard=Standard(
                checks=_checks(checks) if checks else (),
                schema=source.profile.output_schema,
                same_language=not any_language,
                cite=cite,
                support=support,
            ),
            bounds=Bounds(samples, concurrent, seed, abstentions),
            budget=Budget(prices, budget_tokens, budget_usd),
            priced=price_in is not None,
            judged=judged or [],
            licence=licence,
        )
        await work.run(fresh=fresh)


def _parameters(
    source: Source, samples: int, temperature: float | None, max_tokens: int | None
) -> dict[str, Any]:
    """Choose what every request holds beside its messages, by what the profile is served with."""
    sampling, schema = source.profile.sampling, source.profile.output_schema
    usual = sampling.temperature if samples == 1 else VARIED
    chosen: dict[str, Any] = {
        "temperature": usual if temperature is None else temperature,
        "max_completion_tokens": max_tokens or source.answer_tokens,
    }
    if schema is not None:
        form = {"name": "answer", "schema": schema, "strict": True}
        chosen["response_format"] = {"type": "json_schema", "json_schema": form}
    return chosen


def _of_profile(file: Path | None) -> Source:
    if file is None:
        return Source(FromProfile(Profile()), Profile(), ANSWER_TOKENS)
    profile = Profile.model_validate_json(file.read_text(encoding="utf-8"))
    return Source(FromProfile(profile), profile, profile.sampling.max_tokens)


async def _of_assistant(peer: Peer, assistant: str) -> Source:
    release = (await Gateway(peer).to_follow(assistant)).stable
    return Source(
        FromAssistant(peer, assistant, release.id),
        release.profile,
        release.profile.sampling.max_tokens,
        assistant,
        release,
    )


def _prompts(file: Path) -> Prompts:
    with naming(file):
        return read_prompts(text_of(file), most=MOST_PROMPTS)


def _checks(file: Path) -> list[Check]:
    try:
        return CHECKS.validate_json(file.read_bytes())
    except ValidationError as error:
        told = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in told["loc"])
        raise CommandError(
            f"{file}: {where}: {told['msg']}; write a JSON list of checks, as cases have them."
        ) from error


def _prices(price_in: float | None, price_out: float | None, budget: float | None) -> Prices:
    if (price_in is None) is not (price_out is None):
        raise CommandError("Give both --price-in and --price-out, per million tokens.")
    if budget is not None and price_in is None:
        raise CommandError("--budget-usd needs --price-in and --price-out, per million tokens.")
    return Prices(price_in or 0.0, price_in or 0.0, price_out or 0.0)
