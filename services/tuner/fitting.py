"""Fitting a LoRA to the rows: tokens, batches, steps, checkpoints, and what is left at the end."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from transformers import AutoTokenizer, PrinterCallback
from transformers.trainer import TRAINER_STATE_NAME
from trl import SFTConfig  # type: ignore[attr-defined]  # TRL exports it lazily

from services.contracts.adapters import AdapterManifest
from services.contracts.jobs import CASES_FILE
from services.tuner.budget import check_time, predicted
from services.tuner.collation import BranchCollator
from services.tuner.completion_loss import CompletionTrainer
from services.tuner.datasets.batching import training_order
from services.tuner.datasets.encoding import EncodedRow, count_tokens, encode_rows
from services.tuner.datasets.preparing import Prepared
from services.tuner.datasets.rows import Row, dataset_hash
from services.tuner.datasets.sharing import SharedRow, share_prefixes
from services.tuner.export import export_adapter
from services.tuner.finished import finished_in, manifest_in
from services.tuner.history import CURVE_FILE, RESULTS_FILE, History
from services.tuner.keeping import Keeper, kept_in, marks_of
from services.tuner.model import adapted_model
from services.tuner.progress import ProgressLines
from services.tuner.provenance import manifest_of, write_manifest
from services.tuner.reporting import StepReport
from services.tuner.run import TrainingRun


def fit(run: TrainingRun, data: Prepared, lines: ProgressLines) -> AdapterManifest:
    """Train, export and describe one adapter.

    Raises:
        RowError: when a row cannot be encoded without loss.
        TrainingTooLong: when it would take longer than it may.
        RecipeUnavailable: when this machine cannot train so.
        PreflightError: when the result could not be served.
    """
    before = _finished_before(run, lines)
    if before is not None:
        return before
    torch.set_num_threads(run.recipe.threads)
    tokenizer = AutoTokenizer.from_pretrained(run.base)
    trained = _encoded(run, data.trained, tokenizer)
    measured = _encoded(run, data.measured, tokenizer)
    count = count_tokens(trained)
    sequences = share_prefixes(trained, most=run.recipe.share)
    run = replace(run, recipe=run.recipe.settled(len(sequences)))
    lines.write("data", **asdict(count), sequences=len(sequences), held_out=data.held_out)
    model = adapted_model(run)
    ordered = _ordered(run, sequences)
    keeper = Keeper(
        marks_of(run.recipe, len(sequences)),
        run.recipe.keep,
        run.kept,
        base_model=run.base_model,
        measures=bool(measured),
    )
    trainer = _trainer(run, model, tokenizer, ordered, measured, [keeper, StepReport(lines)])
    last = _last_checkpoint(run)
    if last is None:
        found = predicted(trainer, ordered, batch=run.recipe.batch)
        lines.write("predicted", **asdict(found))
        check_time(found, run.limits.seconds)
    result = trainer.train(resume_from_checkpoint=last)
    valid = trainer.evaluate() if measured else {}
    shape = export_adapter(model, run.out, base_model=run.base_model)
    manifest = manifest_of(run, count, data, {**result.metrics, **valid})
    _write_report(run, data, trainer)
    kept = [_kept(run, manifest, step, trainer) for step in kept_in(run.kept)]
    # Last, because what has a manifest is finished; a run that is killed before goes on.
    write_manifest(run.out, manifest)
    shutil.rmtree(run.checkpoints, ignore_errors=True)
    lines.write("done", out=str(run.out), rank=shape.rank, tensors=shape.tensors, kept=kept)
    return manifest


def _finished_before(run: TrainingRun, lines: ProgressLines) -> AdapterManifest | None:
    """Tell of the same training that was killed when it had nothing left to do."""
    manifest = manifest_in(run.out) if run.resume else None
    finished = finished_in(run.out, run.report, run.kept)
    if manifest is None or finished is None or manifest.training.command != run.command:
        return None
    if manifest.training.dataset_hash != dataset_hash(run.rows):
        return None
    kept = [one.model_dump(exclude={"adapter_version"}) for one in finished.kept]
    lines.write("done", out=str(run.out), kept=kept)
    return manifest


def _encoded(run: TrainingRun, rows: Sequence[Row], tokenizer: Any) -> list[EncodedRow]:
    most = run.recipe.max_length
    return encode_rows(rows, tokenizer, end_of_turn=run.end_of_turn, max_length=most)


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
