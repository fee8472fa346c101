"""Greedy answers from the base, with or without an adapter, in this process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from services.contracts.assistants import Sampling

END_OF_TURN = "<end_of_turn>"


class Answerer:
    """Holds the model and answers batches of prompts."""

    def __init__(self, base: Path, adapter: Path | None) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(base, padding_side="left")
        model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
        if adapter is not None:
            model = PeftModel.from_pretrained(model, adapter).merge_and_unload()
        self._model = model.eval()
        self._ends = [
            self._tokenizer.eos_token_id,
            self._tokenizer.convert_tokens_to_ids(END_OF_TURN),
        ]

    def answer(
        self, prompts: Sequence[list[dict[str, Any]]], sampling: Sampling, batch: int = 24
    ) -> list[str]:
        """Answer every prompt, the longest ones together."""
        texts = [
            str(
                self._tokenizer.apply_chat_template(
                    prompt, tokenize=False, add_generation_prompt=True
                )
            )
            for prompt in prompts
        ]
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
        answers = [""] * len(texts)
        for start in range(0, len(order), batch):
            places = order[start : start + batch]
            answered = self._generate([texts[at] for at in places], sampling)
            for at, text in zip(places, answered, strict=True):
                answers[at] = _cut(text, sampling.stop)
        return answers

    @torch.inference_mode()
    def _generate(self, texts: list[str], sampling: Sampling) -> list[str]:
        inputs = self._tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        output = self._model.generate(
            **inputs,
            max_new_tokens=sampling.max_tokens,
            do_sample=False,
            eos_token_id=self._ends,
            pad_token_id=self._tokenizer.pad_token_id,
        )
        new = output[:, inputs["input_ids"].shape[1] :]
        return list(self._tokenizer.batch_decode(new, skip_special_tokens=True))


def _cut(text: str, stops: Sequence[str]) -> str:
    """End a text where the first stop string begins, as the engine does."""
    ends = [at for stop in stops if (at := text.find(stop)) >= 0]
    return text[: min(ends, default=len(text))].strip()
