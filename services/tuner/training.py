"""Trains one LoRA adapter from prompt/completion rows and writes it with its manifest.

Run it as `python -m services.tuner.training --help`. It reports progress as JSON lines on standard
output and leaves checkpoints under `<out>/checkpoints` until it has finished, so that a killed run
goes on with `--resume`.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback
from transformers.trainer_utils import get_last_checkpoint
from trl import SFTConfig  # type: ignore[attr-defined]  # TRL exports it lazily

from services.contracts.adapters import AdapterManifest
from services.contracts.assistants import Profile
from services.contracts.datasets import DatasetPolicy, Finding
from services.tuner.collation import BranchCollator
from services.tuner.completion_loss import CompletionTrainer
from services.tuner.datasets.batching import training_order
from services.tuner.datasets.encoding import TokenCount, count_tokens, encode_rows
from services.tuner.datasets.gating import gated
from services.tuner.datasets.rows import dataset_hash, read_rows
from services.tuner.datasets.sharing import SharedRow, share_prefixes
from services.tuner.export import export_adapter
from services.tuner.progress import ProgressLines, StepReport
from services.tuner.provenance import adapter_version_of, training_record, write_manifest
from services.tuner.recipe import Recipe

DEFAULT_END_OF_TURN = "<end_of_turn>"
"""The token that the chat template writes after an answer."""


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """Everything that one run needs to know."""

    base: Path
    rows: Path
    profile: Profile
    name: str
    out: Path
    recipe: Recipe
    start_from: Path | None = None
    """An adapter folder whose weights the run goes on from, instead of a fresh LoRA."""
    resume: bool = False
    end_of_turn: str = DEFAULT_END_OF_TURN
    base_model: str = "google/gemma-3-270m"
    license: str = "Gemma Terms of Use"
    description: str = ""
    command: str = ""
    gate: DatasetPolicy = field(default_factory=DatasetPolicy)


def train(run: TrainingRun, lines: ProgressLines) -> AdapterManifest:
    """Train, export and describe one adapter.

    Raises:
        RowError: when the data cannot be trained on.
        PreflightError: when the result could not be served.
    """
    torch.set_num_threads(run.recipe.threads)
    warnings = gated(run.rows, run.profile, run.gate)
    lines.write("checked", findings=[finding.model_dump() for finding in warnings])
    tokenizer = AutoTokenizer.from_pretrained(run.base)
    encoded = encode_rows(
        read_rows(run.rows),
        tokenizer,
        end_of_turn=run.end_of_turn,
        max_length=run.recipe.max_length,
    )
    count = count_tokens(encoded)
    sequences = share_prefixes(encoded, most=run.recipe.share)
    computed = sum(len(sequence.input_ids) for sequence in sequences)
    lines.write("data", **asdict(count), sequences=len(sequences), computed_tokens=computed)
    # The adapter's own initial weights are drawn here, before the trainer seeds anything.
    torch.manual_seed(run.recipe.seed)
    model = _adapted_model(run)
    trainer = _trainer(run, model, tokenizer, sequences, lines)
    checkpoints = run.out / "checkpoints"
    result = trainer.train(resume_from_checkpoint=_last_checkpoint(run, checkpoints))
    shape = export_adapter(model, run.out, base_model=run.base_model)
    manifest = _manifest(run, count, result.metrics, warnings)
    write_manifest(run.out, manifest)
    shutil.rmtree(checkpoints, ignore_errors=True)
    lines.write("done", out=str(run.out), rank=shape.rank, tensors=shape.tensors)
    return manifest


def _last_checkpoint(run: TrainingRun, checkpoints: Path) -> str | None:
    if not run.resume or not checkpoints.is_dir():
        return None
    found: str | None = get_last_checkpoint(str(checkpoints))  # type: ignore[no-untyped-call]
    return found


def _adapted_model(run: TrainingRun) -> PeftModel:
    model = AutoModelForCausalLM.from_pretrained(
        run.base, dtype=getattr(torch, run.recipe.precision), attn_implementation="sdpa"
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


def _trainer(
    run: TrainingRun,
    model: PeftModel,
    tokenizer: Any,
    sequences: Sequence[SharedRow],
    lines: ProgressLines,
) -> CompletionTrainer:
    recipe = run.recipe
    lengths = [len(row.input_ids) for row in sequences]
    order = training_order(lengths, batch=recipe.batch, epochs=recipe.epochs, seed=recipe.seed)
    arguments = SFTConfig(
        output_dir=str(run.out / "checkpoints"),
        num_train_epochs=1,
        learning_rate=recipe.learning_rate,
        per_device_train_batch_size=recipe.batch,
        lr_scheduler_type=recipe.schedule,
        warmup_steps=recipe.warmup,
        max_grad_norm=recipe.max_grad_norm,
        max_length=recipe.max_length,
        train_sampling_strategy="sequential",
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=not torch.cuda.is_available(),
        logging_steps=1,
        include_num_input_tokens_seen="all",
        save_steps=recipe.checkpoint_steps,
        save_total_limit=1,
        seed=recipe.seed,
        data_seed=recipe.seed,
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
    )
    trainer = CompletionTrainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_list([asdict(sequences[row]) for row in order]),
        processing_class=tokenizer,
        data_collator=BranchCollator(tokenizer.pad_token_id),
        callbacks=[StepReport(lines)],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _manifest(
    run: TrainingRun, count: TokenCount, metrics: dict[str, float], warnings: Sequence[Finding]
) -> AdapterManifest:
    record = training_record(
        base=run.base,
        profile=run.profile,
        recipe=run.recipe,
        dataset_hash=dataset_hash(run.rows),
        command=run.command,
        metrics={
            "train_loss": round(metrics["train_loss"], 4),
            "train_seconds": round(metrics["train_runtime"], 1),
            "rows": count.rows,
            "trained_tokens": count.trained,
            "trained_tokens_min": count.trained_min,
            "trained_tokens_mean": round(count.trained_mean, 1),
        },
        started_from=adapter_version_of(run.start_from) if run.start_from else None,
        findings=warnings,
    )
    return AdapterManifest(
        name=run.name,
        description=run.description,
        base_model=run.base_model,
        license=run.license,
        training=record,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Train from the command line."""
    given = list(sys.argv[1:] if argv is None else argv)
    options = _parser().parse_args(given)
    defaults = Recipe()
    recipe = Recipe(
        rank=options.rank,
        alpha=options.alpha or 2 * options.rank,
        epochs=options.epochs,
        learning_rate=options.lr,
        batch=options.batch,
        share=options.share,
        max_length=options.max_length,
        precision=options.precision,
        checkpoint_steps=options.checkpoint_steps or defaults.checkpoint_steps,
        seed=options.seed,
        threads=options.threads,
    )
    run = TrainingRun(
        base=options.base,
        rows=options.rows,
        profile=Profile.model_validate_json(options.profile.read_text("utf-8")),
        name=options.name,
        out=options.out,
        recipe=recipe,
        start_from=options.start_from,
        resume=options.resume,
        end_of_turn=options.end_of_turn,
        base_model=options.base_model,
        license=options.license,
        description=options.description,
        gate=DatasetPolicy.model_validate_json(options.gate),
        command=shlex.join(["python", "-m", "services.tuner.training", *given]),
    )
    train(run, ProgressLines(sys.stdout))
    return 0


