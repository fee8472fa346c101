"""Alerts on ingestion, the index, and citations."""

from __future__ import annotations

from tools.monitoring.rules import Alert, Case

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
        " and (sum(increase(inkstone_files_total[15m])) or vector(0)) == 0",
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
        fires_too=(Case({"inkstone_ingestion_waiting_files": "9x40"}, "35m"),),
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
