"""Dynamic batching, lanes and the cache, over a model that only counts."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from services.chassis.telemetry import open_registry
from services.retriever.embedders.lanes import LaneEmbedder
from services.retriever.embedding import Kind, Vector
from services.retriever.metrics import open_metrics
from services.retriever.settings import Embedding

pytestmark = pytest.mark.anyio


@dataclass
class CountingEncoder:
    """Gives each text the direction `(3, 4 * its length)`."""

    notebook: Notebook
    fingerprint: str = "0123456789ab"
    dimensions: int = 2
    max_tokens: int = 512

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def encode(self, texts: Sequence[str], kind: Kind) -> list[Vector]:
        self.notebook.note(kind, list(texts))
        if kind == "passage":
            assert self.notebook.passages_may_go.wait(30)
        else:
            assert self.notebook.questions_may_go.wait(30)
        if any("poison" in text for text in texts):
            raise RuntimeError("the model broke")
        return [np.array([3.0, 4.0 * len(text)], np.float32) for text in texts]


@dataclass
class Notebook:
    """What the model was asked, and whether it may answer."""

    batches: list[tuple[str, list[str]]] = field(default_factory=list)
    passages_may_go: threading.Event = field(default_factory=threading.Event)
    questions_may_go: threading.Event = field(default_factory=threading.Event)
    asked: threading.Event = field(default_factory=threading.Event)

    def note(self, prompt: str, texts: list[str]) -> None:
        self.batches.append((prompt, texts))
        self.asked.set()


@pytest.fixture
def notebook() -> Notebook:
    book = Notebook()
    book.passages_may_go.set()
    book.questions_may_go.set()
    return book


@pytest.fixture
async def embedder(notebook: Notebook) -> AsyncIterator[LaneEmbedder]:
    settings = Embedding(query_batch=4, passage_batch=2, query_cache=2)
    metrics = open_metrics(open_registry())
    embedder = LaneEmbedder("counting", CountingEncoder(notebook), settings, metrics)
    serving = asyncio.create_task(embedder.keep_embedding())
    yield embedder
    serving.cancel()
    notebook.passages_may_go.set()
    notebook.questions_may_go.set()
    embedder.close()


async def asked(notebook: Notebook) -> None:
    """Wait until the model is at work."""
    assert await asyncio.to_thread(notebook.asked.wait, 30)


async def test_questions_and_passages_are_told_apart(
    embedder: LaneEmbedder, notebook: Notebook
) -> None:
    await embedder.question("where?")
    await embedder.texts(["here"], "passage")
    await embedder.texts(["there?"], "query")
    assert notebook.batches == [
        ("query", ["where?"]),
        ("passage", ["here"]),
        ("query", ["there?"]),
    ]


async def test_the_model_is_known_by_its_name_and_its_fingerprint(embedder: LaneEmbedder) -> None:
    assert (embedder.name, embedder.fingerprint) == ("counting", "0123456789ab")
    assert (embedder.dimensions, embedder.count_tokens("one two three")) == (2, 3)


async def test_questions_that_wait_share_a_pass(embedder: LaneEmbedder, notebook: Notebook) -> None:
    notebook.questions_may_go.clear()
    first = asyncio.create_task(embedder.question("first"))
    await asked(notebook)
    others = [asyncio.create_task(embedder.question(f"q{n}")) for n in range(6)]
    await asyncio.sleep(0)
    notebook.questions_may_go.set()
    await asyncio.gather(first, *others)
    assert [texts for _, texts in notebook.batches] == [
        ["first"],
        ["q0", "q1", "q2", "q3"],
        ["q4", "q5"],
    ]


async def test_a_question_does_not_wait_for_passages(
    embedder: LaneEmbedder, notebook: Notebook
) -> None:
    notebook.passages_may_go.clear()
    passages = asyncio.create_task(embedder.texts(["long"] * 20, "passage"))
    await asked(notebook)
    assert (await embedder.question("quick")).shape == (2,)
    assert not passages.done()
    notebook.passages_may_go.set()
    assert len(await passages) == 20


async def test_a_question_asked_again_is_remembered_while_there_is_room(
    embedder: LaneEmbedder, notebook: Notebook
) -> None:
    for text in ("a", "b", "a", "c", "a", "b"):
        await embedder.question(text)
    assert [texts[0] for _, texts in notebook.batches] == ["a", "b", "c", "b"]


async def test_each_caller_gets_its_own_vectors_in_order(embedder: LaneEmbedder) -> None:
    lengths = [[1, 5, 3], [2, 2], [7, 1, 4, 6, 2, 8, 9]]
    answers = await asyncio.gather(
        *(embedder.texts(["x" * n for n in group], "passage") for group in lengths)
    )
    for group, vectors in zip(lengths, answers, strict=True):
        slopes = [round(float(vector[1] / vector[0]) * 3 / 4) for vector in vectors]
        assert slopes == group


async def test_a_broken_pass_fails_those_who_wait_for_it_and_nobody_else(
    embedder: LaneEmbedder,
) -> None:
    with pytest.raises(RuntimeError, match="the model broke"):
        await embedder.texts(["poison"], "passage")
    assert len(await embedder.texts(["fine"], "passage")) == 1


async def test_texts_that_nobody_waits_for_any_more_are_left_out(
    embedder: LaneEmbedder, notebook: Notebook
) -> None:
    notebook.passages_may_go.clear()
    first = asyncio.create_task(embedder.texts(["first"], "passage"))
    await asked(notebook)
    given_up = asyncio.create_task(embedder.texts(["given up"] * 50, "passage"))
    last = asyncio.create_task(embedder.texts(["last"], "passage"))
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.wait([given_up])
    notebook.passages_may_go.set()
    await asyncio.gather(first, last)
    assert [texts for _, texts in notebook.batches] == [["first"], ["last"]]


async def test_nul_characters_do_not_reach_the_model(
    embedder: LaneEmbedder, notebook: Notebook
) -> None:
    await embedder.question("a\0b")
    assert notebook.batches == [("query", ["a b"])]
