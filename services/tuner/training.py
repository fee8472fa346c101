"""Trains one LoRA adapter from prompt/completion rows and writes it with its manifest.

Run it as `python -m services.tuner.training --help`. It reports progress as JSON lines on standard
output and leaves checkpoints under `<out>/checkpoints` until it has finished, so that a killed run
goes on with `--resume`.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from pydantic import ValidationError
from transformers import AutoTokenizer, PrinterCallback
from transformers.trainer import TRAINER_STATE_NAME
from trl import SFTConfig  # type: ignore[attr-defined]  # TRL exports it lazily

from services.contracts.adapters import AdapterManifest
from services.contracts.jobs import CASES_FILE
from services.tuner.budget import check_time, predicted
from services.tuner.collation import BranchCollator
from services.tuner.completion_loss import CompletionTrainer
from services.tuner.datasets.batching import training_order
from services.tuner.datasets.encoding import EncodedRow, count_tokens
from services.tuner.datasets.preparing import Prepared, prepare
from services.tuner.datasets.sharing import SharedRow, share_prefixes
from services.tuner.export import export_adapter
from services.tuner.failures import failure_of
from services.tuner.history import CURVE_FILE, RESULTS_FILE, History
from services.tuner.keeping import Keeper, kept_in, marks_of
from services.tuner.model import adapted_model
from services.tuner.options import run_of
from services.tuner.progress import ProgressLines, StepReport
from services.tuner.provenance import manifest_of, write_manifest
from services.tuner.run import TrainingRun


def train(run: TrainingRun, lines: ProgressLines) -> AdapterManifest:
    """Train, export and describe one adapter.

    Raises:
        RowError: when the data cannot be trained on.
        TrainingTooLong: when it would take longer than it may.
        RecipeUnavailable: when this machine cannot train so.
        PreflightError: when the result could not be served.
    """
    torch.set_num_threads(run.recipe.threads)
    tokenizer = AutoTokenizer.from_pretrained(run.base)
    data = prepare(run, tokenizer)
    lines.write("checked", findings=[finding.model_dump() for finding in data.findings])
    count = count_tokens(data.trained)
    sequences = share_prefixes(data.trained, most=run.recipe.share)
    lines.write("data", **asdict(count), sequences=len(sequences), held_out=data.held_out)
    model = adapted_model(run)
    ordered = _ordered(run, sequences)
    keeper = Keeper(
        marks_of(run.recipe, len(sequences)),
        run.recipe.keep,
        run.kept,
        base_model=run.base_model,
        measures=bool(data.measured),
    )
    trainer = _trainer(run, model, tokenizer, ordered, data.measured, [keeper, StepReport(lines)])
    last = _last_checkpoint(run)
    if last is None:
        found = predicted(trainer, ordered, batch=run.recipe.batch)
        lines.write("predicted", **asdict(found))
        check_time(found, run.limits.seconds)
    result = trainer.train(resume_from_checkpoint=last)
    valid = trainer.evaluate() if data.measured else {}
    shape = export_adapter(model, run.out, base_model=run.base_model)
    manifest = manifest_of(run, count, data, {**result.metrics, **valid})
    write_manifest(run.out, manifest)
    _write_report(run, data, trainer)
    shutil.rmtree(run.checkpoints, ignore_errors=True)
    kept = [_kept(run, manifest, step, trainer) for step in kept_in(run.kept)]
    lines.write("done", out=str(run.out), rank=shape.rank, tensors=shape.tensors, kept=kept)
    return manifest


def _ordered(run: TrainingRun, sequences: Sequence[SharedRow]) -> list[SharedRow]:
    recipe = run.recipe
    lengths = [len(row.input_ids) for row in sequences]
    order = training_order(lengths, batch=recipe.batch, epochs=recipe.epochs, seed=recipe.seed)
    return [sequences[row] for row in order]


def _last_checkpoint(run: TrainingRun) -> str | None:
    """Find the last whole checkpoint; a run that is killed while it writes one tears it."""
    folder = run.checkpoints
    if not run.resume or not folder.is_dir():
        return None
    found = sorted(folder.glob("checkpoint-*"), key=lambda it: int(it.name.rpartition("-")[2]))
    whole = (one for one in reversed(found) if _state_of(one) is not None)
    return next(map(str, whole), None)


def _state_of(checkpoint: Any) -> Any:
    """Read the trainer's state, which it writes last; None when it cannot be read."""
    try:
        return json.loads((checkpoint / TRAINER_STATE_NAME).read_bytes())
    except (OSError, ValueError):
        return None


def _trainer(
    run: TrainingRun,
    model: PeftModel,
    tokenizer: Any,
    ordered: Sequence[SharedRow],
    measured: Sequence[EncodedRow],
    callbacks: list[Any],
) -> CompletionTrainer:
    recipe = run.recipe
    arguments = SFTConfig(
        output_dir=str(run.checkpoints),
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
        train_dataset=_dataset(ordered),
        eval_dataset=_dataset(share_prefixes(measured, most=1)) if measured else None,
        processing_class=tokenizer,
        data_collator=BranchCollator(tokenizer.pad_token_id),
        callbacks=callbacks,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _dataset(rows: Sequence[SharedRow]) -> Dataset:
    return Dataset.from_list([asdict(row) for row in rows])


def _write_report(run: TrainingRun, data: Prepared, trainer: CompletionTrainer) -> None:
    """Write the losses, their picture and the held-out cases."""
    if run.report is None:
        return
    run.report.mkdir(parents=True, exist_ok=True)
    history = History.of(trainer.state.log_history)
    (run.report / RESULTS_FILE).write_text(history.table(), "utf-8")
    (run.report / CURVE_FILE).write_text(history.curve(), "utf-8")
    cases = [case.model_dump_json(exclude_defaults=True) for case in data.cases]
    if cases:
        (run.report / CASES_FILE).write_text("\n".join([*cases, ""]), "utf-8")


def _kept(
    run: TrainingRun, manifest: AdapterManifest, step: int, trainer: CompletionTrainer
) -> dict[str, Any]:
    """Describe the adapter of a checkpoint, with the losses that it had."""
    assert run.kept is not None
    history = History.of(trainer.state.log_history)
    losses = {"train_loss": history.trained.get(step), "valid_loss": history.measured.get(step)}
    known = {name: round(loss, 4) for name, loss in losses.items() if loss is not None}
    record = manifest.training.model_copy(
        update={"metrics": {**manifest.training.metrics, **known, "step": float(step)}}
    )
    described = f"{manifest.description} (step {step})".strip()
    write_manifest(
        run.kept / str(step),
        manifest.model_copy(update={"training": record, "description": described}),
    )
    return {"step": step, **losses}


def main(argv: Sequence[str] | None = None) -> int:
    """Train from the command line."""
    lines = ProgressLines(sys.stdout)
    try:
        train(run_of(list(sys.argv[1:] if argv is None else argv)), lines)
    except ValidationError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except Exception as error:
        told = failure_of(error)
        if told is None:
            raise
        lines.write("failed", code=told[0], message=told[1])
        sys.stderr.write(f"{told[1]}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
