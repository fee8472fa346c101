"""Who works on which file: one gateway at a time, and another when that one is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from services.gateway.registry import file_claims, files, vector_store_files
from services.gateway.registry.changes import Actor, Registry
from services.gateway.registry.file_claims import Claim, Verdict
from services.gateway.registry.files import NewFile
from services.gateway.registry.vector_store_files import Attachment
from tests.service.gateway.test_registry import another_gateway

pytestmark = pytest.mark.anyio

ACTOR = Actor("default", "tester")
STORE = "vs-1"


@pytest.fixture
async def registry(tmp_path: Path, database_url: str | None) -> AsyncIterator[Registry]:
    async with another_gateway(database_url or f"sqlite:///{tmp_path}/registry.sqlite3") as opened:
        yield opened


async def attach(registry: Registry, number: int = 1) -> list[str]:
    made = []
    for at in range(number):
        new = NewFile(f"{at}.txt", "assistants", 1, None)
        made.append(await files.begin(registry, ACTOR, new, 1000))
        await files.keep(registry, ACTOR, made[-1])
    async with registry.change(ACTOR) as change:
        attachments = [Attachment(file_id) for file_id in made]
        await vector_store_files.attach(change, STORE, attachments, 1000)
    return made


async def taken(registry: Registry, lease_seconds: float = 60.0) -> Claim:
    claim = await file_claims.claim(registry, lease_seconds)
    assert claim is not None
    return claim


async def status(registry: Registry, file_id: str) -> str:
    return (await vector_store_files.one(registry, "default", STORE, file_id)).status


async def test_every_file_is_taken_once_however_many_ask(registry: Registry) -> None:
    made = await attach(registry, 12)
    claims = await asyncio.gather(*(file_claims.claim(registry, 60.0) for _ in range(20)))
    assert sorted(claim.file_id for claim in claims if claim) == sorted(made)


async def test_a_file_of_a_gateway_that_fell_silent_is_taken_again(registry: Registry) -> None:
    (file_id,) = await attach(registry)
    first = await taken(registry)
    assert await file_claims.claim(registry, 60.0) is None
    later = replace(registry, clock=lambda: registry.clock() + 61)
    second = await taken(later)
    assert (second.file_id, second.attempts) == (file_id, 2)
    await file_claims.settle(registry, first, Verdict("failed", "server_error", "too late"))
    assert await status(registry, file_id) == "in_progress"
    await file_claims.settle(registry, second, Verdict("completed"))
    assert await status(registry, file_id) == "completed"


async def test_a_lease_that_is_prolonged_keeps_others_away(registry: Registry) -> None:
    await attach(registry)
    claim = await taken(registry)
    soon = replace(registry, clock=lambda: registry.clock() + 50)
    assert await file_claims.renew(soon, claim, 60.0)
    later = replace(registry, clock=lambda: registry.clock() + 100)
    assert await file_claims.claim(later, 60.0) is None
    stolen = replace(claim, lease="another")
    assert not await file_claims.renew(later, stolen, 60.0)


async def test_a_wish_that_comes_while_a_file_is_indexed_is_done_next(registry: Registry) -> None:
    (file_id,) = await attach(registry)
    first = await taken(registry)
    async with registry.change(ACTOR) as change:
        await vector_store_files.wish(
            change, STORE, [file_id], todo="index", attributes={"lang": "ko"}
        )
    assert await file_claims.claim(registry, 60.0) is None
    await file_claims.settle(registry, first, Verdict("completed"))
    assert await status(registry, file_id) == "in_progress"
    second = await taken(registry)
    assert (second.attributes, second.revision) == ({"lang": "ko"}, first.revision + 1)


async def test_a_file_that_comes_back_while_it_is_taken_out_stays(registry: Registry) -> None:
    (file_id,) = await attach(registry)
    async with registry.change(ACTOR) as change:
        await vector_store_files.wish(change, STORE, [file_id], todo="remove")
    removal = await taken(registry)
    assert removal.todo == "remove"
    async with registry.change(ACTOR) as change:
        await vector_store_files.attach(change, STORE, [Attachment(file_id)], 1000)
    await file_claims.drop(registry, removal)
    assert (await taken(registry)).todo == "index"


async def test_a_file_that_was_put_off_waits_and_its_attempt_may_not_count(
    registry: Registry,
) -> None:
    await attach(registry)
    claim = await taken(registry)
    await file_claims.postpone(registry, claim, 10.0, counts=False)
    assert await file_claims.claim(registry, 60.0) is None
    later = replace(registry, clock=lambda: registry.clock() + 11)
    assert (await taken(later)).attempts == 1


async def test_a_wish_that_comes_while_a_file_is_put_off_does_not_wait(registry: Registry) -> None:
    (file_id,) = await attach(registry)
    claim = await taken(registry)
    async with registry.change(ACTOR) as change:
        await vector_store_files.wish(change, STORE, [file_id], todo="remove")
    await file_claims.postpone(registry, claim, 1000.0, counts=True)
    again = await taken(registry)
    assert (again.todo, again.attempts) == ("remove", 1)
