"""Trainings."""

from __future__ import annotations

from tools.monitoring.grafana import Board, Row, one

TUNER = Board(
    "inkstone-tuner",
    "Inkstone / Tuner",
    "Trainings that run and how they end.",
    (
        Row(
            "Trainings",
            (
                one(
                    "Running",
                    "1 where a worker trains.",
                    "inkstone_training_running",
                    "{{instance}}",
                ),
                one(
                    "Loss",
                    "Of the training that runs; it should fall and then level off.",
                    "inkstone_training_loss",
                    "{{instance}}",
                ),
                one(
                    "Ended",
                    "In 24 hours, by how.",
                    "sum by (status) (increase(inkstone_training_jobs_total[1d]))",
                    "{{status}}",
                ),
                one(
                    "Memory of the worker",
                    "Trainings are child processes of their own and not part of it.",
                    'process_resident_memory_bytes{job=~".*tuner.*"}',
                    "{{instance}}",
                    unit="bytes",
                ),
            ),
        ),
    ),
)
