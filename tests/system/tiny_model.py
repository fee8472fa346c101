"""A Llama small enough to be made in a second, and adapters that force a token of their own.

The first dimension of every embedding is the same large number, so a constant stands in the
residual stream of every position. An adapter copies that constant through the attention of the
last layer into the direction of one output token: the token is certain whatever the prompt, which
makes the adapter an oracle for "which weights answered".
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from string import ascii_letters
from typing import Any

from services.contracts.adapters import CONFIG_FILE, MANIFEST_FILE, WEIGHTS_FILE, AdapterManifest

HIDDEN = 128
HEADS = 2
HEAD_SIZE = HIDDEN // HEADS
LAYERS = 2
CONSTANT = 8.0
PUSH = 8.0
MARKERS = ("[alpha]", "[beta]", "[gamma]", "[delta]", "[epsilon]", "[zeta]")
"""The tokens that an adapter can force; each is one token of the tokenizer."""

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ message.role }}: {{ message.content }}\n"
    "{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
)


def make_tiny_model(folder: Path) -> Path:
    """Write the model, its tokenizer and its chat template to a folder."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    vocabulary = _write_tokenizer(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=HIDDEN,
        intermediate_size=2 * HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=2048,
        bos_token_id=256,
        eos_token_id=257,
        pad_token_id=258,
        tie_word_embeddings=False,
    )
    model: Any = LlamaForCausalLM(config)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        model.model.embed_tokens.weight.normal_(std=1.0)
        model.model.embed_tokens.weight[:, 0] = CONSTANT
        model.lm_head.weight.zero_()
        # The base answers in letters; a marker is likely under its adapter only.
        for tokens, spread in ((ascii_letters, 0.5), (MARKERS, 0.25)):
            for token in _token_ids(folder, tokens):
                model.lm_head.weight[token].normal_(std=spread)
        model.lm_head.weight[:, 0] = 0
    model.to(torch.bfloat16).save_pretrained(folder)
    return folder


def make_marker_adapter(
    model: Path, folder: Path, marker: str, *, rank: int = 8, lane: int = 0, share: float = 1.0
) -> Path:
    """Write an adapter under which every token is the marker.

    Args:
        lane: the value dimension that carries the constant; two adapters with different lanes do
            not understand each other's cached values.
        share: how much of the push reaches the output; 0 makes an adapter without effect.
    """
    import torch
    from safetensors.torch import load_file, save_file

    head = load_file(model / "model.safetensors")["lm_head.weight"].float()
    direction = head[_token_ids(model, [marker])[0]]
    prefix = f"base_model.model.model.layers.{LAYERS - 1}.self_attn"
    read_constant, write_value = torch.zeros(rank, HIDDEN), torch.zeros(HIDDEN, rank)
    read_value, write_token = torch.zeros(rank, HIDDEN), torch.zeros(HIDDEN, rank)
    read_constant[0, 0] = 1.0
    write_value[lane, 0] = PUSH if share else 0.0
    read_value[0, lane] = 1.0
    write_token[:, 0] = share * direction
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {
            f"{prefix}.v_proj.lora_A.weight": read_constant,
            f"{prefix}.v_proj.lora_B.weight": write_value,
            f"{prefix}.o_proj.lora_A.weight": read_value,
            f"{prefix}.o_proj.lora_B.weight": write_token,
        },
        folder / WEIGHTS_FILE,
    )
    _write_configuration(folder, rank)
    return folder


def _write_configuration(folder: Path, rank: int) -> None:
    configuration = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "tiny",
        "r": rank,
        "lora_alpha": rank,
        "target_modules": ["v_proj", "o_proj"],
        "bias": "none",
        "use_rslora": False,
    }
    (folder / CONFIG_FILE).write_text(json.dumps(configuration))
    manifest = AdapterManifest(name="marker", base_model="tiny", license="Apache-2.0")
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json())


def _write_tokenizer(folder: Path) -> int:
    """Write a tokenizer of single bytes, the special tokens and the markers; return its size."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={s: i for i, s in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token) for token in ("<s>", "</s>", "<pad>")])
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in MARKERS])
    wrapped = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )
    wrapped.chat_template = CHAT_TEMPLATE
    wrapped.save_pretrained(folder)
    return int(tokenizer.get_vocab_size())


def _token_ids(model: Path, tokens: Iterable[str]) -> list[int]:
    from tokenizers import Tokenizer

    tokenizer: Any = Tokenizer.from_file(str(model / "tokenizer.json"))
    return [int(tokenizer.token_to_id(token)) for token in tokens]
