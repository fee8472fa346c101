"""The packaged model as a folder that ONNX Runtime serves, compared with its source first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from services.retriever.embedders.onnx_encoder import OnnxEncoder
from services.retriever.embedding import Kind
from services.retriever.onnx_model import (
    MANIFEST_FILE,
    MODEL_FILE,
    TOKENIZER_FILE,
    Likeness,
    OnnxManifest,
    hash_of,
)
from services.retriever.packaged.onnx_graph import RECIPE, write_onnx_file
from services.retriever.packaged.sample_texts import SAMPLE_TEXTS
from services.retriever.packaged.sentence_folder import MAX_TOKENS, PROMPTS
from services.retriever.packaged.tokenizer_file import write_tokenizer
from services.retriever.packaged.weights import Floats, PackedModel

LEAST_MEAN_COSINE = 0.998
"""The least mean likeness that is served; docs/decisions/0008 has what was measured."""

LEAST_COSINE = 0.995
"""The least likeness of any one text that is served."""

Reference = Callable[[Sequence[str], Kind], Floats]
"""Embeds as the model does in floats: `(texts, dimensions)`, unit vectors."""

_UNKNOWN = Likeness(texts=0, mean=0.0, least=0.0)


def write_onnx_folder(
    weights: Path,
    folder: Path,
    reference: Reference,
    on_progress: Callable[[str, int, int], None],
) -> OnnxManifest:
    """Make the model of the 4-bit file, compare it, and keep it only when it is like its source.

    Raises:
        ValueError: the file is not of the format that this project knows.
    """
    on_progress("read", 0, 1)
    packed = PackedModel(weights.read_bytes())
    on_progress("tokenizer", 0, 1)
    write_tokenizer(packed.vocabulary, folder)
    write_onnx_file(packed, folder / MODEL_FILE, on_progress)
    made = OnnxManifest(
        recipe=RECIPE,
        source=hash_of(weights),
        files={name: hash_of(folder / name) for name in (MODEL_FILE, TOKENIZER_FILE)},
        dimensions=packed.shape.hidden,
        max_tokens=min(MAX_TOKENS, packed.shape.positions),
        padding=packed.vocabulary.padding,
        prompts=PROMPTS,
        likeness=_UNKNOWN,
        accepted=False,
    )
    on_progress("compare", 0, 1)
    likeness = likeness_of(OnnxEncoder(folder, made, threads=1, texts_a_pass=1), reference)
    accepted = likeness.mean >= LEAST_MEAN_COSINE and likeness.least >= LEAST_COSINE
    checked = made.model_copy(
        update={
            "likeness": likeness,
            "accepted": accepted,
            "files": made.files if accepted else {},
        }
    )
    if not accepted:
        for name in made.files:
            (folder / name).unlink()
    (folder / MANIFEST_FILE).write_text(checked.model_dump_json(indent=2) + "\n", "utf-8")
    return checked


def likeness_of(encoder: OnnxEncoder, reference: Reference) -> Likeness:
    """Compare the vectors of the sample texts, as questions and as passages."""
    kinds: tuple[Kind, ...] = ("query", "passage")
    cosines = np.concatenate(
        [
            np.sum(np.array(encoder.encode(SAMPLE_TEXTS, kind)) * reference(SAMPLE_TEXTS, kind), 1)
            for kind in kinds
        ]
    )
    mean, least = float(cosines.mean()), float(cosines.min())
    return Likeness(texts=cosines.size, mean=round(mean, 5), least=round(least, 5))
