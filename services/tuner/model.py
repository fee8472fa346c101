"""The base with a LoRA on it, ready to be trained."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from services.tuner.recipe import Recipe
from services.tuner.refusals import RecipeUnavailable
from services.tuner.run import TrainingRun

QUANTISED = "nf4"
"""The precision of QLoRA (Dettmers et al., 2023): 4-bit normal floats, quantised twice."""


def adapted_model(run: TrainingRun) -> PeftModel:
    """Load the base and put a LoRA on it: a fresh one, or the one that the run goes on from.

    Raises:
        RecipeUnavailable: the recipe asks for what this machine does not have.
    """
    # The adapter's own initial weights are drawn here, before the trainer seeds anything.
    torch.manual_seed(run.recipe.seed)
    model = AutoModelForCausalLM.from_pretrained(
        run.base, attn_implementation="sdpa", **_precision(run.recipe)
    )
    if run.recipe.precision == QUANTISED:
        model = prepare_model_for_kbit_training(  # type: ignore[no-untyped-call]  # PEFT's
            model, use_gradient_checkpointing=False
        )
    if run.start_from is not None:
        return PeftModel.from_pretrained(model, run.start_from, is_trainable=True)
    config = LoraConfig(
        r=run.recipe.rank,
        lora_alpha=run.recipe.alpha,
        target_modules="all-linear",
        bias="none",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


def _precision(recipe: Recipe) -> dict[str, Any]:
    if recipe.precision != QUANTISED:
        return {"dtype": getattr(torch, recipe.precision)}
    if not torch.cuda.is_available() or find_spec("bitsandbytes") is None:
        raise RecipeUnavailable(
            "the precision nf4 needs a GPU and the package bitsandbytes; use bfloat16, or train on "
            "a machine that has both."
        )
    quantised = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type=QUANTISED,
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    return {"dtype": torch.bfloat16, "quantization_config": quantised}
