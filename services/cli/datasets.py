"""Commands on training files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.cli.connection import Connection, connected
from services.cli.failures import CommandError
from services.contracts.assistants import Profile
from services.contracts.datasets import DatasetPolicy, DatasetReport, Message
from services.domain.datasets.examples import QUESTION_LABEL
from services.domain.datasets.gate import Surroundings, checked
from services.domain.datasets.lengths import TokenCounter
from services.domain.datasets.prompts import system_of

datasets = typer.Typer(help="Training files.", no_args_is_help=True)


@datasets.callback()
def _datasets() -> None:
    """Training files."""


@datasets.command("check")
@connected
async def check(
    connection: Connection,
    file: Annotated[Path, typer.Argument(help="Rows to train on, one JSON object a line.")],
    judged: Annotated[
        list[Path] | None,
        typer.Option("--eval", help="Cases that will judge the adapter; may be given often."),
    ] = None,
    profile: Annotated[
        Path | None, typer.Option(help="The profile that the adapter will be served with.")
    ] = None,
    assistant: Annotated[
        str | None, typer.Option(help="In place of a profile: the assistant that is to have it.")
    ] = None,
    grounded: Annotated[
        bool, typer.Option("--grounded", help="The assistant serves with retrieved passages.")
    ] = False,
    base: Annotated[
        Path | None, typer.Option(help="The base's folder, whose tokenizer counts lengths.")
    ] = None,
    max_tokens: Annotated[int, typer.Option(help="How long a row may be.")] = 768,
    rows_at_least: Annotated[int, typer.Option(help="Fewer rows are an error.")] = 50,
    accept: Annotated[
        list[str] | None, typer.Option(help="An error that you have looked at, by its code.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Say what is wrong with a training file; the exit code is 1 when it must not be trained on.

    Only `--assistant` asks a gateway.
    """
    if profile is not None and assistant is not None:
        raise CommandError("Name either --profile or --assistant: what the adapter will serve.")
    policy = DatasetPolicy(
        rows_at_least=rows_at_least,
        max_tokens=max_tokens if base else None,
        accepted=accept or [],
    )
    served = _profile(profile) if profile else None
    if assistant is not None:
        async with connection.gateway() as gateway:
            stable = (await gateway.to_follow(assistant)).stable
        served, grounded = stable.profile, grounded or stable.retrieval is not None
    around = Surroundings(
        judged=[question for one in judged or [] for question in _questions(one)],
        system=system_of(served) if served else None,
        grounded=grounded,
        question_label=served.context.question_label if served else QUESTION_LABEL,
        counter=_counter(base) if base else None,
    )
    with file.open("rb") as lines:
        report = checked(lines, around, policy)
    if as_json:
        print(report.model_dump_json(indent=1))
    else:
        _show(Console(), file, report)
    if report.errors:
        raise typer.Exit(1)


def _show(console: Console, file: Path, report: DatasetReport) -> None:
    size = f"{report.rows} rows, {report.trained_answers} answers"
    if report.tokens is not None:
        size += f", {report.tokens} tokens, the longest row {report.longest}"
    console.print(f"{escape(str(file))}: {size}", highlight=False, soft_wrap=True)
    table = Table(box=None, show_header=False, padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for found in report.findings:
        colour = "red" if found.severity == "error" else "yellow"
        lines = ", ".join(map(str, found.rows[:8])) + (" …" if found.count > 8 else "")
        where = f"\nlines {lines}" if found.rows else ""
        table.add_row(
            f"[{colour}]{found.severity}[/]",
            f"[bold]{found.code}[/]  {escape(found.message)}\n[dim]{escape(found.mend)}{where}[/]",
        )
    if report.findings:
        console.print(table)
    errors = len(report.errors)
    verdict = (
        f"[red]must not be trained on[/]: {errors} errors"
        if errors
        else "[green]can be trained on[/]"
    )
    warnings = len(report.findings) - errors
    console.print(f"{verdict}, {warnings} warnings", highlight=False)


def _profile(path: Path) -> Profile:
    return Profile.model_validate_json(path.read_text(encoding="utf-8"))


def _questions(file: Path) -> list[str]:
    """Read the questions of cases: a `question`, or the last user turn of `messages`."""
    found = []
    for number, line in enumerate(file.read_text(encoding="utf-8-sig").split("\n"), start=1):
        if not line.strip():
            continue
        question = _question(line)
        if question is None:
            raise CommandError(
                f"{file}, line {number}: no question; a case has `question` or `messages`."
            )
        found.append(question)
    return found


def _question(line: str) -> str | None:
    try:
        case: Any = json.loads(line)
    except ValueError:
        return None
    if not isinstance(case, dict):
        return None
    turns = case.get("messages") or case.get("prompt") or []
    said = [turn.get("content") for turn in turns if turn.get("role") == "user"]
    question = case.get("question") or (said[-1] if said else None)
    return question if isinstance(question, str) else None


def _counter(base: Path) -> TokenCounter:
    """Count as the base's own tokenizer and chat template do."""
    from transformers import AutoTokenizer

    if not base.is_dir():
        raise CommandError(f"{base} is no folder; name the prepared base's folder.")
    tokenizer: Any = AutoTokenizer.from_pretrained(base)

    def count(turns: Sequence[Message], answer: str) -> int:
        shown = [{"role": turn.role, "content": turn.content} for turn in turns]
        whole = [*shown, {"role": "assistant", "content": answer}]
        text = tokenizer.apply_chat_template(whole, tokenize=False)
        return len(tokenizer.encode(text, add_special_tokens=False))

    return count
