"""Embedding texts for apps, with the model that searches use."""

from __future__ import annotations

import asyncio
import base64
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog
from prometheus_client import Counter, Histogram

from services.chassis.errors import InvalidRequest, ServiceError
from services.contracts.embeddings import (
    Embedding,
    EmbeddingCreate,
    EmbeddingList,
    EmbeddingUsage,
)
from services.contracts.knowledge import EmbeddingModel, EmbeddingRequest
from services.gateway.admission import Admission
from services.gateway.clients.retriever import Retriever
from services.gateway.registry.snapshot import Caller
from services.gateway.resolution import ModelNotFound

TEXTS_A_CALL = 64
"""Texts that go to the retriever at once, so that none of its long replies holds up a stream."""

KNOWN_SECONDS = 30.0
"""How long the retriever's description of its model is believed."""

LISTING_SECONDS = 1.0
"""How long a list of models waits for that description."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class EmbeddingMetrics:
    """What is counted of embedding requests."""

    requests: Counter
    tokens: Counter
    seconds: Histogram


@dataclass(slots=True)
class EmbeddingDesk:
    """Answers embedding requests."""

    retriever: Retriever
    admission: Admission
    metrics: EmbeddingMetrics
    clock: Callable[[], float] = time.monotonic
    _known: EmbeddingModel | None = None
    _believed_until: float = field(default=0.0)

    async def embed(self, caller: Caller, request: EmbeddingCreate) -> EmbeddingList:
        """Embed texts, in order.

        Raises:
            ModelNotFound: another model is asked for than the one that there is.
            InvalidRequest: `tokens_unsupported`, `dimensions_unsupported`.
        """
        status = 500
        try:
            with self.metrics.seconds.time(), self.admission.admit(caller.key_id):
                reply = await self._embedded(caller, request, _texts_of(request))
            status = 200
        except ServiceError as error:
            status = error.status
            raise
        finally:
            self.metrics.requests.labels(str(status)).inc()
        self.metrics.tokens.inc(reply.usage.prompt_tokens)
        return reply

    async def known_model(self, caller: Caller) -> EmbeddingModel | None:
        """Describe the model for a list; None while the retriever does not answer."""
        try:
            async with asyncio.timeout(LISTING_SECONDS):
                return await self._model(caller)
        except (ServiceError, TimeoutError):
            _log.info("embedding_model.unknown")
            return None

    async def _model(self, caller: Caller) -> EmbeddingModel:
        if self._known is None or self.clock() >= self._believed_until:
            self._known = await self.retriever.embedding_model(caller)
            self._believed_until = self.clock() + KNOWN_SECONDS
        return self._known

    async def _embedded(
        self, caller: Caller, request: EmbeddingCreate, texts: Sequence[str]
    ) -> EmbeddingList:
        model = await self._model(caller)
        if request.model != model.model:
            raise ModelNotFound(request.model)
        if request.dimensions not in (None, model.dimensions):
            raise InvalidRequest(
                f"The vectors of {model.model!r} have {model.dimensions} dimensions and cannot be "
                "shortened; leave `dimensions` out.",
                code="dimensions_unsupported",
                param="dimensions",
            )
        encode = _as_base64 if request.encoding_format == "base64" else _as_floats
        data: list[Embedding] = []
        tokens = 0
        for start in range(0, len(texts), TEXTS_A_CALL):
            some = EmbeddingRequest(
                input=list(texts[start : start + TEXTS_A_CALL]), kind=request.input_type
            )
            result = await self.retriever.embed(caller, some)
            tokens += result.prompt_tokens
            data += (
                Embedding(index=start + at, embedding=encode(vector))
                for at, vector in enumerate(result.data)
            )
        usage = EmbeddingUsage(prompt_tokens=tokens, total_tokens=tokens)
        return EmbeddingList(data=data, model=model.model, usage=usage)


def _texts_of(request: EmbeddingCreate) -> Sequence[str]:
    given = request.input
    if isinstance(given, str):
        return [given]
    texts = [text for text in given if isinstance(text, str)]
    if len(texts) < len(given) or not texts:
        raise InvalidRequest(
            "Token numbers are of another model's vocabulary; send texts in `input`.",
            code="tokens_unsupported",
            param="input",
        )
    return texts


def _as_floats(vector: list[float]) -> list[float]:
    return vector


def _as_base64(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
