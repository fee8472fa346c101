"""A tiny base with its own tokenizer, made here, and rows to train it on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from services.contracts.datasets import TrainingRow
from services.domain.datasets.examples import Example, sequences
from services.tuner.datasets.rows import Row

SPECIAL = ("<pad>", "<eos>", "<bos>", "<end_of_turn>")
TEMPLATE = Path(__file__).parents[3] / "services/generator/chat_template.jinja"


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte, and the chat template that the embedded base is served with."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate((*SPECIAL, *alphabet))}
    bare = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    bare.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bare.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=bare, pad_token="<pad>", eos_token="<eos>", bos_token="<bos>"
    )
    tokenizer.add_special_tokens({"additional_special_tokens": ["<end_of_turn>"]})
    tokenizer.chat_template = TEMPLATE.read_text("utf-8")
    return tokenizer


@pytest.fixture(scope="session")
def base(tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of two layers."""
    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=512,
        # The frozen head must be loud enough for an adapter to reach any token through it.
        initializer_range=0.5,
        bos_token_id=2,
        eos_token_id=1,
        pad_token_id=0,
    )
    model = LlamaForCausalLM(config)  # type: ignore[no-untyped-call]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def row(question: str, answer: str, passage: str = "The mill opened in 1904.") -> dict[str, Any]:
    """One training row as it lies in a file."""
    content = f"Passages:\n[1] Mill\n{passage}\n\nQuestion: {question}"
    return {
        "prompt": [{"role": "user", "content": content}],
        "completion": [{"role": "assistant", "content": answer}],
    }


def parsed(written: dict[str, Any], line: int = 1) -> Row:
    """The row as the tuner reads it."""
    turns = TrainingRow.model_validate(written).turns
    ((prompt, answer),) = sequences(Example(line, turns))
    return Row(line, prompt, answer)


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows as JSON lines."""
    lines = [json.dumps(each, ensure_ascii=False) for each in rows]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path
