"""`inkstone documents sync` against a gateway with the real retriever behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli.failures import CommandError
from services.cli.folder import read_folder, uploads
from services.cli.main import app
from tests.service.gateway.gateway import GatewayUnderTest, gateway_under_test
from tests.service.retriever.retriever import retriever_on

pytestmark = pytest.mark.anyio


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[GatewayUnderTest]:
    """A gateway before a real retriever."""
    async with retriever_on(tmp_path / "retriever") as retriever:
        url = retriever.client.url
        async with gateway_under_test(tmp_path, retriever_url=url) as under_test:
            yield under_test


async def run(gateway: GatewayUnderTest, *arguments: str, says: str = "") -> tuple[int, str]:
    """Run the command in a thread, because it has an event loop of its own."""
    environment = {
        "INKSTONE_URL": gateway.base_url,
        "INKSTONE_API_KEY": gateway.secrets["admin"],
    }
    runner = CliRunner()
    done = await asyncio.to_thread(runner.invoke, app, list(arguments), input=says, env=environment)
    return done.exit_code, done.output


async def listed(gateway: GatewayUnderTest) -> list[str]:
    page = await gateway.admin.get("/v1/collections/handbook/documents")
    return [document["id"] for document in page.body["data"]]


async def test_a_folder_is_kept_in_step(gateway: GatewayUnderTest, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    (folder / "규정").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / ".git" / "hidden.md").write_text("hidden")
    (folder / "규정" / "환불.md").write_text("# 환불\n\n환불은 14일 안에 됩니다.")
    (folder / "a.txt").write_text("apple")
    (folder / "photo.png").write_bytes(b"\x89PNG")
    sync = ("documents", "sync", str(folder), "--collection", "handbook")
    code, said = await run(gateway, *sync)
    assert code == 0, said
    assert "2 new or changed, 0 unchanged, 0 gone" in said
    assert "1 files of other kinds" in said
    assert await listed(gateway) == ["a.txt", "규정:환불.md"]
    found = await gateway.admin.get(
        "/v1/collections/handbook/documents/%EA%B7%9C%EC%A0%95:%ED%99%98%EB%B6%88.md"
    )
    assert found.body["uri"] == "규정/환불.md"
    (folder / "a.txt").unlink()
    code, said = await run(gateway, *sync)
    assert "0 new or changed, 1 unchanged, 1 gone" in said
    assert len(await listed(gateway)) == 2
    code, said = await run(gateway, *sync, "--delete", says="n\n")
    assert (code, len(await listed(gateway))) == (1, 2)
    assert "1 documents are removed" in said
    code, said = await run(gateway, *sync, "--delete", "--yes")
    assert (code, await listed(gateway)) == (0, ["규정:환불.md"])
    code, said = await run(gateway, "jobs", "list")
    assert said.count("succeeded") == 3


async def test_a_file_that_fails_is_named_with_its_reason(
    gateway: GatewayUnderTest, tmp_path: Path
) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "bad.pdf").write_bytes(b"%PDF-1.7")
    (folder / "good.txt").write_text("apple")
    code, said = await run(gateway, "documents", "sync", str(folder), "--collection", "handbook")
    assert code == 1
    assert "bad.pdf file_unreadable:" in said.replace("\n", " ")
    assert await listed(gateway) == ["good.txt"]


async def test_the_index_is_made_anew_by_a_command(gateway: GatewayUnderTest) -> None:
    await gateway.admin.put("/v1/collections/handbook/documents/a", json={"text": "apple"})
    code, said = await run(gateway, "index", "rebuild")
    assert (code, "serves 1 documents" in said) == (0, True)
    code, said = await run(gateway, "index", "show")
    assert (code, "index idle, 1 of 1 documents\nembedding model " in said) == (0, True)


def test_two_files_that_would_be_one_document_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.txt").write_text("x")
    (tmp_path / "a:b.txt").write_text("y")
    with pytest.raises(CommandError, match="would both be"):
        read_folder(tmp_path, "")


def test_uploads_stay_within_their_size(tmp_path: Path) -> None:
    for n in range(450):
        (tmp_path / f"{n}.txt").write_text("x")
    folder = read_folder(tmp_path, "p-")
    batches = [*uploads(folder, [*folder.files])]
    assert [len(batch) for batch in batches] == [200, 200, 50]
    assert {id_ for batch in batches for id_ in batch} == set(folder.files)
