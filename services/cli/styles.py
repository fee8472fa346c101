"""Commands on style classifiers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.cli.answer_judging import read_styles
from services.cli.failures import CommandError
from services.cli.line_files import text_of
from services.contracts.styles import StyleRow
from services.domain.evaluation.style_training import StyleRowsError, likeliest, train_styles
from services.domain.evaluation.styles import style_hash
from services.domain.statistics import proportion

styles = typer.Typer(help="Classifiers of style, for the check `style`.", no_args_is_help=True)

MOST_ROWS = 50_000
"""Rows of one file; training passes over them again and again in plain Python."""


@styles.callback()
def _styles() -> None:
    """Classifiers of style, for the check `style`."""


@styles.command("train")
def train(
    file: Annotated[Path, typer.Argument(help='JSON lines: {"text": "…", "label": "…"}.')],
    out: Annotated[Path, typer.Option(help="Where the classifier goes, as JSON.")] = Path(
        "style.json"
    ),
) -> None:
    """Train a classifier, and say how right it is on rows that it was not trained on."""
    if not out.parent.is_dir():
        raise CommandError(f"{out.parent} is no folder; choose another place with --out.")
    rows = _rows(file)
    try:
        model = train_styles(rows)
    except StyleRowsError as error:
        raise CommandError(f"{file}: {error}.") from error
    out.write_text(model.model_dump_json() + "\n", encoding="utf-8")
    right = round(model.accuracy * model.held_out)
    sure = proportion(right, model.held_out)
    console = Console()
    console.print(
        f"{escape(str(out))}: {', '.join(map(escape, model.labels))} ({style_hash(model)})",
        highlight=False,
        soft_wrap=True,
    )
    console.print(
        f"{len(rows)} rows; of {model.held_out} held out {right} right, {sure.mean:.3f} "
        f"[{sure.low:.3f}, {sure.high:.3f}]",
        highlight=False,
        soft_wrap=True,
    )


@styles.command("check")
def check(
    model: Annotated[Path, typer.Argument(help="A classifier of `inkstone eval style train`.")],
    file: Annotated[Path, typer.Argument(help="Labelled rows that it was not trained on.")],
) -> None:
    """Measure a classifier on other rows, label by label."""
    known, rows = read_styles(model), _rows(file)
    if strange := sorted({row.label for row in rows} - set(known.labels)):
        raise CommandError(
            f"{file} has the label {strange[0]!r}, and the classifier tells "
            f"{', '.join(known.labels)}."
        )
    said = [(row.label, likeliest(known, row.text)) for row in rows]
    table = Table("label", "rows", "right", "95 % interval", "taken for", box=None)
    for label in [*known.labels, ""]:
        mine = [pair for pair in said if label in ("", pair[0])]
        if not mine:
            continue
        sure = proportion(sum(wanted == given for wanted, given in mine), len(mine))
        wrong = [given for wanted, given in mine if wanted != given]
        most = max(sorted(set(wrong)), key=wrong.count) if wrong and label else ""
        interval = f"[{sure.low:.3f}, {sure.high:.3f}]"
        cells = (escape(label) or "all", str(len(mine)), f"{sure.mean:.3f}", escape(interval))
        table.add_row(*cells, escape(most))
    Console().print(table)


def _rows(file: Path) -> list[StyleRow]:
    found = []
    for number, line in enumerate(text_of(file).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            found.append(StyleRow.model_validate_json(line))
        except ValidationError as error:
            told = error.errors(include_url=False)[0]
            where = ".".join(map(str, told["loc"]))
            raise CommandError(
                f"{file}, line {number}: {f'{where}: ' if where else ''}{told['msg']}; write "
                f"{json.dumps({'text': '…', 'label': 'formal'}, ensure_ascii=False)}."
            ) from error
        if len(found) > MOST_ROWS:
            raise CommandError(f"{file} has more than {MOST_ROWS} rows; take a part of them.")
    return found
