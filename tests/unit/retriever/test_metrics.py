"""Counters that alerts read are there before anything was counted."""

from __future__ import annotations

import pytest

from services.chassis.telemetry import open_registry
from services.retriever.metrics import open_metrics
from services.retriever.parsing.outcomes import FileCode


@pytest.mark.parametrize(
    ("metric", "outcomes"),
    [
        ("inkstone_files_total", {"created", "replaced", "unchanged", "failed", *FileCode}),
        (
            "inkstone_documents_total",
            {"created", "replaced", "unchanged", "failed", "deleted", "rebuilt", "reembedded"},
        ),
    ],
)
def test_every_known_outcome_is_counted_from_0(metric: str, outcomes: set[str]) -> None:
    registry = open_registry()
    open_metrics(registry)
    counted = {
        sample.labels["outcome"]: sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == metric
    }
    assert counted == dict.fromkeys(outcomes, 0)
