"""Queues before a model: questions that wait share a pass, and never wait for passages.

Two worker threads share one model, so that a question never waits for passages that are
being indexed. Each takes whatever is queued when it becomes free, without waiting for more.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from services.retriever.embedding import Kind, Vector
from services.retriever.metrics import Metrics
from services.retriever.settings import Embedding

PASSES_PER_TURN = 4
"""Forward passes' worth of passages that one turn takes, so that like lengths can share a pass."""


class Encoder(Protocol):
    """A loaded model; every method may be called in two threads at once."""

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits; equal for models that give equal vectors."""
        ...

    @property
    def dimensions(self) -> int:
        """The vectors' length."""
        ...

    @property
    def max_tokens(self) -> int:
        """The longest text that the model reads, its prompt included."""
        ...

    def count_tokens(self, text: str) -> int:
        """Count a text's tokens, at most as many as the model reads."""
        ...

    def encode(self, texts: Sequence[str], kind: Kind) -> list[Vector]:
        """Embed texts, unit vectors in their order; blocks."""
        ...


@dataclass(frozen=True, slots=True)
class _Waiting:
    text: str
    kind: Kind
    done: asyncio.Future[Vector]


_Encode = Callable[[list[str], Kind], list[Vector]]


class _Lane:
    """A queue of texts and the one thread that embeds them."""

    def __init__(self, encode: _Encode, executor: ThreadPoolExecutor, turn: int) -> None:
        self._encode = encode
        self._executor = executor
        self._turn = turn
        self._queue: deque[_Waiting] = deque()
        self._filled = asyncio.Event()

    async def embed(self, texts: Sequence[str], kind: Kind) -> list[Vector]:
        loop = asyncio.get_running_loop()
        waiting = [_Waiting(text, kind, loop.create_future()) for text in texts]
        self._queue.extend(waiting)
        self._filled.set()
        try:
            return [await each.done for each in waiting]
        finally:
            for each in waiting:
                each.done.cancel()

    async def keep_embedding(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._filled.wait()
            batch = self._take()
            if not batch:
                self._filled.clear()
                continue
            texts = [each.text for each in batch]
            try:
                vectors = await loop.run_in_executor(
                    self._executor, self._encode, texts, batch[0].kind
                )
            except Exception as error:  # noqa: BLE001 - belongs to those who wait for it
                for each in batch:
                    _settle(each.done, error)
                continue
            for each, vector in zip(batch, vectors, strict=True):
                _settle(each.done, vector)

    def _take(self) -> list[_Waiting]:
        """Take what is queued, of one kind, leaving out what nobody waits for any more."""
        batch: list[_Waiting] = []
        while self._queue and len(batch) < self._turn:
            if self._queue[0].done.done():
                self._queue.popleft()
            elif batch and self._queue[0].kind != batch[0].kind:
                break
            else:
                batch.append(self._queue.popleft())
        return batch


class LaneEmbedder:
    """An encoder behind two queues, with the questions' vectors remembered."""

    def __init__(self, name: str, encoder: Encoder, settings: Embedding, metrics: Metrics) -> None:
        self.name = name
        self.fingerprint = encoder.fingerprint
        self.dimensions = encoder.dimensions
        self.max_tokens = encoder.max_tokens
        self._encoder = encoder
        self._metrics = metrics
        self._remembered: OrderedDict[str, Vector] = OrderedDict()
        self._remember = settings.query_cache
        self._executors = [
            ThreadPoolExecutor(1, thread_name_prefix=lane) for lane in ("questions", "passages")
        ]
        self._questions = _Lane(self._encode, self._executors[0], settings.query_batch)
        self._passages = _Lane(
            self._encode, self._executors[1], settings.passage_batch * PASSES_PER_TURN
        )

    async def question(self, text: str) -> Vector:
        """Embed one question; repeated questions are remembered."""
        if (known := self._remembered.get(text)) is not None:
            self._remembered.move_to_end(text)
            self._metrics.query_cache_hits.inc()
            return known
        (vector,) = await self._questions.embed([text], "query")
        self._remembered[text] = vector
        while len(self._remembered) > self._remember:
            self._remembered.popitem(last=False)
        return vector

    async def texts(self, texts: Sequence[str], kind: Kind) -> list[Vector]:
        """Embed many texts, behind any question that waits."""
        return await self._passages.embed(texts, kind)

    def count_tokens(self, text: str) -> int:
        """Count a text's tokens, at most as many as the model reads; safe in any thread."""
        return self._encoder.count_tokens(text)

    async def keep_embedding(self) -> None:
        """Serve both queues until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._questions.keep_embedding())
            group.create_task(self._passages.keep_embedding())

    def close(self) -> None:
        """Let the worker threads end after the pass they are in."""
        for executor in self._executors:
            executor.shutdown(wait=True, cancel_futures=True)

    def _encode(self, texts: list[str], kind: Kind) -> list[Vector]:
        self._metrics.embedding_batch_size.labels(kind).observe(len(texts))
        with self._metrics.embedding_seconds.labels(kind).time():
            return self._encoder.encode([text.replace("\0", " ") for text in texts], kind)


@contextlib.asynccontextmanager
async def run_embedder(
    name: str, encoder: Encoder, settings: Embedding, metrics: Metrics
) -> AsyncIterator[LaneEmbedder]:
    """Embed with a model for as long as the context lasts."""
    embedder = LaneEmbedder(name, encoder, settings, metrics)
    async with asyncio.TaskGroup() as group:
        keeper = group.create_task(embedder.keep_embedding())
        try:
            yield embedder
        finally:
            keeper.cancel()
            await asyncio.to_thread(embedder.close)


def _settle(future: asyncio.Future[Vector], outcome: Vector | Exception) -> None:
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
