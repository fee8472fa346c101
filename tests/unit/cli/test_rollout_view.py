"""How a rollout reads in a terminal of eighty columns."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console, RenderableType

from services.cli.rollout_view import event_line, view
from services.contracts.audit import AuditEvent
from services.contracts.rollouts import Rollout

NOW = 10_000.0
RATE = {"events": 3, "trials": 120}
NONE = {"events": 0, "trials": 0}


def rollout(**fields: Any) -> Rollout:
    known: dict[str, Any] = {
        "id": "ro_b3f545320188c696",
        "assistant": "helpdesk",
        "state": "canary",
        "strategy": "canary",
        "gate": None,
        "shadow": None,
        "stable": "helpdesk/1",
        "candidate": "helpdesk/2",
        "steps": [{"weight": 20}, {"weight": 60, "hold_seconds": 30}],
        "step": 0,
        "weight": 20.0,
        "analysis": {},
        "reason": None,
        "created_at": 1,
        "created_by": "key_1",
        "entered_at": NOW - 125,
        "version": 1,
        "answers": 34,
    }
    return Rollout.model_validate({**known, **fields})


def said(shown: RenderableType) -> list[str]:
    """Print in eighty columns."""
    console = Console(file=io.StringIO(), width=80)
    console.print(shown)
    assert isinstance(console.file, io.StringIO)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    assert all(len(line) <= 80 for line in lines)
    return lines


def test_it_says_where_the_rollout_stands_and_what_the_step_needs() -> None:
    first, second = said(view(rollout(), NOW))
    assert first == "ro_b3f545320188c696  helpdesk/1 -> helpdesk/2"
    assert second == "canary 20 %, step 1 of 2, for 2 min 5 s of at least 5 min, 34 of 50 answers"


def test_what_is_over_is_not_counted_on() -> None:
    ended = rollout(state="rolled_back", weight=0.0, reason="the candidate is worse at errors")
    assert said(view(ended, NOW))[1:] == ["rolled back", "the candidate is worse at errors"]


def test_figures_stand_in_columns_and_what_was_not_measured_is_a_dash() -> None:
    checks = [
        {"check": "errors", "margin": 0, "stable": RATE, "candidate": NONE, "worse": False},
        {"check": "slow_streams", "margin": 0.05, "stable": NONE, "candidate": RATE, "worse": True},
    ]
    arm = {
        "answers": 3,
        "first_token_ms": 120.4,
        "inter_token_ms": None,
        "prompt_tokens": 300.0,
        "completion_tokens": 88.5,
        "support": 0.876,
        "cost_usd": 0.0,
    }
    arms = {"stable": arm, "candidate": {**arm, "inter_token_ms": 41.26}}
    queries = [
        {
            "query": "p95",
            "at_least": None,
            "at_most": 2.0,
            "value": 3.5,
            "why": None,
            "broken": True,
        }
    ]
    lines = said(view(rollout(checks=checks, arms=arms, queries=queries), NOW))
    assert [line.split() for line in lines[3:5]] == [
        ["errors", "3/120", "2.5%", "-", "0", "no"],
        ["slow", "streams", "-", "3/120", "2.5%", "0.05", "yes"],
    ]
    assert [line.split() for line in lines[6:11]] == [
        ["first", "token", "120", "ms", "120", "ms"],
        ["between", "tokens", "-", "41.3", "ms"],
        ["prompt", "300", "tokens", "300", "tokens"],
        ["answer", "88", "tokens", "88", "tokens"],
        ["support", "88%", "88%"],
    ]
    assert lines[-1].split() == ["p95", "3.5", "-", "2", "yes"]


def test_a_long_reason_keeps_to_its_column() -> None:
    event = AuditEvent(
        id="1",
        at=NOW,
        actor="controller",
        action="rollout.roll_back",
        subject="ro_1",
        reason="후보가 더 나쁩니다: " + "the candidate is worse at uncited answers, " * 3,
        detail={"after": "rolled_back", "step": 0},
        request_id="r",
    )
    first, *others = said(event_line(event, rollout()))
    assert first.split()[1:5] == ["roll", "back", "rolled", "back"]
    assert others
    assert all(line.startswith(" " * 32) for line in others)
