"""`inkstone eval retrieval` against a real gateway."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from typer.testing import CliRunner

from services.chassis.errors import NotFound
from services.cli.failures import CommandError
from services.cli.main import app
from tests.fakes.retriever import passage
from tests.service.gateway.chat_stack import ChatStack, chat_stack

pytestmark = pytest.mark.anyio

CASES = [
    {"id": "1", "question": "환불은 며칠?", "relevant": ["refunds"], "answers": ["14일"]},
    {"id": "2", "question": "refunds?", "relevant": ["refunds", "returns"], "tags": ["en"]},
]


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[ChatStack]:
    async with chat_stack(tmp_path) as made:
        yield made


async def evaluate(stack: ChatStack, folder: Path, *options: str, cases: Any = CASES) -> Any:
    """Run the command in a thread: it has an event loop of its own."""
    dataset, out = folder / "cases.jsonl", folder / "figures.json"
    dataset.write_text("\n".join(json.dumps(case) for case in cases))
    command = ["eval", "retrieval", "--dataset", str(dataset), "--collection", "docs"]
    command += ["--out", str(out), "--url", stack.gateway.base_url]
    command += ["--key", stack.gateway.secrets["admin"], *options]
    ran = await asyncio.to_thread(CliRunner().invoke, app, command)
    if ran.exception is not None and not isinstance(ran.exception, SystemExit):
        raise ran.exception
    assert ran.exit_code == 0, ran.output
    return json.loads(out.read_text())


async def test_figures_and_a_picture_are_saved(stack: ChatStack, tmp_path: Path) -> None:
    retriever = stack.gateway.retriever
    retriever.passages = [
        passage("other", document_id="other"),
        passage("14일 안에", document_id="refunds"),
    ]
    saved = await evaluate(stack, tmp_path)
    (run,) = saved["runs"]
    assert run["values"]["MRR"] == [0.5, 0.5]
    assert run["values"]["recall@5"] == [1.0, 0.5]
    assert run["by_tag"]["en"]["count"] == 1
    assert saved["cases"] == ["1", "2"]
    assert "comparison" not in saved
    assert (tmp_path / "figures.svg").read_text().startswith("<svg")


async def test_two_ways_are_asked_the_same_questions(stack: ChatStack, tmp_path: Path) -> None:
    retriever = stack.gateway.retriever
    retriever.passages = [passage("x", document_id="refunds")]
    options = ("--setup", "mode=dense", "--compare", "dense=1,lexical=2,expand=section", "--k", "3")
    saved = await evaluate(stack, tmp_path, *options, cases=CASES[1:])
    first, other = retriever.searches
    assert (first.query, first.mode, first.weights) == ("refunds?", "dense", None)
    assert (other.query, other.mode, other.expand) == ("refunds?", "hybrid", "section")
    assert other.weights is not None
    assert (other.weights.dense, other.weights.lexical) == (1, 2)
    assert saved["comparison"]["recall@3"]["verdict"] == "no difference shown"


async def test_a_depth_that_no_search_reaches_is_refused(stack: ChatStack, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="from 1 to 100"):
        await evaluate(stack, tmp_path, "--k", "101")


async def test_a_collection_that_is_not_there_is_one_sentence(
    stack: ChatStack, tmp_path: Path
) -> None:
    stack.gateway.retriever.unknown_collections = {"docs"}
    with pytest.raises(NotFound, match="no collection 'docs'"):
        await evaluate(stack, tmp_path)


async def test_documents_that_the_collection_does_not_hold_are_told(
    stack: ChatStack, tmp_path: Path
) -> None:
    retriever = stack.gateway.retriever
    retriever.passages = [passage("x", document_id="refunds")]
    cases = [*CASES, {"id": "3", "question": "선물?", "relevant": ["선물/안내.md", "어" * 256]}]
    saved = await evaluate(stack, tmp_path, cases=cases)
    assert saved["absent"] == ["returns", "선물/안내.md", "어" * 256]


async def test_a_document_that_is_there_and_was_not_found_is_not_told(
    stack: ChatStack, tmp_path: Path
) -> None:
    gateway = stack.gateway
    gateway.retriever.passages = [passage("x", document_id="refunds")]
    path = f"/v1/collections/docs/documents/{quote('선물-안내.md')}"
    assert (await gateway.admin.put(path, json={"text": "선물"})).status < 300
    cases = [{"id": "1", "question": "선물?", "relevant": ["선물-안내.md"]}]
    saved = await evaluate(stack, tmp_path, cases=cases)
    assert saved["absent"] == []


async def test_a_folder_that_is_not_there_is_told_before_anything_is_asked(
    stack: ChatStack, tmp_path: Path
) -> None:
    with pytest.raises(CommandError, match="--out"):
        await evaluate(stack, tmp_path, "--out", str(tmp_path / "nowhere" / "figures.json"))
    assert stack.gateway.retriever.searches == []
