"""A cross-encoder small enough to be made in a second: real code, weights of chance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "apple", "pear", "zebra", "사과", "배")


def make_cross_encoder(folder: Path, *, outputs: int = 1) -> Path:
    """Write a sentence-transformers CrossEncoder to a folder."""
    import torch
    import transformers
    from sentence_transformers import CrossEncoder

    kit: Any = transformers
    torch.manual_seed(0)
    config = kit.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=outputs,
        # Far from the usual 0.02, so that texts differ in their scores.
        initializer_range=0.3,
    )
    kit.BertForSequenceClassification(config).save_pretrained(folder)
    _tokenizer().save_pretrained(folder)
    whole = folder / "whole"
    CrossEncoder(str(folder), device="cpu").save_pretrained(str(whole))
    return whole


def _tokenizer() -> Any:
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    kit: Any = transformers
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")],
    )
    return kit.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )
