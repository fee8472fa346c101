"""Reading figures out of a Prometheus page."""

from __future__ import annotations

import math
from collections import defaultdict

from prometheus_client.parser import text_string_to_metric_families


class Figures:
    """One scrape of a service's metrics."""

    def __init__(self, page: str) -> None:
        self._samples = [
            sample for family in text_string_to_metric_families(page) for sample in family.samples
        ]

    def total(self, name: str, **labels: str) -> float:
        """Add up a counter over all series that carry these labels."""
        return sum(
            sample.value
            for sample in self._samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def quantile(self, name: str, share: float, **labels: str) -> float | None:
        """Estimate a histogram's quantile as Prometheus does, linear within a bucket."""
        buckets: dict[float, float] = defaultdict(float)
        for sample in self._samples:
            if sample.name == f"{name}_bucket" and labels.items() <= sample.labels.items():
                buckets[float(sample.labels["le"])] += sample.value
        bounds = sorted(buckets.items())
        if not bounds or bounds[-1][1] == 0:
            return None
        wanted = share * bounds[-1][1]
        below, count_below = 0.0, 0.0
        for bound, count in bounds:
            if count >= wanted:
                if math.isinf(bound):
                    return below
                inside = count - count_below
                return below + (bound - below) * ((wanted - count_below) / inside if inside else 1)
            below, count_below = bound, count
        return below
