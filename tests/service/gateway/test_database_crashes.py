"""The database server itself dies during a rollout, while callers are answered."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, make_url, select
from sqlalchemy.ext.asyncio import create_async_engine

from services.gateway.registry import tables
from tests import postgres
from tests.fakes.agent import eventually
from tests.service.gateway.chat_stack import chat_stack
from tests.service.gateway.gateway import Client, Reply
from tests.service.gateway.installation import installation

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(postgres.BINARIES is None, reason="there is no Postgres here to crash"),
]

ROLLOUTS = "/admin/assistants/support/rollouts"
PATIENCE_SECONDS = 60
FOREVER = 3600


@dataclass(slots=True)
class Load:
    """Callers who ask without a pause, and what became of their requests."""

    ask: Callable[[int], Awaitable[Reply]]
    markers: dict[str, str]
    """What each adapter answers."""
    statuses: list[int] = field(default_factory=list)
    wrong: list[Reply] = field(default_factory=list)

    async def more(self, number: int) -> None:
        """Wait until so many more requests were answered."""
        wanted = len(self.statuses) + number
        await eventually(lambda: len(self.statuses) >= wanted, seconds=PATIENCE_SECONDS)

    @contextlib.asynccontextmanager
    async def going(self, callers: int) -> AsyncIterator[None]:
        """Ask beside the block; what is under way at its end is waited for."""
        ended = asyncio.Event()

        async def caller(number: int) -> None:
            while not ended.is_set():
                reply = await self.ask(number)
                number += callers
                self.statuses.append(reply.status)
                if reply.status == 200:
                    said = reply.body["choices"][0]["message"]["content"]
                    if said != self.markers[reply.body["inkstone"]["adapter"]]:
                        self.wrong.append(reply)
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as group:
            for number in range(callers):
                group.create_task(caller(number))
            try:
                yield
            finally:
                ended.set()


async def moves(admin: Client, rollout: str) -> list[str]:
    """Read what is on record of a rollout, oldest first."""
    events = (await admin.get("/admin/audit?limit=1000")).body["data"]
    return [event["action"] for event in reversed(events) if event["subject"] == rollout]


def body_for(adapter: str) -> dict[str, Any]:
    return {
        "bundle": {"adapter": adapter},
        "steps": [{"weight": 50, "hold_seconds": FOREVER}],
        "analysis": None,
        "allow_without_evidence": True,
    }


async def moved(admin: Client, path: str, action: str, state: str) -> None:
    """Move a rollout, through an outage; a move whose reply was lost counts as made."""

    async def there() -> bool:
        reply = await admin.post(f"{path}/{action}")
        if reply.status == 409:
            return bool((await admin.get(path)).body["state"] == state)
        return reply.status == 200

    await eventually(there, seconds=PATIENCE_SECONDS)


async def comes_to(admin: Client, path: str, state: str) -> None:
    async def there() -> bool:
        found = await admin.get(path)
        return found.status == 200 and bool(found.body["state"] == state)

    await eventually(there, seconds=PATIENCE_SECONDS)


async def rows_of_the_ledger(url: str) -> int:
    """Count the answers that are on record."""
    engine = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"))
    async with engine.connect() as connection:
        count: int = await connection.scalar(select(func.count()).select_from(tables.ledger)) or 0
    await engine.dispose()
    return count


async def test_a_database_that_crashes_in_mid_rollout_fails_no_answer_and_loses_no_move(
    tmp_path: Path,
) -> None:
    quick = {"look_seconds": 0.02, "lease_seconds": 0.2}
    with postgres.own_server() as server:
        async with chat_stack(tmp_path, database_url=server.url, rollouts=quick) as chat:
            chat.engine.reply = lambda call: str(call.marker)
            old, new = await chat.adapter("old"), await chat.adapter("new")
            await chat.bind(adapter=old)
            admin = chat.gateway.admin
            begun = await admin.post(ROLLOUTS, json=body_for(new))
            path = f"{ROLLOUTS}/{begun.body['id']}"
            await comes_to(admin, path, "canary")
            load = Load(lambda n: chat.ask(conversation_id=f"chat {n}"), {old: "old", new: "new"})
            async with load.going(callers=2):
                await load.more(10)
                await asyncio.to_thread(server.crash)
                assert (await admin.post(f"{path}/promote")).status == 503
                await load.more(10)
                await asyncio.to_thread(server.start)
                await moved(admin, path, "promote", "promoted")
                await load.more(10)
            assert set(load.statuses) == {200}
            assert load.wrong == []
            assert len(await chat.ledger(len(load.statuses))) == len(load.statuses)
            expected = ("begun", "start", "proven", "promote")
            recorded = await moves(admin, begun.body["id"])
            assert recorded == [f"rollout.{move}" for move in expected]


@pytest.mark.long
async def test_a_database_that_crashes_again_and_again_fails_no_answer_of_two_gateways(
    tmp_path: Path,
) -> None:
    """Six rollouts, the server away for seconds in each; once for longer than candidates serve."""
    chance = random.Random(11)
    quick = {
        "ROLLOUTS__LOOK_SECONDS": "0.05",
        "ROLLOUTS__LEASE_SECONDS": "0.5",
        "ROLLOUTS__STABLE_ONLY_AFTER_SECONDS": "3",
    }
    with postgres.own_server() as server:
        async with installation(tmp_path, database_url=server.url, variables=quick) as installed:
            for replica in installed.replicas:
                replica.engine.reply = lambda call: call.marker or "base"
            versions = [await installed.adapter(marker) for marker in ("old", "new")]
            await installed.bind(adapter=versions[0])
            admin = installed.admin()
            load = Load(
                lambda n: installed.ask(n % 2, conversation_id=f"chat {n}"),
                dict(zip(versions, ("old", "new"), strict=True)),
            )
            async with load.going(callers=4):
                for number in range(6):
                    await load.more(20)
                    adapter = versions[(number + 1) % 2]
                    begun = await admin.post(ROLLOUTS, json=body_for(adapter))
                    assert begun.status == 201, begun
                    path = f"{ROLLOUTS}/{begun.body['id']}"
                    await asyncio.sleep(chance.uniform(0, 0.5))
                    await asyncio.to_thread(server.crash)
                    await asyncio.sleep(6 if number == 3 else chance.uniform(1, 3))
                    await load.more(20)
                    await asyncio.to_thread(server.start)
                    await comes_to(admin, path, "canary")
                    await load.more(20)
                    await moved(admin, path, "promote", "promoted")
                    recorded = await moves(admin, begun.body["id"])
                    expected = ("begun", "start", "proven", "promote")
                    assert recorded == [f"rollout.{move}" for move in expected]
            assert set(load.statuses) == {200}
            assert load.wrong == []

            async def all_on_record() -> bool:
                return await rows_of_the_ledger(server.url) == len(load.statuses)

            await eventually(all_on_record, seconds=PATIENCE_SECONDS)
