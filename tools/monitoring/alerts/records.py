"""Alerts on what is kept: the registry, the ledger, keys, and the work beside requests."""

from __future__ import annotations

from tools.monitoring.rules import Alert, Case

RECORDS = (
    Alert(
        "RegistryStale",
        "inkstone_registry_age_seconds > 30",
        "1m",
        "page",
        "{{ $labels.instance }} has lost the registry; it serves what it knows, and no change.",
        fires=Case(
            {'inkstone_registry_age_seconds{instance="a"}': "0+60x20"}, labels={"instance": "a"}
        ),
        quiet=Case({'inkstone_registry_age_seconds{instance="a"}': "1x20"}),
    ),
    Alert(
        "GatewaysDisagree",
        "max(inkstone_registry_revision) - min(inkstone_registry_revision) > 0",
        "5m",
        "ticket",
        "A gateway serves an older registry than another.",
        fires=Case(
            {
                'inkstone_registry_revision{instance="a"}': "7x20",
                'inkstone_registry_revision{instance="b"}': "8x20",
            }
        ),
        quiet=Case(
            {
                'inkstone_registry_revision{instance="a"}': "7x4 8x20",
                'inkstone_registry_revision{instance="b"}': "8x20",
            }
        ),
    ),
    Alert(
        "LedgerBehind",
        "inkstone_ledger_lag_seconds > 30",
        "2m",
        "ticket",
        "{{ $labels.instance }} cannot write its ledger; costs and analyses miss answers.",
        fires=Case(
            {'inkstone_ledger_lag_seconds{instance="a"}': "0+60x20"}, labels={"instance": "a"}
        ),
        quiet=Case({'inkstone_ledger_lag_seconds{instance="a"}': "2x20"}),
    ),
    Alert(
        "LedgerLost",
        "increase(inkstone_ledger_dropped_total[15m]) > 0",
        "0m",
        "ticket",
        "{{ $labels.instance }} dropped ledger rows; they are in no cost and no analysis.",
        fires=Case(
            {'inkstone_ledger_dropped_total{instance="a"}': "0x10 5x10"}, labels={"instance": "a"}
        ),
        quiet=Case({'inkstone_ledger_dropped_total{instance="a"}': "5x20"}),
    ),
    Alert(
        "BackgroundWorkFailing",
        "increase(inkstone_background_failures_total[15m]) > 5",
        "5m",
        "ticket",
        "The loop {{ $labels.loop }} of {{ $labels.instance }} fails again and again.",
        fires=Case(
            {'inkstone_background_failures_total{instance="a", loop="rollouts"}': "0+1x30"},
            "25m",
            {"instance": "a", "loop": "rollouts"},
        ),
        quiet=Case(
            {'inkstone_background_failures_total{instance="a", loop="rollouts"}': "0x10 2x20"},
            "25m",
        ),
    ),
    Alert(
        "AgentLoopFailing",
        "increase(inkstone_generator_loop_failures_total[15m]) > 5",
        "5m",
        "ticket",
        "The loop {{ $labels.loop }} of the agent {{ $labels.instance }} fails again and again.",
        fires=Case(
            {'inkstone_generator_loop_failures_total{instance="a", loop="engine"}': "0+1x30"},
            "25m",
            {"instance": "a", "loop": "engine"},
        ),
        quiet=Case(
            {'inkstone_generator_loop_failures_total{instance="a", loop="engine"}': "0x10 2x20"},
            "25m",
        ),
        page="background-work-failing",
    ),
    Alert(
        "KeyExpiring",
        "(inkstone_key_expires_timestamp_seconds - time() < 14 * 86400)"
        " and (inkstone_key_expires_timestamp_seconds - time() > 0)",
        "1m",
        "ticket",
        "The key {{ $labels.key }} of tenant {{ $labels.tenant }} expires within two weeks.",
        fires=Case(
            {'inkstone_key_expires_timestamp_seconds{tenant="t", key="k"}': "86400x20"},
            labels={"tenant": "t", "key": "k"},
        ),
        quiet=Case({'inkstone_key_expires_timestamp_seconds{tenant="t", key="k"}': "8640000x20"}),
    ),
    Alert(
        "KeyExpired",
        "inkstone_key_expires_timestamp_seconds - time() <= 0",
        "1m",
        "ticket",
        "The key {{ $labels.key }} of tenant {{ $labels.tenant }} has expired.",
        fires=Case(
            {'inkstone_key_expires_timestamp_seconds{tenant="t", key="k"}': "60x20"},
            labels={"tenant": "t", "key": "k"},
        ),
        quiet=Case({'inkstone_key_expires_timestamp_seconds{tenant="t", key="k"}': "86400x20"}),
        page="key-expiring",
    ),
)
