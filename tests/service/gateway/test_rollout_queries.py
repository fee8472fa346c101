"""Rollouts that a Prometheus has a say in: it may take a candidate back, its silence never does."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from services.gateway.clients.prometheus import NoValue
from services.gateway.registry import ledger
from services.gateway.registry.ledger import LedgerRow
from tests.fakes.loopback import running
from tests.fakes.prometheus import FakePrometheus, vector
from tests.ports import free_port
from tests.service.gateway.gateway import GatewayUnderTest, Reply, gateway_under_test

pytestmark = pytest.mark.anyio

ASSISTANT = "/admin/assistants/support"
ROLLOUTS = f"{ASSISTANT}/rollouts"
ERRORS = 'sum(rate(http_errors{release="$candidate",tenant="$tenant"}[5m])) / $stable'
ASKED = 'sum(rate(http_errors{release="support/2",tenant="default"}[5m])) / support/1'
NEVER = 3600.0
"""Seconds: what a test does itself is not done beside it."""


@pytest.fixture
def prometheus() -> FakePrometheus:
    return FakePrometheus()


@pytest.fixture
async def gateway(tmp_path: Path, prometheus: FakePrometheus) -> AsyncIterator[GatewayUnderTest]:
    async with running(prometheus.app) as url, serving(tmp_path, f"{url}/prom/") as made:
        yield made


@contextlib.asynccontextmanager
async def serving(folder: Path, url: str | None) -> AsyncIterator[GatewayUnderTest]:
    asked = {
        "url": url,
        "token": "secret",
        "queries": {"errors": ERRORS, "cpu": "cpu"},
        "look_seconds": NEVER,
        "max_reply_bytes": 1000,
    }
    options: dict[str, Any] = {"rollouts": {"look_seconds": NEVER}, "prometheus": asked}
    async with gateway_under_test(folder, **options) as made:
        assert (await made.admin.put(ASSISTANT, json={})).status == 200
        yield made


async def begin(
    gateway: GatewayUnderTest,
    *queries: dict[str, Any],
    weights: Sequence[float] = (50,),
    patience: float = 0.001,
) -> Reply:
    analysis = {"min_samples": 1, "max_duration_seconds": patience, "queries": list(queries)}
    body = {
        "bundle": {"profile": {"system": "x"}},
        "steps": [{"weight": weight, "hold_seconds": 0} for weight in weights],
        "analysis": analysis,
    }
    return await gateway.admin.post(ROLLOUTS, json=body)


async def canary(gateway: GatewayUnderTest, *queries: dict[str, Any], **fields: Any) -> str:
    begun = await begin(gateway, *queries, **fields)
    assert begun.status == 201, begun
    path = f"{ROLLOUTS}/{begun.body['id']}"
    for _ in range(2):
        await gateway.resources.controller.look()
    assert (await seen(gateway, path))["state"] == "canary"
    return path


async def seen(gateway: GatewayUnderTest, path: str) -> dict[str, Any]:
    return dict((await gateway.admin.get(path)).body)


async def look(gateway: GatewayUnderTest, path: str) -> dict[str, Any]:
    """Let the Prometheus be asked, then the controller look."""
    await gateway.resources.rollouts.measuring.look()
    await gateway.resources.controller.look()
    return await seen(gateway, path)


async def test_a_value_beyond_its_threshold_takes_the_candidate_back(
    gateway: GatewayUnderTest, prometheus: FakePrometheus
) -> None:
    path = await canary(
        gateway, {"query": "errors", "at_most": 0.01}, {"query": "cpu", "at_least": 5}
    )
    prometheus.answers = {ASKED: vector("0.25"), "cpu": vector("7")}
    ended = await look(gateway, path)
    assert ended["state"] == "rolled_back"
    assert ended["reason"] == "the query 'errors' says 0.25, more than 0.01"
    assert prometheus.asked == [ASKED, "cpu"]
    assert set(prometheus.tokens) == {"Bearer secret"}


async def test_a_value_below_its_threshold_takes_the_candidate_back_too(
    gateway: GatewayUnderTest, prometheus: FakePrometheus
) -> None:
    path = await canary(gateway, {"query": "cpu", "at_least": 5, "at_most": 9})
    prometheus.answers = {"cpu": vector("4.5")}
    ended = await look(gateway, path)
    assert ended["reason"] == "the query 'cpu' says 4.5, less than 5"


async def test_what_is_asked_and_answered_is_shown_beside_the_checks(
    gateway: GatewayUnderTest, prometheus: FakePrometheus
) -> None:
    path = await canary(gateway, {"query": "cpu", "at_most": 9})
    (before,) = (await seen(gateway, path))["queries"]
    assert (before["value"], before["why"]) == (None, "has not been answered yet")
    prometheus.answers = {"cpu": vector("4.5")}
    await gateway.resources.rollouts.measuring.look()
    (after,) = (await seen(gateway, path))["queries"]
    assert (after["value"], after["why"], after["broken"]) == (4.5, None, False)


async def test_a_prometheus_that_says_nothing_holds_the_rollout_and_never_takes_it_back(
    gateway: GatewayUnderTest,
) -> None:
    path = await canary(gateway, {"query": "cpu", "at_most": 9})
    ended = await look(gateway, path)
    assert ended["state"] == "inconclusive"
    assert "the query 'cpu' found no series and needs one; aggregate them" in ended["reason"]


async def test_a_prometheus_that_is_away_holds_the_rollout_too(tmp_path: Path) -> None:
    async with serving(tmp_path, f"http://127.0.0.1:{free_port()}") as gateway:
        path = await canary(gateway, {"query": "cpu", "at_most": 9})
        ended = await look(gateway, path)
    assert ended["state"] == "inconclusive"
    assert "the query 'cpu' got no answer: The prometheus cannot be reached" in ended["reason"]


async def test_each_step_waits_for_an_answer_of_its_own(
    gateway: GatewayUnderTest, prometheus: FakePrometheus
) -> None:
    prometheus.answers = {"cpu": vector("1")}
    path = await canary(gateway, {"query": "cpu", "at_most": 9}, weights=(20, 60), patience=NEVER)
    await answered(gateway)
    assert (await look(gateway, path))["step"] == 1
    await answered(gateway)
    await gateway.resources.controller.look()
    waiting = await seen(gateway, path)
    assert (waiting["state"], waiting["step"]) == ("canary", 1)
    assert waiting["queries"][0]["why"] == "has not been answered yet"
    assert (await look(gateway, path))["state"] == "promoted"


async def test_an_old_answer_counts_no_more(
    gateway: GatewayUnderTest, prometheus: FakePrometheus
) -> None:
    prometheus.answers = {"cpu": vector("100")}
    path = await canary(gateway, {"query": "cpu", "at_most": 9}, patience=NEVER)
    await gateway.resources.rollouts.measuring.look()
    gateway.resources.rollouts.measuring.fresh_seconds = 0
    await answered(gateway)
    await gateway.resources.controller.look()
    assert (await seen(gateway, path))["state"] == "canary"


async def answered(gateway: GatewayUnderTest) -> None:
    """Let the candidate have answered somebody in this step."""
    row = LedgerRow(
        at=time.time(),
        tenant="default",
        key_id="k",
        request_id="r",
        assistant="support",
        release="support/2",
        arm="candidate",
        status=200,
    )
    await ledger.append(gateway.resources.registry.database, [row])


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (vector("1", "2"), "found 2 series"),
        (vector("NaN"), "says nan"),
        (vector("+Inf"), "says inf"),
        (b"<html>", "none of Prometheus's"),
        (b'{"status": "success", "data": {"resultType": "matrix", "result": []}}', "none of"),
        (b'{"data": ' + b" " * 2000 + b"}", "more than 1000 bytes"),
        ({"status": "error", "errorType": "bad_data", "error": "parse error"}, "parse error"),
    ],
)
async def test_what_is_no_single_number_is_none(
    gateway: GatewayUnderTest, prometheus: FakePrometheus, answer: Any, why: str
) -> None:
    prometheus.answers = {"cpu": answer}
    asked = gateway.resources.rollouts.measuring.prometheus
    assert asked is not None
    with pytest.raises(NoValue, match=why):
        await asked.value("cpu")


async def test_a_scalar_is_a_number(gateway: GatewayUnderTest, prometheus: FakePrometheus) -> None:
    prometheus.answers = {
        "cpu": {"status": "success", "data": {"resultType": "scalar", "result": [1.5, "2"]}}
    }
    asked = gateway.resources.rollouts.measuring.prometheus
    assert asked is not None
    assert await asked.value("cpu") == 2


async def test_a_query_that_nobody_set_or_without_a_threshold_is_refused(
    gateway: GatewayUnderTest,
) -> None:
    unknown = await begin(gateway, {"query": "other", "at_most": 1})
    assert (unknown.status, unknown.code) == (400, "unknown_query")
    assert "cpu, errors" in unknown.message
    aimless = await begin(gateway, {"query": "cpu"})
    assert aimless.status == 400
    assert "at_most" in aimless.message
    assert (await gateway.admin.get(ROLLOUTS)).body["data"] == []


async def test_without_a_prometheus_there_is_no_query(tmp_path: Path) -> None:
    async with serving(tmp_path, None) as gateway:
        refused = await begin(gateway, {"query": "cpu", "at_most": 1})
        assert (refused.status, refused.code) == (400, "unknown_query")
        await gateway.resources.rollouts.measuring.look()
