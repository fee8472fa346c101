"""The embedder that the settings, and the collections of this home, ask for."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
from collections.abc import AsyncIterator, Set

import structlog

from services.retriever.embedders.lanes import Encoder, LaneEmbedder, run_embedder
from services.retriever.embedding_model import (
    PACKAGED_MODEL,
    LocatedModel,
    ModelNotFoundError,
    fingerprint_of,
    locate_embedding_model,
    locate_model,
)
from services.retriever.metrics import Metrics
from services.retriever.settings import Settings

_log = structlog.get_logger()


@contextlib.asynccontextmanager
async def open_embedder(
    settings: Settings, built_with: Set[str], metrics: Metrics
) -> AsyncIterator[LaneEmbedder]:
    """Load the model and embed with it for as long as the context lasts.

    Args:
        built_with: fingerprints of the models that made this home's collections. With the `auto`
            backend, collections that torch made keep torch: vectors are never mixed.

    Raises:
        ModelNotFoundError: the model cannot be had.
    """
    encoder = await asyncio.to_thread(load_encoder, settings, built_with)
    async with run_embedder(
        settings.embedding_model, encoder, settings.embedding, metrics
    ) as embedder:
        yield embedder


def load_encoder(settings: Settings, built_with: Set[str]) -> Encoder:
    """Load the model that the settings name, in the form that this home wants; blocks.

    Raises:
        ModelNotFoundError: the model cannot be had.
    """
    embedding = settings.embedding
    located = locate_model(
        settings.embedding_model, settings.prepared_models_dir, embedding.backend
    )
    if located.why_not_onnx is not None:
        _log.warning("embedding.not_onnx", reason=located.why_not_onnx)
    if embedding.backend == "auto":
        located = _as_built(located, settings, built_with)
    encoder = _encoder(located, settings)
    _log.info(
        "embedding.loaded",
        model=settings.embedding_model,
        backend="torch" if located.manifest is None else "onnx",
        fingerprint=encoder.fingerprint,
        likeness=None if located.manifest is None else located.manifest.likeness.model_dump(),
    )
    return encoder


def _as_built(located: LocatedModel, settings: Settings, built_with: Set[str]) -> LocatedModel:
    """Keep to torch where it made the collections."""
    manifest = located.manifest
    if manifest is None or not built_with or manifest.fingerprint in built_with:
        return located
    try:
        unpacked = locate_embedding_model(settings.embedding_model, settings.prepared_models_dir)
    except ModelNotFoundError:
        return located
    if fingerprint_of(unpacked) not in built_with:
        return located
    _log.warning(
        "embedding.kept_for_collections",
        reason="Collections here were made by torch, so torch goes on: set "
        "INKSTONE_RETRIEVER_EMBEDDING__BACKEND to onnx to have them embedded anew.",
    )
    return LocatedModel(unpacked, None)


def _encoder(located: LocatedModel, settings: Settings) -> Encoder:
    embedding = settings.embedding
    if located.manifest is None:
        if importlib.util.find_spec("sentence_transformers") is None:
            raise ModelNotFoundError(
                f"{settings.embedding_model!r} wants torch, which this installation leaves out "
                f"(EMBEDDING=onnx): take an image with torch, or set "
                f"INKSTONE_RETRIEVER_EMBEDDING_MODEL to {PACKAGED_MODEL}."
            )
        from services.retriever.embedders.sentence_encoder import SentenceEncoder

        return SentenceEncoder(located.folder, embedding)
    from services.retriever.embedders.onnx_encoder import OnnxEncoder

    return OnnxEncoder(
        located.folder,
        located.manifest,
        threads=embedding.threads,
        texts_a_pass=embedding.passage_batch,
    )
