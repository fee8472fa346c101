"""Alerts on adapter versions that replicas do not hold or refuse."""

from __future__ import annotations

from tools.monitoring.rules import Alert, Case

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
