"""Whatever dies during a rollout: callers are answered, and the rollout comes to its end."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from services.contracts.adapters import ReplicaAdapter, ReplicaAdapterState
from services.gateway.registry.changes import Registry
from tests import postgres
from tests.cable import cable
from tests.fakes.agent import eventually
from tests.fakes.engine import FakeEngine
from tests.service.gateway.chat_stack import ENGINE_KEY, ChatStack, chat_stack, until
from tests.service.gateway.gateway import gateway_under_test
from tests.service.gateway.installation import installation
from tests.service.gateway.process import gateway_process

pytestmark = pytest.mark.anyio

ROLLOUTS = "/admin/assistants/support/rollouts"
QUICK = {"look_seconds": 0.02, "lease_seconds": 0.2}
PATIENCE_SECONDS = 60


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[ChatStack]:
    """One gateway over two engines."""
    engines = [FakeEngine(api_key=ENGINE_KEY) for _ in range(2)]
    async with chat_stack(tmp_path, *engines, rollouts=QUICK) as made:
        for engine in engines:
            engine.reply = lambda call: str(call.marker)
        yield made


async def begin(stack: ChatStack, adapter: str, *weights: float) -> str:
    steps = [{"weight": weight, "hold_seconds": 3600} for weight in weights]
    body = {
        "bundle": {"adapter": adapter},
        "steps": steps,
        "analysis": None,
        "allow_without_evidence": True,
    }
    reply = await stack.gateway.admin.post(ROLLOUTS, json=body)
    assert reply.status == 201, reply
    return str(reply.body["id"])


async def comes_to(stack: ChatStack, rollout: str, state: str) -> None:
    async def there() -> bool:
        found = await stack.gateway.admin.get(f"{ROLLOUTS}/{rollout}")
        return bool(found.body["state"] == state)

    await eventually(there, seconds=PATIENCE_SECONDS)


async def test_an_engine_that_dies_in_mid_stream_ends_that_stream_with_an_error_and_no_other(
    pair: ChatStack,
) -> None:
    old, new = await pair.adapter("old"), await pair.adapter("new")
    await pair.bind(adapter=old)
    await comes_to(pair, await begin(pair, new, 50), "canary")
    dying = pair.engine
    await pair.freeze()
    broken: list[str] = []

    async def stream(chat: int) -> None:
        body = {
            "model": "support",
            "messages": [{"role": "user", "content": "q"}],
            "conversation_id": f"chat {chat}",
            "stream": True,
        }
        reply = await pair.gateway.application.post("/v1/chat/completions", json=body)
        assert reply.status == 200
        if "event: error" in reply.body:
            broken.append(reply.body)

    for agent in pair.agents:
        agent.engine.reply = lambda call: f"{call.marker} one two three"
    with dying.holding(after_tokens=1), pair.agents[1].engine.holding(after_tokens=1):
        running = [asyncio.create_task(stream(chat)) for chat in range(8)]
        await until(lambda: sum(agent.engine.in_flight for agent in pair.agents) == 8)
        lost = dying.in_flight
        dying.die()
        await until(lambda: dying.in_flight == 0)
    await asyncio.gather(*running)
    assert 0 < len(broken) == lost < 8
    rows = await pair.ledger(8)
    assert sum(row["status"] >= 500 for row in rows) == lost
    # What has not begun goes to the engine that lives, though the gateway does not know yet.
    for chat in range(8):
        reply = await pair.ask(conversation_id=f"later {chat}")
        assert reply.status == 200, reply


async def test_an_agent_that_fell_silent_takes_its_replica_out_and_nothing_fails(
    tmp_path: Path,
) -> None:
    engines = [FakeEngine(api_key=ENGINE_KEY) for _ in range(2)]
    timeouts = {"replica_timeout_seconds": 0.5, "rollouts": QUICK}
    async with chat_stack(tmp_path, *engines, **timeouts) as stack:
        old, new = await stack.adapter("old"), await stack.adapter("new")
        await stack.bind(adapter=old)
        rollout = await begin(stack, new, 50)
        await comes_to(stack, rollout, "canary")
        silent = stack.agents.pop()
        statuses = list[int]()

        def is_live() -> bool:
            replicas = stack.gateway.resources.snapshot.replicas
            return any(r.live for r in replicas if r.replica == silent.name)

        async with asyncio.timeout(PATIENCE_SECONDS):
            while is_live():
                statuses.append((await stack.ask(conversation_id=f"chat {len(statuses)}")).status)
        assert set(statuses) <= {200}
        before = len(silent.engine.generations())
        for chat in range(10):
            assert (await stack.ask(conversation_id=f"late {chat}")).status == 200
        assert len(silent.engine.generations()) == before
        moved = await stack.gateway.admin.post(f"{ROLLOUTS}/{rollout}/promote")
        assert moved.body["state"] == "promoted"


async def test_a_replica_that_claims_a_version_it_does_not_hold_answers_nothing(
    pair: ChatStack,
) -> None:
    old, new = await pair.adapter("old"), await pair.adapter("new")
    await pair.bind(adapter=old)
    liar = pair.agents[0]
    await pair.freeze()
    liar.engine.weights.unload(new)
    claimed = liar.report().model_copy(
        update={
            "adapters": {
                id_: ReplicaAdapter(state=ReplicaAdapterState.PROVEN) for id_ in (old, new)
            }
        }
    )
    path = "/internal/replicas/heartbeat"
    told = await pair.gateway.agent.post(path, json=claimed.model_dump(mode="json"))
    assert told.status == 200
    await comes_to(pair, await begin(pair, new, 100), "canary")
    for chat in range(12):
        reply = await pair.ask(conversation_id=f"chat {chat}")
        assert reply.status == 200, reply
        assert reply.body["choices"][0]["message"]["content"] == "new"
        assert reply.body["inkstone"]["replica"] == "replica-2"


async def test_gateways_whose_clocks_differ_bring_a_rollout_to_one_end(
    tmp_path: Path, database_url: str | None
) -> None:
    slow = {"look_seconds": 3600}
    options: dict[str, Any] = {"database_url": database_url, "rollouts": slow}
    async with gateway_under_test(tmp_path, **options) as gateway:
        await gateway.admin.put("/admin/assistants/support", json={"description": "a"})
        body = {
            "bundle": {"profile": {"system": "x"}},
            "steps": [{"weight": weight, "hold_seconds": 1000} for weight in (10, 50)],
            "analysis": None,
        }
        rollout = (await gateway.admin.post(ROLLOUTS, json=body)).body["id"]
        registry, controller = gateway.resources.registry, gateway.resources.controller
        skewed = [shifted(registry, seconds) for seconds in (-500.0, 0.0, 400.0)]
        hands = [
            replace(controller, registry=each, name=f"gateway {n}", _turn=asyncio.Lock())
            for n, each in enumerate(skewed)
        ]
        for _ in range(8):
            for hand in hands:
                await hand.look()
        seen = (await gateway.admin.get(f"{ROLLOUTS}/{rollout}")).body
        # No clock is so far ahead that the step would be over; the lease of the fastest holds.
        assert (seen["state"], seen["step"]) == ("canary", 0)
        ahead = [shifted(registry, 1000.0 * n) for n in (2, 3, 4)]
        late = [replace(hand, registry=each) for hand, each in zip(hands, ahead, strict=True)]
        for _ in range(8):
            await asyncio.gather(*(hand.look() for hand in late))
        ended = (await gateway.admin.get(f"{ROLLOUTS}/{rollout}")).body
        assert ended["state"] == "promoted"
        events = (await gateway.admin.get("/admin/audit")).body["data"]
        moves = [event["action"] for event in reversed(events) if event["subject"] == rollout]
    expected = ("begun", "start", "proven", "advance", "advance")
    assert moves == [f"rollout.{move}" for move in expected]


def shifted(registry: Registry, seconds: float) -> Registry:
    """The same registry as a gateway sees it whose clock is ahead."""
    return replace(registry, clock=lambda: registry.clock() + seconds)


async def test_a_locked_embedded_registry_delays_a_rollout_and_fails_no_answer(
    pair: ChatStack,
) -> None:
    old, new = await pair.adapter("old"), await pair.adapter("new")
    await pair.bind(adapter=old)
    rollout = await begin(pair, new, 50)
    await comes_to(pair, rollout, "canary")
    file = pair.gateway.settings.data_dir / "gateway.sqlite3"
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as thief:
        thief.execute("BEGIN EXCLUSIVE")
        move = asyncio.create_task(pair.gateway.admin.post(f"{ROLLOUTS}/{rollout}/rollback"))
        replies = [await pair.ask(conversation_id=f"chat {n}") for n in range(10)]
        assert {reply.status for reply in replies} == {200}
        thief.execute("ROLLBACK")
    told = await move
    if told.status != 200:
        # The registry was locked for longer than a caller is kept waiting: it may be tried again.
        assert told.status == 503, told
        told = await pair.gateway.admin.post(f"{ROLLOUTS}/{rollout}/rollback")
    assert told.body["state"] == "rolled_back"
    assert (await pair.ask()).body["inkstone"]["release"] == "support/1"


@pytest.mark.skipif(not postgres.AVAILABLE, reason="there is no Postgres here")
async def test_a_rollout_waits_while_the_database_is_away_and_then_goes_on_where_it_stood(
    tmp_path: Path, postgres_url: str
) -> None:
    async with (
        cable(postgres_url) as (laid, url),
        gateway_under_test(tmp_path, database_url=url, rollouts=QUICK) as gateway,
    ):
        await gateway.admin.put("/admin/assistants/support", json={"description": "a"})
        steps = [{"weight": 50, "hold_seconds": 0}]
        body = {
            "bundle": {"profile": {"system": "x"}},
            "steps": steps,
            "analysis": {"min_samples": 1_000_000, "max_duration_seconds": 3600},
        }
        rollout = (await gateway.admin.post(ROLLOUTS, json=body)).body["id"]
        await eventually(lambda: gateway.resources.snapshot.canaries, seconds=PATIENCE_SECONDS)
        laid.pull()
        failures = 'inkstone_background_failures_total{loop="rollouts"}'

        async def controller_failed() -> bool:
            text = (await gateway.client(None).get("/metrics")).body
            return f"{failures} 0.0" not in text

        await eventually(controller_failed, seconds=PATIENCE_SECONDS)
        laid.plugged_in = True
        path = f"{ROLLOUTS}/{rollout}"

        async def promoted() -> bool:
            return (await gateway.admin.post(f"{path}/promote")).status == 200

        await eventually(promoted, seconds=PATIENCE_SECONDS)
        assert (await gateway.admin.get(path)).body["state"] == "promoted"
        serves = (await gateway.admin.get("/admin/assistants/support")).body["stable"]["id"]
        assert serves == "support/2"


async def test_of_two_gateways_the_one_that_lives_answers_everybody_and_ends_the_rollout(
    tmp_path: Path,
) -> None:
    quick = {"ROLLOUTS__LOOK_SECONDS": "0.05", "ROLLOUTS__LEASE_SECONDS": "0.5"}
    async with installation(tmp_path, replicas=1, variables=quick) as installed:
        installed.replicas[0].engine.reply = lambda call: call.marker or "base"
        old, new = await installed.adapter("old"), await installed.adapter("new")
        await installed.bind(adapter=old)
        body = {
            "bundle": {"adapter": new},
            "allow_without_evidence": True,
            "steps": [{"weight": 50, "hold_seconds": 0}],
            "analysis": {"min_samples": 10, "errors": None, "slow_answers": None},
        }
        begun = await installed.admin().post(ROLLOUTS, json=body)
        assert begun.status == 201, begun
        await installed.gateways[1].kill()
        markers, chats = {old: "old", new: "new"}, 0

        async def promoted() -> bool:
            nonlocal chats
            for _ in range(5):
                chats += 1
                reply = await installed.ask(conversation_id=f"chat {chats}")
                assert reply.status == 200, reply
                said = reply.body["choices"][0]["message"]["content"]
                assert said == markers[reply.body["inkstone"]["adapter"]]
            found = await installed.admin().get(f"{ROLLOUTS}/{begun.body['id']}")
            return bool(found.body["state"] == "promoted")

        await eventually(promoted, seconds=2 * PATIENCE_SECONDS)


@pytest.mark.long
async def test_a_rollout_ends_though_its_controller_is_killed_at_any_moment(
    tmp_path: Path, database_url: str | None
) -> None:
    """Twenty rollouts, each with its gateway killed between any two of its writes."""
    chance, weights = random.Random(7), (10, 40, 70)
    variables = {
        "INKSTONE_GATEWAY_ROLLOUTS__LOOK_SECONDS": "0.05",
        "INKSTONE_GATEWAY_ROLLOUTS__LEASE_SECONDS": "0.3",
        **({"INKSTONE_GATEWAY_DATABASE_URL": database_url} if database_url else {}),
    }
    async with (
        aiohttp.ClientSession() as session,
        gateway_process(tmp_path, session, variables) as process,
    ):
        admin, path = process.client(), "/admin/assistants/support"
        assert (await admin.put(path, json={})).status == 200
        for number in range(20):
            body = {
                "bundle": {"profile": {"system": f"말투 {number}"}},
                "steps": [{"weight": weight, "hold_seconds": 0} for weight in weights],
                "analysis": None,
            }
            begun = await admin.post(f"{path}/rollouts", json=body)
            assert begun.status == 201, begun
            rollout = begun.body
            await asyncio.sleep(chance.uniform(0, 0.6))
            await process.kill()
            await process.start()

            async def over(id_: str = rollout["id"]) -> bool:
                found = await admin.get(f"{path}/rollouts/{id_}")
                return bool(found.body["state"] == "promoted")

            await eventually(over, seconds=PATIENCE_SECONDS)
            served = (await admin.get(path)).body["stable"]
            assert served["id"] == rollout["candidate"]
            events = (await admin.get("/admin/audit?limit=1000")).body["data"]
            moves = [event["action"] for event in events if event["subject"] == rollout["id"]]
            expected = ("begun", "start", "proven", *["advance"] * len(weights))
            assert moves[::-1] == [f"rollout.{move}" for move in expected]
