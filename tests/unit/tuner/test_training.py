"""A whole run on a tiny base: it learns, is repeatable, resumes, and writes what can be served."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from services.contracts.adapters import CONFIG_FILE, MANIFEST_FILE, WEIGHTS_FILE, AdapterManifest
from services.contracts.assistants import Profile
from services.contracts.datasets import DatasetPolicy
from services.domain.preflight import inspect, read_header
from services.domain.rendering import prompt_hash
from services.tuner.datasets.rows import RowError, dataset_hash
from services.tuner.progress import ProgressLines
from services.tuner.provenance import adapter_version_of
from services.tuner.recipe import Recipe
from services.tuner.run import TrainingRun
from services.tuner.training import main, train
from tests.unit.tuner.conftest import row, write_lines

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"
)
RECIPE = Recipe(
    rank=4,
    epochs=6,
    learning_rate=2e-2,
    batch=2,
    share=1,
    precision="float32",
    checkpoint_steps=4,
)
LOOSE = DatasetPolicy(accepted=["too_few_rows", "one_answer_only"])


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "rows.jsonl", [row(f"q{n}?", "YES") for n in range(8)])


@pytest.fixture
def run(base: Path, rows: Path, tmp_path: Path) -> TrainingRun:
    return TrainingRun(
        base=base,
        rows=rows,
        profile=Profile(),
        gate=LOOSE,
        name="tiny",
        out=tmp_path / "out",
        recipe=RECIPE,
        base_model="tiny",
        license="none",
        command="python -m services.tuner.training",
    )


def test_a_run_learns_and_writes_a_servable_adapter(
    run: TrainingRun, tokenizer: PreTrainedTokenizerFast
) -> None:
    output = io.StringIO()
    manifest = train(run, ProgressLines(output))
    events = list(_events(output.getvalue()))
    losses = [event["loss"] for event in events if event["event"] == "step"]
    assert [event["event"] for event in events][:2] == ["checked", "data"]
    assert events[-1]["event"] == "done"
    assert losses[-1] < 0.2 < losses[0]
    config = json.loads((run.out / CONFIG_FILE).read_text("utf-8"))
    header = read_header((run.out / WEIGHTS_FILE).read_bytes())
    assert inspect(config, header, max_rank=4).rank == 4
    assert config["base_model_name_or_path"] == "tiny"
    assert not (run.out / "checkpoints").exists()
    assert manifest == AdapterManifest.model_validate_json((run.out / MANIFEST_FILE).read_text())
    assert _answer(run, tokenizer) == "YES<end_of_turn>"


def test_the_manifest_says_how_it_came_to_be(run: TrainingRun) -> None:
    record = train(run, ProgressLines(io.StringIO())).training
    assert record.system_prompt_hash == prompt_hash(Profile())
    assert record.dataset_hash == dataset_hash(run.rows)
    assert record.recipe["rank"] == 4
    assert record.libraries["torch"] == torch.__version__
    assert record.base_fingerprint
    assert record.chat_template_hash
    assert record.metrics["trained_tokens_min"] == len("YES") + 1


def test_the_same_seed_gives_the_same_weights(run: TrainingRun) -> None:
    digests = set()
    for _ in range(2):
        shutil.rmtree(run.out, ignore_errors=True)
        train(run, ProgressLines(io.StringIO()))
        digests.add(hashlib.sha256((run.out / WEIGHTS_FILE).read_bytes()).hexdigest())
    assert len(digests) == 1


class Stopped(Exception):
    """Stands for a kill."""


class Stopping(ProgressLines):
    """Ends the run at its sixth step."""

    def write(self, event: str, **fields: Any) -> None:
        super().write(event, **fields)
        if fields.get("step") == 6:
            raise Stopped


def test_a_stopped_run_goes_on_from_its_checkpoint(run: TrainingRun) -> None:
    with pytest.raises(Stopped):
        train(run, Stopping(io.StringIO()))
    output = io.StringIO()
    resumed = TrainingRun(**{**_fields(run), "resume": True})
    train(resumed, ProgressLines(output))
    steps = [event["step"] for event in _events(output.getvalue()) if event["event"] == "step"]
    assert steps[0] == 5
    assert (run.out / WEIGHTS_FILE).is_file()


def test_a_checkpoint_that_was_torn_by_a_kill_is_passed_over(run: TrainingRun) -> None:
    with pytest.raises(Stopped):
        train(run, Stopping(io.StringIO()))
    (torn := run.out / "checkpoints" / "checkpoint-8").mkdir()
    (torn / "adapter_config.json").write_text("{}")
    output = io.StringIO()
    train(TrainingRun(**{**_fields(run), "resume": True}), ProgressLines(output))
    steps = [event["step"] for event in _events(output.getvalue()) if event["event"] == "step"]
    assert steps[0] == 5


def test_a_run_can_start_from_another_adapter(run: TrainingRun, tmp_path: Path) -> None:
    train(run, ProgressLines(io.StringIO()))
    output = io.StringIO()
    later = TrainingRun(**{**_fields(run), "start_from": run.out, "out": tmp_path / "later"})
    manifest = train(later, ProgressLines(output))
    first = next(event for event in _events(output.getvalue()) if event["event"] == "step")
    assert first["loss"] < 0.2
    assert manifest.training.recipe["started_from"] == adapter_version_of(run.out)
    assert adapter_version_of(run.out).startswith("tiny@")


def test_rows_that_lose_tokens_stop_the_run_before_training(run: TrainingRun) -> None:
    short = TrainingRun(**{**_fields(run), "recipe": RECIPE.model_copy(update={"max_length": 20})})
    with pytest.raises(RowError, match="Line 1"):
        train(short, ProgressLines(io.StringIO()))
    assert not (run.out / WEIGHTS_FILE).exists()


def test_rows_with_another_system_text_stop_the_run_before_training(run: TrainingRun) -> None:
    other = TrainingRun(**{**_fields(run), "profile": Profile(system="Be brief.")})
    with pytest.raises(RowError, match="another system text") as refusal:
        train(other, ProgressLines(io.StringIO()))
    assert refusal.value.code == "system_prompt_mismatch"
    assert not (run.out / WEIGHTS_FILE).exists()


def test_what_the_gate_warns_of_is_in_the_manifest(run: TrainingRun) -> None:
    found = train(run, ProgressLines(io.StringIO())).training.findings
    assert {one.code for one in found} >= {"too_few_rows", "one_answer_only"}


def test_the_command_line_trains(
    base: Path, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = tmp_path / "profile.json"
    profile.write_text(Profile().model_dump_json(), "utf-8")
    out = tmp_path / "cli"
    given = ["--base", base, "--rows", rows, "--profile", profile, "--out", out]
    options = [
        "--gate",
        LOOSE.model_dump_json(),
        "--name",
        "tiny",
        "--rank",
        "2",
        "--epochs",
        "1",
        "--precision",
        "float32",
    ]
    assert main([*map(str, given), *options]) == 0
    manifest = AdapterManifest.model_validate_json((out / MANIFEST_FILE).read_text("utf-8"))
    assert manifest.training.command is not None
    assert manifest.training.command.startswith("python -m services.tuner.training --base")
    assert [event["event"] for event in _events(capsys.readouterr().out)][-1] == "done"


def _answer(run: TrainingRun, tokenizer: PreTrainedTokenizerFast) -> str:
    model: Any = AutoModelForCausalLM.from_pretrained(run.base, dtype=torch.float32)
    adapted: Any = PeftModel.from_pretrained(model, run.out)
    prompt = row("q99?", "")["prompt"]
    text = tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
    ids = tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
    output = adapted.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=4, do_sample=False
    )
    return str(tokenizer.decode(output[0, ids.shape[1] :]))


def _events(output: str) -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in output.splitlines() if line.startswith('{"event"'))


def _fields(run: TrainingRun) -> dict[str, Any]:
    return {name: getattr(run, name) for name in TrainingRun.__slots__}
