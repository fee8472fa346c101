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
from services.contracts.evaluation_cases import EvaluationCase
from services.contracts.jobs import CASES_FILE
from services.domain.preflight import inspect, read_header
from services.domain.rendering import prompt_hash
from services.tuner.datasets.rows import RowError, dataset_hash
from services.tuner.history import RESULTS_FILE
from services.tuner.options import run_of
from services.tuner.progress import ProgressLines
from services.tuner.provenance import adapter_version_of
from services.tuner.recipe import Recipe
from services.tuner.refusals import RecipeUnavailable, TrainingTooLong
from services.tuner.run import Judging, Limits, TrainingRun
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


def test_a_run_that_was_killed_with_nothing_left_to_do_is_not_trained_again(
    run: TrainingRun, tmp_path: Path
) -> None:
    places = {"report": tmp_path / "report", "kept": tmp_path / "kept", "resume": True}
    resumed = TrainingRun(**{**_fields(run), **places})
    outputs = [io.StringIO() for _ in range(3)]
    manifest = train(resumed, ProgressLines(outputs[0]))
    assert train(resumed, ProgressLines(outputs[1])) == manifest
    before, again = [list(_events(output.getvalue())) for output in outputs[:2]]
    assert [event["event"] for event in again] == ["checked", "done"]
    kept = [
        {name: pytest.approx(value) for name, value in one.items() if value is not None}
        for one in before[-1]["kept"]
    ]
    assert [
        {name: value for name, value in one.items() if value is not None}
        for one in again[-1]["kept"]
    ] == kept
    write_lines(run.rows, [row(f"q{n}?", "NO") for n in range(8)])
    train(resumed, ProgressLines(outputs[2]))
    assert any(event["event"] == "step" for event in _events(outputs[2].getvalue()))


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


def _changed(run: TrainingRun, **fields: Any) -> TrainingRun:
    return TrainingRun(**{**_fields(run), **fields})


def test_held_out_rows_are_measured_and_made_cases_and_never_trained_on(
    run: TrainingRun, tmp_path: Path
) -> None:
    output = io.StringIO()
    judged = _changed(
        run,
        judging=Judging(holdout=0.25),
        report=tmp_path / "report",
        kept=tmp_path / "kept",
        recipe=RECIPE.model_copy(update={"keep": 2}),
    )
    record = train(judged, ProgressLines(output)).training
    events = list(_events(output.getvalue()))
    assert (record.metrics["rows"], record.metrics["held_out_rows"]) == (6, 2)
    assert record.metrics["valid_loss"] > 0
    lines = (tmp_path / "report" / CASES_FILE).read_text().splitlines()
    cases = [EvaluationCase.model_validate_json(line) for line in lines]
    assert [case.expected for case in cases] == ["YES", "YES"]
    # 6 rows in batches of 2, 6 epochs: each epoch's end is measured, and the last two but one kept.
    measured = [event["step"] for event in events if event["event"] == "validated"]
    assert measured == [3, 6, 9, 12, 15, 18]
    assert [one["step"] for one in events[-1]["kept"]] == [12, 15]
    for step in ("12", "15"):
        folder = tmp_path / "kept" / step
        config = json.loads((folder / CONFIG_FILE).read_text("utf-8"))
        assert inspect(config, read_header((folder / WEIGHTS_FILE).read_bytes()), max_rank=4)
        manifest = AdapterManifest.model_validate_json((folder / MANIFEST_FILE).read_text())
        assert manifest.training.metrics["step"] == float(step)
    table = (tmp_path / "report" / RESULTS_FILE).read_text().splitlines()
    assert [line.split(",")[0] for line in table[1:]] == [str(step) for step in range(1, 19)]
    (predicted,) = [event for event in events if event["event"] == "predicted"]
    assert predicted["steps"] == 18
    assert predicted["seconds"] > 0


def test_a_training_that_would_take_too_long_is_refused_before_its_first_step(
    run: TrainingRun,
) -> None:
    output = io.StringIO()
    with pytest.raises(TrainingTooLong, match="fewer epochs"):
        train(_changed(run, limits=Limits(seconds=1e-9)), ProgressLines(output))
    assert not [event for event in _events(output.getvalue()) if event["event"] == "step"]
    assert not (run.out / WEIGHTS_FILE).exists()


def test_a_file_with_too_many_rows_is_refused(run: TrainingRun) -> None:
    with pytest.raises(RowError, match="8 rows and a training takes 7") as refused:
        train(_changed(run, limits=Limits(rows=7)), ProgressLines(io.StringIO()))
    assert refused.value.code == "too_many_rows"


def test_rows_of_the_named_cases_are_refused(run: TrainingRun, tmp_path: Path) -> None:
    asked = row("q3?", "")["prompt"][0]["content"]
    case = EvaluationCase(id="1", question=asked, expected="YES")
    (cases := tmp_path / "cases.jsonl").write_text(case.model_dump_json())
    with pytest.raises(RowError) as refused:
        train(_changed(run, judging=Judging(cases=cases)), ProgressLines(io.StringIO()))
    assert (refused.value.code, refused.value.line) == ("leaked_rows", 4)


def test_four_bit_weights_need_a_machine_that_has_them(run: TrainingRun) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    quantised = RECIPE.model_copy(update={"precision": "nf4"})
    with pytest.raises(RecipeUnavailable, match="bitsandbytes"):
        train(_changed(run, recipe=quantised), ProgressLines(io.StringIO()))


def test_every_knob_reaches_the_training(base: Path, rows: Path, tmp_path: Path) -> None:
    recipe = Recipe(rank=2, share=1, warmup=0.5, schedule="linear", max_grad_norm=0.5, keep=0)
    given = ["--base", base, "--rows", rows, "--out", tmp_path, "--name", "x"]
    read = run_of([*map(str, given), "--recipe", recipe.model_dump_json(), "--epochs", "3"])
    assert read.recipe == recipe.model_copy(update={"epochs": 3.0})
    assert read.license == "unknown"


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
