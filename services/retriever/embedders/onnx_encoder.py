"""A prepared model run by ONNX Runtime, without torch and without transformers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
from tokenizers import Tokenizer

from services.retriever.embedding import Kind, Vector
from services.retriever.onnx_model import MODEL_FILE, TOKENIZER_FILE, OnnxManifest

PASS_TOKENS = 4096
"""The most tokens of one forward pass, padding counted; what a pass holds in memory grows with it.
One text may be longer."""

_SHORTEST_PART = 0.75
_SHORTEST_LESS = 8
"""A text shorter than this part of the longest, less so many tokens, is left to another pass:
padding would cost more than the pass."""

_ONLY_ERRORS = 3


class OnnxEncoder:
    """Gives unit vectors; safe in any number of threads.

    A text's vector is the same whatever texts are embedded with it.
    """

    def __init__(
        self, folder: Path, manifest: OnnxManifest, *, threads: int, texts_a_pass: int
    ) -> None:
        self.fingerprint = manifest.fingerprint
        self.dimensions = manifest.dimensions
        self.max_tokens = manifest.max_tokens
        self._prompts = manifest.prompts
        self._padding = manifest.padding
        self._texts_a_pass = texts_a_pass
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        # Set once: encoding is then free of shared state, and needs no lock.
        self._tokenizer.enable_truncation(manifest.max_tokens)
        self._session = _open(folder / MODEL_FILE, threads)

    def count_tokens(self, text: str) -> int:
        """Count a text's tokens, at most as many as the model reads."""
        return len(self._tokenizer.encode(text, add_special_tokens=False))

    def encode(self, texts: Sequence[str], kind: Kind) -> list[Vector]:
        """Embed texts, those of like length together."""
        # One by one: a batch would take threads of its own beside ours.
        prompt = self._prompts[kind]
        tokens = [self._tokenizer.encode(prompt + text).ids for text in texts]
        vectors = np.empty((len(texts), self.dimensions), np.float32)
        for chosen in passes([len(each) for each in tokens], self._texts_a_pass):
            vectors[chosen] = self._run([tokens[at] for at in chosen])
        return list(vectors)

    def _run(self, tokens: list[list[int]]) -> npt.NDArray[np.float32]:
        longest = max(map(len, tokens))
        ids = np.full((len(tokens), longest), self._padding, np.int64)
        mask = np.zeros_like(ids)
        for row, each in enumerate(tokens):
            ids[row, : len(each)] = each
            mask[row, : len(each)] = 1
        (vectors,) = self._session.run(None, {"input_ids": ids, "attention_mask": mask})
        found: npt.NDArray[np.float32] = vectors
        return found


def passes(lengths: Sequence[int], most: int) -> Iterator[list[int]]:
    """Share texts out to forward passes: positions in `lengths`, the longest texts first.

    Args:
        lengths: tokens of each text.
        most: texts of one pass.
    """
    waiting = sorted(range(len(lengths)), key=lambda at: -lengths[at])
    while waiting:
        longest = lengths[waiting[0]]
        room = max(1, min(most, PASS_TOKENS // longest))
        least = _SHORTEST_PART * longest - _SHORTEST_LESS
        chosen = [at for at in waiting[:room] if lengths[at] >= least]
        yield chosen
        waiting = waiting[len(chosen) :]


def _open(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A waiting thread that spins takes the core that another pass needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # The graph is written with fused operations already; further rewriting made it slower.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = _ONLY_ERRORS
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
