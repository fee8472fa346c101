"""Every alert beside those of the objectives: what it watches, and where it fires."""

from __future__ import annotations

from tools.monitoring.certificates import CERTIFICATES
from tools.monitoring.objectives import OBJECTIVES
from tools.monitoring.rules import Alert, Case

_UP = 'up{job="inkstone-gateway", instance="a"}'
_STATE = 'inkstone_rollout_state{assistant="support", state="%s"}'
_ENTERED = 'inkstone_rollout_entered_timestamp_seconds{assistant="support"}'

SERVING = (
    Alert(
        "ServiceDown",
        'up{job=~"inkstone-.*"} == 0',
        "2m",
        "page",
        "{{ $labels.job }} at {{ $labels.instance }} cannot be scraped.",
        fires=Case({_UP: "0x20"}, labels={"job": "inkstone-gateway", "instance": "a"}),
        quiet=Case({_UP: "1x8 0 1x10"}, "10m"),
    ),
    Alert(
        "GatewayAbsent",
        "absent(inkstone_inflight)",
        "5m",
        "page",
        "No gateway is scraped at all.",
        fires=Case({"up": "1x20"}),
        quiet=Case({"inkstone_inflight": "0x20"}),
    ),
    Alert(
        "NoReplica",
        'max(inkstone_replicas{state="live"}) == 0',
        "1m",
        "page",
        "No engine reports to any gateway; every chat request fails.",
        fires=Case({'inkstone_replicas{state="live"}': "0x20"}),
        quiet=Case({'inkstone_replicas{state="live"}': "1x20"}),
    ),
    Alert(
        "EngineDown",
        "inkstone_engine_up == 0",
        "5m",
        "ticket",
        "The engine of {{ $labels.instance }} does not answer.",
        fires=Case({'inkstone_engine_up{instance="a"}': "0x20"}, labels={"instance": "a"}),
        quiet=Case({'inkstone_engine_up{instance="a"}': "0x3 1x20"}, "4m"),
    ),
    Alert(
        "EngineRestarting",
        "increase(inkstone_engine_restarts_total[30m]) > 3",
        "0m",
        "ticket",
        "The engine of {{ $labels.instance }} was started again and again within half an hour.",
        fires=Case(
            {'inkstone_engine_restarts_total{instance="a"}': "0+1x30"},
            "30m",
            {"instance": "a"},
        ),
        quiet=Case({'inkstone_engine_restarts_total{instance="a"}': "0x10 1x20"}, "30m"),
    ),
    Alert(
        "EngineQueue",
        "vllm:num_requests_waiting > 16",
        "10m",
        "ticket",
        "Requests queue in the engine {{ $labels.instance }}; it wants another replica.",
        fires=Case({'vllm:num_requests_waiting{instance="a"}': "40x20"}, labels={"instance": "a"}),
        quiet=Case({'vllm:num_requests_waiting{instance="a"}': "16x20"}),
    ),
    Alert(
        "EngineCacheFull",
        "vllm:kv_cache_usage_perc > 0.95",
        "10m",
        "ticket",
        "The key-value cache of the engine {{ $labels.instance }} is full.",
        fires=Case({'vllm:kv_cache_usage_perc{instance="a"}': "0.99x20"}, labels={"instance": "a"}),
        quiet=Case({'vllm:kv_cache_usage_perc{instance="a"}': "0.9x20"}),
    ),
    Alert(
        "Overloaded",
        'sum(rate(inkstone_rejected_total{reason="overloaded"}[5m])) > 0',
        "5m",
        "ticket",
        "Gateways turn callers away because they are full.",
        fires=Case({'inkstone_rejected_total{reason="overloaded"}': "0+6x20"}),
        quiet=Case({'inkstone_rejected_total{reason="key_overloaded"}': "0+6x20"}),
    ),
)

ADAPTERS = (
    Alert(
        "ReplicaMissingAdapter",
        "inkstone_adapter_ready == 0",
        "10m",
        "ticket",
        "{{ $labels.instance }} does not prove {{ $labels.adapter }}.",
        fires=Case(
            {'inkstone_adapter_ready{instance="a", adapter="style@1"}': "0x20"},
            labels={"instance": "a", "adapter": "style@1"},
        ),
        quiet=Case({'inkstone_adapter_ready{instance="a", adapter="style@1"}': "0x8 1x20"}),
    ),
    Alert(
        "ReplicaNotReady",
        'max(inkstone_replicas{state="live"}) - max(inkstone_replicas{state="ready"}) > 0',
        "10m",
        "ticket",
        "A replica is live and does not hold every adapter version that is served.",
        fires=Case(
            {
                'inkstone_replicas{state="live"}': "2x20",
                'inkstone_replicas{state="ready"}': "1x20",
            }
        ),
        quiet=Case(
            {
                'inkstone_replicas{state="live"}': "2x20",
                'inkstone_replicas{state="ready"}': "2x20",
            }
        ),
    ),
    Alert(
        "AdapterRefused",
        'increase(inkstone_adapter_load_failures_total{kind="refused"}[15m]) > 0',
        "0m",
        "ticket",
        "{{ $labels.instance }} refused an adapter version for good.",
        fires=Case(
            {'inkstone_adapter_load_failures_total{instance="a", kind="refused"}': "0x10 1x10"},
            labels={"instance": "a", "kind": "refused"},
        ),
        quiet=Case(
            {'inkstone_adapter_load_failures_total{instance="a", kind="postponed"}': "0+1x20"}
        ),
    ),
)

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

