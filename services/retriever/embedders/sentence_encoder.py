"""Any sentence-transformers model, run by torch."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from services.retriever.embedding import Kind, Vector
from services.retriever.embedding_model import fingerprint_of
from services.retriever.settings import Embedding

_UNBOUNDED_TOKENS = 8192
"""What a model is taken to read that does not say."""


class SentenceEncoder:
    """A sentence-transformers model from a folder."""

    def __init__(self, folder: Path, settings: Embedding) -> None:
        self._tokenizing = threading.Lock()
        model = _load(folder, self._tokenizing, settings)
        self.fingerprint = fingerprint_of(folder)
        self.dimensions = int(model.get_embedding_dimension())
        self.max_tokens = int(model.max_seq_length or _UNBOUNDED_TOKENS)
        self._model = model
        self._tokenizer = getattr(model.tokenizer, "backend_tokenizer", model.tokenizer)
        self._batch = settings.passage_batch
        prompts = model.prompts
        self._prompts: dict[Kind, str] = {
            "query": prompts.get("query") or "",
            "passage": prompts.get("passage") or prompts.get("document") or "",
        }

    def count_tokens(self, text: str) -> int:
        """Count a text's tokens, at most as many as the model reads; safe in any thread."""
        with self._tokenizing:
            encoded = self._tokenizer.encode(text, add_special_tokens=False)
        return sum(encoded.attention_mask)

    def encode(self, texts: Sequence[str], kind: Kind) -> list[Vector]:
        """Embed texts with the model's own prompt for their kind."""
        vectors = self._model.encode(
            list(texts),
            prompt=self._prompts[kind],
            batch_size=self._batch,
            show_progress_bar=False,
            convert_to_numpy=True,
        )
        return list(_unit(np.asarray(vectors, dtype=np.float32)))


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
