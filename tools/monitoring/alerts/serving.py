"""Alerts on what answers: services, engines and the room that they have."""

from __future__ import annotations

from tools.monitoring.rules import Alert, Case

_UP = 'up{job="inkstone-%s", instance="%s"}'
_ENGINE_STARTS = {_UP % ("engine", "a"): "0x6 1x30", _UP % ("engine", "b"): "1x40"}

SERVING = (
    Alert(
        "ServiceDown",
        'max by (job) (up{job=~"inkstone-(gateway|generator|tuner)"}) == 0',
        "2m",
        "page",
        "Nothing of {{ $labels.job }} can be scraped.",
        fires=Case(
            {_UP % ("gateway", "a"): "0x20", _UP % ("gateway", "b"): "1x5 0x20"},
            labels={"job": "inkstone-gateway"},
        ),
        quiet=Case({_UP % ("gateway", "a"): "0x20", _UP % ("gateway", "b"): "1x8 0 1x10"}),
        quiet_too=(Case(_ENGINE_STARTS, "6m"), Case({_UP % ("retriever", "a"): "0x20"}, "10m")),
    ),
    # The ports of these open late: an engine may take 15 minutes to start, a retriever 10.
    Alert(
        "ServiceStillDown",
        'max by (job) (up{job=~"inkstone-(engine|retriever)"}) == 0',
        "16m",
        "page",
        "Nothing of {{ $labels.job }} can be scraped, for longer than a start takes.",
        fires=Case(
            {_UP % ("engine", "a"): "0x40", _UP % ("engine", "b"): "0x40"},
            "20m",
            {"job": "inkstone-engine"},
        ),
        quiet=Case({_UP % ("engine", "a"): "0x15 1x30"}),
        page="service-down",
        quiet_too=(Case(_ENGINE_STARTS, "6m"), Case({_UP % ("retriever", "a"): "0x20"}, "10m")),
    ),
    Alert(
        "TargetDown",
        'up{job=~"inkstone-.*"} == 0',
        "20m",
        "ticket",
        "{{ $labels.job }} at {{ $labels.instance }} cannot be scraped.",
        fires=Case(
            {_UP % ("engine", "a"): "0x40", _UP % ("engine", "b"): "1x40"},
            "25m",
            {"job": "inkstone-engine", "instance": "a"},
        ),
        quiet=Case(_ENGINE_STARTS, "6m"),
        page="service-down",
        quiet_too=(Case({_UP % ("engine", "a"): "0x15 1x30"}),),
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
