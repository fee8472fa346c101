"""`inkstone eval run` with a judge, a style classifier and a model of entailment."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli.entailment import open_entailment
from services.cli.failures import CommandError
from services.cli.main import app
from tests.fakes.completions import Failing, FakeCompletions
from tests.fakes.cross_encoder import make_cross_encoder
from tests.fakes.engine_generation import Call
from tests.fakes.loopback import running
from tests.service.gateway.chat_stack import ChatStack, chat_stack
from tests.unit.domain.evaluation.test_styles import ROWS

pytestmark = pytest.mark.anyio

RUBRIC = {"kind": "judge", "rubric": "It is polite."}
CASES = [{"id": f"c{n}", "question": f"환불은 며칠? ({n})", "checks": [RUBRIC]} for n in range(24)]


def answer(call: Call) -> str:
    return "14일입니다." if call.marker == "new" else "14일이야!"


def polite(body: dict[str, Any]) -> str:
    """A judge that likes the polite answer, and the first of two that are alike."""
    material = json.loads(body["messages"][-1]["content"])
    if "answer" in material:
        return json.dumps({"reason": "tone", "score": 5 if "입니다" in material["answer"] else 2})
    sides = ["입니다" in material[side] for side in ("first", "second")]
    better = "first" if sides[0] >= sides[1] else "second"
    return json.dumps({"reason": "tone", "better": better})


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ChatStack]:
    async with chat_stack(tmp_path_factory.mktemp("stack")) as made:
        made.engine.reply = answer
        await made.bind("plain", adapter=await made.adapter("old"))
        await made.bind("polite", adapter=await made.adapter("new"))
        await made.bind("other", adapter=await made.adapter("old"), description="the same")
        yield made


@pytest.fixture
async def judge() -> AsyncIterator[tuple[FakeCompletions, list[str]]]:
    fake = FakeCompletions(polite)
    async with running(fake.app) as url:
        yield fake, ["--judge", url, "--judge-model", "wise"]


async def run(stack: ChatStack, folder: Path, *options: str, cases: Any = CASES) -> str:
    file = folder / "cases.jsonl"
    file.write_text("\n".join(json.dumps(case, ensure_ascii=False) for case in cases), "utf-8")
    key = ["--key", stack.gateway.secrets["admin"], "--url", stack.gateway.base_url]
    given = ["eval", "run", "--cases", str(file), "--out", str(folder / "found.json")]
    ran = await asyncio.to_thread(
        CliRunner().invoke, app, [*given, *key, *options], env={"COLUMNS": "200"}
    )
    if ran.exception is not None and not isinstance(ran.exception, SystemExit):
        raise ran.exception
    assert ran.exit_code == 0, ran.output
    return ran.output


def report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "found.json").read_text("utf-8"))["report"]
    return found


async def test_a_judge_scores_and_compares_in_both_orders(
    stack: ChatStack, tmp_path: Path, judge: tuple[FakeCompletions, list[str]]
) -> None:
    fake, options = judge
    told = await run(stack, tmp_path, "--assistant", "polite", "--against", "plain", *options)
    found = report(tmp_path)
    assert found["comparison"]["verdict"] == "adopt"
    assert found["preferences"]["candidate"] == 24
    assert found["judges"]["judge"].startswith("wise (1-")
    assert "prefers the candidate in 24 cases, the baseline in 0, neither in 0" in told
    page = (tmp_path / "found.html").read_text("utf-8")
    assert "judge wise (1-" in page
    assert len(fake.requests) == 4 * 24
    assert {body["temperature"] for body in fake.requests} == {0.0}
    await run(stack, tmp_path, "--assistant", "polite", "--against", "plain", *options)
    assert len(fake.requests) == 4 * 24


async def test_answers_that_are_alike_are_a_tie_that_nobody_is_asked_about(
    stack: ChatStack, tmp_path: Path, judge: tuple[FakeCompletions, list[str]]
) -> None:
    fake, options = judge
    cases = [{"id": "a", "question": "환불?", "expected": "14일"}]
    options = ["--assistant", "other", "--against", "plain", *options]
    await run(stack, tmp_path, *options, cases=cases)
    assert (report(tmp_path)["preferences"]["ties"], fake.requests) == (1, [])


async def test_a_judge_that_goes_by_the_order_prefers_nobody(
    stack: ChatStack, tmp_path: Path, judge: tuple[FakeCompletions, list[str]]
) -> None:
    fake, options = judge
    fake.reply = lambda _: '{"reason": "", "better": "first"}'
    cases = [{"id": "a", "question": "환불?", "expected": "14일"}]
    told = await run(
        stack, tmp_path, "--assistant", "polite", "--against", "plain", *options, cases=cases
    )
    found = report(tmp_path)["preferences"]
    assert (found["ties"], found["swayed"]) == (1, 1)
    assert "in 1 of these the order decided" in told


async def test_verdicts_that_cannot_be_read_are_counted_and_shown(
    stack: ChatStack, tmp_path: Path, judge: tuple[FakeCompletions, list[str]]
) -> None:
    fake, options = judge
    fake.reply = lambda _: "It is nice."
    told = await run(stack, tmp_path, "--assistant", "polite", *options, cases=CASES[:3])
    assert report(tmp_path)["baseline"]["unreadable"] == 3
    assert "3 verdicts of the judge on polite could not be read" in told


async def test_a_judge_that_refuses_every_request_ends_the_run(
    stack: ChatStack, tmp_path: Path, judge: tuple[FakeCompletions, list[str]]
) -> None:
    fake, options = judge
    fake.reply = lambda body: Failing(400, "no temperature") if "temperature" in body else "{}"
    with pytest.raises(CommandError, match=r"no temperature.*--judge-extra"):
        await run(stack, tmp_path, "--assistant", "polite", *options, cases=CASES[:9])
    left_out = ["--judge-extra", '{"temperature": null}', "--fresh"]
    await run(stack, tmp_path, "--assistant", "polite", *options, *left_out, cases=CASES[:9])
    assert report(tmp_path)["baseline"]["unreadable"] == 9


async def test_answers_judged_by_somebody_else_are_not_mixed_in(
    stack: ChatStack, tmp_path: Path, judge: tuple[FakeCompletions, list[str]]
) -> None:
    _, options = judge
    await run(stack, tmp_path, "--assistant", "plain", *options, cases=CASES[:2])
    with pytest.raises(CommandError, match="judged by something else"):
        await run(stack, tmp_path, "--assistant", "plain", *options[:-1], "else", cases=CASES[:2])


async def test_cases_without_their_judge_are_refused_before_anything_is_asked(
    stack: ChatStack, tmp_path: Path
) -> None:
    before = len(stack.engine.generations())
    with pytest.raises(CommandError, match=r"no judge is named; add --judge"):
        await run(stack, tmp_path, "--assistant", "plain")
    style = [{"id": "s", "question": "?", "checks": [{"kind": "style", "style": "formal"}]}]
    with pytest.raises(CommandError, match=r"no classifier is named"):
        await run(stack, tmp_path, "--assistant", "plain", cases=style)
    assert len(stack.engine.generations()) == before


def styled(*given: object) -> str:
    told = CliRunner().invoke(
        app, ["eval", "style", *map(str, given)], env={"COLUMNS": "200"}, catch_exceptions=False
    )
    assert told.exit_code == 0, told.output
    return told.output


async def test_a_classifier_is_trained_measured_and_used(stack: ChatStack, tmp_path: Path) -> None:
    rows, model = tmp_path / "rows.jsonl", tmp_path / "style.json"
    rows.write_text("\n".join(row.model_dump_json() for row in ROWS), "utf-8")
    assert "casual, formal" in styled("train", rows, "--out", model)
    assert "formal  32    1.000" in styled("check", model, rows)
    cases = [
        {"id": f"s{n}", "question": f"환불? {n}", "checks": [{"kind": "style", "style": "formal"}]}
        for n in range(3)
    ]
    options = ["--assistant", "polite", "--style", str(model)]
    await run(stack, tmp_path, *options, cases=cases)
    found = report(tmp_path)
    assert found["baseline"]["pass_rate"]["value"] == 1.0
    assert found["judges"]["styles"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"text": "a"}', r"rows\.jsonl, line 1: label"),
        ("[]", "line 1"),
        ('{"text": "a", "label": "b"}', "one label only"),
    ],
)
def test_broken_style_rows_are_named(tmp_path: Path, line: str, said: str) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(line, "utf-8")
    with pytest.raises(CommandError, match=said):
        styled("train", rows, "--out", tmp_path / "style.json")


@pytest.mark.long
def test_a_model_of_entailment_is_asked_for_its_label(tmp_path: Path) -> None:
    folder = make_cross_encoder(tmp_path / "nli", outputs=3)
    config = folder / "config.json"
    with pytest.raises(CommandError, match="one label that says `entailment`"):
        open_entailment(str(folder))
    outcomes = []
    for place in range(3):
        labels = {str(n): f"other-{n}" for n in range(3)} | {str(place): "ENTAILMENT"}
        written = json.loads(config.read_text())
        written |= {"id2label": labels, "label2id": {name: int(n) for n, name in labels.items()}}
        config.write_text(json.dumps(written))
        outcomes.append(open_entailment(str(folder))("apple pear", "사과"))
    assert sorted(outcomes) == [False, False, True]


def test_a_model_of_entailment_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="is no folder"):
        open_entailment(str(tmp_path / "nowhere"))
