"""A Gemma 3 of a few kilobytes as a GGUF file, written by GGUF's own library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from services.generator import gemma

HIDDEN, HEADS, HEAD_SIZE, FEED_FORWARD = 64, 1, 32, 96

SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
WHOLE = ["\n", "\n\n"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
PIECES = ["▁", "a", "b", "c", "한", "국", "ab", "▁a", "abc", "▁ab", "▁abc", "한국", "  "]
TOKENS = SPECIAL + WHOLE + BYTES + PIECES
KINDS = [3] * len(SPECIAL) + [4] * len(WHOLE) + [6] * len(BYTES) + [1] * len(PIECES)


def write_gguf(path: Path, *, layers: int = 2) -> dict[str, Any]:
    """Write the file; returns the values of its tensors by GGUF name."""
    from gguf import GGMLQuantizationType, GGUFWriter
    from gguf.quants import quantize

    writer = GGUFWriter(path, "gemma3")
    writer.add_name("Tiny")
    writer.add_context_length(512)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_key_length(HEAD_SIZE)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1_000_000.0)
    writer.add_sliding_window(128)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(TOKENS)
    writer.add_token_scores([0.0] * len(TOKENS))
    writer.add_token_types(KINDS)
    for add, token in (
        (writer.add_pad_token_id, "<pad>"),
        (writer.add_eos_token_id, "<eos>"),
        (writer.add_bos_token_id, "<bos>"),
        (writer.add_unk_token_id, "<unk>"),
    ):
        add(TOKENS.index(token))
    values = _values(layers)
    for name, array in values.items():
        if gemma.is_shifted(name):
            writer.add_tensor(name, array)
        else:
            kind = GGMLQuantizationType.Q8_0
            writer.add_tensor(name, quantize(array, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return values


def _values(layers: int) -> dict[str, Any]:
    wide = HEADS * HEAD_SIZE
    block = {
        "attn_norm": (HIDDEN,),
        "attn_q": (wide, HIDDEN),
        "attn_k": (wide, HIDDEN),
        "attn_v": (wide, HIDDEN),
        "attn_output": (HIDDEN, wide),
        "attn_q_norm": (HEAD_SIZE,),
        "attn_k_norm": (HEAD_SIZE,),
        "post_attention_norm": (HIDDEN,),
        "ffn_norm": (HIDDEN,),
        "ffn_gate": (FEED_FORWARD, HIDDEN),
        "ffn_up": (FEED_FORWARD, HIDDEN),
        "ffn_down": (HIDDEN, FEED_FORWARD),
        "post_ffw_norm": (HIDDEN,),
    }
    shapes = {"token_embd.weight": (len(TOKENS), HIDDEN), "output_norm.weight": (HIDDEN,)}
    for layer in range(layers):
        shapes |= {f"blk.{layer}.{name}.weight": shape for name, shape in block.items()}
    random = np.random.default_rng(0)
    return {
        name: random.standard_normal(shape).astype(np.float32) * 0.1
        for name, shape in shapes.items()
    }
