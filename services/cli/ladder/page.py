"""The report of a ladder as one page of HTML, which asks nothing of any other host."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from services.cli.ladder.plots import latency_plot, passed_plot, value_plot, volume_plot
from services.cli.ladder.saved import SavedLadder
from services.cli.ladder.tables import COMPARED, HEADINGS, compared_of, notes_of, parts_of, rows_of
from services.contracts.assistants import Profile
from services.contracts.evaluations import AnswerResult

SHOWN_CASES = 200
"""Cases that the page shows; the JSON file has all."""

SHOWN_CHARACTERS = 300
"""Of one answer."""

_STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--paper:#fff;--line:#d0d7de;--rung:#1f6feb;
--taken:#1a7f37;--hosted:#bc4c00;--soft:#57606a}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--paper:#0d1117;--line:#30363d;
--rung:#6cb6ff;--taken:#57d16f;--hosted:#ffa657;--soft:#9198a1}}
body{font:16px/1.55 system-ui,sans-serif;color:var(--ink);background:var(--paper);
max-width:70em;margin:2em auto;padding:0 1em}
.wide{overflow-x:auto}table{border-collapse:collapse;margin:1em 0;font-size:.9em}
td,th{border:1px solid var(--line);padding:.3em .6em;text-align:left;vertical-align:top;
overflow-wrap:anywhere}th{white-space:nowrap}.figures td{white-space:nowrap}
tr.taken td{font-weight:600}.headline{font-size:1.25em;border-left:5px solid var(--taken);
padding-left:.8em}.reject,.insufficient{border-color:var(--hosted)}
figure{margin:1.5em 0}figcaption{font-weight:600}svg{width:100%;max-width:780px;font-size:12px}
svg text{fill:var(--ink)}svg line{stroke-width:2}svg .grid{stroke:var(--line);stroke-width:1}
svg .enough{stroke:var(--soft);stroke-dasharray:4 4}svg line.rung{stroke:var(--rung)}
svg line.taken{stroke:var(--taken)}svg line.hosted{stroke:var(--hosted)}
svg circle.rung{fill:var(--rung)}svg circle.taken{fill:var(--taken)}
svg circle.hosted{fill:var(--hosted)}.soft{color:var(--soft)}pre{white-space:pre-wrap;
border:1px solid var(--line);padding:.6em;overflow-wrap:anywhere}
"""


def page_of(saved: SavedLadder) -> str:
    """Write the page: the advice, figures, pictures, what was asked, and the cases."""
    report, advice = saved.report, saved.report.advice
    title = f"Ladder of {report.assistant}"
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>',
        '<meta name="viewport" content="width=device-width">',
        f"<style>{_STYLE}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
        f'<p class="headline {advice.verdict}">{escape(advice.headline)}</p>',
        f"<p>{escape(subject_of(saved))}</p>",
        _list("ol", advice.reasons),
    ]
    if advice.next_steps:
        parts += ["<h2>What next</h2>", _list("ul", advice.next_steps)]
    parts += ["<h2>Figures</h2>", _table(HEADINGS, rows_of(report), taken=advice.rung)]
    parts += [f'<p class="soft">{escape(note)}</p>' for note in notes_of(report)]
    parts += ["<p>The mean score of each check, and the share passed of each tag:</p>"]
    parts += [_table(*parts_of(report), taken=advice.rung)]
    parts += [passed_plot(report), value_plot(report), latency_plot(report), volume_plot(report)]
    parts += [
        f"<h2>{escape(advice.rung)} beside each other rung</h2>",
        _table(COMPARED, compared_of(report)),
    ]
    told = [f"{one.name} is left out: {one.reason.rstrip('.')}." for one in report.left_out]
    if told or report.cautions:
        parts += ["<h2>Mind</h2>", _list("ul", [*told, *report.cautions])]
    parts += ["<h2>What each rung was told</h2>", *_profiles(saved)]
    parts += ["<h2>The cases on which rungs differ</h2>", *_cases(saved), "</body></html>"]
    return "\n".join(parts) + "\n"


def subject_of(saved: SavedLadder) -> str:
    """Say in one sentence what was measured."""
    report = saved.report
    repeats = f", each asked {report.repeats} times" if report.repeats > 1 else ""
    rows = f", training rows {report.train_hash}" if report.train_hash else ""
    return (
        f"{report.cases} cases ({report.dataset_hash}{rows}){repeats}, on the base {report.base}, "
        f"{report.concurrent} at a time, seed {report.seed}; a rung is good enough from "
        f"{report.enough:.0%}."
    )


def _profiles(saved: SavedLadder) -> Iterator[str]:
    for name, profile in saved.profiles.items():
        told = _told(profile)
        yield f"<details><summary>{escape(name)}</summary><pre>{escape(told)}</pre></details>"


def _told(profile: Profile) -> str:
    parts = [profile.system or "(no system text)"]
    parts += [f"user: {one.user}\nassistant: {one.assistant}" for one in profile.few_shot]
    if profile.reasoning == "cot":
        parts.append("(reasons in steps, which are hidden)")
    if profile.output_schema is not None:
        parts.append("(held to a schema)")
    return "\n\n".join([*parts, f"(at most {profile.sampling.max_tokens} tokens)"])


def _cases(saved: SavedLadder) -> Iterator[str]:
    names = [one.name for one in saved.report.rungs]
    first = {name: _firsts(saved.answers[name]) for name in names}
    differing = [
        case for case in saved.cases if len({first[name][case.id].passed for name in names}) > 1
    ]
    yield f"<p>{len(differing)} of {len(saved.cases)} cases, the first {SHOWN_CASES} shown.</p>"
    rows = [
        [case.id, _cut(case.asked), *(_shown(first[name][case.id]) for name in names)]
        for case in differing[:SHOWN_CASES]
    ]
    if rows:
        table = _table(["case", "asked", *names], rows, wraps=True)
        yield f"<details><summary>Show them</summary>{table}</details>"


def _firsts(answers: Sequence[AnswerResult]) -> dict[str, AnswerResult]:
    return {one.case: one for one in sorted(answers, key=lambda one: one.repeat, reverse=True)}


def _shown(answer: AnswerResult) -> str:
    return f"{'✓' if answer.passed else '✗'} {_cut(answer.error or answer.text)}"


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def _list(kind: str, sentences: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(one)}</li>" for one in sentences)
    return f"<{kind}>{items}</{kind}>"


def _table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    taken: str | None = None,
    wraps: bool = False,
) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in headings)
    body = "".join(_row(row, is_taken=row[0] == taken) for row in rows)
    kind = "" if wraps else ' class="figures"'
    return f'<div class="wide"><table{kind}><tr>{top}</tr>\n{body}</table></div>'


def _row(cells: Sequence[str], *, is_taken: bool) -> str:
    kind = ' class="taken"' if is_taken else ""
    return f"<tr{kind}>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>\n"
