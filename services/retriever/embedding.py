"""Texts to unit vectors: the seam, and sentence-transformers behind it.

Two worker threads share one model, so that a question never waits for passages that are
being indexed. Each takes whatever is queued when it becomes free, without waiting for more.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from services.contracts.knowledge import EmbeddingRequest, EmbeddingResult
from services.retriever.embedding_model import fingerprint_of
from services.retriever.errors import EmbeddingTooLarge
from services.retriever.metrics import Metrics
from services.retriever.settings import Embedding

Kind = Literal["query", "passage"]
Vector = npt.NDArray[np.float32]

PASSES_PER_TURN = 4
"""Forward passes' worth of passages that one turn takes, so that like lengths can share a pass."""


class Embedder(Protocol):
    """A model that turns texts into unit vectors."""

    @property
    def name(self) -> str:
        """What the operator calls the model."""
        ...

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits; equal for models that give equal vectors."""
        ...

    @property
    def dimensions(self) -> int:
        """The vectors' length."""
        ...

    def count_tokens(self, text: str) -> int:
        """Count a text's tokens, at most as many as the model reads; safe in any thread."""
        ...

    async def question(self, text: str) -> Vector:
        """Embed one question; repeated questions are remembered."""
        ...

    async def texts(self, texts: Sequence[str], kind: Kind) -> list[Vector]:
        """Embed many texts, behind any question that waits."""
        ...


@dataclass(frozen=True, slots=True)
class _Waiting:
    text: str
    kind: Kind
    done: asyncio.Future[Vector]


Encode = Callable[[list[str], Kind], list[Vector]]


class _Lane:
    """A queue of texts and the one thread that embeds them."""

    def __init__(self, encode: Encode, executor: ThreadPoolExecutor, turn: int) -> None:
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


class SentenceEmbedder:
    """A sentence-transformers model from a folder."""

    def __init__(
        self,
        name: str,
        folder: Path,
        model: Any,
        tokenizing: threading.Lock,
        settings: Embedding,
        metrics: Metrics,
    ) -> None:
        self.name = name
        self.fingerprint = fingerprint_of(folder)
        self.dimensions = int(model.get_embedding_dimension())
        self._tokenizer = getattr(model.tokenizer, "backend_tokenizer", model.tokenizer)
        self._tokenizing = tokenizing
        self._metrics = metrics
        self._batch = settings.passage_batch
        prompts = model.prompts
        self._prompts: dict[Kind, str] = {
            "query": prompts.get("query") or "",
            "passage": prompts.get("passage") or prompts.get("document") or "",
        }
        self._remembered: OrderedDict[str, Vector] = OrderedDict()
        self._remember = settings.query_cache
        self._executors = [
            ThreadPoolExecutor(1, thread_name_prefix=lane) for lane in ("questions", "passages")
        ]
        self._model = model
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
        with self._tokenizing:
            encoded = self._tokenizer.encode(text, add_special_tokens=False)
        return sum(encoded.attention_mask)

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
            vectors = self._model.encode(
                [text.replace("\0", " ") for text in texts],
                prompt=self._prompts[kind],
                batch_size=self._batch,
                show_progress_bar=False,
                convert_to_numpy=True,
            )
            return list(_unit(np.asarray(vectors, dtype=np.float32)))


@contextlib.asynccontextmanager
async def open_sentence_embedder(
    name: str, folder: Path, settings: Embedding, metrics: Metrics
) -> AsyncIterator[SentenceEmbedder]:
    """Load a model and embed with it for as long as the context lasts."""
    tokenizing = threading.Lock()
    model = await asyncio.to_thread(_load, folder, tokenizing, settings)
    embedder = await asyncio.to_thread(
        SentenceEmbedder, name, folder, model, tokenizing, settings, metrics
    )
    async with asyncio.TaskGroup() as group:
        keeper = group.create_task(embedder.keep_embedding())
        try:
            yield embedder
        finally:
            keeper.cancel()
            await asyncio.to_thread(embedder.close)


def _load(folder: Path, tokenizing: threading.Lock, settings: Embedding) -> Any:
    import torch
    from sentence_transformers import SentenceTransformer

    class SharedTransformer(SentenceTransformer):
        """Lets several threads embed: weights can be shared freely, a tokeniser cannot."""

        def preprocess(self, *arguments: Any, **options: Any) -> Any:
            with tokenizing:
                return super().preprocess(*arguments, **options)

    torch.set_num_threads(settings.threads)
    model = SharedTransformer(
        str(folder),
        device="cuda" if torch.cuda.is_available() else "cpu",
        trust_remote_code=settings.trust_remote_code,
        local_files_only=True,
    )
    model.eval()
    fast = torch.cuda.is_available() or _computes_in_bfloat16()
    if settings.precision == "bfloat16" or (settings.precision == "auto" and fast):
        model.to(torch.bfloat16)
    return model


def _computes_in_bfloat16() -> bool:
    cpu = Path("/proc/cpuinfo")
    flags = cpu.read_text() if cpu.is_file() else ""
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _unit(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: npt.NDArray[np.float32] = vectors / np.maximum(lengths, np.float32(1e-12))
    return unit


def _settle(future: asyncio.Future[Vector], outcome: Vector | Exception) -> None:
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


async def embed_texts(
    embedder: Embedder, request: EmbeddingRequest, max_characters: int
) -> EmbeddingResult:
    """Answer a request for vectors.

    Raises:
        EmbeddingTooLarge: the texts are longer than allowed, all together.
    """
    if sum(map(len, request.input)) > max_characters:
        raise EmbeddingTooLarge(
            f"The input is longer than {max_characters} characters in all; send less at a time.",
            param="input",
        )
    vectors = await embedder.texts(request.input, request.kind)
    counts = await asyncio.to_thread(lambda: [embedder.count_tokens(t) for t in request.input])
    return EmbeddingResult(
        model=embedder.name,
        dimensions=embedder.dimensions,
        data=[vector.tolist() for vector in vectors],
        prompt_tokens=sum(counts),
    )
