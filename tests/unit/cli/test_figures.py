"""Figures read from a Prometheus page."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from services.cli.figures import Figures


def _page() -> str:
    registry = CollectorRegistry()
    tokens = Counter("inkstone_tokens", "Tokens", ["direction"], registry=registry)
    tokens.labels("prompt").inc(30)
    tokens.labels("completion").inc(12)
    seconds = Histogram("inkstone_request_seconds", "S", buckets=(1, 2, 4), registry=registry)
    for value in (0.5, 1.5, 1.5, 3.0):
        seconds.observe(value)
    return generate_latest(registry).decode()


def test_a_counter_is_added_up_over_the_series_that_carry_the_labels() -> None:
    figures = Figures(_page())
    assert figures.total("inkstone_tokens_total") == 42
    assert figures.total("inkstone_tokens_total", direction="completion") == 12


def test_a_quantile_is_linear_within_its_bucket() -> None:
    figures = Figures(_page())
    assert figures.quantile("inkstone_request_seconds", 0.5) == pytest.approx(1.5)
    assert figures.quantile("inkstone_request_seconds", 1.0) == pytest.approx(4.0)


def test_an_empty_histogram_has_no_quantile() -> None:
    assert Figures(_page()).quantile("inkstone_absent_seconds", 0.5) is None
