"""Gemma 3 as a Hugging Face folder, from what a GGUF file says of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

BOS, END_OF_TURN = "<bos>", "<end_of_turn>"
_CONTROL, _USER_DEFINED = 3, 4
_SLIDING_PATTERN = 6
_LOCAL_ROPE_THETA = 10000.0

_TENSOR_NAMES = {
    "token_embd": "embed_tokens",
    "output_norm": "norm",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "post_ffw_norm": "post_feedforward_layernorm",
}
_BLOCK = re.compile(r"^blk\.(\d+)\.(.+)\.weight$")


def tensor_name(name: str) -> str:
    """Translate a GGUF tensor name."""
    if match := _BLOCK.match(name):
        return f"model.layers.{match[1]}.{_TENSOR_NAMES[match[2]]}.weight"
    return f"model.{_TENSOR_NAMES[name.removesuffix('.weight')]}.weight"


def is_shifted(name: str) -> bool:
    """Tell whether GGUF stores a tensor plus one, as it does with Gemma's norms."""
    return name.endswith("norm.weight")


def configuration(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Build config.json."""
    read = _Prefixed(metadata, "gemma3.")
    layers: int = read("block_count")
    kinds = (
        "full_attention" if (layer + 1) % _SLIDING_PATTERN == 0 else "sliding_attention"
        for layer in range(layers)
    )
    rope = {"sliding_attention": _LOCAL_ROPE_THETA, "full_attention": read("rope.freq_base")}
    return {
        "_model_name_or_path": metadata["general.name"],
        "_sliding_window_pattern": _SLIDING_PATTERN,
        "architectures": ["Gemma3ForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "attn_logit_softcapping": None,
        "bos_token_id": int(metadata["tokenizer.ggml.bos_token_id"]),
        "dtype": "bfloat16",
        "eos_token_id": int(metadata["tokenizer.ggml.eos_token_id"]),
        "final_logit_softcapping": None,
        "head_dim": read("attention.key_length"),
        "hidden_activation": "gelu_pytorch_tanh",
        "hidden_size": read("embedding_length"),
        "initializer_range": 0.02,
        "intermediate_size": read("feed_forward_length"),
        "layer_types": list(kinds),
        "max_position_embeddings": read("context_length"),
        "model_type": "gemma3_text",
        "num_attention_heads": read("attention.head_count"),
        "num_hidden_layers": layers,
        "num_key_value_heads": read("attention.head_count_kv"),
        "pad_token_id": int(metadata["tokenizer.ggml.padding_token_id"]),
        "query_pre_attn_scalar": read("attention.key_length"),
        "rms_norm_eps": read("attention.layer_norm_rms_epsilon"),
        "rope_parameters": {
            kind: {"rope_theta": theta, "rope_type": "default"}
            for kind, theta in sorted(rope.items())
        },
        "sliding_window": read("attention.sliding_window"),
        "tie_word_embeddings": True,
        "transformers_version": "5.19.0",
        "unk_token_id": int(metadata["tokenizer.ggml.unknown_token_id"]),
        "use_bidirectional_attention": False,
        "use_cache": True,
        "vocab_size": len(metadata["tokenizer.ggml.tokens"]),
    }


def tokenizer(metadata: Mapping[str, Any]) -> Any:
    """Build the tokenizer; it adds no token by itself, since the chat template writes BOS."""
    from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
    from tokenizers.models import BPE

    tokens: list[str] = metadata["tokenizer.ggml.tokens"]
    vocabulary = {_spelled(token): place for place, token in enumerate(tokens)}
    unknown = tokens[metadata["tokenizer.ggml.unknown_token_id"]]
    built = Tokenizer(
        BPE(vocabulary, merges(vocabulary), unk_token=unknown, fuse_unk=True, byte_fallback=True)
    )
    built.normalizer = normalizers.Replace(" ", "▁")
    built.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    built.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    built.post_processor = processors.TemplateProcessing("$A", "$A $B:1", special_tokens=[])
    _add_whole_tokens(built, tokens, metadata["tokenizer.ggml.token_type"])
    return built


def merges(vocabulary: Mapping[str, int]) -> list[tuple[str, str]]:
    """List the merges that a vocabulary implies: earlier tokens first, longer left parts first."""
    return [
        (token[:cut], token[cut:])
        for token in vocabulary
        for cut in range(len(token) - 1, 0, -1)
        if token[:cut] in vocabulary and token[cut:] in vocabulary
    ]


def tokenizer_configuration(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Build tokenizer_config.json."""
    tokens: list[str] = metadata["tokenizer.ggml.tokens"]

    def special(name: str) -> str:
        return str(tokens[metadata[f"tokenizer.ggml.{name}_token_id"]])

    return {
        "add_bos_token": False,
        "add_eos_token": False,
        "backend": "tokenizers",
        "bos_token": special("bos"),
        "clean_up_tokenization_spaces": False,
        "eos_token": special("eos"),
        "model_max_length": int(metadata["gemma3.context_length"]),
        "pad_token": special("padding"),
        "tokenizer_class": "GemmaTokenizer",
        "unk_token": special("unknown"),
    }


def generation_configuration(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Build generation_config.json: an answer ends with the end of a turn, too."""
    tokens: list[str] = metadata["tokenizer.ggml.tokens"]
    return {
        "bos_token_id": int(metadata["tokenizer.ggml.bos_token_id"]),
        "do_sample": False,
        "eos_token_id": [
            int(metadata["tokenizer.ggml.eos_token_id"]),
            tokens.index(END_OF_TURN),
        ],
        "pad_token_id": int(metadata["tokenizer.ggml.padding_token_id"]),
    }


def _spelled(token: str) -> str:
    """Spell a run of spaces as the normaliser will write it."""
    return "▁" * len(token) if " " in token and not token.strip() else token


def _add_whole_tokens(built: Any, tokens: list[str], kinds: Any) -> None:
    """Mark the tokens that are never cut: control tokens, then those the model's maker listed."""
    from tokenizers import AddedToken

    for wanted, special in ((_CONTROL, True), (_USER_DEFINED, False)):
        added = [
            AddedToken(token, normalized=False, special=special)
            for token, kind in zip(tokens, kinds, strict=True)
            if kind == wanted and built.token_to_id(token) is not None
        ]
        (built.add_special_tokens if special else built.add_tokens)(added)


class _Prefixed:
    """Reads metadata under one prefix."""

    def __init__(self, metadata: Mapping[str, Any], prefix: str) -> None:
        self._metadata = metadata
        self._prefix = prefix

    def __call__(self, name: str) -> Any:
        return self._metadata[self._prefix + name]
