"""A backup taken while everything runs brings the same answers back, and never overwrites."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.cli.backups.databases import Postgres
from services.cli.backups.manifest import BackupDamagedError
from services.cli.backups.places import places_of
from services.cli.backups.restoring import put_back
from services.cli.backups.taking import NotEmptyError, NothingToCopyError, take
from tests import postgres
from tests.fakes.agent import eventually
from tests.fakes.engine import FakeEngine
from tests.fakes.engine_generation import Call
from tests.service.gateway.chat_stack import ENGINE_KEY, ChatStack, chat_stack
from tests.service.retriever.retriever import retriever_on

pytestmark = pytest.mark.anyio

RETRIEVAL = {"collections": ["handbook"], "top_k": 3}
DOCUMENTS = {
    "refunds": "환불은 30일 안에 됩니다. Refunds take 30 days.",
    "postage": "Postage is free above 50,000 won. 우편 요금은 무료입니다.",
}
PATIENCE_SECONDS = 120
QUESTIONS = ("환불 기간은 얼마입니까?", "What does postage cost?")


@pytest.fixture(
    params=["sqlite", pytest.param("postgres", marks=pytest.mark.long)]
    if postgres.AVAILABLE
    else ["sqlite"]
)
async def registries(request: pytest.FixtureRequest) -> AsyncIterator[tuple[str | None, ...]]:
    """The registry that is copied, and the one that it is put back to; None is SQLite."""
    if request.param == "sqlite":
        yield None, None
        return
    server = request.getfixturevalue("postgres_url")
    async with postgres.fresh_database(server) as one, postgres.fresh_database(server) as other:
        yield one, other


def what_it_was_asked(call: Call) -> str:
    """An answer that differs with every word of the prompt and with the weights."""
    prompt = hashlib.sha256(call.prompt.encode()).hexdigest()
    return f"{call.marker} {prompt}"


@contextlib.asynccontextmanager
async def installation(home: Path, database_url: str | None) -> AsyncIterator[ChatStack]:
    """The gateway and the retriever on a home's folders, with an engine."""
    engine = FakeEngine(api_key=ENGINE_KEY)
    engine.reply = what_it_was_asked
    async with (
        retriever_on(home / "retriever") as retriever,
        chat_stack(
            home,
            engine,
            retriever_url=retriever.client.url,
            artifacts_url=(home / "artifacts").as_uri(),
            database_url=database_url,
            # A machine that is busy for seconds must not seem to have lost its engine.
            replica_timeout_seconds=PATIENCE_SECONDS,
        ) as stack,
    ):
        yield stack


async def inkstone(home: Path, database_url: str | None, *arguments: str, code: int = 0) -> str:
    """Run the command over a home."""
    environment = {**os.environ, "INKSTONE_HOME": str(home), "COLUMNS": "200"}
    if database_url:
        environment["INKSTONE_GATEWAY_DATABASE_URL"] = database_url
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.cli.main", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment,
    )
    said = (await process.communicate())[0].decode()
    assert process.returncode == code, said
    return said


async def answers(stack: ChatStack) -> list[Any]:
    """What is answered to every question, with its sources."""
    replies = [await stack.ask(question, model="support") for question in QUESTIONS]
    assert {reply.status for reply in replies} == {200}, replies
    told = [
        (reply.body["choices"][0]["message"]["content"], reply.body["inkstone"]["adapter"])
        for reply in replies
    ]
    assert all(reply.body["inkstone"]["retrieval"]["grounded"] for reply in replies)
    return told


async def write(stack: ChatStack, name: str, text: str) -> None:
    body = {"text": text, "title": name}
    path = f"/v1/collections/handbook/documents/{name}"
    assert (await stack.gateway.admin.put(path, json=body)).status == 200


async def keep_busy(stack: ChatStack) -> None:
    """Write to another collection and ask, for as long as the backup takes."""
    for number in range(100_000):
        body = {"text": f"Number {number}", "title": ""}
        path = f"/v1/collections/other/documents/n{number % 7}"
        await stack.gateway.admin.put(path, json=body)
        await stack.ask("anything", model="support")


async def test_the_same_answers_come_back(
    tmp_path: Path, registries: tuple[str | None, str | None]
) -> None:
    home, copy = tmp_path / "home", tmp_path / "backup"
    before, after = registries
    async with installation(home, before) as stack:
        for name, text in DOCUMENTS.items():
            await write(stack, name, text)
        adapter = await stack.adapter("calm")
        await stack.bind(adapter=adapter, retrieval=RETRIEVAL)
        told = await answers(stack)
        assert told[0] != told[1]
        busy = asyncio.create_task(keep_busy(stack))
        said = await inkstone(home, before, "backup", str(copy))
        assert "It holds keys" in said
        assert not busy.done(), busy
        busy.cancel()
        folders = dict(stack._adapters)
    shutil.rmtree(home)
    await inkstone(home, after, "restore", str(copy))
    async with installation(home, after) as stack:
        stack._adapters.update(folders)
        for folder in folders.values():
            shutil.copytree(stored(home), folder, dirs_exist_ok=True)

        async def ready() -> bool:
            reply = await stack.ask(QUESTIONS[0], model="support")
            found = reply.status == 200 and reply.body["inkstone"]["retrieval"]["grounded"]
            return bool(found)

        await eventually(ready, seconds=PATIENCE_SECONDS)
        assert await answers(stack) == told
        ledger = await stack.ledger()
        assert len(ledger) >= len(told)


def stored(home: Path) -> Path:
    """The adapter's files as they came back into the artifact store."""
    return next((home / "artifacts").rglob("adapter_config.json")).parent


async def test_nothing_is_overwritten_and_nothing_damaged_is_put_back(tmp_path: Path) -> None:
    home, copy = tmp_path / "home", tmp_path / "backup"
    async with installation(home, None) as stack:
        await write(stack, "refunds", DOCUMENTS["refunds"])
    places = places_of(home, {})
    take(places, copy)
    with pytest.raises(NotEmptyError, match="is not empty"):
        take(places, copy)
    with pytest.raises(NotEmptyError, match=r"in the registry, the catalogue, .*index.*keys"):
        put_back(places, copy)

    elsewhere = places_of(tmp_path / "elsewhere", {})
    registry = copy / "registry.sqlite3"
    whole = registry.read_bytes()
    registry.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(BackupDamagedError, match=r"registry.sqlite3 is missing or not what it was"):
        put_back(elsewhere, copy)
    registry.write_bytes(whole)
    with pytest.raises(BackupDamagedError, match="another kind of database"):
        put_back(replace(elsewhere, registry=Postgres("postgresql://nobody")), copy)
    (copy / "manifest.json").unlink()
    with pytest.raises(BackupDamagedError, match="never finished"):
        put_back(elsewhere, copy)
    assert not elsewhere.home.exists()


def test_a_home_without_databases_is_no_backup(tmp_path: Path) -> None:
    with pytest.raises(NothingToCopyError, match="There is no registry"):
        take(places_of(tmp_path / "nothing", {}), tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


def test_a_password_is_not_in_the_list_of_processes() -> None:
    database = Postgres("postgresql+asyncpg://ink:s3cret@db:5432/ink?ssl=require")
    assert database.name == "postgresql://ink@db:5432/ink?sslmode=require"
