"""`inkstone eval run` and `compare` against a real gateway."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.chassis.errors import NotFound
from services.cli.failures import CommandError
from services.cli.main import app
from tests.fakes.agent import eventually
from tests.fakes.engine_generation import Call
from tests.service.gateway.chat_stack import ChatStack, chat_stack
from tests.service.gateway.gateway import GatewayUnderTest

pytestmark = pytest.mark.anyio

CASES = [
    {"id": f"ko-{n}", "question": f"환불은 며칠? ({n})", "expected": "14일", "tags": ["ko"]}
    for n in range(15)
] + [
    {"id": f"en-{n}", "question": f"How long do refunds take? ({n})", "expected": "14 days",
     "tags": ["en"]}
    for n in range(15)
]  # fmt: skip


def answer(call: Call) -> str:
    """The new voice knows it; the old one knows the Korean answer only."""
    korean = "환불" in call.question
    if call.marker == "new" or korean:
        return "14일입니다." if korean else "It takes 14 days."
    return "I do not know."


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[ChatStack]:
    async with chat_stack(tmp_path) as made:
        made.engine.reply = answer
        await made.bind("plain", adapter=await made.adapter("old"))
        await made.bind("polite", adapter=await made.adapter("new"))
        yield made


async def command(gateway: GatewayUnderTest, *arguments: str) -> str:
    """Run the command in a thread: it has an event loop of its own."""
    key = ["--key", gateway.secrets["admin"], "--url", gateway.base_url]
    of_gateway = [] if arguments[1] == "compare" else key
    ran = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, *of_gateway])
    if ran.exception is not None and not isinstance(ran.exception, SystemExit):
        raise ran.exception
    assert ran.exit_code == 0, ran.output
    return ran.output


def written(file: Path, cases: Any) -> str:
    lines = [json.dumps(case, ensure_ascii=False) for case in cases]
    file.write_text("\n".join(lines), encoding="utf-8")
    return str(file)


async def run(stack: ChatStack, folder: Path, *options: str, cases: Any = CASES) -> str:
    dataset = written(folder / "cases.jsonl", cases)
    out = [] if "--out" in options else ["--out", str(folder / "found.json")]
    arguments = ("eval", "run", "--cases", dataset, *out, *options)
    return await command(stack.gateway, *arguments)


def saved(folder: Path, name: str = "found") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{name}.json").read_text("utf-8"))
    return found


async def test_one_assistant_is_measured_with_intervals_by_tag(
    stack: ChatStack, tmp_path: Path
) -> None:
    told = await run(stack, tmp_path, "--assistant", "plain")
    report = saved(tmp_path)["report"]
    assert report["baseline"]["pass_rate"]["value"] == 0.5
    assert report["baseline"]["by_tag"]["ko"]["value"] == 1.0
    assert report["comparison"] is None
    assert "passed, ko" in told
    page = (tmp_path / "found.html").read_text("utf-8")
    assert "<svg" in page
    assert "How long do refunds take? (3)" in page


async def test_two_assistants_are_compared_and_the_verdict_is_said_in_words(
    stack: ChatStack, tmp_path: Path
) -> None:
    told = await run(stack, tmp_path, "--assistant", "polite", "--against", "plain")
    found = saved(tmp_path)["report"]["comparison"]
    assert (found["verdict"], found["main"]["gained"], found["main"]["lost"]) == ("adopt", 15, 0)
    assert "Adopt it: it is better: 15 cases gained and 0 lost of 30" in told
    assert found["gained"] == [f"en-{n}" for n in range(15)]


async def test_guards_speak_against_a_candidate_that_forgets(
    stack: ChatStack, tmp_path: Path
) -> None:
    guards = [{"id": f"g{n}", "question": f"Who? {n}", "expected": "I do not know"} for n in
              range(30)]  # fmt: skip
    file = written(tmp_path / "guards.jsonl", guards)
    told = await run(
        stack, tmp_path, "--assistant", "polite", "--against", "plain", "--guard", file
    )
    assert saved(tmp_path)["report"]["comparison"]["verdict"] == "reject"
    assert "Do not adopt it" in told


async def test_a_run_that_was_cut_off_goes_on_where_it_stood(
    stack: ChatStack, tmp_path: Path
) -> None:
    await run(stack, tmp_path, "--assistant", "plain")
    answers = tmp_path / "found.answers.jsonl"
    whole = answers.read_bytes()
    lines = whole.split(b"\n")
    # As a killed process leaves it: some lines, and half of the next.
    answers.write_bytes(b"\n".join(lines[:11]) + b"\n" + lines[11][:20])
    before = len(stack.engine.generations())
    await run(stack, tmp_path, "--assistant", "plain")
    assert len(stack.engine.generations()) - before == 20
    assert saved(tmp_path)["report"]["baseline"]["pass_rate"]["count"] == 30
    assert all(json.loads(line) for line in answers.read_bytes().split(b"\n")[:-1])


async def test_answers_to_other_cases_are_not_mixed_in(stack: ChatStack, tmp_path: Path) -> None:
    await run(stack, tmp_path, "--assistant", "plain")
    with pytest.raises(CommandError, match="another evaluation"):
        await run(stack, tmp_path, "--assistant", "polite")
    await run(stack, tmp_path, "--assistant", "polite", "--fresh")
    assert saved(tmp_path)["report"]["baseline"]["pass_rate"]["value"] == 1.0


async def test_a_case_that_failed_counts_and_is_asked_again_the_next_time(
    stack: ChatStack, tmp_path: Path
) -> None:
    long = {"id": "long", "question": "가 " * 5000, "expected": "x"}
    told = await run(stack, tmp_path, "--assistant", "plain", cases=[*CASES, long])
    assert saved(tmp_path)["report"]["baseline"]["errors"] == 1
    assert "1 answers of plain failed" in told
    before = len(stack.engine.generations())
    await run(stack, tmp_path, "--assistant", "plain", cases=[*CASES, long])
    assert len(stack.engine.generations()) == before
    assert saved(tmp_path)["report"]["baseline"]["pass_rate"]["count"] == 31


async def test_a_gateway_without_room_is_asked_again(stack: ChatStack, tmp_path: Path) -> None:
    stack.engine.knobs.overloaded = True
    running = asyncio.create_task(run(stack, tmp_path, "--assistant", "plain", cases=CASES[:2]))
    await eventually(lambda: len(stack.engine.generations()) >= 4, seconds=60)
    stack.engine.knobs.overloaded = False
    await running
    assert saved(tmp_path)["report"]["baseline"]["errors"] == 0


async def test_repeats_show_how_steady_the_answers_are(stack: ChatStack, tmp_path: Path) -> None:
    told = await run(stack, tmp_path, "--assistant", "plain", "--repeats", "3", cases=CASES[:4])
    report = saved(tmp_path)["report"]
    assert (report["repeats"], report["baseline"]["consistency"]) == (3, 1.0)
    assert "says the same again" in told


async def test_an_unknown_assistant_ends_the_run_at_once(stack: ChatStack, tmp_path: Path) -> None:
    for name in ("nobody", "plain:candidate"):
        with pytest.raises(Exception, match=r"does not exist|no candidate"):
            await run(stack, tmp_path, "--assistant", name)
    with pytest.raises(NotFound):
        await run(stack, tmp_path, "--assistant", "nobody")
    assert stack.engine.generations() == []


async def test_an_arm_can_be_pinned(stack: ChatStack, tmp_path: Path) -> None:
    await run(stack, tmp_path, "--assistant", "plain:stable", cases=CASES[:2])
    rows = await stack.ledger(2)
    assert all(row["overridden"] for row in rows)


async def test_reports_of_different_times_are_compared(stack: ChatStack, tmp_path: Path) -> None:
    for name in ("plain", "polite"):
        await run(stack, tmp_path, "--assistant", name, "--out", str(tmp_path / f"{name}.json"))
    files = [str(tmp_path / f"{name}.json") for name in ("plain", "polite")]
    out = str(tmp_path / "both.json")
    told = await command(stack.gateway, "eval", "compare", *files, "--out", out)
    assert "Adopt it" in told
    assert saved(tmp_path, "both")["report"]["candidate"]["name"] == "polite"
    short = str(tmp_path / "short.json")
    await run(stack, tmp_path, "--assistant", "plain", "--out", short, cases=CASES[:3])
    with pytest.raises(CommandError, match="different cases"):
        await command(stack.gateway, "eval", "compare", files[0], short, "--out", out)


async def test_a_broken_line_is_named_before_anything_is_asked(
    stack: ChatStack, tmp_path: Path
) -> None:
    with pytest.raises(CommandError, match=r"cases\.jsonl, line 2"):
        await run(stack, tmp_path, "--assistant", "plain", cases=[CASES[0], {"id": "x"}])
    assert stack.engine.generations() == []


async def test_a_set_is_given_to_the_gateway_and_listed(stack: ChatStack, tmp_path: Path) -> None:
    file = written(tmp_path / "cases.jsonl", CASES)
    told = await command(stack.gateway, "eval", "put", "golden", file)
    assert "golden: 30 cases, 0 of them guards" in told
    assert "golden" in await command(stack.gateway, "eval", "sets")