def _parser() -> argparse.ArgumentParser:
    recipe = Recipe()
    parser = argparse.ArgumentParser("services.tuner.training", description=__doc__)
    parser.add_argument("--base", type=Path, required=True, help="the prepared base's folder")
    parser.add_argument("--rows", type=Path, required=True, help="prompt/completion JSONL")
    parser.add_argument("--profile", type=Path, required=True, help="the profile served with")
    parser.add_argument("--name", required=True, help="the adapter's name")
    parser.add_argument("--out", type=Path, required=True, help="the adapter's folder")
    parser.add_argument("--start-from", type=Path, help="an adapter folder to go on from")
    parser.add_argument("--rank", type=int, default=recipe.rank)
    parser.add_argument("--alpha", type=int, help="twice the rank when not given")
    parser.add_argument("--epochs", type=float, default=recipe.epochs)
    parser.add_argument("--lr", type=float, default=recipe.learning_rate)
    parser.add_argument("--batch", type=int, default=recipe.batch)
    parser.add_argument("--share", type=int, default=recipe.share)
    parser.add_argument("--max-length", type=int, default=recipe.max_length)
    parser.add_argument("--precision", default=recipe.precision)
    parser.add_argument("--checkpoint-steps", type=int)
    parser.add_argument("--seed", type=int, default=recipe.seed)
    parser.add_argument("--threads", type=int, default=recipe.threads)
    parser.add_argument("--end-of-turn", default=DEFAULT_END_OF_TURN)
    parser.add_argument("--base-model", default="google/gemma-3-270m")
    parser.add_argument("--license", default="Gemma Terms of Use")
    parser.add_argument("--description", default="")
    parser.add_argument("--gate", default="{}", help="what the rows must meet, as JSON")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
