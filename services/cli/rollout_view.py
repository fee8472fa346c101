"""How a rollout looks in a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from services.contracts.audit import AuditEvent
from services.contracts.rollouts import ArmSeen, RateSeen, Rollout

_ENDED = ("promoted", "rolled_back", "aborted", "failed", "superseded")


def event_line(event: AuditEvent, rollout: Rollout) -> Table:
    """Lay out one move: when, what, where it led, and why; a long reason keeps to its column."""
    state, step = str(event.detail.get("after", "pending")), event.detail.get("step", -1)
    if state == "canary" and 0 <= step < len(rollout.steps):
        state = f"canary {rollout.steps[step].weight:g} %"
    grid = Table.grid(
        Column(width=8), Column(width=9), Column(width=13), Column(ratio=1), padding=(0, 1)
    )
    grid.expand = True
    clock = time.strftime("%H:%M:%S", time.localtime(event.at))
    what = event.action.removeprefix("rollout.").replace("_", " ")
    grid.add_row(clock, what, state.replace("_", " "), Text(event.reason or ""))
    return grid


def view(rollout: Rollout, now: float) -> Group:
    """Lay out which rollout it is, where it stands and what is known of both arms."""
    title = Text(f"{rollout.id}  {rollout.stable} -> {rollout.candidate}")
    why = [Text(rollout.reason)] if rollout.reason else []
    standing, *figures = _figures(rollout, now)
    return Group(title, standing, *why, *figures)


def below_its_moves(rollout: Rollout, now: float) -> Group:
    """Lay out the same below the lines of its moves, which have said what it is and why."""
    return Group("", *_figures(rollout, now))


def _figures(rollout: Rollout, now: float) -> Iterator[RenderableType]:
    yield Text(_standing(rollout, now), style="bold")
    if rollout.checks:
        yield _checks(rollout)
    if any(arm.answers for arm in rollout.arms.values()):
        yield _averages(rollout.arms["stable"], rollout.arms["candidate"])
    if rollout.queries:
        yield _queries(rollout)


def _standing(rollout: Rollout, now: float) -> str:
    said = [rollout.state.replace("_", " ") + (f" {rollout.weight:g} %" if rollout.weight else "")]
    if rollout.state in _ENDED:
        return said[0]
    if rollout.weight:
        said.append(f"step {rollout.step + 1} of {len(rollout.steps)}")
    spent = f"for {_span(now - rollout.entered_at)}"
    if rollout.state == "canary":
        spent += f" of at least {_span(rollout.steps[rollout.step].hold_seconds)}"
    said.append(spent)
    wanted = _wanted(rollout)
    if wanted is not None:
        said.append(f"{rollout.answers} of {wanted} answers")
    return ", ".join(said)


def _wanted(rollout: Rollout) -> int | None:
    """Say how many answers of the candidate the present stage needs."""
    if rollout.state == "shadowing" and rollout.shadow is not None:
        return rollout.shadow.min_samples
    if rollout.state == "canary" and rollout.analysis is not None:
        return rollout.analysis.min_samples
    return None


def _span(seconds: float) -> str:
    minutes, rest = divmod(max(int(seconds), 0), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min"), (0 if hours else rest, "s")]
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "0 s"


def _checks(rollout: Rollout) -> Table:
    figures = [
        Column(name, justify="right", no_wrap=True) for name in ("stable", "candidate", "margin")
    ]
    table = Table("check", *figures, "worse", box=None)
    for check in rollout.checks:
        table.add_row(
            check.check.replace("_", " "),
            _rate(check.stable),
            _rate(check.candidate),
            f"{check.margin:g}",
            Text("yes", style="bold red") if check.worse else "no",
        )
    return table


def _rate(seen: RateSeen) -> str:
    if not seen.trials:
        return "-"
    return f"{seen.events}/{seen.trials} {seen.events / seen.trials:6.1%}"


def _averages(stable: ArmSeen, candidate: ArmSeen) -> Table:
    table = Table(
        "on average",
        Column("stable", justify="right"),
        Column("candidate", justify="right"),
        box=None,
    )
    rows = (
        ("first token", "{:.0f} ms", "first_token_ms"),
        ("between tokens", "{:.1f} ms", "inter_token_ms"),
        ("prompt", "{:.0f} tokens", "prompt_tokens"),
        ("answer", "{:.0f} tokens", "completion_tokens"),
        ("support", "{:.0%}", "support"),
        ("cost", "{:.6f} USD", "cost_usd"),
    )
    for name, shape, field in rows:
        values = [getattr(arm, field) for arm in (stable, candidate)]
        if any(values):
            table.add_row(name, *("-" if v is None else shape.format(v) for v in values))
    return table


def _queries(rollout: Rollout) -> Table:
    table = Table("query", "says", "at least", "at most", "broken", box=None)
    for each in rollout.queries:
        bounds = ["-" if b is None else f"{b:g}" for b in (each.at_least, each.at_most)]
        says = each.why or "-" if each.value is None else f"{each.value:g}"
        table.add_row(each.query, says, *bounds, "yes" if each.broken else "no")
    return table
