"""Metrics: bounded labels and the scrape itself."""

from __future__ import annotations

import aiohttp
import pytest
from fastapi import FastAPI
from prometheus_client import Counter

from services.chassis.telemetry import OVERFLOW, LabelCap, metrics_route, open_registry
from tests.fakes.loopback import running

pytestmark = pytest.mark.anyio


def test_a_label_past_its_cap_is_other_and_earlier_ones_stay() -> None:
    cap = LabelCap(limit=2)
    assert [cap(value) for value in ("가", "b", "c", "가", "d", "b")] == [
        "가",
        "b",
        OVERFLOW,
        "가",
        OVERFLOW,
        "b",
    ]


def test_two_labels_have_caps_of_their_own() -> None:
    first, second = LabelCap(limit=1), LabelCap(limit=1)
    assert (first("a"), second("b")) == ("a", "b")


async def test_a_scrape_shows_the_process_and_our_own_series(
    app: FastAPI, session: aiohttp.ClientSession
) -> None:
    registry = open_registry()
    Counter("inkstone_things", "Things.", ["name"], registry=registry).labels("이름").inc()
    app.include_router(metrics_route(registry))
    async with running(app) as url, session.get(url + "/metrics") as reply:
        text = await reply.text()
    assert reply.headers["content-type"].startswith("text/plain")
    assert 'inkstone_things_total{name="이름"} 1.0' in text
    assert "process_resident_memory_bytes" in text
    assert "inkstone_things_created" not in text, "a series beside each that nobody reads"


def test_two_registries_share_nothing() -> None:
    Counter("inkstone_things", "Things.", registry=open_registry()).inc()
    Counter("inkstone_things", "Things.", registry=open_registry())
