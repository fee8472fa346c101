"""A cross-encoder reads question and passage together and says how well they fit.

Any sentence-transformers `CrossEncoder` with one output. It reads a few candidates only, because
each one costs a forward pass of its own, and it does so in one thread of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from services.retriever.embedding_model import locate_embedding_model
from services.retriever.metrics import Metrics
from services.retriever.settings import Reranking


class RerankerUnusableError(Exception):
    """The model that the settings name does not give one score for a pair."""


class Reranker:
    """A loaded cross-encoder."""

    def __init__(
        self, model: Any, executor: ThreadPoolExecutor, settings: Reranking, metrics: Metrics
    ) -> None:
        self._model = model
        self._executor = executor
        self._batch = settings.batch
        self._metrics = metrics
        self.candidates = settings.candidates
        """How many of the first passages are worth reading."""

    async def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """Score each text for the question, 0 to 1, more is better."""
        if not texts:
            return []
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._scores, question, list(texts))

    def _scores(self, question: str, texts: list[str]) -> list[float]:
        import torch

        with self._metrics.rerank_seconds.time():
            scores = self._model.predict(
                [(question, text) for text in texts],
                batch_size=self._batch,
                # Said here because models bring different ones, and all keep the same order.
                activation_fn=torch.nn.Sigmoid(),
                show_progress_bar=False,
                convert_to_numpy=True,
            )
        return [float(score) for score in scores]


@contextlib.asynccontextmanager
async def open_reranker(
    settings: Reranking, models_dir: Path, metrics: Metrics
) -> AsyncIterator[Reranker | None]:
    """Load the model that the settings name; nothing when they name none.

    Raises:
        ModelNotFoundError: it is no folder here and no model of a hub.
        RerankerUnusableError: it gives more than one score for a pair.
    """
    if settings.model is None:
        yield None
        return
    folder = await asyncio.to_thread(locate_embedding_model, settings.model, models_dir)
    model = await asyncio.to_thread(_load, folder, settings)
    executor = ThreadPoolExecutor(1, thread_name_prefix="reranking")
    try:
        yield Reranker(model, executor, settings, metrics)
    finally:
        await asyncio.to_thread(executor.shutdown, wait=True, cancel_futures=True)


def _load(folder: Path, settings: Reranking) -> Any:
    from sentence_transformers import CrossEncoder

    model = CrossEncoder(
        str(folder),
        max_length=settings.max_tokens,
        trust_remote_code=settings.trust_remote_code,
        local_files_only=True,
    )
    if model.num_labels != 1:
        raise RerankerUnusableError(
            f"{settings.model!r} gives {model.num_labels} scores for a pair; name a cross-encoder "
            "that gives one."
        )
    return model
