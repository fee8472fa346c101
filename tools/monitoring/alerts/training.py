"""Alerts on training jobs."""

from __future__ import annotations

from tools.monitoring.rules import Alert, Case

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
