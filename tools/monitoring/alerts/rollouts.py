"""Alerts on rollouts that wait for somebody, or were taken back."""

from __future__ import annotations

from tools.monitoring.rules import Alert, Case

_STATE = 'inkstone_rollout_state{assistant="support", state="%s"}'
_ENTERED = 'inkstone_rollout_entered_timestamp_seconds{assistant="support"}'

ROLLOUTS = (
    Alert(
        "RolloutStuck",
        "(time() - max by (assistant) (inkstone_rollout_entered_timestamp_seconds) > 900)"
        " and on (assistant) max by (assistant)"
        ' (inkstone_rollout_state{state=~"pending|warming"}) == 1',
        "1m",
        "ticket",
        "The rollout of {{ $labels.assistant }} waits for replicas to prove its adapter.",
        fires=Case({_STATE % "warming": "1x40", _ENTERED: "0x40"}, "30m", {"assistant": "support"}),
        quiet=Case({_STATE % "canary": "1x40", _ENTERED: "0x40"}, "30m"),
    ),
    Alert(
        "RolloutHeld",
        "(time() - max by (assistant) (inkstone_rollout_entered_timestamp_seconds) > 86400)"
        " and on (assistant) max by (assistant)"
        ' (inkstone_rollout_state{state=~"paused|inconclusive"}) == 1',
        "1m",
        "ticket",
        "The rollout of {{ $labels.assistant }} has waited for a person for a day.",
        fires=Case(
            {_STATE % "inconclusive": "1x20", _ENTERED: "-86000x20"},
            labels={"assistant": "support"},
        ),
        quiet=Case({_STATE % "paused": "1x20", _ENTERED: "-85000x20"}),
    ),
    Alert(
        "RolloutTakenBack",
        'sum(increase(inkstone_rollout_moves_total{event=~"roll_back|fail|reject"}[15m])) > 0',
        "0m",
        "ticket",
        "A rollout was taken back, rejected, or failed.",
        fires=Case({'inkstone_rollout_moves_total{event="roll_back"}': "0x10 1x10"}),
        quiet=Case({'inkstone_rollout_moves_total{event="advance"}': "0x10 1x10"}),
    ),
)