_SPENT = (
    "(sum(increase(inkstone_cost_usd_total[1d]))"
    " + (sum(increase(inkstone_shadow_cost_usd_total[1d])) or vector(0)))"
    " / max(inkstone_daily_budget_usd)"
)
_COSTS = {"inkstone_daily_budget_usd": "100x20"}

COSTS = (
    Alert(
        "BudgetNearlySpent",
        f"{_SPENT} > 0.8",
        "5m",
        "ticket",
        "Answers of 24 hours cost more than 80 % of the daily budget.",
        fires=Case({**_COSTS, "inkstone_cost_usd_total": "0+9x20"}),
        quiet=Case({**_COSTS, "inkstone_cost_usd_total": "0+5x20"}),
        page="budget-spent",
    ),
    Alert(
        "BudgetSpent",
        f"{_SPENT} > 1",
        "5m",
        "ticket",
        "Answers of 24 hours cost more than the daily budget.",
        fires=Case(
            {
                **_COSTS,
                "inkstone_cost_usd_total": "0+6x20",
                "inkstone_shadow_cost_usd_total": "0+6x20",
            },
        ),
        quiet=Case({**_COSTS, "inkstone_cost_usd_total": "0+6x20"}),
    ),
)

KNOWLEDGE = (
    Alert(
        "IngestionLags",
        "max(inkstone_ingestion_lag_seconds) > 900",
        "5m",
        "ticket",
        "An ingestion job that could be worked on has had no turn for a quarter of an hour.",
        fires=Case({"inkstone_ingestion_lag_seconds": "0+60x40"}, "30m"),
        quiet=Case({"inkstone_ingestion_lag_seconds": "0+60x10 0x30"}, "30m"),
    ),
    Alert(
        "IngestionStuck",
        "max(inkstone_ingestion_waiting_files) > 0"
        " and sum(increase(inkstone_files_total[15m])) == 0",
        "15m",
        "ticket",
        "Files wait to be ingested and none was.",
        fires=Case(
            {
                "inkstone_ingestion_waiting_files": "9x40",
                'inkstone_files_total{outcome="created"}': "5x40",
            },
            "35m",
        ),
        quiet=Case(
            {
                "inkstone_ingestion_waiting_files": "9x40",
                'inkstone_files_total{outcome="created"}': "0+1x40",
            },
            "35m",
        ),
        page="ingestion-lags",
    ),
    Alert(
        "IndexRestarting",
        "increase(inkstone_index_restarts_total[1h]) > 2",
        "0m",
        "ticket",
        "The embedded index of {{ $labels.instance }} dies again and again.",
        fires=Case(
            {'inkstone_index_restarts_total{instance="a"}': "0x10 4x50"}, "30m", {"instance": "a"}
        ),
        quiet=Case({'inkstone_index_restarts_total{instance="a"}': "0x10 1x50"}, "30m"),
    ),
    Alert(
        "RetrieverLoopFailing",
        "increase(inkstone_upkeep_failures_total[15m]) > 5",
        "5m",
        "ticket",
        "Work beside the requests of the retriever {{ $labels.instance }} fails again and again.",
        fires=Case(
            {'inkstone_upkeep_failures_total{instance="a"}': "0+1x30"}, "25m", {"instance": "a"}
        ),
        quiet=Case({'inkstone_upkeep_failures_total{instance="a"}': "0x10 2x20"}, "25m"),
        page="background-work-failing",
    ),
    Alert(
        "InvalidCitations",
        'sum(rate(inkstone_citations_total{valid="false"}[30m]))'
        " / sum(rate(inkstone_citations_total[30m])) > 0.2",
        "30m",
        "ticket",
        "More than a fifth of the citations name a passage that was not given.",
        fires=Case(
            {
                'inkstone_citations_total{valid="false"}': "0+5x40",
                'inkstone_citations_total{valid="true"}': "0+5x40",
            },
            "35m",
        ),
        quiet=Case(
            {
                'inkstone_citations_total{valid="false"}': "0+1x40",
                'inkstone_citations_total{valid="true"}': "0+9x40",
            },
            "35m",
        ),
    ),
)

TRAINING = (
    Alert(
        "TrainingFailed",
        'sum(increase(inkstone_training_jobs_total{status="failed"}[1h])) > 0',
        "0m",
        "ticket",
        "A training job failed.",
        fires=Case({'inkstone_training_jobs_total{status="failed"}': "0x10 1x10"}),
        quiet=Case({'inkstone_training_jobs_total{status="succeeded"}': "0x10 1x10"}),
    ),
)

GROUPS = {
    "objectives": tuple(alert for each in OBJECTIVES for alert in each.alerts()),
    "serving": SERVING,
    "adapters": ADAPTERS,
    "rollouts": ROLLOUTS,
    "records": RECORDS,
    "costs": COSTS,
    "knowledge": KNOWLEDGE,
    "training": TRAINING,
    "certificates": CERTIFICATES,
}
"""All alerts, by the group that evaluates them."""

ALERTS = tuple(alert for alerts in GROUPS.values() for alert in alerts)
"""All alerts."""
