"""What a rollout makes of how fast and how costly answers were, as the ledger has it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import pytest

from services.gateway.registry import ledger
from services.gateway.registry.ledger import LedgerRow
from tests.service.gateway.gateway import GatewayUnderTest, Reply, gateway_under_test

pytestmark = pytest.mark.anyio

ASSISTANT = "/admin/assistants/support"
ROLLOUTS = f"{ASSISTANT}/rollouts"
NEVER = 3600.0


@pytest.fixture
async def gateway(tmp_path: Path, database_url: str | None) -> AsyncIterator[GatewayUnderTest]:
    """One whose controller looks only when the test says so."""
    quiet = {"look_seconds": NEVER}
    async with gateway_under_test(tmp_path, database_url=database_url, rollouts=quiet) as made:
        assert (await made.admin.put(ASSISTANT, json={})).status == 200
        yield made


async def begin(gateway: GatewayUnderTest, **analysis: Any) -> Reply:
    body = {
        "bundle": {"profile": {"system": "x"}},
        "steps": [{"weight": 50, "hold_seconds": NEVER}],
        "analysis": analysis,
    }
    return await gateway.admin.post(ROLLOUTS, json=body)


async def canary(gateway: GatewayUnderTest, **analysis: Any) -> str:
    begun = await begin(gateway, **analysis)
    assert begun.status == 201, begun
    for _ in range(2):
        await gateway.resources.controller.look()
    return f"{ROLLOUTS}/{begun.body['id']}"


async def answered(gateway: GatewayUnderTest, number: int, release: int, **fields: Any) -> None:
    """Let a release have answered so often."""
    arm: Literal["stable", "candidate"] = "stable" if release == 1 else "candidate"
    rows = [
        LedgerRow(
            at=time.time(),
            tenant="default",
            key_id="k",
            request_id=uuid4().hex,
            assistant="support",
            release=f"support/{release}",
            arm=arm,
            **{"status": 200, **fields},
        )
        for _ in range(number)
    ]
    await ledger.append(gateway.resources.registry.database, rows)


async def looked_at(gateway: GatewayUnderTest, path: str) -> dict[str, Any]:
    await gateway.resources.controller.look()
    return dict((await gateway.admin.get(path)).body)


def check_of(rollout: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (check for check in rollout["checks"] if check["check"] == name)
    return dict(found)


async def test_a_candidate_whose_streams_stall_is_taken_back(gateway: GatewayUnderTest) -> None:
    path = await canary(gateway)
    await answered(gateway, 60, 1, inter_token_ms=30.0)
    await answered(gateway, 40, 2, inter_token_ms=199.9)
    assert (await looked_at(gateway, path))["state"] == "canary"
    await answered(gateway, 40, 2, inter_token_ms=900.0)
    ended = await looked_at(gateway, path)
    assert ended["state"] == "rolled_back"
    assert ended["reason"] == (
        "the candidate is worse by more than 0.05 at slow streams: 40 of 80 against 0 of 60"
    )


async def test_answers_that_came_whole_or_failed_are_no_streams(gateway: GatewayUnderTest) -> None:
    path = await canary(gateway, errors=None)
    await answered(gateway, 30, 2)
    await answered(gateway, 30, 2, inter_token_ms=900.0, status=502)
    seen = await looked_at(gateway, path)
    assert check_of(seen, "slow_streams")["candidate"] == {"events": 0, "trials": 0}
    assert seen["state"] == "canary"


async def test_a_candidate_that_costs_more_is_taken_back_where_it_is_said_what_is_costly(
    gateway: GatewayUnderTest,
) -> None:
    path = await canary(gateway, costly_answers=0.1, costly_after_usd=0.002)
    await answered(gateway, 60, 1, cost_usd=0.002)
    await answered(gateway, 40, 2, cost_usd=0.0021)
    ended = await looked_at(gateway, path)
    assert ended["state"] == "rolled_back"
    assert "worse by more than 0.1 at costly answers: 40 of 40 against 0 of 60" in ended["reason"]


async def test_costs_are_not_compared_unless_they_are_asked_for(gateway: GatewayUnderTest) -> None:
    path = await canary(gateway)
    await answered(gateway, 60, 1)
    await answered(gateway, 60, 2, cost_usd=1000.0)
    seen = await looked_at(gateway, path)
    assert seen["state"] == "canary"
    assert "costly_answers" not in {check["check"] for check in seen["checks"]}


async def test_a_check_of_costs_without_a_price_is_refused(gateway: GatewayUnderTest) -> None:
    refused = await begin(gateway, costly_answers=0.1)
    assert refused.status == 400
    assert "costly_after_usd" in refused.message


async def test_both_arms_are_shown_with_what_their_answers_took(gateway: GatewayUnderTest) -> None:
    path = await canary(gateway)
    await answered(
        gateway, 1, 1, inter_token_ms=20.0, cost_usd=0.5, completion_tokens=10, support=0.75
    )
    await answered(gateway, 1, 1, admit_ms=1.0, first_token_ms=99.0, completion_tokens=20)
    await answered(gateway, 1, 1, status=500, cost_usd=100.0, first_token_ms=100.0)
    arms = (await looked_at(gateway, path))["arms"]
    assert arms["stable"] == {
        "answers": 2,
        "first_token_ms": 50.0,
        "inter_token_ms": 20.0,
        "prompt_tokens": 0.0,
        "completion_tokens": 15.0,
        "support": 0.75,
        "cost_usd": 0.25,
    }
    assert (arms["candidate"]["answers"], arms["candidate"]["cost_usd"]) == (0, None)
