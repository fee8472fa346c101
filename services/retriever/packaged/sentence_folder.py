"""The packaged model as a folder that sentence-transformers loads, in 32-bit floats."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from services.retriever.packaged.tokenizer_file import write_tokenizer
from services.retriever.packaged.weights import Floats, PackedModel, Vocabulary

MAX_TOKENS = 512
"""What the model reads of a text, its two marks included."""

PROMPTS = {"query": "query: ", "passage": "passage: "}
"""What the model wants before a text, by the text's kind."""


def write_sentence_transformers_folder(
    weights: Path, folder: Path, on_progress: Callable[[str, int, int], None]
) -> None:
    """Unpack the 4-bit file into a folder that sentence-transformers loads.

    Raises:
        ValueError: the file is not of the format this module knows.
    """
    on_progress("read", 0, 1)
    packed = PackedModel(weights.read_bytes())
    on_progress("tokenizer", 0, 1)
    write_tokenizer(packed.vocabulary, folder)
    _write_tokenizer_configuration(packed.vocabulary, folder)
    _write_tensors(packed, folder, on_progress)
    _write_configuration(packed, folder)


def _write_tensors(
    packed: PackedModel, folder: Path, on_progress: Callable[[str, int, int], None]
) -> None:
    from safetensors.numpy import save_file

    shape, hidden = packed.shape, packed.shape.hidden
    types = np.resize(packed.vector("emb.type"), (shape.types, hidden))
    tensors = {
        "embeddings.word_embeddings.weight": packed.matrix("emb.word", shape.vocabulary, hidden),
        "embeddings.position_embeddings.weight": packed.vector("emb.pos").reshape(-1, hidden),
        "embeddings.token_type_embeddings.weight": types,
        "embeddings.LayerNorm.weight": packed.vector("emb.ln.w"),
        "embeddings.LayerNorm.bias": packed.vector("emb.ln.b"),
        # BERT's own pooler is not part of the model; zeros keep its absence from being reported.
        "pooler.dense.weight": np.zeros((hidden, hidden), np.float32),
        "pooler.dense.bias": np.zeros(hidden, np.float32),
    }
    for layer in range(shape.layers):
        tensors.update(_layer(packed, layer))
        on_progress("weights", layer + 1, shape.layers)
    on_progress("write", 0, 1)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def _layer(packed: PackedModel, layer: int) -> dict[str, Floats]:
    hidden, inner = packed.shape.hidden, packed.shape.inner
    target, source = f"encoder.layer.{layer}", f"l{layer}"
    tensors = {}
    for name, short, rows, columns in (
        ("attention.self.query", "q", hidden, hidden),
        ("attention.self.key", "k", hidden, hidden),
        ("attention.self.value", "v", hidden, hidden),
        ("attention.output.dense", "ao", hidden, hidden),
        ("intermediate.dense", "fi", inner, hidden),
        ("output.dense", "fo", hidden, inner),
    ):
        tensors[f"{target}.{name}.weight"] = packed.matrix(f"{source}.{short}.w", rows, columns)
        tensors[f"{target}.{name}.bias"] = packed.vector(f"{source}.{short}.b")
    for name, short in (("attention.output.LayerNorm", "aln"), ("output.LayerNorm", "oln")):
        tensors[f"{target}.{name}.weight"] = packed.vector(f"{source}.{short}.w")
        tensors[f"{target}.{name}.bias"] = packed.vector(f"{source}.{short}.b")
    return tensors


def _write_tokenizer_configuration(vocabulary: Vocabulary, folder: Path) -> None:
    begin, end = vocabulary.name(vocabulary.begin), vocabulary.name(vocabulary.end)
    _write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": MAX_TOKENS,
            "bos_token": begin,
            "eos_token": end,
            "cls_token": begin,
            "sep_token": end,
            "pad_token": vocabulary.name(vocabulary.padding),
            "unk_token": vocabulary.name(vocabulary.unknown),
        },
    )


def _write_configuration(packed: PackedModel, folder: Path) -> None:
    shape, vocabulary = packed.shape, packed.vocabulary
    _write_json(
        folder / "config.json",
        {
            "architectures": ["BertModel"],
            "model_type": "bert",
            "dtype": "float32",
            "hidden_act": "gelu",
            "hidden_size": shape.hidden,
            "intermediate_size": shape.inner,
            "layer_norm_eps": shape.epsilon,
            "max_position_embeddings": shape.positions,
            "num_attention_heads": shape.heads,
            "num_hidden_layers": shape.layers,
            "pad_token_id": vocabulary.padding,
            # Without a version of 5 or later transformers warns about a tokeniser that is not ours.
            "transformers_version": "5.0.0",
            "type_vocab_size": shape.types,
            "vocab_size": shape.vocabulary,
        },
    )
    modules = ("Transformer", "1_Pooling", "2_Normalize")
    _write_json(
        folder / "modules.json",
        [
            {
                "idx": at,
                "name": str(at),
                "path": "" if at == 0 else name,
                "type": f"sentence_transformers.models.{name.rpartition('_')[2]}",
            }
            for at, name in enumerate(modules)
        ],
    )
    (folder / "1_Pooling").mkdir()
    _write_json(
        folder / "1_Pooling" / "config.json",
        {"word_embedding_dimension": shape.hidden, "pooling_mode_mean_tokens": True},
    )
    (folder / "2_Normalize").mkdir()
    _write_json(folder / "sentence_bert_config.json", {"max_seq_length": MAX_TOKENS})
    _write_json(
        folder / "config_sentence_transformers.json",
        {
            "prompts": PROMPTS,
            "default_prompt_name": None,
            "similarity_fn_name": "cosine",
        },
    )


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
